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

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "bytes of made-up numbers")]
mod tests {
    use super::super::decode;
    use crate::formats::dicom::codecs::Wanted;

    /// Writes bits, most significant first, with a zero byte after each 0xff.
    #[derive(Default)]
    struct Writer {
        out: Vec<u8>,
        pending: u32,
        count: u32,
    }

    impl Writer {
        fn put(&mut self, value: u32, bits: u32) {
            for n in (0..bits).rev() {
                self.pending = self.pending << 1 | (value >> n & 1);
                self.count += 1;
                if self.count == 8 {
                    let byte = u8::try_from(self.pending).unwrap();
                    self.out.push(byte);
                    if byte == 0xff {
                        self.out.push(0);
                    }
                    (self.pending, self.count) = (0, 0);
                }
            }
        }

        fn flush(&mut self) {
            while self.count > 0 {
                self.put(1, 1);
            }
        }
    }

    struct Case {
        predictor: u8,
        precision: u8,
        point_transform: u8,
        /// Rows between restart markers; 0 for none.
        interval: usize,
    }

    /// Codes samples as annex H says; every category has a code of 5 bits.
    fn encode(samples: &[u16], columns: usize, case: &Case) -> Vec<u8> {
        let Case { predictor, precision, point_transform, interval } = *case;
        let rows = samples.len() / columns;
        let side = |n: usize| [(n >> 8) as u8, n as u8];
        let mut out = vec![0xff, 0xd8, 0xff, 0xc3, 0, 11, precision];
        out.extend([side(rows), side(columns)].concat());
        out.extend([1, 1, 0x11, 0, 0xff, 0xc4, 0, 36, 0]);
        out.extend((1..=16).map(|len| if len == 5 { 17 } else { 0 }));
        out.extend(0..17);
        out.extend([&[0xff, 0xdd, 0, 4][..], &side(interval * columns)].concat());
        out.extend([0xff, 0xda, 0, 8, 1, 1, 0, predictor, 0, point_transform]);
        let mut writer = Writer::default();
        let at = |row: usize, column: usize| i32::from(samples[row * columns + column] >> point_transform);
        for row in 0..rows {
            let starts = row == 0 || (interval > 0 && row.is_multiple_of(interval));
            if starts && row > 0 {
                writer.flush();
                writer.out.extend([0xff, 0xd0 + ((row / interval - 1) % 8) as u8]);
            }
            for column in 0..columns {
                let prediction = match (starts, column) {
                    (true, 0) => 1 << (precision - point_transform - 1),
                    (true, _) => at(row, column - 1),
                    (false, 0) => at(row - 1, 0),
                    _ => {
                        let (a, b, c) = (at(row, column - 1), at(row - 1, column), at(row - 1, column - 1));
                        [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1]
                            [usize::from(predictor) - 1]
                    }
                };
                // Modulo 2^16 into -32767 to 32768.
                let difference = (at(row, column) - prediction + 32767).rem_euclid(65536) - 32767;
                let category = 32 - difference.unsigned_abs().leading_zeros();
                writer.put(category, 5);
                if (1..16).contains(&category) {
                    let bits = if difference < 0 { difference + (1 << category) - 1 } else { difference };
                    writer.put(bits.cast_unsigned(), category);
                }
            }
        }
        writer.flush();
        [out, writer.out, vec![0xff, 0xd9]].concat()
    }

    #[test]
    fn every_predictor_undoes_an_encoder_written_from_the_standard() {
        let wanted = Wanted { rows: 9, columns: 7, width: 2 };
        let mut seen = 0;
        for predictor in 1..=7 {
            for (precision, point_transform, interval) in [(16, 0, 0), (12, 0, 2), (8, 0, 3), (16, 3, 0), (10, 2, 1)] {
                let case = Case { predictor, precision, point_transform, interval };
                let mask = u16::MAX >> (16 - precision) & (u16::MAX << point_transform);
                // Smooth, and every fifth sample anywhere in the range.
                let sample =
                    |n: u32| (if n.is_multiple_of(5) { n.wrapping_mul(40_503) >> 3 } else { n * 90 }) as u16 & mask;
                let samples: Vec<u16> = (0..63).map(sample).collect();
                let coded = encode(&samples, 7, &case);
                assert_eq!(decode(&coded, wanted).unwrap(), samples, "predictor {predictor}");
                assert!(decode(&coded[..coded.len() - 20], wanted).is_err());
                seen += 1;
            }
        }
        assert_eq!(seen, 35);
        let coded = encode(&[0; 63], 7, &Case { predictor: 1, precision: 8, point_transform: 0, interval: 0 });
        assert!(decode(&coded, Wanted { rows: 9, columns: 8, width: 1 }).is_err());
    }
}
