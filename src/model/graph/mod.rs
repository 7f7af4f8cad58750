//! ONNX files: reading, shapes, facts, and metadata.
//!
//! ```text
//! bytes ──Graph::load──> Graph (nodes as stored, shapes free, weights as f32)
//!                          │  Graph::network(input shapes)
//!                          v
//!                        Network (float layers in order, every shape and parameter a number)
//! ```
//! A [`Graph`] is loaded once. Integer arithmetic that exporters leave around `Resize`, `Reshape` and `Slice` stays in
//! it as nodes; [`Graph::network`] evaluates it for given input shapes, so a [`Network`] holds nothing but float
//! layers with concrete parameters. Networks of one graph share their weights.

mod network;
mod op;

pub use network::{Constant, Layer, Network, Value, ValueId};
pub use op::{
    Activation, Binary, Convolution, CoordinateMode, NearestMode, Op, PadMode, Pool, Reduction, Resize, ResizeMode,
    TransposedConvolution, Unary,
};

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};

/// An ONNX file as stored: shapes free, operators of any kind, weights as `f32`.
#[derive(Debug, Clone)]
pub struct Graph {
    metadata: BTreeMap<String, String>,
}

/// What a graph reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the file.
    pub name: String,
    /// `[N, C, spatial...]`, `None` where an axis is free.
    pub shape: Vec<Option<usize>>,
}

impl Graph {
    /// Reads an ONNX file, and the external data beside it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the file is no ONNX graph or contradicts itself.
    pub fn load(path: &Path) -> Result<Self> {
        Err(Error::internal("not written yet").at(path))
    }

    /// Reads an ONNX graph without external data.
    ///
    /// # Errors
    /// As [`Graph::load`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Err(Error::internal(format!("not written yet {}", bytes.len())))
    }

    /// An entry of the file's `metadata_props`.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The float layers for inputs of these shapes, one shape per input in the order of the file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] in one sentence that names operator and node, when the graph does not take these
    /// shapes or holds an operator that is not known (the hint then names `--engine onnxruntime`).
    pub fn network(&self, input_shapes: &[Vec<usize>]) -> Result<Network> {
        Err(Error::internal(format!("not written yet {}", input_shapes.len())))
    }
}
