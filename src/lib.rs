//! Scans to label volumes.
pub mod batch;
pub mod error;
pub mod evaluate;
pub mod formats;
mod fs;
pub mod geometry;
pub mod inference;
pub mod intensity;
pub mod labels;
pub mod limits;
pub mod model;
pub mod pipeline;
pub mod report;
pub mod resample;
pub mod tiling;
pub mod volume;

pub use error::{Error, ErrorKind, Result, Warning};
pub use fs::Overwrite;
pub use geometry::{Affine, Grid, Orientation, Region};
pub use volume::{LabelMap, Volume};
