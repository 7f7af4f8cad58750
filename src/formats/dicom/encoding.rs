//! One pass over the bytes of a data set that allocates nothing a length asks for (PS3.5, chapter 7).
//!
//! Values are slices of the input and sequences are walked only when asked for, so a damaged length costs nothing: it
//! either lies within its enclosure or is refused.

use super::data_set::{DataSet, Element};
use super::tags::{self, ITEM, ITEM_END, SEQUENCE_END, Tag};

/// Nested sequences of undefined length beyond this depth are refused; real files stay below ten.
const MAX_DEPTH: usize = 64;
const UNDEFINED: u32 = u32::MAX;
/// The value representation of what the file does not describe.
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

    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }
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

/// Reads the elements of a data set up to its samples.
pub(super) fn parse(bytes: &[u8], encoding: Encoding) -> Parsed<'_> {
    let mut cursor = Cursor { bytes, at: 0, encoding };
    let mut elements = Vec::new();
    let (samples, fault) = match cursor.elements(&mut elements) {
        Ok(samples) => (samples, None),
        Err(fault) => (None, Some(fault)),
    };
    Parsed { data_set: DataSet::new(elements), samples, fault }
}

/// The elements of group 2, always explicit and little-endian, and the number of bytes they take.
pub(super) fn parse_meta(bytes: &[u8]) -> (DataSet<'_>, usize) {
    let mut cursor = Cursor { bytes, at: 0, encoding: Encoding::EXPLICIT };
    let mut elements = Vec::new();
    loop {
        let start = cursor.at;
        match cursor.head() {
            Ok(head) if head.tag >> 16 == 2 => match cursor.value(&head, 0) {
                Ok(element) => elements.push(element),
                Err(_) => return (DataSet::new(elements), start),
            },
            _ => return (DataSet::new(elements), start),
        }
    }
}

/// The items of a sequence.
pub(super) fn items<'a>(element: &Element<'a>) -> Result<Vec<DataSet<'a>>, Fault> {
    let mut cursor = Cursor { bytes: element.bytes, at: 0, encoding: element.encoding };
    let mut items = Vec::new();
    while let Some(len) = cursor.item()? {
        if len == UNDEFINED {
            items.push(DataSet::new(cursor.open_item()?));
            continue;
        }
        let parsed = parse(cursor.take(len, 0)?, element.encoding);
        match parsed.fault {
            Some(fault) => return Err(fault),
            None => items.push(parsed.data_set),
        }
    }
    Ok(items)
}

/// The fragments of an encapsulated value that starts at the first item; the first one is the offset table.
///
/// A missing delimiter at the very end is forgiven.
pub(super) fn fragments(bytes: &[u8], encoding: Encoding) -> Result<Vec<&[u8]>, Fault> {
    let mut cursor = Cursor { bytes, at: 0, encoding };
    let mut fragments = Vec::new();
    while let Some(len) = cursor.item()? {
        fragments.push(cursor.take(len, tags::PIXEL_DATA)?);
    }
    Ok(fragments)
}

/// An element before its value.
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
    /// The next `len` bytes, which belong to the element of `tag`.
    fn take(&mut self, len: u32, tag: Tag) -> Result<&'a [u8], Fault> {
        let end = self.at.saturating_add(len as usize);
        let bytes = self.bytes.get(self.at..end).ok_or(Fault::Short { tag, end: end as u64 })?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, tag: Tag) -> Result<[u8; N], Fault> {
        let short = Fault::Short { tag, end: (self.at + N) as u64 };
        let array = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk).copied().ok_or(short)?;
        self.at += N;
        Ok(array)
    }

    fn u16(&mut self, tag: Tag) -> Result<u16, Fault> {
        Ok(self.encoding.u16(self.array(tag)?))
    }

    fn u32(&mut self, tag: Tag) -> Result<u32, Fault> {
        Ok(self.encoding.u32(self.array(tag)?))
    }

    fn tag(&mut self) -> Result<Tag, Fault> {
        let group = Tag::from(self.u16(0)?) << 16;
        Ok(group | Tag::from(self.u16(group)?))
    }

    /// Elements up to the samples or the end of the bytes.
    fn elements(&mut self, elements: &mut Vec<Element<'a>>) -> Result<Option<Samples>, Fault> {
        while self.at < self.bytes.len() {
            let head = self.head()?;
            if [tags::PIXEL_DATA, tags::FLOAT_PIXEL_DATA, tags::DOUBLE_PIXEL_DATA].contains(&head.tag) {
                let len = (head.len != UNDEFINED).then_some(head.len);
                return Ok(Some(Samples { tag: head.tag, vr: head.vr, start: self.at, len }));
            }
            elements.push(self.value(&head, 0)?);
        }
        Ok(None)
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

    fn value(&mut self, head: &Head, depth: usize) -> Result<Element<'a>, Fault> {
        let &Head { tag, vr, len, nested } = head;
        let start = self.at;
        let bytes = if len == UNDEFINED {
            let outer = std::mem::replace(&mut self.encoding, nested);
            let end = self.skip_sequence(depth + 1)?;
            self.encoding = outer;
            &self.bytes[start..end]
        } else {
            self.take(len, tag)?
        };
        Ok(Element { tag, vr, bytes, encoding: nested })
    }

    /// The length of the next item; `None` at the end of its sequence.
    fn item(&mut self) -> Result<Option<u32>, Fault> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let tag = self.tag()?;
        let len = self.u32(tag)?;
        match tag {
            ITEM => Ok(Some(len)),
            SEQUENCE_END => Ok(None),
            _ => Err(Fault::Malformed(format!("{} stands where an item should", tags::name(tag)))),
        }
    }

    /// Moves behind a sequence of undefined length and returns where its last item ends.
    fn skip_sequence(&mut self, depth: usize) -> Result<usize, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Malformed(format!("sequences are nested deeper than {MAX_DEPTH}")));
        }
        loop {
            let end = self.at;
            match self.item()? {
                None if end == self.bytes.len() => return Err(Fault::Short { tag: SEQUENCE_END, end: end as u64 + 8 }),
                None => return Ok(end),
                Some(UNDEFINED) => while self.next_in_item(depth)?.is_some() {},
                Some(len) => drop(self.take(len, ITEM)?),
            }
        }
    }

    /// The elements of an item of undefined length.
    fn open_item(&mut self) -> Result<Vec<Element<'a>>, Fault> {
        let mut elements = Vec::new();
        while let Some(element) = self.next_in_item(0)? {
            elements.push(element);
        }
        Ok(elements)
    }

    /// The next element of an item of undefined length; `None` at its end.
    fn next_in_item(&mut self, depth: usize) -> Result<Option<Element<'a>>, Fault> {
        let start = self.at;
        if self.tag()? == ITEM_END {
            self.u32(ITEM_END)?;
            return Ok(None);
        }
        self.at = start;
        let head = self.head()?;
        self.value(&head, depth).map(Some)
    }
}

/// Value representations with a 32-bit length after two reserved bytes (PS3.5, table 7.1-1).
fn has_long_length(vr: [u8; 2]) -> bool {
    const LONG: [&[u8; 2]; 13] =
        [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];
    LONG.contains(&&vr)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two explicit elements, the first one a sequence of undefined length with an open and a closed item.
    const BYTES: &[u8] = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\
        \xfe\xff\x00\xe0\xff\xff\xff\xff\x08\x00\x60\x00CS\x02\x00MR\xfe\xff\x0d\xe0\0\0\0\0\
        \xfe\xff\x00\xe0\x0a\0\0\0\x08\x00\x60\x00CS\x02\x00CT\xfe\xff\xdd\xe0\0\0\0\0\
        \x28\x00\x10\x00US\x02\x00\x05\x01";

    #[test]
    fn sequences_of_either_kind_of_length_are_walked() {
        let parsed = parse(BYTES, Encoding::EXPLICIT);
        assert_eq!(parsed.fault, None);
        assert_eq!(parsed.data_set.unsigned(tags::ROWS), Some(0x0105));
        let items = parsed.data_set.items(0x0040_0275).unwrap();
        let modalities: Vec<_> = items.iter().map(|item| item.string(tags::MODALITY)).collect();
        assert_eq!(modalities, ["MR", "CT"]);
    }

    #[test]
    fn every_cut_is_short_or_keeps_whole_elements() {
        for len in 0..BYTES.len() {
            let parsed = parse(&BYTES[..len], Encoding::EXPLICIT);
            match parsed.fault {
                None => assert!([0, BYTES.len() - 10].contains(&len), "{len}"),
                Some(Fault::Short { end, .. }) => assert!(end > len as u64),
                Some(Fault::Malformed(message)) => panic!("{len}: {message}"),
            }
        }
    }

    #[test]
    fn delimiters_out_of_place_and_deep_nesting_are_malformed() {
        let stray = b"\xfe\xff\x0d\xe0\0\0\0\0";
        assert!(matches!(parse(stray, Encoding::EXPLICIT).fault, Some(Fault::Malformed(_))));
        let level = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff";
        assert!(matches!(parse(&level.repeat(70), Encoding::EXPLICIT).fault, Some(Fault::Malformed(_))));
        assert!(matches!(parse(&level.repeat(20), Encoding::EXPLICIT).fault, Some(Fault::Short { .. })));
    }
}
