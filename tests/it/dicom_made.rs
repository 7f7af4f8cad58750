//! DICOM folders that the tests write themselves: each has one oddity, and a value or a refusal that follows from it.
#![allow(clippy::cast_possible_truncation, reason = "values are small")]

use std::path::Path;

use unet_vol::error::ErrorKind;
use unet_vol::formats::dicom::{self, SeriesKind};
use unet_vol::formats::{self, Format, OnGap, ReadOptions, Study};
use unet_vol::limits::Limits;
use unet_vol::volume::SourceKind;

use crate::dicom_writer::{
    BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, Object, RLE, SERIES, SHAPE, folder, image, rle, samples, slice, slices,
    value,
};

const POSITION: u32 = 0x0020_0032;
const INSTANCE: u32 = 0x0008_0018;

fn read(path: &Path) -> unet_vol::Result<Study> {
    formats::read(path, &ReadOptions::new())
}

fn refusal(path: &Path) -> String {
    let error = read(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    error.to_string()
}

/// The series of `slices()` as it must come out.
fn check_values(study: &Study, convert: impl Fn(usize, u16) -> f32) {
    let view = study.volume.view();
    for ((i, j, k), &found) in view.indexed_iter() {
        assert_eq!(found, convert(k, value(i, j, k)), "voxel {i} {j} {k}");
    }
}

fn check_series(study: &Study) {
    assert_eq!(study.volume.grid().shape(), SHAPE);
    let rows = study.volume.grid().affine().rows();
    assert_eq!(rows, [[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 0.0]]);
    check_values(study, |_, value| f32::from(value));
}

#[test]
fn a_shuffled_series_is_ordered_by_position_in_every_native_syntax() {
    for syntax in [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED] {
        let folder = folder(&slices(), syntax);
        let study = read(folder.path()).unwrap();
        check_series(&study);
        assert_eq!(study.probe.format, Format::Dicom);
        assert_eq!(study.warnings, []);
        let SourceKind::Dicom(source) = &study.source.kind else { panic!("no DICOM source") };
        assert_eq!(source.slices[4].sop_instance_uid, "1.2.3.4.5");
        assert_eq!(source.slices[4].position, "-10\\-20\\16");
        assert_eq!(source.attributes.iter().find(|a| a.tag == 0x0010_0010).unwrap().value, b"Doe^Jane");
        assert!(!format!("{study:?}").contains("Jane"), "patient names are not printed");
    }
}

#[test]
fn uneven_steps_are_refused_with_numbers_and_names() {
    let mut slices = slices();
    slices.remove(2);
    let folder = folder(&slices, EXPLICIT);
    let message = refusal(folder.path());
    for part in ["uneven", "4 mm", "8 mm", "IM10", "IM17"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let options = ReadOptions::new().with_on_gap(OnGap::Resample);
    let study = formats::read(folder.path(), &options).unwrap();
    // The values are linear along k, so the interpolated slice is the missing one.
    check_series(&study);
    assert_eq!(study.warnings.last().unwrap().code, "resampled-slices");
    assert!(study.warnings.last().unwrap().message.contains("(k = 2)"), "{:?}", study.warnings);
    let SourceKind::Dicom(source) = &study.source.kind else { panic!("no DICOM source") };
    assert_eq!(source.places, Some(vec![0.0, 1.0, 3.0, 4.0]));
    assert_eq!(source.slices.len(), 4);
}

#[test]
fn equal_duplicates_are_dropped_and_different_ones_refused() {
    let copy = slice(2);
    let renamed = slice(2).text(INSTANCE, b"UI", "1.2.3.4.99");
    for duplicate in [copy.clone(), renamed.clone()] {
        let folder = folder(&[slices(), vec![duplicate]].concat(), EXPLICIT);
        let study = read(folder.path()).unwrap();
        check_series(&study);
        assert_eq!(study.warnings[0].code, "duplicate-slices");
    }
    for duplicate in [copy, renamed] {
        let folder = folder(&[slices(), vec![duplicate.pixels(samples(4))]].concat(), EXPLICIT);
        let message = refusal(folder.path());
        assert!(message.contains("different"), "{message}");
    }
}

#[test]
fn a_tilted_series_is_a_sheared_affine() {
    let tilted = (0..5).map(|k| slice(k).text(POSITION, b"DS", format!("-10\\{}\\{}", k as f64 - 20.0, 4 * k)));
    let folder = folder(&tilted.collect::<Vec<_>>(), EXPLICIT);
    let study = read(folder.path()).unwrap();
    assert_eq!(study.volume.grid().affine().column(2), [0.0, -1.0, 4.0]);
    assert_eq!(study.warnings[0].code, "tilted");
    let row = &dicom::scan(folder.path(), &Limits::default()).unwrap().series[0];
    assert!((row.tilt_degrees - 0.25_f64.atan().to_degrees()).abs() < 1e-9);
}

#[test]
fn a_slice_that_is_shifted_or_turned_is_refused() {
    let shifted = [slices()[..4].to_vec(), vec![slice(4).text(POSITION, b"DS", "-9\\-20\\16")]].concat();
    let message = refusal(folder(&shifted, EXPLICIT).path());
    assert!(message.contains("off the grid"), "{message}");
    let turned = slice(3).text(0x0020_0037, b"DS", "0.99\\0.141\\0\\-0.141\\0.99\\0");
    let rows = dicom::scan(folder(&[slices(), vec![turned]].concat(), EXPLICIT).path(), &Limits::default()).unwrap();
    assert_eq!(rows.series.len(), 2);
}

#[test]
fn each_slice_has_its_own_slope_and_intercept() {
    let scaled = |k: usize| {
        slice(k).text(0x0028_1052, b"DS", format!("{}", -1024.5 - k as f64)).text(
            0x0028_1053,
            b"DS",
            format!("{}", 0.25 * (k + 1) as f64),
        )
    };
    let folder = folder(&(0..5).map(scaled).collect::<Vec<_>>(), IMPLICIT);
    let study = read(folder.path()).unwrap();
    check_values(&study, |k, value| (f64::from(value) * 0.25 * (k + 1) as f64 - 1024.5 - k as f64) as f32);
}

#[test]
fn bits_above_the_stored_ones_are_ignored_and_the_sign_extended() {
    let garbage = |k: usize| samples(k).iter().map(|&v| v | 0xa000).collect();
    let folder_of = |signed: u16| {
        let objects: Vec<_> =
            (0..5).map(|k| slice(k).pixels(garbage(k)).word(0x0028_0103, signed).word(0x0028_0101, 9)).collect();
        let objects: Vec<_> = objects.into_iter().map(|object| object.word(0x0028_0102, 8)).collect();
        folder(&objects, EXPLICIT)
    };
    check_values(&read(folder_of(0).path()).unwrap(), |_, value| f32::from(value));
    check_values(&read(folder_of(1).path()).unwrap(), |_, value| {
        f32::from(value) - if value >= 256 { 512.0 } else { 0.0 }
    });
    let wrong: Vec<_> = slices().into_iter().map(|slice| slice.word(0x0028_0102, 15)).collect();
    assert!(refusal(folder(&wrong, EXPLICIT).path()).contains("HighBit"));
}

#[test]
fn run_length_frames_may_come_in_fragments() {
    let compressed = |k: usize| {
        let frame = rle(&samples(k));
        let half = frame.len() / 4 * 2;
        let fragments = if k == 1 { vec![frame[..half].to_vec(), frame[half..].to_vec()] } else { vec![frame] };
        slice(k).fragments([vec![Vec::new()], fragments].concat())
    };
    check_series(&read(folder(&(0..5).map(compressed).collect::<Vec<_>>(), RLE).path()).unwrap());
}

#[test]
fn frames_in_several_fragments_are_found_by_table_or_by_content() {
    let frames: Vec<_> = (0..5).map(|k| rle(&samples(k))).collect();
    let cut = |frame: &Vec<u8>| vec![frame[..66].to_vec(), frame[66..].to_vec()];
    let fragments: Vec<_> = frames.iter().flat_map(cut).collect();
    let offsets: Vec<u64> = (0..5).map(|k| frames[..k].iter().map(|frame| frame.len() as u64 + 16).sum()).collect();
    let short: Vec<u8> = offsets.iter().flat_map(|&offset| (offset as u32).to_le_bytes()).collect();
    let long: Vec<u16> = offsets.iter().flat_map(|&offset| [offset as u16, 0, 0, 0]).collect();
    let dose = slice(0).text(0x0028_0008, b"IS", "5").text(0x3004_000c, b"DS", "0\\4\\8\\12\\16");
    let basic = dose.clone().fragments([vec![short], fragments.clone()].concat());
    let none = dose.clone().fragments([vec![Vec::new()], fragments.clone()].concat());
    let extended = none.clone().words(0x7fe0_0001, b"OV", long);
    let lost = dose.fragments([vec![Vec::new()], fragments[..8].to_vec()].concat());
    for object in [basic, none, extended] {
        check_series(&read(folder(&[object], RLE).path()).unwrap());
    }
    let error = read(folder(&[lost], RLE).path()).unwrap_err();
    assert!(error.message().contains("8 fragments"), "{error}");
}

/// An enhanced file whose frames come in the order 3 0 4 1 2, at two echoes.
fn enhanced() -> Object {
    let frame = |k: usize, echo: f64| {
        Object::default()
            .items(0x0020_9113, vec![Object::default().text(POSITION, b"DS", format!("-10\\-20\\{}", 4 * k))])
            .items(0x0018_9114, vec![Object::default().double(0x0018_9082, echo)])
    };
    let shared = Object::default()
        .items(0x0020_9116, vec![Object::default().text(0x0020_0037, b"DS", "1\\0\\0\\0\\1\\0")])
        .items(0x0028_9110, vec![Object::default().text(0x0028_0030, b"DS", "3\\2")])
        .items(0x0028_9145, vec![Object::default().text(0x0028_1052, b"DS", "-5").text(0x0028_1053, b"DS", "2")]);
    let order = [3, 0, 4, 1, 2];
    let frames = order.iter().map(|&k| frame(k, 10.0)).chain(order.iter().map(|&k| frame(k, 20.0)));
    let first: Vec<u16> = order.iter().flat_map(|&k| samples(k)).collect();
    let second = first.iter().map(|value| value + 1000);
    image()
        .text(INSTANCE, b"UI", "1.2.3.4.1")
        .text(0x0008_0060, b"CS", "MR")
        .text(0x0028_0008, b"IS", "10")
        .without(0x0028_0030)
        .items(0x5200_9229, vec![shared])
        .items(0x5200_9230, frames.collect())
        .pixels(first.iter().copied().chain(second).collect())
}

#[test]
fn frames_of_an_enhanced_file_are_placed_by_their_functional_groups() {
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        let folder = folder(&[enhanced()], syntax);
        let error = read(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("2 volumes"), "{error}");
        let file = unet_vol_file(folder.path());
        for (row, more) in [("1", 0.0), ("2", 2000.0)] {
            let options = ReadOptions::new().with_series(Some(row.to_owned()));
            let study = formats::read(&file, &options).unwrap();
            assert_eq!(study.volume.grid().affine().column(2), [0.0, 0.0, 4.0]);
            check_values(&study, |_, value| 2.0 * f32::from(value) - 5.0 + more);
        }
    }
}

/// The only file of a folder.
fn unet_vol_file(folder: &Path) -> std::path::PathBuf {
    std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn time_points_are_chosen_by_number() {
    let later = |k: usize| {
        slice(k)
            .text(INSTANCE, b"UI", format!("1.2.3.4.{}", k + 100))
            .text(0x0020_0012, b"IS", "2")
            .pixels(samples(k).iter().map(|value| value + 7).collect())
    };
    let objects = [slices(), (0..5).map(later).collect()].concat();
    let folder = folder(&objects, EXPLICIT);
    let error = read(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.advice().unwrap().contains("--volume 0 to 1"));
    assert_eq!(formats::probe(folder.path(), &ReadOptions::new()).unwrap().shape, [6, 4, 5, 2]);
    let at = |n| formats::read(folder.path(), &ReadOptions::new().with_volume(Some(n)));
    check_series(&at(0).unwrap());
    check_values(&at(1).unwrap(), |_, value| f32::from(value + 7));
    assert_eq!(at(2).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_slice_leads_to_its_folder_and_a_folder_of_series_to_a_choice() {
    let second: Vec<_> = (0..5)
        .map(|k| {
            slice(k).text(0x0020_000e, b"UI", "1.2.3.5").text(0x0008_103e, b"LO", "Other head").text(
                INSTANCE,
                b"UI",
                format!("1.2.3.5.{k}"),
            )
        })
        .collect();
    let folder = folder(&[slices(), second].concat(), EXPLICIT);
    let error = read(&folder.path().join("IM03")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.message().contains("one of 5 slices") && error.advice().unwrap().contains(SERIES), "{error}");
    let error = read(folder.path()).unwrap_err();
    assert!(error.message().contains("Made head") && error.message().contains("Other head"), "{error}");
    for name in [SERIES, "made HEAD", "1"] {
        check_series(&formats::read(folder.path(), &ReadOptions::new().with_series(Some(name.to_owned()))).unwrap());
    }
    let error = formats::read(folder.path(), &ReadOptions::new().with_series(Some("knee".to_owned()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("IM03"), alone.path().join("one.dcm")).unwrap();
    let study = read(&alone.path().join("one.dcm")).unwrap();
    assert_eq!(study.volume.grid().spacing(), [2.0, 3.0, 9.0]);
    assert_eq!(study.warnings[0].code, "single-slice");
}

#[test]
fn one_series_identifier_in_two_studies_makes_two_rows() {
    let other = slices().into_iter().map(|slice| slice.text(0x0020_000d, b"UI", "1.2.9")).collect();
    let triage = dicom::scan(folder(&[slices(), other].concat(), EXPLICIT).path(), &Limits::default()).unwrap();
    assert_eq!(triage.series.len(), 2);
    assert!(triage.series.iter().all(|row| row.refusal.is_none()));
}

#[test]
fn without_a_place_there_is_no_volume() {
    for (tag, name) in
        [(POSITION, "ImagePositionPatient"), (0x0020_0037, "ImageOrientationPatient"), (0x0028_0030, "PixelSpacing")]
    {
        let lost: Vec<_> = slices().into_iter().map(|slice| slice.without(tag)).collect();
        assert!(refusal(folder(&lost, EXPLICIT).path()).contains(name));
    }
    let color: Vec<_> = slices().into_iter().map(|slice| slice.word(0x0028_0002, 3)).collect();
    assert!(refusal(folder(&color, EXPLICIT).path()).contains("color"));
}

/// Series that are refused, by the words in the table of the documentation.
fn refused() -> Vec<(&'static str, Vec<Object>)> {
    let each = |change: &dyn Fn(Object) -> Object| slices().into_iter().map(change).collect::<Vec<_>>();
    let with = |k: usize, change: &dyn Fn(Object) -> Object| {
        let mut all = slices();
        all[k] = change(all[k].clone());
        all
    };
    let more = |object: Object| [slices(), vec![object]].concat();
    let other_pixels = |k: usize| slice(k).pixels(samples(k + 1));
    vec![
        ("uneven slice spacing", slices().into_iter().enumerate().filter(|(k, _)| *k != 2).map(|(_, s)| s).collect()),
        ("they are shifted or turned", with(2, &|slice| slice.text(POSITION, b"DS", "-9\\-20\\8"))),
        ("with different values lie at the position", more(other_pixels(2).text(INSTANCE, b"UI", "1.2.3.4.99"))),
        ("the same identifier and different content", more(other_pixels(2))),
        ("slices lie at one position", each(&|slice| slice.text(POSITION, b"DS", "1\\2\\3"))),
        ("PixelSpacing differs", with(2, &|slice| slice.text(0x0028_0030, b"DS", "3.0\\2.5"))),
        ("ImagePositionPatient is absent", each(&|slice| slice.without(POSITION))),
        ("ImageOrientationPatient is absent", each(&|slice| slice.without(0x0020_0037))),
        ("PixelSpacing is absent", each(&|slice| slice.without(0x0028_0030))),
        ("HighBit is", each(&|slice| slice.word(0x0028_0102, 15))),
        ("it is a color image", each(&|slice| slice.text(0x0028_0004, b"CS", "PALETTE COLOR"))),
        (
            "a modality lookup table",
            each(&|slice| slice.items(0x0028_3000, vec![Object::default().word(0x0028_3002, 1)])),
        ),
        ("floating-point numbers", each(&|slice| slice.without(0x7fe0_0010).words(0x7fe0_0008, b"OF", vec![0; 48]))),
        (
            "several frames without a position for each",
            vec![slice(0).text(0x0028_0008, b"IS", "2").pixels([samples(0), samples(1)].concat())],
        ),
        (
            "private (CSA) header was removed",
            vec![slice(0).text(0x0008_0008, b"CS", "ORIGINAL\\PRIMARY\\M\\MOSAIC").text(0x0008_0070, b"LO", "SIEMENS")],
        ),
        ("is not decoded", slices()),
        ("bytes that the header promises", vec![slice(0).pixels(samples(0)[..20].to_vec())]),
        ("cut off", vec![slice(0)]),
        ("it has no pixel data", each(&|slice| slice.without(0x7fe0_0010))),
    ]
}

/// Each row of the table says what a series that is refused for it is told.
#[test]
fn the_table_of_refusals_is_that_of_the_code() {
    let page = std::fs::read_to_string(crate::support::repository("src/formats/dicom/mod.rs")).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("//! | found |")).skip(2);
    let rows = table.take_while(|line| line.starts_with("//! |"));
    let said: Vec<_> = rows.map(|line| line.split('|').nth(3).unwrap().trim().to_owned()).collect();
    let made = refused();
    assert_eq!(said, made.iter().map(|(words, _)| *words).collect::<Vec<_>>());
    for (words, objects) in made {
        // Progressive JPEG, of which no sample is looked at.
        let syntax = if words == "is not decoded" { "1.2.840.10008.1.2.4.55" } else { EXPLICIT };
        let folder = folder(&objects, syntax);
        if words == "cut off" {
            let file = folder.path().join("IM03");
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..300]).unwrap();
        }
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn a_data_set_without_preamble_is_read() {
    for syntax in [IMPLICIT, EXPLICIT, BIG_ENDIAN] {
        let folder = tempfile::tempdir().unwrap();
        for (k, slice) in slices().iter().enumerate() {
            std::fs::write(folder.path().join(format!("{k}.ima")), slice.data_set(syntax)).unwrap();
        }
        check_series(&read(folder.path()).unwrap());
    }
}

#[test]
fn what_is_not_dicom_is_counted_and_the_rest_is_read() {
    let folder = folder(&slices(), EXPLICIT);
    std::fs::write(folder.path().join("empty.dcm"), b"").unwrap();
    std::fs::write(folder.path().join("report.dcm"), b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n").unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/notes.txt"), b"Dear colleague").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), folder.path().join("sub/loop")).unwrap();
    let triage = dicom::scan(folder.path(), &Limits::default()).unwrap();
    assert_eq!((triage.files, triage.dicom_files, triage.series.len()), (8, 5, 1));
    assert_eq!(triage.series[0].kind, SeriesKind::Volume);
    check_series(&read(folder.path()).unwrap());
    for name in ["empty.dcm", "report.dcm"] {
        assert!(read(&folder.path().join(name)).is_err());
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(read(empty.path()).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_media_directory_is_followed_and_its_missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("CT")).unwrap();
    for (k, slice) in slices().iter().enumerate() {
        std::fs::write(folder.path().join(format!("CT/{k}")), slice.file(EXPLICIT)).unwrap();
    }
    let record = |name: &str| Object::default().text(0x0004_1500, b"CS", name);
    let names = ["CT\\0", "CT\\1", "CT\\2", "CT\\3", "CT\\4", "CT\\5", "..\\x"];
    let directory = Object::default().items(0x0004_1220, names.map(record).to_vec());
    let meta = Object::default()
        .text(0x0002_0002, b"UI", "1.2.840.10008.1.3.10")
        .text(0x0002_0010, b"UI", EXPLICIT)
        .data_set(EXPLICIT);
    let bytes = [&[0; 128][..], b"DICM", &meta, &directory.data_set(EXPLICIT)].concat();
    std::fs::write(folder.path().join("DICOMDIR"), bytes).unwrap();
    for path in [folder.path().to_owned(), folder.path().join("DICOMDIR")] {
        let triage = dicom::scan(&path, &Limits::default()).unwrap();
        assert_eq!(triage.missing, [folder.path().join("CT/5")]);
        assert_eq!(triage.series.len(), 1);
        check_series(&read(&path).unwrap());
    }
}

#[test]
fn short_samples_and_absurd_lengths_are_refused() {
    let file = slice(0).file(EXPLICIT);
    let at = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one"), bytes).unwrap();
        read(folder.path()).unwrap_err().to_string()
    };
    assert!(at(&file[..file.len() - 7]).contains("41 of the 48 bytes"));
    // The length of the patient's name, and of the samples.
    let place = |tag: &[u8]| file.windows(tag.len()).position(|window| window == tag).unwrap() + tag.len();
    let mut long = file.clone();
    long[place(b"\x10\x00\x10\x00PN")..][..2].copy_from_slice(&[0xff, 0xff]);
    assert!(at(&long).contains("cut off"), "{}", at(&long));
    let mut long = file.clone();
    long[place(b"\xe0\x7f\x10\x00OW\0\0")..][..4].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff]);
    assert!(read_one(&long).is_ok(), "samples that are there are read, whatever length is declared");
    let mut nested = slice(0).without(0x7fe0_0010).data_set(EXPLICIT);
    for _ in 0..5000 {
        nested.extend(b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff");
    }
    assert!(at(&nested).contains("nested"), "{}", at(&nested));
    let huge = slice(0).word(0x0028_0010, 65535).word(0x0028_0011, 65535);
    assert!(at(&huge.file(EXPLICIT)).contains("promise"));
    let huge = slice(0).text(0x0028_0008, b"IS", "4000000000");
    assert!(at(&huge.file(EXPLICIT)).contains("promise"));
    let frames = slice(0).text(0x0028_0008, b"IS", "1A");
    assert!(at(&frames.file(EXPLICIT)).contains("NumberOfFrames"));
}

fn read_one(bytes: &[u8]) -> unet_vol::Result<Study> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one"), bytes).unwrap();
    read(folder.path())
}

/// A radiograph without a place.
fn radiograph() -> Object {
    image()
        .text(0x0008_0060, b"CS", "DX")
        .text(INSTANCE, b"UI", "1.2.3.4.1")
        .without(0x0028_0030)
        .text(0x0018_1164, b"DS", "0.3\\0.2")
        .pixels(samples(1))
}

#[test]
fn radiographs_are_a_slice_each_with_a_note_on_their_spacing() {
    let second = radiograph().text(INSTANCE, b"UI", "1.2.3.4.2").text(0x0028_0030, b"DS", "0.5\\0.4");
    let second = second.text(0x0020_0020, b"CS", "L\\F");
    let third = radiograph().text(INSTANCE, b"UI", "1.2.3.4.3").without(0x0018_1164);
    let folder = folder(&[radiograph(), second, third], EXPLICIT);
    let triage = dicom::scan(folder.path(), &Limits::default()).unwrap();
    assert_eq!(triage.series.len(), 3);
    let read = |n: usize, options: ReadOptions| triage.read_row_as::<f32>(&triage.series[n], &options).unwrap();
    let study = read(0, ReadOptions::new());
    assert_eq!(triage.series[0].kind, SeriesKind::Radiograph);
    assert_eq!(triage.series[0].orientation, None);
    assert_eq!((study.volume.grid().shape(), study.volume.grid().spacing()), ([6, 4, 1], [0.2, 0.3, 1.0]));
    assert_eq!(study.volume.data()[7], f32::from(value(1, 1, 1)));
    assert!(!study.source.oriented);
    assert!(study.warnings[0].message.contains("ImagerPixelSpacing"), "{:?}", study.warnings);
    let asked = read(0, ReadOptions::new().with_assume_orientation(Some("LIA".parse().unwrap())));
    assert_eq!(asked.volume.grid().orientation().to_string(), "LIA");

    let study = read(1, ReadOptions::new());
    assert!(study.source.oriented);
    assert_eq!(study.volume.grid().orientation().to_string(), "LIP");
    assert_eq!(study.volume.grid().spacing(), [0.4, 0.5, 1.0]);
    assert_eq!(study.volume.grid().index_to_world([2.5, 1.5, 0.0]), [0.0, 0.0, 0.0]);
    assert_eq!(read(2, ReadOptions::new()).warnings[0].code, "no-spacing");

    // A file of such a series stands for itself, and comes back from NIfTI as unplaced as it went.
    let file = folder.path().join("IM03");
    let out = folder.path().join("out.nii");
    unet_vol::batch::convert(&file, &out, &unet_vol::batch::ConvertOptions::default()).unwrap();
    let back = formats::read(&out, &ReadOptions::new()).unwrap();
    assert!(!back.source.oriented);
    assert_eq!(back.volume.data(), read(0, ReadOptions::new()).volume.data());
}

#[test]
fn monochrome1_is_as_stored_unless_it_is_to_be_inverted() {
    let inverse = |objects: Vec<Object>| objects.into_iter().map(|slice| slice.text(0x0028_0004, b"CS", "MONOCHROME1"));
    let scaled = |slice: Object| slice.text(0x0028_1053, b"DS", "2").text(0x0028_1052, b"DS", "-100");
    for (signed, ends) in [(0, 4095.0), (1, -1.0)] {
        let objects = inverse(slices()).map(scaled).map(|slice| slice.word(0x0028_0103, signed));
        let folder = folder(&objects.collect::<Vec<_>>(), EXPLICIT);
        check_values(&read(folder.path()).unwrap(), |_, value| 2.0 * f32::from(value) - 100.0);
        let study = formats::read(folder.path(), &ReadOptions::new().with_invert_monochrome1(true)).unwrap();
        check_values(&study, |_, value| 2.0 * (ends - f32::from(value)) - 100.0);
    }
    let folder = folder(&slices(), EXPLICIT);
    check_series(&formats::read(folder.path(), &ReadOptions::new().with_invert_monochrome1(true)).unwrap());
}
