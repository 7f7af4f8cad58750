//! Scores to probabilities, for models whose labels are decided on probabilities.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits;

/// What is done to the scores before they are interpolated and decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// Decide on what the network gives.
    #[default]
    None,
    /// `exp(s_c) / sum over classes of exp(s)`.
    Softmax,
    /// `1 / (1 + exp(-s_c))` for each channel by itself.
    Sigmoid,
}

/// Voxels that one job takes.
const STRETCH: usize = 1024;

impl Activation {
    /// Replaces scores by probabilities, in place. `scores` is class-major: `[classes, voxels]`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the scores do not divide into `classes`; [`crate::ErrorKind::Limit`] when memory
    /// for the sums of a softmax cannot be had.
    pub fn apply(self, scores: &mut [f32], classes: usize) -> Result<()> {
        if classes == 0 || !scores.len().is_multiple_of(classes) {
            return Err(Error::internal(format!("{} scores do not divide into {classes} classes", scores.len())));
        }
        match self {
            Self::None => Ok(()),
            Self::Sigmoid => {
                scores.par_chunks_mut(STRETCH).for_each(|part| {
                    part.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp()));
                });
                Ok(())
            }
            Self::Softmax => softmax(scores, classes),
        }
    }
}

/// Stretches of voxels run side by side; within one the classes are summed in order.
fn softmax(scores: &mut [f32], classes: usize) -> Result<()> {
    let voxels = scores.len() / classes;
    if voxels == 0 {
        return Ok(());
    }
    let mut stretches = Vec::new();
    stretches.resize_with(voxels.div_ceil(STRETCH), || Vec::with_capacity(classes));
    for class in scores.chunks_mut(voxels) {
        stretches.iter_mut().zip(class.chunks_mut(STRETCH)).for_each(|(stretch, part)| stretch.push(part));
    }
    stretches.into_par_iter().try_for_each(|mut stretch| {
        let count = stretch[0].len();
        let mut largest = limits::zeroed::<f32>(count, "a softmax")?;
        let mut sum = limits::zeroed::<f32>(count, "a softmax")?;
        largest.copy_from_slice(stretch[0]);
        for class in &stretch {
            largest.iter_mut().zip(class.iter()).for_each(|(largest, score)| *largest = largest.max(*score));
        }
        for class in &mut stretch {
            for ((score, largest), sum) in class.iter_mut().zip(&largest).zip(&mut sum) {
                *score = (*score - largest).exp();
                *sum += *score;
            }
        }
        for class in &mut stretch {
            class.iter_mut().zip(&sum).for_each(|(score, sum)| *score /= sum);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_do_not_overflow() {
        let voxels = STRETCH + 3;
        let mut scores: Vec<f32> = (0..3 * voxels).map(|n| [1000.0, -1000.0, 999.0][n / voxels]).collect();
        Activation::Softmax.apply(&mut scores, 3).unwrap();
        for v in [0, STRETCH, voxels - 1] {
            let p: Vec<f32> = (0..3).map(|c| scores[c * voxels + v]).collect();
            assert!((p[0] - 0.731_058_6).abs() < 1e-6 && p[1] == 0.0 && (p[2] - 0.268_941_4).abs() < 1e-6);
        }
        let mut scores = [0.0, 1000.0, -1000.0];
        Activation::Sigmoid.apply(&mut scores, 1).unwrap();
        assert_eq!(scores, [0.5, 1.0, 0.0]);
        assert!(Activation::Softmax.apply(&mut [0.0; 4], 3).is_err());
    }
}
