//! Blocked activations rounded to bfloat16, two channels in the place of one value.
#![allow(unsafe_code, reason = "the conversion is an instruction")]

use rayon::prelude::*;

use super::lanes::{Extent, LANES, Lanes};

/// Places of 32 bit that a voxel takes: two channels in each.
pub(crate) const HALVES: usize = LANES / 2;

/// True when this processor multiplies bfloat16.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Two values rounded to the nearest bfloat16 (ties to even) in one place, the first in the lower half.
pub(super) fn pair(low: f32, high: f32) -> f32 {
    let round = |value: f32| u32::from(half::bf16::from_f32(value).to_bits());
    f32::from_bits(round(low) | round(high) << 16)
}

/// Rounds `input` into `output`, `[C / 16][D][H][left + W + right]` voxels of eight places; borders and channels that do
/// not exist become zero.
pub(crate) fn to_half(input: &[Lanes], from: Extent, output: &mut [f32], to: Extent) {
    let row = to.row() * HALVES;
    output[..to.blocks() * to.rows() * row].par_chunks_mut(row).enumerate().for_each(|(index, output)| {
        let (block, row) = (index / to.rows(), index % to.rows());
        let start = block * from.block() + from.start(row);
        let (left, inner) = output.split_at_mut(to.left * HALVES);
        let (inner, right) = inner.split_at_mut(to.width * HALVES);
        left.fill(0.0);
        right.fill(0.0);
        let channels = LANES.min(to.channels - block * LANES);
        round_row(&input[start..start + from.width], channels, inner.as_chunks_mut().0);
    });
}

/// Rounds voxels; channels from `channels` on become zero.
pub(super) fn round_row(row: &[Lanes], channels: usize, to: &mut [[f32; HALVES]]) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the instructions were found.
        return unsafe { round_row_avx512(row, channels, to) };
    }
    for (lanes, places) in row.iter().zip(to) {
        let value = |c: usize| if c < channels { lanes.0[c] } else { 0.0 };
        *places = std::array::from_fn(|i| pair(value(2 * i), value(2 * i + 1)));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn round_row_avx512(row: &[Lanes], channels: usize, to: &mut [[f32; HALVES]]) {
    use std::arch::x86_64::*;
    let mask = if channels >= LANES { u16::MAX } else { (1 << channels) - 1 };
    for (lanes, places) in row.iter().zip(to) {
        // SAFETY: `lanes` holds sixteen values and `places` eight of 32 bit, so 256 bits; the store need not be aligned.
        unsafe {
            let values = _mm512_maskz_loadu_ps(mask, lanes.0.as_ptr());
            let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(values));
            _mm256_storeu_si256(places.as_mut_ptr().cast(), rounded);
        }
    }
}
