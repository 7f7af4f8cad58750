//! The model that an engine opens.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;
use crate::limits::MIB;
use crate::model::Model;
use crate::model::graph::Graph;

/// Largest model file that is read into memory: a protocol buffer has at most 2 GiB.
const MAX_MODEL_BYTES: u64 = 2048 * MIB;

/// An ONNX model: a file, or bytes with a name for messages.
#[derive(Debug, Clone, Copy)]
pub enum ModelFile<'a> {
    /// A file; weights may lie in files beside it.
    Path(&'a Path),
    /// The content of a file.
    Bytes {
        /// Name for messages.
        name: &'a str,
        /// The whole file.
        bytes: &'a [u8],
    },
    /// A model, whose graph is there already.
    Model(&'a Model),
}

impl<'a> From<&'a Model> for ModelFile<'a> {
    fn from(model: &'a Model) -> Self {
        Self::Model(model)
    }
}

impl ModelFile<'_> {
    /// The content.
    ///
    /// # Errors
    /// As for reading a file of at most 2 GiB.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Path(path) => fs::read(path, MAX_MODEL_BYTES).map(Cow::Owned),
            Self::Bytes { bytes, .. } => Ok(Cow::Borrowed(bytes)),
            Self::Model(model) => Ok(Cow::Borrowed(model.bytes())),
        }
    }

    /// SHA-256 of the content, in lower-case hex.
    ///
    /// # Errors
    /// As for reading the file.
    pub fn sha256(&self) -> Result<String> {
        match self {
            Self::Path(path) => fs::sha256(path),
            Self::Bytes { bytes, .. } => Ok(fs::sha256_of(bytes)),
            Self::Model(model) => Ok(model.sha256().to_owned()),
        }
    }

    /// The graph; that of a model shares its weights.
    ///
    /// # Errors
    /// As [`Graph::load`].
    pub(super) fn graph(&self) -> Result<Graph> {
        match self {
            Self::Path(path) => Graph::load(path),
            Self::Bytes { bytes, .. } => Graph::parse(bytes.to_vec()),
            Self::Model(model) => Ok(model.graph().clone()),
        }
    }

    /// Refuses a file that is not there or may not be read, in our words.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Path(path) => fs::open(path).map(drop),
            Self::Bytes { .. } | Self::Model(_) => Ok(()),
        }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        self.name_in(Error::model(message))
    }

    #[allow(dead_code, reason = "called in builds without an engine")]
    pub(super) fn unsupported(&self, message: impl Into<String>) -> Error {
        self.name_in(Error::unsupported(message))
    }

    pub(super) fn name_in(&self, error: Error) -> Error {
        match self {
            Self::Path(path) => error.at(path),
            Self::Bytes { name, .. } => error.at(name),
            Self::Model(model) => error.at(model.path().unwrap_or(Path::new(&model.spec().name))),
        }
    }
}
