//! Samples of segmentations: of one bit, packed over all frames, or of whole bytes.

use super::data_set::DataSet;
use super::part10::DicomFile;
use super::pixels::{Frames, PixelFormat, convert};
use super::tags;
use super::transfer_syntax::Codec;
use crate::error::{Error, Result};
use crate::limits::{self, Limits};

/// Rows, columns and frames of a segmentation and how wide its samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentFormat {
    /// The format of the samples once they are unpacked.
    pub(super) pixels: PixelFormat,
    /// True when a sample is one bit.
    pub(super) is_packed: bool,
}

impl SegmentFormat {
    /// An error says why the samples are none of a segmentation.
    pub(super) fn of(data_set: &DataSet<'_>) -> std::result::Result<Self, String> {
        let pixels = PixelFormat::stored(data_set, &[1, 8, 16])?;
        Ok(Self { pixels, is_packed: data_set.unsigned(tags::BITS_ALLOCATED) == Some(1) })
    }

    /// Bytes of all native samples.
    pub(super) fn bytes(&self) -> u64 {
        if self.is_packed { self.pixels.bytes().div_ceil(8) } else { self.pixels.bytes() }
    }
}

/// The frames of a segmentation.
#[derive(Debug)]
pub(super) struct SegmentFrames<'a> {
    format: SegmentFormat,
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    /// Bits one after the other, without padding between frames, the first in the lowest bit (PS3.5, 8.1.1).
    Bits(&'a [u8]),
    /// Samples; of a frame of its own bytes where they are bits behind a coder of bytes.
    Frames(Frames<'a>, PixelFormat),
}

impl<'a> SegmentFrames<'a> {
    /// Finds the frames in a file that was read whole.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when samples are missing; [`crate::ErrorKind::Unsupported`] when they are of a
    /// kind that is not decoded; [`crate::ErrorKind::Limit`] when they are more than the limits allow.
    pub(super) fn of(file: &'a DicomFile, format: SegmentFormat, limits: &Limits) -> Result<Self> {
        let codec = file.syntax.known.map_or(Codec::Unsupported, |syntax| syntax.codec());
        let source = match (format.is_packed, codec) {
            (true, Codec::Native) => Source::Bits(bits(file, format)?),
            (true, Codec::RunLength | Codec::DeflatedFrames) => {
                let columns = u32::try_from(format.pixels.samples().div_ceil(8)).unwrap_or(u32::MAX);
                let bytes = PixelFormat { rows: 1, columns, bits_stored: 8, ..format.pixels };
                Source::Frames(Frames::in_format(file, bytes, limits)?, bytes)
            }
            _ => Source::Frames(Frames::in_format(file, format.pixels, limits)?, format.pixels),
        };
        Ok(Self { format, source })
    }

    /// Writes the samples of frame `n`, from 0, to `out`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when it cannot be decoded.
    pub(super) fn read(&self, n: usize, out: &mut [u16]) -> Result<()> {
        let bit = |bytes: &[u8], at: usize| bytes.get(at / 8).map_or(0, |byte| u16::from(byte >> (at % 8) & 1));
        match &self.source {
            Source::Bits(bytes) => {
                let start = n * self.format.pixels.samples();
                out.iter_mut().enumerate().for_each(|(at, out)| *out = bit(bytes, start + at));
            }
            Source::Frames(frames, format) => {
                let frame = frames.decode(n)?;
                let all = std::iter::once(0..format.samples());
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers of 16 bits")]
                if *format == self.format.pixels {
                    convert(&frame, *format, all, out, |value| value as u16);
                } else {
                    let mut bytes = limits::zeroed::<u8>(format.samples(), "a frame")?;
                    convert(&frame, *format, all, &mut bytes, |value| value as u8);
                    out.iter_mut().enumerate().for_each(|(at, out)| *out = bit(&bytes, at));
                }
            }
        }
        Ok(())
    }
}

/// The bytes of native bits.
fn bits(file: &DicomFile, format: SegmentFormat) -> Result<&[u8]> {
    if file.syntax.encoding.big_endian {
        return Err(Error::unsupported("segments of one bit are not read from big-endian files"));
    }
    let samples = file.parse().samples.filter(|samples| samples.tag == tags::PIXEL_DATA);
    let wanted = usize::try_from(format.bytes()).unwrap_or(usize::MAX);
    let value = samples.and_then(|samples| {
        let declared = samples.len.map_or(0, |len| len as usize).min(wanted);
        file.bytes().get(samples.start..samples.start.checked_add(declared)?)
    });
    value.filter(|value| value.len() == wanted).ok_or_else(|| {
        Error::malformed(format!("the pixel data has fewer than the {wanted} bytes that the header promises"))
            .hint("the file is cut off or damaged: copy it again")
    })
}
