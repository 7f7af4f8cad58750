//! JPEG-LS of one component, lossless and near-lossless (ITU-T T.87).

use super::Reader;
use super::ls_scan::{self, Parameters};
use crate::formats::dicom::codecs::Wanted;

/// Parameters that a marker may set; 0 stands for the default (C.2.4.1.1).
#[derive(Debug, Default)]
struct Presets {
    largest: i32,
    thresholds: [i32; 3],
    reset: i32,
}

/// Decodes a frame of one component to samples, row by row.
pub(in crate::formats::dicom) fn decode(data: &[u8], wanted: Wanted) -> Result<Vec<u16>, String> {
    let mut reader = Reader(data);
    if reader.marker()? != 0xd8 {
        return Err("the frame does not start as JPEG-LS".to_owned());
    }
    let mut precision = None;
    let mut presets = Presets::default();
    loop {
        let marker = reader.marker()?;
        let len = reader.word()?.checked_sub(2).ok_or("a JPEG-LS segment has no length")?;
        let mut segment = Reader(reader.take(len)?);
        match marker {
            0xf7 => precision = Some(start_of_frame(&mut segment, wanted)?),
            0xf8 => presets.read(&mut segment)?,
            0xda => {
                let precision = precision.ok_or("the JPEG-LS frame has no header")?;
                let (near, point_transform) = start_of_scan(&mut segment)?;
                let parameters = presets.parameters(precision, near)?;
                let mut samples = ls_scan::decode(reader.0, wanted.rows, wanted.columns, parameters)?;
                if point_transform > 0 {
                    samples.iter_mut().for_each(|sample| *sample <<= point_transform);
                }
                return Ok(samples);
            }
            0xdd if segment.0.iter().any(|&byte| byte != 0) => {
                return Err("JPEG-LS with restart markers is not decoded".to_owned());
            }
            0xc0..=0xcf => return Err("the frame is JPEG, not JPEG-LS".to_owned()),
            _ => (),
        }
    }
}

/// Checks the size and returns the bits of a sample.
fn start_of_frame(segment: &mut Reader<'_>, wanted: Wanted) -> Result<u32, String> {
    let precision = u32::from(segment.byte()?);
    let (rows, columns) = (segment.word()?, segment.word()?);
    wanted.check("JPEG-LS", rows, columns, segment.byte()?.into())?;
    if (2..=16).contains(&precision) { Ok(precision) } else { Err(format!("JPEG-LS of {precision} bits")) }
}

/// The largest error and the bits that samples were shifted by.
fn start_of_scan(segment: &mut Reader<'_>) -> Result<(i32, u32), String> {
    let [components, _, table, near, _interleave, transform] = *segment.take(6)? else {
        return Err("the JPEG-LS scan has no header".to_owned());
    };
    if components != 1 || table != 0 {
        return Err("JPEG-LS with several components or a mapping table is not decoded".to_owned());
    }
    Ok((near.into(), u32::from(transform & 15)))
}

impl Presets {
    fn read(&mut self, segment: &mut Reader<'_>) -> Result<(), String> {
        if segment.byte()? != 1 {
            return Err("JPEG-LS with a mapping table or a large size is not decoded".to_owned());
        }
        let mut number = || segment.word().map(|word| i32::try_from(word).unwrap_or(0));
        self.largest = number()?;
        self.thresholds = [number()?, number()?, number()?];
        self.reset = number()?;
        Ok(())
    }

    /// The parameters of a scan, with defaults where nothing is set (C.2.4.1.1).
    fn parameters(&self, precision: u32, near: i32) -> Result<Parameters, String> {
        let or = |value: i32, default: i32| if value == 0 { default } else { value };
        let largest = or(self.largest, (1 << precision) - 1);
        let clamp = |value: i32, low: i32| if value > largest || value < low { low } else { value };
        let defaults = |low: i32, previous: i32, factors: [i32; 3]| {
            let [basic, offset, near_factor] = factors;
            let value = if largest >= 128 {
                (largest.min(4095) + 128) / 256 * (basic - offset) + offset + near_factor * near
            } else {
                low.max(basic / (256 / (largest + 1)) + near_factor * near)
            };
            clamp(value, previous)
        };
        let [t1, t2, t3] = self.thresholds;
        let t1 = or(t1, defaults(2, near + 1, [3, 2, 3]));
        let t2 = or(t2, defaults(3, t1, [7, 3, 5]));
        let t3 = or(t3, defaults(4, t2, [21, 4, 7]));
        let is_valid = near <= largest / 2 && near < t1 && t1 <= t2 && t2 <= t3 && t3 <= largest;
        if !is_valid || largest >= 1 << precision || or(self.reset, 64) < 3 {
            return Err(format!("JPEG-LS thresholds {t1}, {t2}, {t3} up to {largest} with error {near}"));
        }
        Ok(Parameters { largest, near, thresholds: [t1, t2, t3], reset: or(self.reset, 64) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of T.87, annex H.3.
    const EXAMPLE: &[u8] = b"\xff\xd8\xff\xf7\0\x0b\x08\0\x04\0\x04\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\0\0\
        \xc0\0\0\x6c\x80\x20\x8e\x01\xc0\0\0\x57\x40\0\0\x6e\xe6\0\0\x01\xbc\x18\0\0\x05\xd8\0\0\x91\x60\xff\xd9";
    const WANTED: Wanted = Wanted { rows: 4, columns: 4, width: 1 };

    #[test]
    fn the_example_of_the_standard_is_decoded() {
        let samples = decode(EXAMPLE, WANTED).unwrap();
        assert_eq!(samples, [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145]);
    }

    #[test]
    fn a_missing_end_is_forgiven_and_missing_data_is_not() {
        assert!(decode(&EXAMPLE[..EXAMPLE.len() - 2], WANTED).is_ok());
        for len in 0..EXAMPLE.len() - 4 {
            assert!(decode(&EXAMPLE[..len], WANTED).is_err(), "{len}");
        }
        assert!(decode(EXAMPLE, Wanted { rows: 5, ..WANTED }).is_err());
    }

    #[test]
    fn default_thresholds_are_those_of_the_standard() {
        let thresholds = |precision, near| Presets::default().parameters(precision, near).unwrap().thresholds;
        assert_eq!(thresholds(8, 0), [3, 7, 21]);
        assert_eq!(thresholds(12, 0), [18, 67, 276]);
        assert_eq!(thresholds(16, 0), [18, 67, 276]);
        assert_eq!(thresholds(8, 3), [12, 22, 42]);
    }
}
