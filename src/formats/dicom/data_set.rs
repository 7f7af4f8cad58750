//! Elements of a data set, found in one pass over the bytes that allocates nothing a length asks for (PS3.5, chapter 7).
//!
//! Values are slices of the input and sequences are walked only when asked for, so a damaged length costs nothing: it
//! either lies within its enclosure or is refused.

use std::borrow::Cow;

use super::tags::{self, ITEM, ITEM_END, SEQUENCE_END, Tag};

/// Nested sequences of undefined length beyond this depth are refused; real files stay below ten.
const MAX_DEPTH: usize = 64;
const UNDEFINED: u32 = u32::MAX;
const UNKNOWN: [u8; 2] = *b"UN";

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

impl Encoding {
    pub(super) const IMPLICIT: Self = Self { explicit: false, big_endian: false };
    pub(super) const EXPLICIT: Self = Self { explicit: true, big_endian: false };
    pub(super) const BIG_ENDIAN: Self = Self { explicit: true, big_endian: true };
}

/// Why a pass over the bytes ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end before `end`, where the element of `tag` would.
    Short { tag: Tag, end: u64 },
    /// The bytes make no sense.
    Malformed(String),
}

impl Fault {
    /// One sentence; `len` is the number of bytes that are there.
    pub(super) fn message(&self, len: u64) -> String {
        match self {
            Self::Short { tag, end } => format!(
                "element {} would end at byte {end} of its enclosure, which has {len}: the file is cut off or the \
                 length is wrong",
                tags::name(*tag)
            ),
            Self::Malformed(message) => message.clone(),
        }
    }
}

/// One element: its value as stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    /// `UN` where the file does not say.
    pub(super) vr: [u8; 2],
    pub(super) bytes: &'a [u8],
    /// How the items of a sequence are written.
    encoding: Encoding,
}

/// Where the samples start: they end the pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples {
    pub(super) tag: Tag,
    pub(super) vr: [u8; 2],
    /// Byte at which the value starts.
    pub(super) start: usize,
    /// Bytes of native samples; `None` for encapsulated ones.
    pub(super) len: Option<u32>,
}

/// What a pass over a data set found.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) data_set: DataSet<'a>,
    pub(super) samples: Option<Samples>,
    /// Set when the pass ended before the bytes did, other than at the samples.
    pub(super) fault: Option<Fault>,
}

/// Elements in the order of the file.
#[derive(Debug, Default)]
pub(super) struct DataSet<'a> {
    elements: Vec<Element<'a>>,
}

/// Reads the elements of a data set up to its samples.
pub(super) fn parse(bytes: &[u8], encoding: Encoding) -> Parsed<'_> {
    let mut cursor = Cursor { bytes, at: 0, encoding };
    let mut elements = Vec::new();
    let mut samples = None;
    let mut fault = None;
    while cursor.at < bytes.len() {
        let head = match cursor.head() {
            Ok(head) => head,
            Err(e) => {
                fault = Some(e);
                break;
            }
        };
        if [tags::PIXEL_DATA, tags::FLOAT_PIXEL_DATA, tags::DOUBLE_PIXEL_DATA].contains(&head.tag) {
            let len = (head.len != UNDEFINED).then_some(head.len);
            samples = Some(Samples { tag: head.tag, vr: head.vr, start: cursor.at, len });
            break;
        }
        match cursor.value(head, 0) {
            Ok(element) => elements.push(element),
            Err(e) => {
                fault = Some(e);
                break;
            }
        }
    }
    Parsed { data_set: DataSet { elements }, samples, fault }
}

/// The elements of group 2, always explicit and little-endian, and the number of bytes they take.
pub(super) fn parse_meta(bytes: &[u8]) -> (DataSet<'_>, usize) {
    let mut cursor = Cursor { bytes, at: 0, encoding: Encoding::EXPLICIT };
    let mut elements = Vec::new();
    loop {
        let start = cursor.at;
        let element = cursor.head().and_then(|head| match head.tag >> 16 {
            2 => cursor.value(head, 0),
            _ => Err(Fault::Malformed(String::new())),
        });
        match element {
            Ok(element) => elements.push(element),
            Err(_) => return (DataSet { elements }, start),
        }
    }
}

/// The fragments of an encapsulated value that starts at the first item; the first one is the offset table.
///
/// A missing delimiter at the very end is forgiven.
pub(super) fn fragments(bytes: &[u8], big_endian: bool) -> Result<Vec<&[u8]>, Fault> {
    let mut cursor = Cursor { bytes, at: 0, encoding: Encoding { explicit: true, big_endian } };
    let mut fragments = Vec::new();
    while cursor.at < bytes.len() {
        let tag = cursor.tag()?;
        let len = cursor.u32(tag)?;
        match tag {
            SEQUENCE_END => break,
            ITEM if len != UNDEFINED => fragments.push(cursor.take(len as usize, tags::PIXEL_DATA)?),
            _ => return Err(out_of_place(tag)),
        }
    }
    Ok(fragments)
}

fn out_of_place(tag: Tag) -> Fault {
    Fault::Malformed(format!("{} stands where an item should", tags::name(tag)))
}

struct Head {
    tag: Tag,
    vr: [u8; 2],
    len: u32,
    /// How items within are written.
    nested: Encoding,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize, tag: Tag) -> Result<&'a [u8], Fault> {
        let end = self.at.saturating_add(len);
        let bytes = self.bytes.get(self.at..end).ok_or(Fault::Short { tag, end: end as u64 })?;
        self.at = end;
        Ok(bytes)
    }

    fn u16(&mut self, tag: Tag) -> Result<u16, Fault> {
        let b = self.take(2, tag)?;
        Ok(if self.encoding.big_endian { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) })
    }

    fn u32(&mut self, tag: Tag) -> Result<u32, Fault> {
        let bytes = self.take(4, tag)?;
        Ok(u32_of(bytes, self.encoding.big_endian))
    }

    fn tag(&mut self) -> Result<Tag, Fault> {
        let group = self.u16(0)?;
        let element = self.u16(Tag::from(group) << 16)?;
        Ok(Tag::from(group) << 16 | Tag::from(element))
    }

    /// Tag, value representation and length. An element without a value representation among explicit ones is read as
    /// an implicit one, as pydicom does.
    fn head(&mut self) -> Result<Head, Fault> {
        let tag = self.tag()?;
        if tag >> 16 == 0xfffe {
            return Err(Fault::Malformed(format!("the delimiter {} is out of place", tags::name(tag))));
        }
        let mut nested = self.encoding;
        let vr = match self.bytes.get(self.at..self.at + 2) {
            Some(&[a, b]) if self.encoding.explicit && a.is_ascii_uppercase() && b.is_ascii_uppercase() => [a, b],
            _ => {
                nested.explicit = false;
                return Ok(Head { tag, vr: UNKNOWN, len: self.u32(tag)?, nested });
            }
        };
        self.at += 2;
        let len = if has_long_length(vr) {
            self.take(2, tag)?;
            self.u32(tag)?
        } else {
            u32::from(self.u16(tag)?)
        };
        if vr == UNKNOWN {
            nested = Encoding::IMPLICIT;
        }
        Ok(Head { tag, vr, len, nested })
    }

    fn value(&mut self, head: Head, depth: usize) -> Result<Element<'a>, Fault> {
        let Head { tag, vr, len, nested } = head;
        let start = self.at;
        let bytes = if len == UNDEFINED {
            let outer = std::mem::replace(&mut self.encoding, nested);
            let end = self.skip_sequence(tag, depth + 1)?;
            self.encoding = outer;
            &self.bytes[start..end]
        } else {
            self.take(len as usize, tag)?
        };
        Ok(Element { tag, vr, bytes, encoding: nested })
    }

    /// Moves behind a sequence of undefined length and returns where its last item ends.
    fn skip_sequence(&mut self, tag: Tag, depth: usize) -> Result<usize, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Malformed(format!("sequences are nested deeper than {MAX_DEPTH}")));
        }
        loop {
            let end = self.at;
            let item = self.tag()?;
            let len = self.u32(tag)?;
            match item {
                SEQUENCE_END => return Ok(end),
                ITEM if len == UNDEFINED => self.skip_item(depth)?,
                ITEM => drop(self.take(len as usize, tag)?),
                _ => return Err(out_of_place(item)),
            }
        }
    }

    fn skip_item(&mut self, depth: usize) -> Result<(), Fault> {
        loop {
            let start = self.at;
            if self.tag()? == ITEM_END {
                self.u32(ITEM_END)?;
                return Ok(());
            }
            self.at = start;
            let head = self.head()?;
            self.value(head, depth)?;
        }
    }
}

/// Value representations with a 32-bit length after two reserved bytes (PS3.5, table 7.1-1).
fn has_long_length(vr: [u8; 2]) -> bool {
    const LONG: [&[u8; 2]; 13] =
        [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];
    LONG.contains(&&vr)
}

fn u32_of(bytes: &[u8], big_endian: bool) -> u32 {
    let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

impl<'a> Element<'a> {
    /// The text without padding; bytes that are no UTF-8 are taken for Latin-1.
    pub(super) fn text(&self) -> Cow<'a, str> {
        let padding = |c: char| c == '\0' || c.is_ascii_whitespace();
        match std::str::from_utf8(self.bytes) {
            Ok(text) => Cow::Borrowed(text.trim_matches(padding)),
            Err(_) => {
                let text: String = self.bytes.iter().map(|&b| char::from(b)).collect();
                Cow::Owned(text.trim_matches(padding).to_owned())
            }
        }
    }

    fn numbers(&self) -> Result<Vec<f64>, String> {
        let big = self.encoding.big_endian;
        match &self.vr {
            b"FD" => Ok(self.bytes.chunks_exact(8).map(|b| f64_of(b, big)).collect()),
            b"FL" => Ok(self.bytes.chunks_exact(4).map(|b| f64::from(f32::from_bits(u32_of(b, big)))).collect()),
            _ => {
                let text = self.text();
                if text.is_empty() {
                    return Ok(Vec::new());
                }
                let number = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite());
                text.split('\\').map(number).collect::<Option<_>>().ok_or_else(|| {
                    format!("{} holds {:?}, which is no list of numbers", tags::name(self.tag), shortened(&text))
                })
            }
        }
    }
}

fn f64_of(bytes: &[u8], big_endian: bool) -> f64 {
    let mut array = [0; 8];
    array.copy_from_slice(bytes);
    if big_endian { f64::from_be_bytes(array) } else { f64::from_le_bytes(array) }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

impl<'a> DataSet<'a> {
    pub(super) fn get(&self, tag: Tag) -> Option<&Element<'a>> {
        self.elements.iter().find(|element| element.tag == tag)
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
        let element = self.get(tag)?;
        (element.bytes.len() == 8).then(|| f64_of(element.bytes, element.encoding.big_endian))
    }

    /// A whole number written as text (IS).
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.text(tag)?.parse().ok()
    }

    /// A binary whole number of two or four bytes (US, SS, UL).
    pub(super) fn unsigned(&self, tag: Tag) -> Option<u32> {
        let element = self.get(tag)?;
        let (b, big) = (element.bytes, element.encoding.big_endian);
        match b.len() {
            2 => Some(u32::from(if big { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) })),
            4 => Some(u32_of(b, big)),
            _ => None,
        }
    }

    /// The items of a sequence; empty when absent.
    pub(super) fn items(&self, tag: Tag) -> Result<Vec<DataSet<'a>>, String> {
        let Some(element) = self.get(tag) else { return Ok(Vec::new()) };
        element.items().map_err(|fault| {
            format!("the sequence {} is damaged: {}", tags::name(tag), fault.message(element.bytes.len() as u64))
        })
    }

    /// The first item of a sequence.
    pub(super) fn item(&self, tag: Tag) -> Result<Option<DataSet<'a>>, String> {
        Ok(self.items(tag)?.into_iter().next())
    }
}

impl<'a> Element<'a> {
    fn items(&self) -> Result<Vec<DataSet<'a>>, Fault> {
        let mut cursor = Cursor { bytes: self.bytes, at: 0, encoding: self.encoding };
        let mut items = Vec::new();
        while cursor.at < self.bytes.len() {
            let tag = cursor.tag()?;
            let len = cursor.u32(tag)?;
            match tag {
                SEQUENCE_END => break,
                ITEM if len == UNDEFINED => items.push(cursor.open_item()?),
                ITEM => {
                    let parsed = parse(cursor.take(len as usize, tag)?, self.encoding);
                    if let Some(fault) = parsed.fault {
                        return Err(fault);
                    }
                    items.push(parsed.data_set);
                }
                _ => return Err(out_of_place(tag)),
            }
        }
        Ok(items)
    }
}

impl<'a> Cursor<'a> {
    /// The elements of an item of undefined length.
    fn open_item(&mut self) -> Result<DataSet<'a>, Fault> {
        let mut elements = Vec::new();
        loop {
            let start = self.at;
            if self.tag()? == ITEM_END {
                self.u32(ITEM_END)?;
                return Ok(DataSet { elements });
            }
            self.at = start;
            let head = self.head()?;
            elements.push(self.value(head, 0)?);
        }
    }
}
