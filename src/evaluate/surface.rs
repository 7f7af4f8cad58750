//! Surfaces of masks and the distances between them.

use rayon::prelude::*;

use super::distance::DistanceField;
use crate::error::Result;
use crate::geometry::Region;
use crate::limits::{self, Cancel};
use crate::volume::VolumeView;

/// Elements of the surface of a mask on a lattice: voxels, or corners between voxels.
pub(super) struct Surface {
    shape: [usize; 3],
    marked: Vec<bool>,
    /// Area of each marked element in scan order, in any unit; empty where all have the same.
    areas: Vec<f64>,
}

/// The voxels of one label in a box.
pub(super) struct Mask {
    shape: [usize; 3],
    inside: Vec<bool>,
}

impl Mask {
    /// Of the voxels that `holds` says, in `region`, which contains them all.
    pub(super) fn new<T: Copy>(ids: VolumeView<'_, T>, holds: impl Fn(T) -> bool, region: Region) -> Result<Self> {
        let [ni, nj, _] = ids.grid().shape();
        let mut inside = limits::reserved(region.len(), "a mask")?;
        for k in region.start[2]..region.end[2] {
            for j in region.start[1]..region.end[1] {
                let row = &ids.data()[(k * nj + j) * ni..][region.start[0]..region.end[0]];
                inside.extend(row.iter().map(|&id| holds(id)));
            }
        }
        Ok(Self { shape: region.shape(), inside })
    }

    /// True inside the mask; voxels outside the box are outside the mask.
    fn at(&self, [i, j, k]: [usize; 3]) -> bool {
        let [ni, nj, nk] = self.shape;
        i < ni && j < nj && k < nk && self.inside[(k * nj + j) * ni + i]
    }

    /// Voxels of the mask with a face neighbour that is not in it, or at the border of the volume: the mask without
    /// its erosion, as MedPy and MONAI have it.
    pub(super) fn voxel_surface(&self, cancel: &Cancel) -> Result<Surface> {
        let [ni, nj, nk] = self.shape;
        let mut marked = limits::zeroed(self.inside.len(), "a surface")?;
        for k in 0..nk {
            cancel.check()?;
            for j in 0..nj {
                let row = (k * nj + j) * ni;
                let inner = j > 0 && j + 1 < nj && k > 0 && k + 1 < nk;
                for i in 0..ni {
                    let n = row + i;
                    marked[n] = self.inside[n]
                        && !(inner
                            && i > 0
                            && i + 1 < ni
                            && [n - 1, n + 1, n - ni, n + ni, n - ni * nj, n + ni * nj]
                                .iter()
                                .all(|&m| self.inside[m]));
                }
            }
        }
        Ok(Surface { shape: self.shape, marked, areas: Vec::new() })
    }

    /// Corners between voxels, of which some of the eight around are inside and some are not, each with the area of
    /// surface around it: `area[code]`, where bit n of the code is the voxel at (n & 1, n >> 1 & 1, n >> 2).
    pub(super) fn corner_surface(&self, area: &[f64; 256], cancel: &Cancel) -> Result<Surface> {
        let shape = self.shape.map(|n| n + 1);
        let mut marked = limits::zeroed(shape.iter().product(), "a surface")?;
        let mut areas = Vec::new();
        let mut corners = marked.iter_mut();
        for k in 0..shape[2] {
            cancel.check()?;
            for j in 0..shape[1] {
                for (i, marked) in (0..shape[0]).zip(&mut corners) {
                    // Voxel index -1 wraps to one that is outside.
                    let inside =
                        |n: usize| [i + (n & 1), j + (n >> 1 & 1), k + (n >> 2)].map(|corner| corner.wrapping_sub(1));
                    let code = (0..8).filter(|&n| self.at(inside(n))).fold(0, |code, n| code | 1 << n);
                    if code != 0 && code != 255 {
                        *marked = true;
                        limits::room(&mut areas, 1, "a surface")?;
                        areas.push(area[code]);
                    }
                }
            }
        }
        Ok(Surface { shape, marked, areas })
    }
}

impl Surface {
    /// Distance in mm from each element, in scan order, to the nearest element of `other` on the same lattice.
    pub(super) fn distances_to(&self, other: &Self, spacing: [f64; 3], cancel: &Cancel) -> Result<Vec<f64>> {
        let field = DistanceField::new(&other.marked, other.shape, spacing, cancel)?;
        let ni = self.shape[0];
        let plane = ni * self.shape[1];
        let of_plane = |(k, marked): (usize, &[bool])| -> Vec<f64> {
            let elements = marked.iter().enumerate().filter(|(_, marked)| **marked);
            elements.map(|(n, _)| field.distance([n % ni, n / ni, k])).collect()
        };
        let planes = self.marked.par_chunks(plane).enumerate();
        let distances = planes.map(|plane| cancel.check().map(|()| of_plane(plane))).collect::<Result<Vec<_>>>()?;
        Ok(distances.concat())
    }
}

/// Distances between two surfaces in both directions, each with the area of its element.
pub(super) struct SurfaceDistances {
    directed: [Vec<f64>; 2],
    areas: [Vec<f64>; 2],
}

impl SurfaceDistances {
    /// Between surfaces that both have an element.
    pub(super) fn between(a: Surface, b: Surface, spacing: [f64; 3], cancel: &Cancel) -> Result<Self> {
        let directed = [a.distances_to(&b, spacing, cancel)?, b.distances_to(&a, spacing, cancel)?];
        Ok(Self { directed, areas: [a.areas, b.areas] })
    }

    /// The largest distance.
    pub(super) fn largest(&self) -> f64 {
        self.directed.iter().flatten().copied().fold(0.0, f64::max)
    }

    /// The percentile of each direction, the larger of both.
    pub(super) fn percentile_max_directed(&self, percent: f64) -> f64 {
        self.directed.iter().map(|directed| percentile(directed.clone(), percent)).fold(0.0, f64::max)
    }

    /// The percentile of both directions in one list.
    pub(super) fn percentile_pooled(&self, percent: f64) -> f64 {
        percentile(self.directed.concat(), percent)
    }

    /// The mean over both directions in one list.
    #[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
    pub(super) fn mean(&self) -> f64 {
        let [a, b] = &self.directed;
        (a.iter().sum::<f64>() + b.iter().sum::<f64>()) / (a.len() + b.len()) as f64
    }

    /// The part of both surfaces' area that is within `tolerance` mm of the other.
    pub(super) fn part_within(&self, tolerance: f64) -> f64 {
        let (mut within, mut all) = (0.0, 0.0);
        for (distances, areas) in self.directed.iter().zip(&self.areas) {
            for (n, &mm) in distances.iter().enumerate() {
                let area = areas.get(n).copied().unwrap_or(1.0);
                all += area;
                within += if mm <= tolerance { area } else { 0.0 };
            }
        }
        within / all
    }
}

/// Percentile of a list that is not empty, interpolated linearly as numpy's default.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the position is at least 0 and at most the number of values, which is below 2^53"
)]
fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    let position = (values.len() - 1) as f64 * percent / 100.0;
    let below = position as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    if above.is_empty() { low } else { low + (high - low) * (position - below as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        assert_eq!(percentile(vec![7.0], 95.0), 7.0);
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 50.0), 2.0);
        assert!((percentile(vec![0.0, 10.0, 20.0, 30.0], 95.0) - 28.5).abs() < 1e-12);
        assert_eq!(percentile(vec![4.0, 2.0], 100.0), 4.0);
    }
}
