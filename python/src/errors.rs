//! The library's errors as Python exceptions.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use unet_vol::{Error, ErrorKind};

/// The exception for an error; `unet_vol._errors.make` chooses its class.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let kind = match error.kind() {
        ErrorKind::Usage => "usage",
        ErrorKind::Malformed => "malformed",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Model => "model",
        ErrorKind::Limit => "limit",
        ErrorKind::Output => "output",
        ErrorKind::Empty => "empty",
        ErrorKind::Interrupted => "interrupted",
        _ => "internal",
    };
    let io = match error.io_kind() {
        Some(std::io::ErrorKind::NotFound) => Some("not-found"),
        Some(std::io::ErrorKind::AlreadyExists) => Some("exists"),
        Some(std::io::ErrorKind::PermissionDenied) => Some("permission"),
        _ => None,
    };
    let make = py.import("unet_vol._errors").and_then(|module| module.getattr("make"));
    let made = make.and_then(|make| make.call1((kind, error.to_string(), error.path(), error.advice(), io)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(_) => PyRuntimeError::new_err(error.to_string()),
    }
}

/// `?` for the library's results.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for unet_vol::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, &error))
    }
}
