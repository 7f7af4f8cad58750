//! Which voxels lie near a component, on any grid: oblique, anisotropic or sheared.
//!
//! Work goes by pairs of rows: for a step (dj, dk) between rows, the steps along i that stay within reach are one
//! interval, so a run of the component makes an interval of the other row near.

use rayon::prelude::*;

use super::components::Components;
use super::runs::append_runs;
use crate::error::Result;
use crate::geometry::Grid;
use crate::limits;
use crate::volume::Volume;

/// From one row to another: voxel i + n there is within reach of voxel i here for each n in `first..=last`.
struct RowStep {
    dj: isize,
    dk: isize,
    first: isize,
    last: isize,
    /// Squared distance in mm between the lines that the rows lie on.
    square: f64,
}

/// Drops voxels of the ids in `listed` (indexed by id) that are farther than `reach` mm from component `target`: how
/// many. Distances go from centre to centre.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub(super) fn drop_far(
    ids: &mut Volume<u16>,
    listed: &[bool],
    components: &Components,
    target: u32,
    reach: f64,
) -> Result<u64> {
    let steps = row_steps(components.grid(), reach)?;
    let [ni, nj, nk] = ids.grid().shape();
    let scratch = || (Vec::new(), vec![false; ni]);
    let rows = ids.data_mut().par_chunks_mut(ni).with_min_len(64).enumerate();
    let dropped = rows.map_init(scratch, |(runs, near), (row, voxels)| {
        runs.clear();
        append_runs(voxels, |id| u16::from(listed[usize::from(id)]), runs)?;
        if runs.is_empty() {
            return Ok(0);
        }
        near.fill(false);
        for step in &steps {
            let (j, k) = ((row % nj).wrapping_add_signed(-step.dj), (row / nj).wrapping_add_signed(-step.dk));
            if j >= nj || k >= nk {
                continue;
            }
            for (run, _) in components.row(k * nj + j).filter(|(_, number)| *number == target) {
                let start = run.range().start.saturating_add_signed(step.first);
                let end = run.range().end.saturating_add_signed(step.last).min(ni);
                near[start.min(end)..end].fill(true);
            }
            if runs.iter().all(|run| near[run.range()].iter().all(|&near| near)) {
                return Ok(0);
            }
        }
        let mut dropped = 0;
        for i in runs.iter().flat_map(|run| run.range()).filter(|&i| !near[i]) {
            voxels[i] = 0;
            dropped += 1;
        }
        Ok(dropped)
    });
    dropped.sum()
}

/// All steps between rows of a grid that stay within `reach` mm, the nearest first.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "bounded by the lengths of axes")]
fn row_steps(grid: &Grid, reach: f64) -> Result<Vec<RowStep>> {
    let [ni, nj, nk] = grid.shape().map(|n| n as f64 - 1.0);
    let inverse = grid.affine().inverse().rows();
    // The most steps along an axis that a vector of length `reach` can make.
    let most = |axis: usize, limit: f64| {
        let norm = inverse[axis][..3].iter().map(|v| v * v).sum::<f64>().sqrt();
        (reach * norm).min(limit).floor() as isize
    };
    let [a, b, c] = [0, 1, 2].map(|axis| grid.affine().column(axis));
    let dot = |u: [f64; 3], v: [f64; 3]| u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    let mut steps = Vec::new();
    for dk in -most(2, nk)..=most(2, nk) {
        for dj in -most(1, nj)..=most(1, nj) {
            // The step is v + n a; its length is least at n = `middle` and within reach for `half` on both sides.
            let v = [0, 1, 2].map(|r| dj as f64 * b[r] + dk as f64 * c[r]);
            let middle = -dot(a, v) / dot(a, a);
            let square = dot(v, v) - middle * middle * dot(a, a);
            if square > reach * reach {
                continue;
            }
            let half = ((reach * reach - square) / dot(a, a)).sqrt();
            let (first, last) = ((middle - half).ceil().max(-ni), (middle + half).floor().min(ni));
            if first > last {
                continue;
            }
            limits::room(&mut steps, 1, "the neighborhood of a component")?;
            steps.push(RowStep { dj, dk, first: first as isize, last: last as isize, square });
        }
    }
    steps.sort_by(|one, other| one.square.total_cmp(&other.square));
    Ok(steps)
}
