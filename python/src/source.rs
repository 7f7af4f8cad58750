//! What a writer gives back: the header of the file that a volume came from.

use std::path::PathBuf;

use numpy::PyArray2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use unet_vol::volume::{NiftiSource, SourceKind};
use unet_vol::{Affine, Grid, volume};

use crate::arrays::{AffineArray, from_affine, to_affine};
use crate::errors::OrRaise;

/// Bytes of a NIfTI-1 and of a NIfTI-2 header.
const HEADER_BYTES: [usize; 2] = [348, 540];

/// Header bytes, whether they are big-endian, and extensions as pairs of code and content.
type Nifti = (Vec<u8>, bool, Vec<(i32, Vec<u8>)>);

/// A header; immutable.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Source(pub(crate) volume::Source);

impl Source {
    /// The header of a volume, or that of one made in memory.
    pub(crate) fn of(source: Option<&Bound<'_, Self>>, grid: Grid) -> volume::Source {
        source.map_or_else(|| volume::Source::new(None, grid, SourceKind::Memory), |source| source.get().0.clone())
    }
}

#[pymethods]
impl Source {
    /// From its parts, as `__reduce__` gives them.
    #[new]
    #[pyo3(signature = (path, shape, affine, oriented, nifti))]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        shape: [usize; 3],
        affine: AffineArray<'_>,
        oriented: bool,
        nifti: Option<Nifti>,
    ) -> PyResult<Self> {
        let grid = to_affine(&affine).and_then(|affine: Affine| Grid::new(shape, affine)).or_raise(py)?;
        let kind = match nifti.filter(|(header, ..)| HEADER_BYTES.contains(&header.len())) {
            Some((header, big_endian, extensions)) => SourceKind::Nifti(NiftiSource { header, big_endian, extensions }),
            None => SourceKind::Memory,
        };
        let mut source = volume::Source::new(path, grid, kind);
        source.oriented = oriented;
        Ok(Self(source))
    }

    /// The file or folder.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.0.path.clone()
    }

    /// False when the file does not say where left and right are.
    #[getter]
    fn oriented(&self) -> bool {
        self.0.oriented
    }

    /// The header bytes of a NIfTI file, and whether they are big-endian.
    #[getter]
    fn nifti_header<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyBytes>, bool)> {
        let SourceKind::Nifti(nifti) = &self.0.kind else { return None };
        Some((PyBytes::new(py, &nifti.header), nifti.big_endian))
    }

    /// For pickle. The attributes of a DICOM study stay behind.
    #[allow(clippy::type_complexity, reason = "the protocol's shape")]
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> (Bound<'py, PyAny>, (Option<PathBuf>, [usize; 3], Bound<'py, PyArray2<f64>>, bool, Option<Nifti>)) {
        let source = &slf.get().0;
        let nifti = match &source.kind {
            SourceKind::Nifti(nifti) => Some((nifti.header.clone(), nifti.big_endian, nifti.extensions.clone())),
            _ => None,
        };
        let affine = from_affine(slf.py(), source.grid.affine());
        let class = slf.get_type().into_any();
        (class, (source.path.clone(), source.grid.shape(), affine, source.oriented, nifti))
    }
}
