//! ONNX Runtime, opened at run time: the reference engine, and the way to CUDA. The only file that names `ort`.
//!
//! Results are equal to the bit for any number of threads and any batch size. One session serves one run after the
//! other with all threads of the rayon pool in which it was opened.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{CUDA, ExecutionProvider};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::binding::{Place, Shapes, copy, no_panic, text, the_only};
use super::engines::Device;
use super::foresight::Foresight;
use super::library::{self, Candidate, Runtime};
use super::model_file::ModelFile;
use super::{Backend, Precision, Predictor, TensorInfo, TensorView};
use crate::error::{Error, Result};

/// The one library of this process: `ort` and ONNX Runtime keep global state.
static LOADED: Mutex<Option<Arc<Library>>> = Mutex::new(None);

/// An opened library.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) version: String,
    environment: Environment,
}

/// Opens a library, or gives the one that this process has opened already.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when it cannot be opened or is too old, [`crate::ErrorKind::Usage`] when this process has
/// opened another one.
pub(super) fn load(candidate: &Candidate) -> Result<Arc<Library>> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = &*loaded {
        if library.path == candidate.path {
            return Ok(Arc::clone(library));
        }
        let message = format!("ONNX Runtime was already opened from {}; a process has one", library.path.display());
        return Err(Error::usage(message).at(&candidate.path).hint("use the same library throughout"));
    }
    let path = &candidate.path;
    let library = no_panic("ONNX Runtime", || {
        let builder = ort::init_from(path).map_err(|error| refused(error, path))?;
        let environment = builder
            .with_name("unet-vol")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|e| Error::model("ONNX Runtime could not be started").at(path).because(e))?;
        let version = library::version(path).unwrap_or_else(|| format!("{} or newer", Runtime::OnnxRuntime.oldest()));
        Ok(Arc::new(Library { path: path.clone(), version, environment }))
    })?;
    *loaded = Some(Arc::clone(&library));
    Ok(library)
}

/// The library that this process has opened.
pub(super) fn loaded() -> Option<Arc<Library>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn refused(error: ort::LoadDynamicError, path: &Path) -> Error {
    let out = match error {
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            Error::model(library::too_old(Runtime::OnnxRuntime, &version_str))
        }
        ort::LoadDynamicError::Dlopen { error, .. } => {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Error::model(format!("the system does not open this library: {reason}"))
        }
        other => Error::model("this library could not be opened").because(other),
    };
    out.at(path).hint(Runtime::OnnxRuntime.advice())
}

/// Messages of the library go where ours go.
fn log(level: LogLevel, _: &str, _: &str, place: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error | LogLevel::Warning => {
            tracing::debug!(target: "onnxruntime", place, "{message}")
        }
        _ => tracing::trace!(target: "onnxruntime", place, "{message}"),
    }
}

/// What this library can compute on.
pub(super) fn devices(library: &Library) -> Vec<String> {
    let cuda = no_panic("ONNX Runtime", || Ok(CUDA::is_available().unwrap_or(false))).unwrap_or(false);
    tracing::debug!(library = %library.path.display(), cuda);
    if cuda { vec!["cpu".into(), "cuda".into()] } else { vec!["cpu".into()] }
}

/// A model in ONNX Runtime.
#[derive(Debug)]
struct OnnxRuntime {
    session: Mutex<Session>,
    shapes: Shapes,
    backend: Backend,
}

/// Opens a model.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when the library cannot read the model or use the device;
/// [`crate::ErrorKind::Unsupported`] for another precision than fp32 or a model of several inputs.
pub(super) fn open(
    model: &ModelFile<'_>,
    library: &Library,
    device: Device,
    precision: Precision,
) -> Result<Box<dyn Predictor>> {
    if precision != Precision::Fp32 {
        return Err(Error::unsupported("ONNX Runtime computes in fp32 only")
            .hint("leave out --precision, or choose --engine openvino"));
    }
    no_panic("ONNX Runtime", || {
        let mut builder = builder(library, device)?;
        let session = match Place::of(model) {
            Place::Path(path) => builder.commit_from_file(path),
            Place::Bytes(bytes) => builder.commit_from_memory(bytes),
        };
        let session = session.map_err(|e| model.error("ONNX Runtime cannot read this model").because(e))?;
        let shapes = shapes(&session, model)?;
        let provider = match device {
            Device::Cuda(_) => "CUDAExecutionProvider",
            _ => "CPUExecutionProvider",
        };
        let backend = Backend {
            engine: "onnxruntime".into(),
            version: library.version.clone(),
            library: Some(library.path.clone()),
            library_sha256: Some(library::fingerprint(Runtime::OnnxRuntime, &library.path, device.is_cuda())?),
            provider: provider.into(),
            precision,
        };
        Ok(Box::new(OnnxRuntime { session: Mutex::new(session), shapes, backend }) as Box<dyn Predictor>)
    })
}

/// Sequential operators on the threads of the current rayon pool, no busy waiting; plain fp32 everywhere. The arena
/// stays on (off costs 14 to 50 % more time), memory patterns are off because tile shapes vary.
fn settings(library: &Library) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(&library.environment)?
        .with_intra_threads(rayon::current_num_threads())?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_intra_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_deterministic_compute(true)?
        .with_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "0")?)
}

/// A session's settings on a device.
fn builder(library: &Library, device: Device) -> Result<SessionBuilder> {
    let builder = settings(library).map_err(|e| Error::model("ONNX Runtime refuses a setting").because(e))?;
    let Device::Cuda(index) = device else { return Ok(builder) };
    let id = i32::try_from(index).map_err(|_| Error::usage(format!("there is no CUDA device {index}")))?;
    let cuda = CUDA::default()
        .with_device_id(id)
        .with_tf32(false)
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure();
    builder.with_execution_providers([cuda]).map_err(|e| {
        let said = e.to_string();
        // Before it stand places in the library's own source.
        let reason = said.rsplit_once(" : FAIL : ").map_or(said.as_str(), |(_, reason)| reason).trim();
        Error::model(format!("CUDA device {index} cannot be had with ONNX Runtime {}: {reason}", library.version))
            .at(&library.path)
            .hint("run `unet-vol runtime install cuda`; an NVIDIA driver, CUDA and cuDNN are needed besides")
    })
}

/// The one input and the one output.
fn shapes(session: &Session, model: &ModelFile<'_>) -> Result<Shapes> {
    let named = |all: &[Outlet]| all.iter().map(|o| (o.name().to_owned(), o.dtype().clone())).collect::<Vec<_>>();
    let (input, from) = tensor(the_only(model, "input", &named(session.inputs()))?, model)?;
    let (output, to) = tensor(the_only(model, "output", &named(session.outputs()))?, model)?;
    Shapes::new(input, output, [&from, &to], Foresight::new(model)).map_err(|e| model.name_in(e))
}

/// A tensor and the symbols of its free axes.
fn tensor((name, kind): &(String, ValueType), model: &ModelFile<'_>) -> Result<(TensorInfo, Vec<String>)> {
    let ValueType::Tensor { ty: TensorElementType::Float32, shape, dimension_symbols } = kind else {
        return Err(model.unsupported(format!("`{name}` is {kind}, not a float32 tensor")));
    };
    let shape = shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    Ok((TensorInfo { name: name.clone(), shape }, dimension_symbols.to_vec()))
}

impl Predictor for OnnxRuntime {
    fn input(&self) -> &TensorInfo {
        &self.shapes.input
    }

    fn output(&self) -> &TensorInfo {
        &self.shapes.output
    }

    fn backend(&self) -> &Backend {
        &self.backend
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        self.shapes.output_shape(shape)
    }

    fn working_bytes(&self, shape: &[usize]) -> Result<u64> {
        self.shapes.working_bytes(shape)
    }

    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()> {
        let expected = self.shapes.check(input, output)?;
        let failed = |e: ort::Error| {
            Error::model(format!("ONNX Runtime could not run the network on {}", text(input.shape))).because(e)
        };
        no_panic("ONNX Runtime", || {
            let values = TensorRef::from_array_view((input.shape, input.data)).map_err(failed)?;
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            let scores = session.run(ort::inputs![values]).map_err(failed)?;
            let scores =
                scores.get(&self.shapes.output.name).ok_or_else(|| Error::model("the network gave no scores"))?;
            let (shape, values) = scores.try_extract_tensor::<f32>().map_err(failed)?;
            self.shapes.check_result(&expected, shape)?;
            copy(values, output);
            Ok(())
        })
    }
}
