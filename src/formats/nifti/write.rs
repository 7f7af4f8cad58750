//! Writing single files, `.nii` or `.nii.gz` by the name asked for, in one step or slab by slab.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::gzip::Gzip;
use super::new_header::{Meaning, NewHeader, build};
use crate::error::{Error, Result};
use crate::formats::{DataType, WriteOptions};
use crate::fs::{self, Output, Overwrite};
use crate::geometry::Grid;
use crate::volume::{LabelMap, Source, Volume, VolumeView};

/// Levels of compression: labels gain much from effort, noisy intensities little.
const LABEL_LEVEL: u32 = 6;
const INTENSITY_LEVEL: u32 = 1;
/// Samples that are encoded at a time.
const CHUNK: usize = 1 << 18;

/// Voxels on their way into a file; without [`Voxels::finish`] nothing appears.
struct Voxels {
    path: PathBuf,
    sink: Sink,
    big_endian: bool,
    left: usize,
    /// Encoded samples on their way out, and the next ones in the making.
    buffers: [Vec<u8>; 2],
}

enum Sink {
    Plain(Output),
    Gzip(Box<Gzip<Output>>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// True for `.nii.gz`, false for `.nii`.
fn is_compressed(path: &Path) -> Result<bool> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match name {
        name if name.ends_with(".nii.gz") => Ok(true),
        name if name.ends_with(".nii") => Ok(false),
        _ => {
            Err(Error::usage("volumes are written as NIfTI").at(path).hint("name a file that ends in .nii or .nii.gz"))
        }
    }
}

impl Voxels {
    /// `blocks` of a compressed file are deflated at a time.
    fn create(
        path: &Path,
        header: &NewHeader,
        voxels: usize,
        level: u32,
        blocks: usize,
        output: impl FnOnce() -> Result<Output>,
    ) -> Result<Self> {
        let compressed = is_compressed(path)?;
        let output = output()?;
        let failed = |e| fs::unwritable(path, e);
        let mut sink = if compressed {
            Sink::Gzip(Box::new(Gzip::new(output, level, blocks).map_err(failed)?))
        } else {
            Sink::Plain(output)
        };
        sink.write_all(&header.bytes).map_err(failed)?;
        let big_endian = header.big_endian;
        Ok(Self { path: path.to_owned(), sink, big_endian, left: voxels, buffers: Default::default() })
    }

    /// Encodes the next samples, i fastest, and writes them.
    ///
    /// While some are written the next ones are encoded.
    fn push<T: Sync>(
        &mut self,
        samples: &[T],
        encode: impl Fn(&[T], bool, &mut Vec<u8>) -> Result<()> + Sync,
    ) -> Result<()> {
        self.left = self.left.checked_sub(samples.len()).ok_or_else(|| {
            Error::internal(format!("{} samples more than the grid has were written", samples.len() - self.left))
        })?;
        let Self { path, sink, big_endian, buffers: [ready, next], .. } = self;
        ready.clear();
        for samples in samples.chunks(CHUNK) {
            next.clear();
            let (written, encoded) = rayon::join(|| sink.write_all(ready), || encode(samples, *big_endian, next));
            written.map_err(|e| fs::unwritable(path, e))?;
            encoded.map_err(|e| e.at(&*path))?;
            std::mem::swap(ready, next);
        }
        sink.write_all(ready).map_err(|e| fs::unwritable(path, e))
    }

    /// The file takes its name.
    fn finish(self) -> Result<()> {
        if self.left > 0 {
            return Err(Error::internal(format!("{} samples are missing in the volume", self.left)).at(&self.path));
        }
        match self.sink {
            Sink::Plain(output) => output,
            Sink::Gzip(gzip) => gzip.finish().map_err(|e| fs::unwritable(&self.path, e))?,
        }
        .commit()
    }
}

/// Writes label ids; see [`write_labels`](crate::formats::write_labels). The name decides about compression.
pub(in crate::formats) fn write_labels(
    path: &Path,
    labels: &LabelMap,
    source: &Source,
    overwrite: Overwrite,
) -> Result<()> {
    let data_type = if labels.max_id() > u16::from(u8::MAX) { DataType::UInt16 } else { DataType::UInt8 };
    let header = build(labels.grid(), 1, source, data_type, &Meaning::Labels(&labels.table)).map_err(|e| e.at(path))?;
    let ids = labels.ids.data();
    let output = || Output::create(path, overwrite);
    let mut voxels = Voxels::create(path, &header, ids.len(), LABEL_LEVEL, rayon::current_num_threads(), output)?;
    voxels.push(ids, |ids, big_endian, out| {
        match (data_type, big_endian) {
            (DataType::UInt8, _) => out.extend(ids.iter().map(|id| id.to_le_bytes()[0])),
            (_, false) => out.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
            (_, true) => out.extend(ids.iter().flat_map(|id| id.to_be_bytes())),
        }
        Ok(())
    })?;
    voxels.finish()
}

/// Writes a volume of intensities or scores; see [`WriteOptions`] for type and meaning.
///
/// Geometry and extensions are treated as by [`write_labels`](crate::formats::write_labels).
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for a name that does not end in `.nii` or `.nii.gz` and for an existing file;
/// [`crate::ErrorKind::Output`] when the file cannot be written, in which case nothing is left behind; [`crate::ErrorKind::Usage`] too when a value does not fit the data type.
pub fn write_volume<'a, T: Copy + Into<f64> + Sync + 'a>(
    path: impl AsRef<Path>,
    volume: impl Into<VolumeView<'a, T>>,
    source: &Source,
    options: &WriteOptions,
) -> Result<()> {
    write_views(path.as_ref(), &[volume.into()], source, options)
}

/// Writes volumes on one grid, in the order of time, as one file of four axes; of more where the source has them.
///
/// For a DICOM source the step of the fourth axis is its repetition time in seconds.
///
/// # Errors
/// As [`write_volume`]; [`crate::ErrorKind::Usage`] too for volumes on several grids, or none.
pub fn write_volumes<T: Copy + Into<f64> + Sync>(
    path: impl AsRef<Path>,
    volumes: &[Volume<T>],
    source: &Source,
    options: &WriteOptions,
) -> Result<()> {
    write_views(path.as_ref(), &volumes.iter().map(VolumeView::from).collect::<Vec<_>>(), source, options)
}

fn write_views<T: Copy + Into<f64> + Sync>(
    path: &Path,
    volumes: &[VolumeView<'_, T>],
    source: &Source,
    options: &WriteOptions,
) -> Result<()> {
    let first = volumes.first().ok_or_else(|| Error::usage("there is no volume to write").at(path))?;
    if volumes.iter().any(|volume| volume.grid() != first.grid()) {
        return Err(Error::usage("the volumes lie on several grids and make no file of four axes").at(path));
    }
    let blocks = rayon::current_num_threads();
    let mut writer = SlabWriter::with_blocks(path, first.grid(), volumes.len(), source, options, blocks)?;
    for volume in volumes {
        writer.write(volume.data())?;
    }
    writer.finish()
}

/// Writes a volume slab by slab along k, for scores that never exist as a whole.
///
/// Dropping it without [`SlabWriter::finish`] leaves no file.
pub struct SlabWriter {
    voxels: Voxels,
    data_type: DataType,
}

impl std::fmt::Debug for SlabWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlabWriter").field("path", &self.voxels.path).field("left", &self.voxels.left).finish()
    }
}

impl SlabWriter {
    /// Starts a file for samples on `grid`.
    ///
    /// # Errors
    /// As [`write_volume`]; [`crate::ErrorKind::Usage`] too for a data type that is not written.
    pub fn create(path: impl AsRef<Path>, grid: &Grid, source: &Source, options: &WriteOptions) -> Result<Self> {
        Self::with_blocks(path.as_ref(), grid, 1, source, options, 1)
    }

    fn with_blocks(
        path: &Path,
        grid: &Grid,
        volumes: usize,
        source: &Source,
        options: &WriteOptions,
        blocks: usize,
    ) -> Result<Self> {
        let data_type = options.data_type;
        if data_type.integer_range().is_none() && !matches!(data_type, DataType::Float32 | DataType::Float64) {
            return Err(Error::usage(format!("volumes of type {data_type} are not written")).at(path));
        }
        let meaning = options.quantity.as_deref().map_or(Meaning::Same, Meaning::Quantity);
        let header = build(grid, volumes, source, data_type, &meaning).map_err(|e| e.at(path))?;
        let voxels = grid.voxels().saturating_mul(volumes);
        let output = || {
            let output = Output::create(path, options.overwrite)?;
            Ok(if options.sync { output } else { output.unsynced() })
        };
        let voxels = Voxels::create(path, &header, voxels, INTENSITY_LEVEL, blocks, output)?;
        Ok(Self { voxels, data_type })
    }

    /// Appends samples, i fastest, then j, then k: any number of whole or partial planes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when a value does not fit the data type; [`crate::ErrorKind::Output`] when it cannot
    /// be written; [`crate::ErrorKind::Internal`] for more samples than the grid has.
    pub fn write<T: Copy + Into<f64> + Sync>(&mut self, samples: &[T]) -> Result<()> {
        let data_type = self.data_type;
        self.voxels.push(samples, |samples, big_endian, out| encode(samples, data_type, big_endian, out))
    }

    /// Completes the file, which takes its name in one step.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when samples are missing; [`crate::ErrorKind::Output`] as before.
    pub fn finish(self) -> Result<()> {
        self.voxels.finish()
    }
}

/// Samples as bytes; integers are rounded to the nearest, halves to the even one.
fn encode<T: Copy + Into<f64> + Sync>(
    samples: &[T],
    data_type: DataType,
    big_endian: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    macro_rules! run {
        ($kind:ty, $stored:expr) => {
            if big_endian {
                encoded(samples, $stored, <$kind>::to_be_bytes, out)
            } else {
                encoded(samples, $stored, <$kind>::to_le_bytes, out)
            }
        };
    }
    macro_rules! whole {
        ($kind:ty) => {
            run!($kind, |value: f64| {
                let rounded = value.round_ties_even();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the value")]
                let whole = rounded as $kind;
                (whole, f64::from(whole) == rounded)
            })
        };
    }
    let misfit = match data_type {
        DataType::UInt8 => whole!(u8),
        DataType::Int8 => whole!(i8),
        DataType::UInt16 => whole!(u16),
        DataType::Int16 => whole!(i16),
        DataType::UInt32 => whole!(u32),
        DataType::Int32 => whole!(i32),
        DataType::Float32 => run!(f32, |value: f64| {
            #[allow(clippy::cast_possible_truncation, reason = "NaN and infinity are carried as they are")]
            let single = value as f32;
            (single, single.is_finite() | !value.is_finite())
        }),
        _ => run!(f64, |value: f64| (value, true)),
    };
    misfit.map_or(Ok(()), |value| Err(out_of_range(value, data_type)))
}

/// Appends what `stored` makes of each sample; the first one that it says not to fit.
///
/// Without a way out in the middle, so that it is vectorized.
fn encoded<T: Copy + Into<f64>, S, const N: usize>(
    samples: &[T],
    stored: impl Fn(f64) -> (S, bool),
    bytes: impl Fn(S) -> [u8; N],
    out: &mut Vec<u8>,
) -> Option<f64> {
    let start = out.len();
    out.resize(start + samples.len() * N, 0);
    let (slots, _) = out[start..].as_chunks_mut();
    let mut all = true;
    for (slot, &sample) in slots.iter_mut().zip(samples) {
        let (sample, fits) = stored(sample.into());
        *slot = bytes(sample);
        all &= fits;
    }
    if all {
        return None;
    }
    samples.iter().map(|&sample| sample.into()).find(|&value| !stored(value).1)
}

fn out_of_range(value: f64, data_type: DataType) -> Error {
    let range = data_type.integer_range().map_or(String::new(), |(low, high)| format!(" ({low} to {high})"));
    Error::usage(format!("the value {value} does not fit {data_type}{range}")).hint("choose a wider data type")
}
