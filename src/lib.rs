//! Scans to label volumes.
pub mod error;
mod fs;
pub mod geometry;
pub mod inference;
pub mod intensity;
pub mod labels;
pub mod limits;
pub mod resample;
pub mod volume;

pub use error::{Error, ErrorKind, Result, Warning};
pub use fs::Overwrite;
pub use geometry::{Affine, Grid, Orientation, Region};
pub use volume::{LabelMap, Volume};
