//! The planes of scores that are at hand: the slab that just arrived and the one plane kept from before.

use rayon::prelude::*;

use super::rule::Contests;
use crate::error::Result;
use crate::limits;

/// The last plane of the slab before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `[classes, nj, ni]`.
    pub(super) scores: Vec<f32>,
    pub(super) notes: Notes,
}

/// What is known of planes of scores before they are interpolated.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What each voxel is decided to be by its own scores, `[depth, nj, ni]`.
    pub(super) codes: Vec<u16>,
    /// The largest score of each class in each row, `[depth, nj, classes]`.
    pub(super) largest: Vec<f32>,
}

impl Notes {
    /// Room for planes of `rows` rows of `ni` voxels in all.
    pub(super) fn new(rows: usize, ni: usize, classes: usize) -> Result<Self> {
        let what = "decisions of single voxels";
        Ok(Self { codes: limits::zeroed(rows * ni, what)?, largest: limits::zeroed(rows * classes, what)? })
    }

    /// Bytes that [`Notes::new`] asks for.
    pub(super) fn bytes(rows: usize, ni: usize, classes: usize) -> usize {
        2 * rows * ni + 4 * rows * classes
    }

    /// Takes note of a slab `[classes, rows, ni]`.
    pub(super) fn take(
        &mut self,
        contests: &Contests,
        slab: &[f32],
        class_stride: usize,
        rows: usize,
        ni: usize,
    ) -> Result<()> {
        /// Voxels of one job, about.
        const STRETCH: usize = 2048;
        let classes = contests.classes();
        let group = (STRETCH / ni).max(1);
        let codes = self.codes[..rows * ni].par_chunks_mut(group * ni);
        let largest = self.largest[..rows * classes].par_chunks_mut(group * classes);
        codes.zip(largest).enumerate().try_for_each(|(n, (codes, largest))| {
            let mut best = limits::zeroed(codes.len(), "a few rows")?;
            let mut winner = limits::zeroed(codes.len(), "a few rows")?;
            best.fill(f32::NEG_INFINITY);
            winner.fill(u32::from(contests.start));
            for contest in &contests.list {
                let class = usize::from(contest.class);
                let scores = &slab[class * class_stride + n * group * ni..][..codes.len()];
                contest.settle_all(scores, &mut best, &mut winner);
                for (row, largest) in scores.chunks(ni).zip(largest.iter_mut().skip(class).step_by(classes)) {
                    *largest = maximum(row);
                }
            }
            for (code, winner) in codes.iter_mut().zip(winner) {
                *code = u16::try_from(winner).unwrap_or(u16::MAX);
            }
            Ok(())
        })
    }
}

/// The largest value; NaN is passed over.
fn maximum(row: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; 8];
    let (chunks, rest) = row.as_chunks::<8>();
    let keep = |largest: &mut f32, value: f32| *largest = if value > *largest { value } else { *largest };
    for chunk in chunks {
        largest.iter_mut().zip(chunk).for_each(|(largest, &value)| keep(largest, value));
    }
    rest.iter().for_each(|&value| keep(&mut largest[0], value));
    largest.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

impl Kept {
    /// Keeps the last plane of a slab of `depth` planes.
    pub(super) fn keep(&mut self, slab: &[f32], class_stride: usize, notes: &Notes, depth: usize) {
        let (plane, rows) = (self.notes.codes.len(), self.notes.largest.len());
        self.keep_scores(slab, class_stride, plane, depth);
        self.notes.codes.copy_from_slice(&notes.codes[(depth - 1) * plane..][..plane]);
        self.notes.largest.copy_from_slice(&notes.largest[(depth - 1) * rows..][..rows]);
    }

    /// Keeps the scores of the last plane of a slab alone.
    pub(super) fn keep_scores(&mut self, slab: &[f32], class_stride: usize, plane: usize, depth: usize) {
        for (kept, class) in self.scores.chunks_mut(plane).zip(slab.chunks(class_stride)) {
            kept.copy_from_slice(&class[(depth - 1) * plane..][..plane]);
        }
    }
}

/// Read access to planes by index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    /// Voxels of a plane.
    pub(super) plane: usize,
    pub(super) kept: &'a Kept,
    /// `[classes, depth, nj, ni]`.
    pub(super) slab: &'a [f32],
    /// From one class of the slab to the next.
    pub(super) class_stride: usize,
    pub(super) notes: &'a Notes,
    /// Index of the slab's first plane.
    pub(super) first: usize,
    pub(super) depth: usize,
}

impl<'a> Window<'a> {
    /// Scores of a class in plane `k`, which is at hand.
    #[inline]
    pub(super) fn scores(&self, k: usize, class: u16) -> &'a [f32] {
        let class = usize::from(class);
        match k.checked_sub(self.first) {
            Some(at) => &self.slab[class * self.class_stride + at * self.plane..][..self.plane],
            None => &self.kept.scores[class * self.plane..][..self.plane],
        }
    }

    /// Codes of plane `k`, which is at hand.
    #[inline]
    pub(super) fn codes(&self, k: usize) -> &'a [u16] {
        match k.checked_sub(self.first) {
            Some(at) => &self.notes.codes[at * self.plane..][..self.plane],
            None => &self.kept.notes.codes,
        }
    }

    /// The largest scores of all classes in row `j` of plane `k`, which is at hand.
    pub(super) fn largest(&self, k: usize, j: usize) -> &'a [f32] {
        let rows = self.kept.notes.largest.len();
        let classes = self.kept.scores.len() / self.plane;
        let plane = match k.checked_sub(self.first) {
            Some(at) => &self.notes.largest[at * rows..][..rows],
            None => &self.kept.notes.largest,
        };
        &plane[j * classes..][..classes]
    }

    /// The last plane at hand.
    pub(super) fn last(&self) -> usize {
        self.first + self.depth - 1
    }
}
