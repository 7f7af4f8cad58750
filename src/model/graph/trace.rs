//! Which input positions each position of a value depends on, along one axis.
//!
//! Every value gets, for each of its positions along the axis, the first and the last input position that reaches it. This
//! is exact for every phase of strides and for uneven padding, where formulas for receptive fields give bounds (compare
//! Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill 2019).

use super::network::{Layer, Network, ValueId};
use super::op::{CoordinateMode, Op, PadMode, Resize, ResizeMode};

/// Positions of a value and look-ups per layer beyond which a layer counts as looking at everything.
const MAX_LINE: usize = 1 << 16;
const MAX_WORK: usize = 1 << 22;

/// First and last input position, `None` where no input position is seen (padding, constants).
pub(super) type Span = Option<(i64, i64)>;

/// A value along the traced axis.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Index of the traced axis in the value's shape.
    pub(super) axis: usize,
    /// Per position.
    pub(super) spans: Vec<Span>,
    /// Input steps per step of the value, in lowest terms.
    pub(super) step: (u64, u64),
}

/// The trace of a network along one axis.
pub(super) struct Trace {
    /// Per value; `None` for values that do not vary along the axis.
    pub(super) lines: Vec<Option<Line>>,
    /// Index of the first layer whose result depends on the whole axis (statistics, attention ...). Such layers are traced as
    /// if they looked at one position only, so that spans are those of the convolutions.
    pub(super) global: Option<usize>,
}

impl Network {
    /// Per value: whether inputs that are shifted along `axis` by the network's total stride shift it by an even number of
    /// positions.
    pub(crate) fn even_shifts(&self, axis: usize) -> Vec<bool> {
        let trace = Trace::new(self, axis);
        let total = trace.total_stride();
        let even = |line: &Line| total.saturating_mul(line.step.1).is_multiple_of(line.step.0.saturating_mul(2));
        trace.lines.iter().map(|line| line.as_ref().is_some_and(even)).collect()
    }
}

impl Trace {
    /// Least common multiple of the strides of all values.
    pub(super) fn total_stride(&self) -> u64 {
        let steps = self.lines.iter().flatten().map(|line| line.step.0.max(1));
        steps.fold(1, |all, step| (all / gcd(all, step)).saturating_mul(step))
    }

    /// Traces axis `axis` of the first input.
    pub(super) fn new(network: &Network, axis: usize) -> Self {
        let mut trace = Self { lines: vec![None; network.values.len()], global: None };
        if let Some(&input) = network.inputs.first() {
            let spans = (0..).take(network.shape(input)[axis]).map(|p| Some((p, p))).collect();
            trace.lines[input.index()] = Some(Line { axis, spans, step: (1, 1) });
        }
        for (index, layer) in network.layers.iter().enumerate() {
            let line = trace.layer(network, index, layer);
            trace.lines[layer.output.index()] = line;
        }
        trace
    }

    /// The line of an operand.
    fn line(&self, id: ValueId) -> Option<&Line> {
        self.lines[id.index()].as_ref()
    }

    fn layer(&mut self, network: &Network, index: usize, layer: &Layer) -> Option<Line> {
        let shape = network.shape(layer.output);
        if matches!(layer.op, Op::Concat { .. } | Op::Binary(_) | Op::MatMul) {
            return self.joined(network, index, layer, shape);
        }
        let line = self.line(*layer.inputs.first()?)?.clone();
        let (axis, space) = (line.axis, line.axis.wrapping_sub(2));
        let len = *shape.get(axis).unwrap_or(&1);
        if len > MAX_LINE || window(&layer.op, space).saturating_mul(len) > MAX_WORK {
            return self.whole(index);
        }
        let windowed = |kernel: usize, stride: usize, dilation: usize, before: usize| {
            line.gathered(len, (stride as u64, 1), |p| {
                (0..kernel).map(move |t| signed(p * stride + t * dilation) - signed(before))
            })
        };
        let lines = match &layer.op {
            Op::Convolution(c) if axis >= 2 => {
                windowed(c.kernel[space], c.strides[space], c.dilations[space], c.pads_before[space])
            }
            Op::MaxPool(p) | Op::AveragePool { pool: p, .. } if axis >= 2 => {
                windowed(p.kernel[space], p.strides[space], p.dilations[space], p.pads_before[space])
            }
            Op::TransposedConvolution(c) if axis >= 2 => {
                let (kernel, stride, dilation) = (c.kernel[space], c.strides[space], c.dilations[space]);
                let before = c.pads_before[space];
                line.gathered(len, (1, stride as u64), |p| {
                    let tap = move |t: usize| (p + before).checked_sub(t * dilation).filter(|at| at % stride == 0);
                    (0..kernel).filter_map(move |t| tap(t).map(|at| signed(at / stride)))
                })
            }
            Op::Slice { starts, steps } => {
                let (start, step) = (signed(starts[axis]), steps[axis] as i64);
                line.gathered(len, (step.unsigned_abs(), 1), |p| [start + signed(p) * step])
            }
            Op::Pad { before, mode, .. } => line.padded(len, before[axis] as i64, *mode),
            Op::Resize(resize) => {
                if resize.coordinates == CoordinateMode::AlignCorners && resize.scales[axis] != 1.0 {
                    self.global.get_or_insert(index);
                }
                line.resized(len, axis, resize)
            }
            Op::DepthToSpace { block, .. } if axis >= 2 => {
                line.gathered(len, (1, *block as u64), |p| [signed(p / block)])
            }
            Op::Transpose { permutation } => Line { axis: permutation.iter().position(|&from| from == axis)?, ..line },
            Op::Reshape => return self.reshaped(network, index, layer, line),
            Op::Reduce { axes, .. } if axes.contains(&axis) => return self.whole(index),
            Op::ArgMax { axis: searched } if *searched == axis => return self.whole(index),
            Op::Reduce { axes, .. } => line.dropped(axes, network.shape(layer.inputs[0]).len() - shape.len()),
            Op::ArgMax { axis: searched } => {
                line.dropped(&[*searched], network.shape(layer.inputs[0]).len() - shape.len())
            }
            Op::InstanceNormalization { .. } | Op::GroupNormalization { .. } => self.seen_whole(index, line),
            Op::LayerNormalization { axis: first, .. } if *first <= axis => self.seen_whole(index, line),
            Op::Softmax { axis: own, .. } if *own == axis => self.seen_whole(index, line),
            Op::Expand => {
                let axis = axis + shape.len() - network.shape(layer.inputs[0]).len();
                Line { axis, spans: stretched(&line.spans, shape[axis]), ..line }
            }
            _ => line,
        };
        Some(lines)
    }

    /// The value no longer varies along the axis.
    fn whole(&mut self, index: usize) -> Option<Line> {
        self.global.get_or_insert(index);
        None
    }

    /// The value varies, and depends on the whole axis besides.
    fn seen_whole(&mut self, index: usize, line: Line) -> Line {
        self.global.get_or_insert(index);
        line
    }

    /// A reshape keeps the axis when as many elements stand before it and it keeps its length.
    fn reshaped(&mut self, network: &Network, index: usize, layer: &Layer, line: Line) -> Option<Line> {
        let (from, to) = (network.shape(layer.inputs[0]), network.shape(layer.output));
        let before: usize = from[..line.axis].iter().product();
        let keeps = |axis: &usize| to[*axis] == from[line.axis] && to[..*axis].iter().product::<usize>() == before;
        match (0..to.len()).find(keeps) {
            Some(axis) => Some(Line { axis, ..line }),
            None => self.whole(index),
        }
    }

    /// Layers with several operands.
    fn joined(&mut self, network: &Network, index: usize, layer: &Layer, shape: &[usize]) -> Option<Line> {
        let from_end = |id: ValueId| self.line(id).map(|line| (line, network.shape(id).len() - line.axis));
        let (first, behind) = layer.inputs.iter().find_map(|&id| from_end(id))?;
        let (axis, step) = (shape.len() - behind, first.step);
        let mixed = layer.inputs.iter().any(|&id| from_end(id).is_some_and(|(_, own)| own != behind));
        if mixed || (layer.op == Op::MatMul && behind <= 2) {
            return self.whole(index);
        }
        let along = matches!(layer.op, Op::Concat { axis: joined } if joined == axis);
        let mut spans = Vec::new();
        for &id in &layer.inputs {
            let own = self.line(id);
            if along {
                let missing = || vec![None; network.shape(id)[axis]];
                spans.extend(own.map_or_else(missing, |line| line.spans.clone()));
            } else if let Some(line) = own {
                let wide = stretched(&line.spans, shape[axis]);
                spans = if spans.is_empty() {
                    wide
                } else {
                    spans.into_iter().zip(wide).map(|(a, b)| union(a, b)).collect()
                };
            }
        }
        Some(Line { axis, spans, step })
    }
}

impl Line {
    /// A line of `len` positions, each of which sees the given positions of this one; those outside are padding.
    fn gathered<I: IntoIterator<Item = i64>>(&self, len: usize, factor: (u64, u64), from: impl Fn(usize) -> I) -> Self {
        let at = |q: i64| usize::try_from(q).ok().and_then(|q| self.spans.get(q).copied()).flatten();
        let spans = (0..len).map(|p| from(p).into_iter().map(at).fold(None, union)).collect();
        Self {
            axis: self.axis,
            spans,
            step: lowest(self.step.0.saturating_mul(factor.0), self.step.1.saturating_mul(factor.1)),
        }
    }

    fn padded(&self, len: usize, before: i64, mode: PadMode) -> Self {
        let n = signed(self.spans.len());
        self.gathered(len, (1, 1), |p| {
            let q = signed(p) - before;
            Some(match mode {
                PadMode::Constant(_) => q,
                PadMode::Edge => q.clamp(0, n - 1),
                PadMode::Wrap => q.rem_euclid(n),
                PadMode::Reflect => (n - 1) - ((n - 1) - q.abs()).abs(),
            })
        })
    }

    fn resized(&self, len: usize, axis: usize, resize: &Resize) -> Self {
        let scale = f64::from(resize.scales[axis]);
        if scale == 1.0 {
            return self.clone();
        }
        let n = self.spans.len();
        self.gathered(len, rational(scale), |p| {
            let x = resize.coordinates.coordinate(p, resize.scales[axis], (n, len));
            let (first, last) = match resize.mode {
                ResizeMode::Nearest(mode) => (mode.round(x), mode.round(x)),
                ResizeMode::Linear => (x.floor(), x.ceil()),
                ResizeMode::Cubic(_) => (x.floor() - 1.0, x.floor() + 2.0),
            };
            let clamped = |v: f32| to_index(v).clamp(0, signed(n) - 1);
            [clamped(first), clamped(last)]
        })
    }

    /// The axis moves when `removed` of the reduced axes vanish.
    fn dropped(self, axes: &[usize], removed: usize) -> Self {
        let below = if removed > 0 { axes.iter().filter(|&&axis| axis < self.axis).count() } else { 0 };
        Self { axis: self.axis - below, ..self }
    }
}

/// Taps of a sliding window along a spatial axis.
fn window(op: &Op, space: usize) -> usize {
    let kernel = match op {
        Op::Convolution(c) => &c.kernel,
        Op::TransposedConvolution(c) => &c.kernel,
        Op::MaxPool(p) | Op::AveragePool { pool: p, .. } => &p.kernel,
        _ => return 1,
    };
    kernel.get(space).copied().unwrap_or(1)
}

fn stretched(spans: &[Span], len: usize) -> Vec<Span> {
    if spans.len() == 1 { vec![spans[0]; len] } else { spans.to_vec() }
}

fn union(a: Span, b: Span) -> Span {
    match (a, b) {
        (Some((a0, a1)), Some((b0, b1))) => Some((a0.min(b0), a1.max(b1))),
        (some, None) | (None, some) => some,
    }
}

fn signed(value: usize) -> i64 {
    value as i64
}

#[allow(clippy::cast_possible_truncation, reason = "positions are small")]
fn to_index(value: f32) -> i64 {
    value as i64
}

/// Input steps per output step of a scale: `den / num` for a scale that is close to `num / den` with a small denominator.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scales are positive and small")]
fn rational(scale: f64) -> (u64, u64) {
    (1..=64_u64)
        .map(|den| (den, (scale * den as f64).round()))
        .find(|&(den, num)| num >= 1.0 && (num / den as f64 / scale - 1.0).abs() < 1e-6)
        .map_or((1, 1), |(den, num)| (den, num as u64))
}

fn lowest(a: u64, b: u64) -> (u64, u64) {
    let divisor = gcd(a, b).max(1);
    (a / divisor, b / divisor)
}

/// Greatest common divisor.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::model::graph::Graph;

    #[derive(serde::Deserialize)]
    struct Case {
        model: String,
        inputs: Vec<Vec<usize>>,
        spans: Vec<Span>,
    }

    /// Written by `tests/oracle/make_onnx_reach.py`, which changes input planes and looks at what ONNX Runtime gives.
    #[test]
    #[allow(clippy::print_stderr, reason = "a skipped case says so")]
    fn spans_are_those_that_onnx_runtime_shows() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/onnx");
        let shared = std::env::var_os("UNET_VOL_SHARED").map_or_else(|| folder.join("../../../shared"), PathBuf::from);
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("reach.json")).unwrap()).unwrap();
        assert_eq!(cases.len(), 33);
        let mut wider = 0;
        for case in cases {
            let path = match case.model.strip_prefix("shared:") {
                Some(name) => shared.join(format!("{name}.onnx")),
                None => folder.join(format!("{}.onnx", case.model)),
            };
            if !path.exists() {
                eprintln!("skipped: {} is not there", path.display());
                continue;
            }
            let network = Graph::load(&path).unwrap().network(&case.inputs).unwrap();
            let trace = Trace::new(&network, 2);
            let line = trace.lines[network.outputs[0].index()].as_ref().unwrap();
            let both: Vec<_> = line.spans.iter().copied().zip(case.spans.iter().copied()).collect();
            let missed: Vec<_> = both.iter().filter(|(traced, shown)| union(*traced, *shown) != *traced).collect();
            assert!(line.spans.len() == case.spans.len() && missed.is_empty(), "{}: {missed:?}", case.model);
            wider += both.iter().filter(|(traced, shown)| traced != shown).count();
        }
        // An interpolation whose weight rounds to zero.
        assert!(wider <= 1, "{wider} spans are wider than what ONNX Runtime shows");
    }
}
