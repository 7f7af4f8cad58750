//! One study from its files to its files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::inputs::{Inputs, StudyOptions};
use super::outputs::{OutputPaths, of_class};
use crate::error::{Error, Result, Warning};
use crate::formats::{self, DataType, ReadOptions, WriteOptions};
use crate::fs::{self, Overwrite};
use crate::geometry::{Grid, Orientation};
use crate::inference::Backend;
use crate::labels::{self, Instances, Statistics};
use crate::model::ModelSpec;
use crate::pipeline::{Origin, Outcome, Pipeline, Stage, Watch};
use crate::report::{self, Certificate, FileRecord, Manifest, ModelRecord, StageSeconds};
use crate::volume::{LabelMap, LabelTable, Source};

/// Labels of one study with everything that a report needs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Segmentation {
    /// The study as read.
    pub inputs: Inputs,
    /// Labels, plan, warnings and times.
    pub outcome: Outcome,
    /// Volume, place and intensity of each label.
    pub statistics: Statistics,
    spec: ModelSpec,
    origin: Origin,
    backend: Backend,
    threads: usize,
    watch: Watch,
}

impl Pipeline {
    /// Segments the study in one file.
    ///
    /// # Errors
    /// What the reader refuses, and as [`Pipeline::segment`].
    pub fn run(&self, path: impl AsRef<Path>) -> Result<Segmentation> {
        self.run_files(&[path.as_ref()], &StudyOptions::default())
    }

    /// Segments a study whose channels are files, in the order of the model's channels.
    ///
    /// # Errors
    /// As [`Inputs::read`] and [`Pipeline::segment`].
    pub fn run_files(&self, paths: &[impl AsRef<Path> + Sync], options: &StudyOptions) -> Result<Segmentation> {
        self.install(|| {
            let start = Instant::now();
            self.watch().step(Stage::Read, 0, 1)?;
            let inputs = Inputs::read(paths, self.spec(), options)?;
            self.watch().step(Stage::Read, 1, 1)?;
            let read = start.elapsed().as_secs_f64();
            let mut segmentation = self.run_inputs(inputs)?;
            segmentation.outcome.seconds.insert(0, (Stage::Read, read));
            Ok(segmentation)
        })
    }

    /// Segments a study in memory.
    ///
    /// # Errors
    /// As [`Pipeline::segment`].
    pub fn run_inputs(&self, inputs: Inputs) -> Result<Segmentation> {
        self.install(|| {
            let outcome = match inputs.source.places() {
                Some(places) => self.segment_slices(&inputs.channels, places)?,
                None => self.segment(&inputs.channels)?,
            };
            let mut statistics = labels::statistics(&outcome.labels, Some(&inputs.channels[0]))?;
            for label in statistics.labels.iter_mut().filter(|label| label.voxels > 0) {
                label.confidence = outcome.confidence.get(&label.id).copied();
            }
            Ok(Segmentation {
                inputs,
                outcome,
                statistics,
                spec: self.spec().clone(),
                origin: self.origin().clone(),
                backend: self.backend().clone(),
                threads: rayon::current_num_threads(),
                watch: self.watch().clone(),
            })
        })
    }
}

/// Writes a label volume, reopens it and compares its geometry with that of the labels. Under `assume_orientation`
/// a file that does not state its orientation is reopened.
///
/// # Errors
/// As [`Segmentation::save`].
pub fn write_labels(
    path: &Path,
    labels: &LabelMap,
    source: &Source,
    assume_orientation: Option<Orientation>,
    overwrite: Overwrite,
) -> Result<Certificate> {
    formats::write_labels(path, labels, source, overwrite)?;
    let read = ReadOptions::new().with_assume_orientation(assume_orientation);
    let check = if formats::is_picture(path) {
        check_picture(path, labels, &read)
    } else {
        formats::probe(path, &read).and_then(|probe| Certificate::check(labels.grid(), &probe.grid))
    };
    check.map_err(|error| {
        // The failed output goes; that it cannot be removed would hide the reason.
        let _ = fs::remove(path);
        error.at(path)
    })
}

/// Instances are to be written that the pipeline does not find.
pub(super) fn no_instances() -> Error {
    Error::usage("the pipeline does not number instances").hint("build it with PipelineBuilder::instances")
}

/// A picture says nothing about the world: its ids are compared one by one, and their places within the picture.
fn check_picture(path: &Path, labels: &LabelMap, read: &ReadOptions) -> Result<Certificate> {
    let read = read.clone().with_input_spacing(Some(labels.grid().spacing()));
    let reopened = formats::read_labels(path, &read)?.labels;
    if reopened.ids.data() != labels.ids.data() {
        return Err(Error::internal("the labels were reopened with other ids"));
    }
    let grid = Grid::unplaced(labels.grid().shape(), labels.grid().spacing(), read.assume_orientation)?;
    Certificate::check(&grid, reopened.grid())
}

impl Segmentation {
    /// What the model expects and means.
    #[cfg(feature = "dicom")]
    pub(super) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The labels, on exactly the grid of the input.
    #[must_use]
    pub fn labels(&self) -> &LabelMap {
        &self.outcome.labels
    }

    /// Writes the label volume to `path`, which must not exist, reopens it and compares its geometry with the source.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] when it cannot be written, [`crate::ErrorKind::Usage`] when it exists,
    /// [`crate::ErrorKind::Internal`] when the certificate fails, in which case nothing is left behind;
    /// [`crate::ErrorKind::Interrupted`] after [`Cancel::cancel`](crate::pipeline::Cancel::cancel) before this.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Certificate> {
        self.watch.step(Stage::Write, 0, 1)?;
        self.write_labels(path.as_ref(), self.labels(), Overwrite::Refuse)
    }

    /// Writes all of `outputs` and returns the record of the run.
    ///
    /// # Errors
    /// As [`Segmentation::save`], for each file.
    pub fn write(&self, outputs: &OutputPaths) -> Result<Manifest> {
        self.watch.step(Stage::Write, 0, 1)?;
        self.write_anyway(outputs)
    }

    /// As [`Segmentation::write`], even when the time is over: in a batch it is that of the next study.
    pub(super) fn write_anyway(&self, outputs: &OutputPaths) -> Result<Manifest> {
        let start = Instant::now();
        let overwrite = outputs.overwrite;
        let instances = outputs.instances.as_ref().map(|path| Ok((path, self.instances()?))).transpose()?;
        let mut manifest = self.manifest();
        if let Some(path) = &outputs.labels {
            manifest.certificate = Some(self.write_labels(path, self.labels(), overwrite)?);
            manifest.output = Some(FileRecord { path: self.without_names(path), sha256: fs::sha256(path)? });
        }
        manifest.derived = self.write_derived(outputs)?;
        manifest.derived.iter_mut().for_each(|file| file.path = self.without_names(&file.path));
        if let Some(path) = &outputs.brain_mask {
            self.write_labels(path, &self.brain_mask(), overwrite)?;
        }
        if let Some((path, instances)) = instances {
            self.write_labels(path, &LabelMap::new(instances.paint()?, LabelTable::default()), overwrite)?;
        }
        if let Some(path) = &outputs.probabilities {
            self.write_probabilities(path, overwrite)?;
        }
        if let Some(path) = &outputs.lut {
            fs::write_text(path, overwrite, &report::color_table(&self.labels().table))?;
        }
        if let Some(path) = &outputs.statistics {
            let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
            let text = if json { report::to_json(&self.statistics)? } else { report::csv(&self.statistics) };
            fs::write_text(path, overwrite, &text)?;
        }
        if let Some(path) = &outputs.preview {
            let png = report::preview(&self.inputs.channels[0], self.labels(), &report::PreviewOptions::default())?;
            fs::write_bytes(path, overwrite, &png)?;
        }
        manifest.peak_rss_bytes = fs::peak_rss();
        manifest.seconds.push(StageSeconds { stage: Stage::Write, seconds: start.elapsed().as_secs_f64() });
        if let Some(path) = &outputs.manifest {
            fs::write_text(path, overwrite, &report::to_json(&manifest)?)?;
        }
        Ok(manifest)
    }

    /// The record of the run, without output and certificate; without words of the patient's name unless
    /// [`StudyOptions::with_phi`] lets them in.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        let file = |file: &FileRecord| FileRecord { path: self.without_names(&file.path), sha256: file.sha256.clone() };
        let warning = |w: Warning| Warning::new(w.code, self.inputs.names.hide_in_prose(&w.message));
        Manifest {
            program: concat!("unet-vol ", env!("CARGO_PKG_VERSION")).to_owned(),
            notice: Manifest::NOTICE,
            inputs: self.inputs.files.iter().map(file).collect(),
            output: None,
            derived: Vec::new(),
            grid: self.labels().grid().into(),
            certificate: None,
            model: ModelRecord::new(&self.spec, &self.origin),
            backend: self.backend.clone(),
            threads: self.threads,
            plan: self.outcome.plan.clone(),
            labels: self.statistics.labels.clone(),
            volumes: report::volume_sums(&self.spec, &self.statistics),
            seconds: self.outcome.seconds.iter().map(|&(stage, seconds)| StageSeconds { stage, seconds }).collect(),
            peak_rss_bytes: fs::peak_rss(),
            warnings: self.warnings().into_iter().map(warning).collect(),
        }
    }

    fn without_names(&self, path: &Path) -> PathBuf {
        PathBuf::from(self.inputs.names.hide(&path.to_string_lossy()))
    }

    /// Everything the user should know, from reading to labels.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.inputs.warnings.iter().chain(&self.outcome.warnings).cloned().collect()
    }

    fn write_labels(&self, path: &Path, labels: &LabelMap, overwrite: Overwrite) -> Result<Certificate> {
        write_labels(path, labels, &self.inputs.source, self.inputs.assume_orientation, overwrite)
    }

    fn instances(&self) -> Result<&Instances> {
        self.outcome.instances.as_ref().ok_or_else(no_instances)
    }

    /// 1 in every structure of the model's `brain` volume, or in every label where it names none.
    fn brain_mask(&self) -> LabelMap {
        let brain = self.spec.volumes.iter().find(|sum| sum.name == "brain");
        let inside = |id: u16| id != 0 && brain.is_none_or(|sum| sum.ids.contains(&id));
        let mut ids = self.labels().ids.clone();
        for id in ids.data_mut() {
            *id = u16::from(inside(*id));
        }
        LabelMap::new(ids, LabelTable::default())
    }

    /// One file per class whose label was asked for.
    fn write_probabilities(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        let Some(scores) = &self.outcome.probabilities else {
            return Err(Error::internal("probabilities were not kept"));
        };
        let scores = scores.on_grid(self.labels().grid())?;
        let kept = self.spec.labels.iter().filter(|class| self.labels().table.get(class.id).is_some());
        for class in kept {
            let volume = scores.class(class.class)?;
            let path = of_class(path, class.id);
            let name = Some(class.name.clone());
            let options = WriteOptions::new(DataType::Float32).with_overwrite(overwrite).with_quantity(name);
            formats::write_volume(&path, &volume, &self.inputs.source, &options)?;
        }
        Ok(())
    }
}
