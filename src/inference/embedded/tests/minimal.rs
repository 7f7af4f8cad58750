//! Convolutions by minimal filtering: against their definition, with values that are not finite, and in tiles.

use super::super::kernels::bf16_available;
use super::super::plan::Kind;
use super::*;

const X: ValueId = ValueId::new(0);

/// Kernel, padding before and after, input length.
fn sizes_of(axes: &[AxisCase]) -> Vec<usize> {
    column(axes, |&(k, _, _, b, a, n)| n + a + b + 1 - k)
}

/// Depth that may be anything, then rows and columns of kernel three.
fn planes() -> impl Strategy<Value = Vec<AxisCase>> {
    let depth = (1..=3_usize, 0..=2_usize, 0..=2_usize, 3..=6_usize).prop_map(|(k, b, a, n)| (k, 1, 1, b, a, n));
    let side = || (0..=1_usize, 0..=2_usize, 3..=13_usize).prop_map(|(b, a, n)| (3, 1, 1, b, a, n));
    (depth, side(), side(), any::<bool>()).prop_map(|(d, h, w, flat)| if flat { vec![h, w] } else { vec![d, h, w] })
}

/// The convolution as written, in 64 bit.
fn defined(net: &Net, axes: &[AxisCase], (weight, bias): (ValueId, ValueId), input: &[f32]) -> Vec<f64> {
    let (kernel, from, to) = (column(axes, |a| a.0), column(axes, |a| a.5), sizes_of(axes));
    let sizes = net.0.shape(weight);
    let (m, c, taps) = (sizes[0], sizes[1], kernel.iter().product::<usize>());
    let voxels: usize = from.iter().product();
    let (weights, biases) = (net.data(weight), net.data(bias));
    let mut result = Vec::new();
    for o in indices(&shape(m, &to)) {
        let mut sum = f64::from(biases[o[1]]);
        for (tap, k) in indices(&kernel).enumerate() {
            let Some(i) = met(axes, &o[2..], &k) else { continue };
            let at = flat(&from, &i);
            for channel in 0..c {
                let w = f64::from(weights[(o[1] * c + channel) * taps + tap]);
                sum += w * f64::from(input[channel * voxels + at]);
            }
        }
        result.push(sum);
    }
    result
}

/// A network of one convolution, which is planned by minimal filtering.
fn one(axes: &[AxisCase], c: usize, m: usize) -> (Net, ValueId, (ValueId, ValueId)) {
    let mut net = Net::new(&shape(c, &column(axes, |a| a.5)));
    net.stride_two();
    let weight = net.constant(&[&[m, c], &column(axes, |a| a.0)[..]].concat(), 1);
    let bias = net.constant(&[m], 2);
    let y = net.layer(Op::Convolution(convolution(axes, 1)), &[X, weight, bias], &shape(m, &sizes_of(axes)));
    (net, y, (weight, bias))
}

fn minimal(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step.kind, Kind::Convolve { minimal: Some(_), .. })).count()
}

/// The same kind of value, and close where it is finite.
fn alike(ours: &[f32], exact: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let largest = exact.iter().filter(|b| b.is_finite()).fold(1e-3_f64, |a, b| a.max(b.abs()));
    for (i, (&a, &b)) in ours.iter().zip(exact).enumerate() {
        let a = f64::from(a);
        let same =
            if b.is_finite() { (a - b).abs() <= tolerance * largest } else { a == b || (a.is_nan() && b.is_nan()) };
        prop_assert!(same, "value {}: {} is not {}", i, a, b);
    }
    Ok(())
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn minimal_filtering_is_convolution(
        axes in planes(), c in prop::sample::select(vec![16, 32, 48]), m in 1..=50_usize, head: bool,
        odd in prop::sample::select(vec![0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38]), place: prop::sample::Index,
    ) {
        let (mut net, y, weights) = one(&axes, c, m);
        let mut input = random(c * axes.iter().map(|a| a.5).product::<usize>(), 4);
        let exact = defined(&net, &axes, weights, &input);
        for simd in Simd::all() {
            let plan = net.plan(y, (simd, false));
            prop_assert_eq!(minimal(&plan), 1);
            alike(&net.run(y, simd, &input), &exact, 1e-5)?;
        }
        if bf16_available() {
            let first = Simd::all().next().unwrap();
            alike(&net.run_as(y, (first, true), &input), &exact, 0.02)?;
        }
        // Values that are not finite reach what the taps reach, as with any other kernel.
        if odd != 0.0 {
            *place.get_mut(&mut input) = odd;
        }
        let exact = defined(&net, &axes, weights, &input);
        for simd in Simd::all() {
            let rounding = |v: &f64| if v.abs() > 3.4e38 { v * 1e300 } else { *v };
            if odd != 3e38 {
                alike(&net.run(y, simd, &input), &exact.iter().map(rounding).collect::<Vec<_>>(), 1e-5)?;
            }
            let scores = net.run(y, simd, &input);
            prop_assert!(scores.iter().zip(&exact).all(|(a, b)| a.is_finite() || !b.is_finite() || b.abs() > 3e38));
        }
        // The same bytes for any number of threads, in blocks and behind a head.
        let mut z = y;
        if head {
            let to = sizes_of(&axes);
            let flat = vec![1; to.len()];
            let pointwise: Vec<AxisCase> = to.iter().map(|&n| (1, 1, 1, 0, 0, n)).collect();
            let weight = net.constant(&[&[7, m], &flat[..]].concat(), 5);
            let relu = net.layer(Op::Activation(Activation::Relu), &[y], &shape(m, &to));
            z = net.layer(Op::Convolution(convolution(&pointwise, 1)), &[relu, weight], &shape(7, &to));
        }
        let simd = Simd::all().next().unwrap();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let (a, b) = (pool(1).install(|| net.run(z, simd, &input)), pool(3).install(|| net.run(z, simd, &input)));
        prop_assert_eq!(bits(a), bits(b));
        if head && odd == 0.0 {
            // What a head reads is what is stored.
            let middle = net.run(y, simd, &input);
            let voxels = sizes_of(&axes).iter().product::<usize>();
            let weight = net.0.layers.last().map(|layer| net.data(layer.inputs[1]).to_vec()).unwrap();
            let exact: Vec<f64> = (0..7 * voxels).map(|i| {
                (0..m).map(|c| f64::from(weight[i / voxels * m + c]) * f64::from(middle[c * voxels + i % voxels].max(0.0))).sum()
            }).collect();
            close(&net.run(z, simd, &input), &exact)?;
        }
    }
}

/// A U-Net of two levels over `[1, 16, n, n]`.
fn levels(n: [usize; 2]) -> (Net, ValueId) {
    let mut net = Net::new(&shape(16, &n));
    let conv = |net: &mut Net, x: ValueId, n: &[usize], seed: u32| {
        let axes: Vec<AxisCase> = n.iter().map(|&n| (3, 1, 1, 1, 1, n)).collect();
        let weight = net.constant(&[16, 16, 3, 3], seed);
        net.layer(Op::Convolution(convolution(&axes, 1)), &[x, weight], &shape(16, n))
    };
    let a = conv(&mut net, X, &n, 1);
    let (twos, zeros) = (vec![2; 2], vec![0; 2]);
    let half = n.map(|n| n / 2);
    let sizes = Pool {
        kernel: twos.clone(),
        strides: twos.clone(),
        dilations: vec![1; 2],
        pads_before: zeros.clone(),
        pads_after: zeros.clone(),
    };
    let b = net.layer(Op::MaxPool(sizes), &[a], &shape(16, &half));
    let b = conv(&mut net, b, &half, 2);
    let weight = net.constant(&[16, 16, 2, 2], 3);
    let up = TransposedConvolution {
        kernel: twos.clone(),
        strides: twos,
        dilations: vec![1; 2],
        pads_before: zeros.clone(),
        pads_after: zeros.clone(),
        output_padding: zeros,
        groups: 1,
    };
    let b = net.layer(Op::TransposedConvolution(up), &[b, weight], &shape(16, &n));
    let sum = net.layer(Op::Binary(Binary::Add), &[a, b], &shape(16, &n));
    let y = conv(&mut net, sum, &n, 4);
    (net, y)
}

#[test]
fn tiles_in_step_with_the_stride_are_bit_for_bit_the_whole() {
    let (whole, tile) = ([26, 30], [18, 22]);
    let input = random(16 * whole[0] * whole[1], 9);
    for simd in Simd::all() {
        let (mut net, y) = levels(whole);
        // The convolution of the lower level meets rows and columns that are even in one tile and odd in another.
        assert_eq!(minimal(&net.plan(y, (simd, false))), 2);
        let exact = net.run(y, simd, &input);
        for start in [[2, 4], [6, 2], [8, 8]] {
            let mut part = Vec::new();
            for o in indices(&shape(16, &tile)) {
                part.push(input[flat(&shape(16, &whole), &[0, o[1], o[2] + start[0], o[3] + start[1]])]);
            }
            let (mut net, y) = levels(tile);
            let ours = net.run(y, simd, &part);
            // What lies a receptive field inside the tile.
            for o in indices(&shape(16, &[6, 10])).map(|o| [0, o[1], o[2] + 6, o[3] + 6]) {
                let there = exact[flat(&shape(16, &whole), &[0, o[1], o[2] + start[0], o[3] + start[1]])];
                let here = ours[flat(&shape(16, &tile), &o)];
                assert_eq!(here.to_bits(), there.to_bits(), "{simd:?} {start:?} {o:?}: {here} {there}");
            }
        }
    }
}

#[test]
fn weights_that_are_not_finite_are_not_transformed() {
    let (mut net, y, (weight, _)) = one(&[(3, 1, 1, 1, 1, 6), (3, 1, 1, 1, 1, 6)], 16, 16);
    let mut data = net.data(weight).to_vec();
    data[40] = f32::NAN;
    let shape = net.0.shape(weight).to_vec();
    net.0.constants.insert(weight, Constant { shape, data: data.into() });
    assert_eq!(minimal(&net.plan(y, (Simd::Portable, false))), 0);
}

#[test]
fn weights_in_one_order_come_from_those_in_the_other() {
    let axes = [(3, 1, 1, 1, 1, 12), (3, 1, 1, 1, 1, 13)];
    let input = random(16 * 12 * 13, 4);
    for simd in Simd::all() {
        // Without a stride of two somewhere, a tile may begin at an odd row: the convolution is computed directly.
        let (direct, transformed) = {
            let (mut net, y, _) = one(&axes, 16, 40);
            let transformed = net.run(y, simd, &input);
            net.0.layers.remove(0);
            (net.run(y, simd, &input), transformed)
        };
        assert_ne!(direct, transformed);
        let (mut net, y, (weight, _)) = one(&axes, 16, 40);
        let stride = net.0.layers.remove(0);
        assert_eq!(minimal(&net.plan(y, (simd, false))), 0);
        assert_eq!(net.0.constants[&weight].data.bytes(), 0);
        assert_eq!(net.run(y, simd, &input), direct);
        net.0.layers.insert(0, stride);
        assert_eq!(minimal(&net.plan(y, (simd, false))), 1);
        assert_eq!(net.run(y, simd, &input), transformed);
    }
}
