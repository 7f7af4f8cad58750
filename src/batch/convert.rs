//! Volumes to another orientation, spacing or sample type.

use std::path::{Path, PathBuf};

use super::inputs::stem;
#[cfg(feature = "dicom")]
use super::series;
use crate::error::{Error, Result, Warning};
use crate::formats::{self, DataType, LabelStudy, OnGap, Opened, Probe, ReadOptions, Sample, Study, WriteOptions};
use crate::fs::{self, Overwrite};
use crate::geometry::{Grid, GridRule, Orientation};
use crate::report::Certificate;
use crate::resample::{Method, ResampleOptions, resample, straightened};
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
    /// Which volume of a 4-D file, counted from 0; without it all of them.
    pub volume: Option<usize>,
    /// Spacing in mm along i, j, k of pictures, which do not state one.
    pub input_spacing: Option<[f64; 3]>,
    /// Orientation of files that do not state one.
    pub assume_orientation: Option<Orientation>,
    /// Which series of a DICOM folder: its UID, description or number.
    pub series: Option<String>,
    /// What is done about missing slices of a DICOM series.
    pub on_gap: OnGap,
    /// What is done about axes that are not perpendicular.
    pub on_tilt: OnTilt,
    /// The images that a DICOM structure set was drawn on.
    pub images: Option<PathBuf>,
    /// Only the labels of these names, of a DICOM structure set.
    pub only: Option<Vec<String>>,
    /// Whether an existing output is replaced.
    pub overwrite: Overwrite,
}

/// What is done about slices that are tilted against the way they are stacked, and other sheared grids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnTilt {
    /// The voxels stay as they are; the sform holds the shear.
    #[default]
    Keep,
    /// Each slice is interpolated linearly in its own plane onto [`Grid::straightened`]; beyond the slices stands the
    /// smallest value of the volume.
    Resample,
}

/// A file that [`convert`] wrote.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Converted {
    /// Where it is.
    pub path: PathBuf,
    /// How far its voxels lie from where they should.
    pub certificate: Certificate,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl ConvertOptions {
    fn read(&self) -> ReadOptions {
        ReadOptions::new()
            .with_volume(self.volume)
            .with_assume_orientation(self.assume_orientation)
            .with_series(self.series.clone())
            .with_on_gap(self.on_gap)
            .with_input_spacing(self.input_spacing)
            .with_images(self.images.clone())
            .with_only(self.only.clone())
    }
}

/// Rewrites the volume in `input`, or all volumes of a 4-D one, as `output` and certifies that they lie where they should.
///
/// # Errors
/// What the reader and the writer refuse; [`crate::ErrorKind::Usage`] for a spacing that is not positive;
/// [`crate::ErrorKind::Internal`] when the certificate fails.
pub fn convert(input: &Path, output: &Path, options: &ConvertOptions) -> Result<Converted> {
    fs::check_output(output, options.overwrite)?;
    rewrite(formats::open(input, &options.read())?, output, options)
}

/// Rewrites every series of `input` as a file in `folder`, which is made where it is not there.
///
/// A series is `<number>_<description>.nii.gz`, a file keeps its name; what shares a name gets `_2`, `_3` and so on.
/// Each result stands by itself: what was written, or why it was not.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when there is nothing at `input`; [`crate::ErrorKind::Unsupported`] when nothing in
/// it holds a volume; [`crate::ErrorKind::Output`] when the folder cannot be made.
pub fn convert_all(input: &Path, folder: &Path, options: &ConvertOptions) -> Result<Vec<Result<Converted>>> {
    let found = volumes(input, options)?;
    fs::make_dir(folder)?;
    let mut names = Vec::new();
    let write = |(name, opened): (String, Result<Opened>)| {
        let times = names.iter().filter(|&taken| *taken == name).count();
        names.push(name.clone());
        let file = if times == 0 { format!("{name}.nii.gz") } else { format!("{name}_{}.nii.gz", times + 1) };
        let path = folder.join(file);
        let opened = opened?;
        fs::check_output(&path, options.overwrite)?;
        rewrite(opened, &path, options)
    };
    Ok(found.into_iter().map(write).collect())
}

/// What is in a file or folder, with the names that it gets.
fn volumes(input: &Path, options: &ConvertOptions) -> Result<Vec<(String, Result<Opened>)>> {
    let read = options.read();
    #[cfg(feature = "dicom")]
    if options.series.is_none()
        && let Some(triage) = formats::scan(input, &read)?
        && !triage.means_labels(&read)
        && triage.dicom_files > 0
    {
        let triage = std::sync::Arc::new(triage);
        let rows = triage.series.iter().filter(|row| series::is_selectable(row));
        let rows: Vec<_> = rows.map(|row| (series::file_name(row), Opened::series(&triage, row, &read))).collect();
        if rows.is_empty() {
            return Err(Error::unsupported("no DICOM image is here").at(input));
        }
        return Ok(rows);
    }
    Ok(vec![(stem(input).to_string_lossy().into_owned(), formats::open(input, &read))])
}

fn rewrite(input: Opened, output: &Path, options: &ConvertOptions) -> Result<Converted> {
    if input.holds_labels() {
        return rewrite_labels(input.read_labels(&options.read())?, output, options);
    }
    let probe = input.probe()?;
    let stored = probe.data_type;
    // Integers of more than 24 bits and doubles would lose digits as f32.
    let wide = stored.size() > 4 || matches!(stored, DataType::Int32 | DataType::UInt32);
    let straightens = probe.grid.is_sheared() && options.on_tilt == OnTilt::Resample;
    let (grid, mut warnings) = if wide && options.spacing.is_none() && !straightens {
        let studies = input.read_all_as::<f64>(&options.read())?;
        write(&probe, studies, output, options, |volume| Ok(oriented(volume, options.orientation)))?
    } else {
        let studies = input.read_all_as::<f32>(&options.read())?;
        write(&probe, studies, output, options, |mut volume| {
            if straightens {
                volume = straightened(&volume)?;
            }
            volume = oriented(volume, options.orientation);
            if let Some(spacing) = options.spacing {
                let grid = volume.grid().respaced(spacing, GridRule::HalfPixel)?;
                volume = resample(&volume, &grid, &ResampleOptions::new(options.method))?;
            }
            Ok(volume)
        })?
    };
    warnings.dedup();
    if grid.is_sheared() {
        let message = "the axes are not perpendicular: the sform says so, a qform cannot (its code is 0), and programs \
                       that look at the spacing alone misplace voxels; --on-tilt resample straightens them";
        warnings.push(Warning::new("sheared", message));
    }
    if straightens {
        warnings.retain(|warning| warning.code != "tilted");
        let message = format!("slices tilted by {:.3} degrees were straightened", probe.grid.affine().shear_degrees());
        warnings.push(Warning::new("straightened", message));
    }
    let read = ReadOptions::new().with_assume_orientation(options.assume_orientation);
    Ok(Converted { path: output.to_owned(), certificate: certified(&grid, output, &read)?, warnings })
}

/// Rewrites the labels of a DICOM object.
fn rewrite_labels(study: LabelStudy, output: &Path, options: &ConvertOptions) -> Result<Converted> {
    if options.spacing.is_some() || options.data_type.is_some() {
        let message = "labels keep their spacing and are written as uint8 or uint16";
        return Err(Error::usage(message).hint("leave --spacing and --dtype out"));
    }
    let labels = LabelMap::new(oriented(study.labels.ids, options.orientation), study.labels.table);
    formats::write_labels(output, &labels, &study.source, options.overwrite)?;
    let certificate = certified(labels.grid(), output, &ReadOptions::new())?;
    Ok(Converted { path: output.to_owned(), certificate, warnings: study.warnings })
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

/// Changes the volumes, writes them and says where they are.
fn write<T: Sample>(
    probe: &Probe,
    studies: Vec<Study<T>>,
    output: &Path,
    options: &ConvertOptions,
    change: impl Fn(Volume<T>) -> Result<Volume<T>>,
) -> Result<(Grid, Vec<Warning>)> {
    let first = studies.first().ok_or_else(|| Error::internal("nothing was read"))?;
    let (source, warnings) = (first.source.clone(), first.warnings.clone());
    let volumes = studies.into_iter().map(|study| change(study.volume));
    let volumes = volumes.collect::<Result<Vec<_>>>()?;
    let natural = || if options.spacing.is_some() { DataType::Float32 } else { natural_type(probe, &volumes) };
    let data_type = options.data_type.unwrap_or_else(natural);
    let write = WriteOptions::new(data_type).with_overwrite(options.overwrite);
    formats::write_volumes(output, &volumes, &source, &write)?;
    Ok((*volumes[0].grid(), warnings))
}

/// The type of the stored samples where their values are kept or merely shifted by a whole number, as the intercept of a
/// CT does, and fit; else `float32`.
fn natural_type<T: Sample>(probe: &Probe, volumes: &[Volume<T>]) -> DataType {
    let stored = probe.data_type;
    let Some((slope, intercept)) = probe.scaling.filter(|&scaling| scaling != (1.0, 0.0)) else { return stored };
    if slope != 1.0 || intercept.fract() != 0.0 {
        return DataType::Float32;
    }
    let values = volumes.iter().flat_map(|volume| volume.data()).map(|&value| value.into());
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (f64::min(low, value), f64::max(high, value)));
    let fits = |kind: &DataType| kind.integer_range().is_some_and(|(from, to)| from <= low && high <= to);
    [stored, DataType::Int16, DataType::UInt16, DataType::Int32].into_iter().find(fits).unwrap_or(DataType::Float32)
}

fn oriented<T: Copy + Default + Send + Sync>(volume: Volume<T>, orientation: Option<Orientation>) -> Volume<T> {
    match orientation {
        Some(orientation) if orientation != volume.grid().orientation() => volume.reoriented(orientation),
        _ => volume,
    }
}
