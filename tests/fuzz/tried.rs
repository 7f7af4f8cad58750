//! What is done with a file that may be damaged: everything that reads it. True when it was read all the same.
//!
//! The fuzz targets beside this file and the replay in `tests/it/damage.rs` share it.

use std::path::Path;

use unet_vol::formats::{self, ReadOptions};
use unet_vol::limits::Limits;
use unet_vol::model::graph::{Graph, set_metadata};

/// Ceilings for one small file.
pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_bytes = 16 << 20;
    limits.max_voxels = 1 << 21;
    limits
}

/// A DICOM file: its header, the volume of each series in it, its samples as stored.
#[cfg(feature = "dicom")]
pub(super) fn dicom(path: &Path) -> bool {
    use unet_vol::formats::dicom;

    let limits = limits();
    let mut read = false;
    if let Ok(triage) = dicom::scan(path, &limits) {
        for row in &triage.series {
            let options =
                ReadOptions::new().with_series(Some(row.number.to_string())).with_volume(Some(0)).with_limits(limits);
            read |= triage.read_as::<f32>(&options).is_ok();
        }
    }
    let stored = dicom::read_stored(path, &limits).is_ok();
    read || stored
}

/// A NIfTI file: its header, its voxels as numbers and as labels.
pub(super) fn nifti(path: &Path) -> bool {
    let options = ReadOptions::new().with_limits(limits());
    let _ = formats::probe(path, &options);
    let _ = formats::read_labels(path, &options);
    match formats::read(path, &options) {
        Ok(study) => {
            assert!(study.volume.data().len() as u64 <= limits().max_voxels);
            true
        }
        Err(_) => false,
    }
}

/// A picture: its header, its grey values, one of its colors, its label ids.
pub(super) fn picture(path: &Path) -> bool {
    let options = ReadOptions::new().with_limits(limits());
    let labels = formats::read_labels(path, &options).is_ok();
    let grey = formats::read(path, &options).is_ok();
    match formats::read(path, &options.with_color(Some(2))) {
        Ok(study) => {
            assert!(study.volume.data().len() as u64 <= limits().max_voxels);
            true
        }
        Err(_) => labels || grey,
    }
}

/// An ONNX file: its graph, the network at a small size, its facts.
pub(super) fn onnx(bytes: &[u8]) -> bool {
    let _ = set_metadata(bytes, "key", "value");
    let Ok(graph) = Graph::parse(bytes.to_vec()) else { return false };
    let shapes: Vec<Vec<usize>> =
        graph.inputs().map(|info| info.shape.iter().map(|axis| axis.unwrap_or(8).min(64)).collect()).collect();
    let _ = graph.network(&shapes);
    let _ = graph.facts();
    true
}
