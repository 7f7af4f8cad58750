//! From a study in memory to labels on its own grid: plan, tiles, network, decision, filters.
//!
//! ```text
//! Volume(s) ─> working grid ─> normalize ─> patch ─> Predictor ─> stitch ─> decide on the source grid ─> filters
//! ```

mod keep;
mod mirror;
mod network;
mod plan;
mod probabilities;
mod progress;
mod quality;
mod run;
mod stitch;
mod working;

pub use crate::limits::Cancel;
pub use plan::{Plan, StageBytes};
pub use probabilities::{Probabilities, ProbabilitiesOnGrid};
pub use progress::{Progress, ProgressCallback, Stage};
pub use stitch::{Slab, Stitcher};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result, Warning};
use crate::fs;
use crate::geometry::Grid;
use crate::inference::{self, Backend, ModelFile, Predictor};
use crate::labels::{Confidence, EdgeOptions, InstanceOptions, Instances, Step};
use crate::model::{Model, ModelSpec};
use crate::tiling::{NetworkShape, Tiling};
use crate::volume::{LabelMap, Volume};

use keep::KeepLabels;
pub(crate) use progress::Watch;

/// How often the bytes of a model lie in memory, for an engine that does not say: its file, its graph for us and for the
/// engine, packed weights.
const MODEL_COPIES: u64 = 5;

/// Settings of a [`Pipeline`]; made by [`Pipeline::builder`].
#[derive(Debug, Clone)]
pub struct PipelineBuilder {
    network: Network,
    engine: inference::Options,
    settings: Settings,
    threads: usize,
}

/// Who computes: a model that an engine opens, or a predictor of the caller's.
#[derive(Debug, Clone)]
enum Network {
    Model(Model),
    Predictor(ModelSpec, Arc<dyn Predictor>),
}

#[derive(Debug, Clone, Default)]
struct Settings {
    tiling: Option<Tiling>,
    postprocess: Option<Vec<Step>>,
    max_bytes: Option<u64>,
    keep_probabilities: bool,
    keep_labels: Vec<String>,
    instances: Option<InstanceOptions>,
    tta: bool,
    /// Edges stay as the network drew them.
    network_edges: bool,
    watch: Watch,
}

impl PipelineBuilder {
    fn of(network: Network) -> Self {
        Self { network, engine: inference::Options::default(), settings: Settings::default(), threads: 0 }
    }

    /// Which engine and device run the network, in which precision; nothing to a predictor of the caller's.
    #[must_use]
    pub fn engine(mut self, options: inference::Options) -> Self {
        self.engine = options;
        self
    }

    /// Number of threads; 0, the default, takes the caller's rayon pool.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Another tiling than the model's own.
    #[must_use]
    pub fn tiling(mut self, tiling: Tiling) -> Self {
        self.settings.tiling = Some(tiling);
        self
    }

    /// Other steps on the labels than the model's own.
    #[must_use]
    pub fn postprocess(mut self, steps: Vec<Step>) -> Self {
        self.settings.postprocess = Some(steps);
        self
    }

    /// A ceiling for the peak memory in bytes: the plan fits or is refused, and labels are the same under every ceiling.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = Some(bytes);
        self
    }

    /// Keeps the probabilities of all classes in a temporary file, for [`Outcome::probabilities`]. They are the network's:
    /// what [`PipelineBuilder::edges`] changes is not in them.
    #[must_use]
    pub fn keep_probabilities(mut self, keep: bool) -> Self {
        self.settings.keep_probabilities = keep;
        self
    }

    /// Keeps only these labels, by name or id, in the result; none keeps all.
    #[must_use]
    pub fn keep_labels(mut self, labels: Vec<String>) -> Self {
        self.settings.keep_labels = labels;
        self
    }

    /// Numbers the connected pieces of each label, for [`Outcome::instances`].
    #[must_use]
    pub fn instances(mut self, options: InstanceOptions) -> Self {
        self.settings.instances = Some(options);
        self
    }

    /// Averages the scores of the study and of its mirror image, left and right classes swapped back, before labels are
    /// decided: twice the time, a little better labels. Off by default; for models whose description has a `mirror`.
    #[must_use]
    pub fn tta(mut self, average: bool) -> Self {
        self.settings.tta = average;
        self
    }

    /// Whether edges between labels are decided once more with the scan's intensities, by models whose description has
    /// `output.edges`. On by default; see [`crate::labels::EdgeDecider`].
    #[must_use]
    pub fn edges(mut self, decide: bool) -> Self {
        self.settings.network_edges = !decide;
        self
    }

    /// Called as the work goes on.
    #[must_use]
    pub fn progress(mut self, callback: ProgressCallback) -> Self {
        self.settings.watch.callback = Some(callback);
        self
    }

    /// A switch that stops the work between two tiles.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.settings.watch.cancel = cancel;
        self
    }

    /// Opens the engine and checks the network against the model's description.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the engine cannot be had or the network does not fit its description.
    pub fn build(self) -> Result<Pipeline> {
        let Self { network, engine, settings, threads } = self;
        let pool = thread_pool(threads)?;
        match network {
            Network::Model(model) => {
                let file = ModelFile::from(&model);
                let open = || inference::open(&file, &engine);
                let (predictor, notes) = match &pool {
                    Some(pool) => pool.install(open)?,
                    None => open()?,
                };
                let origin = Origin { path: model.path().map(Into::into), sha256: Some(model.sha256().to_owned()) };
                let network = network::of_graph(model.spec(), model.graph())?;
                let mut pipeline =
                    Pipeline::assemble(model.spec().clone(), origin, predictor.into(), network, settings, pool)?;
                let file = model.bytes().len() as u64;
                pipeline.model_bytes = match pipeline.predictor.weight_bytes() {
                    Some(weights) => file + weights,
                    None => MODEL_COPIES * file,
                };
                pipeline.notes = notes;
                Ok(pipeline)
            }
            Network::Predictor(spec, predictor) => {
                spec.validate()?;
                let network = network::of_description(&spec, predictor.as_ref());
                Pipeline::assemble(spec, Origin::default(), predictor, network, settings, pool)
            }
        }
    }
}

/// Where a network came from.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Origin {
    /// The ONNX file; none for a bundled model or a predictor of the caller's.
    pub path: Option<std::path::PathBuf>,
    /// SHA-256 of the ONNX file.
    pub sha256: Option<String>,
}

/// A model, an engine and settings, ready for any number of studies. Immutable and shareable between threads; a clone
/// shares engine and threads.
#[derive(Debug, Clone)]
pub struct Pipeline {
    spec: ModelSpec,
    origin: Origin,
    predictor: Arc<dyn Predictor>,
    settings: Settings,
    network: NetworkShape,
    /// What opening the model takes: its file, graphs, packed weights.
    model_bytes: u64,
    keep: KeepLabels,
    pool: Option<Arc<rayon::ThreadPool>>,
    notes: Vec<Warning>,
}

/// What a run gave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The labels, on the grid of the first input.
    pub labels: LabelMap,
    /// The labels of the slices that the input was resampled from, for [`Pipeline::segment_slices`]: on
    /// [`Grid::of_slices`].
    pub slices: Option<LabelMap>,
    /// The connected pieces of each label, where they were asked for.
    pub instances: Option<Instances>,
    /// The probabilities of all classes, where they were asked for.
    pub probabilities: Option<Probabilities>,
    /// How sure the network was of each label that won a voxel of its grid; empty for models whose decision is not the
    /// most probable class.
    pub confidence: BTreeMap<u16, Confidence>,
    /// What was planned before the work began.
    pub plan: Plan,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Seconds of each stage.
    pub seconds: Vec<(Stage, f64)>,
}

impl Pipeline {
    /// The bundled brain model in the fastest engine at hand.
    ///
    /// # Errors
    /// As [`PipelineBuilder::build`].
    pub fn brain_mri() -> Result<Self> {
        Self::builder(Model::bundled("brain-mri")?).build()
    }

    /// The bundled hippocampus model, for a crop around one hippocampus, in the fastest engine at hand.
    ///
    /// # Errors
    /// As [`PipelineBuilder::build`].
    pub fn hippocampus() -> Result<Self> {
        Self::builder(Model::bundled("hippocampus")?).build()
    }

    /// An ONNX file that carries its description.
    ///
    /// # Errors
    /// As [`Model::open`] and [`PipelineBuilder::build`].
    pub fn from_model(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Self::builder(Model::open(path.as_ref(), None)?).build()
    }

    /// Settings for a model.
    #[must_use]
    pub fn builder(model: Model) -> PipelineBuilder {
        PipelineBuilder::of(Network::Model(model))
    }

    /// Settings for a network of the caller's own, without ONNX.
    #[must_use]
    pub fn predictor_builder(spec: ModelSpec, predictor: Box<dyn Predictor>) -> PipelineBuilder {
        PipelineBuilder::of(Network::Predictor(spec, predictor.into()))
    }

    /// A network of the caller's own, without ONNX.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the predictor does not fit the description.
    pub fn with_predictor(spec: ModelSpec, predictor: Box<dyn Predictor>) -> Result<Self> {
        Self::predictor_builder(spec, predictor).build()
    }

    fn assemble(
        spec: ModelSpec,
        origin: Origin,
        predictor: Arc<dyn Predictor>,
        network: NetworkShape,
        settings: Settings,
        pool: Option<Arc<rayon::ThreadPool>>,
    ) -> Result<Self> {
        check_network(&spec, settings.tiling.as_ref().unwrap_or(&spec.tiling), &network, predictor.as_ref())?;
        let keep = KeepLabels::new(&settings.keep_labels, &spec.table()?)?;
        Ok(Self { spec, origin, predictor, settings, network, model_bytes: 0, keep, pool, notes: Vec::new() })
    }

    /// The same pipeline, stopped by another switch: for one run of several that share an engine.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.settings.watch.cancel = cancel;
        self
    }

    /// The same pipeline, reporting to another callback.
    #[must_use]
    pub fn with_progress(mut self, callback: ProgressCallback) -> Self {
        self.settings.watch.callback = Some(callback);
        self
    }

    /// What the model expects and means.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where the network came from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Who computes.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        self.predictor.backend()
    }

    /// Tiles, passes and peak memory for a study on `source`, before any voxel is touched.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the plan does not fit the memory ceiling; [`crate::ErrorKind::Model`] when the
    /// network does not take the sizes that come out.
    pub fn plan(&self, source: &Grid) -> Result<Plan> {
        self.install(|| Ok(plan::Layouts::new(self, source, None)?.plan))
    }

    /// Segments a study: one volume per input channel, all on one grid.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when channels are missing or lie on different grids, [`crate::ErrorKind::Limit`] when
    /// the plan does not fit, [`crate::ErrorKind::Model`] when the engine fails, [`crate::ErrorKind::Interrupted`] after
    /// [`Cancel::cancel`].
    pub fn segment(&self, channels: &[Volume]) -> Result<Outcome> {
        self.install(|| run::run(self, channels, None))
    }

    /// As [`Pipeline::segment`], for channels that were resampled to even steps from slices at `places` along k, in
    /// ascending order. [`Outcome::slices`] has the labels of those: where each is at a slice of the grid the labels there,
    /// otherwise labels that are decided where each slice is and pass through the same filters.
    ///
    /// # Errors
    /// As [`Pipeline::segment`]; [`crate::ErrorKind::Usage`] when places lie outside or do not ascend.
    pub fn segment_slices(&self, channels: &[Volume], places: &[f64]) -> Result<Outcome> {
        self.install(|| run::run(self, channels, Some(places)))
    }

    /// Runs `work` on this pipeline's threads.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// How edges are decided with the scan's intensities, where they are.
    fn edges(&self) -> Option<&EdgeOptions> {
        self.spec.output.edges.as_ref().filter(|_| !self.settings.network_edges)
    }

    /// What is done to the labels.
    fn steps(&self) -> &[Step] {
        self.settings.postprocess.as_ref().unwrap_or(&self.spec.postprocess)
    }

    /// The ceiling for memory: what was asked for, else what this process can get.
    fn ceiling(&self) -> Option<u64> {
        self.settings.max_bytes.or_else(fs::memory_in_reach)
    }

    /// SHA-256 of everything but the input that decides the labels: program, model, settings and arithmetic. Memory
    /// ceiling and threads are no part of it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the settings have no JSON form.
    pub fn fingerprint(&self) -> Result<String> {
        let (backend, settings) = (self.backend(), &self.settings);
        let parts = serde_json::to_vec(&(
            env!("CARGO_PKG_VERSION"),
            &self.spec,
            &self.origin.sha256,
            (&backend.engine, &backend.version, &backend.provider, &backend.precision),
            (&settings.tiling, &settings.postprocess, &settings.keep_labels, settings.instances),
            (settings.tta, settings.network_edges),
        ));
        let parts = parts.map_err(|e| Error::internal("the settings have no JSON form").because(e))?;
        Ok(fs::sha256_of(&parts))
    }

    /// True when [`Outcome::instances`] will be there.
    pub(crate) fn finds_instances(&self) -> bool {
        self.settings.instances.is_some()
    }

    /// Progress and cancellation, for the stages outside.
    pub(crate) fn watch(&self) -> &Watch {
        &self.settings.watch
    }
}

fn thread_pool(threads: usize) -> Result<Option<Arc<rayon::ThreadPool>>> {
    if threads == 0 {
        return Ok(None);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(|pool| Some(Arc::new(pool)))
        .map_err(|e| Error::limit(format!("{threads} threads cannot be had")).because(e))
}

/// Rank, channels and classes of the network against its description, before the first tile.
fn check_network(spec: &ModelSpec, tiling: &Tiling, network: &NetworkShape, predictor: &dyn Predictor) -> Result<()> {
    let (input, output) = (predictor.input(), predictor.output());
    let shape = |s: &[Option<usize>]| {
        let sizes: Vec<_> = s.iter().map(|n| n.map_or("?".to_owned(), |n| n.to_string())).collect();
        format!("[{}]", sizes.join(", "))
    };
    let fail = |what: String| {
        Err(Error::model(format!(
            "{what}: the network reads {} {} and gives {} {}",
            input.name,
            shape(&input.shape),
            output.name,
            shape(&output.shape)
        )))
    };
    let rank = input.shape.len();
    if rank != output.shape.len() || !(4..=5).contains(&rank) {
        return fail(format!("model {:?} is neither [N, C, H, W] nor [N, C, D, H, W]", spec.name));
    }
    if network::is_planar(network) != (rank == 4) {
        return fail(format!("the description of {:?} does not fit a network of rank {rank}", spec.name));
    }
    let slices = if let Tiling::Slices(slices) = tiling { slices.slices } else { 1 };
    let channels = spec.input.channels.len() * slices;
    if input.shape[1].is_some_and(|n| n != channels) {
        return fail(format!("the description of {:?} names {channels} input channels", spec.name));
    }
    let largest = spec.labels.iter().map(|c| c.class).max().unwrap_or(0);
    if output.shape[1].is_some_and(|n| n <= largest) {
        return fail(format!("the description of {:?} names class {largest}", spec.name));
    }
    Ok(())
}
