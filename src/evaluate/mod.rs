//! How well a label map agrees with a reference: overlap, surface distances and volume, label by label.
//!
//! Tools disagree on definitions, so each is named here. A score that has no value is `None`, with the reason beside
//! it; it is never 0 or infinity in disguise.

mod cells;
mod distance;
mod overlap;
mod structure;
mod surface;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::limits::Cancel;
use crate::volume::LabelMap;
use overlap::Overlaps;
use structure::Pair;
pub use structure::score;

/// Which 95th percentile of surface distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Hd95 {
    /// The percentile of each direction, the larger of both (MONAI, and the definition of the Hausdorff distance).
    #[default]
    MaxDirected,
    /// The percentile of both directions in one list (MedPy).
    Pooled,
}

/// Which surface the surface Dice is measured on. All distances are measured on voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SurfaceElement {
    /// Voxels of the mask with a face neighbour outside it, each counted once (MONAI without spacing).
    #[default]
    Voxel,
    /// Corners between voxels, weighted by the area of the surface that passes between their eight voxels
    /// (Nikolov et al., "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
    /// radiotherapy", 2018; DeepMind's `surface-distance`).
    SubVoxel,
}

/// What [`evaluate`] measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EvaluateOptions {
    /// Labels to score; `None`: every id that occurs in one of the maps.
    pub labels: Option<Vec<u16>>,
    /// Whether distances and the surface Dice are measured; the overlaps take a tenth of the time.
    pub distances: bool,
    /// Which 95th percentile.
    pub hd95: Hd95,
    /// Which surface the surface Dice is measured on.
    pub surface: SurfaceElement,
    /// Tolerance of the surface Dice in mm.
    pub tolerance_mm: f64,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            labels: None,
            distances: true,
            hd95: Hd95::default(),
            surface: SurfaceElement::default(),
            tolerance_mm: 1.0,
        }
    }
}

impl EvaluateOptions {
    /// With these labels only.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<u16>) -> Self {
        self.labels = Some(labels);
        self
    }

    /// With or without everything that is measured between surfaces.
    #[must_use]
    pub fn with_distances(mut self, distances: bool) -> Self {
        self.distances = distances;
        self
    }

    /// With this 95th percentile.
    #[must_use]
    pub fn with_hd95(mut self, hd95: Hd95) -> Self {
        self.hd95 = hd95;
        self
    }

    /// With a surface Dice on this surface, at this tolerance in mm.
    #[must_use]
    pub fn with_surface(mut self, surface: SurfaceElement, tolerance_mm: f64) -> Self {
        self.surface = surface;
        self.tolerance_mm = tolerance_mm;
        self
    }
}

/// The scores of one label; P is the set of voxels of the prediction, R that of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Scores {
    /// 2 |P and R| / (|P| + |R|).
    pub dice: Option<f64>,
    /// |P and R| / |P or R|.
    pub jaccard: Option<f64>,
    /// 95th percentile of surface distances in mm, see [`Hd95`]; percentiles are interpolated linearly.
    pub hd95_mm: Option<f64>,
    /// Largest surface distance in mm (Hausdorff).
    pub hd_mm: Option<f64>,
    /// Mean of the surface distances of both directions in one list, in mm (ASSD of MedPy and MONAI).
    pub mean_surface_distance_mm: Option<f64>,
    /// Part of both surfaces that lies within the tolerance of the other (normalized surface distance), see
    /// [`SurfaceElement`].
    pub surface_dice: Option<f64>,
    /// Volume of P less that of R in millilitres.
    pub volume_difference_ml: Option<f64>,
    /// The same in percent of the volume of R.
    pub volume_difference_percent: Option<f64>,
}

impl Scores {
    /// The mean of each score over those that have it; `None` without any scores.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 scores")]
    pub fn mean<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let all: Vec<_> = all.into_iter().collect();
        let mean = |score: fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(|scores| score(scores)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        (!all.is_empty()).then(|| Self {
            dice: mean(|s| s.dice),
            jaccard: mean(|s| s.jaccard),
            hd95_mm: mean(|s| s.hd95_mm),
            hd_mm: mean(|s| s.hd_mm),
            mean_surface_distance_mm: mean(|s| s.mean_surface_distance_mm),
            surface_dice: mean(|s| s.surface_dice),
            volume_difference_ml: mean(|s| s.volume_difference_ml),
            volume_difference_percent: mean(|s| s.volume_difference_percent),
        })
    }
}

/// One label of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelReport {
    /// Id.
    pub id: u16,
    /// Name, from the prediction's table or else from the reference's.
    pub name: String,
    /// Voxels of the prediction.
    pub prediction_voxels: u64,
    /// Voxels of the reference.
    pub reference_voxels: u64,
    /// The scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// Why scores have no value, where some have none.
    pub reason: Option<&'static str>,
}

/// What [`evaluate`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// One row for each label, in ascending order of id.
    pub labels: Vec<LabelReport>,
    /// The mean of each score over the labels where it has a value.
    pub mean: Scores,
    /// What was measured.
    pub options: EvaluateOptions,
}

/// Scores a prediction against a reference on the same grid.
///
/// With P and R both empty no score but the volume difference in ml has a value. With one of them empty the overlaps and
/// the surface Dice are 0 and the distances have no value; so have all distances on sheared axes.
///
/// ```
/// # use unet_vol::{volume::LabelTable, Affine, Grid, LabelMap, Volume, evaluate::{EvaluateOptions, evaluate}};
/// let grid = Grid::new([4, 1, 1], Affine::from_spacing([2.0, 1.0, 1.0], [0.0; 3])?)?;
/// let map = |ids: [u16; 4]| Ok::<_, unet_vol::Error>(LabelMap::new(Volume::new(grid, ids.to_vec())?, LabelTable::default()));
/// let report = evaluate(&map([1, 1, 0, 0])?, &map([1, 1, 1, 1])?, &EvaluateOptions::default())?;
/// assert_eq!(report.labels[0].scores.dice, Some(2.0 * 2.0 / (2.0 + 4.0)));
/// assert_eq!(report.labels[0].scores.hd_mm, Some(4.0));
/// # Ok::<(), unet_vol::Error>(())
/// ```
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the grids do not match or the tolerance is not a number of at least 0;
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub fn evaluate(prediction: &LabelMap, reference: &LabelMap, options: &EvaluateOptions) -> Result<Report> {
    evaluate_until(prediction, reference, options, &Cancel::new())
}

/// As [`evaluate`], stopped by `cancel` within a plane.
///
/// # Errors
/// As [`evaluate`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
pub fn evaluate_until(
    prediction: &LabelMap,
    reference: &LabelMap,
    options: &EvaluateOptions,
    cancel: &Cancel,
) -> Result<Report> {
    check(prediction.grid(), reference.grid(), options)?;
    let overlaps = Overlaps::new(prediction, reference, cancel)?;
    let mut ids: Vec<u16> = options.labels.clone().unwrap_or_else(|| overlaps.ids().collect());
    ids.sort_unstable();
    ids.dedup();
    let label = |id: u16| {
        let overlap = overlaps.get(id);
        let pair = Pair { prediction: (&prediction.ids).into(), reference: (&reference.ids).into(), label: Some(id) };
        let (scores, reason) = pair.scores(&overlap, options, cancel)?;
        let named = if prediction.table.get(id).is_some() { prediction } else { reference };
        Ok(LabelReport {
            id,
            name: named.table.name(id),
            prediction_voxels: overlap.prediction,
            reference_voxels: overlap.reference,
            scores,
            reason,
        })
    };
    let labels = ids.into_iter().map(label).collect::<Result<Vec<_>>>()?;
    let mean = Scores::mean(labels.iter().map(|label| &label.scores)).unwrap_or_default();
    Ok(Report { mean, labels, options: options.clone() })
}

/// Refuses grids that differ and tolerances that are none.
fn check(prediction: &Grid, reference: &Grid, options: &EvaluateOptions) -> Result<()> {
    if let Some(difference) = prediction.difference(reference) {
        return Err(Error::usage(format!("the prediction and the reference lie on different grids: {difference}"))
            .hint("bring one of them onto the other's grid first; nothing is resampled here"));
    }
    if !(options.tolerance_mm >= 0.0 && options.tolerance_mm.is_finite()) {
        return Err(Error::usage(format!("a tolerance of {} mm is no distance", options.tolerance_mm)));
    }
    Ok(())
}
