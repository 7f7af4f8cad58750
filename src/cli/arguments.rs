//! Options that several subcommands share.

use std::path::PathBuf;

use clap::Args;
use unet_vol::Result;
use unet_vol::formats::OnGap;
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
