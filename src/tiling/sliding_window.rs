//! Overlapping windows, blended by weight.

use serde::{Deserialize, Serialize};

use super::layout::{AxisTiles, Span, before};
use super::network::AxisRule;
use super::{Importance, Padding};
use crate::error::{Error, Result};

/// Where the windows of an axis start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Starts {
    /// Spread evenly, as few as keep the overlap: with `n` voxels, patch `p` and step `s = 1 - overlap` there are
    /// `ceil((n - p) / (p s)) + 1`, the `m`-th at `m (n - p) / (count - 1)` rounded half to even (nnU-Net v2,
    /// `inference/sliding_window_prediction.py`).
    #[default]
    Nnunet,
    /// Every `floor(p (1 - overlap))` voxels (at least 1), the last one moved back to end with the volume (MONAI,
    /// `dense_patch_slices`).
    Monai,
}

/// Patches that overlap; a voxel gets the mean of their scores, weighted by the importance map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SlidingWindow {
    /// Voxels read along i, j, k.
    pub patch: [usize; 3],
    /// The part of a patch that neighbors share, 0 <= overlap < 1. nnU-Net's `tile_step_size` is 1 - overlap.
    #[serde(default = "half")]
    pub overlap: f64,
    /// Where patches start.
    #[serde(default)]
    pub starts: Starts,
    /// Weight of each voxel of a patch.
    #[serde(default)]
    pub importance: Importance,
    /// Standard deviation of the importance map as a part of the patch's side.
    #[serde(default = "eighth")]
    pub sigma_scale: f64,
    /// What is read outside the volume, where an axis is shorter than the patch (the smaller half comes first).
    #[serde(default = "super::whole::zero")]
    pub padding: Padding,
}

fn half() -> f64 {
    0.5
}

fn eighth() -> f64 {
    0.125
}

impl SlidingWindow {
    /// As nnU-Net v2 does by default: overlap 0.5, its starts and its importance map, zeros outside.
    #[must_use]
    pub fn nnunet(patch: [usize; 3]) -> Self {
        Self {
            patch,
            overlap: half(),
            starts: Starts::Nnunet,
            importance: Importance::Nnunet,
            sigma_scale: eighth(),
            padding: super::whole::zero(),
        }
    }

    /// As MONAI's `sliding_window_inference` does by default: overlap 0.25, its starts, uniform weights, zeros outside.
    #[must_use]
    pub fn monai(patch: [usize; 3]) -> Self {
        Self { overlap: 0.25, starts: Starts::Monai, importance: Importance::Uniform, ..Self::nnunet(patch) }
    }

    pub(super) fn along(&self, axis: usize, length: usize, rule: &AxisRule) -> Result<AxisTiles> {
        let patch = self.patch[axis];
        rule.check(patch)?;
        if rule.margin > 0 {
            return Err(Error::model("a sliding window needs a network whose output is as large as its input")
                .hint("use the method \"overlap-tile\" for this one"));
        }
        if !(0.0..1.0).contains(&self.overlap) || !(1e-3..=1e3).contains(&self.sigma_scale) {
            return Err(Error::model(format!(
                "an overlap of {} and a sigma scale of {} make no sliding window: 0 <= overlap < 1, 0.001 <= sigma <= 1000",
                self.overlap, self.sigma_scale
            )));
        }
        let ahead = before(patch.saturating_sub(length));
        let spans = self.starts(length, patch).into_iter().map(|start| {
            let read = start as isize - ahead;
            let first = read.max(0).unsigned_abs();
            let end = (read + patch as isize).unsigned_abs().min(length);
            Span { read, write: (first, end), keep: (first as isize - read).unsigned_abs() }
        });
        Ok(AxisTiles { patch, output: patch, spans: spans.collect(), padding: self.padding })
    }

    /// First indices of the windows of an axis, ascending, each once.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "values lie between 0 and the length")]
    fn starts(&self, length: usize, patch: usize) -> Vec<usize> {
        let last = length.saturating_sub(patch);
        if last == 0 {
            return vec![0];
        }
        let mut starts: Vec<usize> = match self.starts {
            Starts::Nnunet => {
                // The step is what nnU-Net was given: 1 - overlap without the noise of the subtraction.
                let step = ((1.0 - self.overlap) * 1e9).round() / 1e9;
                let gaps = (last as f64 / (patch as f64 * step)).ceil().clamp(1.0, last as f64);
                let spacing = last as f64 / gaps;
                (0..=gaps as usize).map(|m| (spacing * m as f64).round_ties_even() as usize).collect()
            }
            Starts::Monai => {
                let interval = ((patch as f64 * (1.0 - self.overlap)) as usize).max(1);
                (0..=last.div_ceil(interval)).map(|m| (m * interval).min(last)).collect()
            }
        };
        starts.dedup();
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of nnU-Net and MONAI side by side: 224 voxels, patches of 96.
    #[test]
    fn the_two_families_start_differently() {
        let nnunet = SlidingWindow::nnunet([96; 3]);
        assert_eq!(nnunet.starts(224, 96), [0, 43, 85, 128]);
        assert_eq!(nnunet.starts(192, 96), [0, 48, 96]);
        let monai = SlidingWindow { overlap: 0.5, ..SlidingWindow::monai([96; 3]) };
        assert_eq!(monai.starts(224, 96), [0, 48, 96, 128]);
        assert_eq!(SlidingWindow::monai([96; 3]).starts(224, 96), [0, 72, 128]);
        assert_eq!(monai.starts(96, 96), [0]);
        assert_eq!(monai.starts(20, 96), [0]);
    }

    #[test]
    fn an_overlap_that_leaves_less_than_a_voxel_steps_by_one() {
        for starts in [Starts::Nnunet, Starts::Monai] {
            let window = SlidingWindow { overlap: 0.9999, starts, ..SlidingWindow::nnunet([4; 3]) };
            assert_eq!(window.starts(9, 4), [0, 1, 2, 3, 4, 5]);
        }
    }
}
