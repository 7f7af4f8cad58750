//! What a network becomes for one input shape: steps over buffers whose places are fixed before the first run.

use std::ops::Range;
use std::sync::Arc;

use super::generic::Generic;
use super::kernels::{
    Axis, AxisMap, CubicNeighbors, Extent, LANES, Minimal, Neighbors, Packed, Pooling, Post, Turns, Windows,
};

/// Index of a [`Tensor`] of a [`Plan`].
pub(super) type TensorId = usize;

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Blocks of sixteen channels.
    Blocked,
    /// The same, rounded to bfloat16: two channels in the place of one value.
    Half,
    /// Row-major as in the file.
    Plain,
}

/// Which memory holds a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// The caller's input.
    Input,
    /// The caller's output.
    Output,
    /// The arena, from this lane on.
    Arena(usize),
    /// A stored tensor.
    Constant(Arc<Vec<f32>>),
}

/// An activation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) layout: Layout,
    /// `[C, D, H, W]` with borders; plain tensors of other ranks are one row.
    pub(super) extent: Extent,
    pub(super) place: Place,
}

impl Step {
    /// The tensors that the step writes beside its output: sums for a normalization, room to work in.
    pub(super) fn scratch(&self) -> [Option<TensorId>; 2] {
        match &self.kind {
            Kind::Convolve { sums, minimal, .. } => [*sums, minimal.as_ref().map(|minimal| minimal.1)],
            Kind::Normalize { scratch, .. } => [Some(*scratch), None],
            _ => [None, None],
        }
    }
}

impl Tensor {
    /// Lanes that hold the tensor.
    pub(super) fn lanes(&self) -> usize {
        match self.layout {
            Layout::Blocked => self.extent.blocks() * self.extent.block(),
            Layout::Half => (self.extent.blocks() * self.extent.block()).div_ceil(2),
            Layout::Plain => self.values().div_ceil(LANES),
        }
    }

    /// Values of a plain tensor, borders included.
    pub(super) fn values(&self) -> usize {
        self.extent.channels * self.extent.block()
    }

    /// Lanes of the arena that hold the tensor; empty when it lies elsewhere.
    pub(super) fn range(&self) -> Range<usize> {
        match self.place {
            Place::Arena(start) => start..start + self.lanes(),
            _ => 0..0,
        }
    }
}

/// A convolution of one tap that reads what another one has just computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    pub(super) windows: Windows,
    pub(super) weights: Arc<Packed>,
    pub(super) posts: Vec<Post>,
}

/// What a step computes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Convolve {
        windows: Windows,
        weights: Arc<Packed>,
        /// How minimal filtering cuts it up, and the room that takes.
        minimal: Option<Box<(Minimal, TensorId)>>,
        /// In which order and where planes take the place of the operand's.
        turns: Option<Turns>,
        /// Where the sums of each row of the result go that a normalization needs.
        sums: Option<TensorId>,
        /// A convolution of one tap behind this one, computed piece by piece.
        head: Option<Head>,
    },
    Pool {
        pooling: Pooling,
        axes: [Axis; 3],
    },
    /// Instance normalization when there are as many groups as channels.
    Normalize {
        groups: usize,
        epsilon: f32,
        scale: Arc<Vec<f32>>,
        bias: Arc<Vec<f32>>,
        scratch: TensorId,
        /// The sums are in `scratch` already.
        summed: bool,
    },
    /// Nothing but the operations behind it.
    Elementwise,
    Softmax {
        log: bool,
    },
    /// Voxels by index.
    Take {
        maps: [AxisMap; 3],
        fill: f32,
    },
    /// The input plus voxels of the other operand by index.
    AddTaken {
        maps: [AxisMap; 3],
    },
    Interpolate {
        axes: [Neighbors; 3],
    },
    InterpolateCubic {
        axes: [CubicNeighbors; 3],
    },
    /// Into the channels of the output from this one on.
    CopyChannels {
        first: usize,
    },
    ToBlocked,
    ToPlain,
    /// Blocked to bfloat16 with borders.
    ToHalf,
    /// Plain to plain with borders.
    Border,
    /// On plain tensors of any rank.
    Generic(Generic),
}

/// One pass over memory.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Name of the node in the file.
    pub(super) name: String,
    /// Its operator, and those that were joined to it.
    pub(super) operator: String,
    pub(super) kind: Kind,
    pub(super) input: TensorId,
    /// Operand of a [`Post::Tensor`], of [`Kind::AddTaken`] or of a generic operation.
    pub(super) other: Option<TensorId>,
    pub(super) output: TensorId,
    pub(super) posts: Vec<Post>,
    /// The output lies where the input lies.
    pub(super) in_place: bool,
    /// Multiplications and additions of convolutions and matrix products, in 1e9.
    pub(super) gflop: f64,
}

/// A network for one input shape of batch 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) tensors: Vec<Tensor>,
    pub(super) steps: Vec<Step>,
    /// Lanes of the arena.
    pub(super) arena: usize,
    /// `[1, C, spatial...]`
    pub(super) output_shape: Vec<usize>,
}
