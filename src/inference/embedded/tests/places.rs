//! Where buffers lie and for how long.

use super::*;

/// The crop of a skip connection runs before the lower level, so that the whole of it is gone when that is computed.
#[test]
fn the_middle_of_a_level_waits_alone() {
    let mut net = Net::new(&shape(16, &[24, 24]));
    let skip = net.layer(Op::Activation(Activation::Relu), &[ValueId::new(0)], &shape(16, &[24, 24]));
    let (two, one, zero) = (vec![2; 2], vec![1; 2], vec![0; 2]);
    let pool = Pool { kernel: two.clone(), strides: two, dilations: one, pads_before: zero.clone(), pads_after: zero };
    let low = net.layer(Op::MaxPool(pool), &[skip], &shape(16, &[12, 12]));
    let weight = net.constant(&[48, 16, 3, 3], 1);
    let axes = [(3, 1, 1, 1, 1, 12); 2];
    let low = net.layer(Op::Convolution(convolution(&axes, 1)), &[low, weight], &shape(48, &[12, 12]));
    let crop = net.layer(Op::Slice { starts: vec![0, 0, 6, 6], steps: vec![1; 4] }, &[skip], &shape(16, &[12, 12]));
    let y = net.layer(Op::Concat { axis: 1 }, &[crop, low], &shape(64, &[12, 12]));
    let input = random(16 * 24 * 24, 4);
    for simd in Simd::all() {
        let plan = net.plan(y, (simd, false));
        let operators: Vec<_> = plan.steps.iter().map(|step| step.operator.as_str()).collect();
        assert_eq!(operators, ["Reorder", "Relu", "MaxPool", "Slice", "Convolution", "Concat", "Reorder"]);
        let scores = net.run(y, simd, &input);
        let (cropped, lower) = scores.split_at(16 * 144);
        let middle = |i: usize| input[(i / 144 * 24 + i / 12 % 12 + 6) * 24 + i % 12 + 6].max(0.0);
        assert!(cropped.iter().enumerate().all(|(i, &score)| score == middle(i)));
        assert_eq!(lower, net.run(low, simd, &input));
    }
}
