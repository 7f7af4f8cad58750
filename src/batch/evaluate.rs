//! Label volumes in files against references, one by one or folder by folder.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result, Warning};
use crate::evaluate::{EvaluateOptions, Report, Scores, evaluate};
use crate::formats::{self, ReadOptions};
use crate::fs;

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
    let predicted = formats::read_labels(prediction, &read)?.labels;
    let mut expected = formats::read_labels(reference, &read)?.labels;
    // Names come from whichever file has them.
    if expected.table.labels().is_empty() {
        expected.table = predicted.table.clone();
    }
    evaluate(&predicted, &expected, options).map_err(|error| error.at(prediction))
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
