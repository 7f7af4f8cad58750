//! Samples on a grid, held by someone else.

use super::permute::permute_into;
use super::volume::check_count;
use super::{LabelMap, Volume};
use crate::error::Result;
use crate::geometry::{AxisMap, Grid};
use crate::limits;

/// What a [`Volume`] is, over samples that it does not own: an array of another library, a part of a file.
///
/// Functions that only read take either; see the [`From`] below.
#[derive(Debug, Clone, Copy)]
pub struct VolumeView<'a, T = f32> {
    grid: Grid,
    data: &'a [T],
}

impl<'a, T> VolumeView<'a, T> {
    /// Over samples with i fastest.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when the count is not that of the grid.
    pub fn new(grid: Grid, data: &'a [T]) -> Result<Self> {
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
    pub fn data(&self) -> &'a [T] {
        self.data
    }
}

impl<T: Copy + Default + Send + Sync> VolumeView<'_, T> {
    /// Axes reordered and flipped; no interpolation, every voxel keeps its place in the world.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn mapped(&self, map: AxisMap) -> Result<Volume<T>> {
        let mut data = limits::zeroed(self.data.len(), "a reordered volume")?;
        permute_into(self.data, self.grid.shape(), map, &mut data);
        Volume::new(self.grid.mapped(map), data)
    }
}

impl<'a, T> From<&'a Volume<T>> for VolumeView<'a, T> {
    fn from(volume: &'a Volume<T>) -> Self {
        Self { grid: *volume.grid(), data: volume.data() }
    }
}

impl<'a> From<&'a LabelMap> for VolumeView<'a, u16> {
    fn from(map: &'a LabelMap) -> Self {
        (&map.ids).into()
    }
}
