//! Every kernel once, over a few voxels and on several threads: what Miri can follow (`make miri`).

use super::*;
use crate::model::graph::{CoordinateMode, NearestMode, Resize, ResizeMode};

/// A layer on the value before it.
type Next = fn(&mut Net, ValueId) -> ValueId;

const WHOLE: [usize; 5] = [1, 17, 3, 2, 5];

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

const CHAINS: &[&[Next]] = &[
    // A first layer, sums for a normalization, a residual, a head.
    &[
        |net, x| conv(net, x, 33, (3, 1, 1, 1, 1, 0), 1),
        |net, x| normalized(net, x, Op::InstanceNormalization { epsilon: 1e-5 }),
        |net, x| same(net, Op::Activation(Activation::LeakyRelu { alpha: 0.1 }), x),
        |net, x| {
            let y = conv(net, x, 33, (3, 1, 2, 2, 2, 0), 1);
            let shape = net.0.shape(x).to_vec();
            net.layer(Op::Binary(Binary::Add), &[x, y], &shape)
        },
        |net, x| conv(net, x, 16, (3, 1, 1, 1, 1, 0), 1),
        |net, x| same(net, Op::Activation(Activation::Relu), x),
        |net, x| conv(net, x, 18, (1, 1, 1, 0, 0, 0), 1),
    ],
    // Minimal filtering, alone and before a head.
    &[
        |net, x| conv(net, x, 16, (1, 1, 1, 0, 0, 0), 1),
        |net, x| {
            net.stride_two();
            conv(net, x, 16, (3, 1, 1, 2, 2, 0), 1)
        },
        |net, x| conv(net, x, 34, (3, 1, 1, 1, 1, 0), 1),
        |net, x| same(net, Op::Activation(Activation::Relu), x),
        |net, x| conv(net, x, 18, (1, 1, 1, 0, 0, 0), 1),
    ],
    &[|net, x| conv(net, x, 34, (2, 2, 1, 1, 0, 0), 17), |net, x| conv(net, x, 34, (3, 1, 1, 1, 1, 0), 34)],
    &[
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
    ],
    &[
        |net, x| pool(net, x, Op::MaxPool),
        |net, x| pool(net, x, |pool| Op::AveragePool { pool, count_include_pad: false }),
        |net, x| resize(net, x, ResizeMode::Nearest(NearestMode::Floor)),
        |net, x| {
            let all = net.0.shape(x).to_vec();
            net.layer(Op::Concat { axis: 1 }, &[x, x], &shape(2 * all[1], &all[2..]))
        },
    ],
    &[|net, x| resize(net, x, ResizeMode::Linear), |net, x| same(net, Op::Activation(Activation::Gelu), x)],
    &[|net, x| resize(net, x, ResizeMode::Cubic(-0.75)), |net, x| same(net, Op::Softmax { axis: 4, log: true }, x)],
];

const X: ValueId = ValueId::new(0);

#[test]
fn every_kernel_gives_the_same_on_one_thread_and_several() {
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let pools = [pool(1), pool(2)];
    let input = random(WHOLE.iter().product(), 4);
    for chain in CHAINS {
        let mut net = Net::new(&WHOLE);
        let mut y = X;
        for next in *chain {
            y = next(&mut net, y);
        }
        for simd in Simd::all() {
            let [one, two] = pools.each_ref().map(|pool| pool.install(|| net.run(y, simd, &input)));
            assert!(one.iter().all(|v| v.is_finite()), "{:?}", net.0.layers);
            assert_eq!(one, two, "{simd:?} {:?}", net.0.layers);
        }
    }
}
