//! Label ids on a grid, with their names and colours.

use serde::{Deserialize, Serialize};

use super::Volume;
use crate::error::{Error, Result};
use crate::geometry::Grid;

/// A term of a coding scheme, as DICOM's coded entries have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermCode {
    /// Scheme designator, such as `SCT`.
    pub scheme: String,
    /// Code value.
    pub value: String,
    /// Code meaning.
    pub meaning: String,
}

/// One label: what an id stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The value in the label volume; 0 is background.
    pub id: u16,
    /// Name, such as `left hippocampus`.
    pub name: String,
    /// Display colour.
    pub rgb: [u8; 3],
    /// Coded term, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<TermCode>,
}

/// Labels in ascending order of id, without background.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelTable {
    labels: Vec<Label>,
}

impl LabelTable {
    /// From labels in any order.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when an id is 0 or occurs twice.
    pub fn new(mut labels: Vec<Label>) -> Result<Self> {
        labels.sort_by_key(|label| label.id);
        if labels.first().is_some_and(|label| label.id == 0) {
            return Err(Error::model("label id 0 is background and cannot be given to a structure"));
        }
        if let Some(pair) = labels.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(Error::model(format!(
                "label id {} is given to both {:?} and {:?}",
                pair[0].id, pair[0].name, pair[1].name
            )));
        }
        Ok(Self { labels })
    }

    /// The labels in ascending order of id.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The label with this id.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<&Label> {
        self.labels.binary_search_by_key(&id, |label| label.id).ok().map(|at| &self.labels[at])
    }

    /// The label with this name, upper and lower case alike.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name))
    }

    /// The name of an id; a number where the table has none.
    #[must_use]
    pub fn name(&self, id: u16) -> String {
        self.get(id).map_or_else(|| format!("label {id}"), |label| label.name.clone())
    }

    /// The colour of an id; a stable made-up one where the table has none.
    #[must_use]
    pub fn rgb(&self, id: u16) -> [u8; 3] {
        self.get(id).map_or_else(|| default_rgb(id), |label| label.rgb)
    }
}

/// A distinct colour for any id: hues a golden angle apart.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "values lie in 0..=255")]
pub(crate) fn default_rgb(id: u16) -> [u8; 3] {
    if id == 0 {
        return [0; 3];
    }
    let hue = (f64::from(id) * 137.507_764).rem_euclid(360.0) / 60.0;
    let x = 1.0 - (hue % 2.0 - 1.0).abs();
    let (r, g, b) = match hue {
        h if h < 1.0 => (1.0, x, 0.0),
        h if h < 2.0 => (x, 1.0, 0.0),
        h if h < 3.0 => (0.0, 1.0, x),
        h if h < 4.0 => (0.0, x, 1.0),
        h if h < 5.0 => (x, 0.0, 1.0),
        _ => (1.0, 0.0, x),
    };
    [r, g, b].map(|v| (50.0 + 205.0 * v) as u8)
}

/// Decided label ids on a grid; 0 is background.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// Ids, i fastest.
    pub ids: Volume<u16>,
    /// What the ids stand for.
    pub table: LabelTable,
}

impl LabelMap {
    /// From ids and the table that names them.
    #[must_use]
    pub fn new(ids: Volume<u16>, table: LabelTable) -> Self {
        Self { ids, table }
    }

    /// Where the voxels are.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        self.ids.grid()
    }

    /// True when every voxel is background.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.data().iter().all(|&id| id == 0)
    }

    /// The largest id that occurs.
    #[must_use]
    pub fn max_id(&self) -> u16 {
        self.ids.data().iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: u16) -> Label {
        Label { id, name: format!("Name {id}"), rgb: [1, 2, 3], code: None }
    }

    #[test]
    fn a_table_is_sorted_and_refuses_doubles_and_background() {
        let table = LabelTable::new(vec![label(9), label(2)]).unwrap();
        assert_eq!(table.labels()[0].id, 2);
        assert_eq!(table.find("NAME 9").unwrap().id, 9);
        assert_eq!(table.name(5), "label 5");
        assert!(LabelTable::new(vec![label(2), label(2)]).is_err());
        assert!(LabelTable::new(vec![label(0)]).is_err());
    }
}
