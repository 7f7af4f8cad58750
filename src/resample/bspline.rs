//! The prefilter that turns samples into cubic B-spline coefficients.
//!
//! M. Unser, A. Aldroubi, M. Eden, "B-spline signal processing: part II", IEEE Trans. Signal Processing 41 (1993):
//! a causal and an anticausal recursion with the pole `sqrt(3) - 2`, the ends mirrored about the outermost samples.

use rayon::prelude::*;

use super::taps::narrow;
use crate::error::Result;
use crate::limits::{self, Cancel};

/// The pole of the cubic B-spline.
const POLE: f64 = -0.267_949_192_431_122_7;
/// Samples after which the pole's power is below the precision of `f32`.
const HORIZON: usize = 24;
/// Rows along i that are filtered side by side, so that the recursion is vectorized across them.
const ROWS: usize = 16;
/// Columns along k that one job filters.
const COLUMNS: usize = 256;

/// Replaces samples by coefficients, in place.
pub(super) fn prefilter(data: &mut [f32], shape: [usize; 3], cancel: &Cancel) -> Result<()> {
    let [ni, nj, nk] = shape;
    data.par_chunks_mut(ni * nj).try_for_each(|plane| {
        cancel.check()?;
        let mut turned = limits::zeroed::<f32>(if ni > 1 { ni * ROWS } else { 0 }, "rows")?;
        for rows in plane.chunks_mut(ni * ROWS).filter(|_| ni > 1) {
            filter_rows(rows, ni, &mut turned);
        }
        filter(&mut plane.chunks_mut(ni).collect::<Vec<_>>());
        Ok(())
    })?;
    if nk > 1 {
        let blocks = (ni * nj).div_ceil(COLUMNS);
        let mut columns = (0..blocks).map(|_| Vec::with_capacity(nk)).collect::<Vec<_>>();
        for plane in data.chunks_mut(ni * nj) {
            columns.iter_mut().zip(plane.chunks_mut(COLUMNS)).for_each(|(column, part)| column.push(part));
        }
        columns.into_par_iter().filter(|_| !cancel.is_cancelled()).for_each(|mut column| filter(&mut column));
    }
    Ok(())
}

/// Filters up to [`ROWS`] rows of `ni` samples by way of their transpose.
fn filter_rows(rows: &mut [f32], ni: usize, turned: &mut [f32]) {
    for (r, row) in rows.chunks(ni).enumerate() {
        row.iter().zip(turned[r..].iter_mut().step_by(ROWS)).for_each(|(value, turned)| *turned = *value);
    }
    filter(&mut turned.chunks_mut(ROWS).collect::<Vec<_>>());
    for (r, row) in rows.chunks_mut(ni).enumerate() {
        row.iter_mut().zip(turned[r..].iter().step_by(ROWS)).for_each(|(value, turned)| *value = *turned);
    }
}

/// Filters along the list: sample `n` of signal `s` is `lines[n][s]`.
fn filter(lines: &mut [&mut [f32]]) {
    let n = lines.len();
    if n < 2 {
        return;
    }
    let pole = narrow(POLE);
    let start = initial(lines);
    lines[0].iter_mut().zip(start).for_each(|(value, start)| *value = narrow(6.0 * start));
    for at in 1..n {
        let (before, here) = lines.split_at_mut(at);
        for (value, before) in here[0].iter_mut().zip(before[at - 1].iter()) {
            *value = 6.0 * *value + pole * before;
        }
    }
    let gain = narrow(POLE / (POLE * POLE - 1.0));
    let (before, last) = lines.split_at_mut(n - 1);
    for (value, before) in last[0].iter_mut().zip(before[n - 2].iter()) {
        *value = gain * (*value + pole * before);
    }
    for at in (0..n - 1).rev() {
        let (here, after) = lines.split_at_mut(at + 1);
        for (value, after) in here[at].iter_mut().zip(after[0].iter()) {
            *value = pole * (after - *value);
        }
    }
}

/// First value of the causal recursion under mirrored ends: `sum over m of pole^|m| * sample(m)`, without the gain.
fn initial(lines: &[&mut [f32]]) -> Vec<f64> {
    let n = lines.len();
    let mut sum: Vec<f64> = lines[0].iter().map(|&value| f64::from(value)).collect();
    let mut add = |line: &[f32], factor: f64| {
        sum.iter_mut().zip(line).for_each(|(sum, &value)| *sum += factor * f64::from(value));
    };
    let mut power = POLE;
    if n > HORIZON {
        for line in &lines[1..HORIZON] {
            add(line, power);
            power *= POLE;
        }
        return sum;
    }
    // The mirrored signal has the period 2n - 2: sum one period in closed form.
    let mut returning = POLE.powi(2 * exponent(n) - 3);
    for line in &lines[1..n - 1] {
        add(line, power + returning);
        power *= POLE;
        returning /= POLE;
    }
    add(lines[n - 1], power);
    let period = 1.0 - POLE.powi(2 * exponent(n) - 2);
    sum.iter_mut().for_each(|sum| *sum /= period);
    sum
}

fn exponent(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX / 2)
}
