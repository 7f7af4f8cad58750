//! Names of the files of a stack.

use std::path::{Path, PathBuf};

/// A part of a name: digits compare by their number, all else by its letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Number(u64),
    Text(String),
}

/// Sorts names as people do: `slice2` before `slice10`.
pub(super) fn natural_key(file: &Path) -> (Vec<Part>, PathBuf) {
    (parts(file), file.to_owned())
}

fn parts(file: &Path) -> Vec<Part> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut parts = Vec::new();
    let mut rest = name.as_str();
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) => Part::Number(number),
            Err(_) => Part::Text(part.to_owned()),
        });
        rest = after;
    }
    parts
}

/// Where the numbers in sorted names jump, as they do when a file is missing.
pub(super) fn gap(files: &[PathBuf]) -> Option<String> {
    let number = |file: &PathBuf| {
        parts(file).into_iter().rev().find_map(|part| if let Part::Number(n) = part { Some(n) } else { None })
    };
    let numbers: Vec<_> = files.iter().map(number).collect::<Option<_>>()?;
    let steps: Vec<_> = numbers.windows(2).map(|pair| pair[1].checked_sub(pair[0])).collect::<Option<_>>()?;
    let least = *steps.iter().min()?;
    let at = steps.iter().position(|&step| step != least)?;
    Some(format!(
        "the numbers of the files jump from {} to {}: a slice may be missing, which no spacing shows",
        shown(&files[at]),
        shown(&files[at + 1])
    ))
}

/// A name for a message.
pub(super) fn shown(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<PathBuf> {
        let mut files: Vec<_> = names.iter().map(PathBuf::from).collect();
        files.sort_by_cached_key(|file| natural_key(file));
        files
    }

    #[test]
    fn ten_comes_after_two_and_a_jump_is_told() {
        assert_eq!(
            sorted(&["s10.png", "s9.png", "S1.png"]),
            [Path::new("S1.png"), Path::new("s9.png"), Path::new("s10.png")]
        );
        assert_eq!(gap(&sorted(&["a03.png", "a01.png", "a02.png"])), None);
        assert_eq!(gap(&sorted(&["a10.png", "a20.png", "a30.png"])), None);
        assert!(gap(&sorted(&["a1.png", "a2.png", "a4.png"])).unwrap().contains("a2.png to a4.png"));
        assert_eq!(gap(&sorted(&["left.png", "right.png"])), None);
    }
}
