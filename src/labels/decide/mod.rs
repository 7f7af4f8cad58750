//! Labels decided on the target grid from scores on the working grid, slab by slab.
//!
//! A network gives scores for C classes on its working grid. What is wanted is a label for every voxel of the target
//! grid: the class whose *interpolated* score is largest. [`Decider`] takes the scores as planes along the working grid's
//! slowest axis and decides each target voxel as soon as the planes around it are there. It holds one plane of scores
//! between slabs, whatever the orientation of the two grids: memory is O(C x plane), not O(C x volume).
//!
//! **Corner shortcut.** Trilinear interpolation is a convex combination. Where one class wins at all eight corners of a
//! cell it wins everywhere within, so only cells whose corners disagree are interpolated. The decision is the rule applied
//! to the interpolated scores in every voxel; ties go to the lowest class.
//!
//! **Classes that cannot win.** Interpolated scores do not exceed the largest score around. A class whose largest score in
//! the four rows around a target row stays below what other classes reach in each undecided voxel is passed over.

mod aligned;
mod appearance;
mod edges;
mod mixed;
mod oblique;
mod plane;
mod rule;
mod surroundings;
mod taps;
mod target;
mod window;

pub use edges::{EdgeDecider, EdgeOptions};
pub use plane::DecidedPlane;
pub use rule::{DecideOptions, Interpolation, Rule};

use crate::error::{Error, Result};
use crate::geometry::{AlignedMap, Grid};
use crate::limits;
use crate::resample::Outside;
use crate::volume::Volume;
use aligned::Sweep;
use oblique::Layers;
use rule::Contests;
use target::Target;
use window::{Kept, Notes, Window};

/// Decides labels on a target grid while the scores of a working grid arrive.
///
/// ```
/// use unet_vol::labels::{DecideOptions, Decider};
/// use unet_vol::{Affine, Grid, geometry::GridRule};
/// let working = Grid::new([2, 1, 1], Affine::from_spacing([2.0; 3], [0.0; 3])?)?;
/// let target = working.respaced([0.5, 2.0, 2.0], GridRule::HalfPixel)?;
/// let mut decider = Decider::new(&working, &target, &DecideOptions::new(vec![0, 17]))?;
/// // [classes, k, j, i]: class 0 scores 0 and 0, class 1 scores -1 and 2.
/// decider.push(&[0.0, 0.0, -1.0, 2.0], 1)?;
/// assert_eq!(decider.finish()?.data(), [0, 0, 0, 17, 17, 17, 17, 17]);
/// # Ok::<(), unet_vol::Error>(())
/// ```
#[derive(Debug)]
pub struct Decider {
    working: [usize; 3],
    contests: Contests,
    path: Path,
    kept: Kept,
    /// On the slab that is being taken.
    notes: Notes,
    /// Working planes taken.
    taken: usize,
    /// Label ids on `grid`.
    ids: Vec<u16>,
    /// What is decided on, where it is the working grid and labels go on to the target by nearest neighbor.
    between: Option<Target>,
    target: Target,
    outside: Outside,
}

#[derive(Debug)]
enum Path {
    Aligned(Sweep),
    Oblique(Layers),
}

impl Decider {
    /// For scores on `working`, whose classes are those of [`DecideOptions::ids`], and labels on `target`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the rule does not fit the number of classes; [`crate::ErrorKind::Limit`] when the
    /// memory cannot be had.
    pub fn new(working: &Grid, target: &Grid, options: &DecideOptions) -> Result<Self> {
        Self::onto(working, Target { grid: *target, places: None }, options)
    }

    /// As [`Decider::new`], for labels of slices at `places` along k of `grid`, in ascending order and within it, rather
    /// than of its own slices. What comes out is on [`Grid::of_slices`].
    ///
    /// # Errors
    /// As [`Decider::new`]; as [`Grid::of_slices`].
    pub fn of_slices(working: &Grid, grid: &Grid, places: &[f64], options: &DecideOptions) -> Result<Self> {
        grid.of_slices(places)?;
        Self::onto(working, Target { grid: *grid, places: Some(places.to_vec()) }, options)
    }

    fn onto(working: &Grid, target: Target, options: &DecideOptions) -> Result<Self> {
        let contests = Contests::new(options)?;
        let between = between(working, &target, options);
        let decided = between.as_ref().unwrap_or(&target);
        let map = decided.grid.index_map_to(working);
        let (shape, outside) = (working.shape(), options.outside);
        let path = match AlignedMap::of(&map, decided.grid.shape()) {
            Some(map) => Path::Aligned(Sweep::new(map, shape, decided, outside)?),
            None => Path::Oblique(Layers::new(map, shape, decided.clone(), outside)),
        };
        let plane = shape[0] * shape[1];
        let kept = Kept {
            scores: limits::zeroed(plane * contests.classes(), "a plane of scores")?,
            notes: Notes::new(shape[1], shape[0], contests.classes())?,
        };
        let ids = limits::zeroed(decided.voxels(), "a label volume")?;
        let notes = Notes::default();
        Ok(Self { working: shape, contests, path, kept, notes, taken: 0, ids, between, target, outside })
    }

    /// Bytes that a decider for these grids holds at its peak while slabs of `depth` planes are pushed, the label volume
    /// included; the slabs themselves and a few rows per thread are not.
    #[must_use]
    pub fn bytes(working: &Grid, target: &Grid, options: &DecideOptions, depth: usize) -> u64 {
        let grid = match options.interpolation {
            Interpolation::Linear => target,
            Interpolation::Nearest => working,
        };
        let [ni, nj, nk] = working.shape();
        let classes = options.ids.len();
        let buffered = AlignedMap::of(&grid.index_map_to(working), grid.shape())
            .map_or(0, |map| Sweep::buffered(map.from.map(|axis| grid.shape()[axis])));
        let notes = Notes::bytes(nj * (1 + depth.min(nk)), ni, classes);
        let streaming = 4 * ni * nj * classes + notes + 2 * buffered;
        // By nearest neighbor: the target's labels, twice where axes are permuted, when the scores are gone.
        let onward = match options.interpolation {
            Interpolation::Linear => 0,
            Interpolation::Nearest => 4 * target.voxels(),
        };
        (2 * grid.voxels() + streaming.max(onward)) as u64
    }

    /// Takes the next `depth` planes of scores, `[classes, depth, nj, ni]` with i fastest, and decides what they make
    /// possible.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the scores do not have this size or more planes come than the grid has;
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn push(&mut self, slab: &[f32], depth: usize) -> Result<()> {
        self.push_strided(slab, depth * self.plane(), depth)
    }

    /// As [`Decider::push`] for the first `depth` planes of a deeper slab, whose classes lie `class_stride` values apart.
    ///
    /// # Errors
    /// As [`Decider::push`].
    pub fn push_strided(&mut self, slab: &[f32], class_stride: usize, depth: usize) -> Result<()> {
        self.take(slab, class_stride, depth, &mut |_| Ok(()))
    }

    /// Voxels of a plane of the working grid.
    fn plane(&self) -> usize {
        self.working[0] * self.working[1]
    }

    /// As [`Decider::push`], and shows each plane of the target once it is decided, in the order of
    /// [`DecidedPlane::index`] up or down, while its scores can still be interpolated.
    ///
    /// # Errors
    /// As [`Decider::push`]; what `observe` returns; [`crate::ErrorKind::Unsupported`] when
    /// [`Decider::shows_planes`] is false.
    pub fn push_and_show(
        &mut self,
        slab: &[f32],
        depth: usize,
        mut observe: impl FnMut(&DecidedPlane<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.shows_planes() {
            return Err(Error::unsupported("scores cannot be shown on a grid that is oblique to the network's grid"));
        }
        self.take(slab, depth * self.plane(), depth, &mut observe)
    }

    /// True when [`Decider::push_and_show`] can be used: the axes of both grids are parallel and scores are interpolated.
    #[must_use]
    pub fn shows_planes(&self) -> bool {
        matches!(self.path, Path::Aligned(_)) && self.between.is_none()
    }

    fn take(
        &mut self,
        slab: &[f32],
        class_stride: usize,
        depth: usize,
        observe: &mut dyn FnMut(&DecidedPlane<'_>) -> Result<()>,
    ) -> Result<()> {
        let plane = self.plane();
        fits(slab, class_stride, depth, self.contests.classes(), self.working, self.taken)?;
        if depth == 0 {
            return Ok(());
        }
        let (rows, classes) = (depth * self.working[1], self.contests.classes());
        if self.notes.codes.len() < depth * plane {
            self.notes = Notes::default();
            self.notes = Notes::new(rows, self.working[0], classes)?;
        }
        self.notes.take(&self.contests, slab, class_stride, rows, self.working[0])?;
        let window =
            Window { plane, kept: &self.kept, slab, class_stride, notes: &self.notes, first: self.taken, depth };
        let needed = match &mut self.path {
            Path::Aligned(sweep) => {
                sweep.advance(&self.contests, &window, observe, &mut self.ids)?;
                sweep.needs_from()
            }
            Path::Oblique(layers) => {
                layers.advance(&self.contests, &window, &mut self.ids)?;
                layers.needs_from()
            }
        };
        self.taken += depth;
        if needed.is_some_and(|first| first < self.taken) {
            self.kept.keep(slab, class_stride, &self.notes, depth);
        }
        Ok(())
    }

    /// The label volume on the target grid.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when planes are missing; [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn finish(mut self) -> Result<Volume<u16>> {
        if self.taken != self.working[2] {
            return Err(Error::internal(format!("{} of {} planes of scores came", self.taken, self.working[2])));
        }
        if let Path::Aligned(sweep) = &mut self.path {
            sweep.store(&self.contests, &mut self.ids);
        }
        let Self { path, kept, notes, ids, between, target, outside, .. } = self;
        drop((path, kept, notes));
        match between {
            Some(between) => target.nearest(&between.volume(ids)?, outside),
            None => target.volume(ids),
        }
    }
}

/// Checks that a slab holds `depth` planes of a grid of which `taken` have come.
fn fits(
    slab: &[f32],
    class_stride: usize,
    depth: usize,
    classes: usize,
    working: [usize; 3],
    taken: usize,
) -> Result<()> {
    let plane = working[0] * working[1];
    if depth * plane <= class_stride && slab.len() == classes * class_stride && taken + depth <= working[2] {
        return Ok(());
    }
    Err(Error::internal(format!("{} scores are no {depth} planes of {classes} classes on this grid", slab.len())))
}

/// The working grid, where labels are decided on it and go on by nearest neighbor to another target.
fn between(working: &Grid, target: &Target, options: &DecideOptions) -> Option<Target> {
    let is_there = target.grid == *working && target.places.is_none();
    let between = options.interpolation == Interpolation::Nearest && !is_there;
    between.then_some(Target { grid: *working, places: None })
}

#[cfg(test)]
mod tests;
