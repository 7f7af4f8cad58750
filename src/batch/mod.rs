//! From paths to files: what a command does for one study, as a library call.

mod convert;
mod evaluate;
mod inputs;
mod one;
mod outputs;

pub use convert::{ConvertOptions, convert};
pub use evaluate::{CaseReport, evaluate_files, evaluate_folders, means};
pub use inputs::{Inputs, StudyOptions};
pub use one::Segmentation;
pub use outputs::{OutputPaths, default_output};
