//! The overlap-tile strategy of the U-Net paper (Ronneberger et al. 2015, figure 2).

use serde::{Deserialize, Serialize};

use super::Padding;
use super::layout::{AxisTiles, Span};
use super::network::AxisRule;
use crate::error::{Error, Result};

/// What becomes of the last tile of an axis, when tiles do not fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastTile {
    /// It moves inwards, so that it sees as little mirrored context as possible, and answers for the rest only.
    #[default]
    Shift,
    /// It stays in step with the others and is cut: tiles then keep the phase of the network's strides.
    Cut,
}

/// Tiles that abut, each read with a halo of context; beyond the volume the context is mirrored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OverlapTile {
    /// Voxels read along i, j, k.
    pub patch: [usize; 3],
    /// Context per side along i, j, k; the network's margin where `None`. More than the margin is cropped from the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halo: Option<[usize; 3]>,
    /// What is read outside the volume.
    #[serde(default = "reflect")]
    pub padding: Padding,
    /// What becomes of the last tile.
    #[serde(default)]
    pub last: LastTile,
}

fn reflect() -> Padding {
    Padding::Reflect
}

impl OverlapTile {
    /// Patches of this many voxels along i, j, k, mirrored context, the halo that the network eats.
    #[must_use]
    pub fn new(patch: [usize; 3]) -> Self {
        Self { patch, halo: None, padding: Padding::Reflect, last: LastTile::Shift }
    }

    pub(super) fn along(&self, axis: usize, length: usize, rule: &AxisRule) -> Result<AxisTiles> {
        let patch = self.patch[axis];
        rule.check(patch)?;
        let halo = self.halo.map_or(rule.margin, |halo| halo[axis]);
        if halo < rule.margin || halo >= patch.div_ceil(2) {
            return Err(Error::model(format!(
                "a halo of {halo} voxels along {} does not go with a patch of {patch} and a network that eats {} per side",
                rule.name, rule.margin
            )));
        }
        let tile = patch - 2 * halo;
        let spans = (0..length.div_ceil(tile)).map(|number| {
            let first = number * tile;
            let start = match self.last {
                LastTile::Shift => first.min(length.saturating_sub(tile)),
                LastTile::Cut => first,
            };
            Span {
                read: start as isize - halo as isize,
                write: (first, (first + tile).min(length)),
                keep: halo - rule.margin + first - start,
            }
        });
        Ok(AxisTiles { patch, output: patch - 2 * rule.margin, spans: spans.collect(), padding: self.padding })
    }
}
