//! Running a network on one patch: the [`Predictor`] trait and the engines behind it.
//!
//! A tensor `[N, C, k, j, i]` is row-major, so its last axis is the fastest: exactly the memory of a volume.

#[cfg(any(feature = "onnxruntime", feature = "openvino"))]
mod binding;
mod dispatch;
#[cfg(feature = "embedded")]
pub mod embedded;
mod engines;
#[cfg(any(feature = "onnxruntime", feature = "openvino"))]
mod foresight;
pub mod library;
mod model_file;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
#[cfg(feature = "openvino")]
mod openvino;
mod survey;
pub mod verification;
mod verify;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use engines::{Device, EngineChoice, Options, open};
pub use model_file::ModelFile;
pub use survey::{EngineStatus, survey};
pub use verify::{MIN_AGREEMENT, Reference, Subject, Verification, verify};

use crate::error::Result;

/// What a predictor reads or writes: a name and a shape whose free axes are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorInfo {
    /// Name in the model file.
    pub name: String,
    /// `[N, C, spatial...]`.
    pub shape: Vec<Option<usize>>,
}

/// Arithmetic of the network. Scores that leave a predictor are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    Fp32,
    /// bfloat16 products summed in 32 bit; only when asked for.
    Bf16,
}

/// Which program computes, for the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// `embedded`, `onnxruntime`, `openvino`, or the name of a predictor of the caller's.
    pub engine: String,
    /// Version of the engine's library.
    pub version: String,
    /// The library that was opened, for engines that are not linked in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// SHA-256 of that library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_sha256: Option<String>,
    /// What ran the operators: a SIMD path, `CPUExecutionProvider`, `CUDAExecutionProvider`, `CPU` ...
    pub provider: String,
    /// Arithmetic.
    pub precision: Precision,
}

impl Backend {
    /// An engine that is linked in: no library to name.
    #[must_use]
    pub fn new(
        engine: impl Into<String>,
        version: impl Into<String>,
        provider: impl Into<String>,
        precision: Precision,
    ) -> Self {
        Self {
            engine: engine.into(),
            version: version.into(),
            library: None,
            library_sha256: None,
            provider: provider.into(),
            precision,
        }
    }
}

/// Borrowed row-major `f32` values of a shape.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// `[N, C, spatial...]`.
    pub shape: &'a [usize],
    /// Row-major values.
    pub data: &'a [f32],
}

/// A network that turns one input tensor into one score tensor.
///
/// Implementations are deterministic: the same input gives the same bytes for any number of threads and any batch.
/// Work is spread over the rayon pool of the caller.
pub trait Predictor: Send + Sync + std::fmt::Debug {
    /// The input, `[N, C, spatial...]`.
    fn input(&self) -> &TensorInfo;

    /// The output, `[N, classes, spatial...]`.
    fn output(&self) -> &TensorInfo;

    /// Who computes.
    fn backend(&self) -> &Backend;

    /// Shape of the output for an input of `shape`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the network does not take this shape; the hint names the nearest valid ones.
    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>>;

    /// Peak bytes beside input and output while an input of `shape` runs: exact where the engine plans its buffers, an
    /// upper estimate elsewhere.
    ///
    /// # Errors
    /// As [`Predictor::output_shape`].
    fn working_bytes(&self, shape: &[usize]) -> Result<u64>;

    /// Bytes of the weights as they lie in memory now, where the engine knows; what [`Predictor::working_bytes`] says
    /// comes on top of them.
    fn weight_bytes(&self) -> Option<u64> {
        None
    }

    /// Runs the network; `output` holds exactly the values of [`Predictor::output_shape`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the engine fails or a shape does not fit.
    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()>;
}
