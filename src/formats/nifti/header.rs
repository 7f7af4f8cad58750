//! From header bytes to checked values: version, byte order, shape, sample type, scaling.

use nifti::{NiftiHeader, NiftiType, Unit};

use super::fields::{
    BITPIX, DATATYPE, DESCRIP, DIM, INTENT_CODE, INTENT_NAME, QFORM_CODE, Raw, SCL_INTER, SCL_SLOPE, SFORM_CODE,
    SIZEOF_HDR, VOX_OFFSET, Version, XYZT_UNITS,
};
use crate::error::{Error, Result, Warning};
use crate::formats::DataType;

/// A header whose values have been checked, beside the bytes that it was read from.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) raw: Raw,
    /// Codes as the enumerations of the crate `nifti`.
    pub(super) codes: NiftiHeader,
    /// True when the magic says that the voxels follow in the same file.
    pub(super) single: bool,
    /// Lengths of all axes that the header counts, 1 to 7 of them.
    pub(super) shape: Vec<u64>,
    pub(super) data_type: DataType,
    /// Slope and intercept, where the header has a usable slope.
    pub(super) scaling: Option<(f64, f64)>,
    pub(super) warnings: Vec<Warning>,
}

/// Version and kind by the magic; `None` when the bytes are no NIfTI header.
fn magic(head: &[u8]) -> Result<Option<(Version, bool)>> {
    let found = match (head.get(4..8), head.get(344..348)) {
        (Some(b"n+2\0"), _) => (Version::Two, true),
        (Some(b"ni2\0"), _) => (Version::Two, false),
        (_, Some(b"n+1\0")) => (Version::One, true),
        (_, Some(b"ni1\0")) => (Version::One, false),
        _ => return Ok(None),
    };
    if found.0 == Version::Two && !matches!(head.get(8..12), Some(b"\r\n\x1a\n" | b"\0\0\0\0")) {
        return Err(Error::malformed("the line ends inside the NIfTI-2 magic were changed, as a text transfer does")
            .hint("copy the file again in binary mode"));
    }
    Ok(Some(found))
}

/// Byte order by the size field, and where that is wrong by the number of dimensions; with whether the size was right.
fn byte_order(head: &[u8], version: Version) -> Result<(bool, bool)> {
    let orders = [false, true].map(|big| Raw::new(head, version, big).map(|raw| (big, raw)));
    let [little, big] = orders;
    let orders = [little?, big?];
    let size = i64::try_from(version.size()).unwrap_or(0);
    if let Some((big, _)) = orders.iter().find(|(_, raw)| raw.int(SIZEOF_HDR, 0) == size) {
        return Ok((*big, true));
    }
    match orders.iter().find(|(_, raw)| (1..=7).contains(&raw.int(DIM, 0))) {
        Some((big, _)) => Ok((*big, false)),
        None => Err(Error::malformed("neither the header's size nor its number of dimensions makes sense")),
    }
}

impl Header {
    /// Parses the first bytes of a file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when a value makes no sense; [`crate::ErrorKind::Unsupported`] for ANALYZE 7.5.
    pub(super) fn parse(head: &[u8]) -> Result<Self> {
        let Some((version, single)) = magic(head)? else { return Err(not_nifti(head)) };
        let (big_endian, size_is_right) = byte_order(head, version)?;
        let raw = Raw::new(head, version, big_endian)?;
        let mut warnings = Vec::new();
        if !size_is_right {
            warnings.push(Warning::new(
                "header-size",
                format!("the header gives {} as its own size instead of {}", raw.int(SIZEOF_HDR, 0), version.size()),
            ));
        }
        let shape = shape(&raw)?;
        let codes = codes(&raw)?;
        let data_type = data_type(&codes)?;
        let bits = raw.int(BITPIX, 0);
        if usize::try_from(bits).ok() != Some(8 * data_type.size()) {
            warnings.push(Warning::new(
                "bits-per-voxel",
                format!("the header gives {bits} bits per voxel, but its data type is {data_type}, which decides"),
            ));
        }
        let scaling = scaling(&raw, &mut warnings)?;
        Ok(Self { raw, codes, single, shape, data_type, scaling, warnings })
    }

    /// Lengths of the first three axes; 1 where the header has fewer.
    pub(super) fn shape3(&self) -> [u64; 3] {
        [0, 1, 2].map(|axis| self.shape.get(axis).copied().unwrap_or(1))
    }

    /// Number of volumes: the product of all axes from the fourth on; `None` when it overflows.
    pub(super) fn volumes(&self) -> Option<u64> {
        self.shape.iter().skip(3).try_fold(1_u64, |product, &n| product.checked_mul(n))
    }

    /// Byte at which the voxels start in the file that holds them.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when the offset is no byte position or lies inside the header.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
    pub(super) fn voxel_offset(&self, same_file: bool, warnings: &mut Vec<Warning>) -> Result<u64> {
        let offset = self.raw.float(VOX_OFFSET, 0);
        if !(0.0..9e15).contains(&offset) || offset.fract() != 0.0 {
            return Err(Error::malformed(format!("the voxels cannot start at byte {offset}, as the header says")));
        }
        let (offset, first) = (offset as u64, self.raw.version().first_offset());
        match offset {
            _ if !same_file || offset >= first => Ok(offset),
            0 => {
                warnings.push(Warning::new(
                    "voxel-offset",
                    format!(
                        "the header says that the voxels start at byte 0; byte {first}, behind the header, is meant"
                    ),
                ));
                Ok(first)
            }
            _ => Err(Error::malformed(format!(
                "the header says that the voxels start at byte {offset}, inside the header of {first} bytes"
            ))),
        }
    }

    /// Units of space and of time, such as `("millimeter", "second")`; `"unknown"` where the header has none.
    pub(super) fn units(&self) -> (&'static str, &'static str) {
        let name = |unit| match unit {
            Ok(Unit::Meter) => "meter",
            Ok(Unit::Mm) => "millimeter",
            Ok(Unit::Micron) => "micrometer",
            Ok(Unit::Sec) => "second",
            Ok(Unit::Msec) => "millisecond",
            Ok(Unit::Usec) => "microsecond",
            Ok(Unit::Hz) => "hertz",
            Ok(Unit::Ppm) => "parts per million",
            Ok(Unit::Rads) => "radian per second",
            _ => "unknown",
        };
        (name(self.codes.xyzt_to_space()), name(self.codes.xyzt_to_time()))
    }

    /// What the values mean, by the name that the standard gives; empty for none.
    pub(super) fn intent(&self) -> String {
        match self.codes.intent() {
            Ok(nifti::Intent::None) => String::new(),
            Ok(intent) => format!("{intent:?}"),
            Err(_) => format!("code {}", self.raw.int(INTENT_CODE, 0)),
        }
    }

    pub(super) fn intent_name(&self) -> String {
        self.raw.text(INTENT_NAME)
    }

    pub(super) fn description(&self) -> String {
        self.raw.text(DESCRIP)
    }
}

/// Says what a file without the magic is.
fn not_nifti(head: &[u8]) -> Error {
    let size = [i32::from_le_bytes, i32::from_be_bytes]
        .into_iter()
        .find_map(|order| head.first_chunk().map(|b| order(*b)).filter(|size| matches!(size, 348 | 540)));
    match (size, head.get(344..348)) {
        (Some(348), Some(b"\0\0\0\0")) => {
            Error::unsupported("this is an ANALYZE 7.5 header, which does not say where left and right are")
                .hint("convert it to NIfTI with a tool that knows its origin, such as `fslchfiletype` or SPM")
        }
        (Some(size), None) => {
            Error::malformed(format!("the NIfTI header is cut off: {} of {size} bytes are there", head.len()))
        }
        (Some(_), Some(_)) => {
            Error::malformed("the header has the size of a NIfTI header, but not its magic (n+1, ni1, n+2 or ni2)")
        }
        (None, _) => Error::malformed("this is no NIfTI file: its magic (n+1, ni1, n+2 or ni2) is missing"),
    }
}

/// The axis lengths that `dim[0]` counts, all positive.
fn shape(raw: &Raw) -> Result<Vec<u64>> {
    let count = raw.int(DIM, 0);
    let axes = usize::try_from(count)
        .ok()
        .filter(|n| (1..=7).contains(n))
        .ok_or_else(|| Error::malformed(format!("the header has {count} dimensions; 1 to 7 are possible")))?;
    (1..=axes)
        .map(|axis| {
            let len = raw.int(DIM, axis);
            u64::try_from(len)
                .ok()
                .filter(|&n| n > 0)
                .ok_or_else(|| Error::malformed(format!("axis {axis} has {len} voxels; at least one is needed")))
        })
        .collect()
}

/// The codes of the header: NIfTI-1 by the parser of the crate `nifti`, NIfTI-2 (which it does not know) by ours.
fn codes(raw: &Raw) -> Result<NiftiHeader> {
    if raw.version() == Version::One {
        return NiftiHeader::from_reader(raw.bytes()).map_err(|e| Error::malformed("the header is damaged").because(e));
    }
    let narrow = |field| i16::try_from(raw.int(field, 0)).unwrap_or(-1);
    Ok(NiftiHeader {
        datatype: narrow(DATATYPE),
        intent_code: narrow(INTENT_CODE),
        qform_code: narrow(QFORM_CODE),
        sform_code: narrow(SFORM_CODE),
        xyzt_units: u8::try_from(raw.int(XYZT_UNITS, 0)).unwrap_or(0),
        ..NiftiHeader::default()
    })
}

fn data_type(codes: &NiftiHeader) -> Result<DataType> {
    let kind = codes
        .data_type()
        .map_err(|_| Error::malformed(format!("there is no data type with code {}", codes.datatype)))?;
    Ok(match kind {
        NiftiType::Uint8 => DataType::UInt8,
        NiftiType::Int8 => DataType::Int8,
        NiftiType::Uint16 => DataType::UInt16,
        NiftiType::Int16 => DataType::Int16,
        NiftiType::Uint32 => DataType::UInt32,
        NiftiType::Int32 => DataType::Int32,
        NiftiType::Uint64 => DataType::UInt64,
        NiftiType::Int64 => DataType::Int64,
        NiftiType::Float32 => DataType::Float32,
        NiftiType::Float64 => DataType::Float64,
        NiftiType::Float128 => DataType::Float128,
        NiftiType::Complex64 => DataType::Complex64,
        NiftiType::Complex128 => DataType::Complex128,
        NiftiType::Complex256 => DataType::Complex256,
        NiftiType::Rgb24 => DataType::Rgb24,
        NiftiType::Rgba32 => DataType::Rgba32,
    })
}

/// Slope and intercept as nibabel has them: a slope of 0, NaN or infinity means that nothing is scaled.
fn scaling(raw: &Raw, warnings: &mut Vec<Warning>) -> Result<Option<(f64, f64)>> {
    let (slope, intercept) = (raw.float(SCL_SLOPE, 0), raw.float(SCL_INTER, 0));
    if slope.is_infinite() {
        warnings.push(Warning::new("slope", "the scaling slope is infinite; the stored values are taken unscaled"));
    }
    if slope == 0.0 || !slope.is_finite() {
        return Ok(None);
    }
    if !intercept.is_finite() {
        return Err(Error::malformed(format!("the scaling has a slope of {slope} but an intercept of {intercept}")));
    }
    Ok(Some((slope, intercept)))
}
