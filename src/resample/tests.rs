//! Laws that hold for every grid.

use proptest::prelude::*;

use super::*;
use crate::geometry::{Direction, GridRule, Orientation};

/// Values that a generator spreads over 0..1.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        narrow_to_f32(state)
    };
    (0..count).map(|_| next()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "test values")]
fn narrow_to_f32(state: u32) -> f32 {
    (state >> 8) as f32 / 16_777_216.0
}

fn oblique_grid(shape: [usize; 3]) -> Grid {
    let affine = Affine::from_rows([[-0.9, 0.2, 0.1, 12.0], [0.1, 1.7, -0.3, -40.0], [0.05, 0.4, 2.2, 7.5]]).unwrap();
    Grid::new(shape, affine).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn every_orientation() -> Vec<Orientation> {
    let mut all = Vec::new();
    for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for signs in 0..8 {
            let d: Vec<_> = (0..3).map(|a| Direction::from_world(axes[a], signs >> a & 1 == 1)).collect();
            all.push(Orientation::new([d[0], d[1], d[2]]).unwrap());
        }
    }
    all
}

const METHODS: [Method; 4] = [Method::Nearest, Method::Linear, Method::Cubic, Method::Area];
const BORDERS: [Border; 5] =
    [Border::Clamp, Border::Mirror, Border::Constant(-2.0), Border::FieldOfView(-3.0), Border::ScipyNearest];

#[test]
fn all_48_orientations_of_an_object_resample_to_the_same_volume() {
    let source = Volume::new(oblique_grid([9, 8, 7]), noise(504)).unwrap();
    let target = source.grid().resized([5, 11, 6], GridRule::HalfPixel).unwrap();
    let turned = oblique_grid([9, 8, 7]).conformed([8, 9, 10], [1.1, 1.2, 1.3], Orientation::RAS).unwrap();
    let smoothing = Smoothing::new(Sigma::AntiAliasing, SmoothingBorder::Symmetric);
    let mut options: Vec<_> = METHODS.into_iter().map(ResampleOptions::new).collect();
    options.push(ResampleOptions::new(Method::Linear).with_smoothing(smoothing));
    options.push(ResampleOptions::new(Method::Cubic).with_smoothing(smoothing));
    for options in options {
        for (target, area) in [(target, true), (turned, options.method != Method::Area)] {
            if !area {
                assert!(resample(&source, &target, &options).is_err());
                continue;
            }
            let expected = resample(&source, &target, &options).unwrap();
            for orientation in every_orientation() {
                let other = source.reoriented(orientation);
                let values = resample(&other, &target, &options).unwrap();
                assert!(largest_difference(values.data(), expected.data()) < 2e-6, "{options:?} {orientation}");
                // The other way round: a reoriented target holds the same values, reoriented.
                let values = resample(&source, &target.mapped(target.orientation().to(orientation)), &options).unwrap();
                let expected = expected.reoriented(orientation);
                // 11 samples of 8 hit a middle, where the target's direction decides.
                let halfway = options.method == Method::Nearest && target != turned;
                let limit = if halfway { 1.0 } else { 2e-6 };
                assert!(largest_difference(values.data(), expected.data()) < limit, "{options:?} {orientation}");
            }
        }
    }
}

#[test]
fn a_flipped_source_gives_the_same_bits() {
    let source = Volume::new(oblique_grid([9, 8, 7]), noise(504)).unwrap();
    let target = source.grid().resized([18, 4, 6], GridRule::HalfPixel).unwrap();
    let flips = crate::geometry::AxisMap { from: [0, 1, 2], flip: [true, true, true] };
    for method in [Method::Nearest, Method::Linear] {
        let options = ResampleOptions::new(method);
        let a = resample(&source, &target, &options).unwrap();
        assert_eq!(a, resample(&source.mapped(flips), &target, &options).unwrap());
    }
}

#[test]
fn the_identity_copies_the_source_bit_for_bit() {
    let source = Volume::new(oblique_grid([5, 1, 6]), noise(30)).unwrap();
    for border in BORDERS {
        for method in [Method::Nearest, Method::Linear, Method::Area] {
            let options = ResampleOptions::new(method).with_border(border);
            assert_eq!(resample(&source, source.grid(), &options).unwrap(), source);
        }
        let cubic = ResampleOptions::new(Method::Cubic).with_border(border);
        let values = resample(&source, source.grid(), &cubic).unwrap();
        assert!(largest_difference(values.data(), source.data()) < 2e-6);
    }
}

#[test]
fn the_row_by_row_path_agrees_with_the_axis_by_axis_path() {
    let data = noise(9 * 8 * 7);
    let shape = [9, 8, 7];
    let target = [13, 6, 10];
    let map = Affine::from_rows([[0.7, 0.0, 0.0, -0.4], [0.0, 1.45, 0.0, -0.3], [0.0, 0.0, -0.8, 6.6]]).unwrap();
    let source = Volume::new(Grid::new(shape, Affine::identity()).unwrap(), data).unwrap();
    let grid = Grid::new(target, map).unwrap();
    for border in BORDERS {
        for method in [Method::Linear, Method::Cubic] {
            let options = ResampleOptions::new(method).with_border(border);
            let expected = resample(&source, &grid, &options).unwrap();
            let input = Input::new((&source).into(), &map, &options, false, &Cancel::new()).unwrap();
            let mut out = vec![0.0; 780];
            let finish = Finish { outside: border.value(), range: None };
            let sampler =
                Sampler { data: &input.data, shape: input.shape, border: input.border, cubic: method == Method::Cubic };
            sampler.interpolate(&input.map, target, finish, &mut out, &Cancel::new());
            assert!(largest_difference(&out, expected.data()) < 2e-6, "{method:?} {border:?}");
        }
    }
}

#[test]
fn clipping_keeps_cubic_results_in_the_range_of_the_source() {
    let step = (0..10).map(|n| if n < 5 { 0.0 } else { 1.0 }).collect();
    let source = Volume::new(Grid::new([10, 1, 1], Affine::identity()).unwrap(), step).unwrap();
    let target = source.grid().resized([40, 1, 1], GridRule::HalfPixel).unwrap();
    let cubic = ResampleOptions::new(Method::Cubic);
    let over = |options: &ResampleOptions| {
        let values = resample(&source, &target, options).unwrap();
        values.data().iter().any(|v| *v > 1.0)
    };
    assert!(over(&cubic));
    assert!(!over(&cubic.with_clip(true)));
}

#[test]
fn labels_halfway_between_voxels_and_beyond_the_edge_follow_the_stated_rule() {
    let source = Volume::new(Grid::new([4, 1, 1], Affine::identity()).unwrap(), vec![1_u16, 2, 3, 65535]).unwrap();
    let half = source.grid().resized([2, 1, 1], GridRule::HalfPixel).unwrap();
    assert_eq!(resample_labels(&source, &half, Outside::Background).unwrap().data(), [2, 65535]);
    let wide = source.grid().window([-1.0, 0.0, 0.0], [6, 1, 1]).unwrap();
    assert_eq!(resample_labels(&source, &wide, Outside::Background).unwrap().data(), [0, 1, 2, 3, 65535, 0]);
    assert_eq!(resample_labels(&source, &wide, Outside::Clamp).unwrap().data(), [1, 1, 2, 3, 65535, 65535]);
}

#[test]
fn options_are_read_from_a_spec_by_name() {
    let options: ResampleOptions = toml::from_str(
        "method = \"cubic\"\nborder = { constant = -1000.0 }\nclip = true\nsmoothing = { sigma = \"anti-aliasing\" }",
    )
    .unwrap();
    let smoothing = Smoothing::new(Sigma::AntiAliasing, SmoothingBorder::Symmetric);
    let cubic = ResampleOptions::new(Method::Cubic).with_border(Border::Constant(-1000.0));
    assert_eq!(options, cubic.with_clip(true).with_smoothing(smoothing));
    assert!(toml::from_str::<ResampleOptions>("metod = \"cubic\"").is_err());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let source = Volume::new(oblique_grid([29, 28, 27]), noise(29 * 28 * 27)).unwrap();
    let aligned = source.grid().resized([20, 31, 33], GridRule::HalfPixel).unwrap();
    let turned = source.grid().conformed([28, 29, 30], [1.1, 1.2, 1.3], Orientation::RAS).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let values = |method, target| resample(&source, target, &ResampleOptions::new(method)).unwrap().into_data();
        pool.install(|| {
            [Method::Linear, Method::Cubic].map(|method| [values(method, &aligned), values(method, &turned)])
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn predicted_bytes_cover_the_copies_that_a_method_needs() {
    let source = Grid::new([10, 20, 30], Affine::identity()).unwrap();
    let bytes = |target: &Grid, options: ResampleOptions| resample_bytes(&source, target, &options) / 4;
    let linear = ResampleOptions::new(Method::Linear);
    let smoothing = Smoothing::new(Sigma::Quarter, SmoothingBorder::Symmetric);
    assert_eq!(bytes(&source, linear.with_smoothing(smoothing)), 6000);
    let turned = source.mapped(source.orientation().to("SAR".parse().unwrap()));
    assert_eq!(bytes(&turned, linear), 12_000);
    let cubic = ResampleOptions::new(Method::Cubic);
    assert_eq!(bytes(&source, cubic.with_smoothing(smoothing)), 18_000);
    assert_eq!(bytes(&source, cubic.with_border(Border::ScipyNearest)), 6000 + 34 * 44 * 54);
}

proptest! {
    #[test]
    fn a_constant_stays_constant(
        shape in prop::array::uniform3(1_usize..9),
        target in prop::array::uniform3(1_usize..9),
        turn in -0.5_f64..0.5,
        value in -1000.0_f32..1000.0,
        method in prop::sample::select(&METHODS[..3]),
    ) {
        let grid = Grid::new(shape, Affine::identity()).unwrap();
        let source = Volume::new(grid, vec![value; grid.voxels()]).unwrap();
        let (sin, cos) = turn.sin_cos();
        let affine = [[cos, -sin, 0.1, 0.3], [sin, cos, 0.0, -0.2], [0.0, 0.2, 1.5, 0.1]];
        let target = Grid::new(target, Affine::from_rows(affine).unwrap()).unwrap();
        for border in [Border::Clamp, Border::Mirror, Border::ScipyNearest] {
            let options = ResampleOptions::new(method).with_border(border);
            let values = resample(&source, &target, &options).unwrap();
            prop_assert!(values.data().iter().all(|v| (v - value).abs() <= value.abs() * 2e-6), "{border:?}");
        }
    }

    #[test]
    fn averaging_halves_keeps_the_mean(half in prop::array::uniform3(1_usize..6)) {
        let shape = half.map(|n| 2 * n);
        let grid = Grid::new(shape, Affine::identity()).unwrap();
        let source = Volume::new(grid, noise(grid.voxels())).unwrap();
        let target = grid.resized(half, GridRule::HalfPixel).unwrap();
        let values = resample(&source, &target, &ResampleOptions::new(Method::Area)).unwrap();
        let mean = |data: &[f32]| data.iter().map(|&v| f64::from(v)).sum::<f64>() / float(data.len());
        prop_assert!((mean(values.data()) - mean(source.data())).abs() < 1e-6);
    }
}
