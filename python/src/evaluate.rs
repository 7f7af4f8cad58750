//! Agreement of label volumes.

use std::path::PathBuf;

use pyo3::prelude::*;
use unet_vol::batch::{evaluate_files, evaluate_folders};
use unet_vol::evaluate::{self, EvaluateOptions};
use unet_vol::geometry::AxisMap;
use unet_vol::limits::Cancel;
use unet_vol::report::to_json;
use unet_vol::volume::VolumeView;
use unet_vol::{Affine, Grid, LabelMap};

use crate::arrays::{AffineArray, VolumeArray, grid, ordered, volume};
use crate::errors::OrRaise;
use crate::files::{Warnings, from_json, table_of, warnings};
use crate::labels::{Ids, each_type};
use crate::work::{run, stage};

/// Scores of one structure; a dict in Python.
#[derive(IntoPyObject)]
pub(crate) struct Scores {
    dice: Option<f64>,
    jaccard: Option<f64>,
    hd95_mm: Option<f64>,
    hd_mm: Option<f64>,
    mean_surface_distance_mm: Option<f64>,
    surface_dice: Option<f64>,
}

/// Scores of the voxels with id `label`, or of all that are not 0, on perpendicular axes of `spacing` mm.
#[pyfunction]
#[pyo3(signature = (prediction, reference, spacing, label, options))]
pub(crate) fn score<'py>(
    py: Python<'py>,
    prediction: Ids<'py>,
    reference: Ids<'py>,
    spacing: [f64; 3],
    label: Option<u16>,
    options: Option<&str>,
) -> PyResult<Scores> {
    let options = match options {
        Some(options) => from_json::<EvaluateOptions>(options).or_raise(py)?,
        None => EvaluateOptions::default().with_distances(false),
    };
    let (prediction, reference) = (prediction.view(), reference.view());
    let voxels = if options.distances { prediction.voxels() } else { 0 };
    let work = |cancel: &Cancel| {
        let grid = Grid::new(prediction.shape(), Affine::from_spacing(spacing, [0.0; 3])?)?;
        // Which axis comes first in memory says nothing about a score.
        let alike = |order: &AxisMap| prediction.shape() == reference.shape() && reference.order() == Some(*order);
        let order = prediction.order().filter(alike).unwrap_or(AxisMap::IDENTITY);
        let other = Grid::new(reference.shape(), *grid.affine())?.mapped(order);
        let grid = grid.mapped(order);
        each_type!(prediction, |prediction| each_type!(reference, |reference| {
            let (p, r) = (ordered(prediction, order)?, ordered(reference, order)?);
            let (p, r) = (VolumeView::new(grid, &p)?, VolumeView::new(other, &r)?);
            evaluate::score(p, r, label, &options, cancel)
        }))
    };
    let scores = stage(py, voxels, work)?;
    Ok(Scores {
        dice: scores.dice,
        jaccard: scores.jaccard,
        hd95_mm: scores.hd95_mm,
        hd_mm: scores.hd_mm,
        mean_surface_distance_mm: scores.mean_surface_distance_mm,
        surface_dice: scores.surface_dice,
    })
}

/// Every score of every label, as JSON.
#[pyfunction]
pub(crate) fn evaluate_arrays(
    py: Python<'_>,
    prediction: (VolumeArray<'_, u16>, AffineArray<'_>, String),
    reference: (VolumeArray<'_, u16>, AffineArray<'_>, String),
    options: &str,
) -> PyResult<String> {
    let options: EvaluateOptions = from_json(options).or_raise(py)?;
    let grids = [grid(&prediction.0, &prediction.1).or_raise(py)?, grid(&reference.0, &reference.1).or_raise(py)?];
    let views = [prediction.0.as_array(), reference.0.as_array()];
    let tables = [&prediction.2, &reference.2];
    stage(py, views[0].len(), |cancel| {
        let map = |n: usize| Ok::<_, unet_vol::Error>(LabelMap::new(volume(views[n], grids[n])?, table_of(tables[n])?));
        to_json(&evaluate::evaluate_until(&map(0)?, &map(1)?, &options, cancel)?)
    })
}

/// The same for two files.
#[pyfunction]
#[pyo3(name = "evaluate_files")]
pub(crate) fn of_files(py: Python<'_>, prediction: PathBuf, reference: PathBuf, options: &str) -> PyResult<String> {
    let options: EvaluateOptions = from_json(options).or_raise(py)?;
    run(py, || to_json(&evaluate_files(&prediction, &reference, &options, None)?.0))
}

/// The same for the files that two folders share by name.
#[pyfunction]
#[pyo3(name = "evaluate_folders")]
pub(crate) fn of_folders(
    py: Python<'_>,
    prediction: PathBuf,
    reference: PathBuf,
    options: &str,
) -> PyResult<(String, Warnings)> {
    let options: EvaluateOptions = from_json(options).or_raise(py)?;
    let (cases, notes) = run(py, || evaluate_folders(&prediction, &reference, &options))?;
    Ok((to_json(&cases).or_raise(py)?, warnings(notes)))
}
