//! The engines that open a library at run time, against the golden values of a trained network.
//!
//! Libraries are found as the program finds them (an active Python environment with `onnxruntime` and `openvino` will
//! do); where there is none, or no shared data, a test says so and ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking and say what is skipped"
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use unet_vol::ErrorKind;
use unet_vol::inference::{
    Device, EngineChoice, ModelFile, Options, Precision, Predictor, Reference, TensorView, open, survey, verify,
};

use crate::support::shared;

fn options(engine: EngineChoice) -> Options {
    let mut options = Options::default();
    options.engine = engine;
    options
}

/// Options for an engine whose library is on this machine.
fn available(engine: EngineChoice) -> Option<Options> {
    let options = options(engine);
    if survey(&options).iter().any(|status| status.engine == engine && status.available) {
        return Some(options);
    }
    eprintln!("skipped: no library of {engine} is on this machine");
    None
}

fn model() -> Option<PathBuf> {
    shared("models/brain_v0.onnx")
}

/// One array of an `.npz` file: its shape and raw little-endian bytes (NumPy's `format` module, version 1).
fn array(npz: &Path, name: &str) -> (Vec<usize>, Vec<u8>) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(npz).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01"));
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(header.contains("'fortran_order': False"));
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    (shape, bytes[end..].to_vec())
}

/// The golden head: shape of the input, input, label of each voxel.
fn golden() -> Option<(Vec<usize>, Vec<f32>, Vec<u16>)> {
    let npz = shared("models/brain_v0_golden.npz")?;
    let (spatial, image) = array(&npz, "image");
    let labels = array(&npz, "argmax").1.into_iter().map(u16::from).collect();
    let image = image.into_iter().map(|value| f32::from(value) / 255.0).collect();
    Some(([&[1, 1], spatial.as_slice()].concat(), image, labels))
}

fn run(engine: &dyn Predictor, shape: &[usize], data: &[f32]) -> Vec<f32> {
    let mut scores = vec![0.0; engine.output_shape(shape).unwrap().iter().product()];
    engine.predict(TensorView { shape, data }, &mut scores).unwrap();
    scores
}

fn labels(scores: &[f32], classes: usize) -> Vec<u16> {
    let voxels = scores.len() / classes;
    let score = |class: usize, voxel: usize| scores[class * voxels + voxel];
    let best =
        |voxel| (1..classes).fold(0, |best, class| if score(class, voxel) > score(best, voxel) { class } else { best });
    (0..voxels).map(|voxel| u16::try_from(best(voxel)).unwrap()).collect()
}

fn agreement(a: &[u16], b: &[u16]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

/// Values in 0..1 without a pattern that a network could cancel.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn both_libraries_give_the_golden_labels_and_scores() {
    let (Some(model), Some((shape, image, expected))) = (model(), golden()) else { return };
    let npz = shared("models/brain_v0_golden.npz").unwrap();
    let (_, slice) = array(&npz, "logits_slice");
    let slice: Vec<f32> = slice.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    for engine in [EngineChoice::OnnxRuntime, EngineChoice::OpenVino] {
        let Some(options) = available(engine) else { continue };
        let (predictor, notes) = open(&ModelFile::Path(&model), &options).unwrap();
        assert!(notes.is_empty());
        assert_eq!(predictor.input().shape, [None, Some(1), None, None, None]);
        assert_eq!(predictor.output().shape[1], Some(33));
        let backend = predictor.backend();
        assert_eq!((backend.engine.as_str(), backend.precision), (engine.to_string().as_str(), Precision::Fp32));
        assert!(
            backend.library.as_ref().unwrap().is_absolute() && backend.library_sha256.as_ref().unwrap().len() == 64
        );
        let scores = run(&*predictor, &shape, &image);
        assert!(agreement(&labels(&scores, 33), &expected) >= 0.9999, "{engine}");

        let [_, _, x, y, z] = shape[..] else { panic!("{shape:?}") };
        let mut largest = 0_f32;
        let picked =
            (0..33).flat_map(|c| (0..y).step_by(4).flat_map(move |j| (0..z).step_by(4).map(move |k| (c, j, k))));
        for ((c, j, k), golden) in picked.zip(&slice) {
            largest = largest.max((scores[((c * x + x / 2) * y + j) * z + k] - golden).abs());
        }
        assert_eq!(slice.len(), 33 * y.div_ceil(4) * z.div_ceil(4));
        assert!(largest < 2e-3, "{engine}: {largest}");
        let working = predictor.working_bytes(&shape).unwrap() >> 20;
        assert!((400..800).contains(&working), "{engine}: {working} MiB");
    }
}

#[test]
fn onnxruntime_is_equal_to_the_bit_over_threads_and_batches() {
    let (Some(model), Some(options)) = (model(), available(EngineChoice::OnnxRuntime)) else { return };
    let bytes = std::fs::read(model).unwrap();
    let model = ModelFile::Bytes { name: "brain_v0", bytes: &bytes };
    let image = noise(2 * 48 * 32 * 64);
    let with = |threads: usize, shape: &[usize], image: &[f32]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&*open(&model, &options).unwrap().0, shape, image))
    };
    let both = with(2, &[2, 1, 48, 32, 64], &image);
    let (first, second) = image.split_at(image.len() / 2);
    let one = with(1, &[1, 1, 48, 32, 64], first);
    assert!(one == both[..one.len()]);
    assert!(with(2, &[1, 1, 48, 32, 64], second) == both[one.len()..]);
}

#[test]
fn openvino_takes_changing_shapes_and_bf16_only_when_asked() {
    let (Some(model), Some(mut options)) = (model(), available(EngineChoice::OpenVino)) else { return };
    let (small, large) = (noise(32 * 32 * 32), noise(48 * 32 * 64));
    let (exact, _) = open(&ModelFile::Path(&model), &options).unwrap();
    let first = run(&*exact, &[1, 1, 32, 32, 32], &small);
    run(&*exact, &[1, 1, 48, 32, 64], &large);
    assert!(first == run(&*exact, &[1, 1, 32, 32, 32], &small));
    options.precision = Precision::Bf16;
    match open(&ModelFile::Path(&model), &options) {
        Ok((coarse, _)) => {
            assert_eq!(coarse.backend().precision, Precision::Bf16);
            assert!(first != run(&*coarse, &[1, 1, 32, 32, 32], &small));
            options.engine = EngineChoice::Auto;
            assert_eq!(open(&ModelFile::Path(&model), &options).unwrap().0.backend(), coarse.backend());
        }
        Err(error) => assert!(error.message().contains("bf16"), "{error}"),
    }
    options.engine = EngineChoice::OnnxRuntime;
    if available(EngineChoice::OnnxRuntime).is_some() {
        assert_eq!(open(&ModelFile::Path(&model), &options).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn bad_models_and_shapes_are_sentences() {
    let Some(path) = model() else { return };
    for engine in [EngineChoice::OnnxRuntime, EngineChoice::OpenVino] {
        let Some(options) = available(engine) else { continue };
        let text = ModelFile::Bytes { name: "notes.txt", bytes: b"this is not a model" };
        let error = open(&text, &options).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Model, Some(Path::new("notes.txt"))), "{error}");
        let missing = open(&ModelFile::Path(Path::new("none.onnx")), &options).unwrap_err();
        assert_eq!((missing.kind(), missing.message()), (ErrorKind::Malformed, "there is no such file"));
        let (predictor, _) = open(&ModelFile::Path(&path), &options).unwrap();
        assert!(predictor.output_shape(&[1, 2, 32, 32, 32]).unwrap_err().message().contains("? x 1 x ? x ? x ?"));
        let image = noise(33 * 33 * 33);
        let mut scores = vec![0.0; 33 * image.len()];
        let error =
            predictor.predict(TensorView { shape: &[1, 1, 33, 33, 33], data: &image }, &mut scores).unwrap_err();
        assert!(error.message().contains("1 x 1 x 33 x 33 x 33"), "{error}");
        scores.pop();
        assert!(predictor.predict(TensorView { shape: &[1, 1, 33, 33, 33], data: &image }, &mut scores).is_err());
        let again = noise(32 * 32 * 32);
        assert!(run(&*predictor, &[1, 1, 32, 32, 32], &again).iter().all(|score| score.is_finite()));
    }
}

#[test]
fn a_named_cuda_device_is_had_or_refused() {
    let (Some(model), Some(mut options)) = (model(), available(EngineChoice::OnnxRuntime)) else { return };
    options.device = Device::Cuda(0);
    match open(&ModelFile::Path(&model), &options) {
        Ok((predictor, _)) => assert_eq!(predictor.backend().provider, "CUDAExecutionProvider"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.message().contains("CUDA device 0"), "{error}");
            assert!(error.advice().unwrap().contains("runtime install cuda"));
        }
    }
}

#[test]
fn missing_foreign_and_second_libraries_are_sentences() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let refused = |engine, library: &Path| {
        let mut options = options(engine);
        options.onnxruntime_path = Some(library.to_owned());
        options.openvino_path = Some(library.to_owned());
        let error = open(&ModelFile::Path(&model), &options).unwrap_err();
        assert!(error.path().is_some() && error.advice().is_some(), "{error:?}");
        error.message().to_owned()
    };
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libc = maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("/libc.so"));
    for engine in [EngineChoice::OnnxRuntime, EngineChoice::OpenVino] {
        assert!(refused(engine, &folder.path().join("none.so")).contains("is not here"));
        assert!(refused(engine, folder.path()).contains("is not in this folder"));
        assert!(refused(engine, &text).contains("not a whole shared library"));
        if let Some(libc) = libc {
            assert!(refused(engine, Path::new(libc)).contains("does not export"));
        }
        let Some(status) = survey(&options(engine)).into_iter().find(|s| s.engine == engine && s.available) else {
            continue;
        };
        let library = status.library.unwrap();
        let copy = folder.path().join(library.file_name().unwrap());
        std::fs::copy(&library, &copy).unwrap();
        assert!(refused(engine, &copy).contains("a process has one"));
    }
}

/// Networks of other families: dilated convolutions, batch and instance normalization, a sigmoid as the output.
#[test]
fn engines_agree_on_foreign_models() {
    let (Some(folder), Some((shape, image, _))) = (shared("data/models"), golden()) else { return };
    let (Some(reference), Some(other)) = (available(EngineChoice::OnnxRuntime), available(EngineChoice::OpenVino))
    else {
        return;
    };
    let [_, _, x, y, z] = shape[..] else { panic!("{shape:?}") };
    let side = 48;
    let rows = (0..side).flat_map(|i| (0..side).map(move |j| (i, j)));
    let row = |(i, j)| ((x - side) / 2 + i) * y * z + ((y - side) / 2 + j) * z + (z - side) / 2;
    let middle: Vec<f32> = rows.map(row).flat_map(|start| image[start..start + side].iter().copied()).collect();
    let cube = [1, 1, side, side, side];
    let names = ["meshnet_gw3_light", "meshnet_subcort18", "mindgrab", "deepbrain_v1"];
    let seen = names.map(|name| folder.join(name).with_extension("onnx")).into_iter().filter(|path| path.exists());
    let seen = seen.inspect(|path| {
        let scores = |options| run(&*open(&ModelFile::Path(path), options).unwrap().0, &cube, &middle);
        let (a, b) = (scores(&reference), scores(&other));
        let classes = a.len() / middle.len();
        let labels = |scores: &[f32]| match classes {
            1 => scores.iter().map(|&p| u16::from(p > 0.5)).collect(),
            _ => labels(scores, classes),
        };
        let same = agreement(&labels(&a), &labels(&b));
        let largest = a.iter().fold(0_f32, |max, score| max.max(score.abs()));
        let difference = a.iter().zip(&b).fold(0_f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(same >= 0.999 && difference <= 1e-3 * largest, "{}: {same}, {difference} of {largest}", path.display());
    });
    assert_eq!(seen.count(), names.len());
}

/// Runs an ignored test of this file in a process of its own, with an empty cache and other variables.
fn in_child(test: &str, cache: &Path, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("runtimes::{test}"), "--ignored", "--nocapture"]);
    command.env("XDG_CACHE_HOME", cache).env("LOCALAPPDATA", cache).env(CHILD, "1");
    let out = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

const CHILD: &str = "UNET_VOL_TEST_CHILD";

#[test]
fn auto_takes_a_library_only_after_its_proof() {
    in_child("child_proof", tempfile::tempdir().unwrap().path(), &[]);
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn child_proof() {
    let (Some(path), true) = (model(), std::env::var_os(CHILD).is_some()) else { return };
    let (Some(reference), Some(candidate)) = (available(EngineChoice::OnnxRuntime), available(EngineChoice::OpenVino))
    else {
        return;
    };
    let model = ModelFile::Path(&path);
    let engine = || {
        let (predictor, notes) = open(&model, &Options::default()).unwrap();
        (predictor.backend().engine.clone(), notes)
    };
    let (before, notes) = engine();
    assert_ne!(before, "openvino");
    assert!(notes.iter().any(|note| note.message.contains("models verify")), "{notes:?}");

    let image = noise(64 * 64 * 64);
    let input = TensorView { shape: &[1, 1, 64, 64, 64], data: &image };
    let (reference, _) = open(&model, &reference).unwrap();
    let proof = verify(&model, &candidate, input, Reference::Engine(&*reference)).unwrap();
    assert!(proof.passed && proof.agreement >= 0.999 && proof.max_difference.unwrap() < 1e-2, "{proof:?}");
    if proof.seconds < proof.reference_seconds.unwrap() {
        assert_eq!(engine().0, "openvino");
    }

    let wrong = vec![7; 64 * 64 * 64];
    let refused = verify(&model, &candidate, input, Reference::Labels(&wrong)).unwrap();
    assert!(!refused.passed);
    let (after, notes) = engine();
    assert_ne!(after, "openvino");
    assert!(notes.iter().any(|note| note.message.contains("too few")), "{notes:?}");
    assert!(verify(&model, &options(EngineChoice::Embedded), input, Reference::Labels(&wrong)).is_err());
}

#[test]
fn a_named_variable_is_the_only_place() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.so").to_string_lossy().into_owned();
    in_child("child_variable", folder.path(), &[("ORT_DYLIB_PATH", &none), ("UNET_VOL_OPENVINO", &none)]);
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn child_variable() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    for (engine, variable) in
        [(EngineChoice::OnnxRuntime, "ORT_DYLIB_PATH"), (EngineChoice::OpenVino, "UNET_VOL_OPENVINO")]
    {
        let model = ModelFile::Bytes { name: "m", bytes: b"" };
        let error = open(&model, &options(engine)).unwrap_err();
        assert!(error.path().unwrap().ends_with("none.so"));
        assert!(error.advice().unwrap().contains(variable), "{error:?}");
    }
}

#[test]
fn a_machine_without_libraries_is_told_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = [("VIRTUAL_ENV", ""), ("CONDA_PREFIX", ""), ("ORT_DYLIB_PATH", ""), ("UNET_VOL_OPENVINO", "")];
    in_child("child_nothing", folder.path(), &nowhere);
    in_child("child_advice", folder.path(), &nowhere);
    in_child("child_advice", folder.path(), &[&nowhere[..], &[("UNET_VOL_SIMD", "portable")]].concat());
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn child_advice() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let all = survey(&Options::default());
    if all.iter().any(|status| status.engine == EngineChoice::OpenVino && status.available) {
        eprintln!("OpenVINO is installed for the whole system");
        return;
    }
    let embedded = all.iter().find(|status| status.engine == EngineChoice::Embedded).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/weights/brain-mri.onnx");
    let (_, notes) = open(&ModelFile::Path(&path), &Options::default()).unwrap();
    let advised = notes.iter().any(|note| note.message.contains("runtime install openvino"));
    assert_eq!(advised, !embedded.devices.iter().any(|device| device.contains("avx512")), "{notes:?}");
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn child_nothing() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    for status in survey(&Options::default()).iter().filter(|status| status.engine != EngineChoice::Embedded) {
        if status.available {
            eprintln!("{} is installed for the whole system", status.engine);
            continue;
        }
        assert!(status.summary.contains("unet-vol runtime install"), "{status:?}");
        assert!(status.passed_over.len() >= 3, "{status:?}");
    }
}
