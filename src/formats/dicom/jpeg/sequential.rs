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

#[cfg(test)]
mod tests {
    use super::super::decode;
    use crate::formats::dicom::codecs::Wanted;

    /// Three flat blocks of 8 x 8 in a frame of 20 x 6 samples: codes of 4 bits for the first coefficient's category,
    /// one bit of zero for the end of a block.
    fn flat(precision: u8) -> Vec<u8> {
        let mut out = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
        out.extend([16; 64]);
        out.extend([0xff, 0xc1, 0, 11, precision, 0, 6, 0, 20, 1, 1, 0x11, 0]);
        out.extend(b"\xff\xc4\0\x1f\0\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b");
        out.extend(b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        out.extend(b"\xff\xda\0\x08\x01\x01\0\0\x3f\0");
        // Differences 5 (0011 101), -7 (0011 000) and 0 (0000), each with the end of its block.
        out.extend([0b0011_1010, 0b0011_0000, 0b0000_0111, 0xff, 0xd9]);
        out
    }

    #[test]
    fn flat_blocks_of_8_and_12_bits_are_at_their_level() {
        for (precision, middle) in [(8, 128), (12, 2048)] {
            let samples = decode(&flat(precision), Wanted { rows: 6, columns: 20, width: 2 }).unwrap();
            for (n, &sample) in samples.iter().enumerate() {
                // A step of 16 in the first coefficient is a level of 2.
                assert_eq!(i32::from(sample), middle + [10, -4, -4][n % 20 / 8]);
            }
        }
        assert!(decode(&flat(8)[..130], Wanted { rows: 6, columns: 20, width: 1 }).is_err());
    }
}
