//! Samples: how they are stored, where each frame lies, and their way to numbers.

use std::borrow::Cow;
use std::ops::Range;

use super::codecs::{self, Frame, Wanted};
use super::data_set::DataSet;
use super::encoding::{self, Encoding};
use super::part10::DicomFile;
use super::rle;
use super::tags;
use super::transfer_syntax::Codec;
use crate::error::{Error, Result};
use crate::limits::Limits;

/// A frame of more bytes than this is refused (a slide, not a scan).
const MAX_FRAME: u64 = 1 << 30;
/// Native samples beyond this size must be backed by a part of compressed bytes that a coder can reach.
const FREE: u64 = 64 << 20;

/// No coder packs samples more tightly than this: RLE by its runs, JPEG by two bits for 64 samples, deflate by its
/// longest match; the others have no bound, but no scan comes near this one.
fn most_compression(codec: Codec) -> u64 {
    match codec {
        Codec::RunLength => rle::MAX_EXPANSION,
        Codec::Jpeg => 1024,
        Codec::DeflatedFrames => 1032,
        _ => 1 << 14,
    }
}

/// How samples are stored (PS3.3, C.7.6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixelFormat {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) frames: u32,
    /// Bytes of a sample: 1, 2 or 4.
    pub(super) width: u32,
    pub(super) bits_stored: u32,
    pub(super) signed: bool,
    /// MONOCHROME1: low values are meant to be shown bright.
    pub(super) low_is_bright: bool,
}

impl PixelFormat {
    /// The format of grey samples; an error says why the samples are no intensities.
    pub(super) fn of(data_set: &DataSet<'_>) -> std::result::Result<Self, String> {
        let samples = data_set.unsigned(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let photometric = data_set.string(tags::PHOTOMETRIC);
        if samples != 1 || photometric.starts_with("PALETTE") {
            return Err(format!("it is a color image ({samples} samples per pixel, {photometric:?}), not intensities"));
        }
        Self::stored(data_set, &[8, 16, 32])
    }

    /// The format of single samples, whatever they stand for, of one of these numbers of bits.
    pub(super) fn stored(data_set: &DataSet<'_>, widths: &[u32]) -> std::result::Result<Self, String> {
        let unsigned = |tag, what: &str| data_set.unsigned(tag).ok_or_else(|| format!("{what} is missing"));
        let (rows, columns) = (unsigned(tags::ROWS, "Rows")?, unsigned(tags::COLUMNS, "Columns")?);
        let allocated = unsigned(tags::BITS_ALLOCATED, "BitsAllocated")?;
        if !widths.contains(&allocated) {
            return Err(format!("BitsAllocated is {allocated}; {widths:?} are read"));
        }
        let bits_stored = data_set.unsigned(tags::BITS_STORED).unwrap_or(allocated);
        if bits_stored == 0 || bits_stored > allocated {
            return Err(format!("BitsStored is {bits_stored} of {allocated} allocated"));
        }
        let high_bit = data_set.unsigned(tags::HIGH_BIT).unwrap_or(bits_stored - 1);
        if high_bit != bits_stored - 1 {
            return Err(format!(
                "HighBit is {high_bit} where BitsStored - 1 = {} is required: the values would be wrong",
                bits_stored - 1
            ));
        }
        let frames = match data_set.text(tags::NUMBER_OF_FRAMES) {
            None => 1,
            Some(text) => text.parse().map_err(|_| format!("NumberOfFrames is {text:?}, which is no number"))?,
        };
        let low_is_bright = data_set.string(tags::PHOTOMETRIC) == "MONOCHROME1";
        let signed = data_set.unsigned(tags::PIXEL_REPRESENTATION) == Some(1);
        let width = allocated.div_ceil(8);
        let format = Self { rows, columns, frames, width, bits_stored, signed, low_is_bright };
        if format.bytes() == 0 || format.frame_bytes() > MAX_FRAME {
            return Err(format!("{columns} x {rows} samples in {frames} frames are promised"));
        }
        Ok(format)
    }

    pub(super) fn frame_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns) * u64::from(self.width)
    }

    /// Bytes of all native samples.
    pub(super) fn bytes(&self) -> u64 {
        self.frame_bytes().saturating_mul(u64::from(self.frames))
    }

    /// Samples of one frame.
    pub(super) fn samples(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Slope and intercept that turn the stored values upside down within their bits before `rescale`.
    pub(super) fn inverted(&self, (slope, intercept): (f64, f64)) -> (f64, f64) {
        let ends = if self.signed { -1.0 } else { (1_u64 << self.bits_stored) as f64 - 1.0 };
        (-slope, slope.mul_add(ends, intercept))
    }

    /// Name of the sample type as numpy has it.
    pub(super) fn data_type(&self) -> crate::formats::DataType {
        use crate::formats::DataType as D;
        match (self.width, self.signed) {
            (1, false) => D::UInt8,
            (1, true) => D::Int8,
            (2, false) => D::UInt16,
            (2, true) => D::Int16,
            (_, false) => D::UInt32,
            (_, true) => D::Int32,
        }
    }
}

/// The frames of a file.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    pub(super) format: PixelFormat,
    big_endian: bool,
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Native(&'a [u8]),
    /// The fragments of each frame.
    Compressed(Codec, Vec<Vec<&'a [u8]>>),
}

impl<'a> Frames<'a> {
    /// Finds the frames in a file that was read whole.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when samples are missing, [`crate::ErrorKind::Unsupported`] when they are of a
    /// kind that is not decoded.
    pub(super) fn of(file: &'a DicomFile, limits: &Limits) -> Result<Self> {
        Self::find(file, limits).map_err(|e| e.at(&file.path))
    }

    fn find(file: &'a DicomFile, limits: &Limits) -> Result<Self> {
        let format = PixelFormat::of(&file.parse().data_set).map_err(Error::unsupported)?;
        Self::in_format(file, format, limits)
    }

    /// The frames of a file whose samples are of this format, whatever its header says.
    pub(super) fn in_format(file: &'a DicomFile, format: PixelFormat, limits: &Limits) -> Result<Self> {
        let parsed = file.parse();
        let Some(samples) = parsed.samples.filter(|samples| samples.tag == tags::PIXEL_DATA) else {
            return Err(missing(parsed.fault.map(|fault| fault.message(file.total())), parsed.samples.is_some()));
        };
        limits.bytes(format.bytes(), "the decoded samples")?;
        let big_endian = file.syntax.encoding.big_endian;
        let value = file.bytes().get(samples.start..).unwrap_or_default();
        let Some(codec) = file.syntax.known.map(|syntax| syntax.codec()).filter(|&codec| codec != Codec::Unsupported)
        else {
            return Err(Error::unsupported(format!("{} is not decoded", file.syntax.name())));
        };
        let source = match (samples.len, codec) {
            (Some(len), Codec::Native) => {
                if big_endian && format.width == 1 && samples.vr == *b"OW" {
                    return Err(Error::unsupported("8-bit samples in big-endian words are not read"));
                }
                Source::Native(native(value, len, format)?)
            }
            (None, Codec::Native) => {
                return Err(Error::malformed("the samples are compressed, yet the file does not say how"));
            }
            (Some(_), _) => {
                let message = format!("the samples are not in fragments, as {} requires", file.syntax.name());
                return Err(Error::malformed(message));
            }
            (None, codec) => {
                Source::Compressed(codec, compressed(value, codec, format, &parsed.data_set, file.syntax.encoding)?)
            }
        };
        Ok(Self { format, big_endian, source })
    }

    /// The samples of frame `n`, from 0.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when it cannot be decoded.
    pub(super) fn decode(&self, n: usize) -> Result<Frame<'a>> {
        let PixelFormat { rows, columns, width, .. } = self.format;
        let width = width as usize;
        match &self.source {
            Source::Native(bytes) => {
                let len = self.format.samples() * width;
                let bytes = n.checked_mul(len).and_then(|start| bytes.get(start..start + len));
                let bytes = bytes.ok_or_else(|| Error::malformed(format!("there is no frame {}", n + 1)))?;
                Ok(Frame::Bytes { bytes: Cow::Borrowed(bytes), width, big_endian: self.big_endian })
            }
            Source::Compressed(codec, frames) => {
                let fragments =
                    frames.get(n).ok_or_else(|| Error::malformed(format!("there is no frame {}", n + 1)))?;
                let data = match fragments.as_slice() {
                    [one] => Cow::Borrowed(*one),
                    several => Cow::Owned(several.concat()),
                };
                let wanted = Wanted { rows: rows as usize, columns: columns as usize, width };
                let frame = codecs::decode(*codec, &data, wanted)
                    .map_err(|message| Error::malformed(format!("frame {} cannot be decoded: {message}", n + 1)))?;
                if frame.len() != self.format.samples() {
                    return Err(Error::malformed(format!("frame {} has the wrong number of samples", n + 1)));
                }
                Ok(frame)
            }
        }
    }
}

/// Why a file has no samples that can be read.
fn missing(fault: Option<String>, has_floats: bool) -> Error {
    match fault {
        Some(message) => Error::malformed(message),
        None if has_floats => Error::unsupported("its samples are floating-point numbers, which are not read"),
        None => Error::unsupported("it has no pixel data"),
    }
}

/// Native samples: `len` bytes are declared, `value` are those that follow.
fn native(value: &[u8], len: u32, format: PixelFormat) -> Result<&[u8]> {
    let declared = &value[..value.len().min(len as usize)];
    if (declared.len() as u64) < format.bytes() {
        return Err(Error::malformed(format!(
            "the pixel data has {} of the {} bytes that the header promises",
            declared.len(),
            format.bytes()
        ))
        .hint("the file is cut off or damaged: copy it again"));
    }
    Ok(declared)
}

/// The fragments of each frame.
fn compressed<'a>(
    value: &'a [u8],
    codec: Codec,
    format: PixelFormat,
    data_set: &DataSet<'_>,
    encoding: Encoding,
) -> Result<Vec<Vec<&'a [u8]>>> {
    let fragments = encoding::fragments(value, encoding)
        .map_err(|fault| Error::malformed(format!("the pixel data: {}", fault.message(value.len() as u64))))?;
    let Some((table, fragments)) = fragments.split_first() else {
        return Err(Error::malformed("the pixel data is empty"));
    };
    let bytes: u64 = fragments.iter().map(|fragment| fragment.len() as u64).sum();
    if format.bytes() > FREE.max(bytes.saturating_mul(most_compression(codec))) {
        return Err(Error::malformed(format!(
            "{bytes} compressed bytes cannot hold the {} bytes that the header promises",
            format.bytes()
        )));
    }
    let frames = format.frames as usize;
    let starts = if frames == fragments.len() {
        (0..frames).collect()
    } else if frames == 1 {
        vec![0]
    } else {
        starts_by_table(table, data_set, fragments, encoding)
            .filter(|starts| starts.len() == frames)
            .unwrap_or_else(|| starts_by_content(fragments, codec))
    };
    if starts.len() != frames || fragments.is_empty() {
        return Err(Error::malformed(format!(
            "{} fragments of pixel data do not make the {frames} frames that the header promises",
            fragments.len()
        )));
    }
    let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
    Ok(starts.iter().zip(ends).map(|(&start, end)| fragments[start..end].to_vec()).collect())
}

/// The first fragment of each frame by the basic (32-bit) or extended (64-bit) offset table (PS3.5, A.4).
fn starts_by_table(
    table: &[u8],
    data_set: &DataSet<'_>,
    fragments: &[&[u8]],
    encoding: Encoding,
) -> Option<Vec<usize>> {
    let offsets: Vec<u64> = match data_set.get(tags::EXTENDED_OFFSETS) {
        Some(extended) if table.is_empty() => extended.bytes.as_chunks().0.iter().map(|&b| encoding.u64(b)).collect(),
        _ => table.as_chunks().0.iter().map(|&b| encoding.u32(b).into()).collect(),
    };
    let mut at = 0;
    let mut places = Vec::with_capacity(fragments.len());
    for fragment in fragments {
        places.push(at);
        at += 8 + fragment.len() as u64;
    }
    let starts = offsets.iter().map(|offset| places.binary_search(offset).ok()).collect::<Option<Vec<_>>>()?;
    (starts.first() == Some(&0) && starts.is_sorted_by(|a, b| a < b)).then_some(starts)
}

/// The first fragment of each frame where no table says so: a new frame starts with its coder's signature.
fn starts_by_content(fragments: &[&[u8]], codec: Codec) -> Vec<usize> {
    let is_start = |fragment: &[u8]| match codec {
        Codec::RunLength => fragment.get(1..8) == Some(&[0, 0, 0, 64, 0, 0, 0]),
        Codec::Jpeg2000 => fragment.starts_with(&[0xff, 0x4f, 0xff, 0x51]),
        _ => fragment.starts_with(&[0xff, 0xd8, 0xff]),
    };
    (0..fragments.len()).filter(|&n| is_start(fragments[n])).collect()
}

/// Writes the samples of `runs` (ranges of sample numbers) to `out`, each masked to its stored bits, sign-extended and
/// passed through `convert`.
pub(super) fn convert<T>(
    frame: &Frame<'_>,
    format: PixelFormat,
    runs: impl Iterator<Item = Range<usize>>,
    out: &mut [T],
    convert: impl Fn(f64) -> T,
) {
    let PixelFormat { bits_stored, signed, .. } = format;
    let fill = Fill { shift: 32 - bits_stored, signed, convert };
    let mut out = out;
    for run in runs {
        let (now, rest) = out.split_at_mut(run.len().min(out.len()));
        out = rest;
        match frame {
            Frame::Bytes { bytes, width, big_endian } => {
                let bytes = bytes.get(run.start * width..run.end * width).unwrap_or_default();
                match (width, big_endian) {
                    (1, _) => fill.all(now, bytes, |&byte| byte.into()),
                    (2, false) => fill.all(now, bytes.as_chunks().0, |&b| u16::from_le_bytes(b).into()),
                    (2, true) => fill.all(now, bytes.as_chunks().0, |&b| u16::from_be_bytes(b).into()),
                    (_, false) => fill.all(now, bytes.as_chunks().0, |&b| u32::from_le_bytes(b)),
                    (_, true) => fill.all(now, bytes.as_chunks().0, |&b| u32::from_be_bytes(b)),
                }
            }
            Frame::Words(samples) => fill.all(now, samples.get(run).unwrap_or_default(), |&sample| sample.into()),
            Frame::Integers(samples) => {
                fill.all(now, samples.get(run).unwrap_or_default(), |&sample| sample.cast_unsigned());
            }
        }
    }
}

/// One sample of a header, masked to its stored bits and sign-extended.
pub(super) fn stored(sample: u32, format: PixelFormat) -> i64 {
    let shift = 32 - format.bits_stored;
    if format.signed {
        i64::from((sample << shift).cast_signed() >> shift)
    } else {
        i64::from((sample << shift) >> shift)
    }
}

/// Masks, sign-extends and converts samples.
struct Fill<F> {
    /// Bits of a 32-bit word that are not stored.
    shift: u32,
    signed: bool,
    convert: F,
}

impl<F> Fill<F> {
    #[inline]
    fn all<S, T>(&self, out: &mut [T], samples: &[S], load: impl Fn(&S) -> u32)
    where
        F: Fn(f64) -> T,
    {
        let Self { shift, signed, convert } = self;
        let pairs = out.iter_mut().zip(samples);
        match (signed, shift) {
            (true, _) => pairs.for_each(|(out, s)| *out = convert(((load(s) << shift).cast_signed() >> shift).into())),
            (false, 0) => pairs.for_each(|(out, s)| *out = convert(load(s).into())),
            // Fewer than 32 bits fit a signed word, whose conversion is faster.
            (false, _) => pairs.for_each(|(out, s)| *out = convert(((load(s) << shift) >> shift).cast_signed().into())),
        }
    }
}
