//! DICOM against `expected.json`: what pydicom, dcm2niix, SimpleITK and nibabel make of 140 folders and files.
#![allow(clippy::cast_possible_truncation, reason = "lengths are small whole numbers")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use unet_vol::formats::ReadOptions;
use unet_vol::formats::dicom::{self, SeriesKind, SeriesSummary, Triage};
use unet_vol::limits::Limits;

use crate::support::shared;

/// Largest difference in mm between corner voxels.
const SAME_MM: f64 = 1e-3;

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    let mut hasher = Sha256::new();
    let bytes: Vec<u8> = bytes.collect();
    hasher.update(&bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Largest distance in mm between a grid's corners under its own affine and under the expected one.
fn corner_distance(shape: [usize; 3], rows: [[f64; 4]; 3], expected: &Value) -> f64 {
    let expected: Vec<Vec<f64>> = expected.as_array().unwrap().iter().map(floats).collect();
    let mut worst = 0.0_f64;
    for corner in 0..8 {
        let index = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { (shape[axis] - 1) as f64 } else { 0.0 });
        let at = |row: &[f64]| row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3];
        let distance = (0..3).map(|r| (at(&rows[r]) - at(&expected[r])).powi(2)).sum::<f64>().sqrt();
        worst = worst.max(distance);
    }
    worst
}

/// Coded by the discrete cosine transform: decoders differ by a rounding, so no digest can be compared.
const LOSSY: [&str; 4] = [
    "single/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
    "single/JPGExtended.dcm",
    "single/JPEG-lossy.dcm",
    "single/dx_image_jpeg_baseline.dcm",
];

struct Found {
    /// With time where there is more than one.
    shape: Vec<usize>,
    rows: [[f64; 4]; 3],
    digest: String,
    mean: f64,
}

/// The readable volumes of a path, radiographs or all others.
fn volumes(triage: &Triage, radiographs: bool) -> Vec<Result<Found, String>> {
    let is_meant = |row: &&SeriesSummary| (row.kind == SeriesKind::Radiograph) == radiographs;
    let readable = triage.series.iter().filter(|row| row.refusal.is_none()).filter(is_meant);
    readable
        .map(|row| {
            let options = ReadOptions::new().with_series(Some(row.number.to_string()));
            let studies = triage.read_all_as::<f32>(&options).map_err(|e| e.to_string())?;
            let rows = studies[0].volume.grid().affine().rows();
            let values: Vec<f32> = studies.into_iter().flat_map(|study| study.volume.into_data()).collect();
            let mut shape = row.shape.clone();
            if row.volumes > 1 {
                shape.push(row.volumes);
            }
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
            Ok(Found { shape, rows, digest: hex(values.iter().flat_map(|v| v.to_le_bytes())), mean })
        })
        .collect()
}

/// Checks one case and says what is wrong with it.
fn check(root: &Path, case: &Value) -> Result<(), String> {
    let path: PathBuf = root.join(case["path"].as_str().unwrap());
    let outcome = case["outcome"].as_str().unwrap();
    let is_lossy = LOSSY.contains(&case["path"].as_str().unwrap());
    let triage = dicom::scan(&path, &Limits::default()).map_err(|e| e.to_string())?;
    if outcome.starts_with("refused (HighBit") {
        return if triage.series.iter().all(|row| row.refusal.as_ref().is_some_and(|why| why.contains("HighBit"))) {
            Ok(())
        } else {
            Err("HighBit 15 of 12 bits was not refused".to_owned())
        };
    }
    let mut found = Vec::new();
    let mut failed = Vec::new();
    for volume in volumes(&triage, false) {
        match volume {
            Ok(volume) => found.push(volume),
            Err(why) => failed.push(why),
        }
    }
    let expected = case["volumes"].as_array().unwrap();
    let refusals: Vec<_> = triage.series.iter().filter_map(|row| row.refusal.clone()).chain(failed).collect();
    for volume in expected {
        let shape: Vec<usize> = floats(&volume["shape"]).iter().map(|&n| n as usize).collect();
        let digest = volume["sha256_f32"].as_str().unwrap();
        let is_it = |found: &Found| match is_lossy {
            true => found.shape == shape && (found.mean - volume["mean"].as_f64().unwrap()).abs() < 0.02,
            false => found.shape == shape && found.digest == digest,
        };
        let Some(at) = found.iter().position(is_it) else {
            let seen: Vec<_> = found.iter().map(|f| (&f.shape, &f.digest[..8], f.mean)).collect();
            return Err(format!("no volume {shape:?} {}: {seen:?} {refusals:?}", &digest[..8]));
        };
        let volume_found = found.swap_remove(at);
        let shape = volume_found.shape;
        let mm = corner_distance([shape[0], shape[1], shape[2]], volume_found.rows, &volume["affine_ras"]);
        if mm > SAME_MM {
            return Err(format!("corners are {mm} mm off"));
        }
    }
    let modality = case["header"]["modality"].as_str().unwrap_or_default();
    // Radiographs are a volume of one slice, all else without a place is refused.
    let is_radiograph = outcome.starts_with("pixels only") && ["CR", "DX"].contains(&modality);
    if is_radiograph {
        let pixels = floats(&case["pixels"]["shape"]);
        let Some(Ok(slice)) = volumes(&triage, true).pop() else {
            return Err(format!("a radiograph is no slice: {refusals:?}"));
        };
        if slice.shape.iter().map(|&n| n as f64).ne([pixels[1], pixels[0], 1.0]) {
            return Err(format!("a radiograph of {:?} voxels", slice.shape));
        }
    }
    if !found.is_empty() {
        return Err(format!("{} volumes more than expected", found.len()));
    }
    let is_refused = case["n_refused"].as_u64().unwrap() > 0;
    if is_refused
        && !is_radiograph
        && refusals.is_empty()
        && triage.unreadable.is_empty()
        && triage.dicom_files == triage.files
    {
        return Err("nothing was refused".to_owned());
    }
    if outcome.starts_with("pixels only") {
        let stored = dicom::read_stored(&path, &Limits::default()).map_err(|e| e.to_string())?;
        let digest = hex(stored.values.iter().flat_map(|&v| i32::try_from(v).unwrap().to_le_bytes()));
        let range = [stored.values.iter().min(), stored.values.iter().max()].map(|v| *v.unwrap() as f64);
        let expected = ["min", "max"].map(|name| case["pixels"][name].as_f64().unwrap());
        if is_lossy {
            return if (0..2).all(|n| (range[n] - expected[n]).abs() <= 2.0) {
                Ok(())
            } else {
                Err(format!("{range:?}"))
            };
        }
        if digest != case["pixels"]["sha256_i32_c_order"].as_str().unwrap() {
            return Err(format!("pixels differ: {:?}", stored.shape));
        }
    }
    Ok(())
}

#[test]
fn every_case_has_the_expected_outcome() {
    let Some(root) = shared("data/dicom") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(root.join("expected.json")).unwrap()).unwrap();
    let cases = expected["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 140);
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| check(&root, case).err().map(|why| format!("{}: {why}", case["path"].as_str().unwrap())))
        .collect();
    assert!(failures.is_empty(), "{} of 140 cases fail:\n{}", failures.len(), failures.join("\n"));
}

/// The table in the documentation is the code's.
#[test]
fn the_table_of_transfer_syntaxes_is_that_of_the_code() {
    let page = std::fs::read_to_string(crate::support::repository("src/formats/dicom/mod.rs")).unwrap();
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().replace('`', "")).collect() };
    let documented: Vec<_> = page.lines().filter(|line| line.starts_with("//! | `1.2.840")).map(cells).collect();
    let coded = dicom::TRANSFER_SYNTAXES.iter().map(|syntax| {
        let decoded = if syntax.is_decoded() { "yes" } else { "no" };
        ["//!", syntax.uid, syntax.name, decoded, ""].map(str::to_owned).to_vec()
    });
    assert_eq!(documented, coded.collect::<Vec<_>>());
}
