//! NIfTI files against nibabel: every file of the shared data and of the golden cases, and what we write ourselves.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use unet_vol::formats::{self, Form, Probe, ReadOptions, Study};
use unet_vol::{ErrorKind, Orientation, Result};

use crate::support;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn read64(path: &Path) -> Result<Study<f64>> {
    formats::read_as::<f64>(path, &ReadOptions::new())
}

fn codes(warnings: &[unet_vol::Warning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.code).collect()
}

/// The scaled samples of all volumes of a file, one after the other.
fn all_volumes(path: &Path, probe: &Probe) -> Result<Vec<f64>> {
    let count: u64 = probe.shape.iter().skip(3).product();
    let mut all = Vec::new();
    for volume in 0..usize::try_from(count).unwrap() {
        let study = formats::read_as::<f64>(path, &ReadOptions::new().with_volume(Some(volume)))?;
        all.extend(study.volume.into_data());
    }
    Ok(all)
}

fn sha256(values: &[f64]) -> String {
    let mut hasher = Sha256::new();
    values.iter().for_each(|v| hasher.update(v.to_le_bytes()));
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// nibabel's affine to what `f32` header fields can carry.
fn assert_affine(name: &str, probe: &Probe, wanted: &Value, tolerance: f64) {
    let rows = probe.grid.affine().rows();
    let scale = rows.as_flattened().iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    for (r, row) in rows.iter().enumerate() {
        for (c, value) in row.iter().enumerate() {
            let wanted = wanted[r][c].as_f64().unwrap();
            assert!((value - wanted).abs() <= tolerance * scale, "{name}: {rows:?}");
        }
    }
}

/// Header, geometry and every voxel against what nibabel says of a good file.
fn assert_as_nibabel(path: &Path, wanted: &Value) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let probe = formats::probe(path, &ReadOptions::new()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let shape: Vec<u64> = serde_json::from_value(wanted["shape"].clone()).unwrap();
    assert_eq!(probe.shape, shape, "{name}");
    assert_eq!(probe.big_endian, wanted["endian"] == "big", "{name}");
    assert_affine(name, &probe, &wanted["affine"], 2e-6);
    assert_eq!(probe.grid.orientation().to_string(), wanted["orientation"].as_str().unwrap(), "{name}");
    let two = wanted["format"].as_str().unwrap().starts_with("Nifti2");
    assert_eq!(probe.format == formats::Format::Nifti2, two, "{name}");
    for (ours, key) in [(probe.sform_code, "sform_code"), (probe.qform_code, "qform_code")] {
        assert_eq!(ours, wanted[key].as_i64().unwrap(), "{name}: {key}");
    }
    let extensions: Vec<i64> =
        wanted["extensions"].as_array().unwrap().iter().map(|e| e[0].as_i64().unwrap()).collect();
    assert_eq!(probe.extensions.iter().map(|e| i64::from(e.0)).collect::<Vec<_>>(), extensions, "{name}");
    if let Some(data_type) = wanted["dtype"].as_str().filter(|kind| !kind.starts_with("complex")) {
        assert_eq!(probe.data_type.name(), data_type, "{name}");
    }
    if probe.form == Form::None {
        assert!(codes(&probe.warnings).contains(&"no-orientation"), "{name}");
    }
    if !probe.data_type.is_number() {
        assert_eq!(read64(path).unwrap_err().kind(), ErrorKind::Unsupported, "{name}");
        return;
    }
    if wanted["nibabel_error"].is_string() {
        // A lone header: nibabel reads the header and misses the voxels.
        assert!(codes(&probe.warnings).contains(&"voxels-missing"), "{name}");
        assert_eq!(read64(path).unwrap_err().kind(), ErrorKind::Malformed, "{name}");
        return;
    }
    let voxels = all_volumes(path, &probe).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(sha256(&voxels), wanted["sha256_f64le_fortran"].as_str().unwrap(), "{name}");
    if shape.iter().skip(3).product::<u64>() > 1 {
        let error = read64(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        assert!(error.advice().unwrap().contains("--volume"), "{name}");
    } else {
        let single: Study = formats::read(path, &ReadOptions::new()).unwrap();
        #[allow(clippy::cast_possible_truncation, reason = "rounding once is the promise")]
        let equal = single.volume.data().iter().zip(&voxels).all(|(a, b)| a.to_bits() == (*b as f32).to_bits());
        assert!(equal || voxels.iter().any(|v| v.is_nan()), "{name}");
    }
}

#[test]
fn every_file_of_the_shared_data_is_met() {
    let Some(folder) = support::shared("data/nifti") else { return };
    let expected = json(&folder.join("expected.json"));
    let (mut good, mut refused) = (0, 0);
    for set in ["real", "cases", "orient48"] {
        for (name, wanted) in expected[set].as_object().unwrap() {
            let path = folder.join(set).join(name);
            match (wanted["shape"].is_array() && wanted["qform_code"].is_number(), wanted["choice"].is_string()) {
                (true, _) => {
                    assert_as_nibabel(&path, wanted);
                    good += 1;
                }
                // nibabel goes by the suffix, we go by the content.
                (false, true) => {
                    let study = read64(&path).unwrap();
                    assert_eq!(study.volume.data().len(), 7 * 9 * 11);
                    let plain = read64(&folder.join("cases/dtype_int16.nii.gz")).unwrap();
                    assert_eq!(study.volume.grid().shape(), plain.volume.grid().shape());
                    assert_eq!(study.volume.data()[3] - study.volume.data()[2], 1.0);
                    good += 1;
                }
                // An ANALYZE header and two files that crashed another reader.
                (false, false) => {
                    assert!(formats::probe(&path, &ReadOptions::new()).is_err(), "{name}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((good, refused), (21 + 79 + 48 - 3, 3));
}

#[test]
fn doubts_of_the_good_cases_are_told() {
    let Some(folder) = support::shared("data/nifti/cases") else { return };
    for (name, code) in [
        ("aff_both_disagree.nii.gz", "forms-disagree"),
        ("aff_both_disagree_flip.nii.gz", "forms-disagree"),
        ("aff_neither.nii.gz", "no-orientation"),
        ("units_micron.nii.gz", "units"),
        ("units_meter.nii.gz", "units"),
        ("bitpix_wrong.nii.gz", "bits-per-voxel"),
        ("trailing_bytes.nii.gz", "trailing-bytes"),
    ] {
        assert_eq!(codes(&read64(&folder.join(name)).unwrap().warnings), [code], "{name}");
    }
    let mut quiet = 0;
    for name in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        if name.starts_with("dtype_") || name.starts_with("gz_") || name.starts_with("scl_") || name.starts_with("val_")
        {
            quiet += 1;
            let probe = formats::probe(folder.join(&name), &ReadOptions::new()).unwrap();
            assert!(probe.warnings.is_empty(), "{name}: {:?}", probe.warnings);
        }
    }
    assert_eq!(quiet, 13 + 6 + 8 + 7);
}

#[test]
fn every_malformed_file_is_refused_or_read_with_a_warning() {
    let Some(folder) = support::shared("data/nifti") else { return };
    let expected = json(&folder.join("expected.json"));
    let (mut errors, mut either) = (0, 0);
    for (name, wanted) in expected["malformed"].as_object().unwrap() {
        let path = folder.join("malformed").join(name);
        let result = read64(&path);
        if wanted["expect"] == "error" {
            let error = result.expect_err(name);
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Malformed | ErrorKind::Unsupported | ErrorKind::Limit),
                "{name}: {kind:?}"
            );
            assert!(error.to_string().contains(name.trim_end_matches(".hdr")), "{error}");
            assert!(!error.message().contains('\n'), "{error}");
            errors += 1;
        } else {
            assert!(result.as_ref().map_or(true, |study| !study.warnings.is_empty()), "{name} is read in silence");
            if let Ok(study) = result {
                assert_eq!(study.volume.data()[..3], [0.0, 1.0, 2.0], "{name}");
            }
            either += 1;
        }
    }
    assert_eq!((errors, either), (39, 19));
}

/// The made files of this repository: the same questions for a clone without the shared data.
#[test]
fn the_files_of_this_repository_are_met() {
    let expected = json(&support::repository("testdata/nifti/expected.json"));
    let folder = support::repository("testdata/nifti");
    let (mut good, mut warned, mut hostile) = (0, 0, 0);
    for (name, wanted) in expected["good"].as_object().unwrap() {
        assert_as_nibabel(&folder.join(name), wanted);
        good += 1;
    }
    for (name, wanted) in expected["warned"].as_object().unwrap() {
        let study = read64(&folder.join(name)).unwrap();
        assert!(codes(&study.warnings).contains(&wanted["code"].as_str().unwrap()), "{name}: {:?}", study.warnings);
        assert_eq!(sha256(study.volume.data()), wanted["sha256_f64le_fortran"].as_str().unwrap(), "{name}");
        warned += 1;
    }
    for (name, kind) in expected["hostile"].as_object().unwrap() {
        let error = read64(&support::repository("testdata/hostile").join(name)).unwrap_err();
        assert_eq!(format!("{:?}", error.kind()).to_lowercase(), kind.as_str().unwrap(), "{name}: {error}");
        hostile += 1;
    }
    assert_eq!((good, warned, hostile), (28, 8, 20));
}

#[test]
fn either_file_of_a_pair_may_be_named() {
    let folder = support::repository("testdata/nifti");
    let by_header = read64(&folder.join("pair.hdr")).unwrap();
    let by_image = read64(&folder.join("pair.img")).unwrap();
    assert_eq!(by_header.volume, by_image.volume);
    assert_eq!(by_image.probe.voxel_file.as_deref(), Some(folder.join("pair.img").as_path()));
    let alone = tempfile::tempdir().unwrap();
    fs::copy(folder.join("pair.img"), alone.path().join("pair.img")).unwrap();
    let error = read64(&alone.path().join("pair.img")).unwrap_err();
    assert!(error.advice().unwrap().contains(".hdr"), "{error}");
}

#[test]
fn an_orientation_is_assumed_only_where_the_file_has_none() {
    let folder = support::repository("testdata/nifti");
    let assume = ReadOptions::new().with_assume_orientation(Some("PIR".parse().unwrap()));
    let study = formats::read(folder.join("neither.nii"), &assume).unwrap();
    assert_eq!(study.volume.grid().orientation().to_string(), "PIR");
    assert_eq!(study.volume.grid().spacing(), [1.5, 2.0, 3.0]);
    assert_eq!((study.source.oriented, codes(&study.warnings)), (false, vec!["no-orientation"]));
    let study = formats::read(folder.join("i2.nii"), &assume).unwrap();
    assert_eq!((study.source.oriented, codes(&study.warnings)), (true, vec!["orientation-kept"]));
}

#[test]
fn labels_are_exact_or_refused() {
    let read = |name: &str| {
        formats::read_labels(support::repository("testdata/nifti").join(name), &ReadOptions::new())
            .map(|study| study.labels.ids.into_data())
    };
    let ids: Vec<u16> = (0..120).collect();
    for name in ["u1.nii", "i1.nii", "u2.nii", "i2.nii", "u4.nii", "i4.nii", "u8.nii", "i8.nii", "f4.nii", "f8.nii"] {
        assert_eq!(read(name).unwrap(), ids, "{name}");
    }
    for (name, value) in [("beyond_f32.nii", "16777217"), ("scaled.nii", "-1024")] {
        let error = read(name).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains(value), "{error}");
    }
}

/// 2,000 damaged files: an error or a volume within the limits, never a panic.
#[test]
fn mutations_never_panic_and_stay_within_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["i2.nii", "two.nii", "extension.nii", "big_endian.nii", "qform_only.nii", "gzip.nii.gz", "scaled.nii"];
    let files = names.map(|name| (name, fs::read(support::repository("testdata/nifti").join(name)).unwrap()));
    let mut limits = unet_vol::limits::Limits::default();
    limits.max_bytes = 1 << 20;
    limits.max_voxels = 1 << 18;
    let options = ReadOptions::new().with_limits(limits);
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut read = 0;
    for round in 0..2000 {
        let (name, mut bytes) = files[round % files.len()].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len().min(560));
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, u8::try_from(random(256)).unwrap()][random(6)];
        }
        if random(8) == 0 {
            bytes.truncate(random(bytes.len()));
        }
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let _ = formats::probe(&path, &options);
        let _ = formats::read_labels(&path, &options);
        if let Ok(study) = formats::read(&path, &options) {
            assert!(study.volume.data().len() <= 1 << 18);
            read += 1;
        }
    }
    assert!((200..2000).contains(&read), "{read}");
}

/// Whichever byte of a compressed file is damaged, its voxels are right or it is refused.
#[test]
fn no_damage_to_a_compressed_file_goes_unseen() {
    let good = support::repository("testdata/nifti/gzip.nii.gz");
    let voxels = read64(&good).unwrap().volume;
    let bytes = fs::read(&good).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.nii.gz");
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).unwrap();
        match read64(&path) {
            Ok(study) => assert_eq!(study.volume, voxels, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    // All but the ten bytes of the gzip header that say when and where the file was made.
    assert!(refused >= bytes.len() - 10, "{refused}");
}

/// Base64 without padding checks, for the golden file.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, &c| bits << 6 | u32::from(value(c))) << (6 * (4 - group.len()));
        out.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}

fn golden_cases(text: &Value, folder: &Path) -> [usize; 3] {
    let mut seen = [0; 3];
    for case in text["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let path = folder.join(name);
        let packed = base64(case["bytes"].as_str().unwrap());
        let mut bytes = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut bytes).unwrap();
        fs::write(&path, bytes).unwrap();
        let result = read64(&path);
        match case["want"].as_str().unwrap() {
            "error" => {
                seen[2] += 1;
                assert!(result.is_err(), "{name}");
            }
            want => {
                let study = result.unwrap_or_else(|e| panic!("{name}: {e}"));
                let found = codes(&study.warnings);
                // Two families are about which value wins although the file contradicts itself, which we point out.
                let told: &[&str] = match name {
                    "slope_inf.nii" => &["slope"],
                    _ if name.starts_with('q') => &["forms-disagree", "spacing-disagrees", "no-orientation"],
                    _ => &[],
                };
                if want == "ok" {
                    seen[0] += 1;
                    assert!(found.iter().all(|code| told.contains(code)), "{name}: {found:?}");
                } else {
                    seen[1] += 1;
                    assert!(!found.is_empty(), "{name}");
                }
                assert_values(name, &study, case);
            }
        }
        fs::remove_file(&path).unwrap();
    }
    seen
}

fn assert_values(name: &str, study: &Study<f64>, case: &Value) {
    let voxels = study.volume.data();
    // nibabel takes the header for voxels, refuses the suffix or refuses the extension here; the plain case tells.
    let nibabel = &case["nibabel"];
    if nibabel["sum"].is_number() && name != "voxoff_zero.nii" {
        assert_eq!(voxels.iter().sum::<f64>(), nibabel["sum"].as_f64().unwrap(), "{name}");
        assert_eq!(voxels[..3], serde_json::from_value::<[f64; 3]>(nibabel["first"].clone()).unwrap(), "{name}");
        if !name.starts_with("sform_") {
            // The golden affine is rounded to six digits.
            assert_affine(name, &study.probe, &nibabel["affine"], 1e-6);
        }
    } else {
        assert_eq!(voxels.iter().sum::<f64>(), 7140.0, "{name}");
    }
}

#[test]
fn the_golden_cases_are_met() {
    let Some(file) = support::shared("data/golden/nifti_cases.json") else { return };
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(golden_cases(&json(&file), folder.path()), [34, 18, 27]);
}

#[test]
fn all_48_orientations_are_one_object() {
    let Some(folder) = support::shared("data/nifti/orient48") else { return };
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let first = read64(&files[0]).unwrap().volume.reoriented(Orientation::RAS);
    for file in &files {
        let stored = read64(file).unwrap().volume;
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(format!("{}.nii.gz", stored.grid().orientation()), name);
        let turned = stored.reoriented(Orientation::RAS);
        assert_eq!(turned.data(), first.data(), "{name}");
        assert!(turned.grid().corner_distance_mm(first.grid()) < 1e-12, "{name}");
    }
    assert_eq!(files.len(), 48);
}
