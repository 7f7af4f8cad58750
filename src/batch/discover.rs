//! The cases of a folder: NIfTI files by name, DICOM series by content.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
#[cfg(feature = "dicom")]
use std::sync::Arc;

use regex_lite::Regex;

use super::bids::{self, BidsName};
use super::inputs::{Inputs, StudyOptions, stem};
use super::ledger::Status;
#[cfg(feature = "dicom")]
use super::{inputs, series};
use crate::error::{Error, Result};
#[cfg(feature = "dicom")]
use crate::formats::dicom::{self, SeriesSummary, Triage};
use crate::formats::{self, Probe};
use crate::fs;
#[cfg(feature = "dicom")]
use crate::limits::Limits;
use crate::model::ModelSpec;
use crate::report::FileRecord;

/// What [`discover`] takes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DiscoverOptions {
    /// NIfTI files whose name fits: `*` and `?` stay within a name, `**` does not; a pattern with a slash is for the
    /// path below the folder.
    pub pattern: Option<String>,
    /// Cases whose path below the folder, or `path/number_description` of a DICOM series, the regular expression
    /// finds. Every series that it finds is a case.
    pub select: Option<String>,
}

/// One thing to segment, or the reason why something is not.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case {
    /// Its place in the tree without suffixes, parted by `/`; under [`super::Layout::Mirror`] the label volume is
    /// `<name>_seg.nii.gz`.
    pub name: String,
    /// The file, or the folder of a DICOM series, relative to the folder of the batch.
    pub input: PathBuf,
    /// How it was chosen, or why nothing can be done.
    pub reason: String,
    /// Tells cases apart that lie in one place.
    identity: String,
    origin: Origin,
    /// What it is called in a BIDS derivative.
    pub(super) bids: BidsName,
}

#[derive(Debug, Clone)]
enum Origin {
    Nifti(PathBuf),
    #[cfg(feature = "dicom")]
    Dicom(Arc<Triage>, Box<SeriesSummary>),
    Nothing(Status),
}

/// Finds the cases below `folder`, sorted by name. Links are followed, each folder is entered once.
///
/// Never a case: what lies in `output`, label volumes by their name (`*_seg.nii.gz`, `*_dseg.nii.gz`), files whose name begins with a dot, and
/// `derivatives/` and `sourcedata/` of a BIDS data set. Of each DICOM study one series is chosen, by the modality and contrast that the name of the channel in `spec`
/// says, or else its intended use.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when `folder` is none or lies in `output`, or a pattern or expression is none.
pub fn discover(folder: &Path, output: &Path, spec: &ModelSpec, options: &DiscoverOptions) -> Result<Vec<Case>> {
    if !fs::is_dir(folder) {
        return Err(Error::usage("this is no folder").at(folder));
    }
    let (root, output) = (fs::canonical(folder)?, resolved(output));
    if root.starts_with(&output) {
        return Err(Error::usage("the inputs lie in the output folder").at(folder).hint("name another output folder"));
    }
    let filter = Filter::new(options)?;
    let is_dataset = fs::exists(&folder.join("dataset_description.json"));
    let inside = |path: &Path| {
        let relative = path.strip_prefix(folder).ok()?;
        let is_raw = !(is_dataset && ["derivatives", "sourcedata"].iter().any(|part| relative.starts_with(part)));
        (is_raw && !root.join(relative).starts_with(&output)).then(|| relative.to_owned())
    };
    let walk = fs::walk(folder);
    let mut cases: Vec<Case> = walk
        .files
        .iter()
        .filter(|path| is_nifti(path))
        .filter_map(|path| Some((inside(path)?, path)))
        .filter(|(relative, _)| filter.takes_file(relative))
        .map(|(relative, path)| Case {
            name: joined(relative.parent(), &stem(&relative).to_string_lossy()),
            bids: BidsName::of_file(&relative),
            input: relative,
            reason: String::new(),
            identity: String::new(),
            origin: Origin::Nifti(path.clone()),
        })
        .collect();
    let failure = |path: &Path, reason: &str| {
        let relative = inside(path)?;
        let name = joined(relative.parent(), &relative.file_name()?.to_string_lossy());
        let (reason, identity) = (reason.to_owned(), String::new());
        filter.selects(&name).then_some(Case {
            name,
            input: relative,
            reason,
            identity,
            origin: Origin::Nothing(Status::Failed),
            bids: BidsName::default(),
        })
    };
    cases.extend(walk.errors.iter().filter_map(|error| failure(error.path()?, error.message())));
    #[cfg(feature = "dicom")]
    {
        let triage = Arc::new(dicom::scan(folder, &Limits::default())?);
        let is_known = |path: &Path| is_nifti(path) || walk.errors.iter().any(|error| error.path() == Some(path));
        let damaged = triage.unreadable.iter().filter(|file| !is_known(&file.path));
        cases.extend(damaged.filter_map(|file| failure(&file.path, &file.reason)));
        let missing = |path: &PathBuf| failure(path, "a DICOMDIR names this file and it is not there");
        cases.extend(triage.missing.iter().filter_map(missing));
        cases.extend(series_cases(&triage, spec, &filter, &inside));
    }
    let _ = spec;
    name_apart(&mut cases);
    let images = cases.iter_mut().filter(|case| case.outcome().is_none());
    bids::name_apart(&mut images.map(|case| (&mut case.bids, case.name.clone())).collect::<Vec<_>>());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

#[cfg(feature = "dicom")]
fn series_cases(
    triage: &Arc<Triage>,
    spec: &ModelSpec,
    filter: &Filter,
    inside: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Vec<Case> {
    let wanted = series::Wanted::by(spec);
    let case = |row: &SeriesSummary, file: &str, reason: String, origin: Origin| {
        let folder = inside(&row.folder)?;
        let identity = format!("{} {} {:?}", row.study_uid, row.series_uid, row.shape);
        let bids = BidsName::of_series(row, &row.description);
        Some(Case { name: joined(Some(&folder), file), input: folder, reason, identity, origin, bids })
    };
    let chosen = |row: &SeriesSummary, reason| {
        case(row, &series::file_name(row), reason, Origin::Dicom(triage.clone(), Box::new(row.clone())))
    };
    let mut cases = Vec::new();
    for study in series::studies(triage) {
        if filter.select.is_some() {
            let rows = study.iter().filter(|row| series::is_selectable(row));
            let asked = rows.filter_map(|row| chosen(row, "selected by the expression".to_owned()));
            cases.extend(asked.filter(|case| filter.selects(&case.name)));
            continue;
        }
        cases.extend(match wanted.decide(&study) {
            series::Decision::Segment(row, reason) => chosen(row, reason),
            series::Decision::Skip(reason) => case(study[0], "study", reason, Origin::Nothing(Status::Skipped)),
            series::Decision::Fail(reason) => case(study[0], "study", reason, Origin::Nothing(Status::Failed)),
        });
    }
    cases
}

impl Case {
    /// What the headers of the case say.
    ///
    /// # Errors
    /// What the reader refuses; [`crate::ErrorKind::Unsupported`] with the reason for a case without a volume.
    pub fn probe(&self, options: &StudyOptions) -> Result<Probe> {
        match &self.origin {
            Origin::Nifti(path) => formats::probe(path, &options.read()),
            #[cfg(feature = "dicom")]
            Origin::Dicom(triage, row) => triage.probe_row(row),
            Origin::Nothing(_) => Err(Error::unsupported(self.reason.clone()).at(&self.input)),
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

    /// The folder of the batch, where the case is an image of a BIDS data set in it.
    pub(super) fn dataset(&self) -> Option<PathBuf> {
        match &self.origin {
            Origin::Nifti(path) if self.bids.is_raw => {
                let root = path.ancestors().nth(self.input.components().count())?;
                fs::exists(&root.join("dataset_description.json")).then(|| root.to_owned())
            }
            _ => None,
        }
    }

    /// The files of an image of a BIDS data set, relative to it.
    pub(super) fn raw_paths(&self) -> Vec<String> {
        self.dataset().map(|_| slashed(&self.input)).into_iter().collect()
    }

    /// SHA-256 of what would be read.
    pub(super) fn hash(&self) -> Result<String> {
        match &self.origin {
            Origin::Nifti(path) => fs::sha256(path),
            #[cfg(feature = "dicom")]
            Origin::Dicom(triage, row) => inputs::hash_of_files(&triage.files(row)?),
            Origin::Nothing(_) => Err(Error::unsupported(self.reason.clone())),
        }
    }

    /// Reads the volume.
    pub(super) fn read(&self, sha256: String, spec: &ModelSpec, options: &StudyOptions) -> Result<Inputs> {
        let (study, path) = match &self.origin {
            Origin::Nifti(path) => (formats::read(path, &options.read())?, path.clone()),
            #[cfg(feature = "dicom")]
            Origin::Dicom(triage, row) => (triage.read_row_as(row, &options.read())?, row.folder.clone()),
            Origin::Nothing(_) => return Err(Error::unsupported(self.reason.clone())),
        };
        Inputs::of_study(study, FileRecord { path, sha256 }, spec, options)
    }
}

/// Which cases are wanted.
struct Filter {
    pattern: Option<(Regex, bool)>,
    select: Option<Regex>,
}

impl Filter {
    fn new(options: &DiscoverOptions) -> Result<Self> {
        let pattern = options.pattern.as_ref().map(|glob| Ok::<_, Error>((glob_regex(glob)?, glob.contains('/'))));
        let select = options.select.as_ref().map(|text| {
            Regex::new(text).map_err(|e| Error::usage(format!("{text:?} is no regular expression")).because(e))
        });
        Ok(Self { pattern: pattern.transpose()?, select: select.transpose()? })
    }

    fn takes_file(&self, relative: &Path) -> bool {
        let path = slashed(relative);
        let name = path.rsplit('/').next().unwrap_or_default();
        let fits = |(regex, whole): &(Regex, bool)| regex.is_match(if *whole { &path } else { name });
        self.pattern.as_ref().is_none_or(fits) && self.selects(&path)
    }

    fn selects(&self, text: &str) -> bool {
        self.select.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

fn glob_regex(glob: &str) -> Result<Regex> {
    let mut text = String::from("^");
    let mut rest = glob.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => text.push_str(".*"),
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            c => text.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push('$');
    Regex::new(&text).map_err(|e| Error::usage(format!("{glob:?} is no pattern")).because(e))
}

/// True for a name of a NIfTI file that is no label volume of an earlier batch.
fn is_nifti(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let stem = [".nii", ".nii.gz"].iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.is_some_and(|stem| !stem.ends_with("_seg") && !stem.ends_with("_dseg") && !stem.starts_with('.'))
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find_map(|part| Some((part, fs::canonical(part).ok()?)));
    match there {
        Some((part, real)) => absolute.strip_prefix(part).map_or(real.clone(), |rest| real.join(rest)),
        None => absolute,
    }
}

fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn joined(folder: Option<&Path>, name: &str) -> String {
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => format!("{}/{name}", slashed(folder)),
        _ => name.to_owned(),
    }
}

/// Cases that would share a name (upper and lower case alike) get eight digits of a hash of what they are, and a number
/// where even that is the same.
fn name_apart(cases: &mut [Case]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for case in cases.iter() {
        *counts.entry(case.name.to_lowercase()).or_default() += 1;
    }
    let mut taken = HashSet::new();
    for case in cases {
        if counts.get(&case.name.to_lowercase()).is_some_and(|&n| n > 1) {
            let hash = fs::sha256_of(format!("{:?} {}", case.input, case.identity).as_bytes());
            case.name.push_str(&format!("_{}", &hash[..8]));
        }
        let first = case.name.clone();
        for number in 2.. {
            if taken.insert(case.name.to_lowercase()) {
                break;
            }
            case.name = format!("{first}_{number}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_name_unless_doubled() {
        let takes = |glob: &str, path: &str| {
            let options = DiscoverOptions { pattern: Some(glob.to_owned()), select: None };
            Filter::new(&options).unwrap().takes_file(Path::new(path))
        };
        assert!(takes("*T1w*", "sub-1/anat/sub-1_T1w.nii.gz"));
        assert!(!takes("*T2w*", "sub-1/T2w/sub-1_T1w.nii.gz"));
        assert!(takes("*/anat/*.nii", "s/anat/a.nii") && !takes("*/a.nii", "s/anat/a.nii"));
        assert!(takes("**/a.nii", "s/anat/a.nii") && takes("a.n?i", "a.nii") && !takes("a.n?i", "aXnii"));
    }
}
