//! Connected components, kept as runs.
//!
//! Components are numbered from 1 by their first voxel in i-fastest scan order, as cc3d numbers a Fortran-ordered array
//! and `scipy.ndimage.label` the transposed view of it.

use std::iter::{Copied, Zip};
use std::slice;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::forest::{Forest, range};
use super::runs::{LabelId, Run};
use crate::error::{Error, Result};
use crate::geometry::{Grid, Region};
use crate::limits::{self, Cancel};
use crate::volume::{Volume, VolumeView};

/// Which neighbours of a voxel are connected with it. In a file it is the number 6, 18 or 26.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Connectivity {
    /// Neighbours that share a face.
    Six,
    /// Neighbours that share a face or an edge.
    Eighteen,
    /// Neighbours that share a face, an edge or a corner.
    #[default]
    TwentySix,
}

impl TryFrom<u8> for Connectivity {
    type Error = Error;

    fn try_from(neighbours: u8) -> Result<Self> {
        match neighbours {
            6 => Ok(Self::Six),
            18 => Ok(Self::Eighteen),
            26 => Ok(Self::TwentySix),
            other => Err(Error::usage(format!("a connectivity of {other} is not known")).hint("take 6, 18 or 26")),
        }
    }
}

impl From<Connectivity> for u8 {
    fn from(connectivity: Connectivity) -> Self {
        match connectivity {
            Connectivity::Six => 6,
            Connectivity::Eighteen => 18,
            Connectivity::TwentySix => 26,
        }
    }
}

/// One connected component.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Component {
    /// Number from 1.
    pub number: u32,
    /// The id (or class) that its voxels share.
    pub label: u16,
    /// Number of voxels.
    pub voxels: u64,
    /// Smallest box that holds it, in voxels.
    pub bounding_box: Region,
    /// Mean voxel index (i, j, k).
    pub centroid_index: [f64; 3],
    /// World position in mm (RAS+) of the centroid.
    pub centroid_mm: [f64; 3],
}

/// The connected components of a label volume as runs; no voxel is painted until [`Components::paint`].
#[derive(Debug, Clone)]
pub struct Components {
    grid: Grid,
    runs: Vec<Run>,
    /// `runs[rows[r]..rows[r + 1]]` lie in row r = j + nj * k.
    rows: Vec<u32>,
    /// Component number of each run.
    numbers: Vec<u32>,
    count: u32,
}

impl Components {
    /// Components of voxels with equal id; 0 is background. Works for masks and for maps of many labels alike.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] for 2^32 voxels or more, or when the memory cannot be had.
    pub fn new<'a, T: LabelId + 'a>(ids: impl Into<VolumeView<'a, T>>, connectivity: Connectivity) -> Result<Self> {
        Self::by_class(ids, connectivity, |id| id)
    }

    /// Components of voxels with equal *class*, where `class` maps an id to its class and class 0 belongs to none.
    ///
    /// `|id| u16::from(id != 0)` joins all labels, `|id| u16::from(id == 0)` finds the components of the background.
    ///
    /// # Errors
    /// As [`Components::new`].
    pub fn by_class<'a, T: LabelId + 'a>(
        ids: impl Into<VolumeView<'a, T>>,
        connectivity: Connectivity,
        class: impl Fn(u16) -> u16 + Sync,
    ) -> Result<Self> {
        Self::by_class_until(ids.into(), connectivity, class, &Cancel::new())
    }

    /// As [`Components::by_class`], stopped by `cancel` within a plane.
    ///
    /// # Errors
    /// As [`Components::new`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
    pub fn by_class_until<T: LabelId>(
        ids: VolumeView<'_, T>,
        connectivity: Connectivity,
        class: impl Fn(u16) -> u16 + Sync,
        cancel: &Cancel,
    ) -> Result<Self> {
        let grid = *ids.grid();
        if u32::try_from(grid.voxels()).is_err() {
            return Err(Error::limit(format!("components of {} voxels cannot be numbered in 32 bits", grid.voxels())));
        }
        let forest = Forest::new(ids.data(), grid.shape(), connectivity, &class, cancel)?;
        let (numbers, count) = forest.numbers()?;
        let Forest { runs, rows, .. } = forest;
        Ok(Self { grid, runs, rows, numbers, count })
    }

    /// How many components there are; they are numbered 1 to this.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Where the voxels are.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Voxels of each component; index 0 belongs to component 1.
    #[must_use]
    pub fn voxels(&self) -> Vec<u64> {
        let mut voxels = vec![0; self.count as usize];
        for (run, &number) in self.runs.iter().zip(&self.numbers) {
            voxels[number as usize - 1] += run.len() as u64;
        }
        voxels
    }

    /// The id (or class) of each component; index 0 belongs to component 1.
    #[must_use]
    pub fn labels(&self) -> Vec<u16> {
        let mut labels = vec![0; self.count as usize];
        for (run, &number) in self.runs.iter().zip(&self.numbers) {
            labels[number as usize - 1] = run.class;
        }
        labels
    }

    /// Size, box and centroid of every component, in the order of their numbers.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    #[expect(clippy::cast_precision_loss, reason = "sums of indices are below 2^53 for any volume that fits in memory")]
    pub fn table(&self) -> Result<Vec<Component>> {
        let empty = Component {
            number: 0,
            label: 0,
            voxels: 0,
            bounding_box: Region::new([usize::MAX; 3], [0; 3]),
            centroid_index: [0.0; 3],
            centroid_mm: [0.0; 3],
        };
        let mut table = limits::reserved(self.count as usize, "a table of components")?;
        table.resize(self.count as usize, empty);
        let mut sums: Vec<[u64; 3]> = limits::zeroed(self.count as usize, "a table of components")?;
        for (j, k, runs) in self.by_row() {
            for (run, number) in runs {
                let at = number as usize - 1;
                let (component, sum, len) = (&mut table[at], &mut sums[at], run.len() as u64);
                component.label = run.class;
                component.voxels += len;
                component.bounding_box = hull(component.bounding_box, run, j, k);
                // The sum of start..end is exact: of its two factors one is even.
                sum[0] += len * (u64::from(run.start) + u64::from(run.end) - 1) / 2;
                sum[1] += len * j as u64;
                sum[2] += len * k as u64;
            }
        }
        for ((component, sum), number) in table.iter_mut().zip(sums).zip(1..) {
            component.number = number;
            component.centroid_index = sum.map(|sum| sum as f64 / component.voxels as f64);
            component.centroid_mm = self.grid.index_to_world(component.centroid_index);
        }
        Ok(table)
    }

    /// Numbers as voxels: 0 for background, else the component's number.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when a number does not fit into `T`, or when the memory cannot be had.
    pub fn paint<T>(&self) -> Result<Volume<T>>
    where
        T: TryFrom<u32> + Copy + Default + Send + Sync,
    {
        self.paint_until(&Cancel::new())
    }

    /// As [`Components::paint`], stopped by `cancel` within a row.
    ///
    /// # Errors
    /// As [`Components::paint`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
    pub fn paint_until<T>(&self, cancel: &Cancel) -> Result<Volume<T>>
    where
        T: TryFrom<u32> + Copy + Default + Send + Sync,
    {
        self.paint_as(1..=self.count, cancel)
    }

    /// As [`Components::paint`] with other numbers: the first of `numbers` is for component 1, and so on.
    pub(super) fn paint_as<T>(&self, numbers: impl Iterator<Item = u32>, cancel: &Cancel) -> Result<Volume<T>>
    where
        T: TryFrom<u32> + Copy + Default + Send + Sync,
    {
        let mut values: Vec<T> = limits::reserved(self.count as usize, "the numbers of components")?;
        for number in numbers {
            values.push(T::try_from(number).map_err(|_| self.too_many(size_of::<T>()))?);
        }
        let mut painted = Volume::zeros(self.grid)?;
        self.edit_rows(&mut painted, |row, runs| {
            for (run, number) in runs.filter(|_| !cancel.is_cancelled()) {
                row[run.range()].fill(values[number as usize - 1]);
            }
        });
        cancel.check()?;
        Ok(painted)
    }

    fn too_many(&self, bytes: usize) -> Error {
        Error::limit(format!("{} objects do not fit into {} bits", self.count, 8 * bytes))
            .hint("write 32-bit numbers, or drop small objects first")
    }

    /// Calls `edit` with each row of a volume on the same grid, and the row's runs with their component numbers.
    ///
    /// Rows are visited in parallel.
    pub(super) fn edit_rows<T: Send>(&self, volume: &mut Volume<T>, edit: impl Fn(&mut [T], RowRuns<'_>) + Sync) {
        let ni = self.grid.shape()[0];
        volume.data_mut().par_chunks_mut(ni).with_min_len(256).enumerate().for_each(|(row, voxels)| {
            edit(voxels, self.row(row));
        });
    }

    /// `(j, k, runs)` for every row in scan order; a run comes with its component number.
    pub(super) fn by_row(&self) -> impl Iterator<Item = (usize, usize, RowRuns<'_>)> {
        let nj = self.grid.shape()[1];
        (0..self.rows.len() - 1).map(move |row| (row % nj, row / nj, self.row(row)))
    }

    /// The runs of row j + nj * k.
    pub(super) fn row(&self, row: usize) -> RowRuns<'_> {
        let range = range(&self.rows, row);
        self.runs[range.clone()].iter().copied().zip(self.numbers[range].iter().copied())
    }
}

/// The runs of a row with their component numbers.
pub(super) type RowRuns<'a> = Zip<Copied<slice::Iter<'a, Run>>, Copied<slice::Iter<'a, u32>>>;

/// The box `region` grown to hold a run of row (j, k).
pub(super) fn hull(region: Region, run: Run, j: usize, k: usize) -> Region {
    let (low, high) = ([run.start as usize, j, k], [run.end as usize, j + 1, k + 1]);
    Region::new(
        [0, 1, 2].map(|axis| region.start[axis].min(low[axis])),
        [0, 1, 2].map(|axis| region.end[axis].max(high[axis])),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Affine;
    use proptest::prelude::*;

    fn volume(shape: [usize; 3], ids: Vec<u16>) -> Volume<u16> {
        let affine = Affine::from_spacing([1.0, 2.0, 3.0], [10.0, 0.0, 0.0]).unwrap();
        Volume::new(Grid::new(shape, affine).unwrap(), ids).unwrap()
    }

    fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    /// The definition: flood fill from each voxel that has no number yet, in scan order.
    fn flood(shape: [usize; 3], ids: &[u16], connectivity: Connectivity) -> Vec<u32> {
        let at = |[i, j, k]: [usize; 3]| i + shape[0] * (j + shape[1] * k);
        let furthest = [6, 18, 26].iter().position(|&n| n == u8::from(connectivity)).unwrap() + 1;
        let mut numbers = vec![0; ids.len()];
        let mut count = 0;
        for start in 0..ids.len() {
            if ids[start] == 0 || numbers[start] != 0 {
                continue;
            }
            count += 1;
            numbers[start] = count;
            let mut open = vec![[start % shape[0], start / shape[0] % shape[1], start / shape[0] / shape[1]]];
            while let Some(voxel) = open.pop() {
                for step in 0..27 {
                    let offset = [step % 3, step / 3 % 3, step / 9];
                    let next = [0, 1, 2].map(|axis| (voxel[axis] + offset[axis]).wrapping_sub(1));
                    let steps = offset.iter().filter(|&&o| o != 1).count();
                    if steps > furthest || (0..3).any(|axis| next[axis] >= shape[axis]) {
                        continue;
                    }
                    if ids[at(next)] == ids[start] && numbers[at(next)] == 0 {
                        numbers[at(next)] = count;
                        open.push(next);
                    }
                }
            }
        }
        numbers
    }

    /// Shapes with axes of one voxel, and rows longer than the blocks that runs are found in, of short and of long runs.
    fn cases() -> impl Strategy<Value = ([usize; 3], Vec<u16>)> {
        let shape = prop_oneof![[1_usize..9, 1_usize..9, 1_usize..9], [60_usize..140, 1_usize..4, 1_usize..4]];
        let longest = prop_oneof![Just(1_usize), Just(20), Just(150)];
        (shape, 1_u16..4, 1_u16..6, longest).prop_flat_map(|(shape, labels, zeros, longest)| {
            let id = (0..labels + zeros).prop_map(move |n| n.saturating_sub(zeros - 1));
            let voxels = shape.iter().product::<usize>();
            let run = (id, 1..=longest).prop_map(|(id, len)| vec![id; len]);
            let ids = prop::collection::vec(run, voxels)
                .prop_map(move |runs| runs.into_iter().flatten().take(voxels).collect());
            (Just(shape), ids)
        })
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_a_flood_fill_for_any_number_of_threads((shape, ids) in cases()) {
            let volume = volume(shape, ids);
            for connectivity in [Connectivity::Six, Connectivity::Eighteen, Connectivity::TwentySix] {
                let wanted = flood(shape, volume.data(), connectivity);
                for threads in [1, 2, 8] {
                    let components = on_threads(threads, || Components::new(&volume, connectivity)).unwrap();
                    let painted = components.paint::<u32>().unwrap();
                    prop_assert_eq!(painted.data(), &wanted);
                }
            }
        }

        #[test]
        fn the_table_is_that_of_the_painted_voxels((shape, ids) in cases()) {
            let volume = volume(shape, ids);
            let components = Components::new(&volume, Connectivity::TwentySix).unwrap();
            let numbers = components.paint::<u32>().unwrap();
            let table = components.table().unwrap();
            prop_assert_eq!(table.len(), components.count() as usize);
            prop_assert_eq!(components.voxels(), table.iter().map(|c| c.voxels).collect::<Vec<_>>());
            prop_assert_eq!(components.labels(), table.iter().map(|c| c.label).collect::<Vec<_>>());
            for component in table {
                let voxels: Vec<_> = numbers.view().indexed_iter()
                    .filter(|(_, n)| **n == component.number)
                    .map(|((i, j, k), _)| [i, j, k])
                    .collect();
                prop_assert_eq!(component.voxels, voxels.len() as u64);
                for axis in 0..3 {
                    let along = || voxels.iter().map(|voxel| voxel[axis]);
                    prop_assert_eq!(component.bounding_box.start[axis], along().min().unwrap());
                    prop_assert_eq!(component.bounding_box.end[axis], along().max().unwrap() + 1);
                    let mean = along().sum::<usize>() as f64 / voxels.len() as f64;
                    prop_assert!((component.centroid_index[axis] - mean).abs() < 1e-9);
                }
                prop_assert_eq!(volume.view()[voxels[0]], component.label);
            }
        }
    }

    #[test]
    fn classes_join_labels_and_centroids_are_in_mm() {
        let volume = volume([4, 1, 2], vec![1, 2, 0, 3, 0, 0, 0, 3]);
        assert_eq!(Components::new(&volume, Connectivity::Six).unwrap().count(), 3);
        let joined = Components::by_class(&volume, Connectivity::Six, |id| u16::from(id != 0)).unwrap();
        let table = joined.table().unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(table[0].centroid_index, [0.5, 0.0, 0.0]);
        assert_eq!(table[1].centroid_mm, [13.0, 0.0, 1.5]);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let ids = (0..600).map(|n| n % 2).collect();
        let components = Components::new(&volume([600, 1, 1], ids), Connectivity::Six).unwrap();
        assert_eq!(components.count(), 300);
        assert_eq!(components.paint::<u8>().unwrap_err().kind(), crate::ErrorKind::Limit);
        assert_eq!(components.paint::<u16>().unwrap().data()[599], 300);
    }

    #[test]
    fn a_connectivity_is_written_as_its_number() {
        assert_eq!(serde_json::to_string(&Connectivity::Eighteen).unwrap(), "18");
        assert_eq!(serde_json::from_str::<Connectivity>("6").unwrap(), Connectivity::Six);
        assert!(serde_json::from_str::<Connectivity>("7").unwrap_err().to_string().contains("connectivity of 7"));
    }
}
