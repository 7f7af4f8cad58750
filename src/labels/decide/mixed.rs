//! The voxels of a target row whose corners do not agree, decided together: loops run over all of them, class by class.

use super::aligned::Corners;
use super::rule::Contests;
use super::taps::Tap;
use super::window::Window;
use crate::error::Result;
use crate::limits;

/// No place in the list of columns yet.
const NONE: u32 = u32::MAX;

/// Voxels to interpolate, and the columns of the working grid that they need.
#[derive(Debug)]
pub(super) struct MixedRow {
    /// Place of each column of the working grid in `columns`, or [`NONE`].
    place: Vec<u32>,
    columns: Vec<u32>,
    /// Index of each voxel in the target row.
    voxels: Vec<usize>,
    /// Their taps, which lead to places in `columns`.
    taps: Vec<(u32, u32, f32, f32)>,
    /// Scores of one class at the columns.
    values: Vec<f32>,
    /// Scores of one class at the voxels.
    scores: Vec<f32>,
    best: Vec<f32>,
    winner: Vec<u32>,
}

impl MixedRow {
    /// For a working grid of `row` columns and `count` target voxels per row.
    pub(super) fn new(row: usize, count: usize) -> Result<Self> {
        let what = "a row to interpolate";
        let mut place = limits::zeroed(row, what)?;
        place.fill(NONE);
        Ok(Self {
            place,
            columns: limits::reserved(row, what)?,
            voxels: limits::reserved(count, what)?,
            taps: limits::reserved(count, what)?,
            values: limits::zeroed(row, what)?,
            scores: limits::zeroed(count, what)?,
            best: limits::zeroed(count, what)?,
            winner: limits::zeroed(count, what)?,
        })
    }

    /// Adds voxel `i` of the target row, which lies at `tap`.
    pub(super) fn add(&mut self, i: usize, tap: Tap) {
        let (first, second) = (self.column(tap.first), self.column(tap.second));
        self.voxels.push(i);
        self.taps.push((first, second, tap.low, tap.high));
    }

    #[expect(clippy::cast_possible_truncation, reason = "axes are far shorter than 2^32")]
    fn column(&mut self, column: usize) -> u32 {
        if self.place[column] == NONE {
            self.place[column] = self.columns.len() as u32;
            self.columns.push(column as u32);
        }
        self.place[column]
    }

    /// Decides the voxels, writes their codes to the target row and forgets them.
    pub(super) fn decide(&mut self, contests: &Contests, window: &Window<'_>, corner: Corners, out: &mut [u16]) {
        let count = self.voxels.len();
        let (scores, best, winner) = (&mut self.scores[..count], &mut self.best[..count], &mut self.winner[..count]);
        best.fill(f32::NEG_INFINITY);
        winner.fill(u32::from(contests.start));
        let values = &mut self.values[..self.columns.len()];
        for &contest in contests.list.iter().filter(|_| count > 0) {
            corner.blend(window, contest.class, &self.columns, values);
            for (score, &(first, second, low, high)) in scores.iter_mut().zip(&self.taps) {
                *score = low * values[first as usize] + high * values[second as usize];
            }
            contest.settle_all(scores, best, winner);
        }
        for (&i, &winner) in self.voxels.iter().zip(winner.iter()) {
            out[i] = u16::try_from(winner).unwrap_or(u16::MAX);
        }
        self.columns.iter().for_each(|&column| self.place[column as usize] = NONE);
        self.columns.clear();
        self.voxels.clear();
        self.taps.clear();
    }
}
