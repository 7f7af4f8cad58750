//! Where target voxels lie along an axis of the working grid.

use std::ops::Range;

use super::target::Target;
use crate::geometry::{AlignedMap, SNAP, float};
use crate::resample::Outside;

/// Two neighboring voxels and their weights. They are the same voxel where the second would weigh nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tap {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) low: f32,
    pub(super) high: f32,
}

impl Tap {
    /// At a coordinate, clamped to an axis of `length` voxels. Weights are multiples of 2^-24, so that `low + high` is
    /// exactly one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
    #[inline]
    pub(super) fn at(coordinate: f64, length: usize) -> Self {
        let within = coordinate.clamp(0.0, float(length - 1));
        let floor = within as usize;
        Self::new(floor, within - float(floor))
    }

    /// `fraction` of a voxel after voxel `first`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "24 bits")]
    #[inline]
    pub(super) fn new(first: usize, fraction: f64) -> Self {
        let high = (fraction * 16_777_216.0 + 0.5) as i32 as f32 / 16_777_216.0;
        Self { first, second: first + usize::from(high > 0.0), low: 1.0 - high, high }
    }

    /// The two voxels.
    #[expect(clippy::cast_possible_truncation, reason = "axes are far shorter than 2^32")]
    pub(super) fn columns(self) -> [u32; 2] {
        [self.first as u32, self.second as u32]
    }

    /// The weighted sum. Rounding is monotonic in both values, so that a class that is nowhere below another one is not
    /// below it in between either.
    #[inline]
    pub(super) fn mix(self, first: f32, second: f32) -> f32 {
        self.low * first + self.high * second
    }
}

/// The taps of one axis of the working grid for every voxel along the paired target axis.
#[derive(Debug)]
pub(super) struct AxisTaps {
    pub(super) taps: Vec<Tap>,
    /// Target indices that are decided; the others are outside.
    pub(super) inside: Range<usize>,
}

impl AxisTaps {
    pub(super) fn new(map: &AlignedMap, axis: usize, length: usize, target: &Target, outside: Outside) -> Self {
        let mut inside = 0..0;
        let paired = map.from[axis];
        let taps = (0..target.shape()[paired]).map(|n| {
            let coordinate = map.coordinate(axis, target.at(paired, n));
            let in_field = coordinate >= -0.5 - SNAP && coordinate <= float(length) - 0.5 + SNAP;
            if in_field || outside == Outside::Clamp {
                inside = if inside.is_empty() { n..n + 1 } else { inside.start..n + 1 };
            }
            Tap::at(coordinate, length)
        });
        let taps = taps.collect();
        Self { taps, inside }
    }
}
