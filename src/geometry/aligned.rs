//! Maps between two grids whose axes are parallel.

use super::{Affine, AxisMap};

/// Coordinates this close to a voxel centre, in voxels, count as that centre, so that results do not hang on rounding.
pub(crate) const SNAP: f64 = 1e-6;

/// A map between voxel indices that pairs each axis with one axis: a permutation, flips, scales and offsets.
///
/// `source[a] = scale[a] * target[from[a]] + offset[a]`, in voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AlignedMap {
    /// The target axis that runs along each source axis.
    pub(crate) from: [usize; 3],
    /// Source voxels per target voxel; negative where the axes run against each other.
    pub(crate) scale: [f64; 3],
    /// Source coordinate of target index 0.
    pub(crate) offset: [f64; 3],
}

impl AlignedMap {
    /// Reads a target-to-source map; `None` when neglecting the small entries would move a voxel of a target of `shape`
    /// by more than [`SNAP`].
    pub(crate) fn of(map: &Affine, shape: [usize; 3]) -> Option<Self> {
        let rows = map.rows();
        let from = rows.map(|row| if row[0].abs() >= row[1].abs().max(row[2].abs()) { 0 } else { larger(row) });
        let mut seen = [false; 3];
        for axis in from {
            seen[axis] = true;
        }
        let strays = |a: usize| -> f64 {
            (0..3).filter(|&t| t != from[a]).map(|t| rows[a][t].abs() * super::float(shape[t] - 1)).sum()
        };
        let aligned = seen == [true; 3] && (0..3).all(|a| strays(a) <= SNAP);
        aligned.then(|| Self { from, scale: [0, 1, 2].map(|a| rows[a][from[a]]), offset: rows.map(|row| row[3]) })
    }

    /// Source coordinate along source axis `axis` of a continuous target index along its paired axis.
    pub(crate) fn coordinate(&self, axis: usize, index: f64) -> f64 {
        snapped(self.scale[axis] * index + self.offset[axis])
    }

    /// The reordering that turns an array whose axes are the source's into one with the target's axes, without flips.
    pub(crate) fn to_target(self) -> AxisMap {
        AxisMap { from: self.from, flip: [false; 3] }.inverse()
    }
}

fn larger(row: [f64; 4]) -> usize {
    if row[1].abs() >= row[2].abs() { 1 } else { 2 }
}

/// `coordinate`, or the integer it is within [`SNAP`] of.
pub(crate) fn snapped(coordinate: f64) -> f64 {
    let nearest = coordinate.round();
    if (coordinate - nearest).abs() <= SNAP { nearest } else { coordinate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Grid;

    #[test]
    fn a_permutation_with_flips_is_aligned_and_a_small_rotation_is_not() {
        let source = Grid::new([20, 30, 40], Affine::from_spacing([1.0, 1.5, 2.0], [3.0, -4.0, 5.0]).unwrap()).unwrap();
        let target = source.mapped(source.orientation().to("PIL".parse().unwrap()));
        let map = AlignedMap::of(&target.index_map_to(&source), target.shape()).unwrap();
        assert_eq!(map.from, [2, 0, 1]);
        assert_eq!(map.scale.map(f64::round), [-1.0, -1.0, -1.0]);
        assert!((map.coordinate(1, 0.0) - 29.0).abs() < 1e-12);
        assert_eq!(map.to_target().shape([20, 30, 40]), [30, 40, 20]);
        let turned = |angle: f64| {
            let (sin, cos) = angle.sin_cos();
            Affine::from_rows([[cos, -sin, 0.0, 0.0], [sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap()
        };
        assert!(AlignedMap::of(&turned(1e-9), [100; 3]).is_some());
        assert!(AlignedMap::of(&turned(1e-7), [100; 3]).is_none());
    }
}
