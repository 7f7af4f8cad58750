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
use crate::resample::resample_bytes;
use crate::tiling::{Exact, Layout, NetworkShape, Slices, Tiling, Whole};

/// What a process of this kind needs before it holds any voxel: code, tables, buffers of files.
const BASE_BYTES: u64 = 56 * limits::MIB;
/// Stack, rows and planes of one thread.
const THREAD_BYTES: u64 = 4 * limits::MIB;
/// Bytes per voxel of a label volume that its runs may take in the steps on components: 20 bytes for each run and once
/// more while slabs are joined, with a run per 8 voxels. Heads have one per 20 or more.
const RUN_BYTES: u64 = 5;
/// The part of a patch that each further try is shorter by is one in this many.
const SHORTENING: usize = 5;

/// Peak bytes of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageBytes {
    /// The stage.
    pub name: &'static str,
    /// Bytes that are alive at its peak, the study included.
    pub bytes: u64,
}

/// What a run will do and need. A model that feeds only the box of its grid where something is seen is planned for all
/// of the grid until the study is there, and for the box from then on ([`super::Outcome::plan`]).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Voxels of the study along i, j, k.
    pub source: [usize; 3],
    /// Voxels of the network's grid, in the order whose memory is the tensor's.
    pub working: [usize; 3],
    /// Voxels that the network reads at once, in the same order.
    pub patch: [usize; 3],
    /// Number of patches.
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
    /// The plan for a study on `source`, of which `fed` is what the network sees where that is known to be less than its
    /// grid.
    pub(super) fn new(pipeline: &Pipeline, source: &Grid, fed: Option<&Grid>) -> Result<Self> {
        let spec = pipeline.spec();
        let working = working_grid(spec, source)?;
        let fed = fed.unwrap_or(&working);
        let network = pipeline.network;
        let wanted = pipeline.settings.tiling.as_ref().unwrap_or(&spec.tiling);
        let layout = Layout::new(wanted, fed.shape(), &network)?;
        let classes = classes(spec, pipeline.predictor.as_ref(), &layout)?;
        let decide = decide_options(spec, classes);
        let draft = |tiling: &Tiling| {
            Plan::new(pipeline, [source, &working, fed], &Layout::new(tiling, fed.shape(), &network)?, &decide)
        };
        let (tiling, plan) = fitting(wanted, fed, &network, pipeline.ceiling(), draft)?;
        Ok(Self { plan, working, tiling, network, classes, decide })
    }
}

/// Bytes of the study and of what brings it onto the network's grid.
fn prepare_bytes(pipeline: &Pipeline, source: &Grid, working: &Grid) -> u64 {
    let spec = pipeline.spec();
    let fed = floats(working.voxels() * spec.input.channels.len());
    // A channel with values that are not finite is copied; the box that is fed is one more copy.
    let resampled = floats(source.voxels()) + resample_bytes(source, working, &spec.resample);
    let cropped = if spec.input.crop.is_some() { fed } else { 0 };
    study_bytes(pipeline, source) + fed - floats(working.voxels()) + resampled.max(cropped + floats(working.voxels()))
}

/// Bytes of the program, its model and the study.
fn study_bytes(pipeline: &Pipeline, source: &Grid) -> u64 {
    let program = BASE_BYTES + THREAD_BYTES * rayon::current_num_threads() as u64 + pipeline.model_bytes;
    program + floats(source.voxels() * pipeline.spec().input.channels.len())
}

fn floats(count: usize) -> u64 {
    (count as u64).saturating_mul(4)
}

/// The network's grid over `source`, which it fits the ceiling to prepare.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when it does not.
pub(super) fn prepared_grid(pipeline: &Pipeline, source: &Grid) -> Result<Grid> {
    let working = working_grid(pipeline.spec(), source)?;
    let (bytes, ceiling) = (prepare_bytes(pipeline, source, &working), pipeline.ceiling().unwrap_or(u64::MAX));
    if bytes > ceiling { Err(too_little(bytes, ceiling)) } else { Ok(working) }
}

fn too_little(bytes: u64, ceiling: u64) -> Error {
    Error::limit(format!("this study needs {bytes} bytes of memory, more than the ceiling of {ceiling}"))
        .hint(format!("give --max-ram {}M or more", bytes.div_ceil(1_000_000)))
}

/// The first tiling, from the wanted one to smaller ones with the same scores, whose plan fits the ceiling.
fn fitting(
    wanted: &Tiling,
    fed: &Grid,
    network: &NetworkShape,
    ceiling: Option<u64>,
    draft: impl Fn(&Tiling) -> Result<Plan>,
) -> Result<(Tiling, Plan)> {
    let first = draft(wanted)?;
    let ceiling = ceiling.unwrap_or(u64::MAX);
    let mut least = first.peak_bytes;
    if least <= ceiling {
        return Ok((wanted.clone(), first));
    }
    for tiling in smaller(wanted, fed.shape(), network)? {
        let plan = draft(&tiling)?;
        least = least.min(plan.peak_bytes);
        if plan.peak_bytes <= ceiling {
            return Ok((tiling, plan));
        }
    }
    Err(too_little(least, ceiling))
}

/// Tilings of ever smaller patches or batches that give the scores of `wanted`.
fn smaller(wanted: &Tiling, shape: [usize; 3], network: &NetworkShape) -> Result<Vec<Tiling>> {
    let padding = match wanted {
        Tiling::Whole(whole) => whole.padding,
        Tiling::Exact(exact) => exact.padding,
        Tiling::Slices(slices) => {
            let batches = std::iter::successors(Some(slices.batch), |batch| Some(batch / 2)).skip(1);
            let batches = batches.take_while(|&batch| batch > 0);
            return Ok(batches.map(|batch| Tiling::Slices(Slices { batch, ..slices.clone() })).collect());
        }
        _ => return Ok(Vec::new()),
    };
    let Some(halo) = network.receptive_halo.filter(|_| network.margin == [0; 3]) else { return Ok(Vec::new()) };
    let whole = Layout::new(&Tiling::Whole(Whole::new(padding)), shape, network)?;
    let exact = |patch| Tiling::Exact(Exact { padding, ..Exact::new(patch) });
    Ok(exact_patches(whole.patch(), halo, network.multiple).into_iter().map(exact).collect())
}

/// Ever smaller patches, from `patch` on, in steps that the network takes: shorter along k first, then j, then i.
fn exact_patches(mut patch: [usize; 3], halo: [usize; 3], multiple: [usize; 3]) -> Vec<[usize; 3]> {
    let mut patches = Vec::new();
    for axis in [2, 1, 0].into_iter().filter(|&axis| multiple[axis] > 0) {
        // A core shorter than half a halo would be mostly repeated work.
        let shortest = 2 * halo[axis] + (halo[axis] / 2).max(multiple[axis]);
        loop {
            let less = (patch[axis] / SHORTENING).next_multiple_of(multiple[axis]).max(multiple[axis]);
            if patch[axis] < shortest + less {
                break;
            }
            patch[axis] -= less;
            patches.push(patch);
        }
    }
    patches
}

impl Plan {
    /// `fed` is the part of the `working` grid that the network sees.
    fn new(
        pipeline: &Pipeline,
        [source, working, fed]: [&Grid; 3],
        layout: &Layout,
        decide: &DecideOptions,
    ) -> Result<Self> {
        let channels = pipeline.spec().input.channels.len();
        let (study, labels) = (study_bytes(pipeline, source), source.voxels() as u64 * 2);
        let shape = layout.input_shape(layout.batch().min(layout.len()), channels);
        let engine = pipeline.predictor.working_bytes(&shape)?;
        let network = floats(fed.voxels() * channels) + engine + pass_bytes(layout, &shape, fed, source, decide);
        // The engine keeps its memory for the next study.
        let after = study + engine + labels;
        let runs = if pipeline.steps().is_empty() { 0 } else { RUN_BYTES * source.voxels() as u64 };
        let kept = if pipeline.settings.keep_probabilities {
            3 * floats(source.voxels()) + 2 * floats(fed.voxels())
        } else {
            labels
        };
        let stages = vec![
            StageBytes { name: "read", bytes: study },
            StageBytes { name: "prepare", bytes: prepare_bytes(pipeline, source, working) },
            StageBytes { name: "network", bytes: study + network },
            StageBytes { name: "postprocess", bytes: after + runs },
            StageBytes { name: "write", bytes: after + kept },
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

/// Bytes beside the study and what is fed while tiles run: buffers of the network of input `shape`, the ring of the
/// stitcher, the decision with the labels.
fn pass_bytes(layout: &Layout, shape: &[usize], fed: &Grid, source: &Grid, decide: &DecideOptions) -> u64 {
    let classes = decide.ids.len();
    let (ring, depth) =
        if covers(layout) { (0, fed.shape()[2]) } else { (layout.ring_bytes(classes), layout.ring_planes()) };
    let values = |shape: &[usize]| shape.iter().fold(4_u64, |bytes, &n| bytes.saturating_mul(n as u64));
    // One plane of all classes for an activation, one of all channels of the output for a file of probabilities.
    let planes = values(&[classes + 1, fed.shape()[0], fed.shape()[1]]);
    values(shape)
        + values(&layout.output_shape(shape[0], classes))
        + ring
        + values(&layout.output())
        + planes
        + Decider::bytes(fed, source, decide, depth)
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
