//! The volume in one patch.

use serde::{Deserialize, Serialize};

use super::Padding;
use super::layout::{AxisTiles, Span, before};
use super::network::AxisRule;
use crate::error::Result;

/// The volume at once, padded to the smallest size that the network takes; the smaller half of the padding comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Whole {
    /// What is read outside the volume.
    #[serde(default = "zero")]
    pub padding: Padding,
}

pub(super) fn zero() -> Padding {
    Padding::Constant(0.0)
}

impl Default for Whole {
    /// Zeros outside the volume.
    fn default() -> Self {
        Self { padding: zero() }
    }
}

impl Whole {
    /// The volume at once with this outside it.
    #[must_use]
    pub fn new(padding: Padding) -> Self {
        Self { padding }
    }

    pub(super) fn along(&self, length: usize, rule: &AxisRule) -> Result<AxisTiles> {
        let patch = rule.next_side(length + 2 * rule.margin)?;
        let output = patch - 2 * rule.margin;
        let ahead = before(output - length);
        let span = Span { read: -ahead - rule.margin as isize, write: (0, length), keep: ahead.unsigned_abs() };
        Ok(AxisTiles { patch, output, spans: vec![span], padding: self.padding })
    }
}
