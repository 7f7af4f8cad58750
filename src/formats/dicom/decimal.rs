//! Numbers as decimal strings (DS, PS3.5, 6.2).

/// Characters that a decimal string may have.
const LONGEST: usize = 16;

/// A number with as many digits as a decimal string holds.
pub(super) fn decimal(value: f64) -> String {
    // No negative zero.
    let value = value + 0.0;
    let fits = |text: &String| text.len() <= LONGEST;
    let plain = Some(value.to_string()).filter(fits);
    plain
        .or_else(|| (0..LONGEST).rev().map(|digits| format!("{value:.digits$}")).find(fits))
        .or_else(|| (0..LONGEST).rev().map(|digits| format!("{value:.digits$e}")).find(fits))
        .unwrap_or_default()
}

/// Several, parted by backslashes.
pub(super) fn decimals(values: &[f64]) -> String {
    values.iter().map(|&value| decimal(value)).collect::<Vec<_>>().join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_characters_with_the_digits_that_fit() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.5, "0.5"),
            (-103.251_953_125, "-103.251953125"),
            (-1.0 / 3.0, "-0.3333333333333"),
            (1e-30, "0.00000000000000"),
            (-1.234_567_890_123_456_7e20, "-1.2345678901e20"),
        ] {
            assert_eq!(decimal(value), text);
        }
        assert_eq!(decimals(&[1.0, -2.5]), "1\\-2.5");
    }

    proptest::proptest! {
        #[test]
        fn positions_come_back_within_a_picometre(mm in -1e3..1e3_f64) {
            let text = decimal(mm);
            proptest::prop_assert!(text.len() <= LONGEST);
            proptest::prop_assert!((text.parse::<f64>().unwrap() - mm).abs() < 1e-9);
        }
    }
}
