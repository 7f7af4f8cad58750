//! Being told to stop, and the time allowed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// A switch that stops work which holds a clone or a borrow of it: a pipeline between two tiles, a stage between two
/// planes.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    stop: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Cancel {
    /// Not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks all of that work to stop.
    pub fn cancel(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// True once [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// The moment after which [`Cancel::check`] fails; `None` takes a deadline back.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// # Errors
    /// [`ErrorKind::Interrupted`] once [`Cancel::cancel`] was called; [`ErrorKind::Limit`] after the deadline.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Interrupted, "stopped on request; no output was written"));
        }
        let deadline = *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::limit("it took longer than the time allowed"));
        }
        Ok(())
    }
}
