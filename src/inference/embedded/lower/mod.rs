//! Layers to steps: which kernel runs a layer, in which layout, and what is joined to the step before.

mod convolutions;
mod elementwise;
mod shapes;

pub(super) use shapes::{pad_maps, slice_maps};

use std::collections::BTreeSet;
use std::sync::Arc;

use super::generic;
use super::kernels::{Extent, Order, Packed, Post, Simd};
use super::memory;
use super::plan::{Kind, Layout, Place, Plan, Step, Tensor, TensorId};
use crate::error::{Error, Result};
use crate::model::graph::{Constant, Layer, Network, Op, ValueId};

/// Where packed weights are kept between plans.
pub(super) trait PackedWeights {
    /// The packed form of weights and biases, made by `pack` when it is not there yet.
    ///
    /// # Errors
    /// What `pack` returns.
    fn packed(
        &self,
        constants: (&Constant, Option<&Constant>),
        order: Order,
        pack: &dyn Fn() -> Result<Packed>,
    ) -> Result<Arc<Packed>>;
}

/// Tensors that hold a value.
#[derive(Debug, Default, Clone, Copy)]
struct Holders {
    blocked: Option<TensorId>,
    plain: Option<TensorId>,
    bordered: Option<TensorId>,
    half: Option<TensorId>,
}

/// A plan in the making.
struct Lowering<'a> {
    network: &'a Network,
    simd: Simd,
    /// Convolutions multiply bfloat16.
    half: bool,
    weights: &'a dyn PackedWeights,
    tensors: Vec<Tensor>,
    steps: Vec<Step>,
    holders: Vec<Holders>,
    /// How often a value is read, as an output too.
    uses: Vec<usize>,
    /// Convolutions that run side by side at most.
    streams: usize,
    /// Per value, whether pairs of rows and pairs of columns are the same in tiles as in the whole.
    pairs: [Vec<bool>; 2],
}

/// Plans the first output of a network of one input and batch 1.
///
/// # Errors
/// [`crate::ErrorKind::Model`] in one sentence that names operator and node when there is no kernel for it.
pub(super) fn plan(
    network: &Network,
    (simd, half, streams): (Simd, bool, usize),
    weights: &dyn PackedWeights,
) -> Result<Plan> {
    let (&[input], Some(&output)) = (network.inputs.as_slice(), network.outputs.first()) else {
        return Err(unsupported(format!("the network has {} inputs", network.inputs.len())));
    };
    let layers = needed(network, output);
    let mut uses = vec![0; network.values.len()];
    for id in layers.iter().flat_map(|layer| &layer.inputs).chain([&output]) {
        uses[id.index()] += 1;
    }
    let holders = vec![Holders::default(); network.values.len()];
    let rank = network.shape(input).len();
    let pairs = [2, 1].map(|axis| if rank > 3 { network.even_shifts(rank - axis) } else { Vec::new() });
    let (tensors, steps) = Default::default();
    let mut lowering = Lowering { network, simd, half, weights, tensors, steps, holders, uses, streams, pairs };
    let tensor = lowering.tensor(network.shape(input), Layout::Plain, Place::Input);
    lowering.holders[input.index()].plain = Some(tensor);
    for layer in layers {
        lowering.layer(layer).map_err(|e| named(e, layer))?;
    }
    lowering.deliver(output)?;
    let Lowering { mut tensors, mut steps, .. } = lowering;
    let arena = memory::assign(&mut tensors, &mut steps);
    Ok(Plan { tensors, steps, arena, output_shape: network.shape(output).to_vec() })
}

/// The layers that an output depends on, in order.
fn needed(network: &Network, output: ValueId) -> Vec<&Layer> {
    let mut wanted = BTreeSet::from([output]);
    let mut layers: Vec<_> = network
        .layers
        .iter()
        .rev()
        .filter(|layer| {
            let needed = wanted.contains(&layer.output);
            if needed {
                wanted.extend(&layer.inputs);
            }
            needed
        })
        .collect();
    layers.reverse();
    layers
}

/// True when a network for a batch does to each sample what the network for one sample does.
pub(super) fn samples_apart(one: &Network, all: &Network) -> bool {
    let mut made: BTreeSet<_> = one.inputs.iter().copied().collect();
    let batch = all.inputs.first().and_then(|&id| all.shape(id).first());
    one.layers.len() == all.layers.len()
        && one.layers.iter().zip(&all.layers).all(|(a, b)| {
            if !a.inputs.iter().any(|input| made.contains(input)) {
                return true;
            }
            made.insert(a.output);
            let (single, several) = (one.shape(a.output), all.shape(b.output));
            let alike = several.first() == batch && single.first() == Some(&1) && single.get(1..) == several.get(1..);
            alike && keeps_samples(&a.op)
        })
}

/// False for operations along the axis of the samples.
fn keeps_samples(op: &Op) -> bool {
    match op {
        Op::Softmax { axis, .. } | Op::Concat { axis } | Op::ArgMax { axis } => *axis != 0,
        Op::LayerNormalization { axis, .. } => *axis != 0,
        Op::Reduce { axes, .. } => !axes.contains(&0),
        Op::Transpose { permutation } => permutation.first() == Some(&0),
        Op::Slice { starts, steps } => starts.first() == Some(&0) && steps.first() == Some(&1),
        _ => true,
    }
}

/// An error that sends the user to the reference engine.
pub(super) fn unsupported(what: impl Into<String>) -> Error {
    Error::model(what).hint("run it with --engine onnxruntime")
}

fn named(error: Error, layer: &Layer) -> Error {
    let message = format!("{} ({}): {}", operator(&layer.op), layer.name, error.message());
    let named = Error::new(error.kind(), message);
    match error.advice() {
        Some(hint) => named.hint(hint),
        None => named,
    }
}

/// The operator's name in a message or a profile.
pub(super) fn operator(op: &Op) -> String {
    let text = format!("{op:?}");
    let name = text.split(['(', ' ', '{']).next().unwrap_or_default();
    match op {
        Op::Activation(function) => operator_of(&format!("{function:?}")),
        Op::Unary(function) => format!("{function:?}"),
        Op::Binary(function) => format!("{function:?}"),
        _ => name.to_owned(),
    }
}

fn operator_of(text: &str) -> String {
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

impl<'a> Lowering<'a> {
    fn layer(&mut self, layer: &Layer) -> Result<()> {
        match &layer.op {
            Op::Convolution(op) => self.convolution(layer, op),
            Op::TransposedConvolution(op) => self.transposed_convolution(layer, op),
            Op::MaxPool(pool) => self.pool(layer, pool, None),
            Op::AveragePool { pool, count_include_pad } => self.pool(layer, pool, Some(*count_include_pad)),
            Op::InstanceNormalization { epsilon } => self.normalization(layer, None, *epsilon),
            Op::GroupNormalization { groups, epsilon } => self.normalization(layer, Some(*groups), *epsilon),
            Op::ChannelAffine | Op::Activation(_) | Op::Unary(_) | Op::PRelu | Op::Binary(_) => self.elementwise(layer),
            Op::Softmax { axis: 1, log } if self.spatial(layer.output) => {
                self.step(layer, Kind::Softmax { log: *log }, layer.inputs[0]).map(drop)
            }
            Op::Concat { axis: 1 } if self.spatial(layer.output) => self.concat(layer),
            Op::Slice { .. } | Op::Pad { .. } if self.spatial(layer.output) => self.take(layer),
            Op::Resize(op) => self.resize(layer, op),
            Op::Identity => {
                self.holders[layer.output.index()] = self.holders[layer.inputs[0].index()];
                self.uses[layer.output.index()] += self.uses[layer.inputs[0].index()];
                Ok(())
            }
            _ => self.generic(layer),
        }
    }

    /// True for `[1, C, (D,) (H,) W]`.
    fn spatial(&self, value: ValueId) -> bool {
        Extent::new(self.network.shape(value)).is_some()
    }

    fn extent(&self, value: ValueId) -> Result<Extent> {
        let shape = self.network.shape(value);
        Extent::new(shape).ok_or_else(|| unsupported(format!("a tensor of shape {shape:?} is not supported here")))
    }

    fn constant(&self, value: ValueId) -> Option<&'a Constant> {
        self.network.constants.get(&value)
    }

    /// The constant operand at `index` of a layer, of `len` values: kernels rely on that.
    fn operand(&self, layer: &Layer, index: usize, len: usize) -> Result<&'a Constant> {
        let constant = layer.inputs.get(index).and_then(|&id| self.constant(id));
        let constant = constant.ok_or_else(|| unsupported(format!("operand {index} is not a constant")))?;
        if constant.data.len() == len {
            return Ok(constant);
        }
        Err(Error::model(format!("operand {index} holds {} values, not {len}", constant.data.len())))
    }

    fn tensor(&mut self, shape: &[usize], layout: Layout, place: Place) -> TensorId {
        let row = |width| Extent { channels: 1, depth: 1, height: 1, width, left: 0, right: 0, spare: 0 };
        let extent = Extent::new(shape).unwrap_or_else(|| row(shape.iter().product()));
        self.tensors.push(Tensor { shape: shape.to_vec(), layout, extent, place });
        self.tensors.len() - 1
    }

    /// A tensor of the arena for a value.
    fn buffer(&mut self, value: ValueId, layout: Layout) -> TensorId {
        let network = self.network;
        self.tensor(network.shape(value), layout, Place::Arena(0))
    }

    fn push(&mut self, layer: Option<&Layer>, kind: Kind, input: TensorId, output: TensorId) -> &mut Step {
        let (name, operator) = match layer {
            Some(layer) => (layer.name.clone(), operator(&layer.op)),
            None => (String::new(), "Reorder".to_owned()),
        };
        let index = self.steps.len();
        let posts = Vec::new();
        let step = Step { name, operator, kind, input, other: None, output, posts, in_place: false, gflop: 0.0 };
        self.steps.push(step);
        &mut self.steps[index]
    }

    /// A step from the blocked form of `input` to a new blocked tensor for the layer's output.
    fn step(&mut self, layer: &Layer, kind: Kind, input: ValueId) -> Result<&mut Step> {
        let input = self.blocked(input)?;
        let output = self.buffer(layer.output, Layout::Blocked);
        self.holders[layer.output.index()].blocked = Some(output);
        Ok(self.push(Some(layer), kind, input, output))
    }

    /// The value in blocks of channels.
    fn blocked(&mut self, value: ValueId) -> Result<TensorId> {
        if let Some(tensor) = self.holders[value.index()].blocked {
            return Ok(tensor);
        }
        self.extent(value)?;
        let input = self.plain(value)?;
        let output = self.buffer(value, Layout::Blocked);
        self.push(None, Kind::ToBlocked, input, output);
        self.holders[value.index()].blocked = Some(output);
        Ok(output)
    }

    /// The value in blocks of channels, rounded to bfloat16.
    fn halved(&mut self, value: ValueId) -> Result<TensorId> {
        if let Some(tensor) = self.holders[value.index()].half {
            return Ok(tensor);
        }
        let input = self.blocked(value)?;
        let output = self.buffer(value, Layout::Half);
        self.push(None, Kind::ToHalf, input, output);
        self.holders[value.index()].half = Some(output);
        Ok(output)
    }

    /// The value row by row.
    fn plain(&mut self, value: ValueId) -> Result<TensorId> {
        let holders = self.holders[value.index()];
        if let Some(tensor) = holders.plain {
            return Ok(tensor);
        }
        let output = if let Some(input) = holders.blocked {
            let output = self.buffer(value, Layout::Plain);
            self.push(None, Kind::ToPlain, input, output);
            output
        } else {
            let network = self.network;
            let constant = self.constant(value).ok_or_else(|| Error::internal("a value is read before it is made"))?;
            let place = Place::Constant(constant.data.get());
            self.tensor(network.shape(value), Layout::Plain, place)
        };
        self.holders[value.index()].plain = Some(output);
        Ok(output)
    }

    /// The last step, when it alone makes the blocked form of `value` and nothing else reads that.
    fn producer(&self, value: ValueId) -> Option<usize> {
        let tensor = self.holders[value.index()].blocked.filter(|_| self.uses[value.index()] == 1)?;
        let index = self.steps.iter().rposition(|step| step.output == tensor)?;
        let joins = !matches!(
            self.steps[index].kind,
            Kind::CopyChannels { .. } | Kind::ToPlain | Kind::ToHalf | Kind::Border | Kind::Generic(_)
        );
        let read = self.steps.iter().any(|step| step.input == tensor || step.other == Some(tensor));
        (joins && !read).then_some(index)
    }

    /// Brings the output into the caller's memory.
    fn deliver(&mut self, output: ValueId) -> Result<()> {
        let shape = self.network.shape(output).to_vec();
        if let Some(index) = self.producer(output).filter(|&i| matches!(self.steps[i].kind, Kind::Convolve { .. })) {
            let index = self.join_head(index);
            let tensor = self.steps[index].output;
            self.tensors[tensor].layout = Layout::Plain;
            self.tensors[tensor].place = Place::Output;
            return Ok(());
        }
        let to = self.tensor(&shape, Layout::Plain, Place::Output);
        if let Some(blocked) = self.holders[output.index()].blocked {
            self.push(None, Kind::ToPlain, blocked, to);
        } else {
            let from = self.plain(output)?;
            self.push(None, Kind::Generic(generic::Generic::copy(&shape)), from, to);
        }
        Ok(())
    }

    /// Joins an operation to the step that makes `value`, or makes a step of it.
    fn join(&mut self, layer: &Layer, value: ValueId, post: Post) -> Result<()> {
        if let Some(index) = self.producer(value) {
            let step = &mut self.steps[index];
            step.posts.push(post);
            step.operator = format!("{}+{}", step.operator, operator(&layer.op));
            self.holders[layer.output.index()].blocked = self.holders[value.index()].blocked;
            return Ok(());
        }
        self.step(layer, Kind::Elementwise, value)?.posts.push(post);
        Ok(())
    }

    /// As [`Lowering::operand`], for the lifetime of a plan.
    fn shared(&self, layer: &Layer, index: usize, len: usize) -> Result<Arc<Vec<f32>>> {
        Ok(self.operand(layer, index, len)?.data.get())
    }
}
