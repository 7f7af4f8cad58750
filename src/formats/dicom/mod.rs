//! DICOM: folders of slices, enhanced multi-frame files and Siemens mosaics as volumes (PS3.3, PS3.5, PS3.10).
//!
//! A folder is scanned first ([`scan`]): headers alone, one row per volume with the reason why it can or cannot be read.
//! Right geometry or a refusal that says why, never a guess: slices are ordered by position, the step between them is
//! measured, uneven steps are refused with their numbers, a tilted stack is a sheared affine.

mod assemble;
mod codecs;
mod data_set;
mod encoding;
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

pub use scan::{Triage, Unreadable, scan};
pub use stored::{StoredSamples, read_stored};
pub use summary::{SeriesKind, SeriesSummary};
pub use transfer_syntax::{TRANSFER_SYNTAXES, TransferSyntax};

pub(super) use select::{is_dicom, open};
