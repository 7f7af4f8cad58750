//! Tiles and memory, worked out before any voxel is touched.

use serde::Serialize;

use super::Pipeline;
use super::working::working_grid;
use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::inference::Predictor;
use crate::labels::{DecideOptions, Decider};
use crate::limits;
use crate::model::ModelSpec;
use crate::tiling::{Exact, Layout, NetworkShape, Tiling};

/// What a process of this kind needs before it holds any voxel: code, stacks, a model's bytes and tables.
const BASE_BYTES: u64 = 64 * limits::MIB;
/// Patches that are tried are this much shorter each time.
const SHRINK: f64 = 0.8;

/// Peak bytes of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageBytes {
    /// The stage.
    pub name: &'static str,
    /// Bytes that are alive at its peak, the study included.
    pub bytes: u64,
}

/// What a run will do and need.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Voxels of the study along i, j, k.
    pub source: [usize; 3],
    /// Voxels of the network's grid, in the order whose memory is the tensor's.
    pub working: [usize; 3],
    /// Voxels that the network reads at once, in the same order.
    pub patch: [usize; 3],
    /// Number of patches; fewer when the model feeds only a box.
    pub tiles: usize,
    /// Runs of the network.
    pub passes: usize,
    /// Peak bytes of each stage.
    pub stages: Vec<StageBytes>,
    /// The largest of them.
    pub peak_bytes: u64,
}

/// A plan with what carries it out.
#[derive(Debug)]
pub(super) struct Layouts {
    pub(super) plan: Plan,
    pub(super) working: Grid,
    /// The tiling that fits the ceiling.
    pub(super) tiling: Tiling,
    pub(super) network: NetworkShape,
    pub(super) classes: usize,
    pub(super) decide: DecideOptions,
}

impl Layouts {
    /// The plan for a study on `source`.
    pub(super) fn new(pipeline: &Pipeline, source: &Grid) -> Result<Self> {
        let spec = pipeline.spec();
        let working = working_grid(spec, source)?;
        let network = pipeline.network;
        let wanted = pipeline.settings.tiling.as_ref().unwrap_or(&spec.tiling);
        let layout = Layout::new(wanted, working.shape(), &network)?;
        let classes = classes(spec, pipeline.predictor.as_ref(), &layout)?;
        let decide = decide_options(spec, classes);
        let draft = |tiling: &Tiling| {
            Plan::new(pipeline, source, &working, &Layout::new(tiling, working.shape(), &network)?, &decide)
        };
        let (tiling, plan) = fitting(wanted, &working, &network, pipeline.ceiling(), draft)?;
        Ok(Self { plan, working, tiling, network, classes, decide })
    }
}

/// The first tiling, from the wanted one to smaller exact ones, whose plan fits the ceiling.
fn fitting(
    wanted: &Tiling,
    working: &Grid,
    network: &NetworkShape,
    ceiling: Option<u64>,
    draft: impl Fn(&Tiling) -> Result<Plan>,
) -> Result<(Tiling, Plan)> {
    let first = draft(wanted)?;
    let Some(ceiling) = ceiling else { return Ok((wanted.clone(), first)) };
    let mut least = first.peak_bytes;
    if least <= ceiling {
        return Ok((wanted.clone(), first));
    }
    for patch in exact_patches(wanted, working.shape(), network) {
        let tiling = Tiling::Exact(Exact::new(patch));
        // A patch without a core ends the series; larger ones have been tried.
        let Ok(plan) = draft(&tiling) else { break };
        least = least.min(plan.peak_bytes);
        if plan.peak_bytes <= ceiling {
            return Ok((tiling, plan));
        }
    }
    Err(Error::limit(format!("this study needs {least} bytes of memory, more than the ceiling of {ceiling}"))
        .hint(format!("give --max-ram {}M or more", least.div_ceil(1_000_000))))
}

/// Ever smaller patches that give the scores of the whole volume: shorter along k first, then j, then i.
fn exact_patches(wanted: &Tiling, shape: [usize; 3], network: &NetworkShape) -> Vec<[usize; 3]> {
    if !matches!(wanted, Tiling::Whole(_) | Tiling::Exact(_)) || network.receptive_halo.is_none() {
        return Vec::new();
    }
    let step = |axis: usize| network.multiple[axis].max(1);
    let mut patch = [0, 1, 2].map(|axis| shape[axis].next_multiple_of(step(axis)));
    let mut patches = Vec::new();
    for axis in [2, 1, 0] {
        loop {
            let shorter = shrunk(patch[axis], step(axis));
            let halo = network.receptive_halo.map_or(0, |halo| halo[axis]);
            // A core shorter than half a halo would be mostly repeated work.
            if shorter == patch[axis] || shorter < 2 * halo + (halo / 2).max(step(axis)) {
                break;
            }
            patch[axis] = shorter;
            patches.push(patch);
        }
    }
    patches
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length")]
#[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
fn shrunk(length: usize, step: usize) -> usize {
    ((length as f64 * SHRINK) as usize / step * step).max(step)
}

impl Plan {
    fn new(
        pipeline: &Pipeline,
        source: &Grid,
        working: &Grid,
        layout: &Layout,
        decide: &DecideOptions,
    ) -> Result<Self> {
        let channels = pipeline.spec().input.channels.len();
        let classes = decide.ids.len();
        let floats = |count: usize| (count as u64).saturating_mul(4);
        let batch = layout.batch().min(layout.len());
        let input = layout.input_shape(batch, channels);
        let output = layout.output_shape(batch, classes);
        let study = BASE_BYTES + floats(source.voxels() * channels);
        let fed = floats(working.voxels() * channels);
        let labels = source.voxels() as u64 * 2;
        let ring = if covers(layout) { 0 } else { layout.ring_bytes(classes) };
        let network = study
            + fed
            + ring
            + floats(input.iter().product())
            + floats(output.iter().product())
            + pipeline.predictor.working_bytes(&input)?
            + Decider::bytes(
                working,
                source,
                decide,
                if covers(layout) { working.shape()[2] } else { layout.ring_planes() },
            )
            + labels;
        let stages = vec![
            StageBytes { name: "read", bytes: study },
            StageBytes { name: "prepare", bytes: study + 2 * fed },
            StageBytes { name: "network", bytes: network },
            StageBytes { name: "postprocess", bytes: study + 3 * labels },
            StageBytes { name: "write", bytes: study + 2 * labels },
        ];
        let peak_bytes = stages.iter().map(|stage| stage.bytes).max().unwrap_or(0);
        Ok(Self {
            source: source.shape(),
            working: working.shape(),
            patch: layout.patch(),
            tiles: layout.len(),
            passes: layout.passes(),
            stages,
            peak_bytes,
        })
    }
}

/// True when one patch's output is the whole grid, so that nothing has to be stitched.
pub(super) fn covers(layout: &Layout) -> bool {
    layout.len() == 1 && layout.output() == layout.shape()
}

/// Number of output channels, from the network or from what it answers for one patch.
fn classes(spec: &ModelSpec, predictor: &dyn Predictor, layout: &Layout) -> Result<usize> {
    if let Some(classes) = predictor.output().shape.get(1).copied().flatten() {
        return Ok(classes);
    }
    let shape = predictor.output_shape(&layout.input_shape(1, spec.input.channels.len()))?;
    shape.get(1).copied().ok_or_else(|| Error::model("the network's output has no axis of classes"))
}

fn decide_options(spec: &ModelSpec, classes: usize) -> DecideOptions {
    DecideOptions::new(spec.ids(classes))
        .with_rule(spec.output.decision.clone())
        .with_outside(spec.output.outside)
        .with_interpolation(spec.output.back)
}
