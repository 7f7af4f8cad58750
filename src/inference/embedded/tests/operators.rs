//! Every other operator against its definition in 64 bit, on every instruction set of this machine.

use super::*;
use crate::model::graph::{CoordinateMode, NearestMode, PadMode, Reduction, Resize, ResizeMode, Unary};

const X: ValueId = ValueId::new(0);

/// Checks the last value of `net` on all instruction sets, as an output and with a layer behind it.
fn agrees(net: &mut Net, y: ValueId, input: &[f32], exact: &[f64]) -> Result<(), TestCaseError> {
    let shape = net.0.shape(y).to_vec();
    let behind = net.layer(Op::Unary(Unary::Neg), &[y], &shape);
    let negative: Vec<f64> = exact.iter().map(|v| -v).collect();
    for simd in Simd::all() {
        close(&net.run(y, simd, input), exact)?;
        close(&net.run(behind, simd, input), &negative)?;
    }
    Ok(())
}

/// `[1, C, (D,) (H,) W]`.
fn blocked() -> impl Strategy<Value = Vec<usize>> {
    (1..=37_usize, prop::collection::vec(1..=9_usize, 1..=3)).prop_map(|(c, spatial)| shape(c, &spatial))
}

/// A value in blocks of channels or as the file has it.
fn source(net: &mut Net, inner: bool, shape: &[usize]) -> ValueId {
    if !inner {
        return X;
    }
    net.layer(Op::Activation(Activation::LeakyRelu { alpha: 0.25 }), &[X], shape)
}

fn seen(inner: bool, x: f32) -> f64 {
    f64::from(if inner && x < 0.0 { 0.25 * x } else { x })
}

/// Mean and population variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

/// `erf` by its Taylor series, good to 1e-12 where the tests ask.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

type Function = fn(f64) -> f64;
type BinaryFunction = fn(f64, f64) -> f64;

fn activations() -> Vec<(Activation, Function)> {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    vec![
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::LeakyRelu { alpha: 0.125 }, |x| if x < 0.0 { 0.125 * x } else { x }),
        (Activation::Elu { alpha: 1.5 }, |x| if x < 0.0 { 1.5 * x.exp_m1() } else { x }),
        (Activation::Selu { alpha: 1.5, gamma: 0.75 }, |x| 0.75 * if x < 0.0 { 1.5 * x.exp_m1() } else { x }),
        (Activation::Gelu, |x| x / 2.0 * (1.0 + erf(x / 2.0_f64.sqrt()))),
        (Activation::GeluTanh, |x| {
            x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }),
        (Activation::Sigmoid, sigmoid),
        (Activation::Tanh, f64::tanh),
        (Activation::Clip { min: -0.5, max: 0.75 }, |x| x.clamp(-0.5, 0.75)),
        (Activation::HardSigmoid { alpha: 0.25, beta: 0.5 }, |x| (0.25 * x + 0.5).clamp(0.0, 1.0)),
        (Activation::HardSwish, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        (Activation::Softplus, |x| x.exp().ln_1p()),
        (Activation::Mish, |x| x * x.exp().ln_1p().tanh()),
        (Activation::Swish { alpha: 1.25 }, |x| x / (1.0 + (-1.25 * x).exp())),
    ]
}

fn unaries() -> Vec<(Unary, Function)> {
    vec![
        (Unary::Abs, f64::abs),
        (Unary::Ceil, f64::ceil),
        (Unary::Erf, erf),
        (Unary::Exp, f64::exp),
        (Unary::Floor, f64::floor),
        (Unary::Neg, |x| -x),
        (Unary::Round, f64::round_ties_even),
    ]
}

fn binaries() -> [(Binary, BinaryFunction); 6] {
    [
        (Binary::Add, |a, b| a + b),
        (Binary::Sub, |a, b| a - b),
        (Binary::Mul, |a, b| a * b),
        (Binary::Div, |a, b| a / b),
        (Binary::Min, f64::min),
        (Binary::Max, f64::max),
    ]
}

/// Input coordinate of output index `o` (ONNX operator `Resize`).
fn coordinate(mode: CoordinateMode, o: usize, (from, to): (usize, usize)) -> f64 {
    let (o, n, m) = (o as f64, to as f64, from as f64);
    let scale = n / m;
    match mode {
        CoordinateMode::AlignCorners if to == 1 => 0.0,
        CoordinateMode::PytorchHalfPixel if to == 1 => 0.0,
        CoordinateMode::AlignCorners => o * (m - 1.0) / (n - 1.0),
        CoordinateMode::Asymmetric => o / scale,
        _ => (o + 0.5) / scale - 0.5,
    }
}

/// Neighbors on one axis with their weights.
#[allow(clippy::cast_possible_truncation, reason = "clamped to the axis")]
fn neighbors(mode: ResizeMode, x: f64, n: usize) -> Vec<(usize, f64)> {
    let index = |i: f64| i.clamp(0.0, n as f64 - 1.0) as usize;
    let below = x.floor();
    match mode {
        ResizeMode::Nearest(rule) => {
            let up = match rule {
                NearestMode::Floor => false,
                NearestMode::Ceil => x > below,
                NearestMode::RoundPreferFloor => x - below > 0.5,
                _ => x - below >= 0.5,
            };
            vec![(index(below + f64::from(u8::from(up))), 1.0)]
        }
        ResizeMode::Linear => {
            let x = x.clamp(0.0, n as f64 - 1.0);
            vec![(index(x.floor()), 1.0 - x.fract()), (index(x.floor() + 1.0), x.fract())]
        }
        ResizeMode::Cubic(a) => (-1..=2)
            .map(|k| {
                let (a, d) = (f64::from(a), (x - below - f64::from(k)).abs());
                let weight = if d <= 1.0 {
                    (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0
                } else {
                    a * d.powi(3) - 5.0 * a * d.powi(2) + 8.0 * a * d - 4.0 * a
                };
                (index(below + f64::from(k)), weight)
            })
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // A voxel alone has no variance: what is left of its rounding is then divided by epsilon.
    #[test]
    fn normalizations_are_their_definition(
        (groups, size) in (1..=5_usize, 1..=9_usize), spatial in prop::collection::vec(2..=9_usize, 1..=3),
        grouped: bool, convolved: bool, epsilon in prop::sample::select(vec![1e-5_f32, 1e-3]),
    ) {
        let channels = groups * size;
        let all = shape(channels, &spatial);
        let mut net = Net::new(&all);
        let (scale, bias) = (net.constant(&[channels], 1), net.constant(&[channels], 2));
        // Behind a convolution the sums are made by that: here it only doubles.
        let mut x = X;
        if convolved {
            let weight = net.value(&[&[channels, channels], &vec![1; spatial.len()][..]].concat());
            let diagonal = |i: usize| if i.is_multiple_of(channels + 1) { 2.0 } else { 0.0 };
            let data: Vec<f32> = (0..channels * channels).map(diagonal).collect();
            net.0.constants.insert(weight, Constant { shape: net.0.shape(weight).to_vec(), data: data.into() });
            let one: Vec<AxisCase> = spatial.iter().map(|&n| (1, 1, 1, 0, 0, n)).collect();
            x = net.layer(Op::Convolution(convolution(&one, 1)), &[X, weight], &all);
        }
        let op = if grouped { Op::GroupNormalization { groups, epsilon } } else { Op::InstanceNormalization { epsilon } };
        let y = net.layer(op, &[x, scale, bias], &all);
        let input: Vec<f32> = random(all.iter().product(), 4).iter().map(|v| v + 3.0).collect();
        let doubled: Vec<f64> = input.iter().map(|&v| f64::from(v) * if convolved { 2.0 } else { 1.0 }).collect();
        let voxels: usize = spatial.iter().product();
        let members = if grouped { size * voxels } else { voxels };
        let mut exact = Vec::new();
        for (i, values) in doubled.chunks(members).enumerate() {
            let (mean, variance) = moments(values);
            exact.extend(values.iter().enumerate().map(|(v, x)| {
                let c = (i * members + v) / voxels;
                (x - mean) / (variance + f64::from(epsilon)).sqrt() * f64::from(net.data(scale)[c]) + f64::from(net.data(bias)[c])
            }));
        }
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn functions_of_one_value_are_their_definition(all in blocked(), inner: bool, which in 0..21_usize) {
        let (functions, others) = (activations(), unaries());
        let (op, f) = match functions.get(which) {
            Some(&(function, f)) => (Op::Activation(function), f),
            None => { let (function, f) = others[which - functions.len()]; (Op::Unary(function), f) }
        };
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let y = net.layer(op, &[x], &all);
        let input: Vec<f32> = random(all.iter().product(), 7).iter().map(|v| v * 3.0).collect();
        let exact: Vec<f64> = input.iter().map(|&v| f(seen(inner, v))).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn slopes_and_affine_maps_are_their_definition(all in blocked(), inner: bool, slope: bool) {
        let channels = all[1];
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let per_channel = if slope { [&[channels], &vec![1; all.len() - 2][..]].concat() } else { vec![channels] };
        let (scale, shift) = (net.constant(&per_channel, 1), net.constant(&[channels], 2));
        let y = if slope { net.layer(Op::PRelu, &[x, scale], &all) } else { net.layer(Op::ChannelAffine, &[x, scale, shift], &all) };
        let input = random(all.iter().product(), 5);
        let voxels: usize = all[2..].iter().product();
        let exact: Vec<f64> = input.iter().enumerate().map(|(i, &v)| {
            let (x, c) = (seen(inner, v), i / voxels);
            let (scale, shift) = (f64::from(net.data(scale)[c]), f64::from(net.data(shift)[c]));
            if slope { if x < 0.0 { scale * x } else { x } } else { scale * x + shift }
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn softmax_is_its_definition(all in blocked(), inner: bool, log: bool, last: bool) {
        let axis = if last { all.len() - 1 } else { 1 };
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let y = net.layer(Op::Softmax { axis, log }, &[x], &all);
        let input: Vec<f32> = random(all.iter().product(), 5).iter().map(|v| v * 20.0).collect();
        let step: usize = all[axis + 1..].iter().product();
        let exact: Vec<f64> = (0..input.len()).map(|i| {
            let first = i / (step * all[axis]) * step * all[axis] + i % step;
            let sum: f64 = (0..all[axis]).map(|k| seen(inner, input[first + k * step]).exp()).sum();
            let x = seen(inner, input[i]);
            if log { x - sum.ln() } else { x.exp() / sum }
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn functions_of_two_values_are_their_definition(
        all in blocked(), which in 0..6_usize, operand in 0..5_usize, inner: bool, reversed: bool,
    ) {
        let (binary, f) = binaries()[which];
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let ones = vec![1; all.len() - 2];
        let other_shape = match operand {
            0 => all.clone(),
            1 => [&[1, all[1]], &ones[..]].concat(),
            2 => vec![],
            3 => [&[1, 1], &all[2..]].concat(),
            _ => vec![all[all.len() - 1]],
        };
        // Not near zero, where quotients say nothing.
        let other = net.value(&other_shape);
        let data: Vec<f32> = random(other_shape.iter().product(), 9).iter().map(|v| v + 1.5).collect();
        net.0.constants.insert(other, Constant { shape: other_shape.clone(), data: data.clone().into() });
        let input: Vec<f32> = random(all.iter().product(), 5).iter().map(|v| v + if reversed { 2.0 } else { 0.0 }).collect();
        let y = net.layer(Op::Binary(binary), &if reversed { [other, x] } else { [x, other] }, &all);
        let skip = all.len() - other_shape.len();
        let exact: Vec<f64> = indices(&all).zip(&input).map(|(index, &v)| {
            let place: Vec<_> = index[skip..].iter().zip(&other_shape).map(|(&i, &n)| if n == 1 { 0 } else { i }).collect();
            let (a, b) = (seen(inner, v), f64::from(data[flat(&other_shape, &place)]));
            if reversed { f(b, a) } else { f(a, b) }
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    /// Two branches of one input, of which one has fewer channels or voxels.
    #[test]
    fn branches_are_combined_as_defined(all in blocked(), which in 0..6_usize, reduced in 0..3_usize, swapped: bool) {
        let (binary, f) = binaries()[which];
        let mut net = Net::new(&all);
        let a = net.layer(Op::Activation(Activation::Clip { min: -0.5, max: 0.5 }), &[X], &all);
        let positive = net.layer(Op::Unary(Unary::Exp), &[X], &all);
        let axes: Vec<usize> = match reduced { 0 => vec![], 1 => vec![1], _ => (2..all.len()).collect() };
        let small: Vec<usize> = all.iter().enumerate().map(|(axis, &n)| if axes.contains(&axis) { 1 } else { n }).collect();
        let b = if reduced == 0 { positive } else {
            net.layer(Op::Reduce { reduction: Reduction::Max, axes: axes.clone() }, &[positive], &small)
        };
        let y = net.layer(Op::Binary(binary), &if swapped { [b, a] } else { [a, b] }, &all);
        let input = random(all.iter().product(), 5);
        let mut largest = vec![f64::NEG_INFINITY; small.iter().product()];
        let place = |index: &[usize]| -> Vec<usize> { index.iter().zip(&small).map(|(&i, &n)| if n == 1 { 0 } else { i }).collect() };
        for (index, &v) in indices(&all).zip(&input) {
            let at = flat(&small, &place(&index));
            largest[at] = f64::max(largest[at], f64::from(v).exp());
        }
        let exact: Vec<f64> = indices(&all).zip(&input).map(|(index, &v)| {
            let (a, b) = (f64::from(v).clamp(-0.5, 0.5), largest[flat(&small, &place(&index))]);
            if swapped { f(b, a) } else { f(a, b) }
        }).collect();
        // A quotient of a clipped value near zero has no bound.
        prop_assume!(!(swapped && matches!(binary, Binary::Div)));
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn concatenation_is_its_definition(
        parts in prop::collection::vec((1..=35_usize, any::<bool>()), 1..=4), spatial in prop::collection::vec(1..=7_usize, 1..=3),
    ) {
        let all = shape(3, &spatial);
        let mut net = Net::new(&all);
        let (mut inputs, mut exact, voxels) = (Vec::new(), Vec::new(), spatial.iter().product::<usize>());
        let input = random(3 * voxels, 5);
        let one: Vec<AxisCase> = spatial.iter().map(|&n| (1, 1, 1, 0, 0, n)).collect();
        for (i, &(channels, convolved)) in parts.iter().enumerate() {
            if !convolved {
                inputs.push(X);
                exact.extend(input.iter().map(|&v| f64::from(v)));
                continue;
            }
            let weight = net.constant(&[&[channels, 3], &vec![1; spatial.len()][..]].concat(), 10 + u32::try_from(i).unwrap());
            inputs.push(net.layer(Op::Convolution(convolution(&one, 1)), &[X, weight], &shape(channels, &spatial)));
            for w in net.data(weight).chunks(3) {
                exact.extend((0..voxels).map(|v| (0..3).map(|c| f64::from(w[c]) * f64::from(input[c * voxels + v])).sum::<f64>()));
            }
        }
        let y = net.layer(Op::Concat { axis: 1 }, &inputs, &shape(exact.len() / voxels, &spatial));
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn concatenation_along_space_is_its_definition(all in blocked(), inner: bool) {
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let axis = all.len() - 1;
        let twice: Vec<_> = all.iter().enumerate().map(|(a, &n)| if a == axis { 2 * n } else { n }).collect();
        let y = net.layer(Op::Concat { axis }, &[x, X], &twice);
        let input = random(all.iter().product(), 5);
        let exact: Vec<f64> = input.chunks(all[axis]).flat_map(|row| {
            let first: Vec<f64> = row.iter().map(|&v| seen(inner, v)).collect();
            first.into_iter().chain(row.iter().map(|&v| f64::from(v)))
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn slices_are_their_definition(
        all in blocked(), inner: bool, cuts in prop::collection::vec((0..4_usize, 0..4_usize, 1..=3_isize, any::<bool>()), 4),
    ) {
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let (mut starts, mut steps, mut to) = (vec![0; all.len()], vec![1_isize; all.len()], all.clone());
        for axis in 1..all.len() {
            let (before, after, step, flip) = cuts[axis - 1];
            let (n, before) = (all[axis], before.min(all[axis] - 1));
            let kept = n - before - after.min(n - before - 1);
            to[axis] = kept.div_ceil(step.unsigned_abs());
            (starts[axis], steps[axis]) = if flip { (before + kept - 1, -step) } else { (before, step) };
        }
        let op = Op::Slice { starts: starts.clone(), steps: steps.clone() };
        let y = net.layer(op, &[x], &to);
        let input = random(all.iter().product(), 5);
        let exact: Vec<f64> = indices(&to).map(|o| {
            let i: Vec<_> = (0..all.len()).map(|a| starts[a].checked_add_signed(o[a].cast_signed() * steps[a]).unwrap()).collect();
            seen(inner, input[flat(&all, &i)])
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn padding_is_its_definition(
        all in blocked(), inner: bool, mode in 0..4_usize, amounts in prop::collection::vec((-2..=3_isize, -2..=3_isize), 4), channels: bool,
    ) {
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let (mut before, mut after) = (vec![0_isize; all.len()], vec![0_isize; all.len()]);
        for axis in if channels { 1 } else { 2 }..all.len() {
            let (b, a) = amounts[axis - 1];
            let n = all[axis].cast_signed();
            // Reflection and cuts need something to work on.
            let most = if mode == 1 { n - 1 } else { 3 };
            (before[axis], after[axis]) = if b + a + n < 1 || n < 3 { (0, 0) } else { (b.min(most), a.min(most)) };
        }
        let to: Vec<usize> = (0..all.len()).map(|a| all[a].checked_add_signed(before[a] + after[a]).unwrap()).collect();
        prop_assume!(!to.contains(&0));
        let mode = [PadMode::Constant(1.5), PadMode::Reflect, PadMode::Edge, PadMode::Wrap][mode];
        let y = net.layer(Op::Pad { before: before.clone(), after, mode }, &[x], &to);
        let input = random(all.iter().product(), 5);
        let exact: Vec<f64> = indices(&to).map(|o| {
            let mut place = Vec::new();
            for a in 0..all.len() {
                let (mut i, n) = (o[a].cast_signed() - before[a], all[a].cast_signed());
                match mode {
                    PadMode::Constant(value) if i < 0 || i >= n => return f64::from(value),
                    PadMode::Reflect => {
                        while i < 0 || i >= n { i = if i < 0 { -i } else { 2 * (n - 1) - i }; }
                    }
                    PadMode::Edge => i = i.clamp(0, n - 1),
                    PadMode::Wrap => i = (i % n + n) % n,
                    _ => {}
                }
                place.push(i.unsigned_abs());
            }
            seen(inner, input[flat(&all, &place)])
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    #[test]
    fn resizing_is_its_definition(
        (channels, axes) in (1..=20_usize, prop::collection::vec((1..=6_usize, 1..=4_usize), 1..=3)), inner: bool, mode in 0..7_usize, coordinates in 0..4_usize,
    ) {
        let from = shape(channels, &axes.iter().map(|a| a.0).collect::<Vec<_>>());
        let to = shape(channels, &axes.iter().map(|a| a.0 * a.1).collect::<Vec<_>>());
        let mode = [
            ResizeMode::Linear, ResizeMode::Cubic(-0.75), ResizeMode::Cubic(-0.5), ResizeMode::Nearest(NearestMode::Floor),
            ResizeMode::Nearest(NearestMode::Ceil), ResizeMode::Nearest(NearestMode::RoundPreferFloor), ResizeMode::Nearest(NearestMode::RoundPreferCeil),
        ][mode];
        let coordinates =
            [CoordinateMode::HalfPixel, CoordinateMode::PytorchHalfPixel, CoordinateMode::AlignCorners, CoordinateMode::Asymmetric][coordinates];
        let scales = from.iter().zip(&to).map(|(&m, &n)| n as f32 / m as f32).collect();
        let mut net = Net::new(&from);
        let x = source(&mut net, inner, &from);
        let y = net.layer(Op::Resize(Resize { mode, coordinates, scales }), &[x], &to);
        let input = random(from.iter().product(), 5);
        let exact: Vec<f64> = indices(&to).map(|o| {
            let mut sums = vec![(vec![0, o[1]], 1.0)];
            for axis in 2..from.len() {
                let near = if from[axis] == to[axis] { vec![(o[axis], 1.0)] } else {
                    neighbors(mode, coordinate(coordinates, o[axis], (from[axis], to[axis])), from[axis])
                };
                sums = sums.iter().flat_map(|(place, weight)| near.iter().map(move |&(i, w)| ([&place[..], &[i]].concat(), weight * w))).collect();
            }
            sums.iter().map(|(place, weight)| weight * seen(inner, input[flat(&from, place)])).sum()
        }).collect();
        agrees(&mut net, y, &input, &exact)?;
    }

    /// Transpose, Reshape and reductions, which also stand for Squeeze, Unsqueeze and Flatten.
    #[test]
    fn changes_of_shape_are_their_definition(all in blocked(), inner: bool, order in 0..6_usize, reduction in 0..6_usize, axis in 1..4_usize) {
        let mut net = Net::new(&all);
        let x = source(&mut net, inner, &all);
        let input = random(all.iter().product(), 5);
        let mut permutation: Vec<usize> = (0..all.len()).collect();
        permutation[1..].rotate_left(order % (all.len() - 1));
        if order > 2 { permutation.swap(0, all.len() - 1); }
        let moved: Vec<_> = permutation.iter().map(|&a| all[a]).collect();
        let t = net.layer(Op::Transpose { permutation: permutation.clone() }, &[x], &moved);
        let flat_shape = [moved[0], moved[1..].iter().product()];
        let r = net.layer(Op::Reshape, &[t], &flat_shape);
        let value = |index: &[usize]| {
            let mut place = vec![0; all.len()];
            for (a, &i) in index.iter().enumerate() { place[permutation[a]] = i; }
            seen(inner, input[flat(&all, &place)])
        };
        let exact: Vec<f64> = indices(&moved).map(|index| value(&index)).collect();
        agrees(&mut net, r, &input, &exact)?;
        let axis = axis.min(all.len() - 1);
        let kept: Vec<_> = all.iter().enumerate().map(|(a, &n)| if a == axis { 1 } else { n }).collect();
        let kind = [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min, Reduction::L2].get(reduction).copied();
        let op = kind.map_or(Op::ArgMax { axis }, |reduction| Op::Reduce { reduction, axes: vec![axis] });
        let z = net.layer(op, &[x], &kept);
        let exact: Vec<f64> = indices(&kept).map(|mut index| {
            let line: Vec<f64> = (0..all[axis]).map(|i| { index[axis] = i; seen(inner, input[flat(&all, &index)]) }).collect();
            let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            match kind {
                Some(Reduction::Sum) => line.iter().sum(),
                Some(Reduction::Mean) => line.iter().sum::<f64>() / line.len() as f64,
                Some(Reduction::Max) => largest,
                Some(Reduction::Min) => line.iter().copied().fold(f64::INFINITY, f64::min),
                Some(_) => line.iter().map(|x| x * x).sum::<f64>().sqrt(),
                None => line.iter().position(|&x| x == largest).unwrap() as f64,
            }
        }).collect();
        agrees(&mut net, z, &input, &exact)?;
    }
}
