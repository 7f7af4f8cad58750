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
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if simd == Simd::Avx512 {
        let (tiles, _) = lanes.as_chunks::<LANES>();
        // SAFETY: `Simd::Avx512` is only made where AVX-512 F was found (`Simd::all`).
        unsafe { tiles_avx512(tiles, rows) };
        done = tiles.len() * LANES;
    }
    for (channel, row) in rows.iter_mut().enumerate() {
        for (lanes, value) in lanes[done..].iter().zip(&mut row[done..]) {
            *value = lanes.0[channel];
        }
    }
}

/// Exchanges 128-bit pieces between registers in two passes, then single values inside the pieces in two more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tiles_avx512(tiles: &[[Lanes; LANES]], rows: &mut [&mut [f32]]) {
    use std::arch::x86_64::*;
    for (index, tile) in tiles.iter().enumerate() {
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
            let to = &mut row[index * LANES..][..LANES];
            // SAFETY: `to` holds sixteen values; the store need not be aligned.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), values) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_channels() {
        for simd in Simd::all() {
            for (width, channels) in [(16, 16), (37, 5), (3, 16)] {
                let lanes: Vec<_> = (0..width).map(|v| Lanes(std::array::from_fn(|c| (v * 100 + c) as f32))).collect();
                let mut rows = vec![vec![0.0; width]; channels];
                let mut all = rows.iter_mut();
                transpose(simd, &lanes, channels, |_| all.next().unwrap());
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
