//! Folders of DICOM files: the table of what is in them, and reading from it.

use std::path::PathBuf;

use pyo3::prelude::*;
use unet_vol::formats::dicom;
use unet_vol::limits::Limits;
use unet_vol::report::to_json;

use crate::errors::OrRaise;
use crate::files::{Reading, Study};
use crate::work::{run, run_watched};

/// What a folder holds; immutable.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Triage(dicom::Triage);

#[pymethods]
impl Triage {
    /// Looks at every file of a folder.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        run_watched(py, &Default::default(), || dicom::scan(path, &Limits::default())).map(Self)
    }

    /// The rows and the files that could not be read, as JSON.
    #[getter]
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        to_json(&self.0).or_raise(py)
    }

    /// Reads the series that `reading` chooses, or the only one.
    fn read<'py>(&self, py: Python<'py>, reading: Reading) -> PyResult<Study<'py, f32>> {
        let study = run(py, || self.0.read_as::<f32>(&reading.options()?))?;
        Study::new(py, study)
    }
}
