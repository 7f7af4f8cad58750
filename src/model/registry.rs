//! Models by name or by file: the ONNX bytes with the description that belongs to them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::bytes::Bytes;

use super::bundled;
use super::golden::Golden;
use super::graph::{self, Graph};
use super::label_file;
use super::spec::ModelSpec;
use crate::error::{Error, Result};
use crate::fs;

/// Largest ONNX file or description that is read.
const MAX_MODEL_BYTES: u64 = 2 << 30;
const MAX_SPEC_BYTES: u64 = 4 << 20;

/// An ONNX network with its description.
#[derive(Debug, Clone)]
pub struct Model {
    spec: ModelSpec,
    graph: Arc<Graph>,
    bytes: Bytes,
    path: Option<PathBuf>,
    sha256: String,
    golden: Option<&'static [u8]>,
}

impl Model {
    /// Names that [`Model::bundled`] knows.
    #[must_use]
    pub fn bundled_names() -> Vec<&'static str> {
        bundled::MODELS.iter().map(|model| model.name).collect()
    }

    /// A model that is part of this program.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when there is none of this name.
    pub fn bundled(name: &str) -> Result<Self> {
        let Some(entry) = bundled::MODELS.iter().find(|model| model.name == name) else {
            let names = Self::bundled_names().join(", ");
            return Err(Error::model(format!("there is no bundled model {name:?}")).hint(format!("bundled: {names}")));
        };
        let mut model = Self::from_bytes(Cow::Borrowed(entry.onnx), None, None)?;
        model.golden = Some(entry.golden);
        Ok(model)
    }

    /// What a user names: a bundled model, or an ONNX file as [`Model::open`] takes it.
    ///
    /// # Errors
    /// As [`Model::bundled`] and [`Model::open`]; [`crate::ErrorKind::Usage`] for a bundled model with a `spec`.
    pub fn named(name: &str, spec: Option<&Path>) -> Result<Self> {
        if Self::bundled_names().contains(&name) {
            if spec.is_some() {
                return Err(Error::usage(format!("{name} is a bundled model and has its own description"))
                    .hint("leave --spec out, or name an ONNX file with --model"));
            }
            return Self::bundled(name);
        }
        let path = Path::new(name);
        if path.extension().is_none() && !fs::exists(path) {
            let names = Self::bundled_names().join(", ");
            return Err(Error::model(format!("there is no bundled model {name:?}"))
                .hint(format!("bundled: {names}; or name an ONNX file")));
        }
        Self::open(path, spec)
    }

    /// An ONNX file, with the description in its metadata or, where given, in the file `spec` (TOML or JSON).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the file is no ONNX graph, has no description, or the description does not fit;
    /// [`crate::ErrorKind::Malformed`] when a file cannot be read.
    pub fn open(path: &Path, spec: Option<&Path>) -> Result<Self> {
        let bytes = fs::read(path, MAX_MODEL_BYTES)?;
        let spec = spec.map(|file| read_spec(file, path)).transpose()?;
        Self::from_bytes(Cow::Owned(bytes), Some(path), spec).map_err(|e| e.at(path))
    }

    /// An ONNX file in memory; without `spec` the description in its metadata is used.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(bytes: Cow<'static, [u8]>, path: Option<&Path>, spec: Option<ModelSpec>) -> Result<Self> {
        let bytes = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let graph = Graph::read(bytes.clone(), path)?;
        let spec = match (spec, graph.metadata().get(ModelSpec::METADATA_KEY)) {
            (Some(spec), _) => spec,
            (None, Some(text)) => ModelSpec::parse(text)?,
            (None, None) => {
                return Err(Error::model("the ONNX file carries no description of what it expects")
                    .hint("give one with --spec FILE; examples/specs has some to start from"));
            }
        };
        let sha256 = fs::sha256_of(&bytes);
        let path = path.map(Path::to_owned);
        Ok(Self { spec, graph: Arc::new(graph), bytes, path, sha256, golden: None })
    }

    /// Writes a copy of an ONNX file that carries the description in `spec`.
    ///
    /// # Errors
    /// As [`Model::open`]; [`crate::ErrorKind::Output`] and [`crate::ErrorKind::Usage`] when `output` cannot be written.
    pub fn describe(path: &Path, spec: &Path, output: &Path, overwrite: fs::Overwrite) -> Result<()> {
        let model = Self::open(path, Some(spec))?;
        let bytes = graph::set_metadata(model.bytes(), ModelSpec::METADATA_KEY, &model.spec.to_json()?)?;
        fs::write_bytes(output, overwrite, &bytes)
    }

    /// What the model expects and means.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The network's graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The ONNX file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the ONNX file is; `None` for a bundled model.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// SHA-256 of the ONNX file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The stored case by which an engine is verified; bundled models have one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when it is damaged.
    pub fn golden(&self) -> Result<Option<Golden>> {
        self.golden.map(Golden::parse).transpose()
    }
}

/// A description from a file, with the label names that it refers to beside the model.
fn read_spec(file: &Path, model: &Path) -> Result<ModelSpec> {
    let text = |path: &Path| {
        String::from_utf8(fs::read(path, MAX_SPEC_BYTES)?).map_err(|_| Error::model("is not text").at(path))
    };
    let mut spec = ModelSpec::parse(&text(file)?).map_err(|e| e.at(file))?;
    if let Some(name) = spec.labels_file.take() {
        if !spec.labels.is_empty() {
            return Err(Error::model("labels and labels_file exclude each other").at(file));
        }
        if Path::new(&name).components().count() != 1 {
            return Err(Error::model(format!("labels_file {name:?} must be a file beside the model")).at(file));
        }
        let path = model.with_file_name(name);
        spec.labels = label_file::parse(&text(&path)?).map_err(|e| e.at(&path))?;
        spec.validate().map_err(|e| e.at(file))?;
    }
    Ok(spec)
}
