//! Convolutions of 3 x 3 taps per plane by minimal filtering (Winograd 1980; Lavin and Gray 2016): 2 x 2 outputs take
//! sixteen products in place of 36. Other planes of the kernel are summed tap by tap.
//!
//! Here is how the work is cut up; [`super::bands`] does it.

use rayon::prelude::*;

use super::convolution::MAX_TAPS;
use super::lanes::{Extent, LANES, Lanes};
use super::plain::{CHUNK, HEAD_BLOCKS};
use crate::error::Result;
use crate::limits;

/// Places of the transform of 4 x 4 inputs.
pub(super) const PLACES: usize = 16;

/// Bytes that a stream works in: what stays in a common second-level cache.
const ROOM_BYTES: usize = 640 << 10;

/// Fewest 2 x 2 outputs for which that must be enough: a tile's.
const FEWEST: usize = 12;

/// Most bytes of transformed weights: a part of a common third-level cache.
const MOST_WEIGHTS: usize = 12 << 20;

/// Planes that are computed one after the other at most, after which the ring starts anew.
const RUN: usize = 16;

/// How a convolution by minimal filtering is cut up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Minimal {
    /// Zeros before rows and columns.
    pub(super) pads: [usize; 2],
    /// Planes of the kernel.
    pub(super) depth: usize,
    /// Pairs of rows in a strip.
    pub(super) rows: usize,
    /// Pairs of columns that are computed at once.
    pub(super) columns: usize,
    /// Planes of a run.
    pub(super) run: usize,
    /// Groups of output blocks whose sums have room: all, where a head may need them.
    pub(super) kept: usize,
    /// Units that are computed side by side.
    streams: usize,
    /// Lanes of a stream: the ring, sums, a row of zeros.
    pub(super) parts: [usize; 3],
}

/// What a convolution by minimal filtering is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filtered {
    /// Input channels, a multiple of sixteen.
    pub(crate) inputs: usize,
    /// Planes of the kernel.
    pub(crate) depth: usize,
    /// Zeros before rows and columns: none or one.
    pub(crate) pads: [usize; 2],
    pub(crate) to: Extent,
    /// Blocks of output channels that a tile spans.
    pub(crate) tile_blocks: usize,
    /// Products are of bfloat16.
    pub(crate) half: bool,
}

impl Minimal {
    /// `None` where that does not pay: the transformed input of too few outputs stays in the cache, or the weights, which
    /// every unit reads, do not.
    pub(crate) fn new(about: &Filtered, streams: usize) -> Option<Self> {
        let Filtered { inputs, depth, pads, to, tile_blocks, half } = *about;
        let places = PLACES * depth * inputs / (1 + usize::from(half));
        if to.voxels() == 0
            || depth * inputs / LANES > MAX_TAPS
            || places * to.blocks() * size_of::<Lanes>() > MOST_WEIGHTS
        {
            return None;
        }
        let kept = if to.blocks() <= HEAD_BLOCKS { to.blocks().div_ceil(tile_blocks) } else { 1 };
        let sums = kept * tile_blocks * PLACES;
        let most = ROOM_BYTES / (places * size_of::<f32>() + sums * size_of::<Lanes>());
        let (pairs, row_pairs) = (to.width.div_ceil(2), to.height.div_ceil(2));
        if most < FEWEST {
            return None;
        }
        let columns = pairs.div_ceil(pairs.div_ceil(most.min(CHUNK / 2)));
        let rows = (most / columns).clamp(1, row_pairs);
        let strips = row_pairs.div_ceil(rows);
        let run = (to.depth * strips / 32).clamp(2, RUN).min(to.depth);
        let streams = streams.clamp(1, strips * to.depth.div_ceil(run));
        let mut minimal = Self { pads, depth, rows, columns, run, kept, streams, parts: [0; 3] };
        let stride = minimal.stride();
        minimal.parts = [(places * stride).div_ceil(LANES), sums * stride, 2 * columns + 2];
        Some(minimal)
    }

    /// Lanes that a run works in.
    pub(crate) fn lanes(&self) -> usize {
        self.streams * self.parts.iter().sum::<usize>()
    }

    /// Zeros that rows of `input` voxels need before and after them for `output` voxels.
    pub(crate) fn borders(pad: usize, input: usize, output: usize) -> (usize, usize) {
        (pad, (2 * output.div_ceil(2) + 2).saturating_sub(pad + input))
    }

    /// From one place to the next: an odd distance spreads the places over the cache.
    pub(super) fn stride(&self) -> usize {
        (self.rows * self.columns) | 1
    }
}

/// Weights `[M, C, planes, 3, 3]` as `[M, C, places, planes]`.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
#[expect(clippy::cast_possible_truncation, reason = "weights are 32 bit")]
pub(crate) fn filtered(weight: &[f32], depth: usize) -> Result<Vec<f32>> {
    let mut all = limits::zeroed(weight.len() / 9 * PLACES, "transforming the weights")?;
    let line = |g: [f64; 3]| [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]];
    let kernels = weight.par_chunks_exact(depth * 9).zip(all.par_chunks_exact_mut(depth * PLACES));
    kernels.with_min_len(256).for_each(|(kernel, places)| {
        for (plane, g) in kernel.as_chunks::<9>().0.iter().enumerate() {
            let rows = [0, 3, 6].map(|r| line([0, 1, 2].map(|c| f64::from(g[r + c]))));
            for c in 0..4 {
                let column = line([rows[0][c], rows[1][c], rows[2][c]]);
                for (r, value) in column.into_iter().enumerate() {
                    places[(4 * r + c) * depth + plane] = value as f32;
                }
            }
        }
    });
    Ok(all)
}
