//! Which voxels a statistic looks at, and sums over them in a fixed order.

use rayon::prelude::*;

use crate::geometry::Field;

/// Voxels of one job; fixed, so that sums run in the same order for any number of threads.
const STRETCH: usize = 1 << 15;

/// The voxels that a statistic looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Selection<'a> {
    All,
    /// Those in a field of view (all where there is none).
    Field(Option<&'a Field>),
    /// Those in a field of view whose value is not zero.
    Nonzero(Option<&'a Field>),
}

/// Extremes of the finite values, and a count of the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) low: f32,
    pub(super) high: f32,
    pub(super) count: usize,
    pub(super) nan: usize,
    pub(super) infinite: usize,
}

impl<'a> Selection<'a> {
    fn field(self) -> Option<&'a Field> {
        match self {
            Self::All => None,
            Self::Field(field) | Self::Nonzero(field) => field,
        }
    }

    /// Values per stretch: whole rows where there is a field.
    pub(super) fn stretch(self) -> usize {
        self.field().map_or(STRETCH, |field| field.shape()[0] * (STRETCH / field.shape()[0]).max(1))
    }

    /// Shows the selected values of `part`, the `n`-th stretch.
    #[inline]
    pub(super) fn visit(self, n: usize, part: &[f32], mut add: impl FnMut(f32)) {
        let nonzero = matches!(self, Self::Nonzero(_));
        let mut visit = |part: &[f32]| {
            if nonzero {
                part.iter().copied().filter(|value| *value != 0.0).for_each(&mut add);
            } else {
                part.iter().copied().for_each(&mut add);
            }
        };
        let Some(field) = self.field() else { return visit(part) };
        let row = field.shape()[0];
        let first = n * (self.stretch() / row);
        for (row, range) in part.chunks(row).zip(&field.rows()[first..]) {
            visit(&row[range.clone()]);
        }
    }

    /// `start` folded over the selected values of each stretch; one result per stretch, in order.
    fn fold<S: Send>(self, values: &[f32], start: impl Fn() -> S + Sync, add: impl Fn(&mut S, f32) + Sync) -> Vec<S> {
        let stretches = values.par_chunks(self.stretch()).enumerate();
        let fold = |(n, part)| {
            let mut state = start();
            self.visit(n, part, |value| add(&mut state, value));
            state
        };
        stretches.map(fold).collect()
    }

    pub(super) fn summary(self, values: &[f32]) -> Summary {
        let none = || Summary { low: f32::INFINITY, high: f32::NEG_INFINITY, count: 0, nan: 0, infinite: 0 };
        let parts = self.fold(values, none, |summary, value| {
            // Comparisons alone, so that the loop is vectorized: neither holds for NaN.
            let finite = value.abs() <= f32::MAX;
            summary.low = if finite && value < summary.low { value } else { summary.low };
            summary.high = if finite && value > summary.high { value } else { summary.high };
            summary.count += 1;
            summary.nan += usize::from(value.is_nan());
            summary.infinite += usize::from(value.is_infinite());
        });
        parts.into_iter().fold(none(), |a, b| Summary {
            low: a.low.min(b.low),
            high: a.high.max(b.high),
            count: a.count + b.count,
            nan: a.nan + b.nan,
            infinite: a.infinite + b.infinite,
        })
    }

    /// Mean and standard deviation (divided by the count, NumPy's `ddof = 0`); `None` for no value.
    pub(super) fn mean_and_deviation(self, values: &[f32]) -> Option<(f64, f64)> {
        let count: usize = self.fold(values, || 0, |count, _| *count += 1).into_iter().sum();
        if count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let count = count as f64;
        let sum = |value: &(dyn Fn(f64) -> f64 + Sync)| -> f64 {
            self.fold(values, || 0.0, |sum, v| *sum += value(f64::from(v))).into_iter().sum()
        };
        let mean = sum(&|value| value) / count;
        Some((mean, (sum(&|value| (value - mean) * (value - mean)) / count).sqrt()))
    }
}

/// Changes all values, stretches side by side.
pub(super) fn for_each_stretch(values: &mut [f32], change: impl Fn(&mut [f32]) + Send + Sync) {
    values.par_chunks_mut(STRETCH).for_each(change);
}

/// Sets the values outside the field.
pub(super) fn fill_outside(values: &mut [f32], field: &Field, outside: f32) {
    let row = field.shape()[0].max(1);
    values.par_chunks_mut(row).zip(field.rows()).for_each(|(row, range)| {
        row[..range.start].fill(outside);
        row[range.end..].fill(outside);
    });
}
