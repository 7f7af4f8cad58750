//! Which files a run writes, checked before the work begins.

use std::path::{Path, PathBuf};

use super::inputs::stem;
use super::output_format::OutputFormat;
use crate::error::{Error, Result};
use crate::formats;
#[cfg(feature = "dicom")]
use crate::formats::dicom::SegmentationOptions;
use crate::fs::{self, Overwrite};
use crate::model::ModelSpec;

/// The files that a run writes: labels in at least one form, and what goes with them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutputPaths {
    /// The label volume.
    pub labels: Option<PathBuf>,
    /// A DICOM segmentation, `.dcm`.
    pub dicom_seg: Option<PathBuf>,
    /// DICOM structures, `.dcm`.
    pub rtstruct: Option<PathBuf>,
    /// A folder for DICOM pictures.
    pub secondary_capture: Option<PathBuf>,
    /// Statistics, `.csv` or `.json`.
    pub statistics: Option<PathBuf>,
    /// The manifest, `.json`.
    pub manifest: Option<PathBuf>,
    /// The picture, `.png`.
    pub preview: Option<PathBuf>,
    /// A mask of all structures of the model's `brain` volume, or of all labels.
    pub brain_mask: Option<PathBuf>,
    /// [`Outcome::instances`](crate::pipeline::Outcome::instances): connected voxels of one label, numbered from 1.
    pub instances: Option<PathBuf>,
    /// A color table as FreeSurfer has it.
    pub lut: Option<PathBuf>,
    /// Probabilities: `NAME_<id>.nii.gz` for each class.
    pub probabilities: Option<PathBuf>,
    /// How the DICOM segmentation is written; the algorithm and what happens to a file that exists are those of the run.
    #[cfg(feature = "dicom")]
    pub segmentation: SegmentationOptions,
    /// What happens to files that exist.
    pub overwrite: Overwrite,
}

impl OutputPaths {
    /// The label volume alone.
    #[must_use]
    pub fn new(labels: impl Into<PathBuf>) -> Self {
        Self { labels: Some(labels.into()), ..Self::default() }
    }

    /// Labels in these forms and nothing else: a single one goes to `output` itself, several go beside it as
    /// [`OutputFormat::beside`] says. Without `output` they go beside the input as `<stem>_seg.nii.gz` and the like.
    #[must_use]
    pub fn with_formats(formats: &[OutputFormat], output: Option<&Path>, input: &Path) -> Self {
        let mut paths = Self::default();
        for &format in formats {
            let path = match (formats, output) {
                ([_], Some(output)) => output.to_owned(),
                (_, Some(output)) => format.beside(output),
                (_, None) => format.beside(&default_output(input)),
            };
            *paths.of(format) = Some(path);
        }
        paths
    }

    /// Where the labels in one form go.
    pub(super) fn of(&mut self, format: OutputFormat) -> &mut Option<PathBuf> {
        match format {
            OutputFormat::Nifti => &mut self.labels,
            OutputFormat::DicomSeg => &mut self.dicom_seg,
            OutputFormat::Rtstruct => &mut self.rtstruct,
            OutputFormat::SecondaryCapture => &mut self.secondary_capture,
        }
    }

    /// The labels in the first form that is written.
    #[must_use]
    pub fn first(&self) -> Option<&Path> {
        let forms = [&self.labels, &self.dicom_seg, &self.rtstruct, &self.secondary_capture];
        forms.into_iter().find_map(|path| path.as_deref())
    }

    /// Refuses what could not be written at the end: existing files, missing folders, unknown suffixes, one name for
    /// two files or for an input.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] and [`crate::ErrorKind::Output`] with the path.
    pub fn check(&self, inputs: &[impl AsRef<Path>]) -> Result<()> {
        self.check_forms(inputs.first().map(AsRef::as_ref))?;
        let mut seen: Vec<&Path> = inputs.iter().map(AsRef::as_ref).collect();
        for (path, suffixes) in self.all() {
            let name = path.to_string_lossy().to_ascii_lowercase();
            if !suffixes.iter().any(|suffix| name.ends_with(suffix)) {
                return Err(Error::usage(format!("the name must end in {}", suffixes.join(" or "))).at(path));
            }
            if seen.contains(&path) {
                return Err(Error::usage("this file is named twice").at(path).hint("choose another output name"));
            }
            fs::check_output(path, self.overwrite)?;
            seen.push(path);
        }
        match &self.secondary_capture {
            Some(folder) => fs::check_folder_output(folder, self.overwrite, formats::CAPTURE),
            None => Ok(()),
        }
    }

    /// Refuses forms that are not written, and DICOM objects where the input is not DICOM.
    fn check_forms(&self, input: Option<&Path>) -> Result<()> {
        if self.first().is_none() {
            return Err(Error::usage("no form of labels is asked for").hint("name one with --format"));
        }
        let derived = [&self.dicom_seg, &self.rtstruct, &self.secondary_capture];
        let is_derived = derived.into_iter().any(Option::is_some);
        match input.filter(|input| is_derived && !formats::is_dicom(input)) {
            Some(input) => Err(formats::not_dicom().at(input)),
            None => Ok(()),
        }
    }

    /// Refuses files of probabilities that exist.
    ///
    /// # Errors
    /// As [`OutputPaths::check`].
    pub fn check_probabilities(&self, spec: &ModelSpec) -> Result<()> {
        let Some(path) = &self.probabilities else { return Ok(()) };
        spec.labels.iter().try_for_each(|class| fs::check_output(&of_class(path, class.id), self.overwrite))
    }

    fn all(&self) -> impl Iterator<Item = (&Path, &'static [&'static str])> {
        const VOLUME: &[&str] = &[".nii.gz", ".nii"];
        const LABELS: &[&str] = &[".nii.gz", ".nii", ".tif", ".tiff", ".png"];
        let paths: [(&Option<PathBuf>, &'static [&'static str]); 10] = [
            (&self.labels, LABELS),
            (&self.dicom_seg, &[".dcm"]),
            (&self.rtstruct, &[".dcm"]),
            (&self.statistics, &[".csv", ".json"]),
            (&self.manifest, &[".json"]),
            (&self.preview, &[".png"]),
            (&self.brain_mask, LABELS),
            (&self.instances, LABELS),
            (&self.lut, &[".txt", ".lut", ".ctbl"]),
            (&self.probabilities, VOLUME),
        ];
        paths.into_iter().filter_map(|(path, suffixes)| path.as_deref().map(|p| (p, suffixes)))
    }
}

/// `<stem>_seg.nii.gz` beside the first input; for a picture a picture, `<stem>_seg.tif` or, where it has one slice by its
/// format, `<stem>_seg.png`.
#[must_use]
pub fn default_output(input: &Path) -> PathBuf {
    let kind = input.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let suffix = match kind.as_str() {
        "png" | "jpg" | "jpeg" => "_seg.png",
        "tif" | "tiff" => "_seg.tif",
        _ => "_seg.nii.gz",
    };
    let mut name = stem(input).into_os_string();
    name.push(suffix);
    input.with_file_name(name)
}

/// `NAME_<id>.nii.gz` for `NAME.nii.gz`: the probabilities of one class.
pub(super) fn of_class(path: &Path, id: u16) -> PathBuf {
    let mut name = stem(path).into_os_string();
    let plain = !path.to_string_lossy().to_ascii_lowercase().ends_with(".gz");
    name.push(format!("_{id}{}", if plain { ".nii" } else { ".nii.gz" }));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names() {
        assert_eq!(default_output(Path::new("a/t1.nii.gz")), Path::new("a/t1_seg.nii.gz"));
        assert_eq!(default_output(Path::new("a/cells.TIF")), Path::new("a/cells_seg.tif"));
        assert_eq!(of_class(Path::new("a/p.nii"), 12), Path::new("a/p_12.nii"));
    }

    #[test]
    fn one_name_for_two_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut paths = OutputPaths::new(at("a.nii.gz"));
        paths.check(&[at("in.nii.gz")]).unwrap();
        assert!(paths.check(&[at("a.nii.gz")]).is_err());
        paths.brain_mask = Some(at("a.nii.gz"));
        assert!(paths.check(&[at("in.nii.gz")]).is_err());
        paths.brain_mask = Some(at("a.jpg"));
        assert!(paths.check(&[at("in.nii.gz")]).is_err());
    }
}
