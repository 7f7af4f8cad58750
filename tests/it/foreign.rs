//! Networks of other projects with the descriptions in `examples/specs`, on a real head: the counts and labels that the
//! projects' own pipelines give, and the memory that was planned.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use unet_vol::formats::{self, ReadOptions};
use unet_vol::inference::{EngineChoice, Options};
use unet_vol::model::Model;
use unet_vol::pipeline::{Pipeline, PipelineBuilder};
use unet_vol::volume::LabelMap;
use unet_vol::{ErrorKind, Orientation, Volume};

use crate::support::{json, repository, shared};

/// What a run of the program gave.
struct Run {
    labels: LabelMap,
    manifest: Value,
}

fn files(model: &str) -> Option<[PathBuf; 2]> {
    let onnx = shared(&format!("data/models/{model}.onnx"))?;
    Some([onnx, repository(&format!("examples/specs/{model}.toml"))])
}

fn run(model: &str, more: &[&str]) -> Option<Run> {
    let [onnx, spec] = files(model)?;
    let study = shared("data/brain/t1_crop.nii.gz")?;
    let dir = tempfile::tempdir().unwrap();
    let [output, record] = ["labels.nii.gz", "manifest.json"].map(|name| dir.path().join(name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-vol"));
    command.arg("segment").arg(study).args(["-q", "--engine", "embedded"]).args(more);
    command.arg("--model").arg(onnx).arg("--spec").arg(spec).arg("-o").arg(&output).arg("--manifest").arg(&record);
    let done = command.env("HOME", dir.path()).output().unwrap();
    assert!(done.status.success(), "{model}: {}", String::from_utf8_lossy(&done.stderr));
    let labels = formats::read_labels(&output, &ReadOptions::new()).unwrap().labels;
    let manifest = json(record);
    let number = |value: &Value| value.as_u64().unwrap() >> 20;
    eprintln!(
        "{model}: {} tiles, {} MiB planned, {} MiB used, {} s",
        manifest["plan"]["tiles"],
        number(&manifest["plan"]["peak_bytes"]),
        number(&manifest["peak_rss_bytes"]),
        manifest["seconds"][2]["seconds"]
    );
    Some(Run { labels, manifest })
}

impl Run {
    fn bytes(&self) -> [u64; 2] {
        [&self.manifest["plan"]["peak_bytes"], &self.manifest["peak_rss_bytes"]].map(|v| v.as_u64().unwrap())
    }
}

fn counts(ids: &[u16]) -> Vec<usize> {
    let mut counts = vec![0; 1 << 16];
    ids.iter().for_each(|&id| counts[usize::from(id)] += 1);
    counts
}

/// Counts against `counts.json`, and Dice against the label volume of `volume`; tolerances are those stated there.
fn check(model: &str, key: &str, volume: Option<&str>, tolerance: f64, more: &[&str]) -> Option<Run> {
    let run = run(model, more)?;
    let expected = json(shared("data/brain/expected/counts.json")?);
    let found = counts(run.labels.ids.data());
    let wanted = expected[key].as_object().unwrap();
    for (id, want) in wanted {
        let (id, want) = (id.parse::<usize>().unwrap(), want.as_f64().unwrap());
        let apart = (found[id] as f64 - want).abs();
        let allowed = if want > 5000.0 { tolerance * want } else { 5.0 };
        assert!(apart <= allowed, "{model}: class {id} has {} voxels, not {want}", found[id]);
    }
    assert_eq!(found.iter().filter(|&&n| n > 0).count(), wanted.len(), "{model}");
    if let Some(volume) = volume {
        let file = shared(&format!("data/brain/expected/t1_crop_{volume}.nii.gz"))?;
        let reference = formats::read_labels(file, &ReadOptions::new()).unwrap().labels;
        assert!(reference.grid().matches(run.labels.grid()));
        let theirs = counts(reference.ids.data());
        let pairs = reference.ids.data().iter().zip(run.labels.ids.data());
        let both = counts(&pairs.map(|(a, b)| if a == b { *a } else { 0 }).collect::<Vec<_>>());
        for id in (1..1 << 16).filter(|&id| theirs[id] + found[id] > 0) {
            let dice = 2.0 * both[id] as f64 / (theirs[id] + found[id]) as f64;
            assert!(dice >= if theirs[id] > 5000 { 0.999 } else { 0.99 }, "{model}: class {id} has Dice {dice}");
        }
    }
    let [planned, used] = run.bytes();
    assert!(used <= planned, "{model}: {used} bytes were used and {planned} planned");
    Some(run)
}

/// Same weights as `niivue_gw3`, which wants the other order of axes. Its plan is not more than twice what it used.
#[test]
fn meshnet_gw3_light() {
    let Some(run) = check("meshnet_gw3_light", "meshnet_gw3_light", Some("meshnet_gw3_light"), 0.001, &[]) else {
        return;
    };
    let [planned, used] = run.bytes();
    assert!(planned <= 2 * used, "{used} bytes were used and {planned} planned");
}

#[test]
fn deepbrain() {
    check("deepbrain_v1", "deepbrain_v1", None, 0.005, &[]);
    check("deepbrain_v2", "deepbrain_v2", Some("deepbrain_v2"), 0.005, &[]);
}

#[test]
#[ignore = "minutes: make test-all"]
fn meshnet_gw3_light_in_tiles() {
    let more = ["--max-ram", "1500M"];
    let run = check("meshnet_gw3_light", "meshnet_gw3_light", Some("meshnet_gw3_light"), 0.0, &more);
    assert!(run.is_none_or(|run| run.manifest["plan"]["tiles"].as_u64().unwrap() > 1));
}

#[test]
#[ignore = "minutes: make test-all"]
fn niivue_gw3() {
    let key = "niivue_gw3 fed [Z,Y,X] (right)";
    check("niivue_gw3", key, Some("meshnet_gw3_light"), 0.001, &[]);
}

#[test]
#[ignore = "minutes: make test-all"]
fn meshnet_gw3() {
    check("meshnet_gw3", "meshnet_gw3", Some("meshnet_gw3"), 0.001, &[]);
}

#[test]
#[ignore = "minutes: make test-all"]
fn meshnet_subcort18() {
    check("meshnet_subcort18", "meshnet_subcort18", Some("meshnet_subcort18"), 0.001, &[]);
}

#[test]
#[ignore = "minutes: make test-all"]
fn meshnet_aparc50() {
    check("meshnet_aparc50", "meshnet_aparc50", Some("meshnet_aparc50"), 0.001, &[]);
}

#[test]
#[ignore = "minutes: make test-all"]
fn mindgrab() {
    check("mindgrab", "mindgrab", Some("mindgrab"), 0.001, &[]);
}

fn builder(model: &str) -> Option<PipelineBuilder> {
    let [onnx, spec] = files(model)?;
    let mut options = Options::default();
    options.engine = EngineChoice::Embedded;
    Some(Pipeline::builder(Model::open(&onnx, Some(&spec)).unwrap()).engine(options))
}

fn study() -> Option<Volume> {
    Some(formats::read(shared("data/brain/t1_crop.nii.gz")?, &ReadOptions::new()).unwrap().volume)
}

/// The network tells left from right by position: its labels lie on the right sides of the world, and stay there when
/// the same head is stored the other way round.
#[test]
#[ignore = "minutes: make test-all"]
fn meshnet_aparc104_knows_left_from_right_however_the_head_is_stored() {
    let Some(run) = check("meshnet_aparc104", "meshnet_aparc104", Some("meshnet_aparc104"), 0.001, &[]) else { return };
    let centroid = |id: u64| {
        let labels = run.manifest["labels"].as_array().unwrap();
        labels.iter().find(|label| label["id"] == id).unwrap()["centroid_mm"][0].as_f64().unwrap()
    };
    // Left and right thalamus and hippocampus.
    for (id, x) in [(69, -11.6), (70, 10.4), (77, -24.9), (78, 23.7)] {
        assert!((centroid(id) - x).abs() < 0.1, "label {id} lies at x = {} mm", centroid(id));
    }
    let study = study().unwrap();
    let native = study.grid().orientation();
    assert_eq!(native.to_string(), "LIA");
    let mirrored = study.reoriented(Orientation::RAS);
    let labels = builder("meshnet_aparc104").unwrap().build().unwrap().segment(&[mirrored]).unwrap().labels;
    assert_eq!(labels.grid().orientation(), Orientation::RAS);
    assert_eq!(labels.ids.reoriented(native).data(), run.labels.ids.data());
}

#[test]
fn plans_that_do_not_fit_are_cut_into_tiles_or_refused() {
    let (Some(study), Some(tiled), Some(whole)) = (study(), builder("meshnet_gw3_light"), builder("mindgrab")) else {
        return;
    };
    let plan = tiled.max_bytes(1 << 30).build().unwrap().plan(study.grid()).unwrap();
    assert!(plan.tiles > 1 && plan.peak_bytes <= 1 << 30);
    // Instance normalization looks at the whole volume: no tile of it is exact.
    let error = whole.max_bytes(1 << 30).build().unwrap().plan(study.grid()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.message().contains("bytes of memory"), "{error}");
}

/// Every description in `examples/specs` has a test here.
#[test]
fn no_description_is_forgotten() {
    let source = include_str!("foreign.rs");
    let mut seen = 0;
    for entry in std::fs::read_dir(repository("examples/specs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let model = name.strip_suffix(".toml").unwrap().to_owned();
        assert!(source.contains(&format!("check(\"{model}\"")), "{model} has no test");
        seen += 1;
    }
    assert_eq!(seen, 9);
}
