//! Reading an open file at any place, from many threads.

use std::fs::File;
use std::io;

/// An open file whose bytes are read by their place; the handle's own position stays where it is.
#[derive(Debug)]
pub(crate) struct Places(File);

impl Places {
    /// Of a file that is open; `None` where the system cannot read by place.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "another way of reading is taken"))]
    pub(crate) fn of(file: &File) -> Option<Self> {
        #[cfg(unix)]
        return file.try_clone().ok().map(Self);
        #[cfg(not(unix))]
        None
    }

    /// Fills `bytes` from byte `offset` of the file on.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset);
        #[cfg(not(unix))]
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{} bytes at {offset}", bytes.len())))
    }
}
