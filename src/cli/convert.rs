//! `unet-vol convert`

use std::path::PathBuf;

use clap::Args;
use unet_vol::batch::{self, ConvertOptions, Converted, OnTilt};
use unet_vol::formats::DataType;
use unet_vol::resample::Method;
use unet_vol::{Error, Orientation, Overwrite, Result};

use super::arguments::{GapChoice, Spacing};
use super::exit::Exit;
use super::output::{self, Verbosity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The volume: a file, or a folder of DICOM files; or labels as a DICOM structure set.
    input: PathBuf,

    /// The new file (.nii or .nii.gz); a folder that exists, or a name that ends in /, takes every series as a file.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: PathBuf,

    /// Permute and flip axes to this orientation, such as RAS; nothing is interpolated.
    #[arg(long, value_name = "CODES")]
    orientation: Option<Orientation>,

    /// New spacing in mm along i, j, k (or one number for all); the edges of the field of view stay.
    #[arg(long, value_name = "MM[,MM,MM]", value_delimiter = ',')]
    spacing: Vec<f64>,

    /// How values between voxels are found.
    #[arg(long, value_enum, default_value_t = Interpolation::Linear)]
    interpolation: Interpolation,

    /// Sample type, such as uint8, int16 or float32 [default: as in the input; float32 when values change].
    #[arg(long, value_name = "TYPE")]
    dtype: Option<DataType>,

    /// One volume of a 4-D file or series, counted from 0 [default: all of them].
    #[arg(long, value_name = "N")]
    volume: Option<usize>,

    /// Series of a DICOM folder: its UID, description or number in `unet-vol info`.
    #[arg(long, value_name = "SERIES")]
    series: Option<String>,

    /// Missing or uneven slices of a DICOM series: refuse, or interpolate between those that are there.
    #[arg(long, value_enum, default_value_t = GapChoice::Refuse)]
    on_gap: GapChoice,

    /// Tilted slices: keep them, with a sheared sform, or resample them onto perpendicular axes.
    #[arg(long, value_enum, default_value_t = TiltChoice::Keep)]
    on_tilt: TiltChoice,

    /// Spacing in mm of pictures (PNG, JPEG, TIFF) along columns, rows and slices.
    #[arg(long, value_name = "X,Y[,Z]")]
    input_spacing: Option<Spacing>,
    /// The images that a DICOM structure set (RTSTRUCT) was drawn on [default: those in its folder].
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,

    /// Only these structures of a DICOM structure set.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    structures: Vec<String>,

    /// Orientation of a file that does not state one.
    #[arg(long, value_name = "CODES")]
    assume_orientation: Option<Orientation>,

    /// Replace an output that exists.
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TiltChoice {
    Keep,
    Resample,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Interpolation {
    Nearest,
    Linear,
    Cubic,
    Area,
}

pub(crate) fn run(arguments: &Arguments, verbosity: Verbosity) -> Result<Exit> {
    let mut options = ConvertOptions { orientation: arguments.orientation, ..ConvertOptions::default() };
    options.spacing = match arguments.spacing.as_slice() {
        [] => None,
        [all] => Some([*all; 3]),
        [i, j, k] => Some([*i, *j, *k]),
        other => return Err(Error::usage(format!("--spacing takes one number or three, not {}", other.len()))),
    };
    options.method = match arguments.interpolation {
        Interpolation::Nearest => Method::Nearest,
        Interpolation::Linear => Method::Linear,
        Interpolation::Cubic => Method::Cubic,
        Interpolation::Area => Method::Area,
    };
    options.data_type = arguments.dtype;
    options.volume = arguments.volume;
    options.input_spacing = arguments.input_spacing.map(|Spacing(mm)| mm);
    options.series.clone_from(&arguments.series);
    options.on_gap = arguments.on_gap.into();
    options.on_tilt = match arguments.on_tilt {
        TiltChoice::Keep => OnTilt::Keep,
        TiltChoice::Resample => OnTilt::Resample,
    };
    options.images.clone_from(&arguments.images);
    options.only = (!arguments.structures.is_empty()).then(|| arguments.structures.clone());
    options.assume_orientation = arguments.assume_orientation;
    options.overwrite = if arguments.overwrite { Overwrite::Replace } else { Overwrite::Refuse };
    let is_folder =
        arguments.output.is_dir() || arguments.output.to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
    if is_folder {
        return all(arguments, &options, verbosity);
    }
    say(&batch::convert(&arguments.input, &arguments.output, &options)?, verbosity);
    Ok(Exit::Done)
}

/// Every series as a file of its own; exit code 7 when some of several could not be written.
fn all(arguments: &Arguments, options: &ConvertOptions, verbosity: Verbosity) -> Result<Exit> {
    let mut failures = Vec::new();
    let mut written = 0;
    for done in batch::convert_all(&arguments.input, &arguments.output, options)? {
        match done {
            Ok(converted) => {
                say(&converted, verbosity);
                written += 1;
            }
            Err(error) => failures.push(error),
        }
    }
    if written == 0 && failures.len() == 1 {
        return failures.pop().map_or(Ok(Exit::Done), Err);
    }
    failures.iter().for_each(output::error);
    Ok(if failures.is_empty() { Exit::Done } else { Exit::SomeFailed })
}

fn say(converted: &Converted, verbosity: Verbosity) {
    output::warnings(verbosity, &converted.warnings);
    output::say(verbosity, format!("geometry checked: {:.1e} mm off at most", converted.certificate.largest_error_mm));
    output::data(format!("volume: {}", output::escaped(&converted.path.display().to_string())));
}
