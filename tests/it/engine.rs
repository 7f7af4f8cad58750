//! The embedded engine against ONNX Runtime: golden values of each operator and of whole networks.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use unet_vol::inference::embedded::Engine;
use unet_vol::inference::{Precision, Predictor, TensorView};
use unet_vol::model::graph::Graph;

use crate::support::{repository, shared};

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

/// Cases of the operators folder that this engine refuses or whose batch axis moves, so that it sees another shape.
const NOT_FOR_A_BATCH: [&str; 7] =
    ["transpose_default", "flatten", "squeeze13", "squeeze11", "expand", "conv2d_k19", "shape_arithmetic"];

#[test]
fn operators_agree_with_onnx_runtime() {
    let (ran, wrong) = walk(&repository("testdata/onnx/operators"));
    let wrong: Vec<_> = wrong
        .into_iter()
        .filter(|text| !NOT_FOR_A_BATCH.iter().any(|name| text.starts_with(&format!("{name}:"))))
        .collect();
    assert!(wrong.is_empty(), "{ran} ran, {} did not:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 220, "only {ran} ran");
}

/// Among the cases of [`operators_agree_with_onnx_runtime`] is every operator that U-Nets are made of.
#[test]
fn no_operator_is_without_a_case() {
    const WANTED: &str = "Conv ConvTranspose MaxPool AveragePool BatchNormalization InstanceNormalization Relu LeakyRelu \
        GroupNormalization PRelu Elu Gelu Erf Sigmoid Softmax Add Mul Sub Div Concat Slice Pad Resize Cast Squeeze \
        Unsqueeze Transpose Reshape Shape Gather Split Flatten Expand Tanh Clip Selu Softplus HardSwish HardSigmoid Mish";
    let files = std::fs::read_dir(repository("testdata/onnx/operators")).unwrap();
    let models = files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "onnx"));
    let graphs: Vec<Graph> = models.map(|path| Graph::load(&path).unwrap()).collect();
    let tested: BTreeSet<&str> = graphs.iter().flat_map(|graph| graph.operators().into_keys()).collect();
    let missing: Vec<_> = WANTED.split_whitespace().filter(|operator| !tested.contains(operator)).collect();
    assert!(missing.is_empty(), "{missing:?} are in no case; there are {tested:?}");
}

#[test]
fn networks_agree_with_onnx_runtime() {
    let (ran, wrong) = walk(&repository("testdata/onnx/networks"));
    assert!(wrong.is_empty(), "{ran} ran, {} did not:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 20, "only {ran} ran");
}

#[test]
fn operators_without_a_kernel_are_named() {
    let engine = Engine::load(&repository("testdata/onnx/operators/conv2d_k19.onnx"), Precision::Fp32).unwrap();
    let shape: Vec<usize> = engine.input().shape.iter().map(|n| n.unwrap_or(9)).collect();
    let error = engine.output_shape(&shape).unwrap_err();
    assert_eq!(error.kind(), unet_vol::ErrorKind::Model);
    assert!(
        error.message().contains("Conv")
            && error.message().contains("361 taps")
            && error.advice().unwrap().contains("--engine onnxruntime"),
        "{error}"
    );
}

fn noise(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 65536.0).collect()
}

/// The same bytes for one thread and three, for a batch and its samples alone, and from several callers at once.
#[test]
fn scores_depend_on_neither_threads_nor_batch_nor_neighbors() {
    let engine =
        Engine::load(&repository("testdata/onnx/networks/nnunet3d_torchscript.onnx"), Precision::Fp32).unwrap();
    let channels = engine.input().shape[1].unwrap_or(1);
    let (one, batch) = ([1, channels, 16, 32, 16], [3, channels, 16, 32, 16]);
    let data = noise(batch.iter().product());
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let together = pool(1).install(|| predict(&engine, &batch, &data));
    assert_eq!(together, pool(3).install(|| predict(&engine, &batch, &data)));
    let apart: Vec<f32> = std::thread::scope(|scope| {
        let chunks = data.chunks(data.len() / 3);
        let threads: Vec<_> = chunks.map(|data| scope.spawn(|| predict(&engine, &one, data))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(together, apart);
    assert_eq!(engine.working_bytes(&one).unwrap(), engine.working_bytes(&batch).unwrap());
    let wrong = TensorView { shape: &one, data: &data };
    assert!(engine.predict(wrong, &mut vec![0.0; together.len() / 3]).is_err());
}

/// Two engines of one graph, of which the first has packed the weights before the second comes.
#[test]
fn a_graph_gives_its_weights_to_several_engines() {
    let graph = Graph::load(&repository("testdata/onnx/networks/nnunet3d_torchscript.onnx")).unwrap();
    let (copy, stored) = (graph.clone(), 4 * graph.parameters());
    let engine = Engine::new(graph, Precision::Fp32).unwrap();
    let before = engine.weight_bytes().unwrap();
    assert!((stored..stored + stored / 10).contains(&before), "{before} bytes of {stored}");
    let shape = [1, engine.input().shape[1].unwrap_or(1), 16, 32, 16];
    let scores = predict(&engine, &shape, &noise(shape.iter().product()));
    assert_ne!(engine.weight_bytes().unwrap(), before);
    let engine = Engine::new(copy, Precision::Fp32).unwrap();
    assert_eq!(predict(&engine, &shape, &noise(shape.iter().product())), scores);
}

/// bfloat16 only where the processor has it, with scores within 2 % of the largest.
#[test]
fn bfloat16_is_close_or_refused() {
    let path = repository("testdata/onnx/networks/nnunet3d_torchscript.onnx");
    let exact = Engine::load(&path, Precision::Fp32).unwrap();
    let shape = [1, exact.input().shape[1].unwrap_or(1), 16, 32, 48];
    let data = noise(shape.iter().product());
    match Engine::load(&path, Precision::Bf16) {
        Ok(engine) => {
            assert_eq!(engine.backend().provider, "avx512_bf16");
            let scores = predict(&engine, &shape, &data);
            let apart = difference(&scores, &predict(&exact, &shape, &data));
            assert!(apart > 0.0 && apart < 0.02, "{apart}");
        }
        Err(error) => assert!(error.message().contains("bfloat16"), "{error}"),
    }
}

/// An array of an uncompressed or deflated `.npz` file.
fn array(path: &Path, name: &str) -> (Vec<usize>, Vec<u8>) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(&format!("{name}.npy")).unwrap(), &mut bytes).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]])) + 10;
    let text = String::from_utf8_lossy(&bytes[10..header]).into_owned();
    let inside = text.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    let shape = inside.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    (shape, bytes.split_off(header))
}

/// The trained brain network on its golden head: the same labels but for ties, and the logits of one plane.
#[test]
fn brain_network_gives_its_golden_labels() {
    let Some((model, golden)) = shared("models/brain_v0.onnx").zip(shared("models/brain_v0_golden.npz")) else {
        return;
    };
    let (size, image) = array(&golden, "image");
    let data: Vec<f32> = image.iter().map(|&v| f32::from(v) / 255.0).collect();
    let engine = Engine::load(&model, Precision::Fp32).unwrap();
    let scores = predict(&engine, &[1, 1, size[0], size[1], size[2]], &data);
    let (voxels, expected) = (data.len(), array(&golden, "argmax").1);
    let best = |v: usize| (0..33).fold(0, |a, c| if scores[c * voxels + v] > scores[a * voxels + v] { c } else { a });
    let different = (0..voxels).filter(|&v| best(v) != usize::from(expected[v])).count();
    assert!(different * 10_000 < voxels, "{different} of {voxels} labels differ");
    let (slice, bytes) = array(&golden, "logits_slice");
    let mut stored = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
    for c in 0..slice[0] {
        for (j, k) in (0..slice[1]).flat_map(|j| (0..slice[2]).map(move |k| (4 * j, 4 * k))) {
            let ours = scores[((c * size[0] + size[0] / 2) * size[1] + j) * size[2] + k];
            assert!((ours - stored.next().unwrap()).abs() < 2e-3, "class {c} at {j}, {k}");
        }
    }
}

/// Every model of the developers' collection runs, also one that wants a fixed size (which is only planned here).
#[test]
fn foreign_models_run() {
    let Some(folder) = shared("data/models") else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let engine = Engine::load(&path, Precision::Fp32).unwrap();
        let shape: Vec<usize> =
            engine.input().shape.iter().zip([1, 1, 16, 24, 16]).map(|(n, free)| n.unwrap_or(free)).collect();
        assert!(engine.working_bytes(&shape).unwrap() > 0);
        if shape[2] == 16 {
            let scores = predict(&engine, &shape, &noise(shape.iter().product()));
            assert!(scores.iter().all(|score| score.is_finite()), "{}", path.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}
