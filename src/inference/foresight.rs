//! What a run in a library will give and take, foreseen from the model's own graph.

use super::model_file::ModelFile;
use crate::limits::MIB;
use crate::model::graph::{Graph, Network, Op, ValueId};

/// Peak memory over the tensors that are needed at one time, in halves. Measured with ONNX Runtime 1.32 and OpenVINO
/// 2026.4 in fp32, whose arenas keep freed blocks and hold the scores once more: 1.1 to 2.1 for U-Nets, MeshNets and
/// DeepBrain, 2.4 with trilinear upsampling.
const HALVES_3D: u64 = 5;

/// The same in 2-D, where ONNX Runtime reorders channels into copies: 3.3.
const HALVES_2D: u64 = 7;

/// The graph of a model; none where it holds what our reader does not know.
#[derive(Debug)]
pub(super) struct Foresight(Option<Graph>);

/// A run on one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Foreseen {
    /// Shape of the scores.
    pub(super) output: Vec<usize>,
    /// Upper estimate of the memory beside input and scores: the tensors in between, packed weights, compiled code.
    pub(super) bytes: u64,
}

impl Foresight {
    /// Reads the graph of a model.
    pub(super) fn new(model: &ModelFile<'_>) -> Self {
        Self(model.graph().ok())
    }

    /// What an input of `shape` leads to, where the graph says it.
    pub(super) fn of(&self, shape: &[usize]) -> Option<Foreseen> {
        let graph = self.0.as_ref()?;
        let network = graph.network(&[shape.to_vec()]).ok()?;
        let output = network.shape(*network.outputs.first()?).to_vec();
        let halves = if shape.len() == 4 { HALVES_2D } else { HALVES_3D };
        let weights = graph.parameters().saturating_mul(4);
        let bytes = (peak(&network).saturating_mul(halves) / 2).saturating_add(weights).saturating_add(32 * MIB);
        Some(Foreseen { output, bytes })
    }
}

/// Largest sum of the tensors that are needed at one time, in bytes, without weights and input. A layer that works
/// value by value takes the place of an operand that nobody reads later.
fn peak(network: &Network) -> u64 {
    let bytes = |id: ValueId| network.shape(id).iter().fold(4_u64, |product, &n| product.saturating_mul(n as u64));
    let mut last_use = vec![0; network.values.len()];
    for (index, layer) in network.layers.iter().enumerate() {
        layer.inputs.iter().for_each(|id| last_use[id.index()] = index);
    }
    network.outputs.iter().for_each(|id| last_use[id.index()] = network.layers.len());
    let stays = |id: ValueId| network.constants.contains_key(&id) || network.inputs.contains(&id);
    let (mut now, mut most) = (0_u64, 0_u64);
    for (index, layer) in network.layers.iter().enumerate() {
        let mut freed: Vec<ValueId> = layer.inputs.clone();
        freed.sort();
        freed.dedup();
        freed.retain(|&id| last_use[id.index()] == index && !stays(id));
        let size = bytes(layer.output);
        let in_place = works_in_place(&layer.op).then(|| freed.iter().position(|&id| bytes(id) == size)).flatten();
        match in_place {
            Some(operand) => drop(freed.remove(operand)),
            None => now = now.saturating_add(size),
        }
        most = most.max(now);
        now = freed.iter().fold(now, |now, &id| now.saturating_sub(bytes(id)));
    }
    most
}

fn works_in_place(op: &Op) -> bool {
    matches!(
        op,
        Op::Activation(_) | Op::Unary(_) | Op::Binary(_) | Op::PRelu | Op::ChannelAffine | Op::Reshape | Op::Identity
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::graph::{Activation, Layer, Value};

    /// `input -> concat(input, input) -> relu -> every second -> concat`: values of 4, 8, 8, 4 and 8 numbers.
    fn network() -> Network {
        let id = ValueId::new;
        let value = |len: usize| Value { name: "v".into(), shape: vec![1, len] };
        let layer = |op, inputs: &[u32], output| Layer {
            name: "l".into(),
            op,
            inputs: inputs.iter().map(|&i| id(i)).collect(),
            output: id(output),
        };
        Network {
            values: [4, 8, 8, 4, 8].map(value).to_vec(),
            inputs: vec![id(0)],
            outputs: vec![id(4)],
            constants: BTreeMap::new(),
            layers: vec![
                layer(Op::Concat { axis: 1 }, &[0, 0], 1),
                layer(Op::Activation(Activation::Relu), &[1], 2),
                layer(Op::Slice { starts: vec![0, 0], steps: vec![1, 2] }, &[2], 3),
                layer(Op::Concat { axis: 1 }, &[3, 3], 4),
            ],
        }
    }

    #[test]
    fn the_peak_counts_what_lives_at_one_time() {
        let mut network = network();
        assert_eq!(peak(&network), 4 * 12);
        network.layers[1].op = Op::Softmax { axis: 1, log: false };
        assert_eq!(peak(&network), 4 * 16);
        network.layers[3].inputs[1] = network.layers[1].output;
        assert_eq!(peak(&network), 4 * 20);
    }
}
