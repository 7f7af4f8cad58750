//! Linear and cubic interpolation under any affine map.

use std::ops::Range;

use rayon::prelude::*;

use super::options::Border;
use super::separable::Finish;
use super::taps::{cubic_weights, index, mirrored, narrow, resolved};
use crate::geometry::{Affine, SNAP, float, interval};
use crate::limits::Cancel;

/// Samples or spline coefficients with what is needed to read them between the voxels.
pub(super) struct Sampler<'a> {
    pub(super) data: &'a [f32],
    pub(super) shape: [usize; 3],
    pub(super) border: Border,
    /// The values are cubic B-spline coefficients.
    pub(super) cubic: bool,
}

impl Sampler<'_> {
    /// Interpolates at every voxel of a target of shape `target`; `map` leads from its indices to those of `self`.
    ///
    /// Once `cancel` was turned, rows are left as they are.
    pub(super) fn interpolate(
        &self,
        map: &Affine,
        target: [usize; 3],
        finish: Finish,
        out: &mut [f32],
        cancel: &Cancel,
    ) {
        let step = map.column(0);
        // Far enough from the edges that fixed-point steps stay within the source.
        let (low, high) = ([SNAP; 3], self.shape.map(|n| float(n - 1) - SNAP));
        out.par_chunks_mut(target[0]).enumerate().filter(|_| !cancel.is_cancelled()).for_each(|(row, out)| {
            let start = map.apply([0.0, float(row % target[1]), float(row / target[1])]);
            let fast = !self.cubic && self.shape.iter().all(|&n| n > 1);
            let core = if fast { interval(start, step, low, high, target[0]) } else { 0..0 };
            self.linear_row(start, step, core.clone(), out);
            for i in (0..core.start).chain(core.end..target[0]) {
                out[i] = self.at([0, 1, 2].map(|a| start[a] + step[a] * float(i))).unwrap_or(f32::NAN);
            }
            finish.clip(out);
            self.fill_outside(start, step, finish.outside, out);
        });
    }

    /// Overwrites what the border's value stands for.
    fn fill_outside(&self, start: [f64; 3], step: [f64; 3], outside: f32, out: &mut [f32]) {
        let beyond = match self.border {
            Border::Constant(_) => SNAP,
            Border::FieldOfView(_) => 0.5 + SNAP,
            Border::Clamp | Border::Mirror | Border::ScipyNearest => return,
        };
        let inside = interval(start, step, [-beyond; 3], self.shape.map(|n| float(n - 1) + beyond), out.len());
        out[..inside.start].fill(outside);
        out[inside.end..].fill(outside);
    }

    /// The stretch `core` of a row whose coordinates lie between the outermost voxels, in 32.32 fixed point.
    fn linear_row(&self, start: [f64; 3], step: [f64; 3], core: Range<usize>, out: &mut [f32]) {
        let stride = [1, self.shape[0], self.shape[0] * self.shape[1]];
        let reach = stride.iter().sum::<usize>() + 1;
        let steps = step.map(fixed);
        let mut at: [i64; 3] = std::array::from_fn(|a| fixed(start[a] + step[a] * float(core.start)));
        for out in &mut out[core] {
            let base = (0..3).map(|a| whole(at[a]) * stride[a]).sum::<usize>();
            let [wi, wj, wk] = at.map(fraction);
            let cell = &self.data[base..base + reach];
            let edge = |offset: usize| cell[offset] + (cell[offset + 1] - cell[offset]) * wi;
            let (near_low, near_high) = (edge(0), edge(stride[1]));
            let (far_low, far_high) = (edge(stride[2]), edge(stride[1] + stride[2]));
            let near = near_low + (near_high - near_low) * wj;
            let far = far_low + (far_high - far_low) * wj;
            *out = near + (far - near) * wk;
            (0..3).for_each(|a| at[a] += steps[a]);
        }
    }

    /// The value at one coordinate; `None` where the border's value stands.
    fn at(&self, coordinate: [f64; 3]) -> Option<f32> {
        let mut within = [0.0; 3];
        for a in 0..3 {
            within[a] = resolved(coordinate[a], self.shape[a], self.border)?;
        }
        Some(if self.cubic { self.cubic_at(within) } else { self.linear_at(within) })
    }

    fn linear_at(&self, within: [f64; 3]) -> f32 {
        let floor: [usize; 3] = std::array::from_fn(|a| index(within[a], self.shape[a]));
        let weight: [f32; 3] = std::array::from_fn(|a| narrow(within[a] - float(floor[a])));
        let value = |corner: usize| {
            let at: [usize; 3] = std::array::from_fn(|a| (floor[a] + (corner >> a & 1)).min(self.shape[a] - 1));
            self.data[(at[2] * self.shape[1] + at[1]) * self.shape[0] + at[0]]
        };
        let mut values: [f32; 8] = std::array::from_fn(value);
        for (a, weight) in weight.into_iter().enumerate() {
            for n in 0..4 >> a {
                values[n] = values[2 * n] + (values[2 * n + 1] - values[2 * n]) * weight;
            }
        }
        values[0]
    }

    fn cubic_at(&self, within: [f64; 3]) -> f32 {
        let floor: [f64; 3] = std::array::from_fn(|a| float(index(within[a], self.shape[a])));
        let weight: [[f32; 4]; 3] = std::array::from_fn(|a| cubic_weights(within[a] - floor[a]).map(narrow));
        let [ni, nj, _] = self.shape;
        let deep = (0..3).all(|a| floor[a] >= 1.0 && floor[a] + 2.0 <= float(self.shape[a] - 1));
        let at: [[usize; 4]; 3] = std::array::from_fn(|a| {
            if deep {
                let first = index(floor[a] - 1.0, self.shape[a]);
                [first, first + 1, first + 2, first + 3]
            } else {
                [-1.0, 0.0, 1.0, 2.0].map(|tap| mirrored(floor[a] + tap, self.shape[a]))
            }
        });
        let mut sum = 0.0;
        for (k, weight_k) in at[2].iter().zip(weight[2]) {
            let mut plane = 0.0;
            for (j, weight_j) in at[1].iter().zip(weight[1]) {
                let row = &self.data[(k * nj + j) * ni..][..ni];
                let w = weight[0];
                let values = if deep {
                    let stretch = &row[at[0][0]..at[0][0] + 4];
                    [stretch[0], stretch[1], stretch[2], stretch[3]]
                } else {
                    at[0].map(|i| row[i])
                };
                plane += weight_j * (values[0] * w[0] + values[1] * w[1] + values[2] * w[2] + values[3] * w[3]);
            }
            sum += weight_k * plane;
        }
        sum
    }
}

/// A coordinate in 32.32 fixed point; axes are far shorter than 2^31.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn fixed(value: f64) -> i64 {
    (value * 4_294_967_296.0).round() as i64
}

#[expect(clippy::cast_sign_loss, reason = "within the axis")]
fn whole(fixed: i64) -> usize {
    (fixed >> 32) as usize
}

/// The upper 24 bits of the fraction: exact in `f32`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "24 bits"
)]
fn fraction(fixed: i64) -> f32 {
    ((fixed as u32) >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}
