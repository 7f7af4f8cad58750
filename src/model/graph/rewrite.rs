//! Patterns that exporters spell in several nodes become one layer; layers that nobody needs go.

use std::collections::BTreeSet;

use super::function::{Activation, Binary, Unary};
use super::network::{Constant, Layer, Network, Value, ValueId};
use super::op::{Op, PadMode};

/// Rewrites `network` in place.
pub(super) fn rewrite(network: &mut Network) {
    let mut patterns = Patterns::new(network);
    for index in 0..patterns.network.layers.len() {
        patterns.gelu(index);
        patterns.swish(index);
        patterns.group_normalization(index);
        patterns.padding(index);
    }
    prune(network);
}

/// Drops layers, constants and values that no output needs.
fn prune(network: &mut Network) {
    let mut needed: BTreeSet<ValueId> = network.outputs.iter().copied().collect();
    for layer in network.layers.iter().rev() {
        if needed.contains(&layer.output) {
            needed.extend(&layer.inputs);
        }
    }
    network.layers.retain(|layer| needed.contains(&layer.output));
    network.constants.retain(|id, _| needed.contains(id));
    needed.extend(&network.inputs);
    for (index, value) in (0..).zip(&mut network.values) {
        if !needed.contains(&ValueId::new(index)) {
            *value = Value { name: String::new(), shape: Vec::new() };
        }
    }
}

/// A network with who writes and who reads each value. Layers are replaced in place, never moved.
struct Patterns<'a> {
    network: &'a mut Network,
    writer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
}

impl<'a> Patterns<'a> {
    fn new(network: &'a mut Network) -> Self {
        let mut writer = vec![None; network.values.len()];
        let mut readers = vec![Vec::new(); network.values.len()];
        for (index, layer) in network.layers.iter().enumerate() {
            writer[layer.output.index()] = Some(index);
            layer.inputs.iter().for_each(|id| readers[id.index()].push(index));
        }
        Self { network, writer, readers }
    }

    fn source(&self, id: ValueId) -> Option<&Layer> {
        self.writer.get(id.index()).copied().flatten().map(|index| &self.network.layers[index])
    }

    /// The only reader of a value that is no output.
    fn reader(&self, id: ValueId) -> Option<usize> {
        match self.readers[id.index()].as_slice() {
            [index] if !self.network.outputs.contains(&id) => Some(*index),
            _ => None,
        }
    }

    /// True when `id` is a single stored number close to `value`.
    fn is_number(&self, id: ValueId, value: f32) -> bool {
        let single = self.network.constants.get(&id).filter(|constant| constant.data.len() == 1);
        single.is_some_and(|constant| (constant.data.get()[0] - value).abs() <= 1e-6 * value.abs())
    }

    /// The other operand of a layer that applies `function` to `id`.
    fn partner(&self, index: usize, function: Binary, id: ValueId) -> Option<ValueId> {
        match &self.network.layers[index] {
            Layer { op: Op::Binary(f), inputs, .. } if *f == function => match inputs.as_slice() {
                [a, b] if *a == id && *b != id => Some(*b),
                [a, b] if *b == id && *a != id => Some(*a),
                _ => None,
            },
            _ => None,
        }
    }

    /// The operand x of a layer that computes `x * value` in either order.
    fn multiplied(&self, id: ValueId, value: f32) -> Option<ValueId> {
        let layer = self.source(id).filter(|layer| layer.op == Op::Binary(Binary::Mul))?;
        match layer.inputs.as_slice() {
            [x, c] if self.is_number(*c, value) => Some(*x),
            [c, x] if self.is_number(*c, value) => Some(*x),
            _ => None,
        }
    }

    /// `x / 2 (1 + erf(x / sqrt 2))`, the product in any order.
    fn gelu(&mut self, index: usize) {
        if let Some((last, x)) = self.find_gelu(index) {
            let shape = &self.network.values[self.network.layers[last].output.index()].shape;
            if *shape == self.network.values[x.index()].shape {
                self.replace(last, Op::Activation(Activation::Gelu), vec![x]);
            }
        }
    }

    fn find_gelu(&self, index: usize) -> Option<(usize, ValueId)> {
        use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
        let erf = &self.network.layers[index];
        if erf.op != Op::Unary(Unary::Erf) {
            return None;
        }
        let argument = self.source(erf.inputs[0])?;
        let x = match (&argument.op, argument.inputs.as_slice()) {
            (Op::Binary(Binary::Div), [x, c]) if self.is_number(*c, SQRT_2) => *x,
            _ => self.multiplied(erf.inputs[0], FRAC_1_SQRT_2)?,
        };
        let sum = self.reader(erf.output)?;
        if !self.is_number(self.partner(sum, Binary::Add, erf.output)?, 1.0) {
            return None;
        }
        let mut value = self.network.layers[sum].output;
        let (mut has_x, mut has_half) = (false, false);
        loop {
            let product = self.reader(value)?;
            let other = self.partner(product, Binary::Mul, value)?;
            if other == x && !has_x {
                has_x = true;
            } else if self.is_number(other, 0.5) && !has_half {
                has_half = true;
            } else if self.multiplied(other, 0.5) == Some(x) && !has_x && !has_half {
                (has_x, has_half) = (true, true);
            } else {
                return None;
            }
            if has_x && has_half {
                return Some((product, x));
            }
            value = self.network.layers[product].output;
        }
    }

    /// `x sigmoid(x)`.
    fn swish(&mut self, index: usize) {
        let layer = &self.network.layers[index];
        if layer.op != Op::Activation(Activation::Sigmoid) {
            return;
        }
        let x = layer.inputs[0];
        let product = self.reader(layer.output);
        let product = product.filter(|&next| self.partner(next, Binary::Mul, layer.output) == Some(x));
        if let Some(product) = product {
            self.replace(product, Op::Activation(Activation::Swish { alpha: 1.0 }), vec![x]);
        }
    }

    /// Reshape to groups, instance normalization, reshape back, scale and shift per channel.
    fn group_normalization(&mut self, index: usize) {
        let Some((mut last, x, groups, epsilon)) = self.find_grouped(index) else { return };
        let shape = self.network.values[x.index()].shape.clone();
        let mut parameters = [None; 2];
        for (slot, function) in parameters.iter_mut().zip([Binary::Mul, Binary::Add]) {
            let output = self.network.layers[last].output;
            let next = self.reader(output);
            let partner = next.and_then(|next| self.partner(next, function, output));
            if let (Some(next), Some(id)) = (next, partner.filter(|id| self.is_per_channel(*id, &shape))) {
                (*slot, last) = (Some(id), next);
            }
        }
        let [scale, bias] = parameters;
        let scale = scale.or_else(|| self.constant(vec![1.0; shape[1]]));
        let bias = bias.or_else(|| self.constant(vec![0.0; shape[1]]));
        if let (Some(scale), Some(bias)) = (scale, bias) {
            self.replace(last, Op::GroupNormalization { groups, epsilon }, vec![x, scale, bias]);
        }
    }

    /// The second reshape, x, groups and epsilon of an instance normalization (the layer at `index`) over groups.
    fn find_grouped(&self, index: usize) -> Option<(usize, ValueId, usize, f32)> {
        let norm = &self.network.layers[index];
        let Op::InstanceNormalization { epsilon } = norm.op else { return None };
        let split = self.source(norm.inputs[0]).filter(|layer| layer.op == Op::Reshape)?;
        let back = self.reader(norm.output).filter(|&next| self.network.layers[next].op == Op::Reshape)?;
        let x = split.inputs[0];
        let shape = self.network.shape(x);
        let grouped = self.network.shape(split.output);
        let fits = shape.len() > 2
            && self.network.shape(self.network.layers[back].output) == shape
            && grouped[0] == shape[0]
            && shape[1].is_multiple_of(grouped[1]);
        let all = |id: ValueId, value: f32| {
            self.network.constants.get(&id).is_some_and(|c| c.data.get().iter().all(|&v| v == value))
        };
        (fits && all(norm.inputs[1], 1.0) && all(norm.inputs[2], 0.0)).then_some((back, x, grouped[1], epsilon))
    }

    /// True when `id` is a constant of one value per channel of a tensor of `shape`.
    fn is_per_channel(&self, id: ValueId, shape: &[usize]) -> bool {
        self.network.constants.get(&id).is_some_and(|constant| {
            let missing = shape.len().saturating_sub(constant.shape.len());
            let own = |axis: usize| axis.checked_sub(missing).map_or(1, |own| constant.shape[own]);
            constant.shape.len() <= shape.len() && (0..shape.len()).all(|a| own(a) == if a == 1 { shape[1] } else { 1 })
        })
    }

    /// Zeros put around a tensor that only a convolution reads become its pads.
    fn padding(&mut self, index: usize) {
        let layer = &self.network.layers[index];
        let Op::Pad { before, after, mode: PadMode::Constant(0.0) } = &layer.op else { return };
        let outside =
            |pads: &[isize]| pads[..2.min(pads.len())].iter().any(|&pad| pad != 0) || pads.iter().any(|&pad| pad < 0);
        let (x, Some(next)) = (layer.inputs[0], self.reader(layer.output)) else { return };
        let Op::Convolution(convolution) = &self.network.layers[next].op else { return };
        if outside(before) || outside(after) || self.network.layers[next].inputs[0] != layer.output {
            return;
        }
        let mut convolution = convolution.clone();
        for axis in 0..convolution.kernel.len() {
            convolution.pads_before[axis] += before[axis + 2].unsigned_abs();
            convolution.pads_after[axis] += after[axis + 2].unsigned_abs();
        }
        let mut inputs = self.network.layers[next].inputs.clone();
        inputs[0] = x;
        self.replace(next, Op::Convolution(convolution), inputs);
    }

    fn constant(&mut self, values: Vec<f32>) -> Option<ValueId> {
        let id = ValueId::new(u32::try_from(self.network.values.len()).ok()?);
        let shape = vec![values.len()];
        self.network.values.push(Value { name: "constant".to_owned(), shape: shape.clone() });
        self.network.constants.insert(id, Constant { shape, data: values.into() });
        self.writer.push(None);
        self.readers.push(Vec::new());
        Some(id)
    }

    /// Gives the layer at `index` another operation and other operands.
    fn replace(&mut self, index: usize, op: Op, inputs: Vec<ValueId>) {
        let layer = &mut self.network.layers[index];
        for id in std::mem::replace(&mut layer.inputs, inputs) {
            self.readers[id.index()].retain(|&reader| reader != index);
        }
        layer.op = op;
        for id in layer.inputs.clone() {
            self.readers[id.index()].push(index);
        }
    }
}
