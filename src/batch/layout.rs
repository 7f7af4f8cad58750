//! Which files a case becomes and what they are called.

use std::path::{Component, Path, PathBuf};

use super::case::Case;
use super::one::Segmentation;
use super::options::{BatchOptions, Existing};
use super::output_format::OutputFormat;
use super::outputs::OutputPaths;
use crate::error::{Error, Result};
use crate::formats;
use crate::fs::{self, Overwrite};
use crate::pipeline::Pipeline;
use crate::report::{self, FileRecord};

/// How the outputs of a batch are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// As the inputs: `a/t1.nii.gz` becomes `a/t1_seg.nii.gz`.
    #[default]
    Mirror,
    /// A BIDS derivative: `sub-01/anat/sub-01_space-orig_desc-unetvol_dseg.nii.gz` with side-car and label table, and a
    /// description of the data set.
    Bids,
}

const SIDECAR: &str = "_dseg.json";
const NAMES: &str = "_dseg.tsv";
const STATISTICS: &str = "_stats.csv";
const PREVIEW: &str = "_preview.png";
const INSTANCES: &str = "_instances_seg.nii.gz";
/// Goes on with the description in the stem: `_desc-unetvolInstances_dseg.nii.gz`.
const BIDS_INSTANCES: &str = "Instances_dseg.nii.gz";
const DATASET: &str = "dataset_description.json";

impl Layout {
    /// Where the label volume of a case goes, relative to the output folder.
    #[must_use]
    pub fn labels_of(self, case: &Case) -> PathBuf {
        self.path(case, self.labels(OutputFormat::Nifti))
    }

    fn path(self, case: &Case, suffix: &str) -> PathBuf {
        let stem = match self {
            Self::Mirror => case.name.clone(),
            Self::Bids => case.bids.path(),
        };
        PathBuf::from(stem + suffix)
    }

    fn labels(self, format: OutputFormat) -> &'static str {
        match self {
            Self::Mirror => format.suffix(),
            Self::Bids => "_dseg.nii.gz",
        }
    }

    fn instances(self) -> &'static str {
        match self {
            Self::Mirror => INSTANCES,
            Self::Bids => BIDS_INSTANCES,
        }
    }

    /// What follows the stem in the names of a case's files, the labels first.
    fn suffixes(self, forms: &[OutputFormat], options: &BatchOptions) -> Vec<&'static str> {
        let is_bids = self == Self::Bids;
        let optional = [
            (SIDECAR, is_bids),
            (NAMES, is_bids),
            (STATISTICS, options.statistics),
            (PREVIEW, options.preview),
            (self.instances(), options.instances),
        ];
        let optional = optional.into_iter().filter_map(|(suffix, wanted)| wanted.then_some(suffix));
        forms.iter().map(|&form| self.labels(form)).chain(optional).collect()
    }

    /// Writes what a layout wants once for all cases; `root` is the folder of the inputs where it is a data set.
    pub(super) fn start(self, pipeline: &Pipeline, cases: &[Case], options: &BatchOptions) -> Result<()> {
        if self == Self::Mirror {
            return Ok(());
        }
        if options.formats != [OutputFormat::Nifti] {
            return Err(Error::usage("a BIDS derivative holds NIfTI files: other forms do not go with --layout bids"));
        }
        let at = |name: &str| options.output.join(name);
        let is_ours = |text: &[u8]| String::from_utf8_lossy(text).contains("\"unet-vol\"");
        if fs::exists(&at(DATASET)) && !fs::read(&at(DATASET), 1 << 20).is_ok_and(|text| is_ours(&text)) {
            return Err(Error::usage("the output folder is a data set of another origin")
                .at(at(DATASET))
                .hint("name another folder, such as DATASET/derivatives/unet-vol"));
        }
        let raw = cases.iter().find_map(Case::dataset).and_then(|root| relative(&options.output, &root));
        fs::write_text(&at(DATASET), Overwrite::Replace, &report::bids_dataset(pipeline.spec(), raw.as_deref())?)?;
        fs::write_text(&at(".bidsignore"), Overwrite::Replace, report::BIDS_IGNORE)?;
        fs::write_text(&at("README.md"), Overwrite::Replace, &report::bids_readme(pipeline.spec()))
    }

    /// Writes the files of a case aside, in the folder `staging`, and moves each to its name in one step.
    pub(super) fn deliver(
        self,
        case: &Case,
        segmentation: &Segmentation,
        options: &BatchOptions,
        staging: &Path,
    ) -> Result<Vec<FileRecord>> {
        let forms = case.forms(&options.formats);
        let suffixes = self.suffixes(&forms, options);
        let replace = if options.existing == Existing::Refuse { Overwrite::Refuse } else { Overwrite::Replace };
        let aside = |suffix: &str| staging.join(format!("case{suffix}"));
        for suffix in &suffixes {
            let target = options.output.join(self.path(case, suffix));
            fs::make_dir(target.parent().unwrap_or(Path::new(".")))?;
            if *suffix == OutputFormat::SecondaryCapture.suffix() {
                fs::check_folder_output(&target, replace, formats::CAPTURE)?;
            } else {
                fs::check_output(&target, replace)?;
            }
        }
        let mut paths = OutputPaths::default();
        for form in forms {
            *paths.of(form) = Some(aside(self.labels(form)));
        }
        #[cfg(feature = "dicom")]
        paths.segmentation.clone_from(&options.segmentation);
        paths.statistics = options.statistics.then(|| aside(STATISTICS));
        paths.preview = options.preview.then(|| aside(PREVIEW));
        paths.instances = options.instances.then(|| aside(self.instances()));
        paths.overwrite = Overwrite::Replace;
        let manifest = segmentation.write_anyway(&paths)?;
        if self == Self::Bids {
            let sidecar = report::bids_sidecar(&manifest, &case.raw_paths())?;
            fs::write_text(&aside(SIDECAR), Overwrite::Replace, &sidecar)?;
            let names = report::bids_labels(&segmentation.labels().table);
            fs::write_text(&aside(NAMES), Overwrite::Replace, &names)?;
        }
        let moved = suffixes.into_iter().map(|suffix| {
            let sha256 = fs::digest(&aside(suffix))?;
            let path = self.path(case, suffix);
            fs::replace(&aside(suffix), &options.output.join(&path))?;
            Ok(FileRecord { path, sha256 })
        });
        moved.collect()
    }
}

/// The way from one folder to another, with `/`; `None` where there is none.
fn relative(from: &Path, to: &Path) -> Option<String> {
    let (from, to) = (fs::canonical(from).ok()?, fs::canonical(to).ok()?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Some(".."));
    let down = to.components().skip(shared).map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let parts: Vec<&str> = up.chain(down).collect::<Option<_>>()?;
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::make_dir(&at("raw/derivatives/labels")).unwrap();
        fs::make_dir(&at("other")).unwrap();
        assert_eq!(relative(&at("raw/derivatives/labels"), &at("raw")).unwrap(), "../..");
        assert_eq!(relative(&at("other"), &at("raw/derivatives")).unwrap(), "../raw/derivatives");
        assert_eq!(relative(&at("raw"), &at("raw")).unwrap(), ".");
        assert_eq!(relative(&at("none"), &at("raw")), None);
    }
}
