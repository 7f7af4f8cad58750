//! Limits that are asked before an allocation whose size a file or a caller controls, and [`Cancel`], which ends work.

mod cancel;

pub use cancel::Cancel;

use crate::error::{Error, Result};

/// Bytes of one mebibyte.
pub const MIB: u64 = 1 << 20;

/// Ceilings for what one input may make this program allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Voxels of one volume.
    pub max_voxels: u64,
    /// Bytes of one allocation.
    pub max_bytes: u64,
    /// Bytes of a header with its extensions.
    pub max_header_bytes: u64,
}

impl Default for Limits {
    /// 4 Gi voxels, 32 GiB, 64 MiB of header: far beyond any scan, far below what stops a machine by overflow.
    fn default() -> Self {
        Self { max_voxels: 1 << 32, max_bytes: 32 << 30, max_header_bytes: 64 * MIB }
    }
}

impl Limits {
    /// Number of voxels of a shape.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the product overflows or exceeds `max_voxels`.
    pub fn voxels(&self, shape: &[u64]) -> Result<u64> {
        shape.iter().try_fold(1_u64, |product, &n| product.checked_mul(n)).filter(|&n| n <= self.max_voxels).ok_or_else(
            || {
                let shape = shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
                Error::limit(format!("{shape} voxels are promised, more than the limit of {}", self.max_voxels))
            },
        )
    }

    /// Checks a size in bytes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when it exceeds `max_bytes`.
    pub fn bytes(&self, bytes: u64, what: &str) -> Result<u64> {
        if bytes <= self.max_bytes {
            return Ok(bytes);
        }
        Err(Error::limit(format!("{what} needs {bytes} bytes, more than the limit of {}", self.max_bytes)))
    }
}

/// A vector of `len` default values whose memory was asked for fallibly.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub fn zeroed<T: Clone + Default>(len: usize, what: &str) -> Result<Vec<T>> {
    // Asked for and given back: `vec!` then takes zeroed pages from the system, which cost nothing until written.
    drop(reserved::<T>(len, what)?);
    Ok(vec![T::default(); len])
}

/// An empty vector with room for `len` values.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub fn reserved<T>(len: usize, what: &str) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| refused::<T>(len, what))?;
    Ok(values)
}

/// Makes room for `more` further values in a vector that grows step by step.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
#[inline]
pub fn room<T>(values: &mut Vec<T>, more: usize, what: &str) -> Result<()> {
    values.try_reserve(more).map_err(|_| refused::<T>(values.len().saturating_add(more), what))
}

#[cold]
fn refused<T>(len: usize, what: &str) -> Error {
    let bytes = len.saturating_mul(size_of::<T>());
    Error::limit(format!("{what} needs {bytes} bytes, which this machine does not give"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn products_that_overflow_are_refused() {
        let limits = Limits::default();
        assert_eq!(limits.voxels(&[256, 256, 256]).unwrap(), 1 << 24);
        assert_eq!(limits.voxels(&[1 << 20, 1 << 20, 1 << 20]).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(limits.voxels(&[u64::MAX, 2]).unwrap_err().kind(), ErrorKind::Limit);
        assert!(reserved::<u8>(usize::MAX, "a test").is_err());
    }
}
