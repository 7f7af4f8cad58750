//! Percentiles and normalization against golden values of NumPy.

use unet_vol::intensity::{Normalization, Over, PercentileRule, Step};

use crate::support::{floats, json, shared};

/// The percentile by way of its effect: the end of the range that a clip to `[q, 100]`, or `[0, q]`, leaves.
fn percentile(values: &[f32], percent: f64) -> f32 {
    let mut clipped = values.to_vec();
    let upper = percent >= 50.0;
    let (low_percent, high_percent) = if upper { (0.0, percent) } else { (percent, 100.0) };
    let step = Step::ClipPercentiles { low_percent, high_percent, rule: PercentileRule::Linear, over: Over::All };
    Normalization::new(vec![step]).apply(&mut clipped, None).unwrap();
    let (start, choose): (f32, fn(f32, f32) -> f32) =
        if upper { (f32::NEG_INFINITY, f32::max) } else { (f32::INFINITY, f32::min) };
    clipped.into_iter().fold(start, choose)
}

#[test]
fn percentiles_equal_those_of_numpy() {
    let Some(golden) = shared("data/golden/stats.json").map(json) else { return };
    let cases = golden["percentile_linear"].as_array().unwrap();
    for case in cases {
        let (values, wanted) = (floats(&case["a"]), floats(&case["v"])[0]);
        let range = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let found = percentile(&values, case["q"].as_f64().unwrap());
        assert!((found - wanted).abs() <= 2e-7 * range, "{case}: {found}");
    }
    assert_eq!(cases.len(), 77);
    let random = floats(&golden["random50"]);
    for (percent, wanted) in golden["random50_percentiles"].as_object().unwrap() {
        let found = percentile(&random, percent.parse().unwrap());
        assert!((found - floats(wanted)[0]).abs() < 2e-5, "{percent}: {found}");
    }
}

#[test]
fn the_z_score_equals_that_of_numpy() {
    let Some(golden) = shared("data/golden/stats.json").map(json) else { return };
    let mut values = floats(&golden["random50"]);
    Normalization::new(vec![Step::ZScore { over: Over::All, epsilon: 1e-8 }]).apply(&mut values, None).unwrap();
    for (found, wanted) in values.iter().zip(floats(&golden["zscore"]["first3_ddof0"])) {
        assert!((found - wanted).abs() < 1e-6);
    }
}
