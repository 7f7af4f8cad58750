//! What became of each case: JSON lines that a killed process cannot spoil.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::options::{Existing, Shard};
use crate::error::{Error, Result};
use crate::fs::{self, LineLog};
use crate::report::FileRecord;

/// Bytes of a ledger that are read at most.
const LONGEST: u64 = 1 << 30;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its label volume is written and checked.
    Done,
    /// There was nothing to do; the reason says why.
    Skipped,
    /// It could not be done; the reason says why.
    Failed,
}

/// The volume of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelVolume {
    /// Id in the label map.
    pub id: u16,
    /// Name in its table.
    pub name: String,
    /// Millilitres.
    pub ml: f64,
}

/// One line of a ledger. Nothing in it comes from a patient's attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Name of the case: where it is in the tree.
    pub case: String,
    /// How it ended.
    pub status: Status,
    /// Why: the error, or how a series was chosen.
    pub reason: String,
    /// The file, or the folder of a DICOM series, relative to the folder of the batch.
    pub input: PathBuf,
    /// SHA-256 of the file, or of the list of the hashes of a series' files.
    pub input_sha256: Option<String>,
    /// SHA-256 of the model.
    pub model_sha256: Option<String>,
    /// SHA-256 of everything but the input that decides the outputs.
    pub settings_sha256: String,
    /// Seconds of work.
    pub seconds: f64,
    /// Milliseconds since 1970 at the end.
    pub ended: u64,
    /// The written files relative to the output folder, the label volume first.
    pub outputs: Vec<FileRecord>,
    /// Volumes of the labels.
    pub volumes: Vec<LabelVolume>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// The ledger of this process, locked, open for more lines.
#[derive(Debug)]
pub(super) struct Ledger(LineLog);

impl Ledger {
    /// Opens the ledger of a shard in the output folder.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when it holds lines and nobody said what becomes of them, or when another process
    /// has it open.
    pub(super) fn open(folder: &Path, shard: Option<Shard>, existing: Existing) -> Result<Self> {
        let name =
            shard.map_or_else(|| "ledger.jsonl".to_owned(), |s| format!("ledger-{}-of-{}.jsonl", s.index, s.count));
        let path = folder.join(name);
        let log = LineLog::open(&path)?;
        match existing {
            Existing::Refuse if !log.is_empty()? => {
                return Err(Error::usage("this folder holds the ledger of an earlier batch")
                    .at(path)
                    .hint("--resume goes on where that one stopped, --overwrite starts again"));
            }
            Existing::Overwrite => log.clear()?,
            _ => (),
        }
        Ok(Self(log))
    }

    /// Adds a line; it is on the disk when this returns.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<()> {
        let line = serde_json::to_string(entry).map_err(|e| Error::internal("an entry has no JSON form").because(e))?;
        self.0.append(&line)
    }
}

/// The latest entry of each case in all ledgers of a folder; lines that are none (torn ones) are passed over.
pub(super) fn entries(folder: &Path) -> Result<BTreeMap<String, Entry>> {
    let mut latest: BTreeMap<String, Entry> = BTreeMap::new();
    for path in fs::list(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !(name.starts_with("ledger") && name.ends_with(".jsonl")) {
            continue;
        }
        for line in fs::read(&path, LONGEST)?.split(|&byte| byte == b'\n') {
            let Ok(entry) = serde_json::from_slice::<Entry>(line) else { continue };
            if latest.get(&entry.case).is_none_or(|known| known.ended <= entry.ended) {
                latest.insert(entry.case.clone(), entry);
            }
        }
    }
    Ok(latest)
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
