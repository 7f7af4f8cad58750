//! The program as its user calls it: exit codes, files, messages. What the stages compute is tested elsewhere.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::repository;

/// A call of the program with a home of its own, so that no cache of this machine's user takes part.
struct Call {
    command: Command,
    home: tempfile::TempDir,
}

fn unet_vol(arguments: &[&str]) -> Call {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-vol"));
    command.args(arguments).env("HOME", home.path()).env("XDG_CACHE_HOME", home.path().join("cache"));
    command.env_remove("VIRTUAL_ENV").env_remove("ORT_DYLIB_PATH").env_remove("CONDA_PREFIX");
    Call { command, home }
}

impl Call {
    fn output(mut self) -> Output {
        let output = self.command.output().unwrap();
        drop(self.home);
        output
    }

    /// Runs and checks the exit code; returns stdout and stderr.
    #[track_caller]
    fn expect(self, code: i32) -> (String, String) {
        let output = self.output();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
        assert!(!err.contains("panicked"), "{err}");
        (out, err)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn head() -> String {
    repository("testdata/synthetic_head.nii.gz").to_string_lossy().into_owned()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// A NIfTI-1 file of 2-byte integers with an sform of 1 mm, RAS, made by hand.
pub(crate) fn nifti(shape: [i16; 3], sform: bool, value: impl Fn(usize) -> i16) -> Vec<u8> {
    let mut bytes = vec![0_u8; 352];
    bytes[0..4].copy_from_slice(&348_i32.to_le_bytes());
    for (at, n) in [3, shape[0], shape[1], shape[2], 1, 1, 1, 1].into_iter().enumerate() {
        bytes[40 + 2 * at..42 + 2 * at].copy_from_slice(&i16::to_le_bytes(n));
    }
    bytes[70..72].copy_from_slice(&4_i16.to_le_bytes());
    bytes[72..74].copy_from_slice(&16_i16.to_le_bytes());
    for at in 0..4 {
        bytes[76 + 4 * at..80 + 4 * at].copy_from_slice(&1_f32.to_le_bytes());
    }
    bytes[108..112].copy_from_slice(&352_f32.to_le_bytes());
    if sform {
        bytes[254..256].copy_from_slice(&1_i16.to_le_bytes());
        for row in 0..3 {
            bytes[280 + 16 * row + 4 * row..][..4].copy_from_slice(&1_f32.to_le_bytes());
        }
    }
    bytes[344..348].copy_from_slice(b"n+1\0");
    let count: usize = shape.iter().map(|&n| usize::try_from(n).unwrap()).product();
    bytes.extend((0..count).flat_map(|at| value(at).to_le_bytes()));
    bytes
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn segment_writes_all_that_was_asked_for_on_exactly_the_input_s_grid() {
    let dir = tempfile::tempdir().unwrap();
    let [labels, stats, picture, manifest, mask, objects, lut] =
        ["l.nii.gz", "s.csv", "p.png", "m.json", "b.nii.gz", "i.nii.gz", "lut.txt"].map(|name| path(dir.path(), name));
    let (out, err) = unet_vol(&[
        "segment",
        &head(),
        "-o",
        &labels,
        "--stats",
        &stats,
        "--preview",
        &picture,
        "--manifest",
        &manifest,
        "--brain-mask",
        &mask,
        "--instances",
        &objects,
        "--lut",
        &lut,
        "--engine",
        "embedded",
    ])
    .expect(0);
    for file in [&labels, &stats, &picture] {
        assert!(out.contains(file.as_str()), "{out}");
    }
    assert!(err.contains("not a medical device"));
    assert_eq!(names(dir.path()), ["b.nii.gz", "i.nii.gz", "l.nii.gz", "lut.txt", "m.json", "p.png", "s.csv"]);

    let record: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert_eq!(record["certificate"]["points"], 35);
    assert!(record["certificate"]["largest_error_mm"].as_f64().unwrap() < 1e-3);
    assert_eq!(record["backend"]["engine"], "embedded");
    assert_eq!(record["labels"].as_array().unwrap().len(), 32);
    let brain = record["volumes"][0]["ml"].as_f64().unwrap();
    assert!((900.0..1300.0).contains(&brain), "{brain} ml of brain");
    let predicted = record["plan"]["peak_bytes"].as_u64().unwrap();
    let used = record["peak_rss_bytes"].as_u64().unwrap();
    assert!(used <= predicted, "{used} bytes were used and {predicted} predicted");

    let (out, _) = unet_vol(&["evaluate", &labels, &reference(), "--json"]).expect(0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let dice: Vec<f64> = report["labels"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|l| l["id"] != 24)
        .map(|l| l["dice"].as_f64().unwrap())
        .collect();
    let mean = dice.iter().sum::<f64>() / dice.len() as f64;
    assert_eq!(dice.len(), 31);
    let figures = crate::support::json(repository("src/model/weights/brain-mri.figures.json"));
    let stated = figures["synthetic_head"].as_f64().unwrap();
    assert!((mean - stated).abs() < 0.005, "mean Dice {mean}, stated {stated}");
    let png = std::fs::read(&picture).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000);
    assert!(std::fs::read_to_string(&lut).unwrap().contains("17 left-hippocampus"));

    let read = |file: &str| unet_vol::formats::read_labels(file, &Default::default()).unwrap().labels;
    let (labels, objects) = (read(&labels), read(&objects));
    let found = unet_vol::labels::instances(&labels, &Default::default()).unwrap();
    assert_eq!(objects.ids.data(), found.paint::<u16>().unwrap().data());
    assert!(found.objects().len() >= 32, "{} objects", found.objects().len());
}

fn reference() -> String {
    repository("testdata/synthetic_head_seg.nii.gz").to_string_lossy().into_owned()
}

#[test]
fn the_default_output_lies_beside_the_input_and_is_never_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let input = path(dir.path(), "empty.nii");
    std::fs::write(&input, nifti([20, 20, 20], true, |_| 0)).unwrap();
    let (out, err) = unet_vol(&["segment", &input]).expect(0);
    assert!(out.contains("empty_seg.nii.gz"));
    assert!(err.contains("no voxel got a label"), "{err}");
    let before = std::fs::read(dir.path().join("empty_seg.nii.gz")).unwrap();
    let (_, err) = unet_vol(&["segment", &input]).expect(2);
    assert!(err.contains("exists already") && err.contains("--overwrite"), "{err}");
    assert_eq!(std::fs::read(dir.path().join("empty_seg.nii.gz")).unwrap(), before);
    unet_vol(&["segment", &input, "--overwrite", "-q"]).expect(0);
    let (_, err) = unet_vol(&["segment", &input, "-o", &input, "--overwrite"]).expect(2);
    assert!(err.contains("named twice"), "{err}");
}

#[test]
fn an_empty_result_is_an_error_where_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let input = path(dir.path(), "empty.nii");
    std::fs::write(&input, nifti([20, 20, 20], true, |_| 0)).unwrap();
    let (_, err) = unet_vol(&["segment", &input, "--fail-on-empty"]).expect(9);
    assert!(err.contains("no voxel got a label"), "{err}");
    assert_eq!(names(dir.path()), ["empty.nii"]);
}

#[test]
fn inputs_that_are_none_are_one_sentence_with_path_and_code() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    };
    let good = nifti([8, 8, 8], true, |at| i16::try_from(at).unwrap());
    write("cut.nii", &good[..600]);
    write("text.nii", b"not an image at all, just a text that is long enough to be looked at\n".repeat(10).as_slice());
    write("zip.nii.gz", b"PK\x03\x04rest of a zip archive that goes on for a while");
    write("volume.mgz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03");
    write("volume.nrrd", b"NRRD0004\ntype: short\n\n");
    write("volume.mha", b"ObjectType = Image\nNDims = 3\n");
    let mut huge = good.clone();
    for at in 1..8 {
        huge[40 + 2 * at..42 + 2 * at].copy_from_slice(&i16::MAX.to_le_bytes());
    }
    huge[40..42].copy_from_slice(&7_i16.to_le_bytes());
    write("huge.nii", &huge);
    let mut tried = 0;
    for (name, codes) in [
        ("absent.nii", &[3][..]),
        ("cut.nii", &[3]),
        ("text.nii", &[3, 4]),
        ("zip.nii.gz", &[4]),
        ("volume.mgz", &[3, 4]),
        ("volume.nrrd", &[4]),
        ("volume.mha", &[4]),
        ("huge.nii", &[3, 6]),
    ] {
        let file = path(dir.path(), name);
        let output = unet_vol(&["segment", &file, "-o", &path(dir.path(), "out.nii.gz")]).output();
        let err = text(&output.stderr);
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{name}: {code}: {err}");
        assert!(err.starts_with("error: ") && err.contains(name), "{name}: {err}");
        assert!(!err.contains("panicked"), "{err}");
        assert!(err.lines().count() <= 2, "{name}: {err}");
        assert!(!dir.path().join("out.nii.gz").exists());
        tried += 1;
    }
    assert_eq!(tried, 8);
}

#[test]
fn a_file_without_orientation_is_refused_for_a_model_that_tells_left_from_right() {
    let dir = tempfile::tempdir().unwrap();
    let input = path(dir.path(), "lost.nii");
    std::fs::write(&input, nifti([20, 20, 20], false, |_| 0)).unwrap();
    let (_, err) = unet_vol(&["segment", &input]).expect(3);
    assert!(err.contains("left and right") && err.contains("--assume-orientation"), "{err}");
    unet_vol(&["segment", &input, "--assume-orientation", "LPS"]).expect(0);
    unet_vol(&["segment", &input, "--assume-orientation", "LPX", "--overwrite"]).expect(2);
}

#[test]
fn models_that_do_not_fit_are_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let model = path(dir.path(), "no.onnx");
    std::fs::write(&model, b"this is no ONNX file").unwrap();
    let out = path(dir.path(), "out.nii.gz");
    for arguments in [
        vec!["--model", model.as_str()],
        vec!["--model", "brain-xyz"],
        vec!["--engine", "onnxruntime", "--onnxruntime", model.as_str()],
        vec!["--engine", "openvino", "--openvino", model.as_str()],
        vec!["--device", "cuda"],
    ] {
        let input = head();
        let all = [vec!["segment", &input, "-o", &out], arguments.clone()].concat();
        let (_, err) = unet_vol(&all).expect(5);
        assert!(err.starts_with("error: "), "{arguments:?}: {err}");
    }
    let (_, err) = unet_vol(&["segment", &head(), &head(), "-o", &out]).expect(2);
    assert!(err.contains("needs 1 file"), "{err}");
    unet_vol(&["segment", &head(), "-o", &out, "--engine", "tract"]).expect(2);
    unet_vol(&["segment", &head(), "-o", &out, "--labels", "left elbow"]).expect(2);
    assert_eq!(names(dir.path()), ["no.onnx"]);
}

#[test]
fn a_plan_that_does_not_fit_is_refused_with_the_number_needed() {
    let dir = tempfile::tempdir().unwrap();
    let out = path(dir.path(), "out.nii.gz");
    let (_, err) = unet_vol(&["segment", &head(), "-o", &out, "--max-ram", "100M"]).expect(6);
    let needed = err.split("--max-ram ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let (text, _) = unet_vol(&["segment", &head(), "--dry-run", "--json", "--max-ram", &needed]).expect(0);
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert!(plan["peak_bytes"].as_u64().unwrap() > 100_000_000);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn places_that_cannot_be_written_are_found_out_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let (_, err) = unet_vol(&["segment", &head(), "-o", &path(dir.path(), "no/such/out.nii.gz")]).expect(8);
    assert!(err.contains("folder"), "{err}");
    if cfg!(target_os = "linux") {
        let output = unet_vol(&["convert", &head(), "-o", "/proc/out.nii.gz"]).output();
        assert_eq!(output.status.code(), Some(8), "{}", text(&output.stderr));
    }
    unet_vol(&["segment", &head(), "-o", &path(dir.path(), "out.mgz")]).expect(2);
}

/// A limit on the size of a file stands in for a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let out = path(dir.path(), "out.nii");
    let script = format!(
        "trap '' XFSZ; ulimit -f 100; exec '{}' convert '{}' -o '{out}'",
        env!("CARGO_BIN_EXE_unet-vol"),
        head()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{err}");
    assert!(err.contains("cannot be written") && err.contains("out.nii"), "{err}");
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

/// Waits until a process handles SIGINT, where the system tells; the work comes after that.
#[cfg(unix)]
fn wait_for_handler(process: u32) {
    let handles = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        Some(u64::from_str_radix(&caught, 16).unwrap() & 1 << 1 != 0)
    };
    for _ in 0..1000 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        if handles() == Some(true) {
            return;
        }
    }
}

/// The signal comes while the network runs; nothing is written.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let out = path(dir.path(), "out.nii.gz");
    let mut call = unet_vol(&["segment", &head(), "-o", &out, "--engine", "embedded", "--threads", "1"]);
    let mut child = call.command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_handler(child.id());
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130));
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn info_says_what_the_header_says() {
    let (out, _) = unet_vol(&["info", &head(), "--json"]).expect(0);
    let info: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(info["shape"].as_array().unwrap().len(), 3);
    assert_eq!(info["orientation"], "LPS");
    assert_eq!(info["oriented_by"], "sform");
    assert_eq!(info["data_type"], "int16");
    let (out, _) = unet_vol(&["info", &head()]).expect(0);
    assert!(out.contains("136 x 183 x 133") && out.contains("LPS"), "{out}");
}

#[test]
fn convert_turns_axes_without_touching_values() {
    let dir = tempfile::tempdir().unwrap();
    let (ras, back, thick) =
        (path(dir.path(), "ras.nii.gz"), path(dir.path(), "back.nii"), path(dir.path(), "thick.nii.gz"));
    unet_vol(&["convert", &head(), "-o", &ras, "--orientation", "RAS"]).expect(0);
    unet_vol(&["convert", &ras, "-o", &back, "--orientation", "LPS"]).expect(0);
    let read = |file: &str| unet_vol::formats::read(file, &unet_vol::formats::ReadOptions::new()).unwrap();
    let (before, after) = (read(&head()), read(&back));
    assert_eq!(read(&ras).volume.grid().orientation().to_string(), "RAS");
    assert_eq!(before.volume.data(), after.volume.data());
    assert!(before.volume.grid().corner_distance_mm(after.volume.grid()) < 1e-3);
    assert_eq!(after.probe.data_type.name(), "int16");
    unet_vol(&["convert", &head(), "-o", &thick, "--spacing", "2,2,4", "--interpolation", "area"]).expect(0);
    assert_eq!(read(&thick).volume.grid().shape(), [82, 110, 50]);
    unet_vol(&["convert", &head(), "-o", &path(dir.path(), "x.nii"), "--spacing", "1,2"]).expect(2);
    unet_vol(&["convert", &head(), "-o", &path(dir.path(), "x.nii"), "--spacing", "0"]).expect(2);
}

#[test]
fn evaluate_compares_files_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, value) in [("a", 3), ("b", 4)] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        let volume = nifti([4, 4, 4], true, |at| i16::from(at % 8 < value));
        std::fs::write(dir.path().join(folder).join("case1.nii"), &volume).unwrap();
        std::fs::write(dir.path().join(folder).join(format!("only-{folder}.nii")), &volume).unwrap();
    }
    let (a, b) = (path(dir.path(), "a"), path(dir.path(), "b"));
    let (out, err) = unet_vol(&["evaluate", &a, &b]).expect(0);
    assert!(out.starts_with("case,id,name,dice,") && out.contains("case1.nii,1,"), "{out}");
    assert!(out.contains("0.8571"), "{out}");
    assert_eq!(err.matches("was left out").count(), 2, "{err}");
    unet_vol(&["evaluate", &path(dir.path(), "a/case1.nii"), &head()]).expect(2);
}

#[test]
fn models_and_runtime_answer_without_any_library() {
    let (out, _) = unet_vol(&["models"]).expect(0);
    assert!(out.contains("brain-mri"));
    let (out, _) = unet_vol(&["models", "show"]).expect(0);
    assert!(out.contains("multiples of 16") && out.contains("left hippocampus"), "{out}");
    let (out, _) = unet_vol(&["models", "verify", "--json"]).expect(0);
    let checks: Value = serde_json::from_str(&out).unwrap();
    assert!(checks[0]["agreement"].as_f64().unwrap() > 0.9999, "{out}");
    let (out, _) = unet_vol(&["runtime"]).expect(0);
    assert!(out.contains("embedded") && out.contains("cpu ("), "{out}");
    let (out, _) = unet_vol(&["models", "verify", "--profile"]).expect(0);
    assert!(out.contains("Conv") && out.contains("GFLOP/s"), "{out}");
    let (out, _) = unet_vol(&["completions", "bash"]).expect(0);
    assert!(out.contains("unet-vol"));
    let (out, _) = unet_vol(&["--version"]).expect(0);
    assert_eq!(out, format!("unet-vol {}\n", env!("CARGO_PKG_VERSION")));
    unet_vol(&["completions", "man"]).expect(0);
    unet_vol(&["nonsense"]).expect(2);
}

/// The table of exit codes in the README is the one in the program.
#[test]
fn the_readme_has_the_program_s_exit_codes() {
    let (help, _) = unet_vol(&["--help"]).expect(0);
    let readme = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let codes = help.split("Exit codes:\n").nth(1).unwrap();
    let mut seen = 0;
    for line in codes.lines().filter(|line| !line.trim().is_empty()) {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(readme.contains(&row), "the README lacks {row}");
        seen += 1;
    }
    assert_eq!(seen, 11);
}
