//! From paths to files: what a command does for one study or for a folder of them, as library calls.

mod bids;
mod case;
mod channels;
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
mod privacy;
mod prose;
mod run;
#[cfg(feature = "dicom")]
mod series;
mod space;
mod summary;

pub use case::Case;
pub use convert::{ConvertOptions, Converted, OnTilt, convert, convert_all};
pub use discover::{DiscoverOptions, discover};
pub use evaluate::{CaseReport, evaluate_files, evaluate_folders, means};
pub use inputs::{Inputs, StudyOptions};
pub use layout::Layout;
pub use ledger::{Entry, LabelVolume, Status};
pub use one::{Segmentation, write_labels};
pub use options::{BatchOptions, BatchProgress, Existing, Shard};
pub use output_format::OutputFormat;
pub use outputs::{OutputPaths, default_output};
pub use run::run;
pub use summary::BatchSummary;
