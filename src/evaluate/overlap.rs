//! Which voxels two label maps share, label by label.

use rayon::prelude::*;

use crate::error::Result;
use crate::geometry::Region;
use crate::labels::runs::{Run, append_runs};
use crate::limits;
use crate::volume::LabelMap;

/// Counts of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Voxels of the prediction.
    pub(super) prediction: u64,
    /// Voxels of the reference.
    pub(super) reference: u64,
    /// Voxels of both.
    pub(super) shared: u64,
    /// Smallest box that holds both; empty when neither has a voxel.
    pub(super) region: Region,
}

impl Overlap {
    const NONE: Self =
        Self { prediction: 0, reference: 0, shared: 0, region: Region { start: [usize::MAX; 3], end: [0; 3] } };

    fn add(&mut self, other: &Self) {
        self.prediction += other.prediction;
        self.reference += other.reference;
        self.shared += other.shared;
        for axis in 0..3 {
            self.region.start[axis] = self.region.start[axis].min(other.region.start[axis]);
            self.region.end[axis] = self.region.end[axis].max(other.region.end[axis]);
        }
    }
}

/// Overlaps of all ids; the index is the id, and ids beyond the end do not occur.
#[derive(Debug, Default)]
pub(super) struct Overlaps(Vec<Overlap>);

impl Overlaps {
    /// Of two maps on grids of one shape.
    pub(super) fn new(prediction: &LabelMap, reference: &LabelMap) -> Result<Self> {
        let [ni, nj, _] = prediction.grid().shape();
        let planes = prediction.ids.data().par_chunks(ni * nj).zip(reference.ids.data().par_chunks(ni * nj));
        planes
            .enumerate()
            .try_fold(Self::default, |mut all, (k, (prediction, reference))| {
                let (mut p, mut r) = (Vec::new(), Vec::new());
                for (j, rows) in prediction.chunks_exact(ni).zip(reference.chunks_exact(ni)).enumerate() {
                    p.clear();
                    r.clear();
                    append_runs(rows.0, |id| id, &mut p)?;
                    append_runs(rows.1, |id| id, &mut r)?;
                    all.add_row(&p, &r, j, k)?;
                }
                Ok(all)
            })
            .try_reduce(Self::default, |mut all, other| {
                for (id, other) in (0..).zip(&other.0) {
                    all.at(id)?.add(other);
                }
                Ok(all)
            })
    }

    /// Of one id.
    pub(super) fn get(&self, id: u16) -> Overlap {
        self.0.get(usize::from(id)).copied().unwrap_or(Overlap::NONE)
    }

    /// Ids that occur in either map, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).zip(&self.0).filter(|(_, overlap)| !overlap.region.is_empty()).map(|(id, _)| id)
    }

    fn at(&mut self, id: u16) -> Result<&mut Overlap> {
        let id = usize::from(id);
        if id >= self.0.len() {
            limits::room(&mut self.0, id + 1, "the counts of labels")?;
            self.0.resize(id + 1, Overlap::NONE);
        }
        Ok(&mut self.0[id])
    }

    fn add_row(&mut self, prediction: &[Run], reference: &[Run], j: usize, k: usize) -> Result<()> {
        let region = |run: &Run| Region::new([run.range().start, j, k], [run.range().end, j + 1, k + 1]);
        for run in prediction {
            let overlap = Overlap { prediction: run.len() as u64, region: region(run), ..Overlap::NONE };
            self.at(run.class)?.add(&overlap);
        }
        for run in reference {
            let overlap = Overlap { reference: run.len() as u64, region: region(run), ..Overlap::NONE };
            self.at(run.class)?.add(&overlap);
        }
        let (mut p, mut r) = (prediction.iter().peekable(), reference.iter().peekable());
        while let (Some(&a), Some(&b)) = (p.peek(), r.peek()) {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            if start < end && a.class == b.class {
                self.at(a.class)?.shared += u64::from(end - start);
            }
            if a.end < b.end {
                p.next()
            } else {
                r.next()
            };
        }
        Ok(())
    }
}
