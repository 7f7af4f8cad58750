//! Resampling against golden values of SciPy.

use serde_json::Value;
use unet_vol::geometry::{Field, GridRule};
use unet_vol::intensity::Normalization;
use unet_vol::labels::{DecideOptions, Decider};
use unet_vol::resample::{Border, Method, Outside, ResampleOptions, resample};
use unet_vol::{Affine, Grid, Volume};

use crate::support::{floats, json, largest_difference, repository, shared};

fn method(order: &Value) -> Method {
    match order.as_u64() {
        Some(0) => Method::Nearest,
        Some(1) => Method::Linear,
        _ => Method::Cubic,
    }
}

fn border(mode: &Value, value: f32) -> Border {
    match mode.as_str() {
        Some("nearest") => Border::ScipyNearest,
        Some("constant") => Border::Constant(value),
        _ => Border::Mirror,
    }
}

fn limit(method: Method, data: &[f32]) -> f32 {
    let low = data.iter().copied().fold(f32::INFINITY, f32::min);
    let high = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (high - low) * if method == Method::Cubic { 1e-4 } else { 1e-5 }
}

/// Voxels of a grid whose coordinates lie on a voxel or halfway between two along an axis.
fn undecided(grid: &Grid) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, [k, j, i]) in itertools::iproduct!(0..4_u8, 0..5_u8, 0..6_u8).map(|(k, j, i)| [k, j, i]).enumerate() {
        let place = grid.index_to_world([i, j, k].map(f64::from));
        if place.iter().any(|c| (2.0 * c - (2.0 * c).round()).abs() < 1e-9) {
            found.push(at);
        }
    }
    assert!(found.len() <= 7);
    found
}

/// The golden arrays are nested `[axis0][axis1][axis2]` with axis 2 contiguous: our i is their axis 2.
#[test]
fn oblique_maps_agree_with_scipy_for_all_orders_and_modes() {
    let Some(golden) = shared("data/golden/resample.json").map(json) else { return };
    let row = |r: usize| {
        let (a, b) = (&golden["A"][2 - r], &golden["b"][2 - r]);
        [&a[2], &a[1], &a[0], b].map(|value| value.as_f64().unwrap())
    };
    let target = Grid::new([6, 5, 4], Affine::from_rows([row(0), row(1), row(2)]).unwrap()).unwrap();
    let ramp = (0..64_u8).map(|n| f32::from(n / 16) * 100.0 + f32::from(n / 4 % 4) * 10.0 + f32::from(n % 4));
    let ramp = Volume::new(Grid::new([4, 4, 4], Affine::identity()).unwrap(), ramp.collect()).unwrap();
    let random = Grid::new([7, 6, 5], Affine::identity()).unwrap();
    let random = Volume::new(random, floats(&golden["random567"])).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let source = if case["input"] == "ramp4" { &ramp } else { &random };
        let method = method(&case["order"]);
        let options = ResampleOptions::new(method).with_border(border(&case["mode"], -7.5));
        let mut values = resample(source, &target, &options).unwrap().into_data();
        let expected = floats(&case["expected"]);
        // By rounding in SciPy, a coordinate halfway between voxels falls either way, and so does one on the edge of what
        // is inside, such as -3e-17.
        for at in undecided(&target) {
            values[at] = expected[at];
        }
        let difference = largest_difference(&values, &expected);
        assert!(difference <= limit(method, source.data()), "{difference} in {} {}", case["input"], case["mode"]);
    }
    assert_eq!(cases.len(), 18);
}

#[test]
fn rows_resized_by_the_half_pixel_rule_agree_with_scikit_image() {
    let Some(golden) = shared("data/golden/resample.json").map(json) else { return };
    let rows = golden["resize_row"].as_array().unwrap();
    for row in rows {
        let data = floats(&row["in"]);
        let count = usize::try_from(row["m"].as_u64().unwrap()).unwrap();
        let source = Volume::new(Grid::new([data.len(), 1, 1], Affine::identity()).unwrap(), data).unwrap();
        let target = source.grid().resized([count, 1, 1], GridRule::HalfPixel).unwrap();
        let cubic = ResampleOptions::new(Method::Cubic).with_border(Border::ScipyNearest);
        for (options, expected) in [
            (ResampleOptions::new(Method::Linear), "order1_edge"),
            (cubic, "order3_edge_unclipped"),
            (cubic.with_clip(true), "order3_edge_clipped_like_skimage"),
        ] {
            let values = resample(&source, &target, &options).unwrap();
            let difference = largest_difference(values.data(), &floats(&row[expected]));
            assert!(difference <= limit(options.method, source.data()), "{difference} in {expected}");
        }
    }
    assert_eq!(rows.len(), 2);
}

fn grid(value: &Value) -> Grid {
    let rows: Vec<[f64; 4]> = serde_json::from_value(value["affine"].clone()).unwrap();
    let shape = serde_json::from_value(value["shape"].clone()).unwrap();
    Grid::new(shape, Affine::from_rows([rows[0], rows[1], rows[2]]).unwrap()).unwrap()
}

/// Written by `tests/oracle/make_resample_golden.py`: SciPy and SimpleITK on permuted, flipped, rotated, sheared and anisotropic grids;
/// the area rule of the bundled brain network; smoothing as in scikit-image and SynthSeg.
#[test]
fn grids_of_all_kinds_agree_with_scipy_simpleitk_and_the_area_rule() {
    let golden = json(repository("testdata/golden/resample_oracle.json"));
    let mut seen = 0;
    for case in golden["cases"].as_array().unwrap() {
        let source = Volume::new(grid(&case["source"]), floats(&case["source"]["data"])).unwrap();
        let target = grid(&case["target"]);
        for result in case["results"].as_array().unwrap() {
            let options: ResampleOptions = serde_json::from_value(result["options"].clone()).unwrap();
            let values = resample(&source, &target, &options).unwrap();
            let difference = largest_difference(values.data(), &floats(&result["expected"]));
            let limit = limit(options.method, source.data());
            assert!(difference <= limit, "{difference} in {} {options:?}", case["name"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 54);
}

/// The way into the bundled brain network: area average, percentiles over the field of view, zero outside.
#[test]
fn volumes_averaged_and_rescaled_over_the_field_of_view_agree_with_numpy() {
    let golden = json(repository("testdata/golden/resample_oracle.json"));
    let step = r#"{"kind": "rescale-percentiles", "low_percent": 5, "high_percent": 95, "rule": "lower",
                   "clip": true, "over": "in-field"}"#;
    let normalization = Normalization::new(vec![serde_json::from_str(step).unwrap()]).with_outside(0.0);
    let mut seen = 0;
    for case in golden["cases"].as_array().unwrap().iter().filter(|case| !case["normalized"].is_null()) {
        let source = Volume::new(grid(&case["source"]), floats(&case["source"]["data"])).unwrap();
        let target = grid(&case["target"]);
        let options: ResampleOptions = serde_json::from_value(case["results"][0]["options"].clone()).unwrap();
        let mut values = resample(&source, &target, &options).unwrap();
        let field = Field::of(&target, source.grid()).unwrap();
        normalization.apply_to(&mut values, Some(&field)).unwrap();
        assert!(largest_difference(values.data(), &floats(&case["normalized"])) < 1e-5, "{}", case["name"]);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn labels_decided_from_interpolated_scores_equal_scipy_and_argmax() {
    let golden = json(repository("testdata/golden/resample_oracle.json"));
    let cases = golden["decisions"].as_array().unwrap();
    for case in cases {
        let shape = serde_json::from_value(case["shape"].clone()).unwrap();
        let working = Grid::new(shape, Affine::identity()).unwrap();
        let options = DecideOptions::new(vec![0, 1, 2, 3, 4]).with_outside(Outside::Clamp);
        let mut decider = Decider::new(&working, &grid(&case["target"]), &options).unwrap();
        decider.push(&floats(&case["scores"]), shape[2]).unwrap();
        let labels: Vec<u16> = serde_json::from_value(case["labels"].clone()).unwrap();
        assert_eq!(decider.finish().unwrap().data(), labels);
    }
    assert_eq!(cases.len(), 4);
}

/// Four scores doubled by the half-pixel rule; the golden file has axis 2 fastest.
#[test]
fn doubled_scores_equal_the_golden_labels() {
    let Some(golden) = shared("data/golden/resample.json").map(json) else { return };
    let working = Grid::new([3; 3], Affine::identity()).unwrap();
    let target = working.resized([6; 3], GridRule::HalfPixel).unwrap();
    let mut decider = Decider::new(&working, &target, &DecideOptions::new(vec![0, 1, 2, 3])).unwrap();
    decider.push(&floats(&golden["argmax_up2"]["scores"]), 3).unwrap();
    let labels: Vec<f32> = decider.finish().unwrap().data().iter().map(|&id| f32::from(id)).collect();
    assert_eq!(labels, floats(&golden["argmax_up2"]["labels"]));
}
