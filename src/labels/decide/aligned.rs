//! Deciding where the axes of working grid and target are parallel: one target plane after the other, along the target
//! axis that runs with the working grid's k, so that two planes of scores are all that is needed at a time.

use rayon::prelude::*;

use super::mixed::MixedRow;
use super::plane::DecidedPlane;
use super::rule::Contests;
use super::taps::{AxisTaps, Tap};
use super::target::Target;
use super::window::Window;
use crate::error::Result;
use crate::geometry::{AlignedMap, Region};
use crate::limits;
use crate::resample::Outside;

/// Side of the blocks in which decided planes are turned into the target's memory order.
const BLOCK: usize = 32;
/// Rows that one job decides.
const ROWS: usize = 8;
/// Marks a column of the working grid whose four neighboring rows do not agree.
const MIXED: u16 = u16::MAX;

/// A sweep over target planes.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) map: AlignedMap,
    /// Voxels of the target along the axes of the working grid: [0] and [1] lie in a plane, [2] is swept.
    pub(super) counts: [usize; 3],
    target: [usize; 3],
    /// Voxels of the working grid along i.
    pub(super) row: usize,
    pub(super) taps: [AxisTaps; 3],
    /// Planes decided, in the order in which their scores arrive.
    decided: usize,
    /// Planes of `decided` already handed to the output.
    stored: usize,
    /// Codes of the planes in between, [`Sweep::stride`] apart.
    codes: Vec<u16>,
}

impl Sweep {
    pub(super) fn new(map: AlignedMap, working: [usize; 3], target: &Target, outside: Outside) -> Result<Self> {
        let counts = map.from.map(|axis| target.shape()[axis]);
        let taps = std::array::from_fn(|axis| AxisTaps::new(&map, axis, working[axis], target, outside));
        let codes = limits::zeroed(Self::buffered(counts), "decided planes")?;
        Ok(Self { map, counts, target: target.shape(), row: working[0], taps, decided: 0, stored: 0, codes })
    }

    /// Codes held between deciding and storing, for `counts` voxels along the axes of the working grid.
    pub(super) fn buffered(counts: [usize; 3]) -> usize {
        Self::stride(counts) * BLOCK.min(counts[2])
    }

    /// From one buffered plane to the next: off the powers of two, which would all fall into the same lines of a cache.
    fn stride(counts: [usize; 3]) -> usize {
        counts[0] * counts[1] + BLOCK
    }

    /// Target index along the swept axis of the `n`-th plane in order of arrival.
    fn position(&self, n: usize) -> usize {
        if self.map.scale[2] < 0.0 { self.counts[2] - 1 - n } else { n }
    }

    /// The first working plane that is still needed after what has been decided.
    pub(super) fn needs_from(&self) -> Option<usize> {
        let needed = |n: usize| self.taps[2].inside.contains(&self.position(n));
        (self.decided..self.counts[2]).find(|&n| needed(n)).map(|n| self.taps[2].taps[self.position(n)].first)
    }

    /// Decides all planes whose scores are at hand; `observe` sees each of them in order.
    pub(super) fn advance(
        &mut self,
        contests: &Contests,
        window: &Window<'_>,
        observe: &mut dyn FnMut(&DecidedPlane<'_>) -> Result<()>,
        out: &mut [u16],
    ) -> Result<()> {
        loop {
            let room = self.codes.len() / Self::stride(self.counts) - (self.decided - self.stored);
            let ready = |&n: &usize| {
                let position = self.position(n);
                !self.taps[2].inside.contains(&position) || self.taps[2].taps[position].second <= window.last()
            };
            let until = self.counts[2].min(self.decided + room);
            let count = (self.decided..until).take_while(ready).count();
            self.decide(contests, window, count)?;
            for n in self.decided..self.decided + count {
                observe(&self.plane(contests, window, n))?;
            }
            self.decided += count;
            if self.decided - self.stored < self.codes.len() / Self::stride(self.counts) {
                return Ok(());
            }
            self.store(contests, out);
        }
    }

    /// Decides the next `count` planes into the buffer.
    fn decide(&mut self, contests: &Contests, window: &Window<'_>, count: usize) -> Result<()> {
        let stride = Self::stride(self.counts);
        let (from, start) = (self.decided - self.stored, self.decided);
        let mut codes = std::mem::take(&mut self.codes);
        let planes = codes[from * stride..(from + count) * stride].par_chunks_mut(stride).enumerate();
        let result = planes.try_for_each(|(n, plane)| {
            let position = self.position(start + n);
            let plane = &mut plane[..self.counts[0] * self.counts[1]];
            if !self.taps[2].inside.contains(&position) {
                plane.fill(contests.none());
                return Ok(());
            }
            plane.par_chunks_mut(self.counts[0] * ROWS).enumerate().try_for_each(|(job, rows)| {
                let agreed = limits::zeroed(self.row, "a row")?;
                let mut scratch =
                    Scratch { agreed, mixed: MixedRow::new(self.row, self.counts[0], contests.classes())? };
                for (r, row) in rows.chunks_mut(self.counts[0]).enumerate() {
                    self.decide_row(contests, window, position, job * ROWS + r, &mut scratch, row);
                }
                Ok(())
            })
        });
        self.codes = codes;
        result
    }

    fn decide_row(
        &self,
        contests: &Contests,
        window: &Window<'_>,
        position: usize,
        row: usize,
        scratch: &mut Scratch,
        out: &mut [u16],
    ) {
        let inside = self.taps[0].inside.clone();
        if !self.taps[1].inside.contains(&row) || inside.is_empty() {
            out.fill(contests.none());
            return;
        }
        let corner = Corners { k: self.taps[2].taps[position], j: self.taps[1].taps[row], ni: self.row };
        corner.agreement(window, &mut scratch.agreed);
        out[..inside.start].fill(contests.none());
        out[inside.end..].fill(contests.none());
        for (i, (out, &tap)) in out.iter_mut().zip(&self.taps[0].taps).enumerate().take(inside.end).skip(inside.start) {
            let (a, b) = (scratch.agreed[tap.first], scratch.agreed[tap.second]);
            *out = a;
            if a != b || a == MIXED {
                scratch.mixed.add(i, tap);
            }
        }
        scratch.mixed.decide(contests, window, corner, out);
    }

    /// The `n`-th plane in order of arrival, which lies in the buffer.
    fn plane<'a>(&'a self, contests: &'a Contests, window: &'a Window<'a>, n: usize) -> DecidedPlane<'a> {
        let size = self.counts[0] * self.counts[1];
        let codes = &self.codes[(n - self.stored) * Self::stride(self.counts)..][..size];
        DecidedPlane { sweep: self, contests, window, position: self.position(n), codes }
    }

    /// Writes the buffered planes to the target as label ids.
    pub(super) fn store(&mut self, contests: &Contests, out: &mut [u16]) {
        if self.stored == self.decided {
            return;
        }
        let axis = self.map.from;
        let (first, last) = (self.position(self.stored), self.position(self.decided - 1));
        let mut block = Region::whole(self.target);
        (block.start[axis[2]], block.end[axis[2]]) = (first.min(last), first.max(last) + 1);
        // Steps through the buffer along the target's axes; planes that arrive in descending order are walked backwards.
        let stride = Self::stride(self.counts);
        let mut step = [0; 3];
        (step[axis[0]], step[axis[1]]) = (1, self.counts[0]);
        step[axis[2]] = if first > last { stride.wrapping_neg() } else { stride };
        let start = if first > last { (first - last) * stride } else { 0 };
        let [ni, nj, _] = self.target;
        let slab = if axis[0] == 2 { BLOCK } else { 1 };
        let width = if axis[0] == 0 { ni } else { BLOCK };
        let ([i_low, j_low, k_low], [i_high, j_high, k_high]) = (block.start, block.end);
        let (codes, ids) = (&self.codes, &contests.ids);
        let store_slab = |(chunk, out): (usize, &mut [u16])| {
            let blocks = itertools::iproduct!((j_low..j_high).step_by(BLOCK), (i_low..i_high).step_by(width));
            for ((j0, i0), k) in itertools::iproduct!(blocks, 0..out.len() / (ni * nj)) {
                for j in j0..j_high.min(j0 + BLOCK) {
                    let steps = [(i0 - i_low, step[0]), (j - j_low, step[1]), (chunk * slab + k, step[2])];
                    let mut at = steps.into_iter().fold(start, |at, (n, step)| at.wrapping_add(n.wrapping_mul(step)));
                    for id in &mut out[(k * nj + j) * ni..][i0..i_high.min(i0 + width)] {
                        *id = ids[usize::from(codes[at])];
                        at = at.wrapping_add(step[0]);
                    }
                }
            }
        };
        out[k_low * ni * nj..k_high * ni * nj].par_chunks_mut(ni * nj * slab).enumerate().for_each(store_slab);
        self.stored = self.decided;
    }
}

/// What one job needs beside its rows.
#[derive(Debug)]
struct Scratch {
    /// Code of each column of the working grid whose four rows agree, or [`MIXED`].
    agreed: Vec<u16>,
    mixed: MixedRow,
}

/// The four rows of the working grid around a target row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Corners {
    pub(super) k: Tap,
    pub(super) j: Tap,
    pub(super) ni: usize,
}

impl Corners {
    /// The code of each column where the four rows agree.
    fn agreement(self, window: &Window<'_>, agreed: &mut [u16]) {
        let row = |k: usize, j: usize| &window.codes(k)[j * self.ni..][..self.ni];
        let (k, j) = (self.k, self.j);
        let rows = row(k.first, j.first).iter().zip(row(k.first, j.second)).zip(row(k.second, j.first));
        for ((((a, b), c), d), agreed) in rows.zip(row(k.second, j.second)).zip(agreed) {
            *agreed = if (a ^ b) | (a ^ c) | (a ^ d) == 0 { *a } else { MIXED };
        }
    }

    /// Marks the classes that win at some of the columns in one of the four rows.
    pub(super) fn mark_winners(self, window: &Window<'_>, columns: &[u32], wins: &mut [bool]) {
        for (k, j) in [self.k.first, self.k.second].into_iter().flat_map(|k| [(k, self.j.first), (k, self.j.second)]) {
            let row = &window.codes(k)[j * self.ni..][..self.ni];
            columns.iter().for_each(|&column| wins[usize::from(row[column as usize])] = true);
        }
    }

    /// The largest score of a class in the four rows.
    pub(super) fn largest(self, window: &Window<'_>, class: u16) -> f32 {
        let of = |k: usize, j: usize| window.largest(k, j)[usize::from(class)];
        let (k, j) = (self.k, self.j);
        of(k.first, j.first).max(of(k.first, j.second)).max(of(k.second, j.first)).max(of(k.second, j.second))
    }

    /// Scores of a class between the four rows, at some columns.
    #[inline]
    pub(super) fn blend(self, window: &Window<'_>, class: u16, columns: &[u32], values: &mut [f32]) {
        let (near, far) = (window.scores(self.k.first, class), window.scores(self.k.second, class));
        let (first, second) = (self.j.first * self.ni, self.j.second * self.ni);
        let (a, b) = (&near[first..][..self.ni], &far[first..][..self.ni]);
        let (c, d) = (&near[second..][..self.ni], &far[second..][..self.ni]);
        for (value, &column) in values.iter_mut().zip(columns) {
            let column = column as usize;
            *value = self.j.mix(self.k.mix(a[column], b[column]), self.k.mix(c[column], d[column]));
        }
    }
}

#[cfg(test)]
impl Sweep {
    /// Codes that the buffer has room for.
    pub(super) fn held_codes(&self) -> usize {
        self.codes.capacity()
    }
}
