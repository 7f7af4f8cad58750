//! The command line program, and where this interpreter keeps its packages.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;

/// Runs the program `unet-vol` with these arguments (without its name) and returns its exit code.
#[pyfunction]
pub(crate) fn run_program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let name = std::iter::once(OsString::from("unet-vol"));
    py.detach(|| unet_vol::cli::main(name.chain(arguments)))
}

/// Names the folders in which runtime libraries of pip are looked for.
#[pyfunction]
pub(crate) fn set_packages(folders: Vec<PathBuf>) {
    unet_vol::inference::library::set_python_packages(folders);
}
