//! NumPy arrays as the library's volumes and back.

use numpy::ndarray::{Array3, ArrayView3, ShapeBuilder};
use numpy::{Element, IntoPyArray, PyArray2, PyArray3, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::prelude::*;
use rayon::prelude::*;
use unet_vol::{Affine, Error, Grid, Result, Volume, limits};

/// Side of the block in which a transposition walks, so that both arrays stay in cache.
const BLOCK: usize = 16;
/// Values that one thread copies at a time.
const CHUNK: usize = 1 << 16;

/// An affine as it comes: 4 x 4, float64, voxel centres to mm in RAS+.
pub(crate) type AffineArray<'py> = PyReadonlyArray2<'py, f64>;
/// A volume as it comes: any strides, indexed `[i, j, k]`.
pub(crate) type VolumeArray<'py, T> = PyReadonlyArray3<'py, T>;

/// The grid of an array and an affine.
pub(crate) fn grid<T: Element>(array: &VolumeArray<'_, T>, affine: &AffineArray<'_>) -> Result<Grid> {
    let [ni, nj, nk] = *array.as_array().shape() else { return Err(Error::internal("an array is not 3-D")) };
    Grid::new([ni, nj, nk], to_affine(affine)?)
}

/// An affine of the library.
pub(crate) fn to_affine(affine: &AffineArray<'_>) -> Result<Affine> {
    let view = affine.as_array();
    if view.shape() != [4, 4] || view.row(3).iter().ne(&[0.0, 0.0, 0.0, 1.0]) {
        return Err(Error::usage("an affine is 4 x 4 and ends in the row 0, 0, 0, 1"));
    }
    Affine::from_rows([0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| view[[row, column]])))
}

/// An array of the library's affine.
pub(crate) fn from_affine<'py>(py: Python<'py>, affine: &Affine) -> Bound<'py, PyArray2<f64>> {
    let [a, b, c] = affine.rows();
    numpy::ndarray::arr2(&[a, b, c, [0.0, 0.0, 0.0, 1.0]]).into_pyarray(py)
}

/// A copy of an array as a volume, i fastest.
pub(crate) fn volume<T: Copy + Default + Send + Sync>(array: ArrayView3<'_, T>, grid: Grid) -> Result<Volume<T>> {
    mapped(array, grid, |value| value)
}

/// The same with each value replaced by what `change` makes of it.
pub(crate) fn mapped<T: Copy + Sync, U: Clone + Default + Send>(
    array: ArrayView3<'_, T>,
    grid: Grid,
    change: impl Fn(T) -> U + Sync,
) -> Result<Volume<U>> {
    let mut data: Vec<U> = limits::zeroed(array.len(), "a copy of the array")?;
    let (ni, nj, nk) = array.dim();
    match array.t().to_slice() {
        Some(values) => data.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(to, from)| {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = change(from));
        }),
        None => data.par_chunks_mut((ni * nj * BLOCK).max(1)).enumerate().for_each(|(slab, out)| {
            let (first, last) = (slab * BLOCK, (slab * BLOCK + BLOCK).min(nk));
            for j in 0..nj {
                for i in 0..ni {
                    for k in first..last {
                        out[((k - first) * nj + j) * ni + i] = change(array[[i, j, k]]);
                    }
                }
            }
        }),
    }
    Volume::new(grid, data)
}

/// A volume's samples as an array indexed `[i, j, k]` in Fortran order, without a copy.
pub(crate) fn from_volume<T: Element>(py: Python<'_>, volume: Volume<T>) -> PyResult<Bound<'_, PyArray3<T>>> {
    let [ni, nj, nk] = volume.grid().shape();
    let array = Array3::from_shape_vec((ni, nj, nk).f(), volume.into_data());
    let array = array.map_err(|e| pyo3::exceptions::PyRuntimeError::new_err(e.to_string()))?;
    Ok(array.into_pyarray(py))
}

/// Array and affine of a volume.
pub(crate) type Pair<'py, T> = (Bound<'py, PyArray3<T>>, Bound<'py, PyArray2<f64>>);

pub(crate) fn pair<T: Element>(py: Python<'_>, volume: Volume<T>) -> PyResult<Pair<'_, T>> {
    let affine = from_affine(py, volume.grid().affine());
    Ok((from_volume(py, volume)?, affine))
}
