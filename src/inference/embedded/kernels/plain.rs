//! Convolutions whose result is in plain layout, alone or with a head behind them.
#![expect(unsafe_code, reason = "units write disjoint rows of one buffer")]

use std::ops::Range;

use rayon::prelude::*;

use super::bands::Band;
use super::convolution::{Input, Job, MAX_TAPS, Span, Target};
use super::lanes::{Extent, LANES, Lanes};
use super::minimal::Minimal;
use super::post::At;
use super::shared::Shared;
use super::tile::Tap;
use super::transpose::transpose;

/// Voxels of a row that are summed at once for a plain output.
pub(super) const CHUNK: usize = 128;

/// Blocks that the input of a head may have.
pub(crate) const HEAD_BLOCKS: usize = 4;

/// A row, and some of its voxels.
type RowPiece = (usize, Range<usize>);

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

impl Room {
    fn new() -> Self {
        let voxels = [Lanes::default(); CHUNK];
        let group = GroupRoom { taps: [Tap::default(); MAX_TAPS], scratch: [voxels; 2] };
        Self { middle: [voxels; HEAD_BLOCKS], group }
    }
}

/// Extent of what a head reads: a piece of a row.
pub(crate) fn head_input(channels: usize) -> Extent {
    Extent { channels, depth: 1, height: 1, width: CHUNK, left: 0, right: 0, spare: 0 }
}
impl Target {
    /// Blocks of `CHUNK` voxels.
    fn chunks(blocks: &mut [[Lanes; CHUNK]]) -> Self {
        let lanes = blocks.as_flattened_mut();
        Self { lanes: lanes.as_mut_ptr(), room: lanes.len(), block_step: CHUNK }
    }
}

impl Job<'_> {
    /// Runs with a result in plain layout: of this convolution, or of a `head` of one tap behind it, whose input then
    /// never leaves the cache.
    pub(crate) fn run_plain(&self, head: Option<&Job<'_>>, output: &mut [f32], scratch: &mut [Lanes]) {
        let (order, width) = (self.order(), self.to.width);
        let result = head.unwrap_or(self);
        let (plane, channels) = (self.to.voxels(), result.to.channels);
        assert!(plane * channels <= output.len(), "the output is smaller than its extent");
        let target = Plain { values: Shared::new(output), plane, width, channels };
        if let Some(way) = self.minimal {
            let finish = |band: &Band, sums: &[Lanes], room: &mut Room| {
                for row in self.rows(band) {
                    self.restored(head, (way, band, sums), row, &target, room);
                }
            };
            return self.each_band((way, head.is_some()), scratch, (Room::new, finish));
        }
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
        }
        self.through_head(head, (row, columns), target, room);
    }

    /// The epilogue over a piece of a row, and the head's piece computed from it.
    fn through_head(&self, head: &Job<'_>, (row, columns): RowPiece, target: &Plain, room: &mut Room) {
        for (block, voxels) in room.middle[..self.to.blocks()].iter_mut().enumerate() {
            self.epilogue.apply(&mut voxels[..columns.len()], At { block, row, column: columns.start });
        }
        let input = Input::Blocked(room.middle.as_flattened());
        let inner = Job { input, from: head_input(self.to.channels), ..*head };
        inner.piece((0, 0..columns.len()), (row, columns), target, &mut room.group);
    }

    /// A piece of a row by minimal filtering, and the head's piece computed from it.
    fn restored(
        &self,
        head: Option<&Job<'_>>,
        band: (&Minimal, &Band, &[Lanes]),
        row: usize,
        target: &Plain,
        room: &mut Room,
    ) {
        let columns = self.columns(band.1);
        for group in band.1.groups.clone() {
            for (index, block) in self.weights.blocks(group).enumerate() {
                let voxels = match head {
                    Some(_) => &mut room.middle[block],
                    None => &mut room.group.scratch[index],
                };
                self.restore(band, (group, index), row, &mut voxels[..columns.len()]);
            }
            if head.is_none() {
                self.deliver(group, (row, columns.clone()), target, &mut room.group);
            }
        }
        if let Some(head) = head {
            self.through_head(head, (row, columns), target, room);
        }
    }

    /// Computes the voxels `from` and writes them to the place `to`.
    fn piece(&self, from: RowPiece, to: RowPiece, target: &Plain, room: &mut GroupRoom) {
        for group in 0..self.weights.groups() {
            for channels in self.weights.pieces(group) {
                let span = Span { group, channels, row: from.0, columns: from.1.clone() };
                // SAFETY: the room is this unit's.
                unsafe { self.sum(&span, &Target::chunks(&mut room.scratch), &mut room.taps) };
            }
            self.deliver(group, to.clone(), target, room);
        }
    }

    /// The epilogue over a group's voxels in `room`, which then go to the place `to`.
    fn deliver(&self, group: usize, (row, columns): RowPiece, target: &Plain, room: &mut GroupRoom) {
        for (block, lanes) in self.weights.blocks(group).zip(&mut room.scratch) {
            let lanes = &mut lanes[..columns.len()];
            self.epilogue.apply(lanes, At { block, row, column: columns.start });
            let first = block * LANES;
            transpose(self.epilogue.simd, lanes, LANES.min(target.channels - first), |c| {
                let start = (first + c) * target.plane + row * target.width + columns.start;
                // SAFETY: these columns of the row belong to this unit alone, one channel at a time.
                unsafe { target.values.part(start, columns.len()) }
            });
        }
    }
}
