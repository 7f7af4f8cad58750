//! Label volumes in files against references, one by one or folder by folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result, Warning};
use crate::evaluate::{EvaluateOptions, Report, Scores, evaluate};
use crate::formats::{self, Format, ReadOptions};
use crate::fs;
use crate::volume::{LabelMap, LabelTable};

/// One case of a folder.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// File name that prediction and reference share.
    pub case: String,
    /// Its scores.
    pub report: Report,
}

/// Scores of one label volume, a NIfTI file or a DICOM structure set, and what is odd about either side.
///
/// A structure set lies on the grid of the other side, unless `images` are given or the other side is one too. Where a
/// side comes from DICOM, whose numbers are arbitrary, labels are matched by their names.
///
/// # Errors
/// What the reader refuses; [`crate::ErrorKind::Usage`] when the grids do not match.
pub fn evaluate_files(
    prediction: &Path,
    reference: &Path,
    options: &EvaluateOptions,
    images: Option<&Path>,
) -> Result<(Report, Vec<Warning>)> {
    let read = |path: &Path, other: &Path| {
        let is_volume = !formats::is_dicom(other);
        let images = images.or(Some(other).filter(|_| is_volume && formats::is_dicom(path)));
        formats::read_labels(path, &ReadOptions::new().with_images(images.map(Path::to_owned)))
    };
    let (predicted, expected) = (read(prediction, reference)?, read(reference, prediction)?);
    let is_dicom = [&predicted, &expected].iter().any(|side| side.probe.format == Format::Dicom);
    let mut warnings = [predicted.warnings, expected.warnings].concat();
    let (mut predicted, mut expected) = (predicted.labels, expected.labels);
    if is_dicom {
        warnings.extend(match_names(&mut predicted, &expected.table)?);
    }
    // Names come from whichever file has them.
    if expected.table.labels().is_empty() {
        expected.table = predicted.table.clone();
    }
    let report = evaluate(&predicted, &expected, options).map_err(|error| error.at(prediction))?;
    Ok((report, warnings))
}

/// Gives labels the ids that another table has for their names; a warning where that changes any.
fn match_names(labels: &mut LabelMap, to: &LabelTable) -> Result<Option<Warning>> {
    if labels.table.labels().is_empty() || to.labels().is_empty() {
        return Ok(None);
    }
    let mut table = labels.table.labels().to_vec();
    let mut taken: BTreeSet<u16> = to.labels().iter().map(|label| label.id).collect();
    let mut ids: Vec<u16> = (0..=labels.max_id()).collect();
    for label in &mut table {
        let new = match to.find(&label.name) {
            Some(other) => other.id,
            // A name that the other table lacks gets an id that it lacks too.
            None => (label.id..=u16::MAX).chain(1..label.id).find(|id| !taken.contains(id)).unwrap_or(label.id),
        };
        taken.insert(new);
        if let Some(id) = ids.get_mut(usize::from(label.id)) {
            *id = new;
        }
        label.id = new;
    }
    if (0..).zip(&ids).all(|(old, new)| old == *new) {
        return Ok(None);
    }
    labels.ids.data_mut().iter_mut().for_each(|id| *id = ids[usize::from(*id)]);
    labels.table = LabelTable::new(table)?;
    let message = "both sides number their labels differently: they are matched by name";
    Ok(Some(Warning::new("matched-by-name", message)))
}

/// Scores of every file that two folders share by name; the others are warnings.
///
/// # Errors
/// As [`evaluate_files`]; [`crate::ErrorKind::Usage`] when the folders share no file.
pub fn evaluate_folders(
    prediction: &Path,
    reference: &Path,
    options: &EvaluateOptions,
) -> Result<(Vec<CaseReport>, Vec<Warning>)> {
    let (predicted, expected) = (volumes(prediction)?, volumes(reference)?);
    let mut cases = Vec::new();
    let mut warnings = Vec::new();
    for path in &expected {
        let Some(name) = path.file_name() else { continue };
        match predicted.iter().find(|other| other.file_name() == Some(name)) {
            Some(other) => {
                let (report, _) = evaluate_files(other, path, options, None)?;
                cases.push(CaseReport { case: name.to_string_lossy().into_owned(), report });
            }
            None => warnings.push(missing(path, "prediction")),
        }
    }
    let without = predicted.iter().filter(|path| expected.iter().all(|other| other.file_name() != path.file_name()));
    warnings.extend(without.map(|path| missing(path, "reference")));
    if cases.is_empty() {
        return Err(Error::usage("no file of this folder has a reference of the same name").at(prediction));
    }
    Ok((cases, warnings))
}

fn missing(path: &Path, what: &'static str) -> Warning {
    Warning::new("unpaired-case", format!("{} has no {what} of the same name and was left out", path.display()))
}

fn volumes(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::list(folder)?;
    paths.retain(|path| {
        let name = path.to_string_lossy().to_ascii_lowercase();
        name.ends_with(".nii") || name.ends_with(".nii.gz")
    });
    Ok(paths)
}

/// Means of the cases' means, over the cases that have a value.
#[must_use]
pub fn means(cases: &[CaseReport]) -> Option<Scores> {
    Scores::mean(cases.iter().map(|case| &case.report.mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};
    use crate::volume::{Label, Volume};

    fn table(names: &[(u16, &str)]) -> LabelTable {
        let label = |&(id, name): &(u16, &str)| Label { id, name: name.to_owned(), rgb: [0; 3], code: None };
        LabelTable::new(names.iter().map(label).collect()).unwrap()
    }

    #[test]
    fn labels_are_matched_by_name_and_strangers_keep_apart() {
        let grid = Grid::new([5, 1, 1], Affine::from_spacing([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        let map = |names| LabelMap::new(Volume::new(grid, vec![0, 1, 2, 3, 7]).unwrap(), table(names));
        let mut labels = map(&[(1, "Liver"), (2, "Spleen"), (3, "Aorta")]);
        let warning = match_names(&mut labels, &table(&[(2, "liver"), (5, "spleen"), (3, "kidney")])).unwrap();
        assert_eq!(warning.unwrap().code, "matched-by-name");
        assert_eq!(labels.ids.data(), [0, 2, 5, 4, 7]);
        assert_eq!(labels.table.name(4), "Aorta");
        let mut same = map(&[(1, "Liver")]);
        assert_eq!(match_names(&mut same, &table(&[(1, "LIVER"), (9, "x")])).unwrap(), None);
        assert_eq!(match_names(&mut same, &LabelTable::default()).unwrap(), None);
    }
}
