//! Windows of the week, in the time of a place.
//!
//! A filter knows no time zones. Where the snapshot is made, a zone's changes of the coming years are worked out
//! ([`Schedule::offsets`]), and the filter only adds minutes. What a person writes has none of them.

use serde::{Deserialize, Serialize};

/// Milliseconds in a minute.
const MINUTE_MS: u64 = 60_000;
/// Minutes in a day.
const DAY_MINUTES: i64 = 1_440;

/// A window in which a name is blocked, or in which lists hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// The name that is blocked; all below it too.
    pub name: String,
    /// Lists that hold in the window only.
    pub lists: Vec<String>,
    /// First minute of the day, 0 to 1439.
    pub from_minute: u16,
    /// First minute after the window, to 1440; not above `from_minute` if it spans midnight.
    pub to_minute: u16,
    /// Days on which the window starts; empty: every day.
    pub days: Vec<Day>,
    /// Time zone (IANA name); empty: UTC.
    pub zone: String,
    /// When the zone's distance from UTC changes, milliseconds since 1970, and to how many minutes: in order of
    /// time, the first one for all time before. Filled in where the snapshot is made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offsets: Vec<(u64, i16)>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    const WEEK: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
}

impl Schedule {
    /// Whether the window holds a time, milliseconds since 1970.
    pub fn holds(&self, now_ms: u64) -> bool {
        let local = (now_ms / MINUTE_MS) as i64 + i64::from(self.offset(now_ms));
        let (day, minute) = (local.div_euclid(DAY_MINUTES), local.rem_euclid(DAY_MINUTES));
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        if from < to {
            return (from..to).contains(&minute) && self.starts_on(day);
        }
        // Past midnight it is the window that started the day before.
        minute >= from && self.starts_on(day) || minute < to && self.starts_on(day - 1)
    }

    /// Minutes to add to UTC.
    fn offset(&self, now_ms: u64) -> i16 {
        let past = self.offsets.iter().take_while(|(from_ms, _)| *from_ms <= now_ms);
        past.last().or(self.offsets.first()).map_or(0, |(_, minutes)| *minutes)
    }

    fn starts_on(&self, days_since_1970: i64) -> bool {
        // 1970 began on a Thursday.
        let of_week = (days_since_1970 + 3).rem_euclid(7) as usize;
        self.days.is_empty() || Day::WEEK.get(of_week).is_some_and(|day| self.days.contains(day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wednesday, 25 November 2026, 00:00 UTC.
    const WEDNESDAY_MS: u64 = 1_795_564_800_000;
    const HOUR_MS: u64 = 60 * MINUTE_MS;

    fn window(from_minute: u16, to_minute: u16) -> Schedule {
        Schedule { from_minute, to_minute, ..Schedule::default() }
    }

    fn holds(schedule: &Schedule, day: u64, hour: u64) -> bool {
        schedule.holds(WEDNESDAY_MS + day * 24 * HOUR_MS + hour * HOUR_MS)
    }

    #[test]
    fn a_window_may_span_midnight_and_a_whole_day() {
        let (morning, night, day) = (window(60, 120), window(1_380, 60), window(0, 1_440));
        assert!(holds(&morning, 0, 1) && !holds(&morning, 0, 2));
        assert!(holds(&night, 0, 23) && holds(&night, 0, 0) && !holds(&night, 0, 1));
        assert!((0..24).all(|hour| holds(&day, 0, hour)));
        assert!((0..24).all(|hour| holds(&window(480, 480), 0, hour)), "from and to the same: all day");
    }

    #[test]
    fn a_window_belongs_to_the_day_on_which_it_starts() {
        let night = Schedule { days: vec![Day::Wed], ..window(1_320, 360) };
        assert!(holds(&night, 0, 22) && holds(&night, 1, 5), "to Thursday morning");
        assert!(!holds(&night, 0, 5) && !holds(&night, 1, 22), "not from Tuesday, not on Thursday");
        let weekend = Schedule { days: vec![Day::Sat, Day::Sun], ..window(0, 1_440) };
        let held: Vec<u64> = (0..7).filter(|day| holds(&weekend, *day, 12)).collect();
        assert_eq!(held, [3, 4]);
    }

    #[test]
    fn a_zone_moves_the_window_and_changes_with_summer_time() {
        // As Berlin: an hour ahead, from the third day on two.
        let offsets = vec![(0, 60), (WEDNESDAY_MS + 48 * HOUR_MS, 120)];
        let evening = Schedule { zone: "Europe/Berlin".into(), offsets, ..window(18 * 60, 19 * 60) };
        assert!(holds(&evening, 0, 17) && !holds(&evening, 0, 18));
        assert!(holds(&evening, 2, 16) && !holds(&evening, 2, 17));
    }
}
