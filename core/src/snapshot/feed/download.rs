//! A snapshot on its way: which chunks are held, which are missing, and where they go.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::super::container::{CHUNK_BYTES, Kind, Manifest};
use super::super::map::{ALL_GROUPS, PIECES_BEFORE};
use super::super::swap::shards;
use super::super::{Snapshot, SnapshotError};
use super::MOST_LAYERS;

/// Shards of so many bytes are replaced in place; fewer are fetched beside those in force.
const LARGE_BYTES: usize = 1 << 20;

/// A snapshot on its way.
#[derive(Debug)]
pub(super) struct Download {
    manifest: Manifest,
    buffers: Vec<Buffer>,
    /// Chunks still missing, in the order in which they are fetched.
    todo: Vec<Part>,
    /// The control plane has a newer one: what came serves as a store of chunks only.
    stale: bool,
    /// It takes over in place, see [`super::super::swap`].
    in_place: bool,
}

/// A piece on its way.
#[derive(Debug)]
enum Buffer {
    Shared(Bytes),
    Own(Vec<u8>),
}

/// A missing chunk.
#[derive(Debug, Clone, Copy)]
struct Part {
    piece: usize,
    /// Offset in the piece.
    at: usize,
    len: usize,
    hash: [u8; 32],
    /// Offset in the snapshot.
    offset: u64,
    /// Where the groups of a shard start; `None` for what is no shard of groups.
    shard: Option<u64>,
}

impl Part {
    fn end(&self) -> u64 {
        self.offset + self.len as u64
    }
}

impl Download {
    /// What is missing of a snapshot, given those in force and what was fetched before. It may take over in place
    /// if it is not `at_once`.
    pub(super) fn new(
        manifest: Manifest,
        layers: &[Snapshot],
        abandoned: Option<&Download>,
        at_once: bool,
    ) -> Self {
        let known = Known::of(layers, abandoned);
        let is_map = |number: &usize| {
            let maps = [Kind::NameMap, Kind::Popular].map(|kind| manifest.numbers(kind));
            maps.iter().any(|numbers| numbers.contains(number) && *number >= numbers.start + PIECES_BEFORE)
        };
        let lacking: usize = (0..manifest.pieces.len())
            .filter(is_map)
            .filter_map(|number| manifest.pieces.get(number))
            .filter(|piece| known.piece(&piece.chunks, piece.len).is_none())
            .map(|piece| piece.len)
            .sum();
        let resumed = layers.len() > 1 && layers.first().is_some_and(|newest| newest.id() == manifest.id);
        let room = !layers.is_empty() && layers.len() < MOST_LAYERS;
        let in_place = !at_once && (resumed || room && lacking > LARGE_BYTES);
        let (mut buffers, mut todo) = (Vec::with_capacity(manifest.pieces.len()), Vec::new());
        for (number, piece) in manifest.pieces.iter().enumerate() {
            if let Some(bytes) = known.piece(&piece.chunks, piece.len) {
                buffers.push(Buffer::Shared(bytes));
                continue;
            }
            let mut own = Vec::new();
            for (at, len, hash) in piece.chunk_ranges() {
                // In place, a shard takes memory from its first chunk's arrival on, not from now.
                let held = known.chunks.get(hash).filter(|_| !(in_place && is_map(&number)));
                if let Some(bytes) = held {
                    own.resize(piece.len, 0);
                    copy_to(&mut own, at, bytes);
                } else {
                    let offset = piece.offset + at as u64;
                    todo.push(Part { piece: number, at, len, hash: *hash, offset, shard: None });
                }
            }
            buffers.push(Buffer::Own(own));
        }
        Self { manifest, buffers, todo, stale: false, in_place }
    }

    pub(super) fn id(&self) -> &str {
        &self.manifest.id
    }

    /// How many chunks are missing.
    pub(super) fn missing(&self) -> usize {
        self.todo.len()
    }

    /// Asks for nothing more; what came serves the next download.
    pub(super) fn give_up(&mut self) {
        self.stale = true;
    }

    /// The next missing chunks that fit into one range.
    pub(super) fn next_range(&self) -> Option<Range<u64>> {
        let first = self.todo.first().filter(|_| !self.stale)?;
        let fits = |part: &&Part| {
            let alone = first.shard.is_none() && part.shard.is_none() || part.piece == first.piece;
            alone && part.offset >= first.offset && part.end() - first.offset <= CHUNK_BYTES as u64
        };
        let last = self.todo.iter().take_while(fits).last()?;
        Some(first.offset..last.end())
    }

    /// Takes the missing chunks that lie whole in `body`, which starts at `start` of the snapshot.
    pub(super) fn absorb(&mut self, start: u64, body: &[u8]) -> Result<(), SnapshotError> {
        let end = start + body.len() as u64;
        let came: Vec<Part> =
            self.todo.extract_if(.., |part| part.offset >= start && part.end() <= end).collect();
        for part in came {
            let from = (part.offset - start) as usize;
            self.take(&part, body.get(from..from + part.len).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Takes all missing chunks, one behind the other in `body`.
    pub(super) fn absorb_all(&mut self, mut body: &[u8]) -> Result<(), SnapshotError> {
        let other = SnapshotError::Reply("a delta of another length than what changed");
        for part in std::mem::take(&mut self.todo) {
            let (bytes, rest) = body.split_at_checked(part.len).ok_or_else(|| other.clone())?;
            self.take(&part, bytes)?;
            body = rest;
        }
        if body.is_empty() { Ok(()) } else { Err(other) }
    }

    fn take(&mut self, part: &Part, bytes: &[u8]) -> Result<(), SnapshotError> {
        let Some(piece) = self.manifest.pieces.get(part.piece) else { return Ok(()) };
        piece.check(part.at, &part.hash, bytes)?;
        if let Some(Buffer::Own(own)) = self.buffers.get_mut(part.piece) {
            own.resize(piece.len, 0);
            copy_to(own, part.at, bytes);
        }
        Ok(())
    }

    /// Lets what came take over in `layers`, if this is done in place. Whether anything changed there.
    pub(super) fn swap(&mut self, layers: &mut Vec<Snapshot>) -> Result<bool, SnapshotError> {
        if !self.in_place || self.stale {
            return Ok(false);
        }
        let pieces = self.pieces();
        if self.todo.iter().any(|part| part.shard.is_none()) {
            // Where a shard's groups lie is known once its map's header is here.
            let shards = shards(&self.manifest, &pieces);
            for part in &mut self.todo {
                let found = shards.iter().find(|(piece, groups)| *piece == part.piece && !groups.is_empty());
                part.shard = found.map(|(_, groups)| groups.start);
            }
            self.todo.sort_by_key(|part| (part.shard, part.offset));
        }
        let newest = layers.first().filter(|newest| newest.id() == self.manifest.id && layers.len() > 1);
        let Some(newest) = newest.cloned() else {
            if self.todo.iter().any(|part| part.shard.is_none()) {
                return Ok(false);
            }
            layers.insert(0, Snapshot::starting(self.manifest.clone(), pieces)?);
            return Ok(true);
        };
        let newest = newest.taking_over(pieces)?;
        let to = newest.taken_over();
        if layers.first().is_some_and(|before| before.taken_over() == to) {
            return Ok(false);
        }
        let older = layers.drain(..).skip(1).filter_map(|layer| layer.giving_way(to)).collect::<Vec<_>>();
        layers.push(newest);
        layers.extend(older);
        Ok(true)
    }

    /// The pieces that are complete; the others empty.
    fn pieces(&mut self) -> Vec<Bytes> {
        let todo = &self.todo;
        let pieces = self.buffers.iter_mut().enumerate().map(|(number, buffer)| match buffer {
            Buffer::Shared(bytes) => bytes.clone(),
            Buffer::Own(_) if todo.iter().any(|part| part.piece == number) => Bytes::new(),
            Buffer::Own(own) => {
                let bytes = Bytes::from(std::mem::take(own));
                *buffer = Buffer::Shared(bytes.clone());
                bytes
            }
        });
        pieces.collect()
    }

    pub(super) fn finish(mut self) -> Result<Snapshot, SnapshotError> {
        let pieces = self.pieces();
        Snapshot::from_pieces(self.manifest, pieces, 0..ALL_GROUPS)
    }
}

fn copy_to(own: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = own.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

/// Chunks that need not travel.
#[derive(Default)]
struct Known<'a> {
    pieces: HashMap<&'a [[u8; 32]], &'a Bytes>,
    chunks: HashMap<&'a [u8; 32], &'a [u8]>,
}

impl<'a> Known<'a> {
    fn of(layers: &'a [Snapshot], abandoned: Option<&'a Download>) -> Self {
        let mut known = Self::default();
        for (piece, bytes) in layers.iter().flat_map(Snapshot::held_pieces) {
            known.pieces.insert(&piece.chunks, bytes);
            for (at, len, hash) in piece.chunk_ranges() {
                known.chunks.insert(hash, bytes.get(at..at + len).unwrap_or_default());
            }
        }
        let Some(download) = abandoned else { return known };
        for (number, (piece, buffer)) in download.manifest.pieces.iter().zip(&download.buffers).enumerate() {
            let Buffer::Own(own) = buffer else { continue };
            let missing = |at| download.todo.iter().any(|part| part.piece == number && part.at == at);
            for (at, len, hash) in piece.chunk_ranges().filter(|(at, ..)| !missing(*at)) {
                known.chunks.insert(hash, own.get(at..at + len).unwrap_or_default());
            }
        }
        known
    }

    /// A whole piece with these chunks. Chunks say all: two pieces of unlike length have unlike last chunks.
    fn piece(&self, chunks: &[[u8; 32]], len: usize) -> Option<Bytes> {
        let bytes = *self.pieces.get(chunks)?;
        (bytes.len() == len).then(|| bytes.clone())
    }
}
