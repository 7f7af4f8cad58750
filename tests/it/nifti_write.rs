//! What we write as NIfTI: nothing of the source's geometry is lost, and other programs read it
//! (`tests/oracle/check_nifti_roundtrip.py` asks nibabel and SimpleITK about the files written here).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use unet_vol::formats::{self, DataType, ReadOptions, SlabWriter, WriteOptions};
use unet_vol::volume::{Label, LabelTable, NiftiSource, Source, SourceKind};
use unet_vol::{Affine, ErrorKind, Grid, LabelMap, Orientation, Overwrite, Volume};

use crate::support;

/// Where the Python oracle looks for the files.
fn oracle_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("oracle/nifti")
}

/// Every file with one or more volumes that we can read.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![support::repository("testdata/nifti")];
    for set in ["real", "cases", "orient48", "malformed"] {
        folders.extend(support::shared(&format!("data/nifti/{set}")));
    }
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| !path.to_string_lossy().contains(".img"))
        .filter(|path| formats::read(path, &ReadOptions::new().with_volume(Some(0))).is_ok())
        .collect();
    files.sort();
    files
}

/// Ids that no permutation of voxels leaves in place; `tests/oracle/check_nifti_roundtrip.py` has the same formula.
fn ids(voxels: usize, modulus: usize) -> Vec<u16> {
    (0..voxels).map(|n| u16::try_from(n * 7919 % modulus).unwrap()).collect()
}

fn table() -> LabelTable {
    let label = |id, name: &str| Label { id, name: name.to_owned(), rgb: [10, 200, 30], code: None };
    LabelTable::new(vec![label(1, "left <one> & \"two\""), label(150, "Großhirn")]).unwrap()
}

fn nifti(source: &Source) -> &NiftiSource {
    match &source.kind {
        SourceKind::Nifti(nifti) => nifti,
        _ => panic!("no NIfTI source"),
    }
}

/// Header bytes that a label map may change: everything else is the source's.
const CHANGED_ONE: &[(usize, usize)] = &[(0, 4), (40, 76), (108, 120), (124, 132), (148, 252), (328, 348)];
const CHANGED_TWO: &[(usize, usize)] = &[(0, 104), (168, 208), (240, 344), (504, 524)];

fn assert_header_kept(name: &str, before: &NiftiSource, after: &NiftiSource, repaired: bool) {
    assert_eq!((before.big_endian, before.header.len()), (after.big_endian, after.header.len()), "{name}");
    let changed = if before.header.len() == 348 { CHANGED_ONE } else { CHANGED_TWO };
    // A form or a spacing that cannot be used is not passed on.
    let geometry = if before.header.len() == 348 { [(80, 92), (252, 256)] } else { [(112, 136), (344, 352)] };
    for (at, (a, b)) in before.header.iter().zip(&after.header).enumerate() {
        let inside = |ranges: &[(usize, usize)]| ranges.iter().any(|range| (range.0..range.1).contains(&at));
        assert!(a == b || inside(changed) || repaired && inside(&geometry), "{name}: byte {at}");
    }
    let kept: Vec<_> = before.extensions.iter().filter(|e| !e.1.starts_with(b"<?xml")).collect();
    assert_eq!((after.extensions[0].0, after.extensions[1].0), (0, 30), "{name}");
    assert_eq!(after.extensions[2..].iter().collect::<Vec<_>>(), kept, "{name}");
}

#[test]
fn labels_written_beside_every_source_keep_its_header_and_lie_on_its_grid() {
    let folder = oracle_folder();
    fs::create_dir_all(&folder).unwrap();
    let mut manifest = Vec::new();
    for (n, path) in sources().iter().enumerate() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let study = formats::read(path, &ReadOptions::new().with_volume(Some(0))).unwrap();
        let modulus = if n % 3 == 0 { 1000 } else { 200 };
        let ids = ids(study.volume.data().len(), modulus);
        let labels = LabelMap::new(Volume::new(*study.volume.grid(), ids).unwrap(), table());
        let out = folder.join(format!("{n}_seg.{}", if n % 2 == 0 { "nii" } else { "nii.gz" }));
        formats::write_labels(&out, &labels, &study.source, Overwrite::Replace).unwrap();

        let back = formats::read_labels(&out, &ReadOptions::new()).unwrap();
        assert_eq!(back.labels, labels, "{name}");
        assert_eq!(back.source.grid, study.source.grid, "{name}");
        assert_eq!((back.probe.intent.as_str(), back.probe.scaling), ("Label", Some((1.0, 0.0))), "{name}");
        let large = labels.max_id() > 255;
        assert_eq!(back.probe.data_type, if large { DataType::UInt16 } else { DataType::UInt8 }, "{name}");
        let repair = ["form-unusable", "form-code", "spacing-replaced"];
        let repaired = study.warnings.iter().any(|w| repair.contains(&w.code)) || name.starts_with("aff_negative");
        // Spacings of axes that a flat image does not count, and of others that the sform overrides.
        let spacings = nifti(&study.source).header[80..92].chunks(4).any(|b| b == [0; 4]);
        assert_header_kept(name, nifti(&study.source), nifti(&back.source), repaired || spacings);
        manifest.push(json!({
            "source": path, "written": out, "modulus": modulus, "repaired": repaired,
            "oriented": study.source.oriented, "dtype": back.probe.data_type.name(),
        }));
    }
    let floor = if support::shared("data/nifti").is_some() { 170 } else { 35 };
    assert!(manifest.len() >= floor, "{}", manifest.len());
    fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
}

fn oblique(shape: [usize; 3]) -> Grid {
    let rows = [[-1.2, 0.5, 0.3, 20.0], [0.6, 1.8, -0.4, -30.0], [-0.3, 0.2, 2.9, 10.0]];
    Grid::new(shape, Affine::from_rows(rows).unwrap()).unwrap()
}

fn memory(grid: Grid) -> Source {
    Source::new(None, grid, SourceKind::Memory)
}

#[test]
fn a_volume_made_in_memory_gets_a_fresh_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fresh.nii.gz");
    let write = |grid: Grid| {
        let volume = Volume::new(grid, ids(grid.voxels(), 500)).unwrap();
        let options = WriteOptions::new(DataType::Float32).with_overwrite(Overwrite::Replace);
        formats::write_volume(&path, &volume, &memory(grid), &options).unwrap();
        let back = formats::read_as::<f64>(&path, &ReadOptions::new()).unwrap();
        assert!(back.warnings.is_empty(), "{:?}", back.warnings);
        assert!(back.volume.grid().matches(&grid));
        assert!(back.volume.data().iter().zip(volume.data()).all(|(a, b)| *a == f64::from(*b)));
        back.probe
    };
    // A shear fits into no qform.
    let probe = write(oblique([5, 6, 7]));
    assert_eq!((probe.sform_code, probe.qform_code, probe.units.0), (1, 0, "millimeter"));
    for orientation in ["RAS", "LPS", "PIR", "SAL"] {
        let straight = Grid::new([5, 6, 7], Affine::from_spacing([1.0, 1.2, 2.0], [3.0, -4.0, 5.0]).unwrap()).unwrap();
        let map = Orientation::RAS.to(orientation.parse().unwrap());
        let probe = write(straight.mapped(map));
        assert_eq!((probe.sform_code, probe.qform_code), (1, 1), "{orientation}");
    }
    let long = Grid::new([40_000, 1, 1], Affine::identity()).unwrap();
    assert_eq!(write(long).format, formats::Format::Nifti2);
    assert_eq!(write(oblique([3, 3, 3])).format, formats::Format::Nifti1);
}

#[test]
fn values_that_do_not_fit_are_refused_with_the_number_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let grid = oblique([2, 2, 1]);
    let path = folder.path().join("out.nii");
    for (data_type, value, fits) in [
        (DataType::UInt8, 255.4, true),
        (DataType::UInt8, 256.0, false),
        (DataType::UInt8, -1.0, false),
        (DataType::Int16, -32768.0, true),
        (DataType::Int16, 40_000.0, false),
        (DataType::UInt16, f64::NAN, false),
        (DataType::Int32, 2_147_483_647.0, true),
        (DataType::Float32, 1e39, false),
        (DataType::Float32, f64::NAN, true),
        (DataType::Float64, 1e300, true),
    ] {
        let volume = Volume::new(grid, vec![0.0, 1.0, 2.0, value]).unwrap();
        match formats::write_volume(&path, &volume, &memory(grid), &WriteOptions::new(data_type)) {
            Ok(()) => {
                assert!(fits, "{data_type} {value}");
                fs::remove_file(&path).unwrap();
            }
            Err(error) => {
                assert!(!fits && error.kind() == ErrorKind::Usage, "{data_type} {value}: {error}");
                assert!(error.message().contains(&value.to_string()), "{error}");
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn slabs_give_the_bytes_of_the_whole_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let grid = oblique([70, 60, 90]);
    let data: Vec<f32> = (0..grid.voxels()).map(|n| (n as f32 * 0.37).sin()).collect();
    let options = WriteOptions::new(DataType::Float32).with_quantity(Some("probability".to_owned()));
    let slabs = folder.path().join("slabs.nii.gz");
    let mut writer = SlabWriter::create(&slabs, &grid, &memory(grid), &options).unwrap();
    data.chunks(70 * 60 * 7).for_each(|slab| writer.write(slab).unwrap());
    writer.finish().unwrap();
    let volume = Volume::new(grid, data.clone()).unwrap();
    for threads in [1, 3] {
        let whole = folder.path().join(format!("whole{threads}.nii.gz"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| formats::write_volume(&whole, &volume, &memory(grid), &options)).unwrap();
        assert!(fs::read(&slabs).unwrap() == fs::read(whole).unwrap(), "{threads} threads");
    }
    let back = formats::read(&slabs, &ReadOptions::new()).unwrap();
    assert!(back.volume.data() == data);
    assert_eq!(back.probe.intent_name, "probability");

    let unfinished = folder.path().join("unfinished.nii");
    let mut writer = SlabWriter::create(&unfinished, &grid, &memory(grid), &options).unwrap();
    writer.write(&data[1..]).unwrap();
    assert!(writer.write(&data[..2]).is_err());
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Internal);
    assert!(!unfinished.exists());
}

#[test]
fn a_reoriented_volume_keeps_the_place_of_every_voxel_and_its_extensions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ras.nii");
    for name in ["extension.nii", "big_endian.nii", "two.nii", "qform_only.nii", "neither.nii"] {
        let study = formats::read(support::repository("testdata/nifti").join(name), &ReadOptions::new()).unwrap();
        let turned = study.volume.reoriented(Orientation::RAS);
        let options = WriteOptions::new(DataType::Int16).with_overwrite(Overwrite::Replace);
        formats::write_volume(&path, &turned, &study.source, &options).unwrap();
        let back = formats::read(&path, &ReadOptions::new()).unwrap();
        assert!(back.warnings.is_empty(), "{name}: {:?}", back.warnings);
        assert_eq!(back.volume.data(), turned.data(), "{name}");
        assert!(back.volume.grid().matches(turned.grid()), "{name}");
        assert_eq!(nifti(&back.source).extensions, nifti(&study.source).extensions, "{name}");
        assert_eq!(back.probe.description, study.probe.description, "{name}");
        assert_eq!(back.probe.big_endian, study.probe.big_endian, "{name}");
    }
}

#[test]
fn names_and_existing_files_are_minded() {
    let folder = tempfile::tempdir().unwrap();
    let grid = oblique([2, 2, 2]);
    let labels = LabelMap::new(Volume::zeros(grid).unwrap(), LabelTable::default());
    let write = |name: &str| {
        formats::write_labels(folder.path().join(name), &labels, &memory(grid), Overwrite::Refuse).map_err(|e| e.kind())
    };
    for name in ["a.b.nii", "x.v1.seg.nii.gz", "UPPER.NII.GZ"] {
        write(name).unwrap();
        assert!(folder.path().join(name).exists(), "{name}");
        assert_eq!(write(name), Err(ErrorKind::Usage), "{name}");
    }
    assert_eq!(write("a.mgz"), Err(ErrorKind::Usage));
    assert_eq!(write("nowhere/a.nii"), Err(ErrorKind::Output));
    #[cfg(target_os = "linux")]
    assert_eq!(write("/proc/a.nii.gz"), Err(ErrorKind::Output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}
