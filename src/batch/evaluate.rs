//! Label volumes in files against references, one by one or folder by folder.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result, Warning};
use crate::evaluate::{EvaluateOptions, Report, Scores, evaluate};
use crate::formats::{self, Format, ReadOptions};
use crate::fs;
use crate::volume::Volume;

/// One case of a folder.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// File name that prediction and reference share.
    pub case: String,
    /// Its scores.
    pub report: Report,
}

/// Scores of one label volume.
///
/// # Errors
/// What the reader refuses; [`crate::ErrorKind::Usage`] when the grids do not match.
pub fn evaluate_files(prediction: &Path, reference: &Path, options: &EvaluateOptions) -> Result<Report> {
    let read = ReadOptions::new();
    let (predicted, expected) = (formats::read_labels(prediction, &read)?, formats::read_labels(reference, &read)?);
    let is_sparse = [&predicted, &expected].iter().any(|study| study.probe.format == Format::DicomSegmentation);
    let (mut predicted, mut expected) = (predicted.labels, expected.labels);
    if is_sparse && let Some((a, b)) = on_one_grid(&predicted.ids, &expected.ids)? {
        (predicted.ids, expected.ids) = (a, b);
    }
    // Names come from whichever file has them.
    if expected.table.labels().is_empty() {
        expected.table = predicted.table.clone();
    }
    evaluate(&predicted, &expected, options).map_err(|error| error.at(prediction))
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
                let report = evaluate_files(other, path, options)?;
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
