//! Which voxels two label maps share, label by label.

use rayon::prelude::*;

use crate::error::Result;
use crate::geometry::Region;
use crate::labels::LabelId;
use crate::labels::runs::{Run, append_runs};
use crate::limits::{self, Cancel};
use crate::volume::{LabelMap, VolumeView};

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

/// Voxels that are counted at a time: many enough that handing them to a thread costs nothing.
const CHUNK: usize = 1 << 18;
/// Counters that run side by side.
const LANES: usize = 32;

impl Overlap {
    /// Of the voxels that two predicates hold, without a region: one pass, as fast as memory is read.
    pub(super) fn counted<P: LabelId, R: LabelId>(
        prediction: &[P],
        reference: &[R],
        in_prediction: impl Fn(P) -> bool + Sync,
        in_reference: impl Fn(R) -> bool + Sync,
    ) -> Self {
        let count = |p: &[P], r: &[R]| count(p, r, &in_prediction, &in_reference);
        let [prediction, reference, shared] = if prediction.len() <= CHUNK {
            count(prediction, reference)
        } else {
            let parts = prediction.par_chunks(CHUNK).zip(reference.par_chunks(CHUNK));
            parts.map(|(p, r)| count(p, r)).reduce(|| [0; 3], |a, b| [0, 1, 2].map(|n| a[n] + b[n]))
        };
        Self { prediction, reference, shared, ..Self::NONE }
    }

    /// With the smallest box that holds the voxels of either.
    pub(super) fn with_region<P: LabelId, R: LabelId>(
        mut self,
        prediction: VolumeView<'_, P>,
        reference: VolumeView<'_, R>,
        in_prediction: impl Fn(P) -> bool + Sync,
        in_reference: impl Fn(R) -> bool + Sync,
    ) -> Self {
        let [ni, nj, _] = prediction.grid().shape();
        let rows = prediction.data().par_chunks(ni).zip(reference.data().par_chunks(ni)).with_min_len(64).enumerate();
        let boxes = rows.map(|(row, (p, r))| {
            let mut either = p.iter().zip(r).map(|(&p, &r)| in_prediction(p) | in_reference(r));
            let Some(start) = either.position(|inside| inside) else { return Self::NONE };
            let end = either.rposition(|inside| inside).map_or(start + 1, |n| start + n + 2);
            let (j, k) = (row % nj, row / nj);
            Self { region: Region::new([start, j, k], [end, j + 1, k + 1]), ..Self::NONE }
        });
        let all = boxes.reduce(
            || Self::NONE,
            |mut a, b| {
                a.add(&b);
                a
            },
        );
        self.region = all.region;
        self
    }
}

/// Voxels of the prediction, of the reference, of both.
fn count<P: Copy, R: Copy>(
    prediction: &[P],
    reference: &[R],
    in_prediction: impl Fn(P) -> bool,
    in_reference: impl Fn(R) -> bool,
) -> [u64; 3] {
    let mut sums = [0_u64; 3];
    // A counter of a byte holds 255 ones.
    for (p, r) in prediction.chunks(255 * LANES).zip(reference.chunks(255 * LANES)) {
        let mut lanes = [[0_u8; LANES]; 3];
        let ((p, p_rest), (r, r_rest)) = (p.as_chunks::<LANES>(), r.as_chunks::<LANES>());
        for (p, r) in p.iter().zip(r) {
            for n in 0..LANES {
                let (p, r) = (u8::from(in_prediction(p[n])), u8::from(in_reference(r[n])));
                lanes[0][n] += p;
                lanes[1][n] += r;
                lanes[2][n] += p & r;
            }
        }
        for (&p, &r) in p_rest.iter().zip(r_rest) {
            let (p, r) = (u64::from(in_prediction(p)), u64::from(in_reference(r)));
            sums = [sums[0] + p, sums[1] + r, sums[2] + (p & r)];
        }
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum += lanes.iter().map(|&n| u64::from(n)).sum::<u64>();
        }
    }
    sums
}

/// Overlaps of all ids; the index is the id, and ids beyond the end do not occur.
#[derive(Debug, Default)]
pub(super) struct Overlaps(Vec<Overlap>);

impl Overlaps {
    /// Of two maps on grids of one shape.
    pub(super) fn new(prediction: &LabelMap, reference: &LabelMap, cancel: &Cancel) -> Result<Self> {
        let [ni, nj, _] = prediction.grid().shape();
        let planes = prediction.ids.data().par_chunks(ni * nj).zip(reference.ids.data().par_chunks(ni * nj));
        planes
            .enumerate()
            .try_fold(Self::default, |mut all, (k, (prediction, reference))| {
                cancel.check()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_and_box_are_those_of_a_walk_over_voxels(
            shape in [1_usize..90, 1_usize..5, 1_usize..5],
            seed in any::<u64>(),
            wanted in 0_u16..3,
        ) {
            let mut state = seed | 1;
            let mut draw = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % 4).min(2)
            };
            let voxels = shape.iter().product();
            let p: Vec<u8> = (0..voxels).map(|_| u8::try_from(draw()).unwrap()).collect();
            let r: Vec<u16> = (0..voxels).map(|_| u16::try_from(draw()).unwrap()).collect();
            let (in_p, in_r) = (|id: u8| u16::from(id) == wanted, |id: u16| id == wanted);
            let grid = Grid::new(shape, Affine::identity()).unwrap();
            let views = (VolumeView::new(grid, &p).unwrap(), VolumeView::new(grid, &r).unwrap());
            let found = Overlap::counted(&p, &r, in_p, in_r).with_region(views.0, views.1, in_p, in_r);
            let mut walked = Overlap::NONE;
            for n in 0..voxels {
                let (p, r) = (in_p(p[n]), in_r(r[n]));
                let at = [n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]];
                let region = if p || r { Region::new(at, at.map(|n| n + 1)) } else { Overlap::NONE.region };
                walked.add(&Overlap {
                    prediction: u64::from(p),
                    reference: u64::from(r),
                    shared: u64::from(p && r),
                    region,
                });
            }
            prop_assert_eq!(found, walked);
        }

        #[test]
        fn more_voxels_than_a_byte_counts_are_counted(len in 0_usize..70_000) {
            let ones = vec![true; len];
            prop_assert_eq!(count(&ones, &ones, |a| a, |b| b), [len as u64; 3]);
        }
    }
}
