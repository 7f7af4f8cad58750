//! Voxels on a grid: [`Volume`] (intensities or any sample type), [`LabelMap`] (ids with names), and [`Source`], which
//! is what a writer needs to give a label map back beside the study it came from.
//!
//! Memory has i fastest (Fortran order), as NIfTI files have it; `ndarray` views are indexed `[[i, j, k]]`.

mod label_map;
mod permute;
mod source;
#[expect(clippy::module_inception, reason = "the module's main type")]
mod volume;

pub use label_map::{Label, LabelMap, LabelTable, TermCode};
pub use source::{DicomAttribute, DicomSlice, DicomSource, NiftiSource, Source, SourceKind};
pub use volume::Volume;
