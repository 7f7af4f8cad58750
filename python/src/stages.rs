//! Orientation, resampling and normalization of arrays.

use pyo3::prelude::*;
use unet_vol::geometry::GridRule;
use unet_vol::intensity::Normalization;
use unet_vol::resample::{Outside, ResampleOptions, resample_until};
use unet_vol::volume::VolumeView;
use unet_vol::{Grid, Orientation, Result};

use crate::arrays::{AffineArray, Pair, VolumeArray, grid, in_memory_order, pair, to_affine, volume};
use crate::errors::OrRaise;
use crate::files::{Warnings, from_json, warnings};
use crate::work::stage;

/// The sides that the axes of an affine grow towards, such as `RAS`.
#[pyfunction]
pub(crate) fn orientation(py: Python<'_>, affine: AffineArray<'_>) -> PyResult<String> {
    Ok(Orientation::of(&to_affine(&affine).or_raise(py)?).to_string())
}

/// The axes permuted and flipped; nothing is interpolated.
#[pyfunction]
pub(crate) fn reorient<'py>(
    py: Python<'py>,
    array: Bound<'py, PyAny>,
    affine: AffineArray<'py>,
    orientation: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let orientation: Orientation = orientation.parse().or_raise(py)?;
    if let Ok(labels) = array.extract::<VolumeArray<'_, u16>>() {
        return Ok(reoriented(py, &labels, &affine, orientation)?.into_pyobject(py)?.into_any());
    }
    let intensities: VolumeArray<'_, f32> = array.extract()?;
    Ok(reoriented(py, &intensities, &affine, orientation)?.into_pyobject(py)?.into_any())
}

fn reoriented<'py, T: numpy::Element + Copy + Default>(
    py: Python<'py>,
    array: &VolumeArray<'_, T>,
    affine: &AffineArray<'_>,
    orientation: Orientation,
) -> PyResult<Pair<'py, T>> {
    let grid = grid(array, affine).or_raise(py)?;
    let view = array.as_array();
    let reoriented = stage(py, view.len(), |_| {
        let (order, voxels) = in_memory_order(view)?;
        let source = VolumeView::new(grid.mapped(order), &voxels)?;
        source.mapped(source.grid().orientation().to(orientation))
    })?;
    pair(py, reoriented)
}

/// Where a resampled volume is to lie; a dict in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Target<'py> {
    spacing: Option<[f64; 3]>,
    shape: Option<[usize; 3]>,
    affine: Option<AffineArray<'py>>,
    rule: String,
}

impl Target<'_> {
    fn grid(&self, source: &Grid) -> Result<Grid> {
        let rule: GridRule = from_json(&format!("{:?}", self.rule))?;
        match (&self.affine, self.spacing, self.shape) {
            (Some(affine), _, shape) => Grid::new(shape.unwrap_or(source.shape()), to_affine(affine)?),
            (None, Some(spacing), None) => source.respaced(spacing, rule),
            (None, Some(spacing), Some(shape)) => source.laid(spacing, shape, rule),
            (None, None, Some(shape)) => source.resized(shape, rule),
            (None, None, None) => Ok(*source),
        }
    }
}

/// Intensities on another grid; `options` are those of the library as JSON.
#[pyfunction]
pub(crate) fn resample<'py>(
    py: Python<'py>,
    array: VolumeArray<'py, f32>,
    affine: AffineArray<'py>,
    target: Target<'py>,
    options: &str,
) -> PyResult<Pair<'py, f32>> {
    let grid = grid(&array, &affine).or_raise(py)?;
    let target = target.grid(&grid).or_raise(py)?;
    let options: ResampleOptions = from_json(options).or_raise(py)?;
    let view = array.as_array();
    let resampled = stage(py, view.len().max(target.voxels()), |cancel| {
        let (order, voxels) = in_memory_order(view)?;
        resample_until(VolumeView::new(grid.mapped(order), &voxels)?, &target, &options, cancel)
    })?;
    pair(py, resampled)
}

/// Label ids on another grid: those of the nearest voxels.
#[pyfunction]
pub(crate) fn resample_labels<'py>(
    py: Python<'py>,
    array: VolumeArray<'py, u16>,
    affine: AffineArray<'py>,
    target: Target<'py>,
) -> PyResult<Pair<'py, u16>> {
    let grid = grid(&array, &affine).or_raise(py)?;
    let target = target.grid(&grid).or_raise(py)?;
    let view = array.as_array();
    let resampled = stage(py, view.len().max(target.voxels()), |_| {
        let (order, voxels) = in_memory_order(view)?;
        unet_vol::resample::resample_labels(VolumeView::new(grid.mapped(order), &voxels)?, &target, Outside::Background)
    })?;
    pair(py, resampled)
}

/// Intensities after the steps of `normalization`, which is JSON.
#[pyfunction]
pub(crate) fn normalize<'py>(
    py: Python<'py>,
    array: VolumeArray<'py, f32>,
    normalization: &str,
) -> PyResult<(Bound<'py, numpy::PyArray3<f32>>, Warnings)> {
    let normalization: Normalization = from_json(normalization).or_raise(py)?;
    let view = array.as_array();
    let (volume, report) = stage(py, view.len(), |_| {
        let (ni, nj, nk) = view.dim();
        let mut volume = volume(view, Grid::new([ni, nj, nk], unet_vol::Affine::identity())?)?;
        normalization.check()?;
        let report = normalization.apply(volume.data_mut(), None)?;
        Ok((volume, report))
    })?;
    Ok((crate::arrays::from_volume(py, volume)?, warnings(report.warnings())))
}
