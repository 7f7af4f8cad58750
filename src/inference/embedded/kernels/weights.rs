//! Weights of a convolution in the order in which tiles read them.

use super::half::pair;
use super::lanes::{LANES, Lanes, per_channel};
use crate::error::Result;
use crate::limits;

/// Weights as the kernel wants them: per group of output blocks, per group of input channels, per tap, per channel, per
/// block: sixteen output channels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packed {
    lanes: Vec<Lanes>,
    bias: Vec<Lanes>,
    taps: usize,
    inputs: usize,
    outputs: usize,
    tile_blocks: usize,
    half: bool,
}

/// Where a weight stands in the tensor of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// `[M, C / groups, taps]`, of a convolution.
    OutputFirst,
    /// `[C, M / groups, taps]`, of a transposed convolution.
    InputFirst,
}

impl Packed {
    /// Packs `weight`; channels of other groups get zeros. With `half`, two channels are rounded to bfloat16 and share
    /// the place of one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub(crate) fn new(
        (weight, bias): (&[f32], Option<&[f32]>),
        order: Order,
        (outputs, inputs, groups): (usize, usize, usize),
        (tile_blocks, half): (usize, bool),
    ) -> Result<Self> {
        let (group_in, group_out) = (inputs / groups, outputs / groups);
        let taps = weight.len() / (outputs * group_in).max(1);
        let blocks = outputs.div_ceil(LANES);
        let mut lanes = limits::reserved(blocks * inputs * taps, "packing the weights")?;
        let value = |m: usize, c: usize, tap: usize| {
            if m >= outputs || c >= inputs || m / group_out != c / group_in {
                return 0.0;
            }
            weight[match order {
                Order::OutputFirst => (m * group_in + c % group_in) * taps + tap,
                Order::InputFirst => (c * group_out + m % group_out) * taps + tap,
            }]
        };
        for first_block in (0..blocks).step_by(tile_blocks) {
            let tile_blocks = tile_blocks.min(blocks - first_block);
            for first_channel in (0..inputs).step_by(LANES) {
                for tap in 0..taps {
                    for c in (first_channel..inputs.min(first_channel + LANES)).step_by(1 + usize::from(half)) {
                        for block in first_block..first_block + tile_blocks {
                            lanes.push(Lanes(std::array::from_fn(|i| {
                                let m = block * LANES + i;
                                if half { pair(value(m, c, tap), value(m, c + 1, tap)) } else { value(m, c, tap) }
                            })));
                        }
                    }
                }
            }
        }
        let mut start = per_channel(bias.unwrap_or_default(), 0.0);
        start.resize(blocks, Lanes::default());
        Ok(Self { lanes, bias: start, taps, inputs, outputs, tile_blocks, half })
    }

    /// Groups of output blocks.
    pub(crate) fn groups(&self) -> usize {
        self.bias.len().div_ceil(self.tile_blocks)
    }

    /// The blocks of a group.
    pub(crate) fn blocks(&self, group: usize) -> std::ops::Range<usize> {
        let first = group * self.tile_blocks;
        first..self.bias.len().min(first + self.tile_blocks)
    }

    /// Weights of a group for the sixteen input channels from `first_channel` on, `[tap][channel][block]`.
    pub(super) fn lanes(&self, group: usize, first_channel: usize) -> &[Lanes] {
        let blocks = self.blocks(group);
        let (all, before) = (self.places(self.inputs), self.places(first_channel));
        let start = self.taps * (blocks.start * all + blocks.len() * before);
        let channels = self.places(LANES.min(self.inputs - first_channel));
        &self.lanes[start..start + self.taps * channels * blocks.len()]
    }

    /// Places that channels take.
    pub(super) fn places(&self, channels: usize) -> usize {
        if self.half { channels.div_ceil(2) } else { channels }
    }

    /// One lane of biases per block of a group.
    pub(super) fn bias(&self, group: usize) -> &[Lanes] {
        &self.bias[self.blocks(group)]
    }

    /// Input channels.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of the weights.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.lanes.as_slice())
    }
}
