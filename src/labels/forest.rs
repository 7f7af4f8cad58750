//! The union-find forest that joins runs of neighbouring rows to components.
//!
//! Run-based two-pass labelling: He, Chao, Suzuki, "A run-based two-scan labeling algorithm", IEEE Trans. Image
//! Processing 17(5), 2008. The runs that a run touches are found in masks of the columns beside it; those that it reaches
//! through another one anyhow are left out, as decision trees leave out voxels (Wu, Otoo, Suzuki, "Optimizing two-pass
//! connected-component labeling algorithms", Pattern Analysis and Applications 12(2), 2009). The smaller index wins, so a
//! root is the first run of its component in scan order, however the volume was cut into slabs.

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
        joined(slabs.collect::<Result<_>>()?, depth, [ni, nj], connectivity, cancel)
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
        let planes = (slab.rows.len() - 1) / nj;
        slab.join(0..planes, [ni, nj], connectivity, cancel)?;
        Ok(slab)
    }

    /// Unites the runs of some planes that share a class and touch.
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 runs")]
    fn join(
        &mut self,
        planes: Range<usize>,
        [ni, nj]: [usize; 2],
        connectivity: Connectivity,
        cancel: &Cancel,
    ) -> Result<()> {
        let (mut below, mut plane) = (Plane::new(ni, nj)?, Plane::new(ni, nj)?);
        for k in planes {
            cancel.check()?;
            std::mem::swap(&mut below, &mut plane);
            for j in 0..nj {
                plane.clear(j);
                for n in range(&self.rows, k * nj + j) {
                    plane.put(j, self.runs[n], n as u32);
                    let around = [below.row(j), plane.row_before(j), below.row_before(j), below.row(j + 1)];
                    unite(&mut self.parents, n as u32, self.runs[n], around, connectivity);
                }
            }
        }
        Ok(())
    }
}

/// Columns compared at once.
const UNIT: usize = 8;
/// Voxels of a run whose neighbours fill one mask.
const PIECE: usize = 62;

/// Class and run of each voxel of a plane, with a row of background before and after, and a voxel between rows.
struct Plane {
    stride: usize,
    classes: Vec<u16>,
    runs: Vec<u32>,
}

impl Plane {
    fn new(ni: usize, nj: usize) -> Result<Self> {
        let stride = ni + 1;
        // A mask is read in whole units.
        let voxels = stride.saturating_mul(nj + 2).saturating_add(1 + UNIT);
        let what = "a plane of a label volume";
        Ok(Self { stride, classes: limits::zeroed(voxels, what)?, runs: limits::zeroed(voxels, what)? })
    }

    fn clear(&mut self, j: usize) {
        self.classes[(j + 1) * self.stride..][..self.stride].fill(0);
    }

    fn put(&mut self, j: usize, run: Run, number: u32) {
        let first = (j + 1) * self.stride + 1;
        let range = first + run.start as usize..first + run.end as usize;
        self.classes[range.clone()].fill(run.class);
        self.runs[range].fill(number);
    }

    /// Row j; one past the last is background.
    fn row(&self, j: usize) -> Row<'_> {
        self.row_before(j + 1)
    }

    /// Row j - 1; the one before the first is background.
    fn row_before(&self, j: usize) -> Row<'_> {
        Row { classes: &self.classes[j * self.stride..], runs: &self.runs[j * self.stride..] }
    }
}

/// A row of a [`Plane`]: voxel i at i + 1.
#[derive(Clone, Copy)]
struct Row<'a> {
    classes: &'a [u16],
    runs: &'a [u32],
}

impl Row<'_> {
    /// Which of the columns around voxels `start..start + len` are of `class`; bit 0 is the column before the first.
    ///
    /// Where one run holds all these voxels the two columns beside them are left out: they could only be of that run.
    #[inline]
    fn mask(self, start: usize, len: usize, class: u16) -> u64 {
        let (first, last) = (start + 1, start + len);
        if len > UNIT && [first, last].map(|i| (self.classes[i], self.runs[i])) == [(class, self.runs[first]); 2] {
            return inner(len);
        }
        let (units, _) = self.classes[start..].as_chunks::<UNIT>();
        let mut mask = 0;
        for (n, unit) in units[..(len + 2).div_ceil(UNIT)].iter().enumerate() {
            let same = u64::from_le_bytes(unit.map(|other| u8::from(other == class)));
            // Eight bytes of 0 or 1 become eight bits: the product moves byte n to bit 56 + n without a carry.
            mask |= (same.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (n * UNIT);
        }
        mask & (u64::MAX >> (PIECE - len))
    }
}

/// The bits of `len` voxels without the columns beside them.
fn inner(len: usize) -> u64 {
    (u64::MAX >> (u64::BITS as usize - len)) << 1
}

/// Unites a run with the runs of its class that it touches in the rows before it: `under` it in the plane before,
/// `before` it in its own, and the two beside `under`.
#[inline]
fn unite(
    parents: &mut [u32],
    number: u32,
    run: Run,
    [under, before, lower, upper]: [Row<'_>; 4],
    connectivity: Connectivity,
) {
    let mut mine = root(parents, number);
    let mut meet = |mut starts: u64, row: Row<'_>, start: usize| {
        while starts != 0 {
            let other = root(parents, row.runs[start + starts.trailing_zeros() as usize]);
            parents[mine.max(other) as usize] = mine.min(other);
            mine = mine.min(other);
            starts &= starts - 1;
        }
    };
    let starts = |mask: u64| mask & !(mask << 1);
    let near = |mask: u64| mask | mask << 1 | mask >> 1;
    for start in run.range().step_by(PIECE) {
        let len = (run.range().end - start).min(PIECE);
        let (inner, mask) = (inner(len), |row: Row<'_>| row.mask(start, len, run.class));
        let window = u64::MAX >> (PIECE - len);
        let (beside, across) = match connectivity {
            Connectivity::Six => (inner, 0),
            Connectivity::Eighteen => (window, inner),
            Connectivity::TwentySix => (window, window),
        };
        let c = mask(under) & beside;
        meet(starts(c), under, start);
        // What a voxel under the run touches is united with that one already.
        let shade = match connectivity {
            Connectivity::Six => 0,
            Connectivity::Eighteen => c,
            Connectivity::TwentySix => near(c),
        };
        let open = beside & !shade;
        let a = if open == 0 { 0 } else { mask(before) & beside };
        meet(starts(a) & open, before, start);
        let open = across & !near(c);
        if open != 0 {
            meet(starts(mask(lower) & across) & open & !near(a), lower, start);
            meet(starts(mask(upper) & across) & open, upper, start);
        }
    }
}

/// Puts slabs of `depth` planes together and joins them at the seams.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 runs")]
fn joined(
    mut slabs: Vec<Forest>,
    depth: usize,
    [ni, nj]: [usize; 2],
    connectivity: Connectivity,
    cancel: &Cancel,
) -> Result<Forest> {
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
    for seam in (depth..(all.rows.len() - 1) / nj).step_by(depth) {
        all.join(seam - 1..seam + 1, [ni, nj], connectivity, cancel)?;
    }
    Ok(all)
}

/// The root of a tree; the path to it is halved on the way.
#[inline]
fn root(parents: &mut [u32], mut n: u32) -> u32 {
    loop {
        let parent = parents[n as usize];
        let grandparent = parents[parent as usize];
        if grandparent == parent {
            return parent;
        }
        parents[n as usize] = grandparent;
        n = grandparent;
    }
}
