//! Concatenation, crops, padding, resizing, and the way to generic operations.

use super::super::generic::Generic;
use super::super::kernels::{AxisMap, Neighbors};
use super::super::plan::{Kind, Layout};
use super::{Lowering, unsupported};
use crate::error::Result;
use crate::model::graph::{Layer, NearestMode, Op, PadMode, Resize, ResizeMode};

/// Maps of `[D, H, W]` from those of the spatial axes that exist.
fn three<T: Clone>(values: Vec<T>, missing: T) -> [T; 3] {
    let skip = 3 - values.len().min(3);
    std::array::from_fn(|a| if a < skip { missing.clone() } else { values[a - skip].clone() })
}

impl Lowering<'_> {
    pub(super) fn concat(&mut self, layer: &Layer) -> Result<()> {
        let output = self.buffer(layer.output, Layout::Blocked);
        let mut first = 0;
        for &part in &layer.inputs {
            let input = self.blocked(part)?;
            self.push(Some(layer), Kind::CopyChannels { first }, input, output);
            first += self.extent(part)?.channels;
        }
        self.holders[layer.output.index()].blocked = Some(output);
        Ok(())
    }

    /// A crop, a flip or a padding of the spatial axes.
    pub(super) fn take(&mut self, layer: &Layer) -> Result<()> {
        let network = self.network;
        let (from, to) = (network.shape(layer.inputs[0]), network.shape(layer.output));
        let (maps, fill) = match &layer.op {
            Op::Slice { starts, steps } => (slice_maps(to, starts, steps), 0.0),
            Op::Pad { before, mode, .. } => {
                let fill = if let PadMode::Constant(value) = mode { *value } else { 0.0 };
                (pad_maps(from, to, before, *mode), fill)
            }
            _ => return self.generic(layer),
        };
        let outer = |axis: usize| maps[axis].iter().enumerate().all(|(o, &i)| i == Some(o));
        if from.len() != to.len() || from[1] != to[1] || !(outer(0) && outer(1)) {
            return self.generic(layer);
        }
        let maps = three(maps[2..].to_vec(), vec![Some(0)]);
        self.step(layer, Kind::Take { maps, fill }, layer.inputs[0]).map(drop)
    }

    pub(super) fn resize(&mut self, layer: &Layer, op: &Resize) -> Result<()> {
        let network = self.network;
        let (from, to) = (network.shape(layer.inputs[0]), network.shape(layer.output));
        if !self.spatial(layer.output) || from[1] != to[1] {
            return Err(unsupported("only spatial axes can be resized"));
        }
        let coordinates = |axis: usize| {
            (0..to[axis]).map(move |o| op.coordinates.coordinate(o, op.scales[axis], (from[axis], to[axis])))
        };
        let kind = match op.mode {
            ResizeMode::Nearest(rounding) => {
                let map = |axis: usize| -> AxisMap {
                    coordinates(axis).map(|x| Some(nearest(rounding, x, from[axis]))).collect()
                };
                Kind::Take { maps: three((2..to.len()).map(map).collect(), vec![Some(0)]), fill: 0.0 }
            }
            ResizeMode::Linear => {
                let axis = |axis: usize| -> Neighbors { coordinates(axis).map(|x| linear(x, from[axis])).collect() };
                Kind::Interpolate { axes: three((2..to.len()).map(axis).collect(), vec![(0, 0, 0.0)]) }
            }
            ResizeMode::Cubic(a) => {
                let axis = |axis: usize| coordinates(axis).map(|x| cubic(a, x, from[axis])).collect();
                let same = vec![[(0, 1.0), (0, 0.0), (0, 0.0), (0, 0.0)]];
                Kind::InterpolateCubic { axes: three((2..to.len()).map(axis).collect(), same) }
            }
        };
        self.step(layer, kind, layer.inputs[0]).map(drop)
    }

    /// A layer on plain tensors.
    pub(super) fn generic(&mut self, layer: &Layer) -> Result<()> {
        let output = self.buffer(layer.output, Layout::Plain);
        if let Op::Concat { axis } = layer.op {
            let mut first = 0;
            for &part in &layer.inputs {
                let input = self.plain(part)?;
                let shape = self.network.shape(part);
                let kind = Generic::part(shape, self.network.shape(layer.output), axis, first);
                self.push(Some(layer), Kind::Generic(kind), input, output);
                first += shape[axis];
            }
        } else {
            let kind = Generic::new(layer, self.network)?;
            let input = self.plain(layer.inputs[0])?;
            let other = match layer.op {
                Op::Binary(_) | Op::MatMul | Op::PRelu => Some(self.plain(layer.inputs[1])?),
                _ => None,
            };
            self.push(Some(layer), Kind::Generic(kind), input, output).other = other;
        }
        self.holders[layer.output.index()].plain = Some(output);
        Ok(())
    }
}

/// Input index per output index and axis of a slice.
#[expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "indices inside a tensor, as the graph checked")]
pub(in super::super) fn slice_maps(to: &[usize], starts: &[usize], steps: &[isize]) -> Vec<AxisMap> {
    let map = |(axis, &n): (usize, &usize)| {
        (0..n).map(|o| Some((starts[axis] as isize + o as isize * steps[axis]) as usize)).collect()
    };
    to.iter().enumerate().map(map).collect()
}

/// Input index per output index and axis of a padding.
#[expect(clippy::cast_possible_wrap, reason = "sizes of tensors that fit in memory")]
pub(in super::super) fn pad_maps(from: &[usize], to: &[usize], before: &[isize], mode: PadMode) -> Vec<AxisMap> {
    let index = |axis: usize, o: usize| {
        let (i, n) = (o as isize - before[axis], from[axis] as isize);
        let inside = match mode {
            PadMode::Constant(_) => i,
            PadMode::Edge => i.clamp(0, n - 1),
            PadMode::Wrap => i.rem_euclid(n.max(1)),
            PadMode::Reflect => {
                let period = (2 * (n - 1)).max(1);
                let folded = i.rem_euclid(period);
                folded.min(period - folded).min(n - 1)
            }
        };
        usize::try_from(inside).ok().filter(|&i| i < from[axis])
    };
    to.iter().enumerate().map(|(axis, &n)| (0..n).map(|o| index(axis, o)).collect()).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
fn nearest(mode: NearestMode, x: f32, n: usize) -> usize {
    (mode.round(x).max(0.0) as usize).min(n - 1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
fn linear(x: f32, n: usize) -> (usize, usize, f32) {
    let x = x.clamp(0.0, (n - 1) as f32);
    let first = x.floor();
    (first as usize, (first as usize + 1).min(n - 1), x - first)
}

/// Neighbors and weights of cubic convolution with coefficient `a` (Keys, IEEE Transactions on Acoustics, Speech, and
/// Signal Processing 29 (1981) 1153); neighbors beyond the border are the border.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
fn cubic(a: f32, x: f32, n: usize) -> [(usize, f32); 4] {
    let (first, t) = (x.floor(), x - x.floor());
    let near = |s: f32| ((a + 2.0) * s - (a + 3.0)) * s * s + 1.0;
    let far = |s: f32| ((a * s - 5.0 * a) * s + 8.0 * a) * s - 4.0 * a;
    let weights = [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)];
    std::array::from_fn(|i| ((first + i as f32 - 1.0).clamp(0.0, (n - 1) as f32) as usize, weights[i]))
}
