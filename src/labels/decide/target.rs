//! What is decided on: a grid, or slices at other places along its k.

use crate::error::Result;
use crate::geometry::{Grid, float};
use crate::limits;
use crate::resample::{Outside, resample_labels};
use crate::volume::Volume;

/// A grid, and the places of the slices along its k where they are not its own.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) grid: Grid,
    pub(super) places: Option<Vec<f64>>,
}

impl Target {
    /// Voxels along i, j, k.
    pub(super) fn shape(&self) -> [usize; 3] {
        let [ni, nj, nk] = self.grid.shape();
        [ni, nj, self.places.as_ref().map_or(nk, Vec::len)]
    }

    pub(super) fn voxels(&self) -> usize {
        self.shape().iter().product()
    }

    /// Where the `n`-th voxel along an axis is, as an index of the grid.
    pub(super) fn at(&self, axis: usize, n: usize) -> f64 {
        let place = || self.places.as_ref().filter(|_| axis == 2)?.get(n).copied();
        place().unwrap_or_else(|| float(n))
    }

    /// Labels that were decided here.
    ///
    /// # Errors
    /// As [`Grid::of_slices`].
    pub(super) fn volume(&self, ids: Vec<u16>) -> Result<Volume<u16>> {
        let grid = match &self.places {
            Some(places) => self.grid.of_slices(places)?,
            None => self.grid,
        };
        Volume::new(grid, ids)
    }

    /// The nearest of `labels` for each voxel.
    ///
    /// # Errors
    /// As [`resample_labels`].
    pub(super) fn nearest(&self, labels: &Volume<u16>, outside: Outside) -> Result<Volume<u16>> {
        let Some(places) = &self.places else { return resample_labels(labels, &self.grid, outside) };
        let mut ids = limits::reserved(self.voxels(), "labels of slices")?;
        for &place in places {
            ids.extend(resample_labels(labels, &self.grid.of_slices(&[place])?, outside)?.into_data());
        }
        self.volume(ids)
    }
}
