//! The stored case by which engines are verified: an input and the class of each voxel of the network's output.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::error::{Error, Result};

/// Most voxels of a stored case.
const MAX_VOXELS: usize = 1 << 24;
/// Bytes before the voxels.
const HEADER: usize = 24;

/// One input `[1, 1, spatial...]` and the class with the highest score in each voxel that the network answers for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Golden {
    /// Shape of the input.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub input: Vec<f32>,
    /// Row-major classes.
    pub classes: Vec<u16>,
}

impl Golden {
    /// From gzip of `ULV2`, three little-endian `u32` sizes of the input, scale and offset as `f32`, the input as `u8`
    /// (a value is `u8 * scale + offset`) and the classes as `u8`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::internal("the stored case of a bundled model is damaged");
        let mut content = Vec::new();
        GzDecoder::new(bytes).take((2 * MAX_VOXELS + HEADER) as u64).read_to_end(&mut content).map_err(|_| bad())?;
        let (header, values) = content.split_at_checked(HEADER).ok_or_else(bad)?;
        let words = header.as_chunks::<4>().0;
        let sizes: Vec<usize> = words[1..4].iter().filter_map(|w| u32::from_le_bytes(*w).try_into().ok()).collect();
        let voxels = sizes.iter().try_fold(1_usize, |n, &side| n.checked_mul(side)).ok_or_else(bad)?;
        let (input, classes) = values.split_at_checked(voxels).ok_or_else(bad)?;
        if words[0] != *b"ULV2" || classes.is_empty() {
            return Err(bad());
        }
        let [scale, offset] = [words[4], words[5]].map(f32::from_le_bytes);
        Ok(Self {
            shape: [&[1, 1], sizes.as_slice()].concat(),
            input: input.iter().map(|&v| f32::from(v) * scale + offset).collect(),
            classes: classes.iter().map(|&c| c.into()).collect(),
        })
    }
}
