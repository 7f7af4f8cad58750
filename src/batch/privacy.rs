//! Patients' names, kept out of what is written.

use std::collections::BTreeSet;
use std::fmt;

use crate::volume::{Source, SourceKind};

/// PatientName.
const PATIENT_NAME: u32 = 0x0010_0010;
/// What stands in the place of a word that holds a name.
const HIDDEN: &str = "anon";

/// The words of patients' names, in lower case.
#[derive(Clone, Default)]
pub(super) struct Names(BTreeSet<String>);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.0.len())
    }
}

impl Names {
    /// The words of values of PatientName, such as `Doe^Jane=`; single letters and numbers are none.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let words = values.flat_map(|value| value.split(|c: char| !c.is_alphanumeric()));
        let is_name = |word: &&str| word.chars().nth(1).is_some() && word.chars().any(char::is_alphabetic);
        Self(words.filter(is_name).map(str::to_lowercase).collect())
    }

    /// Those of the patient whose scan this is.
    pub(super) fn of_source(source: &Source) -> Self {
        let SourceKind::Dicom(dicom) = &source.kind else { return Self::default() };
        let names = dicom.attributes.iter().filter(|attribute| attribute.tag == PATIENT_NAME);
        let names: Vec<_> = names.map(|attribute| String::from_utf8_lossy(&attribute.value)).collect();
        Self::of(names.iter().map(AsRef::as_ref))
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The text with each word replaced that is a part of a name or has one of three letters or more in it.
    pub(super) fn hide(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(char::is_alphanumeric) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c: char| !c.is_alphanumeric()).unwrap_or(from.len()));
            out.push_str(before);
            out.push_str(if self.holds(&word.to_lowercase()) { HIDDEN } else { word });
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn holds(&self, word: &str) -> bool {
        let is_long = |name: &str| name.chars().nth(2).is_some() || !name.is_ascii();
        self.0.contains(word) || self.0.iter().any(|name| is_long(name) && word.contains(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_names_are_replaced_and_others_kept() {
        let names = Names::of(["Doe^Jane^^Dr", "王^小东=Li", "M\u{fffd}ller 7"].into_iter());
        for (text, want) in [
            ("scans/DOE_JANE (1)/T1w.nii", "scans/anon_anon (1)/T1w.nii"),
            ("doejane/Li-2/like", "anon/anon-2/like"),
            ("王小东/müller/7", "anon/anon/7"),
            ("", ""),
        ] {
            assert_eq!(names.hide(text), want);
        }
        assert_eq!(Names::default().hide("doe"), "doe");
    }
}
