//! Pictures as volumes and labels as pictures.

use std::io::Cursor;
use std::path::Path;

use tiff::encoder::{TiffEncoder, colortype};
use unet_vol::batch;
use unet_vol::error::ErrorKind;
use unet_vol::formats::{self, DataType, Format, ReadOptions};
use unet_vol::geometry::Grid;
use unet_vol::pipeline::Pipeline;
use unet_vol::volume::{LabelMap, LabelTable, Source, SourceKind};
use unet_vol::{Overwrite, Volume};

use crate::networks::{Network, spec};
#[cfg(feature = "dicom")]
use crate::support::repository;

const SHAPE: [usize; 3] = [5, 4, 3];

fn value(i: usize, j: usize, k: usize) -> u16 {
    u16::try_from(1000 * k + 100 * j + i).unwrap()
}

fn page(k: usize) -> Vec<u16> {
    (0..20).map(|n| value(n % 5, n / 5, k)).collect()
}

fn png(path: &Path, color: png::ColorType, depth: png::BitDepth, data: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 5, 4);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette((0..30).collect::<Vec<u8>>());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}

fn sixteen(path: &Path, k: usize) {
    let bytes: Vec<u8> = page(k).iter().flat_map(|v| v.to_be_bytes()).collect();
    png(path, png::ColorType::Grayscale, png::BitDepth::Sixteen, &bytes);
}

fn check(volume: &Volume) {
    assert_eq!(volume.grid().shape(), SHAPE);
    for ((i, j, k), &found) in volume.view().indexed_iter() {
        assert_eq!(found, f32::from(value(i, j, k)));
    }
}

#[test]
fn numbered_files_are_slices_in_their_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    for (k, name) in ["slice_9.png", "slice_10.png", "slice_11.png"].into_iter().enumerate() {
        sixteen(&folder.path().join(name), k);
    }
    std::fs::write(folder.path().join("notes.txt"), "read me").unwrap();
    let study = formats::read(folder.path(), &ReadOptions::new()).unwrap();
    check(&study.volume);
    assert_eq!((study.probe.format, study.probe.data_type), (Format::Png, DataType::UInt16));
    assert!(!study.source.oriented);
    assert_eq!(study.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), ["no-spacing", "no-orientation"]);
    let options = ReadOptions::new().with_input_spacing(Some([0.2, 0.3, 2.0]));
    let study = formats::read(folder.path(), &options).unwrap();
    assert_eq!(study.volume.grid().spacing(), [0.2, 0.3, 2.0]);

    std::fs::rename(folder.path().join("slice_11.png"), folder.path().join("slice_12.png")).unwrap();
    let study = formats::read(folder.path(), &options).unwrap();
    assert_eq!(study.warnings[0].code, "numbering");

    let odd = folder.path().join("slice_13.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(odd).unwrap(), 2, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[1, 2]).unwrap();
    let error = formats::read(folder.path(), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("slice_13.png"), "{error}");
}

#[test]
fn pages_of_a_tiff_are_slices() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    for k in 0..3 {
        encoder.write_image::<colortype::Gray16>(5, 4, &page(k)).unwrap();
    }
    let path = folder.path().join("stack.tif");
    std::fs::write(&path, bytes.into_inner()).unwrap();
    let study = formats::read(&path, &ReadOptions::new()).unwrap();
    check(&study.volume);
    // Cut anywhere: an error, no panic.
    let whole = std::fs::read(&path).unwrap();
    for len in 4..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        if let Ok(study) = formats::read(&path, &ReadOptions::new()) {
            assert_eq!(study.volume.grid().shape()[..2], SHAPE[..2]);
        }
    }
}

#[test]
fn color_is_grey_only_where_it_is_grey() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let grey: Vec<u8> = (0..20).flat_map(|v| [v; 3]).collect();
    png(&path, png::ColorType::Rgb, png::BitDepth::Eight, &grey);
    let study = formats::read(&path, &ReadOptions::new()).unwrap();
    assert_eq!(study.volume.data()[7], 7.0);
    let mut colored = grey;
    colored[31] = 99;
    png(&path, png::ColorType::Rgb, png::BitDepth::Eight, &colored);
    assert!(formats::read(&path, &ReadOptions::new()).unwrap_err().message().contains("color"));

    // A palette holds colors for intensities and ids for labels.
    png(&path, png::ColorType::Indexed, png::BitDepth::Eight, &[3; 20]);
    assert!(formats::read(&path, &ReadOptions::new()).is_err());
    let labels = formats::read_labels(&path, &ReadOptions::new()).unwrap().labels;
    assert!(labels.ids.data().iter().all(|&id| id == 3));
}

#[test]
fn labels_come_back_from_pictures_as_they_went() {
    let folder = tempfile::tempdir().unwrap();
    for (name, depth, largest) in [("a.png", 1, 200), ("b.png", 1, 999), ("c.tif", 3, 200), ("d.tiff", 3, 65535)] {
        let grid = Grid::unplaced([5, 4, depth], [0.5, 0.5, 2.0], None).unwrap();
        let ids: Vec<u16> = (0..20 * depth).map(|n| u16::try_from(n * largest / (20 * depth - 1)).unwrap()).collect();
        let labels = LabelMap::new(Volume::new(grid, ids).unwrap(), LabelTable::default());
        let mut source = Source::new(None, grid, SourceKind::Memory);
        source.oriented = false;
        let path = folder.path().join(name);
        let certificate = batch::write_labels(&path, &labels, &source, None, Overwrite::Refuse).unwrap();
        assert_eq!(certificate.largest_error_mm, 0.0);
        let back = formats::read_labels(&path, &ReadOptions::new()).unwrap();
        assert_eq!(back.labels.ids.data(), labels.ids.data(), "{name}");
        let kind = if largest > 255 { DataType::UInt16 } else { DataType::UInt8 };
        assert_eq!(back.probe.data_type, kind, "{name}");
    }
    let grid = Grid::unplaced(SHAPE, [1.0; 3], None).unwrap();
    let labels = LabelMap::new(Volume::zeros(grid).unwrap(), LabelTable::default());
    let source = Source::new(None, grid, SourceKind::Memory);
    let path = folder.path().join("e.png");
    let error = batch::write_labels(&path, &labels, &source, None, Overwrite::Refuse).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(!path.exists());
}

/// A 2-D network that calls values above 500 its class.
#[test]
fn a_model_of_two_dimensions_runs_on_a_picture_and_writes_one() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("xray.png");
    let bytes: Vec<u8> = (0..20_u16).flat_map(|n| (n * 60).to_be_bytes()).collect();
    png(&input, png::ColorType::Grayscale, png::BitDepth::Sixteen, &bytes);
    let network = Network::new(2, 1, 2, |input, _, output| {
        let (background, bright) = output.split_at_mut(input.len());
        background.fill(500.0);
        bright.copy_from_slice(input);
    });
    let spec = spec(2, "[tiling]\nmethod = 'slices'\n[tiling.plane]\nmethod = 'whole'\n");
    let pipeline = Pipeline::predictor_builder(spec, Box::new(network)).build().unwrap();
    let output = batch::default_output(&input);
    let done = pipeline.run(&input).unwrap();
    assert!(done.warnings().iter().any(|warning| warning.code == "no-spacing"));
    done.save(&output).unwrap();
    assert_eq!(output.file_name().unwrap(), "xray_seg.png");
    let labels = formats::read_labels(&output, &ReadOptions::new()).unwrap().labels;
    let wanted: Vec<u16> = (0..20).map(|n| if n * 60 > 500 { 10 } else { 0 }).collect();
    assert_eq!(labels.ids.data(), wanted);
}

/// Red, green and blue of a picture in color are the channels of a model that has three; others refuse it.
#[test]
fn a_picture_in_color_is_the_three_channels_of_a_model_that_sees_color() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("slide.png");
    let rgb: Vec<u8> = (0..20_u8).flat_map(|n| [n, 100 + n, 255 - n]).collect();
    png(&input, png::ColorType::Rgb, png::BitDepth::Eight, &rgb);
    // Labels where 2 x red + green + blue is above 375, which is where n > 10.
    let network = Network::new(2, 3, 2, |input, _, output| {
        let (background, bright) = output.split_at_mut(input.len() / 3);
        background.fill(375.0);
        let [red, green, blue] = [0, 1, 2].map(|c| &input[c * bright.len()..][..bright.len()]);
        bright.iter_mut().enumerate().for_each(|(n, out)| *out = 2.0 * red[n] + green[n] + blue[n]);
    });
    let channels =
        "[[input.channels]]\nname = 'red'\n[[input.channels]]\nname = 'green'\n[[input.channels]]\nname = 'blue'\n";
    let spec = spec(2, &format!("{channels}[tiling]\nmethod = 'slices'\n[tiling.plane]\nmethod = 'whole'\n"));
    let pipeline = Pipeline::predictor_builder(spec, Box::new(network)).build().unwrap();
    let done = pipeline.run(&input).unwrap();
    let wanted: Vec<u16> = (0..20).map(|n| if n > 10 { 10 } else { 0 }).collect();
    assert_eq!(done.labels().ids.data(), wanted);
    assert_eq!(done.warnings().iter().filter(|warning| warning.code == "no-spacing").count(), 1);
    let error = formats::read(&input, &ReadOptions::new()).unwrap_err();
    assert!(error.message().contains("three channels"), "{error}");
    let green = formats::read(&input, &ReadOptions::new().with_color(Some(1))).unwrap();
    assert_eq!(green.volume.data()[7], 107.0);
}

/// Pictures of `testdata/generate.py`: 16 x 8 pixels, the left half of one color and the right half of another.
#[test]
#[cfg(feature = "dicom")]
fn progressive_jpeg_and_jpeg_in_color_are_read() {
    let at = |name: &str| repository(&format!("testdata/pictures/{name}"));
    for (name, left, right) in [
        ("progressive_grey.jpg", [70; 3], [190; 3]),
        ("progressive_color.jpg", [200, 40, 60], [10, 120, 240]),
        ("color.jpg", [200, 40, 60], [10, 120, 240]),
    ] {
        for color in 0..3 {
            let study = formats::read(at(name), &ReadOptions::new().with_color(Some(color))).unwrap();
            assert_eq!(study.volume.grid().shape(), [16, 8, 1]);
            for (n, value) in study.volume.data().iter().enumerate() {
                let wanted: u8 = if n % 16 < 8 { left[color] } else { right[color] };
                assert!((value - f32::from(wanted)).abs() <= 3.0, "{name}, pixel {n}: {value}, not {wanted}");
            }
        }
        let grey = formats::read(at(name), &ReadOptions::new());
        match name {
            "progressive_grey.jpg" => assert!(grey.is_ok()),
            _ => assert!(grey.unwrap_err().message().contains("in color")),
        }
        let bytes = std::fs::read(at(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let cut = folder.path().join("cut.jpg");
        std::fs::write(&cut, &bytes[..bytes.len() - 30]).unwrap();
        let error = formats::read(&cut, &ReadOptions::new().with_color(Some(0))).unwrap_err();
        assert!(error.message().contains("this JPEG is damaged"), "{error}");
    }
}

/// A folder of label pictures is a label volume, wherever one is wanted.
#[test]
fn a_folder_of_label_pictures_is_a_label_volume() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("labels");
    std::fs::create_dir(&folder).unwrap();
    for k in 0..3_u8 {
        let ids: Vec<u8> = (0..20).map(|n| (n + k) % 4).collect();
        png(&folder.join(format!("s{}.png", k + 9)), png::ColorType::Grayscale, png::BitDepth::Eight, &ids);
    }
    let study = formats::read_labels(&folder, &ReadOptions::new()).unwrap();
    assert_eq!(study.labels.grid().shape(), [5, 4, 3]);
    assert_eq!((study.labels.ids.data()[0], study.labels.ids.data()[20], study.labels.ids.data()[41]), (0, 1, 3));
    let tiff = dir.path().join("labels.tif");
    batch::write_labels(&tiff, &study.labels, &study.source, None, Overwrite::Refuse).unwrap();
    let (report, _) = batch::evaluate_files(&tiff, &folder, &Default::default(), None).unwrap();
    assert_eq!(report.mean.dice, Some(1.0));
}
