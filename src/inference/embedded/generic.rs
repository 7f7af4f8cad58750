//! Operations on plain tensors of any rank: rarely met in a U-Net, so simple rather than fast.

use std::sync::Arc;

use rayon::prelude::*;

use super::kernels::{Epilogue, LANES, Lanes, Post, Simd, values_mut};
use super::lower::{pad_maps, slice_maps, unsupported};
use crate::error::Result;
use crate::model::graph::{Binary, Layer, Network, Op, PadMode, Reduction};

/// Lengths and steps of the axes of a view of plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    shape: Vec<usize>,
    steps: Vec<usize>,
}

/// An operation with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Generic {
    /// Per output axis and index, what is added to the input's offset; `None` gives `fill`.
    Gather {
        tables: Vec<Vec<Option<usize>>>,
        fill: f32,
    },
    /// The input in pieces of `length` values, `step` apart from `first` on.
    Part {
        length: usize,
        step: usize,
        first: usize,
    },
    /// The two operands as views of the output's shape.
    Binary {
        binary: Binary,
        operands: [View; 2],
    },
    /// Slopes below zero.
    Slope {
        operands: [View; 2],
    },
    Map(Post),
    /// Over the middle one of three axes.
    Softmax {
        axes: [usize; 3],
        log: bool,
    },
    Normalize {
        length: usize,
        epsilon: f32,
        scale: Arc<Vec<f32>>,
        bias: Option<Arc<Vec<f32>>>,
    },
    Reduce {
        reduction: Reduction,
        kept: View,
        reduced: View,
    },
    /// Over the middle one of three axes.
    ArgMax {
        axes: [usize; 3],
    },
    /// Rows, inner length, columns; batches of both operands as views.
    MatMul {
        sizes: [usize; 3],
        batches: [View; 2],
    },
}

impl View {
    /// Row-major.
    fn new(shape: &[usize]) -> Self {
        let mut steps = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            steps[axis - 1] = steps[axis] * shape[axis];
        }
        Self { shape: shape.to_vec(), steps }
    }

    /// `from` repeated to `shape` as numpy does.
    fn broadcast(from: &[usize], shape: &[usize]) -> Self {
        let view = Self::new(from);
        let skip = shape.len() - from.len();
        let step = |axis: usize| if axis < skip || from[axis - skip] == 1 { 0 } else { view.steps[axis - skip] };
        Self { shape: shape.to_vec(), steps: (0..shape.len()).map(step).collect() }
    }

    /// The axes that `keep` chooses.
    fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let axes: Vec<_> = (0..self.shape.len()).filter(|&axis| keep(axis)).collect();
        Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            steps: axes.iter().map(|&axis| self.steps[axis]).collect(),
        }
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where element `index` in row-major order lies.
    fn offset(&self, mut index: usize) -> usize {
        let mut offset = 0;
        for (&n, &step) in self.shape.iter().zip(&self.steps).rev() {
            offset += index % n * step;
            index /= n;
        }
        offset
    }
}

fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

fn tables(maps: Vec<Vec<Option<usize>>>, steps: &[usize]) -> Vec<Vec<Option<usize>>> {
    maps.into_iter().zip(steps).map(|(map, step)| map.into_iter().map(|i| Some(i? * step)).collect()).collect()
}

impl Generic {
    /// The same values.
    pub(super) fn copy(shape: &[usize]) -> Self {
        let all = shape.iter().product();
        Self::Part { length: all, step: all, first: 0 }
    }

    /// One operand of a concatenation, at `first` of `axis`.
    pub(super) fn part(from: &[usize], to: &[usize], axis: usize, first: usize) -> Self {
        let inner: usize = to[axis + 1..].iter().product();
        Self::Part { length: from[axis] * inner, step: to[axis] * inner, first: first * inner }
    }

    /// The operation of a layer.
    pub(super) fn new(layer: &Layer, network: &Network) -> Result<Self> {
        let (from, to) = (network.shape(layer.inputs[0]), network.shape(layer.output));
        let view = View::new(from);
        let constant = |index: usize| {
            let id = layer.inputs.get(index)?;
            network.constants.get(id).map(|constant| constant.data.get())
        };
        let operands = || [0, 1].map(|i| View::broadcast(network.shape(layer.inputs[i]), to));
        Ok(match &layer.op {
            Op::Reshape | Op::Identity => Self::copy(to),
            Op::Transpose { permutation } => {
                let table = |&axis: &usize| (0..from[axis]).map(|i| Some(i * view.steps[axis])).collect();
                Self::Gather { tables: permutation.iter().map(table).collect(), fill: 0.0 }
            }
            Op::Slice { starts, steps } => {
                Self::Gather { tables: tables(slice_maps(to, starts, steps), &view.steps), fill: 0.0 }
            }
            Op::Pad { before, mode, .. } => {
                let fill = if let PadMode::Constant(value) = mode { *value } else { 0.0 };
                Self::Gather { tables: tables(pad_maps(from, to, before, *mode), &view.steps), fill }
            }
            Op::Expand => {
                let View { shape, steps } = View::broadcast(from, to);
                let table = |(n, step): (usize, usize)| (0..n).map(|i| Some(i * step)).collect();
                Self::Gather { tables: shape.into_iter().zip(steps).map(table).collect(), fill: 0.0 }
            }
            Op::DepthToSpace { block, columns_first } => depth_to_space(from, *block, *columns_first),
            Op::Binary(binary) => Self::Binary { binary: *binary, operands: operands() },
            Op::PRelu => Self::Slope { operands: operands() },
            Op::Activation(function) => Self::Map(Post::Activation(*function)),
            Op::Unary(function) => Self::Map(Post::Unary(*function)),
            Op::Softmax { axis, log } => Self::Softmax { axes: around(from, *axis), log: *log },
            Op::ArgMax { axis } => Self::ArgMax { axes: around(from, *axis) },
            Op::LayerNormalization { axis, epsilon } => {
                let scale = constant(1).ok_or_else(|| unsupported("the scale is not a constant"))?;
                let length = from[*axis..].iter().product();
                Self::Normalize { length, epsilon: *epsilon, scale, bias: constant(2) }
            }
            Op::Reduce { reduction, axes } => {
                let reduced = view.filter(|axis| axes.contains(&axis));
                Self::Reduce { reduction: *reduction, kept: view.filter(|axis| !axes.contains(&axis)), reduced }
            }
            Op::MatMul => matmul(from, network.shape(layer.inputs[1]), to)?,
            _ => return Err(unsupported("this operator is not supported")),
        })
    }

    /// Computes `output` over the current rayon pool.
    pub(super) fn run(&self, simd: Simd, input: &[f32], other: &[f32], output: &mut [f32]) {
        match self {
            Self::Gather { tables, fill } => gather(tables, *fill, input, output),
            Self::Part { length, step, first } => {
                for (from, to) in input.chunks(*length).zip(output.chunks_mut(*step)) {
                    to[*first..first + length].copy_from_slice(from);
                }
            }
            Self::Binary { binary: function, operands } => {
                each(output, |i| function.of(input[operands[0].offset(i)], other[operands[1].offset(i)]));
            }
            Self::Slope { operands } => each(output, |i| {
                let (x, slope) = (input[operands[0].offset(i)], other[operands[1].offset(i)]);
                if x < 0.0 { slope * x } else { x }
            }),
            Self::Map(post) => map(simd, post, input, output),
            Self::Softmax { axes, log } => softmax(*axes, *log, input, output),
            Self::Normalize { length, epsilon, scale, bias } => {
                let bias = bias.as_ref().map(|bias| bias.as_slice());
                output.par_chunks_mut(*length).zip(input.par_chunks(*length)).for_each(|(output, input)| {
                    normalize(*epsilon, scale, bias, input, output);
                });
            }
            Self::Reduce { reduction, kept, reduced } => {
                each(output, |i| {
                    let start = kept.offset(i);
                    reduce(*reduction, reduced.len(), |j| input[start + reduced.offset(j)])
                });
            }
            Self::ArgMax { axes: [_, n, inner] } => each(output, |i| {
                let start = i / inner * n * inner + i % inner;
                let larger = |best: usize, j: usize| {
                    if input[start + j * inner] > input[start + best * inner] { j } else { best }
                };
                (1..*n).fold(0, larger) as f32
            }),
            Self::MatMul { sizes: [rows, depth, columns], batches } => each(output, |i| {
                let (batch, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
                let (a, b) = (batches[0].offset(batch) + row * depth, batches[1].offset(batch) + column);
                (0..*depth).fold(0.0, |sum, k| sum + input[a + k] * other[b + k * columns])
            }),
        }
    }
}

fn depth_to_space(from: &[usize], block: usize, columns_first: bool) -> Generic {
    let (channels, height, width) = (from[1] / (block * block).max(1), from[2], from[3]);
    let plane = height * width;
    // Input channel of output channel c and of the place (p, q) inside a block.
    let [c_step, p_step, q_step] =
        if columns_first { [block * block, block, 1] } else { [1, block * channels, channels] }
            .map(|step| step * plane);
    let offsets = |n: usize, f: &dyn Fn(usize) -> usize| (0..n).map(|i| Some(f(i))).collect::<Vec<_>>();
    Generic::Gather {
        tables: vec![
            offsets(from[0], &|n| n * from[1] * plane),
            offsets(channels, &|c| c * c_step),
            offsets(height * block, &|y| y / block * width + y % block * p_step),
            offsets(width * block, &|x| x / block + x % block * q_step),
        ],
        fill: 0.0,
    }
}

fn matmul(a: &[usize], b: &[usize], to: &[usize]) -> Result<Generic> {
    let (&[.., rows, depth], &[.., inner, columns]) = (a, b) else {
        return Err(unsupported("a product with a vector is not supported"));
    };
    if depth != inner {
        return Err(unsupported("the matrices do not fit"));
    }
    let outer = &to[..to.len() - 2];
    let batch = |shape: &[usize]| {
        let size = shape[shape.len() - 2] * shape[shape.len() - 1];
        let mut view = View::broadcast(&shape[..shape.len() - 2], outer);
        view.steps.iter_mut().for_each(|step| *step *= size);
        view
    };
    Ok(Generic::MatMul { sizes: [rows, depth, columns], batches: [batch(a), batch(b)] })
}

/// Computes each value from its index.
fn each(output: &mut [f32], f: impl Fn(usize) -> f32 + Sync) {
    const CHUNK: usize = 4096;
    output.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        for (i, value) in values.iter_mut().enumerate() {
            *value = f(chunk * CHUNK + i);
        }
    });
}

fn gather(tables: &[Vec<Option<usize>>], fill: f32, input: &[f32], output: &mut [f32]) {
    let Some((last, outer)) = tables.split_last() else {
        output.copy_from_slice(&input[..output.len()]);
        return;
    };
    output.par_chunks_mut(last.len().max(1)).enumerate().for_each(|(mut row, values)| {
        let mut start = Some(0);
        for table in outer.iter().rev() {
            start = start.zip(table[row % table.len()]).map(|(a, b)| a + b);
            row /= table.len();
        }
        for (value, &offset) in values.iter_mut().zip(last) {
            *value = start.zip(offset).map_or(fill, |(a, b)| input[a + b]);
        }
    });
}

fn map(simd: Simd, post: &Post, input: &[f32], output: &mut [f32]) {
    let epilogue = Epilogue { simd, posts: std::slice::from_ref(post), other: None };
    let pieces = input.par_chunks(LANES * LANES).zip(output.par_chunks_mut(LANES * LANES));
    pieces.for_each(|(input, output)| {
        let mut lanes = [Lanes::default(); LANES];
        values_mut(&mut lanes)[..input.len()].copy_from_slice(input);
        epilogue.apply_anywhere(&mut lanes);
        output.copy_from_slice(&values_mut(&mut lanes)[..input.len()]);
    });
}

fn softmax([_, n, inner]: [usize; 3], log: bool, input: &[f32], output: &mut [f32]) {
    output.par_chunks_mut(n * inner).zip(input.par_chunks(n * inner)).for_each(|(output, input)| {
        for i in 0..inner {
            let line = || input[i..].iter().step_by(inner).copied();
            let largest = line().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = line().map(|x| (x - largest).exp()).sum();
            for (to, x) in output[i..].iter_mut().step_by(inner).zip(line()) {
                *to = if log { x - largest - sum.ln() } else { (x - largest).exp() / sum };
            }
        }
    });
}

#[expect(clippy::cast_possible_truncation, reason = "scores are 32 bit")]
fn normalize(epsilon: f32, scale: &[f32], bias: Option<&[f32]>, input: &[f32], output: &mut [f32]) {
    let count = input.len() as f64;
    let mean = input.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = input.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let factor = 1.0 / (variance + f64::from(epsilon)).sqrt();
    for (i, (to, &x)) in output.iter_mut().zip(input).enumerate() {
        *to = ((f64::from(x) - mean) * factor) as f32 * scale[i] + bias.map_or(0.0, |bias| bias[i]);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "scores are 32 bit")]
fn reduce(reduction: Reduction, count: usize, value: impl Fn(usize) -> f32) -> f32 {
    let all = || (0..count).map(&value);
    let sum = || all().map(f64::from).sum::<f64>();
    match reduction {
        Reduction::Sum => sum() as f32,
        Reduction::Mean => (sum() / count as f64) as f32,
        Reduction::Max => all().fold(f32::NEG_INFINITY, f32::max),
        Reduction::Min => all().fold(f32::INFINITY, f32::min),
        Reduction::L2 => all().map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32,
    }
}
