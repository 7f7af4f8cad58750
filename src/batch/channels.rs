//! Which files or series are the channels of one study.

use std::collections::BTreeMap;
use std::path::PathBuf;

use regex_lite::Regex;

use super::case::{Case, Origin, joined, slashed};
use super::inputs::stem;
use super::ledger::Status;
#[cfg(feature = "dicom")]
use super::series::{self, Decision, Wanted};
use crate::error::{Error, Result};
use crate::formats::OnGap;
#[cfg(feature = "dicom")]
use crate::formats::dicom::SeriesSummary;
use crate::model::ModelSpec;

/// A file relative to the folder of the batch, and as it is opened.
type File = (PathBuf, PathBuf);

/// The channels of a model and how inputs are known for them.
#[derive(Debug)]
pub(super) struct Channels {
    names: Vec<String>,
    #[cfg_attr(not(feature = "dicom"), expect(dead_code, reason = "NIfTI files have no slices of their own"))]
    on_gap: OnGap,
    /// What the user says tells each channel's inputs; empty when names and numbers do.
    asked: Vec<Regex>,
}

impl Channels {
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for expressions that are none, or are not as many as the channels.
    pub(super) fn new(spec: &ModelSpec, asked: &[String], on_gap: OnGap) -> Result<Self> {
        let names: Vec<_> = spec.input.channels.iter().map(|channel| channel.name.clone()).collect();
        if !asked.is_empty() && asked.len() != names.len() {
            let (are, all) = (asked.len(), names.join(", "));
            return Err(Error::usage(format!(
                "{} has {} channels ({all}) and --channel names {are}",
                spec.name,
                names.len()
            ))
            .hint("give --channel once for each, in this order"));
        }
        let asked = asked.iter().map(|text| expression(text)).collect::<Result<_>>()?;
        Ok(Self { names, on_gap, asked })
    }

    /// True when every input is a study of its own.
    pub(super) fn is_one(&self) -> bool {
        self.names.len() < 2 && self.asked.is_empty()
    }

    /// The channel that a file named so belongs to, and the name without what tells that.
    fn of_stem(&self, stem: &str) -> Option<(usize, String)> {
        if !self.asked.is_empty() {
            let found = |(channel, regex): (usize, &Regex)| {
                let part = regex.find(stem)?.range();
                Some((channel, format!("{}{}", &stem[..part.start], &stem[part.end..])))
            };
            return self.asked.iter().enumerate().find_map(found);
        }
        let (rest, word) = stem.rsplit_once('_').unwrap_or(("", stem));
        let word = word.to_lowercase();
        let is_named = |name: &str| name == word || format!("{name}w") == word;
        let is = |(channel, name): (usize, &String)| {
            (word == format!("{channel:04}") || is_named(&name.to_lowercase())).then(|| (channel, rest.to_owned()))
        };
        self.names.iter().enumerate().find_map(is)
    }

    /// A case for each study.
    pub(super) fn cases(&self, files: Vec<File>) -> Vec<Case> {
        if self.is_one() {
            return files.into_iter().map(|(relative, path)| of_files(relative, String::new(), vec![path])).collect();
        }
        let mut cases = Vec::new();
        let mut studies: BTreeMap<(PathBuf, String), Vec<Vec<File>>> = BTreeMap::new();
        for (relative, path) in files {
            let folder = relative.parent().map(PathBuf::from).unwrap_or_default();
            match self.of_stem(&stem(&relative).to_string_lossy()) {
                Some((channel, rest)) => {
                    let study = studies.entry((folder, rest)).or_insert_with(|| vec![Vec::new(); self.names.len()]);
                    study[channel].push((relative, path));
                }
                None => {
                    let name = joined(Some(&folder), &stem(&relative).to_string_lossy());
                    let reason = format!("its name says none of the model's channels ({})", self.names.join(", "));
                    cases.push(Case::new(name, relative, reason, Origin::Nothing(Status::Skipped)));
                }
            }
        }
        cases.extend(studies.into_iter().map(|((folder, rest), found)| {
            let name = match (rest.trim_matches(['_', '-', '.', ' ']), folder.as_os_str().is_empty()) {
                ("", true) => "study".to_owned(),
                ("", false) => slashed(&folder),
                (rest, _) => joined(Some(&folder), rest),
            };
            self.of_channels(name, found)
        }));
        cases
    }

    fn of_channels(&self, name: String, mut found: Vec<Vec<File>>) -> Case {
        let count = |wanted: fn(usize) -> bool| {
            let names = self.names.iter().zip(&found).filter(|(_, files)| wanted(files.len()));
            names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (missing, several) = (count(|n| n == 0), count(|n| n > 1));
        let reason = match (missing.as_str(), several.as_str()) {
            ("", "") => {
                let (relative, paths): (Vec<_>, Vec<_>) = found.into_iter().flat_map(|mut files| files.pop()).unzip();
                let mut case = of_files(relative[0].clone(), format!("{} channels", paths.len()), paths);
                case.name = name;
                return case;
            }
            ("", several) => format!("several files fit the channel {several}"),
            (missing, _) => format!("there is no file for the channel {missing}"),
        };
        let input = found.iter_mut().find_map(Vec::pop).map(|(relative, _)| relative).unwrap_or_default();
        Case::new(name, input, reason, Origin::Nothing(Status::Failed))
    }

    /// A series of one study for each channel and how they were found, or how the study ends without.
    #[cfg(feature = "dicom")]
    pub(super) fn of_study(&self, study: &[&SeriesSummary]) -> Result<(Vec<SeriesSummary>, String), (Status, String)> {
        let mut chosen: Vec<SeriesSummary> = Vec::new();
        let mut reasons = Vec::new();
        for (channel, name) in self.names.iter().enumerate() {
            let wanted = Wanted::named(name);
            let fits = |row: &&&SeriesSummary| match self.asked.get(channel) {
                Some(regex) => regex.is_match(&series::file_name(row)),
                None => wanted.names(row, name),
            };
            let rows: Vec<_> = study.iter().filter(fits).copied().collect();
            let wanted = if self.asked.is_empty() { wanted } else { Wanted::anything() }.with_on_gap(self.on_gap);
            let row = match wanted.decide(&rows) {
                Decision::Segment(row, _) => row,
                Decision::Skip(_) => {
                    return Err((Status::Skipped, format!("there is no series for the channel {name}")));
                }
                Decision::Fail(reason) => return Err((Status::Failed, format!("channel {name}: {reason}"))),
            };
            if chosen.iter().any(|known| known.number == row.number) {
                let file = series::file_name(row);
                return Err((
                    Status::Failed,
                    format!("{file:?} fits several channels; tell them apart with --channel"),
                ));
            }
            reasons.push(format!("{name}: {}", series::file_name(row)));
            chosen.push(row.clone());
        }
        Ok((chosen, reasons.join("; ")))
    }
}

fn of_files(relative: PathBuf, reason: String, paths: Vec<PathBuf>) -> Case {
    let name = joined(relative.parent(), &stem(&relative).to_string_lossy());
    let identity = slashed(&relative);
    Case { identity, ..Case::new(name, relative, reason, Origin::Nifti(paths)) }
}

/// A regular expression of the user's.
pub(super) fn expression(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|e| Error::usage(format!("{text:?} is no regular expression")).because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(asked: &[&str]) -> Channels {
        let asked = asked.iter().map(|text| expression(text).unwrap()).collect();
        Channels { names: vec!["T1".to_owned(), "FLAIR".to_owned()], on_gap: OnGap::Refuse, asked }
    }

    #[test]
    fn files_are_grouped_by_number_name_or_expression() {
        let cases = |asked: &[&str], files: &[&str]| {
            let files = files.iter().map(|name| (PathBuf::from(name), PathBuf::from(name))).collect();
            let cases = channels(asked).cases(files).into_iter();
            cases.map(|case| (case.name.clone(), case.outcome(), case.reason)).collect::<Vec<_>>()
        };
        let done = |name: &str| (name.to_owned(), None, "2 channels".to_owned());
        assert_eq!(cases(&[], &["a/x_0000.nii", "a/x_0001.nii.gz"]), [done("a/x")]);
        assert_eq!(cases(&[], &["sub-1_FLAIR.nii", "sub-1_T1w.nii"]), [done("sub-1")]);
        assert_eq!(cases(&[], &["p/flair.nii", "p/t1.nii"]), [done("p")]);
        assert_eq!(cases(&["^pre", "^post"], &["pre-7.nii", "post-7.nii"]), [done("7")]);
        let found = cases(&[], &["a_T1w.nii", "b_bold.nii", "c_0001.nii", "c_0000.nii", "c_T1.nii"]);
        assert_eq!(found.len(), 3);
        assert!(found[0].0 == "b_bold" && found[0].1 == Some(Status::Skipped), "{found:?}");
        assert!(found[1].0 == "a" && found[1].2.ends_with("no file for the channel FLAIR"), "{found:?}");
        assert!(found[2].0 == "c" && found[2].2.starts_with("several files fit the channel T1"), "{found:?}");
    }
}
