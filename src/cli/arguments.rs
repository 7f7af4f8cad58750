//! Options that several subcommands share.

use std::path::PathBuf;

use clap::Args;
use unet_vol::batch::OutputFormat;
use unet_vol::formats::OnGap;
use unet_vol::inference::{Device, EngineChoice, Options, Precision};
use unet_vol::model::Model;
use unet_vol::{Error, Result};

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
        let mut options = Options::default();
        options.engine = self.engine;
        options.device = self.device;
        options.precision = match self.precision {
            PrecisionChoice::Auto | PrecisionChoice::Fp32 => Precision::Fp32,
            PrecisionChoice::Bf16 => Precision::Bf16,
        };
        options.reproducible = self.reproducible;
        options.onnxruntime_path.clone_from(&self.onnxruntime);
        options.openvino_path.clone_from(&self.openvino);
        options
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
}

impl FormatArguments {
    /// Each form once.
    pub(crate) fn list(&self) -> Vec<OutputFormat> {
        OutputFormat::ALL.into_iter().filter(|format| self.formats.contains(format)).collect()
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
        if Model::bundled_names().contains(&self.model.as_str()) {
            if self.spec.is_some() {
                return Err(Error::usage(format!("{} is a bundled model and has its own description", self.model))
                    .hint("leave --spec out, or name an ONNX file with --model"));
            }
            return Model::bundled(&self.model);
        }
        let path = PathBuf::from(&self.model);
        if path.extension().is_none() && !path.exists() {
            let names = Model::bundled_names().join(", ");
            return Err(Error::model(format!("there is no bundled model {:?}", self.model))
                .hint(format!("bundled: {names}; or name an ONNX file")));
        }
        Model::open(&path, self.spec.as_deref())
    }
}
