//! Every kernel once, over a few voxels and on several threads: what Miri can follow (`make miri`).

use super::*;
use crate::model::graph::{CoordinateMode, NearestMode, Resize, ResizeMode};

/// A layer on the value before it.
type Next = fn(&mut Net, ValueId) -> ValueId;

/// Two blocks of channels; under Miri, which takes a second for what takes a processor a microsecond, the fewest voxels
/// that have neighbors.
const WHOLE: [usize; 5] = if cfg!(miri) { [1, 17, 2, 1, 3] } else { [1, 17, 3, 2, 5] };

/// Channels of a wide layer: more than two blocks where time allows.
const WIDE: usize = if cfg!(miri) { 17 } else { 33 };

fn same(net: &mut Net, op: Op, x: ValueId) -> ValueId {
    let shape = net.0.shape(x).to_vec();
    net.layer(op, &[x], &shape)
}

fn conv(net: &mut Net, x: ValueId, outputs: usize, axis: AxisCase, groups: usize) -> ValueId {
    let from = net.0.shape(x).to_vec();
    let axes: Vec<AxisCase> = from[2..].iter().map(|&n| (axis.0.min(n), axis.1, axis.2, axis.3, axis.4, n)).collect();
    let (_, kernel, to) = sizes(&axes);
    let weight = net.constant(&[&[outputs, from[1] / groups], &kernel[..]].concat(), 1);
    let bias = net.constant(&[outputs], 2);
    net.layer(Op::Convolution(convolution(&axes, groups)), &[x, weight, bias], &shape(outputs, &to))
}

fn resize(net: &mut Net, x: ValueId, mode: ResizeMode) -> ValueId {
    let from = net.0.shape(x).to_vec();
    let to = shape(from[1], &from[2..].iter().map(|n| 2 * n).collect::<Vec<_>>());
    let scales = vec![1.0, 1.0, 2.0, 2.0, 2.0];
    net.layer(Op::Resize(Resize { mode, coordinates: CoordinateMode::HalfPixel, scales }), &[x], &to)
}

fn pool(net: &mut Net, x: ValueId, op: fn(Pool) -> Op) -> ValueId {
    let from = net.0.shape(x).to_vec();
    let ones = || vec![1; 3];
    let pool = Pool { kernel: vec![2; 3], strides: ones(), dilations: ones(), pads_before: ones(), pads_after: ones() };
    let to: Vec<_> = from[2..].iter().map(|n| n + 1).collect();
    net.layer(op(pool), &[x], &shape(from[1], &to))
}

fn normalized(net: &mut Net, x: ValueId, op: Op) -> ValueId {
    let all = net.0.shape(x).to_vec();
    let (scale, bias) = (net.constant(&[all[1]], 1), net.constant(&[all[1]], 2));
    net.layer(op, &[x, scale, bias], &all)
}

const FIRST_LAYER_RESIDUAL_AND_HEAD: &[Next] = &[
    |net, x| conv(net, x, WIDE, (3, 1, 1, 1, 1, 0), 1),
    |net, x| normalized(net, x, Op::InstanceNormalization { epsilon: 1e-5 }),
    |net, x| same(net, Op::Activation(Activation::LeakyRelu { alpha: 0.1 }), x),
    |net, x| {
        let y = conv(net, x, WIDE, (3, 1, 2, 2, 2, 0), 1);
        let shape = net.0.shape(x).to_vec();
        net.layer(Op::Binary(Binary::Add), &[x, y], &shape)
    },
    |net, x| conv(net, x, 16, (3, 1, 1, 1, 1, 0), 1),
    |net, x| same(net, Op::Activation(Activation::Relu), x),
    |net, x| conv(net, x, 18, (1, 1, 1, 0, 0, 0), 1),
];

const MINIMAL_FILTERING_AND_HEAD: &[Next] = &[
    |net, x| conv(net, x, 16, (1, 1, 1, 0, 0, 0), 1),
    |net, x| {
        net.stride_two();
        conv(net, x, 16, (3, 1, 1, 1, 1, 0), 1)
    },
    |net, x| same(net, Op::Activation(Activation::Relu), x),
    |net, x| conv(net, x, 18, (1, 1, 1, 0, 0, 0), 1),
];

const CHAIN_IN_PLACE: &[Next] = &[
    |net, x| conv(net, x, 5, (3, 1, 1, 1, 1, 0), 1),
    |net, x| conv(net, x, 5, (3, 1, 1, 1, 1, 0), 1),
    |net, x| conv(net, x, 5, (3, 1, 1, 1, 1, 0), 1),
];

const GROUPS: &[Next] =
    &[|net, x| conv(net, x, 34, (2, 2, 1, 1, 0, 0), 17), |net, x| conv(net, x, 34, (3, 1, 1, 1, 1, 0), 34)];

const TRANSPOSED_AND_GROUP_NORMALIZATION: &[Next] = &[
    |net, x| {
        let from = net.0.shape(x).to_vec();
        let weight = net.constant(&[from[1], 18, 2, 2, 2], 1);
        let (zeros, twos) = (vec![0; 3], vec![2; 3]);
        let op = TransposedConvolution {
            kernel: twos.clone(),
            strides: twos,
            dilations: vec![1; 3],
            pads_before: zeros.clone(),
            pads_after: zeros.clone(),
            output_padding: zeros,
            groups: 1,
        };
        let to: Vec<_> = from[2..].iter().map(|n| 2 * n).collect();
        net.layer(Op::TransposedConvolution(op), &[x, weight], &shape(18, &to))
    },
    |net, x| normalized(net, x, Op::GroupNormalization { groups: 2, epsilon: 1e-5 }),
    |net, x| same(net, Op::Softmax { axis: 1, log: false }, x),
];

const POOLS_NEAREST_AND_CONCATENATION: &[Next] = &[
    |net, x| pool(net, x, Op::MaxPool),
    |net, x| pool(net, x, |pool| Op::AveragePool { pool, count_include_pad: false }),
    |net, x| resize(net, x, ResizeMode::Nearest(NearestMode::Floor)),
    |net, x| {
        let all = net.0.shape(x).to_vec();
        net.layer(Op::Concat { axis: 1 }, &[x, x], &shape(2 * all[1], &all[2..]))
    },
];

const LINEAR_AND_GELU: &[Next] =
    &[|net, x| resize(net, x, ResizeMode::Linear), |net, x| same(net, Op::Activation(Activation::Gelu), x)];

const CUBIC_AND_SOFTMAX_ALONG_A_ROW: &[Next] =
    &[|net, x| resize(net, x, ResizeMode::Cubic(-0.75)), |net, x| same(net, Op::Softmax { axis: 4, log: true }, x)];

const X: ValueId = ValueId::new(0);

fn same_on_one_thread_and_several(shape: [usize; 5], chain: &[Next]) {
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let pools = [pool(1), pool(2)];
    let input = random(shape.iter().product(), 4);
    let mut net = Net::new(&shape);
    let y = chain.iter().fold(X, |y, next| next(&mut net, y));
    for simd in Simd::all() {
        let [one, two] = pools.each_ref().map(|pool| pool.install(|| net.run(y, simd, &input)));
        assert!(one.iter().all(|v| v.is_finite()), "{:?}", net.0.layers);
        assert_eq!(one, two, "{simd:?} {:?}", net.0.layers);
    }
}

#[test]
fn first_layer_residual_and_head() {
    same_on_one_thread_and_several(WHOLE, FIRST_LAYER_RESIDUAL_AND_HEAD);
}

#[test]
fn minimal_filtering_and_head() {
    same_on_one_thread_and_several(WHOLE, MINIMAL_FILTERING_AND_HEAD);
}

/// With enough planes for one buffer to be smaller than two.
#[test]
fn chain_in_place() {
    same_on_one_thread_and_several([1, 1, 6, 1, 1], CHAIN_IN_PLACE);
}

#[test]
fn groups() {
    same_on_one_thread_and_several(WHOLE, GROUPS);
}

#[test]
fn transposed_and_group_normalization() {
    same_on_one_thread_and_several(WHOLE, TRANSPOSED_AND_GROUP_NORMALIZATION);
}

#[test]
fn pools_nearest_and_concatenation() {
    same_on_one_thread_and_several(WHOLE, POOLS_NEAREST_AND_CONCATENATION);
}

#[test]
fn linear_and_gelu() {
    same_on_one_thread_and_several(WHOLE, LINEAR_AND_GELU);
}

#[test]
fn cubic_and_softmax_along_a_row() {
    same_on_one_thread_and_several(WHOLE, CUBIC_AND_SOFTMAX_ALONG_A_ROW);
}
