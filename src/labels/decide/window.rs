//! The planes of scores that are at hand: the slab that just arrived and the one plane kept from before.

use rayon::prelude::*;

use super::rule::Contests;

/// The last plane of the slab before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `[classes, nj, ni]`.
    pub(super) scores: Vec<f32>,
    /// What its voxels would be decided to be.
    pub(super) codes: Vec<u16>,
}

impl Kept {
    /// Keeps the last plane of a slab of `depth` planes whose classes lie `class_stride` apart.
    pub(super) fn keep(&mut self, slab: &[f32], class_stride: usize, codes: &[u16], depth: usize) {
        let plane = self.codes.len();
        let last = (depth - 1) * plane;
        for (kept, class) in self.scores.chunks_mut(plane).zip(slab.chunks(class_stride)) {
            kept.copy_from_slice(&class[last..last + plane]);
        }
        self.codes.copy_from_slice(&codes[last..last + plane]);
    }
}

/// Read access to planes by index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    /// Voxels of a plane.
    pub(super) plane: usize,
    pub(super) kept: &'a Kept,
    /// `[classes, depth, nj, ni]`, or the first planes of a deeper one.
    pub(super) slab: &'a [f32],
    /// From one class of the slab to the next.
    pub(super) class_stride: usize,
    /// `[depth, nj, ni]`.
    pub(super) codes: &'a [u16],
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
            Some(at) => &self.codes[at * self.plane..][..self.plane],
            None => &self.kept.codes,
        }
    }

    /// The last plane at hand.
    pub(super) fn last(&self) -> usize {
        self.first + self.depth - 1
    }
}

/// Decides every voxel of a slab `[classes, voxels]`, whose classes lie `class_stride` apart, from its own scores.
pub(super) fn decide_voxels(contests: &Contests, slab: &[f32], class_stride: usize, codes: &mut [u16]) {
    const STRETCH: usize = 2048;
    codes.par_chunks_mut(STRETCH).enumerate().for_each(|(n, codes)| {
        let mut best = [f32::NEG_INFINITY; STRETCH];
        let mut winner = [u32::from(contests.start); STRETCH];
        for contest in &contests.list {
            let scores = &slab[usize::from(contest.class) * class_stride + n * STRETCH..][..codes.len()];
            contest.settle_all(scores, &mut best, &mut winner);
        }
        for (code, winner) in codes.iter_mut().zip(winner) {
            *code = u16::try_from(winner).unwrap_or(u16::MAX);
        }
    });
}
