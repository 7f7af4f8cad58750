//! What lies below a folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{
    Overwrite, check_output, exists, is_dir, list, replace_file, replace_folder, sha256, sha256_of, unreadable,
};
#[cfg(feature = "dicom")]
use super::{make_dir, parent, temporary_folder};
use crate::error::{Error, Result};

/// The files below a folder, sorted by path, and the folders that could not be listed.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) errors: Vec<Error>,
}

impl Walk {
    /// One file and no folder.
    #[cfg(feature = "dicom")]
    pub(crate) fn of_file(path: &Path) -> Self {
        Self { files: vec![path.to_owned()], errors: Vec::new() }
    }
}

/// Walks a folder; each folder is entered once, however many links lead to it.
pub(crate) fn walk(folder: &Path) -> Walk {
    let mut walk = Walk::default();
    let mut entered = HashSet::new();
    let mut stack = vec![folder.to_owned()];
    while let Some(folder) = stack.pop() {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if !entered.insert(real) {
            continue;
        }
        match list(&folder) {
            Ok(entries) => {
                for entry in entries {
                    match entry.metadata() {
                        Ok(meta) if meta.is_dir() => stack.push(entry),
                        Ok(meta) if meta.is_file() => walk.files.push(entry),
                        Ok(_) => (),
                        Err(e) => walk.errors.push(unreadable(&entry, e)),
                    }
                }
            }
            Err(e) => walk.errors.push(e),
        }
    }
    walk.files.sort();
    walk
}

/// As [`check_output`], for a folder of files whose names begin with `prefix`: one that holds anything else is never
/// replaced.
pub(crate) fn check_folder_output(path: &Path, overwrite: Overwrite, prefix: &str) -> Result<()> {
    let is_of_kind = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && !is_dir(file)
    };
    if overwrite == Overwrite::Refuse || !exists(path) {
        return check_output(path, overwrite);
    }
    if is_dir(path) && list(path)?.iter().all(is_of_kind) {
        return Ok(());
    }
    Err(Error::usage("what is here is no earlier output of this kind and is not replaced")
        .at(path)
        .hint("choose another name"))
}

/// Writes a folder of files whose names begin with `prefix` through a temporary sibling that is renamed; nothing is left
/// behind on failure.
#[cfg(feature = "dicom")]
pub(crate) fn write_folder(
    path: &Path,
    overwrite: Overwrite,
    prefix: &str,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    check_folder_output(path, overwrite, prefix)?;
    let temporary = temporary_folder(&parent(path))?;
    // A temporary folder is private; one within it has the usual permissions.
    let folder = temporary.path().join("folder");
    make_dir(&folder)?;
    write(&folder)?;
    replace_folder(&folder, path)
}

/// SHA-256 of a file, or of the names and hashes of the files in a folder.
pub(crate) fn digest(path: &Path) -> Result<String> {
    if !is_dir(path) {
        return sha256(path);
    }
    let line = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{}  {name}\n", sha256(file)?))
    };
    let lines = list(path)?.iter().map(line).collect::<Result<String>>()?;
    Ok(sha256_of(lines.as_bytes()))
}

/// Moves a file or a folder within a file system, over one that is there.
pub(crate) fn replace(from: &Path, target: &Path) -> Result<()> {
    if is_dir(from) { replace_folder(from, target) } else { replace_file(from, target) }
}

#[cfg(all(test, unix, feature = "dicom"))]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_the_same_kind_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let write = |overwrite, name: &str| {
            write_folder(&path, overwrite, "a_", |folder| {
                crate::fs::write_text(&folder.join(name), Overwrite::Refuse, "x")
            })
        };
        write(Overwrite::Replace, "a_1").unwrap();
        assert!(write(Overwrite::Refuse, "a_2").is_err());
        write(Overwrite::Replace, "a_2").unwrap();
        assert_eq!(list(&path).unwrap(), [path.join("a_2")]);
        let before = digest(&path).unwrap();
        std::fs::write(path.join("precious"), "y").unwrap();
        assert_ne!(digest(&path).unwrap(), before);
        assert!(write(Overwrite::Replace, "a_3").is_err());
        assert!(exists(&path.join("precious")));
        assert_eq!(list(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_walk_enters_each_folder_once_and_names_broken_links() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/file"), b"x").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("broken")).unwrap();
        let walk = walk(folder.path());
        assert_eq!(walk.files, [folder.path().join("a/file")]);
        assert_eq!(walk.errors.len(), 1);
    }
}
