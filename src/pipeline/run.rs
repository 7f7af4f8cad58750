//! Carrying out a plan.

use std::collections::BTreeMap;
use std::time::Instant;

use super::mirror::Mirror;
use super::plan::{Layouts, covers, rounds};
use super::probabilities::Probabilities;
use super::progress::Stage;
use super::quality::{NOT_FOUND, judge};
use super::stitch::{Slab, Stitcher};
use super::working::{at_places, prepare};
use super::{Outcome, Pipeline};
use crate::error::{Error, Result, Warning};
use crate::geometry::{Grid, float, slices_at};
use crate::inference::TensorView;
use crate::labels::{Activation, Confidence, ConfidenceMeter, Decider, EdgeDecider, instances_until, postprocess};
use crate::limits;
use crate::resample::Outside;
use crate::tiling::{Layout, Tile};
use crate::volume::{LabelMap, Volume, VolumeView};

/// Labels of a study, on the caller's threads.
pub(super) fn run(pipeline: &Pipeline, channels: &[Volume], places: Option<&[f64]>) -> Result<Outcome> {
    let grid = check_channels(pipeline, channels)?;
    let between = check_places(&grid, places)?;
    let layouts = Layouts::new(pipeline, &grid, between)?;
    let mut clock = Clock { seconds: Vec::new(), start: Instant::now() };
    let mut warnings = pipeline.notes.clone();
    let watch = pipeline.watch();

    watch.step(Stage::Prepare, 0, 1)?;
    let fed = prepare(pipeline.spec(), channels, &layouts.working, &mut warnings)?;
    clock.stop(Stage::Prepare);
    watch.step(Stage::Prepare, 1, 1)?;

    let Inferred { ids, slices, probabilities, confidence, not_finite } = match fed {
        Some(fed) => infer(pipeline, &layouts, &fed, &channels[0], between)?,
        None => Inferred {
            ids: Volume::zeros(grid)?,
            slices: between.map(|places| Volume::zeros(grid.of_slices(places)?)).transpose()?,
            probabilities: nothing(pipeline, &layouts),
            confidence: BTreeMap::new(),
            not_finite: 0,
        },
    };
    if not_finite > 0 {
        let message = format!(
            "{not_finite} of the network's scores are NaN or infinite, so that labels there mean nothing: the model's \
             weights are damaged, or the image has values beyond what it computes with"
        );
        warnings.push(Warning::new("scores-not-finite", message));
    }
    clock.stop(Stage::Network);

    watch.step(Stage::Postprocess, 0, 1)?;
    let mut labels = LabelMap::new(ids, pipeline.spec().table()?);
    postprocess(&mut labels, pipeline.steps())?;
    let verdict = judge(pipeline.spec(), &mut labels, &confidence);
    let mut slices = match (slices, places) {
        (Some(ids), _) => {
            let mut slices = LabelMap::new(ids, labels.table.clone());
            postprocess(&mut slices, pipeline.steps())?;
            if verdict.as_ref().is_some_and(|warning| warning.code == NOT_FOUND) {
                slices.ids.data_mut().fill(0);
            }
            Some(slices)
        }
        (None, Some(places)) => labels.ids.slices(places)?.map(|ids| LabelMap::new(ids, labels.table.clone())),
        (None, None) => None,
    };
    for labels in std::iter::once(&mut labels).chain(&mut slices) {
        pipeline.keep.apply(labels)?;
    }
    let options = pipeline.settings.instances.as_ref();
    let objects = options.map(|options| instances_until(VolumeView::from(&labels.ids), options, &watch.cancel));
    let instances = objects.transpose()?;
    warnings.extend(verdict);
    if labels.is_empty() && !warnings.iter().any(|warning| warning.code == NOT_FOUND) {
        warnings.push(Warning::new("empty", "no voxel got a label"));
    }
    clock.stop(Stage::Postprocess);
    watch.step(Stage::Postprocess, 1, 1)?;
    let (plan, seconds) = (layouts.plan, clock.seconds);
    Ok(Outcome { labels, slices, instances, probabilities, confidence, plan, warnings, seconds })
}

/// What the network's scores came to.
struct Inferred {
    ids: Volume<u16>,
    /// Of slices between those of the grid.
    slices: Option<Volume<u16>>,
    probabilities: Option<Probabilities>,
    confidence: BTreeMap<u16, Confidence>,
    /// Scores that are NaN or infinite.
    not_finite: usize,
}

/// Seconds of one stage after the other.
struct Clock {
    seconds: Vec<(Stage, f64)>,
    start: Instant,
}

impl Clock {
    fn stop(&mut self, stage: Stage) {
        self.seconds.push((stage, self.start.elapsed().as_secs_f64()));
        self.start = Instant::now();
    }
}

/// One volume per channel, all on one grid.
fn check_channels(pipeline: &Pipeline, channels: &[Volume]) -> Result<Grid> {
    let wanted = pipeline.spec().input.channels.len();
    let Some(first) = channels.first().filter(|_| channels.len() == wanted) else {
        return Err(Error::usage(format!("{} channels were given and the model reads {wanted}", channels.len())));
    };
    if let Some(other) = channels.iter().find(|other| !other.grid().matches(first.grid())) {
        return Err(Error::usage(format!(
            "channels of {:?} and {:?} voxels do not lie on one grid",
            first.grid().shape(),
            other.grid().shape()
        )));
    }
    Ok(*first.grid())
}

/// The places of slices, where some lie between those of the grid and need labels of their own.
fn check_places<'a>(grid: &Grid, places: Option<&'a [f64]>) -> Result<Option<&'a [f64]>> {
    let Some(places) = places else { return Ok(None) };
    grid.of_slices(places)?;
    let last = float(grid.shape()[2] - 1);
    if let Some(place) = places.iter().find(|place| !(0.0..=last).contains(*place)) {
        return Err(Error::usage(format!("a slice at {place} lies outside the {} of the grid", grid.shape()[2])));
    }
    Ok(Some(places).filter(|places| slices_at(places).is_none()))
}

/// The probabilities of a study of which nothing was fed, where they were asked for.
fn nothing(pipeline: &Pipeline, layouts: &Layouts) -> Option<Probabilities> {
    let activation = pipeline.spec().probability_activation();
    pipeline.settings.keep_probabilities.then(|| Probabilities::of_nothing(&layouts.decide, activation))
}

/// Runs the network over the box that is fed and decides labels on the grid of `image`, the study's first channel, and of
/// slices between those of it.
fn infer(
    pipeline: &Pipeline,
    layouts: &Layouts,
    fed: &[Volume],
    image: &Volume,
    between: Option<&[f64]>,
) -> Result<Inferred> {
    let (working, target) = (fed[0].grid(), image.grid());
    let layout = Layout::new(&layouts.tiling, working.shape(), &layouts.network)?;
    let mut decide = layouts.decide.clone();
    if *working != layouts.working {
        // What lies beyond the box was seen and found to be background.
        decide.outside = Outside::Background;
    }
    let activation = pipeline.spec().probability_activation();
    let store = if pipeline.settings.keep_probabilities {
        Some(Probabilities::new(*working, &decide, activation)?)
    } else {
        None
    };
    let [row, rows, _] = working.shape();
    let decider = Decider::new(working, target, &decide)?;
    let slices = between.map(|places| Decider::of_slices(working, target, places, &decide)).transpose()?;
    let meter = ConfidenceMeter::new(&decide, activation);
    let mut sink = Sink { decider, slices, store, meter, classes: layouts.classes, row, rows, not_finite: 0 };
    let mirror = Mirror::new(pipeline, &layout, working.orientation(), layouts.classes)?;
    let mut passes = Passes::new(pipeline, &layout, layouts.classes, mirror)?;
    passes.scores(fed, |slab| sink.take(pipeline, slab))?;
    let confidence = sink.meter.as_ref().map(ConfidenceMeter::finish).unwrap_or_default();
    let metered = sink.meter.filter(|_| pipeline.spec().output.activation == Activation::None);
    let not_finite = sink.not_finite + metered.map_or(0, |meter| meter.not_finite());
    let (mut ids, mut slices) = (sink.decider.finish()?, sink.slices.map(Decider::finish).transpose()?);
    if decide.edges.is_some() {
        let there = between.map(|places| at_places(image, places)).transpose()?;
        let mut of_slices = match (slices, between, &there) {
            (Some(slices), Some(places), Some(image)) => {
                Some(EdgeDecider::of_slices(working, target, places, slices, image, &decide)?)
            }
            _ => None,
        };
        let mut edges = EdgeDecider::new(working, ids, image, &decide)?;
        passes.scores(fed, |slab| {
            let mut deciders = std::iter::once(&mut edges).chain(&mut of_slices);
            deciders.try_for_each(|edges| edges.push_strided(slab.data, slab.class_stride, slab.planes))
        })?;
        (ids, slices) = (edges.finish()?, of_slices.map(EdgeDecider::finish).transpose()?);
    }
    Ok(Inferred { ids, slices, probabilities: sink.store, confidence, not_finite })
}

/// Where finished planes of scores go.
struct Sink {
    decider: Decider,
    /// Of slices between those of the target.
    slices: Option<Decider>,
    store: Option<Probabilities>,
    meter: Option<ConfidenceMeter>,
    classes: usize,
    /// Voxels of a row of the network's grid.
    row: usize,
    /// Rows of a plane of it.
    rows: usize,
    /// Scores so far that were NaN or infinite, but for those that the meter counts.
    not_finite: usize,
}

impl Sink {
    fn take(&mut self, pipeline: &Pipeline, mut slab: Slab<'_>) -> Result<()> {
        let (activation, plane) = (pipeline.spec().output.activation, self.row * self.rows);
        // The meter counts what it reads anyway, which an activation would have changed.
        if activation != Activation::None || self.meter.is_none() {
            self.not_finite += slab.not_finite(plane);
        }
        slab.activate(activation, self.classes, plane)?;
        if let Some(meter) = &mut self.meter {
            meter.take(slab.data, slab.class_stride, slab.planes, self.row, self.rows)?;
        }
        for decider in std::iter::once(&mut self.decider).chain(&mut self.slices) {
            decider.push_strided(slab.data, slab.class_stride, slab.planes)?;
        }
        self.store.as_ref().map_or(Ok(()), |store| store.push(&slab))
    }
}

/// Runs of the network with their buffers, which are made once.
struct Passes<'a> {
    pipeline: &'a Pipeline,
    layout: &'a Layout,
    classes: usize,
    input: Vec<f32>,
    output: Vec<f32>,
    mirror: Option<Mirror>,
    /// Scores of mirrored patches.
    mirrored: Vec<f32>,
    /// Values of one tile's output.
    tile_output: usize,
    /// How often the scores of the whole grid were handed out.
    taken: usize,
}

impl<'a> Passes<'a> {
    fn new(pipeline: &'a Pipeline, layout: &'a Layout, classes: usize, mirror: Option<Mirror>) -> Result<Self> {
        let channels = pipeline.spec().input.channels.len();
        let batch = layout.batch().min(layout.len());
        let input: usize = layout.input_shape(batch, channels).iter().product();
        let output: usize = layout.output_shape(batch, classes).iter().product();
        Ok(Self {
            pipeline,
            layout,
            classes,
            input: limits::zeroed(input, "the network's input")?,
            output: limits::zeroed(output, "the network's output")?,
            mirrored: limits::zeroed(if mirror.is_some() { output } else { 0 }, "the mirrored output")?,
            mirror,
            tile_output: output / batch,
            taken: 0,
        })
    }

    fn tile(&self, number: usize) -> Result<Tile> {
        self.layout.tile(number).ok_or_else(|| Error::internal(format!("the layout has no tile {number}")))
    }

    /// Hands the scores of the whole grid to `take`, plane after plane. The network runs again when it is called again, but
    /// where one patch covers the grid, whose scores are still there.
    fn scores(&mut self, fed: &[Volume], mut take: impl FnMut(Slab<'_>) -> Result<()>) -> Result<()> {
        let (layout, watch) = (self.layout, self.pipeline.watch());
        let (before, all) = (self.taken * layout.len(), rounds(self.pipeline, layout) * layout.len());
        let done = |tiles: usize| watch.step(Stage::Network, before + tiles, all);
        self.taken += 1;
        if covers(layout) {
            if before == 0 {
                done(0)?;
                self.run(fed, &[self.tile(0)?])?;
                done(1)?;
            }
            let class_stride = self.output.len() / self.classes;
            take(Slab { data: &mut self.output, class_stride, planes: layout.shape()[2] })
        } else {
            let mut stitcher = Stitcher::new(layout.clone(), self.classes)?;
            let mut tiles = Vec::with_capacity(layout.batch());
            for first in (0..layout.len()).step_by(layout.batch()) {
                done(first)?;
                stitcher.finish(layout.finished_before(first), &mut take)?;
                tiles.clear();
                for number in first..(first + layout.batch()).min(layout.len()) {
                    tiles.push(self.tile(number)?);
                }
                self.run(fed, &tiles)?;
                for (tile, scores) in tiles.iter().zip(self.output.chunks(self.tile_output)) {
                    stitcher.add(tile, scores);
                }
            }
            stitcher.finish(layout.shape()[2], &mut take)?;
            // A second round begins with this step.
            if before + layout.len() == all { done(layout.len()) } else { Ok(()) }
        }
    }

    /// Runs the network on `tiles`; their scores are the first ones of `output`.
    fn run(&mut self, fed: &[Volume], tiles: &[Tile]) -> Result<()> {
        let shape = self.layout.input_shape(tiles.len(), fed.len());
        let wanted = self.layout.output_shape(tiles.len(), self.classes);
        let given = self.pipeline.predictor.output_shape(&shape)?;
        if given != wanted {
            return Err(Error::model(format!(
                "the network gives {given:?} for {shape:?} where {wanted:?} is expected"
            )));
        }
        let input = &mut self.input[..shape.iter().product()];
        let patch = input.len() / (tiles.len() * fed.len());
        let places = tiles.iter().flat_map(|tile| fed.iter().map(move |volume| (tile, volume)));
        for ((tile, volume), out) in places.zip(input.chunks_mut(patch)) {
            self.layout.gather(volume.data(), tile, out)?;
        }
        let output = &mut self.output[..wanted.iter().product()];
        let predictor = &self.pipeline.predictor;
        predictor.predict(TensorView { shape: &shape, data: input }, output)?;
        if let Some(mirror) = &self.mirror {
            mirror.flip(input);
            let mirrored = &mut self.mirrored[..output.len()];
            predictor.predict(TensorView { shape: &shape, data: input }, mirrored)?;
            mirror.average(output, mirrored);
        }
        Ok(())
    }
}
