//! Shape and affine without voxels.

use super::{Affine, AxisMap, Orientation, Region, float};
use crate::error::{Error, Result};

/// How a grid of another spacing or shape is laid over the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GridRule {
    /// The edges of the field of view stay (half-pixel rule: ITK, skimage `resize`, nnU-Net, SynthSeg).
    #[default]
    HalfPixel,
    /// The first and the last voxel centre stay (scipy `zoom`, TotalSegmentator on the CPU).
    Corner,
    /// The first voxel centre stays, the spacing is exact and the last centre is the nearest (MONAI `Spacing`).
    FirstVoxel,
    /// The centre of the volume stays and the spacing is exact.
    Centre,
}

/// Voxel counts and the affine that places them in the world.
///
/// ```
/// use unet_vol::{Affine, Grid};
/// let grid = Grid::new([160, 192, 160], Affine::from_spacing([1.0; 3], [-80.0, -110.0, -70.0])?)?;
/// assert_eq!(grid.index_to_world([80.0, 0.0, 0.0]), [0.0, -110.0, -70.0]);
/// assert_eq!(grid.orientation().to_string(), "RAS");
/// # Ok::<(), unet_vol::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    shape: [usize; 3],
    affine: Affine,
}

impl Grid {
    /// Corner centres may differ by this part of the smallest spacing and grids still match.
    pub const MATCH_TOLERANCE: f64 = 1e-3;

    /// Axes that miss being perpendicular by more than this angle in degrees are sheared.
    pub const SHEARED_DEGREES: f64 = 0.05;

    /// A grid of `shape` voxels along i, j, k.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when an axis has no voxel or the count overflows.
    pub fn new(shape: [usize; 3], affine: Affine) -> Result<Self> {
        if shape.contains(&0) {
            return Err(Error::malformed(format!("a grid of {shape:?} voxels has an empty axis")));
        }
        shape
            .iter()
            .try_fold(1_usize, |product, &n| product.checked_mul(n))
            .ok_or_else(|| Error::limit(format!("a grid of {shape:?} voxels is too large to count")))?;
        Ok(Self { shape, affine })
    }

    /// A grid about 0 whose place in the world is not known: along the axes of `assumed`, else by the convention of
    /// nibabel, where i grows to the left, j to the front and k upwards.
    ///
    /// # Errors
    /// As [`Grid::new`] and [`Affine::from_rows`].
    pub fn unplaced(shape: [usize; 3], spacing: [f64; 3], assumed: Option<Orientation>) -> Result<Self> {
        let orientation = assumed.map_or_else(|| "LAS".parse(), Ok)?;
        Self { shape: [1; 3], affine: Affine::identity() }.conformed(shape, spacing, orientation)
    }

    /// The same shape placed by another affine.
    #[must_use]
    pub fn with_affine(&self, affine: Affine) -> Self {
        Self { shape: self.shape, affine }
    }

    /// True when two axes miss being perpendicular by more than [`Grid::SHEARED_DEGREES`].
    #[must_use]
    pub fn is_sheared(&self) -> bool {
        self.affine.shear_degrees() > Self::SHEARED_DEGREES
    }

    /// Voxels along i, j, k.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of voxels.
    #[must_use]
    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Voxel index to world.
    #[must_use]
    pub fn affine(&self) -> &Affine {
        &self.affine
    }

    /// mm per index step along i, j, k.
    #[must_use]
    pub fn spacing(&self) -> [f64; 3] {
        self.affine.spacing()
    }

    /// Volume of one voxel in mm^3 (shear included).
    #[must_use]
    pub fn voxel_mm3(&self) -> f64 {
        self.affine.determinant().abs()
    }

    /// The nearest axis codes.
    #[must_use]
    pub fn orientation(&self) -> Orientation {
        Orientation::of(&self.affine)
    }

    /// World position in mm of a continuous voxel index.
    #[must_use]
    pub fn index_to_world(&self, index: [f64; 3]) -> [f64; 3] {
        self.affine.apply(index)
    }

    /// Continuous voxel index of a world position in mm.
    #[must_use]
    pub fn world_to_index(&self, world: [f64; 3]) -> [f64; 3] {
        self.affine.inverse().apply(world)
    }

    /// Continuous index of `self` to continuous index of `other` at the same place in the world.
    #[must_use]
    pub fn index_map_to(&self, other: &Self) -> Affine {
        other.affine.inverse().after(&self.affine)
    }

    /// The eight corner voxel centres, as indices.
    #[must_use]
    pub fn corners(&self) -> [[f64; 3]; 8] {
        let last = self.shape.map(|n| float(n - 1));
        std::array::from_fn(|c| [0, 1, 2].map(|axis| if c >> axis & 1 == 1 { last[axis] } else { 0.0 }))
    }

    /// Largest distance in mm between corresponding corner voxel centres of two grids of equal shape.
    #[must_use]
    pub fn corner_distance_mm(&self, other: &Self) -> f64 {
        self.corners().iter().map(|&c| distance(self.index_to_world(c), other.index_to_world(c))).fold(0.0, f64::max)
    }

    /// True when shapes agree and no corner voxel centre differs by more than [`Grid::MATCH_TOLERANCE`] of the
    /// smallest spacing.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let smallest = self.spacing().into_iter().fold(f64::INFINITY, f64::min);
        self.shape == other.shape && self.corner_distance_mm(other) <= Self::MATCH_TOLERANCE * smallest
    }

    /// In words with the numbers, how `other` differs; `None` when the grids match.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.matches(other) {
            return None;
        }
        let [mine, others] = [self, other].map(|grid| grid.shape.map(|n| n.to_string()).join(" x "));
        Some(if self.shape == other.shape {
            format!("corner voxels are up to {:.4} mm apart", self.corner_distance_mm(other))
        } else {
            format!("{mine} and {others} voxels")
        })
    }

    /// The grid after an exact reordering of axes; every voxel keeps its place in the world.
    #[must_use]
    pub fn mapped(&self, map: AxisMap) -> Self {
        let rows = map.new_to_old(self.shape);
        let r = self.affine.rows();
        let rows = r.map(|r| {
            let mut row = [0.0; 4];
            for (column, value) in row.iter_mut().enumerate() {
                *value = (0..3).map(|k| r[k] * rows[k][column]).sum();
            }
            row[3] += r[3];
            row
        });
        Self { shape: map.shape(self.shape), affine: Affine::from_rows(rows).unwrap_or(self.affine) }
    }

    /// The grid of a box of this one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the box is empty or reaches outside.
    pub fn cropped(&self, region: Region) -> Result<Self> {
        if region.is_empty() || (0..3).any(|axis| region.end[axis] > self.shape[axis]) {
            return Err(Error::internal(format!("{region:?} is no box of a grid of {:?} voxels", self.shape)));
        }
        self.window(region.start.map(float), region.shape())
    }

    /// A grid of `shape` with the same axes whose voxel (0, 0, 0) sits at the continuous index `start` of this one.
    ///
    /// # Errors
    /// As [`Grid::new`].
    pub fn window(&self, start: [f64; 3], shape: [usize; 3]) -> Result<Self> {
        let columns = [0, 1, 2].map(|axis| self.affine.column(axis));
        Self::new(shape, Affine::from_columns(columns, self.index_to_world(start))?)
    }

    /// The same field of view with another number of voxels, under `rule`.
    ///
    /// # Errors
    /// As [`Grid::new`]; [`crate::ErrorKind::Usage`] for a rule that needs a spacing.
    pub fn resized(&self, shape: [usize; 3], rule: GridRule) -> Result<Self> {
        let ratio = |axis: usize| match rule {
            GridRule::Corner if shape[axis] > 1 => float(self.shape[axis] - 1) / float(shape[axis] - 1),
            _ => float(self.shape[axis]) / float(shape[axis]),
        };
        self.scaled([ratio(0), ratio(1), ratio(2)], shape, rule)
    }

    /// Another spacing in mm along the same axes; the number of voxels follows `rule` (nearest, at least one).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when a spacing is not positive; as [`Grid::new`].
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, positive and bounded below")]
    pub fn respaced(&self, spacing: [f64; 3], rule: GridRule) -> Result<Self> {
        let old = self.spacing();
        let count = |axis: usize| {
            let (voxels, ratio) = (float(self.shape[axis]), old[axis] / spacing[axis]);
            let count = match rule {
                GridRule::FirstVoxel => ((voxels - 1.0) * ratio + 1.0).round_ties_even(),
                _ => (voxels * ratio).round(),
            };
            count.clamp(1.0, 1e9) as usize
        };
        let laid = self.laid(spacing, [count(0), count(1), count(2)], rule)?;
        match rule {
            GridRule::HalfPixel | GridRule::Corner => self.resized(laid.shape, rule),
            GridRule::FirstVoxel | GridRule::Centre => Ok(laid),
        }
    }

    /// `shape` voxels of exactly `spacing` mm along the same axes, placed by `rule`: under [`GridRule::HalfPixel`] the
    /// first edge of the field of view stays, under [`GridRule::Centre`] its centre, else the first voxel centre.
    ///
    /// # Errors
    /// As [`Grid::respaced`].
    pub fn laid(&self, spacing: [f64; 3], shape: [usize; 3], rule: GridRule) -> Result<Self> {
        if spacing.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(Error::usage(format!("a spacing of {spacing:?} mm is not positive")));
        }
        let old = self.spacing();
        self.scaled([0, 1, 2].map(|axis| spacing[axis] / old[axis]), shape, rule)
    }

    /// `shape` voxels of `ratio` old voxels each, placed by `rule`.
    fn scaled(&self, ratio: [f64; 3], shape: [usize; 3], rule: GridRule) -> Result<Self> {
        let start = [0, 1, 2].map(|axis| match rule {
            GridRule::HalfPixel => 0.5 * ratio[axis] - 0.5,
            GridRule::Corner | GridRule::FirstVoxel => 0.0,
            GridRule::Centre => 0.5 * (float(self.shape[axis]) - 1.0 - ratio[axis] * (float(shape[axis]) - 1.0)),
        });
        let columns = [0, 1, 2].map(|axis| self.affine.column(axis).map(|v| v * ratio[axis]));
        Self::new(shape, Affine::from_columns(columns, self.index_to_world(start))?)
    }

    /// The smallest grid with perpendicular axes that holds all voxels of a sheared one.
    ///
    /// Two axes stay, with their voxels; the third is made perpendicular to them, and steps over as much of the world as
    /// one of its steps did along that direction. It is the axis that shears against both others, or k where k shears
    /// against one of them, as it does in tilted stacks of slices: then value (i', j') of slice k is that of the slice's own plane at `i' - k (S . X) / d_i` and
    /// `j' - k (S . Y) / d_j`, where S is the step from slice to slice, X and Y are unit vectors along i and j.
    ///
    /// # Errors
    /// As [`Grid::new`].
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, positive and bounded")]
    pub fn straightened(&self) -> Result<Self> {
        let dot = |a: [f64; 3], b: [f64; 3]| (0..3).map(|r| a[r] * b[r]).sum::<f64>();
        let direction = self.affine.direction();
        let skew = |order: &[usize; 3]| dot(direction[order[0]], direction[order[1]]).abs();
        let orders = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
        let order = orders.into_iter().min_by(|a, b| skew(a).total_cmp(&skew(b))).unwrap_or([0, 1, 2]);
        let mut columns = [0, 1, 2].map(|axis| self.affine.column(axis));
        for n in 1..3 {
            for m in 0..n {
                let fixed = columns[order[m]];
                let along = dot(columns[order[n]], fixed) / dot(fixed, fixed);
                (0..3).for_each(|r| columns[order[n]][r] -= along * fixed[r]);
            }
        }
        let frame = Self { shape: self.shape, affine: Affine::from_columns(columns, self.affine.origin())? };
        let map = self.index_map_to(&frame);
        let corners = self.corners().map(|corner| map.apply(corner));
        let bound =
            |axis: usize, least: f64, pick: fn(f64, f64) -> f64| corners.iter().fold(least, |v, c| pick(v, c[axis]));
        let low = [0, 1, 2].map(|axis| (bound(axis, f64::INFINITY, f64::min) + 1e-6).floor());
        let high = [0, 1, 2].map(|axis| (bound(axis, f64::NEG_INFINITY, f64::max) - 1e-6).ceil());
        frame.window(low, [0, 1, 2].map(|axis| (high[axis] - low[axis]).clamp(0.0, 1e9) as usize + 1))
    }

    /// A grid of the given spacing, orientation along the *world* axes and shape, that shares this grid's centre.
    ///
    /// # Errors
    /// As [`Grid::new`] and [`Affine::from_rows`].
    pub fn conformed(&self, shape: [usize; 3], spacing: [f64; 3], orientation: Orientation) -> Result<Self> {
        let centre = self.index_to_world(self.shape.map(|n| 0.5 * (float(n) - 1.0)));
        let mut columns = [[0.0; 3]; 3];
        let mut origin = centre;
        for (axis, direction) in orientation.directions().into_iter().enumerate() {
            let step = if direction.is_positive() { spacing[axis] } else { -spacing[axis] };
            columns[axis][direction.world_axis()] = step;
            origin[direction.world_axis()] -= step * 0.5 * (float(shape[axis]) - 1.0);
        }
        Self::new(shape, Affine::from_columns(columns, origin)?)
    }
}

/// Euclidean distance of two world positions in mm.
fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let affine =
            Affine::from_rows([[-0.9, 0.02, 0.1, 12.0], [0.1, 0.05, -3.0, -40.0], [0.05, 0.8, 0.3, 7.5]]).unwrap();
        Grid::new([5, 7, 4], affine).unwrap()
    }

    #[test]
    fn reordering_keeps_every_corner_in_place() {
        let grid = grid();
        let map = grid.orientation().to(Orientation::RAS);
        let mapped = grid.mapped(map);
        assert_eq!(mapped.orientation(), Orientation::RAS);
        assert!(mapped.mapped(map.inverse()).corner_distance_mm(&grid) < 1e-12);
        assert!((mapped.voxel_mm3() - grid.voxel_mm3()).abs() < 1e-12);
    }

    #[test]
    fn half_pixel_keeps_the_edges_of_the_field_of_view() {
        let old = grid();
        let new = old.respaced([0.45, 1.6, 1.0], GridRule::HalfPixel).unwrap();
        let edge = |g: &Grid, high: bool| g.index_to_world(g.shape().map(|n| if high { float(n) - 0.5 } else { -0.5 }));
        assert!(distance(edge(&old, false), edge(&new, false)) < 1e-9);
        assert!(distance(edge(&old, true), edge(&new, true)) < 1e-9);
    }

    #[test]
    fn the_first_voxel_stays_and_the_last_is_the_nearest_as_monai_has_it() {
        let old = Grid::new([136, 183, 133], Affine::from_spacing([1.2, 1.2, 1.5], [0.0; 3]).unwrap()).unwrap();
        let shape = |spacing| old.respaced(spacing, GridRule::FirstVoxel).unwrap().shape();
        assert_eq!(shape([1.0; 3]), [163, 219, 199]);
        assert_eq!(shape([2.3, 2.1, 1.7]), [71, 105, 117]);
        assert_eq!(shape([500.0; 3]), [1; 3]);
    }

    #[test]
    fn a_tilted_stack_is_straightened_around_all_its_voxels() {
        // Slices that step 1.5 mm along -j for 4 mm along k, rows 3 mm apart, columns 2 mm.
        let rows = [[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 1.5, 20.0], [0.0, 0.0, 4.0, 0.0]];
        let tilted = Grid::new([6, 4, 5], Affine::from_rows(rows).unwrap()).unwrap();
        assert!(tilted.is_sheared());
        let straight = tilted.straightened().unwrap();
        assert_eq!(straight.shape(), [6, 6, 5]);
        assert_eq!(straight.spacing(), [2.0, 3.0, 4.0]);
        assert_eq!(straight.index_to_world([0.0; 3]), [10.0, 26.0, 0.0]);
        // Slices along any axis are found where they step along both others.
        let rows = [[-2.0, 0.0, 0.8, 10.0], [0.0, -3.0, 1.5, 20.0], [0.0, 0.0, 4.0, 0.0]];
        let tilted = Grid::new([6, 4, 5], Affine::from_rows(rows).unwrap()).unwrap();
        let map = tilted.orientation().to("SRP".parse().unwrap());
        let turned = tilted.mapped(map).straightened().unwrap();
        assert_eq!(turned.shape()[0], 5);
        assert!((turned.spacing()[0] - 4.0).abs() < 1e-9);
        assert!(!grid().straightened().unwrap().is_sheared());
        for corner in grid().corners() {
            let index = grid().straightened().unwrap().world_to_index(grid().index_to_world(corner));
            let shape = grid().straightened().unwrap().shape();
            assert!((0..3).all(|axis| index[axis] > -1e-5 && index[axis] < float(shape[axis] - 1) + 1e-5));
        }
    }

    #[test]
    fn a_tenth_of_the_tolerance_matches_and_ten_times_does_not() {
        let a = grid();
        let moved = |mm: f64| {
            let mut rows = a.affine().rows();
            rows[0][3] += mm;
            Grid::new(a.shape(), Affine::from_rows(rows).unwrap()).unwrap()
        };
        assert!(a.matches(&moved(1e-4 * 0.8)));
        assert!(!a.matches(&moved(1e-2 * 0.8)));
        assert_eq!(a.difference(&moved(1e-4 * 0.8)), None);
        assert_eq!(a.difference(&moved(0.25)).unwrap(), "corner voxels are up to 0.2500 mm apart");
        assert_eq!(
            a.difference(&a.resized([5, 7, 8], GridRule::HalfPixel).unwrap()).unwrap(),
            "5 x 7 x 4 and 5 x 7 x 8 voxels"
        );
    }
}
