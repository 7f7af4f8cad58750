//! Integration tests, one binary: each file here is a module below (a test checks that none is forgotten).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod architecture;
mod batch;
mod batch_studies;
mod brain;
mod cli;
mod components;
#[cfg(feature = "dicom")]
mod convert;
mod damage;
#[cfg(feature = "dicom")]
mod dicom;
#[cfg(feature = "dicom")]
mod dicom_gaps;
#[cfg(feature = "dicom")]
mod dicom_made;
#[cfg(feature = "dicom")]
mod dicom_radiograph;
#[cfg(feature = "dicom")]
mod dicom_seg;
#[cfg(feature = "dicom")]
mod dicom_structures;
#[cfg(feature = "dicom")]
mod dicom_writer;
#[cfg(feature = "embedded")]
mod engine;
mod evaluate;
mod foreign;
mod graph;
mod hippocampus;
mod intensity;
mod memory;
mod networks;
mod nifti;
mod nifti_write;
mod pictures;
mod pipeline;
mod report;
mod resample;
#[cfg(all(feature = "onnxruntime", feature = "openvino"))]
mod runtimes;
mod support;
mod tiling;

/// Every `.rs` file of this folder is declared in `main.rs`, so that no test is silently left out.
#[test]
fn no_test_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".rs").filter(|stem| *stem != "main") else { continue };
        assert!(main.contains(&format!("mod {stem};")), "tests/it/{name} is not declared in tests/it/main.rs");
        seen += 1;
    }
    assert!(seen > 0);
}
