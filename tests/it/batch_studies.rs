//! Studies of several channels, patients' names, and inputs that change or clash.

use std::io::{Read, Write};

use unet_vol::ErrorKind;
use unet_vol::batch::{
    BatchOptions, DiscoverOptions, Entry, Existing, OutputFormat, OutputPaths, Status, discover, run,
};
use unet_vol::formats::{self, OnGap};
use unet_vol::pipeline::Pipeline;

use crate::batch::{Place, count, tree, volume, write};
use crate::networks::{Network, spec};

/// Label 10 where the second channel is brighter than the first.
fn brighter() -> Pipeline {
    let network = Network::new(3, 2, 2, |input, shape, output| {
        let plane: usize = shape[1..].iter().product();
        output.copy_from_slice(&input[..2 * plane]);
    });
    let channels = "[input]\nchannels = [{ name = 'T1' }, { name = 'FLAIR' }]";
    Pipeline::predictor_builder(spec(2, channels), Box::new(network)).build().unwrap()
}

#[test]
fn what_was_read_in_another_way_is_not_finished() {
    let place = Place::new(&["x_0000.nii", "x_0001.nii"]);
    let pipeline = brighter();
    let mut options = BatchOptions::new(place.output());
    options.existing = Existing::Resume;
    let mut status = |on_gap| {
        options.study.on_gap = on_gap;
        let cases = discover(&place.input(), &place.output(), pipeline.spec(), &DiscoverOptions::default()).unwrap();
        run(&pipeline, cases, &options, &|_| ()).unwrap().entries[0].status
    };
    assert_eq!(status(OnGap::Resample), Status::Done);
    assert_eq!(status(OnGap::Resample), Status::Skipped);
    assert_eq!(status(OnGap::Refuse), Status::Done);
}

#[test]
fn instances_that_the_pipeline_does_not_number_are_refused_before_the_work() {
    let place = Place::new(&["x_0000.nii", "x_0001.nii"]);
    let pipeline = brighter();
    let mut options = BatchOptions::new(place.output());
    options.instances = true;
    let cases = discover(&place.input(), &place.output(), pipeline.spec(), &DiscoverOptions::default()).unwrap();
    let error = run(&pipeline, cases, &options, &|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(!place.output().exists(), "{error}");
    let mut outputs = OutputPaths::new(place.input().join("seg.nii"));
    outputs.instances = Some(place.input().join("objects.nii"));
    let files = ["x_0000.nii", "x_0001.nii"].map(|name| place.input().join(name));
    let done = pipeline.run_files(&files, &Default::default()).unwrap();
    assert_eq!(done.write(&outputs).unwrap_err().kind(), ErrorKind::Usage);
    assert!(!place.input().join("seg.nii").exists());
}

/// Runs a batch in the library.
fn entries(place: &Place, pipeline: &Pipeline, find: &DiscoverOptions) -> Vec<Entry> {
    let cases = discover(&place.input(), &place.output(), pipeline.spec(), find).unwrap();
    run(pipeline, cases, &BatchOptions::new(place.output()), &|_| ()).unwrap().entries
}

#[test]
fn channels_of_a_study_are_found_by_number_and_name() {
    let place = Place::new(&["a/x_0000.nii", "a/x_0001.nii", "b/sub-1_T1w.nii", "b/sub-1_FLAIR.nii", "c/y_T1.nii"]);
    let pipeline = brighter();
    let entries = entries(&place, &pipeline, &DiscoverOptions::default());
    let found: Vec<_> = entries.iter().map(|entry| (entry.case.as_str(), entry.status)).collect();
    assert_eq!(found, [("a/x", Status::Done), ("b/sub-1", Status::Done), ("c/y", Status::Failed)]);
    assert_eq!(entries[2].reason, "there is no file for the channel FLAIR");
    let files = ["a/x_0000.nii", "a/x_0001.nii"].map(|name| place.input().join(name));
    let alone = pipeline.run_files(&files, &Default::default()).unwrap();
    let labels = formats::read_labels(place.output().join("a/x_seg.nii.gz"), &Default::default()).unwrap();
    assert_eq!(labels.labels.ids.data(), alone.labels().ids.data());
    assert!(labels.labels.ids.data().iter().all(|&id| id == 10), "the second channel is the brighter one");
    let mut find = DiscoverOptions::default();
    find.channels = vec!["T1".to_owned()];
    assert!(discover(&place.input(), &place.output(), pipeline.spec(), &find).is_err());
}

#[cfg(feature = "dicom")]
mod dicom {
    use super::*;
    use crate::cli::text;
    use crate::dicom_writer::{EXPLICIT, Object, slice, slices};

    fn of(slice: Object, study: &str, number: usize, description: &str) -> Object {
        let uid = |object: &str| format!("{study}.{number}{object}");
        slice
            .text(0x0008_0060, b"CS", "MR")
            .text(0x0008_103e, b"LO", description)
            .text(0x0020_000d, b"UI", study)
            .text(0x0020_000e, b"UI", uid(""))
            .text(0x0020_0011, b"IS", number.to_string())
    }

    fn series(place: &Place, study: &str, number: usize, description: &str) {
        for (k, slice) in slices().into_iter().enumerate() {
            let object = of(slice, study, number, description);
            let object = object.text(0x0008_0018, b"UI", format!("{study}.{number}.{}", k + 1));
            write(&place.input(), &format!("{study}/{number}-{k}"), &object.file(EXPLICIT));
        }
    }

    #[test]
    fn the_series_of_a_study_are_its_channels() {
        let place = Place::new(&[]);
        for (number, description) in [(1, "t1_mprage"), (2, "T2_FLAIR"), (3, "dwi")] {
            series(&place, "1.2.70", number, description);
        }
        series(&place, "1.2.71", 1, "t1_mprage");
        let found = entries(&place, &brighter(), &DiscoverOptions::default());
        let statuses: Vec<_> = found.iter().map(|entry| (entry.case.as_str(), entry.status)).collect();
        assert_eq!(statuses, [("1.2.70/1_t1_mprage", Status::Done), ("1.2.71/study", Status::Skipped)]);
        assert_eq!(found[0].reason, "T1: 1_t1_mprage; FLAIR: 2_T2_FLAIR");
        assert_eq!(found[1].reason, "there is no series for the channel FLAIR");
        let mut find = DiscoverOptions::default();
        find.channels = vec!["dwi".to_owned(), "^1_".to_owned()];
        let cases = discover(&place.input(), &place.output(), brighter().spec(), &find).unwrap();
        assert_eq!(cases[0].reason, "T1: 3_dwi; FLAIR: 1_t1_mprage");
    }

    /// A tree of NIfTI files, good and bad series and other files: each case gets the forms that it can have.
    #[test]
    fn a_mixed_tree_gets_segmentations_where_there_is_a_series_to_refer_to() {
        let place = Place::new(&["a/head.nii"]);
        series(&place, "1.2.70", 1, "t1_mprage");
        series(&place, "1.2.70", 2, "localizer");
        series(&place, "1.2.71", 1, "t1_gap");
        std::fs::remove_file(place.input().join("1.2.71/1-2")).unwrap();
        write(&place.input(), "notes.dcm", b"%PDF-1.7\n%%EOF\n");
        let pipeline = Pipeline::predictor_builder(spec(4, ""), Box::new(Network::pointwise(4))).build().unwrap();
        let done = |output: &str, formats: &[OutputFormat], on_gap: OnGap| {
            let mut find = DiscoverOptions::default();
            find.on_gap = on_gap;
            let output = place.dir.path().join(output);
            let cases = discover(&place.input(), &output, pipeline.spec(), &find).unwrap();
            let mut options = BatchOptions::new(&output);
            options.formats = formats.to_vec();
            options.study.on_gap = on_gap;
            let entries = run(&pipeline, cases, &options, &|_| ()).unwrap().entries;
            let mut files: Vec<_> = tree(&output).into_keys().filter(|name| name.contains("_seg")).collect();
            files.sort_unstable();
            (output, entries, files)
        };
        let (output, entries, files) = done("seg", &[OutputFormat::DicomSeg], OnGap::Refuse);
        let statuses: Vec<_> = entries.iter().map(|entry| (entry.case.as_str(), entry.status)).collect();
        assert_eq!(
            statuses,
            [("1.2.70/1_t1_mprage", Status::Done), ("1.2.71/study", Status::Failed), ("a/head", Status::Failed)]
        );
        assert!(entries[1].reason.contains("uneven slice spacing"), "{}", entries[1].reason);
        assert!(entries[2].reason.contains("DICOM series only"), "{}", entries[2].reason);
        assert_eq!(files, ["1.2.70/1_t1_mprage_seg.dcm"]);
        let labels = formats::read_labels(output.join(&files[0]), &Default::default()).unwrap().labels;
        let slices: Vec<_> = (0..5).map(|k| place.input().join(format!("1.2.70/1-{k}"))).collect();
        assert!(slices.iter().all(|slice| slice.exists()));
        let alone = place.dir.path().join("alone");
        std::fs::create_dir(&alone).unwrap();
        for slice in &slices {
            std::fs::copy(slice, alone.join(slice.file_name().unwrap())).unwrap();
        }
        assert_eq!(labels.ids, pipeline.run(&alone).unwrap().labels().ids);

        // With a second form the file has that one, and the ledger says what it has not; gaps are bridged where asked.
        let formats = [OutputFormat::Nifti, OutputFormat::DicomSeg];
        let (output, entries, files) = done("both", &formats, OnGap::Resample);
        assert!(entries.iter().all(|entry| entry.status == Status::Done), "{entries:?}");
        let both = |stem: &str| [format!("{stem}_seg.dcm"), format!("{stem}_seg.nii.gz")];
        let mut wanted = [both("1.2.70/1_t1_mprage"), both("1.2.71/1_t1_gap")].concat();
        wanted.push("a/head_seg.nii.gz".to_owned());
        assert_eq!(files, wanted);
        let warnings = |n: usize| entries[n].warnings.join("\n");
        assert!(warnings(2).contains("no dicom-seg") && !warnings(0).contains("no dicom-seg"), "{}", warnings(2));
        assert!(warnings(1).contains("(k = 2)"), "{}", warnings(1));
        let seg = formats::read_labels(output.join("1.2.71/1_t1_gap_seg.dcm"), &Default::default()).unwrap();
        assert_eq!(seg.labels.grid().shape(), [6, 4, 5], "with an empty slice where none was");
    }

    #[test]
    fn a_uid_that_two_studies_share_mixes_nothing() {
        let place = Place::new(&[]);
        for study in ["1.2.80", "1.2.81"] {
            for (k, slice) in slices().into_iter().enumerate() {
                let object = of(slice, study, 1, "T1").text(0x0020_000e, b"UI", "1.2.8.1");
                write(&place.input(), &format!("{k}-{study}"), &object.file(EXPLICIT));
            }
        }
        let statuses = place.statuses(&[], 0);
        assert_eq!((statuses.len(), count(&statuses, "done")), (2, 2), "{statuses:?}");
    }

    #[test]
    fn odd_files_get_a_row_each_and_the_rest_is_done() {
        let place = Place::new(&["good.nii"]);
        for (k, slice) in slices().into_iter().enumerate() {
            write(&place.input(), &format!("scan/{k}.dcm"), &slice.text(0x0008_0060, b"CS", "MR").file(EXPLICIT));
        }
        write(&place.input(), "pdf.dcm", b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\n%%EOF\n");
        write(&place.input(), "empty.dcm", b"");
        write(&place.input(), "empty.nii.gz", b"");
        let nest = [&[8, 0, 1, 0][..], b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"].concat();
        let (file, data_set) = (slice(0).file(EXPLICIT), slice(0).data_set(EXPLICIT));
        let meta = &file[..file.len() - data_set.len()];
        write(&place.input(), "nested/open.dcm", &[meta, &nest.repeat(5000)].concat());
        let ends = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0".repeat(5000);
        write(&place.input(), "nested/closed.dcm", &[meta, &nest.repeat(5000), &ends, &data_set].concat());
        #[cfg(unix)]
        for (link, target) in [("loop", "."), ("self.dcm", "self.dcm"), ("scan/up", "..")] {
            std::os::unix::fs::symlink(target, place.input().join(link)).unwrap();
        }
        let statuses = place.statuses(&[], 7);
        for done in ["good", "scan/7_Made_head"] {
            assert_eq!(statuses[done].0, "done", "{statuses:?}");
        }
        for (failed, why) in [("empty", "the file is empty"), ("nested/study", "nested deeper than 64")] {
            let (status, reason) = &statuses[failed];
            assert!(status == "failed" && reason.contains(why), "{statuses:?}");
        }
        assert!(!statuses.keys().any(|name| name.contains("pdf")), "{statuses:?}");
        let mut info = std::process::Command::new(env!("CARGO_BIN_EXE_unet-vol"));
        let shown = info.arg("info").arg(place.input()).output().unwrap();
        assert!(shown.status.success() && text(&shown.stdout).contains("Made head"), "{}", text(&shown.stderr));
    }

    const NAMES: [&str; 2] = ["mustermann", "friederike"];

    fn told(text: &str) -> bool {
        let text = text.to_lowercase();
        NAMES.iter().any(|name| text.contains(name))
    }

    /// True when a name, or what a file holds, inflated where it is compressed, tells of the patient.
    fn is_told_by(name: &str, bytes: &[u8]) -> bool {
        let mut inflated = Vec::new();
        let _ = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut inflated);
        told(name) || told(&text(bytes)) || told(&text(&inflated))
    }

    #[test]
    fn no_patient_name_is_told_unless_asked() {
        let place = Place::new(&["MUSTERMANN_F/extra.nii"]);
        write(&place.input(), "MUSTERMANN_F/cut.nii", &volume(0)[..2000]);
        write(&place.input(), "mustermann-2/cut.dcm", &slice(0).file(EXPLICIT)[..200]);
        for (k, slice) in slices().into_iter().enumerate() {
            let object = of(slice, "1.2.90", 4, "T1 of Friederike").text(0x0010_0010, b"PN", "Mustermann^Friederike");
            write(&place.input(), &format!("Mustermann^Friederike 1958/IM{k}"), &object.file(EXPLICIT));
        }
        let log = crate::batch::log(&place);
        for layout in ["mirror", "bids"] {
            let (out, err) =
                place.run(&["--layout", layout, "--stats", "--preview", "--log-file", &log, "-vv", "--overwrite"], 7);
            assert!(!told(&out) && !told(&err), "{out}{err}");
            assert!(out.contains("anon_F/cut"), "{out}");
        }
        assert!(!told(&std::fs::read_to_string(&log).unwrap()));
        let files = tree(&place.output());
        assert!(files.len() > 12, "{:?}", files.keys());
        for (name, bytes) in &files {
            assert!(!is_told_by(name, bytes), "{name}");
        }
        assert!(files.contains_key("anon^anon 1958/4_T1_of_anon_seg.nii.gz"), "{:?}", files.keys());
        assert!(files.keys().any(|name| name.contains("_acq-T1ofanon_run-4_")), "{:?}", files.keys());
        let (out, _) = place.run(&["--dry-run"], 0);
        assert!(!told(&out), "{out}");
        assert!(told(&place.run(&["--with-phi", "--overwrite"], 7).0));

        let manifest = place.dir.path().join("manifest.json");
        let segment = |more: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_unet-vol"));
            command.arg("segment").arg(place.input().join("Mustermann^Friederike 1958"));
            command.args(["--engine", "embedded", "--overwrite", "--json", "-vv"]).args(more);
            command.arg("-o").arg(place.dir.path().join("labels.nii.gz")).arg("--manifest").arg(&manifest);
            let done = command.output().unwrap();
            assert!(done.status.success(), "{}", text(&done.stderr));
            text(&done.stdout) + &text(&done.stderr) + &std::fs::read_to_string(&manifest).unwrap()
        };
        assert!(!told(&segment(&[])));
        assert!(told(&segment(&["--with-phi"])));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_no_result() {
    let place = Place::new(&["calm.nii"]);
    write(&place.input(), "growing.nii", &crate::cli::nifti([200, 200, 100], true, |_| 7));
    let path = place.input().join("growing.nii");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let statuses = place.statuses(&[], 7);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(statuses["calm"].0, "done");
        assert!(statuses["growing"].1.contains("changed while it was read"), "{statuses:?}");
    });
    assert!(!place.output().join("growing_seg.nii.gz").exists());
}
