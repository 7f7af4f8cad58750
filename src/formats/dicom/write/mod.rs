//! Objects derived from a DICOM series: what is written refers to the images that it was made from, lies in their frame
//! of reference and belongs to the same study.

mod attributes;
mod common;
mod object;
mod uid;
