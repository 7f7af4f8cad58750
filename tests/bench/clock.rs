//! Processor time, which other load on the machine hardly changes.

/// Seconds that all threads of this process have run, ended ones included; NaN where the system does not tell.
#[cfg(unix)]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 nanoseconds")]
pub(crate) fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Seconds that all threads of this process have run, ended ones included; NaN where the system does not tell.
#[cfg(not(unix))]
pub(crate) fn processor_seconds() -> f64 {
    f64::NAN
}
