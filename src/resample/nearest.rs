//! Nearest neighbor for any sample type: intensities and labels.

use rayon::prelude::*;

use super::options::{Border, Method};
use super::taps::{AxisTaps, index, resolved};
use crate::error::Result;
use crate::geometry::{Affine, AlignedMap, float, snapped};
use crate::limits;
use crate::volume::permute_into;

/// Copies the nearest sample of `data` of `shape` for every voxel of a target of shape `target`; `outside` where the border
/// says so.
pub(super) fn nearest<T: Copy + Default + Send + Sync>(
    data: &[T],
    shape: [usize; 3],
    map: &Affine,
    target: [usize; 3],
    border: Border,
    outside: T,
    out: &mut [T],
) -> Result<()> {
    let Some(aligned) = AlignedMap::of(map, target) else {
        oblique(data, shape, map, target, border, outside, out);
        return Ok(());
    };
    let counts = aligned.from.map(|axis| target[axis]);
    let taps: [AxisTaps; 3] = std::array::from_fn(|axis| {
        AxisTaps::new(&aligned, axis, shape[axis], counts[axis], Method::Nearest, border, None)
    });
    if aligned.from == [0, 1, 2] {
        select(data, shape, &taps, outside, out);
        return Ok(());
    }
    let mut ordered = limits::zeroed(out.len(), "a volume in source order")?;
    select(data, shape, &taps, outside, &mut ordered);
    permute_into(&ordered, counts, aligned.to_target(), out);
    Ok(())
}

/// Axes in source order: one look-up per axis.
fn select<T: Copy + Send + Sync>(data: &[T], shape: [usize; 3], taps: &[AxisTaps; 3], outside: T, out: &mut [T]) {
    let counts = taps.each_ref().map(AxisTaps::len);
    let inside = taps.each_ref().map(|taps| taps.inside.clone());
    out.par_chunks_mut(counts[0]).enumerate().for_each(|(row, out)| {
        let (j, k) = (row % counts[1], row / counts[1]);
        if !inside[1].contains(&j) || !inside[2].contains(&k) {
            out.fill(outside);
            return;
        }
        let (source_j, source_k) = (taps[1].index[j] as usize, taps[2].index[k] as usize);
        let source = &data[(source_k * shape[1] + source_j) * shape[0]..][..shape[0]];
        out.iter_mut().zip(&taps[0].index).for_each(|(out, &at)| *out = source[at as usize]);
        out[..inside[0].start].fill(outside);
        out[inside[0].end..].fill(outside);
    });
}

/// Any affine map.
fn oblique<T: Copy + Send + Sync>(
    data: &[T],
    shape: [usize; 3],
    map: &Affine,
    target: [usize; 3],
    border: Border,
    outside: T,
    out: &mut [T],
) {
    out.par_chunks_mut(target[0]).enumerate().for_each(|(row, out)| {
        let start = map.apply([0.0, float(row % target[1]), float(row / target[1])]);
        let step = map.column(0);
        for (i, out) in out.iter_mut().enumerate() {
            let at = |a: usize| {
                let within = resolved(start[a] + step[a] * float(i), shape[a], border)?;
                Some(index(snapped(within + 0.5), shape[a]))
            };
            *out = match (at(0), at(1), at(2)) {
                (Some(i), Some(j), Some(k)) => data[(k * shape[1] + j) * shape[0] + i],
                _ => outside,
            };
        }
    });
}
