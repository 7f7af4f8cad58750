//! What a writer must give back: the source's own header, untouched.

use std::path::PathBuf;

use crate::geometry::Grid;

/// Where a volume came from and everything needed to write a label map that sits exactly on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Source {
    /// The file or folder that was read; `None` for a volume made in memory.
    pub path: Option<PathBuf>,
    /// The grid as stored, before any reorientation.
    pub grid: Grid,
    /// What the format keeps.
    pub kind: SourceKind,
    /// False when the file does not say where left and right are (no sform and no qform).
    pub oriented: bool,
}

impl Source {
    /// A source of `kind` on `grid`, which says where left and right are.
    #[must_use]
    pub fn new(path: Option<PathBuf>, grid: Grid, kind: SourceKind) -> Self {
        Self { path, grid, kind, oriented: true }
    }
}

/// The part of a source that only its own format understands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SourceKind {
    /// Made in memory: a writer makes a fresh header from the grid.
    Memory,
    /// A NIfTI-1 or NIfTI-2 file.
    Nifti(NiftiSource),
}

/// The raw header of a NIfTI file and its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NiftiSource {
    /// The 348 (NIfTI-1) or 540 (NIfTI-2) header bytes as stored.
    pub header: Vec<u8>,
    /// True when the header is big-endian.
    pub big_endian: bool,
    /// Header extensions: code and content (without the 8 bytes of size and code, padding kept).
    pub extensions: Vec<(i32, Vec<u8>)>,
}
