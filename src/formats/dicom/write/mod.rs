//! Objects derived from a DICOM series: what is written refers to the images that it was made from, lies in their frame
//! of reference and belongs to the same study.

mod attributes;
mod captures;
mod common;
mod object;
mod structures;
mod uid;

pub use captures::{Pixels, write_captures};
pub use structures::write_structures;
