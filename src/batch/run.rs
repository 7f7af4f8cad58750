//! Many cases, unattended: the next one is read and the last one written while the network runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Instant;

use super::case::Case;
use super::inputs::Inputs;
use super::ledger::{self, Entry, LabelVolume, Ledger, Status};
use super::one::{Segmentation, no_instances};
use super::options::{BatchOptions, BatchProgress, Existing};
use super::space;
use super::summary::{self, BatchSummary};
use crate::error::{Error, ErrorKind, Result};
use crate::formats;
use crate::fs::{self, Overwrite};
use crate::pipeline::Pipeline;
use crate::report::FileRecord;

/// Segments the cases one by one and writes the ledger and `summary.csv`. A case that fails is recorded and the rest
/// goes on. `progress` is called from another thread.
///
/// Killed at any moment, it leaves whole files only, and [`Existing::Resume`] goes on where it stopped: a case counts as
/// done once its line is in the ledger, and its files are moved to their names in one step each before that.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for an earlier ledger, or instances that the pipeline does not number;
/// [`crate::ErrorKind::Output`] when the outputs would not fit the file system or the ledger cannot be written;
/// [`crate::ErrorKind::Interrupted`] when the pipeline's [`crate::pipeline::Cancel`] was turned.
pub fn run(
    pipeline: &Pipeline,
    mut cases: Vec<Case>,
    options: &BatchOptions,
    progress: &(dyn Fn(BatchProgress<'_>) + Sync),
) -> Result<BatchSummary> {
    if options.instances && !pipeline.finds_instances() {
        return Err(no_instances());
    }
    cases.retain(|case| options.shard.is_none_or(|shard| shard.takes(&case.name)));
    fs::make_dir(&options.output)?;
    let past = match options.existing {
        Existing::Resume => ledger::entries(&options.output)?,
        _ => BTreeMap::new(),
    };
    let ledger = Ledger::open(&options.output, options.shard, options.existing)?;
    let is_new = |case: &&Case| past.get(&case.name).is_none_or(|entry| entry.status != Status::Done);
    pipeline.install(|| space::check(&cases.iter().filter(is_new).collect::<Vec<_>>(), options))?;
    options.layout.start(pipeline, &cases, options)?;
    let batch = Batch { pipeline, options, past, settings: settings(pipeline, options)?, staging: staging(options) };
    fs::remove_folder(&batch.staging)?;
    fs::make_dir(&batch.staging)?;
    let entries = batch.all(&cases, ledger, progress);
    let summary = entries.and_then(|entries| {
        let text = summary::csv(ledger::entries(&options.output)?.values());
        let file = batch.staging.join("summary.csv");
        fs::write_text(&file, Overwrite::Replace, &text)?;
        fs::replace_file(&file, &options.output.join("summary.csv"))?;
        Ok(BatchSummary { entries })
    });
    fs::remove_folder(&batch.staging)?;
    let summary = summary?;
    if summary.entries.len() < cases.len() {
        let message = format!("stopped on request after {} of {} cases", summary.entries.len(), cases.len());
        return Err(Error::new(ErrorKind::Interrupted, message).hint("--resume goes on"));
    }
    Ok(summary)
}

/// SHA-256 of all that decides the outputs of a case, but its input.
fn settings(pipeline: &Pipeline, options: &BatchOptions) -> Result<String> {
    let parts =
        (&options.study, &options.formats, options.statistics, options.preview, options.instances, options.layout);
    #[cfg(feature = "dicom")]
    let parts = (parts, options.segmentation.kind, options.segmentation.keep_empty_frames);
    Ok(fs::sha256_of(format!("{} {parts:?}", pipeline.fingerprint()?).as_bytes()))
}

/// The folder in which outputs come about; the lock on the ledger makes it this process's own.
fn staging(options: &BatchOptions) -> PathBuf {
    let part = options.shard.map_or_else(String::new, |shard| format!("-{}-of-{}", shard.index, shard.count));
    options.output.join(format!(".unet-vol-batch{part}"))
}

/// A case between two stages.
enum Stage<'c> {
    /// Read.
    Read(&'c Case, Box<Entry>, Box<Inputs>),
    /// Segmented.
    Labelled(&'c Case, Box<Entry>, Box<Segmentation>),
    /// Nothing is left to do.
    Ended(Box<Entry>),
}

/// The threads of a stage beside the network: their own where stages overlap, so that no thread of the network takes up
/// a file while the others wait for it.
struct Side<'a>(&'a Pipeline, Option<rayon::ThreadPool>);

impl<'a> Side<'a> {
    fn new(batch: &Batch<'a>) -> Self {
        let threads = batch.pipeline.install(rayon::current_num_threads);
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
        Self(batch.pipeline, if batch.options.jobs > 1 { pool() } else { None })
    }

    fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.1 {
            Some(pool) => pool.install(work),
            None => self.0.install(work),
        }
    }
}

struct Batch<'a> {
    pipeline: &'a Pipeline,
    options: &'a BatchOptions,
    past: BTreeMap<String, Entry>,
    settings: String,
    staging: PathBuf,
}

impl Batch<'_> {
    /// Three threads, one per stage; a permit is a study in memory.
    fn all(&self, cases: &[Case], ledger: Ledger, progress: &(dyn Fn(BatchProgress<'_>) + Sync)) -> Result<Vec<Entry>> {
        let jobs = self.options.jobs.clamp(1, 64);
        let (permit, permits) = mpsc::sync_channel::<()>(jobs);
        let (read, to_segment) = mpsc::sync_channel(jobs);
        let (segmented, to_write) = mpsc::sync_channel(jobs);
        for _ in 0..jobs {
            // The channel holds as many.
            let _ = permit.try_send(());
        }
        std::thread::scope(|scope| {
            scope.spawn(move || self.read_all(cases, &permits, &read));
            let writer = scope.spawn(move || self.write_all(cases.len(), &to_write, &permit, ledger, progress));
            self.segment_all(to_segment, segmented);
            writer.join().unwrap_or_else(|_| Err(Error::internal("the thread that writes has failed")))
        })
    }

    fn is_stopped(&self) -> bool {
        self.pipeline.watch().cancel.is_cancelled()
    }

    fn read_all<'c>(&self, cases: &'c [Case], permits: &Receiver<()>, next: &SyncSender<Stage<'c>>) {
        let side = Side::new(self);
        for case in cases {
            if permits.recv().is_err() || self.is_stopped() || next.send(self.read(case, &side)).is_err() {
                return;
            }
        }
    }

    fn segment_all<'c>(&self, stages: Receiver<Stage<'c>>, next: SyncSender<Stage<'c>>) {
        for stage in stages {
            let stage = match stage {
                Stage::Read(..) if self.is_stopped() => return,
                Stage::Read(case, entry, inputs) => match self.segment(case, entry, *inputs) {
                    Some(stage) => stage,
                    None => return,
                },
                other => other,
            };
            if next.send(stage).is_err() {
                return;
            }
        }
    }

    fn write_all(
        &self,
        total: usize,
        stages: &Receiver<Stage<'_>>,
        permit: &SyncSender<()>,
        mut ledger: Ledger,
        progress: &(dyn Fn(BatchProgress<'_>) + Sync),
    ) -> Result<Vec<Entry>> {
        let side = Side::new(self);
        let mut entries = Vec::new();
        for stage in stages {
            let mut entry = match stage {
                Stage::Labelled(case, entry, segmentation) => self.written(case, *entry, &segmentation, &side),
                Stage::Read(_, entry, _) | Stage::Ended(entry) => *entry,
            };
            if !self.is_known(&entry) {
                entry.ended = ledger::now();
                ledger.append(&entry)?;
            }
            progress(BatchProgress { done: entries.len() + 1, total, entry: &entry });
            entries.push(entry);
            // The reader may have ended.
            let _ = permit.send(());
        }
        Ok(entries)
    }

    /// True when the ledger says the same already.
    fn is_known(&self, entry: &Entry) -> bool {
        entry.status == Status::Skipped
            && self.past.get(&entry.case).is_some_and(|past| {
                past.status == Status::Done || (past.status, &past.reason) == (Status::Skipped, &entry.reason)
            })
    }

    fn read<'c>(&self, case: &'c Case, side: &Side<'_>) -> Stage<'c> {
        let start = Instant::now();
        let mut entry = Box::new(Entry {
            case: case.name.clone(),
            status: Status::Failed,
            reason: case.reason.clone(),
            input: case.input.clone(),
            input_sha256: None,
            model_sha256: self.pipeline.origin().sha256.clone(),
            settings_sha256: self.settings.clone(),
            seconds: 0.0,
            ended: 0,
            outputs: Vec::new(),
            volumes: Vec::new(),
            warnings: Vec::new(),
        });
        if let Some(status) = case.outcome() {
            entry.status = status;
            return Stage::Ended(entry);
        }
        if case.forms(&self.options.formats).is_empty() {
            return Stage::Ended(failed(case, entry, &formats::not_dicom()));
        }
        let inputs = side.install(|| {
            let stamp = case.stamp()?;
            let hashes = case.hashes()?;
            entry.input_sha256 = Some(match hashes.as_slice() {
                [one] => one.clone(),
                several => fs::sha256_of(several.join("\n").as_bytes()),
            });
            if self.finished(&entry).is_some() {
                return Ok(None);
            }
            let inputs = case.read(hashes, self.pipeline.spec(), &self.options.study)?;
            if case.stamp()? != stamp {
                return Err(Error::malformed("the input changed while it was read").at(&case.input));
            }
            Ok(Some(inputs))
        });
        entry.seconds = start.elapsed().as_secs_f64();
        match inputs {
            Ok(Some(inputs)) => Stage::Read(case, entry, Box::new(inputs)),
            Ok(None) => {
                if let Some(past) = self.finished(&entry) {
                    *entry = past.clone();
                }
                entry.status = Status::Skipped;
                "finished before".clone_into(&mut entry.reason);
                Stage::Ended(entry)
            }
            Err(error) => Stage::Ended(failed(case, entry, &error)),
        }
    }

    /// The earlier entry of a case that need not be done again.
    fn finished(&self, entry: &Entry) -> Option<&Entry> {
        let past = self.past.get(&entry.case).filter(|past| {
            past.status == Status::Done
                && past.input_sha256 == entry.input_sha256
                && past.model_sha256 == entry.model_sha256
                && past.settings_sha256 == entry.settings_sha256
                && !past.outputs.is_empty()
        })?;
        let is_there = |file: &FileRecord| {
            fs::digest(&self.options.output.join(&file.path)).is_ok_and(|sha256| sha256 == file.sha256)
        };
        past.outputs.iter().all(is_there).then_some(past)
    }

    /// `None` when the work was interrupted.
    fn segment<'c>(&self, case: &'c Case, mut entry: Box<Entry>, inputs: Inputs) -> Option<Stage<'c>> {
        let start = Instant::now();
        let cancel = &self.pipeline.watch().cancel;
        cancel.set_deadline(self.options.time_limit.and_then(|limit| start.checked_add(limit)));
        let result = self.pipeline.run_inputs(inputs);
        cancel.set_deadline(None);
        entry.seconds += start.elapsed().as_secs_f64();
        match result {
            Ok(segmentation) => Some(Stage::Labelled(case, entry, Box::new(segmentation))),
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => Some(Stage::Ended(failed(case, entry, &error))),
        }
    }

    fn written(&self, case: &Case, mut entry: Entry, segmentation: &Segmentation, side: &Side<'_>) -> Entry {
        let start = Instant::now();
        let options = self.options;
        match side.install(|| options.layout.deliver(case, segmentation, options, &self.staging)) {
            Ok(outputs) => {
                entry.status = Status::Done;
                entry.outputs = outputs;
                let labels = segmentation.statistics.labels.iter();
                entry.volumes = labels.map(|l| LabelVolume { id: l.id, name: l.name.clone(), ml: l.ml }).collect();
                let warnings = segmentation.warnings();
                entry.warnings = warnings.iter().map(|warning| case.without_names(&warning.message)).collect();
                let written = case.forms(&options.formats);
                let left_out = options.formats.iter().filter(|form| !written.contains(form));
                entry.warnings.extend(left_out.map(|form| format!("no {form}: {}", formats::not_dicom().message())));
            }
            Err(error) => entry = *failed(case, Box::new(entry), &error),
        }
        entry.seconds += start.elapsed().as_secs_f64();
        entry
    }
}

fn failed(case: &Case, mut entry: Box<Entry>, error: &Error) -> Box<Entry> {
    entry.status = Status::Failed;
    let hint = error.advice().map_or_else(String::new, |hint| format!(" ({hint})"));
    entry.reason = case.without_names(&format!("{error}{hint}"));
    entry
}
