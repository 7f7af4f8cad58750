//! Series with missing slices or uneven steps: labels are those of the slices that are there.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]

use std::path::Path;

use unet_vol::batch::{OutputPaths, Segmentation, StudyOptions};
use unet_vol::error::ErrorKind;
use unet_vol::formats::dicom::{SegmentationOptions, write_segmentation};
use unet_vol::formats::{self, OnGap, ReadOptions};
use unet_vol::pipeline::Pipeline;
use unet_vol::volume::SourceKind;

use crate::dicom_writer::{EXPLICIT, SHAPE, slice};
use crate::networks::{Network, spec};

/// Samples of 0 to 3 of the slice at `mm`.
fn samples(mm: f64) -> Vec<u16> {
    let seed = (mm * 10.0).round() as u64 + 1;
    (0..24).map(|n: u64| ((n * n * 7 + seed * seed * 13 + n * seed * 5 + n / 5) / 3 % 4) as u16).collect()
}

/// A series of slices at these mm along the normal of `row` and the anterior to posterior axis, shuffled.
fn write_series(folder: &Path, along: &[f64], [x, z]: [f64; 2]) {
    std::fs::create_dir(folder).unwrap();
    for (k, mm) in along.iter().enumerate() {
        let object = slice(k)
            .text(0x0020_0032, b"DS", format!("{}\\-20\\{}", -10.0 - mm * z, mm * x))
            .text(0x0020_0037, b"DS", format!("{x}\\0\\{z}\\0\\1\\0"))
            .pixels(samples(*mm));
        std::fs::write(folder.join(format!("{}.dcm", (k * 5) % 11)), object.file(EXPLICIT)).unwrap();
    }
}

fn segment(folder: &Path) -> Segmentation {
    let predictor = Box::new(Network::pointwise(4));
    let pipeline = Pipeline::predictor_builder(spec(4, ""), predictor).build().unwrap();
    let mut options = StudyOptions::default();
    assert_eq!(pipeline.run_files(&[folder], &options).unwrap_err().kind(), ErrorKind::Unsupported);
    options.on_gap = OnGap::Resample;
    pipeline.run_files(&[folder], &options).unwrap()
}

/// Labels in every form that a series can have.
fn every_form(folder: &Path) -> OutputPaths {
    let mut outputs = OutputPaths::new(folder.join("labels.nii.gz"));
    outputs.dicom_seg = Some(folder.join("seg.dcm"));
    outputs.rtstruct = Some(folder.join("structures.dcm"));
    outputs.secondary_capture = Some(folder.join("captures"));
    outputs
}

/// Labels of the slices one after the other, as the samples say.
fn wanted(along: &[f64]) -> Vec<u16> {
    along.iter().flat_map(|&mm| samples(mm)).map(|sample| 10 * sample).collect()
}

const ORIENTATIONS: [[f64; 2]; 2] = [[1.0, 0.0], [0.8, -0.6]];

#[test]
fn where_slices_are_missing_every_object_has_the_labels_of_those_that_are_there() {
    let along = [0.0, 4.0, 12.0, 16.0, 20.0, 32.0];
    let present = [0_usize, 1, 3, 4, 5, 8];
    for orientation in ORIENTATIONS {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        write_series(&images, &along, orientation);
        let done = segment(&images);
        assert_eq!(done.labels().grid().shape(), [SHAPE[0], SHAPE[1], 9]);
        let warning = done.warnings().into_iter().find(|warning| warning.code == "resampled-slices").unwrap();
        assert!(warning.message.contains("k = 2, 6, 7"), "{warning:?}");
        let slices = done.outcome.slices.as_ref().unwrap();
        assert_eq!(slices.ids.data(), wanted(&along));
        done.write(&every_form(dir.path())).unwrap();

        // The label volume has the even grid of the image that `convert` writes, and the labels of the slices on it.
        let volume = formats::read_labels(dir.path().join("labels.nii.gz"), &ReadOptions::new()).unwrap().labels;
        assert!(volume.grid().matches(done.labels().grid()));
        let places: Vec<f64> = present.iter().map(|&k| k as f64).collect();
        assert_eq!(volume.ids.slices(&places).unwrap().unwrap().data(), wanted(&along));

        // Objects have a frame, contours and a picture for each slice that is there, and nothing in between.
        let mut only = vec![0; done.labels().ids.data().len()];
        for (n, k) in present.into_iter().enumerate() {
            only[24 * k..24 * (k + 1)].copy_from_slice(&wanted(&along)[24 * n..24 * (n + 1)]);
        }
        let seg = formats::read_labels(dir.path().join("seg.dcm"), &ReadOptions::new()).unwrap().labels;
        assert!(seg.grid().matches(done.labels().grid()));
        assert_eq!(seg.ids.data(), only);
        let with_images = ReadOptions::new().with_images(Some(images.clone())).with_on_gap(OnGap::Resample);
        let structures = formats::read_labels(dir.path().join("structures.dcm"), &with_images).unwrap().labels;
        assert!(structures.grid().matches(done.labels().grid()));
        assert_eq!(structures.ids.data(), only);
        assert_eq!(std::fs::read_dir(dir.path().join("captures")).unwrap().count(), along.len() + 1);

        // Labels on the even grid have the slices that are needed.
        let options = SegmentationOptions::default();
        let again = dir.path().join("again.dcm");
        write_segmentation(&again, done.labels(), &done.inputs.source, &options).unwrap();
        let seg = formats::read_labels(&again, &ReadOptions::new()).unwrap().labels;
        assert_eq!(seg.ids.data(), only);
    }
}

#[test]
fn slices_of_uneven_steps_are_decided_where_they_are() {
    let along = [0.0, 5.6, 8.0, 14.0, 17.0, 22.0, 24.0];
    for orientation in ORIENTATIONS {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        write_series(&images, &along, orientation);
        let done = segment(&images);
        let source = &done.inputs.source;
        let places = source.places().unwrap();
        assert_eq!(places.len(), along.len());
        // What the network sees there: the even slices, interpolated once more.
        let even = done.inputs.channels[0].data();
        let last = even.len() / 24 - 1;
        let (mut differ, mut compared) = (0, 0);
        let slices = done.outcome.slices.as_ref().unwrap();
        for (n, place) in places.iter().enumerate() {
            let k = (place.floor() as usize).min(last - 1);
            for voxel in 0..24 {
                let (a, b) = (f64::from(even[24 * k + voxel]), f64::from(even[24 * (k + 1) + voxel]));
                let x = a + (b - a) * (place - k as f64);
                if (x - x.floor() - 0.5).abs() > 1e-3 {
                    let found = slices.ids.data()[24 * n + voxel];
                    assert_eq!(found, 10 * x.round() as u16, "slice {n}, voxel {voxel}");
                    compared += 1;
                    differ += usize::from(found != done.labels().ids.data()[24 * place.round() as usize + voxel]);
                }
            }
        }
        assert!(compared > 150 && differ > 10, "{compared} {differ}");
        // The slices themselves are kept, for pictures.
        let kept = done.inputs.slices.as_ref().unwrap();
        let values: Vec<f32> = along.iter().flat_map(|&mm| samples(mm)).map(f32::from).collect();
        assert_eq!(kept.data(), values);

        done.write(&every_form(dir.path())).unwrap();
        let volume = formats::read_labels(dir.path().join("labels.nii.gz"), &ReadOptions::new()).unwrap().labels;
        assert_eq!(
            (volume.grid().shape(), volume.ids.data()),
            (done.labels().grid().shape(), done.labels().ids.data())
        );

        // No affine has them all: a reader that needs one is told so.
        let error = formats::read_labels(dir.path().join("seg.dcm"), &ReadOptions::new()).unwrap_err();
        assert!(error.message().contains("off the grid"), "{error}");
        let labels = done.labels();
        let again = dir.path().join("again.dcm");
        let error = write_segmentation(&again, labels, source, &SegmentationOptions::default()).unwrap_err();
        assert!(error.kind() == ErrorKind::Usage && error.message().contains("between"), "{error}");
        let own = source.by_slice().unwrap().unwrap();
        write_segmentation(&again, slices, &own, &SegmentationOptions::default()).unwrap();
        let SourceKind::Dicom(dicom) = &own.kind else { panic!("no DICOM source") };
        assert_eq!((dicom.places.is_none(), dicom.slice_distance, dicom.slice_thickness), (true, None, Some(9.0)));
        assert!(own.by_slice().unwrap().is_none());
    }
}
