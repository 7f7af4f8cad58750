//! OpenVINO's own runtime, opened at run time: the fastest library on x86-64 processors. The only file that names the
//! `openvino` crates.
//!
//! Results are equal to the bit from run to run; networks with instance normalization differ in the last digits between
//! thread counts, so a session keeps the count of the rayon pool in which it was opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use openvino::{
    CompiledModel, Core, DeviceType, Dimension, ElementType, InferRequest, InferenceError, Model, Node, PartialShape,
    PropertyKey, RwPropertyKey, Shape, Tensor,
};

use super::binding::{Place, Shapes, copy, no_panic, text, the_only};
use super::foresight::Foresight;
use super::library::{self, Candidate, Runtime};
use super::model_file::ModelFile;
use super::{Backend, Precision, Predictor, TensorInfo, TensorView};
use crate::error::{Error, Result};

/// The one library of this process: the crate keeps it for good, even one whose version it refuses.
static LOADED: Mutex<Option<Attempt>> = Mutex::new(None);

/// What became of opening a library.
struct Attempt {
    path: PathBuf,
    result: Result<Arc<Library>, String>,
}

/// An opened library.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

/// Opens a library, or gives the one that this process has opened already.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when it cannot be opened or is too old, [`crate::ErrorKind::Usage`] when this process has
/// opened another one.
pub(super) fn load(candidate: &Candidate) -> Result<Arc<Library>> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let path = &candidate.path;
    let refused = |reason: &str| Error::model(reason).at(path).hint(Runtime::OpenVino.advice());
    if let Some(attempt) = &*loaded {
        if attempt.path == *path {
            return attempt.result.clone().map_err(|reason| refused(&reason));
        }
        let message = format!("OpenVINO was already opened from {}; a process has one", attempt.path.display());
        return Err(Error::usage(message).at(path).hint("use the same library throughout"));
    }
    let result = no_panic("OpenVINO", || {
        openvino_sys::library::load_from(path).map_err(|text| Error::model(refusal(&text)))?;
        let version = openvino::version();
        let number: Vec<&str> = version.parts().take(3).collect();
        Ok(Arc::new(Library { path: path.clone(), version: number.join(".") }))
    });
    let result = result.map_err(|error| error.message().to_owned());
    if !result.as_ref().is_err_and(|reason| reason.starts_with(NOT_OPENED)) {
        *loaded = Some(Attempt { path: path.clone(), result: result.clone() });
    }
    result.map_err(|reason| refused(&reason))
}

/// The start of a refusal after which another library can still be tried.
const NOT_OPENED: &str = "the system does not open this library";

/// Why a library was refused, without the path and the advice that the crate mixes into its text.
fn refusal(text: &str) -> String {
    if let Some((_, reason)) = text.rsplit_once("could not be opened: ") {
        return format!("{NOT_OPENED}: {reason}");
    }
    match text.rsplit_once("): ").filter(|_| text.contains("too old")) {
        Some((_, version)) => library::too_old(Runtime::OpenVino, version),
        None => text.to_owned(),
    }
}

/// The library that this process has opened.
pub(super) fn loaded() -> Option<Arc<Library>> {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.as_ref().and_then(|attempt| attempt.result.as_ref().ok().cloned())
}

/// The processor, and `bf16` when it computes in that.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when OpenVINO finds no processor plugin.
pub(super) fn devices(_: &Library) -> Result<Vec<String>> {
    no_panic("OpenVINO", || {
        let core = core()?;
        let name = core.get_property(&DeviceType::CPU, &PropertyKey::DeviceFullName).map_err(failed("no processor"))?;
        let bf16 = if has_bf16(&core) { ", bf16" } else { "" };
        Ok(vec![format!("cpu ({}{bf16})", name.trim())])
    })
}

fn core() -> Result<Core> {
    Core::new().map_err(|e| Error::model("OpenVINO could not be started").because(e))
}

fn has_bf16(core: &Core) -> bool {
    core.get_property(&DeviceType::CPU, &PropertyKey::DeviceCapabilities).is_ok_and(|all| all.contains("BF16"))
}

fn failed(what: &'static str) -> impl Fn(InferenceError) -> Error {
    move |e| Error::model(format!("OpenVINO: {what}")).because(one_line(&e))
}

/// What the library says, in one line.
fn one_line(error: &InferenceError) -> String {
    let text = error.message.clone().unwrap_or_else(|| error.kind.to_string());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A model in OpenVINO.
struct OpenVino {
    state: Mutex<State>,
    shapes: Shapes,
    backend: Backend,
}

struct State {
    compiled: Option<Compiled>,
    network: Model,
    core: Core,
}

/// A network compiled for one shape, which saves a third of a second in its first run against free axes.
struct Compiled {
    shape: Vec<usize>,
    input: Tensor,
    request: InferRequest,
    _model: CompiledModel,
}

impl fmt::Debug for OpenVino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenVino").field("shapes", &self.shapes).field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// Opens a model on the processor.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when the library cannot read the model; [`crate::ErrorKind::Unsupported`] when the
/// processor has no bf16 or the model has several inputs.
pub(super) fn open(model: &ModelFile<'_>, library: &Library, precision: Precision) -> Result<Box<dyn Predictor>> {
    no_panic("OpenVINO", || {
        let mut core = core()?;
        if precision == Precision::Bf16 && !has_bf16(&core) {
            return Err(Error::unsupported("this processor does not compute in bf16").hint("leave out --precision"));
        }
        let threads = rayon::current_num_threads().to_string();
        let hint = if precision == Precision::Bf16 { "bf16" } else { "f32" };
        let settings = [
            (RwPropertyKey::HintInferencePrecision, hint),
            (RwPropertyKey::InferenceNumThreads, threads.as_str()),
            (RwPropertyKey::NumStreams, "1"),
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
        ];
        core.set_properties(&DeviceType::CPU, settings).map_err(failed("a setting was refused"))?;
        let unreadable = |e: InferenceError| model.error("OpenVINO cannot read this model").because(one_line(&e));
        let network = match Place::of(model) {
            Place::Path(path) => {
                let path = path.to_str().ok_or_else(|| model.error("OpenVINO needs a path in UTF-8"))?;
                core.read_model_from_file(path, "")
            }
            Place::Bytes(bytes) => core.read_model_from_buffer(bytes, None),
        };
        let network = network.map_err(unreadable)?;
        let shapes = shapes(&network, model)?;
        let backend = Backend {
            engine: "openvino".into(),
            version: library.version.clone(),
            library: Some(library.path.clone()),
            library_sha256: Some(library::fingerprint(Runtime::OpenVino, &library.path, false)?),
            provider: "CPU".into(),
            precision,
        };
        let state = State { compiled: None, network, core };
        Ok(Box::new(OpenVino { state: Mutex::new(state), shapes, backend }) as Box<dyn Predictor>)
    })
}

/// The one input and the one output.
fn shapes(network: &Model, model: &ModelFile<'_>) -> Result<Shapes> {
    let failed = failed("the model's inputs and outputs cannot be read");
    let named = |node: Node| Ok((node.get_name()?, node));
    let inputs = (0..network.get_inputs_len().map_err(&failed)?)
        .map(|index| network.get_input_by_index(index).and_then(named).map_err(&failed))
        .collect::<Result<Vec<_>>>()?;
    let outputs = (0..network.get_outputs_len().map_err(&failed)?)
        .map(|index| network.get_output_by_index(index).and_then(named).map_err(&failed))
        .collect::<Result<Vec<_>>>()?;
    let input = tensor(the_only(model, "input", &inputs)?, model)?;
    let output = tensor(the_only(model, "output", &outputs)?, model)?;
    Shapes::new(input, output, [&[], &[]], Foresight::new(model)).map_err(|e| model.name_in(e))
}

fn tensor((name, node): &(String, Node), model: &ModelFile<'_>) -> Result<TensorInfo> {
    let failed = failed("a tensor of the model cannot be read");
    let kind = node.get_element_type().map_err(&failed)?;
    if kind != ElementType::F32 {
        return Err(model.unsupported(format!("`{name}` is {kind:?}, not a float32 tensor")));
    }
    let shape = node.get_partial_shape().map_err(&failed)?;
    if shape.get_rank().is_dynamic() {
        return Err(model.unsupported(format!("the rank of `{name}` is not stated")));
    }
    let fixed = |d: &Dimension| (d.get_min() == d.get_max()).then(|| usize::try_from(d.get_max()).ok()).flatten();
    Ok(TensorInfo { name: name.clone(), shape: shape.get_dimensions().iter().map(fixed).collect() })
}

impl Predictor for OpenVino {
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
        let failed = |e: InferenceError| {
            let message = format!("OpenVINO could not run the network on {}", text(input.shape));
            Error::model(message).because(one_line(&e))
        };
        no_panic("OpenVINO", || {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let compiled = state.compiled(input.shape).map_err(failed)?;
            compiled.input.get_data_mut::<f32>().map_err(failed)?.copy_from_slice(input.data);
            compiled.request.infer().map_err(failed)?;
            let scores = compiled.request.get_output_tensor_by_index(0).map_err(failed)?;
            self.shapes.check_result(&expected, scores.get_shape().map_err(failed)?.get_dimensions())?;
            copy(scores.get_data::<f32>().map_err(failed)?, output);
            Ok(())
        })
    }
}

impl State {
    /// The network compiled for `shape`: tiles of one run have one shape, so the last one is kept.
    fn compiled(&mut self, shape: &[usize]) -> Result<&mut Compiled, InferenceError> {
        if let Some(same) = self.compiled.take_if(|compiled| compiled.shape == shape) {
            return Ok(self.compiled.insert(same));
        }
        self.compiled = None;
        let axes: Vec<i64> = shape.iter().filter_map(|&n| i64::try_from(n).ok()).collect();
        let rank = i64::try_from(axes.len()).unwrap_or(0);
        self.network.reshape_single_input(&PartialShape::new_static(rank, &axes)?)?;
        let mut model = self.core.compile_model(&self.network, DeviceType::CPU)?;
        let mut request = model.create_infer_request()?;
        let input = Tensor::new(ElementType::F32, &Shape::new(&axes)?)?;
        request.set_input_tensor(&input)?;
        Ok(self.compiled.insert(Compiled { shape: shape.to_vec(), input, request, _model: model }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sentences() {
        let text = "the shared library at /a/b.so could not be opened: c.so: cannot open shared object file";
        assert_eq!(refusal(text), "the system does not open this library: c.so: cannot open shared object file");
        let old = "OpenVINO version is too old (see https://a.b/167): 2024.6.0-17404";
        assert_eq!(refusal(old), "this is OpenVINO 2024.6.0-17404, but 2025.1 or newer is needed");
    }
}
