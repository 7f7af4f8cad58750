//! What a batch is asked for, and how it tells how far it is.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::inputs::StudyOptions;
use super::layout::Layout;
use super::ledger::Entry;
use super::output_format::OutputFormat;
use crate::error::{Error, Result};
#[cfg(feature = "dicom")]
use crate::formats::dicom::SegmentationOptions;
use crate::fs;

/// What happens when the output folder holds a ledger already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is an error.
    #[default]
    Refuse,
    /// Cases that were finished with the same input, model and settings, and whose files are still as they were
    /// written, are passed over; all others are done.
    Resume,
    /// Everything is done again.
    Overwrite,
}

/// One of several parts of a batch; a hash of the case's name decides which part it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shard {
    /// From 1 to `count`.
    pub index: u32,
    /// Number of parts.
    pub count: u32,
}

impl Shard {
    /// Part `index`, from 1, of `count`; `None` when there is no such part.
    #[must_use]
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (1..=count).contains(&index).then_some(Self { index, count })
    }

    /// True when the case of that name is in this part.
    #[must_use]
    pub fn takes(self, name: &str) -> bool {
        let hash = fs::sha256_of(name.as_bytes());
        let number = u64::from_str_radix(&hash[..16], 16).unwrap_or(0);
        number % u64::from(self.count) + 1 == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let shard = parts.and_then(|(index, count)| Self::new(index, count));
        shard.ok_or_else(|| Error::usage(format!("{text:?} is no part: write 1/4 for the first of four")))
    }
}

/// What [`super::run`] does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BatchOptions {
    /// The folder that the outputs go to; it is made.
    pub output: PathBuf,
    /// How the outputs are named.
    pub layout: Layout,
    /// What happens when it holds a ledger already.
    pub existing: Existing,
    /// Only a part of the cases.
    pub shard: Option<Shard>,
    /// Studies in memory at a time: 1 works on one after the other on the pipeline's threads; with 3 the next one is read
    /// and the last one written, on threads of their own, while the network runs.
    pub jobs: usize,
    /// Time that the network may take for one case; looked at between two patches.
    pub time_limit: Option<Duration>,
    /// In which forms the labels of each case are written.
    pub formats: Vec<OutputFormat>,
    /// How DICOM segmentations are written; the algorithm and what happens to files that exist are those of the batch.
    #[cfg(feature = "dicom")]
    pub segmentation: SegmentationOptions,
    /// A table of volumes, places and intensities, `.._stats.csv`, for each case.
    pub statistics: bool,
    /// A picture, `.._preview.png`, for each case.
    pub preview: bool,
    /// A label volume of the instances, `.._instances_seg.nii.gz`, for each case; the pipeline numbers them.
    pub instances: bool,
    /// How the cases are read.
    pub study: StudyOptions,
}

impl BatchOptions {
    /// Label volumes alone, three studies in memory, no earlier ledger.
    #[must_use]
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            layout: Layout::default(),
            existing: Existing::default(),
            shard: None,
            jobs: 3,
            time_limit: None,
            formats: vec![OutputFormat::Nifti],
            #[cfg(feature = "dicom")]
            segmentation: SegmentationOptions::default(),
            statistics: false,
            preview: false,
            instances: false,
            study: StudyOptions::default(),
        }
    }
}

/// A case has ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BatchProgress<'a> {
    /// Cases that have ended.
    pub done: usize,
    /// Cases in all.
    pub total: usize,
    /// The one that has just ended.
    pub entry: &'a Entry,
}
