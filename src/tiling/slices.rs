//! Slice by slice, for 2-D networks.

use serde::{Deserialize, Serialize};

use super::layout::{AxisTiles, Span};
use super::network::LONGEST_SIDE;
use super::{Padding, Tiling};
use crate::error::{Error, Result};

/// The volume axis that slices are stacked along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SliceAxis {
    /// Slices of j (width) and k (height).
    I,
    /// Slices of i (width) and k (height).
    J,
    /// Slices of i (width) and j (height).
    #[default]
    K,
}

impl SliceAxis {
    /// 0, 1 or 2.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::I => 0,
            Self::J => 1,
            Self::K => 2,
        }
    }
}

/// One tile per slice, read with its neighbors as channels, batched.
///
/// The neighbors of a slice are the fastest part of the channel axis: channel `c` of the study and neighbor `s` of `n`
/// make channel `c * n + s` of the tensor, the slice itself is `s = n / 2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Slices {
    /// The axis that slices are stacked along.
    #[serde(default)]
    pub axis: SliceAxis,
    /// Slices read for each slice, itself included: odd, 1 for the slice alone.
    #[serde(default = "one")]
    pub slices: usize,
    /// Slices (or tiles of them) per run of the network.
    #[serde(default = "one")]
    pub batch: usize,
    /// What is read for neighbors outside the volume.
    #[serde(default = "edge")]
    pub padding: Padding,
    /// How a slice is cut up: any other way; the entry of the slice axis in its patch is not looked at.
    #[serde(default)]
    pub plane: Box<Tiling>,
}

fn one() -> usize {
    1
}

fn edge() -> Padding {
    Padding::Edge
}

impl Slices {
    /// Slices along `axis`, each cut up as `plane` says, one per run and without neighbors.
    #[must_use]
    pub fn new(axis: SliceAxis, plane: Tiling) -> Self {
        Self { axis, slices: 1, batch: 1, padding: Padding::Edge, plane: Box::new(plane) }
    }

    /// The volume axis behind each axis of the tensor, fastest first: width, height, slice.
    pub(super) fn order(&self) -> [usize; 3] {
        match self.axis {
            SliceAxis::I => [1, 2, 0],
            SliceAxis::J => [0, 2, 1],
            SliceAxis::K => [0, 1, 2],
        }
    }

    /// The tiles along the slice axis of `length` voxels.
    pub(super) fn across(&self, length: usize) -> Result<AxisTiles> {
        if self.slices.is_multiple_of(2) || self.slices > LONGEST_SIDE {
            return Err(Error::model(format!("{} slices have no middle one: the number must be odd", self.slices)));
        }
        let half = (self.slices / 2) as isize;
        let spans = (0..length).map(|n| Span { read: n as isize - half, write: (n, n + 1), keep: 0 }).collect();
        Ok(AxisTiles { patch: self.slices, output: 1, spans, padding: self.padding })
    }
}
