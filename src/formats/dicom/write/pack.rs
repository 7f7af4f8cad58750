//! Samples of segmentations.

use rayon::prelude::*;

use crate::error::Result;
use crate::limits;

/// Frames of one bit per sample, one after the other without padding between them, the first sample in the lowest bit
/// (PS3.5, 8.1.1): `frames` are pairs of a label id and the plane of ids in which it is 1.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub(super) fn bits(frames: &[(u16, &[u16])]) -> Result<Vec<u8>> {
    let len = frames.first().map_or(0, |(_, plane)| plane.len());
    let bytes = (len * frames.len()).div_ceil(8);
    let mut out = limits::zeroed(bytes.next_multiple_of(2), "the segments")?;
    // Eight frames fill whole bytes, whatever their size.
    out.par_chunks_mut(len.max(1)).zip(frames.par_chunks(8)).for_each(|(out, frames)| {
        for (n, &(id, plane)) in frames.iter().enumerate() {
            put(id, plane, n * len, out);
        }
    });
    Ok(out)
}

/// Sets the bits of one frame from bit `start` on.
fn put(id: u16, plane: &[u16], start: usize, out: &mut [u8]) {
    let head = (start.next_multiple_of(8) - start).min(plane.len());
    let (first, rest) = plane.split_at(head);
    let byte = |ids: &[u16]| ids.iter().rev().fold(0, |byte: u8, &other| byte << 1 | u8::from(other == id));
    if let Some(out) = out.get_mut(start / 8).filter(|_| head > 0) {
        *out |= byte(first) << (start % 8);
    }
    let (whole, last) = rest.as_chunks::<8>();
    let mut out = out.iter_mut().skip(start.div_ceil(8));
    for ids in whole {
        if let Some(out) = out.next() {
            *out = byte(ids);
        }
    }
    if let Some(out) = out.next().filter(|_| !last.is_empty()) {
        *out |= byte(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_of_three_samples_share_bytes() {
        let plane: [u16; 3] = [7, 0, 5];
        let frames: Vec<(u16, &[u16])> = vec![(7, &plane), (5, &plane), (9, &plane), (5, &plane)];
        // 100 001 000 001, read from the lowest bit on.
        assert_eq!(bits(&frames).unwrap(), [0b0010_0001, 0b1000]);
    }

    proptest! {
        #[test]
        fn every_bit_is_where_the_standard_has_it(
            len in 1..40_usize,
            picks in prop::collection::vec((0..4_u16, 0..3_usize), 0..40),
            seed: u64,
        ) {
            let planes: Vec<Vec<u16>> = (0..3).map(|p| (0..len).map(|n| {
                u16::try_from(seed.wrapping_mul((n + 41 * p + 1) as u64).wrapping_mul(0x9e37_79b9) >> 62).unwrap()
            }).collect()).collect();
            let frames: Vec<(u16, &[u16])> = picks.iter().map(|&(id, p)| (id, planes[p].as_slice())).collect();
            let out = bits(&frames).unwrap();
            prop_assert_eq!(out.len(), (len * frames.len()).div_ceil(8).next_multiple_of(2));
            let mut expected = vec![0_u8; out.len()];
            for (at, value) in frames.iter().flat_map(|&(id, plane)| plane.iter().map(move |&v| v == id)).enumerate() {
                expected[at / 8] |= u8::from(value) << (at % 8);
            }
            prop_assert_eq!(out, expected);
        }
    }
}
