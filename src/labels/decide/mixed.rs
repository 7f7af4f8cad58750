//! The voxels of a target row whose corners do not agree, decided together: loops run over all of them, class by class.

use super::aligned::Corners;
use super::rule::{Contest, Contests};
use super::taps::Tap;
use super::window::Window;
use crate::error::Result;
use crate::limits;

/// No place in the list of columns yet.
const NONE: u32 = u32::MAX;

/// Relative error of an interpolated score, with room to spare: four roundings of three mixes.
const ROUNDING: f32 = 2e-6;

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
    /// Classes that win at a voxel of the working grid around.
    wins: Vec<bool>,
}

impl MixedRow {
    /// For a working grid of `row` columns, `count` target voxels per row and `classes` classes.
    pub(super) fn new(row: usize, count: usize, classes: usize) -> Result<Self> {
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
            wins: limits::zeroed(classes + 1, what)?,
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
        if count == 0 {
            return;
        }
        self.best[..count].fill(f32::NEG_INFINITY);
        self.winner[..count].fill(u32::from(contests.start));
        if contests.is_argmax() {
            self.find_largest(contests, window, corner);
        } else {
            for &contest in &contests.list {
                self.interpolate(contest, window, corner);
                contest.settle_all(&self.scores[..count], &mut self.best, &mut self.winner);
            }
        }
        for (&i, &winner) in self.voxels.iter().zip(&self.winner) {
            out[i] = u16::try_from(winner).unwrap_or(u16::MAX);
        }
        self.columns.iter().for_each(|&column| self.place[column as usize] = NONE);
        self.columns.clear();
        self.voxels.clear();
        self.taps.clear();
    }

    /// Argmax: first the classes that win somewhere around, then those that could still win.
    fn find_largest(&mut self, contests: &Contests, window: &Window<'_>, corner: Corners) {
        let count = self.voxels.len();
        self.wins.fill(false);
        corner.mark_winners(window, &self.columns, &mut self.wins);
        for winners in [true, false] {
            let reached = self.best[..count].iter().copied().fold(f32::INFINITY, f32::min);
            for &contest in &contests.list {
                // Interpolation rounds: a class is passed over only when it stays clearly below.
                let largest = corner.largest(window, contest.class);
                let possible = largest + ROUNDING * largest.abs() >= reached;
                if self.wins[usize::from(contest.class)] == winners && possible {
                    self.interpolate(contest, window, corner);
                    contest.settle_in_any_order(&self.scores[..count], &mut self.best, &mut self.winner);
                }
            }
        }
    }

    /// Scores of a class at the voxels.
    fn interpolate(&mut self, contest: Contest, window: &Window<'_>, corner: Corners) {
        let values = &mut self.values[..self.columns.len()];
        corner.blend(window, contest.class, &self.columns, values);
        for (score, &(first, second, low, high)) in self.scores.iter_mut().zip(&self.taps) {
            *score = low * values[first as usize] + high * values[second as usize];
        }
    }
}
