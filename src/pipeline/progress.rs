//! Telling the caller how far the work is.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::limits::Cancel;

/// A step of the work that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Reading the study.
    Read,
    /// Bringing it to the network's grid and intensities.
    Prepare,
    /// Running the network, stitching, deciding labels.
    Network,
    /// Components and filters on the labels.
    Postprocess,
    /// Writing and checking the output.
    Write,
}

impl Stage {
    /// One word for a progress line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Prepare => "prepare",
            Self::Network => "network",
            Self::Postprocess => "postprocess",
            Self::Write => "write",
        }
    }
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The stage under way.
    pub stage: Stage,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

impl Progress {
    /// `done` of `total` steps of `stage`.
    #[must_use]
    pub fn new(stage: Stage, done: usize, total: usize) -> Self {
        Self { stage, done, total }
    }
}

/// Called with each step; must be quick, and may be called from any thread.
pub type ProgressCallback = Arc<dyn Fn(Progress) + Send + Sync>;

/// The two together, as the stages use them.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    pub(crate) callback: Option<ProgressCallback>,
    pub(crate) cancel: Cancel,
}

impl Watch {
    /// Reports a step, after looking whether to stop.
    pub(crate) fn step(&self, stage: Stage, done: usize, total: usize) -> Result<()> {
        self.cancel.check()?;
        if let Some(callback) = &self.callback {
            callback(Progress::new(stage, done, total));
        }
        Ok(())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("callback", &self.callback.is_some()).field("cancel", &self.cancel).finish()
    }
}
