//! Weights of a convolution in the order in which tiles read them.

use std::ops::Range;

use rayon::prelude::*;

use super::half::pair;
use super::lanes::{LANES, Lanes, per_channel};
use crate::error::Result;
use crate::limits;

/// Weights as the kernel wants them: per tile of output blocks, per piece of input channels, per tap, per channel, per
/// block: sixteen output channels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packed {
    lanes: Vec<Lanes>,
    bias: Vec<Lanes>,
    /// Input channels that each tile of output blocks meets, and where its weights start.
    tiles: Vec<(Range<usize>, usize)>,
    taps: usize,
    inputs: usize,
    outputs: usize,
    tile_blocks: usize,
    half: bool,
}

/// Channels of `range` in pieces that lie in one block of sixteen.
fn pieces(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let blocks = range.start / LANES..range.end.div_ceil(LANES);
    blocks.map(move |block| range.start.max(block * LANES)..range.end.min((block + 1) * LANES))
}

/// Weights of one output channel.
struct Row<'a> {
    weight: &'a [f32],
    /// Where the weights of input channel 0 are, or would be.
    first: usize,
    /// From one input channel to the next.
    step: usize,
    /// Input channels that there are.
    channels: Range<usize>,
}

impl Row<'_> {
    #[inline]
    fn value(&self, channel: usize, tap: usize) -> f32 {
        if self.channels.contains(&channel) { self.weight[self.first + channel * self.step + tap] } else { 0.0 }
    }
}

/// Writes the weights of a tile, given by block.
fn fill(part: &mut [Lanes], rows: &[[Row<'_>; LANES]], (channels, taps): (Range<usize>, usize), half: bool) {
    let mut places = part.iter_mut();
    for piece in pieces(channels) {
        for tap in 0..taps {
            for c in piece.clone().step_by(1 + usize::from(half)) {
                for (rows, place) in rows.iter().zip(&mut places) {
                    *place = Lanes(std::array::from_fn(|i| {
                        let value = rows[i].value(c, tap);
                        if half { pair(value, rows[i].value(c + 1, tap)) } else { value }
                    }));
                }
            }
        }
    }
}

/// Where a weight stands in the tensor of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// `[M, C / groups, taps]`, of a convolution.
    OutputFirst,
    /// The same after the transform of minimal filtering.
    Filtered,
    /// `[C, M / groups, taps]`, of a transposed convolution.
    InputFirst,
}

impl Packed {
    /// Packs `weight`. A tile of output blocks keeps the input channels of its groups alone; where it spans several
    /// groups, their channels meet zeros in each other's lanes. With `half`, two channels are rounded to bfloat16 and
    /// share the place of one.
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
        // A tile of one block meets fewer channels where groups are small.
        let tile_blocks = if group_out.is_multiple_of(LANES * tile_blocks) || groups == 1 { tile_blocks } else { 1 };
        let step = 1 + usize::from(half);
        let mut tiles = Vec::with_capacity(blocks.div_ceil(tile_blocks));
        let mut places = 0;
        for first in (0..blocks).step_by(tile_blocks) {
            let end = blocks.min(first + tile_blocks);
            let last_output = outputs.min(end * LANES) - 1;
            let channels = first * LANES / group_out * group_in..(last_output / group_out + 1) * group_in;
            let channels = channels.start / step * step..channels.end;
            tiles.push((channels.clone(), places));
            places += channels.len().div_ceil(step) * (end - first) * taps;
        }
        let mut lanes = limits::zeroed(places, "packing the weights")?;
        let mut start = per_channel(bias.unwrap_or_default(), 0.0);
        start.resize(blocks, Lanes::default());
        let row = |m: usize| {
            let group = m / group_out;
            let (first, step) = match order {
                Order::OutputFirst | Order::Filtered => ((m - group) * group_in * taps, taps),
                Order::InputFirst => (m % group_out * taps, group_out * taps),
            };
            let channels = if m < outputs { group * group_in..(group + 1) * group_in } else { 0..0 };
            Row { weight, first, step, channels }
        };
        let mut parts = Vec::with_capacity(tiles.len());
        let mut rest = lanes.as_mut_slice();
        for (index, (channels, first)) in tiles.iter().enumerate() {
            let end = tiles.get(index + 1).map_or(places, |next| next.1);
            let (part, behind) = rest.split_at_mut(end - first);
            rest = behind;
            parts.push((index * tile_blocks, channels.clone(), part));
        }
        parts.into_par_iter().for_each(|(first, channels, part)| {
            let end = blocks.min(first + tile_blocks);
            let rows: Vec<[Row<'_>; LANES]> =
                (first..end).map(|block| std::array::from_fn(|i| row(block * LANES + i))).collect();
            fill(part, &rows, (channels, taps), half);
        });
        Ok(Self { lanes, bias: start, tiles, taps, inputs, outputs, tile_blocks, half })
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

    /// Input channels that a group of output blocks meets, in pieces that lie in one block.
    pub(super) fn pieces(&self, group: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        pieces(self.tiles[group].0.clone())
    }

    /// True for the first piece of a group's channels, and for the last one.
    pub(super) fn ends(&self, group: usize, piece: &Range<usize>) -> (bool, bool) {
        let channels = &self.tiles[group].0;
        (piece.start == channels.start, piece.end == channels.end)
    }

    /// Weights of a group for one of its [`Packed::pieces`], `[tap][channel][block]`.
    pub(super) fn lanes(&self, group: usize, piece: &Range<usize>) -> &[Lanes] {
        let (channels, first) = &self.tiles[group];
        let per_channel = self.taps * self.blocks(group).len();
        let start = first + per_channel * self.places(piece.start - channels.start);
        &self.lanes[start..start + per_channel * self.places(piece.len())]
    }

    /// Weights of a group, piece after piece.
    pub(super) fn all(&self, group: usize) -> &[Lanes] {
        let end = self.tiles.get(group + 1).map_or(self.lanes.len(), |next| next.1);
        &self.lanes[self.tiles[group].1..end]
    }

    /// Weights of an input channel at a tap for block `index` of a group.
    pub(super) fn value(&self, group: usize, channel: usize, tap: usize, index: usize) -> Lanes {
        let (block, lane) = (channel / LANES, channel % LANES);
        let (blocks, place) = (self.blocks(group).len(), self.places(LANES));
        let within = if self.half { lane / 2 } else { lane };
        let lanes = self.all(group)[((block * self.taps + tap) * place + within) * blocks + index];
        if !self.half {
            return lanes;
        }
        let bits = |value: f32| if lane % 2 == 0 { value.to_bits() << 16 } else { value.to_bits() & 0xffff_0000 };
        Lanes(lanes.0.map(|value| f32::from_bits(bits(value))))
    }

    /// True when weights are bfloat16.
    pub(super) fn is_half(&self) -> bool {
        self.half
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
