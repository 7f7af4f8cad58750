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

/// The way back, with colors that a screen does not have moved to the nearest it has in each channel.
pub(super) fn rgb([l, a, b]: [u16; 3]) -> [u8; 3] {
    /// XYZ to linear sRGB.
    const FROM_XYZ: [[f64; 3]; 3] = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]];
    const WHITE: [f64; 3] = [0.9505, 1.0, 1.089];
    let part = |word: u16| f64::from(word) / 65_535.0;
    let y = (100.0 * part(l) + 16.0) / 116.0;
    let (x, z) = (y + (255.0 * part(a) - 128.0) / 500.0, y - (255.0 * part(b) - 128.0) / 200.0);
    let linear = |f: f64| if f.powi(3) > 216.0 / 24_389.0 { f.powi(3) } else { (116.0 * f - 16.0) * 27.0 / 24_389.0 };
    let xyz = [linear(x) * WHITE[0], linear(y) * WHITE[1], linear(z) * WHITE[2]];
    FROM_XYZ.map(|row| {
        let v: f64 = row.iter().zip(xyz).map(|(a, b)| a * b).sum();
        let v = if v > 0.003_130_8 { 1.055 * v.powf(1.0 / 2.4) - 0.055 } else { 12.92 * v };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of a byte")]
        let byte = (255.0 * v).round().clamp(0.0, 255.0) as u8;
        byte
    })
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

    proptest::proptest! {
        #[test]
        fn colors_come_back(color: [u8; 3]) {
            let back = rgb(cielab(color));
            proptest::prop_assert!(color.into_iter().zip(back).all(|(a, b)| a.abs_diff(b) <= 1), "{:?}", back);
        }
    }
}
