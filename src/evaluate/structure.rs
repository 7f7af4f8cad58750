//! The scores of one structure in two volumes.

use super::distance::MAX_SHEAR_DEGREES;
use super::overlap::Overlap;
use super::surface::{Mask, SurfaceDistances};
use super::{EvaluateOptions, Hd95, Scores, SurfaceElement, cells, check};
use crate::error::Result;
use crate::labels::LabelId;
use crate::limits::Cancel;
use crate::volume::VolumeView;

/// Distances within this part of the tolerance above it count as within it, so that a spacing that was rounded to `f32`
/// in a header does not decide.
const ROUNDING: f64 = 1e-6;

/// The scores of one structure: the voxels of id `label`, or all that are not 0.
///
/// Without distances the voxels are counted in one pass over both volumes. `options.labels` is not looked at.
///
/// # Errors
/// As [`super::evaluate`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
pub fn score<'a, P: LabelId + 'a, R: LabelId + 'a>(
    prediction: impl Into<VolumeView<'a, P>>,
    reference: impl Into<VolumeView<'a, R>>,
    label: Option<u16>,
    options: &EvaluateOptions,
    cancel: &Cancel,
) -> Result<Scores> {
    let pair = Pair { prediction: prediction.into(), reference: reference.into(), label };
    check(pair.prediction.grid(), pair.reference.grid(), options)?;
    let (p, r) = (pair.prediction, pair.reference);
    let mut overlap = match label {
        // Compared in their own type, which takes fewer registers.
        None => Overlap::counted(p.data(), r.data(), |id| id != P::default(), |id| id != R::default()),
        Some(label) => Overlap::counted(p.data(), r.data(), |id| id.into() == label, |id| id.into() == label),
    };
    if options.distances {
        overlap = overlap.with_region(p, r, |id| holds(label, id), |id| holds(label, id));
    }
    pair.scores(&overlap, options, cancel).map(|(scores, _)| scores)
}

/// True for a voxel of the structure that `label` names.
fn holds<T: LabelId>(label: Option<u16>, id: T) -> bool {
    label.map_or(id != T::default(), |label| id.into() == label)
}

/// Two volumes on one grid, and the structure that is scored.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a, P, R> {
    pub(super) prediction: VolumeView<'a, P>,
    pub(super) reference: VolumeView<'a, R>,
    pub(super) label: Option<u16>,
}

impl<P: LabelId, R: LabelId> Pair<'_, P, R> {
    /// The scores, and why some have no value.
    #[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
    pub(super) fn scores(
        &self,
        overlap: &Overlap,
        options: &EvaluateOptions,
        cancel: &Cancel,
    ) -> Result<(Scores, Option<&'static str>)> {
        let grid = self.reference.grid();
        let [p, r, shared] = [overlap.prediction, overlap.reference, overlap.shared].map(|voxels| voxels as f64);
        let mut scores = Scores {
            volume_difference_ml: Some((p - r) * grid.voxel_mm3() / 1000.0),
            volume_difference_percent: (r > 0.0).then(|| 100.0 * (p - r) / r),
            ..Scores::default()
        };
        if p + r > 0.0 {
            scores.dice = Some(2.0 * shared / (p + r));
            scores.jaccard = Some(shared / (p + r - shared));
        }
        let sheared = grid.affine().shear_degrees() > MAX_SHEAR_DEGREES;
        let reason = match (p > 0.0, r > 0.0) {
            (false, false) => Some("neither the prediction nor the reference has a voxel of this label"),
            (false, true) => Some("the prediction has no voxel of this label"),
            (true, false) => Some("the reference has no voxel of this label"),
            (true, true) if !options.distances => Some("distances were not asked for"),
            (true, true) if sheared => Some("the axes are sheared, and distances need perpendicular ones"),
            (true, true) => None,
        };
        if options.distances && (p > 0.0) != (r > 0.0) {
            scores.surface_dice = Some(0.0);
        }
        if reason.is_none() {
            self.measure(&mut scores, overlap, options, cancel)?;
        }
        Ok((scores, reason))
    }

    /// Fills in what is measured between surfaces.
    fn measure(
        &self,
        scores: &mut Scores,
        overlap: &Overlap,
        options: &EvaluateOptions,
        cancel: &Cancel,
    ) -> Result<()> {
        let spacing = self.reference.grid().spacing();
        let p = Mask::new(self.prediction, |id| holds(self.label, id), overlap.region)?;
        let r = Mask::new(self.reference, |id| holds(self.label, id), overlap.region)?;
        let surfaces = (p.voxel_surface(cancel)?, r.voxel_surface(cancel)?);
        let voxels = SurfaceDistances::between(surfaces.0, surfaces.1, spacing, cancel)?;
        scores.hd_mm = Some(voxels.largest());
        scores.hd95_mm = Some(match options.hd95 {
            Hd95::MaxDirected => voxels.percentile_max_directed(95.0),
            Hd95::Pooled => voxels.percentile_pooled(95.0),
        });
        scores.mean_surface_distance_mm = Some(voxels.mean());
        let tolerance = options.tolerance_mm * (1.0 + ROUNDING);
        scores.surface_dice = Some(match options.surface {
            SurfaceElement::Voxel => voxels.part_within(tolerance),
            SurfaceElement::SubVoxel => {
                let areas = cells::areas(spacing);
                let surfaces = (p.corner_surface(&areas, cancel)?, r.corner_surface(&areas, cancel)?);
                SurfaceDistances::between(surfaces.0, surfaces.1, spacing, cancel)?.part_within(tolerance)
            }
        });
        Ok(())
    }
}
