//! A file, or a series of a folder of files, at its headers.

use std::io::Read;
use std::path::Path;
#[cfg(feature = "dicom")]
use std::sync::Arc;

#[cfg(feature = "dicom")]
use super::dicom::{self, SeriesSummary, Triage};
use super::nifti::{Nifti, header_of};
use super::pictures::{self, Pictures};
use super::{LabelStudy, Probe, ReadOptions, Sample, Study, sniff};
use crate::error::{Error, Result};
use crate::fs;
#[cfg(feature = "dicom")]
use crate::volume::Source;

/// A file, or a series of a folder of files, whose headers were read; its voxels come next.
pub struct Opened(Kind);

enum Kind {
    Nifti(Box<Nifti>),
    Pictures(Box<Pictures>),
    /// A row of a scan.
    #[cfg(feature = "dicom")]
    Dicom(Arc<Triage>, Box<SeriesSummary>),
    /// An object that holds labels and no image.
    #[cfg(feature = "dicom")]
    Labels(Box<Triage>),
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
    match look(path, options)? {
        Found::Pictures(pictures) => return Ok(Opened(Kind::Pictures(Box::new(pictures)))),
        #[cfg(feature = "dicom")]
        Found::Dicom(triage) => {
            own_spacing(path, options)?;
            if triage.means_labels(options) {
                return Ok(Opened(Kind::Labels(Box::new(triage))));
            }
            let row = Box::new(triage.choose(options)?.clone());
            return Ok(Opened(Kind::Dicom(Arc::new(triage), row)));
        }
        Found::Other => (),
    }
    let (header_path, voxel_file) = header_of(path);
    let mut content = fs::content(&header_path)?;
    let mut head = Vec::new();
    (&mut content.reader)
        .take(sniff::HEAD as u64)
        .read_to_end(&mut head)
        .map_err(|e| fs::unreadable(&header_path, e))?;
    if !content.gzip && pictures::is_read(&head) {
        return Ok(Opened(Kind::Pictures(Box::new(Pictures::open(path, options)?))));
    }
    sniff::check_foreign(&head, &header_path)?;
    own_spacing(path, options)?;
    let file = Nifti::open(&header_path, voxel_file, head, content, options)?;
    Ok(Opened(Kind::Nifti(Box::new(file))))
}

/// Reads label ids from a file or a folder.
///
/// # Errors
/// As [`read_labels`](super::read_labels).
pub(super) fn read_labels(path: &Path, options: &ReadOptions) -> Result<LabelStudy> {
    match look(path, options)? {
        Found::Pictures(pictures) => pictures.labels(options),
        #[cfg(feature = "dicom")]
        Found::Dicom(triage) => triage.read_labels(options),
        Found::Other => open(path, options)?.read_labels(options),
    }
}

/// What lies at a path.
enum Found {
    /// A folder of pictures.
    Pictures(Pictures),
    /// A DICOM file, or a folder of files that are no pictures.
    #[cfg(feature = "dicom")]
    Dicom(Triage),
    /// Another file.
    Other,
}

/// Looks at each file of a folder once: where DICOM lies in it or below, that is read in place of pictures.
fn look(path: &Path, options: &ReadOptions) -> Result<Found> {
    let is_folder = fs::is_dir(path);
    #[cfg(feature = "dicom")]
    if is_dicom(path) {
        let triage = dicom::open(path, &options.limits)?;
        if !is_folder || triage.dicom_files > 0 {
            return Ok(Found::Dicom(triage));
        }
        let pictures = Pictures::open_folder(path, options)?;
        return Ok(pictures.map_or(Found::Dicom(triage), Found::Pictures));
    }
    let pictures = if is_folder { Pictures::open_folder(path, options)? } else { None };
    Ok(pictures.map_or(Found::Other, Found::Pictures))
}

/// Refuses a spacing for what has its own.
fn own_spacing(path: &Path, options: &ReadOptions) -> Result<()> {
    if options.input_spacing.is_some() {
        return Err(Error::usage("the file states its own spacing").at(path).hint("leave --input-spacing out"));
    }
    Ok(())
}

/// Scans a folder or a DICOM file; `None` for a file of another format and for a folder of pictures.
///
/// # Errors
/// As [`dicom::scan`]; [`crate::ErrorKind::Usage`] for a file that is one slice of a series.
#[cfg(feature = "dicom")]
pub(crate) fn scan(path: &Path, options: &ReadOptions) -> Result<Option<Triage>> {
    match look(path, options)? {
        Found::Dicom(triage) => Ok(Some(triage)),
        _ => Ok(None),
    }
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
            Kind::Pictures(pictures) => pictures.probe(&ReadOptions::new()),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, row) => triage.probe_row(row),
            #[cfg(feature = "dicom")]
            Kind::Labels(triage) => triage.probe_labels()?.ok_or_else(|| no_image(triage)),
        }
    }

    /// Reads the only volume, or the one that [`ReadOptions::volume`] names; slope and intercept are applied in `f64`.
    ///
    /// # Errors
    /// As [`read`](super::read).
    pub fn read_as<T: Sample>(self, options: &ReadOptions) -> Result<Study<T>> {
        match self.0 {
            Kind::Nifti(file) => file.study(options),
            Kind::Pictures(pictures) => pictures.study(options),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, row) => triage.read_row_as(&row, options),
            #[cfg(feature = "dicom")]
            Kind::Labels(triage) => Err(no_image(&triage)),
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
            Kind::Pictures(pictures) => Ok(vec![pictures.study(options)?]),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, row) => triage.read_all_of_row_as(&row, options),
            #[cfg(feature = "dicom")]
            Kind::Labels(triage) => Err(no_image(&triage)),
        }
    }

    /// Reads label ids.
    ///
    /// # Errors
    /// As [`read_labels`](super::read_labels).
    pub fn read_labels(self, options: &ReadOptions) -> Result<LabelStudy> {
        match self.0 {
            Kind::Nifti(file) => file.labels(options),
            Kind::Pictures(pictures) => pictures.labels(options),
            #[cfg(feature = "dicom")]
            Kind::Dicom(triage, _) => triage.read_labels(options),
            #[cfg(feature = "dicom")]
            Kind::Labels(triage) => triage.read_labels(options),
        }
    }

    /// True for a DICOM object that holds labels and no image: only [`Opened::read_labels`] reads it.
    #[must_use]
    pub fn holds_labels(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "dicom")]
            Kind::Labels(_) => true,
            _ => false,
        }
    }

    /// Header of a NIfTI file and what a writer needs of it.
    #[cfg(feature = "dicom")]
    pub(super) fn nifti(&self) -> Option<(Probe, Source)> {
        match &self.0 {
            Kind::Nifti(file) => Some((file.probe(), file.source())),
            _ => None,
        }
    }
}

#[cfg(feature = "dicom")]
fn no_image(triage: &Triage) -> Error {
    Error::unsupported("this DICOM object holds labels and no image").at(&triage.path)
}
