//! Voxels on a grid: [`Volume`] (intensities or any sample type), [`VolumeView`] (the same, borrowed), [`LabelMap`] (ids
//! with names), and [`Source`], which is what a writer needs to give a label map back beside the study it came from.
//!
//! Memory has i fastest (Fortran order), as NIfTI files have it; `ndarray` views are indexed `[[i, j, k]]`.

mod label_map;
mod permute;
mod source;
mod view;
#[expect(clippy::module_inception, reason = "the module's main type")]
mod volume;

pub(crate) use label_map::default_rgb;
pub use label_map::{Label, LabelMap, LabelTable, TermCode};
pub(crate) use permute::permute_into;
pub use source::{DicomAttribute, DicomSlice, DicomSource, NiftiSource, Source, SourceKind};
pub use view::VolumeView;
pub use volume::Volume;
