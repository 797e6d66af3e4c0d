//! What an event is called in a store: opaque to users, ordered, and the cursor of a page.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Bits of the time in an id that is made of an event.
const TIME_SHIFT: u32 = 84;
/// Bits of the source in such an id, above the 64 of the number.
const SOURCE_MASK: u128 = 0xf_ffff;

/// An event's id in its store. Newer events have greater ones; programs see a text of digits.
///
/// A store that numbers its rows takes those numbers. One that has no such numbers takes [`EventId::of`], which is
/// the same however often, and by whomever, an event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(pub u128);

/// What an id that was made of an event says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Milliseconds since 1970, below 2^44.
    pub time_ms: u64,
    /// See [`source_key`].
    pub source: u32,
    /// Number in the source's sequence.
    pub seq: u64,
}

impl EventId {
    /// The id of the event with this time (milliseconds since 1970, below 2^44), source and number: ordered by them.
    pub fn of(time_ms: u64, source: u32, seq: u64) -> Self {
        let source = u128::from(source) & SOURCE_MASK;
        Self(u128::from(time_ms) << TIME_SHIFT | source << 64 | u128::from(seq))
    }

    /// The parts of an id that [`EventId::of`] made.
    pub fn parts(self) -> Parts {
        let source = (self.0 >> 64 & SOURCE_MASK) as u32;
        Parts { time_ms: (self.0 >> TIME_SHIFT) as u64, source, seq: self.0 as u64 }
    }

    /// The id of a row's number.
    pub fn of_row(number: i64) -> Self {
        Self(u128::from(number.unsigned_abs()))
    }

    /// The row's number; the greatest there is for an id of another store.
    pub fn row(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// A source as 20 bits: of two sources with the same ones, two events have one id only if time and number agree too.
pub fn source_key(source: &str) -> u32 {
    let hash = blake3::hash(source.as_bytes());
    let [a, b, c, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, 0]) & SOURCE_MASK as u32
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// As a text: programs that read JSON numbers as floats would lose digits.
impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_it_was_made_of_and_is_ordered_by_time_first() {
        let source = source_key("node/1/2");
        let id = EventId::of(1_795_348_800_000, source, u64::MAX);
        assert_eq!(id.parts(), Parts { time_ms: 1_795_348_800_000, source, seq: u64::MAX });
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(EventId::of(2, 0, 1) > EventId::of(1, source, u64::MAX));
        assert_ne!(source, source_key("node/1/3"));
        assert_eq!(EventId::of_row(17).to_string(), "17");
        assert_eq!((EventId::of_row(17).row(), id.row()), (17, i64::MAX));
    }
}
