//! The grid on which a network works, and the study brought onto it.

use std::borrow::Cow;

use crate::error::{Result, Warning};
use crate::geometry::{Field, Grid, Region};
use crate::intensity::{NonFinitePolicy, replace_non_finite};
use crate::limits;
use crate::model::ModelSpec;
use crate::resample::{resample, straightened};
use crate::volume::Volume;

/// The grid that `spec` asks for over a source, in the axis order whose memory is the tensor's.
///
/// # Errors
/// As [`Grid::new`].
pub(super) fn working_grid(spec: &ModelSpec, source: &Grid) -> Result<Grid> {
    let native = source.orientation();
    let target = spec.working_orientation(native);
    let grid = &spec.grid;
    let spacing = grid.spacing_mm.map(|s| spec.in_working_order(s));
    let shape = grid.shape.map(|s| spec.in_working_order(s));
    if let (true, Some(shape), Some(spacing)) = (grid.world_aligned, shape, spacing) {
        return source.conformed(shape, spacing, target);
    }
    let straight = if is_straightened(spec, source) { source.straightened()? } else { *source };
    let oriented = straight.mapped(native.to(target));
    match (shape, spacing) {
        (Some(shape), Some(spacing)) => oriented.laid(spacing, shape, grid.rule),
        (Some(shape), None) => oriented.resized(shape, grid.rule),
        (None, Some(spacing)) if grid.multiple > 1 => {
            let shape = covering(&oriented, spacing, grid.multiple);
            oriented.laid(spacing, shape, grid.rule)
        }
        (None, Some(spacing)) => oriented.respaced(spacing, grid.rule),
        (None, None) => Ok(oriented),
    }
}

/// True where a sheared study is straightened before it is brought to the grid of a model that has its own: networks
/// expect perpendicular axes, and filters along them want them too.
pub(super) fn is_straightened(spec: &ModelSpec, source: &Grid) -> bool {
    let grid = &spec.grid;
    source.is_sheared() && !grid.world_aligned && (grid.shape.is_some() || grid.spacing_mm.is_some())
}

/// The channels on the working grid, normalized and cropped to the box that is fed; `None` where the box is empty.
pub(super) fn prepare(
    spec: &ModelSpec,
    channels: &[Volume],
    working: &Grid,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Vec<Volume>>> {
    let field = Field::of(working, channels[0].grid())?;
    let mut fed = Vec::with_capacity(channels.len());
    for (channel, description) in channels.iter().zip(&spec.input.channels) {
        let normalization = description.normalize.as_ref().unwrap_or(&spec.input.normalize);
        let mut finite = finite(channel, normalization.non_finite, warnings)?;
        if is_straightened(spec, channel.grid()) {
            finite = Cow::Owned(straightened(&finite)?);
        }
        let mut volume = resample(&*finite, working, &spec.resample)?;
        let report = normalization.apply_to(&mut volume, Some(&field))?;
        warnings.extend(report.warnings());
        fed.push(volume);
    }
    let Some(crop) = spec.input.crop else { return Ok(Some(fed)) };
    match box_above(&fed[0], crop.threshold, crop.margin) {
        None => Ok(None),
        Some(region) => fed.iter().map(|volume| volume.cropped(region)).collect::<Result<_>>().map(Some),
    }
}

/// Slices at `places` along k, which lie within the volume, each interpolated between its two neighbors.
pub(super) fn at_places(volume: &Volume, places: &[f64]) -> Result<Volume> {
    let [ni, nj, nk] = volume.grid().shape();
    let slice = |k: usize| &volume.data()[k.min(nk - 1) * ni * nj..][..ni * nj];
    let mut out = limits::reserved(places.len() * ni * nj, "slices of the study")?;
    for &place in places {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the volume")]
        let (below, part) = (place as usize, place.fract() as f32);
        out.extend(slice(below).iter().zip(slice(below + 1)).map(|(a, b)| a + part * (b - a)));
    }
    Volume::new(volume.grid().of_slices(places)?, out)
}

/// The channel with values that are not finite replaced: an interpolation would spread them.
fn finite<'a>(channel: &'a Volume, policy: NonFinitePolicy, warnings: &mut Vec<Warning>) -> Result<Cow<'a, Volume>> {
    if channel.data().iter().all(|v| v.is_finite()) {
        return Ok(Cow::Borrowed(channel));
    }
    let mut copy = channel.clone();
    let report = replace_non_finite(copy.data_mut(), policy)?;
    warnings.extend(report.warnings());
    Ok(Cow::Owned(copy))
}

/// The box of voxels above a threshold, grown by `margin`; `None` where there is none.
fn box_above(volume: &Volume, threshold: f32, margin: usize) -> Option<Region> {
    let shape = volume.grid().shape();
    let (mut start, mut end) = (shape, [0; 3]);
    for (row, values) in volume.data().chunks(shape[0]).enumerate() {
        let Some(first) = values.iter().position(|&v| v > threshold) else { continue };
        let last = values.iter().rposition(|&v| v > threshold).unwrap_or(first);
        let (j, k) = (row % shape[1], row / shape[1]);
        for (axis, (low, high)) in [(first, last), (j, j), (k, k)].into_iter().enumerate() {
            start[axis] = start[axis].min(low);
            end[axis] = end[axis].max(high + 1);
        }
    }
    (start[0] < end[0]).then(|| Region::new(start, end).grown(margin, shape))
}

/// The least number of voxels of `spacing` that covers the field of view and is a multiple of `multiple`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded")]
#[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
fn covering(grid: &Grid, spacing: [f64; 3], multiple: usize) -> [usize; 3] {
    let old = grid.spacing();
    [0, 1, 2].map(|axis| {
        let blocks = grid.shape()[axis] as f64 * old[axis] / spacing[axis] / multiple as f64 - 1e-6;
        multiple * (blocks.ceil().clamp(1.0, 1e6) as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Orientation};

    #[test]
    fn a_256_cube_in_lia_becomes_a_2_mm_grid_around_the_same_centre() {
        let spec = ModelSpec::parse(
            "schema = 1\nname = 'x'\n[input]\naxis_order = 'ijk'\norientation = 'RAS'\n\
             [grid]\nspacing_mm = [2, 2, 2]\nrule = 'centre'\nmultiple = 16\n",
        )
        .unwrap();
        let lia: Orientation = "LIA".parse().unwrap();
        let source = Grid::new([16; 3], Affine::identity()).unwrap().conformed([250, 256, 190], [1.0; 3], lia).unwrap();
        let grid = working_grid(&spec, &source).unwrap();
        assert_eq!(grid.orientation().to_string(), "SAR");
        assert_eq!(grid.shape(), [128, 96, 128]);
        let centre = |g: &Grid| g.index_to_world(g.shape().map(|n| (n as f64 - 1.0) / 2.0));
        let (a, b) = (centre(&source), centre(&grid));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
