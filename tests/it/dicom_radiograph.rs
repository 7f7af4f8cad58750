//! A model of two dimensions on a radiograph: labels in every form lie where the image is, and say no more of its place.

use unet_vol::batch::{OutputPaths, StudyOptions};
use unet_vol::error::ErrorKind;
use unet_vol::formats::{self, ReadOptions, dicom};
use unet_vol::limits::Limits;
use unet_vol::pipeline::Pipeline;

use crate::dicom_writer::{EXPLICIT, Object, folder, image};
use crate::networks::{Network, spec};

const COLUMNS: usize = 6;
const ROWS: usize = 4;

/// Samples of 0 to 2.
fn samples() -> Vec<u16> {
    (0..24).map(|n| (n * n + n / 5) % 3).collect()
}

fn radiograph(modality: &str) -> Object {
    image()
        .text(0x0008_0060, b"CS", modality)
        .text(0x0008_0018, b"UI", "1.2.3.4.1")
        .without(0x0028_0030)
        .text(0x0018_1164, b"DS", "0.3\\0.2")
        .pixels(samples())
}

#[test]
fn a_model_of_two_dimensions_segments_a_radiograph_into_every_form() {
    // A network of rank 4, which sees the image as it is: class c wins at the value c.
    let network = Network::new(2, 1, 3, |input, _, output| {
        for (class, scores) in (0_u8..).zip(output.chunks_mut(input.len())) {
            scores.iter_mut().zip(input).for_each(|(score, x)| *score = -(x - f32::from(class)).powi(2));
        }
    });
    let spec = spec(3, "[tiling]\nmethod = 'slices'\n[tiling.plane]\nmethod = 'whole'\n");
    let pipeline = Pipeline::predictor_builder(spec, Box::new(network)).build().unwrap();
    let wanted: Vec<u16> = samples().iter().map(|sample| 10 * sample).collect();
    for (modality, orientation) in [("CR", None), ("DX", Some("L\\F"))] {
        let object = radiograph(modality).text(0x0020_0052, b"UI", "1.2.3.9");
        let object = orientation.iter().fold(object, |object, text| object.text(0x0020_0020, b"CS", *text));
        let images = folder(&[object], EXPLICIT);
        let done = pipeline.run_files(&[images.path()], &StudyOptions::default()).unwrap();
        let notes = done.warnings();
        assert!(notes.iter().any(|note| note.message.contains("ImagerPixelSpacing")), "{notes:?}");
        let out = tempfile::tempdir().unwrap();
        let at = |name: &str| out.path().join(name);
        let mut outputs = OutputPaths::new(at("labels.nii.gz"));
        outputs.dicom_seg = Some(at("seg.dcm"));
        outputs.secondary_capture = Some(at("captures"));
        done.write(&outputs).unwrap();

        let nifti = formats::read_labels(at("labels.nii.gz"), &ReadOptions::new()).unwrap();
        assert_eq!(nifti.labels.ids.data(), wanted);
        assert_eq!(nifti.labels.grid().shape(), [COLUMNS, ROWS, 1]);
        let mm = nifti.labels.grid().spacing();
        assert!(mm.iter().zip([0.2, 0.3, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{mm:?}");
        assert_eq!(nifti.source.oriented, orientation.is_some(), "an image that does not say where left is stays so");
        let place = if orientation.is_some() { "LIP" } else { "LAS" };
        assert_eq!(nifti.labels.grid().orientation().to_string(), place);

        done.write(&OutputPaths::new(at("labels.png"))).unwrap();
        let png = formats::read_labels(at("labels.png"), &ReadOptions::new()).unwrap();
        assert_eq!(png.labels.ids.data(), wanted);

        // A frame for each segment, columns and rows as in the image.
        let seg = dicom::read_stored(at("seg.dcm"), &Limits::default()).unwrap();
        assert_eq!(seg.shape, [COLUMNS, ROWS, 2]);
        for (frame, id) in seg.values.chunks_exact(COLUMNS * ROWS).zip([10, 20]) {
            assert!(frame.iter().zip(&wanted).all(|(&bit, &label)| (bit == 1) == (label == id)));
        }
        // What it refers to has no place in the patient, and nor does it: neither position nor frame of reference.
        let error = formats::read_labels(at("seg.dcm"), &ReadOptions::new()).unwrap_err();
        assert!(error.message().contains("no plane position"), "{error}");
        let bytes = std::fs::read(at("seg.dcm")).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"1.2.3.9"));
        assert_eq!(std::fs::read_dir(at("captures")).unwrap().count(), 2);

        let mut contours = OutputPaths::default();
        contours.rtstruct = Some(at("structures.dcm"));
        let error = done.write(&contours).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("projection"), "{error}");
    }
}
