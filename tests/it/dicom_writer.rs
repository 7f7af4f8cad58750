//! Writes small DICOM files for tests, straight from PS3.5 and PS3.10.
#![allow(clippy::cast_possible_truncation, reason = "small made-up numbers")]

use std::collections::BTreeMap;

pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub(crate) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(crate) const RLE: &str = "1.2.840.10008.1.2.5";

/// Columns, rows and slices of [`slices`].
pub(crate) const SHAPE: [usize; 3] = [6, 4, 5];
pub(crate) const SERIES: &str = "1.2.3.4";

#[derive(Clone)]
enum Value {
    Text(String),
    Word(u16),
    Words(Vec<u16>),
    Double(f64),
    Items(Vec<Object>),
    Fragments(Vec<Vec<u8>>),
}

/// A data set in the making.
#[derive(Clone, Default)]
pub(crate) struct Object(BTreeMap<u32, ([u8; 2], Value)>);

impl Object {
    pub(crate) fn text(mut self, tag: u32, vr: &[u8; 2], text: impl Into<String>) -> Self {
        self.0.insert(tag, (*vr, Value::Text(text.into())));
        self
    }

    pub(crate) fn word(mut self, tag: u32, value: u16) -> Self {
        self.0.insert(tag, (*b"US", Value::Word(value)));
        self
    }

    pub(crate) fn double(mut self, tag: u32, value: f64) -> Self {
        self.0.insert(tag, (*b"FD", Value::Double(value)));
        self
    }

    pub(crate) fn items(mut self, tag: u32, items: Vec<Object>) -> Self {
        self.0.insert(tag, (*b"SQ", Value::Items(items)));
        self
    }

    pub(crate) fn words(mut self, tag: u32, vr: &[u8; 2], words: Vec<u16>) -> Self {
        self.0.insert(tag, (*vr, Value::Words(words)));
        self
    }

    pub(crate) fn pixels(self, samples: Vec<u16>) -> Self {
        self.words(0x7fe0_0010, b"OW", samples)
    }

    pub(crate) fn fragments(mut self, fragments: Vec<Vec<u8>>) -> Self {
        self.0.insert(0x7fe0_0010, (*b"OB", Value::Fragments(fragments)));
        self
    }

    pub(crate) fn without(mut self, tag: u32) -> Self {
        self.0.remove(&tag);
        self
    }

    /// The data set alone; sequences are of undefined length.
    pub(crate) fn data_set(&self, syntax: &str) -> Vec<u8> {
        let encoder = Encoder { explicit: syntax != IMPLICIT, big_endian: syntax == BIG_ENDIAN };
        let mut out = Vec::new();
        encoder.object(self, &mut out);
        out
    }

    /// A whole file.
    pub(crate) fn file(&self, syntax: &str) -> Vec<u8> {
        let meta = Object::default().text(0x0002_0010, b"UI", syntax);
        let mut out = [&[0; 128][..], b"DICM", &meta.data_set(EXPLICIT)].concat();
        let data_set = self.data_set(syntax);
        if syntax == DEFLATED {
            use std::io::Write;
            let mut encoder = flate2::write::DeflateEncoder::new(out, flate2::Compression::fast());
            encoder.write_all(&data_set).unwrap();
            return encoder.finish().unwrap();
        }
        out.extend(data_set);
        out
    }
}

struct Encoder {
    explicit: bool,
    big_endian: bool,
}

impl Encoder {
    fn u16(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn tag(&self, tag: u32, out: &mut Vec<u8>) {
        out.extend(self.u16((tag >> 16) as u16));
        out.extend(self.u16(tag as u16));
    }

    fn head(&self, tag: u32, vr: [u8; 2], len: u32, out: &mut Vec<u8>) {
        self.tag(tag, out);
        if !self.explicit {
            out.extend(self.u32(len));
            return;
        }
        out.extend(vr);
        if [b"OB", b"OV", b"OW", b"SQ", b"UN"].contains(&&vr) {
            out.extend([0, 0]);
            out.extend(self.u32(len));
        } else {
            out.extend(self.u16(u16::try_from(len).unwrap()));
        }
    }

    fn object(&self, object: &Object, out: &mut Vec<u8>) {
        for (&tag, (vr, value)) in &object.0 {
            let bytes = match value {
                Value::Text(text) => {
                    let mut bytes = text.clone().into_bytes();
                    let padding = if vr == b"UI" { 0 } else { b' ' };
                    bytes.resize(bytes.len().next_multiple_of(2), padding);
                    bytes
                }
                Value::Word(word) => self.u16(*word).to_vec(),
                Value::Words(words) => words.iter().flat_map(|&word| self.u16(word)).collect(),
                Value::Double(value) if self.big_endian => value.to_be_bytes().to_vec(),
                Value::Double(value) => value.to_le_bytes().to_vec(),
                Value::Items(items) => {
                    self.head(tag, *vr, u32::MAX, out);
                    for item in items {
                        self.tag(0xfffe_e000, out);
                        out.extend(self.u32(u32::MAX));
                        self.object(item, out);
                        self.tag(0xfffe_e00d, out);
                        out.extend([0; 4]);
                    }
                    self.tag(0xfffe_e0dd, out);
                    out.extend([0; 4]);
                    continue;
                }
                Value::Fragments(fragments) => {
                    self.head(tag, *vr, u32::MAX, out);
                    for fragment in fragments {
                        self.tag(0xfffe_e000, out);
                        out.extend(self.u32(u32::try_from(fragment.len()).unwrap()));
                        out.extend(fragment);
                    }
                    self.tag(0xfffe_e0dd, out);
                    out.extend([0; 4]);
                    continue;
                }
            };
            self.head(tag, *vr, u32::try_from(bytes.len()).unwrap(), out);
            out.extend(bytes);
        }
    }
}

/// The value of voxel `(i, j, k)`.
pub(crate) fn value(i: usize, j: usize, k: usize) -> u16 {
    u16::try_from(100 * k + 10 * j + i).unwrap()
}

/// The samples of slice `k`.
pub(crate) fn samples(k: usize) -> Vec<u16> {
    let [columns, rows, _] = SHAPE;
    (0..rows).flat_map(|j| (0..columns).map(move |i| value(i, j, k))).collect()
}

/// Header of a 6 x 4 image of 12 bits, without a place.
pub(crate) fn image() -> Object {
    Object::default()
        .text(0x0008_0008, b"CS", "ORIGINAL\\PRIMARY\\AXIAL")
        .text(0x0008_0016, b"UI", "1.2.840.10008.5.1.4.1.1.2")
        .text(0x0008_0060, b"CS", "CT")
        .text(0x0008_103e, b"LO", "Made head")
        .text(0x0010_0010, b"PN", "Doe^Jane")
        .text(0x0020_000d, b"UI", "1.2.3")
        .text(0x0020_000e, b"UI", SERIES)
        .text(0x0020_0011, b"IS", "7")
        .word(0x0028_0002, 1)
        .text(0x0028_0004, b"CS", "MONOCHROME2")
        .word(0x0028_0010, 4)
        .word(0x0028_0011, 6)
        .text(0x0028_0030, b"DS", "3.0\\2.0")
        .word(0x0028_0100, 16)
        .word(0x0028_0101, 12)
        .word(0x0028_0102, 11)
        .word(0x0028_0103, 0)
}

/// Slice `k` of an axial series: 2 mm along columns, 3 mm along rows, 4 mm from slice to slice.
pub(crate) fn slice(k: usize) -> Object {
    image()
        .text(0x0008_0018, b"UI", format!("1.2.3.4.{}", k + 1))
        .text(0x0018_0050, b"DS", "9")
        .text(0x0020_0013, b"IS", format!("{}", 50 - k))
        .text(0x0020_0032, b"DS", format!("-10\\-20\\{}", 4 * k))
        .text(0x0020_0037, b"DS", "1\\0\\0\\0\\1\\0")
        .pixels(samples(k))
}

/// All slices of the series.
pub(crate) fn slices() -> Vec<Object> {
    (0..SHAPE[2]).map(slice).collect()
}

/// An RLE frame of 16-bit samples, in literal runs.
pub(crate) fn rle(samples: &[u16]) -> Vec<u8> {
    let segment = |shift: u32| -> Vec<u8> {
        let bytes: Vec<u8> = samples.iter().map(|sample| (sample >> shift) as u8).collect();
        bytes.chunks(128).flat_map(|run| [&[(run.len() - 1) as u8], run].concat()).collect()
    };
    let (high, low) = (segment(8), segment(0));
    let mut header = vec![2, 64, 64 + high.len() as u32];
    header.resize(16, 0);
    let mut out: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    out.extend(high);
    out.extend(low);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// Writes objects under names that say nothing about their order.
pub(crate) fn folder(objects: &[Object], syntax: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (n, object) in objects.iter().enumerate() {
        std::fs::write(folder.path().join(format!("IM{:02}", (n * 7 + 3) % 31)), object.file(syntax)).unwrap();
    }
    folder
}
