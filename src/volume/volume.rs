//! Samples on a grid.

use ndarray::{ArrayView3, ArrayViewMut3, ShapeBuilder};

use super::permute::permute;
use crate::error::{Error, Result};
use crate::geometry::{AxisMap, Grid, Orientation, Region, slices_at};
use crate::limits;

/// Samples of type `T` (intensities are `f32`) on a [`Grid`], i fastest in memory.
///
/// There is no `Index`: a bare array position says nothing about the world. Use [`Volume::view`] where it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume<T = f32> {
    grid: Grid,
    data: Vec<T>,
}

impl<T> Volume<T> {
    /// From samples with i fastest.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when the count is not that of the grid.
    pub fn new(grid: Grid, data: Vec<T>) -> Result<Self> {
        check_count(&grid, data.len())?;
        Ok(Self { grid, data })
    }

    /// Where the voxels are.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The samples, i fastest.
    #[must_use]
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The samples, i fastest.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Gives the samples away.
    #[must_use]
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// A view indexed `[[i, j, k]]` over Fortran-ordered memory.
    ///
    /// # Panics
    /// Never: the constructor has checked the count.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the constructor has checked the count")]
    pub fn view(&self) -> ArrayView3<'_, T> {
        ArrayView3::from_shape(self.grid.shape().f(), &self.data).expect("data fills the grid")
    }

    /// A mutable view indexed `[[i, j, k]]` over Fortran-ordered memory.
    ///
    /// # Panics
    /// Never: the constructor has checked the count.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the constructor has checked the count")]
    pub fn view_mut(&mut self) -> ArrayViewMut3<'_, T> {
        ArrayViewMut3::from_shape(self.grid.shape().f(), &mut self.data).expect("data fills the grid")
    }

    /// The same samples on another grid of the same shape, for example under an orientation that the user vouches for.
    ///
    /// # Errors
    /// As [`Volume::new`].
    pub fn with_grid(self, grid: Grid) -> Result<Self> {
        Self::new(grid, self.data)
    }
}

impl<T: Copy + Default + Send + Sync> Volume<T> {
    /// All voxels `T::default()`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn zeros(grid: Grid) -> Result<Self> {
        let data = limits::zeroed(grid.voxels(), "a volume")?;
        Ok(Self { grid, data })
    }

    /// Axes reordered and flipped; no interpolation, every voxel keeps its place in the world.
    #[must_use]
    pub fn mapped(&self, map: AxisMap) -> Self {
        if map == AxisMap::IDENTITY {
            return self.clone();
        }
        Self { grid: self.grid.mapped(map), data: permute(&self.data, self.grid.shape(), map) }
    }

    /// Reordered to the nearest `orientation`; no interpolation.
    #[must_use]
    pub fn reoriented(&self, orientation: Orientation) -> Self {
        self.mapped(self.grid.orientation().to(orientation))
    }

    /// The slices at `places` along k, in ascending order, on [`Grid::of_slices`]; `None` when one of these places lies
    /// between two slices.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when a place lies outside, or as [`Grid::of_slices`]; [`crate::ErrorKind::Limit`] when
    /// the memory cannot be had.
    pub fn slices(&self, places: &[f64]) -> Result<Option<Self>> {
        let Some(slices) = slices_at(places) else { return Ok(None) };
        let grid = self.grid.of_slices(places)?;
        let [ni, nj, _] = self.grid.shape();
        let mut data = limits::reserved(grid.voxels(), "slices of a volume")?;
        for k in slices {
            let slice = self.data.get(k * ni * nj..(k + 1) * ni * nj);
            data.extend_from_slice(slice.ok_or_else(|| Error::usage(format!("there is no slice {k}")))?);
        }
        Self::new(grid, data).map(Some)
    }

    /// A box of the volume, with the grid that belongs to it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the box is empty or reaches outside.
    pub fn cropped(&self, region: Region) -> Result<Self> {
        let grid = self.grid.cropped(region)?;
        let [ni, nj, _] = self.grid.shape();
        let mut data = limits::reserved(region.len(), "a crop")?;
        for k in region.start[2]..region.end[2] {
            for j in region.start[1]..region.end[1] {
                let row = (k * nj + j) * ni;
                data.extend_from_slice(&self.data[row + region.start[0]..row + region.end[0]]);
            }
        }
        Ok(Self { grid, data })
    }
}

/// Refuses samples that do not fill a grid.
pub(super) fn check_count(grid: &Grid, samples: usize) -> Result<()> {
    if samples == grid.voxels() {
        return Ok(());
    }
    Err(Error::usage(format!("{samples} samples do not fill a grid of {:?} voxels", grid.shape())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Affine;

    #[test]
    fn a_crop_keeps_values_and_places() {
        let grid = Grid::new([4, 3, 2], Affine::from_spacing([1.0, 2.0, 3.0], [10.0, 0.0, 0.0]).unwrap()).unwrap();
        let volume = Volume::new(grid, (0..24).collect::<Vec<i32>>()).unwrap();
        let crop = volume.cropped(Region::new([1, 1, 1], [3, 3, 2])).unwrap();
        assert_eq!(crop.data(), &[17, 18, 21, 22]);
        assert_eq!(crop.grid().index_to_world([0.0; 3]), [11.0, 2.0, 3.0]);
        assert_eq!(crop.view()[[1, 0, 0]], 18);
        assert!(volume.cropped(Region::new([0; 3], [5, 1, 1])).is_err());
    }
}
