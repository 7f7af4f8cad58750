//! Which files a run writes, checked before the work begins.

use std::path::{Path, PathBuf};

use super::inputs::stem;
use crate::error::{Error, Result};
use crate::fs::{self, Overwrite};
use crate::model::ModelSpec;

/// The files that a run writes beside the label volume.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutputPaths {
    /// The label volume.
    pub labels: PathBuf,
    /// Statistics, `.csv` or `.json`.
    pub statistics: Option<PathBuf>,
    /// The manifest, `.json`.
    pub manifest: Option<PathBuf>,
    /// The picture, `.png`.
    pub preview: Option<PathBuf>,
    /// A mask of all structures of the model's `brain` volume, or of all labels.
    pub brain_mask: Option<PathBuf>,
    /// A color table as FreeSurfer has it.
    pub lut: Option<PathBuf>,
    /// Probabilities: `NAME_<id>.nii.gz` for each class.
    pub probabilities: Option<PathBuf>,
    /// What happens to files that exist.
    pub overwrite: Overwrite,
}

impl OutputPaths {
    /// The label volume alone.
    #[must_use]
    pub fn new(labels: impl Into<PathBuf>) -> Self {
        Self { labels: labels.into(), ..Self::default() }
    }

    /// Refuses what could not be written at the end: existing files, missing folders, unknown suffixes, one name for
    /// two files or for an input.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] and [`crate::ErrorKind::Output`] with the path.
    pub fn check(&self, inputs: &[impl AsRef<Path>]) -> Result<()> {
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
        Ok(())
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
        let optional: [(&Option<PathBuf>, &'static [&'static str]); 6] = [
            (&self.statistics, &[".csv", ".json"]),
            (&self.manifest, &[".json"]),
            (&self.preview, &[".png"]),
            (&self.brain_mask, VOLUME),
            (&self.lut, &[".txt", ".lut", ".ctbl"]),
            (&self.probabilities, VOLUME),
        ];
        let optional = optional.into_iter().filter_map(|(path, suffixes)| path.as_deref().map(|p| (p, suffixes)));
        std::iter::once((self.labels.as_path(), VOLUME)).chain(optional)
    }
}

/// `<stem>_seg.nii.gz` beside the first input.
#[must_use]
pub fn default_output(input: &Path) -> PathBuf {
    let mut name = stem(input).into_os_string();
    name.push("_seg.nii.gz");
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
        paths.brain_mask = Some(at("a.png"));
        assert!(paths.check(&[at("in.nii.gz")]).is_err());
    }
}
