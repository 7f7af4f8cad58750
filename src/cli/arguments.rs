//! Options that several subcommands share.

use std::path::PathBuf;

use clap::Args;
use unet_vol::Result;
use unet_vol::batch::OutputFormat;
use unet_vol::formats::OnGap;
#[cfg(feature = "dicom")]
use unet_vol::formats::dicom::{SegmentationOptions, SegmentationType};
use unet_vol::inference::{Device, EngineChoice, Options, Precision};
use unet_vol::model::Model;

/// Which engine runs the network, and on what.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArguments {
    /// The engine: auto, embedded, onnxruntime or openvino. What is named and cannot be had is an error.
    #[arg(long, default_value = "auto")]
    pub(crate) engine: EngineChoice,

    /// The device: auto, cpu, cuda or cuda:N. A named device is never replaced by another.
    #[arg(long, default_value = "auto")]
    pub(crate) device: Device,

    /// Arithmetic of the network; auto is fp32 everywhere.
    #[arg(long, value_enum, default_value_t = PrecisionChoice::Auto)]
    pub(crate) precision: PrecisionChoice,

    /// Keep to the reference engine, so that labels are the same on every machine with the same library.
    #[arg(long)]
    pub(crate) reproducible: bool,

    /// Threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,

    /// The ONNX Runtime library to open.
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) onnxruntime: Option<PathBuf>,

    /// The OpenVINO C library to open.
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) openvino: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum PrecisionChoice {
    Auto,
    Fp32,
    Bf16,
}

impl EngineArguments {
    pub(crate) fn options(&self) -> Options {
        let precision = match self.precision {
            PrecisionChoice::Auto | PrecisionChoice::Fp32 => Precision::Fp32,
            PrecisionChoice::Bf16 => Precision::Bf16,
        };
        Options {
            engine: self.engine,
            device: self.device,
            precision,
            reproducible: self.reproducible,
            onnxruntime_path: self.onnxruntime.clone(),
            openvino_path: self.openvino.clone(),
            ..Options::default()
        }
    }
}

/// A spacing in mm along i, j, k; k is 1 where it is not named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spacing(pub(crate) [f64; 3]);

impl std::str::FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[x, y]) => Ok(Self([x, y, 1.0])),
            Ok(&[x, y, z]) => Ok(Self([x, y, z])),
            _ => Err("two or three numbers are needed, such as 0.14,0.14".to_owned()),
        }
    }
}

/// What is done about missing slices.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum GapChoice {
    Refuse,
    Resample,
}

impl From<GapChoice> for OnGap {
    fn from(choice: GapChoice) -> Self {
        match choice {
            GapChoice::Refuse => Self::Refuse,
            GapChoice::Resample => Self::Resample,
        }
    }
}

/// In which forms labels are written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct FormatArguments {
    /// Forms of the labels: nifti, and for DICOM input dicom-seg, rtstruct, secondary-capture. Several go beside each
    /// other: labels.nii.gz, labels.dcm, labels_rtstruct.dcm, labels_capture/.
    #[arg(long = "format", value_name = "FORM,...", value_delimiter = ',', default_value = "nifti")]
    formats: Vec<OutputFormat>,

    /// How a DICOM segmentation stores its voxels: a bit for each segment, or label ids (newer, smaller, not yet known
    /// to every viewer).
    #[cfg(feature = "dicom")]
    #[arg(long, value_enum, default_value_t = SegTypeChoice::Binary)]
    seg_type: SegTypeChoice,

    /// Write frames of a DICOM segmentation that hold no voxel too.
    #[cfg(feature = "dicom")]
    #[arg(long)]
    keep_empty_frames: bool,
}

/// How a DICOM segmentation stores its voxels.
#[cfg(feature = "dicom")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SegTypeChoice {
    Binary,
    Labelmap,
}

impl FormatArguments {
    /// Each form once.
    pub(crate) fn list(&self) -> Vec<OutputFormat> {
        OutputFormat::ALL.into_iter().filter(|format| self.formats.contains(format)).collect()
    }

    /// How a DICOM segmentation is written.
    #[cfg(feature = "dicom")]
    pub(crate) fn segmentation(&self) -> SegmentationOptions {
        let kind = match self.seg_type {
            SegTypeChoice::Binary => SegmentationType::Binary,
            SegTypeChoice::Labelmap => SegmentationType::Labelmap,
        };
        SegmentationOptions { kind, keep_empty_frames: self.keep_empty_frames, ..SegmentationOptions::default() }
    }
}

/// Which model.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArguments {
    /// A bundled model's name, or an ONNX file.
    #[arg(long, default_value = "brain-mri", value_name = "NAME|PATH")]
    pub(crate) model: String,

    /// What the model expects and means, for an ONNX file that does not carry its description (TOML or JSON).
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
}

impl ModelArguments {
    pub(crate) fn open(&self) -> Result<Model> {
        Model::named(&self.model, self.spec.as_deref())
    }
}
