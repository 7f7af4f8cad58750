//! Sixteen channels of sixteen voxels turned into sixteen rows.
#![allow(unsafe_code, reason = "intrinsics where there are some")]

use super::lanes::{LANES, Lanes};
use super::simd::Simd;

/// Writes the first `channels` channels of voxels as rows of their own.
pub(super) fn transpose<'a>(simd: Simd, lanes: &[Lanes], channels: usize, mut row: impl FnMut(usize) -> &'a mut [f32]) {
    let (tiles, rest) = lanes.as_chunks::<LANES>();
    let mut square = [Lanes::default(); LANES];
    let mut rows: [&mut [f32]; LANES] = std::array::from_fn(|c| if c < channels { row(c) } else { &mut [][..] });
    for (index, tile) in tiles.iter().enumerate() {
        flip(simd, tile, &mut square);
        for (row, values) in rows.iter_mut().zip(&square).take(channels) {
            row[index * LANES..][..LANES].copy_from_slice(&values.0);
        }
    }
    let done = lanes.len() - rest.len();
    for (channel, row) in rows.iter_mut().enumerate().take(channels) {
        for (lanes, value) in rest.iter().zip(&mut row[done..]) {
            *value = lanes.0[channel];
        }
    }
}

fn flip(simd: Simd, from: &[Lanes; LANES], to: &mut [Lanes; LANES]) {
    debug_assert!(simd.available());
    #[cfg(target_arch = "x86_64")]
    if simd == Simd::Avx512 {
        // SAFETY: `Simd::Avx512` is only made where AVX-512 F was found (`Simd::all`).
        return unsafe { flip_avx512(from, to) };
    }
    for (channel, row) in to.iter_mut().enumerate() {
        for (value, lanes) in row.0.iter_mut().zip(from) {
            *value = lanes.0[channel];
        }
    }
}

/// Exchanges 128-bit pieces between registers in two passes, then single values inside the pieces in two more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn flip_avx512(from: &[Lanes; LANES], to: &mut [Lanes; LANES]) {
    use std::arch::x86_64::*;
    // SAFETY: `Lanes` holds sixteen aligned values.
    let mut a: [__m512; LANES] = std::array::from_fn(|i| unsafe { _mm512_load_ps(from[i].0.as_ptr()) });
    let mut b = a;
    for i in [0, 1, 2, 3, 8, 9, 10, 11] {
        // 128-bit pieces 0 and 1 of rows i and i + 4, then 2 and 3.
        b[i] = _mm512_shuffle_f32x4::<0b01_00_01_00>(a[i], a[i + 4]);
        b[i + 4] = _mm512_shuffle_f32x4::<0b11_10_11_10>(a[i], a[i + 4]);
    }
    for (i, piece) in (0..4).map(|i| (i, 0)).chain((4..8).map(|i| (i, 4))) {
        // One piece of rows i, i + 4, i + 8 and i + 12, then the next piece.
        a[i + piece] = _mm512_shuffle_f32x4::<0b10_00_10_00>(b[i], b[i + 8]);
        a[i + piece + 4] = _mm512_shuffle_f32x4::<0b11_01_11_01>(b[i], b[i + 8]);
    }
    for first in [0, 4, 8, 12] {
        // Columns inside each piece: four rows, two by two.
        let low = [_mm512_unpacklo_ps(a[first], a[first + 1]), _mm512_unpacklo_ps(a[first + 2], a[first + 3])];
        let high = [_mm512_unpackhi_ps(a[first], a[first + 1]), _mm512_unpackhi_ps(a[first + 2], a[first + 3])];
        for (i, [x, y]) in [low, high].into_iter().enumerate() {
            let (x, y) = (_mm512_castps_pd(x), _mm512_castps_pd(y));
            let columns = [_mm512_unpacklo_pd(x, y), _mm512_unpackhi_pd(x, y)];
            for (j, column) in columns.into_iter().enumerate() {
                let row = to[first + 2 * i + j].0.as_mut_ptr();
                // SAFETY: as above.
                unsafe { _mm512_store_ps(row, _mm512_castpd_ps(column)) };
            }
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
