//! Names of `.hdr`/`.img` pairs, each of the two perhaps compressed.

use std::path::{Path, PathBuf};

use crate::fs;

/// The file that holds the header and, where the user named the other one, the file that holds the voxels.
pub(super) fn header_of(path: &Path) -> (PathBuf, Option<PathBuf>) {
    match partners(path, "img", "hdr").into_iter().find(|candidate| fs::exists(candidate)) {
        Some(header) => (header, Some(path.to_owned())),
        None => (path.to_owned(), None),
    }
}

/// Where the voxels of a header may be, the likeliest first; empty when the name is not that of a header.
pub(super) fn images_of(header: &Path) -> Vec<PathBuf> {
    partners(header, "hdr", "img")
}

/// True for a name that ends in `.img` or `.img.gz`.
pub(super) fn is_image(path: &Path) -> bool {
    !partners(path, "img", "hdr").is_empty()
}

/// The name with the suffix `from` (perhaps followed by `.gz`) exchanged, in the same case, for `to`.
fn partners(path: &Path, from: &str, to: &str) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let strip = |name: &str, suffix: &str| {
        let at = name.len().checked_sub(suffix.len()).filter(|&at| name.is_char_boundary(at))?;
        name[at..].eq_ignore_ascii_case(suffix).then(|| (name[..at].to_owned(), name[at..].to_owned()))
    };
    let (inner, gz) = strip(name, ".gz").unwrap_or_else(|| (name.to_owned(), String::new()));
    let Some((stem, suffix)) = strip(&inner, &format!(".{from}")) else { return Vec::new() };
    let upper = suffix.ends_with(|c: char| c.is_ascii_uppercase());
    let to = if upper { to.to_ascii_uppercase() } else { to.to_owned() };
    let other = if gz.is_empty() { ".gz" } else { "" };
    [gz.as_str(), other].map(|gz| path.with_file_name(format!("{stem}.{to}{gz}"))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exchanged_and_others_left_alone() {
        assert_eq!(images_of(Path::new("a/b.c.hdr")), [PathBuf::from("a/b.c.img"), PathBuf::from("a/b.c.img.gz")]);
        assert_eq!(images_of(Path::new("B.HDR.gz")), [PathBuf::from("B.IMG.gz"), PathBuf::from("B.IMG")]);
        assert!(images_of(Path::new("é.nii")).is_empty());
        assert!(is_image(Path::new("x.img.gz")) && !is_image(Path::new("img")));
    }
}
