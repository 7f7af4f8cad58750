//! `convert`: series of several volumes, folders of several series, sample types.

use std::path::Path;

use unet_vol::batch::{self, ConvertOptions, OnTilt};
use unet_vol::error::ErrorKind;
use unet_vol::formats::{self, DataType, ReadOptions};

use crate::dicom_writer::{EXPLICIT, Object, SERIES, folder, samples, slice, slices, value};

const INSTANCE: u32 = 0x0008_0018;

/// Slices of a second time point, 7 higher.
fn later() -> impl Iterator<Item = Object> {
    (0..5).map(|k| {
        slice(k)
            .text(INSTANCE, b"UI", format!("{SERIES}.{}", k + 100))
            .text(0x0020_0012, b"IS", "2")
            .pixels(samples(k).iter().map(|value| value + 7).collect())
    })
}

/// Number of axes, length and step of the fourth, units of a NIfTI-1 file (`nifti1.h`).
fn fourth_axis(path: &Path) -> (i16, i16, f32, u8) {
    let bytes = std::fs::read(path).unwrap();
    let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let step = f32::from_le_bytes(bytes[92..96].try_into().unwrap());
    (short(40), short(48), step, bytes[123])
}

#[test]
fn time_points_become_a_fourth_axis_with_its_step() {
    let objects = slices().into_iter().chain(later()).map(|slice| slice.text(0x0018_0080, b"DS", "2500"));
    let folder = folder(&objects.collect::<Vec<_>>(), EXPLICIT);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("all.nii");
    batch::convert(folder.path(), &file, &ConvertOptions::default()).unwrap();
    assert_eq!(fourth_axis(&file), (4, 2, 2.5, 2 + 8));

    // Read back, and once more through a reorientation of a NIfTI file of four axes.
    let mut options = ConvertOptions::default();
    options.orientation = Some("RAS".parse().unwrap());
    let turned = out.path().join("ras.nii");
    batch::convert(&file, &turned, &options).unwrap();
    assert_eq!(fourth_axis(&turned), (4, 2, 2.5, 2 + 8));
    for (path, [ni, nj]) in [(&file, [0, 0]), (&turned, [5, 3])] {
        let studies = formats::read_all_as::<f32>(path, &ReadOptions::new()).unwrap();
        assert_eq!(studies.len(), 2);
        for (study, more) in studies.iter().zip([0, 7]) {
            for ((i, j, k), &found) in study.volume.view().indexed_iter() {
                assert_eq!(found, f32::from(value(i.abs_diff(ni), j.abs_diff(nj), k) + more));
            }
        }
    }

    options.volume = Some(1);
    let one = out.path().join("one.nii");
    batch::convert(folder.path(), &one, &options).unwrap();
    assert_eq!(fourth_axis(&one).0, 3);
}

#[test]
fn several_series_need_a_choice_or_a_folder() {
    let mut second = slices();
    for (k, slice) in second.iter_mut().enumerate() {
        let head = slice.clone().text(0x0020_000e, b"UI", "1.2.3.5").text(INSTANCE, b"UI", format!("1.2.3.5.{k}"));
        *slice = head;
    }
    let mut third = second.clone();
    third.remove(2);
    let third = third.into_iter().map(|slice| slice.text(0x0020_000e, b"UI", "1.2.3.6").text(0x0020_0011, b"IS", "9"));
    let folder = folder(&[slices(), second, third.collect()].concat(), EXPLICIT);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("x.nii");
    let error = batch::convert(folder.path(), &file, &ConvertOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.advice().unwrap().contains("folder"), "{error:?}");

    let into = out.path().join("new");
    let done = batch::convert_all(folder.path(), &into, &ConvertOptions::default()).unwrap();
    let names: Vec<_> =
        done.iter().map(|done| done.as_ref().map(|done| done.path.file_name().unwrap().to_owned())).collect();
    assert_eq!(names[0].as_ref().unwrap(), "7_Made_head.nii.gz");
    assert_eq!(names[1].as_ref().unwrap(), "7_Made_head_2.nii.gz");
    assert!(names[2].as_ref().unwrap_err().message().contains("uneven"));
    assert_eq!(names.len(), 3);
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 2);
}

#[test]
fn shifted_values_stay_whole_numbers_and_scaled_ones_do_not() {
    let out = tempfile::tempdir().unwrap();
    let kind = |name: &str, slope: &str, intercept: &dyn Fn(usize) -> String| {
        let scaled = |k: usize| slice(k).text(0x0028_1053, b"DS", slope).text(0x0028_1052, b"DS", intercept(k));
        let folder = folder(&(0..5).map(scaled).collect::<Vec<_>>(), EXPLICIT);
        let file = out.path().join(name);
        batch::convert(folder.path(), &file, &ConvertOptions::default()).unwrap();
        let study = formats::read(&file, &ReadOptions::new()).unwrap();
        (study.probe.data_type, study.volume.view()[[1, 2, 3]])
    };
    assert_eq!(kind("ct.nii", "1", &|_| "-1024".to_owned()), (DataType::Int16, 321.0 - 1024.0));
    assert_eq!(kind("far.nii", "1", &|_| "-100000".to_owned()), (DataType::Int32, 321.0 - 100_000.0));
    assert_eq!(kind("half.nii", "1", &|_| "0.5".to_owned()), (DataType::Float32, 321.5));
    assert_eq!(kind("slope.nii", "2", &|_| "0".to_owned()), (DataType::Float32, 642.0));
    assert_eq!(kind("each.nii", "1", &|k| format!("{}.5", k)), (DataType::Float32, 324.5));
}

#[test]
fn tilted_slices_stay_sheared_or_are_straightened() {
    let tilted = (0..5).map(|k| slice(k).text(0x0020_0032, b"DS", format!("-10\\{}\\{}", k as f64 - 20.0, 4 * k)));
    let folder = folder(&tilted.collect::<Vec<_>>(), EXPLICIT);
    let out = tempfile::tempdir().unwrap();
    let mut options = ConvertOptions::default();
    let sheared = batch::convert(folder.path(), &out.path().join("sheared.nii"), &options).unwrap();
    assert_eq!(sheared.warnings.last().unwrap().code, "sheared");
    let probe = formats::probe(&sheared.path, &ReadOptions::new()).unwrap();
    assert_eq!((probe.sform_code, probe.qform_code), (1, 0));
    assert_eq!(probe.grid.affine().column(2), [0.0, -1.0, 4.0]);

    options.on_tilt = OnTilt::Resample;
    let straight = batch::convert(folder.path(), &out.path().join("straight.nii"), &options).unwrap();
    assert_eq!(straight.warnings.last().unwrap().code, "straightened");
    let study = formats::read(&straight.path, &ReadOptions::new()).unwrap();
    let grid = study.volume.grid();
    assert_eq!((grid.shape(), grid.spacing()), ([6, 6, 5], [2.0, 3.0, 4.0]));
    assert_eq!((study.probe.qform_code, study.probe.data_type), (1, DataType::UInt16));
    // Rows step 3 mm to the back, each slice 1 mm: the value of row j' in slice k is that of row j' - k / 3.
    for ((i, j, k), &found) in study.volume.view().indexed_iter() {
        let row = j as f64 - k as f64 / 3.0;
        if (0.0..=3.0).contains(&row) {
            let wanted = (100 * k + i) as f64 + 10.0 * row;
            assert!((f64::from(found) - wanted).abs() <= 0.5, "{i} {j} {k}: {found}, not {wanted}");
        } else if !(-0.5..=3.5).contains(&row) {
            assert_eq!(found, 0.0, "{i} {j} {k}");
        }
    }
}
