//! Small JSON records in the user's cache. Losing one costs time, never a result.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::folders;
use crate::error::{Error, Result};
use crate::fs::{self, Overwrite};

const MAX_RECORD_BYTES: u64 = 1 << 20;

fn file(kind: &str, key: &str) -> Option<PathBuf> {
    Some(folders::cache()?.join(kind).join(format!("{}.json", fs::sha256_of(key.as_bytes()))))
}

/// The record of `kind` under `key`, when there is a readable one.
pub(crate) fn read_record<T: DeserializeOwned>(kind: &str, key: &str) -> Option<T> {
    let bytes = fs::read(&file(kind, key)?, MAX_RECORD_BYTES).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Stores a record in one step.
///
/// # Errors
/// [`crate::ErrorKind::Output`] when the cache cannot be written.
pub(crate) fn write_record<T: Serialize>(kind: &str, key: &str, record: &T) -> Result<()> {
    let path = file(kind, key).ok_or_else(|| Error::model("this user has no cache folder: HOME is not set"))?;
    let json = serde_json::to_vec_pretty(record).map_err(|e| Error::internal("a record has no JSON").because(e))?;
    if let Some(folder) = path.parent() {
        fs::make_dir(folder)?;
    }
    fs::write_atomic(&path, Overwrite::Replace, |out| out.write_all(&json).map_err(|e| fs::unwritable(&path, e)))
}
