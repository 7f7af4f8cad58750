//! `unet-vol segment`

use std::path::PathBuf;

use clap::Args;
use unet_vol::batch::{OutputPaths, Segmentation, StudyOptions};
use unet_vol::labels::InstanceOptions;
use unet_vol::pipeline::{Pipeline, Plan};
use unet_vol::report::Manifest;
use unet_vol::{Error, ErrorKind, Orientation, Overwrite, Result};

use super::arguments::{EngineArguments, FormatArguments, GapChoice, ModelArguments, Spacing};
use super::exit::Exit;
use super::output::{self, Verbosity};
use super::progress::{Bar, cancel_on_signal};
use super::size::Size;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  unet-vol segment study.nii.gz
  unet-vol segment study.nii.gz -o labels.nii.gz --stats volumes.csv --preview look.png
  unet-vol segment t1.nii.gz --model net.onnx --spec net.toml --engine onnxruntime
  unet-vol segment study.nii.gz --dry-run")]
pub(crate) struct Arguments {
    /// The study: a NIfTI file or a folder of DICOM files; several are the channels of one study, in the model's order.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The labels [default: <stem>_seg.nii.gz beside the first input, _seg.dcm and the like for other forms].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    format: FormatArguments,

    /// Volume of a 4-D file, counted from 0.
    #[arg(long, value_name = "N", help_heading = "Input")]
    volume: Option<usize>,

    /// Series of a DICOM folder: its UID, description or number in `unet-vol info`.
    #[arg(long, value_name = "SERIES", help_heading = "Input")]
    series: Option<String>,

    /// Missing or uneven slices of a DICOM series: refuse, or interpolate between those that are there; DICOM objects
    /// then hold the labels of the slices that are there, NIfTI those of the even grid.
    #[arg(long, value_enum, default_value_t = GapChoice::Refuse, help_heading = "Input")]
    on_gap: GapChoice,

    /// Spacing in mm of pictures (PNG, JPEG, TIFF) along columns, rows and slices.
    #[arg(long, value_name = "X,Y[,Z]", help_heading = "Input")]
    input_spacing: Option<Spacing>,

    /// Orientation of a file that does not state one, such as RAS.
    #[arg(long, value_name = "CODES", help_heading = "Input")]
    assume_orientation: Option<Orientation>,

    /// Resample channels that lie on another grid onto the first one's.
    #[arg(long, help_heading = "Input")]
    match_grid: bool,

    /// Volume, place and intensity of each label (.csv or .json).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    stats: Option<PathBuf>,

    /// The record of the run: hashes, versions, engine, certificate, times (.json).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    manifest: Option<PathBuf>,

    /// A picture: three planes with the labels in color (.png).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    preview: Option<PathBuf>,

    /// The probability of each class, one file per class: NAME_<id>.nii.gz.
    #[arg(long, value_name = "NAME.nii.gz", help_heading = "Output")]
    probabilities: Option<PathBuf>,

    /// A mask of the brain, or of all labels where the model names no brain.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    brain_mask: Option<PathBuf>,

    /// Each lesion, cell or other connected piece of a label with a number of its own, from 1 in scan order.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    instances: Option<PathBuf>,

    /// Ids, names and colors for viewers.
    #[arg(long, value_name = "FILE.txt", help_heading = "Output")]
    lut: Option<PathBuf>,

    /// Keep only these labels, by name or id.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help_heading = "Output")]
    labels: Vec<String>,

    /// Replace outputs that exist.
    #[arg(long, help_heading = "Output")]
    overwrite: bool,

    /// An empty result is an error (exit code 9).
    #[arg(long, help_heading = "Output")]
    fail_on_empty: bool,

    /// Let words of the patient's name stand in the record of the run; otherwise each is replaced by "anon".
    #[arg(long, help_heading = "Output")]
    with_phi: bool,

    /// Print the record of the run as JSON on stdout.
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    engine: EngineArguments,

    /// Average with the mirror image, left and right swapped back: twice the time, a little better labels.
    #[arg(long, help_heading = "Engine")]
    tta: bool,

    /// Leave edges between labels as the network drew them, instead of deciding them with the scan's intensities where the
    /// model asks for it.
    #[arg(long, help_heading = "Engine")]
    no_edges: bool,

    /// Ceiling for peak memory, such as 1G: the plan fits or is refused; labels do not depend on it.
    #[arg(long, value_name = "SIZE", help_heading = "Engine")]
    max_ram: Option<Size>,

    /// Print tiles, passes and predicted peak memory, and stop before any voxel is read.
    #[arg(long, help_heading = "Engine")]
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments, verbosity: Verbosity) -> Result<Exit> {
    let outputs = arguments.outputs();
    if !arguments.dry_run {
        outputs.check(&arguments.inputs)?;
    }
    let model = arguments.model.open()?;
    outputs.check_probabilities(model.spec())?;
    let bar = Bar::new(verbosity);
    let cancel = cancel_on_signal();
    let mut builder = Pipeline::builder(model)
        .engine(arguments.engine.options())
        .threads(arguments.engine.threads)
        .keep_probabilities(arguments.probabilities.is_some())
        .keep_labels(arguments.labels.clone())
        .tta(arguments.tta)
        .edges(!arguments.no_edges)
        .progress(bar.callback())
        .cancel(cancel.clone());
    if let Some(Size(bytes)) = arguments.max_ram {
        builder = builder.max_bytes(bytes);
    }
    if outputs.instances.is_some() {
        builder = builder.instances(InstanceOptions::default());
    }
    let pipeline = builder.build()?;
    if arguments.dry_run {
        return dry_run(arguments, &pipeline);
    }
    let result =
        pipeline.run_files(&arguments.inputs, &arguments.study()).and_then(|done| finish(arguments, &outputs, &done));
    bar.clear();
    let (manifest, empty) = result?;
    output::warnings(verbosity, &manifest.warnings);
    if arguments.json {
        output::json(&manifest)?;
    } else {
        summary(&manifest, &outputs, verbosity);
    }
    Ok(if empty && arguments.fail_on_empty { Exit::Empty } else { Exit::Done })
}

/// Writes the outputs, but nothing when the result is empty and that is to be an error.
fn finish(arguments: &Arguments, outputs: &OutputPaths, done: &Segmentation) -> Result<(Manifest, bool)> {
    let empty = done.labels().is_empty();
    if empty && arguments.fail_on_empty {
        return Err(Error::new(ErrorKind::Empty, "no voxel got a label; no output was written")
            .at(&arguments.inputs[0])
            .hint("leave --fail-on-empty out to write the empty label volume"));
    }
    Ok((done.write(outputs)?, empty))
}

impl Arguments {
    fn outputs(&self) -> OutputPaths {
        let mut outputs = OutputPaths::with_formats(&self.format.list(), self.output.as_deref(), &self.inputs[0]);
        #[cfg(feature = "dicom")]
        {
            outputs.segmentation = self.format.segmentation();
        }
        outputs.statistics.clone_from(&self.stats);
        outputs.manifest.clone_from(&self.manifest);
        outputs.preview.clone_from(&self.preview);
        outputs.brain_mask.clone_from(&self.brain_mask);
        outputs.instances.clone_from(&self.instances);
        outputs.lut.clone_from(&self.lut);
        outputs.probabilities.clone_from(&self.probabilities);
        outputs.overwrite = if self.overwrite { Overwrite::Replace } else { Overwrite::Refuse };
        outputs
    }

    fn study(&self) -> StudyOptions {
        StudyOptions {
            volume: self.volume,
            assume_orientation: self.assume_orientation,
            match_grid: self.match_grid,
            with_phi: self.with_phi,
            input_spacing: self.input_spacing.map(|Spacing(mm)| mm),
            series: self.series.clone(),
            on_gap: self.on_gap.into(),
            ..StudyOptions::default()
        }
    }
}

fn dry_run(arguments: &Arguments, pipeline: &Pipeline) -> Result<Exit> {
    let read = unet_vol::formats::ReadOptions::new()
        .with_volume(arguments.volume)
        .with_assume_orientation(arguments.assume_orientation)
        .with_series(arguments.series.clone())
        .with_on_gap(arguments.on_gap.into())
        .with_input_spacing(arguments.input_spacing.map(|Spacing(mm)| mm));
    let probe = unet_vol::formats::probe(&arguments.inputs[0], &read)?;
    let plan = pipeline.plan(&probe.grid)?;
    if arguments.json {
        output::json(&plan)?;
    } else {
        output::data(plan_text(&plan));
    }
    Ok(Exit::Done)
}

fn plan_text(plan: &Plan) -> String {
    let triple = |s: [usize; 3]| format!("{} x {} x {}", s[0], s[1], s[2]);
    let mut rows = vec![
        vec!["source".to_owned(), triple(plan.source)],
        vec!["network grid".to_owned(), triple(plan.working)],
        vec!["patch".to_owned(), triple(plan.patch)],
        vec!["tiles".to_owned(), plan.tiles.to_string()],
        vec!["passes".to_owned(), plan.passes.to_string()],
    ];
    rows.extend(plan.stages.iter().map(|stage| vec![format!("memory, {}", stage.name), output::bytes(stage.bytes)]));
    rows.push(vec!["peak memory".to_owned(), output::bytes(plan.peak_bytes)]);
    output::table(&rows)
}

fn summary(manifest: &Manifest, outputs: &OutputPaths, verbosity: Verbosity) {
    let found = manifest.labels.iter().filter(|label| label.voxels > 0).count();
    let seconds: f64 = manifest.seconds.iter().map(|stage| stage.seconds).sum();
    let backend = &manifest.backend;
    output::say(
        verbosity,
        format!(
            "{found} labels in {seconds:.1} s ({} on {}, {} threads)",
            backend.engine, backend.provider, manifest.threads
        ),
    );
    for volume in &manifest.volumes {
        output::say(verbosity, format!("{}: {:.0} ml", volume.name, volume.ml));
    }
    if let Some(certificate) = &manifest.certificate {
        output::say(verbosity, format!("geometry checked: {:.1e} mm off at most", certificate.largest_error_mm));
    }
    let written = [
        ("labels", outputs.labels.as_ref()),
        ("DICOM segmentation", outputs.dicom_seg.as_ref()),
        ("DICOM structures", outputs.rtstruct.as_ref()),
        ("DICOM pictures", outputs.secondary_capture.as_ref()),
        ("statistics", outputs.statistics.as_ref()),
        ("manifest", outputs.manifest.as_ref()),
        ("picture", outputs.preview.as_ref()),
        ("brain mask", outputs.brain_mask.as_ref()),
        ("instances", outputs.instances.as_ref()),
        ("color table", outputs.lut.as_ref()),
    ];
    for (what, path) in written {
        if let Some(path) = path {
            output::data(format!("{what}: {}", output::escaped(&path.display().to_string())));
        }
    }
    output::say(verbosity, Manifest::NOTICE);
}
