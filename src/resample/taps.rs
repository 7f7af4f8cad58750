//! One axis of a separable interpolation as a sparse matrix.

use std::ops::Range;

use super::options::{Border, Method, Smoothing, SmoothingBorder};
use crate::geometry::{AlignedMap, SNAP, float, snapped};

/// Which source samples each output sample of an axis reads, and with what weights.
#[derive(Debug)]
pub(super) struct AxisTaps {
    /// Samples read per output sample.
    pub(super) taps: usize,
    /// `taps` source indices per output sample.
    pub(super) index: Vec<u32>,
    /// Their weights.
    pub(super) weight: Vec<f32>,
    /// Output samples that get a value from the source; the others get the border's.
    pub(super) inside: Range<usize>,
    /// The weights of each output sample inside sum to one.
    pub(super) normalized: bool,
}

/// Source indices with weights for one output sample.
type Row = Vec<(usize, f64)>;

impl AxisTaps {
    /// Source axis `axis`, of `length` samples, of an aligned map whose paired target axis has `count` samples.
    pub(super) fn new(
        map: &AlignedMap,
        axis: usize,
        length: usize,
        count: usize,
        method: Method,
        border: Border,
        smoothing: Option<Smoothing>,
    ) -> Self {
        let factor = map.scale[axis].abs();
        let gaussian = smoothing.map(|s| Gaussian::new(s.sigma(factor), s.border));
        let last = float(length - 1);
        let mut inside = 0..0;
        let rows = (0..count).map(|n| {
            // Axes that run against each other are walked from the other end, so that a flipped source gives the same bits.
            let flipped = map.scale[axis] < 0.0;
            let coordinate = map.coordinate(axis, float(n));
            let coordinate = if flipped { last - coordinate } else { coordinate };
            let Some(within) = resolved(coordinate, length, border) else { return Row::new() };
            inside = if inside.is_empty() { n..n + 1 } else { inside.start..n + 1 };
            let mut row = match method {
                Method::Nearest => vec![(index(snapped(within + 0.5), length), 1.0)],
                Method::Linear => linear(within, length),
                Method::Cubic => cubic(within, length),
                Method::Area if factor > 1.0 => area(coordinate, within, factor, length),
                Method::Area => linear(within, length),
            };
            if let Some(gaussian) = &gaussian {
                row = gaussian.applied_to(&row, length);
            }
            if flipped {
                row.iter_mut().for_each(|tap| tap.0 = length - 1 - tap.0);
            }
            row
        });
        let rows = rows.collect::<Vec<_>>();
        Self::from_rows(&rows, inside)
    }

    /// The Gaussian alone: as many outputs as inputs.
    pub(super) fn smoothing(length: usize, sigma: f64, border: SmoothingBorder) -> Self {
        let gaussian = Gaussian::new(sigma, border);
        let rows = (0..length).map(|n| gaussian.applied_to(&vec![(n, 1.0)], length)).collect::<Vec<_>>();
        Self::from_rows(&rows, 0..length)
    }

    /// Lays the rows out with equal numbers of taps; taps of weight zero are left out where they can be.
    fn from_rows(rows: &[Row], inside: Range<usize>) -> Self {
        let kept = |row: &Row| row.iter().filter(|tap| tap.1 != 0.0).count();
        let taps = rows.iter().map(kept).max().unwrap_or(0).max(1);
        let mut index = Vec::with_capacity(rows.len() * taps);
        let mut weight = Vec::with_capacity(rows.len() * taps);
        for row in rows {
            let first = row.iter().find(|tap| tap.1 != 0.0).map_or(0, |tap| tap.0);
            let padded = row.iter().copied().filter(|tap| tap.1 != 0.0).chain(std::iter::repeat((first, 0.0)));
            for (at, share) in padded.take(taps) {
                index.push(small(at));
                weight.push(narrow(share));
            }
        }
        let sums = rows[inside.clone()].iter().map(|row| row.iter().map(|tap| tap.1).sum::<f64>());
        let normalized = sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-9);
        Self { taps, index, weight, inside, normalized }
    }

    /// Number of output samples.
    pub(super) fn len(&self) -> usize {
        self.index.len() / self.taps
    }

    /// Indices and weights of output sample `n`.
    pub(super) fn row(&self, n: usize) -> (&[u32], &[f32]) {
        let range = n * self.taps..(n + 1) * self.taps;
        (&self.index[range.clone()], &self.weight[range])
    }

    /// The source indices that any output sample inside reads.
    pub(super) fn reach(&self) -> Range<usize> {
        let read = &self.index[self.inside.start * self.taps..self.inside.end * self.taps];
        let first = read.iter().min().map_or(0, |&n| n as usize);
        first..read.iter().max().map_or(0, |&n| n as usize + 1)
    }
}

/// The coordinate inside the source that stands for `coordinate`; `None` where the border's value does.
pub(super) fn resolved(coordinate: f64, length: usize, border: Border) -> Option<f64> {
    let last = float(length - 1);
    let beyond = match border {
        Border::Constant(_) => SNAP,
        Border::FieldOfView(_) => 0.5 + SNAP,
        Border::Clamp | Border::Mirror | Border::ScipyNearest => f64::INFINITY,
    };
    if coordinate < -beyond || coordinate > last + beyond {
        return None;
    }
    if border == Border::Mirror && !(0.0..=last).contains(&coordinate) {
        return Some(if length == 1 { 0.0 } else { last - (coordinate.rem_euclid(2.0 * last) - last).abs() });
    }
    Some(coordinate.clamp(0.0, last))
}

/// A coordinate's integer part, moved into an axis of `length` samples.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
pub(super) fn index(coordinate: f64, length: usize) -> usize {
    (coordinate.max(0.0) as usize).min(length - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "axes are far shorter than 2^32")]
fn small(n: usize) -> u32 {
    n as u32
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

fn linear(coordinate: f64, length: usize) -> Row {
    let floor = index(coordinate, length);
    let share = coordinate - float(floor);
    vec![(floor, 1.0 - share), ((floor + 1).min(length - 1), share)]
}

fn cubic(coordinate: f64, length: usize) -> Row {
    let floor = coordinate.floor();
    let weights = cubic_weights(coordinate - floor);
    let at = |tap: usize| mirrored(floor + float(tap) - 1.0, length);
    let mut row: Row = (0..4).map(|tap| (at(tap), weights[tap])).collect();
    if length == 1 {
        row = vec![(0, 1.0)];
    }
    row
}

/// The four cubic B-spline weights at fraction `t` after the second tap.
pub(super) fn cubic_weights(t: f64) -> [f64; 4] {
    let u = 1.0 - t;
    let (t2, u2) = (t * t, u * u);
    [u2 * u / 6.0, (4.0 - 6.0 * t2 + 3.0 * t2 * t) / 6.0, (4.0 - 6.0 * u2 + 3.0 * u2 * u) / 6.0, t2 * t / 6.0]
}

/// An integer position reflected about the outermost samples.
pub(super) fn mirrored(position: f64, length: usize) -> usize {
    index(resolved(position, length, Border::Mirror).unwrap_or(0.0), length)
}

/// Share of the target cell that each source cell covers; the nearest voxel where it covers none.
fn area(coordinate: f64, within: f64, factor: f64, length: usize) -> Row {
    let (low, high) = (coordinate - 0.5 * factor, coordinate + 0.5 * factor);
    let (first, last) = (index(low + 0.5, length), index(high + 0.5, length));
    let overlap = |n: usize| (high.min(float(n) + 0.5) - low.max(float(n) - 0.5)).max(0.0);
    let mut row: Row = (first..=last).map(|n| (n, overlap(n))).filter(|tap| tap.1 > SNAP).collect();
    let sum: f64 = row.iter().map(|tap| tap.1).sum();
    row.iter_mut().for_each(|tap| tap.1 /= sum);
    if row.is_empty() { vec![(index(within.round(), length), 1.0)] } else { row }
}

/// A sampled Gaussian with a rule for what it sees beyond the axis.
struct Gaussian {
    /// Weights at distances 0, 1, ... radius.
    half: Vec<f64>,
    border: SmoothingBorder,
}

impl Gaussian {
    fn new(sigma: f64, border: SmoothingBorder) -> Self {
        let radius = index(4.0 * sigma + 0.5, usize::MAX);
        let mut half: Vec<f64> = if sigma > 0.0 {
            (0..=radius).map(|r| (-0.5 * (float(r) / sigma).powi(2)).exp()).collect()
        } else {
            vec![1.0]
        };
        let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
        half.iter_mut().for_each(|weight| *weight /= sum);
        Self { half, border }
    }

    /// The row that reads the unsmoothed samples, for one that reads smoothed ones.
    fn applied_to(&self, row: &Row, length: usize) -> Row {
        let mut sum = std::collections::BTreeMap::<usize, f64>::new();
        let radius = self.half.len() - 1;
        for &(centre, share) in row {
            for step in 0..=2 * radius {
                let Some(at) = self.source(centre + step, radius, length) else { continue };
                *sum.entry(at).or_default() += share * self.half[step.abs_diff(radius)];
            }
        }
        sum.into_iter().collect()
    }

    /// The sample at `position - radius`.
    fn source(&self, position: usize, radius: usize, length: usize) -> Option<usize> {
        match position.checked_sub(radius).filter(|&at| at < length) {
            Some(at) => Some(at),
            None => match self.border {
                SmoothingBorder::Zero => None,
                SmoothingBorder::Edge => Some(if position < radius { 0 } else { length - 1 }),
                SmoothingBorder::Symmetric => {
                    let period = 2 * length;
                    let at = (position + period * radius - radius) % period;
                    Some(at.min(period - 1 - at))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(scale: f64, offset: f64, length: usize, count: usize, method: Method) -> AxisTaps {
        let map = AlignedMap { from: [0, 1, 2], scale: [scale; 3], offset: [offset; 3] };
        AxisTaps::new(&map, 0, length, count, method, Border::FieldOfView(0.0), None)
    }

    #[test]
    fn halving_an_odd_axis_about_its_centre_weighs_a_quarter_a_half_a_quarter() {
        let taps = taps(2.0, 0.0, 5, 3, Method::Area);
        assert_eq!(taps.taps, 3);
        assert_eq!(taps.row(1), (&[1, 2, 3][..], &[0.25, 0.5, 0.25][..]));
        let (index, weight) = taps.row(0);
        assert_eq!(index[..2], [0, 1]);
        assert!((weight[0] - 2.0 / 3.0).abs() < 1e-7 && (weight[1] - 1.0 / 3.0).abs() < 1e-7);
        assert_eq!(taps.inside, 0..3);
    }

    #[test]
    fn exact_hits_need_one_tap_and_samples_beyond_the_edges_none() {
        let identity = taps(1.0, 1e-13, 5, 5, Method::Linear);
        assert_eq!((identity.taps, identity.reach()), (1, 0..5));
        let wide = taps(1.0, -2.0, 3, 8, Method::Linear);
        assert_eq!((wide.inside.clone(), wide.reach()), (2..5, 0..3));
    }

    #[test]
    fn symmetric_borders_bounce_as_often_as_needed() {
        let gaussian = Gaussian::new(2.0, SmoothingBorder::Symmetric);
        let row = gaussian.applied_to(&vec![(0, 1.0)], 2);
        assert_eq!(row.iter().map(|tap| tap.0).collect::<Vec<_>>(), [0, 1]);
        assert!((row.iter().map(|tap| tap.1).sum::<f64>() - 1.0).abs() < 1e-12);
        let at = |position| gaussian.source(position, 8, 2);
        let found = (0..17).map(|p| at(p).unwrap()).collect::<Vec<_>>();
        assert_eq!(found, [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]);
    }
}
