//! How sure a network was of each label, summed up while its scores pass by.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::activation::Activation;
use super::decide::{DecideOptions, Rule};
use crate::error::{Error, Result};
use crate::limits;

/// How sure a network was of one label. Voxels are those of the network's grid whose most probable class it is, before
/// any filter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Confidence {
    /// `probability * (1 - border_entropy)`, 0 to 1.
    pub score: f64,
    /// Mean probability of the winning class over the label's voxels.
    pub probability: f64,
    /// Mean entropy of the probabilities over the label's voxels that have another label beside them in their plane, as
    /// a share of the largest possible, the logarithm of the number of classes.
    pub border_entropy: f64,
}

/// Sums over the voxels of one label.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    voxels: f64,
    probability: f64,
    border: f64,
    entropy: f64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.voxels += other.voxels;
        self.probability += other.probability;
        self.border += other.border;
        self.entropy += other.entropy;
    }

    fn confidence(&self) -> Confidence {
        let probability = self.probability / self.voxels.max(1.0);
        let border_entropy = self.entropy / self.border.max(1.0);
        Confidence { score: probability * (1.0 - border_entropy), probability, border_entropy }
    }
}

/// Takes planes of scores as [`Decider`](super::Decider) does; holds a few numbers per class.
#[derive(Debug)]
pub struct ConfidenceMeter {
    ids: Vec<u16>,
    /// Scores are logits; else they are probabilities.
    logits: bool,
    sums: Vec<Sums>,
    not_finite: usize,
}

/// A class whose score lies farther below the best has a probability that `f32` cannot tell from 0 beside it.
const NEGLIGIBLE: f32 = -17.0;

impl ConfidenceMeter {
    /// For scores that `activation` makes probabilities of; `None` where the decision is not the most probable class.
    #[must_use]
    pub fn new(decide: &DecideOptions, activation: Activation) -> Option<Self> {
        let classes = decide.ids.len();
        if decide.rule != Rule::Argmax || classes < 2 || activation == Activation::Sigmoid {
            return None;
        }
        let logits = activation == Activation::Softmax;
        Some(Self { ids: decide.ids.clone(), logits, sums: vec![Sums::default(); classes], not_finite: 0 })
    }

    /// Takes the first `planes` planes, `[planes, rows, row]`, of each class; classes lie `class_stride` values apart.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the scores are too few; [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn take(&mut self, scores: &[f32], class_stride: usize, planes: usize, row: usize, rows: usize) -> Result<()> {
        let plane = row * rows;
        if plane * planes > class_stride || scores.len() != self.ids.len() * class_stride || row == 0 {
            return Err(Error::internal("the scores do not have the size of the planes"));
        }
        let this = &*self;
        let of_plane = |p: usize| {
            let class = |c: usize| &scores[c * class_stride + p * plane..][..plane];
            this.plane(class, row)
        };
        let sums = (0..planes).into_par_iter().map(of_plane).collect::<Result<Vec<_>>>()?;
        // In order, so that the sums do not depend on the number of threads or on how planes come.
        for (plane, not_finite) in sums {
            self.not_finite += not_finite;
            self.sums.iter_mut().zip(&plane).for_each(|(sum, other)| sum.add(other));
        }
        Ok(())
    }

    /// How many scores so far were NaN or infinite.
    #[must_use]
    pub fn not_finite(&self) -> usize {
        self.not_finite
    }

    /// What was found, for each id that won a voxel.
    #[must_use]
    pub fn finish(&self) -> BTreeMap<u16, Confidence> {
        let mut sums: BTreeMap<u16, Sums> = BTreeMap::new();
        for (&id, sum) in self.ids.iter().zip(&self.sums).filter(|(id, sum)| **id != 0 && sum.voxels > 0.0) {
            sums.entry(id).or_default().add(sum);
        }
        sums.into_iter().map(|(id, sum)| (id, sum.confidence())).collect()
    }

    /// The sums of one plane, per class, and its scores that are not finite.
    fn plane<'a>(&self, class: impl Fn(usize) -> &'a [f32], row: usize) -> Result<(Vec<Sums>, usize)> {
        let voxels = class(0).len();
        let mut best: Vec<f32> = limits::zeroed(voxels, "a plane of scores")?;
        let mut winner: Vec<u16> = limits::zeroed(voxels, "a plane of classes")?;
        best.fill(f32::NEG_INFINITY);
        let mut not_finite = 0;
        for (c, number) in (0..self.ids.len()).zip(0_u16..) {
            not_finite += count_not_finite(class(c));
            for ((best, winner), &score) in best.iter_mut().zip(&mut winner).zip(class(c)) {
                let higher = score > *best;
                *best = if higher { score } else { *best };
                *winner = if higher { number } else { *winner };
            }
        }
        let id = |v: usize| self.ids[usize::from(winner[v])];
        let labeled: Vec<usize> = (0..voxels).filter(|&v| id(v) != 0 && best[v].is_finite()).collect();
        let mut total: Vec<f32> = limits::zeroed(labeled.len(), "a plane of sums")?;
        let mut weighted: Vec<f32> = limits::zeroed(labeled.len(), "a plane of sums")?;
        for c in 0..self.ids.len() {
            let scores = class(c);
            for ((&v, total), weighted) in labeled.iter().zip(&mut total).zip(&mut weighted) {
                // With e^below = p / p_best for both kinds of scores.
                let below = if self.logits { scores[v] - best[v] } else { (scores[v] / best[v]).ln() };
                if below > NEGLIGIBLE {
                    let share = below.exp();
                    *total += share;
                    *weighted += share * below;
                }
            }
        }
        let largest = f64::from(u16::try_from(self.ids.len()).unwrap_or(u16::MAX)).ln();
        let mut sums = vec![Sums::default(); self.ids.len()];
        for ((&v, total), weighted) in labeled.iter().zip(total).zip(weighted) {
            let sum = &mut sums[usize::from(winner[v])];
            sum.voxels += 1.0;
            sum.probability += f64::from(1.0 / total);
            let i = v % row;
            let differs = |other: usize| id(other) != id(v);
            let border = (i > 0 && differs(v - 1))
                || (i + 1 < row && differs(v + 1))
                || (v >= row && differs(v - row))
                || (v + row < voxels && differs(v + row));
            if border {
                sum.border += 1.0;
                sum.entropy += f64::from(total.ln() - weighted / total) / largest;
            }
        }
        Ok((sums, not_finite))
    }
}

/// How many of some scores are NaN or infinite.
pub(crate) fn count_not_finite(scores: &[f32]) -> usize {
    // Few enough that a count fits the lanes in which it is summed.
    let stretches = scores.chunks(1 << 16);
    stretches.map(|part| part.iter().map(|score| u32::from(!score.is_finite())).sum::<u32>() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes over a row of four voxels: sure background, then label 5 twice, then label 9.
    const LOGITS: [f32; 12] = [9.0, 0.0, 0.0, 0.0, 0.0, 2.0, 1.0, -1.0, 0.0, 0.0, 0.0, 1.0];

    fn softmax(v: usize) -> [f64; 3] {
        let e = [0, 1, 2].map(|c| f64::from(LOGITS[4 * c + v]).exp());
        e.map(|value| value / e.iter().sum::<f64>())
    }

    fn entropy(v: usize) -> f64 {
        -softmax(v).iter().map(|p| p * p.ln()).sum::<f64>() / 3.0_f64.ln()
    }

    #[test]
    fn probability_and_entropy_are_those_of_the_definition_for_logits_and_probabilities() {
        let decide = DecideOptions::new(vec![0, 5, 9]);
        let mut probabilities = LOGITS;
        Activation::Softmax.apply(&mut probabilities, 3).unwrap();
        for (scores, activation) in [(LOGITS, Activation::Softmax), (probabilities, Activation::None)] {
            let mut meter = ConfidenceMeter::new(&decide, activation).unwrap();
            meter.take(&scores, 4, 1, 4, 1).unwrap();
            let found = meter.finish();
            assert_eq!(found.keys().copied().collect::<Vec<_>>(), [5, 9]);
            let five = &found[&5];
            assert!((five.probability - (softmax(1)[1] + softmax(2)[1]) / 2.0).abs() < 1e-6, "{five:?}");
            assert!((five.border_entropy - (entropy(1) + entropy(2)) / 2.0).abs() < 1e-6, "{five:?}");
            assert!((five.score - five.probability * (1.0 - five.border_entropy)).abs() < 1e-12);
            assert!((found[&9].probability - softmax(3)[2]).abs() < 1e-6);
        }
    }

    #[test]
    fn planes_in_one_slab_or_in_several_give_the_same_bits() {
        let decide = DecideOptions::new(vec![0, 5, 9]);
        let (row, rows, planes) = (7, 5, 6);
        let plane = row * rows;
        let scores: Vec<f32> =
            (0..3 * planes * plane).map(|n| ((n * 7919 % 1009) as f32 / 100.0).sin() * 3.0).collect();
        let mut whole = ConfidenceMeter::new(&decide, Activation::Softmax).unwrap();
        whole.take(&scores, planes * plane, planes, row, rows).unwrap();
        let mut parts = ConfidenceMeter::new(&decide, Activation::Softmax).unwrap();
        for p in 0..planes {
            let slab: Vec<f32> =
                (0..3).flat_map(|c| scores[(c * planes + p) * plane..][..plane].iter().copied()).collect();
            parts.take(&slab, plane, 1, row, rows).unwrap();
        }
        assert_eq!(whole.finish(), parts.finish());
        assert_eq!(whole.not_finite(), 0);
        assert!(whole.take(&scores, plane, planes, row, rows).is_err());
    }
}
