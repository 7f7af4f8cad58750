//! Operations on values in place, run on each row while it is in the cache: activations, normalization, residuals.

use super::lanes::{Extent, LANES, Lanes};
use super::math;
use super::simd::{Simd, versions};
use crate::model::graph::{Activation, Binary, Unary};

/// One operation in place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Post {
    /// An activation function.
    Activation(Activation),
    /// Another function of one variable.
    Unary(Unary),
    /// Values below zero are multiplied with a slope per channel.
    Slope(Vec<Lanes>),
    /// `x * scale + shift` per channel.
    Affine { scale: Vec<Lanes>, shift: Vec<Lanes> },
    /// With a constant per channel; `reversed` when the constant is the left operand.
    Constant { binary: Binary, values: Vec<Lanes>, reversed: bool },
    /// With the other operand of the step; `reversed` when that is the left one.
    Tensor { binary: Binary, reversed: bool },
}

/// The second operand of [`Post::Tensor`]: the shape of the result, or one of its axes groups (channels, voxels) of
/// length one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Other<'a> {
    pub(crate) lanes: &'a [Lanes],
    pub(crate) extent: Extent,
}

/// Where a piece of a row lies in its activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) block: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// What happens to each row of a result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    pub(crate) simd: Simd,
    pub(crate) posts: &'a [Post],
    pub(crate) other: Option<Other<'a>>,
}

/// What a voxel is combined with.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Row(&'a [Lanes]),
    Splat(Lanes),
    /// Channel 0 of each voxel, for every channel.
    First(&'a [Lanes]),
}

impl Epilogue<'_> {
    /// Changes the piece `row` of the result that starts at `at`.
    pub(crate) fn apply(&self, row: &mut [Lanes], at: At) {
        for post in self.posts {
            match post {
                Post::Activation(function) => activate(self.simd, row, *function),
                Post::Unary(function) => unary(self.simd, row, *function),
                Post::Slope(slopes) => slope(self.simd, row, slopes[at.block]),
                Post::Affine { scale, shift } => affine(self.simd, row, scale[at.block], shift[at.block]),
                Post::Constant { binary, values, reversed } => {
                    combine(self.simd, row, Operand::Splat(values[at.block]), *binary, *reversed);
                }
                Post::Tensor { binary, reversed } => {
                    let Some(other) = self.other else { continue };
                    combine(self.simd, row, other.operand(row.len(), at), *binary, *reversed);
                }
            }
        }
    }

    /// Changes values that belong to no channel.
    pub(crate) fn apply_anywhere(&self, lanes: &mut [Lanes]) {
        self.apply(lanes, At { block: 0, row: 0, column: 0 });
    }
}

impl<'a> Other<'a> {
    fn operand(&self, len: usize, at: At) -> Operand<'a> {
        let extent = self.extent;
        if extent.voxels() == 1 {
            let lanes = self.lanes[at.block.min(extent.blocks() - 1) * extent.block() + extent.left];
            return Operand::Splat(if extent.channels == 1 { Lanes::splat(lanes.0[0]) } else { lanes });
        }
        let start = extent.start(at.row) + at.column;
        if extent.channels == 1 {
            return Operand::First(&self.lanes[start..start + len]);
        }
        let start = start + at.block * extent.block();
        Operand::Row(&self.lanes[start..start + len])
    }
}

#[inline(always)]
fn map(row: &mut [Lanes], f: impl Fn(f32) -> f32) {
    for lanes in row {
        for i in 0..LANES {
            lanes.0[i] = f(lanes.0[i]);
        }
    }
}

#[inline(always)]
fn negative(x: f32, below: f32) -> f32 {
    if x < 0.0 { below } else { x }
}

#[inline(always)]
fn clip(x: f32, min: f32, max: f32) -> f32 {
    let x = if x < min { min } else { x };
    if x > max { max } else { x }
}

versions! {
    /// An activation function on every value.
    fn activate(row: &mut [Lanes], function: Activation) {
        match function {
            Activation::Relu => map(row, |x| negative(x, 0.0)),
            Activation::LeakyRelu { alpha } => map(row, |x| negative(x, alpha * x)),
            Activation::Elu { alpha } => map(row, |x| negative(x, alpha * (math::exp(x) - 1.0))),
            Activation::Selu { alpha, gamma } => map(row, |x| gamma * negative(x, alpha * (math::exp(x) - 1.0))),
            Activation::Gelu => map(row, |x| 0.5 * x * (1.0 + math::erf(x * std::f32::consts::FRAC_1_SQRT_2))),
            Activation::GeluTanh => {
                map(row, |x| 0.5 * x * (1.0 + math::tanh(0.797_884_6 * (x + 0.044_715 * x * x * x))));
            }
            Activation::Sigmoid => map(row, math::sigmoid),
            Activation::Tanh => map(row, math::tanh),
            Activation::Clip { min, max } => map(row, |x| clip(x, min, max)),
            Activation::HardSigmoid { alpha, beta } => map(row, |x| clip(alpha * x + beta, 0.0, 1.0)),
            Activation::HardSwish => map(row, |x| x * clip(x / 6.0 + 0.5, 0.0, 1.0)),
            Activation::Softplus => map(row, |x| if x > 20.0 { x } else { x.exp().ln_1p() }),
            Activation::Mish => map(row, math::mish),
            Activation::Swish { alpha } => map(row, |x| x * math::sigmoid(alpha * x)),
        }
    }
}

versions! {
    /// Another function on every value.
    fn unary(row: &mut [Lanes], function: Unary) {
        match function {
            Unary::Abs => map(row, f32::abs),
            Unary::Ceil => map(row, f32::ceil),
            Unary::Erf => map(row, math::erf),
            Unary::Exp => map(row, math::exp),
            Unary::Floor => map(row, f32::floor),
            Unary::Log => map(row, f32::ln),
            Unary::Neg => map(row, |x| -x),
            Unary::Reciprocal => map(row, |x| 1.0 / x),
            Unary::Round => map(row, f32::round_ties_even),
            Unary::Sqrt => map(row, f32::sqrt),
        }
    }
}

versions! {
    fn slope(row: &mut [Lanes], slopes: Lanes) {
        for lanes in row {
            for i in 0..LANES {
                lanes.0[i] = negative(lanes.0[i], slopes.0[i] * lanes.0[i]);
            }
        }
    }
}

versions! {
    /// `x * scale + shift` per channel.
    pub(crate) fn affine(row: &mut [Lanes], scale: Lanes, shift: Lanes) {
        for lanes in row {
            for i in 0..LANES {
                lanes.0[i] = lanes.0[i] * scale.0[i] + shift.0[i];
            }
        }
    }
}

#[inline(always)]
fn zip(row: &mut [Lanes], operand: Operand<'_>, f: impl Fn(f32, f32) -> f32) {
    match operand {
        Operand::Row(other) => {
            for (lanes, other) in row.iter_mut().zip(other) {
                for i in 0..LANES {
                    lanes.0[i] = f(lanes.0[i], other.0[i]);
                }
            }
        }
        Operand::Splat(other) => {
            for lanes in row {
                for i in 0..LANES {
                    lanes.0[i] = f(lanes.0[i], other.0[i]);
                }
            }
        }
        Operand::First(other) => {
            for (lanes, other) in row.iter_mut().zip(other) {
                for i in 0..LANES {
                    lanes.0[i] = f(lanes.0[i], other.0[0]);
                }
            }
        }
    }
}

versions! {
    fn combine(row: &mut [Lanes], operand: Operand<'_>, function: Binary, reversed: bool) {
        match (function, reversed) {
            (Binary::Add, _) => zip(row, operand, |a, b| a + b),
            (Binary::Mul, _) => zip(row, operand, |a, b| a * b),
            (Binary::Sub, false) => zip(row, operand, |a, b| a - b),
            (Binary::Sub, true) => zip(row, operand, |a, b| b - a),
            (Binary::Div, false) => zip(row, operand, |a, b| a / b),
            (Binary::Div, true) => zip(row, operand, |a, b| b / a),
            (other, false) => zip(row, operand, |a, b| other.of(a, b)),
            (other, true) => zip(row, operand, |a, b| other.of(b, a)),
        }
    }
}
