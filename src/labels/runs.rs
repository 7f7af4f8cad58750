//! Runs: maximal stretches of one id along i, found 64 voxels at a time.

use std::ops::Range;

use crate::error::Result;
use crate::limits;

/// What a label volume may hold: `u8`, `u16`, and `bool` for a mask. The default value is background.
pub trait LabelId: Copy + Eq + Default + Into<u16> + Send + Sync {}

impl<T: Copy + Eq + Default + Into<u16> + Send + Sync> LabelId for T {}

/// A stretch of voxels of one row, `start <= i < end`, that share a class other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// First i.
    pub(crate) start: u32,
    /// One past the last i.
    pub(crate) end: u32,
    /// The class its ids were mapped to.
    pub(crate) class: u16,
}

impl Run {
    /// Number of voxels.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// The indices i.
    #[inline]
    pub(crate) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Voxels compared at once; one bit each in a mask.
const BLOCK: usize = 64;

/// Bit n is set where voxel n of the block differs from the voxel before it.
#[inline]
fn transitions<T: LabelId>(block: &[T; BLOCK], before: T) -> u64 {
    let mut differs = [0_u8; BLOCK];
    differs[0] = u8::from(block[0] != before);
    for n in 1..BLOCK {
        differs[n] = u8::from(block[n] != block[n - 1]);
    }
    // Eight bytes of 0 or 1 become eight bits: the product moves byte n to bit 56 + n without a carry.
    let (words, _) = differs.as_chunks::<8>();
    words
        .iter()
        .rev()
        .fold(0, |mask, &word| mask << 8 | u64::from_le_bytes(word).wrapping_mul(0x0102_0408_1020_4080) >> 56)
}

/// Appends the runs of one row, whose ids are mapped to classes by `class` (0: no run).
///
/// Neighbouring ids of one class make one run. The row has fewer than 2^32 voxels.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the caller has checked that indices fit into u32")]
pub(crate) fn append_runs<T: LabelId>(row: &[T], class: impl Fn(u16) -> u16, runs: &mut Vec<Run>) -> Result<()> {
    limits::room(runs, row.len(), "the runs of a label volume")?;
    let background = class(0);
    let mut open = Run { start: 0, end: 0, class: background };
    let mut before = T::default();
    let mut block_at = |block: &[T; BLOCK], base: usize| {
        // Most blocks hold one id.
        if block.iter().fold(true, |same, &id| same & (id == before)) {
            return;
        }
        let mut mask = transitions(block, before);
        while mask != 0 {
            let n = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let new = class(block[n].into());
            if new != open.class {
                open.end = (base + n) as u32;
                if open.class != 0 && open.end > open.start {
                    runs.push(open);
                }
                open = Run { start: open.end, end: 0, class: new };
            }
        }
        before = block[BLOCK - 1];
    };
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        block_at(block, number * BLOCK);
    }
    if let Some(&last) = rest.last() {
        let mut padded = [last; BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        block_at(&padded, row.len() - rest.len());
    }
    open.end = row.len() as u32;
    if open.class != 0 && open.end > open.start {
        runs.push(open);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(row: &[u16], class: impl Fn(u16) -> u16) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (i, &id) in row.iter().enumerate() {
            let (i, class) = (u32::try_from(i).unwrap(), class(id));
            match runs.last_mut() {
                Some(run) if run.class == class && run.end == i => run.end += 1,
                _ if class != 0 => runs.push(Run { start: i, end: i + 1, class }),
                _ => {}
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn runs_agree_with_a_walk_over_voxels(row in prop::collection::vec((0_u16..4, 1_usize..40), 0..20)) {
            let row: Vec<u16> = row.into_iter().flat_map(|(id, n)| std::iter::repeat_n(id, n)).collect();
            let classes: [fn(u16) -> u16; 4] =
                [|id| id, |id| u16::from(id != 0), |id| u16::from(id == 0), |id| [0, 7, 7, 9][usize::from(id)]];
            for class in classes {
                let mut runs = Vec::new();
                append_runs(&row, class, &mut runs).unwrap();
                prop_assert_eq!(&runs, &naive(&row, class));
                let bytes: Vec<u8> = row.iter().map(|&id| u8::try_from(id).unwrap()).collect();
                let mut of_bytes = Vec::new();
                append_runs(&bytes, class, &mut of_bytes).unwrap();
                prop_assert_eq!(&runs, &of_bytes);
            }
        }
    }
}
