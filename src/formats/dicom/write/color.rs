//! Display colors as DICOM has them.

/// sRGB to CIELab as unsigned words (PS3.3, C.10.7.1.1) under the white D65, with which viewers turn them back
/// (IEC 61966-2-1; pixelmed, dcmjs and highdicom take the same white, though the standard names D50).
pub(super) fn cielab(rgb: [u8; 3]) -> [u16; 3] {
    /// Linear sRGB to XYZ.
    const TO_XYZ: [[f64; 3]; 3] = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
    let linear = rgb.map(|v| {
        let v = f64::from(v) / 255.0;
        if v > 0.040_45 { ((v + 0.055) / 1.055).powf(2.4) } else { v / 12.92 }
    });
    let [x, y, z] = TO_XYZ.map(|row| {
        let white: f64 = row.iter().sum();
        let part = row.iter().zip(linear).map(|(a, b)| a * b).sum::<f64>() / white;
        if part > 216.0 / 24_389.0 { part.cbrt() } else { (24_389.0 / 27.0 * part + 16.0) / 116.0 }
    });
    let (l, a, b) = (116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of a word")]
    let word = |part: f64| (part * 65_535.0).round().clamp(0.0, 65_535.0) as u16;
    [word(l / 100.0), word((a + 128.0) / 255.0), word((b + 128.0) / 255.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_black_and_a_color_as_highdicom_has_it() {
        assert_eq!(cielab([255; 3]), [65_535, 32_896, 32_896]);
        assert_eq!(cielab([0; 3]), [0, 32_896, 32_896]);
        let red = cielab([205, 62, 78]);
        assert!(red.into_iter().zip([31_606, 47_528, 38_970]).all(|(a, b): (u16, u16)| a.abs_diff(b) < 8), "{red:?}");
    }
}
