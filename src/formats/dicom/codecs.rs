//! Compressed frames to samples. Each decoder sees the dimensions first, so a damaged header cannot make it allocate.

use std::borrow::Cow;
use std::io::Read;
use std::panic::catch_unwind;

use flate2::read::DeflateDecoder;

use super::transfer_syntax::Codec;
use super::{jpeg, rle};

/// Samples of one frame, row by row, before they are masked to their stored bits.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// Samples of 1, 2 or 4 bytes.
    Bytes {
        bytes: Cow<'a, [u8]>,
        width: usize,
        big_endian: bool,
    },
    Words(Vec<u16>),
    Integers(Vec<i32>),
}

impl Frame<'_> {
    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes { bytes, width, .. } => bytes.len() / width,
            Self::Words(samples) => samples.len(),
            Self::Integers(samples) => samples.len(),
        }
    }
}

/// What a frame must hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Bytes of a native sample.
    pub(super) width: usize,
}

impl Wanted {
    fn samples(self) -> usize {
        self.rows * self.columns
    }

    /// Refuses a frame of another size.
    pub(super) fn check(self, what: &str, rows: usize, columns: usize, components: usize) -> Result<(), String> {
        if (rows, columns, components) == (self.rows, self.columns, 1) {
            return Ok(());
        }
        Err(format!(
            "the {what} frame has {columns} x {rows} samples of {components} components, where the header says {} x {}",
            self.columns, self.rows
        ))
    }
}

/// Decodes one compressed frame.
pub(super) fn decode(codec: Codec, data: &[u8], wanted: Wanted) -> Result<Frame<'static>, String> {
    let little = |bytes| Frame::Bytes { bytes: Cow::Owned(bytes), width: wanted.width, big_endian: false };
    match codec {
        Codec::RunLength => Ok(little(rle::decode(data, wanted.samples(), wanted.width)?)),
        Codec::DeflatedFrames => Ok(little(inflate(data, wanted.samples() * wanted.width)?)),
        Codec::Jpeg => Ok(Frame::Words(jpeg::decode(data, wanted)?)),
        Codec::JpegLs => Ok(Frame::Words(jpeg::ls::decode(data, wanted)?)),
        Codec::Jpeg2000 => catch_unwind(|| jpeg_2000(data, wanted))
            .unwrap_or_else(|_| Err("the JPEG 2000 decoder failed on it".to_owned())),
        Codec::Native | Codec::Unsupported => Err("its transfer syntax is not decoded".to_owned()),
    }
}

fn inflate(data: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    DeflateDecoder::new(data).take(len as u64).read_to_end(&mut out).map_err(|e| e.to_string())?;
    if out.len() < len {
        return Err(format!("the deflated frame has {} of {len} bytes", out.len()));
    }
    Ok(out)
}

fn jpeg_2000(data: &[u8], wanted: Wanted) -> Result<Frame<'static>, String> {
    let size = image_size(data).ok_or("the JPEG 2000 frame has no header")?;
    wanted.check("JPEG 2000", size.rows, size.columns, size.components)?;
    let parameters = jpeg2k::DecodeParameters::new().strict(true);
    let image = jpeg2k::Image::from_bytes_with(data, parameters).map_err(|e| e.to_string())?;
    let component = image.components().first().ok_or("the JPEG 2000 frame has no component")?;
    // A component without samples has a null pointer, which its description alone shows.
    let has_samples = !format!("{component:?}").contains("data: 0x0,");
    if !has_samples || (component.height() as usize, component.width() as usize) != (wanted.rows, wanted.columns) {
        return Err("the JPEG 2000 frame is incomplete".to_owned());
    }
    Ok(Frame::Integers(component.data().to_vec()))
}

struct ImageSize {
    rows: usize,
    columns: usize,
    components: usize,
}

/// Largest number of tiles a frame may be cut into; scanners write one.
const MAX_TILES: u64 = 1 << 14;

/// The image and tile size marker of a JPEG 2000 code stream (ISO/IEC 15444-1, A.5.1), bare or in a JP2 file.
fn image_size(data: &[u8]) -> Option<ImageSize> {
    let start = data.windows(4).take(4096).position(|bytes| bytes == [0xff, 0x4f, 0xff, 0x51])?;
    let marker = &data[start + 4..];
    let word = |at: usize| {
        let bytes = marker.get(at..at + 4)?;
        Some(bytes.iter().fold(0_u64, |v, &b| v << 8 | u64::from(b)))
    };
    let (columns, rows) = (word(4)?.checked_sub(word(12)?)?, word(8)?.checked_sub(word(16)?)?);
    let (tile_columns, tile_rows) = (word(20)?, word(24)?);
    let components = u16::from_be_bytes([*marker.get(36)?, *marker.get(37)?]);
    let tiles = word(4)?.checked_div(tile_columns)?.checked_mul(word(8)?.checked_div(tile_rows)?)?;
    (tiles <= MAX_TILES).then_some(ImageSize {
        rows: usize::try_from(rows).ok()?,
        columns: usize::try_from(columns).ok()?,
        components: components.into(),
    })
}
