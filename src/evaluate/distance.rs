//! Exact Euclidean distance to the nearest marked voxel, for voxels of any side lengths.
//!
//! Felzenszwalb & Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8, 2012: one axis after
//! the other, each by the lower envelope of parabolas. In `f64`, so that distances equal the square root of the exact
//! sum of squares to the last bits.

use rayon::prelude::*;

use crate::error::Result;
use crate::limits::{self, Cancel};

/// Axes that miss being perpendicular by more than this have no distances: the transform works axis by axis.
pub(super) const MAX_SHEAR_DEGREES: f64 = 0.01;

/// Columns that are transformed side by side: one cache line of `f64`.
const LANES: usize = 8;

/// Squared distances to the nearest marked voxel of the same plane j.
///
/// The last axis is left to [`DistanceField::distance`]: few voxels are asked for, and the nearest plane that matters
/// is mostly close.
pub(super) struct DistanceField {
    shape: [usize; 3],
    spacing: [f64; 3],
    /// Indexed i + ni * (k + nk * j).
    squared: Vec<f64>,
}

impl DistanceField {
    /// Of the voxels that `marked` (i fastest, `shape`) holds, with `spacing` in mm along i, j, k.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had; [`crate::ErrorKind::Interrupted`] after `cancel`.
    pub(super) fn new(marked: &[bool], shape: [usize; 3], spacing: [f64; 3], cancel: &Cancel) -> Result<Self> {
        let [ni, nj, nk] = shape;
        let mut squared = limits::zeroed(marked.len(), "a map of distances")?;
        let planes = squared.par_chunks_mut(ni * nk).enumerate().filter(|_| !cancel.is_cancelled());
        planes.for_each_init(
            || Envelope::new(nk, spacing[2]),
            |envelope, (j, plane)| {
                for (k, row) in plane.chunks_exact_mut(ni).enumerate() {
                    row_distances(&marked[(k * nj + j) * ni..][..ni], spacing[0], row);
                }
                for i in (0..ni).step_by(LANES) {
                    let lanes = LANES.min(ni - i);
                    envelope.gather(lanes, |k| &plane[k * ni + i..][..lanes]);
                    envelope.transform(lanes);
                    envelope.scatter(lanes, |k, lane, value| plane[k * ni + i + lane] = value);
                }
            },
        );
        cancel.check()?;
        Ok(Self { shape, spacing, squared })
    }

    /// Distance in mm from voxel (i, j, k) to the nearest marked voxel; infinite when nothing is marked.
    ///
    /// Planes are looked at outwards from j until they are too far away to matter.
    #[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
    pub(super) fn distance(&self, [i, j, k]: [usize; 3]) -> f64 {
        let [ni, nj, nk] = self.shape;
        let of_plane = |j: usize| self.squared[(j * nk + k) * ni + i];
        let mut best = of_plane(j);
        for step in 1..=j.max(nj - 1 - j) {
            let mm = step as f64 * self.spacing[1];
            if mm * mm >= best {
                break;
            }
            if step <= j {
                best = best.min(of_plane(j - step) + mm * mm);
            }
            if j + step < nj {
                best = best.min(of_plane(j + step) + mm * mm);
            }
        }
        best.sqrt()
    }
}

/// Squared distances along one row.
fn row_distances(marked: &[bool], step: f64, squared: &mut [f64]) {
    let mut distance = f64::INFINITY;
    for (value, &marked) in squared.iter_mut().zip(marked) {
        distance = if marked { 0.0 } else { distance + 1.0 };
        *value = distance;
    }
    let mut distance = f64::INFINITY;
    for (value, &marked) in squared.iter_mut().zip(marked).rev() {
        distance = if marked { 0.0 } else { distance + 1.0 };
        let mm = value.min(distance) * step;
        *value = mm * mm;
    }
}

/// Lower envelope of the parabolas `f(p) + step^2 (x - p)^2` along columns of `len` samples.
struct Envelope {
    len: usize,
    step: f64,
    /// `LANES` columns, one after the other.
    columns: Vec<f64>,
    result: Vec<f64>,
    /// Vertices p of the parabolas on the envelope, left to right, and where each begins to be the lowest.
    vertices: Vec<usize>,
    begins: Vec<f64>,
}

impl Envelope {
    fn new(len: usize, step: f64) -> Self {
        Self {
            len,
            step,
            columns: vec![0.0; LANES * len],
            result: vec![0.0; len],
            vertices: Vec::with_capacity(len),
            begins: Vec::with_capacity(len),
        }
    }

    /// Reads `lanes` columns; `row(n)` holds sample n of each.
    fn gather<'a>(&mut self, lanes: usize, row: impl Fn(usize) -> &'a [f64]) {
        for n in 0..self.len {
            for (lane, &value) in row(n)[..lanes].iter().enumerate() {
                self.columns[lane * self.len + n] = value;
            }
        }
    }

    /// Writes `lanes` columns with `put(n, lane, value)`.
    fn scatter(&self, lanes: usize, mut put: impl FnMut(usize, usize, f64)) {
        for n in 0..self.len {
            for lane in 0..lanes {
                put(n, lane, self.columns[lane * self.len + n]);
            }
        }
    }

    fn transform(&mut self, lanes: usize) {
        for lane in 0..lanes {
            self.transform_column(lane * self.len..(lane + 1) * self.len);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
    fn transform_column(&mut self, column: std::ops::Range<usize>) {
        let column = &mut self.columns[column];
        let square = self.step * self.step;
        self.vertices.clear();
        self.begins.clear();
        for (n, &height) in column.iter().enumerate() {
            if height == f64::INFINITY {
                continue;
            }
            let mut begin = f64::NEG_INFINITY;
            while let (Some(&p), Some(&lowest_from)) = (self.vertices.last(), self.begins.last()) {
                let (x, p_x) = (n as f64, p as f64);
                begin = 0.5 * ((height - column[p]) / (square * (x - p_x)) + x + p_x);
                if begin > lowest_from {
                    break;
                }
                self.vertices.pop();
                self.begins.pop();
                begin = f64::NEG_INFINITY;
            }
            self.vertices.push(n);
            self.begins.push(begin);
        }
        if self.vertices.is_empty() {
            return;
        }
        let mut at = 0;
        for (n, value) in self.result.iter_mut().enumerate() {
            let x = n as f64;
            while self.begins.get(at + 1).is_some_and(|&begin| begin < x) {
                at += 1;
            }
            let p = self.vertices[at];
            let mm = (x - p as f64) * self.step;
            *value = column[p] + mm * mm;
        }
        column.copy_from_slice(&self.result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(marked: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
        let index = |n: usize| [n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]];
        let square = |a: usize, b: usize| -> f64 {
            let (a, b) = (index(a), index(b));
            (0..3).map(|axis| a[axis].abs_diff(b[axis]) as f64 * spacing[axis]).map(|mm| mm * mm).sum()
        };
        let nearest = |n| (0..marked.len()).filter(|&m| marked[m]).map(|m| square(n, m)).fold(f64::INFINITY, f64::min);
        (0..marked.len()).map(|n| nearest(n).sqrt()).collect()
    }

    proptest! {
        #[test]
        fn distances_are_those_to_the_nearest_marked_voxel(
            shape in [1_usize..12, 1_usize..12, 1_usize..8],
            spacing in [0.1_f64..10.0, 0.1_f64..10.0, 0.1_f64..10.0],
            seed in any::<u64>(),
            rarity in 1_u64..30,
        ) {
            let mut state = seed | 1;
            let marked: Vec<bool> = (0..shape.iter().product()).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % rarity == 0
            }).collect();
            let field = DistanceField::new(&marked, shape, spacing, &Cancel::new()).unwrap();
            let places = (0..marked.len()).map(|n| [n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]]);
            for (place, wanted) in places.zip(naive(&marked, shape, spacing)) {
                let mm = field.distance(place);
                prop_assert!(mm == wanted || (mm - wanted).abs() <= 4.0 * f64::EPSILON * wanted, "{mm} {wanted}");
            }
        }
    }
}
