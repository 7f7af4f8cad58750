//! What a model is: its ONNX graph, its facts and its description. Descriptions only; nothing here runs a network.

mod bundled;
mod golden;
pub mod graph;
mod label_file;
mod registry;
mod spec;

pub use golden::Golden;
pub use registry::Model;
pub use spec::{
    AxisOrder, ChannelSpec, ClassSpec, CropSpec, GridSpec, InputSpec, LabelRange, MirrorSpec, ModelSpec, OutputSpec,
    QualitySpec, VolumeSum,
};
