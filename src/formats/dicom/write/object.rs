//! A data set in the making.

use std::io::Write;
use std::path::Path;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_encoding::encode::EncoderFor;
use dicom_encoding::encode::explicit_le::ExplicitVRLittleEndianEncoder;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, StandardDataDictionary};

use super::attributes::{Attribute, SOP_CLASS, SOP_INSTANCE};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{self, Overwrite};

/// Implicit little endian, in which texts may be longer than 64 KiB.
pub(super) const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Names this program in the file meta information (PS3.7, D.3.3.2); derived from a UUID (PS3.5, B.2).
const IMPLEMENTATION: &str = "2.25.134569267298242408887518249411064858062";
const IMPLEMENTATION_VERSION: &str = concat!("UNET_VOL_", env!("CARGO_PKG_VERSION"));

/// Elements, written in the order of their tags whatever the order in which they are put.
#[derive(Debug, Clone)]
pub(super) struct Object {
    elements: InMemDicomObject<StandardDataDictionary>,
    /// Large elements behind all others, each with its header.
    tail: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Default for Object {
    fn default() -> Self {
        Self { elements: InMemDicomObject::new_empty(), tail: Vec::new() }
    }
}

impl Object {
    fn put(mut self, attribute: Attribute, value: PrimitiveValue) -> Self {
        self.elements.put(DataElement::new(attribute.tag(), attribute.1, value));
        self
    }

    /// Text; of a character set other than ASCII it must be that of the object (see [`super::common::Repertoire`]).
    pub(super) fn text(self, attribute: Attribute, text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_ascii() {
            return self.put(attribute, PrimitiveValue::from(text));
        }
        self.bytes(attribute, text.into_bytes())
    }

    /// Text of any character set: bytes as they are, padded to an even number.
    pub(super) fn bytes(self, attribute: Attribute, mut bytes: Vec<u8>) -> Self {
        // `dicom-object` would write the bytes of numeric text as a list of numbers.
        if matches!(attribute.1, VR::DS | VR::IS) {
            return self.text(attribute, bytes.into_iter().filter(u8::is_ascii).map(char::from).collect::<String>());
        }
        if !bytes.len().is_multiple_of(2) {
            bytes.push(attribute.padding());
        }
        self.put(attribute, PrimitiveValue::from(bytes))
    }

    /// Nothing: the attribute is there, its value is not known.
    pub(super) fn empty(self, attribute: Attribute) -> Self {
        self.put(attribute, PrimitiveValue::Empty)
    }

    /// Binary numbers of two bytes (US).
    pub(super) fn words(self, attribute: Attribute, words: &[u16]) -> Self {
        self.put(attribute, PrimitiveValue::U16(words.into()))
    }

    /// Binary numbers of four bytes (UL).
    pub(super) fn longs(self, attribute: Attribute, longs: &[u32]) -> Self {
        self.put(attribute, PrimitiveValue::U32(longs.into()))
    }

    /// Tags (AT).
    pub(super) fn pointer(self, attribute: Attribute, to: Attribute) -> Self {
        self.put(attribute, PrimitiveValue::from(to.tag()))
    }

    /// A sequence.
    pub(super) fn items(mut self, attribute: Attribute, items: impl IntoIterator<Item = Self>) -> Self {
        let items: Vec<_> = items.into_iter().map(|item| item.elements).collect();
        self.elements.put(DataElement::new(attribute.tag(), attribute.1, DataSetSequence::from(items)));
        self
    }

    /// A large element of a VR whose length has four bytes, such as samples or a sequence of items that
    /// [`Object::encoded`] wrote. It must be put in the order of tags and follow all other elements.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when it is longer than an element can be.
    pub(super) fn large(mut self, attribute: Attribute, mut value: Vec<u8>) -> Result<Self> {
        if !value.len().is_multiple_of(2) {
            value.push(0);
        }
        let len = u32::try_from(value.len()).ok().filter(|&len| len < u32::MAX);
        let len = len.ok_or_else(|| Error::unsupported("an element of more than 4 GiB cannot be written"))?;
        let Tag(group, element) = attribute.tag();
        let mut header = [group.to_le_bytes(), element.to_le_bytes(), attribute.1.to_bytes(), [0; 2]].concat();
        header.extend(len.to_le_bytes());
        self.tail.push((header, value));
        Ok(self)
    }

    /// The object as an item of a sequence, in the bytes of explicit little endian.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it cannot be encoded.
    pub(super) fn encoded(&self) -> Result<Vec<u8>> {
        let mut item = vec![0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0];
        let encoder = EncoderFor::new(ExplicitVRLittleEndianEncoder::default());
        self.elements
            .write_dataset(&mut item, encoder)
            .map_err(|e| Error::internal("an item has no encoding").because(e))?;
        let len = u32::try_from(item.len() - 8).map_err(|e| Error::internal("an item is too long").because(e))?;
        item[4..8].copy_from_slice(&len.to_le_bytes());
        Ok(item)
    }

    /// The same without this attribute.
    pub(super) fn without(mut self, attribute: Attribute) -> Self {
        self.elements.remove_element(attribute.tag());
        self
    }

    /// Writes the object as a file in explicit little endian; it appears whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the file exists and must not be replaced; [`ErrorKind::Output`] when it cannot be
    /// written.
    pub(super) fn write(self, path: &Path, overwrite: Overwrite) -> Result<()> {
        self.write_as(EXPLICIT_LITTLE_ENDIAN, path, overwrite)
    }

    /// The same in another native transfer syntax, for an object without [`Object::encoded_items`].
    ///
    /// # Errors
    /// As [`Object::write`].
    pub(super) fn write_as(self, syntax: &str, path: &Path, overwrite: Overwrite) -> Result<()> {
        let text = |attribute: Attribute| {
            self.elements
                .get(attribute.tag())
                .and_then(|element| element.to_str().ok())
                .unwrap_or_default()
                .into_owned()
        };
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid(text(SOP_CLASS))
            .media_storage_sop_instance_uid(text(SOP_INSTANCE))
            .transfer_syntax(syntax)
            .implementation_class_uid(IMPLEMENTATION)
            .implementation_version_name(IMPLEMENTATION_VERSION)
            .build()
            .map_err(|e| Error::internal("the file meta information has no encoding").because(e))?;
        let file = self.elements.with_exact_meta(meta);
        fs::write_atomic(path, overwrite, |output| {
            let failed = |e| Error::new(ErrorKind::Output, "cannot be written").at(path).because(e);
            file.write_all(&mut *output).map_err(failed)?;
            let mut parts = self.tail.iter().flat_map(|(header, value)| [header, value]);
            parts.try_for_each(|part| output.write_all(part).map_err(|e| fs::unwritable(path, e)))
        })
    }
}

impl Attribute {
    fn tag(self) -> Tag {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a tag")]
        let halves = ((self.0 >> 16) as u16, self.0 as u16);
        Tag(halves.0, halves.1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{
        PATIENT_NAME, PATIENT_WEIGHT, PER_FRAME_GROUPS, REFERENCED_SOP_CLASS, SERIES_DESCRIPTION,
    };
    use super::*;

    #[test]
    fn large_elements_and_foreign_text_are_written_as_they_are() {
        let item = Object::default().text(REFERENCED_SOP_CLASS, "1.2.3");
        let bytes = item.encoded().unwrap();
        assert_eq!(bytes, b"\xfe\xff\x00\xe0\x0e\0\0\0\x08\0\x50\x11UI\x06\x001.2.3\0");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dcm");
        let object = Object::default()
            .text(SOP_CLASS, "1.2")
            .text(SOP_INSTANCE, "1.2.4")
            .text(SERIES_DESCRIPTION, "Kopf-MRT: Kleinhirnbrücke")
            .bytes(PATIENT_NAME, b"M\xfcller".to_vec())
            .bytes(PATIENT_WEIGHT, b"72.5747 ".to_vec())
            .large(PER_FRAME_GROUPS, [bytes.clone(), bytes.clone()].concat())
            .unwrap();
        object.write(&path, Overwrite::Refuse).unwrap();
        let written = std::fs::read(&path).unwrap();
        let holds = |part: &[u8]| written.windows(part.len()).any(|window| window == part);
        assert_eq!(&written[128..132], b"DICM");
        assert!(holds(b"\x10\0\x10\0PN\x06\0M\xfcller"));
        assert!(holds(b"\x10\0\x30\x10DS\x08\x0072.5747 "));
        assert!(holds("LO\x1a\0Kopf-MRT: Kleinhirnbrücke".as_bytes()));
        let tail = [b"\0\x52\x30\x92SQ\0\0\x2c\0\0\0", bytes.as_slice(), bytes.as_slice()].concat();
        assert!(written.ends_with(&tail));
    }
}
