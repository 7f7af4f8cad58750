//! Convolutions and transposed convolutions over blocks of sixteen channels.
//!
//! Work is cut into units: a group of output blocks times some rows. A unit sums sixteen input channels after the
//! other over all its rows, so that their weights stay in the cache; each output value is summed in one fixed order.
#![expect(unsafe_code, reason = "units write disjoint rows of one buffer, tiles through pointers")]

use rayon::prelude::*;

use super::half::HALVES;
use super::lanes::{Extent, LANES, Lanes, values};
use super::normalize::{PARTS, row_sums};
use super::order::Order;
use super::post::{At, Epilogue, Post};
use super::shared::Shared;
use super::tile::{Finish, Kernel, Tap, Tile, half_kernels, kernels};
use super::transpose::transpose;
use super::weights::Packed;
use super::window::Windows;
use crate::model::graph::Activation;

/// Most taps of a kernel (7 x 7 x 7).
pub(crate) const MAX_TAPS: usize = 343;

/// Voxels of a row that are summed at once for a plain output.
const CHUNK: usize = 128;

/// Bytes of input that the rows of a strip may need at once: half of a common second-level cache.
const STRIP_BYTES: usize = 512 << 10;

/// Blocks that the input of a head may have.
pub(crate) const HEAD_BLOCKS: usize = 4;

/// Where a convolution reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    Blocked(&'a [Lanes]),
    /// Blocked, of two channels rounded to bfloat16 in each place.
    Half(&'a [f32]),
    /// At most sixteen channels.
    Plain(&'a [f32]),
}

/// A row, and some of its voxels.
type RowPiece = (usize, std::ops::Range<usize>);

/// A result in plain layout without borders.
struct Plain {
    values: Shared<f32>,
    /// Values of a channel.
    plane: usize,
    width: usize,
    channels: usize,
}

/// What a unit with a plain result works in.
struct Room {
    /// The result of the convolution before a head.
    middle: [[Lanes; CHUNK]; HEAD_BLOCKS],
    group: GroupRoom,
}

/// Taps, and the result of a group.
struct GroupRoom {
    taps: [Tap; MAX_TAPS],
    scratch: [[Lanes; CHUNK]; 2],
}

fn no_taps() -> [Tap; MAX_TAPS] {
    [Tap::default(); MAX_TAPS]
}

impl Room {
    fn new() -> Self {
        let voxels = [Lanes::default(); CHUNK];
        let group = GroupRoom { taps: no_taps(), scratch: [voxels; 2] };
        Self { middle: [voxels; HEAD_BLOCKS], group }
    }
}

/// Extent of what a head reads: a piece of a row.
pub(crate) fn head_input(channels: usize) -> Extent {
    Extent { channels, depth: 1, height: 1, width: CHUNK, left: 0, right: 0 }
}

/// A convolution that is ready to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    windows: &'a Windows,
    weights: &'a Packed,
    input: Input<'a>,
    from: Extent,
    to: Extent,
    epilogue: Epilogue<'a>,
    /// The first operation of the epilogue, where the kernels do it.
    finish: Finish,
}

/// Where the sums of a span go.
struct Target {
    /// The first voxel of the span in its first block.
    lanes: *mut Lanes,
    /// Lanes that may be written from there on.
    room: usize,
    /// Lanes between blocks.
    block_step: usize,
}

impl Target {
    /// Blocks of `CHUNK` voxels.
    fn chunks(blocks: &mut [[Lanes; CHUNK]]) -> Self {
        let lanes = blocks.as_flattened_mut();
        Self { lanes: lanes.as_mut_ptr(), room: lanes.len(), block_step: CHUNK }
    }
}

/// A run of output voxels that one pass over the taps computes.
struct Span {
    group: usize,
    /// Input channels, all in one block.
    channels: std::ops::Range<usize>,
    row: usize,
    /// Output voxels `columns` of the row.
    columns: std::ops::Range<usize>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        (windows, weights): (&'a Windows, &'a Packed),
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
        Self { windows, weights, input, from, to, epilogue, finish }
    }

    /// Runs over the current rayon pool. `sums` is room for the sums of each row that a normalization needs, or empty.
    pub(crate) fn run(&self, output: &mut [Lanes], sums: &mut [Lanes]) {
        let (groups, order) = (self.weights.groups(), self.order());
        let chunks = order.chunks();
        let weights_first = self.weights.bytes() > self.from.channels * self.from.block() * size_of::<f32>();
        assert!(self.to.blocks() * self.to.block() <= output.len(), "the output is smaller than its extent");
        let (shared, summed) = (Shared::new(output), !sums.is_empty());
        let sums = Shared::new(sums);
        (0..groups * chunks).into_par_iter().for_each_init(no_taps, |taps, unit| {
            let (group, chunk) =
                if weights_first { (unit / chunks, unit % chunks) } else { (unit % groups, unit / groups) };
            let rows = order.rows(chunk);
            for channels in self.weights.pieces(group) {
                for row in rows.clone() {
                    let blocks = self.weights.blocks(group);
                    let start = blocks.start * self.to.block() + self.to.start(row);
                    let columns = 0..self.to.width;
                    let span = Span { group, channels: channels.clone(), row, columns };
                    let (lanes, room) = shared.from(start);
                    // SAFETY: these are rows `row` of the blocks of `group`, which belong to this unit alone.
                    unsafe { self.sum(&span, &Target { lanes, room, block_step: self.to.block() }, taps) };
                }
            }
            for block in self.weights.blocks(group) {
                for row in rows.clone() {
                    // SAFETY: rows of a group belong to this unit alone, and `lanes` is dropped before the next.
                    let lanes = unsafe { shared.part(block * self.to.block() + row * self.to.row(), self.to.row()) };
                    let voxels = self.finish(lanes, block, row);
                    if summed {
                        let index = block * self.to.rows() + row;
                        // SAFETY: each row of each block has sums of its own.
                        row_sums(self.epilogue.simd, voxels, unsafe { sums.part(index * PARTS, PARTS) });
                    }
                }
            }
        });
    }

    /// Zeroes the borders of a row and runs the epilogue over its voxels, which it returns.
    fn finish<'b>(&self, lanes: &'b mut [Lanes], block: usize, row: usize) -> &'b [Lanes] {
        let (left, inner) = lanes.split_at_mut(self.to.left);
        let (inner, right) = inner.split_at_mut(self.to.width);
        left.fill(Lanes::default());
        right.fill(Lanes::default());
        self.epilogue.apply(inner, At { block, row, column: 0 });
        inner
    }

    /// Runs with a result in plain layout: of this convolution, or of a `head` of one tap behind it, whose input then
    /// never leaves the cache.
    pub(crate) fn run_plain(&self, head: Option<&Job<'_>>, output: &mut [f32]) {
        let (order, width) = (self.order(), self.to.width);
        let result = head.unwrap_or(self);
        let (plane, channels) = (self.to.voxels(), result.to.channels);
        assert!(plane * channels <= output.len(), "the output is smaller than its extent");
        let target = Plain { values: Shared::new(output), plane, width, channels };
        (0..order.chunks()).into_par_iter().for_each_init(Room::new, |room, chunk| {
            for row in order.rows(chunk) {
                for start in (0..width).step_by(CHUNK) {
                    let columns = start..width.min(start + CHUNK);
                    match head {
                        Some(head) => self.behind(head, (row, columns), &target, room),
                        None => self.piece((row, columns.clone()), (row, columns), &target, &mut room.group),
                    }
                }
            }
        });
    }

    /// A piece of a row, and the head's piece computed from it.
    fn behind(&self, head: &Job<'_>, place: RowPiece, target: &Plain, room: &mut Room) {
        assert!(self.to.blocks() <= HEAD_BLOCKS, "the input of a head is larger than its room");
        let (row, columns) = place;
        for group in 0..self.weights.groups() {
            let blocks = self.weights.blocks(group);
            for channels in self.weights.pieces(group) {
                let span = Span { group, channels, row, columns: columns.clone() };
                let target = Target::chunks(&mut room.middle[blocks.clone()]);
                // SAFETY: the room is this unit's.
                unsafe { self.sum(&span, &target, &mut room.group.taps) };
            }
            for block in blocks {
                let at = At { block, row, column: columns.start };
                self.epilogue.apply(&mut room.middle[block][..columns.len()], at);
            }
        }
        let input = Input::Blocked(room.middle.as_flattened());
        let inner = Job { input, from: head_input(self.to.channels), ..*head };
        inner.piece((0, 0..columns.len()), (row, columns), target, &mut room.group);
    }

    /// Computes the voxels `from` and writes them to the place `to`.
    fn piece(&self, from: RowPiece, to: RowPiece, target: &Plain, room: &mut GroupRoom) {
        for group in 0..self.weights.groups() {
            for channels in self.weights.pieces(group) {
                let span = Span { group, channels, row: from.0, columns: from.1.clone() };
                // SAFETY: the room is this unit's.
                unsafe { self.sum(&span, &Target::chunks(&mut room.scratch), &mut room.taps) };
            }
            for (block, lanes) in self.weights.blocks(group).zip(&mut room.scratch) {
                let lanes = &mut lanes[..to.1.len()];
                self.epilogue.apply(lanes, At { block, row: to.0, column: to.1.start });
                let first = block * LANES;
                transpose(self.epilogue.simd, lanes, LANES.min(target.channels - first), |c| {
                    let start = (first + c) * target.plane + to.0 * target.width + to.1.start;
                    // SAFETY: these columns of the row belong to this unit alone, one channel at a time.
                    unsafe { target.values.part(start, to.1.len()) }
                });
            }
        }
    }

    /// Rows of a unit: enough voxels to use weights well that do not stay in the cache, few enough to keep many
    /// threads busy. Units follow each other down the planes strip by strip, so that the planes above and below are
    /// still in the cache.
    fn order(&self) -> Order {
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
    /// Nobody else uses the voxels of the span in the blocks of its group, which lie in `target`.
    unsafe fn sum(&self, span: &Span, target: &Target, list: &mut [Tap; MAX_TAPS]) {
        let (data, voxel, channel_step) = match self.input {
            Input::Blocked(lanes) => (values(lanes), LANES, 1),
            Input::Half(places) => (places, HALVES, 1),
            Input::Plain(plain) => (plain, 1, self.from.block()),
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
            check(data, taps, origin + first * step, reach);
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
                // lane per block (`Packed::bias`); that nobody else uses the output is the caller's promise.
                unsafe {
                    kernel(&Tile {
                        input: data.as_ptr().add(begin),
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

/// Proves that the tiles of a span read inside their input: `reach` values beyond each tap of the voxel at `begin`.
#[expect(clippy::cast_possible_wrap, reason = "offsets in a buffer that exists")]
fn check(data: &[f32], taps: &[Tap], begin: usize, reach: usize) {
    let (begin, len) = (begin as isize, data.len() as isize);
    let inside = taps.iter().all(|tap| begin + tap.input >= 0 && begin + tap.input + (reach as isize) < len);
    assert!(inside, "a convolution reaches outside its input");
}
