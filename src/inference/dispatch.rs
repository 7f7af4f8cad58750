//! From the name of an engine to its file, whichever of them this program was built with.

use std::path::PathBuf;

#[cfg(feature = "embedded")]
use super::embedded::Engine;
use super::engines::{Device, EngineChoice};
use super::library::{Candidate, Runtime};
use super::model_file::ModelFile;
use super::{Precision, Predictor};
use crate::error::{Error, Result};

/// The library that this process has opened already.
pub(super) fn opened_path(runtime: Runtime) -> Option<PathBuf> {
    match runtime {
        #[cfg(feature = "onnxruntime")]
        Runtime::OnnxRuntime => super::onnxruntime::loaded().map(|library| library.path.clone()),
        #[cfg(feature = "openvino")]
        Runtime::OpenVino => super::openvino::loaded().map(|library| library.path.clone()),
        #[allow(unreachable_patterns, reason = "reached in builds without a feature")]
        _ => None,
    }
}

pub(super) fn load(runtime: Runtime, candidate: &Candidate) -> Result<()> {
    match runtime {
        #[cfg(feature = "onnxruntime")]
        Runtime::OnnxRuntime => super::onnxruntime::load(candidate).map(drop),
        #[cfg(feature = "openvino")]
        Runtime::OpenVino => super::openvino::load(candidate).map(drop),
        #[allow(unreachable_patterns, reason = "reached in builds without a feature")]
        _ => Err(not_built(runtime, candidate)),
    }
}

/// Version and devices of a library.
pub(super) fn installed(runtime: Runtime, candidate: &Candidate) -> Result<(String, Vec<String>)> {
    match runtime {
        #[cfg(feature = "onnxruntime")]
        Runtime::OnnxRuntime => {
            let library = super::onnxruntime::load(candidate)?;
            Ok((library.version.clone(), super::onnxruntime::devices(&library)))
        }
        #[cfg(feature = "openvino")]
        Runtime::OpenVino => {
            let library = super::openvino::load(candidate)?;
            Ok((library.version.clone(), super::openvino::devices(&library)?))
        }
        #[allow(unreachable_patterns, reason = "reached in builds without a feature")]
        _ => Err(not_built(runtime, candidate)),
    }
}

#[allow(dead_code, reason = "called in builds without a feature")]
fn not_built(runtime: Runtime, candidate: &Candidate) -> Error {
    Error::unsupported(format!("this program was built without {runtime}")).at(&candidate.path)
}

/// Opens a model in one engine on one device.
pub(super) fn open_in(
    model: &ModelFile<'_>,
    engine: EngineChoice,
    device: Device,
    precision: Precision,
    candidate: Option<&Candidate>,
) -> Result<Box<dyn Predictor>> {
    model.check()?;
    match (engine, candidate) {
        #[cfg(feature = "onnxruntime")]
        (EngineChoice::OnnxRuntime, Some(candidate)) => {
            super::onnxruntime::open(model, &*super::onnxruntime::load(candidate)?, device, precision)
        }
        #[cfg(feature = "openvino")]
        (EngineChoice::OpenVino, Some(candidate)) => {
            super::openvino::open(model, &*super::openvino::load(candidate)?, precision)
        }
        (EngineChoice::Embedded, _) => embedded(model, precision),
        _ => Err(Error::unsupported(format!("this program was built without {engine} for {device}"))),
    }
}

/// The engine that is linked in.
#[cfg(feature = "embedded")]
fn embedded(model: &ModelFile<'_>, precision: Precision) -> Result<Box<dyn Predictor>> {
    let engine = Engine::new(model.graph()?, precision).map_err(|error| model.name_in(error))?;
    Ok(Box::new(engine))
}

#[cfg(not(feature = "embedded"))]
fn embedded(model: &ModelFile<'_>, _: Precision) -> Result<Box<dyn Predictor>> {
    Err(model.unsupported("this program was built without the embedded engine"))
}
