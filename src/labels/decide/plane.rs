//! What an observer sees of the planes that are decided: probabilities are written while their scores are at hand.

use super::aligned::{Corners, Sweep};
use super::rule::Contests;
use super::window::Window;

/// A plane of the target that has just been decided, with the scores around it still at hand.
#[derive(Debug)]
pub struct DecidedPlane<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) contests: &'a Contests,
    pub(super) window: &'a Window<'a>,
    /// Index along the swept axis.
    pub(super) position: usize,
    pub(super) codes: &'a [u16],
}

impl DecidedPlane<'_> {
    /// The target axis that is perpendicular to the plane.
    #[must_use]
    pub fn axis(&self) -> usize {
        self.sweep.map.from[2]
    }

    /// Index of the plane along [`DecidedPlane::axis`].
    #[must_use]
    pub fn index(&self) -> usize {
        self.position
    }

    /// Voxels along the two other axes of the target, in their order.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        let [a, b, _] = self.sweep.counts;
        if self.is_turned() { [b, a] } else { [a, b] }
    }

    fn is_turned(&self) -> bool {
        self.sweep.map.from[0] > self.sweep.map.from[1]
    }

    /// Label ids of the plane, the lower of its two target axes fastest.
    pub fn ids(&self, out: &mut [u16]) {
        self.place(out, |column, row| {
            let code = self.codes[row * self.sweep.counts[0] + column];
            self.contests.ids[usize::from(code)]
        });
    }

    /// Scores of one class interpolated at the voxels of the plane, the lower of its two target axes fastest; 0 outside.
    pub fn interpolate_class(&self, class: usize, out: &mut [f32]) {
        let class = u16::try_from(class).unwrap_or(u16::MAX).min(self.contests.none() - 1);
        self.place(out, |column, row| self.score(class, column, row));
    }

    /// The interpolated score of the class that each voxel was decided to be; 0 where none was.
    pub fn winner_scores(&self, out: &mut [f32]) {
        self.place(out, |column, row| {
            let code = self.codes[row * self.sweep.counts[0] + column];
            if code == self.contests.none() { 0.0 } else { self.score(code, column, row) }
        });
    }

    fn score(&self, class: u16, column: usize, row: usize) -> f32 {
        let taps = &self.sweep.taps;
        let inside = [(0, column), (1, row), (2, self.position)];
        if !inside.into_iter().all(|(axis, at)| taps[axis].inside.contains(&at)) {
            return 0.0;
        }
        let corner = Corners { k: taps[2].taps[self.position], j: taps[1].taps[row], ni: self.sweep.row };
        let tap = taps[0].taps[column];
        let mut values = [0.0; 2];
        corner.blend(self.window, class, &tap.columns(), &mut values);
        tap.mix(values[0], values[1])
    }

    /// Fills `out`, the lower target axis fastest, from values by column (along the working i) and row.
    fn place<T>(&self, out: &mut [T], value: impl Fn(usize, usize) -> T) {
        let [columns, rows, _] = self.sweep.counts;
        for (n, out) in out.iter_mut().enumerate().take(columns * rows) {
            let (column, row) = if self.is_turned() { (n / rows, n % rows) } else { (n % columns, n / columns) };
            *out = value(column, row);
        }
    }
}
