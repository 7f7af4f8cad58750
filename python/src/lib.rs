//! The extension module `unet_vol._native`: one file per subject, each a thin layer over the library.
//!
//! Arrays come in as any strides of one sample type and go out as Fortran-ordered arrays that own the library's memory.
//!
//! What comes in is borrowed while the GIL is released. rust-numpy marks the array as read from (`PyReadonlyArray`), which
//! keeps other extensions that use it from writing, and the reference keeps the memory alive. Python code in another thread
//! that writes to the array meanwhile is not kept from it: as with NumPy's own functions, SciPy's and ITK's, the result of
//! that call is then of no use. Indices are checked, whatever the values are.
//! What a user sees, with types and documentation, is in `python/unet_vol/`.

mod arrays;
mod batch;
mod dicom;
mod errors;
mod evaluate;
mod files;
mod labels;
mod memory;
mod pipeline;
mod predictor;
mod program;
mod record;
mod source;
mod stages;
mod tiles;
mod work;

#[global_allocator]
static MEMORY: memory::HugePages = memory::HugePages;

/// Functions and classes behind `unet_vol`; not part of its interface.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::batch::{convert, run_batch};
    #[pymodule_export]
    use crate::dicom::Triage;
    #[pymodule_export]
    use crate::evaluate::{evaluate_arrays, of_files, of_folders, score};
    #[pymodule_export]
    use crate::files::{read, read_labels, write_labels, write_volume};
    #[pymodule_export]
    use crate::labels::{connected_components, instances, postprocess};
    #[pymodule_export]
    use crate::pipeline::Pipeline;
    #[pymodule_export]
    use crate::program::{run_program, set_packages};
    #[pymodule_export]
    use crate::record::{Probabilities, Record, preview};
    #[pymodule_export]
    use crate::source::Source;
    #[pymodule_export]
    use crate::stages::{normalize, orientation, reorient, resample, resample_labels};
    #[pymodule_export]
    use crate::tiles::{Layout, Stitch};
}
