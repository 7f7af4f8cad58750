//! Sequential scans of the discrete cosine transform (T.81, annexes A and F), in floating point.

use super::bits::Bits;
use super::huffman::Huffman;
use super::{Header, Scan};
use crate::limits;

/// Place of each coefficient of a block in the order that they are coded in.
#[rustfmt::skip]
const ZIGZAG: [usize; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Decodes a scan of one component.
pub(super) fn decode(header: &Header, scan: Scan, mut bits: Bits<'_>) -> Result<Vec<u16>, String> {
    let lost = || "the JPEG scan names a table that is not there".to_owned();
    let dc_table = header.dc[scan.dc].as_ref().ok_or_else(lost)?;
    let ac_table = header.ac[scan.ac].as_ref().ok_or_else(lost)?;
    let quantization = header.quantization[header.quantization_table].as_ref().ok_or_else(lost)?;
    let (rows, columns) = (header.rows, header.columns);
    let mut samples = limits::zeroed::<u16>(rows * columns, "a frame").map_err(|e| e.message().to_owned())?;
    let cosines = cosines();
    let across = columns.div_ceil(8);
    let mut dc = 0;
    for block in 0..across * rows.div_ceil(8) {
        if header.restart_interval > 0 && block > 0 && block.is_multiple_of(header.restart_interval) {
            dc = 0;
            if !bits.restart() {
                return Err("a JPEG restart marker is missing".to_owned());
            }
        }
        let coefficients = coefficients(dc_table, ac_table, quantization, &mut dc, &mut bits)
            .filter(|_| !bits.is_overrun())
            .ok_or_else(|| format!("the JPEG data is damaged or ends in block {}", block + 1))?;
        let values = inverse(&coefficients, &cosines, header.precision);
        let (top, left) = (block / across * 8, block % across * 8);
        let width = (columns - left).min(8);
        for (y, line) in values.chunks_exact(8).enumerate().take(rows - top) {
            let start = (top + y) * columns + left;
            samples[start..start + width].copy_from_slice(&line[..width]);
        }
    }
    Ok(samples)
}

/// The coefficients of one block, times their quantization steps, row by row.
#[expect(clippy::cast_precision_loss, reason = "coefficients have at most 17 bits")]
fn coefficients(
    dc_table: &Huffman,
    ac_table: &Huffman,
    quantization: &[u16; 64],
    dc: &mut i32,
    bits: &mut Bits<'_>,
) -> Option<[f32; 64]> {
    let mut block = [0.0; 64];
    bits.refill();
    let category = dc_table.decode(bits).filter(|&category| category <= 16)?;
    *dc = dc.wrapping_add(bits.difference(category.into()));
    block[0] = *dc as f32 * f32::from(quantization[0]);
    let mut n = 1;
    while n < 64 {
        bits.refill();
        let symbol = ac_table.decode(bits)?;
        let (run, category) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (run, category) {
            (15, 0) => n += 16,
            (_, 0) => break,
            _ => {
                n += run;
                let place = *ZIGZAG.get(n)?;
                block[place] = bits.difference(category) as f32 * f32::from(quantization[n]);
                n += 1;
            }
        }
    }
    Some(block)
}

/// `cosines[x][u]`: the weight of frequency `u` at place `x` of one dimension.
#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
fn cosines() -> [[f32; 8]; 8] {
    let weight = |x: usize, u: usize| {
        let scale = if u == 0 { std::f32::consts::FRAC_1_SQRT_2 } else { 1.0 };
        0.5 * scale * (((2 * x + 1) * u) as f32 * std::f32::consts::PI / 16.0).cos()
    };
    std::array::from_fn(|x| std::array::from_fn(|u| weight(x, u)))
}

/// The inverse transform of a block with the level shift (A.3.1), rounded and clamped.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 16 bits")]
fn inverse(block: &[f32; 64], cosines: &[[f32; 8]; 8], precision: u32) -> [u16; 64] {
    let mut lines = [0.0_f32; 64];
    for (line, out) in block.chunks_exact(8).zip(lines.chunks_exact_mut(8)) {
        for (value, cosines) in out.iter_mut().zip(cosines) {
            *value = line.iter().zip(cosines).map(|(a, b)| a * b).sum();
        }
    }
    let (middle, largest) = (f32::from(1_u16 << (precision - 1)), f32::from((1_u16 << precision) - 1));
    std::array::from_fn(|n| {
        let (y, x) = (n / 8, n % 8);
        let sum: f32 = (0..8).map(|v| lines[v * 8 + x] * cosines[y][v]).sum();
        (sum + middle).round().clamp(0.0, largest) as u16
    })
}
