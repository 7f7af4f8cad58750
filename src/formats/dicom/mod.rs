//! DICOM: folders of slices, enhanced multi-frame files and Siemens mosaics as volumes (PS3.3, PS3.5, PS3.10).
//!
//! A folder is scanned first ([`scan`]): headers alone, one row per volume with the reason why it can or cannot be read.
//! Right geometry or a refusal that says why, never a guess: slices are ordered by position, the step between them is
//! measured, a tilted stack is a sheared affine. What is not read as a volume, and said to be why:
//!
//! | found | refused because |
//! |---|---|
//! | steps that differ by more than 2 % (and 0.01 mm) | slices are missing, or two series are mixed; [`OnGap`] resamples |
//! | a slice off the grid by a quarter of a pixel | slices are shifted or turned against each other |
//! | different pixels at one position | nothing tells which is right, or time points are missing |
//! | no position, orientation or pixel spacing | there is no geometry ([`read_stored`] gives the samples) |
//! | `HighBit` that is not `BitsStored` - 1 | the values would be wrong |
//! | color, palettes, lookup tables, floats | the samples are no linear intensities |
//! | frames without functional groups | there is no position for each (dose is placed by its frame offsets) |
//! | a mosaic without its private header | the number and order of its slices is lost |
//! | lengths beyond the file, missing samples | the file is cut off or damaged |
//!
//! [`OnGap`]: super::OnGap
//!
//! ```no_run
//! use unet_vol::formats::{ReadOptions, dicom};
//! let triage = dicom::scan("study", &Default::default())?;
//! for row in &triage.series {
//!     println!("{} {} {:?} {:?}", row.number, row.description, row.shape, row.refusal);
//! }
//! let study = triage.read_as::<f32>(&ReadOptions::new().with_series(Some("1".to_owned())))?;
//! # Ok::<(), unet_vol::Error>(())
//! ```

mod assemble;
mod codecs;
mod data_set;
mod decimal;
mod encoding;
mod gap;
mod instance;
mod jpeg;
mod mosaic;
mod multiframe;
mod part10;
mod pixels;
mod plane;
mod rle;
mod scan;
mod select;
mod series;
mod stack;
mod stored;
mod summary;
mod tags;
mod transfer_syntax;
#[allow(dead_code, reason = "what objects have in common comes before the objects")]
mod write;

pub use scan::{Triage, Unreadable, scan};
pub use stored::{StoredSamples, read_stored};
pub use summary::{SeriesKind, SeriesSummary};
pub use transfer_syntax::{TRANSFER_SYNTAXES, TransferSyntax};

pub(super) use select::{is_dicom, open};
