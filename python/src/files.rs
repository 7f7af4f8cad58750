//! Reading and writing files.

use std::path::PathBuf;

use numpy::{PyArray2, PyArray3};
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use unet_vol::batch;
use unet_vol::formats::{self, DataType, OnGap, ReadOptions, WriteOptions};
use unet_vol::report::to_json;
use unet_vol::volume::{LabelTable, VolumeView};
use unet_vol::{Error, LabelMap, Overwrite, Result, Warning};

use crate::arrays::{AffineArray, VolumeArray, from_affine, from_volume, grid, held, volume};
use crate::errors::OrRaise;
use crate::source::Source;
use crate::work::run;

/// Code and sentence of each warning.
pub(crate) type Warnings = Vec<(&'static str, String)>;

pub(crate) fn warnings(warnings: Vec<Warning>) -> Warnings {
    warnings.into_iter().map(|warning| (warning.code, warning.message)).collect()
}

pub(crate) fn overwriting(overwrite: bool) -> Overwrite {
    if overwrite { Overwrite::Replace } else { Overwrite::Refuse }
}

/// A value from the JSON that the Python side makes of a dict or a word.
///
/// # Errors
/// [`unet_vol::ErrorKind::Usage`] with what is wrong.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::usage(format!("{text} is not understood")).because(e))
}

/// How a file is read; a dict in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Reading {
    pub(crate) volume: Option<usize>,
    pub(crate) series: Option<String>,
    pub(crate) assume_orientation: Option<String>,
    pub(crate) on_gap: String,
}

impl Reading {
    pub(crate) fn on_gap(&self) -> Result<OnGap> {
        from_json(&format!("{:?}", self.on_gap))
    }

    pub(crate) fn options(&self) -> Result<ReadOptions> {
        let orientation = self.assume_orientation.as_deref().map(str::parse).transpose()?;
        Ok(ReadOptions::new()
            .with_volume(self.volume)
            .with_series(self.series.clone())
            .with_assume_orientation(orientation)
            .with_on_gap(self.on_gap()?))
    }
}

/// What was read; a dict in Python.
#[derive(IntoPyObject)]
pub(crate) struct Study<'py, T: numpy::Element> {
    pub(crate) array: Bound<'py, PyArray3<T>>,
    pub(crate) affine: Bound<'py, PyArray2<f64>>,
    pub(crate) source: Source,
    pub(crate) warnings: Warnings,
}

impl<'py, T: numpy::Element> Study<'py, T> {
    pub(crate) fn new(py: Python<'py>, study: formats::Study<T>) -> PyResult<Self> {
        let affine = from_affine(py, study.volume.grid().affine());
        let array = from_volume(py, study.volume)?;
        Ok(Self { array, affine, source: Source(study.source), warnings: warnings(study.warnings) })
    }
}

/// Reads a volume of intensities as float32, or float64 where `double`.
#[pyfunction]
pub(crate) fn read<'py>(py: Python<'py>, path: PathBuf, reading: Reading, double: bool) -> PyResult<Bound<'py, PyAny>> {
    if double {
        let study = run(py, || formats::read_as::<f64>(&path, &reading.options()?))?;
        return Ok(Study::new(py, study)?.into_pyobject(py)?.into_any());
    }
    let study = run(py, || formats::read(&path, &reading.options()?))?;
    Ok(Study::new(py, study)?.into_pyobject(py)?.into_any())
}

/// Reads label ids, and their names as JSON.
#[pyfunction]
pub(crate) fn read_labels<'py>(
    py: Python<'py>,
    path: PathBuf,
    reading: Reading,
) -> PyResult<(Study<'py, u16>, String)> {
    let study = run(py, || formats::read_labels(&path, &reading.options()?))?;
    let table = to_json(&study.labels.table).or_raise(py)?;
    let affine = from_affine(py, study.labels.grid().affine());
    let array = from_volume(py, study.labels.ids)?;
    Ok((Study { array, affine, source: Source(study.source), warnings: warnings(study.warnings) }, table))
}

/// Writes intensities of float32 or float64 as samples of `data_type`.
#[pyfunction]
#[pyo3(signature = (path, array, affine, source, data_type, overwrite))]
pub(crate) fn write_volume(
    py: Python<'_>,
    path: PathBuf,
    array: Samples<'_>,
    affine: AffineArray<'_>,
    source: Option<&Bound<'_, Source>>,
    data_type: &str,
    overwrite: bool,
) -> PyResult<()> {
    let data_type: DataType = data_type.parse().or_raise(py)?;
    let options = WriteOptions::new(data_type).with_overwrite(overwriting(overwrite)).with_sync(false);
    macro_rules! write {
        ($array:expr) => {{
            let grid = grid(&$array, &affine).or_raise(py)?;
            let (view, source) = ($array.as_array(), Source::of(source, grid));
            run(py, || formats::write_volume(&path, VolumeView::new(grid, &held(view)?)?, &source, &options))
        }};
    }
    match array {
        Samples::Single(array) => write!(array),
        Samples::Double(array) => write!(array),
    }
}

/// Intensities in one of two precisions.
#[derive(FromPyObject)]
pub(crate) enum Samples<'py> {
    Single(VolumeArray<'py, f32>),
    Double(VolumeArray<'py, f64>),
}

/// Writes label ids, reopens the file and compares its geometry; the certificate as JSON.
#[pyfunction]
#[pyo3(signature = (path, array, affine, table, source, overwrite))]
pub(crate) fn write_labels(
    py: Python<'_>,
    path: PathBuf,
    array: VolumeArray<'_, u16>,
    affine: AffineArray<'_>,
    table: &str,
    source: Option<&Bound<'_, Source>>,
    overwrite: bool,
) -> PyResult<String> {
    let grid = grid(&array, &affine).or_raise(py)?;
    let (view, source) = (array.as_array(), Source::of(source, grid));
    run(py, || {
        let labels = LabelMap::new(volume(view, grid)?, table_of(table)?);
        let assumed = (!source.oriented).then(|| source.grid.orientation());
        to_json(&batch::write_labels(&path, &labels, &source, assumed, overwriting(overwrite))?)
    })
}

/// A table from its JSON.
pub(crate) fn table_of(json: &str) -> Result<LabelTable> {
    let table: LabelTable = from_json(json)?;
    LabelTable::new(table.labels().to_vec())
}
