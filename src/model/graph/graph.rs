//! From bytes to a [`Graph`]: names become ids, nodes get an order, contradictions are refused.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::path::Path;

use prost::bytes::Bytes;

use super::network::ValueId;
use super::node::Node;
use super::proto;
use super::tensor::{Data, MAX_WEIGHTS, Tensor, decode};
use crate::error::{Error, Result};
use crate::fs;

/// Protobuf messages are smaller than 2 GiB; larger models keep their weights in files beside them.
const MAX_FILE: u64 = (2 << 30) - 1;
/// Far beyond any U-Net (a few hundred nodes).
const MAX_ITEMS: usize = 100_000;
const MAX_OUTPUTS: usize = 1000;

/// An ONNX file as stored: shapes free, operators of any kind, weights as `f32`.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) name: String,
    pub(super) producer: String,
    pub(super) opset: i64,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) names: Vec<String>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) constants: BTreeMap<ValueId, Tensor>,
    /// In topological order; only those that an output needs.
    pub(super) nodes: Vec<Node>,
    pub(super) parameters: u64,
}

/// An input or output of a graph.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) id: ValueId,
    pub(super) info: TensorInfo,
    /// False where the file says that its elements are no floating point numbers.
    pub(super) floating: bool,
}

/// What a graph reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the file.
    pub name: String,
    /// `[N, C, spatial...]`, `None` where an axis is free; empty where the file says nothing.
    pub shape: Vec<Option<usize>>,
}

impl Graph {
    /// Reads an ONNX file, and the external data beside it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the file is no ONNX graph, contradicts itself, or keeps weights outside its
    /// folder; the errors of reading a file.
    pub fn load(path: &Path) -> Result<Self> {
        Self::read(fs::read(path, MAX_FILE)?.into(), Some(path)).map_err(|e| e.at(path))
    }

    /// Reads an ONNX graph that keeps its weights inside.
    ///
    /// # Errors
    /// As [`Graph::load`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Self::read(bytes.into(), None)
    }

    /// Reads the content of the file `path`, or one that keeps its weights inside.
    ///
    /// # Errors
    /// As [`Graph::load`].
    pub(crate) fn read(bytes: Bytes, path: Option<&Path>) -> Result<Self> {
        let folder = path.and_then(Path::parent);
        let folder = folder.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let model: proto::Model = decode(bytes, "the file")?;
        let graph = model.graph.ok_or_else(|| Error::model("this is no ONNX model: it holds no graph"))?;
        let stored: proto::Graph = decode(graph, "the graph")?;
        let opset = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        let mut builder = Builder::default();
        builder.weights(stored.initializer, folder)?;
        if !stored.sparse_initializer.is_empty() {
            return Err(Error::model("the model holds sparse weights, which are not read"));
        }
        let inputs = builder.inputs(stored.input)?;
        let nodes = builder.nodes(stored.node)?;
        let outputs = builder.outputs(stored.output)?;
        let nodes = sorted(nodes, &outputs, builder.names.len())?;
        let mut graph = Self {
            name: stored.name,
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_owned(),
            opset: opset.map_or(1, |set| set.version),
            metadata: model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect(),
            names: builder.names,
            inputs,
            outputs,
            constants: builder.constants,
            nodes,
            parameters: 0,
        };
        super::fold::fold(&mut graph)?;
        Ok(graph)
    }

    /// Name of the graph in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Program that wrote the file, with its version; may be empty.
    #[must_use]
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// Version of the ONNX operator set.
    #[must_use]
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// All of the file's `metadata_props`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// What the graph reads, weights excluded.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &TensorInfo> {
        self.inputs.iter().map(|port| &port.info)
    }

    /// What the graph gives.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = &TensorInfo> {
        self.outputs.iter().map(|port| &port.info)
    }

    /// Number of floating point weights; a quantized one counts once, its scale not.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Bytes of the weights that lie in this graph's memory.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let floats = |tensor: &Tensor| if let Data::F32(values) = &tensor.data { values.bytes() as u64 } else { 0 };
        self.constants.values().map(floats).sum()
    }

    /// Every operator that an output needs and how often, constants folded.
    #[must_use]
    pub fn operators(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for node in &self.nodes {
            *counts.entry(node.operator.as_str()).or_default() += 1;
        }
        counts
    }
}

/// Gives names their ids while the parts of a graph are read.
#[derive(Default)]
struct Builder {
    ids: HashMap<String, ValueId>,
    names: Vec<String>,
    constants: BTreeMap<ValueId, Tensor>,
}

impl Builder {
    /// A new value; `None` when the name is taken.
    fn define(&mut self, name: &str) -> Option<ValueId> {
        let id = ValueId::new(u32::try_from(self.names.len()).ok()?);
        if self.ids.insert(name.to_owned(), id).is_some() {
            return None;
        }
        self.names.push(name.to_owned());
        Some(id)
    }

    fn weights(&mut self, stored: Vec<Bytes>, folder: Option<&Path>) -> Result<()> {
        limited(stored.len(), "weights")?;
        let mut values = 0_usize;
        for bytes in stored {
            let stored: proto::Tensor = decode(bytes, "a weight")?;
            let id = self
                .define(&stored.name)
                .ok_or_else(|| Error::model(format!("the model stores the weight {:?} twice", stored.name)))?;
            let tensor = Tensor::read(stored, folder)?;
            values += tensor.len();
            if values > MAX_WEIGHTS {
                return Err(Error::model(format!("the model has more than {MAX_WEIGHTS} weights")));
            }
            self.constants.insert(id, tensor);
        }
        Ok(())
    }

    /// Inputs; in old files the weights are listed among them.
    fn inputs(&mut self, stored: Vec<Bytes>) -> Result<Vec<Port>> {
        limited(stored.len(), "inputs")?;
        let mut inputs = Vec::new();
        for bytes in stored {
            let (info, floating) = info(decode(bytes, "an input")?)?;
            match self.ids.get(&info.name) {
                Some(id) if self.constants.contains_key(id) => {}
                Some(_) => return Err(Error::model(format!("the model has the input {:?} twice", info.name))),
                None => {
                    let id = self.define(&info.name).ok_or_else(|| Error::model("the model has too many values"))?;
                    inputs.push(Port { id, info, floating });
                }
            }
        }
        Ok(inputs)
    }

    fn nodes(&mut self, stored: Vec<Bytes>) -> Result<Vec<Node>> {
        limited(stored.len(), "nodes")?;
        let mut nodes = Vec::new();
        let mut decoded = Vec::new();
        for bytes in stored {
            let node: proto::Node = decode(bytes, "a node")?;
            limited(node.input.len().max(node.output.len()).max(node.attribute.len()), "operands of a node")?;
            let mut outputs = Vec::new();
            for name in &node.output {
                let id = (!name.is_empty()).then(|| {
                    self.define(name)
                        .ok_or_else(|| Error::model(format!("the model computes the value {name:?} twice")))
                });
                outputs.push(id.transpose()?);
            }
            decoded.push((node, outputs));
        }
        for (node, outputs) in decoded {
            let mut inputs = Vec::new();
            for name in &node.input {
                let id = (!name.is_empty()).then(|| {
                    self.ids.get(name).copied().ok_or_else(|| {
                        Error::model(format!("{} {:?} reads {name:?}, which nothing gives", node.op_type, node.name))
                    })
                });
                inputs.push(id.transpose()?);
            }
            nodes.push(Node::read(node, inputs, outputs)?);
        }
        Ok(nodes)
    }

    fn outputs(&self, stored: Vec<Bytes>) -> Result<Vec<Port>> {
        if stored.len() > MAX_OUTPUTS {
            return Err(Error::model(format!("the model has {} outputs", stored.len())));
        }
        let mut outputs = Vec::new();
        for bytes in stored {
            let (info, floating) = info(decode(bytes, "an output")?)?;
            let id = self.ids.get(&info.name).copied();
            let id = id.ok_or_else(|| Error::model(format!("nothing gives the output {:?}", info.name)))?;
            outputs.push(Port { id, info, floating });
        }
        if outputs.is_empty() {
            return Err(Error::model("this is no ONNX model: its graph has no output"));
        }
        Ok(outputs)
    }
}

fn limited(count: usize, what: &str) -> Result<()> {
    if count > MAX_ITEMS {
        return Err(Error::model(format!("the model has {count} {what}, more than the limit of {MAX_ITEMS}")));
    }
    Ok(())
}

/// Name and shape, and whether the elements are floating point numbers (as they are taken to be where nothing is said).
fn info(stored: proto::ValueInfo) -> Result<(TensorInfo, bool)> {
    let tensor = stored.r#type.and_then(|t| t.tensor_type).unwrap_or_default();
    let floating = tensor.elem_type == 0 || proto::data_type::is_floating(tensor.elem_type);
    let dims = tensor.shape.map(|s| s.dim).unwrap_or_default();
    let axis = |d: proto::Dimension| match d.dim_value {
        None | Some(..=0) => Ok(None),
        Some(n) if n <= 1 << 32 => Ok(usize::try_from(n).ok()),
        Some(n) => Err(Error::model(format!("the tensor {:?} claims an axis of {n} elements", stored.name))),
    };
    let shape = dims.into_iter().map(axis).collect::<Result<_>>()?;
    Ok((TensorInfo { name: stored.name, shape }, floating))
}

/// The nodes that an output needs, each after those it reads, otherwise in the order of the file (Kahn 1962).
fn sorted(nodes: Vec<Node>, outputs: &[Port], values: usize) -> Result<Vec<Node>> {
    let mut producer = vec![None; values];
    for (index, node) in nodes.iter().enumerate() {
        for id in node.outputs.iter().flatten() {
            producer[id.index()] = Some(index);
        }
    }
    let mut needed = vec![false; nodes.len()];
    let mut stack: Vec<usize> = outputs.iter().filter_map(|port| producer[port.id.index()]).collect();
    while let Some(index) = stack.pop() {
        if !std::mem::replace(&mut needed[index], true) {
            stack.extend(nodes[index].inputs.iter().flatten().filter_map(|id| producer[id.index()]));
        }
    }
    let mut waits = vec![0_usize; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
        for source in node.inputs.iter().flatten().filter_map(|id| producer[id.index()]) {
            waits[index] += 1;
            readers[source].push(index);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..nodes.len()).filter(|&i| needed[i] && waits[i] == 0).map(Reverse).collect();
    let mut order = Vec::new();
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if let Some(index) = (0..nodes.len()).find(|&i| needed[i] && waits[i] > 0) {
        return Err(nodes[index].error("waits for its own result: the graph has a cycle"));
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| nodes[index].take()).collect())
}
