//! Stored tensors: weights and small integer vectors, from `TensorProto` or a file beside the model.

use std::path::{Component, Path};
use std::sync::Arc;

use prost::Message;
use prost::bytes::Bytes;

use super::proto::{self, data_type};
use super::values::Values;
use crate::error::{Error, Result};
use crate::fs;
use crate::limits::reserved;

/// Most values that a model may store: less than 2 GiB in 32 bit, wherever they lie.
pub(super) const MAX_WEIGHTS: usize = (1 << 29) - 1;

/// Values of a tensor. Floats of every width become `f32`, booleans and all integers but those of one byte `i64`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// Floating point.
    F32(Values),
    /// Integers; booleans as 0 and 1.
    I64(Arc<Vec<i64>>),
    /// Integers of one byte, in the memory of the file: quantized weights, which a cast or a scale makes floats of.
    Bytes { values: Bytes, signed: bool },
}

/// A row-major tensor whose data has as many values as its shape says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

impl Tensor {
    pub(super) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, data: Data::F32(values.into()) }
    }

    pub(super) fn ints(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self { shape, data: Data::I64(Arc::new(values)) }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::F32(values) => values.len(),
            Data::I64(values) => values.len(),
            Data::Bytes { values, .. } => values.len(),
        }
    }

    pub(super) fn as_floats(&self) -> Option<Arc<Vec<f32>>> {
        match &self.data {
            Data::F32(values) => Some(values.get()),
            Data::I64(_) | Data::Bytes { .. } => None,
        }
    }

    pub(super) fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(values) => Some(values),
            Data::F32(_) | Data::Bytes { .. } => None,
        }
    }

    /// All values as integers; none of floats.
    pub(super) fn integers(&self) -> impl Iterator<Item = i64> + '_ {
        let (wide, narrow, signed): (&[i64], &[u8], bool) = match &self.data {
            Data::F32(_) => (&[], &[], false),
            Data::I64(values) => (values, &[], false),
            Data::Bytes { values, signed } => (&[], values, *signed),
        };
        let byte = move |&v: &u8| if signed { i64::from(v.cast_signed()) } else { i64::from(v) };
        wide.iter().copied().chain(narrow.iter().map(byte))
    }

    /// Reads a stored tensor; `folder` is where external data may lie.
    pub(super) fn read(stored: proto::Tensor, folder: Option<&Path>) -> Result<Self> {
        let name = stored.name.clone();
        let shape = shape_of(&stored)?;
        let count = element_count(&shape)
            .ok_or_else(|| Error::model(format!("the tensor {name:?} claims the absurd shape {:?}", stored.dims)))?;
        let width = width(stored.data_type).ok_or_else(|| {
            Error::model(format!("the tensor {name:?} has the element type {}, which is not read", stored.data_type))
        })?;
        let raw = if stored.data_location == 1 {
            if count > MAX_WEIGHTS {
                return Err(Error::model(format!("the tensor {name:?} has {count} values, more than {MAX_WEIGHTS}")));
            }
            let bytes = count.checked_mul(width).ok_or_else(|| Error::model("a tensor is absurdly large"))?;
            Some(external(&stored, folder, bytes)?)
        } else {
            stored.raw_data.clone()
        };
        let found = raw.as_ref().map_or_else(|| typed_count(&stored), |raw| raw.len() / width);
        if found != count || raw.as_ref().is_some_and(|raw| raw.len() % width != 0) {
            return Err(Error::model(format!(
                "the tensor {name:?} of shape {shape:?} holds {found} values, not {count}"
            )));
        }
        let data = match raw {
            Some(raw) => from_raw(stored.data_type, raw)?,
            None => from_fields(stored),
        };
        Ok(Self { shape, data })
    }
}

fn shape_of(stored: &proto::Tensor) -> Result<Vec<usize>> {
    let name = &stored.name;
    if stored.dims.len() > 16 {
        return Err(Error::model(format!("the tensor {name:?} has {} axes", stored.dims.len())));
    }
    let axes = stored.dims.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
    axes.ok_or_else(|| Error::model(format!("the tensor {name:?} has a negative axis length: {:?}", stored.dims)))
}

/// Number of elements of a shape, `None` beyond 2^40.
pub(super) fn element_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)).filter(|&n| n <= 1 << 40)
}

fn width(kind: i32) -> Option<usize> {
    Some(match kind {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => 1,
        data_type::UINT16 | data_type::INT16 | data_type::FLOAT16 | data_type::BFLOAT16 => 2,
        data_type::FLOAT | data_type::INT32 | data_type::UINT32 => 4,
        data_type::INT64 | data_type::UINT64 | data_type::DOUBLE => 8,
        _ => return None,
    })
}

fn typed_count(stored: &proto::Tensor) -> usize {
    match stored.data_type {
        data_type::FLOAT => stored.float_data.len(),
        data_type::DOUBLE => stored.double_data.len(),
        data_type::INT64 => stored.int64_data.len(),
        data_type::UINT32 | data_type::UINT64 => stored.uint64_data.len(),
        _ => stored.int32_data.len(),
    }
}

/// Half precision and narrow integers are stored in `int32_data`, one element each (`onnx.proto3`, `TensorProto`).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the narrow field holds the bits"
)]
fn from_fields(stored: proto::Tensor) -> Data {
    let floats = |values: Vec<f32>| Data::F32(values.into());
    let ints = |values: Vec<i64>| Data::I64(Arc::new(values));
    match stored.data_type {
        data_type::FLOAT => floats(stored.float_data),
        data_type::DOUBLE => floats(stored.double_data.iter().map(|&v| v as f32).collect()),
        data_type::FLOAT16 => {
            floats(stored.int32_data.iter().map(|&v| half::f16::from_bits(v as u16).to_f32()).collect())
        }
        data_type::BFLOAT16 => {
            floats(stored.int32_data.iter().map(|&v| half::bf16::from_bits(v as u16).to_f32()).collect())
        }
        data_type::INT64 => ints(stored.int64_data),
        data_type::UINT32 | data_type::UINT64 => ints(stored.uint64_data.iter().map(|&v| v as i64).collect()),
        kind @ (data_type::INT8 | data_type::UINT8) => {
            bytes(kind, stored.int32_data.iter().map(|&v| v as u8).collect())
        }
        _ => ints(stored.int32_data.iter().map(|&v| i64::from(v)).collect()),
    }
}

fn bytes(kind: i32, values: Bytes) -> Data {
    Data::Bytes { values, signed: kind == data_type::INT8 }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "weights are used in single precision; u64 counts are small"
)]
fn from_raw(kind: i32, shared: Bytes) -> Result<Data> {
    fn each<const N: usize, T>(raw: &[u8], convert: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let (chunks, _) = raw.as_chunks::<N>();
        let mut values = reserved(chunks.len(), "a tensor of the model")?;
        values.extend(chunks.iter().map(|&bytes| convert(bytes)));
        Ok(values)
    }
    let raw = shared.as_ref();
    Ok(match kind {
        data_type::FLOAT => Data::F32(each(raw, f32::from_le_bytes)?.into()),
        data_type::DOUBLE => Data::F32(each(raw, |b| f64::from_le_bytes(b) as f32)?.into()),
        data_type::FLOAT16 => Data::F32(each(raw, |b| half::f16::from_le_bytes(b).to_f32())?.into()),
        data_type::BFLOAT16 => Data::F32(each(raw, |b| half::bf16::from_le_bytes(b).to_f32())?.into()),
        data_type::INT8 | data_type::UINT8 => bytes(kind, shared),
        data_type::INT16 => Data::I64(Arc::new(each(raw, |b| i64::from(i16::from_le_bytes(b)))?)),
        data_type::UINT16 => Data::I64(Arc::new(each(raw, |b| i64::from(u16::from_le_bytes(b)))?)),
        data_type::INT32 => Data::I64(Arc::new(each(raw, |b| i64::from(i32::from_le_bytes(b)))?)),
        data_type::UINT32 => Data::I64(Arc::new(each(raw, |b| i64::from(u32::from_le_bytes(b)))?)),
        data_type::INT64 => Data::I64(Arc::new(each(raw, i64::from_le_bytes)?)),
        data_type::UINT64 => Data::I64(Arc::new(each(raw, |b| u64::from_le_bytes(b) as i64)?)),
        _ => Data::I64(Arc::new(each(raw, |[b]: [u8; 1]| i64::from(b))?)),
    })
}

/// Reads `bytes` bytes of a file in the model's folder; nothing outside it is opened.
fn external(stored: &proto::Tensor, folder: Option<&Path>, bytes: usize) -> Result<Bytes> {
    let name = &stored.name;
    let entry = |key: &str| stored.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let number = |key: &str| entry(key).map(str::parse::<u64>).transpose();
    let folder = folder.ok_or_else(|| Error::model(format!("the tensor {name:?} lies in another file")))?;
    let location = entry("location").unwrap_or_default();
    let relative = Path::new(location);
    let inside =
        !location.is_empty() && relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(Error::model(format!("the tensor {name:?} lies in {location:?}, outside the folder of the model")));
    }
    let (Ok(offset), Ok(length)) = (number("offset"), number("length")) else {
        return Err(Error::model(format!("the tensor {name:?} lies at no readable place of {location:?}")));
    };
    if length.is_some_and(|length| length != bytes as u64) {
        return Err(Error::model(format!(
            "the tensor {name:?} needs {bytes} bytes, not those promised in {location:?}"
        )));
    }
    let path = fs::inside(folder, relative)
        .map_err(|e| Error::model(format!("the tensor {name:?} cannot be read")).because(e))?;
    fs::read_range(&path, offset.unwrap_or(0), bytes)
        .map(Bytes::from)
        .map_err(|e| Error::model(format!("the tensor {name:?} cannot be read")).because(e))
}

/// Decodes one message, with a sentence that names what it should have been.
pub(super) fn decode<T: Message + Default>(bytes: Bytes, what: &str) -> Result<T> {
    T::decode(bytes).map_err(|e| Error::model(format!("this is no ONNX model: {what} cannot be read")).because(e))
}
