//! Scans to label volumes: readers, resampling, tiling, U-Net inference, label decision and writers for medical images.
//!
//! # Segment a file
//!
//! ```
//! use unet_vol::pipeline::Pipeline;
//! # let output = std::env::temp_dir().join(format!("unet-vol-doc-{}.nii.gz", std::process::id()));
//! let segmentation = Pipeline::brain_mri()?.run("testdata/synthetic_head.nii.gz")?;
//! let hippocampus = segmentation.statistics.labels.iter().find(|label| label.id == 17);
//! assert!(hippocampus.is_some_and(|label| label.ml > 1.0));
//! let certificate = segmentation.save(&output)?;
//! assert!(certificate.largest_error_mm < 1e-3);
//! # std::fs::remove_file(output).ok();
//! # Ok::<(), unet_vol::Error>(())
//! ```
//!
//! # Build a pipeline
//!
//! ```no_run
//! use unet_vol::inference::{EngineChoice, Options};
//! use unet_vol::model::Model;
//! use unet_vol::pipeline::Pipeline;
//! let model = Model::open("net.onnx".as_ref(), Some("net.toml".as_ref()))?;
//! let mut engine = Options::default();
//! engine.engine = EngineChoice::OnnxRuntime;
//! let pipeline = Pipeline::builder(model).engine(engine).threads(4).max_bytes(2_000_000_000).build()?;
//! let segmentation = pipeline.run("study.nii.gz")?;
//! # Ok::<(), unet_vol::Error>(())
//! ```
//!
//! # Use one part
//!
//! ```
//! use unet_vol::formats::{self, ReadOptions};
//! use unet_vol::geometry::{GridRule, Orientation};
//! use unet_vol::resample::{ResampleOptions, resample};
//! let study = formats::read("testdata/synthetic_head.nii.gz", &ReadOptions::new())?;
//! let ras = study.volume.reoriented(Orientation::RAS);
//! let coarse = ras.grid().respaced([4.0; 3], GridRule::HalfPixel)?;
//! assert_eq!(resample(&ras, &coarse, &ResampleOptions::default())?.grid().shape(), [41, 55, 50]);
//! # Ok::<(), unet_vol::Error>(())
//! ```
//!
//! # Conventions
//!
//! - **World**: millimetres, RAS+ (x grows towards the patient's Right, y Anterior, z Superior). DICOM's LPS is turned
//!   once, at the border of [`formats`].
//! - **Index**: `(i, j, k)` in the order of the affine's columns; memory has i fastest. `ndarray` views are indexed
//!   `[[i, j, k]]` over Fortran-ordered memory. A tensor `[N, C, k, j, i]` is that same memory.
//! - **Affine**: `f64`, voxel *centres* to mm. Spacing is the norm of a column. Grids match when shapes agree and no corner
//!   voxel centre differs by more than 1e-3 of the smallest spacing.
//! - **Orientation**: reorienting is an exact permutation with flips, never an interpolation.
//! - **Scores** are `f32`, labels `u16` (written as `u8` where they fit), background is 0.
//! - **Determinism**: same input, model, provider and settings give the same bytes for any number of threads, any batch
//!   and any memory ceiling. Work runs on the rayon pool of the caller, or on the pipeline's own where threads are set.
//! - **Errors** say path, what is wrong, and what to do; [`Warning`]s are data.
//! - The library prints nothing. It reads the environment to find runtime libraries and its cache
//!   ([`inference::library`]), and `UNET_VOL_SIMD`.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `cli` | the program `unet-vol` |
//! | `dicom` | reading DICOM folders |
//! | `embedded` | the engine that is linked in |
//! | `onnxruntime`, `openvino` | those libraries, opened at run time |
//!
//! For research only; not a medical device.

#[cfg(feature = "cli")]
extern crate self as unet_vol;

pub mod batch;
#[cfg(feature = "cli")]
pub mod cli;
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
pub use ndarray;
pub use volume::{LabelMap, Volume};
