//! Time zones: when a zone's distance from UTC changes, worked out here so that a filter need not know zones.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How far ahead changes are worked out, milliseconds. A snapshot is made anew long before.
const AHEAD_MS: u64 = 3 * 366 * 86_400_000;

/// A zone that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone; write an IANA name such as Europe/Berlin, or leave it out for UTC")]
pub struct UnknownZone(pub String);

/// From when on, milliseconds since 1970, how many minutes a zone is ahead of UTC: the distance at `now_ms`, and
/// each change of the three years after. Empty for UTC itself (an empty name).
///
/// # Errors
/// If the zone is not known.
pub fn offsets(zone: &str, now_ms: u64) -> Result<Vec<(u64, i16)>, UnknownZone> {
    if zone.is_empty() {
        return Ok(Vec::new());
    }
    let unknown = || UnknownZone(zone.to_owned());
    let known = TimeZone::get(zone).map_err(|_| unknown())?;
    let now =
        Timestamp::from_millisecond(i64::try_from(now_ms).unwrap_or(i64::MAX)).map_err(|_| unknown())?;
    let minutes = |seconds: i32| i16::try_from(seconds / 60).unwrap_or_default();
    let mut all = vec![(now_ms, minutes(known.to_offset(now).seconds()))];
    for change in known.following(now) {
        let at_ms = u64::try_from(change.timestamp().as_millisecond()).unwrap_or_default();
        if at_ms > now_ms + AHEAD_MS {
            break;
        }
        all.push((at_ms, minutes(change.offset().seconds())));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 25 November 2026, 00:00 UTC.
    const NOW_MS: u64 = 1_795_564_800_000;
    /// 28 March 2027, 01:00 UTC.
    const SUMMER_MS: u64 = 1_806_195_600_000;

    #[test]
    fn a_zone_with_summer_time_changes_twice_a_year() {
        let berlin = offsets("Europe/Berlin", NOW_MS).unwrap();
        assert_eq!(berlin[..2], [(NOW_MS, 60), (SUMMER_MS, 120)]);
        assert_eq!(berlin.len(), 7, "{berlin:?}");
        assert_eq!(offsets("Asia/Kathmandu", NOW_MS).unwrap(), [(NOW_MS, 345)]);
        assert_eq!(offsets("", NOW_MS).unwrap(), []);
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert_eq!(offsets("Europe/Atlantis", NOW_MS), Err(UnknownZone("Europe/Atlantis".into())));
    }
}
