//! Weights of a convolution in the order in which tiles read them.

use std::ops::Range;

use rayon::prelude::*;

use super::half::pair;
use super::lanes::{LANES, Lanes, per_channel};
use crate::error::Result;
use crate::limits;
use crate::model::graph::Keeper;

/// Weights as the kernel wants them: per tile of output blocks, per piece of input channels, per tap, per channel, per
/// block: sixteen output channels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packed {
    lanes: Vec<Lanes>,
    bias: Vec<Lanes>,
    /// Input channels that each tile of output blocks meets, and where its weights start.
    tiles: Vec<(Range<usize>, usize)>,
    stored: Stored,
    tile_blocks: usize,
    half: bool,
}

/// How the weights stand in the tensor of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stored {
    order: Order,
    outputs: usize,
    inputs: usize,
    groups: usize,
    taps: usize,
}

/// Channels of `range` in pieces that lie in one block of sixteen.
fn pieces(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let blocks = range.start / LANES..range.end.div_ceil(LANES);
    blocks.map(move |block| range.start.max(block * LANES)..range.end.min((block + 1) * LANES))
}

/// Where the weights of one output channel stand in the tensor of the file.
struct Row {
    /// Those of input channel 0, or where they would be.
    first: usize,
    /// From one input channel to the next.
    step: usize,
    /// Input channels that there are.
    channels: Range<usize>,
}

impl Row {
    #[inline]
    fn index(&self, channel: usize, tap: usize) -> Option<usize> {
        self.channels.contains(&channel).then(|| self.first + channel * self.step + tap)
    }
}

/// The order of a tile: input channel (of every second one, `step`), tap and block of each of its places.
fn places(channels: Range<usize>, (taps, step, blocks): (usize, usize, usize)) -> impl Iterator<Item = [usize; 3]> {
    pieces(channels).flat_map(move |piece| {
        let channels = move || piece.clone().step_by(step);
        (0..taps).flat_map(move |tap| channels().flat_map(move |c| (0..blocks).map(move |block| [c, tap, block])))
    })
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

impl Stored {
    /// Where the weights of the output channels of some blocks stand.
    fn rows(&self, blocks: Range<usize>) -> Vec<[Row; LANES]> {
        let (group_in, group_out) = (self.inputs / self.groups, self.outputs / self.groups);
        let row = |m: usize| {
            let group = m / group_out;
            let (first, step) = match self.order {
                Order::OutputFirst | Order::Filtered => ((m - group) * group_in * self.taps, self.taps),
                Order::InputFirst => (m % group_out * self.taps, group_out * self.taps),
            };
            let channels = if m < self.outputs { group * group_in..(group + 1) * group_in } else { 0..0 };
            Row { first, step, channels }
        };
        blocks.map(|block| std::array::from_fn(|i| row(block * LANES + i))).collect()
    }
}

impl Keeper for Packed {
    /// Only where [`Packed::is_exact`].
    fn values(&self) -> Vec<f32> {
        let Stored { outputs, inputs, groups, taps, .. } = self.stored;
        let mut values = vec![0.0; outputs * (inputs / groups) * taps];
        for group in 0..self.groups() {
            let rows = self.stored.rows(self.blocks(group));
            let order = places(self.tiles[group].0.clone(), (taps, 1, rows.len()));
            for ([c, tap, block], lanes) in order.zip(self.all(group)) {
                for (row, value) in rows[block].iter().zip(lanes.0) {
                    if let Some(at) = row.index(c, tap) {
                        values[at] = value;
                    }
                }
            }
        }
        values
    }
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
        let stored = Stored { order, outputs, inputs, groups, taps };
        let blocks = outputs.div_ceil(LANES);
        // A tile of one block meets fewer channels where groups are small.
        let tile_blocks = if group_out.is_multiple_of(LANES * tile_blocks) || groups == 1 { tile_blocks } else { 1 };
        let step = 1 + usize::from(half);
        let mut tiles = Vec::with_capacity(blocks.div_ceil(tile_blocks));
        let mut end = 0;
        for first in (0..blocks).step_by(tile_blocks) {
            let last = blocks.min(first + tile_blocks);
            let last_output = outputs.min(last * LANES) - 1;
            let channels = first * LANES / group_out * group_in..(last_output / group_out + 1) * group_in;
            let channels = channels.start / step * step..channels.end;
            tiles.push((channels.clone(), end));
            end += channels.len().div_ceil(step) * (last - first) * taps;
        }
        let mut lanes = limits::zeroed(end, "packing the weights")?;
        let mut start = per_channel(bias.unwrap_or_default(), 0.0);
        start.resize(blocks, Lanes::default());
        let mut parts = Vec::with_capacity(tiles.len());
        let mut rest = lanes.as_mut_slice();
        for (index, (channels, first)) in tiles.iter().enumerate() {
            let end = tiles.get(index + 1).map_or(end, |next| next.1);
            let (part, behind) = rest.split_at_mut(end - first);
            rest = behind;
            parts.push((index * tile_blocks, channels.clone(), part));
        }
        parts.into_par_iter().for_each(|(first, channels, part)| {
            let rows = stored.rows(first..blocks.min(first + tile_blocks));
            for (place, [c, tap, block]) in part.iter_mut().zip(places(channels, (taps, step, rows.len()))) {
                *place = Lanes(std::array::from_fn(|i| {
                    let value = |c: usize| rows[block][i].index(c, tap).map_or(0.0, |at| weight[at]);
                    if half { pair(value(c), value(c + 1)) } else { value(c) }
                }));
            }
        });
        Ok(Self { lanes, bias: start, tiles, stored, tile_blocks, half })
    }

    /// True when these are the numbers of the file in another order.
    pub(crate) fn is_exact(&self) -> bool {
        self.stored.order != Order::Filtered && !self.half
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
        let per_channel = self.stored.taps * self.blocks(group).len();
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
        let lanes = self.all(group)[((block * self.stored.taps + tap) * place + within) * blocks + index];
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
        self.stored.inputs
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.stored.outputs
    }

    /// Bytes of the weights.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.lanes.as_slice())
    }
}
