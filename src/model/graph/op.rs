//! The operators of a [`super::Network`] with concrete parameters.
//!
//! Semantics are those of the ONNX operator of the same name (<https://onnx.ai/onnx/operators/>) unless stated. Vectors
//! "per spatial axis" follow the tensor `[N, C, spatial...]`, slowest axis first; vectors "per axis" have its full rank.

use super::function::{Activation, Binary, Reduction, Unary};

/// What a layer does. "Constant" operands are always found in [`super::Network::constants`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// `x [N, C, ...]`, constant `weight [M, C / groups, kernel...]`, optional constant `bias [M]`.
    /// A `BatchNormalization` behind it is in the weights already; a zero `Pad` before it is in the pads.
    Convolution(Convolution),
    /// `x [N, C, ...]`, constant `weight [C, M / groups, kernel...]`, optional constant `bias [M]`.
    TransposedConvolution(TransposedConvolution),
    /// `x`. Padding never wins. Windows that reach past the padded end (ceil mode) are cut.
    MaxPool(Pool),
    /// `x`. Mean over the window.
    AveragePool {
        /// Windows.
        pool: Pool,
        /// Padding counts as zeros in the mean; otherwise only values inside the tensor count.
        count_include_pad: bool,
    },
    /// `x [N, C, ...]`, constant `scale` and `shift` of C values each: `x * scale[c] + shift[c]`. A
    /// `BatchNormalization` that could not go into a convolution.
    ChannelAffine,
    /// `x [N, C, ...]`, constant `scale` and `bias` of C values each. Mean and population variance over the spatial
    /// axes: `(x - mean) / sqrt(variance + epsilon) * scale + bias`.
    InstanceNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
    /// `x [N, C, ...]`, constant `scale` and `bias` of C values each. Statistics over `C / groups` channels and the
    /// spatial axes.
    GroupNormalization {
        /// Number of groups, a divisor of C.
        groups: usize,
        /// Added to the variance.
        epsilon: f32,
    },
    /// `x`, constant `scale` and optional `bias` of the shape of the normalized axes. Statistics over `axis..`.
    LayerNormalization {
        /// First axis of the statistics.
        axis: usize,
        /// Added to the variance.
        epsilon: f32,
    },
    /// `x`: an activation function, value by value.
    Activation(Activation),
    /// `x`: another function, value by value.
    Unary(Unary),
    /// `x [N, C, ...]`, constant `slope` (broadcast to x from the right as numpy does, so `[C, 1, 1, 1]` is per channel).
    PRelu,
    /// `x`.
    Softmax {
        /// The axis that sums to one.
        axis: usize,
        /// Gives the logarithm (`LogSoftmax`).
        log: bool,
    },
    /// `a`, `b`, broadcast as numpy does. Either may be a constant.
    Binary(Binary),
    /// One or more tensors.
    Concat {
        /// The axis that grows.
        axis: usize,
    },
    /// `x`: element `o` of axis `a` of the output is element `starts[a] + o * steps[a]` of the input.
    Slice {
        /// Per axis.
        starts: Vec<usize>,
        /// Per axis, never zero; negative ones flip.
        steps: Vec<isize>,
    },
    /// `x`.
    Pad {
        /// Per axis, elements put before (negative ones cut).
        before: Vec<isize>,
        /// Per axis, elements put after (negative ones cut).
        after: Vec<isize>,
        /// What the new elements are.
        mode: PadMode,
    },
    /// `x`.
    Resize(Resize),
    /// `x`: output axis `a` is input axis `permutation[a]`.
    Transpose {
        /// Per axis of the output.
        permutation: Vec<usize>,
    },
    /// `x`: the same values in the shape of the output (`Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`).
    Reshape,
    /// `x`: repeated to the shape of the output, as numpy's `broadcast_to`.
    Expand,
    /// `x`.
    Reduce {
        /// What is computed over the axes.
        reduction: Reduction,
        /// Sorted axes that are reduced; whether they stay with length one shows in the output's shape.
        axes: Vec<usize>,
    },
    /// `x`: index of the largest element (the first of equal ones) as a float.
    ArgMax {
        /// The axis that is searched.
        axis: usize,
    },
    /// `x [N, C, H, W]`.
    DepthToSpace {
        /// Factor of H and W.
        block: usize,
        /// Channels are `(C', block, block)` (`CRD`) instead of `(block, block, C')` (`DCR`).
        columns_first: bool,
    },
    /// `a [..., M, K]`, `b [..., K, N]`, batch axes broadcast.
    MatMul,
    /// `x`: the same tensor. Only where an output of the graph needs a value of its own.
    Identity,
}

impl Op {
    /// Name of the ONNX operator that does this.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Convolution(_) => "Conv",
            Self::TransposedConvolution(_) => "ConvTranspose",
            Self::MaxPool(_) => "MaxPool",
            Self::AveragePool { .. } => "AveragePool",
            Self::ChannelAffine => "BatchNormalization",
            Self::InstanceNormalization { .. } => "InstanceNormalization",
            Self::GroupNormalization { .. } => "GroupNormalization",
            Self::LayerNormalization { .. } => "LayerNormalization",
            Self::Activation(activation) => activation.name(),
            Self::Unary(function) => function.name(),
            Self::PRelu => "PRelu",
            Self::Softmax { log: false, .. } => "Softmax",
            Self::Softmax { log: true, .. } => "LogSoftmax",
            Self::Binary(function) => function.name(),
            Self::Concat { .. } => "Concat",
            Self::Slice { .. } => "Slice",
            Self::Pad { .. } => "Pad",
            Self::Resize(_) => "Resize",
            Self::Transpose { .. } => "Transpose",
            Self::Reshape => "Reshape",
            Self::Expand => "Expand",
            Self::Reduce { reduction: Reduction::Mean, .. } => "ReduceMean",
            Self::Reduce { reduction: Reduction::Sum, .. } => "ReduceSum",
            Self::Reduce { reduction: Reduction::Max, .. } => "ReduceMax",
            Self::Reduce { reduction: Reduction::Min, .. } => "ReduceMin",
            Self::Reduce { reduction: Reduction::L2, .. } => "ReduceL2",
            Self::ArgMax { .. } => "ArgMax",
            Self::DepthToSpace { .. } => "DepthToSpace",
            Self::MatMul => "MatMul",
            Self::Identity => "Identity",
        }
    }
}

/// A convolution: `y[m, p] = bias[m] + sum over c, t of weight[m, c, t] * x[c, p * stride + t * dilation - before]`,
/// zero outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convolution {
    /// Kernel size per spatial axis.
    pub kernel: Vec<usize>,
    /// Step per spatial axis.
    pub strides: Vec<usize>,
    /// Distance of taps per spatial axis.
    pub dilations: Vec<usize>,
    /// Zeros before, per spatial axis.
    pub pads_before: Vec<usize>,
    /// Zeros after, per spatial axis.
    pub pads_after: Vec<usize>,
    /// Groups; `groups == C == M` is depthwise.
    pub groups: usize,
}

/// A transposed convolution: `x[c, q] * weight[c, m, t]` is added to `y[m, q * stride + t * dilation - before]`.
/// The length of an axis is `stride (in - 1) + output_padding + (kernel - 1) dilation + 1 - before - after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransposedConvolution {
    /// Kernel size per spatial axis.
    pub kernel: Vec<usize>,
    /// Factor per spatial axis.
    pub strides: Vec<usize>,
    /// Distance of taps per spatial axis.
    pub dilations: Vec<usize>,
    /// Cut before, per spatial axis.
    pub pads_before: Vec<usize>,
    /// Cut after, per spatial axis.
    pub pads_after: Vec<usize>,
    /// Added after, per spatial axis.
    pub output_padding: Vec<usize>,
    /// Groups.
    pub groups: usize,
}

/// Windows of a pooling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Window per spatial axis.
    pub kernel: Vec<usize>,
    /// Step per spatial axis.
    pub strides: Vec<usize>,
    /// Distance of taps per spatial axis.
    pub dilations: Vec<usize>,
    /// Padding before, per spatial axis.
    pub pads_before: Vec<usize>,
    /// Padding after, per spatial axis. The output may be longer than this allows (ceil mode): its shape counts.
    pub pads_after: Vec<usize>,
}

/// What padding is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum PadMode {
    /// One value.
    Constant(f32),
    /// Mirrored without repeating the border.
    Reflect,
    /// The border repeated.
    Edge,
    /// Periodic.
    Wrap,
}

/// Interpolation onto another size.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize {
    /// Nearest, linear or cubic.
    pub mode: ResizeMode,
    /// Which input coordinate an output index means.
    pub coordinates: CoordinateMode,
    /// Output length over input length per axis: the file's scale where it gives scales, else the quotient of sizes.
    pub scales: Vec<f32>,
}

/// Interpolation of [`Resize`]. Coordinates outside are clamped to the border.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ResizeMode {
    /// One neighbor.
    Nearest(NearestMode),
    /// Linear along each axis whose scale is not one.
    Linear,
    /// Cubic convolution with this coefficient (ONNX default -0.75).
    Cubic(f32),
}

/// Which neighbor is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NearestMode {
    /// Halves go down.
    RoundPreferFloor,
    /// Halves go up.
    RoundPreferCeil,
    /// The one below.
    Floor,
    /// The one above.
    Ceil,
}

/// Input coordinate x of output index o, for scale s, output length n and input length m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoordinateMode {
    /// `(o + 1/2) / s - 1/2`
    HalfPixel,
    /// `n > 1 ? (o + 1/2) / s - 1/2 : 0`
    PytorchHalfPixel,
    /// As half pixel, centered where `n` is not `s m`: `m/2 (1 - n / (s m)) + (o + 1/2) / s - 1/2`.
    HalfPixelSymmetric,
    /// `o (m - 1) / (n - 1)`, zero where n is one.
    AlignCorners,
    /// `o / s`
    Asymmetric,
}

impl CoordinateMode {
    /// Input coordinate of output index `o` for an axis that goes `from` a length `to` another, in 32 bit as ONNX Runtime
    /// computes it.
    pub(crate) fn coordinate(self, o: usize, scale: f32, (from, to): (usize, usize)) -> f32 {
        let (o, n, m) = (o as f32, to as f32, from as f32);
        if scale == 1.0 && to == from {
            return o;
        }
        match self {
            Self::PytorchHalfPixel if to == 1 => 0.0,
            Self::HalfPixel | Self::PytorchHalfPixel => (o + 0.5) / scale - 0.5,
            Self::HalfPixelSymmetric => m / 2.0 * (1.0 - n / (scale * m)) + (o + 0.5) / scale - 0.5,
            Self::AlignCorners if to == 1 => 0.0,
            Self::AlignCorners => o * (m - 1.0) / (n - 1.0),
            Self::Asymmetric => o / scale,
        }
    }
}

impl NearestMode {
    /// The integer that a coordinate is rounded to.
    pub(crate) fn round(self, x: f32) -> f32 {
        match self {
            Self::RoundPreferFloor => (x - 0.5).ceil(),
            Self::RoundPreferCeil => (x + 0.5).floor(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
        }
    }
}
