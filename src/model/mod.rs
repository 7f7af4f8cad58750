//! What a model is: its ONNX graph, its facts and its description. Descriptions only; nothing here runs a network.

pub mod graph;
