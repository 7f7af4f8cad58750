//! Deciding under any affine map: a layer of cells of the working grid after the other, so that two planes of scores are
//! all that is needed at a time. Each row of the target crosses a layer in one interval.

use std::ops::Range;

use rayon::prelude::*;

use super::rule::Contests;
use super::taps::Tap;
use super::target::Target;
use super::window::Window;
use crate::error::Result;
use crate::geometry::{Affine, SNAP, float, interval};
use crate::limits;
use crate::resample::Outside;

/// Layers of cells, each between a plane of the working grid and the next; the last layer is the last plane itself.
#[derive(Debug)]
pub(super) struct Layers {
    /// Target index to working index.
    map: Affine,
    pub(super) working: [usize; 3],
    pub(super) target: Target,
    outside: Outside,
    /// Layers decided.
    pub(super) decided: usize,
}

impl Layers {
    pub(super) fn new(map: Affine, working: [usize; 3], target: Target, outside: Outside) -> Self {
        Self { map, working, target, outside, decided: 0 }
    }

    /// The first working plane that is still needed.
    pub(super) fn needs_from(&self) -> Option<usize> {
        (self.decided < self.working[2]).then_some(self.decided)
    }

    /// Decides all voxels whose scores are at hand.
    pub(super) fn advance(&mut self, contests: &Contests, window: &Window<'_>, out: &mut [u16]) -> Result<()> {
        let layers = self.at_hand(window);
        if layers.is_empty() {
            return Ok(());
        }
        let [ni, nj, _] = self.target.shape();
        out.par_chunks_mut(ni * nj).enumerate().try_for_each(|(k, plane)| {
            let mut scratch = Scratch { mixed: Vec::new(), codes: limits::zeroed(ni, "a row")? };
            for (j, row) in plane.chunks_mut(ni).enumerate() {
                self.decide_row(contests, window, layers.clone(), [j, k], &mut scratch, row);
            }
            Ok(())
        })?;
        self.decided = layers.end;
        Ok(())
    }

    /// The layers whose scores are at hand and that are not decided yet.
    pub(super) fn at_hand(&self, window: &Window<'_>) -> Range<usize> {
        let complete = window.last() + 1 == self.working[2];
        self.decided..window.last() + usize::from(complete)
    }

    /// The first voxel of row (j, k) of the target as an index of the working grid, the step to the next, and the voxels of
    /// that row that lie in `layers` and are not outside.
    pub(super) fn row(&self, layers: &Range<usize>, [j, k]: [usize; 2]) -> ([f64; 3], [f64; 3], Range<usize>) {
        let count = self.target.shape()[0];
        let (start, step) = (self.map.apply([0.0, float(j), self.target.at(2, k)]), self.map.column(0));
        let crossed = crossing(start[2], step[2], layers, self.working[2], count);
        let seen = match self.outside {
            Outside::Clamp => 0..count,
            Outside::Background => {
                let high = self.working.map(|n| float(n) - 0.5 + SNAP);
                interval(start, step, [-0.5 - SNAP; 3], high, count)
            }
        };
        (start, step, crossed.start.max(seen.start)..crossed.end.min(seen.end))
    }

    fn decide_row(
        &self,
        contests: &Contests,
        window: &Window<'_>,
        layers: Range<usize>,
        row: [usize; 2],
        scratch: &mut Scratch,
        out: &mut [u16],
    ) {
        let (start, step, range) = self.row(&layers, row);
        if range.is_empty() {
            return;
        }
        scratch.mixed.clear();
        for i in range.clone() {
            let at = [0, 1, 2].map(|a| start[a] + step[a] * float(i));
            let cell = Cell::at(at, self.working, &layers);
            match cell.agreed(window, self.working[0]) {
                Some(code) => scratch.codes[i] = u32::from(code),
                None => {
                    scratch.codes[i] = u32::from(contests.start);
                    scratch.mixed.push(Mixed { i, cell, best: f32::NEG_INFINITY });
                }
            }
        }
        for &contest in &contests.list {
            for mixed in &mut scratch.mixed {
                let score = mixed.cell.score(window, contest.class, self.working[0]);
                contest.settle(score, &mut mixed.best, &mut scratch.codes[mixed.i]);
            }
        }
        for (out, &code) in out[range.clone()].iter_mut().zip(&scratch.codes[range]) {
            *out = contests.ids[code as usize];
        }
    }
}

/// The indices `i` in `0..count` whose coordinate `start + step * i`, clamped to an axis of `length` voxels, lies in `layers`.
///
/// Adjacent layers meet without gap or overlap because both sides compute the boundary alike.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=count")]
fn crossing(start: f64, step: f64, layers: &Range<usize>, length: usize, count: usize) -> Range<usize> {
    // Number of indices below the layer (rising coordinates) or not below it (falling ones).
    let boundary = |layer: usize| -> usize {
        let rising = step >= 0.0;
        let reached = (float(layer) - start) / step;
        let edge = match layer {
            0 => return if rising { 0 } else { count },
            _ if layer == length => return if rising { count } else { 0 },
            _ if step == 0.0 => return if start < float(layer) { count } else { 0 },
            _ if rising => reached.ceil(),
            _ => reached.floor() + 1.0,
        };
        edge.clamp(0.0, float(count)) as usize
    };
    let (a, b) = (boundary(layers.start), boundary(layers.end));
    a.min(b)..a.max(b)
}

#[derive(Debug)]
struct Scratch {
    mixed: Vec<Mixed>,
    codes: Vec<u32>,
}

/// A target voxel whose corners do not agree.
#[derive(Debug)]
struct Mixed {
    i: usize,
    cell: Cell,
    best: f32,
}

/// The eight voxels of the working grid around a target voxel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    i: Tap,
    j: Tap,
    k: Tap,
}

impl Cell {
    /// Around a coordinate whose third part lies in `layers`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
    pub(super) fn at(at: [f64; 3], working: [usize; 3], layers: &Range<usize>) -> Self {
        let within = at[2].clamp(0.0, float(working[2] - 1));
        let layer = (within as usize).clamp(layers.start, layers.end - 1);
        let k = Tap::new(layer, (within - float(layer)).clamp(0.0, 1.0));
        Self { i: Tap::at(at[0], working[0]), j: Tap::at(at[1], working[1]), k }
    }

    /// The code of all eight corners, where they agree.
    fn agreed(&self, window: &Window<'_>, ni: usize) -> Option<u16> {
        let (near, far) = (window.codes(self.k.first), window.codes(self.k.second));
        let (a, b) = (self.j.first * ni, self.j.second * ni);
        let (c, d) = (self.i.first, self.i.second);
        let code = near[a + c];
        let differ = (code ^ near[a + d]) | (code ^ near[b + c]) | (code ^ near[b + d]);
        let differ = differ | (code ^ far[a + c]) | (code ^ far[a + d]) | (code ^ far[b + c]) | (code ^ far[b + d]);
        (differ == 0).then_some(code)
    }

    /// The interpolated score of a class: along k, then j, then i, as the aligned sweep does.
    pub(super) fn score(&self, window: &Window<'_>, class: u16, ni: usize) -> f32 {
        let (near, far) = (window.scores(self.k.first, class), window.scores(self.k.second, class));
        let column = |i: usize| {
            let (a, b) = (self.j.first * ni + i, self.j.second * ni + i);
            self.j.mix(self.k.mix(near[a], far[a]), self.k.mix(near[b], far[b]))
        };
        self.i.mix(column(self.i.first), column(self.i.second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_share_out_every_index_once() {
        for (start, step) in [(-3.3, 0.7), (12.2, -0.9), (2.0, 0.0), (-1.0, 0.0), (9.0, 0.0), (0.0, 1.0), (6.0, -1.0)] {
            let mut owner = vec![0; 15];
            for layer in 0..7 {
                for i in crossing(start, step, &(layer..layer + 1), 7, 15) {
                    owner[i] += 1;
                    let at = (start + step * float(i)).clamp(0.0, 6.0);
                    assert!(at >= float(layer) && at < float(layer + 1), "{start} {step} {i}");
                }
            }
            assert_eq!(owner, vec![1; 15], "{start} {step}");
        }
    }
}
