//! A name map: which lists hold a suffix, at 5.6 bytes a name.
//!
//! ```text
//! piece 0   key, flags, number of names, each shard's shape
//! piece 1   list-set table: sets of (part, scope); those of the overlay come last
//! piece 2   side table: names whose set is past the 254th
//! piece 3…  one shard each: u32 plane, u8 plane; before them, if the flag says so, one of single labels
//! ```
//!
//! A shard's value is the number of the name's list set, 255 for "look into the side table". Pieces need not lie
//! together: the filter owns one buffer for each, so an unchanged shard is shared between two snapshots.
//!
//! Its surprise: a name's shard follows from its last two labels and from nothing else, the key included. So all
//! suffixes of a name lie in one shard (but for the single label), and a filter may take over a new map shard by
//! shard: each name is answered by one map alone, see [`super::swap`].

use std::collections::HashMap;

use bytes::Bytes;

use super::fuse::{self, Shape, Shard};
use super::hash::Hasher;
use super::overlay::{Overlay, Said};
use super::wire::{Reader, Writer};
use crate::lists::Scope;

/// Names a shard is planned for; the fuse's parameters were tuned near it.
pub(super) const SHARD_NAMES: usize = 62_500;
/// Pieces of a map before its first shard.
pub(super) const PIECES_BEFORE: usize = 3;
/// Shard value that sends the reader to the side table.
const SIDE: u8 = 255;
/// Header flag: at least one entry is a single label, so top-level labels are looked up too.
const SINGLE_LABEL: u32 = 1;
/// Where groups end: they are numbers of 32 bits.
pub(super) const ALL_GROUPS: u64 = 1 << 32;

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
    /// The shard of single labels, if there are any.
    top: Option<Shard>,
    /// In the order of their groups; `None`: not here (yet, or any more).
    shards: Vec<Option<Shard>>,
    sets: Sets,
    overlay: Overlay,
}

impl NameMap {
    /// Opens the pieces of a map section, each with its length, and its overlay; says what is wrong with them
    /// otherwise. A shard that is empty where its length says that it is not is not here.
    pub(super) fn open(pieces: &[(usize, Bytes)], overlay: Option<&Bytes>) -> Result<Self, &'static str> {
        let [(_, header), (_, sets), (_, side), planes @ ..] = pieces else {
            return Err("it has no header and tables");
        };
        let mut reader = Reader::new(header);
        let cut = "its header is cut short";
        let key = reader.array::<16>().ok_or(cut)?;
        let flags = reader.u32().ok_or(cut)?;
        let names = reader.u64().ok_or(cut)?;
        let mut shards = Vec::with_capacity(planes.len());
        for (len, planes) in planes {
            let seed = reader.u64().ok_or(cut)?;
            let (starts, mask) = (reader.u32().ok_or(cut)?, reader.u32().ok_or(cut)?);
            let shape = Shape { seed, starts, mask };
            let unlike = "a shard's size is not what its header says";
            if !shape.fits(*len) {
                return Err(unlike);
            }
            let held = if planes.is_empty() { None } else { Some(Shard::open(shape, planes).ok_or(unlike)?) };
            shards.push(held);
        }
        if !reader.is_empty() {
            return Err("its header names more shards than it has");
        }
        let single_label = flags & SINGLE_LABEL != 0;
        if single_label && shards.is_empty() {
            return Err("it has no shard of single labels, which its header names");
        }
        let top = if single_label { shards.remove(0) } else { None };
        let sets = Sets::open(sets, side.clone()).ok_or("its list-set table is cut short")?;
        let overlay = overlay.map(Overlay::open).transpose()?.unwrap_or_default();
        let skip_top = !single_label && !overlay.has_single_label();
        let names = overlay.names().unwrap_or(names);
        Ok(Self { hasher: Hasher::new(&key), skip_top, names, top, shards, sets, overlay })
    }

    /// A map that holds nothing.
    pub(super) fn empty(key: &[u8; 16]) -> Self {
        let (sets, overlay) = (Sets::default(), Overlay::default());
        Self {
            hasher: Hasher::new(key),
            skip_top: true,
            names: 0,
            top: None,
            shards: Vec::new(),
            sets,
            overlay,
        }
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
        if self.shards.is_empty() && self.top.is_none() && self.overlay.is_empty() {
            return;
        }
        let Some(mut suffixes) = self.hasher.suffixes_of_short(text, self.skip_top) else {
            return self.visit_any(text, &mut visit);
        };
        if !self.skip_top
            && let Some((hash, start)) = suffixes.next()
            && let Some(members) = self.find(self.top.as_ref(), hash)
        {
            visit(start, members);
        }
        let Some((mut hash, mut start)) = suffixes.next() else { return };
        // The first suffix past the single label is the one of two labels, which says the shard.
        let shard = self.shard(group_of(text.as_bytes().get(start..).unwrap_or_default()));
        loop {
            if let Some(members) = self.find(shard, hash) {
                visit(start, members);
            }
            match suffixes.next() {
                Some(next) => (hash, start) = next,
                None => return,
            }
        }
    }

    /// [`NameMap::visit`] for a text of any length.
    #[cold]
    fn visit_any<'a>(&'a self, text: &str, visit: &mut dyn FnMut(usize, Members<'a>)) {
        let shard = self.shard_of(text);
        let mut top = !self.skip_top;
        self.hasher.suffixes_of_any(text, self.skip_top, &mut |hash, start| {
            let shard = if std::mem::take(&mut top) { self.top.as_ref() } else { shard };
            if let Some(members) = self.find(shard, hash) {
                visit(start, members);
            }
        });
    }

    /// The members of a whole text; for what is not held `None`, but for one time in 2^32.
    pub(super) fn get(&self, text: &str) -> Option<Members<'_>> {
        self.find(self.shard_of(text), self.hasher.whole(text))
    }

    /// Whether the base, without the overlay, says that it holds this suffix.
    pub(super) fn base_says(&self, suffix: &str, hash: u64) -> bool {
        self.shard_of(suffix).is_some_and(|shard| shard.get(hash).is_some())
    }

    #[inline(always)]
    fn find(&self, shard: Option<&Shard>, hash: u64) -> Option<Members<'_>> {
        match self.overlay.get(hash) {
            Said::Nothing => {}
            Said::Absent => return None,
            Said::Set(set) => return self.sets.members(set),
        }
        let value = shard?.get(hash)?;
        let set = if value == SIDE { self.sets.side(hash)? } else { u32::from(value) };
        self.sets.members(set)
    }

    #[inline]
    fn shard(&self, group: u32) -> Option<&Shard> {
        self.shards.get(shard_of(group, self.shards.len())).and_then(Option::as_ref)
    }

    fn shard_of(&self, text: &str) -> Option<&Shard> {
        group_of_name(text).map_or(self.top.as_ref(), |group| self.shard(group))
    }
}

#[inline]
fn shard_of(group: u32, shards: usize) -> usize {
    ((u64::from(group) * shards as u64) >> 32) as usize
}

/// The groups of each shard piece of a map, from its header: from the first to past the last. The shard of single
/// labels is for none.
pub(super) fn groups_of_shards(header: &[u8], pieces: usize) -> Vec<(u64, u64)> {
    let mut reader = Reader::new(header);
    let flags = reader.bytes(16).and_then(|_| reader.u32()).unwrap_or_default();
    let top = usize::from(flags & SINGLE_LABEL != 0 && pieces > 0);
    let shards = (pieces - top) as u64;
    let from = |shard: u64| (shard * ALL_GROUPS).div_ceil(shards.max(1));
    let ranges = (0..shards).map(|shard| (from(shard), from(shard + 1)));
    std::iter::repeat_n((0, 0), top).chain(ranges).collect()
}

/// The last two labels of a name; `None` if it has one only.
pub(super) fn last_two_labels(text: &str) -> Option<&str> {
    let (rest, _) = text.rsplit_once('.')?;
    let from = rest.rfind('.').map_or(0, |dot| dot + 1);
    text.get(from..)
}

/// The group of a name; `None` if it has one label only.
pub(super) fn group_of_name(text: &str) -> Option<u32> {
    last_two_labels(text).map(|labels| group_of(labels.as_bytes()))
}

/// The group of the names under these two labels. No key goes into it, so that it is the same in all snapshots;
/// who knows it can make shards uneven, which costs memory, but not names collide.
#[inline]
fn group_of(labels: &[u8]) -> u32 {
    const MULTIPLIER: u64 = 0x9fb2_1c65_1e98_df25;
    let fold = |state: u64, word: u64| {
        let mixed = (state ^ word).wrapping_mul(MULTIPLIER);
        mixed ^ mixed >> 32
    };
    let blocks = labels.as_chunks::<8>().0.iter().map(|block| u64::from_le_bytes(*block));
    // The last eight bytes again, so that what is left over needs no loop.
    let last = match labels.last_chunk() {
        Some(block) => u64::from_le_bytes(*block),
        None => labels.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    (blocks.chain([last]).fold(labels.len() as u64, fold) >> 32) as u32
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

/// The tables: `sets`, end of each set in members, members; and the side table (hash, set), sorted.
#[derive(Debug, Clone, Default)]
struct Sets {
    ends: Bytes,
    members: Bytes,
    side: Bytes,
}

impl Sets {
    fn open(table: &Bytes, side: Bytes) -> Option<Self> {
        let mut reader = Reader::new(table);
        let sets = reader.u32()? as usize;
        let members_at = 4usize.checked_add(sets.checked_mul(4)?)?;
        if members_at > table.len() {
            return None;
        }
        Some(Self { ends: table.slice(4..members_at), members: table.slice(members_at..), side })
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

/// A name of a map to be built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub hash: u64,
    /// Number of its set in the table.
    pub set: u32,
    /// Its group; `None` if it is a single label.
    pub group: Option<u32>,
}

/// Builds the pieces of a map from rows sorted by hash, without duplicates; the list-set table is left empty, see
/// [`set_table`]. `None` if a shard finds no seed.
pub(super) fn build(key: &[u8; 16], rows: &[Row]) -> Option<Vec<Bytes>> {
    let single = rows.iter().filter(|row| row.group.is_none()).count();
    let top = usize::from(single > 0);
    let shards = (rows.len() - single).div_ceil(SHARD_NAMES);
    let place = |row: &Row| row.group.map_or(0, |group| top + shard_of(group, shards));
    let mut sizes = vec![0usize; top + shards];
    for row in rows {
        *sizes.get_mut(place(row))? += 1;
    }
    // Numbers of the rows, shard after shard, in the order of their hashes.
    let mut next: Vec<usize> = sizes
        .iter()
        .scan(0, |end, size| {
            *end += size;
            Some(*end - size)
        })
        .collect();
    let mut order = vec![0u32; rows.len()];
    for (number, row) in (0u32..).zip(rows) {
        let at = next.get_mut(place(row))?;
        *order.get_mut(*at)? = number;
        *at += 1;
    }
    let mut header = Writer::default();
    header.bytes(key).u32(if single > 0 { SINGLE_LABEL } else { 0 }).u64(rows.len() as u64);
    let mut side = Writer::default();
    for row in rows.iter().filter(|row| row.set >= u32::from(SIDE)) {
        side.u64(row.hash).u32(row.set);
    }
    let mut pieces = vec![Bytes::new(), Bytes::new(), side.finish().into()];
    let mut rest = order.as_slice();
    for (shard, size) in sizes.into_iter().enumerate() {
        let (mine, others) = rest.split_at_checked(size)?;
        rest = others;
        let value = |set: u32| u8::try_from(set).unwrap_or(SIDE);
        let mine = mine.iter().filter_map(|number| rows.get(*number as usize));
        let keys: Vec<(u64, u8)> = mine.map(|row| (row.hash, value(row.set))).collect();
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

/// List sets, numbered.
#[derive(Debug, Default)]
pub(super) struct SetTable {
    sets: Vec<Vec<Member>>,
    numbers: HashMap<Vec<Member>, u32>,
}

impl SetTable {
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&[Member]> {
        self.sets.get(number as usize).map(Vec::as_slice)
    }

    /// The number of a set, a new one if it has none.
    pub(super) fn number(&mut self, set: &[Member]) -> u32 {
        if let Some(&number) = self.numbers.get(set) {
            return number;
        }
        let number = self.sets.len() as u32;
        self.numbers.insert(set.to_vec(), number);
        self.sets.push(set.to_vec());
        number
    }

    /// Forgets all sets from a number on.
    pub(super) fn truncate(&mut self, len: usize) {
        for set in self.sets.drain(len.min(self.sets.len())..) {
            self.numbers.remove(&set);
        }
    }

    /// The table's piece.
    pub(super) fn encode(&self) -> Bytes {
        let mut table = Writer::default();
        table.u32(self.sets.len() as u32);
        let mut end = 0;
        for set in &self.sets {
            end += set.len() as u32;
            table.u32(end);
        }
        for member in self.sets.iter().flatten() {
            table.u16(member.0);
        }
        table.finish().into()
    }

    /// Numbers the sets of rows so that the 255 most used ones come first, and within both parts by content: a
    /// set keeps its number, and shards their bytes, when counts change a little.
    pub(super) fn renumber(&mut self, rows: &mut [Row]) {
        let mut uses = vec![0u64; self.sets.len()];
        for row in rows.iter() {
            if let Some(count) = uses.get_mut(row.set as usize) {
                *count += 1;
            }
        }
        let sets = std::mem::take(&mut self.sets);
        let mut order: Vec<(usize, Vec<Member>)> = sets.into_iter().enumerate().collect();
        let used = |old: usize| uses.get(old).copied().unwrap_or_default();
        order.sort_by(|a, b| used(b.0).cmp(&used(a.0)).then_with(|| a.1.cmp(&b.1)));
        let direct = order.len().min(usize::from(SIDE));
        let (frequent, rare) = order.split_at_mut(direct);
        frequent.sort_by(|a, b| a.1.cmp(&b.1));
        rare.sort_by(|a, b| a.1.cmp(&b.1));
        let mut numbers = vec![0u32; order.len()];
        for ((old, _), new) in order.iter().zip(0u32..) {
            if let Some(number) = numbers.get_mut(*old) {
                *number = new;
            }
        }
        for row in rows {
            row.set = numbers.get(row.set as usize).copied().unwrap_or_default();
        }
        self.sets = order.into_iter().map(|(_, set)| set).collect();
        self.numbers = self.sets.iter().cloned().zip(0..).collect();
    }
}
