//! Percentiles of millions of values: two passes of counting, exact.

use std::iter::zip;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::selection::Selection;

/// What a percentile between two values is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PercentileRule {
    /// Linear between the two neighbors of position `p / 100 * (n - 1)` of the sorted values (NumPy's `linear`).
    #[default]
    Linear,
    /// The lower of the two.
    Lower,
}

/// Buckets of one pass: half of the bits of a value.
const BUCKETS: usize = 1 << 16;

/// Values of the given percentiles (0 to 100) over the selected values, which are finite; `None` for no value.
pub(super) fn percentiles(
    values: &[f32],
    selection: Selection<'_>,
    percents: [f64; 2],
    rule: PercentileRule,
) -> Option<[f64; 2]> {
    let upper = histogram(values, selection, 1, |key| Some(key >> 16));
    let count: u64 = upper.iter().sum();
    let last = count.checked_sub(1)?;
    let positions = percents.map(|percent| percent / 100.0 * float(last));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count")]
    let lower = positions.map(|position| (position.floor() as u64).min(last));
    let ranks = [lower[0], (lower[0] + 1).min(last), lower[1], (lower[1] + 1).min(last)];
    let [a, b, c, d] = ranked(values, selection, &upper, ranks).map(f64::from);
    let between = |low: f64, high: f64, fraction: f64| match rule {
        PercentileRule::Linear => low + (high - low) * fraction,
        PercentileRule::Lower => low,
    };
    Some([between(a, b, positions[0] - float(lower[0])), between(c, d, positions[1] - float(lower[1]))])
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

/// The values with `ranks` others before them in ascending order, from a count of their upper halves.
fn ranked(values: &[f32], selection: Selection<'_>, upper: &[u64], ranks: [u64; 4]) -> [f32; 4] {
    let places = ranks.map(|rank| bucket_of(upper, rank));
    let mut halves = places.map(|(bucket, _)| bucket).to_vec();
    halves.dedup();
    let within = |key: u32| {
        let at = zip(0.., &halves).find(|(_, half)| key >> 16 == **half)?.0;
        Some(at << 16 | key & 0xFFFF)
    };
    let lower = histogram(values, selection, halves.len(), within);
    std::array::from_fn(|n| {
        let (half, before) = places[n];
        let at = halves.iter().position(|found| *found == half).unwrap_or(0);
        let (rest, _) = bucket_of(&lower[at * BUCKETS..][..BUCKETS], ranks[n] - before);
        value(half << 16 | rest)
    })
}

/// Counts the selected values in `tables` tables of buckets; `bucket` leads from a key to one of them.
fn histogram(
    values: &[f32],
    selection: Selection<'_>,
    tables: usize,
    bucket: impl Fn(u32) -> Option<u32> + Sync,
) -> Vec<u64> {
    /// Stretches that share a table at least: making and adding tables costs as much as counting one.
    const SHARED: usize = 64;
    let empty = || vec![0_u64; tables * BUCKETS];
    let count = |mut counts: Vec<u64>, (n, part): (usize, &[f32])| {
        selection.visit(n, part, |value| {
            if let Some(bucket) = bucket(key(value)) {
                counts[bucket as usize] += 1;
            }
        });
        counts
    };
    let stretches = values.par_chunks(selection.stretch()).enumerate().with_min_len(SHARED);
    stretches.fold(empty, count).reduce(empty, |mut a, b| {
        zip(&mut a, b).for_each(|(a, b)| *a += b);
        a
    })
}

/// The bucket that holds a rank, and how many values come before it.
fn bucket_of(counts: &[u64], rank: u64) -> (u32, u64) {
    let mut before = 0;
    for (bucket, count) in zip(0.., counts) {
        if rank < before + count {
            return (bucket, before);
        }
        before += count;
    }
    (0, before)
}

/// An integer that sorts as the value does.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The value of a key.
fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_equal_those_of_the_sorted_values(
            values in prop::collection::vec(prop_oneof![-1e3_f32..1e3, Just(0.0), Just(7.0), -1e-30_f32..1e-30], 1..400),
            percents in prop::array::uniform2(0.0_f64..=100.0),
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let last = sorted.len() - 1;
            for rule in [PercentileRule::Linear, PercentileRule::Lower] {
                let found = percentiles(&values, Selection::All, percents, rule).unwrap();
                for (found, percent) in zip(found, percents) {
                    let position = percent / 100.0 * float(last as u64);
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
                    let at = position.floor() as usize;
                    let (low, high) = (f64::from(sorted[at]), f64::from(sorted[(at + 1).min(last)]));
                    let fraction = if rule == PercentileRule::Lower { 0.0 } else { position - position.floor() };
                    prop_assert_eq!(found, low + (high - low) * fraction);
                }
            }
        }
    }

    #[test]
    fn no_value_has_no_percentile() {
        assert_eq!(percentiles(&[0.0; 4], Selection::Nonzero(None), [1.0, 99.0], PercentileRule::Linear), None);
    }
}
