//! Slices that do not fill a grid: some are missing, or they lie between those of the grid.

use super::{Affine, Grid, float};
use crate::error::{Error, Result};

/// A slice that misses one of the grid by less than this part of a step is that one.
const AT_SLICE: f64 = 0.02;

/// The slice of a grid that is at `place` along k; `None` between two of them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and indices are small")]
pub(crate) fn slice_at(place: f64) -> Option<usize> {
    let nearest = place.round();
    (nearest >= 0.0 && (place - nearest).abs() <= AT_SLICE).then_some(nearest as usize)
}

/// The slices of a grid that are at `places` along k; `None` when one lies between two of them.
pub(crate) fn slices_at(places: &[f64]) -> Option<Vec<usize>> {
    places.iter().copied().map(slice_at).collect()
}

impl Grid {
    /// mm from slice to slice along their normal: less than the step between them where they are tilted.
    #[must_use]
    pub fn slice_distance(&self) -> f64 {
        let [x, y] = [self.affine().column(0), self.affine().column(1)];
        let area = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
        self.voxel_mm3() / area.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    /// A stand-in for slices at `places` along k, in ascending order, of which no affine has all: as many slices, of which
    /// the first and the last are where they should be and the others evenly in between.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when there is no place, or places do not ascend.
    pub fn of_slices(&self, places: &[f64]) -> Result<Self> {
        let ascend = places.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(&first), Some(&last), true) = (places.first(), places.last(), ascend) else {
            return Err(Error::usage("slices need places that ascend"));
        };
        let step = if places.len() > 1 { (last - first) / float(places.len() - 1) } else { 1.0 };
        let affine = self.affine();
        let columns = [affine.column(0), affine.column(1), affine.column(2).map(|mm| mm * step)];
        let [ni, nj, _] = self.shape();
        Self::new([ni, nj, places.len()], Affine::from_columns(columns, affine.apply([0.0, 0.0, first]))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_stand_between_the_first_and_the_last_place() {
        let affine =
            Affine::from_columns([[0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [4.0, 3.0, 0.0]], [1.0, 2.0, 3.0]).unwrap();
        let grid = Grid::new([5, 6, 9], affine).unwrap();
        assert!((grid.slice_distance() - 4.0).abs() < 1e-12, "the step is 5 mm, the slices are 4 mm apart");
        let slices = grid.of_slices(&[1.0, 2.5, 4.0]).unwrap();
        assert_eq!((slices.shape(), slices.slice_distance()), ([5, 6, 3], 6.0));
        for (n, k) in [(0.0, 1.0), (2.0, 4.0)] {
            assert_eq!(slices.index_to_world([1.0, 2.0, n]), grid.index_to_world([1.0, 2.0, k]));
        }
        assert_eq!(grid.of_slices(&[3.0]).unwrap().index_to_world([0.0; 3]), grid.index_to_world([0.0, 0.0, 3.0]));
        assert!(grid.of_slices(&[]).is_err() && grid.of_slices(&[1.0, 1.0]).is_err());
    }

    #[test]
    fn a_slice_is_at_one_of_the_grid_or_between_two() {
        assert_eq!(slices_at(&[0.0, 0.99, 3.0]), Some(vec![0, 1, 3]));
        assert_eq!(slices_at(&[0.0, 1.03]), None);
        assert_eq!(slices_at(&[-1.0]), None);
    }
}
