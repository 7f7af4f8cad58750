//! Layers against loops written straight from their definitions, on every instruction set of this machine.

mod in_place;
mod minimal;
mod operators;
mod places;
mod small;

use std::sync::Arc;

use proptest::prelude::*;

use super::kernels::{Arena, Simd};
use super::lower::plan;
use super::plan::Plan;
use super::{Weights, run};
use crate::model::graph::{
    Activation, Binary, Constant, Convolution, Layer, Network, Op, Pool, TransposedConvolution, Value, ValueId,
};

/// A network under construction; value 0 is the input.
struct Net(Network);

impl Net {
    fn new(input: &[usize]) -> Self {
        let values = vec![Value { name: "x".into(), shape: input.to_vec() }];
        let inputs = vec![ValueId::new(0)];
        Self(Network { values, inputs, outputs: vec![], constants: Default::default(), layers: vec![] })
    }

    fn value(&mut self, shape: &[usize]) -> ValueId {
        self.0.values.push(Value { name: String::new(), shape: shape.to_vec() });
        ValueId::new(u32::try_from(self.0.values.len()).unwrap() - 1)
    }

    fn constant(&mut self, shape: &[usize], seed: u32) -> ValueId {
        let id = self.value(shape);
        let data = random(shape.iter().product(), seed).into();
        self.0.constants.insert(id, Constant { shape: shape.to_vec(), data });
        id
    }

    fn layer(&mut self, op: Op, inputs: &[ValueId], shape: &[usize]) -> ValueId {
        let output = self.value(shape);
        self.0.layers.push(Layer { name: format!("n{}", output.index()), op, inputs: inputs.to_vec(), output });
        output
    }

    fn run(&mut self, output: ValueId, simd: Simd, input: &[f32]) -> Vec<f32> {
        self.run_as(output, (simd, false), input)
    }

    fn plan(&mut self, output: ValueId, (simd, half): (Simd, bool)) -> Plan {
        self.0.outputs = vec![output];
        plan(&self.0, (simd, half, 3), &Weights::default()).unwrap()
    }

    fn run_as(&mut self, output: ValueId, (simd, half): (Simd, bool), input: &[f32]) -> Vec<f32> {
        let plan = self.plan(output, (simd, half));
        let mut arena = Arena::new(plan.arena).unwrap();
        // Values of an earlier run must not matter.
        super::kernels::values_mut(arena.lanes()).fill(f32::NAN);
        let mut scores = vec![f32::NAN; plan.output_shape.iter().product()];
        run::run(&plan, simd, arena.lanes(), (input, &mut scores), |_, _| {});
        scores
    }

    /// A layer that nothing reads: the network's total stride becomes two, so that tiles of it keep pairs.
    fn stride_two(&mut self) {
        let x = ValueId::new(0);
        let from = self.0.shape(x).to_vec();
        let n = from.len() - 2;
        let (ones, zeros) = (|| vec![1; n], || vec![0; n]);
        let pool =
            Pool { kernel: ones(), strides: vec![2; n], dilations: ones(), pads_before: zeros(), pads_after: zeros() };
        let to: Vec<_> = from[2..].iter().map(|n| n.div_ceil(2)).collect();
        self.layer(Op::MaxPool(pool), &[x], &shape(from[1], &to));
    }

    fn data(&self, id: ValueId) -> Arc<Vec<f32>> {
        self.0.constants[&id].data.get()
    }
}

fn random(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn close(ours: &[f32], exact: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), exact.len());
    let largest = exact.iter().fold(1e-3_f64, |a, b| a.max(b.abs()));
    for (i, (a, b)) in ours.iter().zip(exact).enumerate() {
        prop_assert!((f64::from(*a) - b).abs() <= 1e-5 * largest, "value {}: {} is not {}", i, a, b);
    }
    Ok(())
}

/// Every index of a shape.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut i: usize| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = i % shape[axis];
            i /= shape[axis];
        }
        index
    })
}

fn flat(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |sum, (n, i)| sum * n + i)
}

/// Axis by axis: kernel, stride, dilation, padding before and after, input length.
type AxisCase = (usize, usize, usize, usize, usize, usize);

fn axis() -> impl Strategy<Value = AxisCase> {
    (1..=4_usize, 1..=3_usize, 1..=3_usize, 0..=3_usize, 0..=3_usize, 1..=19_usize)
        .prop_filter("the kernel fits", |&(k, _, d, b, a, n)| n + a + b > (k - 1) * d)
}

fn axes() -> impl Strategy<Value = Vec<AxisCase>> {
    prop::collection::vec(axis(), 2..=3)
}

fn column(axes: &[AxisCase], f: impl Fn(&AxisCase) -> usize) -> Vec<usize> {
    axes.iter().map(f).collect()
}

/// Input index per axis that output index `o` meets at tap `k`, when it exists.
fn met(axes: &[AxisCase], o: &[usize], k: &[usize]) -> Option<Vec<usize>> {
    let at = |(a, &(_, s, d, before, _, n)): (usize, &AxisCase)| {
        (o[a] * s + k[a] * d).checked_sub(before).filter(|&i| i < n)
    };
    axes.iter().enumerate().map(at).collect()
}

fn sizes(axes: &[AxisCase]) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let output = column(axes, |&(k, s, d, b, a, n)| (n + a + b - (k - 1) * d - 1) / s + 1);
    (column(axes, |a| a.5), column(axes, |a| a.0), output)
}

fn shape(channels: usize, spatial: &[usize]) -> Vec<usize> {
    [&[1, channels], spatial].concat()
}

fn convolution(axes: &[AxisCase], groups: usize) -> Convolution {
    Convolution {
        kernel: column(axes, |a| a.0),
        strides: column(axes, |a| a.1),
        dilations: column(axes, |a| a.2),
        pads_before: column(axes, |a| a.3),
        pads_after: column(axes, |a| a.4),
        groups,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn convolutions_are_their_definition(
        mut axes in axes(), (c, m) in (1..=35_usize, 1..=50_usize), grouping in 0..6_usize, residual: bool, before: bool,
        wide: bool,
    ) {
        // The ends of a row are wide enough to be computed apart.
        if let (true, Some((_, stride, dilation, left, right, n))) = (wide, axes.last_mut()) {
            (*dilation, *left, *right, *n) = (4 * *stride, 4 * *stride, 4 * *stride, *n + 8 * *stride);
        }
        // Dense, depthwise, with a multiplier, two groups, many small ones.
        let (groups, c, m) = match grouping {
            0 | 1 => (1, c, m),
            2 => (c, c, c),
            3 => (c, c, 3 * c),
            4 => (2, 2 * c, 2 * m),
            _ => (7, 7 * c.div_ceil(7), 7 * m.div_ceil(7)),
        };
        let (from, kernel, to) = sizes(&axes);
        let mut net = Net::new(&shape(c, &from));
        let weight = net.constant(&[&[m, c / groups], &kernel[..]].concat(), 1);
        let bias = net.constant(&[m], 2);
        let mut x = ValueId::new(0);
        if before {
            x = net.layer(Op::Activation(Activation::Relu), &[x], &shape(c, &from));
        }
        let op = Op::Convolution(convolution(&axes, groups));
        let mut y = net.layer(op, &[x, weight, bias], &shape(m, &to));
        let other = net.constant(&[m, 1, 1, 1][..=axes.len()], 3);
        if residual {
            let z = net.layer(Op::Binary(Binary::Sub), &[other, y], &shape(m, &to));
            y = net.layer(Op::Activation(Activation::LeakyRelu { alpha: 0.1 }), &[z], &shape(m, &to));
        }
        let mut input = random(c * from.iter().product::<usize>(), 4);
        let stored = net.data(weight);
        let exact: Vec<f64> = indices(&shape(m, &to)).map(|o| {
            let (m_of, group) = (o[1], o[1] / (m / groups));
            let mut sum = f64::from(net.data(bias)[m_of]);
            for c_of in 0..c / groups {
                for k in indices(&kernel) {
                    let Some(i) = met(&axes, &o[2..], &k) else { continue };
                    let x = f64::from(input[flat(&shape(c, &from), &shape(0, &i).iter().enumerate().map(|(a, &v)| match a { 0 => 0, 1 => group * (c / groups) + c_of, _ => v }).collect::<Vec<_>>())]);
                    let w = stored[flat(&[&[m, c / groups], &kernel[..]].concat(), &[&[m_of, c_of], &k[..]].concat())];
                    sum += f64::from(w) * if before { x.max(0.0) } else { x };
                }
            }
            if residual { sum = f64::from(net.data(other)[m_of]) - sum; if sum < 0.0 { sum *= 0.1; } }
            sum
        }).collect();
        for simd in Simd::all() {
            close(&net.run(y, simd, &input), &exact)?;
        }
        prop_assert_eq!(net.data(weight), stored);
        input[0] = f32::NAN;
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let many = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let simd = Simd::all().next().unwrap();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let (a, b) = (one.install(|| net.run(y, simd, &input)), many.install(|| net.run(y, simd, &input)));
        prop_assert_eq!(bits(a), bits(b));
    }

    #[test]
    fn transposed_convolutions_are_their_definition(
        axes in axes(), (c, m) in (1..=35_usize, 1..=35_usize), extra in 0..2_usize, groups in prop::sample::select(vec![1, 1, 2, 5]),
        inner: bool,
    ) {
        let (c, m) = (groups * c.div_ceil(groups), groups * m.div_ceil(groups));
        let from = column(&axes, |a| a.5);
        let kernel = column(&axes, |a| a.0);
        // Cutting must leave something.
        let axes: Vec<AxisCase> = axes.iter().map(|&(k, s, d, b, a, n)| {
            let full = s * (n - 1) + (k - 1) * d + 1;
            if a + b < full { (k, s, d, b, a, n) } else { (k, s, d, 0, 0, n) }
        }).collect();
        let padding = column(&axes, |a| extra.min(a.1 - 1));
        let to: Vec<_> = axes.iter().zip(&padding).map(|(&(k, s, d, b, a, n), p)| s * (n - 1) + p + (k - 1) * d + 1 - a - b).collect();
        let mut net = Net::new(&shape(c, &from));
        let weight = net.constant(&[&[c, m / groups], &kernel[..]].concat(), 1);
        let op = TransposedConvolution {
            kernel: kernel.clone(), strides: column(&axes, |a| a.1), dilations: column(&axes, |a| a.2),
            pads_before: column(&axes, |a| a.3), pads_after: column(&axes, |a| a.4), output_padding: padding, groups,
        };
        let mut y = net.layer(Op::TransposedConvolution(op), &[ValueId::new(0), weight], &shape(m, &to));
        if inner {
            y = net.layer(Op::Activation(Activation::Relu), &[y], &shape(m, &to));
            let pool = Pool { kernel: vec![1; to.len()], strides: vec![1; to.len()], dilations: vec![1; to.len()], pads_before: vec![0; to.len()], pads_after: vec![0; to.len()] };
            y = net.layer(Op::MaxPool(pool), &[y], &shape(m, &to));
        }
        let input = random(c * from.iter().product::<usize>(), 4);
        let stored = net.data(weight);
        let mut exact = vec![0.0; m * to.iter().product::<usize>()];
        for q in indices(&from) {
            for k in indices(&kernel) {
                let at = |a: usize| (q[a] * axes[a].1 + k[a] * axes[a].2).checked_sub(axes[a].3).filter(|&i| i < to[a]);
                let Some(o) = (0..to.len()).map(at).collect::<Option<Vec<_>>>() else { continue };
                for m_of in 0..m {
                    let group = m_of / (m / groups);
                    for c_of in group * (c / groups)..(group + 1) * (c / groups) {
                        let x = input[flat(&[&[c], &from[..]].concat(), &[&[c_of], &q[..]].concat())];
                        let w = stored[flat(&[&[c, m / groups], &kernel[..]].concat(), &[&[c_of, m_of % (m / groups)], &k[..]].concat())];
                        exact[flat(&[&[m], &to[..]].concat(), &[&[m_of], &o[..]].concat())] += f64::from(x) * f64::from(w);
                    }
                }
            }
        }
        if inner { exact.iter_mut().for_each(|v| *v = v.max(0.0)); }
        for simd in Simd::all() {
            close(&net.run(y, simd, &input), &exact)?;
        }
        prop_assert_eq!(net.0.constants[&weight].data.bytes(), 0, "the engine alone has them");
        prop_assert_eq!(net.data(weight), stored);
    }

    #[test]
    fn pooling_is_its_definition(axes in axes(), c in 1..=35_usize, kind in 0..3_usize) {
        let (from, kernel, to) = sizes(&axes);
        prop_assume!(axes.iter().all(|&(k, _, d, b, a, _)| b.max(a) <= (k - 1) * d));
        let mut net = Net::new(&shape(c, &from));
        let Convolution { kernel: k, strides, dilations, pads_before, pads_after, .. } = convolution(&axes, 1);
        let pool = Pool { kernel: k, strides, dilations, pads_before, pads_after };
        let op = if kind == 0 { Op::MaxPool(pool) } else { Op::AveragePool { pool, count_include_pad: kind == 1 } };
        let y = net.layer(op, &[ValueId::new(0)], &shape(c, &to));
        let input = random(c * from.iter().product::<usize>(), 4);
        let (mut exact, mut empty) = (Vec::new(), false);
        for o in indices(&shape(c, &to)) {
            let taps: Vec<f64> = indices(&kernel).filter_map(|k| met(&axes, &o[2..], &k)).map(|i| {
                f64::from(input[flat(&[&[c], &from[..]].concat(), &[&[o[1]], &i[..]].concat())])
            }).collect();
            empty |= taps.is_empty();
            let count = if kind == 1 { kernel.iter().product() } else { taps.len() };
            exact.push(if kind == 0 { taps.iter().copied().fold(f64::NEG_INFINITY, f64::max) } else { taps.iter().sum::<f64>() / count as f64 });
        }
        prop_assume!(!empty);
        for simd in Simd::all() {
            close(&net.run(y, simd, &input), &exact)?;
        }
    }
}
