//! A graph for one input shape: float layers in order, every shape known.

use std::collections::BTreeMap;

use super::op::Op;
use super::values::Values;

/// Index of a value in [`Network::values`].
///
/// Values that stand in the file (weights above all) have the same id in every [`Network`] of a graph, so that packed
/// weights can be kept by id; values that a rewrite adds come after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(u32);

impl ValueId {
    /// The id of the value at `index`.
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Index into [`Network::values`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A tensor of a network: weights, an input, or what a layer computes. Row-major `f32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Name in the file.
    pub name: String,
    /// Axis lengths; empty for a scalar. Activations are `[N, C, spatial...]`.
    pub shape: Vec<usize>,
}

/// Stored values of a tensor, row-major, shared by all networks of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Axis lengths; empty for a scalar. Their product is the number of values.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Values,
}

/// One operation on tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name of the node in the file, or of its output where the node has none.
    pub name: String,
    /// What it does, with its parameters.
    pub op: Op,
    /// Operands in the order that the [`Op`] states; optional trailing ones are left out.
    pub inputs: Vec<ValueId>,
    /// The result.
    pub output: ValueId,
}

/// A graph for one input shape.
///
/// Layers stand in topological order; each value is written by at most one layer. Every value that a layer reads is an
/// input, a constant, or the output of an earlier layer. Layers whose result nobody needs are gone, and so are
/// `Identity`, `Dropout` and casts between float types. Every output is the result of a layer, and no two outputs are the
/// same value ([`Op::Identity`] sees to it).
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// All values, by id. Those that nothing refers to any more have an empty name and shape.
    pub values: Vec<Value>,
    /// Inputs in the order of the file.
    pub inputs: Vec<ValueId>,
    /// Outputs in the order of the file.
    pub outputs: Vec<ValueId>,
    /// Weights and other stored tensors that a layer reads.
    pub constants: BTreeMap<ValueId, Constant>,
    /// Operations in order.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Axis lengths of a value.
    #[must_use]
    pub fn shape(&self, id: ValueId) -> &[usize] {
        &self.values[id.index()].shape
    }
}
