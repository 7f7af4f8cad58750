//! The labels that a caller asks for.

use crate::error::{Error, Result};
use crate::volume::{LabelMap, LabelTable};

/// Ids to keep; none keeps all.
#[derive(Debug, Clone)]
pub(super) struct KeepLabels(Option<Vec<u16>>);

impl KeepLabels {
    /// From names or ids of `table`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for a label that the table does not have.
    pub(super) fn new(labels: &[String], table: &LabelTable) -> Result<Self> {
        if labels.is_empty() {
            return Ok(Self(None));
        }
        let id = |text: &String| {
            let by_id = text.parse().ok().and_then(|id| table.get(id));
            by_id.or_else(|| table.find(text)).map(|label| label.id).ok_or_else(|| {
                Error::usage(format!("the model has no label {text:?}")).hint("`unet-vol models show` lists its labels")
            })
        };
        labels.iter().map(id).collect::<Result<_>>().map(|ids| Self(Some(ids)))
    }

    /// Makes background of all other labels.
    ///
    /// # Errors
    /// As [`LabelTable::new`].
    pub(super) fn apply(&self, map: &mut LabelMap) -> Result<()> {
        let Some(keep) = &self.0 else { return Ok(()) };
        for id in map.ids.data_mut() {
            if !keep.contains(id) {
                *id = 0;
            }
        }
        let labels = map.table.labels().iter().filter(|label| keep.contains(&label.id)).cloned().collect();
        map.table = LabelTable::new(labels)?;
        Ok(())
    }
}
