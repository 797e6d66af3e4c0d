//! Batches on disk that wait for a store on another machine: bounded, in order, there after a restart.
//!
//! Each entry is a file `NUMBER-EVENTS.spool` of JSON lines, written whole, synced and only then named.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dnsvet_core::event::Batch;
use serde::{Deserialize, Serialize};

use super::Tenant;
use crate::folder;

/// What one entry is.
struct Entry {
    path: PathBuf,
    number: u64,
    events: u64,
    bytes: u64,
}

/// A line of an entry.
#[derive(Serialize, Deserialize)]
struct Line {
    tenant: i64,
    batch: Batch,
}

/// The entries of a folder, oldest first.
pub(super) struct Spool {
    folder: PathBuf,
    entries: Vec<Entry>,
    most_bytes: u64,
}

/// What became of batches that were to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// They are on disk.
    Yes,
    /// There is no room for them.
    Full,
}

impl Spool {
    /// The spool in `folder`, which is made if it is missing, of at most so many bytes.
    ///
    /// # Errors
    /// If the folder can't be made or read.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        folder::make(folder)?;
        let mut entries = Vec::new();
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let parts = name.strip_suffix(".spool").and_then(|stem| stem.split_once('-'));
            let numbers =
                parts.and_then(|(number, events)| Some((number.parse().ok()?, events.parse().ok()?)));
            let Some((number, events)) = numbers else { continue };
            entries.push(Entry { path: file.path(), number, events, bytes: file.metadata()?.len() });
        }
        entries.sort_by_key(|entry| entry.number);
        Ok(Self { folder: folder.to_owned(), entries, most_bytes })
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Events that wait.
    pub fn events(&self) -> u64 {
        self.entries.iter().map(|entry| entry.events).sum()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }

    /// Puts batches behind those that wait; they are on disk when this returns.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn keep(&mut self, batches: &[(Tenant, Batch)]) -> io::Result<Kept> {
        let mut text = Vec::new();
        for (tenant, batch) in batches {
            let line = Line { tenant: tenant.0, batch: batch.clone() };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        let bytes = text.len() as u64;
        if self.bytes() + bytes > self.most_bytes {
            return Ok(Kept::Full);
        }
        let number = self.entries.last().map_or(1, |last| last.number + 1);
        let events = batches.iter().map(|(_, batch)| batch.events.len() as u64).sum();
        let path = self.folder.join(format!("{number:016}-{events}.spool"));
        let fresh = path.with_extension("new");
        folder::make_file(&fresh)?;
        let mut file = File::create(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        File::open(&self.folder)?.sync_all()?;
        self.entries.push(Entry { path, number, events, bytes });
        Ok(Kept::Yes)
    }

    /// The oldest entry; `None` if nothing waits. One that can't be read is put aside, with how many events it had.
    ///
    /// # Errors
    /// How many events are lost, if the entry is damaged.
    pub fn oldest(&mut self) -> Result<Option<Vec<(Tenant, Batch)>>, u64> {
        let Some(entry) = self.entries.first() else { return Ok(None) };
        let read = || -> io::Result<Vec<(Tenant, Batch)>> {
            let text = std::fs::read(&entry.path)?;
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let lines = lines.map(serde_json::from_slice::<Line>);
            lines.map(|line| line.map(|line| (Tenant(line.tenant), line.batch)).map_err(Into::into)).collect()
        };
        match read() {
            Ok(batches) => Ok(Some(batches)),
            Err(error) => {
                let aside = entry.path.with_extension("damaged");
                tracing::error!(%error, path = %aside.display(), "an entry of the spool can't be read; it is put aside");
                let lost = entry.events;
                let _ = std::fs::rename(&entry.path, aside);
                self.entries.remove(0);
                Err(lost)
            }
        }
    }

    /// The oldest entry is stored: it goes.
    pub fn done(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let entry = self.entries.remove(0);
        if let Err(error) = std::fs::remove_file(&entry.path) {
            // It is sent again after a restart, and known then.
            tracing::warn!(%error, path = %entry.path.display(), "an entry of the spool can't be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{T, batch, event};
    use super::*;
    use dnsvet_core::verdict::{Action, Reason};

    fn of(seq: u64) -> (Tenant, Batch) {
        (T, batch(vec![event(seq, "x.example", "10.0.0.1", Action::Allow, Reason::Model)]))
    }

    #[test]
    fn batches_come_back_in_order_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert!(spool.is_empty() && spool.oldest().unwrap().is_none());
        for seq in 1..=12 {
            assert_eq!(spool.keep(&[of(seq), of(100 + seq)]).unwrap(), Kept::Yes);
        }
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(spool.events(), 24);
        for seq in 1..=12 {
            assert_eq!(spool.oldest().unwrap().unwrap(), [of(seq), of(100 + seq)]);
            spool.done();
        }
        assert!(spool.is_empty());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn it_never_takes_more_than_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 4_000).unwrap();
        let mut kept = 0;
        while spool.keep(&[of(kept + 1)]).unwrap() == Kept::Yes {
            kept += 1;
        }
        assert!(kept > 1 && spool.bytes() <= 4_000, "{kept} of {} bytes", spool.bytes());
        spool.oldest().unwrap().unwrap();
        spool.done();
        assert_eq!(spool.keep(&[of(99)]).unwrap(), Kept::Yes, "room again");
    }

    #[test]
    fn a_damaged_entry_is_put_aside_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.keep(&[of(1), of(2), of(3)]).unwrap();
        spool.keep(&[of(4)]).unwrap();
        let first = folder.path().join(format!("{:016}-3.spool", 1));
        let text = std::fs::read(&first).unwrap();
        std::fs::write(&first, &text[..text.len() / 2]).unwrap();
        assert_eq!(spool.oldest(), Err(3));
        assert_eq!(spool.oldest().unwrap().unwrap(), [of(4)]);
        assert!(first.with_extension("damaged").exists(), "for whoever wants to look");
    }
}
