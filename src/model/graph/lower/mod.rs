//! From a [`Graph`] and input shapes to a [`Network`]: known values are evaluated, the rest becomes layers.

mod activation;
mod convolution;
mod normalization;
mod resize;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use normalization::affine;

use super::evaluate::{Budget, evaluate};
use super::function::Binary;
use super::graph::{Graph, Port, TensorInfo};
use super::network::{Constant, Layer, Network, Value, ValueId};
use super::node::Node;
use super::op::Op;
use super::operands::Operands;
use super::tensor::{Data, Tensor};
use crate::error::{Error, Result};

/// Elements that arithmetic on shapes may make for one network.
const BUDGET: usize = 1 << 24;

impl Graph {
    /// The float layers for inputs of these shapes, one shape per input in the order of the file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] in one sentence that names operator and node, when the graph does not take these
    /// shapes or holds an operator that is not known (the hint then names `--engine onnxruntime`).
    pub fn network(&self, input_shapes: &[Vec<usize>]) -> Result<Network> {
        let mut network = self.lowered(input_shapes)?;
        super::rewrite::rewrite(&mut network);
        Ok(network)
    }

    /// The layers as the file has them, before any rewriting.
    pub(super) fn lowered(&self, input_shapes: &[Vec<usize>]) -> Result<Network> {
        let mut lowering = Lowering::new(self, input_shapes)?;
        for node in &self.nodes {
            lowering.node(node)?;
        }
        lowering.finish()
    }
}

/// What is known about a value while layers are made.
#[derive(Clone)]
enum State {
    /// Its elements.
    Known(Tensor),
    /// It is computed while the network runs; the value of this id, whose shape is known.
    Computed(ValueId),
}

struct Lowering<'a> {
    graph: &'a Graph,
    states: Vec<Option<State>>,
    values: Vec<Value>,
    constants: BTreeMap<ValueId, Constant>,
    layers: Vec<Layer>,
    inputs: Vec<ValueId>,
    budget: Budget,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, input_shapes: &[Vec<usize>]) -> Result<Self> {
        if input_shapes.len() != graph.inputs.len() {
            let message = format!("the model has {} inputs, not {}", graph.inputs.len(), input_shapes.len());
            return Err(Error::model(message));
        }
        let mut states = vec![None; graph.names.len()];
        let mut values = vec![Value { name: String::new(), shape: Vec::new() }; graph.names.len()];
        for (Port { id, info, floating }, shape) in graph.inputs.iter().zip(input_shapes) {
            accepts(info, *floating, shape)?;
            values[id.index()] = Value { name: info.name.clone(), shape: shape.clone() };
            states[id.index()] = Some(State::Computed(*id));
        }
        for (id, tensor) in &graph.constants {
            states[id.index()] = Some(State::Known(tensor.clone()));
        }
        let inputs = graph.inputs.iter().map(|port| port.id).collect();
        Ok(Self {
            graph,
            states,
            values,
            constants: BTreeMap::new(),
            layers: Vec::new(),
            inputs,
            budget: Budget(BUDGET),
        })
    }

    fn node(&mut self, node: &'a Node) -> Result<()> {
        match (node.operator.as_str(), node.inputs.first().copied().flatten()) {
            ("Shape", Some(id)) => return self.know(node, dimensions(node, &self.shape_of(id))),
            ("Size", Some(id)) => {
                let count = self.shape_of(id).iter().product::<usize>();
                return self.know(node, Tensor::ints(vec![], vec![i64::try_from(count).unwrap_or(i64::MAX)]));
            }
            _ => {}
        }
        let operands = Operands { node, opset: self.graph.opset, known: self.known(node) };
        if node.inputs.iter().zip(&operands.known).all(|(id, known)| id.is_none() || known.is_some())
            && let Some(result) = evaluate(&operands, &mut self.budget)?
        {
            return self.know(node, result);
        }
        let mut call = Call { operands, lowering: self };
        match node.operator.as_str() {
            "Conv" => call.convolution(),
            "ConvTranspose" => call.transposed_convolution(),
            "MaxPool" => call.max_pool(),
            "AveragePool" => call.average_pool(),
            "BatchNormalization" => call.batch_normalization(),
            "InstanceNormalization" => call.instance_normalization(),
            "GroupNormalization" => call.group_normalization(),
            "LayerNormalization" => call.layer_normalization(),
            "PRelu" => call.prelu(),
            "Softmax" | "LogSoftmax" => call.softmax(),
            "Resize" | "Upsample" => call.resize(),
            "Identity" | "Dropout" => call.alias(),
            "Cast" => call.cast(),
            "MatMul" => call.matmul(),
            "Gemm" => call.gemm(),
            "ArgMax" => call.arg_max(),
            "Split" => call.split(),
            name if Binary::named(name).is_some() => call.binary(),
            name => {
                if call.shape_operator(name)? || call.activation(name)? {
                    Ok(())
                } else {
                    Err(node.unsupported("is an operator that is not supported"))
                }
            }
        }
    }

    fn known(&self, node: &Node) -> Vec<Option<Tensor>> {
        let known = |id: &Option<ValueId>| match id.and_then(|id| self.states[id.index()].as_ref()) {
            Some(State::Known(tensor)) => Some(tensor.clone()),
            _ => None,
        };
        node.inputs.iter().map(known).collect()
    }

    fn know(&mut self, node: &Node, tensor: Tensor) -> Result<()> {
        let id = node.outputs.first().copied().flatten().ok_or_else(|| node.error("has no output"))?;
        self.states[id.index()] = Some(State::Known(tensor));
        Ok(())
    }

    fn shape_of(&self, id: ValueId) -> Vec<usize> {
        match &self.states[id.index()] {
            Some(State::Known(tensor)) => tensor.shape.clone(),
            Some(State::Computed(id)) => self.values[id.index()].shape.clone(),
            None => Vec::new(),
        }
    }

    /// The value that a layer reads for `id`; a known one becomes a constant of the network.
    fn operand(&mut self, node: &Node, id: ValueId) -> Result<ValueId> {
        match self.states[id.index()].clone() {
            Some(State::Computed(id)) => Ok(id),
            Some(State::Known(tensor)) => {
                let Data::F32(data) = tensor.data else {
                    return Err(node.unsupported("computes with integers while it runs"));
                };
                self.values[id.index()] =
                    Value { name: self.graph.names[id.index()].clone(), shape: tensor.shape.clone() };
                self.constants.insert(id, Constant { shape: tensor.shape, data });
                Ok(id)
            }
            None => Err(node.unsupported("reads a second result that is not computed")),
        }
    }

    fn new_value(&mut self, name: String, shape: Vec<usize>) -> Result<ValueId> {
        let id = u32::try_from(self.values.len()).map_err(|_| Error::model("the model has too many values"))?;
        self.values.push(Value { name, shape });
        Ok(ValueId::new(id))
    }

    fn finish(mut self) -> Result<Network> {
        let mut free: BTreeSet<ValueId> = self.layers.iter().map(|layer| layer.output).collect();
        let mut outputs = Vec::new();
        for Port { id, info, .. } in &self.graph.outputs {
            let source = match self.states[id.index()].clone() {
                Some(State::Computed(source)) => source,
                Some(State::Known(Tensor { shape, data: Data::F32(data) })) => {
                    self.constants.insert(*id, Constant { shape: shape.clone(), data });
                    self.values[id.index()] = Value { name: info.name.clone(), shape };
                    *id
                }
                _ => return Err(Error::model(format!("the output {:?} is not computed in floats", info.name))),
            };
            outputs.push(if free.remove(&source) {
                source
            } else {
                let output = self.new_value(info.name.clone(), self.values[source.index()].shape.clone())?;
                let name = info.name.clone();
                self.layers.push(Layer { name, op: Op::Identity, inputs: vec![source], output });
                output
            });
        }
        let Self { values, constants, layers, inputs, .. } = self;
        Ok(Network { values, inputs, outputs, constants, layers })
    }
}

/// `Shape`, with the range of axes that newer operator sets allow.
fn dimensions(node: &Node, shape: &[usize]) -> Tensor {
    let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let clamp = |v: i64| usize::try_from(if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank)).unwrap_or(0);
    let (start, end) = (clamp(node.int("start").unwrap_or(0)), clamp(node.int("end").unwrap_or(rank)));
    let part = &shape[start.min(end)..end];
    Tensor::ints(vec![part.len()], part.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect())
}

/// Refuses a shape that the file does not allow for an input.
fn accepts(info: &TensorInfo, floating: bool, shape: &[usize]) -> Result<()> {
    let TensorInfo { name, shape: declared } = info;
    let fits = declared.len() == shape.len()
        && declared.iter().zip(shape).all(|(declared, &n)| declared.is_none_or(|declared| declared == n));
    if !(fits || declared.is_empty()) || shape.contains(&0) {
        let given: Vec<_> = shape.iter().copied().map(Some).collect();
        let (declared, given) = (described(declared), described(&given));
        return Err(Error::model(format!("the model's input {name:?} is {declared}, not {given}")));
    }
    if super::tensor::element_count(shape).is_none() {
        return Err(Error::model(format!("an input of shape {shape:?} is absurdly large")));
    }
    if !floating {
        let message = format!("the model's input {name:?} takes integers");
        return Err(Error::model(message).hint("use --engine onnxruntime"));
    }
    Ok(())
}

fn described(shape: &[Option<usize>]) -> String {
    let axes: Vec<String> = shape.iter().map(|axis| axis.map_or("?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", axes.join(", "))
}

/// One node while it becomes layers.
struct Call<'l, 'a> {
    operands: Operands<'a>,
    lowering: &'l mut Lowering<'a>,
}

impl<'a> Call<'_, 'a> {
    fn node(&self) -> &'a Node {
        self.operands.node
    }

    /// The value of operand `index`, which must be given.
    fn operand(&mut self, index: usize) -> Result<ValueId> {
        let id = self.node().inputs.get(index).copied().flatten();
        let id = id.ok_or_else(|| self.node().error("lacks an operand"))?;
        self.lowering.operand(self.operands.node, id)
    }

    /// Value and shape of the first operand.
    fn x(&mut self) -> Result<(ValueId, Vec<usize>)> {
        let id = self.operand(0)?;
        Ok((id, self.lowering.values[id.index()].shape.clone()))
    }

    /// As [`Self::x`], with batch, channels and at least one spatial axis.
    fn spatial_x(&mut self) -> Result<(ValueId, Vec<usize>)> {
        let (x, shape) = self.x()?;
        match shape.len() {
            3..=8 => Ok((x, shape)),
            rank => Err(self.node().error(format!("works on a tensor with {rank} axes, which has no space"))),
        }
    }

    /// A constant operand and its shape; refused when it is computed.
    fn constant(&mut self, index: usize) -> Result<(ValueId, Vec<usize>)> {
        self.operands.known(index)?;
        let id = self.operand(index)?;
        Ok((id, self.lowering.values[id.index()].shape.clone()))
    }

    /// A constant operand of `count` values.
    fn per_channel(&mut self, index: usize, count: usize) -> Result<ValueId> {
        let (id, shape) = self.constant(index)?;
        if shape.iter().product::<usize>() != count {
            return Err(self.node().error(format!("has a parameter of shape {shape:?} for {count} channels")));
        }
        Ok(id)
    }

    /// A new constant of the network.
    fn new_constant(&mut self, shape: Vec<usize>, values: Vec<f32>) -> Result<ValueId> {
        let id = self.lowering.new_value(format!("{} constant", self.node().name), shape.clone())?;
        self.lowering.constants.insert(id, Constant { shape, data: values.into() });
        Ok(id)
    }

    /// Adds a layer whose result is output `index` of the node.
    fn give(&mut self, index: usize, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> Result<()> {
        let Some(output) = self.node().outputs.get(index).copied().flatten() else { return Ok(()) };
        let shape = self.operands.filled(shape)?;
        let name = self.lowering.graph.names[output.index()].clone();
        self.lowering.values[output.index()] = Value { name, shape };
        self.lowering.states[output.index()] = Some(State::Computed(output));
        self.lowering.layers.push(Layer { name: self.node().name.clone(), op, inputs, output });
        Ok(())
    }

    /// Adds the only or last layer of the node.
    fn layer(&mut self, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> Result<()> {
        self.give(0, op, inputs, shape)
    }

    /// Adds a layer in front of the last one.
    fn inner(&mut self, op: Op, inputs: Vec<ValueId>, shape: Vec<usize>) -> Result<ValueId> {
        let shape = self.operands.filled(shape)?;
        let output = self.lowering.new_value(format!("{} inner", self.node().name), shape)?;
        self.lowering.layers.push(Layer { name: self.node().name.clone(), op, inputs, output });
        Ok(output)
    }

    /// The result is the first operand itself.
    fn alias(&mut self) -> Result<()> {
        let (x, _) = self.x()?;
        if let Some(output) = self.node().outputs.first().copied().flatten() {
            self.lowering.states[output.index()] = Some(State::Computed(x));
        }
        Ok(())
    }

    /// Casts between float types do nothing here; those to integers only where the values are integers.
    fn cast(&mut self) -> Result<()> {
        let (x, _) = self.x()?;
        let whole = self.lowering.layers.iter().any(|l| l.output == x && matches!(l.op, Op::ArgMax { .. }));
        let to = self.node().int("to").and_then(|to| i32::try_from(to).ok()).unwrap_or(0);
        if whole || super::proto::data_type::is_floating(to) {
            return self.alias();
        }
        Err(self.node().unsupported("turns floats into integers while it runs"))
    }

    /// Functions of two variables; `Sum`, `Min` and `Max` take any number.
    fn binary(&mut self) -> Result<()> {
        let function = Binary::named(&self.node().operator).unwrap_or(Binary::Add);
        let (mut left, mut shape) = self.x()?;
        let count = self.node().inputs.len();
        if count == 1 {
            return self.alias();
        }
        for index in 1..count {
            let right = self.operand(index)?;
            shape = self.operands.broadcast(&shape, &self.lowering.values[right.index()].shape)?;
            if index + 1 == count {
                return self.layer(Op::Binary(function), vec![left, right], shape);
            }
            left = self.inner(Op::Binary(function), vec![left, right], shape.clone())?;
        }
        Err(self.node().error("lacks an operand"))
    }
}
