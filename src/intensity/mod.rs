//! Intensities as a network wants them: a [`Normalization`] is a list of steps that stands in a model's description.

mod order_statistics;
mod selection;
mod step;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Warning};
use crate::geometry::Field;
use crate::volume::Volume;
pub use order_statistics::PercentileRule;
use selection::Selection;
pub use step::{Over, Step};

/// What is done to the intensities of one channel, in this order: values that are not finite are dealt with, the steps
/// act one after the other, voxels outside the field of view are set.
///
/// Sums run in `f64` in a fixed order: the result does not depend on the number of threads.
///
/// ```
/// use unet_vol::intensity::{Normalization, Step};
/// let window = Normalization::new(vec![Step::Window { center: 40.0, width: 400.0 }]);
/// let mut values = [-1000.0, -160.0, 40.0, 240.0];
/// window.apply(&mut values, None)?;
/// assert_eq!(values, [0.0, 0.0, 0.5, 1.0]);
/// # Ok::<(), unet_vol::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Normalization {
    /// One after the other; an empty list leaves the intensities as they are.
    pub steps: Vec<Step>,
    /// What voxels outside the source's field of view are set to at the end; where absent they are voxels like any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<f32>,
    /// What is done about NaN and infinities.
    pub non_finite: NonFinitePolicy,
}

/// What is done about values that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NonFinitePolicy {
    /// NaN and both infinities become the smallest finite value of the channel, 0 where none is finite. Counted and
    /// reported.
    #[default]
    Replace,
    /// They are an error.
    Refuse,
}

/// What was found that the user should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NormalizationReport {
    /// NaN values replaced.
    pub nan: usize,
    /// Infinite values replaced.
    pub infinite: usize,
    /// A step found all values that it looked at equal.
    pub constant: bool,
    /// A step found no value to look at and did nothing.
    pub empty: bool,
}

impl NormalizationReport {
    /// One warning per finding.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.nan + self.infinite > 0 {
            warnings.push(Warning::new(
                "non-finite-intensities",
                format!(
                    "{} voxels were not a number and {} infinite: replaced by the smallest finite value",
                    self.nan, self.infinite
                ),
            ));
        }
        if self.constant {
            warnings.push(Warning::new(
                "constant-image",
                "all intensities are equal: there is nothing to see in the image",
            ));
        }
        if self.empty {
            warnings
                .push(Warning::new("empty-mask", "no voxel to normalize by: a step of the normalization was left out"));
        }
        warnings
    }
}

impl Normalization {
    /// These steps, no value outside, values that are not finite replaced.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps, ..Self::default() }
    }

    /// With a value for voxels outside the field of view.
    #[must_use]
    pub fn with_outside(self, outside: f32) -> Self {
        Self { outside: Some(outside), ..self }
    }

    /// With another policy for NaN and infinities.
    #[must_use]
    pub fn with_non_finite(self, non_finite: NonFinitePolicy) -> Self {
        Self { non_finite, ..self }
    }

    /// Normalizes one channel in place. `field` says which voxels the source covers; without it all of them are.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] for values that are not finite under [`NonFinitePolicy::Refuse`];
    /// [`crate::ErrorKind::Model`] for a step whose parameters make no sense; [`crate::ErrorKind::Internal`] when `field`
    /// is of another shape; [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn apply(&self, values: &mut [f32], field: Option<&Field>) -> Result<NormalizationReport> {
        if let Some(field) = field.filter(|field| field.shape().iter().product::<usize>() != values.len()) {
            return Err(Error::internal(format!("{} values are no volume of {:?}", values.len(), field.shape())));
        }
        self.check()?;
        let mut report = replace_non_finite(values, self.non_finite)?;
        let field = field.filter(|field| !field.is_whole());
        for step in &self.steps {
            step.apply(values, field, &mut report)?;
        }
        if let (Some(outside), Some(field)) = (self.outside, field) {
            selection::fill_outside(values, field, outside);
        }
        Ok(report)
    }

    /// As [`Normalization::apply`], on a volume.
    ///
    /// # Errors
    /// As [`Normalization::apply`].
    pub fn apply_to(&self, volume: &mut Volume<f32>, field: Option<&Field>) -> Result<NormalizationReport> {
        self.apply(volume.data_mut(), field)
    }

    /// Checks the parameters of the steps, as a reader of model descriptions wants to.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] naming the first step that makes no sense.
    pub fn check(&self) -> Result<()> {
        self.steps.iter().try_for_each(Step::check)
    }
}

/// Deals with values that are not finite. Best called before resampling, which would spread a NaN to its neighbors.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when there are some and the policy is [`NonFinitePolicy::Refuse`].
pub fn replace_non_finite(values: &mut [f32], policy: NonFinitePolicy) -> Result<NormalizationReport> {
    let found = Selection::All.summary(values);
    let (nan, infinite) = (found.nan, found.infinite);
    if nan + infinite > 0 {
        if policy == NonFinitePolicy::Refuse {
            return Err(Error::malformed(format!("{nan} voxels are not a number and {infinite} are infinite")));
        }
        let smallest = if found.low <= found.high { found.low } else { 0.0 };
        selection::for_each_stretch(values, |stretch| {
            stretch.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = smallest);
        });
    }
    Ok(NormalizationReport { nan, infinite, ..NormalizationReport::default() })
}

#[cfg(test)]
mod tests;
