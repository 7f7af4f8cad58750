//! What a run leaves for people and programs: manifest, certificate, picture, tables. Pure functions of what happened.

mod bids;
mod certificate;
mod manifest;
mod preview;
mod table;

pub use bids::{BIDS_IGNORE, bids_dataset, bids_labels, bids_readme, bids_sidecar};
pub use certificate::Certificate;
pub use manifest::{FileRecord, GridRecord, Manifest, ModelRecord, StageSeconds, VolumeRecord, to_json, volume_sums};
pub use preview::{CaptureOptions, Captures, Convention, PreviewOptions, RgbPicture, preview, write_preview};
pub use table::{color_table, csv, quoted};
