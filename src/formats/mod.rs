//! Files to volumes and back.
//!
//! NIfTI files are read and written; folders of DICOM files, and DICOM files that hold a volume, are read (feature
//! `dicom`). A file is known by its content, never by its name. What is not sure is refused: a checksum that does not match,
//! missing voxels, a transform that is none. What can be read although something is odd comes with a [`Warning`].
//!
//! ```no_run
//! use unet_vol::formats::{self, ReadOptions};
//! let study = formats::read("study.nii.gz", &ReadOptions::new())?;
//! println!("{:?} voxels, {}", study.volume.grid().shape(), study.volume.grid().orientation());
//! # Ok::<(), unet_vol::Error>(())
//! ```

mod data_type;
#[cfg(feature = "dicom")]
pub mod dicom;
mod nifti;
mod opened;
mod pictures;
mod sniff;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Warning};
use crate::fs::Overwrite;
use crate::geometry::{Grid, Orientation};
use crate::limits::Limits;
use crate::volume::{LabelMap, Source, Volume};

pub use self::nifti::{Sample, SlabWriter, write_volume, write_volumes};
pub use data_type::DataType;
pub(crate) use opened::is_dicom;
#[cfg(feature = "dicom")]
pub(crate) use opened::scan;
pub use opened::{Opened, open};
pub(crate) use pictures::is_picture;

/// What to do about slices of a DICOM series that are not evenly spaced, because some are missing for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OnGap {
    /// The series is refused with its numbers.
    #[default]
    Refuse,
    /// The slices are interpolated linearly to even steps, with a warning that says which are made up. Labels come back
    /// on the slices in DICOM objects, and on the even grid in NIfTI, whose affine cannot hold uneven ones.
    Resample,
}

/// How to read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Which volume of a file that holds several, from 0 in the order of the file.
    pub volume: Option<usize>,
    /// The orientation that the user vouches for where the file does not say (no sform, no qform).
    pub assume_orientation: Option<Orientation>,
    /// Which series of a folder of DICOM files that holds several: a Series Instance UID, a description or the number
    /// of the row that a scan of the folder gives it.
    pub series: Option<String>,
    /// What to do about slices that are not evenly spaced.
    pub on_gap: OnGap,
    /// Slices that lie between those of the even grid that they are resampled to are kept beside it, in [`Study::slices`].
    pub keep_slices: bool,
    /// Samples of MONOCHROME1 images (DICOM), of which low ones are shown bright, are inverted within the range of their
    /// stored bits, so that high is bright; otherwise they are as stored.
    pub invert_monochrome1: bool,
    /// Which of red, green and blue of a picture in color, counted from 0; without it only grey pictures are read.
    pub color: Option<usize>,
    /// Spacing in mm along i, j, k of pictures, which do not state one.
    pub input_spacing: Option<[f64; 3]>,
    /// The images that a DICOM structure set was drawn on; by default they are looked for in its folder.
    pub images: Option<PathBuf>,
    /// Only the labels of these names, upper and lower case alike, of a DICOM structure set.
    pub only: Option<Vec<String>>,
    /// Ceilings for what the file may make this program allocate.
    pub limits: Limits,
}

impl ReadOptions {
    /// The only volume of a file, in the orientation that it states, under the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ReadOptions::volume`].
    #[must_use]
    pub fn with_volume(mut self, volume: Option<usize>) -> Self {
        self.volume = volume;
        self
    }

    /// Sets [`ReadOptions::assume_orientation`].
    #[must_use]
    pub fn with_assume_orientation(mut self, orientation: Option<Orientation>) -> Self {
        self.assume_orientation = orientation;
        self
    }

    /// Sets [`ReadOptions::series`].
    #[must_use]
    pub fn with_series(mut self, series: Option<String>) -> Self {
        self.series = series;
        self
    }

    /// Sets [`ReadOptions::on_gap`].
    #[must_use]
    pub fn with_on_gap(mut self, on_gap: OnGap) -> Self {
        self.on_gap = on_gap;
        self
    }

    /// Sets [`ReadOptions::keep_slices`].
    #[must_use]
    pub fn with_keep_slices(mut self, keep: bool) -> Self {
        self.keep_slices = keep;
        self
    }

    /// Sets [`ReadOptions::invert_monochrome1`].
    #[must_use]
    pub fn with_invert_monochrome1(mut self, invert: bool) -> Self {
        self.invert_monochrome1 = invert;
        self
    }

    /// Sets [`ReadOptions::color`].
    #[must_use]
    pub fn with_color(mut self, color: Option<usize>) -> Self {
        self.color = color;
        self
    }

    /// Sets [`ReadOptions::input_spacing`].
    #[must_use]
    pub fn with_input_spacing(mut self, spacing: Option<[f64; 3]>) -> Self {
        self.input_spacing = spacing;
        self
    }

    /// Sets [`ReadOptions::images`].
    #[must_use]
    pub fn with_images(mut self, images: Option<PathBuf>) -> Self {
        self.images = images;
        self
    }

    /// Sets [`ReadOptions::only`].
    #[must_use]
    pub fn with_only(mut self, only: Option<Vec<String>>) -> Self {
        self.only = only;
        self
    }

    /// Sets [`ReadOptions::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How to write intensities and scores.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Type of the stored samples: up to 32-bit integers, or floats.
    pub data_type: DataType,
    /// Whether an existing file may be replaced.
    pub overwrite: Overwrite,
    /// Name (of at most 15 bytes in the file) of what the values are, where they are not the source's quantity; the
    /// source's description, intent and display range are then not passed on.
    pub quantity: Option<String>,
    /// Whether the file is on the disk before it takes its name; without, a crash of the system within the next seconds may
    /// leave a name without content.
    pub sync: bool,
}

impl WriteOptions {
    /// Samples of `data_type`, an existing file refused, the same quantity as in the source, synced.
    #[must_use]
    pub fn new(data_type: DataType) -> Self {
        Self { data_type, overwrite: Overwrite::Refuse, quantity: None, sync: true }
    }

    /// Sets [`WriteOptions::overwrite`].
    #[must_use]
    pub fn with_overwrite(mut self, overwrite: Overwrite) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Sets [`WriteOptions::quantity`].
    #[must_use]
    pub fn with_quantity(mut self, quantity: Option<String>) -> Self {
        self.quantity = quantity;
        self
    }

    /// Sets [`WriteOptions::sync`].
    #[must_use]
    pub fn with_sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }
}

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// NIfTI-1, a single file or a pair.
    Nifti1,
    /// NIfTI-2, a single file or a pair.
    Nifti2,
    /// A DICOM series: a folder of slices, or a file that holds several.
    Dicom,
    /// A PNG picture, or a folder of them.
    Png,
    /// A JPEG picture, or a folder of them.
    Jpeg,
    /// A TIFF picture of one or several pages, or a folder of them.
    Tiff,
}

/// Which transform of a file placed its voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The sform: an affine.
    Sform,
    /// The qform: a rotation, spacings and an offset.
    Qform,
    /// Position and orientation of each image plane (DICOM).
    Planes,
    /// None: the file does not say where left and right are.
    None,
}

/// What a file says before its voxels.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Probe {
    /// The file with the header.
    pub path: PathBuf,
    /// The file with the voxels, for a pair.
    pub voxel_file: Option<PathBuf>,
    /// Format by content.
    pub format: Format,
    /// True when the file with the voxels is compressed.
    pub gzip: bool,
    /// True when the most significant byte comes first.
    pub big_endian: bool,
    /// Lengths of all axes, one to seven of them.
    pub shape: Vec<u64>,
    /// Where the voxels of one volume are.
    pub grid: Grid,
    /// The transform that `grid` comes from.
    pub form: Form,
    /// Code of the sform as stored.
    pub sform_code: i64,
    /// Code of the qform as stored.
    pub qform_code: i64,
    /// Type of a stored sample; `float32` for a DICOM series whose slices are scaled differently.
    pub data_type: DataType,
    /// Slope and intercept, where there is a usable slope.
    pub scaling: Option<(f64, f64)>,
    /// Units of space and time, `"unknown"` where none is given. Lengths are not converted.
    pub units: (&'static str, &'static str),
    /// What the values mean, such as `Label` or `Zscore`; empty where nothing is said.
    pub intent: String,
    /// The name that the file gives to its values.
    pub intent_name: String,
    /// Free text.
    pub description: String,
    /// Header extensions: code and bytes of content.
    pub extensions: Vec<(i32, usize)>,
    /// What is odd.
    pub warnings: Vec<Warning>,
}

/// A volume that was read, and what is needed to write something back beside it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Study<T = f32> {
    /// Intensities after slope and intercept, i fastest, in the file's own order of axes.
    pub volume: Volume<T>,
    /// The slices of a DICOM series as they were before they were resampled to the even grid of `volume`, on
    /// [`Grid::of_slices`]; where [`ReadOptions::keep_slices`] asks for them and the grid does not have them all.
    pub slices: Option<Volume<T>>,
    /// The file's own header.
    pub source: Source,
    /// What the header says.
    pub probe: Probe,
    /// What is odd about header and voxels.
    pub warnings: Vec<Warning>,
}

/// A label map that was read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LabelStudy {
    /// Ids, with names where the file has them.
    pub labels: LabelMap,
    /// The file's own header.
    pub source: Source,
    /// What the header says.
    pub probe: Probe,
    /// What is odd about header, names and voxels.
    pub warnings: Vec<Warning>,
}

/// Reads the header alone; those of all files where `path` is a folder.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when the file cannot be read or its header makes no sense;
/// [`crate::ErrorKind::Unsupported`] for another format, with the way to convert it; [`crate::ErrorKind::Limit`] when
/// the header promises more than the limits allow. Missing voxels are a warning here.
pub fn probe(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Probe> {
    open(path, options)?.probe()
}

/// Reads a volume of intensities as `f32` from a file, or from a folder of DICOM files.
///
/// # Errors
/// As [`probe`]; [`crate::ErrorKind::Malformed`] too for missing voxels and for a checksum that does not match;
/// [`crate::ErrorKind::Unsupported`] for colours and complex numbers, and for several volumes of which none was chosen.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Study> {
    read_as(path, options)
}

/// Reads a volume of intensities as `f32` or `f64`; slope and intercept are applied in `f64`.
///
/// # Errors
/// As [`read`].
pub fn read_as<T: Sample>(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Study<T>> {
    open(path, options)?.read_as(options)
}

/// Reads all volumes of a file or series in one pass, in the order of time; one alone where
/// [`ReadOptions::volume`] names it.
///
/// # Errors
/// As [`read`], but for the choice of a volume.
pub fn read_all_as<T: Sample>(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<Study<T>>> {
    open(path, options)?.read_all_as(options)
}

/// Reads label ids, exactly, with their names where the file has them: a NIfTI file, a DICOM segmentation, a DICOM
/// structure set with the images that it was drawn on, a picture or a folder of pictures of which each is a slice.
///
/// # Errors
/// As [`read`]; [`crate::ErrorKind::Unsupported`] too when a value is no whole number from 0 to 65535.
pub fn read_labels(path: impl AsRef<Path>, options: &ReadOptions) -> Result<LabelStudy> {
    opened::read_labels(path.as_ref(), options)
}

/// What the names of the files of a folder of secondary captures begin with.
pub(crate) const CAPTURE: &str = "capture_";

/// Why there is no DICOM object for a source of another format.
pub(crate) fn not_dicom() -> Error {
    Error::unsupported("DICOM objects are written for DICOM series only: they refer to its images")
        .hint("use --format nifti")
}

/// Writes label ids beside the study that they belong to: as NIfTI, a PNG of one slice or a TIFF with a page per slice,
/// by the end of the name.
///
/// NIfTI: `uint8`, or `uint16` where an id needs it; the source's sform, qform, both codes, units, byte order, version
/// and header extensions are kept when the labels lie on its grid; on another grid both forms are new. Slope and
/// intercept are 1 and 0, the intent is LABEL, and the names go into an extension that Connectome Workbench and
/// TotalSegmentator read. Pictures: plain grey ids of 8 bits, or 16 where an id needs them; nothing says where they lie.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for a name of another kind, for an existing file and for a PNG of several slices;
/// [`crate::ErrorKind::Output`] when the file cannot be written, in which case nothing is left behind.
pub fn write_labels(path: impl AsRef<Path>, labels: &LabelMap, source: &Source, overwrite: Overwrite) -> Result<()> {
    let path = path.as_ref();
    if is_picture(path) {
        return pictures::write_labels(path, labels, overwrite);
    }
    nifti::write_labels(path, labels, source, overwrite)
}
