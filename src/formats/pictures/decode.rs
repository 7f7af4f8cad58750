//! Pictures to samples; each decoder is told how many there may be before it allocates.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};

use tiff::ColorType as TiffColor;
use tiff::decoder::{Decoder as TiffDecoder, DecodingResult};
#[cfg(feature = "dicom")]
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

#[cfg(feature = "dicom")]
use crate::formats::dicom;
use crate::formats::{DataType, Sample};

/// Pages that a file may have.
const MAX_PAGES: usize = 1 << 16;
/// Bytes that a decoder of PNG or TIFF may ask for.
const MAX_DECODED: usize = 1 << 31;

/// Format of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Png,
    Jpeg,
    Tiff,
}

/// What a picture says before its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) pages: usize,
    pub(super) data_type: DataType,
}

impl Kind {
    /// By the first bytes of a file.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] if cfg!(feature = "dicom") => Some(Self::Jpeg),
            [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => Some(Self::Tiff),
            _ => None,
        }
    }

    pub(super) fn header(self, bytes: &[u8]) -> Result<Header, String> {
        match self {
            Self::Png => png_header(bytes),
            Self::Jpeg => guarded(|| jpeg_header(bytes)),
            Self::Tiff => guarded(|| tiff_header(bytes)),
        }
    }

    /// Fills `out` with the samples of all pages.
    pub(super) fn decode<T: Sample>(self, bytes: &[u8], take: Take, out: &mut [T]) -> Result<(), String> {
        match self {
            Self::Png => png_samples(bytes, take, out),
            Self::Jpeg => guarded(AssertUnwindSafe(|| jpeg_samples(bytes, take, out))),
            Self::Tiff => guarded(AssertUnwindSafe(|| tiff_samples(bytes, take, out))),
        }
    }
}

/// Which number of a pixel is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// Its grey value; color is refused.
    Grey,
    /// As grey, but the index into a palette of 8 bits where there is one.
    Index,
    /// Red, green or blue, counted from 0; grey pictures have the same in all.
    Color(usize),
}

/// A panic of the decoder as an error; what it left behind is not used.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String> + UnwindSafe) -> Result<T, String> {
    catch_unwind(decode).unwrap_or_else(|_| Err("the decoder failed on it".to_owned()))
}

/// Writes one number of each pixel of `channels` interleaved channels; grey is that of red, green and blue where all agree.
fn taken<S: Copy + PartialEq, T: Sample>(
    samples: &[S],
    channels: usize,
    take: Take,
    out: &mut [T],
    number: impl Fn(S) -> f64,
) -> Result<(), String> {
    let pixels = samples.chunks_exact(channels.max(1));
    if pixels.len() != out.len() {
        return Err(format!("it has {} samples where the first picture has {}", pixels.len(), out.len()));
    }
    let channel = match take {
        Take::Color(channel) if channels >= 3 => channel.min(2),
        _ => 0,
    };
    for (pixel, out) in pixels.zip(out) {
        let is_colored = channels >= 3 && (pixel[0] != pixel[1] || pixel[0] != pixel[2]);
        if is_colored && !matches!(take, Take::Color(_)) {
            return Err(
                "it is in color, not grey: only models of three channels see color; for others save it as grey \
                        first, for example with Pillow's convert(\"L\")"
                    .to_owned(),
            );
        }
        *out = T::from_f64(number(pixel[channel]));
    }
    Ok(())
}

fn png_reader(bytes: &[u8], transformations: png::Transformations) -> Result<png::Reader<Cursor<&[u8]>>, String> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_DECODED });
    decoder.set_transformations(transformations);
    decoder.read_info().map_err(|e| e.to_string())
}

fn png_header(bytes: &[u8]) -> Result<Header, String> {
    let reader = png_reader(bytes, png::Transformations::EXPAND)?;
    let (columns, rows) = reader.info().size();
    let (_, depth) = reader.output_color_type();
    let data_type = if depth == png::BitDepth::Sixteen { DataType::UInt16 } else { DataType::UInt8 };
    Ok(Header { columns: columns as usize, rows: rows as usize, pages: 1, data_type })
}

fn png_samples<T: Sample>(bytes: &[u8], take: Take, out: &mut [T]) -> Result<(), String> {
    let mut reader = png_reader(bytes, png::Transformations::EXPAND)?;
    let info = reader.info();
    if take == Take::Index && info.color_type == png::ColorType::Indexed && info.bit_depth == png::BitDepth::Eight {
        reader = png_reader(bytes, png::Transformations::IDENTITY)?;
    }
    let len = reader.output_buffer_size().filter(|&len| len <= MAX_DECODED).ok_or("it is too large")?;
    let mut samples = crate::limits::zeroed(len, "a picture").map_err(|e| e.message().to_owned())?;
    let frame = reader.next_frame(&mut samples).map_err(|e| e.to_string())?;
    let samples = samples.get(..frame.buffer_size()).unwrap_or_default();
    let channels = frame.color_type.samples();
    match frame.bit_depth {
        png::BitDepth::Sixteen => taken(samples.as_chunks().0, channels, take, out, |b| u16::from_be_bytes(b).into()),
        _ => taken(samples, channels, take, out, f64::from),
    }
}

#[cfg(feature = "dicom")]
fn jpeg_header(bytes: &[u8]) -> Result<Header, String> {
    if let Ok((columns, rows, precision)) = dicom::jpeg_size(bytes) {
        let data_type = if precision > 8 { DataType::UInt16 } else { DataType::UInt8 };
        return Ok(Header { columns, rows, pages: 1, data_type });
    }
    let decoder = other_jpeg(bytes)?;
    let (columns, rows) = decoder.dimensions().ok_or("it states no size")?;
    Ok(Header { columns, rows, pages: 1, data_type: DataType::UInt8 })
}

#[cfg(feature = "dicom")]
fn jpeg_samples<T: Sample>(bytes: &[u8], take: Take, out: &mut [T]) -> Result<(), String> {
    if dicom::jpeg_size(bytes).is_ok() {
        return taken(&dicom::jpeg_samples(bytes)?, 1, take, out, f64::from);
    }
    let samples = other_jpeg(bytes)?.decode().map_err(|e| damaged_jpeg(&e))?;
    taken(&samples, 3, take, out, f64::from)
}

#[cfg(feature = "dicom")]
fn damaged_jpeg(error: &impl std::fmt::Display) -> String {
    format!("this JPEG is damaged or of a kind that is not read: {}", error.to_string().trim())
}

/// Progressive JPEG and JPEG in color, which DICOM series are not: as red, green and blue.
#[cfg(feature = "dicom")]
fn other_jpeg(bytes: &[u8]) -> Result<JpegDecoder<ZCursor<&[u8]>>, String> {
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| damaged_jpeg(&e))?;
    Ok(decoder)
}

#[cfg(not(feature = "dicom"))]
fn jpeg_header(_: &[u8]) -> Result<Header, String> {
    Err("this build does not decode JPEG".to_owned())
}

#[cfg(not(feature = "dicom"))]
fn jpeg_samples<T: Sample>(_: &[u8], _: Take, _: &mut [T]) -> Result<(), String> {
    Err("this build does not decode JPEG".to_owned())
}

fn tiff_decoder(bytes: &[u8]) -> Result<TiffDecoder<Cursor<&[u8]>>, String> {
    let mut limits = tiff::decoder::Limits::default();
    limits.decoding_buffer_size = MAX_DECODED;
    limits.intermediate_buffer_size = MAX_DECODED;
    let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    Ok(decoder.with_limits(limits))
}

fn tiff_header(bytes: &[u8]) -> Result<Header, String> {
    let mut decoder = tiff_decoder(bytes)?;
    let first = tiff_page(&mut decoder)?;
    let mut pages = 1;
    while decoder.more_images() {
        if pages == MAX_PAGES {
            return Err(format!("it has more than {MAX_PAGES} pages"));
        }
        decoder.next_image().map_err(|e| e.to_string())?;
        let page = tiff_page(&mut decoder)?;
        if (page.columns, page.rows) != (first.columns, first.rows) {
            return Err(format!(
                "its pages differ in size: {} x {} and {} x {} in page {}",
                first.columns,
                first.rows,
                page.columns,
                page.rows,
                pages + 1
            ));
        }
        pages += 1;
    }
    Ok(Header { pages, ..first })
}

fn tiff_page(decoder: &mut TiffDecoder<Cursor<&[u8]>>) -> Result<Header, String> {
    let (columns, rows) = decoder.dimensions().map_err(|e| e.to_string())?;
    let bits = decoder.colortype().map_err(|e| e.to_string())?.bit_depth();
    let format = decoder.find_tag_unsigned::<u16>(tiff::tags::Tag::SampleFormat).ok().flatten().unwrap_or(1);
    let data_type = match (format, bits) {
        (2, ..=8) => DataType::Int8,
        (2, ..=16) => DataType::Int16,
        (2, _) => DataType::Int32,
        (3, 64) => DataType::Float64,
        (3, _) => DataType::Float32,
        (_, ..=8) => DataType::UInt8,
        (_, ..=16) => DataType::UInt16,
        _ => DataType::UInt32,
    };
    Ok(Header { columns: columns as usize, rows: rows as usize, pages: 1, data_type })
}

fn tiff_samples<T: Sample>(bytes: &[u8], take: Take, out: &mut [T]) -> Result<(), String> {
    let mut decoder = tiff_decoder(bytes)?;
    let mut rest = out;
    loop {
        let (columns, rows) = decoder.dimensions().map_err(|e| e.to_string())?;
        let len = columns as usize * rows as usize;
        let (page, after) = rest.split_at_mut_checked(len).ok_or("it has more samples than its first page promised")?;
        let channels = match decoder.colortype().map_err(|e| e.to_string())? {
            TiffColor::Gray(8..) => 1,
            TiffColor::GrayA(_) => 2,
            TiffColor::RGB(_) => 3,
            TiffColor::RGBA(_) => 4,
            other => return Err(format!("{other:?} is no grey picture of 8 bits or more")),
        };
        match decoder.read_image().map_err(|e| e.to_string())? {
            DecodingResult::U8(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::U16(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::U32(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::I8(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::I16(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::I32(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::F16(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::F32(samples) => taken(&samples, channels, take, page, f64::from)?,
            DecodingResult::F64(samples) => taken(&samples, channels, take, page, |value| value)?,
            DecodingResult::U64(_) | DecodingResult::I64(_) => return Err("samples of 64 bits are not read".to_owned()),
        }
        rest = after;
        if !decoder.more_images() {
            break;
        }
        decoder.next_image().map_err(|e| e.to_string())?;
    }
    if rest.is_empty() { Ok(()) } else { Err("pages are missing".to_owned()) }
}
