//! What a network demands of its input's sides.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// No side of a patch or of a network's demands is longer than this, so that index arithmetic cannot overflow.
pub(super) const LONGEST_SIDE: usize = 1 << 20;

/// Spatial axes of a network's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimensions {
    /// `[N, C, height, width]`.
    Two,
    /// `[N, C, depth, height, width]`.
    Three,
}

/// Which input sides a network takes and how its output lies in the input.
///
/// Entries are per spatial axis of the tensor, the fastest first: `[width, height, depth]`, which is `[i, j, k]` but for
/// slices across another axis than k. The third entry of a 2-D network is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NetworkShape {
    /// Spatial axes of the tensors.
    pub dimensions: Dimensions,
    /// The smallest side in voxels.
    pub minimum: [usize; 3],
    /// Valid sides are `minimum + n * multiple` (the total stride); 0 where `minimum` is the only one.
    pub multiple: [usize; 3],
    /// Voxels by which the output is smaller than the input, per side: 0 for padded convolutions.
    pub margin: [usize; 3],
    /// The farthest input voxel, per side, that a score depends on; `None` where that is all of the input (instance
    /// normalization, attention) or not known.
    pub receptive_halo: Option<[usize; 3]>,
}

impl NetworkShape {
    /// A 3-D network with padded convolutions whose sides are multiples of `multiple`.
    #[must_use]
    pub fn padded(multiple: [usize; 3]) -> Self {
        Self { dimensions: Dimensions::Three, minimum: multiple, multiple, margin: [0; 3], receptive_halo: None }
    }

    /// A 3-D network with valid convolutions: sides `minimum + n * multiple`, output smaller by `margin` per side.
    #[must_use]
    pub fn valid(minimum: [usize; 3], multiple: [usize; 3], margin: [usize; 3]) -> Self {
        Self { dimensions: Dimensions::Three, minimum, multiple, margin, receptive_halo: Some(margin) }
    }

    /// A 3-D network that takes one size only.
    #[must_use]
    pub fn fixed(side: [usize; 3]) -> Self {
        Self { minimum: side, multiple: [0; 3], ..Self::padded(side) }
    }

    /// The same for 2-D tensors.
    #[must_use]
    pub fn two_dimensional(self) -> Self {
        Self { dimensions: Dimensions::Two, ..self }
    }

    /// States how far a score sees, per side.
    #[must_use]
    pub fn with_receptive_halo(self, halo: [usize; 3]) -> Self {
        Self { receptive_halo: Some(halo), ..self }
    }

    /// The demands along one axis of the tensor (0 is the fastest); `name` is the volume's axis in messages.
    pub(super) fn rule(&self, axis: usize, name: char) -> Result<AxisRule> {
        let rule = AxisRule {
            name,
            minimum: self.minimum[axis],
            multiple: self.multiple[axis],
            margin: self.margin[axis],
            receptive_halo: self.receptive_halo.map(|halo| halo[axis]),
        };
        let longest = rule.minimum.max(rule.multiple).max(rule.margin).max(rule.receptive_halo.unwrap_or(0));
        if rule.minimum <= 2 * rule.margin.min(LONGEST_SIDE) || longest > LONGEST_SIDE {
            return Err(Error::model(format!(
                "a network whose smallest input is {} voxels and whose output is smaller by {} per side cannot be laid \
                 out along {name}",
                rule.minimum, rule.margin
            )));
        }
        Ok(rule)
    }
}

/// [`NetworkShape`] along one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct AxisRule {
    pub(super) name: char,
    pub(super) minimum: usize,
    pub(super) multiple: usize,
    pub(super) margin: usize,
    pub(super) receptive_halo: Option<usize>,
}

impl AxisRule {
    /// The smallest valid side of at least `least` voxels.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the network takes one size only and that is smaller.
    pub(super) fn next_side(&self, least: usize) -> Result<usize> {
        let missing = least.saturating_sub(self.minimum);
        if self.multiple == 0 && missing > 0 {
            return Err(Error::model(format!(
                "the network takes {} voxels along {} and no other number, and {least} are needed",
                self.minimum, self.name
            ))
            .hint("resample to a grid that fits, or cut the volume into tiles"));
        }
        Ok(self.minimum + missing.div_ceil(self.multiple.max(1)) * self.multiple)
    }

    /// Checks the side of a patch.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the network does not take it; the hint names the nearest valid sides.
    pub(super) fn check(&self, side: usize) -> Result<()> {
        let beyond = side.checked_sub(self.minimum);
        let fits = beyond.is_some_and(|b| b == 0 || (self.multiple > 0 && b % self.multiple == 0));
        if fits && side <= LONGEST_SIDE {
            return Ok(());
        }
        let error = Error::model(format!("the network does not take a patch of {side} voxels along {}", self.name));
        let steps = beyond.unwrap_or(0).min(LONGEST_SIDE) / self.multiple.max(1);
        let below = self.minimum + steps * self.multiple;
        Err(match beyond {
            Some(_) if self.multiple > 0 => {
                error.hint(format!("the nearest are {below} and {}", below + self.multiple))
            }
            _ => error.hint(format!("the nearest is {}", self.minimum)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Ronneberger et al. 2015: 572 in, 388 out; valid sides are 16 n + 124 whose output has at least one voxel.
    #[test]
    fn the_sides_of_the_2015_network() {
        let network = NetworkShape::valid([188, 188, 1], [16, 16, 0], [92, 92, 0]).two_dimensional();
        let rule = network.rule(0, 'i').unwrap();
        assert!(rule.check(572).is_ok() && rule.check(188).is_ok());
        assert_eq!(rule.next_side(388 + 184).unwrap(), 572);
        assert_eq!(rule.next_side(389 + 184).unwrap(), 588);
        let error = rule.check(570).unwrap_err();
        assert_eq!((error.kind(), error.advice()), (ErrorKind::Model, Some("the nearest are 556 and 572")));
        assert_eq!(rule.check(12).unwrap_err().advice(), Some("the nearest is 188"));
    }

    #[test]
    fn a_fixed_size_is_the_only_one_and_absurd_demands_are_refused() {
        let rule = NetworkShape::fixed([256; 3]).rule(2, 'k').unwrap();
        assert_eq!(rule.next_side(7).unwrap(), 256);
        assert!(rule.check(256).is_ok());
        assert_eq!(rule.check(512).unwrap_err().advice(), Some("the nearest is 256"));
        assert!(rule.next_side(257).is_err());
        assert!(NetworkShape::padded([usize::MAX; 3]).rule(0, 'i').is_err());
        assert!(NetworkShape::valid([184; 3], [16; 3], [92; 3]).rule(0, 'i').is_err());
        assert!(NetworkShape::padded([0; 3]).rule(0, 'i').is_err());
        assert!(NetworkShape::padded([16; 3]).rule(0, 'i').unwrap().check(usize::MAX).is_err());
    }
}
