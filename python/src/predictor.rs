//! A Python callable as the network.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::ndarray::ArrayViewD;
use numpy::{PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use unet_vol::inference::{Backend, Precision, Predictor, TensorInfo, TensorView};
use unet_vol::model::ModelSpec;
use unet_vol::{Error, Result};

/// What the callable raised, if anything.
pub(crate) type Raised = Arc<Mutex<Option<PyErr>>>;

/// A callable that turns `[N, C, k, j, i]` into `[N, classes, k, j, i]`, both float32 in C order.
pub(crate) struct Callable {
    call: Py<PyAny>,
    input: TensorInfo,
    output: TensorInfo,
    backend: Backend,
    classes: usize,
    /// Voxels by which the output is smaller, per side, fastest axis first.
    margin: [usize; 3],
    raised: Raised,
}

impl Callable {
    pub(crate) fn new(call: Py<PyAny>, spec: &ModelSpec, planar: bool) -> Self {
        let classes = spec.labels.iter().map(|label| label.class + 1).max().unwrap_or(1).max(2);
        let axes = vec![None; if planar { 2 } else { 3 }];
        let info = |name: &str, channels: Option<usize>| TensorInfo {
            name: name.to_owned(),
            shape: [vec![None, channels], axes.clone()].concat(),
        };
        Self {
            call,
            input: info("input", None),
            output: info("scores", Some(classes)),
            backend: Backend::new("python", env!("CARGO_PKG_VERSION"), "Python", Precision::Fp32),
            classes,
            margin: spec.network.map_or([0; 3], |network| network.margin),
            raised: Raised::default(),
        }
    }

    pub(crate) fn raised(&self) -> Raised {
        self.raised.clone()
    }

    fn called(&self, py: Python<'_>, input: TensorView<'_>, output: &mut [f32]) -> PyResult<Result<()>> {
        let view = ArrayViewD::from_shape(input.shape, input.data);
        let view = match view {
            Ok(view) => view,
            Err(error) => return Ok(Err(Error::internal(error.to_string()))),
        };
        let scores = self.call.bind(py).call1((PyArrayDyn::from_array(py, &view),))?;
        let scores: PyReadonlyArrayDyn<'_, f32> = scores.extract()?;
        let wanted = self.output_shape(input.shape);
        let shape = scores.as_array().shape().to_vec();
        if wanted.as_ref().ok() != Some(&shape) {
            let wanted = wanted.unwrap_or_default();
            return Ok(Err(Error::model(format!("the predictor gave {shape:?} where {wanted:?} is expected"))));
        }
        output.copy_from_slice(scores.as_slice()?);
        Ok(Ok(()))
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callable").field("classes", &self.classes).finish_non_exhaustive()
    }
}

impl Predictor for Callable {
    fn input(&self) -> &TensorInfo {
        &self.input
    }

    fn output(&self) -> &TensorInfo {
        &self.output
    }

    fn backend(&self) -> &Backend {
        &self.backend
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let mut out = shape.to_vec();
        let rank = out.len();
        for (axis, side) in out.iter_mut().enumerate().skip(2) {
            let margin = 2 * self.margin[rank - 1 - axis];
            *side = side.checked_sub(margin).ok_or_else(|| Error::model(format!("{shape:?} is too small a patch")))?;
        }
        out[1] = self.classes;
        Ok(out)
    }

    fn working_bytes(&self, shape: &[usize]) -> Result<u64> {
        // What the callable takes is not known; both tensors are copied once.
        let values = shape.iter().product::<usize>() + self.output_shape(shape)?.iter().product::<usize>();
        Ok(4 * values as u64)
    }

    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()> {
        Python::attach(|py| match self.called(py, input, output) {
            Ok(result) => result,
            Err(error) => {
                let message = error.to_string();
                self.raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                Err(Error::model(format!("the predictor raised {message}")))
            }
        })
    }
}
