//! The texts of a BIDS derivative: description of the data set, side-car and label table of a segmentation (BIDS
//! specification 1.10, "Derived dataset and pipeline description" and "Segmentations").

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::manifest::Manifest;
use crate::error::Result;
use crate::model::ModelSpec;
use crate::volume::LabelTable;

/// Files of a batch that are not of BIDS's making.
pub const BIDS_IGNORE: &str = "ledger*.jsonl\nsummary.csv\n*_stats.csv\n*_preview.png\n";

/// `dataset_description.json`; `raw` leads from the derivative to the data set that was segmented, if that is one.
///
/// # Errors
/// [`crate::ErrorKind::Internal`] when a value has no JSON form.
pub fn bids_dataset(spec: &ModelSpec, raw: Option<&str>) -> Result<String> {
    let mut dataset = json!({
        "Name": format!("Labels by unet-vol, model {} {}", spec.name, spec.version),
        "BIDSVersion": "1.10.1",
        "DatasetType": "derivative",
        "GeneratedBy": [{
            "Name": "unet-vol",
            "Version": env!("CARGO_PKG_VERSION"),
            "Description": format!("{} {}", spec.intended_use.trim(), Manifest::NOTICE).trim(),
        }],
    });
    if let Some(raw) = raw {
        dataset["DatasetLinks"] = json!({ "raw": raw });
        dataset["SourceDatasets"] = json!([{ "URL": raw }]);
    }
    super::to_json(&dataset)
}

/// `README.md`, which BIDS wants in each data set.
#[must_use]
pub fn bids_readme(spec: &ModelSpec) -> String {
    format!(
        "# Label volumes\n\nMade by unet-vol {} with the model {} {}.\n{}\n\n{}\n\n\
         `*_dseg.nii.gz` hold the labels, `*_dseg.tsv` their names and `*_dseg.json` what they were made of.\n",
        env!("CARGO_PKG_VERSION"),
        spec.name,
        spec.version,
        spec.citation.trim(),
        Manifest::NOTICE
    )
}

/// The side-car of a segmentation; `sources` are paths of images below the linked data set `raw`.
///
/// # Errors
/// [`crate::ErrorKind::Internal`] when a value has no JSON form.
pub fn bids_sidecar(manifest: &Manifest, sources: &[String]) -> Result<String> {
    let mut sidecar = json!({
        "Description": format!("Labels of the model {} on the grid of the image", manifest.model.name),
        "SpatialReference": "orig",
        "Manual": false,
        "Model": manifest.model.name,
        "ModelVersion": manifest.model.version,
        "ModelSHA256": manifest.model.origin.sha256,
        "Engine": format!("{} {}", manifest.backend.engine, manifest.backend.version),
        "InputSHA256": manifest.inputs.iter().map(|input| &input.sha256).collect::<Vec<_>>(),
    });
    if !sources.is_empty() {
        sidecar["Sources"] = sources.iter().map(|path| Value::from(format!("bids:raw:{path}"))).collect();
    }
    super::to_json(&sidecar)
}

/// The label table of a segmentation: `index`, `name` and `color`, parted by tabs.
#[must_use]
pub fn bids_labels(table: &LabelTable) -> String {
    let mut out = String::from("index\tname\tcolor\n0\tbackground\t#000000\n");
    for label in table.labels() {
        let [r, g, b] = label.rgb;
        let name = label.name.replace(char::is_control, " ");
        let _ = writeln!(out, "{}\t{name}\t#{r:02x}{g:02x}{b:02x}", label.id);
    }
    out
}
