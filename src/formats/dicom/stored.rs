//! Stored values, before slope and intercept and without a place in the patient.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::instance::{Instance, is_segmentation};
use super::part10::DicomFile;
use super::pixels::{Frames, PixelFormat, convert};
use super::segment_frames::{SegmentFormat, SegmentFrames};
use super::series::PlaneId;
use crate::error::{Error, Result};
use crate::fs;
use crate::limits::{self, Limits};

/// The samples of a file as stored: masked to the stored bits and sign-extended, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSamples {
    /// Columns, rows and frames.
    pub shape: [usize; 3],
    /// Values, columns fastest, then rows, then frames.
    pub values: Vec<i64>,
}

/// Reads the samples of one file, whether or not they have a place in the patient.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when the file cannot be read or is damaged; [`crate::ErrorKind::Unsupported`] when it
/// is not DICOM, holds no grey samples or is compressed in a way that is not decoded; [`crate::ErrorKind::Limit`] when
/// the samples are more than the limits allow.
pub fn read_stored(path: impl AsRef<Path>, limits: &Limits) -> Result<StoredSamples> {
    let path = path.as_ref();
    let header = DicomFile::open(path, limits)?.ok_or_else(|| Error::unsupported("this is no DICOM file").at(path))?;
    if is_segmentation(&header.parse().data_set) {
        return read_segments(path, &header, limits).map_err(|e| e.at(path));
    }
    let format = PixelFormat::of(&header.parse().data_set).map_err(|message| Error::unsupported(message).at(path))?;
    let file = DicomFile::open_whole(path, format.bytes(), limits)?;
    let frames = Frames::of(&file, limits)?;
    let format = frames.format;
    let count = format.frames as usize;
    limits.bytes(format.bytes().saturating_mul(8 / u64::from(format.width)), "the stored samples")?;
    let mut values = limits::zeroed(format.samples().saturating_mul(count), "the stored samples")?;
    let chunks = values.par_chunks_mut(format.samples()).enumerate();
    chunks.try_for_each(|(n, out)| decode(&frames, n, out)).map_err(|e| e.at(path))?;
    Ok(StoredSamples { shape: [format.columns as usize, format.rows as usize, count], values })
}

/// Samples of a segmentation, of one bit or whole bytes.
fn read_segments(path: &Path, header: &DicomFile, limits: &Limits) -> Result<StoredSamples> {
    let format = SegmentFormat::of(&header.parse().data_set).map_err(Error::unsupported)?;
    let file = DicomFile::open_whole(path, format.bytes(), limits)?;
    let source = SegmentFrames::of(&file, format, limits)?;
    let (len, count) = (format.pixels.samples(), format.pixels.frames as usize);
    limits.bytes(format.pixels.bytes().saturating_mul(8), "the stored samples")?;
    let mut values = limits::zeroed(len.saturating_mul(count), "the stored samples")?;
    values.par_chunks_mut(len).enumerate().try_for_each(|(n, out)| {
        let mut frame = limits::zeroed(len, "a frame")?;
        source.read(n, &mut frame)?;
        out.iter_mut().zip(frame).for_each(|(out, value): (&mut i64, u16)| *out = value.into());
        Ok::<_, Error>(())
    })?;
    Ok(StoredSamples { shape: [format.pixels.columns as usize, format.pixels.rows as usize, count], values })
}

fn decode(frames: &Frames<'_>, n: usize, out: &mut [i64]) -> Result<()> {
    let frame = frames.decode(n)?;
    #[expect(clippy::cast_possible_truncation, reason = "stored values are whole numbers of 32 bits")]
    convert(&frame, frames.format, std::iter::once(0..frames.format.samples()), out, |value| value as i64);
    Ok(())
}

/// For each plane a digest of its frame's values; `None` where it cannot be read. Each file is read once.
pub(super) fn digests(instances: &[Instance], ids: &[PlaneId], limits: &Limits) -> Vec<Option<String>> {
    let place = |id: &PlaneId| id.of(instances).map(|(plane, _)| (id.file, plane.frame));
    let mut wanted: Vec<_> = ids.iter().filter_map(place).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let files: Vec<_> = wanted.chunk_by(|a, b| a.0 == b.0).collect();
    let found = files.par_iter().flat_map_iter(|places| {
        let digests = instances.get(places[0].0).and_then(|instance| of_file(instance, places, limits).ok());
        places.iter().copied().zip(digests.unwrap_or_default())
    });
    let found: HashMap<_, _> = found.collect();
    ids.iter().map(|id| found.get(&place(id)?).cloned()).collect()
}

fn of_file(instance: &Instance, places: &[(usize, usize)], limits: &Limits) -> Result<Vec<String>> {
    let samples = instance.format.map_or(0, |format| format.bytes());
    let file = DicomFile::open_whole(&instance.path, samples, limits)?;
    let frames = Frames::of(&file, limits)?;
    let digest = |&(_, n): &(usize, usize)| {
        let mut values = limits::zeroed(frames.format.samples(), "a frame")?;
        decode(&frames, n, &mut values)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(fs::sha256_of(&bytes))
    };
    places.iter().map(digest).collect()
}
