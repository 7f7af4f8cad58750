//! Which planes are shown, and their voxels in the picture's own order.

use rayon::prelude::*;

use super::Convention;
use crate::error::Result;
use crate::geometry::{AxisMap, Direction, Orientation};
use crate::limits;
use crate::volume::{LabelMap, Volume};

/// How many voxels each label has, and how many foreground voxels each plane across i, j and k.
pub(super) struct Tally {
    /// By label id; the background's entry means nothing, as rows without a label are skipped.
    pub(super) voxels: Vec<u64>,
    profiles: [Vec<u64>; 3],
}

impl Tally {
    pub(super) fn of(labels: &LabelMap) -> Self {
        let [ni, nj, nk] = labels.grid().shape();
        let empty = || Self { voxels: vec![0; 1], profiles: [vec![0; ni], vec![0; nj], vec![0; nk]] };
        let planes = labels.ids.data().par_chunks(ni * nj).enumerate();
        planes
            .fold(empty, |mut tally, (k, plane)| {
                tally.add_plane(k, plane, ni);
                tally
            })
            .reduce(empty, Self::plus)
    }

    fn add_plane(&mut self, k: usize, plane: &[u16], ni: usize) {
        for (j, row) in plane.chunks_exact(ni).enumerate() {
            let largest = row.iter().copied().max().map_or(0, usize::from);
            if largest == 0 {
                continue;
            }
            if self.voxels.len() <= largest {
                self.voxels.resize(largest + 1, 0);
            }
            let mut foreground = 0;
            for (&id, profile) in row.iter().zip(&mut self.profiles[0]) {
                self.voxels[usize::from(id)] += 1;
                *profile += u64::from(id != 0);
                foreground += u64::from(id != 0);
            }
            self.profiles[1][j] += foreground;
            self.profiles[2][k] += foreground;
        }
    }

    fn plus(mut self, mut other: Self) -> Self {
        if self.voxels.len() < other.voxels.len() {
            std::mem::swap(&mut self.voxels, &mut other.voxels);
        }
        let add = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        add(&mut self.voxels, &other.voxels);
        self.profiles.iter_mut().zip(&other.profiles).for_each(|(to, from)| add(to, from));
        self
    }
}

/// A volume and its labels as if stored in RAS, without moving them.
pub(super) struct Stack<'a> {
    image: &'a [f32],
    ids: &'a [u16],
    map: AxisMap,
    stride: [usize; 3],
    /// Voxels along x, y, z.
    pub(super) shape: [usize; 3],
    /// mm along x, y, z.
    pub(super) spacing: [f64; 3],
}

impl<'a> Stack<'a> {
    pub(super) fn new(image: &'a Volume<f32>, labels: &'a LabelMap) -> Self {
        let (old, spacing) = (image.grid().shape(), image.grid().spacing());
        let map = image.grid().orientation().to(Orientation::RAS);
        Self {
            image: image.data(),
            ids: labels.ids.data(),
            map,
            stride: map.from.map(|axis| old[..axis].iter().product()),
            shape: map.shape(old),
            spacing: map.from.map(|axis| spacing[axis]),
        }
    }

    /// Index along x, y, z to the stored index i, j, k.
    pub(super) fn stored(&self, index: [usize; 3]) -> [usize; 3] {
        let mut stored = [0; 3];
        for (axis, &n) in index.iter().enumerate() {
            stored[self.map.from[axis]] = self.turned(axis, n);
        }
        stored
    }

    /// The voxel nearest to a continuous stored index, along x, y, z.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis, NaN becomes 0")]
    pub(super) fn nearest(&self, stored: [f64; 3]) -> [usize; 3] {
        [0, 1, 2].map(|axis| {
            let at = stored[self.map.from[axis]].round().clamp(0.0, (self.shape[axis] - 1) as f64);
            self.turned(axis, at as usize)
        })
    }

    fn turned(&self, axis: usize, n: usize) -> usize {
        if self.map.flip[axis] { self.shape[axis] - 1 - n } else { n }
    }

    /// Where planes cross, along x, y, z: the plane nearest to the labels' centroid that holds any; the middle where
    /// there are no labels.
    pub(super) fn crossing(&self, tally: &Tally) -> [usize; 3] {
        [0, 1, 2].map(|axis| {
            let n = self.shape[axis];
            let profile = |at: usize| tally.profiles[self.map.from[axis]][self.turned(axis, at)];
            let (mut count, mut sum) = (0_u128, 0_u128);
            for at in 0..n {
                count += u128::from(profile(at));
                sum += u128::from(profile(at)) * at as u128;
            }
            let distance = |at: usize| (at as u128 * count).abs_diff(sum);
            (0..n).filter(|&at| profile(at) > 0).min_by_key(|&at| distance(at)).unwrap_or(n / 2)
        })
    }

    /// The plane across `kind`'s axis at `index`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub(super) fn plane(&self, kind: Kind, index: usize, convention: Convention) -> Result<Plane> {
        let (horizontal, mirrored) = kind.horizontal(convention);
        let vertical = kind.vertical();
        let (width, height) = (self.shape[horizontal], self.shape[vertical]);
        let mut plane = Plane {
            kind,
            width,
            height,
            mm: [self.spacing[horizontal], self.spacing[vertical]],
            left: Direction::from_world(horizontal, mirrored).letter(),
            right: Direction::from_world(horizontal, !mirrored).letter(),
            top: Direction::from_world(vertical, true).letter(),
            bottom: Direction::from_world(vertical, false).letter(),
            values: limits::reserved(width * height, "a plane of the picture")?,
            ids: limits::reserved(width * height, "a plane of the picture")?,
        };
        let offset = |axis: usize, n: usize| self.turned(axis, n) * self.stride[axis];
        let base = offset(kind.across(), index);
        for row in (0..height).rev() {
            let row = base + offset(vertical, row);
            for column in 0..width {
                let at = row + offset(horizontal, if mirrored { width - 1 - column } else { column });
                plane.values.push(self.image[at]);
                plane.ids.push(self.ids[at]);
            }
        }
        Ok(plane)
    }
}

/// The three planes of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Axial,
    Coronal,
    Sagittal,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Axial, Self::Coronal, Self::Sagittal];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Coronal => "coronal",
            Self::Sagittal => "sagittal",
        }
    }

    /// The world axis that the plane is perpendicular to.
    pub(super) fn across(self) -> usize {
        match self {
            Self::Axial => 2,
            Self::Coronal => 1,
            Self::Sagittal => 0,
        }
    }

    /// The world axis that runs from left to right in the picture, and whether it does so downwards: a sagittal plane
    /// has the face on the left in both conventions.
    pub(super) fn horizontal(self, convention: Convention) -> (usize, bool) {
        match self {
            Self::Axial | Self::Coronal => (0, convention == Convention::Radiological),
            Self::Sagittal => (1, true),
        }
    }

    /// The world axis that runs upwards in the picture.
    pub(super) fn vertical(self) -> usize {
        if self == Self::Axial { 1 } else { 2 }
    }
}

/// One plane in the picture's order: left to right, top to bottom.
pub(super) struct Plane {
    pub(super) kind: Kind,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Size of a voxel in mm, horizontally and vertically.
    pub(super) mm: [f64; 2],
    pub(super) left: char,
    pub(super) right: char,
    pub(super) top: char,
    pub(super) bottom: char,
    pub(super) values: Vec<f32>,
    pub(super) ids: Vec<u16>,
}

impl Plane {
    /// Width and height in mm.
    pub(super) fn extent(&self) -> [f64; 2] {
        [self.width as f64 * self.mm[0], self.height as f64 * self.mm[1]]
    }
}

/// The values at two percentiles of the finite voxels among these, lower rank, no interpolation.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank below the number of voxels")]
pub(super) fn window<'a>(values: impl Iterator<Item = &'a f32>, percentiles: [f64; 2]) -> [f32; 2] {
    let mut values: Vec<f32> = values.copied().filter(|v| v.is_finite()).collect();
    let Some(last) = values.len().checked_sub(1) else { return [0.0, 1.0] };
    let [low, high] = percentiles.map(|p| {
        let rank = (p.clamp(0.0, 100.0) / 100.0 * last as f64) as usize;
        *values.select_nth_unstable_by(rank, f32::total_cmp).1
    });
    if low < high { [low, high] } else { [low, low + 1.0] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};
    use crate::volume::LabelTable;

    const SHAPE: [usize; 3] = [6, 7, 8];

    fn study(labeled: &[([usize; 3], u16)]) -> (Volume<f32>, LabelMap) {
        let grid = Grid::new(SHAPE, Affine::from_spacing([1.0, 2.0, 3.0], [-3.0, 4.0, 5.0]).unwrap()).unwrap();
        let mut ids = Volume::<u16>::zeros(grid).unwrap();
        labeled.iter().for_each(|&([i, j, k], id)| ids.view_mut()[[i, j, k]] = id);
        (Volume::zeros(grid).unwrap(), LabelMap::new(ids, LabelTable::default()))
    }

    fn orientations() -> Vec<Orientation> {
        let axes = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let all = axes.into_iter().flat_map(|a| (0..8).map(move |signs| (a, signs)));
        all.map(|(a, signs)| {
            Orientation::new([0, 1, 2].map(|n| Direction::from_world(a[n], signs >> n & 1 == 1))).unwrap()
        })
        .collect()
    }

    #[test]
    fn a_label_lies_at_the_letters_of_its_side_in_every_orientation_and_convention() {
        // The grid is RAS, so this voxel is at the patient's left, front and top.
        let (image, labels) = study(&[([1, 5, 6], 3)]);
        let mut seen = 0;
        for orientation in orientations() {
            let image = image.reoriented(orientation);
            let labels = LabelMap::new(labels.ids.reoriented(orientation), LabelTable::default());
            let stack = Stack::new(&image, &labels);
            assert_eq!((stack.shape, stack.spacing), (SHAPE, [1.0, 2.0, 3.0]));
            assert_eq!(stack.crossing(&Tally::of(&labels)), [1, 5, 6]);
            assert_eq!(stack.nearest(image.grid().world_to_index([-1.9, 13.2, 24.0])), [1, 5, 6]);
            assert_eq!(stack.nearest(image.grid().world_to_index([-1e9, 1e9, 5.0])), [0, 6, 0]);
            for convention in [Convention::Radiological, Convention::Neurological] {
                for kind in Kind::ALL {
                    let plane = stack.plane(kind, [1, 5, 6][kind.across()], convention).unwrap();
                    let at = plane.ids.iter().position(|&id| id == 3).unwrap();
                    let side = if at % plane.width < plane.width / 2 { plane.left } else { plane.right };
                    let end = if at / plane.width < plane.height / 2 { plane.top } else { plane.bottom };
                    let wanted =
                        [('L', 'A'), ('L', 'S'), ('A', 'S')][Kind::ALL.iter().position(|&k| k == kind).unwrap()];
                    assert_eq!((side, end), wanted, "{orientation} {convention:?} {kind:?}");
                    let right = [plane.left, plane.right].iter().position(|&letter| letter == 'R');
                    let documented = usize::from(convention == Convention::Neurological);
                    assert!(right.is_none_or(|place| place == documented));
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 48 * 6);
    }

    #[test]
    fn planes_cross_at_the_centroid_or_the_nearest_plane_with_a_label() {
        let (image, labels) = study(&[([1, 1, 1], 1), ([1, 1, 2], 1), ([1, 1, 3], 9), ([5, 6, 1], 9)]);
        let tally = Tally::of(&labels);
        // The mean is (2, 2.25, 1.75): there is no label at x = 2 or y = 2.
        assert_eq!(Stack::new(&image, &labels).crossing(&tally), [1, 1, 2]);
        assert_eq!((tally.voxels[1], tally.voxels[9], tally.voxels.len()), (2, 2, 10));
        let (image, labels) = study(&[]);
        assert_eq!(Stack::new(&image, &labels).crossing(&Tally::of(&labels)), [3, 3, 4]);
    }

    #[test]
    fn the_window_is_that_of_the_finite_voxels() {
        let (mut image, labels) = study(&[]);
        image.data_mut().iter_mut().zip(0_u16..).for_each(|(value, n)| *value = f32::from(n % 42));
        let plane =
            |image: &Volume<f32>| Stack::new(image, &labels).plane(Kind::Axial, 4, Convention::Radiological).unwrap();
        assert_eq!(window(plane(&image).values.iter(), [0.0, 100.0]), [0.0, 41.0]);
        assert_eq!(window(plane(&image).values.iter(), [10.0, 50.0]), [4.0, 20.0]);
        image.data_mut().fill(f32::NAN);
        assert_eq!(window(plane(&image).values.iter(), [0.5, 99.5]), [0.0, 1.0]);
        image.data_mut().fill(7.0);
        assert_eq!(window(plane(&image).values.iter(), [0.5, 99.5]), [7.0, 8.0]);
    }
}
