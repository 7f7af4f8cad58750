//! Volumes onto other grids. Source and target are related by their affines alone: each target voxel centre is taken to
//! the world and from there to a continuous index of the source.
//!
//! Where the axes of both grids are parallel (permutations and flips included) the interpolation runs axis by axis; other
//! maps are followed row by row. Results do not depend on the number of threads. Beside source and target the memory
//! holds, for permuted axes, one volume of the target's size; for [`Method::Cubic`], the spline coefficients (as large as
//! the source); for a [`Smoothing`] that cannot be folded into the interpolation (cubic or oblique), the smoothed source.

mod bspline;
mod nearest;
mod oblique;
mod options;
mod separable;
mod taps;

use std::borrow::Cow;

use rayon::prelude::*;

pub use options::{Border, Method, Outside, ResampleOptions, Sigma, Smoothing, SmoothingBorder};

use crate::error::{Error, Result};
use crate::geometry::{Affine, AlignedMap, Grid, float};
use crate::limits::{self, Cancel};
use crate::volume::{Volume, VolumeView, permute_into};
use oblique::Sampler;
use separable::Finish;
use taps::AxisTaps;

/// Copies of the edge voxel that [`Border::ScipyNearest`] lays around a volume before the cubic prefilter.
const PADDING: usize = 12;

/// `source` interpolated at the voxel centres of `target`.
///
/// ```
/// use unet_vol::resample::{Method, ResampleOptions, resample};
/// use unet_vol::{Affine, Grid, Volume, geometry::GridRule};
/// let grid = Grid::new([4, 1, 1], Affine::identity())?;
/// let volume = Volume::new(grid, vec![0.0, 1.0, 2.0, 3.0])?;
/// let finer = grid.respaced([0.5, 1.0, 1.0], GridRule::HalfPixel)?;
/// let values = resample(&volume, &finer, &ResampleOptions::new(Method::Linear))?;
/// assert_eq!(values.data(), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
/// # Ok::<(), unet_vol::Error>(())
/// ```
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] for [`Method::Area`] between grids whose axes are not parallel;
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub fn resample<'a>(
    source: impl Into<VolumeView<'a>>,
    target: &Grid,
    options: &ResampleOptions,
) -> Result<Volume<f32>> {
    resample_until(source.into(), target, options, &Cancel::new())
}

/// As [`resample`], stopped by `cancel` within a plane.
///
/// # Errors
/// As [`resample`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
pub fn resample_until(
    source: VolumeView<'_>,
    target: &Grid,
    options: &ResampleOptions,
    cancel: &Cancel,
) -> Result<Volume<f32>> {
    let map = target.index_map_to(source.grid());
    let aligned = AlignedMap::of(&map, target.shape()).is_some();
    if options.method == Method::Area && !aligned {
        return Err(Error::unsupported("area averaging needs grids whose axes are parallel")
            .hint("use linear interpolation with smoothing"));
    }
    let mut out = limits::zeroed(target.voxels(), "a resampled volume")?;
    let finish = Finish { outside: options.border.value(), range: options.clip.then(|| range(source.data())) };
    let input = Input::new(source, &map, options, aligned, cancel)?;
    if options.method == Method::Nearest && input.folded.is_none() {
        let (border, outside) = (options.border, finish.outside);
        nearest::nearest(&input.data, input.shape, &map, target.shape(), border, outside, &mut out)?;
    } else {
        input.interpolate(target.shape(), options.method, finish, &mut out, cancel)?;
    }
    cancel.check()?;
    Volume::new(*target, out)
}

/// A sheared volume on [`Grid::straightened`]: each slice of a tilted stack is interpolated linearly in its own plane.
/// Beyond the slices stands the smallest value of the volume.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub fn straightened(volume: &Volume<f32>) -> Result<Volume<f32>> {
    let (lowest, _) = range(volume.data());
    let border = Border::FieldOfView(if lowest.is_finite() { lowest } else { 0.0 });
    resample(volume, &volume.grid().straightened()?, &ResampleOptions::new(Method::Linear).with_border(border))
}

/// Bytes that [`resample`] holds at its peak beside the source, the result included; a few planes per thread are not.
#[must_use]
pub fn resample_bytes(source: &Grid, target: &Grid, options: &ResampleOptions) -> u64 {
    let aligned = AlignedMap::of(&target.index_map_to(source), target.shape());
    let permuted = aligned.is_some_and(|map| map.from != [0, 1, 2]);
    let results = target.voxels() * (1 + usize::from(permuted));
    let cubic = options.method == Method::Cubic;
    let padding = if cubic && options.border == Border::ScipyNearest { 2 * PADDING } else { 0 };
    let coefficients = if cubic { source.shape().iter().map(|n| n + padding).product() } else { 0 };
    let smoothed = options.smoothing.is_some() && (cubic || aligned.is_none());
    // The smoothed source goes when the coefficients are there.
    let smoothed = if smoothed { source.voxels() } else { 0 };
    let inputs = if cubic {
        (smoothed + coefficients + target.voxels()).max(coefficients + results)
    } else {
        smoothed + results
    };
    4 * inputs as u64
}

/// Label ids at the voxel centres of `target`: those of the nearest voxel, as [`Method::Nearest`] has it.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub fn resample_labels<'a>(
    labels: impl Into<VolumeView<'a, u16>>,
    target: &Grid,
    outside: Outside,
) -> Result<Volume<u16>> {
    let labels = labels.into();
    let map = target.index_map_to(labels.grid());
    let border = match outside {
        Outside::Background => Border::FieldOfView(0.0),
        Outside::Clamp => Border::Clamp,
    };
    let mut out = limits::zeroed(target.voxels(), "a resampled label volume")?;
    nearest::nearest(labels.data(), labels.grid().shape(), &map, target.shape(), border, 0, &mut out)?;
    Volume::new(*target, out)
}

/// What the interpolation reads: the source, smoothed where that is not folded into it, or its spline coefficients.
struct Input<'a> {
    data: Cow<'a, [f32]>,
    shape: [usize; 3],
    border: Border,
    /// Target index to index of `data`.
    map: Affine,
    /// Smoothing that the interpolation still has to do.
    folded: Option<Smoothing>,
}

impl<'a> Input<'a> {
    fn new(
        source: VolumeView<'a>,
        map: &Affine,
        options: &ResampleOptions,
        aligned: bool,
        cancel: &Cancel,
    ) -> Result<Self> {
        let cubic = options.method == Method::Cubic;
        let mut input = Self {
            data: Cow::Borrowed(source.data()),
            shape: source.grid().shape(),
            border: options.border,
            map: *map,
            folded: options.smoothing.filter(|_| aligned && !cubic),
        };
        if let Some(smoothing) = options.smoothing.filter(|_| input.folded.is_none()) {
            input.data = Cow::Owned(smoothed(&input.data, input.shape, map, smoothing, cancel)?);
        }
        if cubic {
            input.fit_spline(cancel)?;
        }
        Ok(input)
    }

    /// Replaces the samples by cubic B-spline coefficients.
    fn fit_spline(&mut self, cancel: &Cancel) -> Result<()> {
        let padding = if self.border == Border::ScipyNearest { PADDING } else { 0 };
        let mut coefficients = padded(&self.data, self.shape, padding)?;
        self.shape = self.shape.map(|n| n + 2 * padding);
        bspline::prefilter(&mut coefficients, self.shape, cancel)?;
        self.data = Cow::Owned(coefficients);
        let mut rows = self.map.rows();
        rows.iter_mut().for_each(|row| row[3] += float(padding));
        self.map = Affine::from_rows(rows)?;
        Ok(())
    }

    fn interpolate(
        &self,
        target: [usize; 3],
        method: Method,
        finish: Finish,
        out: &mut [f32],
        cancel: &Cancel,
    ) -> Result<()> {
        let Some(map) = AlignedMap::of(&self.map, target) else {
            let sampler =
                Sampler { data: &self.data, shape: self.shape, border: self.border, cubic: method == Method::Cubic };
            sampler.interpolate(&self.map, target, finish, out, cancel);
            return Ok(());
        };
        let counts = map.from.map(|axis| target[axis]);
        let taps: [AxisTaps; 3] = std::array::from_fn(|axis| {
            AxisTaps::new(&map, axis, self.shape[axis], counts[axis], method, self.border, self.folded)
        });
        if map.from == [0, 1, 2] {
            return separable::interpolate(&self.data, self.shape, &taps, finish, out, cancel);
        }
        let mut ordered = limits::zeroed(out.len(), "a volume in source order")?;
        separable::interpolate(&self.data, self.shape, &taps, finish, &mut ordered, cancel)?;
        permute_into(&ordered, counts, map.to_target(), out);
        Ok(())
    }
}

/// A Gaussian along each axis, as wide as the map demands.
fn smoothed(data: &[f32], shape: [usize; 3], map: &Affine, smoothing: Smoothing, cancel: &Cancel) -> Result<Vec<f32>> {
    let rows = map.rows();
    let taps: [AxisTaps; 3] = std::array::from_fn(|axis| {
        let factor = rows[axis][..3].iter().map(|step| step * step).sum::<f64>().sqrt();
        AxisTaps::smoothing(shape[axis], smoothing.sigma(factor), smoothing.border)
    });
    let mut out = limits::zeroed(data.len(), "a smoothed volume")?;
    separable::interpolate(data, shape, &taps, Finish { outside: 0.0, range: None }, &mut out, cancel)?;
    Ok(out)
}

/// A copy with `padding` copies of the edge voxel on each side.
fn padded(data: &[f32], shape: [usize; 3], padding: usize) -> Result<Vec<f32>> {
    let [ni, nj, nk] = shape;
    let wide = shape.map(|n| n + 2 * padding);
    let mut out = limits::reserved(wide.iter().product(), "spline coefficients")?;
    for k in 0..wide[2] {
        for j in 0..wide[1] {
            let at = |n: usize, length: usize| n.saturating_sub(padding).min(length - 1);
            let row = &data[(at(k, nk) * nj + at(j, nj)) * ni..][..ni];
            out.extend(std::iter::repeat_n(row[0], padding));
            out.extend_from_slice(row);
            out.extend(std::iter::repeat_n(row[ni - 1], padding));
        }
    }
    Ok(out)
}

/// Smallest and largest value; NaN is passed over.
fn range(data: &[f32]) -> (f32, f32) {
    let empty = || (f32::INFINITY, f32::NEG_INFINITY);
    let (low, high) = data
        .par_chunks(1 << 16)
        .map(|part| part.iter().fold(empty(), |(low, high), &value| (low.min(value), high.max(value))))
        .reduce(empty, |a, b| (a.0.min(b.0), a.1.max(b.1)));
    if low <= high { (low, high) } else { (f32::NEG_INFINITY, f32::INFINITY) }
}

#[cfg(test)]
mod tests;
