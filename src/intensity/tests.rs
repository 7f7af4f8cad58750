//! What the documentation states for each step, a constant image, an empty mask and values that are not finite.

use super::*;
use crate::geometry::{Affine, Grid};

const RESCALE: Step = Step::RescalePercentiles {
    low_percent: 5.0,
    high_percent: 95.0,
    rule: PercentileRule::Lower,
    clip: true,
    over: Over::InField,
    epsilon: 1e-6,
};

fn applied(step: Step, values: &[f32]) -> (Vec<f32>, NormalizationReport) {
    let mut values = values.to_vec();
    let report = Normalization::new(vec![step]).apply(&mut values, None).unwrap();
    (values, report)
}

/// Five voxels along i of which a source of three covers the middle.
fn middle() -> Field {
    let grid = Grid::new([5, 1, 1], Affine::identity()).unwrap();
    Field::of(&grid, &grid.window([1.0, 0.0, 0.0], [3, 1, 1]).unwrap()).unwrap()
}

#[test]
fn steps_do_what_their_formulas_say() {
    let values = [-4.0, 0.0, 2.0, 6.0];
    assert_eq!(applied(Step::Clip { low: -1.0, high: 3.0 }, &values).0, [-1.0, 0.0, 2.0, 3.0]);
    assert_eq!(applied(Step::Window { center: 0.0, width: 8.0 }, &values).0, [0.0, 0.5, 0.75, 1.0]);
    assert_eq!(applied(Step::Fixed { mean: 2.0, std: 4.0 }, &values).0, [-1.5, -0.5, 0.0, 1.0]);
    assert_eq!(applied(Step::Divide { by: 2.0 }, &values).0, [-2.0, 0.0, 1.0, 3.0]);
    assert_eq!(applied(Step::MinMax { over: Over::All }, &values).0, [0.0, 0.4, 0.6, 1.0]);
    assert_eq!(applied(Step::ScaleByMax { over: Over::All }, &values).0, [-4.0 / 6.0, 0.0, 2.0 / 6.0, 1.0]);
    let step =
        Step::ClipPercentiles { low_percent: 0.0, high_percent: 50.0, rule: PercentileRule::Linear, over: Over::All };
    assert_eq!(applied(step, &values).0, [-4.0, 0.0, 1.0, 1.0]);
    let (scores, _) = applied(Step::ZScore { over: Over::All, epsilon: 1e-8 }, &values);
    assert!((scores.iter().sum::<f32>()).abs() < 1e-6 && (scores[3] - 5.0 / 13.0_f32.sqrt()).abs() < 1e-6);
    let (scores, _) = applied(Step::ZScore { over: Over::Nonzero, epsilon: 1e-8 }, &[0.0, 1.0, 3.0]);
    assert_eq!(scores, [0.0, -1.0, 1.0]);
}

#[test]
fn statistics_look_at_the_field_and_the_outside_is_set() {
    let mut values = [900.0, 10.0, 20.0, 30.0, -900.0];
    let normalization = Normalization::new(vec![RESCALE]).with_outside(0.0);
    normalization.apply(&mut values, Some(&middle())).unwrap();
    assert_eq!(values, [0.0, 0.0, 1.0, 1.0, 0.0]);
    let mut values = [900.0, 10.0, 20.0, 30.0, -900.0];
    Normalization::new(vec![Step::MinMax { over: Over::InField }]).apply(&mut values, Some(&middle())).unwrap();
    assert_eq!(values, [44.5, 0.0, 0.5, 1.0, -45.5]);
    assert!(normalization.apply(&mut [0.0; 4], Some(&middle())).is_err());
}

#[test]
fn a_constant_image_becomes_zero_and_is_reported() {
    for step in [RESCALE, Step::MinMax { over: Over::All }, Step::ZScore { over: Over::All, epsilon: 1e-8 }] {
        let (values, report) = applied(step, &[7.0; 3]);
        assert_eq!(values, [0.0; 3]);
        assert!(report.constant);
        assert_eq!(report.warnings()[0].code, "constant-image");
    }
}

#[test]
fn an_empty_mask_changes_nothing_and_is_reported() {
    for step in [Step::MinMax { over: Over::Nonzero }, Step::ZScore { over: Over::Nonzero, epsilon: 1e-8 }] {
        let (values, report) = applied(step, &[0.0; 3]);
        assert_eq!(values, [0.0; 3]);
        assert!(report.empty && !report.constant);
        assert_eq!(report.warnings()[0].code, "empty-mask");
    }
}

#[test]
fn values_that_are_not_finite_are_counted_and_replaced_or_refused() {
    let mut values = [f32::NAN, 3.0, f32::INFINITY, -2.0, f32::NEG_INFINITY];
    let normalization = Normalization::default();
    let refusing = normalization.clone().with_non_finite(NonFinitePolicy::Refuse);
    assert_eq!(refusing.apply(&mut values, None).unwrap_err().kind(), crate::ErrorKind::Malformed);
    let report = normalization.apply(&mut values, None).unwrap();
    assert_eq!(values, [-2.0, 3.0, -2.0, -2.0, -2.0]);
    assert_eq!((report.nan, report.infinite), (1, 2));
    assert_eq!(report.warnings().len(), 1);
    let mut values = [f32::NAN; 2];
    normalization.apply(&mut values, None).unwrap();
    assert_eq!(values, [0.0; 2]);
}

#[test]
fn a_description_is_read_by_name_and_mistakes_are_refused() {
    let text = "outside = 0.0\n[[steps]]\nkind = \"rescale-percentiles\"\nlow_percent = 0.5\nhigh_percent = 99.5\nrule = \"lower\"\nclip = true\nover = \"in-field\"\n[[steps]]\nkind = \"z-score\"\n";
    let normalization: Normalization = toml::from_str(text).unwrap();
    assert_eq!(normalization.steps[1], Step::ZScore { over: Over::All, epsilon: 1e-8 });
    assert_eq!(toml::from_str::<Normalization>(&toml_of(&normalization)).unwrap(), normalization);
    assert!(toml::from_str::<Normalization>("[[steps]]\nkind = \"min-max\"\nmin = 3").is_err());
    assert!(toml::from_str::<Normalization>("[[steps]]\nkind = \"zscore\"").is_err());
    for step in [
        Step::Divide { by: 0.0 },
        Step::Fixed { mean: f32::NAN, std: 1.0 },
        Step::Window { center: 0.0, width: -1.0 },
        Step::Clip { low: 1.0, high: 0.0 },
    ] {
        assert_eq!(Normalization::new(vec![step]).check().unwrap_err().kind(), crate::ErrorKind::Model);
    }
}

/// Writes what TOML would hold, by way of JSON, which the crate can write.
fn toml_of(normalization: &Normalization) -> String {
    let value = serde_json::to_value(normalization).unwrap();
    let mut text =
        format!("outside = {:?}\nnon_finite = {}\n", value["outside"].as_f64().unwrap(), value["non_finite"]);
    for step in value["steps"].as_array().unwrap() {
        text.push_str("[[steps]]\n");
        for (key, value) in step.as_object().unwrap() {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let values: Vec<f32> = (0..200_000_u32).map(|n| f32::from((n.wrapping_mul(2_654_435_761) >> 17) as u16)).collect();
    let normalization = Normalization::new(vec![RESCALE, Step::ZScore { over: Over::Nonzero, epsilon: 1e-8 }]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut values = values.clone();
        pool.install(|| normalization.apply(&mut values, None)).unwrap();
        values
    };
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(run(1)), bits(run(3)));
}
