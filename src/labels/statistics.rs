//! Size, place and intensity of every label in one pass.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::components::hull;
use super::confidence::Confidence;
use super::runs::{Run, append_runs};
use crate::error::{Error, Result};
use crate::geometry::Region;
use crate::volume::{LabelMap, Volume};

/// Intensity of the voxels of a label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Intensity {
    /// Mean.
    pub mean: f64,
    /// Standard deviation (divided by the count, not by one less).
    pub std: f64,
    /// Voxels that are NaN or infinite; mean and deviation leave them out.
    pub not_finite: u64,
}

/// One label's numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelStatistics {
    /// Id in the label map.
    pub id: u16,
    /// Name in its table.
    pub name: String,
    /// Number of voxels.
    pub voxels: u64,
    /// Volume in millilitres; the volume of a voxel includes shear.
    pub ml: f64,
    /// World position in mm (RAS+) of the mean voxel index; `None` for a label without voxels.
    pub centroid_mm: Option<[f64; 3]>,
    /// Smallest box that holds the label, in voxels; `None` for a label without voxels.
    pub bounding_box: Option<Region>,
    /// Intensity; `None` without an image, or when no voxel of the label is finite.
    pub intensity: Option<Intensity>,
    /// How sure the network was; `None` for labels that no network has just given.
    pub confidence: Option<Confidence>,
}

/// Numbers for all labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Every label of the table (also those without a voxel) and every id that occurs, in ascending order of id.
    pub labels: Vec<LabelStatistics>,
    /// Voxels that are not background.
    pub foreground_voxels: u64,
    /// Their volume in millilitres.
    pub foreground_ml: f64,
}

/// Counts, centroids, boxes and, with `image`, intensities of all labels.
///
/// Positions are summed as integers and intensities plane by plane, so the result does not depend on the number of
/// threads.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the image lies on another grid; [`crate::ErrorKind::Limit`] when the memory cannot
/// be had.
#[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
pub fn statistics(map: &LabelMap, image: Option<&Volume<f32>>) -> Result<Statistics> {
    if let Some(difference) = image.and_then(|image| image.grid().difference(map.grid())) {
        return Err(Error::usage(format!("the image and the label map lie on different grids: {difference}")));
    }
    let plane = map.grid().shape()[0] * map.grid().shape()[1];
    let planes = map.ids.data().par_chunks(plane).enumerate().map_init(Scratch::default, |scratch, (k, ids)| {
        let image = image.map(|image| &image.data()[k * plane..][..ids.len()]);
        scratch.plane(ids, image, map.grid().shape()[0], k)
    });
    let mut sums: BTreeMap<u16, Sums> = BTreeMap::new();
    for plane in planes.collect::<Result<Vec<_>>>()? {
        for (id, other) in plane {
            sums.entry(id).or_default().add(&other);
        }
    }
    for label in map.table.labels() {
        sums.entry(label.id).or_default();
    }

    let ml = |voxels: u64| voxels as f64 * map.grid().voxel_mm3() / 1000.0;
    let labels = sums.iter().map(|(&id, sums)| {
        let occurs = sums.voxels > 0;
        let centroid = sums.index.map(|sum| sum as f64 / sums.voxels as f64);
        LabelStatistics {
            id,
            name: map.table.name(id),
            voxels: sums.voxels,
            ml: ml(sums.voxels),
            centroid_mm: occurs.then(|| map.grid().index_to_world(centroid)),
            bounding_box: occurs.then_some(sums.region),
            intensity: sums.moments.intensity(sums.voxels),
            confidence: None,
        }
    });
    let foreground_voxels = sums.values().map(|sums| sums.voxels).sum();
    Ok(Statistics { labels: labels.collect(), foreground_voxels, foreground_ml: ml(foreground_voxels) })
}

/// Sums over voxels of one label.
#[derive(Debug, Clone)]
struct Sums {
    voxels: u64,
    index: [u64; 3],
    region: Region,
    moments: Moments,
}

impl Default for Sums {
    fn default() -> Self {
        let region = Region::new([usize::MAX; 3], [0; 3]);
        Self { voxels: 0, index: [0; 3], region, moments: Moments::default() }
    }
}

impl Sums {
    fn add_run(&mut self, run: Run, j: usize, k: usize) {
        let len = run.len() as u64;
        self.voxels += len;
        // The sum of start..end is exact: of its two factors one is even.
        self.index[0] += len * (u64::from(run.start) + u64::from(run.end) - 1) / 2;
        self.index[1] += len * j as u64;
        self.index[2] += len * k as u64;
        self.region = hull(self.region, run, j, k);
    }

    fn add(&mut self, other: &Self) {
        self.voxels += other.voxels;
        for axis in 0..3 {
            self.index[axis] += other.index[axis];
            self.region.start[axis] = self.region.start[axis].min(other.region.start[axis]);
            self.region.end[axis] = self.region.end[axis].max(other.region.end[axis]);
        }
        self.moments.add(&other.moments);
    }
}

/// Count, mean and sum of squared deviations, joined as in Chan, Golub, LeVeque, "Updating formulae and a pairwise
/// algorithm for computing sample variances", 1979.
#[derive(Debug, Clone, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

#[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
impl Moments {
    /// Of the finite values.
    fn of(values: &[f32]) -> Self {
        let finite = || values.iter().filter(|value| value.is_finite()).map(|&value| f64::from(value));
        let (count, sum) = finite().fold((0, 0.0), |(count, sum), value| (count + 1, sum + value));
        if count == 0 {
            return Self::default();
        }
        let mean = sum / count as f64;
        Self { count, mean, squares: finite().map(|value| (value - mean) * (value - mean)).sum() }
    }

    fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let count = self.count + other.count;
        let (difference, share) = (other.mean - self.mean, other.count as f64 / count as f64);
        self.squares += other.squares + difference * difference * self.count as f64 * share;
        self.mean += difference * share;
        self.count = count;
    }

    /// `None` when there is no finite value.
    fn intensity(&self, voxels: u64) -> Option<Intensity> {
        let std = (self.squares / self.count as f64).sqrt();
        (self.count > 0).then(|| Intensity { mean: self.mean, std, not_finite: voxels - self.count })
    }
}

/// Runs of a row, and where each id's sums are in the list of a plane; used again for the next plane.
#[derive(Default)]
struct Scratch {
    runs: Vec<Run>,
    slots: Vec<usize>,
}

impl Scratch {
    /// The sums of the labels that occur in plane k.
    fn plane(&mut self, ids: &[u16], image: Option<&[f32]>, ni: usize, k: usize) -> Result<Vec<(u16, Sums)>> {
        const NONE: usize = usize::MAX;
        self.slots.resize(1 << 16, NONE);
        let mut sums: Vec<(u16, Sums)> = Vec::new();
        for (j, row) in ids.chunks_exact(ni).enumerate() {
            self.runs.clear();
            append_runs(row, |id| id, &mut self.runs)?;
            for &run in &self.runs {
                let slot = &mut self.slots[usize::from(run.class)];
                if *slot == NONE {
                    *slot = sums.len();
                    sums.push((run.class, Sums::default()));
                }
                let sums = &mut sums[*slot].1;
                sums.add_run(run, j, k);
                if let Some(image) = image {
                    sums.moments.add(&Moments::of(&image[j * ni..][run.range()]));
                }
            }
        }
        for (id, _) in &sums {
            self.slots[usize::from(*id)] = NONE;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};
    use crate::volume::{Label, LabelTable};
    use proptest::prelude::*;

    fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    fn sheared(shape: [usize; 3]) -> Grid {
        let rows = [[-0.9, 0.02, 0.1, 12.0], [0.1, 0.05, -3.0, -40.0], [0.05, 0.8, 0.3, 7.5]];
        Grid::new(shape, Affine::from_rows(rows).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_a_walk_over_voxels_for_any_number_of_threads(
            shape in [1_usize..80, 1_usize..6, 1_usize..6],
            seed in any::<u32>(),
        ) {
            let voxels = shape.iter().product::<usize>();
            let noise = |n: usize| (u32::try_from(n).unwrap() ^ seed).wrapping_mul(0x9E37_79B1) >> 16;
            let ids: Vec<u16> = (0..voxels).map(|n| [0, 0, 1, 5, 900][noise(n / 3) as usize % 5]).collect();
            let values: Vec<f32> = (0..voxels).map(|n| 1e5 + noise(n * 7 + 1) as f32 / 300.0).collect();
            let map = LabelMap::new(Volume::new(sheared(shape), ids).unwrap(), LabelTable::default());
            let image = Volume::new(sheared(shape), values).unwrap();
            let found = on_threads(1, || statistics(&map, Some(&image))).unwrap();
            for threads in [2, 8] {
                prop_assert_eq!(&on_threads(threads, || statistics(&map, Some(&image))).unwrap(), &found);
            }
            for label in &found.labels {
                let inside: Vec<_> = map.ids.view().indexed_iter().filter(|(_, id)| **id == label.id)
                    .map(|((i, j, k), _)| ([i, j, k], f64::from(image.view()[[i, j, k]]))).collect();
                prop_assert_eq!(label.voxels, inside.len() as u64);
                let count = inside.len() as f64;
                let mean = inside.iter().map(|(_, v)| v).sum::<f64>() / count;
                let variance = inside.iter().map(|(_, v)| (v - mean) * (v - mean)).sum::<f64>() / count;
                let intensity = label.intensity.unwrap();
                prop_assert!((intensity.mean - mean).abs() < 1e-8);
                prop_assert!((intensity.std - variance.sqrt()).abs() < 1e-7);
                let centre = [0, 1, 2].map(|axis| inside.iter().map(|(at, _)| at[axis] as f64).sum::<f64>() / count);
                let mm = map.grid().index_to_world(centre);
                let centroid = label.centroid_mm.unwrap();
                prop_assert!((0..3).all(|axis| (mm[axis] - centroid[axis]).abs() < 1e-9));
                let region = label.bounding_box.unwrap();
                for axis in 0..3 {
                    prop_assert_eq!(region.start[axis], inside.iter().map(|(at, _)| at[axis]).min().unwrap());
                    prop_assert_eq!(region.end[axis], inside.iter().map(|(at, _)| at[axis]).max().unwrap() + 1);
                }
            }
            prop_assert_eq!(found.foreground_voxels, map.ids.data().iter().filter(|&&id| id != 0).count() as u64);
        }
    }

    #[test]
    fn absent_labels_are_listed_and_infinite_voxels_are_left_out_and_counted() {
        let grid = Grid::new([4, 1, 1], Affine::from_spacing([2.0, 1.0, 5.0], [0.0; 3]).unwrap()).unwrap();
        let label = |id| Label { id, name: format!("part {id}"), rgb: [0; 3], code: None };
        let table = LabelTable::new([2, 3].map(label).to_vec()).unwrap();
        let map = LabelMap::new(Volume::new(grid, vec![2, 2, 2, 9]).unwrap(), table);
        let image = Volume::new(grid, vec![1.0, f32::NAN, 5.0, f32::INFINITY]).unwrap();
        let found = statistics(&map, Some(&image)).unwrap();
        let names: Vec<_> = found.labels.iter().map(|l| (l.id, l.name.as_str(), l.voxels)).collect();
        assert_eq!(names, [(2, "part 2", 3), (3, "part 3", 0), (9, "label 9", 1)]);
        assert_eq!(found.labels[0].intensity, Some(Intensity { mean: 3.0, std: 2.0, not_finite: 1 }));
        assert_eq!((found.labels[1].centroid_mm, found.labels[2].intensity), (None, None));
        assert_eq!((found.foreground_voxels, found.foreground_ml), (4, 0.04));
        let other = Volume::new(Grid::new([4, 1, 1], Affine::identity()).unwrap(), vec![0.0; 4]).unwrap();
        assert_eq!(statistics(&map, Some(&other)).unwrap_err().kind(), crate::ErrorKind::Usage);
    }
}
