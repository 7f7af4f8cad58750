//! Scores against golden values, against their definitions by brute force, and the laws they obey.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests may panic, on small values"
)]

use proptest::prelude::*;
use serde_json::Value;
use unet_vol::evaluate::{EvaluateOptions, Hd95, Report, Scores, SurfaceElement, evaluate};
use unet_vol::volume::LabelTable;
use unet_vol::{Affine, ErrorKind, Grid, LabelMap, Orientation, Volume};

use crate::support::{on_threads, shared};

fn map(shape: [usize; 3], spacing: [f64; 3], id: impl Fn([usize; 3]) -> u16) -> LabelMap {
    let grid = Grid::new(shape, Affine::from_spacing(spacing, [0.0; 3]).unwrap()).unwrap();
    let place = |n: usize| [n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]];
    let ids = (0..grid.voxels()).map(|n| id(place(n))).collect();
    LabelMap::new(Volume::new(grid, ids).unwrap(), LabelTable::default())
}

fn golden_pair() -> [LabelMap; 2] {
    let a = map([20; 3], [1.0, 1.0, 2.5], |at| u16::from(at.iter().all(|n| (5..12).contains(n))));
    let b = map([20; 3], [1.0, 1.0, 2.5], |at| {
        let [i, j, k] = at;
        u16::from((6..14).contains(&i) && (5..12).contains(&j) && (4..11).contains(&k) || at == [17; 3])
    });
    [a, b]
}

#[test]
fn golden_distances() {
    let Some(path) = shared("data/golden/distances.json") else { return };
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let [a, b] = golden_pair();
    let scores = |options: EvaluateOptions| evaluate(&a, &b, &options).unwrap().labels[0].scores;
    let near = |value: Option<f64>, key: &str| {
        let (value, wanted) = (value.unwrap(), golden[key].as_f64().unwrap());
        assert!((value - wanted).abs() < 1e-7 * wanted.max(1.0), "{key}: {value} instead of {wanted}");
    };
    let found = scores(EvaluateOptions::default());
    near(found.dice, "dice");
    near(found.jaccard, "iou");
    near(found.hd_mm, "hd");
    near(found.hd95_mm, "hd95_monai_max_of_directed");
    near(found.mean_surface_distance_mm, "assd_pooled_medpy_and_monai");
    near(found.surface_dice, "nsd_tol1_voxel_surface");
    near(scores(EvaluateOptions::default().with_hd95(Hd95::Pooled)).hd95_mm, "hd95_medpy_pooled");
    let sub_voxel = EvaluateOptions::default().with_surface(SurfaceElement::SubVoxel, 1.0);
    near(scores(sub_voxel).surface_dice, "nsd_tol1_deepmind_subvoxel");
}

#[test]
fn empty_masks_have_no_distances_and_say_why() {
    let full = map([3, 3, 3], [1.0; 3], |_| 1);
    let empty = map([3, 3, 3], [1.0; 3], |_| 0);
    let one = |p: &LabelMap, r: &LabelMap| {
        let report = evaluate(p, r, &EvaluateOptions::default().with_labels(vec![1])).unwrap();
        serde_json::to_value(&report).unwrap()["labels"][0].clone()
    };
    let row = one(&empty, &full);
    assert_eq!(row["reason"], "the prediction has no voxel of this label");
    assert_eq!((row["dice"].as_f64(), row["surface_dice"].as_f64()), (Some(0.0), Some(0.0)));
    assert_eq!(
        (&row["hd_mm"], &row["hd95_mm"], &row["mean_surface_distance_mm"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(row["volume_difference_percent"], -100.0);
    let row = one(&full, &empty);
    assert_eq!(row["reason"], "the reference has no voxel of this label");
    assert_eq!((row["jaccard"].as_f64(), &row["volume_difference_percent"]), (Some(0.0), &Value::Null));
    let row = one(&empty, &empty);
    assert_eq!(row["reason"], "neither the prediction nor the reference has a voxel of this label");
    assert_eq!(
        (&row["dice"], &row["surface_dice"], row["volume_difference_ml"].as_f64()),
        (&Value::Null, &Value::Null, Some(0.0))
    );
    assert_eq!(evaluate(&empty, &empty, &EvaluateOptions::default()).unwrap().labels, []);
}

#[test]
fn other_grids_and_absurd_tolerances_are_refused_with_the_numbers() {
    let a = map([3, 4, 5], [1.0; 3], |_| 1);
    let error = evaluate(&a, &map([3, 4, 6], [1.0; 3], |_| 1), &EvaluateOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.message().ends_with("different grids: 3 x 4 x 5 and 3 x 4 x 6 voxels"), "{error}");
    let error = evaluate(&a, &map([3, 4, 5], [1.0, 1.0, 1.25], |_| 1), &EvaluateOptions::default()).unwrap_err();
    assert!(error.message().contains("1.0000 mm apart"), "{error}");
    let options = EvaluateOptions::default().with_surface(SurfaceElement::Voxel, f64::NAN);
    assert_eq!(evaluate(&a, &a, &options).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn sheared_axes_have_overlaps_but_no_distances() {
    let rows = [[1.0, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
    let grid = Grid::new([2, 2, 1], Affine::from_rows(rows).unwrap()).unwrap();
    let map = |ids: [u16; 4]| LabelMap::new(Volume::new(grid, ids.to_vec()).unwrap(), LabelTable::default());
    let report = evaluate(&map([1, 1, 0, 0]), &map([1, 0, 0, 0]), &EvaluateOptions::default()).unwrap();
    let label = &report.labels[0];
    assert!(label.reason.unwrap().contains("sheared"));
    assert_eq!((label.scores.dice, label.scores.hd_mm), (Some(2.0 / 3.0), None));
    assert_eq!(label.scores.volume_difference_ml, Some(0.002));
}

#[test]
fn options_stand_in_a_file() {
    let text = r#"{"labels": [3], "hd95": "pooled", "surface": "sub_voxel", "tolerance_mm": 2.0}"#;
    let options: EvaluateOptions = serde_json::from_str(text).unwrap();
    let wanted = EvaluateOptions::default().with_labels(vec![3]).with_hd95(Hd95::Pooled);
    assert_eq!(options, wanted.with_surface(SurfaceElement::SubVoxel, 2.0));
    assert!(serde_json::from_str::<EvaluateOptions>(r#"{"hd": "pooled"}"#).is_err());
}

/// Two maps of labels 1 and 2 that overlap in part, in the middle of a volume with room on all sides.
fn pair(seed: u64, spacing: [f64; 3], at: [usize; 3]) -> [LabelMap; 2] {
    let noise = |[i, j, k]: [usize; 3], salt: u64| {
        let mut x = (i as u64 | (j as u64) << 8 | (k as u64) << 16) ^ seed.wrapping_add(salt);
        x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^ x >> 29
    };
    let inner = |place: [usize; 3]| {
        let from: Vec<_> = (0..3).map(|a| place[a].wrapping_sub(at[a])).collect();
        (from[0] < 6 && from[1] < 5 && from[2] < 4).then(|| [from[0], from[1], from[2]])
    };
    [1, 2].map(|salt| {
        map([10, 9, 8], spacing, |place| {
            inner(place).map_or(0, |place| match (noise(place, 0) >> 40) % 8 {
                common @ 0..5 => [1, 1, 1, 2, 2][common as usize],
                _ => ((noise(place, salt) >> 40) % 3) as u16,
            })
        })
    })
}

fn values(scores: &Scores) -> Vec<Option<f64>> {
    let Scores { dice, jaccard, hd95_mm, hd_mm, mean_surface_distance_mm, surface_dice, .. } = *scores;
    vec![dice, jaccard, hd95_mm, hd_mm, mean_surface_distance_mm, surface_dice]
}

fn close(a: &Report, b: &Report) -> bool {
    let both = a.labels.iter().zip(&b.labels).flat_map(|(a, b)| values(&a.scores).into_iter().zip(values(&b.scores)));
    a.labels.len() == b.labels.len()
        && both.into_iter().all(|(a, b)| a == b || (a.unwrap() - b.unwrap()).abs() <= 1e-12 * a.unwrap().abs())
}

fn options() -> [EvaluateOptions; 2] {
    let options = EvaluateOptions::default;
    [
        options().with_surface(SurfaceElement::Voxel, 1.1),
        options().with_hd95(Hd95::Pooled).with_surface(SurfaceElement::SubVoxel, 1.1),
    ]
}

/// World positions of the voxels of a label with a face neighbour outside it.
fn surface(map: &LabelMap, id: u16) -> Vec<[f64; 3]> {
    let shape = map.grid().shape();
    let at = |place: [usize; 3]| (0..3).all(|a| place[a] < shape[a]) && map.ids.view()[place] == id;
    let steps = [[0, 1, 1], [2, 1, 1], [1, 0, 1], [1, 2, 1], [1, 1, 0], [1, 1, 2]];
    let places = map.ids.view().indexed_iter().map(|((i, j, k), _)| [i, j, k]).collect::<Vec<_>>();
    let edge =
        |place: &[usize; 3]| steps.iter().any(|step| !at([0, 1, 2].map(|a| (place[a] + step[a]).wrapping_sub(1))));
    let on_surface = places.into_iter().filter(|&place| at(place)).filter(edge);
    on_surface.map(|place| map.grid().index_to_world(place.map(|n| n as f64))).collect()
}

/// Distances of all pairs, the nearest of each, sorted.
fn directed(from: &[[f64; 3]], to: &[[f64; 3]]) -> Vec<f64> {
    let mm = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|n| (a[n] - b[n]).powi(2)).sum::<f64>().sqrt();
    let nearest = |a| to.iter().map(|b| mm(a, b)).fold(f64::INFINITY, f64::min);
    let mut all: Vec<f64> = from.iter().map(nearest).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// numpy's default percentile of a sorted list.
fn percentile95(sorted: &[f64]) -> f64 {
    let position = (sorted.len() - 1) as f64 * 0.95;
    let low = position.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (position - low as f64)
}

proptest! {
    #[test]
    fn scores_are_those_of_their_definitions(seed in any::<u64>(), x in 0.3_f64..3.0, y in 0.3_f64..3.0) {
        let [a, b] = pair(seed, [x, y, 1.0], [0, 2, 3]);
        let [voxel, pooled] = options().map(|options| evaluate(&a, &b, &options).unwrap());
        for (label, pooled) in voxel.labels.iter().zip(&pooled.labels) {
            let count = |f: fn(bool, bool) -> bool| {
                let pairs = a.ids.data().iter().zip(b.ids.data());
                pairs.filter(|(a, b)| f(**a == label.id, **b == label.id)).count() as f64
            };
            let (p, r, shared) = (count(|a, _| a), count(|_, b| b), count(|a, b| a && b));
            prop_assert_eq!(label.scores.dice, Some(2.0 * shared / (p + r)));
            prop_assert_eq!(label.scores.jaccard, Some(shared / count(|a, b| a || b)));
            if label.reason.is_some() {
                continue;
            }
            let (of_a, of_b) = (surface(&a, label.id), surface(&b, label.id));
            let (there, back) = (directed(&of_a, &of_b), directed(&of_b, &of_a));
            let mut all = [there.clone(), back.clone()].concat();
            all.sort_by(f64::total_cmp);
            let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1e-9;
            prop_assert!(near(label.scores.hd_mm, all[all.len() - 1]));
            prop_assert!(near(label.scores.hd95_mm, percentile95(&there).max(percentile95(&back))));
            prop_assert!(near(pooled.scores.hd95_mm, percentile95(&all)));
            prop_assert!(near(label.scores.mean_surface_distance_mm, all.iter().sum::<f64>() / all.len() as f64));
            // What is a millionth farther counts as within: spacings are often rounded to f32.
            let within = |mm: f64| all.iter().filter(|at| **at <= mm).count() as f64 / all.len() as f64;
            let dice = label.scores.surface_dice;
            prop_assert!(near(dice, within(1.1)) || near(dice, within(1.1 * (1.0 + 1e-6))));
        }
    }

    #[test]
    fn scores_obey_their_laws(seed in any::<u64>(), turned in 0_usize..3) {
        let spacing = [0.8, 1.0, 2.5];
        let [a, b] = pair(seed, spacing, [0, 2, 3]);
        for options in options() {
            let report = evaluate(&a, &b, &options).unwrap();
            // Symmetric.
            let swapped = evaluate(&b, &a, &options).unwrap();
            prop_assert!(close(&report, &swapped));
            for (label, swapped) in report.labels.iter().zip(&swapped.labels) {
                let negated = swapped.scores.volume_difference_ml.map(|ml| -ml);
                prop_assert_eq!(label.scores.volume_difference_ml, negated);
            }
            // Identical maps.
            for label in evaluate(&a, &a, &options).unwrap().labels {
                prop_assert_eq!(values(&label.scores), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0].map(Some).to_vec());
            }
            // Moved, also against the border of the volume.
            let [c, d] = pair(seed, spacing, [4, 0, 1]);
            prop_assert!(close(&report, &evaluate(&c, &d, &options).unwrap()));
            // Turned and flipped.
            let orientation = ["LPI", "SRA", "PIR"][turned].parse::<Orientation>().unwrap();
            let turn = |map: &LabelMap| LabelMap::new(map.ids.reoriented(orientation), LabelTable::default());
            prop_assert!(close(&report, &evaluate(&turn(&a), &turn(&b), &options).unwrap()));
            // Any number of threads: the same bits.
            for threads in [1, 2, 8] {
                prop_assert_eq!(&on_threads(threads, || evaluate(&a, &b, &options)).unwrap(), &report);
            }
        }
    }
}

/// Writes random maps and their scores into the folder `UNET_VOL_ORACLE` for `tests/oracle/check_components.py`; does nothing
/// where the variable is not set.
#[test]
fn files_for_the_oracle() {
    let Some(folder) = std::env::var_os("UNET_VOL_ORACLE").map(std::path::PathBuf::from) else { return };
    let blobs = |case: usize, shift: f64, shape: [usize; 3], spacing: [f64; 3]| {
        map(shape, spacing, |at| {
            let wave = |axis: usize, salt: usize| {
                let turns = (case * 7 + salt * 13 + axis * 5) % 11 + 3;
                (at[axis] as f64 / shape[axis] as f64 * turns as f64 + shift * (salt + 1) as f64).sin()
            };
            let sum: f64 = (0..3).map(|axis| wave(axis, 0) * wave((axis + 1) % 3, 1)).sum();
            if sum > 0.9 { 1 } else { u16::from(sum < -0.7) * 2 }
        })
    };
    for case in 0..12 {
        let (shape, spacing) = ([23 + case, 31 - case, 17], [0.7, 1.0, 0.4 + case as f64 / 4.0]);
        let [a, b] = [0.0, 0.15].map(|shift| blobs(case, shift, shape, spacing));
        let tolerance = 1.1;
        let [voxel, sub_voxel] = options().map(|options| evaluate(&a, &b, &options).unwrap().labels);
        for (part, map) in [("prediction", &a), ("reference", &b)] {
            let bytes: Vec<u8> = map.ids.data().iter().flat_map(|&id| u32::from(id).to_le_bytes()).collect();
            std::fs::write(folder.join(format!("{case}_{part}")), bytes).unwrap();
        }
        let scores = serde_json::json!({
            "shape": shape, "spacing": spacing, "tolerance_mm": tolerance, "voxel": voxel, "sub_voxel": sub_voxel
        });
        std::fs::write(folder.join(format!("{case}_scores.json")), scores.to_string()).unwrap();
    }
}
