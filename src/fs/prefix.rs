//! As much of a file as is needed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{open, unreadable};
use crate::error::Result;

/// The first bytes of a file, read on as far as they are asked for.
#[derive(Debug)]
pub(crate) struct Prefix {
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
    len: u64,
    at_end: bool,
}

impl Prefix {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let len = file.metadata().map_err(|e| unreadable(path, e))?.len();
        Ok(Self { path: path.to_owned(), file, bytes: Vec::new(), len, at_end: false })
    }

    /// Reads on until `wanted` bytes are there or the file ends.
    pub(crate) fn grow(&mut self, wanted: usize) -> Result<()> {
        let missing = wanted.saturating_sub(self.bytes.len()) as u64;
        self.bytes.reserve(usize::try_from(missing.min(self.len)).unwrap_or(0));
        let read = (&mut self.file).take(missing).read_to_end(&mut self.bytes);
        let read = read.map_err(|e| unreadable(&self.path, e))?;
        self.at_end |= (read as u64) < missing;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True when the end of the file was reached.
    pub(crate) fn is_complete(&self) -> bool {
        self.at_end || self.bytes.len() as u64 >= self.len
    }

    /// Bytes of the file; those that could be read once its end was reached.
    pub(crate) fn len(&self) -> u64 {
        if self.at_end { self.bytes.len() as u64 } else { self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_grows_to_the_end_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ten");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut prefix = Prefix::open(&path).unwrap();
        prefix.grow(4).unwrap();
        assert_eq!((prefix.bytes(), prefix.is_complete(), prefix.len()), (b"0123".as_slice(), false, 10));
        prefix.grow(100).unwrap();
        assert_eq!((prefix.bytes().len(), prefix.is_complete(), prefix.len()), (10, true, 10));
    }
}
