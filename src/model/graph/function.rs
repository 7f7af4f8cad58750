//! Functions of numbers: what activations, arithmetic layers and reductions compute.

/// Activation functions of one variable.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x < 0 ? alpha x : x`
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `x < 0 ? alpha (exp(x) - 1) : x`
    Elu {
        /// Factor below zero.
        alpha: f32,
    },
    /// `x / 2 (1 + erf(x / sqrt 2))`, however the file spells it.
    Gelu,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`
    GeluTanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `min(max(x, min), max)`
    Clip {
        /// Lower bound, `-inf` where there is none.
        min: f32,
        /// Upper bound, `inf` where there is none.
        max: f32,
    },
    /// `min(max(alpha x + beta, 0), 1)`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x min(max(x / 6 + 1 / 2, 0), 1)`
    HardSwish,
    /// `gamma (x < 0 ? alpha (exp(x) - 1) : x)`
    Selu {
        /// Factor below zero.
        alpha: f32,
        /// Factor of everything.
        gamma: f32,
    },
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x tanh(softplus(x))`
    Mish,
    /// `x sigmoid(alpha x)`, however the file spells it.
    Swish {
        /// Factor inside.
        alpha: f32,
    },
}

impl Activation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Relu => "Relu",
            Self::LeakyRelu { .. } => "LeakyRelu",
            Self::Elu { .. } => "Elu",
            Self::Gelu | Self::GeluTanh => "Gelu",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "Tanh",
            Self::Clip { .. } => "Clip",
            Self::HardSigmoid { .. } => "HardSigmoid",
            Self::HardSwish => "HardSwish",
            Self::Selu { .. } => "Selu",
            Self::Softplus => "Softplus",
            Self::Mish => "Mish",
            Self::Swish { .. } => "Swish",
        }
    }
}

/// Functions of one variable beside the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the function of its name")]
pub enum Unary {
    Abs,
    Ceil,
    Erf,
    Exp,
    Floor,
    Log,
    Neg,
    Reciprocal,
    /// Halves go to the even neighbor.
    Round,
    Sqrt,
}

impl Unary {
    /// All of them.
    const ALL: [Self; 10] = [
        Self::Abs,
        Self::Ceil,
        Self::Erf,
        Self::Exp,
        Self::Floor,
        Self::Log,
        Self::Neg,
        Self::Reciprocal,
        Self::Round,
        Self::Sqrt,
    ];

    /// The function with this ONNX name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Abs => "Abs",
            Self::Ceil => "Ceil",
            Self::Erf => "Erf",
            Self::Exp => "Exp",
            Self::Floor => "Floor",
            Self::Log => "Log",
            Self::Neg => "Neg",
            Self::Reciprocal => "Reciprocal",
            Self::Round => "Round",
            Self::Sqrt => "Sqrt",
        }
    }
}

/// Functions of two variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the function of its name")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
}

impl Binary {
    /// All of them.
    const ALL: [Self; 7] = [Self::Add, Self::Sub, Self::Mul, Self::Div, Self::Pow, Self::Min, Self::Max];

    /// The function with this ONNX name; `Sum` is `Add` of any number of operands.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name).or((name == "Sum").then_some(Self::Add))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Sub => "Sub",
            Self::Mul => "Mul",
            Self::Div => "Div",
            Self::Pow => "Pow",
            Self::Min => "Min",
            Self::Max => "Max",
        }
    }

    /// What the function gives for two numbers; NaN where either is, as ONNX Runtime has it.
    #[inline(always)]
    pub(crate) fn of(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Pow => a.powf(b),
            Self::Min if a < b || a.is_nan() => a,
            Self::Max if a > b || a.is_nan() => a,
            Self::Min | Self::Max => b,
        }
    }
}

/// What a reduction computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the function of its name")]
pub enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
    /// Square root of the sum of squares.
    L2,
}

/// What a function gives for a number; `None` for those that are not evaluated on constants.
pub(super) fn float_function(function: Unary) -> Option<fn(f32) -> f32> {
    Some(match function {
        Unary::Abs => f32::abs,
        Unary::Ceil => f32::ceil,
        Unary::Erf => return None,
        Unary::Exp => f32::exp,
        Unary::Floor => f32::floor,
        Unary::Log => f32::ln,
        Unary::Neg => |v| -v,
        Unary::Reciprocal => f32::recip,
        Unary::Round => f32::round_ties_even,
        Unary::Sqrt => f32::sqrt,
    })
}

/// As [`Binary::of`], of integers; `None` where the result is none.
pub(super) fn integer(function: Binary, a: i64, b: i64) -> Option<i64> {
    match function {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::Div => a.checked_div(b),
        Binary::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        Binary::Min => Some(a.min(b)),
        Binary::Max => Some(a.max(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::Binary;

    #[test]
    fn the_smaller_and_the_larger_of_a_number_and_nan_are_nan() {
        for function in [Binary::Min, Binary::Max] {
            assert!(function.of(f32::NAN, 1.0).is_nan() && function.of(1.0, f32::NAN).is_nan());
        }
        assert_eq!((Binary::Min.of(1.0, 2.0), Binary::Max.of(1.0, 2.0)), (1.0, 2.0));
    }
}
