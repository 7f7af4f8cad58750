//! Runs convolutions by minimal filtering.
//!
//! The input of a strip of rows is transformed plane after plane into a ring as deep as the kernel; each of the sixteen
//! places of the transform is then multiplied like a convolution of one tap per plane, and the sums are transformed back
//! row by row. A value depends on where it lies within its 2 x 2 outputs in its last bits, and on nothing else.
#![expect(unsafe_code, reason = "tiles through pointers")]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::convolution::{Input, Job, MAX_TAPS};
use super::half::{HALVES, round_row};
use super::lanes::{LANES, Lanes, values, values_mut};
use super::minimal::{Minimal, PLACES};
use super::tile::{Finish, Tap, Tile, half_kernels, kernels};
use super::transform::{Backward, Forward, backward, forward};

/// Pairs of columns that are transformed before they are rounded to bfloat16.
const ROUNDED: usize = 8;

/// A part of a plane of the result.
pub(super) struct Band {
    plane: usize,
    /// Pairs of rows.
    rows: Range<usize>,
    /// Pairs of columns.
    columns: Range<usize>,
    /// Groups of output blocks.
    pub(super) groups: Range<usize>,
    /// No columns follow.
    pub(super) last: bool,
}

impl Job<'_> {
    /// Computes all bands, of all groups of output blocks or of one; `deliver` gets each with its sums and with what `room`
    /// made for its stream.
    pub(super) fn each_band<R>(
        &self,
        (way, all): (&Minimal, bool),
        scratch: &mut [Lanes],
        (room, deliver): (impl Fn() -> R + Sync, impl Fn(&Band, &[Lanes], &mut R) + Sync),
    ) {
        let (pairs, row_pairs) = (self.to.width.div_ceil(2), self.to.height.div_ceil(2));
        let (strips, runs) = (row_pairs.div_ceil(way.rows), self.to.depth.div_ceil(way.run));
        let kept = if all { way.kept } else { 1 };
        let next = AtomicUsize::new(0);
        scratch.par_chunks_exact_mut(way.parts.iter().sum()).for_each(|scratch| {
            let mut room = room();
            let (ring, rest) = scratch.split_at_mut(way.parts[0]);
            let (sums, zeros) = rest.split_at_mut(way.parts[1]);
            zeros.fill(Lanes::default());
            loop {
                let unit = next.fetch_add(1, Ordering::Relaxed);
                if unit >= strips * runs {
                    break;
                }
                let (strip, planes) = (unit % strips * way.rows, unit / strips * way.run);
                let rows = strip..row_pairs.min(strip + way.rows);
                for first in (0..pairs).step_by(way.columns) {
                    let columns = first..pairs.min(first + way.columns);
                    let mut held = [usize::MAX; MAX_TAPS];
                    for plane in planes..self.to.depth.min(planes + way.run) {
                        for &(_, from) in self.windows.depth.taps(plane) {
                            let slot = from % way.depth;
                            if held[slot] != from {
                                held[slot] = from;
                                self.transform(way, (from, &rows, &columns), (&mut *ring, zeros));
                            }
                        }
                        for first in (0..self.weights.groups()).step_by(kept) {
                            let groups = first..self.weights.groups().min(first + kept);
                            let last = columns.end == pairs;
                            let (rows, columns) = (rows.clone(), columns.clone());
                            let band = Band { plane, rows, columns, groups, last };
                            self.multiply(way, &band, ring, sums);
                            deliver(&band, sums, &mut room);
                        }
                    }
                }
            }
        });
    }

    /// Transforms rows of an input plane into its slot of the ring.
    fn transform(
        &self,
        way: &Minimal,
        (plane, rows, columns): (usize, &Range<usize>, &Range<usize>),
        (ring, zeros): (&mut [Lanes], &[Lanes]),
    ) {
        let Input::Blocked(input) = self.input else { return };
        let (from, stride, half) = (self.from, way.stride(), self.weights.is_half());
        let voxel = if half { HALVES } else { LANES };
        let blocks = self.weights.inputs() / LANES;
        let reach = 2 * columns.len() + 2;
        let mut exact = [[Lanes::default(); ROUNDED]; PLACES];
        let slot = &mut values_mut(ring)[plane % way.depth * blocks * PLACES * stride * voxel..];
        for (block, places) in slot.chunks_mut(PLACES * stride * voxel).take(blocks).enumerate() {
            for (number, pair) in rows.clone().enumerate() {
                let row = |r: usize| match (2 * pair + r).checked_sub(way.pads[0]).filter(|&h| h < from.height) {
                    Some(h) => {
                        let start = block * from.block() + from.start(plane * from.height + h);
                        &input[start + 2 * columns.start - way.pads[1]..][..reach]
                    }
                    None => &zeros[..reach],
                };
                let rows = [row(0), row(1), row(2), row(3)];
                let at = number * columns.len();
                if !half {
                    let places = &mut places[at * LANES..];
                    forward(self.epilogue.simd, &Forward { rows, pairs: columns.len(), stride }, places);
                    continue;
                }
                for first in (0..columns.len()).step_by(ROUNDED) {
                    let pairs = ROUNDED.min(columns.len() - first);
                    let work = Forward { rows: rows.map(|row| &row[2 * first..]), pairs, stride: ROUNDED };
                    forward(self.epilogue.simd, &work, values_mut(exact.as_flattened_mut()));
                    for (place, exact) in exact.iter().enumerate() {
                        let places = &mut places[(place * stride + at + first) * HALVES..][..pairs * HALVES];
                        round_row(&exact[..pairs], LANES, places.as_chunks_mut().0);
                    }
                }
            }
        }
    }

    /// Sums the products of a band over input channels and planes, `[group][place][block][pair]`.
    fn multiply(&self, way: &Minimal, band: &Band, ring: &[Lanes], sums: &mut [Lanes]) {
        let (stride, half, depth) = (way.stride(), self.weights.is_half(), way.depth);
        let (voxel, blocks_in) = (if half { HALVES } else { LANES }, self.weights.inputs() / LANES);
        let (channels, count) = (self.weights.places(LANES), band.rows.len() * band.columns.len());
        let nothing = [Lanes::default(); 2];
        let ring = values(ring);
        assert!(ring.len() >= depth * blocks_in * PLACES * stride * voxel && count <= stride, "a ring is too small");
        for group in band.groups.clone() {
            let blocks = self.weights.blocks(group).len();
            let weights = self.weights.all(group);
            let mut list = [Tap::default(); MAX_TAPS];
            let mut met = 0;
            for block in 0..blocks_in {
                for &(tap, plane) in self.windows.depth.taps(band.plane) {
                    let input = ((plane % depth * blocks_in + block) * PLACES * stride * voxel) as isize;
                    list[met] = Tap { input, weight: (block * PLACES * depth + tap) * channels * blocks };
                    met += 1;
                }
            }
            let sums = &mut sums[self.first_sum(way, band, group)..][..blocks * PLACES * stride];
            assert!(
                weights.len() == blocks_in * PLACES * depth * channels * blocks && blocks <= 2,
                "weights do not fit"
            );
            let simd = self.epilogue.simd;
            let kernels = if half { half_kernels(blocks, voxel) } else { kernels(simd, blocks, voxel) };
            let tiles = count.div_ceil(simd.tile_voxels(blocks).min(kernels.len()));
            for place in 0..PLACES {
                let mut done = 0;
                for index in 0..tiles {
                    let width = count / tiles + usize::from(index < count % tiles);
                    let tile = Tile {
                        input: ring[(place * stride + done) * voxel..].as_ptr(),
                        voxel_step: voxel,
                        channel_step: 1,
                        channels,
                        taps: &list[..met],
                        weights: weights[place * depth * channels * blocks..].as_ptr(),
                        bias: nothing.as_ptr(),
                        finish: Finish::Nothing,
                        output: sums[place * blocks * stride + done..].as_mut_ptr(),
                        output_step: 1,
                        block_step: stride,
                    };
                    // SAFETY: `done + width <= count <= stride`, so a tap reads inside its place of a slot and block of the
                    // ring, whose size was checked, and writes inside the place of each block of `sums`, which is borrowed
                    // for this alone; weights of all taps and channels of a place were checked to be there.
                    unsafe { kernels[width - 1](&tile) };
                    done += width;
                }
            }
        }
    }

    /// Where the sums of a group start; the last group may have fewer blocks than the others.
    fn first_sum(&self, way: &Minimal, band: &Band, group: usize) -> usize {
        (group - band.groups.start) * self.weights.blocks(0).len() * PLACES * way.stride()
    }

    /// Rows (`d * height + h`) of a band.
    pub(super) fn rows(&self, band: &Band) -> Range<usize> {
        let start = band.plane * self.to.height;
        start + 2 * band.rows.start..start + self.to.height.min(2 * band.rows.end)
    }

    /// Columns of a band.
    pub(super) fn columns(&self, band: &Band) -> Range<usize> {
        2 * band.columns.start..self.to.width.min(2 * band.columns.end)
    }

    /// The voxels of a band in one row, before the epilogue.
    pub(super) fn restore(
        &self,
        (way, band, sums): (&Minimal, &Band, &[Lanes]),
        (group, index): (usize, usize),
        row: usize,
        voxels: &mut [Lanes],
    ) {
        let (stride, blocks) = (way.stride(), self.weights.blocks(group).len());
        let within = row - self.rows(band).start;
        let sums = &sums[self.first_sum(way, band, group)..][..blocks * PLACES * stride];
        let work = Backward {
            sums: &sums[index * stride + within / 2 * band.columns.len()..],
            stride: blocks * stride,
            second: within % 2 == 1,
            bias: self.weights.bias(group)[index],
            finish: self.finish,
        };
        if backward(self.epilogue.simd, &work, voxels) {
            return;
        }
        // A value that is not finite reaches all outputs of a transform: such rows are summed tap by tap.
        for (voxel, column) in voxels.iter_mut().zip(self.columns(band)) {
            *voxel = self.plainly(way, (group, index), (row, column));
        }
    }

    /// One voxel without a transform, with weights taken back from theirs.
    fn plainly(&self, way: &Minimal, (group, index): (usize, usize), (row, column): (usize, usize)) -> Lanes {
        let mut sum = self.weights.bias(group)[index];
        let Input::Blocked(input) = self.input else { return sum };
        let from = self.from;
        let near = |at: usize, tap: usize, pad: usize, len: usize| (at + tap).checked_sub(pad).filter(|&i| i < len);
        for &(tap, plane) in self.windows.depth.taps(row / self.to.height) {
            for place in 0..9 {
                let h = near(row % self.to.height, place / 3, way.pads[0], from.height);
                let w = near(column, place % 3, way.pads[1], from.width);
                let (Some(h), Some(w)) = (h, w) else { continue };
                let start = from.start(plane * from.height + h) + w;
                for channel in 0..self.weights.inputs() {
                    let x = input[channel / LANES * from.block() + start].0[channel % LANES];
                    let mut weight = [0.0; LANES];
                    for &(r, a) in TAKEN_BACK[place / 3] {
                        for &(c, b) in TAKEN_BACK[place % 3] {
                            let tap = (4 * r + c) * way.depth + tap;
                            let value = self.weights.value(group, channel, tap, index);
                            for (weight, value) in weight.iter_mut().zip(value.0) {
                                *weight += a * b * value;
                            }
                        }
                    }
                    for (sum, weight) in sum.0.iter_mut().zip(weight) {
                        *sum += x * weight;
                    }
                }
            }
        }
        match self.finish {
            Finish::Nothing => sum,
            Finish::Relu => Lanes(sum.0.map(|x| if x < 0.0 { 0.0 } else { x })),
            Finish::LeakyRelu(slope) => Lanes(sum.0.map(|x| if x < 0.0 { slope * x } else { x })),
        }
    }
}

/// Per tap of an axis: places of the transform, and their factors, of which it is the sum.
const TAKEN_BACK: [&[(usize, f32)]; 3] = [&[(0, 1.0)], &[(1, 1.0), (2, -1.0)], &[(3, 1.0)]];
