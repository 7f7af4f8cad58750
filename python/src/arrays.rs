//! NumPy arrays as the library's volumes and back.

use std::borrow::Cow;

use numpy::ndarray::{Array3, ArrayView3, ShapeBuilder};
use numpy::{Element, IntoPyArray, PyArray2, PyArray3, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::prelude::*;
use rayon::prelude::*;
use unet_vol::geometry::AxisMap;
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

/// An array's voxels with i fastest: where they are, or a copy where they lie in another order.
pub(crate) fn held<'a, T: Copy + Default + Send + Sync>(array: ArrayView3<'a, T>) -> Result<Cow<'a, [T]>> {
    match array.reversed_axes().to_slice() {
        Some(values) => Ok(Cow::Borrowed(values)),
        None => copied(array, |value| value).map(Cow::Owned),
    }
}

/// An array's voxels in the order of memory, with the reordering that leads to it; a copy where there are gaps.
pub(crate) fn in_memory_order<'a, T: Copy + Default + Send + Sync>(
    array: ArrayView3<'a, T>,
) -> Result<(AxisMap, Cow<'a, [T]>)> {
    match array.to_slice_memory_order() {
        Some(values) => Ok((memory_order(array.strides(), array.shape()), Cow::Borrowed(values))),
        None => Ok((AxisMap::IDENTITY, Cow::Owned(copied(array, |value| value)?))),
    }
}

/// The reordering of axes after which i is fastest and all axes run forwards.
pub(crate) fn memory_order(strides: &[isize], shape: &[usize]) -> AxisMap {
    let mut from = [0, 1, 2];
    // Where an axis has one voxel its stride says nothing, and any place will do.
    from.sort_by_key(|&axis| if shape[axis] == 1 { 0 } else { strides[axis].unsigned_abs() });
    AxisMap { from, flip: from.map(|axis| shape[axis] > 1 && strides[axis] < 0) }
}

/// An array's voxels in this order of memory, or else, for the order of the array itself, with i fastest.
pub(crate) fn ordered<'a, T: Copy + Default + Send + Sync>(
    array: ArrayView3<'a, T>,
    order: AxisMap,
) -> Result<Cow<'a, [T]>> {
    if order == AxisMap::IDENTITY {
        return held(array);
    }
    array.to_slice_memory_order().map(Cow::Borrowed).ok_or_else(|| Error::internal("an array has gaps"))
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
    Volume::new(grid, copied(array, change)?)
}

fn copied<T: Copy + Sync, U: Clone + Default + Send>(
    array: ArrayView3<'_, T>,
    change: impl Fn(T) -> U + Sync,
) -> Result<Vec<U>> {
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
    Ok(data)
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
