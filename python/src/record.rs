//! What a run gave, and writing it.

use std::path::PathBuf;
use std::sync::Mutex;

use numpy::{PyArray2, PyArray3};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use unet_vol::batch::{OutputPaths, Segmentation};
use unet_vol::formats::dicom::SegmentationType;
use unet_vol::model::ModelSpec;
use unet_vol::pipeline::{self, Pipeline};
use unet_vol::report::{self, PreviewOptions, to_json};
use unet_vol::{Affine, Error, Grid, LabelMap, Result, Volume};

use crate::arrays::{AffineArray, VolumeArray, from_affine, from_volume, grid, volume};
use crate::errors::OrRaise;
use crate::files::{Warnings, overwriting, table_of, warnings};
use crate::source::Source;
use crate::work::{run, run_locked};

/// What a run gave; a dict in Python.
#[derive(IntoPyObject)]
pub(crate) struct Segmented<'py> {
    labels: Bound<'py, PyArray3<u16>>,
    affine: Bound<'py, PyArray2<f64>>,
    /// The first channel.
    image: Bound<'py, PyArray3<f32>>,
    source: Source,
    table: String,
    statistics: String,
    manifest: String,
    warnings: Warnings,
    probabilities: Option<Probabilities>,
    /// Numbers as voxels, and the table of objects as JSON.
    instances: Option<(Bound<'py, PyArray3<u32>>, String)>,
    record: Record,
}

impl<'py> Segmented<'py> {
    /// Labels and image go to Python, without a copy; a placeholder takes their place in the record.
    pub(crate) fn new(py: Python<'py>, pipeline: &Pipeline, mut segmentation: Segmentation) -> PyResult<Self> {
        let grid = *segmentation.labels().grid();
        let spec = pipeline.spec();
        let kept = segmentation.outcome.probabilities.clone();
        let probabilities = kept.map(|inner| {
            let classes = spec.labels.iter().map(|label| (label.id, label.class)).collect();
            Probabilities { inner, grid, classes }
        });
        let instances = segmentation.outcome.instances.as_ref();
        let instances = instances.map(|found| {
            let painted = run(py, || found.paint())?;
            Ok::<_, PyErr>((from_volume(py, painted)?, to_json(&found.objects()).or_raise(py)?))
        });
        let instances = instances.transpose()?;
        let (manifest, notes) = (segmentation.manifest(), segmentation.warnings());
        let source = Source(segmentation.inputs.source.clone());
        let labels = std::mem::replace(&mut segmentation.outcome.labels.ids, nothing().or_raise(py)?);
        let mut channels = std::mem::take(&mut segmentation.inputs.channels).into_iter();
        let image = channels.next().ok_or_else(|| Error::internal("there is no channel")).or_raise(py)?;
        Ok(Self {
            labels: from_volume(py, labels)?,
            affine: from_affine(py, grid.affine()),
            image: from_volume(py, image)?,
            source,
            table: to_json(&segmentation.outcome.labels.table).or_raise(py)?,
            statistics: to_json(&segmentation.statistics).or_raise(py)?,
            manifest: to_json(&manifest).or_raise(py)?,
            warnings: warnings(notes),
            probabilities,
            instances,
            record: Record { grid, brain: brain(spec), segmentation: Mutex::new(segmentation) },
        })
    }
}

/// The ids that the model calls brain; `None` where it names none.
fn brain(spec: &ModelSpec) -> Option<Vec<u16>> {
    spec.volumes.iter().find(|sum| sum.name == "brain").map(|sum| sum.ids.clone())
}

/// A volume of one voxel.
fn nothing<T: Copy + Default + Send + Sync>() -> Result<Volume<T>> {
    Volume::zeros(Grid::new([1; 3], Affine::identity())?)
}

/// Where the outputs of a study go; a dict in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Outputs {
    labels: Option<PathBuf>,
    dicom_seg: Option<PathBuf>,
    rtstruct: Option<PathBuf>,
    secondary_capture: Option<PathBuf>,
    statistics: Option<PathBuf>,
    manifest: Option<PathBuf>,
    preview: Option<PathBuf>,
    brain_mask: Option<PathBuf>,
    instances: Option<PathBuf>,
    color_table: Option<PathBuf>,
    probabilities: Option<PathBuf>,
    labelmap_seg: bool,
    overwrite: bool,
}

impl Outputs {
    fn paths(self) -> OutputPaths {
        let mut paths = OutputPaths::default();
        paths.labels = self.labels;
        paths.dicom_seg = self.dicom_seg;
        paths.rtstruct = self.rtstruct;
        paths.secondary_capture = self.secondary_capture;
        paths.statistics = self.statistics;
        paths.manifest = self.manifest;
        paths.preview = self.preview;
        paths.brain_mask = self.brain_mask;
        paths.instances = self.instances;
        paths.lut = self.color_table;
        paths.probabilities = self.probabilities;
        if self.labelmap_seg {
            paths.segmentation.kind = SegmentationType::Labelmap;
        }
        paths.overwrite = overwriting(self.overwrite);
        paths
    }
}

/// All that a writer needs beside labels and image.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Record {
    grid: Grid,
    brain: Option<Vec<u16>>,
    segmentation: Mutex<Segmentation>,
}

/// What stands beside the labels of a run, for when the run itself is gone; a dict in Python.
#[derive(IntoPyObject)]
pub(crate) struct Texts {
    csv: String,
    json: String,
    colors: String,
    brain: Option<Vec<u16>>,
}

#[pymethods]
impl Record {
    /// Statistics and color table as the command writes them, and the ids of the brain.
    fn texts(&self, py: Python<'_>) -> PyResult<Texts> {
        run_locked(py, self.grid.voxels(), &self.segmentation, |segmentation| {
            Ok(Texts {
                csv: report::csv(&segmentation.statistics),
                json: to_json(&segmentation.statistics)?,
                colors: report::color_table(&segmentation.outcome.labels.table),
                brain: self.brain.clone(),
            })
        })
    }

    /// Writes outputs as the command does; the manifest as JSON.
    #[pyo3(signature = (labels, image, outputs))]
    fn write(
        &self,
        py: Python<'_>,
        labels: VolumeArray<'_, u16>,
        image: VolumeArray<'_, f32>,
        outputs: Outputs,
    ) -> PyResult<String> {
        let paths = outputs.paths();
        let (labels, image) = (labels.as_array(), image.as_array());
        run_locked(py, self.grid.voxels(), &self.segmentation, |segmentation| {
            paths.check(&[] as &[PathBuf])?;
            segmentation.outcome.labels.ids = volume(labels, self.grid)?;
            if paths.preview.is_some() || paths.secondary_capture.is_some() {
                segmentation.inputs.channels = vec![volume(image, self.grid)?];
            }
            let written = segmentation.write(&paths);
            segmentation.outcome.labels.ids = nothing()?;
            segmentation.inputs.channels.clear();
            to_json(&written?)
        })
    }
}

/// Probabilities of all classes in a temporary file.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Probabilities {
    inner: pipeline::Probabilities,
    grid: Grid,
    /// Id and class of each label.
    classes: Vec<(u16, usize)>,
}

#[pymethods]
impl Probabilities {
    /// The probability of a label at each voxel of the study.
    fn of<'py>(&self, py: Python<'py>, id: u16) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let class = self.classes.iter().find(|label| label.0 == id).map(|label| label.1);
        let class = class.ok_or_else(|| Error::usage(format!("the model has no label {id}"))).or_raise(py)?;
        from_volume(py, run(py, || self.inner.on_grid(&self.grid)?.class(class))?)
    }
}

/// The picture of an image with its labels, as PNG.
#[pyfunction]
pub(crate) fn preview<'py>(
    py: Python<'py>,
    image: VolumeArray<'py, f32>,
    labels: VolumeArray<'py, u16>,
    affine: AffineArray<'py>,
    table: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let (on, of_labels) = (grid(&image, &affine).or_raise(py)?, grid(&labels, &affine).or_raise(py)?);
    let (image, labels) = (image.as_array(), labels.as_array());
    let png = run(py, || {
        let labels = LabelMap::new(volume(labels, of_labels)?, table_of(table)?);
        report::preview(&volume(image, on)?, &labels, &PreviewOptions::default())
    })?;
    Ok(PyBytes::new(py, &png))
}
