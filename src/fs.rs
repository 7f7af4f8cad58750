//! The only user of `std::fs`: every error names its path, gzip is known by content, writes are atomic.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{self, zeroed};

mod folder;
mod output;
mod places;
#[cfg(feature = "dicom")]
mod prefix;

#[cfg(feature = "dicom")]
pub(crate) use folder::{Walk, write_folder};
pub(crate) use folder::{check_folder_output, digest, replace, walk};
pub(crate) use output::Output;
pub(crate) use places::Places;
#[cfg(feature = "dicom")]
pub(crate) use prefix::Prefix;

const CHUNK: usize = 256 << 10;

/// Whether an existing output may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// An existing file is an error.
    #[default]
    Refuse,
    /// An existing file is replaced in one step.
    Replace,
}

/// Turns an I/O error about an input into ours.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file",
        io::ErrorKind::PermissionDenied => "reading is not permitted",
        io::ErrorKind::UnexpectedEof => "the file ends too early",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "the compressed data is damaged",
        _ => "cannot be read",
    };
    let out = Error::malformed(message).at(path).io(error.kind());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::UnexpectedEof => out,
        _ => out.because(error),
    }
}

/// Turns an I/O error about an output into ours.
pub(crate) fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Output, "cannot be written").at(path).io(error.kind()).because(error)
}

/// Opens a regular file for reading.
pub(crate) fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    let meta = file.metadata().map_err(|e| unreadable(path, e))?;
    if meta.is_dir() {
        return Err(Error::unsupported("this is a folder, not a file").at(path));
    }
    Ok(file)
}

/// Size of a file in bytes.
pub(crate) fn size(path: &Path) -> Result<u64> {
    std::fs::metadata(path).map(|m| m.len()).map_err(|e| unreadable(path, e))
}

/// True when something is at `path`.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// True when a regular file is at `path`, not a folder, a pipe or a device.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// True when a folder is at `path`.
pub(crate) fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// All bytes of a file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let len = file.metadata().map_err(|e| unreadable(path, e))?.len();
    if len > max {
        return Err(Error::limit(format!("the file has {len} bytes, more than the limit of {max}")).at(path));
    }
    let mut bytes = limits::reserved(usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1), "the file")?;
    let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| unreadable(path, e))?;
    if read as u64 > max {
        return Err(Error::limit(format!("the file has more than the limit of {max} bytes")).at(path));
    }
    Ok(bytes)
}

/// The first `len` bytes of a file, fewer where it is shorter.
pub(crate) fn head(path: &Path, len: u64) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    open(path)?.take(len).read_to_end(&mut head).map_err(|e| unreadable(path, e))?;
    Ok(head)
}

/// `len` bytes of a file from `offset` on.
pub(crate) fn read_range(path: &Path, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut file = open(path)?;
    let stored = file.metadata().map_err(|e| unreadable(path, e))?.len();
    if offset.checked_add(len as u64).is_none_or(|end| end > stored) {
        return Err(unreadable(path, io::ErrorKind::UnexpectedEof.into()));
    }
    let mut bytes = zeroed(len, "a part of a file")?;
    file.seek(io::SeekFrom::Start(offset))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|e| unreadable(path, e))?;
    Ok(bytes)
}

/// The file at `relative` in `folder`, refused when a link leads out of the folder.
pub(crate) fn inside(folder: &Path, relative: &Path) -> Result<PathBuf> {
    let path = folder.join(relative);
    let real = path.canonicalize().map_err(|e| unreadable(&path, e))?;
    let root = folder.canonicalize().map_err(|e| unreadable(folder, e))?;
    if !real.starts_with(&root) {
        return Err(Error::malformed("this leads out of its folder").at(path));
    }
    Ok(real)
}

/// A stream over a file's content, inflated when the content is gzip (all members, CRC checked at each end).
pub(crate) struct Content {
    /// The bytes, inflated.
    pub(crate) reader: Box<dyn Read + Send>,
    /// The same bytes by their place, where the file is not compressed.
    pub(crate) places: Option<Places>,
    /// True when the file is compressed.
    pub(crate) gzip: bool,
    /// Bytes of the file as stored.
    pub(crate) stored: u64,
}

/// Opens a file and sniffs gzip by its first two bytes.
pub(crate) fn content(path: &Path) -> Result<Content> {
    let file = open(path)?;
    let stored = file.metadata().map_err(|e| unreadable(path, e))?.len();
    let places = Places::of(&file);
    let mut buffered = BufReader::with_capacity(CHUNK, file);
    let gzip = buffered.fill_buf().map_err(|e| unreadable(path, e))?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read + Send> = if gzip { Box::new(Members::new(buffered)) } else { Box::new(buffered) };
    Ok(Content { reader, places: places.filter(|_| !gzip), gzip, stored })
}

/// Gzip members read as one stream; zero bytes after a member are padding, anything else that is no member is an error
/// (RFC 1952, section 2.2; tapes and some copy tools pad with zeros).
struct Members(GzDecoder<Box<dyn BufRead + Send>>);

impl Members {
    fn new(input: impl BufRead + Send + 'static) -> Self {
        Self(GzDecoder::new(Box::new(input)))
    }

    /// Moves on to the next member; false at the end of the file.
    fn next_member(&mut self) -> io::Result<bool> {
        let input = self.0.get_mut();
        loop {
            let buffer = input.fill_buf()?;
            let (len, zeros) = (buffer.len(), buffer.iter().take_while(|&&byte| byte == 0).count());
            input.consume(zeros);
            match len {
                0 => return Ok(false),
                _ if zeros < len => break,
                _ => (),
            }
        }
        let rest = std::mem::replace(input, Box::new(io::empty()));
        self.0.reset(rest);
        Ok(true)
    }
}

impl Read for Members {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.0.read(into)?;
            if n > 0 || into.is_empty() || !self.next_member()? {
                return Ok(n);
            }
        }
    }
}

/// Lower-case hex SHA-256 of a file's bytes as stored.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).map_err(|e| unreadable(path, e))? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&chunk[..n]),
        }
    }
}

/// Lower-case hex SHA-256 of bytes.
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Fails with [`ErrorKind::Usage`] when `path` exists and must not be replaced.
pub(crate) fn check_output(path: &Path, overwrite: Overwrite) -> Result<()> {
    if overwrite == Overwrite::Refuse && exists(path) {
        return Err(occupied(path).hint("choose another name or give --overwrite"));
    }
    if is_dir(path) {
        return Err(Error::usage("the output is a folder").at(path).hint("name a file in it"));
    }
    let folder = parent(path);
    if !is_dir(&folder) {
        return Err(Error::new(ErrorKind::Output, "the folder of the output does not exist").at(path));
    }
    Ok(())
}

fn occupied(path: &Path) -> Error {
    Error::usage("the output exists already").at(path).io(io::ErrorKind::AlreadyExists)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes a file through a temporary sibling: flushed, synced, renamed; nothing is left behind on failure.
pub(crate) fn write_atomic(
    path: &Path,
    overwrite: Overwrite,
    write: impl FnOnce(&mut Output) -> Result<()>,
) -> Result<()> {
    let mut output = Output::create(path, overwrite)?;
    write(&mut output)?;
    output.commit()
}

/// Writes bytes through [`write_atomic`].
pub(crate) fn write_bytes(path: &Path, overwrite: Overwrite, bytes: &[u8]) -> Result<()> {
    write_atomic(path, overwrite, |writer| writer.write_all(bytes).map_err(|e| unwritable(path, e)))
}

/// Writes a text that ends in a line break.
pub(crate) fn write_text(path: &Path, overwrite: Overwrite, text: &str) -> Result<()> {
    write_bytes(path, overwrite, format!("{}\n", text.trim_end()).as_bytes())
}

/// A temporary file without a name: it is gone with the process, however that ends.
pub(crate) type Spool = File;

/// A new [`Spool`].
pub(crate) fn spool() -> io::Result<Spool> {
    tempfile::tempfile()
}

/// Peak resident memory of this process in bytes, where the system says.
pub(crate) fn peak_rss() -> Option<u64> {
    kernel_figure("/proc/self/status", "VmHWM:")
}

/// Bytes that this process may take in all, what it holds included, before the system swaps or a limit of its control
/// group (a container, a batch job) ends it; where the system says.
pub(crate) fn memory_in_reach() -> Option<u64> {
    let held = kernel_figure("/proc/self/status", "VmRSS:").unwrap_or(0);
    let free = kernel_figure("/proc/meminfo", "MemAvailable:");
    free.into_iter().chain(control_group_memory()).min().map(|free| free.saturating_add(held))
}

/// Bytes that the process's control group still gives: its limit less what is used, the cache that can be dropped apart
/// (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
fn control_group_memory() -> Option<u64> {
    let groups = [
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
    ];
    groups.iter().find_map(|(folder, limit, used, cache)| {
        let text = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).ok();
        let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
        let cached = text("memory.stat")?.lines().find_map(|line| line.strip_prefix(cache)?.parse::<u64>().ok());
        Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(cached.unwrap_or(0))))
    })
}

/// A figure in kB from a file of the Linux kernel.
fn kernel_figure(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes that this user may still write to the file system of `path`, where the system says.
#[cfg(unix)]
pub(crate) fn available(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

#[cfg(not(unix))]
pub(crate) fn available(_: &Path) -> Option<u64> {
    None
}

/// Temporary files are private; an output gets the permissions of an ordinary new file.
#[cfg(unix)]
fn set_default_permissions(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.metadata().map_or(0o644, |m| m.permissions().mode() & 0o777);
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(|e| unwritable(path, e))
}

#[cfg(not(unix))]
fn set_default_permissions(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// Removes an output that turned out to be wrong.
pub(crate) fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|e| unwritable(path, e))
}

/// Makes a folder and its parents.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| unwritable(path, e))
}

/// The same file by its absolute path without links.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|e| unreadable(path, e))
}

/// Time of the last change, in nanoseconds since 1970; 0 where the system does not say.
pub(crate) fn modified(path: &Path) -> Result<u64> {
    let meta = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
    let since = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0))
}

/// A new private folder inside `parent`, removed when dropped.
pub(crate) fn temporary_folder(parent: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(".unet-vol-").tempdir_in(parent).map_err(|e| unwritable(parent, e))
}

/// Moves a file within a file system in one step, over one that is there.
pub(crate) fn replace_file(file: &Path, target: &Path) -> Result<()> {
    std::fs::rename(file, target).map_err(|e| unwritable(target, e))
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(unwritable(path, e)),
        _ => Ok(()),
    }
}

/// A file to which whole lines are appended, by one process at a time.
#[derive(Debug)]
pub(crate) struct LineLog {
    path: PathBuf,
    file: File,
}

impl LineLog {
    /// Opens or makes a file; a last line that was not ended is ended.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e| unwritable(path, e);
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::usage("another process is writing this file").at(path));
        }
        if file.metadata().map_err(failed)?.len() > 0 {
            let mut last = [0];
            file.seek(io::SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(failed)?;
            if last != *b"\n" {
                file.write_all(b"\n").map_err(failed)?;
            }
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// True when there is no line yet.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        self.file.metadata().map(|meta| meta.len() == 0).map_err(|e| unwritable(&self.path, e))
    }

    /// Drops all lines.
    pub(crate) fn clear(&self) -> Result<()> {
        self.file.set_len(0).map_err(|e| unwritable(&self.path, e))
    }

    /// Appends a line in one piece; it is on the disk when this returns.
    pub(crate) fn append(&mut self, line: &str) -> Result<()> {
        let written = self.file.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e| unwritable(&self.path, e))
    }
}

/// Puts a folder in the place of `target` by renaming it, which must not leave the file system.
pub(crate) fn replace_folder(folder: &Path, target: &Path) -> Result<()> {
    if exists(target) {
        std::fs::remove_dir_all(target).map_err(|e| unwritable(target, e))?;
    }
    std::fs::rename(folder, target).map_err(|e| unwritable(target, e))
}

/// The entries of a folder, sorted by name.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).map_err(|e| unreadable(path, e))?;
    let mut paths = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| unreadable(path, e))?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing_and_a_good_one_everything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.bin");
        let failed = write_atomic(&path, Overwrite::Refuse, |w| {
            w.write_all(b"half").map_err(|e| unwritable(&path, e))?;
            Err(Error::internal("stop"))
        });
        assert!(failed.is_err());
        assert_eq!(list(dir.path()).unwrap().len(), 0);
        write_atomic(&path, Overwrite::Refuse, |w| w.write_all(b"all").map_err(|e| unwritable(&path, e))).unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"all");
        let again = write_atomic(&path, Overwrite::Refuse, |_| Ok(())).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Usage);
        assert_eq!(read(&path, 2).unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn gzip_members_are_one_stream_and_padding_is_skipped_and_garbage_is_not() {
        let member = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("members.gz");
        let inflated = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let mut out = Vec::new();
            content(&path).unwrap().reader.read_to_end(&mut out).map(|_| out)
        };
        let stored = [member(b"one "), member(b""), vec![0; 700_000], member(b"two"), vec![0; 5]].concat();
        assert_eq!(inflated(&stored).unwrap(), b"one two");
        assert!(inflated(&[member(b"one"), b"garbage".to_vec()].concat()).is_err());
        let mut damaged = member(b"one");
        let crc = damaged.len() - 8;
        damaged[crc] ^= 1;
        assert!(inflated(&damaged).is_err());
        assert!(inflated(&stored[..20]).is_err());
    }
}
