//! The embedded engine against ONNX Runtime: golden values of each operator and of whole networks.

use std::path::Path;

use serde_json::Value;
use unet_vol::inference::embedded::Engine;
use unet_vol::inference::{Precision, Predictor, TensorView};

use crate::support::repository;

/// Largest difference over the largest score.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().filter(|v| v.is_finite()).fold(1e-6_f32, |a, b| a.max(b.abs()));
    let apart =
        |(a, b): (&f32, &f32)| if a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    ours.iter().zip(theirs).map(apart).fold(0.0, |a: f32, b| if b.is_nan() { f32::INFINITY } else { a.max(b) })
        / largest
}

fn shape(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| usize::try_from(n.as_u64().unwrap()).unwrap()).collect()
}

fn predict(engine: &Engine, shape: &[usize], data: &[f32]) -> Vec<f32> {
    let len = engine.output_shape(shape).unwrap().iter().product();
    let mut scores = vec![f32::NAN; len];
    engine.predict(TensorView { shape, data }, &mut scores).unwrap();
    scores
}

/// Runs every case of a folder that has one input; returns how many ran, and what went wrong.
fn walk(folder: &Path) -> (usize, Vec<String>) {
    let cases: Value = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let (mut ran, mut wrong) = (0, Vec::new());
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let runs: Vec<_> = case["runs"].as_array().unwrap().iter().filter(|run| run["values"] == true).collect();
        if runs.iter().any(|run| run["inputs"].as_array().unwrap().len() != 1) || runs.is_empty() {
            continue;
        }
        let engine = match Engine::load(&folder.join(format!("{name}.onnx")), Precision::Fp32) {
            Ok(engine) => engine,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let bytes = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
        let mut values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        for run in runs {
            let input = shape(&run["inputs"][0]);
            let data: Vec<f32> = values.by_ref().take(input.iter().product()).collect();
            let outputs = run["outputs"].as_array().unwrap();
            let stored: Vec<Vec<f32>> =
                outputs.iter().map(|o| values.by_ref().take(shape(o).iter().product()).collect()).collect();
            match engine.output_shape(&input) {
                Err(error) => wrong.push(format!("{name}: {error}")),
                Ok(output) if output != shape(&outputs[0]) => wrong.push(format!("{name}: shape {output:?}")),
                Ok(_) => {
                    let apart = difference(&predict(&engine, &input, &data), &stored[0]);
                    if apart > 1e-4 || apart.is_nan() {
                        wrong.push(format!("{name} {input:?}: {apart}"));
                    }
                    ran += 1;
                }
            }
        }
    }
    (ran, wrong)
}

#[test]
fn operators_agree_with_onnx_runtime() {
    let (ran, wrong) = walk(&repository("testdata/onnx/operators"));
    assert!(wrong.is_empty(), "{ran} ran, {} did not:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn networks_agree_with_onnx_runtime() {
    let (ran, wrong) = walk(&repository("testdata/onnx/networks"));
    assert!(wrong.is_empty(), "{ran} ran, {} did not:\n{}", wrong.len(), wrong.join("\n"));
}
