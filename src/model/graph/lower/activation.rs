//! Functions value by value, and softmax.

use super::super::function::{Activation, Unary};
use super::super::op::Op;
use super::Call;
use crate::error::Result;

impl Call<'_, '_> {
    /// Makes the layer when `name` is a function of one variable.
    pub(super) fn activation(&mut self, name: &str) -> Result<bool> {
        let float = |key: &str, default: f32| self.node().float(key).unwrap_or(default);
        let activation = match name {
            "Relu" => Activation::Relu,
            "LeakyRelu" => Activation::LeakyRelu { alpha: float("alpha", 0.01) },
            "Elu" => Activation::Elu { alpha: float("alpha", 1.0) },
            "Gelu" if self.node().text("approximate") == Some("tanh") => Activation::GeluTanh,
            "Gelu" => Activation::Gelu,
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "Clip" => Activation::Clip {
                min: self.operands.scalar(1, "min")?.unwrap_or(f32::NEG_INFINITY),
                max: self.operands.scalar(2, "max")?.unwrap_or(f32::INFINITY),
            },
            "HardSigmoid" => Activation::HardSigmoid { alpha: float("alpha", 0.2), beta: float("beta", 0.5) },
            "HardSwish" => Activation::HardSwish,
            "Selu" => Activation::Selu { alpha: float("alpha", 1.673_263_2), gamma: float("gamma", 1.050_701) },
            "Softplus" => Activation::Softplus,
            "Mish" => Activation::Mish,
            "Swish" => Activation::Swish { alpha: float("alpha", 1.0) },
            _ => {
                let Some(function) = Unary::named(name) else { return Ok(false) };
                let (x, shape) = self.x()?;
                return self.layer(Op::Unary(function), vec![x], shape).map(|()| true);
            }
        };
        let (x, shape) = self.x()?;
        self.layer(Op::Activation(activation), vec![x], shape).map(|()| true)
    }

    pub(super) fn prelu(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let (slope, slope_shape) = self.constant(1)?;
        if self.operands.broadcast(&shape, &slope_shape)? != shape {
            return Err(self
                .node()
                .error(format!("has slopes of shape {slope_shape:?} for a tensor of shape {shape:?}")));
        }
        self.layer(Op::PRelu, vec![x, slope], shape)
    }

    /// Until operator set 12 all axes from `axis` on sum to one together.
    pub(super) fn softmax(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let log = self.node().operator == "LogSoftmax";
        let flat = self.operands.opset < 13;
        let axis = self.operands.axis(self.node().int("axis").unwrap_or(if flat { 1 } else { -1 }), shape.len())?;
        if !flat || shape[axis + 1..].iter().all(|&n| n == 1) {
            return self.layer(Op::Softmax { axis, log }, vec![x], shape);
        }
        let rows = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
        let x = self.inner(Op::Reshape, vec![x], rows.clone())?;
        let y = self.inner(Op::Softmax { axis: 1, log }, vec![x], rows)?;
        self.layer(Op::Reshape, vec![y], shape)
    }
}
