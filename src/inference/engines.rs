//! Which engine runs a model: what the caller names is used or refused; `auto` takes the fastest that is proven here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::dispatch::{load, open_in, opened_path};
use super::library::{self, Candidate, Runtime, Search};
use super::model_file::ModelFile;
use super::verify::{self, Proof};
use super::{Precision, Predictor};
use crate::error::{Error, ErrorKind, Result, Warning};

/// Who runs the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EngineChoice {
    /// The fastest that is there and proven for the model on this machine.
    #[default]
    Auto,
    /// The engine that is linked in.
    Embedded,
    /// ONNX Runtime, the reference.
    OnnxRuntime,
    /// OpenVINO.
    OpenVino,
}

impl EngineChoice {
    const ALL: [Self; 4] = [Self::Auto, Self::Embedded, Self::OnnxRuntime, Self::OpenVino];

    /// The library that this engine opens at run time.
    pub(super) fn runtime(self) -> Option<Runtime> {
        match self {
            Self::OnnxRuntime => Some(Runtime::OnnxRuntime),
            Self::OpenVino => Some(Runtime::OpenVino),
            Self::Auto | Self::Embedded => None,
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Embedded => "embedded",
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino",
        })
    }
}

impl FromStr for EngineChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|engine| engine.to_string() == text)
            .ok_or_else(|| Error::usage(format!("`{text}` is no engine: auto, embedded, onnxruntime or openvino")))
    }
}

/// What the network runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor, or a CUDA device that is proven for the model on this machine.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(u32),
}

impl Device {
    pub(super) fn is_cuda(self) -> bool {
        matches!(self, Self::Cuda(_))
    }

    /// The device where a library that was named, or found without proof, runs.
    pub(super) fn or_cpu(self) -> Self {
        if self == Self::Auto { Self::Cpu } else { self }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| Error::usage(format!("`{text}` is no device: auto, cpu, cuda or cuda:N"))),
        }
    }
}

impl Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a model is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Options {
    /// The engine.
    pub engine: EngineChoice,
    /// The device.
    pub device: Device,
    /// Arithmetic.
    pub precision: Precision,
    /// Keep to the reference, so that another machine gives the same result: ONNX Runtime on the processor in fp32.
    pub reproducible: bool,
    /// The ONNX Runtime library, or the folder it lies in.
    pub onnxruntime_path: Option<PathBuf>,
    /// OpenVINO's C library, or the folder it lies in.
    pub openvino_path: Option<PathBuf>,
}

impl Options {
    pub(super) fn search(&self, runtime: Runtime, accelerated: bool) -> Result<Search> {
        let named = match runtime {
            Runtime::OnnxRuntime => self.onnxruntime_path.as_deref(),
            Runtime::OpenVino => self.openvino_path.as_deref(),
        };
        library::search(runtime, named, accelerated)
    }

    /// Settings that contradict each other.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] with the pair.
    fn check(&self) -> Result<()> {
        let cuda = self.device.is_cuda();
        if cuda && matches!(self.engine, EngineChoice::Embedded | EngineChoice::OpenVino) {
            return Err(Error::usage(format!("the engine {} does not compute on {}", self.engine, self.device))
                .hint("CUDA comes with --engine onnxruntime"));
        }
        if !self.reproducible {
            return Ok(());
        }
        let other_engine = matches!(self.engine, EngineChoice::Embedded | EngineChoice::OpenVino);
        if other_engine || cuda || self.precision != Precision::Fp32 {
            return Err(Error::usage("--reproducible keeps to ONNX Runtime on the processor in fp32")
                .hint("leave out --engine, --device and --precision, or --reproducible"));
        }
        Ok(())
    }
}

/// Opens a model in the engine that `options` name, or in the one that `auto` takes; the notes say which, why, and what
/// a faster one would need.
///
/// `auto` takes a library only where [`verify()`](super::verify()) has passed for this model, library and processor and
/// was faster; else the embedded engine; else, for models which that does not run, ONNX Runtime. What only one library
/// can do (CUDA, bf16, the reference) is the same as naming it. Libraries use the number of threads of the rayon pool in
/// which this is called.
///
/// # Errors
/// [`ErrorKind::Usage`] for options that contradict each other, [`ErrorKind::Model`] when what is named cannot be had or
/// the model cannot be read, [`ErrorKind::Unsupported`] when it has several inputs or outputs.
pub fn open(model: &ModelFile<'_>, options: &Options) -> Result<(Box<dyn Predictor>, Vec<Warning>)> {
    options.check()?;
    let named = match (options.engine, options.device) {
        (EngineChoice::Auto, Device::Cuda(_)) => EngineChoice::OnnxRuntime,
        (EngineChoice::Auto, _) if options.reproducible => EngineChoice::OnnxRuntime,
        (EngineChoice::Auto, _) if options.precision == Precision::Bf16 => EngineChoice::OpenVino,
        (engine, _) => engine,
    };
    match named {
        EngineChoice::Auto => automatic(model, options),
        engine => Ok((open_named(model, engine, options)?, Vec::new())),
    }
}

fn automatic(model: &ModelFile<'_>, options: &Options) -> Result<(Box<dyn Predictor>, Vec<Warning>)> {
    let mut note = None;
    for (engine, device) in verify::faster(options.device) {
        let message = match verify::proof(model, engine, device, options)? {
            Proof::Holds(candidate) => match open_in(model, engine, device, options.precision, Some(&candidate)) {
                Ok(predictor) => {
                    let message = format!("{engine} on {device} runs this model: proven and fastest here");
                    return Ok((predictor, vec![Warning::new("engine", message)]));
                }
                Err(error) => format!("{engine} on {device} was passed over: {error}"),
            },
            Proof::Lacks(message) => message,
            Proof::Slower => continue,
        };
        note.get_or_insert(Warning::new("faster-engine", message));
    }
    let refused = match open_in(model, EngineChoice::Embedded, Device::Cpu, options.precision, None) {
        Ok(predictor) => return Ok((predictor, note.into_iter().collect())),
        Err(error) if error.kind() == ErrorKind::Unsupported => error,
        Err(error) => return Err(error),
    };
    let predictor = open_named(model, EngineChoice::OnnxRuntime, options).map_err(|error| {
        let advice = error.advice().unwrap_or(Runtime::OnnxRuntime.advice()).to_owned();
        model.error(format!("no engine runs this model: {}; {error}", refused.message())).hint(advice)
    })?;
    let message = format!("onnxruntime runs this model, because {}", refused.message());
    Ok((predictor, note.into_iter().chain([Warning::new("engine", message)]).collect()))
}

fn open_named(model: &ModelFile<'_>, engine: EngineChoice, options: &Options) -> Result<Box<dyn Predictor>> {
    let device = options.device.or_cpu();
    let Some(runtime) = engine.runtime() else { return open_in(model, engine, device, options.precision, None) };
    let candidate = first_that_opens(runtime, &options.search(runtime, device.is_cuda())?)?;
    open_in(model, engine, device, options.precision, Some(&candidate))
}

/// The first library of a search that the system opens; the one that this process has opened comes first where no path
/// was named.
///
/// # Errors
/// [`ErrorKind::Model`] when there is none.
pub(super) fn first_that_opens(runtime: Runtime, search: &Search) -> Result<Candidate> {
    let mut refused: Option<Error> = None;
    let candidates = search.candidates.iter();
    let (opened, others): (Vec<_>, Vec<_>) = candidates.partition(|c| opened_path(runtime).as_ref() == Some(&c.path));
    for candidate in opened.into_iter().chain(others) {
        match load(runtime, candidate) {
            Ok(()) => return Ok(candidate.clone()),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::model(format!("no {runtime} was found on this machine ({} or newer is needed)", runtime.oldest()))
            .hint(runtime.advice())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for engine in EngineChoice::ALL {
            assert_eq!(engine.to_string().parse::<EngineChoice>().unwrap(), engine);
        }
        for device in [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(3)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for wrong in ["cuda:", "cuda:-1", "gpu", ""] {
            assert_eq!(wrong.parse::<Device>().unwrap_err().kind(), ErrorKind::Usage);
        }
        assert!("tract".parse::<EngineChoice>().is_err());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let model = ModelFile::Bytes { name: "m", bytes: b"" };
        let refused = |options: Options| open(&model, &options).unwrap_err().kind() == ErrorKind::Usage;
        let with = |engine, device, reproducible| Options { engine, device, reproducible, ..Options::default() };
        assert!(refused(with(EngineChoice::OpenVino, Device::Cuda(0), false)));
        assert!(refused(with(EngineChoice::Embedded, Device::Cuda(0), false)));
        assert!(refused(with(EngineChoice::Embedded, Device::Cpu, true)));
        assert!(refused(with(EngineChoice::Auto, Device::Cuda(1), true)));
        assert!(refused(Options { precision: Precision::Bf16, ..with(EngineChoice::Auto, Device::Auto, true) }));
    }
}
