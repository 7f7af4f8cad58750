//! A volume to another orientation, spacing or sample type.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Warning};
use crate::formats::{self, DataType, LabelStudy, OnGap, ReadOptions, WriteOptions};
use crate::fs::{self, Overwrite};
use crate::geometry::{Grid, GridRule, Orientation};
use crate::report::Certificate;
use crate::resample::{Method, ResampleOptions, resample};
use crate::volume::{LabelMap, Volume};

/// What [`convert`] changes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ConvertOptions {
    /// Axes are permuted and flipped to this orientation; no interpolation.
    pub orientation: Option<Orientation>,
    /// New spacing in mm along i, j, k (after reorientation); the edges of the field of view stay.
    pub spacing: Option<[f64; 3]>,
    /// How values between voxels are found when the spacing changes.
    pub method: Method,
    /// Sample type of the output; by default that of the input, or `float32` when the spacing changes or values are scaled.
    pub data_type: Option<DataType>,
    /// Which volume of a 4-D file, counted from 0.
    pub volume: Option<usize>,
    /// Orientation of a file that does not state one.
    pub assume_orientation: Option<Orientation>,
    /// Which series of a DICOM folder: its UID, description or number.
    pub series: Option<String>,
    /// What is done about missing slices of a DICOM series.
    pub on_gap: OnGap,
    /// The images that a DICOM structure set was drawn on.
    pub images: Option<PathBuf>,
    /// Only the labels of these names, of a DICOM structure set.
    pub only: Option<Vec<String>>,
    /// Whether an existing output is replaced.
    pub overwrite: Overwrite,
}

/// Rewrites the volume in `input` as `output` and certifies that it lies where it should.
///
/// # Errors
/// What the reader and the writer refuse; [`crate::ErrorKind::Usage`] for a spacing that is not positive;
/// [`crate::ErrorKind::Internal`] when the certificate fails.
pub fn convert(input: &Path, output: &Path, options: &ConvertOptions) -> Result<(Certificate, Vec<Warning>)> {
    fs::check_output(output, options.overwrite)?;
    let read = ReadOptions::new()
        .with_volume(options.volume)
        .with_assume_orientation(options.assume_orientation)
        .with_series(options.series.clone())
        .with_on_gap(options.on_gap)
        .with_images(options.images.clone())
        .with_only(options.only.clone());
    if let Some(study) = formats::read_label_object(input, &read)? {
        return convert_labels(study, output, options);
    }
    let probe = formats::probe(input, &read)?;
    let stored = probe.data_type;
    let scaled = probe.scaling.is_some_and(|scaling| scaling != (1.0, 0.0));
    let data_type =
        options.data_type.unwrap_or(if options.spacing.is_some() || scaled { DataType::Float32 } else { stored });
    let write = WriteOptions::new(data_type).with_overwrite(options.overwrite);
    // Integers of more than 24 bits and doubles would lose digits as f32.
    let wide = stored.size() > 4 || matches!(stored, DataType::Int32 | DataType::UInt32);
    let (grid, mut warnings) = if wide && options.spacing.is_none() {
        let study = formats::read_as::<f64>(input, &read)?;
        let volume = oriented(study.volume, options.orientation);
        formats::write_volume(output, &volume, &study.source, &write)?;
        (*volume.grid(), study.warnings)
    } else {
        let study = formats::read(input, &read)?;
        let mut volume = oriented(study.volume, options.orientation);
        if let Some(spacing) = options.spacing {
            let grid = volume.grid().respaced(spacing, GridRule::HalfPixel)?;
            volume = resample(&volume, &grid, &ResampleOptions::new(options.method))?;
        }
        formats::write_volume(output, &volume, &study.source, &write)?;
        (*volume.grid(), study.warnings)
    };
    warnings.dedup();
    Ok((certified(&grid, output, &read)?, warnings))
}

/// Rewrites the labels of a DICOM object.
fn convert_labels(study: LabelStudy, output: &Path, options: &ConvertOptions) -> Result<(Certificate, Vec<Warning>)> {
    if options.spacing.is_some() || options.data_type.is_some() {
        let message = "labels keep their spacing and are written as uint8 or uint16";
        return Err(Error::usage(message).hint("leave --spacing and --dtype out"));
    }
    let labels = LabelMap::new(oriented(study.labels.ids, options.orientation), study.labels.table);
    formats::write_labels(output, &labels, &study.source, options.overwrite)?;
    Ok((certified(labels.grid(), output, &ReadOptions::new())?, study.warnings))
}

/// Proof that `output` lies where it should; one that does not is removed.
fn certified(grid: &Grid, output: &Path, read: &ReadOptions) -> Result<Certificate> {
    let certificate = formats::probe(output, read).and_then(|probe| Certificate::check(grid, &probe.grid));
    certificate.map_err(|error| {
        // That the failed output cannot be removed would hide the reason.
        let _ = fs::remove(output);
        error.at(output)
    })
}

fn oriented<T: Copy + Default + Send + Sync>(volume: Volume<T>, orientation: Option<Orientation>) -> Volume<T> {
    match orientation {
        Some(orientation) if orientation != volume.grid().orientation() => volume.reoriented(orientation),
        _ => volume,
    }
}
