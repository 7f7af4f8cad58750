//! Edges between labels decided once more, with what the scan itself shows there.
//!
//! A network that works on a coarser grid than the scan knows edges to a part of its own voxels only. Its labels tell what
//! each class looks like in this very scan: the median and the spread of the intensities inside it. So a voxel with
//! several labels around it becomes the one of these for which
//!
//! ```text
//! score + weight * log t(intensity)
//! ```
//!
//! is largest, where `score` is the network's, interpolated, and `t` is Student's distribution with three degrees of
//! freedom around the median of the class; all candidates at a voxel share one spread, the root mean square of theirs, so
//! that an uneven class does not win for being uneven. With `weight` 1 and logits this is a step of expectation
//! maximization with the network's probabilities as the prior: what unified segmentation (Ashburner and Friston,
//! NeuroImage 26, 2005) and SAMSEG (Puonti et al., NeuroImage 143, 2016) do with an atlas.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::appearance::{Look, looks};
use super::oblique::{Cell, Layers};
use super::rule::Contests;
use super::surroundings::Surroundings;
use super::target::Target;
use super::window::{Kept, Notes, Window};
use super::{DecideOptions, fits};
use crate::error::{Error, Result};
use crate::geometry::{Grid, float};
use crate::limits;
use crate::volume::Volume;

/// How edges are decided with the scan's intensities; part of a model's description.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeOptions {
    /// What the intensities weigh beside the scores, which are taken for logits.
    pub weight: f32,
    /// How far away a label may be to be a candidate, in mm, rounded to voxels of the scan per axis. An axis of voxels
    /// twice as long or longer is not looked along.
    pub reach_mm: f64,
}

impl EdgeOptions {
    /// Voxels on each side that are looked at, for voxels of `spacing` mm.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a few voxels")]
    fn radius(&self, spacing: [f64; 3]) -> [usize; 3] {
        /// At most this many voxels on each side.
        const MOST: f64 = 4.0;
        // A half is rounded down, whatever the last bit of a spacing.
        spacing.map(|mm| (self.reach_mm / mm - 1e-3).round().clamp(0.0, MOST) as usize)
    }
}

/// Decides the edges of labels while the scores that they were decided from arrive a second time, as they did for
/// [`Decider`](super::Decider). Voxels without an edge keep their label.
#[derive(Debug)]
pub struct EdgeDecider<'a> {
    layers: Layers,
    radius: [usize; 3],
    weight: f32,
    image: &'a [f32],
    contests: Contests,
    /// Class of each id.
    class: Vec<usize>,
    looks: Vec<Option<Look>>,
    before: Vec<u16>,
    ids: Vec<u16>,
    /// The last plane of scores before the slab that is taken.
    kept: Kept,
    /// Working planes taken.
    taken: usize,
}

impl<'a> EdgeDecider<'a> {
    /// For scores on `working` that were decided to `labels`, on whose grid `image` lies.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when `options` have no edges, their rule is not the largest score or classes share an
    /// id; [`crate::ErrorKind::Usage`] when `image` lies on another grid; [`crate::ErrorKind::Limit`] when the memory
    /// cannot be had.
    pub fn new(working: &Grid, labels: Volume<u16>, image: &'a Volume, options: &DecideOptions) -> Result<Self> {
        let target = Target { grid: *labels.grid(), places: None };
        Self::onto(working, target, labels, image, options)
    }

    /// As [`EdgeDecider::new`], for labels and image of slices at `places` along k of `grid`, see
    /// [`Decider::of_slices`](super::Decider::of_slices).
    ///
    /// # Errors
    /// As [`EdgeDecider::new`].
    pub fn of_slices(
        working: &Grid,
        grid: &Grid,
        places: &[f64],
        labels: Volume<u16>,
        image: &'a Volume,
        options: &DecideOptions,
    ) -> Result<Self> {
        let target = Target { grid: *grid, places: Some(places.to_vec()) };
        Self::onto(working, target, labels, image, options)
    }

    fn onto(
        working: &Grid,
        target: Target,
        labels: Volume<u16>,
        image: &'a Volume,
        options: &DecideOptions,
    ) -> Result<Self> {
        let contests = Contests::new(options)?;
        let Some(edges) = options.edges.filter(|_| contests.is_argmax()) else {
            return Err(Error::model("edges can be decided with intensities only where the largest score decides"));
        };
        let shape = target.shape();
        if labels.grid().shape() != shape || image.grid().shape() != shape {
            return Err(Error::usage("labels and image do not lie on one grid"));
        }
        let radius = edges.radius(target.grid.spacing());
        let class = class_of_id(&options.ids)?;
        let before = labels.into_data();
        if before.iter().any(|&id| class.get(usize::from(id)).is_none_or(|&class| class == usize::MAX)) {
            return Err(Error::internal("a label is none of the network's"));
        }
        let mut same: Vec<usize> = (0..options.ids.len()).collect();
        for &[a, b] in &options.alike {
            if a.max(b) >= same.len() {
                return Err(Error::model(format!("class {} of {} is said to look like another", a.max(b), same.len())));
            }
            same[a.max(b)] = a.min(b);
        }
        let around = Surroundings { ids: &before, shape, radius };
        let looks = looks(around, image.data(), &class, &same)?;
        let plane = working.shape()[0] * working.shape()[1];
        let scores = limits::zeroed(plane * options.ids.len(), "a plane of scores")?;
        let mut ids = limits::reserved(before.len(), "a label volume")?;
        ids.extend_from_slice(&before);
        Ok(Self {
            layers: Layers::new(target.grid.index_map_to(working), working.shape(), target, options.outside),
            radius,
            weight: edges.weight,
            image: image.data(),
            contests,
            class,
            looks,
            before,
            ids,
            kept: Kept { scores, notes: Notes::default() },
            taken: 0,
        })
    }

    /// Bytes beside the labels that were there: labels, intensities sorted by class while looks are found, a plane of
    /// scores.
    #[must_use]
    pub fn bytes(working: &Grid, target: &Grid, options: &DecideOptions) -> u64 {
        let plane = working.shape()[0] * working.shape()[1];
        (8 * target.voxels() + (2 * target.voxels()).max(4 * plane * options.ids.len())) as u64
    }

    /// Takes the next `depth` planes of scores as [`Decider::push_strided`](super::Decider::push_strided).
    ///
    /// # Errors
    /// As [`Decider::push_strided`](super::Decider::push_strided).
    pub fn push_strided(&mut self, slab: &[f32], class_stride: usize, depth: usize) -> Result<()> {
        let classes = self.contests.classes();
        let working = self.layers.working;
        fits(slab, class_stride, depth, classes, working, self.taken)?;
        if depth == 0 {
            return Ok(());
        }
        let plane = working[0] * working[1];
        let notes = Notes::default();
        let window = Window { plane, kept: &self.kept, slab, class_stride, notes: &notes, first: self.taken, depth };
        let layers = self.layers.at_hand(&window);
        if !layers.is_empty() {
            let mut ids = std::mem::take(&mut self.ids);
            let [ni, nj, _] = self.layers.target.shape();
            let decided = ids.par_chunks_mut(ni * nj).enumerate().try_for_each(|(k, plane)| {
                let mut scratch = Scratch::new(ni)?;
                for (j, row) in plane.chunks_mut(ni).enumerate() {
                    self.decide_row(&window, &layers, [j, k], &mut scratch, row);
                }
                Ok(())
            });
            self.ids = ids;
            decided?;
            self.layers.decided = layers.end;
        }
        self.taken += depth;
        self.kept.keep_scores(slab, class_stride, plane, depth);
        Ok(())
    }

    /// The labels.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when planes are missing.
    pub fn finish(self) -> Result<Volume<u16>> {
        if self.taken != self.layers.working[2] {
            return Err(Error::internal(format!("{} of {} planes of scores came", self.taken, self.layers.working[2])));
        }
        self.layers.target.volume(self.ids)
    }

    fn decide_row(
        &self,
        window: &Window<'_>,
        layers: &std::ops::Range<usize>,
        [j, k]: [usize; 2],
        scratch: &mut Scratch,
        out: &mut [u16],
    ) {
        let (start, step, range) = self.layers.row(layers, [j, k]);
        if range.is_empty() {
            return;
        }
        let (shape, working) = (self.layers.target.shape(), self.layers.working);
        let around = Surroundings { ids: &self.before, shape, radius: self.radius };
        around.edges(j, k, &mut scratch.columns, &mut scratch.edges);
        for i in range.filter(|&i| scratch.edges[i]) {
            let value = self.image[(k * shape[1] + j) * shape[0] + i];
            around.labels([i, j, k], &mut scratch.labels);
            let at = [0, 1, 2].map(|axis| start[axis] + step[axis] * float(i));
            if let Some(id) = self.decide(window, &Cell::at(at, working, layers), value, &scratch.labels) {
                out[i] = id;
            }
        }
    }

    /// The best of some labels for a voxel; `None` where one of them has no look or nothing can be said.
    fn decide(&self, window: &Window<'_>, cell: &Cell, value: f32, labels: &[u16]) -> Option<u16> {
        let candidates = || labels.iter().map(|&id| (id, self.class[usize::from(id)]));
        let mut squares = 0.0;
        for (_, class) in candidates() {
            squares += self.looks[class]?.spread.powi(2);
        }
        let spread = (squares / labels.len() as f32).sqrt();
        let mut best = (f32::NEG_INFINITY, None, usize::MAX);
        for (id, class) in candidates() {
            let distance = (value - self.looks[class]?.middle) / spread;
            let likelihood = -2.0 * (distance * distance / 3.0).ln_1p();
            let channel = u16::try_from(class).unwrap_or(u16::MAX);
            let score = cell.score(window, channel, self.layers.working[0]) + self.weight * likelihood;
            if score > best.0 || (score >= best.0 && class < best.2) {
                best = (score, Some(id), class);
            }
        }
        best.1
    }
}

/// What one job needs beside its rows.
#[derive(Debug)]
struct Scratch {
    columns: Vec<bool>,
    edges: Vec<bool>,
    labels: Vec<u16>,
}

impl Scratch {
    fn new(ni: usize) -> Result<Self> {
        Ok(Self { columns: limits::zeroed(ni, "a row")?, edges: limits::zeroed(ni, "a row")?, labels: Vec::new() })
    }
}

/// The class of each id that a class has.
fn class_of_id(ids: &[u16]) -> Result<Vec<usize>> {
    let largest = ids.iter().copied().max().map_or(0, usize::from);
    let mut classes = vec![usize::MAX; largest + 1];
    for (class, &id) in ids.iter().enumerate() {
        if classes[usize::from(id)] != usize::MAX {
            return Err(Error::model(format!("edges cannot be decided where two classes have the id {id}")));
        }
        classes[usize::from(id)] = class;
    }
    Ok(classes)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "test values")]
mod tests {
    use super::super::Decider;
    use super::super::tests::{noise, smooth};
    use super::*;
    use crate::geometry::{Affine, GridRule};
    use crate::resample::Outside;

    const EDGES: EdgeOptions = EdgeOptions { weight: 1.0, reach_mm: 1.0 };

    fn working(shape: [usize; 3]) -> Grid {
        Grid::new(shape, Affine::from_spacing([2.0; 3], [3.0, -5.0, 7.0]).unwrap()).unwrap()
    }

    /// Labels of scores, and the same with edges decided, pushed in slabs of `depth` planes.
    fn decide(working: &Grid, image: &Volume, scores: &[f32], depth: usize) -> [Vec<u16>; 2] {
        let classes = scores.len() / working.voxels();
        let alike = if classes > 2 { vec![[1, 2]] } else { Vec::new() };
        let options = DecideOptions::new((0..classes).map(|class| 5 * u16::try_from(class).unwrap()).collect());
        let options = options.with_edges(EDGES, alike).with_outside(Outside::Background);
        let mut decider = Decider::new(working, image.grid(), &options).unwrap();
        decider.push(scores, working.shape()[2]).unwrap();
        let labels = decider.finish().unwrap();
        let before = labels.data().to_vec();
        let mut edges = EdgeDecider::new(working, labels, image, &options).unwrap();
        let [ni, nj, nk] = working.shape();
        for k in (0..nk).step_by(depth) {
            let depth = depth.min(nk - k);
            let planes = |class: usize| &scores[(class * nk + k) * ni * nj..][..depth * ni * nj];
            let slab: Vec<f32> = (0..classes).flat_map(planes).copied().collect();
            edges.push_strided(&slab, depth * ni * nj, depth).unwrap();
        }
        [before, edges.finish().unwrap().into_data()]
    }

    /// A noisy image whose voxels are near the class of the `ids`.
    fn image(grid: Grid, seed: u32) -> Volume {
        let [ni, nj, _] = grid.shape();
        let of = |n: usize| float(n % ni / 4 + n / ni % nj / 3 + n / ni / nj / 5) as f32;
        let noise = noise(grid.voxels(), seed);
        Volume::new(grid, (0..grid.voxels()).map(|n| of(n) % 4.0 + 0.3 * noise[n]).collect()).unwrap()
    }

    #[test]
    fn a_ball_gets_the_edge_of_the_scan() {
        let working = working([12; 3]);
        let fine = working.respaced([1.0; 3], GridRule::HalfPixel).unwrap();
        let distance = |at: [usize; 3], n: f64, radius: f64| {
            radius - at.iter().map(|&x| (float(x) - (n - 1.0) / 2.0).powi(2)).sum::<f64>().sqrt()
        };
        let each = |n: usize| itertools::iproduct!(0..n, 0..n, 0..n).map(|(k, j, i)| [i, j, k]);
        // The network draws the ball half a millimeter too small.
        let ball: Vec<f32> = each(12).map(|at| distance(at, 12.0, 3.75) as f32).collect();
        let scores: Vec<f32> = ball.iter().map(|_| 0.0).chain(ball.iter().copied()).collect();
        let truth: Vec<bool> = each(24).map(|at| distance(at, 24.0, 8.0) > 0.0).collect();
        let noise = noise(truth.len(), 7);
        let values = truth.iter().zip(&noise).map(|(&inside, noise)| f32::from(u8::from(inside)) + 0.1 * noise);
        let image = Volume::new(fine, values.collect()).unwrap();
        let wrong = |ids: &[u16]| ids.iter().zip(&truth).filter(|&(&id, &inside)| (id > 0) != inside).count();
        let [before, after] = decide(&working, &image, &scores, 12);
        assert!(wrong(&before) > 300 && wrong(&after) == 0, "{} {}", wrong(&before), wrong(&after));
    }

    #[test]
    fn an_image_that_shows_nothing_changes_nothing() {
        let working = working([7, 6, 5]);
        let fine = working.respaced([0.9, 1.1, 1.3], GridRule::HalfPixel).unwrap();
        let scores = smooth(working.shape(), 4, 3);
        for value in [2.5, f32::NAN] {
            let image = Volume::new(fine, vec![value; fine.voxels()]).unwrap();
            let [before, after] = decide(&working, &image, &scores, 5);
            assert_eq!(before, after);
        }
    }

    #[test]
    fn slabs_and_the_order_of_storage_do_not_matter() {
        let working = working([9, 8, 7]);
        let scores = smooth(working.shape(), 4, 11);
        let fine = working.respaced([0.8, 1.1, 0.9], GridRule::HalfPixel).unwrap();
        let study = image(fine, 5);
        let [before, after] = decide(&working, &study, &scores, 7);
        assert!(before.iter().zip(&after).filter(|(a, b)| a != b).count() > 50);
        for depth in [1, 2, 5] {
            assert_eq!(decide(&working, &study, &scores, depth)[1], after, "{depth}");
        }
        let labels = Volume::new(fine, after).unwrap();
        for code in ["LIA", "PSR", "ASL", "ILP"] {
            let order = fine.orientation().to(code.parse().unwrap());
            let turned = study.mapped(order);
            for depth in [2, 7] {
                let ids = &decide(&working, &turned, &scores, depth)[1];
                assert_eq!(ids, labels.mapped(order).data(), "{code} {depth}");
            }
        }
    }

    #[test]
    fn beyond_the_field_of_view_nothing_is_decided() {
        let working = working([7, 6, 5]);
        let field = working.respaced([1.0; 3], GridRule::HalfPixel).unwrap();
        let wide = field.window([-3.0; 3], field.shape().map(|n| n + 6)).unwrap();
        let [before, after] = decide(&working, &image(wide, 9), &smooth(working.shape(), 4, 5), 5);
        let [ni, nj, nk] = field.shape();
        let within =
            |[i, j, k]: [usize; 3]| (3..ni + 3).contains(&i) && (3..nj + 3).contains(&j) && (3..nk + 3).contains(&k);
        let places = itertools::iproduct!(0..nk + 6, 0..nj + 6, 0..ni + 6).map(|(k, j, i)| [i, j, k]);
        let changed: Vec<bool> =
            before.iter().zip(&after).zip(places).filter(|((a, b), _)| a != b).map(|(_, at)| within(at)).collect();
        assert!(changed.len() > 50 && changed.iter().all(|&within| within));
    }

    #[test]
    fn only_axes_finer_than_twice_the_reach_are_looked_along() {
        assert_eq!(EDGES.radius([0.4, 0.7, 1.0]), [2, 1, 1]);
        assert_eq!(EDGES.radius([1.9, 2.0, 5.0]), [1, 0, 0]);
    }
}
