//! Components, holes and instances against golden values, real masks and, through `tests/oracle/check_components.py`,
//! against cc3d and SciPy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests may panic, on small values"
)]

use std::io::Read;

use proptest::prelude::*;
use serde_json::Value;
use unet_vol::labels::{Components, Connectivity, InstanceOptions, LabelId, Scope, Step, instances, postprocess};
use unet_vol::volume::LabelTable;
use unet_vol::{Affine, Grid, LabelMap, Orientation, Volume};

use crate::support::{on_threads, shared};

const CONNECTIVITIES: [Connectivity; 3] = [Connectivity::Six, Connectivity::Eighteen, Connectivity::TwentySix];

fn volume<T>(shape: [usize; 3], data: Vec<T>) -> Volume<T> {
    Volume::new(Grid::new(shape, Affine::identity()).unwrap(), data).unwrap()
}

/// A JSON array nested [i][j][k].
fn nested(value: &Value) -> Volume<u16> {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let (ni, nj, nk) = (list(value).len(), list(&value[0]).len(), list(&value[0][0]).len());
    let mut data = Vec::new();
    for k in 0..nk {
        for j in 0..nj {
            data.extend((0..ni).map(|i| u16::try_from(value[i][j][k].as_u64().unwrap()).unwrap()));
        }
    }
    volume([ni, nj, nk], data)
}

fn golden() -> Option<Value> {
    let path = shared("data/golden/components.json")?;
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

fn check<T: LabelId>(ids: &Volume<T>, case: &Value) {
    let connectivity = Connectivity::try_from(u8::try_from(case["conn"].as_u64().unwrap()).unwrap()).unwrap();
    for threads in [1, 2, 8] {
        let components = on_threads(threads, || Components::new(ids, connectivity)).unwrap();
        assert_eq!(u64::from(components.count()), case["n"].as_u64().unwrap(), "{}", case["name"]);
        assert_eq!(components.paint::<u16>().unwrap(), nested(&case["labels"]), "{}", case["name"]);
        if let Some(sizes) = case["sizes"].as_array() {
            let sizes: Vec<u64> = sizes.iter().map(|size| size.as_u64().unwrap()).collect();
            assert_eq!(components.voxels(), sizes);
        }
    }
}

#[test]
fn golden_components_number_for_number() {
    let Some(golden) = golden() else { return };
    let cases = golden["cases"].as_array().unwrap();
    let mut ids = volume([1, 1, 1], vec![0]);
    for case in cases {
        if !case["volume"].is_null() {
            ids = nested(&case["volume"]);
        }
        check(&ids, case);
        check(&volume(ids.grid().shape(), ids.data().iter().map(|&id| id as u8).collect()), case);
    }
    assert_eq!(cases.len(), 24);
}

#[test]
fn golden_holes() {
    let Some(golden) = golden() else { return };
    let golden = &golden["fill_holes"];
    let mut map = LabelMap::new(nested(&golden["in"]), LabelTable::default());
    let report = postprocess(&mut map, &[Step::FillHoles { labels: Scope::Each }]).unwrap();
    assert_eq!(map.ids, nested(&golden["out_background6"]));
    assert_eq!(report.steps[0].voxels, golden["added"].as_u64().unwrap());
}

/// Voxels of a gzip-compressed NIfTI-1 file of u8, i16 or u16 samples that are not negative.
fn samples(path: &std::path::Path) -> Volume<u16> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let shape = [42, 44, 46].map(|at| usize::from(short(at)));
    let voxels = f32::from_le_bytes([bytes[108], bytes[109], bytes[110], bytes[111]]) as usize;
    let data = match short(70) {
        2 => bytes[voxels..].iter().map(|&id| u16::from(id)).collect(),
        4 | 512 => bytes[voxels..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
        other => panic!("datatype {other}"),
    };
    volume(shape, data)
}

#[test]
fn real_masks_have_as_many_components_as_known() {
    let known = [
        ("data/brain/ms19_lesions.nii.gz", 42_283, [104, 74]),
        ("data/microscopy/nuclei3d_instances.nii.gz", 0, [12, 9]),
    ];
    let mut seen = 0;
    for (path, voxels, counts) in known {
        let Some(path) = shared(path) else { continue };
        let ids = samples(&path);
        let foreground = |id| u16::from(id != 0);
        for (connectivity, count) in [Connectivity::Six, Connectivity::TwentySix].into_iter().zip(counts) {
            let components = Components::by_class(&ids, connectivity, foreground).unwrap();
            assert_eq!(components.count(), count, "{} {connectivity:?}", path.display());
            let sum: u64 = components.voxels().iter().sum();
            assert!(voxels == 0 || sum == voxels);
        }
        seen += 1;
    }
    assert!(seen == 0 || seen == 2);
}

#[test]
fn the_nuclei_are_51_instances_and_stay_so() {
    let Some(path) = shared("data/microscopy/nuclei3d_instances.nii.gz") else { return };
    let map = LabelMap::new(samples(&path), LabelTable::default());
    let mut ids = map.ids.data().to_vec();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 52);
    let found = instances(&map, &InstanceOptions::default()).unwrap();
    // Each label is at least one object; objects of different labels never share one.
    assert!(found.objects().len() >= 51);
    let painted = found.paint::<u16>().unwrap();
    for (number, id) in painted.data().iter().zip(map.ids.data()) {
        let label = number.checked_sub(1).map_or(0, |n| found.objects()[usize::from(n)].label);
        assert_eq!(label, *id);
    }
}

/// Random ids 0..=labels, background with probability `empty` in 256, in blobs of `blob` voxels along i.
fn random(shape: [usize; 3], labels: u32, empty: u32, blob: usize, seed: u32) -> Volume<u16> {
    let noise = |n: usize, salt: u32| {
        let mut x = (n as u32 ^ seed).wrapping_mul(0x9E37_79B1) ^ salt;
        x ^= x >> 15;
        x = x.wrapping_mul(0x85EB_CA6B);
        x ^ x >> 13
    };
    let id = |n: usize| if noise(n / blob, 1) % 256 < empty { 0 } else { 1 + noise(n / blob, 2) % labels };
    volume(shape, (0..shape.iter().product()).map(|n| id(n) as u16).collect())
}

proptest! {
    #[test]
    fn turning_a_volume_keeps_components(seed in any::<u32>(), empty in 30_u32..240, turned in 0_usize..3) {
        let ids = random([13, 11, 9], 3, empty, 2, seed);
        let orientation = ["LPI", "SRA", "PIR"][turned].parse::<Orientation>().unwrap();
        let other = ids.reoriented(orientation);
        for connectivity in CONNECTIVITIES {
            let sizes = |ids: &Volume<u16>| {
                let components = Components::new(ids, connectivity).unwrap();
                let mut sizes: Vec<_> = components.labels().into_iter().zip(components.voxels()).collect();
                sizes.sort_unstable();
                sizes
            };
            prop_assert_eq!(sizes(&ids), sizes(&other));
        }
    }
}

/// Writes random volumes and what is found in them into the folder `UNET_VOL_ORACLE`, for the script named above; does
/// nothing where the variable is not set.
#[test]
fn files_for_the_oracle() {
    let Some(folder) = std::env::var_os("UNET_VOL_ORACLE").map(std::path::PathBuf::from) else { return };
    let write = |name: String, values: Vec<u32>| {
        let bytes: Vec<u8> = values.into_iter().flat_map(u32::to_le_bytes).collect();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let shapes = [[40, 31, 22], [150, 9, 14], [1, 50, 60], [64, 64, 1], [33, 2, 70]];
    let mut case = 0;
    for shape in shapes {
        for (labels, empty, blob) in [(1, 128, 1), (1, 200, 3), (3, 100, 2), (8, 20, 1), (40, 60, 5), (2, 10, 1)] {
            let ids = random(shape, labels, empty, blob, case);
            let values = |ids: &Volume<u16>| ids.data().iter().map(|&id| u32::from(id)).collect();
            let name = format!("{case}_{}_{}_{}", shape[0], shape[1], shape[2]);
            write(format!("{name}_ids"), values(&ids));
            for connectivity in CONNECTIVITIES {
                let painted = Components::new(&ids, connectivity).unwrap().paint::<u32>().unwrap();
                write(format!("{name}_components{}", u8::from(connectivity)), painted.into_data());
            }
            let mut mask = LabelMap::new(ids, LabelTable::default());
            mask.ids.data_mut().iter_mut().for_each(|id| *id = (*id).min(1));
            for (step, text) in [("filled", r#"{"fill_holes": {}}"#), ("largest", r#"{"keep_largest": {}}"#)] {
                let mut map = mask.clone();
                postprocess(&mut map, &[serde_json::from_str(text).unwrap()]).unwrap();
                write(format!("{name}_{step}"), values(&map.ids));
            }
            case += 1;
        }
    }
    assert_eq!(case, 30);
}
