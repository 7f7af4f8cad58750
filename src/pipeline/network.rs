//! What a network demands of its patches, read off its graph.

use crate::error::Result;
use crate::inference::Predictor;
use crate::model::ModelSpec;
use crate::model::graph::{AxisFacts, Facts, Graph, Sizes};
use crate::tiling::{Dimensions, NetworkShape};

/// The demands that the description states, else those that the graph tells.
///
/// # Errors
/// Those of [`Graph::facts`].
pub(super) fn of_graph(spec: &ModelSpec, graph: &Graph) -> Result<NetworkShape> {
    spec.network.map_or_else(|| graph.facts().map(|facts| from_facts(&facts)), Ok)
}

/// The demands that the description states, else sides that are multiples of the grid's.
pub(super) fn of_description(spec: &ModelSpec, predictor: &dyn Predictor) -> NetworkShape {
    spec.network.unwrap_or_else(|| {
        let shape = NetworkShape::padded([spec.grid.multiple; 3]);
        if predictor.input().shape.len() == 4 { shape.two_dimensional() } else { shape }
    })
}

fn from_facts(facts: &Facts) -> NetworkShape {
    // Facts go from the slowest axis to the fastest, shapes the other way round.
    let axis = |n: usize| facts.axes.len().checked_sub(n + 1).and_then(|at| facts.axes.get(at));
    let each = |value: &dyn Fn(&AxisFacts) -> usize, none: usize| [0, 1, 2].map(|n| axis(n).map_or(none, value));
    let multiple = |sizes: &Sizes| if sizes.maximum == Some(sizes.minimum) { 0 } else { sizes.multiple };
    // A graph that crops its skips takes sizes at which tiles would not fit together.
    let sizes = |axis: &AxisFacts| if facts.global.is_none() { axis.tiles } else { axis.sizes };
    let shape = NetworkShape::valid(
        each(&|axis| sizes(axis).minimum, 1),
        each(&|axis| multiple(&sizes(axis)), 1),
        each(&|axis| axis.margin[0].max(axis.margin[1]), 0),
    );
    let shape = NetworkShape { receptive_halo: None, ..shape };
    let shape = if facts.axes.len() == 2 { shape.two_dimensional() } else { shape };
    if facts.global.is_some() {
        return shape;
    }
    shape.with_receptive_halo(each(&|axis| axis.halo[0].max(axis.halo[1]), 0))
}

/// True for `[N, C, height, width]`.
pub(super) fn is_planar(network: &NetworkShape) -> bool {
    network.dimensions == Dimensions::Two
}
