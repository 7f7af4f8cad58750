//! Patients' names, kept out of what is written.

use std::collections::BTreeSet;
use std::fmt;

use crate::volume::{Source, SourceKind};

/// PatientName.
const PATIENT_NAME: u32 = 0x0010_0010;
/// What stands in the place of a word that holds a name.
const HIDDEN: &str = "anon";

/// Letters of a word of a name that is found within others too; shorter ones would be found in any text.
const LONG: usize = 5;
/// Words of names that another word is made of at most.
const MADE_OF: usize = 4;

/// The words of patients' names, in lower case.
#[derive(Clone, Default)]
pub(super) struct Names {
    words: BTreeSet<String>,
    /// Those that are looked for within words too.
    parts: BTreeSet<String>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.words.len())
    }
}

impl Names {
    /// The words of values of PatientName, such as `Doe^Jane=`; single letters and numbers are none.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for value in values {
            // Of letters that were not decoded only the pieces between them are known.
            let is_torn = value.contains(char::REPLACEMENT_CHARACTER);
            for word in value.split(|c: char| !c.is_alphanumeric()) {
                let letters = word.chars().count();
                if letters < 2 || !word.chars().any(char::is_alphabetic) {
                    continue;
                }
                if letters >= LONG || !word.is_ascii() || (is_torn && letters > 2) {
                    names.parts.insert(word.to_lowercase());
                }
                names.words.insert(word.to_lowercase());
            }
        }
        names
    }

    /// Those of the patient whose scan this is.
    pub(super) fn of_source(source: &Source) -> Self {
        let SourceKind::Dicom(dicom) = &source.kind else { return Self::default() };
        let names = dicom.attributes.iter().filter(|attribute| attribute.tag == PATIENT_NAME);
        let names: Vec<_> = names.map(|attribute| String::from_utf8_lossy(&attribute.value)).collect();
        Self::of(names.iter().map(AsRef::as_ref))
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.words.extend(other.words);
        self.parts.extend(other.parts);
    }

    /// The text with each word replaced that is a word of a name, is made of several, or has a long one in it.
    pub(super) fn hide(&self, text: &str) -> String {
        if self.words.is_empty() {
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
        let letters = word.trim_matches(|c: char| c.is_ascii_digit());
        self.words.contains(word)
            || self.parts.iter().any(|part| word.contains(part.as_str()))
            || (!letters.is_empty() && self.make(letters, MADE_OF))
    }

    /// True when so many words of names or fewer, one after the other, are the word.
    fn make(&self, word: &str, most: usize) -> bool {
        let rest = |name: &String| word.strip_prefix(name.as_str()).is_some_and(|rest| self.make(rest, most - 1));
        word.is_empty() || (most > 0 && self.words.iter().any(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_names_are_replaced_and_others_kept() {
        let names = Names::of(["Doe^Jane^^Dr", "王^小东=Li", "M\u{fffd}ller 7", "Schneider^Ann"].into_iter());
        for (text, want) in [
            ("scans/DOE_JANE (1)/T1w.nii", "scans/anon_anon (1)/T1w.nii"),
            ("doejane/Li-2/like/does", "anon/anon-2/like/does"),
            ("Doe1958/annschneider2/schneiders", "anon/anon/anon"),
            ("王小东/müller/7", "anon/anon/7"),
            ("", ""),
        ] {
            assert_eq!(names.hide(text), want);
        }
        assert_eq!(Names::default().hide("doe"), "doe");
    }
}
