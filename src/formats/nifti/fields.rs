//! The bytes of a NIfTI header and where each field lies in them.
//!
//! Layouts: `nifti1.h` (348 bytes) and `nifti2.h` (540 bytes), <https://nifti.nimh.nih.gov>. The bytes of the source are
//! kept as they are, so that a header that is written differs from it only in the fields that were set.

use crate::error::{Error, Result};

/// How a field is stored.
#[derive(Clone, Copy)]
enum Store {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Store {
    fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// A number, or an array of numbers, in the header: offset and type in NIfTI-1 and in NIfTI-2.
#[derive(Clone, Copy)]
pub(super) struct Field {
    one: (usize, Store),
    two: (usize, Store),
}

const fn field(one: usize, store_one: Store, two: usize, store_two: Store) -> Field {
    Field { one: (one, store_one), two: (two, store_two) }
}

pub(super) const SIZEOF_HDR: Field = field(0, Store::I32, 0, Store::I32);
pub(super) const DIM_INFO: Field = field(39, Store::U8, 524, Store::U8);
pub(super) const DIM: Field = field(40, Store::I16, 16, Store::I64);
pub(super) const INTENT_P: Field = field(56, Store::F32, 80, Store::F64);
pub(super) const INTENT_CODE: Field = field(68, Store::I16, 504, Store::I32);
pub(super) const DATATYPE: Field = field(70, Store::I16, 12, Store::I16);
pub(super) const BITPIX: Field = field(72, Store::I16, 14, Store::I16);
pub(super) const PIXDIM: Field = field(76, Store::F32, 104, Store::F64);
pub(super) const VOX_OFFSET: Field = field(108, Store::F32, 168, Store::I64);
pub(super) const SCL_SLOPE: Field = field(112, Store::F32, 176, Store::F64);
pub(super) const SCL_INTER: Field = field(116, Store::F32, 184, Store::F64);
pub(super) const SLICE_START: Field = field(74, Store::I16, 224, Store::I64);
pub(super) const SLICE_END: Field = field(120, Store::I16, 232, Store::I64);
pub(super) const SLICE_CODE: Field = field(122, Store::U8, 496, Store::I32);
pub(super) const SLICE_DURATION: Field = field(132, Store::F32, 208, Store::F64);
pub(super) const XYZT_UNITS: Field = field(123, Store::U8, 500, Store::I32);
pub(super) const CAL_MAX: Field = field(124, Store::F32, 192, Store::F64);
pub(super) const CAL_MIN: Field = field(128, Store::F32, 200, Store::F64);
pub(super) const QFORM_CODE: Field = field(252, Store::I16, 344, Store::I32);
pub(super) const SFORM_CODE: Field = field(254, Store::I16, 348, Store::I32);
pub(super) const QUATERN: Field = field(256, Store::F32, 352, Store::F64);
pub(super) const QOFFSET: Field = field(268, Store::F32, 376, Store::F64);
pub(super) const SROW: Field = field(280, Store::F32, 400, Store::F64);

/// A text of fixed length: offset in NIfTI-1, offset in NIfTI-2, length.
#[derive(Clone, Copy)]
pub(super) struct Text(usize, usize, usize);

pub(super) const DESCRIP: Text = Text(148, 240, 80);
pub(super) const AUX_FILE: Text = Text(228, 320, 24);
pub(super) const INTENT_NAME: Text = Text(328, 508, 16);

/// The two versions of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    /// Bytes of the header.
    pub(super) fn size(self) -> usize {
        match self {
            Self::One => 348,
            Self::Two => 540,
        }
    }

    /// Bytes before the voxels of a single file: the header and four bytes that tell of extensions.
    pub(super) fn first_offset(self) -> u64 {
        match self {
            Self::One => 352,
            Self::Two => 544,
        }
    }
}

/// Header bytes in either byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Raw {
    /// From the first bytes of a file, which may be longer than the header.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when they are too few.
    pub(super) fn new(bytes: &[u8], version: Version, big_endian: bool) -> Result<Self> {
        let header = bytes.get(..version.size()).ok_or_else(|| {
            Error::malformed(format!("the header is cut off: {} of {} bytes are there", bytes.len(), version.size()))
        })?;
        Ok(Self { bytes: header.to_owned(), big_endian })
    }

    /// All zeros, little-endian.
    pub(super) fn zeros(version: Version) -> Self {
        Self { bytes: vec![0; version.size()], big_endian: false }
    }

    pub(super) fn version(&self) -> Version {
        if self.bytes.len() == Version::One.size() { Version::One } else { Version::Two }
    }

    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Offset and type of element `index`.
    fn place(&self, field: Field, index: usize) -> (usize, Store) {
        let (start, store) = match self.version() {
            Version::One => field.one,
            Version::Two => field.two,
        };
        (start + index * store.size(), store)
    }

    fn load<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at..at + N]);
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn store<const N: usize>(&mut self, at: usize, mut little_endian: [u8; N]) {
        if self.big_endian {
            little_endian.reverse();
        }
        self.bytes[at..at + N].copy_from_slice(&little_endian);
    }

    /// A number as it is: integers up to 64 bits; a float without its fraction.
    #[expect(clippy::cast_possible_truncation, reason = "float fields are asked for with `float`")]
    pub(super) fn int(&self, field: Field, index: usize) -> i64 {
        let (at, store) = self.place(field, index);
        match store {
            Store::U8 => self.bytes[at].into(),
            Store::I16 => i16::from_le_bytes(self.load(at)).into(),
            Store::I32 => i32::from_le_bytes(self.load(at)).into(),
            Store::I64 => i64::from_le_bytes(self.load(at)),
            Store::F32 => f32::from_le_bytes(self.load(at)) as i64,
            Store::F64 => f64::from_le_bytes(self.load(at)) as i64,
        }
    }

    /// A number as `f64`.
    #[expect(clippy::cast_precision_loss, reason = "integer fields are asked for with `int`")]
    pub(super) fn float(&self, field: Field, index: usize) -> f64 {
        let (at, store) = self.place(field, index);
        match store {
            Store::F32 => f32::from_le_bytes(self.load(at)).into(),
            Store::F64 => f64::from_le_bytes(self.load(at)),
            _ => self.int(field, index) as f64,
        }
    }

    /// `N` numbers as `f64`.
    pub(super) fn floats<const N: usize>(&self, field: Field) -> [f64; N] {
        std::array::from_fn(|index| self.float(field, index))
    }

    /// Writes a number in the field's own type; integers are cut to it, so the caller has checked the range.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the caller has checked the range")]
    pub(super) fn set(&mut self, field: Field, index: usize, value: f64) {
        let (at, store) = self.place(field, index);
        match store {
            Store::U8 => self.bytes[at] = value as u8,
            Store::I16 => self.store(at, (value as i16).to_le_bytes()),
            Store::I32 => self.store(at, (value as i32).to_le_bytes()),
            Store::I64 => self.store(at, (value as i64).to_le_bytes()),
            Store::F32 => self.store(at, (value as f32).to_le_bytes()),
            Store::F64 => self.store(at, value.to_le_bytes()),
        }
    }

    /// A text up to its first zero byte, damaged characters replaced.
    pub(super) fn text(&self, text: Text) -> String {
        let bytes = &self.bytes[self.text_range(text)];
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
    }

    /// Writes a text, cut so that a zero byte remains at its end.
    pub(super) fn set_text(&mut self, text: Text, value: &str) {
        let range = self.text_range(text);
        let bytes = &mut self.bytes[range];
        let cut = value.floor_char_boundary(bytes.len() - 1);
        bytes.fill(0);
        bytes[..cut].copy_from_slice(&value.as_bytes()[..cut]);
    }

    fn text_range(&self, text: Text) -> std::ops::Range<usize> {
        let start = if self.version() == Version::One { text.0 } else { text.1 };
        start..start + text.2
    }

    /// Marks the bytes as the header of a single file: size and magic.
    #[expect(clippy::cast_precision_loss, reason = "348 or 540")]
    pub(super) fn set_single_file(&mut self) {
        self.set(SIZEOF_HDR, 0, self.version().size() as f64);
        match self.version() {
            Version::One => self.bytes[344..348].copy_from_slice(b"n+1\0"),
            Version::Two => self.bytes[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_back_in_both_versions_and_byte_orders() {
        for version in [Version::One, Version::Two] {
            for big_endian in [false, true] {
                let mut raw = Raw { bytes: vec![0; version.size()], big_endian };
                raw.set_single_file();
                raw.set(DIM, 3, 300.0);
                raw.set(PIXDIM, 0, -1.0);
                raw.set(XYZT_UNITS, 0, 10.0);
                raw.set(SROW, 11, 2.5);
                raw.set_text(DESCRIP, &"é".repeat(50));
                assert_eq!((raw.int(DIM, 3), raw.int(DIM, 2), raw.int(XYZT_UNITS, 0)), (300, 0, 10));
                assert_eq!((raw.float(PIXDIM, 0), raw.floats::<12>(SROW)[11]), (-1.0, 2.5));
                assert_eq!(raw.text(DESCRIP), "é".repeat(39));
            }
        }
    }

    /// The parser of the crate `nifti` is the oracle for the offsets of NIfTI-1.
    #[test]
    fn offsets_agree_with_the_crate_nifti() {
        let mut bytes: Vec<u8> = (0..348_u32).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
        bytes[40..42].copy_from_slice(&3_i16.to_le_bytes());
        bytes[344..348].copy_from_slice(b"n+1\0");
        let raw = Raw::new(&bytes, Version::One, false).unwrap();
        let other = nifti::NiftiHeader::from_reader(bytes.as_slice()).unwrap();
        assert_eq!(raw.int(DIM, 7), i64::from(other.dim[7].cast_signed()));
        assert_eq!(raw.int(INTENT_CODE, 0), i64::from(other.intent_code));
        assert_eq!(raw.int(DATATYPE, 0), i64::from(other.datatype));
        assert_eq!(raw.int(BITPIX, 0), i64::from(other.bitpix));
        assert_eq!(raw.int(XYZT_UNITS, 0), i64::from(other.xyzt_units));
        assert_eq!(raw.int(QFORM_CODE, 0), i64::from(other.qform_code));
        assert_eq!(raw.int(SFORM_CODE, 0), i64::from(other.sform_code));
        let floats = [
            (raw.float(INTENT_P, 2), other.intent_p3),
            (raw.float(PIXDIM, 7), other.pixdim[7]),
            (raw.float(VOX_OFFSET, 0), other.vox_offset),
            (raw.float(SCL_SLOPE, 0), other.scl_slope),
            (raw.float(SCL_INTER, 0), other.scl_inter),
            (raw.float(CAL_MAX, 0), other.cal_max),
            (raw.float(CAL_MIN, 0), other.cal_min),
            (raw.float(QUATERN, 0), other.quatern_b),
            (raw.float(QUATERN, 2), other.quatern_d),
            (raw.float(QOFFSET, 0), other.quatern_x),
            (raw.float(QOFFSET, 2), other.quatern_z),
            (raw.float(SROW, 0), other.srow_x[0]),
            (raw.float(SROW, 11), other.srow_z[3]),
        ];
        for (ours, theirs) in floats {
            assert_eq!(ours.to_bits(), f64::from(theirs).to_bits());
        }
    }
}
