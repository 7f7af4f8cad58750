//! The union-find forest that joins runs of neighbouring rows to components.
//!
//! Run-based two-pass labelling: He, Chao, Suzuki, "A run-based two-scan labeling algorithm", IEEE Trans. Image
//! Processing 17(5), 2008. The smaller index wins, so a root is the first run of its component in scan order, however the
//! volume was cut into slabs.

use std::ops::Range;

use rayon::prelude::*;

use super::components::Connectivity;
use super::runs::{LabelId, Run, append_runs};
use crate::error::Result;
use crate::limits::{self, Cancel};

/// Where the runs of a row are.
#[inline]
pub(super) fn range(rows: &[u32], row: usize) -> Range<usize> {
    rows[row] as usize..rows[row + 1] as usize
}

/// Runs of whole planes with their union-find forest: `parents[n] <= n`, so a root is the first run of its tree.
pub(super) struct Forest {
    pub(super) runs: Vec<Run>,
    /// `runs[rows[r]..rows[r + 1]]` lie in row r = j + nj * k.
    pub(super) rows: Vec<u32>,
    parents: Vec<u32>,
}

impl Forest {
    /// Of a volume of `shape` with fewer than 2^32 voxels, i fastest; slabs of planes in parallel, then their seams.
    pub(super) fn new<T: LabelId>(
        data: &[T],
        [ni, nj, nk]: [usize; 3],
        connectivity: Connectivity,
        class: &(impl Fn(u16) -> u16 + Sync),
        cancel: &Cancel,
    ) -> Result<Self> {
        let threads = rayon::current_num_threads();
        let depth = if threads == 1 { nk } else { nk.div_ceil(4 * threads) };
        let slabs =
            data.par_chunks(depth * nj * ni).map(|data| Self::of_slab(data, [ni, nj], connectivity, class, cancel));
        joined(slabs.collect::<Result<_>>()?, [nj, depth], connectivity)
    }

    /// The component number of every run, ascending by root, and how many there are.
    pub(super) fn numbers(&self) -> Result<(Vec<u32>, u32)> {
        let mut numbers: Vec<u32> = limits::reserved(self.parents.len(), "the components of a label volume")?;
        let mut count = 0;
        for (n, &parent) in self.parents.iter().enumerate() {
            // A parent comes before its child and has the root's number already.
            let number = if parent as usize == n {
                count += 1;
                count
            } else {
                numbers[parent as usize]
            };
            numbers.push(number);
        }
        Ok((numbers, count))
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 voxels, so fewer runs")]
    fn of_slab<T: LabelId>(
        data: &[T],
        [ni, nj]: [usize; 2],
        connectivity: Connectivity,
        class: &impl Fn(u16) -> u16,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut runs = Vec::new();
        let mut rows = limits::reserved(data.len() / ni + 1, "the rows of a label volume")?;
        rows.push(0);
        for plane in data.chunks_exact(ni * nj) {
            cancel.check()?;
            for row in plane.chunks_exact(ni) {
                append_runs(row, class, &mut runs)?;
                rows.push(runs.len() as u32);
            }
        }
        let mut parents = limits::reserved(runs.len(), "the components of a label volume")?;
        parents.extend(0..runs.len() as u32);
        let mut slab = Self { runs, rows, parents };
        for row in 0..slab.rows.len() - 1 {
            if row.is_multiple_of(nj) {
                cancel.check()?;
            } else {
                slab.join(row, row - 1, connectivity.beside());
            }
            if row >= nj {
                slab.join_below(row, nj, connectivity);
            }
        }
        Ok(slab)
    }

    /// Unites a row with the rows of the plane before that it touches.
    fn join_below(&mut self, row: usize, nj: usize, connectivity: Connectivity) {
        let below = row - nj;
        self.join(row, below, connectivity.beside());
        if let Some(reach) = connectivity.across() {
            if !row.is_multiple_of(nj) {
                self.join(row, below - 1, reach);
            }
            if !(row + 1).is_multiple_of(nj) {
                self.join(row, below + 1, reach);
            }
        }
    }

    /// Unites the runs of two rows that share a class and are at most `reach` voxels apart along i.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 runs")]
    fn join(&mut self, row: usize, earlier: usize, reach: u32) {
        let earlier = range(&self.rows, earlier);
        let mut first = earlier.start;
        for current in range(&self.rows, row) {
            let run = self.runs[current];
            while first < earlier.end && self.runs[first].end + reach <= run.start {
                first += 1;
            }
            for (other, n) in self.runs[first..earlier.end].iter().zip(first..) {
                if other.start >= run.end + reach {
                    break;
                }
                if other.class == run.class {
                    unite(&mut self.parents, current as u32, n as u32);
                }
            }
        }
    }
}

/// Puts slabs of `depth` planes together and joins them at the seams.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 runs")]
fn joined(mut slabs: Vec<Forest>, [nj, depth]: [usize; 2], connectivity: Connectivity) -> Result<Forest> {
    if slabs.len() == 1
        && let Some(slab) = slabs.pop()
    {
        return Ok(slab);
    }
    let total = slabs.iter().map(|slab| slab.runs.len()).sum();
    let mut all = Forest {
        runs: limits::reserved(total, "the runs of a label volume")?,
        rows: limits::reserved(slabs.iter().map(|slab| slab.rows.len()).sum(), "the rows of a label volume")?,
        parents: limits::reserved(total, "the components of a label volume")?,
    };
    all.rows.push(0);
    for slab in slabs {
        let offset = all.runs.len() as u32;
        all.runs.extend_from_slice(&slab.runs);
        all.rows.extend(slab.rows[1..].iter().map(|n| n + offset));
        all.parents.extend(slab.parents.iter().map(|n| n + offset));
    }
    let rows = all.rows.len() - 1;
    for seam in (depth * nj..rows).step_by(depth * nj) {
        for row in seam..seam + nj {
            all.join_below(row, nj, connectivity);
        }
    }
    Ok(all)
}

/// The root of a tree; the path to it is halved on the way.
#[inline]
fn root(parents: &mut [u32], mut n: u32) -> u32 {
    while parents[n as usize] != n {
        let grandparent = parents[parents[n as usize] as usize];
        parents[n as usize] = grandparent;
        n = grandparent;
    }
    n
}

/// Joins two trees under the smaller root.
#[inline]
fn unite(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b) as usize] = a.min(b);
}
