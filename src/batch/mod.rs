//! From paths to files: what a command does for one study or for a folder of them, as library calls.

mod bids;
mod convert;
mod derived;
mod discover;
mod evaluate;
mod inputs;
mod layout;
mod ledger;
mod one;
mod options;
mod output_format;
mod outputs;
mod run;
#[cfg(feature = "dicom")]
mod series;
mod summary;

pub use convert::{ConvertOptions, convert};
pub use discover::{Case, DiscoverOptions, discover};
pub use evaluate::{CaseReport, evaluate_files, evaluate_folders, means};
pub use inputs::{Inputs, StudyOptions};
pub use layout::Layout;
pub use ledger::{Entry, LabelVolume, Status};
pub use one::Segmentation;
pub use options::{BatchOptions, BatchProgress, Existing, Shard};
pub use output_format::OutputFormat;
pub use outputs::{OutputPaths, default_output};
pub use run::run;
pub use summary::BatchSummary;
