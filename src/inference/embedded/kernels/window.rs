//! Which input each tap of a kernel meets, for convolutions, transposed convolutions and pooling alike.

use crate::error::{Error, Result};
use crate::model::graph::{Convolution, Pool, TransposedConvolution};

/// Outputs of a row that are worth a tile without the taps that they do not meet.
const NARROWEST: usize = 4;

/// A tap of one axis: index in the kernel, index in the input.
pub(crate) type AxisTap = (usize, usize);

/// Taps of one axis that meet the input, for each output index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis(Vec<Vec<AxisTap>>);

/// Every `step`-th output of a row from `first` on: they meet the same taps, or zeros beside the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Index in the kernel, and the input index that the first output meets (it may lie beside the row).
    pub(crate) taps: Vec<(usize, isize)>,
}

/// The taps of a layer: rows are found by depth and height, voxels of a row by phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Of planes where they lie in the input's buffer.
    pub(crate) depth: Axis,
    pub(crate) height: Axis,
    pub(crate) phases: Vec<Phase>,
    /// Input voxels between the outputs of a phase.
    pub(crate) input_step: usize,
    /// Output voxels between the outputs of a phase.
    pub(crate) output_step: usize,
    /// Size of the kernel.
    pub(crate) kernel: [usize; 3],
}

/// One axis of a layer.
#[derive(Debug, Clone, Copy)]
struct Spec {
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    input: usize,
    output: usize,
}

impl Axis {
    /// Taps that meet the input for output index `index`.
    pub(crate) fn taps(&self, index: usize) -> &[AxisTap] {
        &self.0[index]
    }

    /// Number of outputs.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// From inputs to where they lie.
    pub(crate) fn relocate(&mut self, places: &[usize]) {
        for (_, input) in self.0.iter_mut().flatten() {
            *input = places[*input];
        }
    }

    fn new(spec: Spec, meets: impl Fn(usize, usize) -> Option<isize>) -> Self {
        let of = |o| {
            (0..spec.kernel)
                .filter_map(|k| Some((k, usize::try_from(meets(o, k)?).ok().filter(|&i| i < spec.input)?)))
                .collect()
        };
        Self((0..spec.output).map(of).collect())
    }
}

impl Spec {
    /// Input index that output `o` meets at tap `k` of a convolution.
    #[expect(clippy::cast_possible_wrap, reason = "sizes of tensors that fit in memory")]
    fn convolved(&self, o: usize, k: usize) -> isize {
        (o * self.stride + k * self.dilation) as isize - self.before as isize
    }

    /// The same of a transposed convolution, where the tap meets an input at all.
    #[expect(clippy::cast_possible_wrap, reason = "sizes of tensors that fit in memory")]
    fn transposed(&self, o: usize, k: usize) -> Option<isize> {
        let scaled = (o + self.before) as isize - (k * self.dilation) as isize;
        let stride = self.stride as isize;
        (scaled.rem_euclid(stride) == 0).then(|| scaled.div_euclid(stride))
    }

    /// The outputs of a row of a convolution: run after run of those that meet the same taps, or all at once with zeros
    /// beside the row.
    fn runs(&self) -> Vec<Phase> {
        let offset = |o: usize, k: usize| (k, self.convolved(o, k));
        let met = |o: usize| {
            let inside = |&(_, at): &(usize, isize)| usize::try_from(at).is_ok_and(|at| at < self.input);
            (0..self.kernel).map(|k| offset(o, k)).filter(inside).collect::<Vec<_>>()
        };
        let mut runs: Vec<Phase> = Vec::new();
        for first in 0..self.output {
            let taps = met(first);
            match runs.last_mut() {
                Some(run) if run.taps.iter().map(|tap| tap.0).eq(taps.iter().map(|tap| tap.0)) => run.count += 1,
                _ => runs.push(Phase { first, count: 1, taps }),
            }
        }
        if runs.iter().any(|run| run.count < NARROWEST) {
            let taps = (0..self.kernel).map(|k| offset(0, k)).collect();
            return vec![Phase { first: 0, count: self.output, taps }];
        }
        runs
    }
}

/// Up to three spatial axes as depth, height and width.
fn padded(values: &[usize], fill: usize) -> Result<[usize; 3]> {
    match *values {
        [w] => Ok([fill, fill, w]),
        [h, w] => Ok([fill, h, w]),
        [d, h, w] => Ok([d, h, w]),
        _ => Err(Error::model(format!("a kernel over {} axes is not supported", values.len()))),
    }
}

impl Windows {
    /// Windows of a convolution from an input to an output of `[D, H, W]` voxels.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] for other than one to three axes.
    pub(crate) fn convolution(op: &Convolution, input: [usize; 3], output: [usize; 3]) -> Result<Self> {
        let [d, h, w] = specs((&op.kernel, &op.strides, &op.dilations, &op.pads_before), input, output)?;
        Ok(Self {
            depth: Axis::new(d, |o, k| Some(d.convolved(o, k))),
            height: Axis::new(h, |o, k| Some(h.convolved(o, k))),
            phases: w.runs(),
            input_step: w.stride,
            output_step: 1,
            kernel: [d.kernel, h.kernel, w.kernel],
        })
    }

    /// Windows of a convolution of one tap over `[D, H, W]` voxels.
    pub(crate) fn pointwise(voxels: [usize; 3]) -> Self {
        let every = |n: usize| Axis((0..n).map(|o| vec![(0, o)]).collect());
        Self {
            depth: every(voxels[0]),
            height: every(voxels[1]),
            phases: vec![Phase { first: 0, count: voxels[2], taps: vec![(0, 0)] }],
            input_step: 1,
            output_step: 1,
            kernel: [1; 3],
        }
    }

    /// Windows of a transposed convolution.
    ///
    /// # Errors
    /// As [`Windows::convolution`].
    pub(crate) fn transposed(op: &TransposedConvolution, input: [usize; 3], output: [usize; 3]) -> Result<Self> {
        let [d, h, w] = specs((&op.kernel, &op.strides, &op.dilations, &op.pads_before), input, output)?;
        let phase = |first: usize| Phase {
            first,
            count: (w.output - first).div_ceil(w.stride),
            taps: (0..w.kernel).filter_map(|k| Some((k, w.transposed(first, k)?))).collect(),
        };
        Ok(Self {
            depth: Axis::new(d, |o, k| d.transposed(o, k)),
            height: Axis::new(h, |o, k| h.transposed(o, k)),
            phases: (0..w.stride.min(w.output)).map(phase).collect(),
            input_step: 1,
            output_step: w.stride,
            kernel: [d.kernel, h.kernel, w.kernel],
        })
    }

    /// Zeros that rows of `width` voxels need before and after them.
    #[expect(clippy::cast_possible_wrap, reason = "sizes of tensors that fit in memory")]
    pub(crate) fn borders(&self, width: usize) -> (usize, usize) {
        let mut borders = (0, 0);
        for phase in self.phases.iter().filter(|phase| phase.count > 0) {
            let last = ((phase.count - 1) * self.input_step) as isize;
            for &(_, offset) in &phase.taps {
                borders.0 = borders.0.max(usize::try_from(-offset).unwrap_or(0));
                borders.1 = borders.1.max(usize::try_from(offset + last + 1 - width as isize).unwrap_or(0));
            }
        }
        borders
    }
}

/// Taps per axis of a window that slides over single channels: a pooling or a depthwise convolution.
///
/// # Errors
/// As [`Windows::convolution`].
pub(crate) fn axes(
    sizes: (&[usize], &[usize], &[usize], &[usize]),
    input: [usize; 3],
    output: [usize; 3],
) -> Result<[Axis; 3]> {
    Ok(specs(sizes, input, output)?.map(|spec| Axis::new(spec, |o, k| Some(spec.convolved(o, k)))))
}

/// How many taps of a window lie inside the padded input, per axis and output index.
///
/// # Errors
/// As [`Windows::convolution`].
pub(crate) fn padded_counts(op: &Pool, input: [usize; 3], output: [usize; 3]) -> Result<[Vec<usize>; 3]> {
    let specs = specs((&op.kernel, &op.strides, &op.dilations, &op.pads_before), input, output)?;
    let after = padded(&op.pads_after, 0)?;
    Ok(std::array::from_fn(|a| {
        let (spec, end) = (specs[a], input[a] + specs[a].before + after[a]);
        let inside = |o: usize| (0..spec.kernel).filter(|k| o * spec.stride + k * spec.dilation < end).count();
        (0..spec.output).map(inside).collect()
    }))
}

fn specs(
    (kernel, strides, dilations, before): (&[usize], &[usize], &[usize], &[usize]),
    input: [usize; 3],
    output: [usize; 3],
) -> Result<[Spec; 3]> {
    let (kernel, strides) = (padded(kernel, 1)?, padded(strides, 1)?);
    let (dilations, before) = (padded(dilations, 1)?, padded(before, 0)?);
    if kernel.contains(&0) || strides.contains(&0) {
        return Err(Error::model("a kernel or a stride is zero"));
    }
    Ok(std::array::from_fn(|a| Spec {
        kernel: kernel[a],
        stride: strides[a],
        dilation: dilations[a],
        before: before[a],
        input: input[a],
        output: output[a],
    }))
}
