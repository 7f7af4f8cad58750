//! Memory sizes as people write them: `800M`, `1.5G`, `2GiB`.

use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no size: write 800M, 1.5G or 2GiB");
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "t" | "tb" => 1e12,
            "kib" => 1024.0,
            "mib" => 1024.0 * 1024.0,
            "gib" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(bad()),
        };
        let bytes = number * factor;
        if !bytes.is_finite() || !(1.0..=1e18).contains(&bytes) {
            return Err(bad());
        }
        Ok(Self(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_as_people_write_them() {
        assert_eq!("1G".parse(), Ok(Size(1_000_000_000)));
        assert_eq!("1.5GiB".parse(), Ok(Size(1_610_612_736)));
        for bad in ["", "G", "-1G", "1X", "1e99", "0"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
