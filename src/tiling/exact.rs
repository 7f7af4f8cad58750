//! Tiles that give exactly what the whole volume would.

use serde::{Deserialize, Serialize};

use super::layout::{AxisTiles, Span};
use super::network::AxisRule;
use super::{Padding, Whole};
use crate::error::{Error, Result};

/// Tiles of the padded volume of [`Whole`], aligned to the network's stride, each read with a halo of its receptive field
/// and cropped to its core.
///
/// A patch never reaches outside the padded volume: at its faces the network pads as it does for the whole, inside it the
/// halo takes up what the patch's own edge spoils. So every score is the one of [`Whole`] (Possolo and Bajcsy, Exact
/// Tile-Based Segmentation Inference, 2021), up to the order in which an engine sums. Not for networks that normalize over
/// their input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Exact {
    /// The most voxels read along i, j, k; an axis that is shorter is read whole.
    pub patch: [usize; 3],
    /// What is read outside the volume, where it is padded to a size that the network takes.
    #[serde(default = "super::whole::zero")]
    pub padding: Padding,
}

impl Exact {
    /// Patches of at most this many voxels along i, j, k, zeros outside the volume.
    #[must_use]
    pub fn new(patch: [usize; 3]) -> Self {
        Self { patch, padding: super::whole::zero() }
    }

    pub(super) fn along(&self, axis: usize, length: usize, rule: &AxisRule) -> Result<AxisTiles> {
        if rule.margin > 0 {
            return Err(Error::model("exact tiles are for networks whose output is as large as their input")
                .hint("use the method \"overlap-tile\" with last = \"cut\", which is exact for this one"));
        }
        let mut whole = Whole::new(self.padding).along(length, rule)?;
        let (frame, patch) = (whole.patch, self.patch[axis].min(whole.patch));
        rule.check(patch)?;
        if patch == frame {
            return Ok(whole);
        }
        let Some(halo) = rule.receptive_halo else {
            return Err(Error::model("this network sees all of its input at once, so no tile of it can be exact")
                .hint("use the method \"whole\" or \"sliding-window\""));
        };
        if patch < 2 * halo + rule.multiple {
            return Err(Error::model(format!(
                "a patch of {patch} voxels along {} has no core: the network sees {halo} voxels to each side",
                rule.name
            ))
            .hint(format!("use at least {}", rule.next_side(2 * halo + rule.multiple)?)));
        }
        let ahead = whole.spans.first().map_or(0, |span| span.keep);
        whole.spans.clear();
        whole.patch = patch;
        whole.output = patch;
        let mut done = 0;
        while done < frame {
            // In the padded volume: `done` is the first voxel without a score, `start` the patch's first, in step.
            let start = (done.saturating_sub(halo) / rule.multiple * rule.multiple).min(frame - patch);
            let end = if start + patch == frame { frame } else { start + patch - halo };
            let write = (done.max(ahead) - ahead, end.clamp(ahead, ahead + length) - ahead);
            if write.0 < write.1 {
                let read = start as isize - ahead as isize;
                whole.spans.push(Span { read, write, keep: write.0 + ahead - start });
            }
            done = end;
        }
        Ok(whole)
    }
}
