//! One thing to segment.

use std::path::{Path, PathBuf};
#[cfg(feature = "dicom")]
use std::sync::Arc;

use super::bids::BidsName;
use super::inputs::{Inputs, StudyOptions, hash_of_files};
use super::ledger::Status;
use super::output_format::OutputFormat;
use super::privacy::Names;
use crate::error::{Error, Result};
#[cfg(feature = "dicom")]
use crate::formats::dicom::{SeriesSummary, Triage};
use crate::formats::{self, Probe};
use crate::fs;
use crate::model::ModelSpec;
use crate::report::FileRecord;

/// One thing to segment, or the reason why something is not.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case {
    /// Its place in the tree without suffixes, parted by `/`; under [`super::Layout::Mirror`] the label volume is
    /// `<name>_seg.nii.gz`.
    pub name: String,
    /// The first channel's file, or folder of a DICOM series, relative to the folder of the batch.
    pub input: PathBuf,
    /// How it was chosen, or why nothing can be done.
    pub reason: String,
    /// Tells cases apart that lie in one place.
    pub(super) identity: String,
    pub(super) origin: Origin,
    /// What it is called in a BIDS derivative.
    pub(super) bids: BidsName,
    /// Names that no text about it may hold.
    pub(super) names: Names,
}

/// What is read for a case.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A file for each channel.
    Nifti(Vec<PathBuf>),
    /// A series for each channel.
    #[cfg(feature = "dicom")]
    Dicom(Arc<Triage>, Vec<SeriesSummary>),
    /// Nothing: the case ends before it begins.
    Nothing(Status),
}

impl Case {
    pub(super) fn new(name: String, input: PathBuf, reason: impl Into<String>, origin: Origin) -> Self {
        Self {
            name,
            input,
            reason: reason.into(),
            identity: String::new(),
            origin,
            bids: BidsName::default(),
            names: Names::default(),
        }
    }

    /// What the headers of the case's first channel say.
    ///
    /// # Errors
    /// What the reader refuses; [`crate::ErrorKind::Unsupported`] with the reason for a case without a volume.
    pub fn probe(&self, options: &StudyOptions) -> Result<Probe> {
        match &self.origin {
            Origin::Nifti(paths) => formats::probe(&paths[0], &options.read()),
            #[cfg(feature = "dicom")]
            Origin::Dicom(triage, rows) => triage.probe_row(&rows[0]),
            Origin::Nothing(_) => Err(self.nothing()),
        }
    }

    /// How the case ends before it has begun, where it does.
    #[must_use]
    pub fn outcome(&self) -> Option<Status> {
        match self.origin {
            Origin::Nothing(status) => Some(status),
            _ => None,
        }
    }

    /// True for a DICOM series.
    pub(super) fn is_dicom(&self) -> bool {
        match &self.origin {
            #[cfg(feature = "dicom")]
            Origin::Dicom(..) => true,
            _ => false,
        }
    }

    /// The forms among `formats` that its labels can have: DICOM objects refer to a DICOM series.
    pub(super) fn forms(&self, formats: &[OutputFormat]) -> Vec<OutputFormat> {
        formats.iter().copied().filter(|format| self.is_dicom() || !format.is_dicom()).collect()
    }

    /// A text about the case without patients' names, unless they may be told.
    #[must_use]
    pub fn without_names(&self, text: &str) -> String {
        self.names.hide_in_prose(text)
    }

    /// Keeps names out of all that is told about the case.
    pub(super) fn hide(&mut self, names: &Names) {
        self.name = names.hide(&self.name);
        self.reason = names.hide_in_prose(&self.reason);
        self.input = PathBuf::from(names.hide(&slashed(&self.input)));
        self.names = names.clone();
    }

    /// Names the case for a BIDS derivative, after names of patients were hidden.
    pub(super) fn name_for_bids(&mut self) {
        self.bids = match &self.origin {
            Origin::Nifti(_) => BidsName::of_file(&self.input),
            #[cfg(feature = "dicom")]
            Origin::Dicom(_, rows) => BidsName::of_series(&rows[0], &self.names.hide(&rows[0].description)),
            Origin::Nothing(_) => return,
        };
    }

    fn nothing(&self) -> Error {
        Error::unsupported(self.reason.clone()).at(&self.input)
    }

    /// The files of each channel.
    fn files(&self) -> Result<Vec<Vec<&Path>>> {
        match &self.origin {
            Origin::Nifti(paths) => Ok(paths.iter().map(|path| vec![path.as_path()]).collect()),
            #[cfg(feature = "dicom")]
            Origin::Dicom(triage, rows) => rows.iter().map(|row| triage.files(row)).collect(),
            Origin::Nothing(_) => Err(self.nothing()),
        }
    }

    /// SHA-256 of what would be read for each channel.
    pub(super) fn hashes(&self) -> Result<Vec<String>> {
        let is_series = !matches!(self.origin, Origin::Nifti(_));
        let hash = |files: &Vec<&Path>| if is_series { hash_of_files(files) } else { fs::sha256(files[0]) };
        self.files()?.iter().map(hash).collect()
    }

    /// Sizes and times of the files: while they stay, the files do.
    pub(super) fn stamp(&self) -> Result<Vec<(u64, u64)>> {
        self.files()?.concat().into_iter().map(|path| Ok((fs::size(path)?, fs::modified(path)?))).collect()
    }

    /// Reads a volume for each channel.
    pub(super) fn read(&self, hashes: Vec<String>, spec: &ModelSpec, options: &StudyOptions) -> Result<Inputs> {
        let read = options.read_for(spec);
        let mut inputs = None;
        for (channel, sha256) in hashes.into_iter().enumerate() {
            let (study, path) = match &self.origin {
                Origin::Nifti(paths) => (formats::read(&paths[channel], &read)?, paths[channel].clone()),
                #[cfg(feature = "dicom")]
                Origin::Dicom(triage, rows) => {
                    (triage.read_row_as(&rows[channel], &read)?, rows[channel].folder.clone())
                }
                Origin::Nothing(_) => return Err(self.nothing()),
            };
            inputs = Some(Inputs::joined(inputs, study, FileRecord { path, sha256 }, spec, options)?);
        }
        inputs.ok_or_else(|| Error::internal("a case has no channel"))
    }

    /// The folder of the batch, where the case is an image of a BIDS data set in it.
    pub(super) fn dataset(&self) -> Option<PathBuf> {
        let Origin::Nifti(paths) = &self.origin else { return None };
        let root = paths.first()?.ancestors().nth(self.input.components().count())?;
        (self.bids.is_raw && fs::exists(&root.join("dataset_description.json"))).then(|| root.to_owned())
    }

    /// The files of an image of a BIDS data set, relative to it.
    pub(super) fn raw_paths(&self) -> Vec<String> {
        let (Some(root), Origin::Nifti(paths)) = (self.dataset(), &self.origin) else { return Vec::new() };
        let relative = |path: &PathBuf| Some(self.names.hide(&slashed(path.strip_prefix(&root).ok()?)));
        paths.iter().filter_map(relative).collect()
    }
}

/// A path with `/` between its parts.
pub(super) fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// `<folder>/<name>`.
pub(super) fn joined(folder: Option<&Path>, name: &str) -> String {
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => format!("{}/{name}", slashed(folder)),
        _ => name.to_owned(),
    }
}
