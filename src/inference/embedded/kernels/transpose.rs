//! Sixteen channels of sixteen voxels turned into sixteen rows.
#![allow(unsafe_code, reason = "intrinsics where there are some")]
#![allow(clippy::needless_range_loop, reason = "loops over registers, unrolled by the compiler")]

use super::lanes::{LANES, Lanes};
use super::simd::Simd;

/// Writes the first channels of voxels as rows of their own: `row(c)` is where channel `c` goes, as long as `lanes`.
pub(super) fn transpose<'a>(simd: Simd, lanes: &[Lanes], channels: usize, mut row: impl FnMut(usize) -> &'a mut [f32]) {
    debug_assert!(simd.available());
    let mut rows: [&mut [f32]; LANES] = Default::default();
    for (channel, place) in rows.iter_mut().enumerate().take(channels) {
        *place = &mut row(channel)[..lanes.len()];
    }
    let rows = &mut rows[..channels];
    #[cfg(target_arch = "x86_64")]
    if simd == Simd::Avx512 && lanes.len() >= LANES {
        // Rows of a tensor often lie a power of two apart, so that their lines push each other out of the cache: where
        // possible each line is written at once.
        let misplaced = |row: &&mut [f32]| row.as_ptr().addr() / size_of::<f32>() % LANES;
        let first = rows.first().map_or(0, misplaced);
        let start = if rows.iter().all(|row| misplaced(row) == first) { (LANES - first) % LANES } else { 0 };
        // SAFETY: `Simd::Avx512` is only made where AVX-512 F was found (`Simd::all`).
        return unsafe { rows_avx512(lanes, rows, start) };
    }
    for (channel, row) in rows.iter_mut().enumerate() {
        for (lanes, value) in lanes.iter().zip(row.iter_mut()) {
            *value = lanes.0[channel];
        }
    }
}

/// At least sixteen voxels, in whole tiles from `start` on; what is left over at the ends is part of a tile as well.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn rows_avx512(lanes: &[Lanes], rows: &mut [&mut [f32]], start: usize) {
    let len = lanes.len();
    if start > 0 {
        tile_avx512(lanes, rows, 0, u16::MAX >> (LANES - start));
    }
    let mut done = start;
    while done + LANES <= len {
        tile_avx512(lanes, rows, done, u16::MAX);
        done += LANES;
    }
    if done < len {
        tile_avx512(lanes, rows, len - LANES, u16::MAX << (LANES - (len - done)));
    }
}

/// Sixteen voxels from `start` on, of which `mask` chooses those to write: 128-bit pieces change places between
/// registers in two passes, then single values inside the pieces in two more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_avx512(lanes: &[Lanes], rows: &mut [&mut [f32]], start: usize, mask: u16) {
    use std::arch::x86_64::*;
    let tile = &lanes[start..start + LANES];
    let mut a = [_mm512_setzero_ps(); LANES];
    for i in 0..LANES {
        // SAFETY: `Lanes` holds sixteen values, aligned to 64.
        a[i] = unsafe { _mm512_load_ps(tile[i].0.as_ptr()) };
    }
    let mut b = a;
    for half in 0..2 {
        for i in 8 * half..8 * half + 4 {
            // Pieces 0 and 1 of rows i and i + 4, then 2 and 3.
            b[i] = _mm512_shuffle_f32x4::<0b01_00_01_00>(a[i], a[i + 4]);
            b[i + 4] = _mm512_shuffle_f32x4::<0b11_10_11_10>(a[i], a[i + 4]);
        }
    }
    for i in 0..8 {
        // One piece of rows i, i + 4, i + 8 and i + 12, then the next piece.
        let to = if i < 4 { i } else { i + 4 };
        a[to] = _mm512_shuffle_f32x4::<0b10_00_10_00>(b[i], b[i + 8]);
        a[to + 4] = _mm512_shuffle_f32x4::<0b11_01_11_01>(b[i], b[i + 8]);
    }
    for first in 0..4 {
        // Columns inside each piece: four rows, two by two.
        let [w, x, y, z] = [a[4 * first], a[4 * first + 1], a[4 * first + 2], a[4 * first + 3]];
        let low = (_mm512_castps_pd(_mm512_unpacklo_ps(w, x)), _mm512_castps_pd(_mm512_unpacklo_ps(y, z)));
        let high = (_mm512_castps_pd(_mm512_unpackhi_ps(w, x)), _mm512_castps_pd(_mm512_unpackhi_ps(y, z)));
        b[4 * first] = _mm512_castpd_ps(_mm512_unpacklo_pd(low.0, low.1));
        b[4 * first + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low.0, low.1));
        b[4 * first + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high.0, high.1));
        b[4 * first + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high.0, high.1));
    }
    for (row, values) in rows.iter_mut().zip(b) {
        let to = row[start..start + LANES].as_mut_ptr();
        // SAFETY: sixteen values can be written at `to`; the store need not be aligned.
        unsafe { _mm512_mask_storeu_ps(to, mask, values) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_channels() {
        for simd in Simd::all() {
            for (width, channels, offset) in [(16, 16, 0), (37, 5, 1), (3, 16, 0), (96, 16, 9)] {
                let lanes: Vec<_> = (0..width).map(|v| Lanes(std::array::from_fn(|c| (v * 100 + c) as f32))).collect();
                let mut values = vec![0.0; channels * 128 + 16];
                let mut all = values[offset..].chunks_mut(128);
                transpose(simd, &lanes, channels, |_| &mut all.next().unwrap()[..width]);
                let rows: Vec<_> = values[offset..].chunks(128).take(channels).map(|row| &row[..width]).collect();
                for (c, row) in rows.iter().enumerate() {
                    assert!(
                        row.iter().enumerate().all(|(v, &value)| value == (v * 100 + c) as f32),
                        "{simd:?} {c} {row:?}"
                    );
                }
            }
        }
    }
}
