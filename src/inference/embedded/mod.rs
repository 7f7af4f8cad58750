//! Our own engine: U-Nets at the speed of the machine, linked in.
//!
//! A graph becomes a plan for each input shape: steps in blocks of sixteen channels, with bias, activation and residual
//! joined to the convolution before them, and buffers that lie in one arena. Samples of a batch run one after the
//! other, each over all threads of the current rayon pool, so a result depends on neither.

mod generic;
mod kernels;
mod lower;
mod memory;
mod plan;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::kernels::{Arena, Order, Packed, Simd};
use self::plan::Plan;
use super::{Backend, Precision, Predictor, TensorInfo, TensorView};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::graph::{Constant, Graph};

pub use run::StepTime;

/// Plans that are kept.
const PLANS: usize = 8;

/// A network that is ready to run in this process.
#[derive(Debug)]
pub struct Engine {
    graph: Graph,
    input: TensorInfo,
    output: TensorInfo,
    backend: Backend,
    simd: Simd,
    /// Threads of the pool in which the engine was made: for so many a plan has room.
    threads: usize,
    weights: Weights,
    plans: Mutex<VecDeque<(Vec<usize>, Arc<Plan>)>>,
    arenas: Mutex<Vec<Arena>>,
}

/// Packed weights by the addresses of the constants that they were made of, which are kept so that these stay theirs. The
/// numbers themselves lie here twice only where those that were packed are not the same.
#[derive(Debug, Default)]
struct Weights(Mutex<BTreeMap<Key, Kept>>);

/// Constants and what was made of them.
type Kept = (Vec<Constant>, Arc<Packed>);

/// Addresses of weights and biases, and the order of the former.
type Key = (usize, usize, Order);

impl lower::PackedWeights for Weights {
    fn packed(
        &self,
        (weight, bias): (&Constant, Option<&Constant>),
        order: Order,
        pack: &dyn Fn() -> Result<Packed>,
    ) -> Result<Arc<Packed>> {
        let key = (weight.data.address(), bias.map_or(0, |bias| bias.data.address()), order);
        let mut all = lock(&self.0);
        if let Some((_, packed)) = all.get(&key) {
            return Ok(Arc::clone(packed));
        }
        let packed = Arc::new(pack()?);
        if packed.is_exact() {
            weight.data.leave_to(Arc::<Packed>::clone(&packed));
        }
        let kept = [weight].into_iter().chain(bias).cloned().collect();
        all.insert(key, (kept, Arc::clone(&packed)));
        Ok(packed)
    }
}

/// A lock whose data is never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What runs the operators here, such as `avx512`; a word on an invalid `UNET_VOL_SIMD`.
pub(super) fn instructions() -> String {
    match Simd::choose() {
        Ok(simd) if kernels::bf16_available() => format!("{} and bf16", simd.name()),
        Ok(simd) => simd.name().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Whether the operators run on AVX-512, where no other engine for the processor was seen to be faster
/// (`tests/bench/engine_vs_peers.py`).
pub(super) fn leads() -> bool {
    matches!(Simd::choose(), Ok(Simd::Avx512))
}

impl Engine {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// As [`Engine::new`], and those of [`Graph::load`].
    pub fn load(path: &Path, precision: Precision) -> Result<Self> {
        Self::new(Graph::load(path)?, precision).map_err(|error| error.at(path))
    }

    /// Takes a graph of one input.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the graph has several inputs or none, or the processor lacks what `precision`
    /// needs; [`crate::ErrorKind::Usage`] when `UNET_VOL_SIMD` names instructions that the processor does not have.
    pub fn new(graph: Graph, precision: Precision) -> Result<Self> {
        let simd = Simd::choose()?;
        let half = precision == Precision::Bf16;
        if half && !(kernels::bf16_available() && simd == Simd::Avx512) {
            return Err(Error::model("this processor has no instructions for bfloat16 (AVX512_BF16)")
                .hint("compute in 32 bit: leave the precision out"));
        }
        let (inputs, outputs): (Vec<_>, Vec<_>) = (graph.inputs().collect(), graph.outputs().collect());
        let (&[input], Some(output)) = (inputs.as_slice(), outputs.first()) else {
            return Err(lower::unsupported(format!("the network has {} inputs", inputs.len())));
        };
        let info = |tensor: &crate::model::graph::TensorInfo| TensorInfo {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
        };
        let (input, output) = (info(input), info(output));
        let backend = Backend {
            engine: "embedded".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            library: None,
            library_sha256: None,
            provider: if half { "avx512_bf16".to_owned() } else { simd.name().to_owned() },
            precision,
        };
        let (weights, plans, arenas) = Default::default();
        let threads = rayon::current_num_threads();
        Ok(Self { graph, input, output, backend, simd, threads, weights, plans, arenas })
    }

    /// The plan for one sample of `shape`.
    fn plan(&self, shape: &[usize]) -> Result<Arc<Plan>> {
        let fits = shape.len() == self.input.shape.len()
            && shape.iter().zip(&self.input.shape).skip(1).all(|(&n, wanted)| wanted.is_none_or(|wanted| wanted == n))
            && !shape.contains(&0);
        if !fits {
            let text = |n: &Option<usize>| n.map_or("?".to_owned(), |n| n.to_string());
            let wanted = self.input.shape.iter().map(text).collect::<Vec<_>>().join(", ");
            return Err(Error::model(format!("the network takes an input of shape [{wanted}], not {shape:?}")));
        }
        limits::Limits::default().voxels(&shape.iter().map(|&n| n as u64).collect::<Vec<_>>())?;
        if let Some((_, plan)) = lock(&self.plans).iter().find(|(known, _)| known == shape) {
            return Ok(Arc::clone(plan));
        }
        let plan = if shape[0] == 1 {
            let network = self.graph.network(&[shape.to_vec()])?;
            let half = self.backend.precision == Precision::Bf16;
            Arc::new(lower::plan(&network, (self.simd, half, self.threads), &self.weights)?)
        } else {
            self.sample_plan(shape)?
        };
        let mut plans = lock(&self.plans);
        plans.truncate(PLANS - 1);
        plans.push_front((shape.to_vec(), Arc::clone(&plan)));
        // Weights that only forgotten plans used go too.
        lock(&self.weights.0).retain(|_, (_, packed)| Arc::strong_count(packed) > 1);
        Ok(plan)
    }

    /// The plan for one sample of a batch, once it is sure that no layer mixes samples.
    fn sample_plan(&self, shape: &[usize]) -> Result<Arc<Plan>> {
        let sample = [&[1], &shape[1..]].concat();
        let (one, all) = (self.graph.network(std::slice::from_ref(&sample))?, self.graph.network(&[shape.to_vec()])?);
        if lower::samples_apart(&one, &all) {
            return self.plan(&sample);
        }
        Err(lower::unsupported("the network does not treat the samples of a batch apart")
            .hint("run one sample at a time"))
    }

    /// Runs like [`Predictor::predict`] and says how long each step took, in the order of the steps.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn profile(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<Vec<StepTime>> {
        let mut times = Vec::new();
        self.run(input, output, |step, seconds| {
            let (operator, node, gflop) = (step.operator.clone(), step.name.clone(), step.gflop);
            times.push(StepTime { operator, node, seconds, gflop });
        })?;
        Ok(times)
    }

    fn run(&self, input: TensorView<'_>, output: &mut [f32], mut clock: impl FnMut(&plan::Step, f64)) -> Result<()> {
        let plan = self.plan(input.shape)?;
        let (batch, values) = (input.shape[0], input.shape.iter().product::<usize>());
        let scores = plan.output_shape.iter().product::<usize>();
        if input.data.len() != values || output.len() != scores * batch {
            return Err(Error::model(format!(
                "{} values in and {} out do not fit an input of shape {:?}",
                input.data.len(),
                output.len(),
                input.shape
            )));
        }
        let spare = lock(&self.arenas).pop().filter(|arena| arena.len() >= plan.arena);
        let mut arena = spare.map_or_else(|| Arena::new(plan.arena), Ok)?;
        for (input, output) in input.data.chunks(values / batch).zip(output.chunks_mut(scores)) {
            run::run(&plan, self.simd, arena.lanes(), (input, output), &mut clock);
        }
        lock(&self.arenas).push(arena);
        Ok(())
    }
}

impl Predictor for Engine {
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
        let mut output = self.plan(shape)?.output_shape.clone();
        output[0] = shape[0];
        Ok(output)
    }

    fn working_bytes(&self, shape: &[usize]) -> Result<u64> {
        Ok((self.plan(shape)?.arena * size_of::<kernels::Lanes>()) as u64)
    }

    fn weight_bytes(&self) -> Option<u64> {
        let packed: usize = lock(&self.weights.0).values().map(|(_, packed)| packed.bytes()).sum();
        Some(self.graph.weight_bytes() + packed as u64)
    }

    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()> {
        self.run(input, output, |_, _| {})
    }
}
