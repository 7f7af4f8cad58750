//! Triage: what a folder holds, by the headers alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::instance::{self, Content, Instance};
use super::series::{self, Group};
use super::stack::{self, Refusal, Stack};
use super::stored;
use super::summary::{SeriesSummary, summarize};
use crate::error::{self, Error};
use crate::fs;
use crate::limits::Limits;

/// What a folder (or a file) holds: one row per series and volume.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Triage {
    /// The folder or file.
    pub path: PathBuf,
    /// Files that were looked at.
    pub files: usize,
    /// Files among them that are DICOM.
    pub dicom_files: usize,
    /// Files named by a media directory (DICOMDIR) that are not there.
    pub missing: Vec<PathBuf>,
    /// Files and folders that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// The rows, by study and number of the series.
    pub series: Vec<SeriesSummary>,
    #[serde(skip)]
    pub(super) instances: Vec<Instance>,
    /// For each row its stack, where it has one; that of a refused row is on an even grid that its slices are not.
    #[serde(skip)]
    pub(super) stacks: Vec<Option<Stack>>,
}

impl Triage {
    /// PatientName of each file, as stored.
    pub(crate) fn patient_names(&self) -> impl Iterator<Item = &str> {
        self.instances.iter().map(|instance| instance.patient.as_str())
    }
}

/// A file or folder that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unreadable {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Looks at every file of a folder and those below, whatever their names, or at one file.
///
/// Files that are not DICOM are counted and passed over, damaged ones are listed, a media directory (DICOMDIR) is
/// followed. Headers alone are read, in parallel on the current thread pool; samples only of planes that seem to occur
/// twice.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when there is nothing at `path`.
pub fn scan(path: impl AsRef<Path>, limits: &Limits) -> error::Result<Triage> {
    let path = path.as_ref();
    let walk = if fs::is_dir(path) {
        fs::walk(path)
    } else {
        fs::size(path)?;
        fs::Walk::of_file(path)
    };
    let mut unreadable: Vec<_> = walk
        .errors
        .iter()
        .map(|e| Unreadable { path: e.path().unwrap_or(path).to_owned(), reason: reason(e) })
        .collect();
    let mut files = walk.files.len();
    let mut instances = open(&walk.files, limits, &mut unreadable);
    let (named, missing) = follow(&instances, &walk.files);
    files += named.len();
    instances.extend(open(&named, limits, &mut unreadable));
    instances.sort_by(|a, b| a.path.cmp(&b.path));

    let digests = |ids: &[series::PlaneId]| stored::digests(&instances, ids, limits);
    let groups = series::group(&instances);
    let arranged: Vec<_> = groups
        .par_iter()
        .map(|group| match group {
            Group::Stack(planes) => stack::arrange(&instances, planes, &digests),
            Group::Other(files) => Err(why_not(&instances[files[0]]).into()),
        })
        .collect();
    let rows = groups.iter().zip(&arranged).enumerate();
    let series = rows.filter_map(|(n, (group, stack))| summarize(n + 1, &instances, group, stack.as_ref())).collect();
    let stack = |stack: Result<Stack, Refusal>| stack.map_or_else(|e| e.resampled.map(|stack| *stack), Some);
    let stacks = arranged.into_iter().map(stack).collect();
    let dicom_files = instances.len();
    Ok(Triage { path: path.to_owned(), files, dicom_files, missing, unreadable, series, instances, stacks })
}

fn reason(error: &Error) -> String {
    error.to_string()
}

fn open(paths: &[PathBuf], limits: &Limits, unreadable: &mut Vec<Unreadable>) -> Vec<Instance> {
    let opened: Vec<_> = paths.par_iter().map(|path| (path, instance::open(path, limits))).collect();
    let mut instances = Vec::new();
    for (path, result) in opened {
        match result {
            Ok(found) => instances.extend(found),
            Err(e) => unreadable.push(Unreadable { path: path.clone(), reason: e.message().to_owned() }),
        }
    }
    instances
}

/// The files that media directories name: those that are there and were not looked at, and those that are missing.
fn follow(instances: &[Instance], seen: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let seen: BTreeSet<_> = seen.iter().collect();
    let mut named = BTreeSet::new();
    for instance in instances {
        if let Content::Directory(names) = &instance.content {
            let folder = instance.path.parent().unwrap_or(Path::new(""));
            named.extend(names.iter().map(|name| folder.join(name)).filter(|path| !seen.contains(path)));
        }
    }
    named.into_iter().partition(|path| fs::exists(path))
}

fn why_not(instance: &Instance) -> String {
    match &instance.content {
        Content::Refused(reason) => reason.clone(),
        _ if instance.is_segmentation() => "it holds labels: convert and evaluate read it".to_owned(),
        _ => format!("it holds no image (modality {:?})", instance.modality),
    }
}
