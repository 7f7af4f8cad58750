//! The steps of a normalization.

use serde::{Deserialize, Serialize};

use super::NormalizationReport;
use super::order_statistics::{PercentileRule, percentiles};
use super::selection::{Selection, for_each_stretch};
use crate::error::{Error, Result};
use crate::geometry::Field;

/// The voxels that a step's statistics look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Over {
    /// All voxels of the network's grid.
    #[default]
    All,
    /// Those that the source's field of view covers.
    InField,
    /// Those that the source covers and whose value is not zero.
    Nonzero,
}

/// One step. A step whose statistics have no voxel to look at leaves the intensities as they are; what a step does with
/// equal intensities stands at the step. Both are reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Step {
    /// Restricts to `low ..= high`.
    Clip {
        /// Smallest value left.
        low: f32,
        /// Largest value left.
        high: f32,
    },
    /// Restricts to the range between two percentiles.
    ClipPercentiles {
        /// 0 to 100.
        low_percent: f64,
        /// 0 to 100.
        high_percent: f64,
        /// Percentiles between two values.
        #[serde(default)]
        rule: PercentileRule,
        /// Which voxels count.
        #[serde(default)]
        over: Over,
    },
    /// CT window: `center - width / 2` becomes 0, `center + width / 2` becomes 1, values beyond are clipped.
    Window {
        /// Middle of the window in the units of the image (HU).
        center: f32,
        /// Its width.
        width: f32,
    },
    /// `(x - mean) / max(standard deviation, epsilon)`, the deviation divided by the count (nnU-Net). Equal intensities
    /// become 0. Over non-zero voxels, only those are changed (MONAI `NormalizeIntensity(nonzero=True)`).
    ZScore {
        /// Which voxels count.
        #[serde(default)]
        over: Over,
        /// Smallest divisor.
        #[serde(default = "tiny")]
        epsilon: f64,
    },
    /// `(x - low) / max(high - low, epsilon)` with two percentiles. Equal intensities become 0.
    RescalePercentiles {
        /// 0 to 100.
        low_percent: f64,
        /// 0 to 100.
        high_percent: f64,
        /// Percentiles between two values.
        #[serde(default)]
        rule: PercentileRule,
        /// Restricts the result to 0..1.
        #[serde(default)]
        clip: bool,
        /// Which voxels count.
        #[serde(default)]
        over: Over,
        /// Smallest divisor.
        #[serde(default = "small")]
        epsilon: f64,
    },
    /// `(x - minimum) / (maximum - minimum)`. Equal intensities become 0.
    MinMax {
        /// Which voxels count.
        #[serde(default)]
        over: Over,
    },
    /// `(x - mean) / std` with numbers from the training set.
    Fixed {
        /// Mean.
        mean: f32,
        /// Standard deviation, positive.
        std: f32,
    },
    /// `x / maximum`; a maximum of 0 leaves the intensities as they are.
    ScaleByMax {
        /// Which voxels count.
        #[serde(default)]
        over: Over,
    },
    /// `x / by`.
    Divide {
        /// Not zero.
        by: f32,
    },
}

fn tiny() -> f64 {
    1e-8
}

fn small() -> f64 {
    1e-6
}

#[expect(clippy::cast_possible_truncation, reason = "intensities are f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Step {
    /// Applies the step in place.
    pub(super) fn apply(
        self,
        values: &mut [f32],
        field: Option<&Field>,
        report: &mut NormalizationReport,
    ) -> Result<()> {
        let select = |over| match over {
            Over::All => Selection::All,
            Over::InField => Selection::Field(field),
            Over::Nonzero => Selection::Nonzero(field),
        };
        match self {
            Self::Clip { low, high } => clip(values, low, high),
            Self::Window { center, width } => rescale(values, center - 0.5 * width, width, true),
            Self::Fixed { mean, std } => rescale(values, mean, std, false),
            Self::Divide { by } => rescale(values, 0.0, by, false),
            Self::ClipPercentiles { low_percent, high_percent, rule, over } => {
                match percentiles(values, select(over), [low_percent, high_percent], rule) {
                    Some(range) => clip(values, narrow(range[0]), narrow(range[1])),
                    None => report.empty = true,
                }
            }
            Self::RescalePercentiles { low_percent, high_percent, rule, clip, over, epsilon } => {
                let Some(range) = percentiles(values, select(over), [low_percent, high_percent], rule) else {
                    report.empty = true;
                    return Ok(());
                };
                let [low, high] = range.map(narrow);
                report.constant |= low == high;
                rescale(values, low, (high - low).max(narrow(epsilon)), clip);
            }
            Self::ZScore { over, epsilon } => match select(over).mean_and_deviation(values) {
                Some((mean, deviation)) => {
                    report.constant |= deviation == 0.0;
                    let (mean, divisor) = (narrow(mean), narrow(deviation.max(epsilon)));
                    if over == Over::Nonzero {
                        rescale_nonzero(values, mean, divisor)
                    } else {
                        rescale(values, mean, divisor, false)
                    }
                }
                None => report.empty = true,
            },
            Self::MinMax { over } => {
                let found = select(over).summary(values);
                report.empty |= found.count == 0;
                report.constant |= found.low == found.high;
                if found.low < found.high {
                    rescale(values, found.low, found.high - found.low, false);
                } else if found.count > 0 {
                    values.fill(0.0);
                }
            }
            Self::ScaleByMax { over } => {
                let found = select(over).summary(values);
                report.empty |= found.count == 0;
                report.constant |= found.low == found.high;
                if found.count > 0 && found.high != 0.0 {
                    rescale(values, 0.0, found.high, false);
                }
            }
        }
        Ok(())
    }

    /// Checks the parameters.
    pub(super) fn check(&self) -> Result<()> {
        let percents = |low: f64, high: f64| 0.0 <= low && low < high && high <= 100.0;
        let sound = match *self {
            Self::Clip { low, high } => low <= high,
            Self::Window { center, width } => center.is_finite() && width.is_finite() && width > 0.0,
            Self::Fixed { mean, std } => mean.is_finite() && std.is_finite() && std > 0.0,
            Self::Divide { by } => by.is_finite() && by != 0.0,
            Self::ClipPercentiles { low_percent, high_percent, .. } => percents(low_percent, high_percent),
            Self::RescalePercentiles { low_percent, high_percent, epsilon, .. } => {
                percents(low_percent, high_percent) && epsilon.is_finite() && epsilon > 0.0
            }
            Self::ZScore { epsilon, .. } => epsilon.is_finite() && epsilon > 0.0,
            Self::MinMax { .. } | Self::ScaleByMax { .. } => true,
        };
        if sound { Ok(()) } else { Err(Error::model(format!("the normalization step {self:?} makes no sense"))) }
    }
}

fn clip(values: &mut [f32], low: f32, high: f32) {
    for_each_stretch(values, |stretch| stretch.iter_mut().for_each(|value| *value = value.max(low).min(high)));
}

/// `(x - offset) / divisor`, restricted to 0..1 if asked for.
fn rescale(values: &mut [f32], offset: f32, divisor: f32, clip: bool) {
    for_each_stretch(values, |stretch| {
        if clip {
            stretch.iter_mut().for_each(|value| *value = ((*value - offset) / divisor).clamp(0.0, 1.0));
        } else {
            stretch.iter_mut().for_each(|value| *value = (*value - offset) / divisor);
        }
    });
}

fn rescale_nonzero(values: &mut [f32], offset: f32, divisor: f32) {
    for_each_stretch(values, |stretch| {
        stretch.iter_mut().filter(|value| **value != 0.0).for_each(|value| *value = (*value - offset) / divisor);
    });
}
