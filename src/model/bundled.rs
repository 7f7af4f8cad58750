//! The models that are part of the program.

/// A bundled model.
pub(super) struct Bundled {
    /// Name on the command line.
    pub(super) name: &'static str,
    /// The ONNX file with its description inside.
    pub(super) onnx: &'static [u8],
    /// The case by which engines are verified, see [`super::Golden`].
    pub(super) golden: &'static [u8],
}

/// All of them, the default first.
pub(super) const MODELS: &[Bundled] = &[
    Bundled {
        name: "brain-mri",
        onnx: include_bytes!("weights/brain-mri.onnx"),
        golden: include_bytes!("weights/brain-mri.golden"),
    },
    Bundled {
        name: "hippocampus",
        onnx: include_bytes!("weights/hippocampus.onnx"),
        golden: include_bytes!("weights/hippocampus.golden"),
    },
];
