//! Label volumes in files against references, one by one or folder by folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result, Warning};
use crate::evaluate::{EvaluateOptions, Report, Scores, evaluate};
use crate::formats::{self, Format, ReadOptions};
use crate::fs;
use crate::volume::{LabelMap, LabelTable, Volume};

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
        if let Some((a, b)) = on_one_grid(&predicted.ids, &expected.ids)? {
            (predicted.ids, expected.ids) = (a, b);
        }
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

/// Two label volumes on the smallest grid that holds both, as segmentations leave out slices without labels; `None` when
/// their voxels do not coincide, apart from the order and direction of axes.
fn on_one_grid(a: &Volume<u16>, b: &Volume<u16>) -> Result<Option<(Volume<u16>, Volume<u16>)>> {
    let a = a.reoriented(b.grid().orientation());
    let map = a.grid().index_map_to(b.grid()).rows();
    let (first, second) = (a.grid().shape(), b.grid().shape());
    let is_near = |axis: usize| map[axis][3].abs() < 65_536.0;
    if !(0..3).all(is_near) {
        return Ok(None);
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let offset = [0, 1, 2].map(|axis| map[axis][3].round() as i64);
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::from(i32::MAX));
    let low = offset.map(|at| at.min(0));
    let high = [0, 1, 2].map(|axis| (offset[axis] + size(first[axis])).max(size(second[axis])));
    let shape = [0, 1, 2].map(|axis| usize::try_from(high[axis] - low[axis]).unwrap_or(usize::MAX));
    if (0..3).any(|axis| shape[axis] > first[axis] + second[axis]) {
        return Ok(None);
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of voxels are far below 2^53")]
    let start = |from: [i64; 3]| from.map(|at| at as f64);
    let grid = b.grid().window(start(low), shape)?;
    let same = a.grid().window(start([0, 1, 2].map(|axis| low[axis] - offset[axis])), shape)?;
    if !grid.matches(&same) {
        return Ok(None);
    }
    let place = |volume: &Volume<u16>, at: [i64; 3]| {
        let at = at.map(|at| usize::try_from(at).unwrap_or(0));
        let mut out = Volume::zeros(grid)?;
        let [width, height, _] = shape;
        let [columns, rows, _] = volume.grid().shape();
        let lines = volume.data().chunks(columns).enumerate();
        for (n, line) in lines {
            let (j, k) = (n % rows + at[1], n / rows + at[2]);
            let from = (k * height + j) * width + at[0];
            out.data_mut()[from..from + columns].copy_from_slice(line);
        }
        Ok::<_, Error>(out)
    };
    let from = |offset: [i64; 3]| [0, 1, 2].map(|axis| offset[axis] - low[axis]);
    Ok(Some((place(&a, from(offset))?, place(b, from([0; 3]))?)))
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
