//! The vetted overlay: what people decided about names, at most 64 k of them.
//!
//! ```text
//! count u32 · count x (hash u64 · record's offset u32), sorted by hash, exact scope first · records
//! record: flags u8 (1 = exact) · decision u8 · time u64 · name u16 + bytes · author u16 + bytes
//! ```
//!
//! Small and early in the file, so that a decision reaches every filter in one request. Names are kept whole and
//! compared, so a person's decision never strikes another name.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::hash::Hasher;
use super::wire::{Reader, Writer};
use crate::name::Name;

/// The most vetted names of a snapshot.
pub const MOST_VETTED: usize = 65_536;
/// The most bytes of an author's name that a snapshot keeps.
const AUTHOR_BYTES: usize = 64;

/// What a person decided about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Let it pass.
    Benign,
    /// Block it.
    Malicious,
    /// Send clients to the honeypot.
    Honeypot,
}

impl Decision {
    /// The word used in JSON, tables and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Benign => "benign",
            Decision::Malicious => "malicious",
            Decision::Honeypot => "honeypot",
        }
    }
}

/// A person's decision on a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vetted {
    /// The name decided on: the one asked for, or one it lies below.
    pub name: String,
    /// What was decided.
    pub decision: Decision,
    /// Covers this name only, not what is below it.
    pub exact: bool,
    /// Who decided.
    pub author: String,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
}

/// The section opened for reading.
#[derive(Debug, Clone)]
pub(super) struct Table {
    rows: Bytes,
    records: Bytes,
}

impl Table {
    pub(super) fn open(section: &Bytes) -> Option<Self> {
        let count = Reader::new(section).u32()? as usize;
        let records = 4usize.checked_add(count.checked_mul(12)?)?;
        if count > MOST_VETTED || records > section.len() {
            return None;
        }
        let table = Self { rows: section.slice(4..records), records: section.slice(records..) };
        let whole = table.rows().iter().all(|row| table.record(row).is_some());
        whole.then_some(table)
    }

    pub(super) fn len(&self) -> usize {
        self.rows().len()
    }

    /// The decision on the longest suffix of `text` that has one, exact scope before suffix scope.
    pub(super) fn find(&self, hasher: &Hasher, text: &str) -> Option<Vetted> {
        let mut best = None;
        if self.len() > 0 {
            hasher.suffixes(text, false, |hash, start| {
                let suffix = text.get(start..).unwrap_or_default();
                if let Some(found) = self.at(hash, suffix, start == 0) {
                    best = Some(found);
                }
            });
        }
        best
    }

    /// All decisions.
    pub(super) fn all(&self) -> impl Iterator<Item = Vetted> {
        self.rows().iter().filter_map(|row| self.record(row))
    }

    fn at(&self, hash: u64, suffix: &str, whole: bool) -> Option<Vetted> {
        let from = self.rows().partition_point(|row| hash_of(row) < hash);
        let same = self.rows().get(from..)?.iter().take_while(|row| hash_of(row) == hash);
        let mut records = same.filter_map(|row| self.record(row));
        records.find(|record| record.name == suffix && (whole || !record.exact))
    }

    fn rows(&self) -> &[[u8; 12]] {
        self.rows.as_chunks::<12>().0
    }

    fn record(&self, row: &[u8; 12]) -> Option<Vetted> {
        let offset = u32::from_le_bytes(*row.last_chunk()?) as usize;
        let mut reader = Reader::new(self.records.get(offset..)?);
        let exact = reader.u8()? & 1 == 1;
        let decision = match reader.u8()? {
            0 => Decision::Benign,
            1 => Decision::Malicious,
            2 => Decision::Honeypot,
            _ => return None,
        };
        let time_ms = reader.u64()?;
        let mut text = || {
            let len = reader.u16()? as usize;
            std::str::from_utf8(reader.bytes(len)?).ok().map(str::to_owned)
        };
        Some(Vetted { name: text()?, decision, exact, author: text()?, time_ms })
    }
}

fn hash_of(row: &[u8; 12]) -> u64 {
    row.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Builds the section. Of two decisions on one name and scope the later one stays.
pub(super) fn build(hasher: &Hasher, decisions: &[(Name, Vetted)]) -> Vec<u8> {
    let mut rows: Vec<(u64, &Name, &Vetted)> =
        decisions.iter().map(|(name, vetted)| (hasher.whole(name.as_str()), name, vetted)).collect();
    rows.sort_by(|a, b| {
        (a.0, a.1, !a.2.exact, std::cmp::Reverse(a.2.time_ms)).cmp(&(
            b.0,
            b.1,
            !b.2.exact,
            std::cmp::Reverse(b.2.time_ms),
        ))
    });
    rows.dedup_by(|later, kept| (later.1, later.2.exact) == (kept.1, kept.2.exact));
    let mut table = Writer::default();
    let mut records = Writer::default();
    table.u32(rows.len() as u32);
    for (hash, name, vetted) in rows {
        table.u64(hash).u32(records.len() as u32);
        records.u8(u8::from(vetted.exact)).u8(vetted.decision as u8).u64(vetted.time_ms);
        for text in [name.as_str(), shortened(&vetted.author)] {
            records.u16(text.len() as u16).bytes(text.as_bytes());
        }
    }
    table.bytes(&records.finish());
    table.finish()
}

fn shortened(author: &str) -> &str {
    author.get(..author.floor_char_boundary(AUTHOR_BYTES)).unwrap_or(author)
}
