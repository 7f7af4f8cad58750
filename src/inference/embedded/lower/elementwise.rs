//! Operations value by value.

use super::super::kernels::{Post, per_channel};
use super::super::plan::Kind;
use super::Lowering;
use crate::error::Result;
use crate::model::graph::{Binary, Constant, Layer, Op, ValueId};

impl Lowering<'_> {
    pub(super) fn elementwise(&mut self, layer: &Layer) -> Result<()> {
        if !self.spatial(layer.output) {
            return self.generic(layer);
        }
        let input = layer.inputs[0];
        match &layer.op {
            Op::Activation(function) => self.join(layer, input, Post::Activation(*function)),
            Op::Unary(function) => self.join(layer, input, Post::Unary(*function)),
            Op::PRelu => match self.constant(layer.inputs[1]).and_then(|c| self.channel_values(c, layer.output)) {
                Some(slopes) => self.join(layer, input, Post::Slope(per_channel(&slopes, 0.0))),
                None => self.generic(layer),
            },
            Op::Binary(binary) => self.binary(layer, *binary),
            _ => {
                let channels = self.network.shape(layer.output)[1];
                let (scale, shift) = (self.shared(layer, 1, channels)?, self.shared(layer, 2, channels)?);
                let post = Post::Affine { scale: per_channel(&scale, 0.0), shift: per_channel(&shift, 0.0) };
                self.join(layer, input, post)
            }
        }
    }

    /// A constant with one value per channel or one for all, as one per channel of `value`.
    fn channel_values(&self, constant: &Constant, value: ValueId) -> Option<Vec<f32>> {
        let shape = self.network.shape(value);
        let channels = shape[1];
        let values = constant.data.get();
        if let [single] = values[..] {
            return Some(vec![single; channels]);
        }
        let offset = shape.len().checked_sub(constant.shape.len())?;
        let fits =
            constant.shape.iter().enumerate().all(|(axis, &n)| n == if axis + offset == 1 { channels } else { 1 });
        fits.then(|| values.to_vec())
    }

    fn binary(&mut self, layer: &Layer, binary: Binary) -> Result<()> {
        let [a, b] = [layer.inputs[0], layer.inputs[1]];
        for (value, constant, reversed) in [(a, b, false), (b, a, true)] {
            let Some(stored) = self.constant(constant) else { continue };
            if self.constant(value).is_some() || self.network.shape(value) != self.network.shape(layer.output) {
                continue;
            }
            return match self.channel_values(stored, layer.output) {
                Some(values) => {
                    let values = per_channel(&values, 1.0);
                    self.join(layer, value, Post::Constant { binary, values, reversed })
                }
                None => self.generic(layer),
            };
        }
        let is_stored = |id| self.constant(id).is_some();
        if is_stored(a) || is_stored(b) {
            return self.generic(layer);
        }
        // The operand that is made last takes the other one into its step, if it has the shape of the result.
        let position = |this: &Self, id: ValueId| this.producer(id).map_or(-1, |index| index as isize);
        let mut order = [(a, b, false), (b, a, true)];
        order.sort_by_key(|&(value, ..)| -position(self, value));
        for (value, other, reversed) in order {
            if self.network.shape(value) == self.network.shape(layer.output) && self.broadcasts(other, layer.output) {
                return self.combine(layer, (value, other), binary, reversed);
            }
        }
        self.generic(layer)
    }

    /// True when `value` has the shape of `result`, or one channel, or one voxel.
    fn broadcasts(&self, value: ValueId, result: ValueId) -> bool {
        let (Ok(from), Ok(to)) = (self.extent(value), self.extent(result)) else { return false };
        let same_voxels = (from.depth, from.height, from.width) == (to.depth, to.height, to.width);
        let same_rank = self.network.shape(value).len() == self.network.shape(result).len();
        let fits = (from.channels == to.channels || from.channels == 1) && (same_voxels || from.voxels() == 1);
        same_rank && fits
    }

    fn combine(&mut self, layer: &Layer, values: (ValueId, ValueId), binary: Binary, reversed: bool) -> Result<()> {
        let (value, other) = values;
        if value != other {
            if self.add_taken(layer, values, binary)? {
                return Ok(());
            }
            let made = self.blocked(other)?;
            let before = |index: usize| !self.steps[index..].iter().any(|step| step.output == made);
            if let Some(index) = self.producer(value).filter(|&i| self.steps[i].other.is_none() && before(i)) {
                self.steps[index].other = Some(made);
                return self.join(layer, value, Post::Tensor { binary, reversed });
            }
        }
        let other = self.blocked(other)?;
        let step = self.step(layer, Kind::Elementwise, value)?;
        step.other = Some(other);
        step.posts.push(Post::Tensor { binary, reversed });
        Ok(())
    }

    /// Adds voxels that were only repeated or moved for this sum to the other operand directly.
    fn add_taken(&mut self, layer: &Layer, (value, other): (ValueId, ValueId), binary: Binary) -> Result<bool> {
        let same = self.network.shape(value) == self.network.shape(other);
        let Some(index) = self.producer(value).filter(|_| binary == Binary::Add && same) else { return Ok(false) };
        let Kind::Take { maps, .. } = &self.steps[index].kind else { return Ok(false) };
        let complete = maps.iter().flatten().all(Option::is_some);
        if !complete || !self.steps[index].posts.is_empty() {
            return Ok(false);
        }
        let maps = maps.clone();
        let taken = self.steps.remove(index);
        let step = self.step(layer, Kind::AddTaken { maps }, other)?;
        step.other = Some(taken.input);
        step.operator = format!("{}+{}", taken.operator, step.operator);
        Ok(true)
    }
}
