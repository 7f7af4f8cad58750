//! What the tests share.

use std::path::PathBuf;

/// A file of this repository.
#[allow(dead_code, reason = "which helper is used depends on the features built")]
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the developers' shared data beside the checkout (`UNET_VOL_SHARED` names another place).
///
/// `None`, with a message that says what is skipped, where the data is missing: a stranger's clone has none.
#[allow(dead_code, reason = "which helper is used depends on the features built")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("UNET_VOL_SHARED").map_or_else(|| repository("../shared"), PathBuf::from);
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: {} is not there", file.display());
    None
}

/// Runs `work` on a pool of that many threads.
#[allow(dead_code, clippy::expect_used, reason = "which helper is used depends on the features built")]
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool starts").install(work)
}
