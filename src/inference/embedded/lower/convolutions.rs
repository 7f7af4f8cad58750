//! Convolutions, pooling and normalization.

use std::sync::Arc;

use super::super::kernels::{
    Filtered, HEAD_BLOCKS, LANES, MAX_TAPS, Minimal, Order, Packed, Pooling, Windows, axes, filtered, head_input,
    padded_counts, per_channel, scratch,
};
use super::super::plan::{Head, Kind, Layout, Place, TensorId};
use super::{Lowering, unsupported};
use crate::error::Result;
use crate::model::graph::{Constant, Convolution, Layer, Pool, TransposedConvolution, ValueId};

/// Input channels up to which a convolution reads the plain layout: sixteen-fold blocks would be nearly empty.
const FEW_CHANNELS: usize = 4;

/// Weights from here on, and those that are not finite, are not transformed: sums of them might not be finite.
const LARGEST_WEIGHT: f32 = 1e30;

impl Lowering<'_> {
    /// Depth, height and width of a value.
    fn voxels(&self, value: ValueId) -> Result<[usize; 3]> {
        let extent = self.extent(value)?;
        Ok([extent.depth, extent.height, extent.width])
    }

    pub(super) fn convolution(&mut self, layer: &Layer, op: &Convolution) -> Result<()> {
        let (from, to) = (self.voxels(layer.inputs[0])?, self.voxels(layer.output)?);
        let (inputs, outputs) = (self.extent(layer.inputs[0])?.channels, self.extent(layer.output)?.channels);
        if op.groups > 1 && op.groups == inputs && op.groups == outputs {
            return self.depthwise(layer, op, (from, to));
        }
        let windows = Windows::convolution(op, from, to)?;
        if self.minimal(layer, op, &windows)? {
            return Ok(());
        }
        self.dense(layer, windows, Order::OutputFirst, (outputs, inputs, op.groups))
    }

    /// Makes a step by minimal filtering, where that pays.
    fn minimal(&mut self, layer: &Layer, op: &Convolution, windows: &Windows) -> Result<bool> {
        let (from, to) = (self.extent(layer.inputs[0])?, self.extent(layer.output)?);
        let paired = self.pairs.iter().all(|pairs| pairs.get(layer.output.index()).is_some_and(|&pair| pair));
        let rank = op.kernel.len();
        let single = op.strides.iter().chain(&op.dilations).all(|&n| n == 1);
        let square = rank >= 2 && op.kernel[rank - 2..] == [3, 3] && op.pads_before[rank - 2..].iter().all(|&n| n <= 1);
        if !(paired && single && square && op.groups == 1 && from.channels.is_multiple_of(LANES)) {
            return Ok(false);
        }
        let (depth, pads) = (windows.kernel[0], [op.pads_before[rank - 2], op.pads_before[rank - 1]]);
        let weight = self.operand(layer, 1, to.channels * from.channels * depth * 9)?;
        let bias = if layer.inputs.len() > 2 { Some(self.operand(layer, 2, to.channels)?) } else { None };
        let sizes = (to.channels, from.channels, 1);
        let (inputs, tile_blocks, half) = (from.channels, self.simd.tile_blocks(), self.half);
        let about = Filtered { inputs, depth, pads, to, tile_blocks, half };
        let Some(way) = Minimal::new(&about, self.streams) else { return Ok(false) };
        let stored = weight.data.get();
        if !stored.iter().all(|weight| weight.abs() < LARGEST_WEIGHT) {
            return Ok(false);
        }
        let pack = || pack(&filtered(&stored, depth)?, bias, Order::Filtered, sizes, (tile_blocks, half));
        let weights = self.weights.packed((weight, bias), Order::Filtered, &pack)?;
        let borders = Minimal::borders(pads[1], from.width, to.width);
        let input = self.blocked(layer.inputs[0])?;
        let extent = &mut self.tensors[input].extent;
        (extent.left, extent.right) = (extent.left.max(borders.0), extent.right.max(borders.1));
        let room = self.tensor(&[way.lanes() * LANES], Layout::Plain, Place::Arena(0));
        let gflop = 2e-9 * (weight.data.len() * to.voxels()) as f64;
        let kind = Kind::Convolve {
            windows: windows.clone(),
            weights,
            minimal: Some(Box::new((way, room))),
            turns: None,
            sums: None,
            head: None,
        };
        self.step(layer, kind, layer.inputs[0])?.gflop = gflop;
        Ok(true)
    }

    pub(super) fn transposed_convolution(&mut self, layer: &Layer, op: &TransposedConvolution) -> Result<()> {
        let (from, to) = (self.voxels(layer.inputs[0])?, self.voxels(layer.output)?);
        let (inputs, outputs) = (self.extent(layer.inputs[0])?.channels, self.extent(layer.output)?.channels);
        let windows = Windows::transposed(op, from, to)?;
        self.dense(layer, windows, Order::InputFirst, (outputs, inputs, op.groups))
    }

    fn dense(&mut self, layer: &Layer, windows: Windows, order: Order, sizes: (usize, usize, usize)) -> Result<()> {
        let taps = windows.kernel.iter().product::<usize>();
        if taps > MAX_TAPS {
            return Err(unsupported(format!("a kernel of {taps} taps is more than {MAX_TAPS}")));
        }
        let (outputs, inputs, groups) = sizes;
        if groups == 0 || outputs % groups != 0 || inputs % groups != 0 {
            return Err(unsupported(format!("{groups} groups do not divide the channels")));
        }
        let weight = self.operand(layer, 1, outputs * (inputs / groups) * taps)?;
        let bias = if layer.inputs.len() > 2 { Some(self.operand(layer, 2, outputs)?) } else { None };
        let few = inputs <= FEW_CHANNELS && self.holders[layer.inputs[0].index()].plain.is_some();
        // A kernel of one tap waits for memory, not for products.
        let half = self.half && !few && taps > 1;
        let tile = (self.simd.tile_blocks(), half);
        let weights =
            self.weights.packed((weight, bias), order, &|| pack(&weight.data.get(), bias, order, sizes, tile))?;
        let borders = windows.borders(self.extent(layer.inputs[0])?.width);
        let input = match (few, half) {
            (true, _) => self.bordered(layer.inputs[0], borders)?,
            (false, true) => self.halved(layer.inputs[0])?,
            (false, false) => self.blocked(layer.inputs[0])?,
        };
        let extent = &mut self.tensors[input].extent;
        (extent.left, extent.right) = (extent.left.max(borders.0), extent.right.max(borders.1));
        // Each weight meets every output voxel of a convolution, every input voxel of a transposed one.
        let voxels = self.voxels(if order == Order::OutputFirst { layer.output } else { layer.inputs[0] })?;
        let products = weight.data.len() * voxels.iter().product::<usize>();
        let output = self.buffer(layer.output, Layout::Blocked);
        self.holders[layer.output.index()].blocked = Some(output);
        self.push(
            Some(layer),
            Kind::Convolve { windows, weights, minimal: None, turns: None, sums: None, head: None },
            input,
            output,
        )
        .gflop = 2e-9 * products as f64;
        Ok(())
    }

    /// Joins a convolution of one tap, the last step `index`, to the convolution that alone feeds it, so that what lies
    /// between them is never stored. The joined step is returned.
    pub(super) fn join_head(&mut self, index: usize) -> usize {
        let (input, output) = (self.steps[index].input, self.steps[index].output);
        let (from, to) = (self.tensors[input].extent, self.tensors[output].extent);
        let readers = self.steps.iter().filter(|step| step.input == input || step.other == Some(input)).count();
        let Some(before) = self.steps.iter().position(|step| step.output == input) else { return index };
        let Kind::Convolve { windows, weights, .. } = &self.steps[index].kind else { return index };
        let Kind::Convolve { sums: None, head: None, .. } = &self.steps[before].kind else { return index };
        let pointwise = windows.kernel == [1; 3] && windows.phases.len() == 1 && from.voxels() == to.voxels();
        let fits = self.tensors[input].layout == Layout::Blocked && from.blocks() <= HEAD_BLOCKS;
        if !(pointwise && fits && readers == 1 && self.steps[index].other.is_none() && index + 1 == self.steps.len()) {
            return index;
        }
        let piece = head_input(from.channels);
        let voxels = [piece.depth, piece.height, piece.width];
        let windows = Windows::pointwise(voxels);
        let weights = Arc::clone(weights);
        let Some(last) = self.steps.pop() else { return index };
        let step = &mut self.steps[before];
        step.operator = format!("{}+{}", step.operator, last.operator);
        step.name = format!("{} {}", step.name, last.name);
        step.gflop += last.gflop;
        step.output = output;
        if let Kind::Convolve { head, .. } = &mut step.kind {
            *head = Some(Head { windows, weights, posts: last.posts });
        }
        before
    }

    /// The plain form of a value with room for borders.
    fn bordered(&mut self, value: ValueId, borders: (usize, usize)) -> Result<TensorId> {
        let plain = self.plain(value)?;
        if borders == (0, 0) {
            return Ok(plain);
        }
        if let Some(tensor) = self.holders[value.index()].bordered {
            return Ok(tensor);
        }
        let output = self.buffer(value, Layout::Plain);
        self.push(None, Kind::Border, plain, output);
        self.holders[value.index()].bordered = Some(output);
        Ok(output)
    }

    fn depthwise(&mut self, layer: &Layer, op: &Convolution, (from, to): ([usize; 3], [usize; 3])) -> Result<()> {
        let axes = axes((&op.kernel, &op.strides, &op.dilations, &op.pads_before), from, to)?;
        let taps: usize = op.kernel.iter().product();
        let weight = self.operand(layer, 1, op.groups * taps)?;
        let mut kernel = [1; 3];
        kernel[3 - op.kernel.len()..].copy_from_slice(&op.kernel);
        let mut weights = Vec::new();
        for block in weight.data.get().chunks(LANES * taps) {
            for tap in 0..taps {
                let values: Vec<_> = block.iter().skip(tap).step_by(taps).copied().collect();
                weights.extend(per_channel(&values, 0.0));
            }
        }
        let bias = if layer.inputs.len() > 2 {
            self.operand(layer, 2, op.groups)?.data.get().to_vec()
        } else {
            vec![0.0; op.groups]
        };
        let gflop = 2e-9 * (weight.data.len() * to.iter().product::<usize>()) as f64;
        let pooling = Pooling::Depthwise { weights, bias: per_channel(&bias, 0.0), kernel };
        self.step(layer, Kind::Pool { pooling, axes }, layer.inputs[0])?.gflop = gflop;
        Ok(())
    }

    /// A pooling: the mean when `count_include_pad` says how to count, else the maximum.
    pub(super) fn pool(&mut self, layer: &Layer, op: &Pool, count_include_pad: Option<bool>) -> Result<()> {
        let (from, to) = (self.voxels(layer.inputs[0])?, self.voxels(layer.output)?);
        let axes = axes((&op.kernel, &op.strides, &op.dilations, &op.pads_before), from, to)?;
        let pooling = match count_include_pad {
            None => Pooling::Max,
            Some(true) => Pooling::Mean(padded_counts(op, from, to)?.map(|counts| as_f32(counts.into_iter()))),
            Some(false) => {
                let counts = |a: usize| as_f32((0..to[a]).map(|o| axes[a].taps(o).len()));
                Pooling::Mean([counts(0), counts(1), counts(2)])
            }
        };
        self.step(layer, Kind::Pool { pooling, axes }, layer.inputs[0]).map(drop)
    }

    /// An instance normalization, or a group normalization when there are groups.
    pub(super) fn normalization(&mut self, layer: &Layer, groups: Option<usize>, epsilon: f32) -> Result<()> {
        let extent = self.extent(layer.inputs[0])?;
        let (scale, bias) = (self.shared(layer, 1, extent.channels)?, self.shared(layer, 2, extent.channels)?);
        let scratch = self.tensor(&[scratch(extent) * LANES], Layout::Plain, Place::Arena(0));
        let groups = groups.unwrap_or(extent.channels);
        if groups == 0 || extent.channels % groups != 0 {
            return Err(unsupported(format!("{groups} groups do not divide {} channels", extent.channels)));
        }
        let mut summed = false;
        if let Some(index) = self.producer(layer.inputs[0])
            && let Kind::Convolve { sums, .. } = &mut self.steps[index].kind
        {
            *sums = Some(scratch);
            summed = true;
        }
        let kind = Kind::Normalize { groups, epsilon, scale, bias, scratch, summed };
        self.step(layer, kind, layer.inputs[0]).map(drop)
    }
}

fn pack(
    weight: &[f32],
    bias: Option<&Constant>,
    order: Order,
    sizes: (usize, usize, usize),
    tile: (usize, bool),
) -> Result<Packed> {
    let bias = bias.map(|bias| bias.data.get());
    Packed::new((weight, bias.as_ref().map(|bias| bias.as_slice())), order, sizes, tile)
}

/// Counts as divisors.
fn as_f32(counts: impl Iterator<Item = usize>) -> Vec<f32> {
    counts.map(|count| count as f32).collect()
}
