//! A name map: which lists hold a suffix, at 5.6 bytes a name.
//!
//! ```text
//! piece 0   key, flags, number of names, each shard's shape
//! piece 1   list-set table: sets of (part, scope); side table for sets past the 254th
//! piece 2…  one shard each: u32 plane, u8 plane
//! ```
//!
//! A shard's value is the number of the name's list set, 255 for "look into the side table". Pieces need not lie
//! together: the filter owns one buffer for each, so an unchanged shard is shared between two snapshots.

use bytes::Bytes;

use super::fuse::{self, Shape, Shard};
use super::hash::Hasher;
use super::wire::{Reader, Writer};
use crate::lists::Scope;

/// Names a shard is planned for; the fuse's parameters were tuned near it.
pub(super) const SHARD_NAMES: usize = 62_500;
/// Shard value that sends the reader to the side table.
const SIDE: u8 = 255;
/// Header flag: at least one entry is a single label, so top-level labels are looked up too.
const SINGLE_LABEL: u32 = 1;

/// A part ([`super::rules::Part`]) and a scope: the part's index times four, plus the scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Member(pub u16);

/// The most parts of a snapshot.
pub(super) const MOST_PARTS: usize = 1 << 14;

impl Member {
    pub(super) fn new(part: u16, scope: Scope) -> Self {
        let scope = match scope {
            Scope::Suffix => 0,
            Scope::Exact => 1,
            Scope::Below => 2,
        };
        Self(part << 2 | scope)
    }

    pub(super) fn part(self) -> u16 {
        self.0 >> 2
    }

    pub(super) fn scope(self) -> Scope {
        match self.0 & 3 {
            0 => Scope::Suffix,
            1 => Scope::Exact,
            _ => Scope::Below,
        }
    }
}

/// A map opened for reading.
#[derive(Debug, Clone)]
pub(super) struct NameMap {
    hasher: Hasher,
    skip_top: bool,
    names: u64,
    shards: Vec<Shard>,
    sets: Sets,
}

impl NameMap {
    /// Opens the pieces of a map section; says what is wrong with them otherwise.
    pub(super) fn open(pieces: &[Bytes]) -> Result<Self, &'static str> {
        let [header, sets, planes @ ..] = pieces else { return Err("it has no header and list-set table") };
        let mut reader = Reader::new(header);
        let cut = "its header is cut short";
        let key = reader.array::<16>().ok_or(cut)?;
        let flags = reader.u32().ok_or(cut)?;
        let names = reader.u64().ok_or(cut)?;
        let mut shards = Vec::with_capacity(planes.len());
        for planes in planes {
            let seed = reader.u64().ok_or(cut)?;
            let (starts, mask) = (reader.u32().ok_or(cut)?, reader.u32().ok_or(cut)?);
            let shard = Shard::open(Shape { seed, starts, mask }, planes);
            shards.push(shard.ok_or("a shard's size is not what its header says")?);
        }
        if !reader.is_empty() {
            return Err("its header names more shards than it has");
        }
        let sets = Sets::open(sets.clone()).ok_or("its list-set table is cut short")?;
        let skip_top = flags & SINGLE_LABEL == 0;
        Ok(Self { hasher: Hasher::new(&key), skip_top, names, shards, sets })
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Distinct names held.
    pub(super) fn names(&self) -> u64 {
        self.names
    }

    /// Visits each suffix of `text` that is held, shortest first, with its start in `text` and its members.
    #[inline]
    pub(super) fn visit<'a>(&'a self, text: &str, mut visit: impl FnMut(usize, Members<'a>)) {
        if self.shards.is_empty() {
            return;
        }
        self.hasher.suffixes(text, self.skip_top, |hash, start| {
            if let Some(members) = self.get(hash) {
                visit(start, members);
            }
        });
    }

    /// The members of a hash; for what is not held `None`, but for one time in 2^32.
    #[inline]
    pub(super) fn get(&self, hash: u64) -> Option<Members<'_>> {
        let value = self.shards.get(shard_of(hash, self.shards.len()))?.get(hash)?;
        let set = if value == SIDE { self.sets.side(hash)? } else { u32::from(value) };
        self.sets.members(set)
    }
}

#[inline]
fn shard_of(hash: u64, shards: usize) -> usize {
    (((hash >> 32) * shards as u64) >> 32) as usize
}

/// The members of one set, sorted.
#[derive(Debug, Clone)]
pub(super) struct Members<'a>(std::slice::Iter<'a, [u8; 2]>);

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        self.0.next().map(|bytes| Member(u16::from_le_bytes(*bytes)))
    }
}

/// The list-set table: `sets`, `side`, end of each set in members, side table (hash, set), members.
#[derive(Debug, Clone)]
struct Sets {
    ends: Bytes,
    side: Bytes,
    members: Bytes,
}

impl Sets {
    fn open(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(&bytes);
        let sets = reader.u32()? as usize;
        let side = reader.u32()? as usize;
        let ends_at = 8usize;
        let side_at = ends_at.checked_add(sets.checked_mul(4)?)?;
        let members_at = side_at.checked_add(side.checked_mul(12)?)?;
        if members_at > bytes.len() {
            return None;
        }
        Some(Self {
            ends: bytes.slice(ends_at..side_at),
            side: bytes.slice(side_at..members_at),
            members: bytes.slice(members_at..),
        })
    }

    fn members(&self, set: u32) -> Option<Members<'_>> {
        let ends = self.ends.as_chunks::<4>().0;
        let end = |set: u32| Some(u32::from_le_bytes(*ends.get(set as usize)?) as usize);
        let from = set.checked_sub(1).map_or(Some(0), end)?;
        Some(Members(self.members.as_chunks::<2>().0.get(from..end(set)?)?.iter()))
    }

    fn side(&self, hash: u64) -> Option<u32> {
        let rows = self.side.as_chunks::<12>().0;
        let key = |row: &[u8; 12]| row.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let row = rows.get(rows.binary_search_by_key(&hash, key).ok()?)?;
        row.last_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// A name of a map to be built: its hash, and the number of its set in the table.
pub(super) struct Row {
    pub hash: u64,
    pub set: u32,
}

/// Builds the pieces of a map from rows sorted by hash, without duplicates. `sets` are the list sets that rows
/// refer to. `None` if a shard finds no seed.
pub(super) fn build(
    key: &[u8; 16],
    single_label: bool,
    rows: &[Row],
    sets: &[Vec<Member>],
) -> Option<Vec<Bytes>> {
    let shards = rows.len().div_ceil(SHARD_NAMES);
    let mut header = Writer::default();
    header.bytes(key).u32(if single_label { SINGLE_LABEL } else { 0 }).u64(rows.len() as u64);
    let mut pieces = vec![Bytes::new(), set_table(rows, sets).into()];
    let mut rest = rows;
    for shard in 0..shards {
        let here = rest.partition_point(|row| shard_of(row.hash, shards) <= shard);
        let (mine, others) = rest.split_at_checked(here)?;
        rest = others;
        let value = |set: u32| u8::try_from(set).unwrap_or(SIDE);
        let keys: Vec<(u64, u8)> = mine.iter().map(|row| (row.hash, value(row.set))).collect();
        let salt = key.iter().fold(shard as u64, |salt, &byte| fuse::mix(salt ^ u64::from(byte)));
        let (shape, planes) = fuse::build(&keys, salt)?;
        header.u64(shape.seed).u32(shape.starts).u32(shape.mask);
        pieces.push(planes.into());
    }
    if let Some(first) = pieces.first_mut() {
        *first = header.finish().into();
    }
    Some(pieces)
}

fn set_table(rows: &[Row], sets: &[Vec<Member>]) -> Vec<u8> {
    let side: Vec<&Row> = rows.iter().filter(|row| row.set >= u32::from(SIDE)).collect();
    let mut table = Writer::default();
    table.u32(sets.len() as u32).u32(side.len() as u32);
    let mut end = 0;
    for set in sets {
        end += set.len() as u32;
        table.u32(end);
    }
    for row in side {
        table.u64(row.hash).u32(row.set);
    }
    for member in sets.iter().flatten() {
        table.u16(member.0);
    }
    table.finish()
}
