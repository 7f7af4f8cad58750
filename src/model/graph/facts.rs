//! What a graph says about tiling: accepted sizes, receptive field, stride, cost. Found from its shapes, not by running it.

use std::fmt;

use serde::Serialize;

use super::network::{Layer, Network};
use super::op::Op;

/// What any engine's results depend on, as far as the graph tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Per spatial axis of the first input, slowest first.
    pub axes: Vec<AxisFacts>,
    /// What sees the whole image, so that tiles can never be exact; `None` where they can.
    pub global: Option<String>,
    /// Stored floating point weights.
    pub parameters: u64,
    /// Multiplications (each with its addition) per input voxel, for a large input.
    pub operations_per_voxel: f64,
}

/// One spatial axis of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AxisFacts {
    /// Input sizes that the graph takes.
    pub sizes: Sizes,
    /// Input sizes of tiles that give exactly what the whole image gives, once they start at multiples of `stride`.
    pub tiles: Sizes,
    /// Total stride: the network commutes with shifts by this many voxels.
    pub stride: usize,
    /// Input voxels per output voxel; 1 for a network that labels every voxel.
    pub output_step: usize,
    /// Input voxels before and after that get no output (92 and 92 for the U-Net of 2015); output voxel 0 lies at input
    /// voxel `margin[0]`.
    pub margin: [usize; 2],
    /// Context that an output tile needs before and after it when it starts and ends at multiples of `stride`. Global
    /// operations ([`Facts::global`]) are left out; a graph of fixed size shows no more than that size.
    pub halo: [usize; 2],
    /// Input voxels that one output voxel depends on (the largest number over all phases of the stride).
    pub receptive_field: usize,
}

/// Sizes `multiple * n + offset` from `minimum` to `maximum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sizes {
    /// Distance of neighboring sizes.
    pub multiple: usize,
    /// Remainder, smaller than `multiple`.
    pub offset: usize,
    /// Smallest size.
    pub minimum: usize,
    /// Largest size, where there is one.
    pub maximum: Option<usize>,
}

impl Sizes {
    pub(super) fn only(size: usize) -> Self {
        Self { multiple: 1, offset: 0, minimum: size, maximum: Some(size) }
    }

    /// True when `size` is one of them.
    #[must_use]
    pub fn contains(&self, size: usize) -> bool {
        size >= self.minimum && self.maximum.is_none_or(|max| size <= max) && size % self.multiple == self.offset
    }

    /// The largest of them that is at most `size`, and the smallest that is at least `size`.
    #[must_use]
    pub fn nearest(&self, size: usize) -> (Option<usize>, Option<usize>) {
        let top = self.maximum.map_or(size, |maximum| maximum.min(size));
        let below = top.checked_sub(self.offset).map(|rest| top - rest % self.multiple);
        let raised = size.max(self.minimum);
        let step = (self.offset + self.multiple - raised % self.multiple) % self.multiple;
        let above = raised.checked_add(step);
        (below.filter(|&n| self.contains(n)), above.filter(|&n| self.contains(n)))
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { minimum, maximum: Some(maximum), .. } if minimum == maximum => write!(f, "exactly {minimum}"),
            Self { multiple: 1, minimum, .. } => write!(f, "any size from {minimum} on"),
            Self { multiple, offset: 0, minimum, .. } if minimum == multiple => write!(f, "multiples of {multiple}"),
            Self { multiple, offset: 0, minimum, .. } => write!(f, "multiples of {multiple} from {minimum} on"),
            Self { multiple, offset, minimum, .. } => write!(f, "{multiple} n + {offset} from {minimum} on"),
        }
    }
}

impl AxisFacts {
    /// Output size for an input of one of the [`Self::tiles`] sizes.
    #[must_use]
    pub fn output_size(&self, size: usize) -> Option<usize> {
        self.tiles.contains(size).then(|| (size - self.margin[0] - self.margin[1]) / self.output_step)
    }
}

impl Facts {
    /// True when tiles that start at multiples of the stride and overlap by the halo give exactly the whole image's
    /// scores.
    #[must_use]
    pub fn exact_tiling(&self) -> bool {
        self.global.is_none()
    }

    /// Which sizes to take instead of `sizes` (per spatial axis, slowest first), for the hint of an error message; `None`
    /// where nothing is wrong with them.
    #[must_use]
    pub fn advice(&self, sizes: &[usize]) -> Option<String> {
        if sizes.len() != self.axes.len() {
            return Some(format!("the model works in {} dimensions, not {}", self.axes.len(), sizes.len()));
        }
        let axis = self.axes.iter().zip(sizes).position(|(axis, &size)| !axis.sizes.contains(size))?;
        let rule = self.axes[axis].sizes;
        let near = match rule.nearest(sizes[axis]) {
            (Some(below), Some(above)) => format!("{below} or {above}"),
            (Some(one), None) | (None, Some(one)) => one.to_string(),
            (None, None) => "another size".to_owned(),
        };
        Some(format!("spatial axis {axis} takes {rule}: give it {near} voxels instead of {}", sizes[axis]))
    }
}

impl Network {
    /// Multiplications (each with its addition) of convolutions and matrix products.
    #[must_use]
    pub fn operations(&self) -> u64 {
        let product = |shape: &[usize]| shape.iter().map(|&n| n as u64).fold(1, u64::saturating_mul);
        let layer = |layer: &Layer| match &layer.op {
            Op::Convolution(_) => {
                product(self.shape(layer.output)).saturating_mul(product(&self.shape(layer.inputs[1])[1..]))
            }
            Op::TransposedConvolution(_) => {
                product(self.shape(layer.inputs[0])).saturating_mul(product(&self.shape(layer.inputs[1])[1..]))
            }
            Op::MatMul => {
                let shared = self.shape(layer.inputs[0]).last().copied().unwrap_or(1) as u64;
                product(self.shape(layer.output)).saturating_mul(shared)
            }
            _ => 0,
        };
        self.layers.iter().map(layer).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nearest_sizes_are_those_that_a_search_finds(
            multiple in 1..40_usize, offset in 0..40_usize, start in 0..6_usize, length in prop::option::of(0..5_usize), size in 0..400_usize,
        ) {
            let offset = offset % multiple;
            let minimum = start * multiple + offset;
            let sizes = Sizes { multiple, offset, minimum, maximum: length.map(|n| minimum + n * multiple) };
            let below = (0..=size).rev().find(|&n| sizes.contains(n));
            let above = (size..=size + 400).find(|&n| sizes.contains(n));
            prop_assert_eq!(sizes.nearest(size), (below, above));
        }
    }
}
