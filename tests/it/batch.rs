//! Folders of studies through the program: what is a case, what resumes, what survives a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{nifti, text};

/// Bytes of every file below a folder by its path there.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut stack = vec![folder.to_owned()];
    while let Some(next) = stack.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The label volumes of an output folder, and the names of all its files.
fn results(folder: &Path) -> (BTreeMap<String, Vec<u8>>, BTreeSet<String>) {
    let all = tree(folder);
    let names = all.keys().cloned().collect();
    (all.into_iter().filter(|(name, _)| name.ends_with(".nii.gz")).collect(), names)
}

/// A blob of which the brain model labels something, or nothing: both are results.
pub(crate) fn volume(seed: i16) -> Vec<u8> {
    nifti([24, 24, 24], true, |at| {
        let at = i16::try_from(at % 24).unwrap();
        (at - 12).abs() * 40 + seed
    })
}

pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    /// Input folder with these NIfTI files.
    pub(crate) fn new(names: &[&str]) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        for (seed, name) in names.iter().enumerate() {
            write(&place.input(), name, &volume(i16::try_from(seed).unwrap()));
        }
        place
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub(crate) fn command(&self, output: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unet-vol"));
        command.arg("batch").arg(self.input()).arg("-o").arg(output).args(["--engine", "embedded"]).args(more);
        command.env("HOME", self.dir.path().join("home"));
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, more: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(&self.output(), more).output().unwrap();
        let (out, err) = (text(&stdout), text(&stderr));
        assert_eq!(status.code(), Some(code), "stdout: {out}\nstderr: {err}");
        assert!(!err.contains("panicked"), "{err}");
        (out, err)
    }

    /// Runs with `--json`: the status and reason of each case.
    #[track_caller]
    pub(crate) fn statuses(&self, more: &[&str], code: i32) -> BTreeMap<String, (String, String)> {
        let (out, _) = self.run(&[more, &["--json"]].concat(), code);
        let summary: Value = serde_json::from_str(&out).unwrap();
        let field = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let entries = summary["entries"].as_array().unwrap().iter();
        entries.map(|entry| (field(entry, "case"), (field(entry, "status"), field(entry, "reason")))).collect()
    }

    fn lines(&self, ledger: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.output().join(ledger)).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

pub(crate) fn count(statuses: &BTreeMap<String, (String, String)>, status: &str) -> usize {
    statuses.values().filter(|(found, _)| found == status).count()
}

#[test]
fn the_output_mirrors_the_input_and_a_bad_file_is_recorded() {
    let place = Place::new(&["t1.nii", "a/t1.nii", "a/b c/x.nii", "same.nii"]);
    write(&place.input(), "a/cut.nii.gz", &volume(0)[..900]);
    write(&place.input(), "SAME.nii.gz", &volume(7));
    write(&place.input(), "a/old_seg.nii.gz", &volume(0));
    write(&place.input(), "a/._t1.nii", b"resource fork");
    write(&place.input(), "notes.txt", b"not an image");
    #[cfg(unix)]
    std::os::unix::fs::symlink(place.input(), place.input().join("a/loop")).unwrap();
    let before = tree_of_files(&place);
    let (out, err) = place.run(&["--stats", "--preview", "--instances", "--log-file", &log(&place)], 7);
    assert!(out.contains("a/cut") && out.contains("5 done, 0 skipped, 1 failed"), "{out}");
    assert!(err.contains("not a medical device"), "{err}");
    assert_eq!(tree_of_files(&place), before, "the input is as it was");
    let (_, names) = results(&place.output());
    for name in ["t1", "a/t1", "a/b c/x"] {
        for suffix in ["_seg.nii.gz", "_stats.csv", "_preview.png", "_instances_seg.nii.gz"] {
            assert!(names.contains(&format!("{name}{suffix}")), "{names:?}");
        }
        let [labels, objects] = ["_seg.nii.gz", "_instances_seg.nii.gz"].map(|suffix| {
            let path = place.output().join(format!("{name}{suffix}"));
            unet_vol::formats::read_labels(path, &Default::default()).unwrap().labels
        });
        let found = unet_vol::labels::instances(&labels, &Default::default()).unwrap();
        assert_eq!(objects.ids.data(), found.paint::<u16>().unwrap().data());
    }
    let same = names.iter().filter(|name| name.to_lowercase().starts_with("same_") && name.ends_with("_preview.png"));
    assert_eq!(same.count(), 2, "{names:?}");
    assert_eq!(names.len(), 5 * 4 + 2, "{names:?}");
    let lines = place.lines("ledger.jsonl");
    assert_eq!(lines.len(), 6);
    for line in &lines {
        let is_done = line["status"] == "done";
        assert_eq!(is_done, line["case"] != "a/cut", "{line}");
        assert_eq!(line["input_sha256"].as_str().unwrap().len(), 64);
        assert_eq!(line["model_sha256"].as_str().unwrap().len(), 64);
        assert_eq!(line["outputs"].as_array().unwrap().len(), if is_done { 4 } else { 0 });
    }
    let csv = std::fs::read_to_string(place.output().join("summary.csv")).unwrap();
    let mut rows = csv.lines();
    assert!(rows.next().unwrap().starts_with("case,status,reason,seconds,left cerebral white matter ml"), "{csv}");
    assert_eq!(rows.count(), 6);
    assert_eq!(std::fs::read_to_string(log(&place)).unwrap().lines().filter(|l| !l.starts_with(' ')).count(), 6);
}

pub(crate) fn log(place: &Place) -> String {
    place.dir.path().join("log.txt").to_string_lossy().into_owned()
}

/// Files of the input without following links.
fn tree_of_files(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut stack = vec![place.input()];
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                stack.push(entry.path());
            } else if kind.is_file() {
                found.insert(entry.path(), std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

#[test]
fn resuming_does_again_what_changed_and_nothing_else() {
    let place = Place::new(&["a.nii", "b.nii", "c.nii"]);
    assert_eq!(count(&place.statuses(&[], 0), "done"), 3);
    let (first, _) = results(&place.output());
    let (_, err) = place.run(&[], 2);
    assert!(err.contains("--resume") && err.contains("--overwrite"), "{err}");
    assert_eq!(count(&place.statuses(&["--resume"], 0), "skipped"), 3);
    assert_eq!(place.lines("ledger.jsonl").len(), 3, "what was finished before gets no new line");

    write(&place.input(), "a.nii", &volume(99));
    std::fs::remove_file(place.output().join("b_seg.nii.gz")).unwrap();
    let statuses = place.statuses(&["--resume"], 0);
    assert_eq!(statuses["a"].0, "done");
    assert_eq!(statuses["b"].0, "done");
    assert_eq!(statuses["c"].0, "skipped");
    assert_eq!(results(&place.output()).0["b_seg.nii.gz"], first["b_seg.nii.gz"]);

    // A file that is there but not as it was written does not count as done.
    std::fs::write(place.output().join("c_seg.nii.gz"), b"half").unwrap();
    assert_eq!(place.statuses(&["--resume"], 0)["c"].0, "done");
    assert_eq!(results(&place.output()).0["c_seg.nii.gz"], first["c_seg.nii.gz"]);

    assert_eq!(count(&place.statuses(&["--resume", "--stats"], 0), "done"), 3, "another setting");
    assert_eq!(count(&place.statuses(&["--overwrite"], 0), "done"), 3);
    assert_eq!(place.lines("ledger.jsonl").len(), 3, "--overwrite starts a new ledger");

    // The process was killed while it wrote the last line.
    let ledger = place.output().join("ledger.jsonl");
    let bytes = std::fs::read(&ledger).unwrap();
    std::fs::write(&ledger, &bytes[..bytes.len() - 40]).unwrap();
    let statuses = place.statuses(&["--resume"], 0);
    assert_eq!((count(&statuses, "skipped"), statuses["c"].0.as_str()), (2, "done"));
    assert_eq!(count(&place.statuses(&["--resume"], 0), "skipped"), 3);
}

#[test]
fn shards_part_the_cases_and_their_ledgers_merge() {
    let names: Vec<String> = (0..7).map(|n| format!("s{n}/t1.nii")).collect();
    let place = Place::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut seen = BTreeSet::new();
    for shard in ["1/3", "2/3", "3/3"] {
        for (case, (status, _)) in place.statuses(&["--shard", shard, "--jobs", "1"], 0) {
            assert_eq!(status, "done");
            assert!(seen.insert(case), "a case in two shards");
        }
    }
    assert_eq!(seen.len(), 7);
    let csv = std::fs::read_to_string(place.output().join("summary.csv")).unwrap();
    assert_eq!(csv.lines().count(), 8, "{csv}");
    assert!(place.output().join("ledger-2-of-3.jsonl").exists());
    assert_eq!(count(&place.statuses(&["--resume"], 0), "skipped"), 7, "an unsharded run knows them");
    for bad in ["0/3", "4/3", "x", "1/0"] {
        place.run(&["--shard", bad], 2);
    }
}

#[test]
fn places_filters_and_limits() {
    let place = Place::new(&["sub-1/anat/sub-1_T1w.nii", "sub-1/anat/sub-1_T2w.nii", "sub-2/anat/sub-2_T1w.nii"]);
    let (out, _) = place.run(&["--dry-run", "--pattern", "*_T1w.nii"], 0);
    assert!(out.contains("sub-2_T1w") && !out.contains("T2w") && out.contains("MB"), "{out}");
    let (out, _) = place.run(&["--dry-run", "--select", "^sub-1/.*T2"], 0);
    assert!(out.contains("sub-1_T2w") && !out.contains("T1w"), "{out}");
    place.run(&["--select", "("], 2);
    assert!(!place.output().exists(), "a dry run writes nothing");
    let within = place.command(&place.input(), &[]).output().unwrap();
    assert_eq!(within.status.code(), Some(2), "{}", text(&within.stderr));
    let statuses = place.statuses(&["--timeout", "0"], 7);
    assert_eq!(count(&statuses, "failed"), 3);
    assert!(statuses.values().all(|(_, reason)| reason.contains("longer than the time allowed")), "{statuses:?}");
    // An output folder among the inputs is none of them.
    let out = place.input().join("derived");
    for _ in 0..2 {
        let done = place.command(&out, &["--resume", "--json"]).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(summary["entries"].as_array().unwrap().len(), 3);
    }
}

#[cfg(feature = "dicom")]
#[test]
fn of_a_study_the_series_that_fits_is_segmented_and_no_name_is_told() {
    use crate::dicom_writer::{EXPLICIT, slice};

    let place = Place::new(&["other.nii"]);
    let series = |folder: &str, study: &str, number: usize, description: &str, modality: &str, slices: usize| {
        for k in 0..slices {
            let object = slice(k)
                .text(0x0008_0060, b"CS", modality)
                .text(0x0008_0018, b"UI", format!("{study}.{number}.{}", k + 1))
                .text(0x0008_103e, b"LO", description)
                .text(0x0020_000d, b"UI", study)
                .text(0x0020_000e, b"UI", format!("{study}.{number}"))
                .text(0x0020_0011, b"IS", number.to_string());
            write(&place.input(), &format!("{folder}/{study}-{number}-{k}"), &object.file(EXPLICIT));
        }
    };
    series("one", "1.2.10", 1, "localizer", "MR", 3);
    series("one", "1.2.10", 2, "T2 tse", "MR", 9);
    series("one", "1.2.10", 3, "t1_mprage sag", "MR", 5);
    series("one", "1.2.10", 4, "T1 thick", "MR", 4);
    series("two", "1.2.11", 1, "Head", "CT", 4);
    series("same", "1.2.12", 1, "T1", "MR", 4);
    series("same", "1.2.13", 1, "T1", "MR", 4);
    write(&place.input(), "one/cut.dcm", &slice(0).file(EXPLICIT)[..200]);
    let statuses = place.statuses(&[], 7);
    let (status, reason) = statuses.get("one/3_t1_mprage_sag").unwrap_or_else(|| panic!("{statuses:?}"));
    assert_eq!(status, "done");
    assert!(reason.contains("3 of 4 series are MR volumes") && reason.contains("this one names T1"), "{reason}");
    assert_eq!(statuses["two/study"].0, "skipped");
    assert_eq!(statuses["other"].0, "done");
    assert_eq!(statuses["one/study"].0, "failed", "a damaged file belongs to no study that is known");
    assert_eq!(statuses.keys().filter(|name| name.starts_with("same/1_T1_")).count(), 2, "{statuses:?}");
    assert_eq!(statuses.len(), 6, "{statuses:?}");
    assert!(place.output().join("one/3_t1_mprage_sag_seg.nii.gz").exists());
    for (name, bytes) in tree(&place.output()) {
        assert!(!text(&bytes).contains("Doe"), "{name}");
    }
    let statuses = place.statuses(&["--resume"], 7);
    assert_eq!((count(&statuses, "skipped"), count(&statuses, "failed")), (5, 1));
    let statuses = place.statuses(&["--resume", "--select", "^two/|T2"], 0);
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["one/2_T2_tse", "two/1_Head"]);
    assert_eq!(count(&statuses, "done"), 2);
}

#[test]
fn a_bids_derivative_has_names_of_entities_and_its_own_description() {
    let place = Place::new(&["sub-01/ses-a/anat/sub-01_ses-a_T1w.nii", "sub-02/anat/sub-02_T1w.nii", "ward/x 1.nii"]);
    write(&place.input(), "sub-02/anat/sub-02_T2w.nii", &volume(5));
    write(&place.input(), "dataset_description.json", b"{}");
    write(&place.input(), "derivatives/other/sub-01/anat/sub-01_desc-preproc_T1w.nii", &volume(6));
    #[cfg(feature = "dicom")]
    for (k, slice) in crate::dicom_writer::slices().into_iter().enumerate() {
        let slice = slice.text(0x0008_0060, b"CS", "MR").text(0x0010_0020, b"LO", "PID-77");
        write(&place.input(), &format!("scans/{k}"), &slice.file(crate::dicom_writer::EXPLICIT));
    }
    let cases = if cfg!(feature = "dicom") { 5 } else { 4 };
    let all = ["--layout", "bids", "--stats", "--preview", "--instances"];
    assert_eq!(count(&place.statuses(&all, 0), "done"), cases);
    let files = tree(&place.output());
    for stem in [
        "sub-01/ses-a/anat/sub-01_ses-a_space-orig_desc-unetvol",
        "sub-02/anat/sub-02_space-orig_desc-unetvolT1w",
        "sub-02/anat/sub-02_space-orig_desc-unetvolT2w",
        "sub-wardx1/anat/sub-wardx1_space-orig_desc-unetvol",
    ] {
        let suffixes =
            ["_dseg.nii.gz", "_dseg.json", "_dseg.tsv", "_stats.csv", "_preview.png", "Instances_dseg.nii.gz"];
        for suffix in suffixes {
            assert!(files.contains_key(&format!("{stem}{suffix}")), "{stem}{suffix} {:?}", files.keys());
        }
    }
    if cfg!(feature = "dicom") {
        let study = files.keys().find(|name| name.ends_with("_acq-Madehead_run-7_space-orig_desc-unetvol_dseg.tsv"));
        assert!(study.unwrap().starts_with("sub-") && !study.unwrap().contains("77"), "{study:?}");
    }
    assert!(
        text(&files["sub-02/anat/sub-02_space-orig_desc-unetvolT2w_dseg.tsv"]).starts_with("index\tname\tcolor\n0\t")
    );
    let json = |name: &str| serde_json::from_slice::<Value>(&files[name]).unwrap();
    let sidecar = json("sub-01/ses-a/anat/sub-01_ses-a_space-orig_desc-unetvol_dseg.json");
    assert_eq!(sidecar["Sources"][0], "bids:raw:sub-01/ses-a/anat/sub-01_ses-a_T1w.nii");
    assert_eq!(sidecar["SpatialReference"], "orig");
    let dataset = json("dataset_description.json");
    assert_eq!((&dataset["DatasetType"], &dataset["DatasetLinks"]["raw"]), (&"derivative".into(), &"../in".into()));
    assert_eq!(dataset["GeneratedBy"][0]["Name"], "unet-vol");
    assert_eq!(count(&place.statuses(&[&all[..], &["--resume"]].concat(), 0), "skipped"), cases);
    std::fs::write(place.output().join("dataset_description.json"), b"{\"Name\": \"theirs\"}").unwrap();
    let (_, err) = place.run(&["--layout", "bids", "--resume"], 2);
    assert!(err.contains("of another origin"), "{err}");
}

/// The files of the cases, the last line of each case, the summary.
type Essence = (BTreeMap<String, Vec<u8>>, BTreeMap<String, Value>, Vec<String>);

/// What an output folder says but for times.
fn essence(folder: &Path) -> Essence {
    let mut files = tree(folder);
    let ledger = text(&files.remove("ledger.jsonl").unwrap());
    let entries = ledger.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).map(|mut entry| {
        entry["seconds"] = 0.into();
        entry["ended"] = 0.into();
        (entry["case"].as_str().unwrap().to_owned(), entry)
    });
    let summary = text(&files.remove("summary.csv").unwrap());
    let rows = summary.lines().map(|row| {
        let mut cells: Vec<_> = row.split(',').collect();
        cells.remove(3);
        cells.join(",")
    });
    (files, entries.collect(), rows.collect())
}

#[cfg(unix)]
#[test]
fn killed_twenty_times_it_resumes_to_the_files_of_an_undisturbed_run() {
    let place = Place::new(&["a.nii", "b.nii", "c/a.nii", "c/b.nii", "d/a.nii", "e.nii", "f.nii", "g.nii"]);
    write(&place.input(), "cut.nii", &volume(0)[..3000]);
    let calm = place.dir.path().join("calm");
    let start = std::time::Instant::now();
    assert_eq!(place.command(&calm, &["--stats"]).stdout(Stdio::null()).status().unwrap().code(), Some(7));
    let span = start.elapsed().as_micros();
    let expected = essence(&calm);
    assert_eq!(expected.0.len(), 16);
    let mut random = std::process::id() | 1;
    let (mut kills, mut rounds) = (0, 0);
    while kills < 20 {
        let mut command = place.command(&place.output(), &["--stats", "--resume"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wait = span * u128::from(random >> 16) / 65536;
        std::thread::sleep(Duration::from_micros(u64::try_from(wait).unwrap()));
        child.kill().unwrap();
        let code = child.wait().unwrap().code();
        kills += usize::from(code.is_none());
        for (name, bytes) in place.output().exists().then(|| tree(&place.output())).into_iter().flatten() {
            let is_case = !name.starts_with(".unet-vol") && !name.starts_with("ledger") && name != "summary.csv";
            assert!(!is_case || expected.0.get(&name) == Some(&bytes), "{name} is half");
        }
        if code.is_some() {
            assert_eq!((code, essence(&place.output())), (Some(7), expected.clone()));
            std::fs::remove_dir_all(place.output()).unwrap();
            rounds += 1;
        }
    }
    place.run(&["--stats", "--resume"], 7);
    assert_eq!(essence(&place.output()), expected);
    eprintln!("{kills} kills, {} batches came to their end", rounds + 1);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_the_ledger_is_true() {
    let names: Vec<String> = ('a'..='z').map(|name| format!("{name}.nii")).collect();
    let place = Place::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = place.command(&place.output(), &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() && !place.output().join("a_seg.nii.gz").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("--resume"));
    let (volumes, _) = results(&place.output());
    let done = place.lines("ledger.jsonl").len();
    assert_eq!(volumes.len(), done);
    assert!((1..names.len()).contains(&done));
    assert_eq!(count(&place.statuses(&["--resume"], 0), "skipped"), done);
}
