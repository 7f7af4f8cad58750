//! Writing an entry of `metadata_props` into an ONNX file, every other byte untouched.

use prost::Message;
use prost::bytes::Bytes;

use super::proto::{Entry, Model};
use super::tensor::decode;
use crate::error::{Error, Result};

/// Field number of `ModelProto.metadata_props`.
const METADATA_PROPS: u64 = 14;

/// The bytes of an ONNX file with `metadata_props[key] = value`; an earlier entry of that key goes, all else stays as it is.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when the bytes are no ONNX file.
pub fn set_metadata(bytes: &[u8], key: &str, value: &str) -> Result<Vec<u8>> {
    let model: Model = decode(Bytes::copy_from_slice(bytes), "the file")?;
    if model.graph.is_none() {
        return Err(Error::model("this is no ONNX model: it holds no graph"));
    }
    let mut out = Vec::with_capacity(bytes.len() + key.len() + value.len() + 32);
    let mut rest = bytes;
    while !rest.is_empty() {
        let field = Field::read(rest).ok_or_else(|| Error::model("this is no ONNX model: it is cut off"))?;
        let same = field.number == METADATA_PROPS && Entry::decode(field.content).is_ok_and(|entry| entry.key == key);
        if !same {
            out.extend_from_slice(&rest[..field.length]);
        }
        rest = &rest[field.length..];
    }
    let entry = Entry { key: key.to_owned(), value: value.to_owned() };
    prost::encoding::message::encode(14, &entry, &mut out);
    Ok(out)
}

/// A field of a protobuf message.
struct Field<'a> {
    number: u64,
    /// Content of a length-delimited field, else empty.
    content: &'a [u8],
    /// Bytes of the whole field.
    length: usize,
}

impl<'a> Field<'a> {
    /// The field at the start of `bytes` (protobuf encoding: key, then a varint, 8 bytes, a length and bytes, or 4 bytes).
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let key = prost::encoding::decode_varint(&mut rest).ok()?;
        let number = key >> 3;
        let (skipped, content) = match key & 7 {
            0 => (0, prost::encoding::decode_varint(&mut rest).ok().map(|_| 0)?),
            1 => (8, 0),
            2 => (0, usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?),
            5 => (4, 0),
            _ => return None,
        };
        let content = rest.get(skipped..)?.get(..content)?;
        let length = bytes.len() - rest.len() + skipped + content.len();
        Some(Self { number, content, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::graph::Graph;

    fn model() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/onnx/operators/conv2d_k3.onnx");
        std::fs::read(path).unwrap()
    }

    #[test]
    fn an_entry_is_added_replaced_and_alone_changes() {
        let bytes = model();
        let once = set_metadata(&bytes, "unet_vol.spec", "first ä").unwrap();
        assert!(once.starts_with(&bytes));
        let twice = set_metadata(&set_metadata(&once, "other", "kept").unwrap(), "unet_vol.spec", "second").unwrap();
        let graph = Graph::parse(twice).unwrap();
        assert_eq!(graph.metadata()["unet_vol.spec"], "second");
        assert_eq!(graph.metadata()["other"], "kept");
        assert_eq!(graph.metadata().len(), 2);
        let plain = Graph::parse(bytes).unwrap();
        assert_eq!(graph.network(&[vec![1, 3, 5, 5]]).unwrap(), plain.network(&[vec![1, 3, 5, 5]]).unwrap());
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for bytes in [&b""[..], b"not a model", &model()[..300]] {
            let error = set_metadata(bytes, "key", "value").unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Model, "{error}");
        }
    }
}
