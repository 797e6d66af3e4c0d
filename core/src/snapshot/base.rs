//! A map that was built, and what changed since: builds an overlay instead of the map while changes are few.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::map::{self, Member, NameMap, Row, SetTable};
use super::overlay::{self, ABSENT, MOST_OVERLAY};

/// A map is built again once more than one name in so many changed.
const CHANGED_ONE_IN: usize = 16;

/// A map as it was built last, with what changed since.
#[derive(Debug)]
pub(super) struct Base {
    /// Every hash of the map, sorted, and the number of its set.
    hashes: Vec<u64>,
    sets: Vec<u32>,
    /// Sets of the map, then those of changes.
    table: SetTable,
    own_sets: usize,
    pieces: Vec<Bytes>,
    opened: NameMap,
    changes: BTreeMap<u64, Change>,
    /// Hashes of protected names that the map takes for names of its own.
    silenced: BTreeSet<u64>,
}

/// What a hash has become.
#[derive(Debug)]
struct Change {
    /// Sorted; empty: no list holds it any more.
    members: Vec<Member>,
    single_label: bool,
}

impl Base {
    /// Builds a map of rows sorted by hash. `None` if a shard finds no seed.
    pub(super) fn build(key: &[u8; 16], mut rows: Vec<Row>, mut table: SetTable) -> Option<Self> {
        table.renumber(&mut rows);
        let pieces = map::build(key, &rows)?;
        let hashes = rows.iter().map(|row| row.hash).collect();
        let sets = rows.iter().map(|row| row.set).collect();
        drop(rows);
        let mut base = Self {
            hashes,
            sets,
            own_sets: table.len(),
            table,
            opened: NameMap::empty(key),
            pieces,
            changes: BTreeMap::new(),
            silenced: BTreeSet::new(),
        };
        let (pieces, _) = base.encode();
        let whole: Vec<_> = pieces.into_iter().map(|piece| (piece.len(), piece)).collect();
        base.opened = NameMap::open(&whole, None).ok()?;
        Some(base)
    }

    /// Whether so many changes are worth a look; more are surely too many.
    pub(super) fn has_room(&self, changes: usize) -> bool {
        changes <= 2 * MOST_OVERLAY.min(self.hashes.len() / CHANGED_ONE_IN)
    }

    /// Notes that lists now give a hash these members, sorted.
    pub(super) fn change(&mut self, hash: u64, members: Vec<Member>, single_label: bool) {
        if self.members(hash).unwrap_or_default() == members {
            self.changes.remove(&hash);
        } else {
            self.changes.insert(hash, Change { members, single_label });
        }
    }

    /// Whether what changed fits into an overlay; if not, the map is to be built again.
    pub(super) fn is_near(&self) -> bool {
        self.changes.len() <= self.hashes.len() / CHANGED_ONE_IN
            && self.changes.len() + self.silenced.len() <= MOST_OVERLAY
    }

    /// Whether the map holds a hash in truth, changes left out.
    pub(super) fn holds(&self, hash: u64) -> bool {
        self.hashes.binary_search(&hash).is_ok()
    }

    /// Whether a hash is in the overlay.
    pub(super) fn has_changed(&self, hash: u64) -> bool {
        self.changes.contains_key(&hash)
    }

    /// Whether the map says that it holds a suffix, changes left out.
    pub(super) fn says(&self, suffix: &str, hash: u64) -> bool {
        self.opened.base_says(suffix, hash)
    }

    /// Makes a hash one that the map holds falsely.
    #[cfg(test)]
    pub(super) fn forget(&mut self, hash: u64) {
        let at = self.hashes.binary_search(&hash).unwrap();
        self.hashes.remove(at);
        self.sets.remove(at);
    }

    /// Takes care that a hash which the map holds falsely is not found.
    pub(super) fn silence(&mut self, hash: u64) {
        self.silenced.insert(hash);
    }

    /// The map's pieces, and its overlay; an empty one where nothing changed.
    pub(super) fn encode(&mut self) -> (Vec<Bytes>, Bytes) {
        self.table.truncate(self.own_sets);
        // By content, so that their numbers don't tell in which order things changed.
        let fresh: BTreeSet<&[Member]> =
            self.changes.values().map(|change| change.members.as_slice()).collect();
        for set in fresh.into_iter().filter(|set| !set.is_empty()) {
            self.table.number(set);
        }
        let mut rows: BTreeMap<u64, u32> = self.silenced.iter().map(|hash| (*hash, ABSENT)).collect();
        let mut names = self.hashes.len() as u64;
        for (hash, change) in &self.changes {
            let held = self.hashes.binary_search(hash).is_ok();
            let set = if change.members.is_empty() { ABSENT } else { self.table.number(&change.members) };
            names = names + u64::from(set != ABSENT) - u64::from(held);
            rows.insert(*hash, set);
        }
        let mut pieces = self.pieces.clone();
        if let Some(piece) = pieces.get_mut(1) {
            *piece = self.table.encode();
        }
        if rows.is_empty() {
            return (pieces, Bytes::new());
        }
        let single_label =
            self.changes.values().any(|change| change.single_label && !change.members.is_empty());
        let rows: Vec<(u64, u32)> = rows.into_iter().collect();
        (pieces, overlay::build(&rows, names, single_label))
    }

    /// The members of a hash in the map, changes left out.
    fn members(&self, hash: u64) -> Option<&[Member]> {
        let at = self.hashes.binary_search(&hash).ok()?;
        self.table.get(*self.sets.get(at)?)
    }
}
