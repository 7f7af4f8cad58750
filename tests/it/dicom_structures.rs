//! Structure sets: contours as read, their voxels, and writing.

use unet_vol::formats::dicom::StructureSet;
use unet_vol::formats::{self, ReadOptions};

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
