//! What is done once when a graph is loaded: arithmetic on constants, and batch normalization into the weights.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::evaluate::{Budget, evaluate};
use super::graph::Graph;
use super::lower::affine;
use super::network::ValueId;
use super::node::Node;
use super::operands::Operands;
use super::tensor::{Data, Tensor};
use crate::error::Result;

/// Replaces nodes of constants by constants, folds batch normalization, and drops constants that nobody reads.
pub(super) fn fold(graph: &mut Graph) -> Result<()> {
    constants(graph)?;
    drop_unread(graph);
    let floats = graph.constants.values().filter_map(Tensor::as_floats);
    graph.parameters = floats.map(|values| values.len() as u64).sum();
    batch_normalization(graph);
    drop_unread(graph);
    Ok(())
}

fn drop_unread(graph: &mut Graph) {
    let read = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten());
    let kept: BTreeSet<ValueId> = read.chain(graph.outputs.iter().map(|port| &port.id)).copied().collect();
    graph.constants.retain(|id, _| kept.contains(id));
}

/// The results may have as many elements as the file stores, four times over. What has been used up is dropped at once, so
/// that quantized weights are never all there twice.
fn constants(graph: &mut Graph) -> Result<()> {
    let stored: usize = graph.constants.values().map(Tensor::len).sum();
    let mut budget = Budget(stored.saturating_mul(4).saturating_add(1 << 20));
    let mut uses = vec![0_usize; graph.names.len()];
    graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten()).for_each(|id| uses[id.index()] += 1);
    graph.outputs.iter().for_each(|port| uses[port.id.index()] += 1);
    let mut nodes = Vec::new();
    for node in std::mem::take(&mut graph.nodes) {
        let known: Vec<_> = node.inputs.iter().map(|id| id.and_then(|id| graph.constants.get(&id)).cloned()).collect();
        let all = node.inputs.iter().zip(&known).all(|(id, known)| id.is_none() || known.is_some());
        let output = node.outputs.first().copied().flatten();
        if let (true, Some(output)) = (all, output)
            && let Some(result) = evaluate(&Operands { node: &node, opset: graph.opset, known }, &mut budget)?
        {
            graph.constants.insert(output, result);
            for id in node.inputs.iter().flatten() {
                uses[id.index()] -= 1;
                if uses[id.index()] == 0 {
                    graph.constants.remove(id);
                }
            }
            continue;
        }
        nodes.push(node);
    }
    graph.nodes = nodes;
    Ok(())
}

/// A normalization behind a convolution that nothing else reads becomes part of the convolution's weights and bias.
fn batch_normalization(graph: &mut Graph) {
    let mut uses = vec![0_usize; graph.names.len()];
    let mut producer = vec![None; graph.names.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().flatten().for_each(|id| uses[id.index()] += 1);
        node.outputs.iter().flatten().for_each(|id| producer[id.index()] = Some(index));
    }
    graph.outputs.iter().for_each(|port| uses[port.id.index()] += 1);
    let mut folded = BTreeSet::new();
    for (index, node) in graph.nodes.clone().iter().enumerate() {
        let (Some(x), "BatchNormalization", [Some(y)]) =
            (node.inputs.first().copied().flatten(), node.operator.as_str(), node.outputs.as_slice())
        else {
            continue;
        };
        let Some(source) = producer[x.index()].filter(|_| uses[x.index()] == 1) else { continue };
        let Some((weight, bias)) = normalized(graph, &graph.nodes[source], node) else { continue };
        let name = graph.nodes[source].name.clone();
        let weight = constant(graph, format!("{name} weight"), weight);
        let bias = constant(graph, format!("{name} bias"), bias);
        let convolution = &mut graph.nodes[source];
        for id in convolution.inputs.drain(1..).flatten() {
            uses[id.index()] -= 1;
            if uses[id.index()] == 0 {
                graph.constants.remove(&id);
            }
        }
        convolution.inputs.extend([weight, bias]);
        convolution.outputs = vec![Some(*y)];
        folded.insert(index);
    }
    let mut index = 0..;
    graph.nodes.retain(|_| index.next().is_none_or(|index| !folded.contains(&index)));
}

fn constant(graph: &mut Graph, name: String, tensor: Tensor) -> Option<ValueId> {
    let id = ValueId::new(u32::try_from(graph.names.len()).ok()?);
    graph.names.push(name);
    graph.constants.insert(id, tensor);
    Some(id)
}

/// Weights and bias of `convolution` with `normalization` behind it; `None` where they are not constant or do not fit.
#[allow(clippy::cast_possible_truncation, reason = "weights are used in single precision")]
fn normalized(graph: &Graph, convolution: &Node, normalization: &Node) -> Option<(Tensor, Tensor)> {
    let operand = |node: &Node, index: usize| node.inputs.get(index).copied().flatten();
    let floats = |node: &Node, index: usize| graph.constants.get(&operand(node, index)?)?.as_floats();
    let weight = graph.constants.get(&operand(convolution, 1)?)?;
    let values = weight.as_floats()?;
    let groups = usize::try_from(convolution.int("group").unwrap_or(1)).ok().filter(|&g| g > 0)?;
    let (rows, columns) = (*weight.shape.first()?, *weight.shape.get(1)?);
    let taps: usize = weight.shape[2..].iter().product();
    let transposed = convolution.operator == "ConvTranspose";
    let channels = match convolution.operator.as_str() {
        "Conv" => rows,
        "ConvTranspose" if rows.is_multiple_of(groups) => columns.checked_mul(groups)?,
        _ => return None,
    };
    let parameters: Vec<_> = (1..5).map(|index| floats(normalization, index)).collect::<Option<_>>()?;
    let bias = match operand(convolution, 2) {
        Some(_) => floats(convolution, 2)?,
        None => Arc::new(vec![0.0; channels]),
    };
    if taps == 0 || channels == 0 || bias.len() != channels || parameters.iter().any(|v| v.len() != channels) {
        return None;
    }
    let epsilon = normalization.float("epsilon").unwrap_or(1e-5);
    let (factor, shift) = affine(&parameters[0], &parameters[1], &parameters[2], &parameters[3], epsilon);
    let channel = |index: usize| match transposed {
        false => index / (columns * taps),
        true => index / (columns * taps) / (rows / groups) * columns + index / taps % columns,
    };
    let scaled = values.iter().enumerate().map(|(index, &w)| w * factor[channel(index)]).collect::<Vec<_>>().into();
    let bias =
        (0..channels).map(|c| (f64::from(bias[c]) * f64::from(factor[c]) + f64::from(shift[c])) as f32).collect();
    let weight = Tensor { shape: weight.shape.clone(), data: Data::F32(scaled) };
    Some((weight, Tensor::floats(vec![channels], bias)))
}
