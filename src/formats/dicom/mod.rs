//! DICOM: folders of slices, enhanced multi-frame files and Siemens mosaics as volumes (PS3.3, PS3.5, PS3.10).
//!
//! A folder is scanned first ([`scan`]): headers alone, one row per volume with the reason why it can or cannot be read.
//! Right geometry or a refusal that says why, never a guess: slices are ordered by position, the step between them is
//! measured, a tilted stack is a sheared affine. What is not read as a volume, and said to be why:
//!
//! | found | refused because | it says |
//! |---|---|---|
//! | steps that differ by more than 2 % (and 0.01 mm) | slices are missing, or two series are mixed; [`OnGap`] resamples | uneven slice spacing |
//! | a slice off the grid by a quarter of a pixel | slices are shifted or turned against each other | they are shifted or turned |
//! | different pixels at one position | nothing tells which is right, or time points are missing | with different values lie at the position |
//! | one identifier with different pixels | nothing tells which is right | the same identifier and different content |
//! | all slices at one position | it is no volume | slices lie at one position |
//! | two pixel spacings | two series are mixed | PixelSpacing differs |
//! | no position | there is no geometry ([`read_stored`] gives the samples) | ImagePositionPatient is absent |
//! | no orientation | there is no geometry | ImageOrientationPatient is absent |
//! | no pixel spacing | there is no geometry | PixelSpacing is absent |
//! | `HighBit` that is not `BitsStored` - 1 | the values would be wrong | HighBit is |
//! | color, palettes | the samples are no intensities | it is a color image |
//! | lookup tables | the samples are no linear intensities | a modality lookup table |
//! | floats | they are not read | floating-point numbers |
//! | frames without functional groups | there is no position for each (dose is placed by its frame offsets) | several frames without a position for each |
//! | a mosaic without its private header | the number and order of its slices is lost | private (CSA) header was removed |
//! | a transfer syntax that the table below does not decode | the samples cannot be had | is not decoded |
//! | missing samples | the file is cut off | bytes that the header promises |
//! | lengths beyond the file | the file is cut off or damaged | cut off |
//! | no samples | it is no image | it has no pixel data |
//!
//! What is read: slices in a file each, enhanced multi-frame MR and CT, Siemens mosaics, dose with frame offsets; CR, DX
//! and other projections as a volume of one slice. Grey samples of 8, 16 and 32 bits; JPEG of 8 and 12 bits.
//!
//! Transfer syntaxes, by identifier:
//!
//! | identifier | name | decoded |
//! |---|---|---|
//! | `1.2.840.10008.1.2` | Implicit VR Little Endian | yes |
//! | `1.2.840.10008.1.2.1` | Explicit VR Little Endian | yes |
//! | `1.2.840.10008.1.2.1.99` | Deflated Explicit VR Little Endian | yes |
//! | `1.2.840.10008.1.2.2` | Explicit VR Big Endian | yes |
//! | `1.2.840.10008.1.2.5` | RLE Lossless | yes |
//! | `1.2.840.10008.1.2.8.1` | Deflated Image Frame Compression | yes |
//! | `1.2.840.10008.1.2.4.50` | JPEG Baseline | yes |
//! | `1.2.840.10008.1.2.4.51` | JPEG Extended | yes |
//! | `1.2.840.10008.1.2.4.53` | JPEG Spectral Selection (retired) | no |
//! | `1.2.840.10008.1.2.4.55` | JPEG Full Progression (retired) | no |
//! | `1.2.840.10008.1.2.4.57` | JPEG Lossless | yes |
//! | `1.2.840.10008.1.2.4.70` | JPEG Lossless, First-Order Prediction | yes |
//! | `1.2.840.10008.1.2.4.80` | JPEG-LS Lossless | yes |
//! | `1.2.840.10008.1.2.4.81` | JPEG-LS Near-Lossless | yes |
//! | `1.2.840.10008.1.2.4.90` | JPEG 2000 Lossless | yes |
//! | `1.2.840.10008.1.2.4.91` | JPEG 2000 | yes |
//! | `1.2.840.10008.1.2.4.110` | JPEG XL Lossless | no |
//! | `1.2.840.10008.1.2.4.111` | JPEG XL JPEG Recompression | no |
//! | `1.2.840.10008.1.2.4.112` | JPEG XL | no |
//! | `1.2.840.10008.1.2.4.201` | High-Throughput JPEG 2000 Lossless | yes |
//! | `1.2.840.10008.1.2.4.202` | High-Throughput JPEG 2000 Lossless (RPCL) | yes |
//! | `1.2.840.10008.1.2.4.203` | High-Throughput JPEG 2000 | yes |
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
mod color;
mod contours;
mod data_set;
mod decimal;
mod encoding;
mod gap;
mod instance;
mod jpeg;
mod labels;
mod lattice;
mod mosaic;
mod multiframe;
mod part10;
mod pixels;
mod plane;
mod radiograph;
mod rle;
mod scan;
mod segment_frames;
mod segmentation;
mod select;
mod series;
mod stack;
mod stored;
mod structures;
mod summary;
mod tags;
mod transfer_syntax;
mod write;

pub use scan::{Triage, Unreadable, scan};
pub use stored::{StoredSamples, read_stored};
pub use structures::{Contour, Structure, StructureSet};
pub use summary::{SeriesKind, SeriesSummary};
pub use transfer_syntax::{TRANSFER_SYNTAXES, TransferSyntax};
pub use write::{Pixels, SegmentationOptions, SegmentationType, write_captures, write_segmentation, write_structures};

pub(super) use jpeg::{picture as jpeg_samples, size as jpeg_size};
pub(super) use select::{is_dicom, open};
