//! The files of one study: channels on one grid.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::privacy::Names;
use crate::error::{Error, Result, Warning};
use crate::formats::{self, Format, OnGap, ReadOptions, Study};
use crate::fs;
use crate::geometry::{Grid, Orientation};
use crate::model::ModelSpec;
use crate::report::FileRecord;
use crate::resample::{self, ResampleOptions};
use crate::volume::{Source, SourceKind, Volume};

/// Channels of a picture in color.
const COLORS: usize = 3;

/// How the files of a study are read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StudyOptions {
    /// Which volume of a 4-D file, counted from 0.
    pub volume: Option<usize>,
    /// Spacing in mm along i, j, k of pictures, which do not state one.
    pub input_spacing: Option<[f64; 3]>,
    /// Orientation of files that do not state one.
    pub assume_orientation: Option<Orientation>,
    /// Channels on other grids are resampled onto the first one's.
    pub match_grid: bool,
    /// Which series of a DICOM folder: its UID, description or number.
    pub series: Option<String>,
    /// What is done about missing slices of a DICOM series.
    pub on_gap: OnGap,
    /// Words of the patient's name, as a DICOM series holds it, may stand in the record of the run; otherwise each is
    /// replaced.
    pub with_phi: bool,
}

impl StudyOptions {
    pub(super) fn read(&self) -> ReadOptions {
        ReadOptions::new()
            .with_volume(self.volume)
            .with_assume_orientation(self.assume_orientation)
            .with_series(self.series.clone())
            .with_on_gap(self.on_gap)
            .with_input_spacing(self.input_spacing)
    }

    /// As [`StudyOptions::read`], with what a model asks for.
    pub(super) fn read_for(&self, spec: &ModelSpec) -> ReadOptions {
        self.read().with_invert_monochrome1(spec.input.invert_monochrome1).with_keep_slices(true)
    }
}

/// A study in memory: one volume per channel, and what a writer needs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inputs {
    /// One volume per file, all on the grid of the first.
    pub channels: Vec<Volume>,
    /// Slices of the first channel that lie between those of the even grid that they were resampled to.
    pub slices: Option<Volume>,
    /// The first file's.
    pub source: Source,
    /// The files and their hashes.
    pub files: Vec<FileRecord>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// The orientation that the user vouches for, under which outputs are reopened.
    pub(super) assume_orientation: Option<Orientation>,
    /// Names that the record of the run may not hold.
    pub(super) names: Names,
}

impl Inputs {
    /// A study whose channels are in memory already, in the order of the channels of `spec`; `source` is what a writer of
    /// its labels needs.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when channels are missing, [`crate::ErrorKind::Malformed`] when the source does not
    /// say where left and right are and the model tells them apart.
    pub fn in_memory(channels: Vec<Volume>, source: Source, spec: &ModelSpec) -> Result<Self> {
        check_count(channels.len(), spec)?;
        let path = source.path.as_deref().unwrap_or(Path::new("in memory"));
        check_orientation(path, &source, spec, &StudyOptions::default())?;
        Ok(Self {
            channels,
            slices: None,
            source,
            files: Vec::new(),
            warnings: Vec::new(),
            assume_orientation: None,
            names: Names::default(),
        })
    }

    /// Reads the files of one study, one per channel of `spec`; of a single picture red, green and blue are the channels
    /// of a model that has three.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when files are missing or lie on different grids, or a file does not say where left
    /// and right are and the model tells them apart; what the reader refuses.
    pub fn read(paths: &[impl AsRef<Path>], spec: &ModelSpec, options: &StudyOptions) -> Result<Self> {
        let read = options.read_for(spec);
        let mut channels: Vec<_> = paths.iter().map(|path| (path.as_ref(), None)).collect();
        match channels.as_slice() {
            // A picture is all channels of a model that sees color.
            [(path, _)] if spec.input.channels.len() == COLORS && is_picture(path, &read) => {
                channels = (0..COLORS).map(|color| (*path, Some(color))).collect();
            }
            _ => check_count(paths.len(), spec)?,
        }
        let mut inputs = None;
        for (path, color) in channels {
            let study = formats::read(path, &read.clone().with_color(color))?;
            let file = FileRecord { path: path.to_owned(), sha256: hash(path, &study.source)? };
            inputs = Some(Self::joined(inputs, study, file, spec, options)?);
        }
        inputs.ok_or_else(|| Error::usage("no input file was named"))
    }

    /// The inputs with one more channel that was read already.
    pub(super) fn joined(
        inputs: Option<Self>,
        mut study: Study,
        file: FileRecord,
        spec: &ModelSpec,
        options: &StudyOptions,
    ) -> Result<Self> {
        check_orientation(&file.path, &study.source, spec, options)?;
        study.warnings.extend(low_is_bright(&study.source, spec));
        let names = if options.with_phi { Names::default() } else { Names::of_source(&study.source) };
        let Some(mut inputs) = inputs else {
            return Ok(Self {
                channels: vec![study.volume],
                slices: study.slices,
                source: study.source,
                files: vec![file],
                warnings: study.warnings,
                assume_orientation: options.assume_orientation,
                names,
            });
        };
        let volume = inputs.onto_first(study.volume, &file.path, options.match_grid)?;
        inputs.names.extend(names);
        inputs.channels.push(volume);
        inputs.files.push(file);
        let known = inputs.warnings.clone();
        inputs.warnings.extend(study.warnings.into_iter().filter(|warning| !known.contains(warning)));
        Ok(inputs)
    }

    /// Where the study is.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.source.grid
    }

    fn onto_first(&mut self, volume: Volume, path: &Path, match_grid: bool) -> Result<Volume> {
        let first = self.channels[0].grid();
        if volume.grid().matches(first) {
            return Ok(volume);
        }
        if !match_grid {
            return Err(Error::usage(format!(
                "this channel of {:?} voxels lies on another grid than the first one of {:?} voxels",
                volume.grid().shape(),
                first.shape()
            ))
            .at(path)
            .hint("give --match-grid to resample it onto the first one's grid"));
        }
        self.warnings.push(Warning::new(
            "channel-resampled",
            format!("{} was resampled onto the grid of the first channel", path.display()),
        ));
        resample::resample(&volume, first, &ResampleOptions::default())
    }
}

/// SHA-256 of a file, or of the list of the hashes of a DICOM series' files in the order of its slices.
fn hash(path: &Path, source: &Source) -> Result<String> {
    #[cfg(feature = "dicom")]
    if let SourceKind::Dicom(dicom) = &source.kind {
        let mut paths: Vec<_> = dicom.slices.iter().map(|slice| slice.path.as_path()).collect();
        paths.dedup();
        return hash_of_files(&paths);
    }
    let _ = source;
    fs::sha256(path)
}

/// SHA-256 of the list of the hashes of files.
pub(super) fn hash_of_files(paths: &[&Path]) -> Result<String> {
    let hashes = paths.par_iter().map(|path| fs::sha256(path)).collect::<Result<Vec<_>>>()?;
    Ok(fs::sha256_of(hashes.join("\n").as_bytes()))
}

fn is_picture(path: &Path, read: &ReadOptions) -> bool {
    formats::probe(path, read).is_ok_and(|probe| matches!(probe.format, Format::Png | Format::Jpeg | Format::Tiff))
}

/// As many files as the network has channels.
fn check_count(files: usize, spec: &ModelSpec) -> Result<()> {
    let channels = &spec.input.channels;
    if files == channels.len() {
        return Ok(());
    }
    let names: Vec<_> = channels.iter().map(|c| c.name.as_str()).collect();
    Err(Error::usage(format!(
        "{} needs {} file{} ({}) and {} {} named",
        spec.name,
        channels.len(),
        if channels.len() == 1 { "" } else { "s" },
        names.join(", "),
        files,
        if files == 1 { "is" } else { "are" },
    ))
    .hint("several inputs are the channels of one study, in the model's order; call the program once per study"))
}

/// Points out intensities that are upside down for most models.
fn low_is_bright(source: &Source, spec: &ModelSpec) -> Option<Warning> {
    let SourceKind::Dicom(dicom) = &source.kind else { return None };
    let message = "low values of this image are meant to be bright (MONOCHROME1) and are fed as stored: the model's \
                   description does not ask for invert_monochrome1";
    let is_odd = dicom.monochrome1 && !spec.input.invert_monochrome1 && !matches!(&*dicom.modality, "MR" | "CT");
    is_odd.then(|| Warning::new("monochrome1", message))
}

/// A model that tells left from right refuses a file that does not.
fn check_orientation(path: &Path, source: &Source, spec: &ModelSpec, options: &StudyOptions) -> Result<()> {
    if source.oriented || !spec.sided || options.assume_orientation.is_some() {
        return Ok(());
    }
    Err(Error::malformed("the file does not say where left and right are (no sform and no qform)")
        .at(path)
        .hint("if you know its axes, name them, for example --assume-orientation RAS"))
}

/// The name of a study: its first file without folders and suffixes.
pub(super) fn stem(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    for suffix in
        [".nii.gz", ".nii", ".img.gz", ".hdr.gz", ".img", ".hdr", ".dcm", ".png", ".tif", ".tiff", ".jpg", ".jpeg"]
    {
        if lower.len() > suffix.len() && lower.ends_with(suffix) {
            return PathBuf::from(&name[..name.len() - suffix.len()]);
        }
    }
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_keep_inner_dots() {
        for (name, want) in [("a/b.v1.nii.gz", "b.v1"), ("x.NII", "x"), ("scan", "scan"), (".nii", ".nii")] {
            assert_eq!(stem(Path::new(name)), PathBuf::from(want));
        }
    }
}
