//! Uneven stacks on an even grid, where the user asks for it.

use rayon::prelude::*;

use super::plane::Vector;
use super::plane::{scale, subtract};
use crate::error::Result;
use crate::formats::Sample;
use crate::geometry::{slice_at, slices_at};
use crate::limits;

/// A gap of more than this many steps is not bridged: what lies in it is not known.
const MAX_STEPS: f64 = 4.0;

/// Places of slices on an even grid.
#[derive(Debug)]
pub(super) struct Even {
    /// The step of the grid (LPS, mm).
    pub(super) step: Vector,
    /// For each slice its k on the grid; the first is 0 and the last a whole number.
    pub(super) places: Vec<f64>,
}

/// An even grid for slices at `along` (ascending, mm) between the positions `first` and `last`: its step is the smallest
/// one where all slices then are at a slice of the grid, else the median one; it is stretched to end on the last slice.
/// `None` when a gap is too wide.
pub(super) fn even(along: &[f64], first: Vector, last: Vector) -> Option<Even> {
    let mut steps: Vec<f64> = along.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    let median = *steps.get(steps.len() / 2)?;
    if *steps.last()? > MAX_STEPS * median {
        return None;
    }
    let length = along.last()? - along.first()?;
    let grid = |step: f64| {
        let count = (length / step).round();
        let places: Vec<f64> = along.iter().map(|mm| (mm - along[0]) / length * count).collect();
        (count >= 1.0).then(|| Even { step: scale(subtract(last, first), 1.0 / count), places })
    };
    let fills = |even: &Even| slices_at(&even.places).is_some();
    grid(*steps.first()?).filter(fills).or_else(|| grid(median))
}

/// Slices of the even grid that are none of those at `places`.
pub(super) fn interpolated(places: &[f64]) -> Vec<usize> {
    let last = places.last().map_or(0.0, |last| last.round());
    let is_between = |k: &usize| !places.iter().any(|&place| slice_at(place) == Some(*k));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
    (0..=last as usize).filter(is_between).collect()
}

/// Planes at `places` to planes at 0, 1, 2 and so on, linear between neighbours.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub(super) fn resample<T: Sample>(planes: &[T], places: &[f64], depth: usize) -> Result<Vec<T>> {
    let len = planes.len() / places.len().max(1);
    let mut out = limits::zeroed(len * depth, "the resampled volume")?;
    out.par_chunks_mut(len.max(1)).enumerate().for_each(|(k, out)| {
        let plane = |n: usize| planes.chunks_exact(len).nth(n).unwrap_or_default();
        if let Some(at) = places.iter().position(|&place| slice_at(place) == Some(k)) {
            out.copy_from_slice(plane(at));
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "numbers of slices are far below 2^53")]
        let k = k as f64;
        // The first and the last slice are at the ends of the grid.
        let after = places.partition_point(|&place| place < k).clamp(1, places.len() - 1);
        let weight = (k - places[after - 1]) / (places[after] - places[after - 1]);
        for (out, (&a, &b)) in out.iter_mut().zip(plane(after - 1).iter().zip(plane(after))) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            *out = T::from_f64(a + weight * (b - a));
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_slice_is_the_mean_of_its_neighbours_and_others_stay() {
        let even = even(&[0.0, 5.0, 15.0, 20.0], [0.0; 3], [0.0, 0.0, 20.0]).unwrap();
        assert_eq!((even.step, even.places.as_slice()), ([0.0, 0.0, 5.0], &[0.0, 1.0, 3.0, 4.0][..]));
        assert_eq!(interpolated(&even.places), [2]);
        let planes: [f32; 8] = [1.0, 2.0, 10.0, 20.0, 30.0, 50.0, 7.0, 8.0];
        let out = resample(&planes, &even.places, 5).unwrap();
        assert_eq!(out, [1.0, 2.0, 10.0, 20.0, 20.0, 35.0, 30.0, 50.0, 7.0, 8.0]);
    }

    #[test]
    fn with_more_gaps_than_neighbors_the_grid_is_that_of_the_smallest_step() {
        let even = even(&[0.0, 5.001, 15.0, 25.0], [0.0; 3], [0.0, 0.0, 25.0]).unwrap();
        assert_eq!((even.step, slices_at(&even.places)), ([0.0, 0.0, 5.0], Some(vec![0, 1, 3, 5])));
    }

    #[test]
    fn a_linear_ramp_survives_any_uneven_steps_and_wide_gaps_are_left_alone() {
        let along = [0.0, 4.2, 8.4, 12.6, 20.0, 27.4, 34.8];
        let even = even(&along, [0.0; 3], [0.0, 0.0, 34.8]).unwrap();
        let planes: Vec<f64> = along.to_vec();
        let out = resample(&planes, &even.places, 6).unwrap();
        for (k, value) in (0_u32..).zip(out) {
            assert!((value - 34.8 / 5.0 * f64::from(k)).abs() < 1e-9);
        }
        assert!(super::even(&[0.0, 1.25, 2.5, 205.0], [0.0; 3], [0.0, 0.0, 205.0]).is_none());
    }
}
