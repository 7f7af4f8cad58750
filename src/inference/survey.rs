//! Which engines this machine has, for `unet-vol runtime`: what would be used, from where, and why not the others.

use std::path::PathBuf;

use serde::Serialize;

use super::dispatch::installed;
use super::engines::{EngineChoice, Options, first_that_opens};
use super::library::{self, Origin, PassedOver, Runtime};

/// One engine on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EngineStatus {
    /// The engine.
    pub engine: EngineChoice,
    /// Whether it can be named with `--engine`.
    pub available: bool,
    /// One sentence: what it is for here, or why it cannot be had and what to do.
    pub summary: String,
    /// Version of the library or of this program.
    pub version: Option<String>,
    /// The library.
    pub library: Option<PathBuf>,
    /// Where the library was found.
    pub origin: Option<Origin>,
    /// SHA-256 of what computes: the library, or the listing of its parts.
    pub library_sha256: Option<String>,
    /// What it can compute on.
    pub devices: Vec<String>,
    /// Where else was looked, and what was there.
    pub passed_over: Vec<PassedOver>,
}

/// Looks for every engine. The libraries that are found are opened, which keeps them for the life of this process.
#[must_use]
pub fn survey(options: &Options) -> Vec<EngineStatus> {
    vec![
        of_library(EngineChoice::OpenVino, Runtime::OpenVino, options),
        embedded(),
        of_library(EngineChoice::OnnxRuntime, Runtime::OnnxRuntime, options),
    ]
}

#[cfg(feature = "embedded")]
fn embedded_devices() -> Vec<String> {
    vec![format!("cpu ({})", super::embedded::instructions())]
}

#[cfg(not(feature = "embedded"))]
fn embedded_devices() -> Vec<String> {
    Vec::new()
}

fn embedded() -> EngineStatus {
    let available = cfg!(feature = "embedded");
    let summary =
        if available { "always there; `auto` takes it where nothing faster is proven" } else { "not in this build" };
    EngineStatus {
        engine: EngineChoice::Embedded,
        available,
        summary: summary.into(),
        version: available.then(|| env!("CARGO_PKG_VERSION").to_owned()),
        library: None,
        origin: None,
        library_sha256: None,
        devices: embedded_devices(),
        passed_over: Vec::new(),
    }
}

fn of_library(engine: EngineChoice, runtime: Runtime, options: &Options) -> EngineStatus {
    let mut status = EngineStatus {
        engine,
        available: false,
        summary: String::new(),
        version: None,
        library: None,
        origin: None,
        library_sha256: None,
        devices: Vec::new(),
        passed_over: Vec::new(),
    };
    let found = options.search(runtime, options.device.is_cuda()).and_then(|search| {
        status.passed_over = search.passed_over.clone();
        first_that_opens(runtime, &search)
    });
    match found.and_then(|found| installed(runtime, &found).map(|about| (found, about))) {
        Err(error) => {
            let advice = error.advice().map(|advice| format!(" ({advice})")).unwrap_or_default();
            status.summary = format!("{error}{advice}");
        }
        Ok((found, (version, devices))) => {
            status.available = true;
            status.summary = match runtime {
                Runtime::OnnxRuntime => "the reference, and the way to CUDA; --reproducible keeps to it",
                Runtime::OpenVino => "`auto` takes it for models that `unet-vol models verify` has proven here",
            }
            .into();
            status.library_sha256 = library::fingerprint(runtime, &found.path, options.device.is_cuda()).ok();
            (status.version, status.devices) = (Some(version), devices);
            (status.library, status.origin) = (Some(found.path), Some(found.origin));
        }
    }
    status
}
