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

    /// True for a value that takes part although it lies in the field.
    fn takes(self) -> impl Fn(f32) -> bool {
        let all = !matches!(self, Self::Nonzero(_));
        move |value| all | (value != 0.0)
    }

    /// Values per stretch: whole rows where there is a field.
    pub(super) fn stretch(self) -> usize {
        self.field().map_or(STRETCH, |field| field.shape()[0] * (STRETCH / field.shape()[0]).max(1))
    }

    /// The runs of values of `part`, the `n`-th stretch, that lie in the field.
    fn runs<'v>(self, n: usize, part: &'v [f32]) -> impl Iterator<Item = &'v [f32]> + use<'a, 'v> {
        let row = self.field().map_or(part.len(), |field| field.shape()[0]).max(1);
        let first = n * (self.stretch() / row);
        part.chunks(row).enumerate().map(move |(r, values)| match self.field() {
            Some(field) => &values[field.rows()[first + r].clone()],
            None => values,
        })
    }

    /// Shows the selected values of `part`, the `n`-th stretch.
    #[inline]
    pub(super) fn visit(self, n: usize, part: &[f32], mut show: impl FnMut(f32)) {
        let takes = self.takes();
        for run in self.runs(n, part) {
            run.iter().copied().filter(|value| takes(*value)).for_each(&mut show);
        }
    }

    /// Extremes of the finite selected values.
    pub(super) fn summary(self, values: &[f32]) -> Summary {
        let takes = self.takes();
        let parts: Vec<Summary> = values
            .par_chunks(self.stretch())
            .enumerate()
            .map(|(n, part)| self.runs(n, part).map(|run| Summary::of(run, &takes)).fold(Summary::NONE, Summary::and))
            .collect();
        parts.into_iter().fold(Summary::NONE, Summary::and)
    }

    /// Mean and standard deviation (divided by the count, NumPy's `ddof = 0`); `None` for no value.
    ///
    /// Each stretch is summed about its own mean; stretches are merged in order (Chan, Golub & LeVeque 1983).
    pub(super) fn mean_and_deviation(self, values: &[f32]) -> Option<(f64, f64)> {
        let takes = self.takes();
        let moments = |(n, part): (usize, &[f32])| {
            let total = |value: &dyn Fn(&[f32]) -> f64| self.runs(n, part).map(value).sum::<f64>();
            let count = total(&|run| lanes(run, |value| f64::from(u8::from(takes(value)))));
            let mean =
                total(&|run| lanes(run, |value| if takes(value) { f64::from(value) } else { 0.0 })) / count.max(1.0);
            let square = |value: f32| if takes(value) { (f64::from(value) - mean).powi(2) } else { 0.0 };
            (count, mean, total(&|run| lanes(run, square)))
        };
        let parts: Vec<_> = values.par_chunks(self.stretch()).enumerate().map(moments).collect();
        let merge = |(n, mean, squares): (f64, f64, f64), (m, other, more): (f64, f64, f64)| {
            let (count, step) = ((n + m).max(1.0), other - mean);
            (n + m, mean + step * m / count, squares + more + step * step * n * m / count)
        };
        let (count, mean, squares) = parts.into_iter().fold((0.0, 0.0, 0.0), merge);
        (count > 0.0).then(|| (mean, (squares / count).sqrt()))
    }
}

impl Summary {
    const NONE: Self = Self { low: f32::INFINITY, high: f32::NEG_INFINITY, count: 0, nan: 0, infinite: 0 };

    /// Of the values that `takes` takes.
    fn of(run: &[f32], takes: impl Fn(f32) -> bool) -> Self {
        let (mut low, mut high, mut count) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], [0_u32; LANES]);
        let (mut finite, (chunks, rest)) = ([0_u32; LANES], run.as_chunks::<LANES>());
        let mut look = |lane: usize, value: f32| {
            let (taken, sound) = (takes(value), value.abs() <= f32::MAX);
            low[lane] = if taken & sound & (value < low[lane]) { value } else { low[lane] };
            high[lane] = if taken & sound & (value > high[lane]) { value } else { high[lane] };
            count[lane] += u32::from(taken);
            finite[lane] += u32::from(taken & sound);
        };
        for chunk in chunks {
            (0..LANES).for_each(|lane| look(lane, chunk[lane]));
        }
        rest.iter().for_each(|&value| look(0, value));
        let total = |counts: [u32; LANES]| counts.into_iter().map(|n| n as usize).sum::<usize>();
        let (count, finite) = (total(count), total(finite));
        let nan = if finite < count { run.iter().filter(|value| value.is_nan()).count() } else { 0 };
        let low = low.into_iter().fold(f32::INFINITY, f32::min);
        let high = high.into_iter().fold(f32::NEG_INFINITY, f32::max);
        Self { low, high, count, nan, infinite: count - finite - nan }
    }

    fn and(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            count: self.count + other.count,
            nan: self.nan + other.nan,
            infinite: self.infinite + other.infinite,
        }
    }
}

/// Sums that run side by side, so that the loop is vectorized.
const LANES: usize = 8;

/// The sum of `value` over a run, in an order that depends on its length alone.
fn lanes(run: &[f32], value: impl Fn(f32) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = run.as_chunks::<LANES>();
    for chunk in chunks {
        (0..LANES).for_each(|lane| sums[lane] += value(chunk[lane]));
    }
    sums.into_iter().sum::<f64>() + rest.iter().map(|&v| value(v)).sum::<f64>()
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
