//! A node as stored: the operator's name and its attributes.

use super::network::ValueId;
use super::proto::{self, attribute_type as kind};
use super::tensor::{Tensor, decode};
use crate::error::{Error, Result};

/// A node of a [`super::Graph`].
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Name in the file, or of the first output.
    pub(super) name: String,
    /// `Conv`, or `domain.Name` for operators that are not ONNX's own.
    pub(super) operator: String,
    /// Operands; `None` for optional ones that are left out.
    pub(super) inputs: Vec<Option<ValueId>>,
    /// Results; `None` for those that nobody names.
    pub(super) outputs: Vec<Option<ValueId>>,
    attributes: Vec<(String, Attribute)>,
}

/// The value of an attribute.
#[derive(Debug, Clone)]
enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Floats(Vec<f32>),
    Text(String),
    Tensor(Tensor),
    /// A subgraph or another thing that no known operator needs.
    Other,
}

impl Attribute {
    fn read(stored: proto::Attribute) -> Result<Self> {
        Ok(match (stored.kind, stored.f, stored.i, stored.s, stored.t) {
            (kind::FLOAT, f, ..) => Self::Float(f.unwrap_or(0.0)),
            (kind::INT, _, i, ..) => Self::Int(i.unwrap_or(0)),
            (kind::STRING, _, _, s, _) => Self::Text(String::from_utf8_lossy(&s.unwrap_or_default()).into_owned()),
            (kind::TENSOR, _, _, _, Some(t)) | (0, _, _, _, Some(t)) => {
                Self::Tensor(Tensor::read(decode(t, "a tensor")?, None)?)
            }
            (kind::FLOATS, ..) => Self::Floats(stored.floats),
            (kind::INTS, ..) => Self::Ints(stored.ints),
            (0, Some(f), ..) => Self::Float(f),
            (0, _, Some(i), ..) => Self::Int(i),
            (0, _, _, Some(s), _) => Self::Text(String::from_utf8_lossy(&s).into_owned()),
            (0, ..) if !stored.ints.is_empty() => Self::Ints(stored.ints),
            (0, ..) if !stored.floats.is_empty() => Self::Floats(stored.floats),
            _ => Self::Other,
        })
    }
}

impl Node {
    /// Reads a stored node whose operands and results have these ids.
    pub(super) fn read(
        stored: proto::Node,
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Result<Self> {
        let first = stored.output.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
        let name = if stored.name.is_empty() { first } else { stored.name };
        let operator = match stored.domain.as_str() {
            "" | "ai.onnx" => stored.op_type,
            domain => format!("{domain}.{}", stored.op_type),
        };
        let mut attributes = Vec::new();
        for bytes in stored.attribute {
            let attribute: proto::Attribute = decode(bytes, "an attribute")?;
            let key = attribute.name.clone();
            let value = Attribute::read(attribute).map_err(|e| {
                Error::model(format!("the attribute {key} of {operator} {name:?} cannot be used")).because(e)
            })?;
            attributes.push((key, value));
        }
        Ok(Self { name, operator, inputs, outputs, attributes })
    }

    fn get(&self, key: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// An integer attribute.
    pub(super) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Attribute::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// An integer attribute that is a switch, off where it is missing.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.int(key).is_some_and(|value| value != 0)
    }

    /// An attribute of several integers.
    pub(super) fn ints(&self, key: &str) -> Option<&[i64]> {
        match self.get(key) {
            Some(Attribute::Ints(values)) => Some(values),
            _ => None,
        }
    }

    /// A float attribute.
    pub(super) fn float(&self, key: &str) -> Option<f32> {
        match self.get(key) {
            Some(Attribute::Float(value)) => Some(*value),
            _ => None,
        }
    }

    /// An attribute of several floats.
    pub(super) fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.get(key) {
            Some(Attribute::Floats(values)) => Some(values),
            _ => None,
        }
    }

    /// A text attribute.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Attribute::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// A tensor attribute.
    pub(super) fn tensor(&self, key: &str) -> Option<&Tensor> {
        match self.get(key) {
            Some(Attribute::Tensor(value)) => Some(value),
            _ => None,
        }
    }

    /// The error that this node does something unsound or unknown: `detail` ends the sentence "Conv "name" ...".
    pub(super) fn error(&self, detail: impl std::fmt::Display) -> Error {
        Error::model(format!("{} {:?} {detail}", self.operator, self.name))
    }

    /// The error that an engine of our own cannot run this node.
    pub(super) fn unsupported(&self, detail: impl std::fmt::Display) -> Error {
        self.error(detail).hint("use --engine onnxruntime")
    }
}
