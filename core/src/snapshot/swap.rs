//! One snapshot takes over from another in place: shard by shard, so that both together take little more memory
//! than one.
//!
//! ```text
//! groups of names   0 ────────────── taken over ──────────────┐─────────────────────────── 2^32
//! new snapshot      all sections · shards that came           │ to come
//! old snapshot      all sections · freed                      │ shards that are still here
//! ```
//!
//! A name's group is a hash of its last two labels, so a name and all of its suffixes but the single label lie in
//! one group, and shards of single labels stay whole on both sides. A name is answered by one snapshot alone,
//! with that one's key, shards, tables, lists, policy and decisions: right for the old or for the new one,
//! whatever allows and blocks meet on its way. Nothing is freed before the new snapshot's sections (shards left
//! out) were fetched, opened and taken by the filter.

use std::ops::Range;

use bytes::Bytes;

use super::container::{Kind, Manifest};
use super::map::{ALL_GROUPS, PIECES_BEFORE, groups_of_shards};
use super::{Maps, Snapshot, SnapshotError};

/// Shard pieces of a snapshot with their groups. Empty for shards of single labels.
pub(super) fn shards(manifest: &Manifest, pieces: &[Bytes]) -> Vec<(usize, Range<u64>)> {
    let mut shards = Vec::new();
    for kind in [Kind::NameMap, Kind::Popular] {
        let numbers = manifest.numbers(kind);
        let header = pieces.get(numbers.start).map(Bytes::as_ref).unwrap_or_default();
        let planes = numbers.start + PIECES_BEFORE..numbers.end;
        let groups = groups_of_shards(header, planes.len());
        shards.extend(planes.zip(groups).map(|(piece, (from, to))| (piece, from..to)));
    }
    shards
}

impl Snapshot {
    /// Opens a snapshot of which shards may still be missing, to answer for no name yet.
    pub(super) fn starting(manifest: Manifest, pieces: Vec<Bytes>) -> Result<Self, SnapshotError> {
        Self::from_pieces(manifest, pieces, 0..0)
    }

    /// The same snapshot with these pieces, answering for all names whose shards have come.
    pub(super) fn taking_over(&self, pieces: Vec<Bytes>) -> Result<Self, SnapshotError> {
        let manifest = &self.inner.manifest;
        let missing = shards(manifest, &pieces).into_iter().filter(|(number, _)| {
            let want = manifest.pieces.get(*number).map_or(0, |piece| piece.len);
            pieces.get(*number).is_none_or(|piece| piece.len() != want)
        });
        let to = missing.map(|(_, groups)| groups.start).min().unwrap_or(ALL_GROUPS);
        self.with(pieces, 0..to)
    }

    /// The same snapshot without the shards that only hold groups before `from`; `None` if nothing is left.
    pub(super) fn giving_way(&self, from: u64) -> Option<Self> {
        let groups = self.maps.groups.start.max(from)..self.maps.groups.end;
        let mut pieces = self.maps.pieces.clone();
        for (number, held) in shards(&self.inner.manifest, &pieces.clone()) {
            if !held.is_empty() && held.end <= from {
                // Not cleared: that would keep the buffer.
                pieces.get_mut(number).into_iter().for_each(|piece| *piece = Bytes::new());
            }
        }
        // It opened with more than this before.
        (!groups.is_empty()).then(|| self.with(pieces, groups).unwrap_or_else(|_| self.clone()))
    }

    /// Where it stops to answer.
    pub(super) fn taken_over(&self) -> u64 {
        self.maps.groups.end
    }

    fn with(&self, pieces: Vec<Bytes>, groups: Range<u64>) -> Result<Self, SnapshotError> {
        let maps = Maps::open(&self.inner.manifest, pieces, groups)?;
        Ok(Self { maps: maps.into(), ..self.clone() })
    }
}
