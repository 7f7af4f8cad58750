//! Work off the interpreter: the GIL is released, threads are this module's own, Ctrl-C is noticed.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use unet_vol::pipeline::{Cancel, Progress, ProgressCallback};
use unet_vol::{Error, Result};

use crate::errors::OrRaise;

/// How long Ctrl-C waits at most until it is noticed.
const NOTICE: Duration = Duration::from_millis(50);

/// The threads that all work runs on, and the process that they live in: a fork has none of its parent's threads.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// This process's threads.
///
/// # Errors
/// [`unet_vol::ErrorKind::Limit`] when no threads can be had.
pub(crate) fn pool() -> Result<Arc<ThreadPool>> {
    let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = slot.as_ref()
        && *owner == process
    {
        return Ok(pool.clone());
    }
    let made = ThreadPoolBuilder::new().thread_name(|n| format!("unet-vol-{n}")).build();
    let pool = Arc::new(made.map_err(|e| Error::limit("no threads can be had").because(e))?);
    // The parent's pool is not torn down: its threads are not here to be told.
    std::mem::forget(slot.replace((process, pool.clone())));
    Ok(pool)
}

/// Voxels up to which work is over sooner than another thread wakes.
const TINY: usize = 1 << 9;

/// The first thread that had tiny work, as a pool of its own: its tiny work stays on it. One thread has that, since rayon
/// keeps what a thread in a pool takes for ever; a fork of the thread has it too.
static KEEPER: OnceLock<Option<(ThreadId, ThreadPool)>> = OnceLock::new();

/// Work on `voxels` voxels in a pool.
fn install<T: Send>(voxels: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let this = thread::current().id();
    if voxels <= TINY
        && let Some((keeper, alone)) = KEEPER.get_or_init(|| {
            let alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            // A thread that is in a pool already gets no second one.
            Some((this, alone.ok()?))
        })
        && *keeper == this
    {
        return alone.install(work);
    }
    pool()?.install(work)
}

/// Runs short work without the GIL.
pub(crate) fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| pool()?.install(work)).or_raise(py)
}

/// Voxels up to which a stage is over before anyone can press a key.
const SHORT: usize = 1 << 20;

/// Runs a stage on `voxels` voxels without the GIL; it stops within a plane when Python has a signal to handle.
pub(crate) fn stage<T: Send>(
    py: Python<'_>,
    voxels: usize,
    work: impl FnOnce(&Cancel) -> Result<T> + Send,
) -> PyResult<T> {
    let cancel = Cancel::new();
    if voxels <= SHORT {
        py.detach(|| install(voxels, || work(&cancel))).or_raise(py)
    } else {
        run_watched(py, &cancel, || work(&cancel))
    }
}

/// Runs short work on `voxels` voxels and what a lock guards. The lock is taken before the pool is entered: a thread of
/// the pool that waits for its own work may begin another piece, which would wait for the lock for ever.
pub(crate) fn run_locked<T: Send, G: Send>(
    py: Python<'_>,
    voxels: usize,
    guarded: &Mutex<G>,
    work: impl FnOnce(&mut G) -> Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| {
        let mut guarded = guarded.lock().unwrap_or_else(PoisonError::into_inner);
        let guarded = &mut *guarded;
        install(voxels, || work(guarded))
    })
    .or_raise(py)
}

/// Runs long work without the GIL, and turns `cancel` when Python has a signal to handle, such as Ctrl-C.
pub(crate) fn run_watched<T: Send>(
    py: Python<'_>,
    cancel: &Cancel,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    let mut signal = None;
    let result = py.detach(|| {
        let pool = pool()?;
        pool.in_place_scope(|scope| {
            let (send, receive) = mpsc::sync_channel(1);
            scope.spawn(move |_| {
                // Nobody is gone before the answer is in: the receiver waits for it.
                let _ = send.send(work());
            });
            loop {
                match receive.recv_timeout(NOTICE) {
                    Ok(result) => return result,
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Error::internal("the work ended without a result"));
                    }
                    Err(RecvTimeoutError::Timeout) if signal.is_none() => {
                        signal = Python::attach(|py| py.check_signals()).err();
                        if signal.is_some() {
                            cancel.cancel();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    });
    match signal {
        Some(signal) => Err(signal),
        None => result.or_raise(py),
    }
}

/// A Python callable as a progress callback `(stage, done, total)`; an exception in it stops the work.
pub(crate) struct Reporter {
    callback: Py<PyAny>,
    raised: Arc<Mutex<Option<PyErr>>>,
}

impl Reporter {
    pub(crate) fn new(callback: Py<PyAny>) -> Self {
        Self { callback, raised: Arc::default() }
    }

    /// For the library, which calls it from any thread.
    pub(crate) fn callback(&self, py: Python<'_>, cancel: Cancel) -> ProgressCallback {
        let (callback, raised) = (self.callback.clone_ref(py), self.raised.clone());
        Arc::new(move |progress: Progress| {
            let call =
                |py: Python<'_>| callback.call1(py, (progress.stage.name(), progress.done, progress.total)).map(drop);
            if let Err(error) = Python::attach(call) {
                raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                cancel.cancel();
            }
        })
    }

    /// The result of the work, or what the callback raised.
    pub(crate) fn outcome<T>(&self, result: PyResult<T>) -> PyResult<T> {
        match self.raised.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => result,
        }
    }
}
