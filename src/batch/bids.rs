//! The names of a BIDS derivative (BIDS specification, "Imaging data types" under "Derivatives").

use std::collections::HashMap;
use std::path::Path;

use super::inputs::stem;
#[cfg(feature = "dicom")]
use crate::formats::dicom::SeriesSummary;
use crate::fs;

/// Entities of an image that a segmentation of it keeps, in the order in which BIDS writes them.
const KEPT: [&str; 7] = ["ses", "acq", "ce", "rec", "run", "echo", "part"];
/// Longest label that is made of a description.
#[cfg(feature = "dicom")]
const LONGEST: usize = 30;

/// What the name of a label volume is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BidsName {
    subject: String,
    /// Those of [`KEPT`] that are there.
    entities: Vec<(&'static str, String)>,
    /// Such as `T1w`.
    suffix: String,
    /// True when the input is named as BIDS names images.
    pub(super) is_raw: bool,
    /// Tells apart what has all else in common.
    distinct: String,
}

impl BidsName {
    /// By the entities of the file's name; a file named otherwise is a subject of its own.
    pub(super) fn of_file(relative: &Path) -> Self {
        let name = stem(relative).to_string_lossy().into_owned();
        let mut parts: Vec<&str> = name.split('_').collect();
        let suffix = parts.pop().unwrap_or_default();
        let entities: HashMap<&str, &str> = parts.into_iter().filter_map(|part| part.split_once('-')).collect();
        let value = |key: &str| entities.get(key).map(|text| plain(text)).filter(|text| !text.is_empty());
        let is_index = |key: &str| matches!(key, "run" | "echo");
        let kept = |key: &&'static str| {
            let value = value(key).filter(|text| !is_index(key) || text.bytes().all(|byte| byte.is_ascii_digit()));
            value.map(|value| (*key, value))
        };
        match value("sub") {
            Some(subject) => Self {
                subject,
                entities: KEPT.iter().filter_map(kept).collect(),
                suffix: plain(suffix),
                is_raw: true,
                distinct: String::new(),
            },
            None => {
                let folder = relative.parent().unwrap_or(Path::new(""));
                Self { subject: plain(&folder.join(name).to_string_lossy()), ..Self::default() }
            }
        }
    }

    /// A subject by the hash of the study's UID, an acquisition by the description; nothing of the patient.
    #[cfg(feature = "dicom")]
    pub(super) fn of_series(row: &SeriesSummary, description: &str) -> Self {
        let study = if row.study_uid.is_empty() { &row.series_uid } else { &row.study_uid };
        let description: String = plain(description).chars().take(LONGEST).collect();
        let acquisition = (!description.is_empty()).then_some(("acq", description));
        let run = row.series_number.filter(|&number| number >= 0).map(|number| ("run", number.to_string()));
        Self {
            subject: fs::sha256_of(study.as_bytes())[..10].to_owned(),
            entities: acquisition.into_iter().chain(run).collect(),
            ..Self::default()
        }
    }

    /// `sub-<subject>[/ses-<session>]/anat/<entities>_space-orig_desc-unetvol`, to which a suffix comes.
    pub(super) fn path(&self) -> String {
        let subject = if self.subject.is_empty() { "unnamed" } else { &self.subject };
        let session = self.entities.iter().find(|(key, _)| *key == "ses");
        let folder = session.map_or_else(String::new, |(_, value)| format!("ses-{value}/"));
        let entities: String = self.entities.iter().map(|(key, value)| format!("_{key}-{value}")).collect();
        let distinct = &self.distinct;
        format!("sub-{subject}/{folder}anat/sub-{subject}{entities}_space-orig_desc-unetvol{distinct}")
    }
}

/// Where names are the same (upper and lower case alike), the description gets the suffix of the input, and where even
/// that is the same a hash of what `unique` says of each.
pub(super) fn name_apart(names: &mut [(&mut BidsName, String)]) {
    let doubles = |names: &[(&mut BidsName, String)]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (name, _) in names {
            *counts.entry(name.path().to_lowercase()).or_default() += 1;
        }
        counts
    };
    let counts = doubles(names);
    for (name, _) in names.iter_mut() {
        if counts[&name.path().to_lowercase()] > 1 {
            name.distinct.clone_from(&name.suffix);
        }
    }
    let counts = doubles(names);
    for (name, unique) in names {
        if counts[&name.path().to_lowercase()] > 1 {
            name.distinct = format!("{}{}", name.suffix, &fs::sha256_of(unique.as_bytes())[..8]);
        }
    }
}

/// Letters and digits alone.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_kept_in_order_and_others_dropped() {
        for (input, want) in [
            ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_space-orig_desc-unetvol"),
            (
                "sub-A/ses-2/anat/sub-A_ses-2_run-1_acq-hi.res_inv-2_MP2RAGE.nii",
                "sub-A/ses-2/anat/sub-A_ses-2_acq-hires_run-1_space-orig_desc-unetvol",
            ),
            ("ward 3/Head_1.nii", "sub-ward3Head1/anat/sub-ward3Head1_space-orig_desc-unetvol"),
            ("---.nii", "sub-unnamed/anat/sub-unnamed_space-orig_desc-unetvol"),
        ] {
            assert_eq!(BidsName::of_file(Path::new(input)).path(), want);
        }
    }

    #[test]
    fn equal_names_are_told_apart() {
        let mut names = ["sub-1_T1w.nii", "sub-1_T2w.nii", "sub-2_T1w.nii", "x/sub-2_T1w.nii", "sub-3_T1w.nii"]
            .map(|name| (BidsName::of_file(Path::new(name)), name.to_owned()));
        let mut pairs: Vec<_> = names.iter_mut().map(|(name, unique)| (name, unique.clone())).collect();
        name_apart(&mut pairs);
        let paths: Vec<_> = names.iter().map(|(name, _)| name.path()).collect();
        assert!(paths[0].ends_with("_desc-unetvolT1w") && paths[1].ends_with("_desc-unetvolT2w"), "{paths:?}");
        assert!(paths[2].contains("_desc-unetvolT1w") && paths[2] != paths[3], "{paths:?}");
        assert!(paths[4].ends_with("_desc-unetvol"), "{paths:?}");
    }
}
