//! Interpolation axis by axis, for grids whose axes are parallel.

use rayon::prelude::*;

use super::taps::AxisTaps;
use crate::error::Result;
use crate::limits::{self, Cancel};

/// What becomes of a value before it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    /// Value of samples that the source does not reach.
    pub(super) outside: f32,
    /// Range that values are restricted to.
    pub(super) range: Option<(f32, f32)>,
}

impl Finish {
    /// Restricts `values` to the range.
    pub(super) fn clip(&self, values: &mut [f32]) {
        if let Some((low, high)) = self.range {
            values.iter_mut().for_each(|value| *value = value.clamp(low, high));
        }
    }
}

/// Interpolates `data` of `shape` along all axes; `out` has the axes of the source and the lengths of `taps`.
///
/// Per output plane the source planes are blended once, per output row the rows of that blend, and then its samples.
pub(super) fn interpolate(
    data: &[f32],
    shape: [usize; 3],
    taps: &[AxisTaps; 3],
    finish: Finish,
    out: &mut [f32],
    cancel: &Cancel,
) -> Result<()> {
    let [ni, nj, _] = shape;
    let counts = taps.each_ref().map(AxisTaps::len);
    let out_plane = counts[0] * counts[1];
    let rows = taps[1].reach();
    let group = counts[2].div_ceil(4 * rayon::current_num_threads());
    out.par_chunks_mut(out_plane * group).enumerate().try_for_each(|(chunk, out)| {
        let mut plane = limits::zeroed::<f32>(rows.len() * ni, "a plane")?;
        let mut row = limits::zeroed::<f32>(ni, "a row")?;
        for (n, out) in out.chunks_mut(out_plane).enumerate() {
            cancel.check()?;
            let k = chunk * group + n;
            if !taps[2].inside.contains(&k) {
                out.fill(finish.outside);
                continue;
            }
            let source = |index: u32| &data[(index as usize * nj + rows.start) * ni..][..rows.len() * ni];
            let plane = blend(&taps[2], k, source, &mut plane);
            for (j, out) in out.chunks_mut(counts[0]).enumerate() {
                if !taps[1].inside.contains(&j) {
                    out.fill(finish.outside);
                    continue;
                }
                let source = |index: u32| &plane[(index as usize - rows.start) * ni..][..ni];
                gather(&taps[0], blend(&taps[1], j, source, &mut row), out);
                finish.clip(out);
                let inside = &taps[0].inside;
                out[..inside.start].fill(finish.outside);
                out[inside.end..].fill(finish.outside);
            }
        }
        Ok(())
    })
}

/// The weighted sum of the source stretches that output sample `n` of an axis reads.
fn blend<'a>(taps: &AxisTaps, n: usize, source: impl Fn(u32) -> &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
    let (index, weight) = taps.row(n);
    match (index, weight) {
        (&[a], &[1.0]) => return source(a),
        (&[a, b], &[_, w]) if taps.normalized => {
            for ((out, a), b) in buffer.iter_mut().zip(source(a)).zip(source(b)) {
                *out = a + (b - a) * w;
            }
        }
        (&[a, b, c], &[u, v, w]) => {
            for (((out, a), b), c) in buffer.iter_mut().zip(source(a)).zip(source(b)).zip(source(c)) {
                *out = a * u + b * v + c * w;
            }
        }
        (&[a, b, c, d], &[t, u, v, w]) => {
            let sources = source(a).iter().zip(source(b)).zip(source(c)).zip(source(d));
            for (out, (((a, b), c), d)) in buffer.iter_mut().zip(sources) {
                *out = a * t + b * u + c * v + d * w;
            }
        }
        _ => blend_many(index, weight, source, buffer),
    }
    buffer
}

/// Any number of sources, in stretches that stay in the first-level cache.
fn blend_many<'a>(index: &[u32], weight: &[f32], source: impl Fn(u32) -> &'a [f32], buffer: &mut [f32]) {
    const STRETCH: usize = 1024;
    for (n, out) in buffer.chunks_mut(STRETCH).enumerate() {
        out.fill(0.0);
        for (&at, &weight) in index.iter().zip(weight).filter(|tap| *tap.1 != 0.0) {
            for (out, value) in out.iter_mut().zip(&source(at)[n * STRETCH..]) {
                *out += value * weight;
            }
        }
    }
}

/// The weighted sums along one row.
fn gather(taps: &AxisTaps, row: &[f32], out: &mut [f32]) {
    match taps.taps {
        1 => {
            for ((out, &at), &weight) in out.iter_mut().zip(&taps.index).zip(&taps.weight) {
                *out = row[at as usize] * weight;
            }
        }
        2 if taps.normalized => {
            let (index, weight) = (taps.index.as_chunks::<2>().0, taps.weight.as_chunks::<2>().0);
            for ((out, at), weight) in out.iter_mut().zip(index).zip(weight) {
                let (a, b) = (row[at[0] as usize], row[at[1] as usize]);
                *out = a + (b - a) * weight[1];
            }
        }
        4 => {
            let (index, weight) = (taps.index.as_chunks::<4>().0, taps.weight.as_chunks::<4>().0);
            for ((out, at), weight) in out.iter_mut().zip(index).zip(weight) {
                let [a, b, c, d] = at.map(|at| row[at as usize]);
                *out = a * weight[0] + b * weight[1] + c * weight[2] + d * weight[3];
            }
        }
        taps_per_sample => {
            let weights = taps.weight.chunks_exact(taps_per_sample);
            for ((out, at), weight) in out.iter_mut().zip(taps.index.chunks_exact(taps_per_sample)).zip(weights) {
                *out = at.iter().zip(weight).map(|(&at, weight)| row[at as usize] * weight).sum();
            }
        }
    }
}
