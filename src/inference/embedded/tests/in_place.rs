//! Chains of convolutions in one buffer: against the same convolutions one by one, and what the buffer takes.

use super::super::kernels::LANES;
use super::super::plan::Kind;
use super::*;

const X: ValueId = ValueId::new(0);

/// A convolution that keeps `n` voxels, with kernel and dilation of each axis.
fn keeping(n: [usize; 3], (kernel, dilation): (usize, usize)) -> Vec<AxisCase> {
    let reach = (kernel - 1) * dilation;
    n.iter().map(|&n| (kernel, 1, dilation, reach / 2, reach - reach / 2, n)).collect()
}

/// A convolution to `m` channels, its operand added where it is `residual`, and an activation.
fn link(net: &mut Net, x: ValueId, m: usize, axes: &[AxisCase], residual: bool) -> ValueId {
    let from = net.0.shape(x).to_vec();
    let to = shape(m, &from[2..]);
    let weight = net.constant(&[&[m, from[1]], &column(axes, |a| a.0)[..]].concat(), 1);
    let bias = net.constant(&[m], 2);
    let mut y = net.layer(Op::Convolution(convolution(axes, 1)), &[x, weight, bias], &to);
    if residual && from == to {
        y = net.layer(Op::Binary(Binary::Add), &[y, x], &to);
    }
    net.layer(Op::Activation(Activation::Elu { alpha: 1.0 }), &[y], &to)
}

fn in_place(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step.kind, Kind::Convolve { turns: Some(_), .. })).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_chain_is_its_convolutions_one_by_one(
        n in [4..=16_usize, 1..=6_usize, 1..=20_usize], first in 1..=20_usize, c in 1..=70_usize, threads in 1..=4_usize,
        sizes in prop::collection::vec((0..=2_usize, (prop::sample::select(vec![3, 3, 3, 3, 1, 2]), 1..=6_usize)), 3..=6),
        residual in prop::option::weighted(0.3, 0..6_usize), head: bool,
    ) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for simd in Simd::all() {
            let mut chain = Net::new(&shape(first, &n));
            let (mut x, mut scores) = (X, random(first * n.iter().product::<usize>(), 4));
            let input = scores.clone();
            let links = sizes.iter().map(|&(more, size)| (c + more, size)).chain(head.then_some((7, (1, 1))));
            for (index, (m, size)) in links.enumerate() {
                let (axes, residual) = (keeping(n, size), residual == Some(index));
                let mut alone = Net::new(chain.0.shape(x));
                let y = link(&mut alone, X, m, &axes, residual);
                scores = alone.run(y, simd, &scores);
                x = link(&mut chain, x, m, &axes, residual);
            }
            let together = pool.install(|| chain.run(x, simd, &input));
            prop_assert!(together.iter().zip(&scores).all(|(a, b)| a.to_bits() == b.to_bits()), "{:?}", simd);
        }
    }
}

/// Three more planes are enough, whatever the dilation, and zeros beside the rows only for the narrow ones.
#[test]
fn a_dilated_chain_takes_one_buffer() {
    let (n, dilations) = ([18, 6, 20], [1, 2, 4, 8, 4, 2, 1]);
    let mut net = Net::new(&shape(1, &n));
    let mut x = X;
    for dilation in dilations {
        x = link(&mut net, x, 30, &keeping(n, (3, dilation)), false);
    }
    let y = link(&mut net, x, 3, &keeping(n, (1, 1)), false);
    for simd in Simd::all() {
        let plan = net.plan(y, (simd, false));
        assert_eq!(in_place(&plan), 5);
        let rows_of_input = n[0] * n[1] * (n[2] + 2);
        assert_eq!(plan.arena, 2 * (n[0] + 3) * n[1] * (n[2] + 4) + rows_of_input.div_ceil(LANES));
    }
}

/// A network that is largest elsewhere keeps its order of rows, which suits the caches better.
#[test]
fn a_chain_that_saves_nothing_has_two_buffers() {
    let n = [18, 6, 20];
    let mut net = Net::new(&shape(1, &n));
    let narrow = (0..3).fold(X, |x, _| link(&mut net, x, 16, &keeping(n, (3, 1)), false));
    let wide = link(&mut net, narrow, 64, &keeping(n, (3, 1)), false);
    let y = net.layer(Op::Softmax { axis: 1, log: false }, &[wide], &shape(64, &n));
    for simd in Simd::all() {
        assert_eq!(in_place(&net.plan(y, (simd, false))), 0);
    }
}
