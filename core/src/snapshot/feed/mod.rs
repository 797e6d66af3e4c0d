//! The client of `GET /v1/snapshot`, without I/O: it says what to ask and is told what came.
//!
//! ```text
//! waiting ──poll──► ask for the head (64 KiB, If-None-Match) ──304──► waiting
//!                      │ 206: manifest, and what small sections came with it
//!                      ▼
//!                   chunks that are not held, in ranges of at most 256 KiB ──► Ready
//! ```
//!
//! Only the manifest and chunks that changed travel; equal pieces are shared with the snapshot in force. A
//! decision of a person lies in the head, so it is in force after one request. Whatever goes wrong, the snapshot
//! in force stays.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;

use super::container::{CHUNK_BYTES, Manifest, head_bytes};
use super::fuse::mix;
use super::{Snapshot, SnapshotError};
use crate::host::{Callout, Peer, Reply};
use crate::verdict::cache::lasts;

/// What a poll asks for: room for the manifest and the small sections behind it.
const HEAD_BYTES: usize = 64 * 1024;
/// The longest wait while the control plane is away, or what comes of it is damaged, ms: so soon is a decision in force after it is back.
const MOST_AWAY_MS: u64 = 5_000;
/// The longest wait after a snapshot was refused, ms.
const MOST_REFUSED_MS: u64 = 60_000;
/// How often a download starts again because the snapshot changed under it, before the next poll is waited for.
const MOST_RESTARTS: u32 = 8;

/// How a feed asks.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// Path of the feed.
    pub path: String,
    /// Bearer token; empty: none is sent.
    pub token: String,
    /// Keys of which one must have signed; none: unsigned snapshots are taken too.
    pub keys: Vec<VerifyingKey>,
    /// Milliseconds between two polls, less up to a quarter of jitter. 1 s puts a person's decision in force
    /// within 2 s.
    pub poll_ms: u32,
    /// A request is given up after this many milliseconds.
    pub timeout_ms: u32,
    /// The largest snapshot taken, bytes.
    pub most_bytes: u64,
    /// Tells this filter's jitter from others': node id, worker, start time.
    pub jitter_seed: u64,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            path: "/v1/snapshot".into(),
            token: String::new(),
            keys: Vec::new(),
            poll_ms: 1_000,
            timeout_ms: 2_000,
            most_bytes: 256 << 20,
            jitter_seed: 0,
        }
    }
}

/// What came of a reply.
#[derive(Debug)]
pub enum FeedStep {
    /// Nothing new; ask again when [`Feed::next_request`] says so. The control plane being away is this too.
    Idle,
    /// A part came; [`Feed::next_request`] has the next one at once.
    More,
    /// A new snapshot, checked: put it in force.
    Ready(Snapshot),
    /// What came was refused; the snapshot in force stays.
    Refused(SnapshotError),
}

/// Keeps one filter's snapshot up to date.
#[derive(Debug)]
pub struct Feed {
    config: FeedConfig,
    held: Option<Snapshot>,
    refused: Option<String>,
    download: Option<Download>,
    in_flight: Option<Asked>,
    head_bytes: usize,
    due_ms: u64,
    failures: u32,
    restarts: u32,
    random: u64,
}

/// The request in flight.
#[derive(Debug)]
enum Asked {
    Head,
    Range(Range<u64>),
}

impl Feed {
    /// A feed that updates `held`, the snapshot in force, if there is one. The first request is due at once.
    pub fn new(config: FeedConfig, held: Option<&Snapshot>) -> Self {
        let random = mix(config.jitter_seed);
        Self {
            config,
            held: held.cloned(),
            refused: None,
            download: None,
            in_flight: None,
            head_bytes: HEAD_BYTES,
            due_ms: 0,
            failures: 0,
            restarts: 0,
            random,
        }
    }

    /// Requests that failed in a row: 0 while the control plane answers.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The request to send now, if any. Its reply goes to [`Feed::on_reply`]; if it could not be sent,
    /// [`Reply::nothing`] does.
    pub fn next_request(&mut self, now_ms: u64) -> Option<Callout> {
        if self.in_flight.is_some() {
            return None;
        }
        if let Some(range) = self.download.as_ref().and_then(Download::next_range) {
            let callout = self.callout(&range);
            self.in_flight = Some(Asked::Range(range));
            return Some(callout);
        }
        if lasts(self.due_ms, now_ms, MOST_REFUSED_MS.max(u64::from(self.config.poll_ms))) {
            return None;
        }
        self.in_flight = Some(Asked::Head);
        let mut callout = self.callout(&(0..self.head_bytes as u64));
        let held = self.held.as_ref().map(|snapshot| snapshot.id().to_owned());
        let etags: Vec<String> =
            held.into_iter().chain(self.refused.clone()).map(|id| format!("\"{id}\"")).collect();
        if !etags.is_empty() {
            callout.headers.push(("if-none-match".into(), etags.join(", ")));
        }
        Some(callout)
    }

    /// Takes the reply to the request that [`Feed::next_request`] gave last.
    pub fn on_reply(&mut self, reply: &Reply, now_ms: u64) -> FeedStep {
        let step = match self.in_flight.take() {
            None => return FeedStep::Idle,
            Some(_) if is_away(reply.status) => {
                self.failures = self.failures.saturating_add(1);
                self.download = None;
                self.wait(now_ms, MOST_AWAY_MS);
                return FeedStep::Idle;
            }
            Some(Asked::Head) => self.on_head(reply),
            Some(Asked::Range(range)) => self.on_range(reply, &range),
        };
        match step {
            Ok(step) => {
                self.failures = 0;
                if !matches!(step, FeedStep::More) {
                    self.restarts = 0;
                    self.wait(now_ms, MOST_AWAY_MS);
                }
                step
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.download = None;
                let most_ms = if error.is_of_transport() { MOST_AWAY_MS } else { MOST_REFUSED_MS };
                self.wait(now_ms, most_ms);
                FeedStep::Refused(error)
            }
        }
    }

    fn callout(&self, range: &Range<u64>) -> Callout {
        let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let mut headers = vec![("range".to_owned(), bytes)];
        if !self.config.token.is_empty() {
            headers.push(("authorization".into(), format!("Bearer {}", self.config.token)));
        }
        Callout {
            peer: Peer::Control,
            method: "GET",
            path: self.config.path.clone(),
            headers,
            body: Vec::new(),
            timeout_ms: self.config.timeout_ms,
        }
    }

    /// The next poll: the interval, doubled for each failure in a row up to `most_ms`, less jitter.
    fn wait(&mut self, now_ms: u64, most_ms: u64) {
        let poll = u64::from(self.config.poll_ms);
        let wait = (poll << self.failures.min(16)).min(most_ms.max(poll));
        self.random = mix(self.random);
        self.due_ms = now_ms + wait - (wait / 4) * (self.random >> 48) / (1 << 16);
    }

    fn on_head(&mut self, reply: &Reply) -> Result<FeedStep, SnapshotError> {
        let abandoned = self.download.take();
        if reply.status == 304 {
            return Ok(FeedStep::Idle);
        }
        let whole = body_at(reply, 0)?;
        let manifest = match head_bytes(&reply.body) {
            Some(Ok(want)) if want > reply.body.len() && !whole && want > self.head_bytes => {
                self.head_bytes = want;
                return Ok(FeedStep::More);
            }
            _ => Manifest::decode(&reply.body, &self.config.keys),
        };
        let manifest = manifest.inspect_err(|error| {
            if !error.is_of_transport() {
                self.refused = etag(reply);
            }
        })?;
        if self.refused.as_ref() == Some(&manifest.id) {
            return Ok(FeedStep::Idle);
        }
        if let Some(held) = &self.held {
            if held.id() == manifest.id {
                return Ok(FeedStep::Idle);
            }
            if held.serial() >= manifest.serial {
                let (offered, held) = (manifest.serial, held.serial());
                self.refused = Some(manifest.id);
                return Err(SnapshotError::Serial { offered, held });
            }
        }
        if manifest.total > self.config.most_bytes {
            let error = SnapshotError::TooLarge { bytes: manifest.total, most: self.config.most_bytes };
            self.refused = Some(manifest.id);
            return Err(error);
        }
        let mut download = Download::new(manifest, self.held.as_ref(), abandoned.as_ref());
        drop(abandoned);
        download.absorb(0, &reply.body)?;
        self.go_on(download)
    }

    fn on_range(&mut self, reply: &Reply, range: &Range<u64>) -> Result<FeedStep, SnapshotError> {
        let Some(mut download) = self.download.take() else { return Ok(FeedStep::Idle) };
        let changed = etag(reply).is_some_and(|id| id != download.manifest.id) || reply.status == 416;
        if changed {
            self.restarts += 1;
            if self.restarts > MOST_RESTARTS {
                return Err(SnapshotError::Reply("the snapshot changes faster than it can be fetched"));
            }
            self.due_ms = 0;
            download.stale = true;
            self.download = Some(download);
            return Ok(FeedStep::More);
        }
        let start = if body_at(reply, range.start)? { 0 } else { range.start };
        let before = download.todo.len();
        download.absorb(start, &reply.body)?;
        if download.todo.len() == before {
            return Err(SnapshotError::Reply("it is shorter than the range asked for"));
        }
        self.go_on(download)
    }

    fn go_on(&mut self, download: Download) -> Result<FeedStep, SnapshotError> {
        if !download.todo.is_empty() {
            self.download = Some(download);
            return Ok(FeedStep::More);
        }
        let id = download.manifest.id.clone();
        let snapshot = download.finish().inspect_err(|_| self.refused = Some(id))?;
        self.held = Some(snapshot.clone());
        self.refused = None;
        Ok(FeedStep::Ready(snapshot))
    }
}

/// Nothing came, or what came says "later".
fn is_away(status: u16) -> bool {
    matches!(status, 0 | 408 | 429 | 500..)
}

/// The id in a reply's ETag.
fn etag(reply: &Reply) -> Option<String> {
    let tag = reply.header("etag")?;
    Some(tag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// Whether the body is the whole snapshot (200) or the range from `start` (206).
fn body_at(reply: &Reply, start: u64) -> Result<bool, SnapshotError> {
    match reply.status {
        200 => Ok(true),
        206 => {
            let field = reply.header("content-range").and_then(|field| field.strip_prefix("bytes "));
            let first = field.and_then(|range| range.split_once('-')).map(|(first, _)| first.trim());
            match first.map(str::parse::<u64>) {
                Some(Ok(first)) if first == start => Ok(false),
                _ => Err(SnapshotError::Reply("its Content-Range is not what was asked for")),
            }
        }
        status => Err(SnapshotError::Status(status)),
    }
}

/// A snapshot on its way.
#[derive(Debug)]
struct Download {
    manifest: Manifest,
    buffers: Vec<Buffer>,
    /// Chunks still missing, in the order of the file.
    todo: Vec<Part>,
    /// The control plane has a newer one: what came serves as a store of chunks only.
    stale: bool,
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
}

impl Part {
    fn end(&self) -> u64 {
        self.offset + self.len as u64
    }
}

impl Download {
    fn new(manifest: Manifest, held: Option<&Snapshot>, abandoned: Option<&Download>) -> Self {
        let known = Known::of(held, abandoned);
        let (mut buffers, mut todo) = (Vec::with_capacity(manifest.pieces.len()), Vec::new());
        for (number, piece) in manifest.pieces.iter().enumerate() {
            if let Some(bytes) = known.piece(&piece.chunks, piece.len) {
                buffers.push(Buffer::Shared(bytes));
                continue;
            }
            let mut own = Vec::new();
            for (at, len, hash) in piece.chunk_ranges() {
                if let Some(bytes) = known.chunks.get(hash) {
                    own.resize(piece.len, 0);
                    copy_to(&mut own, at, bytes);
                } else {
                    let offset = piece.offset + at as u64;
                    todo.push(Part { piece: number, at, len, hash: *hash, offset });
                }
            }
            buffers.push(Buffer::Own(own));
        }
        Self { manifest, buffers, todo, stale: false }
    }

    /// The next missing chunks that fit into one range.
    fn next_range(&self) -> Option<Range<u64>> {
        let first = self.todo.first().filter(|_| !self.stale)?;
        let fits = |part: &&Part| part.end() - first.offset <= CHUNK_BYTES as u64;
        let last = self.todo.iter().take_while(fits).last()?;
        Some(first.offset..last.end())
    }

    /// Takes the missing chunks that lie whole in `body`, which starts at `start` of the snapshot.
    fn absorb(&mut self, start: u64, body: &[u8]) -> Result<(), SnapshotError> {
        let end = start + body.len() as u64;
        for part in self.todo.extract_if(.., |part| part.offset >= start && part.end() <= end) {
            let from = (part.offset - start) as usize;
            let bytes = body.get(from..from + part.len).unwrap_or_default();
            let Some(piece) = self.manifest.pieces.get(part.piece) else { continue };
            piece.check(part.at, &part.hash, bytes)?;
            if let Some(Buffer::Own(own)) = self.buffers.get_mut(part.piece) {
                own.resize(piece.len, 0);
                copy_to(own, part.at, bytes);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Snapshot, SnapshotError> {
        let pieces = self.buffers.into_iter().map(|buffer| match buffer {
            Buffer::Shared(bytes) => bytes,
            Buffer::Own(own) => Bytes::from(own),
        });
        Snapshot::from_pieces(self.manifest, pieces.collect())
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
    fn of(held: Option<&'a Snapshot>, abandoned: Option<&'a Download>) -> Self {
        let mut known = Self::default();
        for (piece, bytes) in held.into_iter().flat_map(Snapshot::held_pieces) {
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

#[cfg(test)]
mod tests;
