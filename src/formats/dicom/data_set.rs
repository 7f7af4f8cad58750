//! Elements and their values.

use std::borrow::Cow;

use super::encoding::{self, Encoding};
use super::tags::{self, Tag};

/// One element: its value as stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    /// `UN` where the file does not say.
    pub(super) vr: [u8; 2],
    pub(super) bytes: &'a [u8],
    /// How the items of a sequence are written; the byte order of everything else.
    pub(super) encoding: Encoding,
}

impl<'a> Element<'a> {
    /// The text without padding; bytes that are no UTF-8 are taken for Latin-1.
    fn text(&self) -> Cow<'a, str> {
        let padding = |c: char| c == '\0' || c.is_ascii_whitespace();
        match std::str::from_utf8(self.bytes) {
            Ok(text) => Cow::Borrowed(text.trim_matches(padding)),
            Err(_) => {
                let text: String = self.bytes.iter().map(|&b| char::from(b)).collect();
                Cow::Owned(text.trim_matches(padding).to_owned())
            }
        }
    }

    fn doubles(&self) -> Vec<f64> {
        self.bytes.as_chunks().0.iter().map(|&bytes| f64::from_bits(self.encoding.u64(bytes))).collect()
    }

    fn floats(&self) -> Vec<f64> {
        self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_bits(self.encoding.u32(bytes)).into()).collect()
    }

    fn numbers(&self) -> Result<Vec<f64>, String> {
        let text = self.text();
        let values: Option<Vec<f64>> = match &self.vr {
            b"FD" => Some(self.doubles()),
            b"FL" => Some(self.floats()),
            _ if text.is_empty() => Some(Vec::new()),
            _ => text.split('\\').map(|part| part.trim().parse().ok()).collect(),
        };
        values.filter(|values| values.iter().all(|value| value.is_finite())).ok_or_else(|| {
            let start: String = text.chars().take(40).collect();
            format!("{} holds {start:?}, which is no list of numbers", tags::name(self.tag))
        })
    }
}

/// Elements in the order of the file.
#[derive(Debug)]
pub(super) struct DataSet<'a>(Vec<Element<'a>>);

impl<'a> DataSet<'a> {
    pub(super) fn new(elements: Vec<Element<'a>>) -> Self {
        Self(elements)
    }

    pub(super) fn get(&self, tag: Tag) -> Option<&Element<'a>> {
        self.0.iter().find(|element| element.tag == tag)
    }

    /// Text without padding; `None` when absent or empty.
    pub(super) fn text(&self, tag: Tag) -> Option<Cow<'a, str>> {
        self.get(tag).map(Element::text).filter(|text| !text.is_empty())
    }

    /// The same, empty when absent.
    pub(super) fn string(&self, tag: Tag) -> String {
        self.text(tag).map_or_else(String::new, Cow::into_owned)
    }

    /// Numbers, as text (DS, IS) or binary (FD, FL, where the file says so); empty when absent.
    pub(super) fn numbers(&self, tag: Tag) -> Result<Vec<f64>, String> {
        self.get(tag).map_or(Ok(Vec::new()), Element::numbers)
    }

    /// The first of the numbers.
    pub(super) fn number(&self, tag: Tag) -> Result<Option<f64>, String> {
        Ok(self.numbers(tag)?.first().copied())
    }

    /// A binary double, which implicit files do not tell from text.
    pub(super) fn double(&self, tag: Tag) -> Option<f64> {
        self.get(tag).and_then(|element| element.doubles().first().copied()).filter(|value| value.is_finite())
    }

    /// A whole number written as text (IS).
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.text(tag)?.parse().ok()
    }

    /// A binary whole number of two or four bytes (US, SS, UL).
    pub(super) fn unsigned(&self, tag: Tag) -> Option<u32> {
        let element = self.get(tag)?;
        match *element.bytes {
            [a, b] => Some(element.encoding.u16([a, b]).into()),
            [a, b, c, d] => Some(element.encoding.u32([a, b, c, d])),
            _ => None,
        }
    }

    /// Binary whole numbers of two bytes (US); empty when absent.
    pub(super) fn words(&self, tag: Tag) -> Vec<u16> {
        let words =
            |element: &Element<'_>| element.bytes.as_chunks().0.iter().map(|&b| element.encoding.u16(b)).collect();
        self.get(tag).map_or_else(Vec::new, words)
    }

    /// The items of a sequence; empty when absent.
    pub(super) fn items(&self, tag: Tag) -> Result<Vec<DataSet<'a>>, String> {
        let Some(element) = self.get(tag) else { return Ok(Vec::new()) };
        encoding::items(element).map_err(|fault| {
            format!("the sequence {} is damaged: {}", tags::name(tag), fault.message(element.bytes.len() as u64))
        })
    }

    /// The first item of a sequence.
    pub(super) fn item(&self, tag: Tag) -> Result<Option<DataSet<'a>>, String> {
        Ok(self.items(tag)?.into_iter().next())
    }
}
