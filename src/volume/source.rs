//! What a writer must give back: the source's own header, untouched.

use std::path::PathBuf;

use crate::error::Result;
use crate::geometry::{Grid, slice_at};

/// Where a volume came from and everything needed to write a label map that sits exactly on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Source {
    /// The file or folder that was read; `None` for a volume made in memory.
    pub path: Option<PathBuf>,
    /// The grid as stored, before any reorientation.
    pub grid: Grid,
    /// What the format keeps.
    pub kind: SourceKind,
    /// False when the file does not say where left and right are (no sform and no qform).
    pub oriented: bool,
}

impl Source {
    /// A source of `kind` on `grid`, which says where left and right are.
    #[must_use]
    pub fn new(path: Option<PathBuf>, grid: Grid, kind: SourceKind) -> Self {
        Self { path, grid, kind, oriented: true }
    }

    /// The source as the slices of a DICOM series are, where they were resampled to an even grid: its k counts
    /// [`DicomSource::slices`], and its grid is [`Grid::of_slices`]. `None` where k counts them already.
    ///
    /// # Errors
    /// As [`Grid::of_slices`].
    pub fn by_slice(&self) -> Result<Option<Self>> {
        let Some(places) = self.places() else { return Ok(None) };
        let mut own = Self { grid: self.grid.of_slices(places)?, ..self.clone() };
        if let SourceKind::Dicom(dicom) = &mut own.kind {
            dicom.places = None;
        }
        Ok(Some(own))
    }

    /// The k of each slice of a DICOM series on the grid, where they were resampled to it: whole numbers where slices are
    /// merely missing.
    #[must_use]
    pub fn places(&self) -> Option<&[f64]> {
        match &self.kind {
            SourceKind::Dicom(dicom) => dicom.places.as_deref(),
            _ => None,
        }
    }
}

/// The part of a source that only its own format understands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SourceKind {
    /// Made in memory: a writer makes a fresh header from the grid.
    Memory,
    /// A NIfTI-1 or NIfTI-2 file.
    Nifti(NiftiSource),
    /// Slices of a DICOM series.
    Dicom(Box<DicomSource>),
}

/// The raw header of a NIfTI file and its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NiftiSource {
    /// The 348 (NIfTI-1) or 540 (NIfTI-2) header bytes as stored.
    pub header: Vec<u8>,
    /// True when the header is big-endian.
    pub big_endian: bool,
    /// Header extensions: code and content (without the 8 bytes of size and code, padding kept).
    pub extensions: Vec<(i32, Vec<u8>)>,
}

/// What an object derived from a DICOM series refers to and repeats.
///
/// Attributes of the patient are kept for writers; neither `Debug` nor anything else prints them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DicomSource {
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// Series Number, where the scanner gave one.
    pub series_number: Option<i64>,
    /// Frame of Reference UID; empty when the file has none.
    pub frame_of_reference_uid: String,
    /// Modality, such as `MR`.
    pub modality: String,
    /// PixelSpacing as the first slice's file writes it: mm between rows, between columns.
    pub pixel_spacing: String,
    /// True when low values are meant to be shown bright (MONOCHROME1); the samples are as stored.
    pub monochrome1: bool,
    /// Values, after slope and intercept, that the first slice's file asks to be shown black and white.
    pub window: Option<[f64; 2]>,
    /// The stored value of samples outside the image, where the file names one.
    pub padding: Option<i64>,
    /// Seconds from one volume to the next by the repetition time, where the file gives one.
    pub time_step: Option<f64>,
    /// The slices along k.
    pub slices: Vec<DicomSlice>,
    /// For slices that were not evenly spaced and were resampled: the k of each on the grid.
    pub places: Option<Vec<f64>>,
    /// mm from slice to slice along their normal where they lie on an even grid, each at a slice of it whether or not
    /// others are missing; `None` where their steps are uneven.
    pub slice_distance: Option<f64>,
    /// SliceThickness of the first slice's file in mm, where it states one.
    pub slice_thickness: Option<f64>,
    /// Patient and study attributes as stored, in ascending order of tag.
    pub attributes: Vec<DicomAttribute>,
}

/// Where one slice of a volume came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DicomSlice {
    /// The file.
    pub path: PathBuf,
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// SOP Instance UID.
    pub sop_instance_uid: String,
    /// Frame within a multi-frame file, from 1.
    pub frame: Option<usize>,
    /// Instance number of the file, for one of several frames that of the frame: how the source counts its slices.
    pub number: i64,
    /// ImagePositionPatient as the file writes it; for a tile of a mosaic and a frame of a dose, where it is computed, as
    /// decimal strings; empty for a projection, which has no place in the patient.
    pub position: String,
    /// ImageOrientationPatient as the file writes it; empty for a projection.
    pub orientation: String,
}

/// One element of a data set.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DicomAttribute {
    /// `group << 16 | element`.
    pub tag: u32,
    /// The value's bytes as stored.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for DicomAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({:04X},{:04X}) {} bytes", self.tag >> 16, self.tag & 0xffff, self.value.len())
    }
}

impl DicomSource {
    /// The slice whose samples are the voxels at `k`; none where those were interpolated.
    #[must_use]
    pub fn slice_at(&self, k: usize) -> Option<&DicomSlice> {
        let Some(places) = &self.places else { return self.slices.get(k) };
        self.slices.get(places.iter().position(|&place| slice_at(place) == Some(k))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_patient_attribute() {
        let attribute = DicomAttribute { tag: 0x0010_0010, value: b"Doe^Jane".to_vec() };
        assert_eq!(format!("{attribute:?}"), "(0010,0010) 8 bytes");
    }
}
