//! What a batch came to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::ledger::{Entry, Status};
use crate::report::quoted;

/// What a batch came to.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BatchSummary {
    /// One entry per case of this run, in order.
    pub entries: Vec<Entry>,
}

impl BatchSummary {
    /// Number of cases that ended so.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.entries.iter().filter(|entry| entry.status == status).count()
    }
}

/// A row per case: `case,status,reason,seconds` and the volume of each label in ml.
pub(super) fn csv<'a>(entries: impl Iterator<Item = &'a Entry> + Clone) -> String {
    let mut labels = BTreeMap::new();
    for volume in entries.clone().flat_map(|entry| &entry.volumes) {
        labels.entry(volume.id).or_insert(volume.name.as_str());
    }
    let mut out = String::from("case,status,reason,seconds");
    for name in labels.values() {
        let _ = write!(out, ",{}", quoted(&format!("{name} ml")));
    }
    for entry in entries {
        let status = match entry.status {
            Status::Done => "done",
            Status::Skipped => "skipped",
            Status::Failed => "failed",
        };
        let _ = write!(out, "\n{},{status},{},{:.2}", quoted(&entry.case), quoted(&entry.reason), entry.seconds);
        for id in labels.keys() {
            let ml = entry.volumes.iter().find(|volume| volume.id == *id);
            let _ = write!(out, ",{}", ml.map_or_else(String::new, |volume| format!("{:.4}", volume.ml)));
        }
    }
    out
}
