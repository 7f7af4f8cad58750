//! Coded terms (PS3.16): SNOMED CT where the label table has a code.

use super::attributes::*;
use super::common::Repertoire;
use super::object::Object;
use crate::volume::{Label, TermCode};

/// Codes of what a finding is, rather than where: their category is another.
const FINDINGS: [&str; 4] = ["79654002", "6574001", "108369006", "49755003"];

/// A coded entry (PS3.3, 8.8).
pub(super) fn code(scheme: &str, value: &str, meaning: &str) -> Object {
    Object::default().text(CODE_VALUE, value).text(CODE_SCHEME, scheme).text(CODE_MEANING, meaning)
}

/// A sequence of one coded entry.
fn put(object: Object, attribute: Attribute, term: (&str, &str, &str)) -> Object {
    object.items(attribute, [code(term.0, term.1, term.2)])
}

/// Category, type and side of what a label stands for: what its code says, or tissue that is not named further.
pub(super) fn describe(object: Object, label: &Label, repertoire: Repertoire) -> Object {
    let Some(TermCode { scheme, value, meaning }) = &label.code else {
        let object = put(object, PROPERTY_CATEGORY, ("SCT", "85756007", "Body tissue structure"));
        return put(object, PROPERTY_TYPE, ("SCT", "85756007", "Body tissue structure"));
    };
    let category = if FINDINGS.contains(&value.as_str()) {
        ("SCT", "49755003", "Morphologically Abnormal Structure")
    } else {
        ("SCT", "123037004", "Anatomical Structure")
    };
    let object = put(object, PROPERTY_CATEGORY, category);
    let mut kind = code(&repertoire.text(scheme, 16), &repertoire.text(value, 16), &repertoire.text(meaning, 64));
    if let Some((value, meaning)) = side(&label.name) {
        kind = put(kind, PROPERTY_TYPE_MODIFIER, ("SCT", value, meaning));
    }
    object.items(PROPERTY_TYPE, [kind])
}

/// The side that a name begins or ends with, where it speaks of one side only.
fn side(name: &str) -> Option<(&'static str, &'static str)> {
    let words: Vec<_> = name.split(|c: char| !c.is_alphabetic()).map(str::to_ascii_lowercase).collect();
    let ends = |word: &str| [words.first(), words.last()].into_iter().flatten().any(|w| w == word);
    let has = |word: &str| words.iter().any(|w| w == word);
    if ends("left") && !has("right") {
        Some(("7771000", "Left"))
    } else if ends("right") && !has("left") {
        Some(("24028007", "Right"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_stand_at_either_end_of_a_name() {
        assert_eq!(side("left hippocampus").unwrap().0, "7771000");
        assert_eq!(side("Hippocampus-Right").unwrap().0, "24028007");
        for name in ["3rd ventricle", "bright spot", "left-right difference", "upright"] {
            assert_eq!(side(name), None, "{name}");
        }
    }
}
