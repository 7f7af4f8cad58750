//! From paths to files: what a command does for one study, as a library call.

mod convert;
mod inputs;
mod one;
mod outputs;

pub use convert::{ConvertOptions, convert};
pub use inputs::{Inputs, StudyOptions};
pub use one::Segmentation;
pub use outputs::{OutputPaths, default_output};
