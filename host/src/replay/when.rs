//! Times as a person writes them: so long ago, or a day.

use std::str::FromStr;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So many milliseconds ago.
    Ago(u64),
    /// Milliseconds since 1970.
    At(u64),
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time; write how long ago, as in 7d, 36h or 90m, or a day (UTC), as in 2026-11-20")]
pub struct BadTime(String);

impl When {
    /// Milliseconds since 1970.
    pub fn at_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(ago_ms) => now_ms.saturating_sub(ago_ms),
            Self::At(at_ms) => at_ms,
        }
    }
}

impl FromStr for When {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        ago(text).map(Self::Ago).or_else(|| day(text).map(Self::At)).ok_or_else(|| BadTime(text.to_owned()))
    }
}

fn ago(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_s: u64 = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|number| digits && *number > 0)?.checked_mul(unit_s * 1_000)
}

/// The start of a day of the Gregorian calendar, from 1970 on.
fn day(text: &str) -> Option<u64> {
    let shape =
        |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() != 10 || !text.bytes().enumerate().all(shape) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let february = if leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *months.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let before: u64 = months.iter().take(month as usize - 1).sum();
    Some((years + before + day - 1) * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let at = |text: &str| text.parse::<When>().unwrap().at_ms(1_000_000_000_000);
        assert_eq!(at("90m"), 1_000_000_000_000 - 5_400_000);
        assert_eq!(at("36h"), 1_000_000_000_000 - 129_600_000);
        assert_eq!((at("7d"), at("1w")), (1_000_000_000_000 - 604_800_000, at("7d")));
        assert_eq!(at("2026-11-20"), 1_795_132_800_000);
        assert_eq!((at("2000-02-29"), at("1970-01-01")), (951_782_400_000, 0));
        assert_eq!(at("9999w"), 0);
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in
            ["", "d", "7", "7 d", "-7d", "+7d", "0d", "7y", "2026-13-01", "2026-02-29", "20261120", "7ä"]
        {
            let error = text.parse::<When>().unwrap_err().to_string();
            assert!(error.contains("7d") && error.contains("2026-11-20"), "{text}: {error}");
        }
    }
}
