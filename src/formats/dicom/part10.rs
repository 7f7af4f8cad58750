//! A file: preamble, file meta information and data set (PS3.10, chapter 7), also where the first two are missing or
//! damaged.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;

use super::encoding::{self, Encoding, Fault, Parsed};
use super::tags;
use super::transfer_syntax::{self, TransferSyntax};
use crate::error::{Error, Result};
use crate::fs;
use crate::limits::Limits;

/// Bytes read first: enough for the header of most single slices.
const FIRST: usize = 16 << 10;
/// Deflated samples may take this much more than the header says, for padding and what follows them.
const SLACK: u64 = 64 << 10;
const PREAMBLE: usize = 128;

/// How the file says that its data set is written.
#[derive(Debug, Clone)]
pub(super) struct Syntax {
    pub(super) uid: String,
    pub(super) known: Option<TransferSyntax>,
    pub(super) encoding: Encoding,
}

impl Syntax {
    /// Name, or the identifier of one that is not known.
    pub(super) fn name(&self) -> &str {
        self.known.map_or(&self.uid, |syntax| syntax.name)
    }
}

/// A data set in memory, up to its samples or whole.
#[derive(Debug)]
pub(super) struct DicomFile {
    pub(super) path: PathBuf,
    pub(super) syntax: Syntax,
    /// True for a media directory (DICOMDIR).
    pub(super) is_directory: bool,
    bytes: Vec<u8>,
    /// Byte at which the data set starts.
    start: usize,
    /// Bytes that the enclosure has in all, read or not; unknown for a deflated data set that was read in part.
    total: Option<u64>,
}

impl DicomFile {
    /// Reads the file up to its samples; `None` when it is not DICOM.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when it cannot be read; [`crate::ErrorKind::Limit`] when its header is larger
    /// than the limits allow.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Option<Self>> {
        let mut input = fs::Prefix::open(path)?;
        input.grow(FIRST)?;
        let Some(start) = Start::of(input.bytes()) else { return Ok(None) };
        let mut wanted = FIRST;
        loop {
            let file = start.data_set(path, input.bytes(), input.is_complete(), input.len(), wanted)?;
            let parsed = file.parse();
            let end = match parsed.fault {
                _ if file.total.is_some_and(|total| total <= file.len()) => return Ok(Some(file)),
                Some(Fault::Short { end, .. }) => end,
                None if parsed.samples.is_none() => file.len() + 1,
                _ => return Ok(Some(file)),
            };
            if file.total.is_some_and(|total| end > total) {
                return Ok(Some(file));
            }
            if end > limits.max_header_bytes {
                let message = format!("the header needs more than {} bytes", limits.max_header_bytes);
                return Err(Error::limit(message).at(path));
            }
            wanted = usize::try_from(end).unwrap_or(usize::MAX).max(wanted.saturating_mul(4));
            input.grow(wanted.saturating_add(start.body))?;
        }
    }

    /// Reads the whole file; `samples` is the number of bytes that native samples take, which bounds what a deflated
    /// data set may unfold to.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when it cannot be read or is not DICOM; [`crate::ErrorKind::Limit`] when it is
    /// larger than the limits allow.
    pub(super) fn open_whole(path: &Path, samples: u64, limits: &Limits) -> Result<Self> {
        let bytes = fs::read(path, limits.max_bytes)?;
        let changed = || Error::malformed("the file changed while it was read").at(path);
        let start = Start::of(&bytes).ok_or_else(changed)?;
        if start.is_deflated() {
            let header = Self::open(path, limits)?.ok_or_else(changed)?;
            let before = header.parse().samples.map_or(0, |samples| samples.start as u64);
            let wanted = limits.bytes(before + samples + SLACK, "a deflated data set")?;
            return start.data_set(
                path,
                &bytes,
                true,
                bytes.len() as u64,
                usize::try_from(wanted).unwrap_or(usize::MAX),
            );
        }
        let total = Some((bytes.len() - start.body) as u64);
        Ok(Self {
            path: path.to_owned(),
            syntax: start.syntax,
            is_directory: start.is_directory,
            bytes,
            start: start.body,
            total,
        })
    }

    /// The bytes of the data set that are in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn len(&self) -> u64 {
        (self.bytes.len() - self.start) as u64
    }

    pub(super) fn parse(&self) -> Parsed<'_> {
        encoding::parse(self.bytes(), self.syntax.encoding)
    }

    /// Bytes of the whole data set; `None` for a deflated one that was read in part.
    pub(super) fn known_total(&self) -> Option<u64> {
        self.total
    }

    /// Bytes of the whole data set, as far as known.
    pub(super) fn total(&self) -> u64 {
        self.total.unwrap_or_else(|| self.len())
    }
}

/// Where the data set starts and how it is written.
#[derive(Debug)]
struct Start {
    body: usize,
    syntax: Syntax,
    is_directory: bool,
}

impl Start {
    /// `None` when the first bytes are not those of a DICOM file.
    fn of(bytes: &[u8]) -> Option<Self> {
        let has_preamble = bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM");
        let offset = if has_preamble { PREAMBLE + 4 } else { 0 };
        let (meta, len) = encoding::parse_meta(&bytes[offset..]);
        let body = offset + len;
        let guess = guess_encoding(bytes.get(body..).unwrap_or_default(), has_preamble || len > 0);
        if !has_preamble && len == 0 && guess.is_none() {
            return None;
        }
        let uid = meta.string(tags::TRANSFER_SYNTAX).escape_debug().to_string();
        let known = transfer_syntax::find(&uid);
        let encoding = match (known, guess) {
            (Some(syntax), _) if syntax.is_deflated() => Encoding::EXPLICIT,
            (Some(syntax), Some(guess)) if guess.big_endian == syntax.encoding().big_endian => guess,
            (Some(syntax), _) => syntax.encoding(),
            (None, guess) => guess.unwrap_or(Encoding::EXPLICIT),
        };
        let known = if uid.is_empty() { Some(TransferSyntax::native(encoding)) } else { known };
        let is_directory = meta.string(tags::MEDIA_STORAGE_SOP_CLASS) == "1.2.840.10008.1.3.10";
        Some(Self { body, syntax: Syntax { uid, known, encoding }, is_directory })
    }

    fn is_deflated(&self) -> bool {
        self.syntax.known.is_some_and(TransferSyntax::is_deflated)
    }

    /// The data set in the first `bytes` of a file, unfolded up to `wanted` bytes where it is deflated.
    fn data_set(&self, path: &Path, bytes: &[u8], complete: bool, len: u64, wanted: usize) -> Result<DicomFile> {
        let body = &bytes[self.body.min(bytes.len())..];
        let (bytes, total) = if self.is_deflated() {
            let mut unfolded = Vec::new();
            let result = DeflateDecoder::new(body).take(wanted as u64).read_to_end(&mut unfolded);
            match result {
                Err(e) if complete && unfolded.is_empty() => return Err(fs::unreadable(path, e)),
                _ => {
                    let ended = unfolded.len() < wanted && complete;
                    let total = ended.then_some(unfolded.len() as u64);
                    (unfolded, total)
                }
            }
        } else {
            (body.to_vec(), Some(len.saturating_sub(self.body as u64)))
        };
        let Self { syntax, is_directory, .. } = self;
        Ok(DicomFile {
            path: path.to_owned(),
            syntax: syntax.clone(),
            is_directory: *is_directory,
            bytes,
            start: 0,
            total,
        })
    }
}

/// How a data set is written, by its first element; `None` when it does not start as one.
///
/// `announced` data sets (behind file meta information) may start with any element; others must start with one of
/// group 8 whose length is plausible, as every data set that a machine has written does.
fn guess_encoding(bytes: &[u8], announced: bool) -> Option<Encoding> {
    let head = bytes.get(..8)?;
    let is_explicit = head[4].is_ascii_uppercase() && head[5].is_ascii_uppercase();
    let big_endian = head[0] == 0 && head[1] != 0 && is_explicit;
    if !announced {
        let group = if big_endian { [head[1], head[0]] } else { [head[0], head[1]] };
        let element = if big_endian { [head[3], head[2]] } else { [head[2], head[3]] };
        let plausible = is_explicit || u32::from_le_bytes([head[4], head[5], head[6], head[7]]) <= 1024;
        if group != [8, 0] || u16::from_le_bytes(element) > 0x0100 || !plausible {
            return None;
        }
    }
    Some(Encoding { explicit: is_explicit, big_endian })
}

/// True when these first bytes of a file are those of a DICOM file.
pub(super) fn is_dicom(head: &[u8]) -> bool {
    Start::of(head).is_some()
}
