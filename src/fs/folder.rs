//! What lies below a folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{list, unreadable};
use crate::error::Error;

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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

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
