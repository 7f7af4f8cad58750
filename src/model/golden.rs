//! The stored case by which engines are verified: an input and the class of each of its voxels.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::error::{Error, Result};

/// Most voxels of a stored case.
const MAX_VOXELS: usize = 1 << 24;

/// One input `[1, 1, spatial...]` and the class with the highest score in each voxel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Golden {
    /// Shape of the input.
    pub shape: Vec<usize>,
    /// Row-major values 0..=1.
    pub input: Vec<f32>,
    /// Row-major classes.
    pub classes: Vec<u16>,
}

impl Golden {
    /// From gzip of `ULV1`, three little-endian `u32` sizes, the input as `u8` (value times 255) and the classes as `u8`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::internal("the stored case of a bundled model is damaged");
        let mut content = Vec::new();
        GzDecoder::new(bytes).take(2 * MAX_VOXELS as u64 + 17).read_to_end(&mut content).map_err(|_| bad())?;
        let (magic, rest) = content.split_at_checked(4).ok_or_else(bad)?;
        let (sizes, values) = rest.split_at_checked(12).ok_or_else(bad)?;
        let sizes: Vec<usize> =
            sizes.as_chunks::<4>().0.iter().filter_map(|b| u32::from_le_bytes(*b).try_into().ok()).collect();
        let voxels: usize = sizes.iter().product();
        if magic != b"ULV1" || values.len() != 2 * voxels {
            return Err(bad());
        }
        let (input, classes) = values.split_at(voxels);
        Ok(Self {
            shape: [&[1, 1], sizes.as_slice()].concat(),
            input: input.iter().map(|&v| f32::from(v) / 255.0).collect(),
            classes: classes.iter().map(|&c| c.into()).collect(),
        })
    }
}
