//! Normalizations.

use super::super::op::Op;
use super::super::tensor::Tensor;
use super::{Call, ValueId};
use crate::error::Result;

impl Call<'_, '_> {
    fn epsilon(&self) -> f32 {
        self.node().float("epsilon").unwrap_or(1e-5)
    }

    fn channels(&mut self) -> Result<(ValueId, Vec<usize>, usize)> {
        let (x, shape) = self.x()?;
        match shape.get(1) {
            Some(&channels) if channels > 0 => Ok((x, shape.clone(), channels)),
            _ => Err(self.node().error(format!("works on a tensor of shape {shape:?}, which has no channels"))),
        }
    }

    pub(super) fn batch_normalization(&mut self) -> Result<()> {
        let (x, shape, channels) = self.channels()?;
        let parameters: Option<Vec<_>> = (1..5)
            .map(|index| Ok(self.operands.known(index)?.and_then(Tensor::as_floats).filter(|v| v.len() == channels)))
            .collect::<Result<_>>()?;
        let Some([scale, bias, mean, variance]) = parameters.as_deref() else {
            return Err(self.node().error(format!("has no parameters for {channels} channels")));
        };
        let (scale, shift) = affine(scale, bias, mean, variance, self.epsilon());
        let inputs = vec![x, self.new_constant(vec![channels], scale)?, self.new_constant(vec![channels], shift)?];
        self.layer(Op::ChannelAffine, inputs, shape)
    }

    pub(super) fn instance_normalization(&mut self) -> Result<()> {
        let (x, shape, channels) = self.channels()?;
        let inputs = vec![x, self.per_channel(1, channels)?, self.per_channel(2, channels)?];
        self.layer(Op::InstanceNormalization { epsilon: self.epsilon() }, inputs, shape)
    }

    /// Until operator set 20 scale and bias belong to groups, then to channels.
    pub(super) fn group_normalization(&mut self) -> Result<()> {
        let (x, shape, channels) = self.channels()?;
        let groups = self.node().int("num_groups").and_then(|groups| usize::try_from(groups).ok());
        let groups = groups.filter(|&g| g > 0 && channels.is_multiple_of(g));
        let groups =
            groups.ok_or_else(|| self.node().error(format!("cannot divide {channels} channels into its groups")))?;
        let mut inputs = vec![x];
        for index in 1..3 {
            if self.operands.opset >= 21 {
                inputs.push(self.per_channel(index, channels)?);
                continue;
            }
            self.per_channel(index, groups)?;
            let values = self.operands.known(index)?.and_then(Tensor::as_floats).unwrap_or_default();
            let repeated = values.iter().flat_map(|&v| std::iter::repeat_n(v, channels / groups)).collect();
            inputs.push(self.new_constant(vec![channels], repeated)?);
        }
        self.layer(Op::GroupNormalization { groups, epsilon: self.epsilon() }, inputs, shape)
    }

    pub(super) fn layer_normalization(&mut self) -> Result<()> {
        if self.node().outputs.iter().skip(1).any(Option::is_some) {
            return Err(self.node().unsupported("gives its statistics away"));
        }
        let (x, shape) = self.x()?;
        let axis = self.operands.axis(self.node().int("axis").unwrap_or(-1), shape.len())?;
        let count = shape[axis..].iter().product();
        let mut inputs = vec![x, self.per_channel(1, count)?];
        if self.operands.has(2) {
            inputs.push(self.per_channel(2, count)?);
        }
        self.layer(Op::LayerNormalization { axis, epsilon: self.epsilon() }, inputs, shape)
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` as a factor and a shift per channel, computed in `f64`.
#[allow(clippy::cast_possible_truncation, reason = "weights are used in single precision")]
pub(in super::super) fn affine(
    scale: &[f32],
    bias: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    (0..scale.len())
        .map(|c| {
            let factor = f64::from(scale[c]) / (f64::from(variance[c]) + f64::from(epsilon)).sqrt();
            (factor as f32, (f64::from(bias[c]) - f64::from(mean[c]) * factor) as f32)
        })
        .unzip()
}
