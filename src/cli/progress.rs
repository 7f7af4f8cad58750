//! The progress line on stderr, and Ctrl-C.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use unet_vol::pipeline::{Cancel, Progress, ProgressCallback};

use super::output::Verbosity;

/// A bar that hides itself where stderr is no terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let bar = if verbosity == Verbosity::Quiet { ProgressBar::hidden() } else { ProgressBar::new(1) };
        if let Ok(style) = ProgressStyle::with_template("{msg:12} [{bar:30}] {pos}/{len} {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    pub(crate) fn callback(&self) -> ProgressCallback {
        let bar = self.0.clone();
        Arc::new(move |progress: Progress| {
            bar.set_message(progress.stage.name());
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
        })
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// A switch that Ctrl-C (and SIGTERM) turns; a second time ends the process at once.
pub(crate) fn cancel_on_signal() -> Cancel {
    let cancel = Cancel::new();
    let switch = cancel.clone();
    let mut asked = false;
    // A handler that cannot be set leaves the default: the process ends, and temporary outputs are unnamed siblings.
    let _ = ctrlc::set_handler(move || {
        if std::mem::replace(&mut asked, true) {
            std::process::exit(130);
        }
        switch.cancel();
    });
    cancel
}
