//! `unet-vol info FOLDER`: one row per DICOM series.

use std::path::Path;

use unet_vol::Result;
use unet_vol::formats::dicom::{SeriesSummary, scan};
use unet_vol::formats::{self, ReadOptions};
use unet_vol::limits::Limits;

use super::exit::Exit;
use super::output::{self, Verbosity};

/// `None` for a folder that holds pictures and no DICOM file.
pub(crate) fn run(folder: &Path, json: bool, verbosity: Verbosity) -> Result<Option<Exit>> {
    let triage = scan(folder, &Limits::default())?;
    if triage.dicom_files == 0 && formats::probe(folder, &ReadOptions::new()).is_ok() {
        return Ok(None);
    }
    if json {
        output::json(&triage)?;
        return Ok(Some(Exit::Done));
    }
    let head =
        ["no", "description", "modality", "kind", "size", "spacing mm", "axes", "odd", "transfer syntax", "segment?"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(triage.series.iter().map(row));
    output::data(output::table(&rows));
    output::say(verbosity, format!("{} of {} files are DICOM", triage.dicom_files, triage.files));
    for path in &triage.missing {
        output::say(verbosity, format!("warning: {} is named by the DICOMDIR and not there", path.display()));
    }
    for file in &triage.unreadable {
        output::say(
            verbosity,
            format!("warning: {}", output::escaped(&format!("{}: {}", file.path.display(), file.reason))),
        );
    }
    Ok(Some(Exit::Done))
}

fn row(series: &SeriesSummary) -> Vec<String> {
    let shape: Vec<_> = series.shape.iter().map(usize::to_string).collect();
    let mut size = shape.join(" x ");
    if series.volumes > 1 {
        size.push_str(&format!(" x {} volumes", series.volumes));
    }
    let spacing = series.spacing.map_or_else(String::new, |s| s.map(|v| format!("{v:.3}")).join(" x "));
    let mut odd = Vec::new();
    if series.tilt_degrees > 0.05 {
        odd.push(format!("tilt {:.1} deg", series.tilt_degrees));
    }
    if series.duplicates > 0 {
        odd.push(format!("{} duplicates", series.duplicates));
    }
    if !series.warnings.is_empty() {
        odd.push(format!("{} warnings", series.warnings.len()));
    }
    let verdict = series.refusal.as_ref().map_or_else(|| "yes".to_owned(), |reason| format!("no: {reason}"));
    // The name that the JSON has.
    let kind =
        serde_json::to_value(series.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    [
        series.number.to_string(),
        series.description.clone(),
        series.modality.clone(),
        kind,
        size,
        spacing,
        series.orientation.clone().unwrap_or_default(),
        odd.join(", "),
        series.transfer_syntax.clone(),
        verdict,
    ]
    .map(|cell| output::escaped(&cell))
    .to_vec()
}
