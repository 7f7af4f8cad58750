//! The cases of a folder: NIfTI files by name, DICOM series by content.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
#[cfg(feature = "dicom")]
use std::sync::Arc;

use regex_lite::Regex;

use super::bids;
use super::case::{Case, Origin, joined, slashed};
use super::channels::{Channels, expression};
use super::ledger::Status;
use super::privacy::Names;
#[cfg(feature = "dicom")]
use super::series;
use crate::error::{Error, Result};
use crate::formats::OnGap;
#[cfg(feature = "dicom")]
use crate::formats::dicom::{self, SeriesSummary, Triage};
use crate::fs;
#[cfg(feature = "dicom")]
use crate::limits::Limits;
use crate::model::ModelSpec;

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
    /// For each channel of the model a regular expression that finds its inputs: in the file's name without suffix, or
    /// in `number_description` of a DICOM series. What is left of a file's name is the study's. Empty: channels are
    /// known by nnU-Net's numbers (`_0000`) or their names (`_T1w`, `_FLAIR`), series by their descriptions.
    pub channels: Vec<String>,
    /// Whether a DICOM series whose slices are not evenly spaced is a case, and not a failure.
    pub on_gap: OnGap,
    /// Words of patients' names, as the DICOM files below the folder hold them, may stand in names of cases and in
    /// reasons; otherwise each is replaced.
    pub with_phi: bool,
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
    let channels = Channels::new(spec, &options.channels, options.on_gap)?;
    let walk = fs::walk(folder);
    let files = walk.files.iter().filter(|path| is_nifti(path)).filter_map(|path| Some((inside(path)?, path.clone())));
    let mut cases = channels.cases(files.filter(|(relative, _)| filter.takes_file(relative)).collect());
    let failure = |path: &Path, reason: &str| {
        let relative = inside(path)?;
        let name = joined(relative.parent(), &relative.file_name()?.to_string_lossy());
        filter.selects(&name).then(|| Case::new(name, relative, reason, Origin::Nothing(Status::Failed)))
    };
    cases.extend(walk.errors.iter().filter_map(|error| failure(error.path()?, &why(error))));
    #[cfg(not(feature = "dicom"))]
    let names = Names::default();
    #[cfg(feature = "dicom")]
    let names = {
        let triage = Arc::new(dicom::scan(folder, &Limits::default())?);
        let is_known = |path: &Path| is_nifti(path) || walk.errors.iter().any(|error| error.path() == Some(path));
        let damaged = triage.unreadable.iter().filter(|file| !is_known(&file.path));
        cases.extend(damaged.filter_map(|file| failure(&file.path, &file.reason)));
        let missing = |path: &PathBuf| failure(path, "a DICOMDIR names this file and it is not there");
        cases.extend(triage.missing.iter().filter_map(missing));
        cases.extend(series_cases(
            &triage,
            &series::Wanted::by(spec).with_on_gap(options.on_gap),
            &channels,
            &filter,
            &inside,
        ));
        Names::of(triage.patient_names())
    };
    if !options.with_phi {
        cases.iter_mut().for_each(|case| case.hide(&names));
    }
    cases.iter_mut().for_each(Case::name_for_bids);
    name_apart(&mut cases);
    let images = cases.iter_mut().filter(|case| case.outcome().is_none());
    bids::name_apart(&mut images.map(|case| (&mut case.bids, case.name.clone())).collect::<Vec<_>>());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

#[cfg(feature = "dicom")]
fn series_cases(
    triage: &Arc<Triage>,
    wanted: &series::Wanted,
    channels: &Channels,
    filter: &Filter,
    inside: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Vec<Case> {
    let case = |row: &SeriesSummary, file: &str, reason: String, origin: Origin| {
        let folder = inside(&row.folder)?;
        let identity = format!("{} {} {:?}", row.study_uid, row.series_uid, row.shape);
        let case = Case::new(joined(Some(&folder), file), folder, reason, origin);
        Some(Case { identity, ..case })
    };
    let chosen = |rows: Vec<SeriesSummary>, reason| {
        let (first, file) = (rows[0].clone(), series::file_name(&rows[0]));
        case(&first, &file, reason, Origin::Dicom(triage.clone(), rows))
    };
    let ended = |study: &[&SeriesSummary], status, reason| case(study[0], "study", reason, Origin::Nothing(status));
    let is_asked = |row: &&&SeriesSummary| {
        let name = || Some(joined(Some(&inside(&row.folder)?), &series::file_name(row)));
        series::is_selectable(row) && name().is_some_and(|name| filter.selects(&name))
    };
    let mut cases = Vec::new();
    for study in series::studies(triage) {
        let asked: Vec<_> = study.iter().filter(is_asked).copied().collect();
        if !channels.is_one() {
            let rows = if filter.select.is_some() { asked } else { study };
            if !rows.is_empty() {
                cases.extend(match channels.of_study(&rows) {
                    Ok((rows, reason)) => chosen(rows, reason),
                    Err((status, reason)) => ended(&rows, status, reason),
                });
            }
        } else if filter.select.is_some() {
            let reason = "selected by the expression";
            cases.extend(asked.into_iter().filter_map(|row| chosen(vec![row.clone()], reason.to_owned())));
        } else {
            cases.extend(match wanted.decide(&study) {
                series::Decision::Segment(row, reason) => chosen(vec![row.clone()], reason),
                series::Decision::Skip(reason) => ended(&study, Status::Skipped, reason),
                series::Decision::Fail(reason) => ended(&study, Status::Failed, reason),
            });
        }
    }
    cases
}

/// What is wrong with a file and what the system says to it, without the path.
fn why(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    error.message().to_owned() + &cause.map_or_else(String::new, |cause| format!(": {cause}"))
}

/// Which cases are wanted.
struct Filter {
    pattern: Option<(Regex, bool)>,
    select: Option<Regex>,
}

impl Filter {
    fn new(options: &DiscoverOptions) -> Result<Self> {
        let pattern = options.pattern.as_ref().map(|glob| Ok::<_, Error>((glob_regex(glob)?, glob.contains('/'))));
        let select = options.select.as_ref().map(|text| expression(text));
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
            let options = DiscoverOptions { pattern: Some(glob.to_owned()), ..Default::default() };
            Filter::new(&options).unwrap().takes_file(Path::new(path))
        };
        assert!(takes("*T1w*", "sub-1/anat/sub-1_T1w.nii.gz"));
        assert!(!takes("*T2w*", "sub-1/T2w/sub-1_T1w.nii.gz"));
        assert!(takes("*/anat/*.nii", "s/anat/a.nii") && !takes("*/a.nii", "s/anat/a.nii"));
        assert!(takes("**/a.nii", "s/anat/a.nii") && takes("a.n?i", "a.nii") && !takes("a.n?i", "aXnii"));
    }
}
