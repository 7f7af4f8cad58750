//! What a model is: its ONNX graph, its facts and its description. Descriptions only; nothing here runs a network.

mod bundled;
pub mod graph;
mod label_file;
mod registry;
mod spec;

pub use registry::Model;
pub use spec::{AxisOrder, ChannelSpec, ClassSpec, CropSpec, GridSpec, InputSpec, ModelSpec, OutputSpec, VolumeSum};
