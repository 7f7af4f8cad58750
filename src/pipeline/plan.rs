//! Tiles and memory, worked out before any voxel is touched.

use serde::Serialize;

use super::Pipeline;
use super::mirror::other_side;
use super::working::{is_straightened, working_grid};
use crate::error::{Error, Result};
use crate::geometry::Grid;
use crate::inference::Predictor;
use crate::labels::{DecideOptions, Decider, EdgeDecider};
use crate::limits;
use crate::model::ModelSpec;
use crate::resample::resample_bytes;
use crate::tiling::{Exact, LastTile, Layout, NetworkShape, OverlapTile, Slices, Tiling, Whole};

/// What a process of this kind needs before it holds any voxel: code, tables, buffers of files.
const BASE_BYTES: u64 = 56 * limits::MIB;
/// Stack, rows and planes of one thread.
const THREAD_BYTES: u64 = 4 * limits::MIB;
/// Bytes per voxel of a label volume that its runs may take in the steps on components: 20 bytes for each run and once
/// more while slabs are joined, with a run per 8 voxels. Heads have one per 20 or more.
const RUN_BYTES: u64 = 5;
/// The part of them that is kept for instances, and bytes of the table of as many objects as a file of them can number.
const KEPT_RUN_BYTES: u64 = 3;
const OBJECTS_BYTES: u64 = (u16::MAX as u64) * 144;
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

/// What a run will do and need; a model that feeds only a box of its grid is planned for all of it.
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
    /// Scores are averaged over left/right flips.
    pub tta: bool,
    /// Edges between labels are decided with the scan's intensities.
    pub edges: bool,
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
    /// The plan for a study on `source`, and for slices `between` those of it that need labels of their own.
    pub(super) fn new(pipeline: &Pipeline, source: &Grid, between: Option<&[f64]>) -> Result<Self> {
        let spec = pipeline.spec();
        let working = working_grid(spec, source)?;
        let network = pipeline.network;
        let wanted = pipeline.settings.tiling.as_ref().unwrap_or(&spec.tiling);
        refuse_sheared(spec, &working, wanted)?;
        let layout = Layout::new(wanted, working.shape(), &network)?;
        let classes = classes(spec, pipeline.predictor.as_ref(), &layout)?;
        let decide = decide_options(pipeline, classes);
        if pipeline.settings.tta {
            other_side(spec, classes)?;
        }
        let targets = [Some(*source), between.map(|places| source.of_slices(places)).transpose()?];
        let targets: Vec<Grid> = targets.into_iter().flatten().collect();
        let draft = |tiling: &Tiling| {
            let layout = Layout::new(tiling, working.shape(), &network)?;
            Plan::new(pipeline, source, &targets, &working, &layout, &decide)
        };
        let (tiling, plan) = fitting(wanted, &working, &network, pipeline.ceiling(), draft)?;
        Ok(Self { plan, working, tiling, network, classes, decide })
    }
}

/// Refuses to feed a 3-D network voxels whose axes are not perpendicular, as those of a tilted stack of slices are not.
fn refuse_sheared(spec: &ModelSpec, working: &Grid, tiling: &Tiling) -> Result<()> {
    if !working.is_sheared() || matches!(tiling, Tiling::Slices(_)) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the study's axes are {:.2} degrees from perpendicular (its slices are tilted), and {} runs on the study's own \
         grid and expects them to be perpendicular",
        working.affine().shear_degrees(),
        spec.name
    ))
    .hint("straighten it with `unet-vol convert INPUT -o OUT.nii.gz --on-tilt resample` and segment that"))
}

/// The first tiling, from the wanted one to smaller ones with the same scores, whose plan fits the ceiling.
fn fitting(
    wanted: &Tiling,
    working: &Grid,
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
    for tiling in smaller(wanted, working.shape(), network)? {
        let plan = draft(&tiling)?;
        least = least.min(plan.peak_bytes);
        if plan.peak_bytes <= ceiling {
            return Ok((tiling, plan));
        }
    }
    Err(Error::limit(format!("this study needs {least} bytes of memory, more than the ceiling of {ceiling}"))
        .hint(format!("give --max-ram {}M or more", least.div_ceil(1_000_000))))
}

/// Tilings of ever smaller patches or batches that give the scores of `wanted`.
fn smaller(wanted: &Tiling, shape: [usize; 3], network: &NetworkShape) -> Result<Vec<Tiling>> {
    let padding = match wanted {
        Tiling::Whole(whole) => whole.padding,
        Tiling::Exact(exact) => exact.padding,
        Tiling::OverlapTile(way) => return Ok(smaller_overlap_tiles(way, network)),
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

/// Overlap-tiles of ever smaller patches, where tiles keep the phase of the network's strides and so agree exactly.
fn smaller_overlap_tiles(way: &OverlapTile, network: &NetworkShape) -> Vec<Tiling> {
    let halo = way.halo.unwrap_or(network.margin);
    let in_phase = |axis: usize| {
        let tile = way.patch[axis].saturating_sub(2 * halo[axis]);
        network.multiple[axis] > 0 && tile.is_multiple_of(network.multiple[axis])
    };
    if way.last != LastTile::Cut || !(0..3).all(in_phase) {
        return Vec::new();
    }
    let patches = exact_patches(way.patch, halo, network.multiple).into_iter();
    patches.map(|patch| Tiling::OverlapTile(OverlapTile { patch, ..way.clone() })).collect()
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
    /// Labels are decided on each of `targets`, of which the source is the first.
    fn new(
        pipeline: &Pipeline,
        source: &Grid,
        targets: &[Grid],
        working: &Grid,
        layout: &Layout,
        decide: &DecideOptions,
    ) -> Result<Self> {
        let spec = pipeline.spec();
        let channels = spec.input.channels.len();
        let floats = |count: usize| (count as u64).saturating_mul(4);
        let shape = layout.input_shape(layout.batch().min(layout.len()), channels);
        let engine = pipeline.predictor.working_bytes(&shape)?;
        let base = BASE_BYTES + THREAD_BYTES * rayon::current_num_threads() as u64;
        let program = base + pipeline.predictor.weight_bytes().unwrap_or(pipeline.model_bytes);
        let decided: usize = targets.iter().map(Grid::voxels).sum();
        // Slices between those of the source are there as they were read, too.
        let study = program + floats(source.voxels() * (channels - 1) + decided);
        let (fed, labels) = (floats(working.voxels() * channels), decided as u64 * 2);
        // A channel with values that are not finite is copied; the box that is fed is one more copy.
        let straight = if is_straightened(spec, source) { source.straightened()? } else { *source };
        let copies = source.voxels() + if straight == *source { 0 } else { straight.voxels() };
        let resampled = floats(copies) + resample_bytes(&straight, working, &spec.resample);
        let cropped = if spec.input.crop.is_some() { fed } else { 0 };
        let prepare = fed - floats(working.voxels()) + resampled.max(cropped + floats(working.voxels()));
        let runs = 1 + usize::from(pipeline.settings.tta);
        let edges = match decide.edges {
            Some(_) => targets.iter().map(|target| EdgeDecider::bytes(working, target, decide)).sum(),
            None => 0,
        };
        let network = fed + engine + edges + pass_bytes(layout, &shape, working, targets, decide, runs);
        // The engine keeps its memory for the next study.
        let after = study + engine + labels;
        let voxels = source.voxels() as u64;
        let objects = pipeline.finds_instances();
        let steps = if pipeline.steps().is_empty() && !objects { 0 } else { RUN_BYTES * voxels };
        // The runs of the objects, their table and the numbers as a volume.
        let objects = if objects { KEPT_RUN_BYTES * voxels + OBJECTS_BYTES + 2 * voxels } else { 0 };
        let kept = if pipeline.settings.keep_probabilities {
            3 * floats(source.voxels()) + 2 * floats(working.voxels())
        } else {
            labels
        };
        let stages = vec![
            StageBytes { name: "open", bytes: base + pipeline.model_bytes },
            StageBytes { name: "read", bytes: study },
            StageBytes { name: "prepare", bytes: study + prepare },
            StageBytes { name: "network", bytes: study + network },
            StageBytes { name: "postprocess", bytes: after + steps.max(objects) },
            StageBytes { name: "write", bytes: after + kept + objects },
        ];
        let peak_bytes = stages.iter().map(|stage| stage.bytes).max().unwrap_or(0);
        Ok(Self {
            source: source.shape(),
            working: working.shape(),
            patch: layout.patch(),
            tiles: layout.len(),
            passes: runs * rounds(pipeline, layout) * layout.passes(),
            tta: pipeline.settings.tta,
            edges: pipeline.edges().is_some(),
            stages,
            peak_bytes,
        })
    }
}

/// Bytes beside the study and what is fed while tiles run: buffers of the network of input `shape`, the ring of the
/// stitcher, the decisions with the labels. `outputs` of the network are held at a time.
fn pass_bytes(
    layout: &Layout,
    shape: &[usize],
    working: &Grid,
    targets: &[Grid],
    decide: &DecideOptions,
    outputs: usize,
) -> u64 {
    let classes = decide.ids.len();
    let (ring, depth) =
        if covers(layout) { (0, working.shape()[2]) } else { (layout.ring_bytes(classes), layout.ring_planes()) };
    let values = |shape: &[usize]| shape.iter().fold(4_u64, |bytes, &n| bytes.saturating_mul(n as u64));
    // One plane of all classes for an activation, one of all channels of the output for a file of probabilities.
    let planes = values(&[classes + 1, working.shape()[0], working.shape()[1]]);
    values(shape)
        + outputs as u64 * values(&layout.output_shape(shape[0], classes))
        + ring
        + values(&layout.output())
        + planes
        + targets.iter().map(|target| Decider::bytes(working, target, decide, depth)).sum::<u64>()
}

/// How often the network sees each patch: a second time where edges are decided from scores that are gone by then.
pub(super) fn rounds(pipeline: &Pipeline, layout: &Layout) -> usize {
    if pipeline.edges().is_some() && !covers(layout) { 2 } else { 1 }
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

fn decide_options(pipeline: &Pipeline, classes: usize) -> DecideOptions {
    let spec = pipeline.spec();
    let options = DecideOptions::new(spec.ids(classes))
        .with_rule(spec.output.decision.clone())
        .with_outside(spec.output.outside)
        .with_interpolation(spec.output.back);
    match pipeline.edges() {
        Some(edges) => options.with_edges(*edges, spec.mirror.clone().unwrap_or_default().swap),
        None => options,
    }
}
