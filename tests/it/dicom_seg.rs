//! DICOM segmentations: those of other programs by the figures known of them, our own by reading them back.

use std::path::Path;

use sha2::{Digest, Sha256};
use unet_vol::Overwrite;
use unet_vol::batch::{self, ConvertOptions};
use unet_vol::error::ErrorKind;
use unet_vol::evaluate::EvaluateOptions;
use unet_vol::formats::dicom::{self, SegmentationOptions, SegmentationType, write_segmentation};
use unet_vol::formats::{self, Format, ReadOptions};
use unet_vol::limits::Limits;
use unet_vol::volume::{Label, LabelMap, LabelTable, Volume};

use crate::dicom_writer::{EXPLICIT, SHAPE, folder, slices};
use crate::support;

/// Shape and ids of a label volume, or a part of the reason why it is none.
type Outcome = Result<([usize; 3], &'static [u16]), &'static str>;

/// What becomes of each file as a label volume.
const OUTCOMES: [(&str, Outcome); 17] = [
    ("seg_dcmqi_24x38x3/seg/label.seg", Ok(([24, 38, 3], &[1]))),
    ("seg_dcmqi_24x38x3/seg/sparse-labelmap-noppv.dcm", Ok(([24, 38, 3], &[1]))),
    ("seg_dcmqi_24x38x3/seg/sparse-labelmap-ppv5.dcm", Ok(([24, 38, 3], &[1]))),
    ("seg_highdicom/seg_image_ct_binary.dcm", Ok(([16, 16, 3], &[1]))),
    ("seg_highdicom/seg_image_ct_binary_fractional.dcm", Ok(([16, 16, 3], &[1]))),
    ("seg_highdicom/seg_image_ct_binary_overlap.dcm", Err("overlap")),
    ("seg_highdicom/seg_image_ct_binary_single_frame.dcm", Ok(([128, 128, 1], &[1]))),
    ("seg_highdicom/seg_image_ct_true_fractional.dcm", Ok(([16, 16, 3], &[1]))),
    ("seg_highdicom/seg_image_sm_control_labelmap.dcm", Err("no plane position")),
    ("seg_highdicom/seg_image_sm_control_labelmap_palette_color.dcm", Err("no plane position")),
    ("seg_ct3slice/liver.dcm", Ok(([512, 512, 3], &[1]))),
    ("seg_ct3slice/partial_overlaps.dcm", Err("overlap")),
    ("seg_pydicom/liver_1frame.dcm", Err("functional groups are given for 3 of 1 frames")),
    ("seg_pydicom/liver_deflate.dcm", Ok(([512, 512, 3], &[1]))),
    ("seg_pydicom/liver_j2k.dcm", Ok(([512, 512, 3], &[1]))),
    ("seg_pydicom/liver_nonbyte_aligned.dcm", Ok(([510, 510, 3], &[1]))),
    ("seg_pydicom/liver_rle.dcm", Ok(([512, 512, 3], &[1]))),
];

#[test]
fn segmentations_of_other_programs_have_the_samples_that_are_known_of_them() {
    let Some(root) = support::shared("data/dicom") else { return };
    let expected = support::json(root.join("expected.json"));
    let objects = expected["derived_objects"].as_object().unwrap();
    let (mut seen, mut hashed) = (0, 0);
    for (name, figures) in objects.iter().filter(|(_, figures)| figures["type"] != "RTSTRUCT") {
        let stored = dicom::read_stored(root.join(name), &Limits::default());
        seen += 1;
        if let (true, Ok(stored)) = (figures["sha256_u8_frames"].is_null(), &stored) {
            // The program that made the figures could not decode these; they are copies of another file.
            let liver = dicom::read_stored(root.join("derived/seg_ct3slice/liver.dcm"), &Limits::default()).unwrap();
            assert_eq!(stored.values, liver.values, "{name}");
            continue;
        }
        let stored = stored.unwrap_or_else(|e| panic!("{name}: {e}"));
        let wanted = ["cols", "rows", "frames"].map(|key| usize::try_from(figures[key].as_u64().unwrap()).unwrap());
        assert_eq!(stored.shape, wanted, "{name}");
        assert_eq!(stored.values.iter().sum::<i64>(), figures["pixel_sum"].as_i64().unwrap(), "{name}");
        let bytes: Vec<u8> = stored.values.iter().map(|&value| u8::try_from(value).unwrap()).collect();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, figures["sha256_u8_frames"].as_str().unwrap(), "{name}");
        hashed += 1;
    }
    assert_eq!((seen, hashed), (17, 15));
}

#[test]
fn segmentations_of_other_programs_are_label_volumes_or_refused_with_the_reason() {
    let Some(root) = support::shared("data/dicom/derived") else { return };
    for (name, outcome) in OUTCOMES {
        let read = formats::read_labels(root.join(name), &ReadOptions::new());
        match (outcome, read) {
            (Ok((shape, ids)), Ok(study)) => {
                assert_eq!(study.labels.grid().shape(), shape, "{name}");
                let mut found: Vec<u16> = study.labels.ids.data().iter().copied().filter(|&id| id != 0).collect();
                found.sort_unstable();
                found.dedup();
                assert_eq!(found, ids, "{name}");
                assert!(ids.iter().all(|&id| study.labels.table.get(id).is_some()), "{name}");
                assert_eq!(study.probe.format, Format::Dicom);
            }
            (Err(reason), Err(error)) => assert!(error.to_string().contains(reason), "{name}: {error}"),
            (_, read) => panic!("{name}: {:?}", read.map(|study| study.labels.grid().shape())),
        }
    }
}

fn label(id: u16, name: &str) -> Label {
    Label { id, name: name.to_owned(), rgb: [id.to_le_bytes()[0], 100, 200], code: None }
}

/// Labels of slices 1 to 3 of five, with ids 17, 53 and one that the table lacks.
fn labels(study: &formats::Study) -> LabelMap {
    let table = LabelTable::new(vec![label(17, "left hippocampus"), label(53, "Hippocampe gauche é")]).unwrap();
    let mut ids: Volume<u16> = Volume::zeros(*study.volume.grid()).unwrap();
    let plane = SHAPE[0] * SHAPE[1];
    for (n, id) in ids.data_mut().iter_mut().enumerate().filter(|(n, _)| (1..4).contains(&(n / plane))) {
        *id = [0, 17, 53, 600][n * n % 7 % 4];
    }
    LabelMap::new(ids, table)
}

fn options(kind: SegmentationType, keep_empty_frames: bool) -> SegmentationOptions {
    let mut options = SegmentationOptions::default();
    options.kind = kind;
    options.keep_empty_frames = keep_empty_frames;
    options.overwrite = Overwrite::Replace;
    options
}

#[test]
fn what_is_written_is_read_back_with_ids_names_colors_and_place() {
    let series = folder(&slices(), EXPLICIT);
    let study = formats::read(series.path(), &ReadOptions::new()).unwrap();
    let labels = labels(&study);
    let out = tempfile::tempdir().unwrap();
    let (path, nifti) = (out.path().join("a_seg.dcm"), out.path().join("a_seg.nii.gz"));
    formats::write_labels(&nifti, &labels, &study.source, Overwrite::Refuse).unwrap();
    for kind in [SegmentationType::Binary, SegmentationType::Labelmap] {
        for keep in [true, false] {
            write_segmentation(&path, &labels, &study.source, &options(kind, keep)).unwrap();
            let read = formats::read_labels(&path, &ReadOptions::new()).unwrap();
            let plane = SHAPE[0] * SHAPE[1];
            let kept = if keep { 0..5 } else { 1..4 };
            assert_eq!(read.labels.ids.data(), &labels.ids.data()[kept.start * plane..kept.end * plane]);
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let place = labels.grid().window([0.0, 0.0, kept.start as f64], [6, 4, kept.len()]).unwrap();
            assert!(read.labels.grid().matches(&place), "{:?}", read.labels.grid().difference(&place));
            assert_eq!(read.labels.table.name(17), "left hippocampus");
            assert_eq!(read.labels.table.name(53), "Hippocampe gauche é");
            assert_eq!(read.labels.table.name(600), "label 600");
            assert!(read.labels.table.rgb(17).into_iter().zip([17, 100, 200]).all(|(a, b)| a.abs_diff(b) <= 1));
            for (a, b) in [(&path, &nifti), (&nifti, &path)] {
                let (report, _) = batch::evaluate_files(a, b, &EvaluateOptions::default(), None).unwrap();
                assert_eq!(report.mean.dice, Some(1.0));
            }
            let converted = out.path().join("converted.nii.gz");
            let mut convert = ConvertOptions::default();
            convert.overwrite = Overwrite::Replace;
            batch::convert(&path, &converted, &convert).unwrap();
            let back = formats::read_labels(&converted, &ReadOptions::new()).unwrap();
            assert_eq!(back.labels.ids.data(), read.labels.ids.data());
            assert_eq!(back.labels.table.name(17), "left hippocampus");
        }
    }
}

#[test]
fn an_empty_result_is_an_object_too() {
    let series = folder(&slices(), EXPLICIT);
    let study = formats::read(series.path(), &ReadOptions::new()).unwrap();
    let empty = LabelMap::new(Volume::zeros(*study.volume.grid()).unwrap(), LabelTable::default());
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("empty.dcm");
    for kind in [SegmentationType::Binary, SegmentationType::Labelmap] {
        write_segmentation(&path, &empty, &study.source, &options(kind, false)).unwrap();
        let read = formats::read_labels(&path, &ReadOptions::new()).unwrap();
        assert!(read.labels.is_empty() && read.labels.grid().matches(empty.grid()));
    }
}

fn refused(path: &Path) -> unet_vol::Error {
    formats::read(path, &ReadOptions::new()).unwrap_err()
}

#[test]
fn labels_are_no_intensities_and_other_sources_make_no_object() {
    let series = folder(&slices(), EXPLICIT);
    let study = formats::read(series.path(), &ReadOptions::new()).unwrap();
    let labels = labels(&study);
    let out = tempfile::tempdir().unwrap();
    let (path, nifti) = (out.path().join("a.dcm"), out.path().join("a.nii"));
    write_segmentation(&path, &labels, &study.source, &options(SegmentationType::Binary, false)).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("holds labels and no image"), "{error}");
    formats::write_labels(&nifti, &labels, &study.source, Overwrite::Refuse).unwrap();
    let source = formats::read(&nifti, &ReadOptions::new()).unwrap().source;
    let made = out.path().join("b.dcm");
    let error = write_segmentation(&made, &labels, &source, &options(SegmentationType::Binary, false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!made.exists());
    let mut once = options(SegmentationType::Binary, false);
    once.overwrite = Overwrite::Refuse;
    assert_eq!(write_segmentation(&path, &labels, &study.source, &once).unwrap_err().kind(), ErrorKind::Usage);
}
