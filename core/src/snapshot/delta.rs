//! The server's side of `GET /v1/snapshot/delta?from=SERIAL`: what a filter with that snapshot lacks, in one body.
//!
//! ```text
//! header and manifest · each chunk that the snapshot of that serial does not have, in the order of the file
//! ```
//!
//! The body does not say which chunks they are: the manifest and the filter's own snapshot do, and each chunk is
//! checked against the manifest as ever.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use super::SnapshotError;
use super::container::{CHUNK_BYTES, Manifest};
use super::wire::Writer;

/// The most bytes of a delta; a filter that lacks more fetches ranges.
pub const MOST_DELTA_BYTES: usize = CHUNK_BYTES;
/// How many snapshots deltas are made from, the newest ones.
const KEPT: usize = 32;

/// Why there is no delta: the filter fetches ranges instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDelta {
    /// No snapshot of this serial was served here, or not lately.
    #[error("no delta from serial {0}, which was not served lately; fetch ranges of /v1/snapshot")]
    Unknown(u64),
    /// Too much changed since.
    #[error(
        "a delta from serial {from} has more than {MOST_DELTA_BYTES} bytes; fetch ranges of /v1/snapshot"
    )]
    Large {
        /// The serial asked for.
        from: u64,
    },
}

/// Makes deltas between the snapshots that were served lately.
#[derive(Debug, Default)]
pub struct Deltas {
    /// The newest one last.
    served: VecDeque<Served>,
    bytes: Bytes,
    /// Deltas to the newest one that were asked for.
    made: Vec<(u64, Result<Bytes, NoDelta>)>,
}

#[derive(Debug)]
struct Served {
    manifest: Manifest,
    chunks: HashSet<[u8; 32]>,
}

impl Deltas {
    /// Notes the snapshot that is served now; costs next to nothing if it is known.
    ///
    /// # Errors
    /// If it is no snapshot.
    pub fn serve(&mut self, id: &str, bytes: &Bytes) -> Result<(), SnapshotError> {
        if self.served.back().is_some_and(|served| served.manifest.id == id) {
            return Ok(());
        }
        let manifest = Manifest::decode(bytes, &[])?;
        if self.served.back().is_some_and(|newest| newest.manifest.serial > manifest.serial) {
            // Two requests overtook each other.
            return Ok(());
        }
        let chunks = manifest.pieces.iter().flat_map(|piece| &piece.chunks).copied().collect();
        // One serial names one snapshot; should it not, the later one counts.
        self.served.retain(|served| served.manifest.serial != manifest.serial);
        self.served.push_back(Served { manifest, chunks });
        if self.served.len() > KEPT {
            self.served.pop_front();
        }
        self.bytes = bytes.clone();
        self.made.clear();
        Ok(())
    }

    /// What a filter that holds the snapshot of serial `from` lacks of the one served now.
    ///
    /// # Errors
    /// If that can't be known or is too much.
    pub fn since(&mut self, from: u64) -> Result<Bytes, NoDelta> {
        if let Some((_, made)) = self.made.iter().find(|(serial, _)| *serial == from) {
            return made.clone();
        }
        let old = self.served.iter().find(|served| served.manifest.serial == from);
        let (Some(old), Some(new)) = (old, self.served.back()) else { return Err(NoDelta::Unknown(from)) };
        let made = body(&new.manifest, &self.bytes, &old.chunks).ok_or(NoDelta::Large { from });
        self.made.push((from, made.clone()));
        made
    }
}

fn body(manifest: &Manifest, bytes: &Bytes, known: &HashSet<[u8; 32]>) -> Option<Bytes> {
    let mut body = Writer::default();
    body.bytes(bytes.get(..manifest.head as usize)?);
    for piece in &manifest.pieces {
        for (at, len, _) in piece.chunk_ranges().filter(|(_, _, hash)| !known.contains(*hash)) {
            let from = piece.offset as usize + at;
            body.bytes(bytes.get(from..from + len)?);
            if body.len() > MOST_DELTA_BYTES {
                return None;
            }
        }
    }
    (body.len() <= MOST_DELTA_BYTES).then(|| body.finish().into())
}
