//! Finds the [`Facts`] of a graph: sizes are tried, receptive fields traced.

use super::facts::{AxisFacts, Facts, Sizes};
use super::graph::Graph;
use super::network::Network;
use super::trace::Trace;
use crate::error::{Error, Result};

/// Sizes that are tried before a graph counts as taking none.
const MAX_SIZE: usize = 4096;
/// Strides beyond this are no U-Net's.
const MAX_STRIDE: u64 = 256;
/// Nodes times sizes that are tried or traced, so that a hostile graph ends.
const MAX_WORK: usize = 1 << 22;

impl Graph {
    /// Facts about tiling and cost, for graphs with one input.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the graph holds an operator that is not known, or takes no input of at most 4096
    /// elements an axis. Metadata, inputs and [`Graph::parameters`] can be had nonetheless.
    pub fn facts(&self) -> Result<Facts> {
        let probe = Probe::new(self)?;
        let axes = (0..probe.base.len()).map(|axis| probe.axis(axis)).collect::<Result<Vec<_>>>()?;
        let sizes: Vec<usize> = axes.iter().map(|axis| axis.typical).collect();
        let network = probe.network(&sizes)?;
        let voxels: f64 = sizes.iter().chain(&probe.head[..1]).map(|&n| n as f64).product();
        Ok(Facts {
            global: axes.iter().find_map(|axis| axis.global.clone()),
            axes: axes.into_iter().map(|axis| axis.facts).collect(),
            parameters: self.parameters(),
            operations_per_voxel: network.operations() as f64 / voxels,
        })
    }
}

/// A graph whose input sizes are tried out.
struct Probe<'a> {
    graph: &'a Graph,
    /// Batch and channels.
    head: [usize; 2],
    /// Declared length of each spatial axis.
    declared: Vec<Option<usize>>,
    /// A size per spatial axis that the graph takes.
    base: Vec<usize>,
}

struct Found {
    facts: AxisFacts,
    global: Option<String>,
    /// A size at which borders no longer matter.
    typical: usize,
}

impl<'a> Probe<'a> {
    fn new(graph: &'a Graph) -> Result<Self> {
        let shape = match graph.inputs().next() {
            Some(info) if graph.inputs().len() == 1 && info.shape.len() > 2 => &info.shape,
            _ => {
                return Err(Error::model(
                    "the model has not just one input [N, C, spatial...], so its facts are unknown",
                ));
            }
        };
        let head = [shape[0].unwrap_or(1), shape[1].unwrap_or(1)];
        let mut probe = Self { graph, head, declared: shape[2..].to_vec(), base: Vec::new() };
        let mut last = None;
        for size in 1..=probe.largest() {
            let sizes: Vec<usize> = probe.declared.iter().map(|n| n.unwrap_or(size)).collect();
            match probe.network(&sizes) {
                Ok(_) => {
                    probe.base = sizes;
                    return Ok(probe);
                }
                Err(error) if error.advice().is_some() || probe.declared.iter().all(Option::is_some) => {
                    return Err(error);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::model("the model takes no input")))
    }

    /// The largest size that is tried.
    fn largest(&self) -> usize {
        (MAX_WORK / (self.graph.nodes.len() + 1)).min(MAX_SIZE)
    }

    fn network(&self, sizes: &[usize]) -> Result<Network> {
        self.graph.network(&[[&self.head, sizes].concat()])
    }

    /// The network whose axis `axis` has `size` elements.
    fn along(&self, axis: usize, size: usize) -> Result<Network> {
        let mut sizes = self.base.clone();
        sizes[axis] = size;
        self.network(&sizes)
    }

    fn axis(&self, axis: usize) -> Result<Found> {
        let base = self.along(axis, self.base[axis])?;
        // At sizes that halve evenly, interpolation to the size of a skip connection has its proper scale.
        let even = [128, 64].into_iter().filter(|_| self.declared[axis].is_none());
        let even = even.into_iter().find_map(|size| self.along(axis, size).ok());
        let stride = Trace::new(even.as_ref().unwrap_or(&base), axis + 2).total_stride();
        if stride > MAX_STRIDE {
            return Err(Error::model(format!("the model has a stride of {stride}, which is absurd")));
        }
        let stride = usize::try_from(stride).unwrap_or(1);
        if let Some(size) = self.declared[axis] {
            return Ok(self.found(axis, stride, Sizes::only(size), Sizes::only(size), &base));
        }
        let large = self.base[axis].next_multiple_of(stride) + stride;
        let gain = |remainder: usize| {
            let network = self.along(axis, large + remainder).ok()?;
            let (out, step) = output(&network, axis + 2);
            Some((out * step) as i128 - (large + remainder) as i128)
        };
        let gains: Vec<Option<i128>> = (0..stride).map(gain).collect();
        let best = best_remainder(&gains);
        let regular = |d: &usize| (0..stride).all(|r| gains[r].is_some() == (r % d == best % d));
        let divisors = (1..=stride).filter(|&d| stride.is_multiple_of(d));
        let multiple = divisors.into_iter().find(regular).unwrap_or(stride);
        let sizes = self.above_minimum(axis, multiple, best % multiple, large);
        let tiles = self.above_minimum(axis, stride, best, large);
        let mut size = tiles.minimum.max(4 * stride);
        let mut network = base;
        let mut seen = None;
        while size <= self.largest() {
            size += (best + stride - size % stride) % stride;
            network = self.along(axis, size)?;
            let reach = Reach::new(&network, axis + 2);
            if seen.as_ref() == Some(&reach) {
                return Ok(self.found(axis, stride, sizes, tiles, &network));
            }
            seen = Some(reach);
            size *= 2;
        }
        let mut found = self.found(axis, stride, sizes, tiles, &network);
        found.global.get_or_insert_with(|| format!("the receptive field is larger than {} voxels", size / 2));
        Ok(found)
    }

    /// The smallest accepted size of a rule that holds at large sizes.
    fn above_minimum(&self, axis: usize, multiple: usize, offset: usize, large: usize) -> Sizes {
        let mut sizes = (1..=large + multiple).filter(|n| n % multiple == offset);
        let minimum = sizes.find(|&n| self.along(axis, n).is_ok()).unwrap_or(large);
        Sizes { multiple, offset, minimum, maximum: None }
    }

    fn found(&self, axis: usize, stride: usize, sizes: Sizes, tiles: Sizes, network: &Network) -> Found {
        let reach = Reach::new(network, axis + 2);
        let layer = Trace::new(network, axis + 2).global.and_then(|index| network.layers.get(index));
        let facts = AxisFacts {
            sizes,
            tiles,
            stride,
            output_step: reach.step,
            margin: reach.margin,
            halo: reach.halo,
            receptive_field: reach.field,
        };
        Found {
            facts,
            global: layer.map(|layer| format!("{} {:?} looks at the whole image", layer.op.name(), layer.name)),
            typical: network.inputs.first().map_or(1, |&input| network.shape(input)[axis + 2]),
        }
    }
}

/// The remainder that loses least without inventing voxels; the smallest of equal ones.
fn best_remainder(gains: &[Option<i128>]) -> usize {
    let loss = |remainder: usize| match gains[remainder] {
        Some(gain) if gain <= 0 => (0, -gain),
        Some(gain) => (1, gain),
        None => (2, 0),
    };
    (0..gains.len()).min_by_key(|&remainder| loss(remainder)).unwrap_or(0)
}

/// Length of the output along the axis and input steps per output step.
fn output(network: &Network, axis: usize) -> (usize, usize) {
    let trace = Trace::new(network, axis);
    match network.outputs.first().and_then(|id| trace.lines[id.index()].as_ref()) {
        Some(line) => (line.spans.len(), usize::try_from(line.step.0 / line.step.1.max(1)).unwrap_or(1).max(1)),
        None => (0, 1),
    }
}

/// Margin, halo and receptive field, from the middle of the output, where borders matter least.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reach {
    step: usize,
    margin: [usize; 2],
    halo: [usize; 2],
    field: usize,
}

impl Reach {
    fn new(network: &Network, axis: usize) -> Self {
        let trace = Trace::new(network, axis);
        let (count, step) = output(network, axis);
        let line = network.outputs.first().and_then(|id| trace.lines[id.index()].as_ref());
        let (Some(line), Some(&input)) = (line, network.inputs.first()) else {
            return Self { step, ..Self::default() };
        };
        let stride = usize::try_from(trace.total_stride()).unwrap_or(1).max(step);
        let period = (stride / step).clamp(1, count);
        let first = (count - period) / 2 / period * period;
        let block = (first * step) as i64;
        let spans = (block..).step_by(step).zip(&line.spans[first..first + period]);
        let seen: Vec<(i64, i64, i64)> =
            spans.filter_map(|(at, span)| span.map(|(low, high)| (at, low, high))).collect();
        let lost = network.shape(input)[axis].saturating_sub(count * step);
        let distance = |n: i64| usize::try_from(n).unwrap_or(0);
        let twice: i64 = seen.iter().map(|(at, low, high)| low + high - 2 * at).sum();
        let before = distance(twice.div_euclid(2 * seen.len().max(1) as i64)).min(lost);
        let low = seen.iter().map(|(_, low, _)| low - block).min().unwrap_or(0);
        let high = seen.iter().map(|(_, _, high)| high - block - stride as i64 + 1).max().unwrap_or(0);
        let fields = seen.iter().map(|(_, low, high)| distance(high - low + 1));
        Self {
            step,
            margin: [before, lost - before],
            halo: [distance(before as i64 - low), distance(high - before as i64)],
            field: fields.max().unwrap_or(0),
        }
    }
}
