//! Objects derived from a DICOM series: what is written refers to the images that it was made from, lies in their frame
//! of reference and belongs to the same study.

mod attributes;
mod color;
mod common;
mod frames;
mod geometry;
mod object;
mod pack;
mod segmentation;
mod terms;
mod uid;

pub use segmentation::{SegmentationOptions, SegmentationType, write_segmentation};
