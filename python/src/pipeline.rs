//! A model in an engine, and what a run gives.

use std::path::PathBuf;
use std::sync::PoisonError;

use pyo3::prelude::*;
use unet_vol::batch::{Inputs, Segmentation, StudyOptions};
use unet_vol::inference::{Options, Precision};
use unet_vol::labels::InstanceOptions;
use unet_vol::model::{Model, ModelSpec};
use unet_vol::pipeline::{self, Cancel, PipelineBuilder};
use unet_vol::report::to_json;
use unet_vol::{Error, Grid, Result};

use crate::arrays::{AffineArray, VolumeArray, grid, volume};
use crate::errors::OrRaise;
use crate::files::{Reading, from_json};
use crate::predictor::{Callable, Raised};
use crate::record::Segmented;
use crate::source::Source;
use crate::work::{Reporter, run, run_watched};

/// Settings of a pipeline; a dict in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    engine: String,
    device: String,
    precision: String,
    reproducible: bool,
    threads: usize,
    onnxruntime: Option<PathBuf>,
    openvino: Option<PathBuf>,
    max_bytes: Option<u64>,
    labels: Vec<String>,
    probabilities: bool,
    instances: bool,
    tta: bool,
    edges: bool,
    tiling: Option<String>,
    postprocess: Option<String>,
}

impl Settings {
    fn engine(&self) -> Result<Options> {
        let mut options = Options::default();
        options.engine = self.engine.parse()?;
        options.device = self.device.parse()?;
        options.precision = match self.precision.as_str() {
            "auto" | "fp32" => Precision::Fp32,
            "bf16" => Precision::Bf16,
            other => return Err(Error::usage(format!("{other:?} is no precision: auto, fp32 or bf16"))),
        };
        options.reproducible = self.reproducible;
        options.onnxruntime_path.clone_from(&self.onnxruntime);
        options.openvino_path.clone_from(&self.openvino);
        Ok(options)
    }

    pub(crate) fn build(&self, builder: PipelineBuilder) -> Result<pipeline::Pipeline> {
        let mut builder = builder
            .engine(self.engine()?)
            .threads(self.threads)
            .keep_labels(self.labels.clone())
            .keep_probabilities(self.probabilities)
            .tta(self.tta)
            .edges(self.edges);
        if self.instances {
            builder = builder.instances(InstanceOptions::default());
        }
        if let Some(bytes) = self.max_bytes {
            builder = builder.max_bytes(bytes);
        }
        if let Some(tiling) = &self.tiling {
            builder = builder.tiling(from_json(tiling)?);
        }
        if let Some(steps) = &self.postprocess {
            builder = builder.postprocess(from_json(steps)?);
        }
        builder.build()
    }
}

/// A model in an engine; immutable, shared by any number of threads.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Pipeline {
    inner: pipeline::Pipeline,
    /// The process that holds its threads.
    process: u32,
    /// What a predictor in Python raised.
    raised: Raised,
}

impl Pipeline {
    fn new(inner: pipeline::Pipeline, raised: Raised) -> Self {
        Self { inner, process: std::process::id(), raised }
    }

    /// The pipeline for one run, stopped by `cancel`, reporting to `reporter`.
    pub(crate) fn for_run(
        &self,
        py: Python<'_>,
        cancel: &Cancel,
        reporter: Option<&Reporter>,
    ) -> PyResult<pipeline::Pipeline> {
        if self.process != std::process::id() {
            return Err(Error::usage(
                "this pipeline was made before the process was forked, and its threads stayed behind",
            )
            .hint("make it in the child, or start workers with multiprocessing's \"spawn\" or \"forkserver\""))
            .or_raise(py);
        }
        let pipeline = self.inner.clone().with_cancel(cancel.clone());
        Ok(match reporter {
            Some(reporter) => pipeline.with_progress(reporter.callback(py, cancel.clone())),
            None => pipeline,
        })
    }

    /// Runs `work` on a pipeline for one run, watched.
    fn segmented<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
        work: impl FnOnce(&pipeline::Pipeline) -> Result<Segmentation> + Send,
    ) -> PyResult<Segmented<'py>> {
        let (cancel, reporter) = (Cancel::new(), progress.map(Reporter::new));
        let pipeline = self.for_run(py, &cancel, reporter.as_ref())?;
        let mut result = run_watched(py, &cancel, || work(&pipeline));
        if let Some(error) = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take() {
            result = Err(error);
        }
        let segmentation = match &reporter {
            Some(reporter) => reporter.outcome(result),
            None => result,
        }?;
        Segmented::new(py, &pipeline, segmentation)
    }
}

#[pymethods]
impl Pipeline {
    /// Opens a bundled model or an ONNX file.
    #[staticmethod]
    #[pyo3(signature = (model, spec, settings))]
    fn open(py: Python<'_>, model: &str, spec: Option<PathBuf>, settings: Settings) -> PyResult<Self> {
        let inner = run(py, || settings.build(pipeline::Pipeline::builder(Model::named(model, spec.as_deref())?)))?;
        Ok(Self::new(inner, Raised::default()))
    }

    /// A callable as the network; `spec` is a description in JSON or TOML, `planar` a network of two axes.
    #[staticmethod]
    fn of_callable(py: Python<'_>, call: Py<PyAny>, spec: &str, planar: bool, settings: Settings) -> PyResult<Self> {
        let spec = ModelSpec::parse(spec).or_raise(py)?;
        let callable = Callable::new(call, &spec, planar);
        let raised = callable.raised();
        let inner = run(py, || settings.build(pipeline::Pipeline::predictor_builder(spec, Box::new(callable))))?;
        Ok(Self::new(inner, raised))
    }

    /// What the model expects and means, as JSON.
    #[getter]
    fn spec(&self, py: Python<'_>) -> PyResult<String> {
        self.inner.spec().to_json().or_raise(py)
    }

    /// The labels that the model gives, as JSON.
    #[getter]
    fn table(&self, py: Python<'_>) -> PyResult<String> {
        self.inner.spec().table().and_then(|table| to_json(&table)).or_raise(py)
    }

    /// Who computes, as JSON.
    #[getter]
    fn backend(&self, py: Python<'_>) -> PyResult<String> {
        to_json(self.inner.backend()).or_raise(py)
    }

    /// Tiles, passes and peak memory for a study of this shape, as JSON.
    fn plan(&self, py: Python<'_>, shape: [usize; 3], affine: AffineArray<'_>) -> PyResult<String> {
        let affine = crate::arrays::to_affine(&affine).or_raise(py)?;
        run(py, || to_json(&self.inner.plan(&Grid::new(shape, affine)?)?))
    }

    /// Segments files, one per channel.
    #[pyo3(signature = (paths, reading, match_grid, progress))]
    fn segment_files<'py>(
        &self,
        py: Python<'py>,
        paths: Vec<PathBuf>,
        reading: Reading,
        match_grid: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Segmented<'py>> {
        let options = study(&reading, match_grid).or_raise(py)?;
        self.segmented(py, progress, |pipeline| pipeline.run_files(&paths, &options))
    }

    /// Segments arrays, one per channel, all on the grid of `affine`.
    #[pyo3(signature = (channels, affine, source, progress))]
    fn segment_arrays<'py>(
        &self,
        py: Python<'py>,
        channels: Vec<VolumeArray<'py, f32>>,
        affine: AffineArray<'py>,
        source: Option<&Bound<'py, Source>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Segmented<'py>> {
        let grids = channels.iter().map(|channel| grid(channel, &affine)).collect::<Result<Vec<_>>>().or_raise(py)?;
        let Some(&first) = grids.first() else { return Err(Error::usage("no image was given")).or_raise(py) };
        let source = Source::of(source, first);
        let views: Vec<_> = channels.iter().map(|channel| channel.as_array()).collect();
        self.segmented(py, progress, move |pipeline| {
            let copies = views.into_iter().zip(grids).map(|(view, grid)| volume(view, grid));
            let channels = copies.collect::<Result<Vec<_>>>()?;
            pipeline.run_inputs(Inputs::in_memory(channels, source, pipeline.spec())?)
        })
    }
}

/// How studies are read.
pub(crate) fn study(reading: &Reading, match_grid: bool) -> Result<StudyOptions> {
    let mut options = StudyOptions::default();
    options.volume = reading.volume;
    options.series.clone_from(&reading.series);
    options.assume_orientation = reading.assume_orientation.as_deref().map(str::parse).transpose()?;
    options.on_gap = reading.on_gap()?;
    options.match_grid = match_grid;
    Ok(options)
}
