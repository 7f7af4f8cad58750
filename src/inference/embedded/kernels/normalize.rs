//! Normalization over space and softmax over channels.
#![allow(clippy::needless_range_loop, reason = "loops over the lanes of several operands")]

use rayon::prelude::*;

use super::lanes::{Extent, LANES, Lanes};
use super::layout::each_row;
use super::math;
use super::post::{At, Epilogue, affine};
use super::simd::versions;

/// Lanes of scratch per plane of a block: sum and sum of squares, each in two parts.
pub(super) const PARTS: usize = 4;

/// An instance or group normalization that is ready to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) groups: usize,
    pub(crate) epsilon: f32,
    pub(crate) scale: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) extent: Extent,
    pub(crate) to: Extent,
    pub(crate) epilogue: Epilogue<'a>,
    /// The sums of the rows are in `scratch` already.
    pub(crate) summed: bool,
}

/// Lanes of scratch that a normalization needs.
pub(crate) fn scratch(extent: Extent) -> usize {
    extent.blocks() * (extent.rows() * PARTS + 2)
}

impl Job<'_> {
    /// Normalizes `input`, or `output` in place where there is no input.
    pub(crate) fn run(&self, input: Option<&[Lanes]>, output: &mut [Lanes], scratch: &mut [Lanes]) {
        let (parts, factors) = scratch.split_at_mut(self.extent.blocks() * self.extent.rows() * PARTS);
        if !self.summed {
            self.sums(input.unwrap_or(&*output), parts);
        }
        self.factors(parts, factors);
        let (simd, extent) = (self.epilogue.simd, self.extent);
        each_row(output, self.to, &self.epilogue, |row, at| {
            if let Some(input) = input {
                let start = at.block * extent.block() + extent.start(at.row);
                row.copy_from_slice(&input[start..start + row.len()]);
            }
            affine(simd, row, factors[2 * at.block], factors[2 * at.block + 1]);
        });
    }

    /// Sums over rows, side by side.
    fn sums(&self, input: &[Lanes], parts: &mut [Lanes]) {
        let (simd, extent) = (self.epilogue.simd, self.extent);
        parts.par_chunks_exact_mut(PARTS).enumerate().for_each(|(i, parts)| {
            let (block, row) = (i / extent.rows(), i % extent.rows());
            let start = block * extent.block() + extent.start(row);
            row_sums(simd, &input[start..start + extent.width], parts);
        });
    }

    /// Scale and shift per channel from the sums, added up row after row in 64 bit.
    #[expect(clippy::cast_possible_truncation, reason = "scores are 32 bit")]
    fn factors(&self, parts: &mut [Lanes], factors: &mut [Lanes]) {
        let (extent, channels) = (self.extent, self.extent.channels);
        let size = channels / self.groups;
        for rows in parts.chunks_exact_mut(extent.rows() * PARTS) {
            add_up(rows);
        }
        let channel_sums = |channel: usize| {
            let part = &parts[channel / LANES * extent.rows() * PARTS..];
            let whole = |i: usize| f64::from(part[i].0[channel % LANES]) + f64::from(part[i + 1].0[channel % LANES]);
            (whole(0), whole(2))
        };
        for group in 0..self.groups {
            let members = group * size..(group + 1) * size;
            let (sum, squares) = members.clone().map(channel_sums).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            let count = (size * extent.voxels()) as f64;
            let mean = sum / count;
            let deviation = ((squares / count - mean * mean).max(0.0) + f64::from(self.epsilon)).sqrt();
            for channel in members {
                let scale = f64::from(self.scale[channel]) / deviation;
                let (block, lane) = (channel / LANES, channel % LANES);
                factors[2 * block].0[lane] = scale as f32;
                factors[2 * block + 1].0[lane] = (f64::from(self.bias[channel]) - mean * scale) as f32;
            }
        }
    }
}

/// A value and its rest in 32 bit each, into two lanes.
#[expect(clippy::cast_possible_truncation, reason = "a value and its rest")]
#[inline(always)]
fn split(values: &[f64; LANES], parts: &mut [Lanes]) {
    for c in 0..LANES {
        parts[0].0[c] = values[c] as f32;
        parts[1].0[c] = (values[c] - f64::from(values[c] as f32)) as f32;
    }
}

/// Adds up the sums of rows, the first of which takes the result.
fn add_up(rows: &mut [Lanes]) {
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for part in rows.chunks_exact(PARTS) {
        for c in 0..LANES {
            sums[c] += f64::from(part[0].0[c]) + f64::from(part[1].0[c]);
            squares[c] += f64::from(part[2].0[c]) + f64::from(part[3].0[c]);
        }
    }
    split(&sums, rows);
    split(&squares, &mut rows[2..]);
}

versions! {
    /// Sum and sum of squares of a row in 64 bit, each as a 32-bit value and the rest.
    pub(super) fn row_sums(row: &[Lanes], parts: &mut [Lanes]) {
        let (mut sums, mut squares) = ([0.0_f64; LANES], [0.0_f64; LANES]);
        for lanes in row {
            for c in 0..LANES {
                let x = f64::from(lanes.0[c]);
                sums[c] += x;
                squares[c] += x * x;
            }
        }
        split(&sums, parts);
        split(&squares, &mut parts[2..]);
    }
}

/// Softmax over channels: of `input`, or of `output` in place where there is no input.
pub(crate) fn softmax(
    input: Option<&[Lanes]>,
    from: Extent,
    output: &mut [Lanes],
    (to, log): (Extent, bool),
    epilogue: &Epilogue<'_>,
) {
    if let Some(input) = input {
        super::layout::elementwise(Some((input, from)), output, to, &Epilogue { posts: &[], ..*epilogue });
    }
    // The channels of a voxel lie in several blocks, so rows are gathered: one mutable piece per block and row.
    let mut rows: Vec<Vec<&mut [Lanes]>> = (0..to.rows()).map(|_| Vec::with_capacity(to.blocks())).collect();
    for block in output[..to.blocks() * to.block()].chunks_mut(to.block()) {
        for (row, lanes) in block.chunks_mut(to.row()).enumerate() {
            rows[row].push(&mut lanes[to.left..to.left + to.width]);
        }
    }
    rows.into_par_iter().enumerate().for_each(|(row, mut blocks)| {
        softmax_row(epilogue.simd, &mut blocks, to.channels, log);
        for (block, lanes) in blocks.into_iter().enumerate() {
            epilogue.apply(lanes, At { block, row, column: 0 });
        }
    });
}

versions! {
    fn softmax_row(blocks: &mut [&mut [Lanes]], channels: usize, log: bool) {
        let width = blocks.first().map_or(0, |block| block.len());
        for w in 0..width {
            let mut largest = f32::NEG_INFINITY;
            for c in 0..channels {
                let x = blocks[c / LANES][w].0[c % LANES];
                largest = if x > largest { x } else { largest };
            }
            let mut sum = 0.0;
            for c in 0..channels {
                sum += math::exp(blocks[c / LANES][w].0[c % LANES] - largest);
            }
            let shift = if log { largest + sum.ln() } else { largest };
            for (block, lanes) in blocks.iter_mut().enumerate() {
                for lane in 0..LANES.min(channels - block * LANES) {
                    let x = lanes[w].0[lane] - shift;
                    lanes[w].0[lane] = if log { x } else { math::exp(x) / sum };
                }
            }
        }
    }
}
