//! Files in the making.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use super::{CHUNK, Overwrite, check_output, occupied, parent, set_default_permissions, unwritable};
use crate::error::Result;

/// A file in the making: a temporary sibling that takes the wanted name in one step, or vanishes when dropped.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    overwrite: Overwrite,
    writer: BufWriter<tempfile::NamedTempFile>,
    /// What brings it to the disk; `None` where that is left to the system.
    ahead: Option<Ahead>,
}

impl Output {
    /// Starts a file that is to appear at `path`.
    pub(crate) fn create(path: &Path, overwrite: Overwrite) -> Result<Self> {
        check_output(path, overwrite)?;
        let temporary =
            tempfile::Builder::new().prefix(".unet-vol-").tempfile_in(parent(path)).map_err(|e| unwritable(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            overwrite,
            writer: BufWriter::with_capacity(CHUNK, temporary),
            ahead: Some(Ahead::default()),
        })
    }

    /// Leaves it to the system when the file comes to the disk.
    pub(crate) fn unsynced(self) -> Self {
        Self { ahead: None, ..self }
    }

    /// Flushes, syncs and renames.
    pub(crate) fn commit(self) -> Result<()> {
        let Self { path, overwrite, writer, ahead } = self;
        let temporary = writer.into_inner().map_err(|e| unwritable(&path, e.into_error()))?;
        if let Some(ahead) = ahead {
            ahead.finish().and_then(|()| temporary.as_file().sync_all()).map_err(|e| unwritable(&path, e))?;
        }
        set_default_permissions(temporary.as_file(), &path)?;
        let result = match overwrite {
            Overwrite::Refuse => temporary.persist_noclobber(&path),
            Overwrite::Replace => temporary.persist(&path),
        };
        result.map(drop).map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => occupied(&path),
            _ => unwritable(&path, e.error),
        })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        if let Some(ahead) = &mut self.ahead {
            ahead.written(written, self.writer.get_ref().as_file())?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Bytes after which the disk is set to work while more are on their way.
const AHEAD: usize = 16 << 20;

/// Brings a long file to the disk while it is written, so that little is left to wait for at its end.
#[derive(Debug, Default)]
struct Ahead {
    /// Bytes since the last time.
    waiting: usize,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Ahead {
    /// Takes note of bytes that were written to `file`.
    ///
    /// # Errors
    /// What the disk said to earlier ones: it says so once.
    fn written(&mut self, bytes: usize, file: &File) -> io::Result<()> {
        self.waiting += bytes;
        let busy = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if self.waiting < AHEAD || busy {
            return Ok(());
        }
        self.waiting = 0;
        self.join()?;
        let file = file.try_clone()?;
        // Without a thread the whole file waits for its end, which is slower and no error.
        self.thread = Builder::new().name("unet-vol-disk".into()).spawn(move || file.sync_data()).ok();
        Ok(())
    }

    fn join(&mut self) -> io::Result<()> {
        // `sync_data` does not panic.
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())))
    }

    fn finish(mut self) -> io::Result<()> {
        self.join()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // The file is given up, and with it what became of it.
        let _ = self.join();
    }
}
