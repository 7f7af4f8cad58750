//! Whether the outputs of a batch find room, before the work begins.

use std::path::Path;

use rayon::prelude::*;

use super::case::Case;
use super::options::BatchOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::fs;

/// Voxels of a label volume to a compressed byte: heads with 32 structures have 18 and more.
const VOXELS_PER_BYTE: u64 = 16;
/// Bytes of a picture, and of tables, side-car and ledger line together.
const PICTURE: u64 = 512 << 10;
const TEXTS: u64 = 32 << 10;

/// Refuses a batch whose outputs, by the sizes that the headers say, would not fit.
pub(super) fn check(cases: &[&Case], options: &BatchOptions) -> Result<()> {
    let bytes = |case: &&Case| {
        let voxels =
            case.probe(&options.study).map_or(0, |probe| probe.grid.shape().iter().map(|&n| n as u64).product());
        let volumes = 1 + u64::from(options.instances);
        volumes * voxels / VOXELS_PER_BYTE + TEXTS + if options.preview { PICTURE } else { 0 }
    };
    let needed = cases.par_iter().map(bytes).sum();
    fs::available(&options.output).map_or(Ok(()), |free| fits(needed, free, &options.output))
}

fn fits(needed: u64, free: u64, output: &Path) -> Result<()> {
    if needed <= free {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let message = format!(
        "the outputs will take some {} MB and the file system has {} MB free",
        megabytes(needed),
        megabytes(free)
    );
    Err(Error::new(ErrorKind::Output, message).at(output).hint("make room, or name an output folder elsewhere"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_refused_with_the_figures() {
        let output = Path::new("out");
        fits(5_000_000, 5_000_000, output).unwrap();
        let error = fits(5_000_001, 4_200_000, output).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
        assert_eq!(error.message(), "the outputs will take some 6 MB and the file system has 5 MB free");
    }

    #[cfg(unix)]
    #[test]
    fn the_system_says_what_is_free() {
        assert!(fs::available(&std::env::temp_dir()).is_some_and(|free| free > 0));
        assert!(fs::available(Path::new("/no/such/folder")).is_none());
    }
}
