//! ONNX files: reading, shapes, facts, and metadata.
//!
//! ```text
//! bytes ──Graph::load──> Graph (nodes as stored, shapes free, weights as f32)
//!                          │  Graph::network(input shapes)
//!                          v
//!                        Network (float layers in order, every shape and parameter a number)
//! ```
//! A [`Graph`] is loaded once. Integer arithmetic that exporters leave around `Resize`, `Reshape` and `Slice` stays in
//! it as nodes; [`Graph::network`] evaluates it for given input shapes, so a [`Network`] holds nothing but float
//! layers with concrete parameters. Networks of one graph share their weights.

mod convert;
mod evaluate;
mod facts;
mod fold;
mod function;
#[allow(clippy::module_inception, reason = "the type of the module")]
mod graph;
mod lower;
mod metadata;
mod network;
mod node;
mod op;
mod operands;
mod probe;
mod proto;
mod rewrite;
mod tensor;
mod trace;
mod values;

pub use facts::{AxisFacts, Facts, Sizes};
pub use function::{Activation, Binary, Reduction, Unary};
pub use graph::{Graph, TensorInfo};
pub use metadata::set_metadata;
pub use network::{Constant, Layer, Network, Value, ValueId};
pub use op::{Convolution, CoordinateMode, NearestMode, Op, PadMode, Pool, Resize, ResizeMode, TransposedConvolution};
pub(crate) use values::Keeper;
pub use values::Values;
