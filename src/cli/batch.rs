//! `unet-vol batch`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use unet_vol::batch::{
    self, BatchOptions, BatchProgress, BatchSummary, Case, DiscoverOptions, Existing, Layout, Shard, Status,
};
use unet_vol::labels::InstanceOptions;
use unet_vol::pipeline::Pipeline;
use unet_vol::report::Manifest;
use unet_vol::{Error, ErrorKind, Orientation, Result};

use super::arguments::{EngineArguments, FormatArguments, GapChoice, ModelArguments};
use super::exit::Exit;
use super::output::{self, Verbosity};
use super::progress::cancel_on_signal;
use super::size::Size;

#[derive(Debug, Args)]
#[command(after_help = "\
The output mirrors the input: a/t1.nii.gz becomes OUT/a/t1_seg.nii.gz, a DICOM series OUT/<folder>/<number>_<description>_seg.nii.gz.
--layout bids makes a BIDS derivative: OUT/sub-01/ses-2/anat/sub-01_ses-2_space-orig_desc-unetvol_dseg.nii.gz with side-car
and label table; subjects of DICOM studies are named by a hash.
OUT/ledger.jsonl says what became of each case, OUT/summary.csv has a row for each. Exit code 7 when some failed.

Examples:
  unet-vol batch scans -o labels
  unet-vol batch scans -o labels --resume --stats --preview
  unet-vol batch bids -o bids/derivatives/unet-vol --layout bids --pattern '*_T1w.nii.gz' --shard 1/4
  unet-vol batch scans -o labels --select 'MPRAGE' --dry-run")]
pub(crate) struct Arguments {
    /// The folder; every NIfTI file (.nii, .nii.gz) and DICOM study below it is a case.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The folder for label volumes, ledger and summary.
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    format: FormatArguments,

    /// Only NIfTI files whose name fits, such as '*_T1w.nii.gz'; with a slash, whose path below the folder fits.
    #[arg(long, value_name = "GLOB", help_heading = "Input")]
    pattern: Option<String>,

    /// Only cases whose path, or path/number_description of a DICOM series, this regular expression finds; every
    /// series that it finds is segmented, whatever its modality.
    #[arg(long, value_name = "REGEX", help_heading = "Input")]
    select: Option<String>,

    /// Only a part of the cases, such as 1/4; the parts need not know of each other.
    #[arg(long, value_name = "I/N", help_heading = "Input")]
    shard: Option<Shard>,

    /// For a model of several channels, once for each in its order: what finds the channel's file, in its name without
    /// suffix, or series, in its number_description; files with the same rest of the name are one study
    /// [default: _0000, _0001 … or the channel's name, such as _T1w; a series by its description].
    #[arg(long = "channel", value_name = "REGEX", help_heading = "Input")]
    channels: Vec<String>,

    /// Volume of files that hold several, counted from 0.
    #[arg(long, value_name = "N", help_heading = "Input")]
    volume: Option<usize>,

    /// Resample channels that lie on another grid onto the first one's.
    #[arg(long, help_heading = "Input")]
    match_grid: bool,

    /// Missing or uneven slices of a DICOM series: record it as failed, or interpolate between those that are there.
    #[arg(long, value_enum, default_value_t = GapChoice::Refuse, help_heading = "Input")]
    on_gap: GapChoice,

    /// Orientation of files that do not state one, such as RAS.
    #[arg(long, value_name = "CODES", help_heading = "Input")]
    assume_orientation: Option<Orientation>,

    /// How outputs are named: as the inputs, or as a BIDS derivative.
    #[arg(long, value_enum, default_value_t = LayoutChoice::Mirror, help_heading = "Output")]
    layout: LayoutChoice,

    /// Go on with an earlier batch: what was finished with the same input, model and settings is not done again.
    #[arg(long, conflicts_with = "overwrite", help_heading = "Output")]
    resume: bool,

    /// Do everything again and replace outputs that exist.
    #[arg(long, help_heading = "Output")]
    overwrite: bool,

    /// Volume, place and intensity of each label beside each label volume.
    #[arg(long, help_heading = "Output")]
    stats: bool,

    /// A picture beside each label volume.
    #[arg(long, help_heading = "Output")]
    preview: bool,

    /// Each lesion, cell or other connected piece of a label with a number of its own, in a volume beside the labels.
    #[arg(long, help_heading = "Output")]
    instances: bool,

    /// Let words of patients' names stand in names of outputs, ledger and log; otherwise each is replaced by "anon".
    #[arg(long, help_heading = "Output")]
    with_phi: bool,

    /// Append a line for each case and each warning to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    log_file: Option<PathBuf>,

    /// Print the entries of the cases as JSON on stdout.
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    engine: EngineArguments,

    /// Studies in memory at a time: 1 works on one after the other, 3 reads the next one and writes the last one while
    /// the network runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Engine")]
    jobs: u8,

    /// Seconds that the network may take for one case.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Engine")]
    timeout: Option<Duration>,

    /// Average with the mirror image, left and right swapped back: twice the time, a little better labels.
    #[arg(long, help_heading = "Engine")]
    tta: bool,

    /// Leave edges between labels as the network drew them, instead of deciding them with the scan's intensities where the
    /// model asks for it.
    #[arg(long, help_heading = "Engine")]
    no_edges: bool,

    /// Ceiling for peak memory of one case, such as 1G.
    #[arg(long, value_name = "SIZE", help_heading = "Engine")]
    max_ram: Option<Size>,

    /// List the cases, how each was chosen and the memory it would take, and stop.
    #[arg(long, help_heading = "Engine")]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LayoutChoice {
    Mirror,
    Bids,
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

pub(crate) fn run(arguments: &Arguments, verbosity: Verbosity) -> Result<Exit> {
    let model = arguments.model.open()?;
    let cancel = cancel_on_signal();
    let mut builder = Pipeline::builder(model)
        .engine(arguments.engine.options())
        .threads(arguments.engine.threads)
        .tta(arguments.tta)
        .edges(!arguments.no_edges)
        .cancel(cancel);
    if let Some(Size(bytes)) = arguments.max_ram {
        builder = builder.max_bytes(bytes);
    }
    if arguments.instances {
        builder = builder.instances(InstanceOptions::default());
    }
    let pipeline = builder.build()?;
    let mut find = DiscoverOptions::default();
    find.pattern.clone_from(&arguments.pattern);
    find.select.clone_from(&arguments.select);
    find.channels.clone_from(&arguments.channels);
    find.with_phi = arguments.with_phi;
    find.on_gap = arguments.on_gap.into();
    let cases = batch::discover(&arguments.folder, &arguments.output, pipeline.spec(), &find)?;
    let options = arguments.options();
    if arguments.dry_run {
        return Ok(dry_run(&pipeline, &cases, &options));
    }
    let log = arguments.log_file.as_ref().map(Log::open).transpose()?;
    let bar = bar(verbosity);
    let report = |progress: BatchProgress<'_>| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(output::escaped(&progress.entry.case));
        if let Some(log) = &log {
            log.write(progress);
        }
    };
    let result = batch::run(&pipeline, cases, &options, &report);
    bar.finish_and_clear();
    let summary = result?;
    if arguments.json {
        output::json(&summary)?;
    } else {
        show(&summary, arguments, verbosity);
    }
    Ok(if summary.count(Status::Failed) > 0 { Exit::SomeFailed } else { Exit::Done })
}

impl Arguments {
    fn options(&self) -> BatchOptions {
        let mut options = BatchOptions::new(&self.output);
        options.existing = match (self.resume, self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        };
        options.layout = match self.layout {
            LayoutChoice::Mirror => Layout::Mirror,
            LayoutChoice::Bids => Layout::Bids,
        };
        options.shard = self.shard;
        options.jobs = self.jobs.into();
        options.time_limit = self.timeout;
        options.formats = self.format.list();
        #[cfg(feature = "dicom")]
        {
            options.segmentation = self.format.segmentation();
        }
        options.statistics = self.stats;
        options.preview = self.preview;
        options.instances = self.instances;
        options.study.volume = self.volume;
        options.study.match_grid = self.match_grid;
        options.study.on_gap = self.on_gap.into();
        options.study.assume_orientation = self.assume_orientation;
        options
    }
}

fn bar(verbosity: Verbosity) -> ProgressBar {
    let bar = if verbosity == Verbosity::Quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {per_sec} {eta} left  {wide_msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// One row per case: what would be done.
fn dry_run(pipeline: &Pipeline, cases: &[Case], options: &BatchOptions) -> Exit {
    let mut rows = vec![["case", "input", "peak memory", "why"].map(str::to_owned).to_vec()];
    for case in cases.iter().filter(|case| options.shard.is_none_or(|shard| shard.takes(&case.name))) {
        let (memory, reason) = match case.outcome() {
            Some(Status::Skipped) => ("skipped".to_owned(), case.reason.clone()),
            Some(_) => ("fails".to_owned(), case.reason.clone()),
            None => match case.probe(&options.study).and_then(|probe| pipeline.plan(&probe.grid)) {
                Ok(plan) => (output::bytes(plan.peak_bytes), case.reason.clone()),
                Err(error) => ("fails".to_owned(), case.without_names(&error.to_string())),
            },
        };
        let cells = [case.name.clone(), case.input.display().to_string(), memory, reason];
        rows.push(cells.iter().map(|cell| output::escaped(cell)).collect());
    }
    output::data(output::table(&rows));
    Exit::Done
}

/// Failed cases that the table at the end names one by one.
const LISTED: usize = 40;

/// Why cases were skipped, which ones failed, and the counts.
fn show(summary: &BatchSummary, arguments: &Arguments, verbosity: Verbosity) {
    let of = |wanted: Status| {
        let entries = summary.entries.iter().filter(move |entry| entry.status == wanted && entry.outputs.is_empty());
        entries.map(|entry| (output::escaped(&entry.case), output::escaped(&entry.reason)))
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (case, reason) in of(Status::Skipped) {
        reasons.entry(reason).or_default().push(case);
    }
    for (reason, cases) in reasons {
        let cases = if let [case] = cases.as_slice() { case.clone() } else { format!("{} cases", cases.len()) };
        rows.push(vec!["skipped".to_owned(), cases, reason]);
    }
    for (case, reason) in of(Status::Failed).take(LISTED) {
        rows.push(vec!["failed".to_owned(), case, reason]);
    }
    let more = summary.count(Status::Failed).saturating_sub(LISTED);
    if more > 0 {
        rows.push(vec!["failed".to_owned(), format!("{more} more cases"), "see summary.csv".to_owned()]);
    }
    if !rows.is_empty() {
        output::data(output::table(&rows));
    }
    let count = |status| summary.count(status);
    let (done, skipped, failed) = (count(Status::Done), count(Status::Skipped), count(Status::Failed));
    let folder = output::escaped(&arguments.output.display().to_string());
    output::data(format!("{done} done, {skipped} skipped, {failed} failed: {folder}"));
    output::say(verbosity, Manifest::NOTICE);
}

/// The file of `--log-file`.
struct Log(Mutex<File>);

impl Log {
    fn open(path: &PathBuf) -> Result<Self> {
        let file = File::options().append(true).create(true).open(path);
        file.map(|file| Self(Mutex::new(file)))
            .map_err(|e| Error::new(ErrorKind::Output, "the log cannot be written").at(path).because(e))
    }

    fn write(&self, progress: BatchProgress<'_>) {
        let entry = progress.entry;
        let status = format!("{:?}", entry.status).to_lowercase();
        let mut text = format!(
            "{}/{} {status} {} {:.2} s {}\n",
            progress.done,
            progress.total,
            output::escaped(&entry.case),
            entry.seconds,
            output::escaped(&entry.reason)
        );
        for warning in &entry.warnings {
            text.push_str(&format!("  {}\n", output::escaped(warning)));
        }
        // The ledger has the same; a log that cannot be written does not stop the work.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}
