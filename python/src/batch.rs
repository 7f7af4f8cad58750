//! Folders of studies, and converting files.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use unet_vol::batch::{self, BatchOptions, BatchProgress, ConvertOptions, DiscoverOptions, Existing, Layout};
use unet_vol::pipeline::Cancel;
use unet_vol::report::to_json;
use unet_vol::{Error, Result};

use crate::errors::OrRaise;
use crate::files::{Reading, Warnings, from_json, overwriting, warnings};
use crate::pipeline::{Pipeline, study};
use crate::work::{run, run_watched};

/// What a batch does; a dict in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Batching {
    pattern: Option<String>,
    select: Option<String>,
    existing: String,
    shard: Option<String>,
    channels: Vec<String>,
    formats: Vec<String>,
    bids: bool,
    jobs: usize,
    seconds: Option<f64>,
    statistics: bool,
    preview: bool,
    instances: bool,
}

impl Batching {
    fn options(&self, output: PathBuf, reading: &Reading) -> Result<BatchOptions> {
        let mut options = BatchOptions::new(output);
        options.existing = match self.existing.as_str() {
            "refuse" => Existing::Refuse,
            "resume" => Existing::Resume,
            "overwrite" => Existing::Overwrite,
            other => return Err(Error::usage(format!("{other:?} is none of refuse, resume, overwrite"))),
        };
        options.shard = self.shard.as_deref().map(str::parse).transpose()?;
        options.jobs = self.jobs.clamp(1, 64);
        let limit = |seconds| Duration::try_from_secs_f64(seconds).map_err(|e| Error::usage(e.to_string()));
        options.time_limit = self.seconds.map(limit).transpose()?;
        options.formats = self.formats.iter().map(|name| name.parse()).collect::<Result<_>>()?;
        options.layout = if self.bids { Layout::Bids } else { Layout::Mirror };
        options.statistics = self.statistics;
        options.preview = self.preview;
        options.instances = self.instances;
        options.study = study(reading, false)?;
        Ok(options)
    }
}

/// Segments every study below a folder; the entries as JSON.
#[pyfunction]
#[pyo3(signature = (pipeline, folder, output, batching, reading, progress))]
pub(crate) fn run_batch(
    py: Python<'_>,
    pipeline: &Bound<'_, Pipeline>,
    folder: PathBuf,
    output: PathBuf,
    batching: Batching,
    reading: Reading,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let cancel = Cancel::new();
    let pipeline = pipeline.get().for_run(py, &cancel, None)?;
    let options = batching.options(output, &reading).or_raise(py)?;
    let mut find = DiscoverOptions::default();
    (find.pattern, find.select, find.channels) = (batching.pattern, batching.select, batching.channels);
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let report = |step: BatchProgress<'_>| {
        let Some(callback) = &progress else { return };
        let call = |py: Python<'_>| callback.call1(py, (step.entry.case.as_str(), step.done, step.total)).map(drop);
        if let Err(error) = Python::attach(call) {
            raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            cancel.cancel();
        }
    };
    let result = run_watched(py, &cancel, || {
        let cases = batch::discover(&folder, &options.output, pipeline.spec(), &find)?;
        to_json(&batch::run(&pipeline, cases, &options, &report)?)
    });
    match raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => result,
    }
}

/// Rewrites a volume; where it is, and the certificate as JSON.
#[pyfunction]
#[pyo3(signature = (input, output, orientation, spacing, method, data_type, reading, overwrite))]
#[allow(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn convert(
    py: Python<'_>,
    input: PathBuf,
    output: PathBuf,
    orientation: Option<&str>,
    spacing: Option<[f64; 3]>,
    method: &str,
    data_type: Option<&str>,
    reading: Reading,
    overwrite: bool,
) -> PyResult<(PathBuf, String, Warnings)> {
    let options = || {
        let mut options = ConvertOptions::default();
        options.orientation = orientation.map(str::parse).transpose()?;
        options.spacing = spacing;
        options.method = from_json(&format!("{method:?}"))?;
        options.data_type = data_type.map(str::parse).transpose()?;
        options.volume = reading.volume;
        options.assume_orientation = reading.assume_orientation.as_deref().map(str::parse).transpose()?;
        options.series.clone_from(&reading.series);
        options.on_gap = reading.on_gap()?;
        options.overwrite = overwriting(overwrite);
        Ok(options)
    };
    let options: ConvertOptions = options().or_raise(py)?;
    let done = run(py, || batch::convert(&input, &output, &options))?;
    Ok((done.path, to_json(&done.certificate).or_raise(py)?, warnings(done.warnings)))
}
