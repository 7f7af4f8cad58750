//! Which label a voxel gets from its scores.

use serde::{Deserialize, Serialize};

use super::edges::EdgeOptions;
use crate::error::{Error, Result};
use crate::resample::Outside;

/// How the scores of a voxel become a label.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Rule {
    /// The class with the largest score; ties go to the lowest class. A score that is not a number never wins.
    #[default]
    Argmax,
    /// Overlapping regions: each channel is a region of its own, present where its score exceeds its threshold. Regions
    /// are painted in `order`, later ones over earlier ones (nnU-Net's region-based training, BraTS).
    Sigmoid {
        /// One per channel, in the units of the scores: 0 for logits stands for a probability of one half.
        thresholds: Vec<f32>,
        /// Channels in the order of painting; channels that are not named are not painted.
        order: Vec<usize>,
    },
    /// One channel above one value.
    Threshold {
        /// The channel.
        channel: usize,
        /// What its score has to exceed.
        value: f32,
    },
}

/// How labels get from the working grid to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Interpolation {
    /// Scores are interpolated trilinearly at each target voxel and decided there.
    #[default]
    Linear,
    /// Scores are decided on the working grid; a target voxel takes the label of the nearest one.
    Nearest,
}

/// Everything that turns scores into label ids.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DecideOptions {
    /// Scores to class.
    pub rule: Rule,
    /// Class (channel) to label id, one entry per class. Several classes may share an id.
    pub ids: Vec<u16>,
    /// Beyond the field of view of the working grid. A network that ran on a box of its grid is decided from that box as
    /// the working grid, with [`Outside::Background`] around it.
    pub outside: Outside,
    /// Working grid to target.
    pub interpolation: Interpolation,
    /// How an [`EdgeDecider`](super::EdgeDecider) decides edges afterwards.
    pub edges: Option<EdgeOptions>,
    /// Pairs of classes that look the same in a scan, as left and right do.
    pub alike: Vec<[usize; 2]>,
}

impl DecideOptions {
    /// Argmax with these ids, background beyond the working grid, linear.
    #[must_use]
    pub fn new(ids: Vec<u16>) -> Self {
        Self {
            rule: Rule::Argmax,
            ids,
            outside: Outside::default(),
            interpolation: Interpolation::default(),
            edges: None,
            alike: Vec::new(),
        }
    }

    /// With another rule.
    #[must_use]
    pub fn with_rule(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// With another label beyond the working grid.
    #[must_use]
    pub fn with_outside(self, outside: Outside) -> Self {
        Self { outside, ..self }
    }

    /// With another way back to the target.
    #[must_use]
    pub fn with_interpolation(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    /// With edges decided by intensity, where the classes of each pair look `alike`.
    #[must_use]
    pub fn with_edges(self, edges: EdgeOptions, alike: Vec<[usize; 2]>) -> Self {
        Self { edges: Some(edges), alike, ..self }
    }
}

/// One comparison of a rule: the channel wins when its score exceeds the bound, or the best so far where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contest {
    pub(super) class: u16,
    pub(super) bound: Option<f32>,
}

/// A rule as comparisons in a fixed order. A *code* is a class, or the number of classes for "none".
#[derive(Debug)]
pub(super) struct Contests {
    pub(super) list: Vec<Contest>,
    /// Code of a voxel where no comparison is won.
    pub(super) start: u16,
    /// Code to label id.
    pub(super) ids: Vec<u16>,
}

impl Contests {
    pub(super) fn new(options: &DecideOptions) -> Result<Self> {
        let classes = u16::try_from(options.ids.len())
            .ok()
            .filter(|n| (1..u16::MAX).contains(n))
            .ok_or_else(|| Error::model(format!("{} classes cannot be decided", options.ids.len())))?;
        let channel = |at: usize| match u16::try_from(at) {
            Ok(class) if class < classes => Ok(class),
            _ => Err(Error::model(format!("the rule names channel {at} of {classes}"))),
        };
        let list = match &options.rule {
            Rule::Argmax => (0..classes).map(|class| Contest { class, bound: None }).collect(),
            Rule::Threshold { channel: at, value } => vec![Contest { class: channel(*at)?, bound: Some(*value) }],
            Rule::Sigmoid { thresholds, order } => {
                if thresholds.len() != usize::from(classes) {
                    return Err(Error::model(format!("{} thresholds for {classes} channels", thresholds.len())));
                }
                let contest = |&at: &usize| Ok(Contest { class: channel(at)?, bound: Some(thresholds[at]) });
                order.iter().map(contest).collect::<Result<_>>()?
            }
        };
        let start = if options.rule == Rule::Argmax { 0 } else { classes };
        let ids = options.ids.iter().copied().chain([0]).collect();
        Ok(Self { list, start, ids })
    }

    /// Number of classes, which is also the code for "none".
    pub(super) fn classes(&self) -> usize {
        self.ids.len() - 1
    }

    /// True when the best score decides.
    pub(super) fn is_argmax(&self) -> bool {
        self.list.iter().all(|contest| contest.bound.is_none())
    }

    /// The code for "none".
    pub(super) fn none(&self) -> u16 {
        // The constructor has checked that it fits.
        u16::try_from(self.classes()).unwrap_or(u16::MAX)
    }
}

impl Contest {
    /// Compares a score with the bound or the best so far.
    #[inline]
    pub(super) fn settle(self, score: f32, best: &mut f32, code: &mut u32) {
        let (bound, keeps_best) = self.bound.map_or((*best, false), |bound| (bound, true));
        let wins = score > bound;
        *best = if wins & !keeps_best { score } else { *best };
        *code = if wins { u32::from(self.class) } else { *code };
    }

    /// [`Contest::settle`] for many voxels whose contests come in the order of the list.
    #[inline]
    pub(super) fn settle_all(self, scores: &[f32], best: &mut [f32], codes: &mut [u32]) {
        for ((score, best), code) in scores.iter().zip(best).zip(codes) {
            self.settle(*score, best, code);
        }
    }

    /// As [`Contest::settle_all`] for an argmax whose classes come in any order: of equal scores the lower class wins.
    #[inline]
    pub(super) fn settle_in_any_order(self, scores: &[f32], best: &mut [f32], codes: &mut [u32]) {
        let class = u32::from(self.class);
        for ((&score, best), code) in scores.iter().zip(best).zip(codes) {
            let wins = (score > *best) | ((score == *best) & (class < *code));
            *best = if wins { score } else { *best };
            *code = if wins { class } else { *code };
        }
    }
}
