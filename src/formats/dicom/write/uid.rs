//! New unique identifiers and the time of day.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// A new identifier: a random UUID (RFC 9562, version 4) as a decimal number (PS3.5, B.2).
pub(super) fn new_uid() -> String {
    // Each state is seeded by the operating system, which is all the randomness that is needed.
    let half = || u128::from(RandomState::new().hash_one(since_1970().as_nanos()));
    let random = half() << 64 | half();
    let version = random & !(0xf << 76) | 4 << 76;
    let variant = version & !(3 << 62) | 2 << 62;
    format!("2.25.{variant}")
}

fn since_1970() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Date and time as DICOM writes them (DA, TM), in UTC.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) date: String,
    pub(super) time: String,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self::at(since_1970().as_secs())
    }

    /// `seconds` since 1970; days to a date in the Gregorian calendar after Howard Hinnant, "chrono-Compatible Low-Level
    /// Date Algorithms", with years that begin in March.
    fn at(seconds: u64) -> Self {
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, after) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = 400 * era + year + after;
        Self {
            date: format!("{year:04}{month:02}{day:02}"),
            time: format!("{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_at_the_ends_of_years_and_leap_days() {
        for (seconds, date, time) in [
            (0, "19700101", "000000"),
            (951_782_399, "20000228", "235959"),
            (951_868_799, "20000229", "235959"),
            (1_709_251_199, "20240229", "235959"),
            (1_767_225_599, "20251231", "235959"),
            (4_107_542_400, "21000301", "000000"),
        ] {
            let moment = Moment::at(seconds);
            assert_eq!((moment.date.as_str(), moment.time.as_str()), (date, time));
        }
    }

    #[test]
    fn identifiers_are_new_and_short_enough() {
        let uids: std::collections::HashSet<_> = (0..1000).map(|_| new_uid()).collect();
        assert_eq!(uids.len(), 1000);
        let is_uid = |uid: &String| uid.len() <= 64 && uid.strip_prefix("2.25.").is_some_and(|n| !n.starts_with('0'));
        assert!(uids.iter().all(is_uid));
    }
}
