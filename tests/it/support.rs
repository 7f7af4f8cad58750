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

/// A JSON file.
#[allow(dead_code, reason = "which helper is used depends on the features built")]
pub(crate) fn json(path: PathBuf) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// All numbers of a nested list, in order.
#[allow(dead_code, reason = "which helper is used depends on the features built")]
pub(crate) fn floats(value: &serde_json::Value) -> Vec<f32> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(floats).collect(),
        #[expect(clippy::cast_possible_truncation, reason = "golden values are compared as f32")]
        number => vec![number.as_f64().unwrap() as f32],
    }
}

/// Largest absolute difference of two lists of equal length.
#[allow(dead_code, reason = "which helper is used depends on the features built")]
pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Runs `work` on a pool of that many threads.
#[allow(dead_code, clippy::expect_used, reason = "which helper is used depends on the features built")]
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool starts").install(work)
}
