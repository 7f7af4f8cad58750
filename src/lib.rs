//! Scans to label volumes.
pub mod error;
pub mod formats;
mod fs;
pub mod geometry;
pub mod inference;
pub mod limits;
pub mod volume;

pub use error::{Error, ErrorKind, Result, Warning};
pub use fs::Overwrite;
pub use geometry::{Affine, Grid, Orientation, Region};
pub use volume::{LabelMap, Volume};
