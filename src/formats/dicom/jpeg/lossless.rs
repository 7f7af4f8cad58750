//! Lossless scans: each sample is predicted from its neighbours and the difference is coded (T.81, annex H).

use super::bits::Bits;
use super::huffman::Huffman;
use super::{Header, Scan};
use crate::limits;

/// Decodes a scan of one component.
pub(super) fn decode(header: &Header, scan: Scan, mut bits: Bits<'_>) -> Result<Vec<u16>, String> {
    let table = header.dc[scan.dc].as_ref().ok_or("the JPEG scan names a Huffman table that is not there")?;
    let columns = header.columns;
    if !(1..=7).contains(&scan.predictor) || scan.point_transform >= header.precision {
        return Err(format!("JPEG predictor {} with point transform {}", scan.predictor, scan.point_transform));
    }
    if !header.restart_interval.is_multiple_of(columns) {
        return Err("a JPEG restart interval is no multiple of the row".to_owned());
    }
    let rows_per_interval = header.restart_interval / columns;
    let first = 1 << (header.precision - scan.point_transform - 1);
    let mut samples = limits::zeroed::<u16>(header.rows * columns, "a frame").map_err(|e| e.message().to_owned())?;
    let mut above: &mut [u16] = &mut [];
    for (row, samples) in samples.chunks_exact_mut(columns).enumerate() {
        let starts = row == 0 || (rows_per_interval > 0 && row.is_multiple_of(rows_per_interval));
        if starts && row > 0 && !bits.restart() {
            return Err("a JPEG restart marker is missing".to_owned());
        }
        let coded = match (starts, scan.predictor) {
            (true, _) => decode_row(table, &mut bits, samples, first, |left, _| left),
            (_, predictor) => {
                let start = i32::from(above[0]);
                match predictor {
                    1 => decode_row(table, &mut bits, samples, start, |left, _| left),
                    2 => decode_row(table, &mut bits, samples, start, |_, n| above[n].into()),
                    3 => decode_row(table, &mut bits, samples, start, |_, n| above[n - 1].into()),
                    4 => decode_row(table, &mut bits, samples, start, |a, n| a + pair(above, n).0 - pair(above, n).1),
                    5 => decode_row(table, &mut bits, samples, start, |a, n| {
                        a + ((pair(above, n).0 - pair(above, n).1) >> 1)
                    }),
                    6 => decode_row(table, &mut bits, samples, start, |a, n| {
                        pair(above, n).0 + ((a - pair(above, n).1) >> 1)
                    }),
                    _ => decode_row(table, &mut bits, samples, start, |a, n| (a + pair(above, n).0) >> 1),
                }
            }
        };
        if coded.is_none() || bits.is_overrun() {
            return Err(format!("the JPEG data is damaged or ends in row {}", row + 1));
        }
        above = samples;
    }
    if scan.point_transform > 0 {
        samples.iter_mut().for_each(|sample| *sample <<= scan.point_transform);
    }
    Ok(samples)
}

/// The neighbours above and above left.
#[inline]
fn pair(above: &[u16], n: usize) -> (i32, i32) {
    (above[n].into(), above[n - 1].into())
}

/// Decodes a row whose first sample is predicted as `first` and others from the left one and their number.
#[inline]
fn decode_row(
    table: &Huffman,
    bits: &mut Bits<'_>,
    row: &mut [u16],
    first: i32,
    predict: impl Fn(i32, usize) -> i32,
) -> Option<()> {
    let mut left = 0;
    for (n, sample) in row.iter_mut().enumerate() {
        bits.refill();
        let difference = match table.decode(bits)? {
            category @ 0..=15 => {
                // A code takes up to 16 bits of the 32 that are there, so 15 more are there too.
                bits.difference(category.into())
            }
            16 => 32768,
            _ => return None,
        };
        let prediction = if n == 0 { first } else { predict(left, n) };
        // Differences count modulo 2^16 (H.1.2.1).
        left = (prediction + difference) & 0xffff;
        *sample = u16::try_from(left).unwrap_or(0);
    }
    Some(())
}
