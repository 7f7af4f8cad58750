//! A file, or a series of a folder of files, at its headers.

use std::io::Read;
use std::path::Path;
#[cfg(feature = "dicom")]
use std::sync::Arc;

#[cfg(feature = "dicom")]
use super::dicom::{self, SeriesSummary, Triage};
use super::{LabelStudy, Probe, ReadOptions, Sample, Study, nifti, sniff};
#[cfg(feature = "dicom")]
use crate::error::Error;
use crate::error::Result;
use crate::fs;

/// A file, or a series of a folder of files, whose headers were read; its voxels come next.
pub struct Opened(Kind);

enum Kind {
    Nifti(Box<nifti::Nifti>),
    /// A row of a scan.
    #[cfg(feature = "dicom")]
    Dicom(Arc<Triage>, Box<SeriesSummary>),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Opened").field(&self.probe().map(|probe| probe.path)).finish()
    }
}

/// Reads the headers of a file, or of all files of a folder, and chooses the series that `options` name.
///
/// # Errors
/// As [`probe`](super::probe).
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Opened> {
    let path = path.as_ref();
    #[cfg(feature = "dicom")]
    if let Some(triage) = scan(path, options)? {
        let row = Box::new(triage.choose(options)?.clone());
        return Ok(Opened(Kind::Dicom(Arc::new(triage), row)));
    }
    let (header_path, voxel_file) = nifti::header_of(path);
    let mut content = fs::content(&header_path)?;
    let mut head = Vec::new();
    (&mut content.reader)
        .take(sniff::HEAD as u64)
        .read_to_end(&mut head)
        .map_err(|e| fs::unreadable(&header_path, e))?;
    sniff::check_foreign(&head, &header_path)?;
    let file = nifti::Nifti::open(&header_path, voxel_file, head, content, options)?;
    Ok(Opened(Kind::Nifti(Box::new(file))))
}

/// Scans a folder or a DICOM file; `None` for a file of another format.
///
/// # Errors
/// As [`dicom::scan`]; [`crate::ErrorKind::Usage`] for a file that is one slice of a series.
#[cfg(feature = "dicom")]
pub(crate) fn scan(path: &Path, options: &ReadOptions) -> Result<Option<Triage>> {
    is_dicom(path).then(|| dicom::open(path, &options.limits)).transpose()
}

/// True for a folder, which is read as a DICOM series, and for a DICOM file.
pub(crate) fn is_dicom(path: &Path) -> bool {
    #[cfg(feature = "dicom")]
    if fs::is_file(path) {
        return fs::head(path, sniff::HEAD as u64).is_ok_and(|head| dicom::is_dicom(&head));
    }
    cfg!(feature = "dicom") && fs::is_dir(path)
}

impl Opened {
    /// One row of a scan.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when the row cannot be read as a volume, with the reason.
    #[cfg(feature = "dicom")]
    pub fn series(triage: &Arc<Triage>, row: &SeriesSummary, options: &ReadOptions) -> Result<Self> {
        triage.check(row, options)?;
        Ok(Self(Kind::Dicom(triage.clone(), Box::new(row.clone()))))
    }

    /// What the headers say.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a row of another scan.
    pub fn probe(&self) -> Result<Probe> {
        match &self.0 {
            Kind::Nifti(file) => Ok(file.probe()),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, row) => triage.probe_row(row),
        }
    }

    /// Reads the only volume, or the one that [`ReadOptions::volume`] names; slope and intercept are applied in `f64`.
    ///
    /// # Errors
    /// As [`read`](super::read).
    pub fn read_as<T: Sample>(self, options: &ReadOptions) -> Result<Study<T>> {
        match self.0 {
            Kind::Nifti(file) => file.study(options),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, row) => triage.read_row_as(&row, options),
        }
    }

    /// Reads all volumes in one pass, in the order of time; one alone where [`ReadOptions::volume`] names it.
    ///
    /// # Errors
    /// As [`read`](super::read), but for the choice of a volume.
    pub fn read_all_as<T: Sample>(self, options: &ReadOptions) -> Result<Vec<Study<T>>> {
        if options.volume.is_some() {
            return Ok(vec![self.read_as(options)?]);
        }
        match self.0 {
            Kind::Nifti(file) => file.studies(options),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, row) => triage.read_all_of_row_as(&row, options),
        }
    }

    /// Reads label ids.
    ///
    /// # Errors
    /// As [`read_labels`](super::read_labels).
    pub fn read_labels(self, options: &ReadOptions) -> Result<LabelStudy> {
        match self.0 {
            Kind::Nifti(file) => file.labels(options),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, _) => {
                Err(Error::unsupported("label maps are not read from DICOM files").at(&triage.path))
            }
        }
    }
}
