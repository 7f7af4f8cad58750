//! The decision equals the rule applied to every class interpolated at every voxel.

use proptest::prelude::*;

use super::*;
use crate::geometry::{Affine, GridRule, SNAP, float, snapped};
use crate::resample::resample_labels;

/// Scores that a generator spreads over -1..1.
pub(super) fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        #[expect(clippy::cast_precision_loss, reason = "test values")]
        let value = (state >> 8) as f32 / 8_388_608.0 - 1.0;
        value
    };
    (0..count).map(|_| next()).collect()
}

/// Scores with regions as large as a few voxels: what a trained network gives, with many cells that agree.
pub(super) fn smooth(working: [usize; 3], classes: usize, seed: u32) -> Vec<f32> {
    let coarse = noise(classes * 27, seed);
    let mut scores = Vec::new();
    for class in 0..classes {
        for k in 0..working[2] {
            for j in 0..working[1] {
                for i in 0..working[0] {
                    let at = [i, j, k].map(|n| n / 3 % 3);
                    let wobble = [i, j, k].map(|n| n % 3).iter().sum::<usize>();
                    #[expect(clippy::cast_precision_loss, reason = "test values")]
                    let wobble = 0.03 * wobble as f32;
                    scores.push(coarse[class * 27 + (at[2] * 3 + at[1]) * 3 + at[0]] + wobble);
                }
            }
        }
    }
    scores
}

fn grid(shape: [usize; 3], rows: [[f64; 4]; 3]) -> Grid {
    Grid::new(shape, Affine::from_rows(rows).unwrap()).unwrap()
}

/// All classes interpolated at every voxel with the two weights per axis, then the rule: no shortcut, no slabs.
fn brute_force(working: &Grid, target: &Grid, options: &DecideOptions, scores: &[f32]) -> Vec<u16> {
    let map = target.index_map_to(working);
    let aligned = AlignedMap::of(&map, target.shape());
    let contests = Contests::new(options).unwrap();
    let [ni, nj, nk] = working.shape();
    let volume = ni * nj * nk;
    let mut ids = Vec::new();
    let [ti, tj, tk] = target.shape();
    for (k, j, i) in itertools::iproduct!(0..tk, 0..tj, 0..ti) {
        let (start, step) = (map.apply([0.0, float(j), float(k)]), map.column(0));
        let at: [f64; 3] = std::array::from_fn(|a| match aligned {
            Some(map) => map.coordinate(a, float([i, j, k][map.from[a]])),
            None => start[a] + step[a] * float(i),
        });
        let outside = (0..3).any(|a| at[a] < -0.5 - SNAP || at[a] > float(working.shape()[a]) - 0.5 + SNAP);
        if outside && options.outside == Outside::Background {
            ids.push(0);
            continue;
        }
        let tap: [taps::Tap; 3] = std::array::from_fn(|a| taps::Tap::at(at[a], working.shape()[a]));
        let (mut best, mut code) = (f32::NEG_INFINITY, u32::from(contests.start));
        for &contest in &contests.list {
            let value =
                |i: usize, j: usize, k: usize| scores[usize::from(contest.class) * volume + (k * nj + j) * ni + i];
            let column = |i: usize| {
                let row = |j: usize| tap[2].mix(value(i, j, tap[2].first), value(i, j, tap[2].second));
                tap[1].mix(row(tap[1].first), row(tap[1].second))
            };
            contest.settle(tap[0].mix(column(tap[0].first), column(tap[0].second)), &mut best, &mut code);
        }
        ids.push(contests.ids[code as usize]);
    }
    ids
}

/// Pushes class-major `scores` in slabs of the given depths, over and over.
fn decide(working: &Grid, target: &Grid, options: &DecideOptions, scores: &[f32], depths: &[usize]) -> Vec<u16> {
    let mut decider = Decider::new(working, target, options).unwrap();
    let [ni, nj, nk] = working.shape();
    let (plane, classes) = (ni * nj, options.ids.len());
    let (mut k, mut n) = (0, 0);
    let mut peak = 0;
    let deepest = depths.iter().copied().max().unwrap().min(nk);
    while k < nk {
        let depth = depths[n % depths.len()].min(nk - k);
        let slab: Vec<f32> =
            (0..classes).flat_map(|c| &scores[(c * nk + k) * plane..(c * nk + k + depth) * plane]).copied().collect();
        decider.push(&slab, depth).unwrap();
        peak = peak.max(decider.held_bytes());
        (k, n) = (k + depth, n + 1);
    }
    assert!(peak <= Decider::bytes(working, target, options, deepest));
    decider.finish().unwrap().into_data()
}

impl Decider {
    /// Bytes of everything that grows with a grid.
    fn held_bytes(&self) -> u64 {
        let buffered = match &self.path {
            Path::Aligned(sweep) => sweep.held_codes(),
            Path::Oblique(_) => 0,
        };
        let notes = [&self.kept.notes, &self.notes].map(|n| 2 * n.codes.capacity() + 4 * n.largest.capacity());
        let scores = 4 * self.kept.scores.capacity();
        (2 * (buffered + self.ids.capacity()) + scores + notes[0] + notes[1]) as u64
    }
}

fn ids(classes: usize) -> Vec<u16> {
    (0..classes).map(|c| if c == 0 { 0 } else { u16::try_from(1000 - c * 3).unwrap() }).collect()
}

fn check(working: &Grid, target: &Grid, options: &DecideOptions, scores: &[f32]) {
    let expected = brute_force(working, target, options, scores);
    for depths in [&[1][..], &[1000], &[2, 1, 5]] {
        assert!(decide(working, target, options, scores, depths) == expected, "{working:?} {target:?} {depths:?}");
    }
    let labels = expected.iter().collect::<std::collections::BTreeSet<_>>();
    assert!(labels.len() > 1 || expected.len() < 30, "the test decides nothing");
}

fn targets(working: &Grid) -> Vec<Grid> {
    let turned = [[0.55, 0.12, -0.2, 0.3], [-0.1, 0.6, 0.15, -0.8], [0.25, -0.14, 0.5, 1.1]];
    let sheared = [[0.7, 0.3, 0.0, -0.2], [0.0, 0.45, 0.2, 0.1], [0.0, 0.0, 0.6, -0.4]];
    let steep = [[0.1, 0.6, 0.1, 0.3], [-0.1, 0.1, 0.65, -0.8], [-0.55, 0.14, 0.1, 5.1]];
    let mut all = vec![*working];
    for rows in [turned, sheared, steep] {
        let affine = working.affine().after(&Affine::from_rows(rows).unwrap());
        all.push(Grid::new([13, 9, 11], affine).unwrap());
    }
    for (n, code) in ["RAS", "LIA", "SAR", "PIR", "ASL", "ILP"].into_iter().enumerate() {
        let fine = working.resized([[14, 11, 35], [7, 6, 40]][n % 2], GridRule::HalfPixel).unwrap();
        let fine = fine.mapped(fine.orientation().to(code.parse().unwrap()));
        all.push(fine.window([-2.0, 0.5, -1.25], fine.shape().map(|n| n + 3)).unwrap());
    }
    all
}

#[test]
fn every_voxel_equals_brute_force_for_all_kinds_of_grids_rules_and_slabs() {
    let affine = [[-0.9, 0.2, 0.1, 12.0], [0.1, 0.2, -1.3, -40.0], [0.05, 1.4, 0.2, 7.5]];
    for shape in [[7, 6, 8], [1, 5, 6], [6, 1, 4], [5, 4, 1], [1, 1, 1]] {
        let working = grid(shape, affine);
        for classes in [1, 4] {
            let scores = smooth(shape, classes, 7);
            let order = (0..classes).rev().collect();
            let rules = [
                Rule::Argmax,
                Rule::Sigmoid { thresholds: vec![0.1; classes], order },
                Rule::Threshold { channel: classes - 1, value: -0.2 },
            ];
            for (target, rule) in itertools::iproduct!(targets(&working), rules) {
                for outside in [Outside::Background, Outside::Clamp] {
                    let options = DecideOptions::new(ids(classes)).with_rule(rule.clone()).with_outside(outside);
                    let expected = brute_force(&working, &target, &options, &scores);
                    for depths in [&[1][..], &[1000], &[2, 1, 5]] {
                        assert!(decide(&working, &target, &options, &scores, depths) == expected);
                    }
                }
            }
        }
    }
}

#[test]
fn thirty_three_and_117_classes_of_noise_regions_and_ties_equal_brute_force() {
    let working = grid([6, 7, 5], [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]);
    for classes in [33, 117] {
        let options = DecideOptions::new(ids(classes)).with_outside(Outside::Clamp);
        for target in targets(&working) {
            check(&working, &target, &options, &noise(210 * classes, 99));
            check(&working, &target, &options, &smooth([6, 7, 5], classes, 5));
            // Many ties.
            let coarse: Vec<f32> = noise(210 * classes, 3).iter().map(|score| (score * 1.4).round()).collect();
            check(&working, &target, &options, &coarse);
        }
    }
}

#[test]
fn slices_between_those_of_a_grid_are_decided_where_they_are() {
    let working = grid([6, 7, 8], [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]);
    let scores = noise(336 * 4, 5);
    let mut between = 0;
    for target in targets(&working) {
        let last = float(target.shape()[2] - 1);
        let places = [0.0, 0.4, 1.0, 2.77, 0.6 * last, last];
        for interpolation in [Interpolation::Linear, Interpolation::Nearest] {
            let options = DecideOptions::new(ids(4)).with_interpolation(interpolation);
            let mut decider = Decider::of_slices(&working, &target, &places, &options).unwrap();
            for k in 0..8 {
                let slab: Vec<f32> = (0..4).flat_map(|c| &scores[(c * 8 + k) * 42..][..42]).copied().collect();
                decider.push(&slab, 1).unwrap();
            }
            assert!(
                decider.held_bytes() <= {
                    let stand_in = target.of_slices(&places).unwrap();
                    Decider::bytes(&working, &stand_in, &options, 1)
                }
            );
            let found = decider.finish().unwrap();
            assert_eq!(*found.grid(), target.of_slices(&places).unwrap());
            let alone = |&place: &f64| decide(&working, &target.of_slices(&[place]).unwrap(), &options, &scores, &[3]);
            let wanted: Vec<u16> = places.iter().flat_map(alone).collect();
            assert_eq!(found.data(), wanted);
            let whole = decide(&working, &target, &options, &scores, &[3]);
            let slice = target.shape()[0] * target.shape()[1];
            assert_eq!(wanted[..slice], whole[..slice]);
            let [second, third, own] =
                [(2, &whole), (3, &whole), (3, &wanted)].map(|(n, of)| &of[n * slice..][..slice]);
            between += usize::from(own != second && own != third);
        }
    }
    assert!(between >= 5, "slices between others have labels of their own");
    let options = DecideOptions::new(ids(4));
    assert!(Decider::of_slices(&working, &working, &[1.0, 0.5], &options).is_err());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let working = grid([17, 16, 15], [[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [-2.0, 0.0, 0.0, 0.0]]);
    let scores = smooth([17, 16, 15], 4, 3);
    let options = DecideOptions::new(ids(4));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            targets(&working).iter().map(|target| decide(&working, target, &options, &scores, &[4])).collect::<Vec<_>>()
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn ties_go_to_the_lowest_class_and_not_a_number_never_wins() {
    let working = grid([2, 1, 1], Affine::identity().rows());
    let target = working.resized([4, 1, 1], GridRule::HalfPixel).unwrap();
    let options = DecideOptions::new(vec![0, 5, 9]);
    let tie = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0];
    assert_eq!(decide(&working, &target, &options, &tie, &[1]), [0; 4]);
    let nan = [f32::NAN, 2.0, 1.0, 1.0, f32::NAN, f32::NAN];
    assert_eq!(decide(&working, &target, &options, &nan, &[1]), [5, 5, 5, 0]);
}

#[test]
fn a_deep_volume_holds_one_plane_of_scores() {
    let affine = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
    let options = DecideOptions::new(ids(33));
    let held = |planes: usize| {
        let working = grid([8, 8, planes], affine);
        let target = working.resized([16, 16, 2 * planes], GridRule::HalfPixel).unwrap();
        let turned = target.mapped(target.orientation().to("SAR".parse().unwrap()));
        let tilted = working.window([0.0, 0.2, 0.1], [9, 9, 9]).unwrap();
        let rows = tilted
            .affine()
            .after(&Affine::from_rows([[0.9, 0.3, 0.0, 0.0], [-0.3, 0.9, 0.1, 0.0], [0.1, 0.0, 0.9, 0.0]]).unwrap());
        let oblique = Grid::new([9, 9, 9], rows).unwrap();
        [target, turned, oblique].map(|target| {
            let bytes = Decider::bytes(&working, &target, &options, 1);
            let decider = Decider::new(&working, &target, &options).unwrap();
            let slab = 2 * 8 * 8 + 4 * 8 * 33;
            assert_eq!(bytes, decider.held_bytes() + slab);
            bytes - 2 * target.voxels() as u64
        })
    };
    assert_eq!(held(40)[0], held(400)[0]);
    assert_eq!(held(40)[2], held(400)[2]);
    // One plane of 33 classes, and at most 32 decided planes of the target on their way to its memory order.
    assert!(held(400)[0] <= 33 * 64 * 4 + 2 * (64 * 2 + 8 * 33 * 4) + 2 * 32 * (256 + 32));
    assert!(held(400)[1] <= 33 * 64 * 4 + 2 * (64 * 2 + 8 * 33 * 4) + 2 * 32 * (256 + 32));
}

#[test]
fn labels_that_go_back_by_nearest_neighbor_are_those_of_the_working_grid() {
    let working = grid([7, 6, 8], [[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [-2.0, 0.0, 0.0, 0.0]]);
    let scores = smooth([7, 6, 8], 4, 3);
    let options = DecideOptions::new(ids(4)).with_interpolation(Interpolation::Nearest);
    let own = brute_force(&working, &working, &options, &scores);
    let own = Volume::new(working, own).unwrap();
    for target in targets(&working) {
        let expected = resample_labels(&own, &target, Outside::Background).unwrap();
        assert_eq!(decide(&working, &target, &options, &scores, &[3]), expected.data());
    }
}

#[test]
fn planes_are_shown_in_order_with_the_scores_of_every_class() {
    let working = grid([7, 6, 8], [[-0.9, 0.0, 0.0, 12.0], [0.0, 0.0, -1.3, -40.0], [0.0, 1.4, 0.0, 7.5]]);
    let scores = smooth([7, 6, 8], 3, 11);
    let options = DecideOptions::new(vec![0, 1, 2]).with_outside(Outside::Clamp);
    let mut seen = 0;
    for target in targets(&working) {
        let mut decider = Decider::new(&working, &target, &options).unwrap();
        if !decider.shows_planes() {
            assert!(decider.push_and_show(&scores, 8, |_| Ok(())).is_err());
            continue;
        }
        let shape = target.shape();
        let mut values = vec![vec![f32::NAN; target.voxels()]; 4];
        let mut shown = vec![0_u16; target.voxels()];
        let mut order = Vec::new();
        let mut store = |plane: &DecidedPlane<'_>| {
            order.push(plane.index());
            let [a, b] = plane.shape();
            let mut ids = vec![0; a * b];
            plane.ids(&mut ids);
            for (class, values) in values.iter_mut().enumerate() {
                let mut part = vec![0.0; a * b];
                if class < 3 {
                    plane.interpolate_class(class, &mut part)
                } else {
                    plane.winner_scores(&mut part)
                }
                for (n, (value, id)) in part.into_iter().zip(&ids).enumerate() {
                    let mut at = [n % a, n / a, 0];
                    match plane.axis() {
                        0 => at = [plane.index(), at[0], at[1]],
                        1 => at = [at[0], plane.index(), at[1]],
                        _ => at[2] = plane.index(),
                    }
                    let at = (at[2] * shape[1] + at[1]) * shape[0] + at[0];
                    values[at] = value;
                    shown[at] = *id;
                }
            }
            Ok(())
        };
        for k in 0..8 {
            let slab: Vec<f32> = (0..3).flat_map(|c| &scores[(c * 8 + k) * 42..][..42]).copied().collect();
            decider.push_and_show(&slab, 1, &mut store).unwrap();
        }
        let rising = order.is_sorted() || order.iter().rev().is_sorted();
        assert!(rising, "{order:?}");
        let ids = decider.finish().unwrap().into_data();
        assert_eq!(ids, shown);
        for (v, &id) in ids.iter().enumerate() {
            let best = (0..3).map(|class| values[class][v]).fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(best, values[usize::from(id)][v]);
            assert_eq!(best, values[3][v]);
        }
        seen += 1;
    }
    assert!(seen >= 7);
}

#[test]
fn scores_that_do_not_fit_are_refused() {
    let working = grid([3, 3, 3], Affine::identity().rows());
    let options = DecideOptions::new(vec![0, 1]);
    let mut decider = Decider::new(&working, &working, &options).unwrap();
    assert!(decider.push(&[0.0; 17], 1).is_err());
    assert!(decider.push(&[0.0; 72], 4).is_err());
    assert!(decider.push(&[0.0; 18], 1).is_ok());
    assert!(decider.finish().is_err());
    let rule = Rule::Sigmoid { thresholds: vec![0.0; 3], order: vec![0] };
    assert!(Decider::new(&working, &working, &options.clone().with_rule(rule)).is_err());
    let rule = Rule::Threshold { channel: 2, value: 0.0 };
    assert!(Decider::new(&working, &working, &options.with_rule(rule)).is_err());
    assert!(Decider::new(&working, &working, &DecideOptions::new(Vec::new())).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_affine_equals_brute_force(
        shape in prop::array::uniform3(1_usize..8),
        target in prop::array::uniform3(1_usize..9),
        columns in prop::array::uniform3(prop::array::uniform3(-1.0_f64..1.0)),
        origin in prop::array::uniform3(-1.0_f64..6.0),
        seed in any::<u32>(),
        quantized in any::<bool>(),
    ) {
        let Ok(affine) = Affine::from_columns(columns, origin) else { return Ok(()) };
        let working = grid(shape, Affine::identity().rows());
        let target = Grid::new(target, affine).unwrap();
        let mut scores = noise(5 * working.voxels(), seed);
        if quantized {
            scores.iter_mut().for_each(|score| *score = (*score * 2.0).round());
        }
        for outside in [Outside::Background, Outside::Clamp] {
            let options = DecideOptions::new(ids(5)).with_outside(outside);
            let expected = brute_force(&working, &target, &options, &scores);
            prop_assert_eq!(&decide(&working, &target, &options, &scores, &[1]), &expected);
            prop_assert_eq!(&decide(&working, &target, &options, &scores, &[3, 2]), &expected);
        }
    }

    #[test]
    fn coordinates_near_a_voxel_centre_are_that_centre(n in 0_u8..200, noise in -9e-7_f64..9e-7) {
        prop_assert_eq!(snapped(f64::from(n) + noise), f64::from(n));
    }
}
