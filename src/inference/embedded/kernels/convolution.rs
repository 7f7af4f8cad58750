//! Convolutions and transposed convolutions over blocks of sixteen channels.
//!
//! Work is cut into units: a group of output blocks times some rows. A unit sums sixteen input channels after the
//! other over all its rows, so that their weights stay in the cache; each output value is summed in one fixed order.
#![expect(unsafe_code, reason = "units write disjoint rows of one buffer, tiles through pointers")]

use rayon::prelude::*;

use super::bands::Band;
use super::half::HALVES;
use super::lanes::{Extent, LANES, Lanes, values};
use super::minimal::Minimal;
use super::normalize::{PARTS, row_sums};
use super::order::Order;
use super::post::{At, Epilogue, Post};
use super::shared::Shared;
use super::tile::{Finish, Kernel, Tap, Tile, half_kernels, kernels};
use super::weights::Packed;
use super::window::Windows;
use crate::model::graph::Activation;

/// Most taps of a kernel (7 x 7 x 7).
pub(crate) const MAX_TAPS: usize = 343;

/// Bytes of input that the rows of a strip may need at once: half of a common second-level cache.
const STRIP_BYTES: usize = 512 << 10;

/// Where a convolution reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    Blocked(&'a [Lanes]),
    /// Blocked, of two channels rounded to bfloat16 in each place.
    Half(&'a [f32]),
    /// At most sixteen channels.
    Plain(&'a [f32]),
    /// Blocked, in the buffer that is written.
    Own(Shared<Lanes>),
}

pub(super) fn no_taps() -> [Tap; MAX_TAPS] {
    [Tap::default(); MAX_TAPS]
}

/// A convolution that is ready to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(super) windows: &'a Windows,
    pub(super) weights: &'a Packed,
    /// By minimal filtering, for which the weights were transformed.
    pub(super) minimal: Option<&'a Minimal>,
    pub(super) input: Input<'a>,
    pub(super) from: Extent,
    pub(super) to: Extent,
    pub(super) epilogue: Epilogue<'a>,
    /// The first operation of the epilogue, where the kernels do it.
    pub(super) finish: Finish,
}

/// Where the sums of a span go.
pub(super) struct Target {
    /// The first voxel of the span in its first block.
    pub(super) lanes: *mut Lanes,
    /// Lanes that may be written from there on.
    pub(super) room: usize,
    /// Lanes between blocks.
    pub(super) block_step: usize,
}

/// A run of output voxels that one pass over the taps computes.
pub(super) struct Span {
    pub(super) group: usize,
    /// Input channels, all in one block.
    pub(super) channels: std::ops::Range<usize>,
    pub(super) row: usize,
    /// Output voxels `columns` of the row.
    pub(super) columns: std::ops::Range<usize>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        (windows, weights, minimal): (&'a Windows, &'a Packed, Option<&'a Minimal>),
        (input, from, to): (Input<'a>, Extent, Extent),
        mut epilogue: Epilogue<'a>,
    ) -> Self {
        let finish = match epilogue.posts.first() {
            Some(Post::Activation(Activation::Relu)) => Finish::Relu,
            Some(Post::Activation(Activation::LeakyRelu { alpha })) => Finish::LeakyRelu(*alpha),
            _ => Finish::Nothing,
        };
        if finish != Finish::Nothing {
            epilogue.posts = &epilogue.posts[1..];
        }
        Self { windows, weights, minimal, input, from, to, epilogue, finish }
    }

    /// Runs over the current rayon pool. `sums` is room for the sums of each row that a normalization needs, or empty;
    /// `scratch` that of [`Minimal::lanes`].
    pub(crate) fn run(&self, output: &mut [Lanes], sums: &mut [Lanes], scratch: &mut [Lanes]) {
        if let Some(way) = self.minimal {
            return self.run_minimal(way, output, (sums, scratch));
        }
        let (groups, order) = (self.weights.groups(), self.order());
        let chunks = order.chunks();
        let weights_first = self.weights.bytes() > self.from.channels * self.from.block() * size_of::<f32>();
        assert!(self.to.blocks() * self.to.block() <= output.len(), "the output is smaller than its extent");
        let (output, sums) = (Shared::new(output), Shared::of_any(sums));
        (0..groups * chunks).into_par_iter().for_each_init(no_taps, |taps, unit| {
            let (group, chunk) =
                if weights_first { (unit / chunks, unit % chunks) } else { (unit % groups, unit / groups) };
            let rows = order.rows(chunk);
            let first = rows.start;
            // SAFETY: rows of a group belong to this unit alone, and the input is borrowed beside the output.
            unsafe { self.unit((group, rows), first, (&output, sums.as_ref()), taps) };
        });
    }

    /// Computes `rows` of a group and puts them into the rows of the output from `first` on.
    ///
    /// # Safety
    /// Nobody else uses these rows of the output, nor the sums of `rows`, in the blocks of the group, and nobody writes what
    /// their taps read.
    pub(super) unsafe fn unit(
        &self,
        (group, rows): (usize, std::ops::Range<usize>),
        first: usize,
        (output, sums): (&Shared<Lanes>, Option<&Shared<Lanes>>),
        taps: &mut [Tap; MAX_TAPS],
    ) {
        let blocks = self.weights.blocks(group);
        let places = rows.clone().zip(first..);
        for channels in self.weights.pieces(group) {
            for (row, place) in places.clone() {
                let (lanes, room) = output.from(blocks.start * self.to.block() + self.to.start(place));
                let span = Span { group, channels: channels.clone(), row, columns: 0..self.to.width };
                // SAFETY: the caller vouches for the rows.
                unsafe { self.sum(&span, &Target { lanes, room, block_step: self.to.block() }, taps) };
            }
        }
        for block in blocks {
            for (row, place) in places.clone() {
                // SAFETY: the caller vouches for the rows; `lanes` is dropped before the next.
                let lanes = unsafe { output.part(block * self.to.block() + place * self.to.row(), self.to.row()) };
                let voxels = self.finish(lanes, block, row);
                if let Some(sums) = sums {
                    let index = block * self.to.rows() + row;
                    // SAFETY: each row of each block has sums of its own.
                    row_sums(self.epilogue.simd, voxels, unsafe { sums.part(index * PARTS, PARTS) });
                }
            }
        }
    }

    /// As [`Job::run`], by minimal filtering.
    fn run_minimal(&self, way: &Minimal, output: &mut [Lanes], (sums, scratch): (&mut [Lanes], &mut [Lanes])) {
        assert!(self.to.blocks() * self.to.block() <= output.len(), "the output is smaller than its extent");
        let (shared, sums) = (Shared::new(output), Shared::of_any(sums));
        let deliver = |band: &Band, products: &[Lanes], _: &mut ()| {
            let columns = self.columns(band);
            for group in band.groups.clone() {
                for (index, block) in self.weights.blocks(group).enumerate() {
                    for row in self.rows(band) {
                        let start = block * self.to.block() + row * self.to.row();
                        // SAFETY: rows of a strip and run belong to its unit alone; `lanes` is dropped before the next.
                        let lanes = unsafe { shared.part(start, self.to.row()) };
                        let inner = self.clear_borders(lanes);
                        let piece = &mut inner[columns.clone()];
                        self.restore((way, band, products), (group, index), row, piece);
                        self.epilogue.apply(piece, At { block, row, column: columns.start });
                        if let (true, Some(sums)) = (band.last, sums) {
                            let place = (block * self.to.rows() + row) * PARTS;
                            // SAFETY: each row of each block has sums of its own.
                            row_sums(self.epilogue.simd, inner, unsafe { sums.part(place, PARTS) });
                        }
                    }
                }
            }
        };
        self.each_band((way, false), scratch, (|| (), deliver));
    }

    /// Zeroes the borders of a row and returns what is between them.
    fn clear_borders<'b>(&self, lanes: &'b mut [Lanes]) -> &'b mut [Lanes] {
        let (left, inner) = lanes.split_at_mut(self.to.left);
        let (inner, right) = inner.split_at_mut(self.to.width);
        left.fill(Lanes::default());
        right.fill(Lanes::default());
        inner
    }

    /// Zeroes the borders of a row and runs the epilogue over its voxels, which it returns.
    fn finish<'b>(&self, lanes: &'b mut [Lanes], block: usize, row: usize) -> &'b [Lanes] {
        let inner = self.clear_borders(lanes);
        self.epilogue.apply(inner, At { block, row, column: 0 });
        inner
    }

    /// Rows of a unit: enough voxels to use weights well that do not stay in the cache, few enough to keep many
    /// threads busy. Units follow each other down the planes strip by strip, so that the planes above and below are
    /// still in the cache.
    pub(super) fn order(&self) -> Order {
        let many = self.weights.inputs() > LANES;
        let wanted = if many { 256 } else { 128 } / self.to.width.clamp(1, 128);
        let fair = (self.to.rows() * self.weights.groups()).div_ceil(64);
        let rows = wanted.min(fair).clamp(1, self.to.height);
        let bytes =
            self.windows.kernel[0] * self.from.row() * self.from.channels.next_multiple_of(LANES) * size_of::<f32>();
        let strip = (STRIP_BYTES / bytes.max(1)).max(8).next_multiple_of(rows).min(self.to.height);
        Order { rows, strip, depth: self.to.depth, height: self.to.height }
    }

    /// Adds the products of sixteen input channels to the voxels of a span.
    ///
    /// # Safety
    /// Nobody else uses the voxels of the span in the blocks of its group, which lie in `target`, and nobody writes what
    /// its taps read.
    pub(super) unsafe fn sum(&self, span: &Span, target: &Target, list: &mut [Tap; MAX_TAPS]) {
        let slice = |values: &[f32]| (values.as_ptr(), values.len());
        let ((data, len), voxel, channel_step) = match self.input {
            Input::Blocked(lanes) => (slice(values(lanes)), LANES, 1),
            Input::Half(places) => (slice(places), HALVES, 1),
            Input::Plain(plain) => (slice(plain), 1, self.from.block()),
            Input::Own(lanes) => (lanes.values(), LANES, 1),
        };
        let half = matches!(self.input, Input::Half(_));
        let channels = self.weights.places(span.channels.len());
        let (block, lane) = (span.channels.start / LANES, span.channels.start % LANES);
        let origin = block * self.from.block() * voxel + self.weights.places(lane) * channel_step;
        let weights = self.weights.lanes(span.group, &span.channels);
        let blocks = self.weights.blocks(span.group).len();
        let (first, last) = self.weights.ends(span.group, &span.channels);
        let finish = if last { self.finish } else { Finish::Nothing };
        let windows = self.windows;
        let step = voxel * windows.input_step;
        let known = if step == voxel { step } else { 0 };
        let kernels = if half { half_kernels(blocks, known) } else { kernels(self.epilogue.simd, blocks, known) };
        let largest = self.epilogue.simd.tile_voxels(blocks).min(kernels.len());
        let bias = if first { self.weights.bias(span.group).as_ptr() } else { std::ptr::null() };
        for phase in &windows.phases {
            let count = self.taps(list, phase, span.row, (voxel, channels * blocks));
            let taps = &list[..count];
            let first = span.columns.start.saturating_sub(phase.first).div_ceil(windows.output_step);
            let end = span.columns.end.saturating_sub(phase.first).div_ceil(windows.output_step).min(phase.count);
            let total = end.saturating_sub(first);
            if total == 0 {
                continue;
            }
            let reach = (total - 1) * step + (channels - 1) * channel_step;
            check(len, taps, origin + first * step, reach);
            let column = |voxel: usize| phase.first + voxel * windows.output_step - span.columns.start;
            let end = column(first + total - 1) + (blocks - 1) * target.block_step;
            assert!(end < target.room, "a convolution writes outside its output");
            let weighed = taps.iter().all(|tap| tap.weight + channels * blocks <= weights.len());
            assert!(weighed, "a convolution has too few weights");
            let tiles = total.div_ceil(largest);
            let mut done = 0;
            for index in 0..tiles {
                let width = total / tiles + usize::from(index < total % tiles);
                let begin = origin + (first + done) * step;
                let kernel: Kernel = kernels[width - 1];
                // SAFETY: all reads and writes of the span were checked above, of which this is a part; the bias has one
                // lane per block (`Packed::bias`); that nobody else uses the output and nobody writes the input is the
                // caller's promise.
                unsafe {
                    kernel(&Tile {
                        input: data.add(begin),
                        voxel_step: step,
                        channel_step,
                        channels,
                        taps,
                        weights: weights.as_ptr(),
                        bias,
                        finish,
                        output: target.lanes.add(column(first + done)),
                        output_step: windows.output_step,
                        block_step: target.block_step,
                    });
                }
                done += width;
            }
        }
    }

    /// Fills in the taps that meet the input for a phase of a row, and says how many.
    #[expect(clippy::cast_possible_wrap, reason = "offsets in a buffer that exists")]
    fn taps(&self, taps: &mut [Tap], phase: &super::window::Phase, row: usize, sizes: (usize, usize)) -> usize {
        let (voxel, lanes_per_tap) = sizes;
        let (d, h) = (row / self.to.height, row % self.to.height);
        let [_, kh, kw] = self.windows.kernel;
        let mut count = 0;
        for &(tap_d, from_d) in self.windows.depth.taps(d) {
            for &(tap_h, from_h) in self.windows.height.taps(h) {
                let start = self.from.start(from_d * self.from.height + from_h) as isize;
                for &(tap_w, offset) in &phase.taps {
                    taps[count] = Tap {
                        input: (start + offset) * voxel as isize,
                        weight: ((tap_d * kh + tap_h) * kw + tap_w) * lanes_per_tap,
                    };
                    count += 1;
                }
            }
        }
        count
    }
}

/// Proves that the tiles of a span read inside their input of `len` values: `reach` values beyond each tap of the voxel at
/// `begin`.
#[expect(clippy::cast_possible_wrap, reason = "offsets in a buffer that exists")]
fn check(len: usize, taps: &[Tap], begin: usize, reach: usize) {
    let (begin, len) = (begin as isize, len as isize);
    let inside = taps.iter().all(|tap| begin + tap.input >= 0 && begin + tap.input + (reach as isize) < len);
    assert!(inside, "a convolution reaches outside its input");
}
