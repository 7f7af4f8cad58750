//! Patients' names, kept out of what is written.

use std::collections::BTreeSet;
use std::fmt;

use super::prose;
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

    /// As [`Names::hide`] for a message of this program: a word that stands by itself in it and is one of its own stays,
    /// though a patient may be called the same. In quotes, in paths, with a capital and beside a name it is a name.
    pub(super) fn hide_in_prose(&self, text: &str) -> String {
        self.hide_but(text, prose::own_words(text, |word| self.holds(word)))
    }

    /// The text with each word replaced that is a word of a name, is made of several, or has a long one in it.
    pub(super) fn hide(&self, text: &str) -> String {
        self.hide_but(text, BTreeSet::new())
    }

    /// As [`Names::hide`], but for the words that start at these bytes.
    fn hide_but(&self, text: &str, kept: BTreeSet<usize>) -> String {
        if self.words.is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(char::is_alphanumeric) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c: char| !c.is_alphanumeric()).unwrap_or(from.len()));
            out.push_str(before);
            let is_hidden = self.holds(&word.to_lowercase()) && !kept.contains(&(text.len() - from.len()));
            out.push_str(if is_hidden { HIDDEN } else { word });
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
    use proptest::prelude::*;

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

    #[test]
    fn own_words_of_a_message_stay_unless_they_may_be_a_name() {
        let names = Names::of(["An^Do", "Slice^Long", "White"].into_iter());
        for text in ["an image of 3 slices: it has no position", "the slice is missing (slice 4); no image, no slice"] {
            assert_eq!(names.hide_in_prose(text), text);
        }
        for (text, want) in [
            ("/data/slice/x.nii: an image", "/data/anon/x.nii: an image"),
            ("series 2 (\"an slice\") is no volume", "series 2 (\"anon anon\") is no volume"),
            ("Slice is missing", "anon is missing"),
            ("slice.dcm and slice_1 lie at do-3", "anon.dcm and anon_1 lie at anon-3"),
            ("/data/mr white slice an/1: no image", "/data/mr anon anon anon/1: no image"),
        ] {
            assert_eq!(names.hide_in_prose(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_never_stay(
            names in prop::collection::vec("[a-zA-Zä王]{2,9}", 1..4),
            parts in prop::collection::vec(("[ /_.\\-\"(:0-9]{1,3}", any::<prop::sample::Index>(), any::<bool>()), 1..8),
        ) {
            let all = Names::of(names.iter().map(String::as_str));
            let mut text = String::new();
            for (gap, which, upper) in &parts {
                let name = which.get(&names);
                text += gap;
                text += &if *upper { name.to_uppercase() } else { name.to_lowercase() };
            }
            for (hidden, is_prose) in [(all.hide(&text), false), (all.hide_in_prose(&text), true)] {
                for word in hidden.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase) {
                    let letters = word.trim_matches(|c: char| c.is_ascii_digit());
                    for name in names.iter().map(|name| name.to_lowercase()) {
                        let is_own = is_prose && prose::is_own(letters);
                        prop_assert!(is_own || letters != name || name == HIDDEN, "{name}: {text} -> {hidden}");
                        prop_assert!(is_own || name.len() < LONG || !word.contains(&name), "{name}: {hidden}");
                    }
                }
            }
        }

        #[test]
        fn own_words_stay_whatever_the_names(which in prop::collection::vec(any::<prop::sample::Index>(), 1..12)) {
            let own: Vec<_> = prose::words().collect();
            let text = which.iter().map(|n| *n.get(&own)).collect::<Vec<_>>().join(" ");
            let names = Names::of(which.iter().map(|n| *n.get(&own)));
            prop_assert_eq!(names.hide_in_prose(&text), text);
        }
    }
}
