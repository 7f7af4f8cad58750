//! Pooling, depthwise convolution, and interpolation: voxels combined channel by channel.
#![allow(clippy::needless_range_loop, reason = "loops over the lanes of several operands")]

use super::lanes::{Extent, LANES, Lanes};
use super::layout::each_row;
use super::post::Epilogue;
use super::simd::versions;
use super::window::Axis;

/// What becomes of a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pooling {
    Max,
    /// Windows per axis and output index, whose product divides the sum.
    Mean([Vec<f32>; 3]),
    /// Weights `[blocks][kernel]` and biases `[blocks]` of a depthwise convolution; the kernel's size.
    Depthwise {
        weights: Vec<Lanes>,
        bias: Vec<Lanes>,
        kernel: [usize; 3],
    },
}

/// A pooling that is ready to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) pooling: &'a Pooling,
    pub(crate) axes: &'a [Axis; 3],
    pub(crate) from: Extent,
    pub(crate) to: Extent,
    pub(crate) epilogue: Epilogue<'a>,
}

impl Job<'_> {
    /// Runs over the current rayon pool.
    pub(crate) fn run(&self, input: &[Lanes], output: &mut [Lanes]) {
        each_row(output, self.to, &self.epilogue, |row, at| {
            let input = &input[at.block * self.from.block()..(at.block + 1) * self.from.block()];
            pool_row(
                self.epilogue.simd,
                self,
                input,
                row,
                (at.block, at.row / self.to.height, at.row % self.to.height),
            );
        });
    }
}

versions! {
    fn pool_row(job: &Job<'_>, input: &[Lanes], row: &mut [Lanes], at: (usize, usize, usize)) {
        let (block, d, h) = at;
        let start = match job.pooling {
            Pooling::Max => Lanes::splat(f32::NEG_INFINITY),
            Pooling::Mean(_) => Lanes::default(),
            Pooling::Depthwise { bias, .. } => bias[block],
        };
        for (w, sums) in row.iter_mut().enumerate() {
            let mut sum = start;
            for &(kd, i) in job.axes[0].taps(d) {
                for &(kh, j) in job.axes[1].taps(h) {
                    let input = &input[job.from.start(i * job.from.height + j)..][..job.from.width];
                    for &(kw, k) in job.axes[2].taps(w) {
                        let x = &input[k].0;
                        match job.pooling {
                            Pooling::Max => {
                                for c in 0..LANES {
                                    sum.0[c] = if x[c] > sum.0[c] || x[c].is_nan() { x[c] } else { sum.0[c] };
                                }
                            }
                            Pooling::Mean(_) => {
                                for c in 0..LANES {
                                    sum.0[c] += x[c];
                                }
                            }
                            Pooling::Depthwise { weights, kernel: [n, m, l], .. } => {
                                let weight = &weights[((block * n + kd) * m + kh) * l + kw].0;
                                for c in 0..LANES {
                                    sum.0[c] += weight[c] * x[c];
                                }
                            }
                        }
                    }
                }
            }
            if let Pooling::Mean(counts) = job.pooling {
                let count = counts[0][d] * counts[1][h] * counts[2][w];
                for c in 0..LANES {
                    sum.0[c] /= count;
                }
            }
            *sums = sum;
        }
    }
}

/// The two neighbors of an output index on one axis, and the weight of the second.
pub(crate) type Neighbors = Vec<(usize, usize, f32)>;

/// Linear interpolation along every axis.
pub(crate) fn interpolate(
    input: &[Lanes],
    from: Extent,
    output: &mut [Lanes],
    (to, axes): (Extent, &[Neighbors; 3]),
    epilogue: &Epilogue<'_>,
) {
    each_row(output, to, epilogue, |row, at| {
        let input = &input[at.block * from.block()..(at.block + 1) * from.block()];
        let (d, h) = (axes[0][at.row / to.height], axes[1][at.row % to.height]);
        interpolate_row(epilogue.simd, input, from, row, ((d, h), &axes[2]));
    });
}

type RowNeighbors<'a> = (((usize, usize, f32), (usize, usize, f32)), &'a Neighbors);

versions! {
    fn interpolate_row(input: &[Lanes], from: Extent, row: &mut [Lanes], neighbors: RowNeighbors<'_>) {
        let ((d, h), columns) = neighbors;
        let line = |i: usize, j: usize| &input[from.start(i * from.height + j)..][..from.width];
        let lines = [line(d.0, h.0), line(d.0, h.1), line(d.1, h.0), line(d.1, h.1)];
        let weights = [(1.0 - d.2) * (1.0 - h.2), (1.0 - d.2) * h.2, d.2 * (1.0 - h.2), d.2 * h.2];
        for (lanes, &(a, b, t)) in row.iter_mut().zip(columns) {
            let mut sums = [0.0; LANES];
            for (line, weight) in lines.iter().zip(weights) {
                if weight == 0.0 {
                    continue;
                }
                let (x, y) = (&line[a].0, &line[b].0);
                for c in 0..LANES {
                    sums[c] += weight * (x[c] * (1.0 - t) + y[c] * t);
                }
            }
            lanes.0 = sums;
        }
    }
}

/// The four neighbors of an output index on one axis, with their weights.
pub(crate) type CubicNeighbors = Vec<[(usize, f32); 4]>;

/// Cubic interpolation along every axis.
pub(crate) fn interpolate_cubic(
    input: &[Lanes],
    from: Extent,
    output: &mut [Lanes],
    (to, axes): (Extent, &[CubicNeighbors; 3]),
    epilogue: &Epilogue<'_>,
) {
    each_row(output, to, epilogue, |row, at| {
        row.fill(Lanes::default());
        let input = &input[at.block * from.block()..(at.block + 1) * from.block()];
        for (d, depth_weight) in axes[0][at.row / to.height] {
            for (h, height_weight) in axes[1][at.row % to.height] {
                let (weight, start) = (depth_weight * height_weight, from.start(d * from.height + h));
                if weight != 0.0 {
                    add_cubic(epilogue.simd, row, &input[start..start + from.width], weight, &axes[2]);
                }
            }
        }
    });
}

versions! {
    fn add_cubic(row: &mut [Lanes], input: &[Lanes], weight: f32, columns: &CubicNeighbors) {
        for (sums, neighbors) in row.iter_mut().zip(columns) {
            for &(w, column_weight) in neighbors {
                if column_weight == 0.0 {
                    continue;
                }
                for c in 0..LANES {
                    sums.0[c] += weight * column_weight * input[w].0[c];
                }
            }
        }
    }
}
