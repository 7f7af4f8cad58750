//! Structure sets: contours as read, their voxels, and writing.

use std::path::Path;

use unet_vol::formats::dicom::{self, StructureSet};
use unet_vol::formats::{self, ReadOptions, Study};
use unet_vol::volume::{Label, LabelTable};
use unet_vol::{LabelMap, Overwrite, Volume};

use crate::dicom_writer::{EXPLICIT, Object, SHAPE, slice};
use crate::support;

fn read(path: &str) -> Option<StructureSet> {
    let path = support::shared(&format!("data/dicom/derived/{path}"))?;
    Some(StructureSet::read(path, &Default::default()).unwrap())
}

#[test]
fn structure_sets_hold_the_expected_contours() {
    let Some(path) = support::shared("data/dicom/expected.json") else { return };
    let expected = support::json(path);
    let mut seen = 0;
    for (name, object) in expected["derived_objects"].as_object().unwrap() {
        if object["type"] != "RTSTRUCT" {
            continue;
        }
        let set = read(name.strip_prefix("derived/").unwrap()).unwrap();
        let rois = object["rois"].as_array().unwrap();
        assert_eq!(set.structures.len(), rois.len(), "{name}");
        for (structure, roi) in set.structures.iter().zip(rois) {
            assert_eq!(
                (Some(structure.number), Some(structure.name.as_str())),
                (roi["number"].as_i64(), roi["name"].as_str())
            );
            let points = structure.contours.iter().map(|contour| contour.points.len()).sum();
            let counts = [structure.contours.len(), points].map(serde_json::Value::from);
            assert_eq!(
                object["contours"][structure.number.to_string()],
                serde_json::Value::from(counts.to_vec()),
                "{name}"
            );
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn contours_become_voxels_of_the_images_that_they_were_drawn_on() {
    let Some(folder) = support::shared("data/dicom/derived/rtstruct_rtutils") else { return };
    let images = formats::probe(&folder, &ReadOptions::new()).unwrap();
    let (labels, warnings) = read("rtstruct_rtutils/rt.dcm").unwrap().rasterize(&images.grid, None).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    // A square whose edges enclose the middles 152 to 200, less one from 160 to 190 without three pixels of a corner.
    let (first, second) = labels.ids.data().split_at(512 * 512);
    assert_eq!(first.iter().filter(|id| **id == 1).count(), 49 * 49 - (31 * 31 - 3));
    assert!(second.iter().all(|id| *id == 0));
    assert_eq!([152, 159, 160, 190, 191, 200, 201].map(|i| first[512 * 175 + i]), [1, 1, 0, 0, 1, 1, 0]);
    let error = read("rtstruct_rtutils/invalid_reference_rt.dcm").unwrap().rasterize(&images.grid, None).unwrap_err();
    assert!(error.message().contains("lies outside the images"), "{error}");
}

const POSITION: u32 = 0x0020_0032;
const ORIENTATION: u32 = 0x0020_0037;

/// Series of five slices: axial, oblique, tilted, numbered against their order.
fn series() -> Vec<(&'static str, Vec<Object>)> {
    let numbers = 0..SHAPE[2];
    let oblique = |k: usize| {
        let (along, z) = (4.0 * k as f64, 0.6_f64);
        let position = format!("{}\\-20\\{}", -10.0 + along * z, along * 0.8);
        slice(k).text(ORIENTATION, b"DS", "0.8\\0\\-0.6\\0\\1\\0").text(POSITION, b"DS", position)
    };
    let tilted = |k: usize| slice(k).text(POSITION, b"DS", format!("-10\\{}\\{}", -20.0 + 1.5 * k as f64, 4 * k));
    vec![
        ("axial", numbers.clone().map(slice).collect()),
        ("oblique", numbers.clone().map(oblique).collect()),
        ("tilted", numbers.map(tilted).collect()),
    ]
}

fn write(folder: &Path, slices: &[Object]) -> Study {
    for (k, slice) in slices.iter().enumerate() {
        std::fs::write(folder.join(format!("{k}.dcm")), slice.file(EXPLICIT)).unwrap();
    }
    formats::read(folder, &ReadOptions::new()).unwrap()
}

/// Labels 2 and 7 in a pattern with holes, single voxels and voxels that touch by their corners.
fn labels(study: &Study) -> LabelMap {
    let ids = (0..study.volume.data().len()).map(|n| [0, 2, 2, 7, 0, 2, 7, 7, 2, 0, 2][(n * n + n / 7) % 11]).collect();
    let label = |id, name: &str, rgb| Label { id, name: name.to_owned(), rgb, code: None };
    let table =
        LabelTable::new(vec![label(2, "Liver", [200, 30, 4]), label(7, "Vena porta, zweigeteilt", [0, 255, 9])]);
    LabelMap::new(Volume::new(*study.volume.grid(), ids).unwrap(), table.unwrap())
}

#[test]
fn structures_are_read_back_as_they_were_written() {
    for (name, slices) in series() {
        let folder = tempfile::tempdir().unwrap();
        let study = write(folder.path(), &slices);
        let labels = labels(&study);
        let path = folder.path().join("structures.dcm");
        dicom::write_structures(&path, &labels, &study.source, "a test", Overwrite::Refuse).unwrap();
        assert!(dicom::write_structures(&path, &labels, &study.source, "a test", Overwrite::Refuse).is_err());
        let back = formats::read_labels(&path, &ReadOptions::new()).unwrap();
        assert_eq!(back.labels, labels, "{name}");
        assert!(back.warnings.iter().all(|warning| warning.code == "tilted"), "{name}: {:?}", back.warnings);
        // Beside its images the folder is read as images, and as labels where those are asked for.
        assert_eq!(formats::read(folder.path(), &ReadOptions::new()).unwrap().volume, study.volume);
        assert_eq!(formats::read_labels(folder.path(), &ReadOptions::new()).unwrap().labels, labels);
    }
}

#[test]
fn structures_without_their_images_are_refused_with_what_to_give() {
    let folder = tempfile::tempdir().unwrap();
    let (images, alone, other) =
        (folder.path().join("images"), folder.path().join("alone"), folder.path().join("other"));
    [&images, &alone, &other].iter().for_each(|path| std::fs::create_dir(path).unwrap());
    let [(_, axial), (_, oblique), _] = series().try_into().unwrap_or_else(|_| panic!("three series"));
    let study = write(&images, &axial);
    let labels = labels(&study);
    let path = alone.join("structures.dcm");
    dicom::write_structures(&path, &labels, &study.source, "a test", Overwrite::Refuse).unwrap();
    let error = formats::read_labels(&path, &ReadOptions::new()).unwrap_err();
    assert!(error.message().contains("images that are not here") && error.advice().unwrap().contains("--images"));
    let with = |images: &Path| formats::read_labels(&path, &ReadOptions::new().with_images(Some(images.to_owned())));
    assert_eq!(with(&images).unwrap().labels, labels);
    let renamed = |slice: Object| slice.text(0x0020_000e, b"UI", "9.9.9");
    write(&other, &oblique.into_iter().map(renamed).collect::<Vec<_>>());
    assert!(with(&other).unwrap_err().message().contains("images that are not here"));
    // A NIfTI file of the same images is taken on trust.
    let nifti = folder.path().join("images.nii.gz");
    formats::write_volume(&nifti, &study.volume, &study.source, &formats::WriteOptions::new(formats::DataType::Int16))
        .unwrap();
    let trusted = with(&nifti).unwrap();
    assert_eq!(trusted.labels.ids.data(), labels.ids.data());
    assert_eq!(trusted.warnings[0].code, "unknown-frame-of-reference");
    let only = ReadOptions::new().with_images(Some(images)).with_only(Some(vec!["liver".to_owned()]));
    assert_eq!(formats::read_labels(&path, &only).unwrap().labels.table.labels().len(), 1);
}

#[test]
fn pictures_go_into_a_folder_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let study = write(&images, &series()[0].1);
    let out = folder.path().join("out");
    let picture = |k: usize| Ok(([SHAPE[0], SHAPE[1]], vec![u8::try_from(k).unwrap(); 3 * SHAPE[0] * SHAPE[1]]));
    let write =
        |overwrite| dicom::write_captures(&out, &study.source, ([1, 1], vec![9; 3]), picture, "a test", overwrite);
    write(Overwrite::Refuse).unwrap();
    assert!(write(Overwrite::Refuse).is_err());
    write(Overwrite::Replace).unwrap();
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 6);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    // The slices are numbered downwards, so the second picture is that of the last slice.
    let second = std::fs::read(out.join("capture_0002.dcm")).unwrap();
    assert!(second.ends_with(&[4; 72]));
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    assert!(write(Overwrite::Replace).is_err());
}
