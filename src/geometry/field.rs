//! The part of a grid that another grid's field of view covers.

use std::ops::Range;

use super::aligned::SNAP;
use super::{Grid, float};
use crate::error::Result;
use crate::limits;

/// The voxels of a grid whose centres lie in the field of view of another grid, edges included.
///
/// The field of view of a grid reaches half a voxel beyond its outermost voxel centres. What two grids share is convex
/// under any affine, so each row along i holds one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    shape: [usize; 3],
    rows: Vec<Range<usize>>,
}

impl Field {
    /// The voxels of `grid` in the field of view of `view`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had (one interval per row).
    pub fn of(grid: &Grid, view: &Grid) -> Result<Self> {
        let shape = grid.shape();
        let map = grid.index_map_to(view);
        let low = [-0.5 - SNAP; 3];
        let high = view.shape().map(|n| float(n) - 0.5 + SNAP);
        let mut rows = limits::reserved(shape[1] * shape[2], "the rows of a field of view")?;
        for k in 0..shape[2] {
            for j in 0..shape[1] {
                rows.push(interval(map.apply([0.0, float(j), float(k)]), map.column(0), low, high, shape[0]));
            }
        }
        Ok(Self { shape, rows })
    }

    /// Voxels of the grid along i, j, k.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The covered indices i of each row, rows in the order `j + k * nj`.
    #[must_use]
    pub fn rows(&self) -> &[Range<usize>] {
        &self.rows
    }

    /// Number of voxels covered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.iter().map(Range::len).sum()
    }

    /// True when no voxel is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when all voxels are covered.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.len() == self.shape[0])
    }
}

/// The indices `n` in `0..count` with `low[a] <= start[a] + n * step[a] <= high[a]` on every axis `a`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=count")]
pub(crate) fn interval(start: [f64; 3], step: [f64; 3], low: [f64; 3], high: [f64; 3], count: usize) -> Range<usize> {
    let (mut first, mut end) = (0.0, float(count));
    for a in 0..3 {
        if step[a] == 0.0 {
            if start[a] < low[a] || start[a] > high[a] {
                return 0..0;
            }
            continue;
        }
        let (t, u) = ((low[a] - start[a]) / step[a], (high[a] - start[a]) / step[a]);
        first = t.min(u).ceil().max(first);
        end = (t.max(u).floor() + 1.0).min(end);
    }
    if first < end { first as usize..end as usize } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Affine;

    #[test]
    fn rows_agree_with_a_test_of_every_voxel_on_a_sheared_pair() {
        let view = Affine::from_rows([[-0.9, 0.2, 0.1, 12.0], [0.1, 1.7, -0.3, -4.0], [0.05, 0.4, 2.2, 1.5]]).unwrap();
        let view = Grid::new([9, 7, 5], view).unwrap();
        let grid = Grid::new([14, 12, 10], Affine::from_spacing([1.3, 1.4, 1.5], [1.0, -6.0, -1.0]).unwrap()).unwrap();
        let field = Field::of(&grid, &view).unwrap();
        let mut count = 0;
        for k in 0..10 {
            for j in 0..12 {
                for i in 0..14 {
                    let at = view.world_to_index(grid.index_to_world([float(i), float(j), float(k)]));
                    let inside = (0..3).all(|a| at[a] >= -0.5 && at[a] <= float(view.shape()[a]) - 0.5);
                    assert_eq!(field.rows()[j + 12 * k].contains(&i), inside);
                    count += usize::from(inside);
                }
            }
        }
        assert_eq!(field.len(), count);
        assert!(count > 50 && !field.is_whole());
        assert!(Field::of(&grid, &grid).unwrap().is_whole());
    }
}
