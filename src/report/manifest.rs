//! The record of a run: enough to repeat it and to check what it gave. A pure function of what happened.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use crate::error::{Error, Result, Warning};
use crate::geometry::Grid;
use crate::inference::Backend;
use crate::labels::{LabelStatistics, Statistics};
use crate::model::ModelSpec;
use crate::pipeline::{Origin, Plan};

/// A file and the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path as it was given.
    pub path: PathBuf,
    /// SHA-256 of the bytes as stored, lower-case hex.
    pub sha256: String,
}

/// The grid of the output.
#[derive(Debug, Clone, Serialize)]
pub struct GridRecord {
    /// Voxels along i, j, k.
    pub shape: [usize; 3],
    /// mm per index step.
    pub spacing_mm: [f64; 3],
    /// Axis codes.
    pub orientation: String,
    /// Upper three rows of the voxel-to-world matrix, RAS+ mm.
    pub affine: [[f64; 4]; 3],
}

impl From<&Grid> for GridRecord {
    fn from(grid: &Grid) -> Self {
        Self {
            shape: grid.shape(),
            spacing_mm: grid.spacing(),
            orientation: grid.orientation().to_string(),
            affine: grid.affine().rows(),
        }
    }
}

/// The model that ran.
#[derive(Debug, Clone, Serialize)]
pub struct ModelRecord {
    /// Name in its description.
    pub name: String,
    /// Version of the weights.
    pub version: String,
    /// SPDX license of the weights.
    pub license: String,
    /// What to cite.
    pub citation: String,
    /// File and hash.
    #[serde(flatten)]
    pub origin: Origin,
}

impl ModelRecord {
    /// From a description and where the network came from.
    #[must_use]
    pub fn new(spec: &ModelSpec, origin: &Origin) -> Self {
        Self {
            name: spec.name.clone(),
            version: spec.version.clone(),
            license: spec.license.clone(),
            citation: spec.citation.clone(),
            origin: origin.clone(),
        }
    }
}

/// A named sum of label volumes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeRecord {
    /// Such as `brain` or `intracranial`.
    pub name: String,
    /// Millilitres.
    pub ml: f64,
}

/// The sums that the model's description asks for.
#[must_use]
pub fn volume_sums(spec: &ModelSpec, statistics: &Statistics) -> Vec<VolumeRecord> {
    let ml = |ids: &[u16]| statistics.labels.iter().filter(|label| ids.contains(&label.id)).map(|label| label.ml).sum();
    spec.volumes.iter().map(|sum| VolumeRecord { name: sum.name.clone(), ml: ml(&sum.ids) }).collect()
}

/// What happened, from input to output.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Manifest {
    /// `unet-vol` and its version.
    pub program: String,
    /// That this is for research.
    pub notice: &'static str,
    /// The files that were read.
    pub inputs: Vec<FileRecord>,
    /// The label volume.
    pub output: Option<FileRecord>,
    /// DICOM objects with the labels.
    pub derived: Vec<FileRecord>,
    /// Grid of the output, which is that of the first input.
    pub grid: GridRecord,
    /// Proof that the reopened output lies where the input lies.
    pub certificate: Option<Certificate>,
    /// The model.
    pub model: ModelRecord,
    /// Engine, library and provider that really ran.
    pub backend: Backend,
    /// Threads that it ran on.
    pub threads: usize,
    /// Tiles and memory as planned.
    pub plan: Plan,
    /// The labels.
    pub labels: Vec<LabelStatistics>,
    /// Named sums of volumes.
    pub volumes: Vec<VolumeRecord>,
    /// Seconds of each stage.
    pub seconds: Vec<StageSeconds>,
    /// Peak resident memory of the process in bytes, where the system says.
    pub peak_rss_bytes: Option<u64>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Seconds of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageSeconds {
    /// The stage.
    pub stage: crate::pipeline::Stage,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl Manifest {
    /// The sentence under [`Manifest::notice`].
    pub const NOTICE: &str = "For research only; not a medical device.";
}

/// A record as indented JSON.
///
/// # Errors
/// [`crate::ErrorKind::Internal`] when a value has no JSON form.
pub fn to_json(record: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(record).map_err(|e| Error::internal("the record has no JSON form").because(e))
}
