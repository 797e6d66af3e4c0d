//! The client of `GET /v1/snapshot`, without I/O: it says what to ask and is told what came.
//!
//! ```text
//! waiting ──poll──► ask for the delta from the serial in force ──304──► waiting
//!                      │ (held until there is one, if the other side does that)
//!                      │                  └──200: all that changed ──► Ready
//!                      │ 404, damaged, or nothing in force
//!                      ▼
//!                   ask for the head (64 KiB, If-None-Match) ──304──► waiting
//!                      │ 206: manifest, and what small sections came with it
//!                      ▼
//!                   chunks that are not held, in ranges of at most 256 KiB ──► Ready
//!                      └─ much that replaces much: shard by shard in place ──► Swapped … Ready
//! ```
//!
//! Only the manifest and chunks that changed travel; equal pieces are shared with the snapshot in force. A small
//! change, as of a person's decision, is in force after one request, which a control plane that knows `Prefer:
//! wait=N` (RFC 7240 section 4.3) answers as soon as there is something new: polls are as many as without, and a
//! change needs none of their time. Whatever goes wrong, what is in force stays.

mod download;

use std::ops::Range;

use ed25519_dalek::VerifyingKey;

use self::download::Download;
use super::container::{Manifest, head_bytes};
use super::delta::MOST_DELTA_BYTES;
use super::fuse::mix;
use super::{Snapshot, SnapshotError};
use crate::host::{Callout, Peer, Reply};
use crate::verdict::cache::lasts;

/// What a poll asks for: room for the manifest and the small sections behind it.
const HEAD_BYTES: usize = 64 * 1024;
/// The longest wait while the control plane is away, or what comes of it is damaged, ms: so soon is a decision in force after it is back.
const MOST_AWAY_MS: u64 = 5_000;
/// The longest that a poll may be held, seconds.
const MOST_HELD_S: u32 = 20;
/// The longest wait after a snapshot was refused, ms.
const MOST_REFUSED_MS: u64 = 60_000;
/// The most snapshots that answer side by side while one takes over from another. Were there more, because
/// snapshots follow each other faster than they are fetched, the next one is fetched whole.
const MOST_LAYERS: usize = 4;
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
    /// Milliseconds from one poll to the next, less up to a quarter of jitter. The control plane may hold a poll for
    /// the whole seconds of it, until there is something new; with one that does not, 1 s puts a person's decision
    /// in force within 2 s.
    pub poll_ms: u32,
    /// A request is given up after this many milliseconds, those left out that it may be held.
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
    /// A new snapshot takes over from the one in force, shard by shard: put these in force side by side, the
    /// newest first. Each answers for the names that it covers ([`Snapshot::covers`]); of a name of one label,
    /// which several cover, the newest. Drop all others before [`Feed::next_request`], so that their memory
    /// serves for what comes next. If the newest one can't be used, say so by [`Feed::refuse`]; that is for the
    /// first time that it is given only, when it covers nothing yet.
    Swapped(Vec<Snapshot>),
    /// What came was refused; the snapshot in force stays.
    Refused(SnapshotError),
}

/// Keeps one filter's snapshot up to date.
#[derive(Debug)]
pub struct Feed {
    config: FeedConfig,
    /// What is in force, newest first: one, or several while one takes over.
    layers: Vec<Snapshot>,
    refused: Option<String>,
    download: Option<Download>,
    in_flight: Option<Asked>,
    /// Deltas are not to be had, or were damaged: ask for ranges until a snapshot came.
    by_ranges: bool,
    head_bytes: usize,
    due_ms: u64,
    /// When the request in flight was given out.
    asked_ms: u64,
    failures: u32,
    restarts: u32,
    random: u64,
}

/// The request in flight.
#[derive(Debug)]
enum Asked {
    Delta,
    Head,
    Range(Range<u64>),
}

impl Feed {
    /// A feed that updates `held`, the snapshot in force, if there is one. The first request is due at once.
    pub fn new(config: FeedConfig, held: Option<&Snapshot>) -> Self {
        let random = mix(config.jitter_seed);
        Self {
            config,
            layers: held.cloned().into_iter().collect(),
            refused: None,
            download: None,
            in_flight: None,
            by_ranges: false,
            head_bytes: HEAD_BYTES,
            due_ms: 0,
            asked_ms: 0,
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
        self.asked_ms = now_ms;
        let waits = lasts(self.due_ms, now_ms, MOST_REFUSED_MS.max(u64::from(self.config.poll_ms)));
        let range = self.download.as_ref().and_then(Download::next_range);
        if let Some(range) = range.filter(|_| self.failures == 0 || !waits) {
            let callout = self.callout(self.config.path.clone(), Some(&range));
            self.in_flight = Some(Asked::Range(range));
            return Some(callout);
        }
        if waits {
            return None;
        }
        let whole = self.whole().map(|snapshot| (snapshot.serial(), snapshot.id().to_owned()));
        let mut callout = match &whole {
            Some((serial, _)) if !self.by_ranges => {
                self.in_flight = Some(Asked::Delta);
                let mut callout = self.callout(format!("{}/delta?from={serial}", self.config.path), None);
                let held_s = (self.config.poll_ms / 1_000).min(MOST_HELD_S);
                if held_s > 0 {
                    callout.headers.push(("prefer".into(), format!("wait={held_s}")));
                    callout.timeout_ms = callout.timeout_ms.saturating_add(held_s * 1_000);
                }
                callout
            }
            _ => {
                self.in_flight = Some(Asked::Head);
                self.callout(self.config.path.clone(), Some(&(0..self.head_bytes as u64)))
            }
        };
        let ids = whole.map(|(_, id)| id).into_iter().chain(self.refused.clone());
        let etags: Vec<String> = ids.map(|id| format!("\"{id}\"")).collect();
        if !etags.is_empty() {
            callout.headers.push(("if-none-match".into(), etags.join(", ")));
        }
        Some(callout)
    }

    /// The newest snapshot of [`FeedStep::Swapped`] can't be used: what was in force before it stays.
    pub fn refuse(&mut self) {
        if self.layers.len() > 1 {
            self.refused = Some(self.layers.remove(0).id().to_owned());
        }
        self.download = None;
    }

    /// Takes the reply to the request that [`Feed::next_request`] gave last.
    pub fn on_reply(&mut self, reply: &Reply, now_ms: u64) -> FeedStep {
        let step = match self.in_flight.take() {
            None => return FeedStep::Idle,
            Some(_) if is_away(reply.status) => {
                self.failures = self.failures.saturating_add(1);
                // What came is kept: whoever answers next may go on with it.
                self.wait(now_ms, MOST_AWAY_MS);
                return FeedStep::Idle;
            }
            Some(Asked::Delta) => match self.on_delta(reply) {
                Ok(step) => Ok(step),
                Err(error) => {
                    self.by_ranges = true;
                    let definite =
                        matches!(error, SnapshotError::Serial { .. } | SnapshotError::TooLarge { .. });
                    if !definite {
                        // It may be the delta's fault and not the snapshot's: ranges will tell, at once.
                        self.due_ms = 0;
                        return FeedStep::Refused(error);
                    }
                    Err(error)
                }
            },
            Some(Asked::Head) => self.on_head(reply),
            Some(Asked::Range(range)) => self.on_range(reply, &range),
        };
        match step {
            Ok(step) => {
                self.failures = 0;
                if !matches!(step, FeedStep::More | FeedStep::Swapped(_)) {
                    self.restarts = 0;
                    // A poll that was held took its time already.
                    self.wait(self.asked_ms, MOST_AWAY_MS);
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

    /// The snapshot in force, unless another is taking over from it.
    fn whole(&self) -> Option<&Snapshot> {
        self.layers.first().filter(|_| self.layers.len() == 1)
    }

    fn callout(&self, path: String, range: Option<&Range<u64>>) -> Callout {
        let mut headers = Vec::new();
        if let Some(range) = range {
            headers
                .push(("range".to_owned(), format!("bytes={}-{}", range.start, range.end.saturating_sub(1))));
        }
        if !self.config.token.is_empty() {
            headers.push(("authorization".into(), format!("Bearer {}", self.config.token)));
        }
        Callout {
            peer: Peer::Control,
            method: "GET",
            path,
            headers,
            body: Vec::new(),
            timeout_ms: self.config.timeout_ms,
        }
    }

    /// The next poll: the interval, doubled for each failure in a row up to `most_ms`, less jitter.
    fn wait(&mut self, from_ms: u64, most_ms: u64) {
        let poll = u64::from(self.config.poll_ms);
        let wait = (poll << self.failures.min(16)).min(most_ms.max(poll));
        self.random = mix(self.random);
        self.due_ms = from_ms + wait - (wait / 4) * (self.random >> 48) / (1 << 16);
    }

    fn on_delta(&mut self, reply: &Reply) -> Result<FeedStep, SnapshotError> {
        match reply.status {
            304 => return Ok(FeedStep::Idle),
            200 if reply.body.len() > MOST_DELTA_BYTES => {
                return Err(SnapshotError::Reply("a delta longer than deltas are"));
            }
            200 => {}
            // None from here, or a control plane that makes none: ranges it is, at once.
            404 | 410 => {
                self.by_ranges = true;
                self.due_ms = 0;
                return Ok(FeedStep::More);
            }
            status => return Err(SnapshotError::Status(status)),
        }
        let manifest = Manifest::decode(&reply.body, &self.config.keys)?;
        if !self.is_newer(&manifest)? {
            return Ok(FeedStep::Idle);
        }
        let head = manifest.head as usize;
        let mut download = Download::new(manifest, &self.layers, None, true);
        download.absorb_all(reply.body.get(head..).unwrap_or_default())?;
        self.go_on(download)
    }

    /// Whether a manifest is of a snapshot to fetch; an error if it must not be.
    fn is_newer(&mut self, manifest: &Manifest) -> Result<bool, SnapshotError> {
        if self.refused.as_ref() == Some(&manifest.id) {
            return Ok(false);
        }
        if let Some(held) = self.layers.first() {
            if held.id() == manifest.id {
                // If it is still taking over, what is missing is fetched.
                return Ok(self.layers.len() > 1);
            }
            if held.serial() >= manifest.serial {
                let (offered, held) = (manifest.serial, held.serial());
                self.refused = Some(manifest.id.clone());
                return Err(SnapshotError::Serial { offered, held });
            }
        }
        if manifest.total > self.config.most_bytes {
            self.refused = Some(manifest.id.clone());
            return Err(SnapshotError::TooLarge { bytes: manifest.total, most: self.config.most_bytes });
        }
        Ok(true)
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
                self.download = abandoned;
                return Ok(FeedStep::More);
            }
            _ => Manifest::decode(&reply.body, &self.config.keys),
        };
        // What can't be decoded is not remembered as refused: only its ETag would say what it is, and a signature
        // has not proved that. Pauses grow until something else comes.
        let manifest = manifest?;
        if !self.is_newer(&manifest)? {
            return Ok(FeedStep::Idle);
        }
        let mut download = Download::new(manifest, &self.layers, abandoned.as_ref(), false);
        drop(abandoned);
        download.absorb(0, &reply.body)?;
        self.go_on(download)
    }

    fn on_range(&mut self, reply: &Reply, range: &Range<u64>) -> Result<FeedStep, SnapshotError> {
        let Some(mut download) = self.download.take() else { return Ok(FeedStep::Idle) };
        let changed = etag(reply).is_some_and(|id| id != download.id()) || reply.status == 416;
        if changed {
            self.restarts += 1;
            if self.restarts > MOST_RESTARTS {
                return Err(SnapshotError::Reply("the snapshot changes faster than it can be fetched"));
            }
            self.due_ms = 0;
            download.give_up();
            self.download = Some(download);
            return Ok(FeedStep::More);
        }
        let start = if body_at(reply, range.start)? { 0 } else { range.start };
        let before = download.missing();
        download.absorb(start, &reply.body)?;
        if download.missing() == before {
            return Err(SnapshotError::Reply("it is shorter than the range asked for"));
        }
        self.go_on(download)
    }

    fn go_on(&mut self, mut download: Download) -> Result<FeedStep, SnapshotError> {
        if download.missing() > 0 {
            let swapped = download.swap(&mut self.layers).inspect_err(|_| {
                self.refused = Some(download.id().to_owned());
            })?;
            self.download = Some(download);
            return Ok(if swapped { FeedStep::Swapped(self.layers.clone()) } else { FeedStep::More });
        }
        let id = download.id().to_owned();
        let snapshot = download.finish().inspect_err(|_| self.refused = Some(id))?;
        self.layers = vec![snapshot.clone()];
        (self.refused, self.by_ranges, self.download) = (None, false, None);
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

#[cfg(test)]
mod tests;
