//! Objects derived from a DICOM series: what is written refers to the images that it was made from, lies in their frame
//! of reference and belongs to the same study.

mod attributes;
mod captures;
mod common;
mod frames;
mod object;
mod pack;
mod segmentation;
mod structures;
mod terms;
mod uid;

pub use captures::{Pixels, write_captures};
pub use segmentation::{SegmentationOptions, SegmentationType, write_segmentation};
pub use structures::write_structures;
