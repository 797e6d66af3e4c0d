//! Where a listed name stands: list, line and text, for every entry of every list.
//!
//! ```text
//! compile ─► Places ─► lists.idx (sorted hashes, then texts) ─► mapped ─► Index::find(key) ─► list, line, text
//! ```
//!
//! A snapshot holds hashes and can't say where an entry came from. This file lies beside it, in the data folder
//! only: it holds the names themselves, so it also tells a true match from a false one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

/// Its file in the data folder.
pub const INDEX_FILE: &str = "lists.idx";

const MAGIC: [u8; 8] = *b"DVINDEX1";
/// Magic, length of the lists' JSON, records.
const HEADER_BYTES: usize = 8 + 8 + 8;
/// Hash, offset into the texts, line, list, and two bytes of nothing.
const RECORD_BYTES: usize = 24;
/// A longer line is shown cut.
const MOST_TEXT_BYTES: usize = 512;

/// A list, as the index names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedList {
    /// Its name in verdicts.
    pub name: String,
    /// Its file or address.
    pub source: String,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The list's name.
    pub list: String,
    /// Its file or address.
    pub source: String,
    /// Line, from 1.
    pub line: u32,
    /// The line's text, at most 512 bytes of it.
    pub text: String,
}

/// Places while lists are read.
#[derive(Debug, Default)]
pub struct Places {
    lists: Vec<IndexedList>,
    records: Vec<Record>,
    texts: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    hash: u64,
    list: u16,
    line: u32,
    offset: u64,
}

impl Places {
    /// Begins a list; what is added from now on stands in it.
    pub fn list(&mut self, name: &str, source: &str) {
        self.lists.push(IndexedList { name: name.to_owned(), source: source.to_owned() });
    }

    /// An entry of the list that was begun last: what it is found under, its line and that line's text.
    pub fn add(&mut self, key: &str, line: u32, text: &str) {
        let list = u16::try_from(self.lists.len().saturating_sub(1)).unwrap_or(u16::MAX);
        let offset = self.texts.len() as u64;
        let text = if text == key { "" } else { &text[..text.floor_char_boundary(MOST_TEXT_BYTES)] };
        for part in [key, text] {
            let part = &part.as_bytes()[..part.len().min(usize::from(u16::MAX))];
            self.texts.extend((part.len() as u16).to_le_bytes());
            self.texts.extend_from_slice(part);
        }
        self.records.push(Record { hash: hash(key), list, line, offset });
    }

    /// Writes the index, whole or not at all.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(mut self, path: &Path) -> io::Result<()> {
        self.records.sort_unstable();
        let lists = serde_json::to_vec(&self.lists)?;
        let fresh = path.with_extension("idx.new");
        let mut file = BufWriter::new(File::create(&fresh)?);
        file.write_all(&MAGIC)?;
        file.write_all(&(lists.len() as u64).to_le_bytes())?;
        file.write_all(&(self.records.len() as u64).to_le_bytes())?;
        file.write_all(&lists)?;
        for Record { hash, list, line, offset } in &self.records {
            file.write_all(&hash.to_le_bytes())?;
            file.write_all(&offset.to_le_bytes())?;
            file.write_all(&line.to_le_bytes())?;
            file.write_all(&list.to_le_bytes())?;
            file.write_all(&[0; 2])?;
        }
        file.write_all(&self.texts)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&fresh, path)
    }
}

/// An index, mapped.
#[derive(Debug)]
pub struct Index {
    map: Mmap,
    lists: Vec<IndexedList>,
    records: std::ops::Range<usize>,
}

impl Index {
    /// Opens the index of a data folder.
    ///
    /// # Errors
    /// If there is none, or the file is no index of this version.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the file is never written in place: `Places::write` puts a fresh one in its place by a rename, so
        // what is mapped here stays as it is until the mapping ends. The data folder is its owner's alone.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file)? };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not an index of lists, or damaged");
        let number = |at: usize| -> Option<usize> {
            let bytes = map.get(at..)?.first_chunk::<8>()?;
            usize::try_from(u64::from_le_bytes(*bytes)).ok()
        };
        if !map.starts_with(&MAGIC) {
            return Err(damaged());
        }
        let (lists_bytes, count) = number(8).zip(number(16)).ok_or_else(damaged)?;
        let from = HEADER_BYTES.checked_add(lists_bytes).ok_or_else(damaged)?;
        let end =
            count.checked_mul(RECORD_BYTES).and_then(|bytes| bytes.checked_add(from)).ok_or_else(damaged)?;
        let lists = map.get(HEADER_BYTES..from).ok_or_else(damaged)?;
        let lists = serde_json::from_slice(lists).map_err(|_| damaged())?;
        if end > map.len() {
            return Err(damaged());
        }
        Ok(Self { map, lists, records: from..end })
    }

    /// Every place of what is found under a key, in the order of lists and lines.
    pub fn find(&self, key: &str) -> Vec<Place> {
        let wanted = hash(key);
        let records = self.map.get(self.records.clone()).unwrap_or_default().as_chunks::<RECORD_BYTES>().0;
        let hash_of = |record: &[u8; RECORD_BYTES]| {
            record.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let first = records.partition_point(|record| hash_of(record) < wanted);
        let same = records.get(first..).unwrap_or_default().iter();
        same.take_while(|record| hash_of(record) == wanted)
            .filter_map(|record| self.place(record, key))
            .collect()
    }

    fn place(&self, record: &[u8; RECORD_BYTES], key: &str) -> Option<Place> {
        let offset = u64::from_le_bytes(*record.get(8..)?.first_chunk()?);
        let line = u32::from_le_bytes(*record.get(16..)?.first_chunk()?);
        let list = u16::from_le_bytes(*record.get(20..)?.first_chunk()?);
        let texts = self.map.get(self.records.end..)?.get(usize::try_from(offset).ok()?..)?;
        let (found, rest) = text(texts)?;
        let (text, _) = text(rest)?;
        if found != key.as_bytes() {
            return None;
        }
        let text = if text.is_empty() { found } else { text };
        let IndexedList { name, source } = self.lists.get(usize::from(list))?.clone();
        Some(Place { list: name, source, line, text: String::from_utf8_lossy(text).into_owned() })
    }
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

fn hash(key: &str) -> u64 {
    let hash = blake3::hash(key.as_bytes());
    hash.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(list: &str, source: &str, line: u32, text: &str) -> Place {
        Place { list: list.into(), source: source.into(), line, text: text.into() }
    }

    #[test]
    fn every_entry_is_found_with_list_line_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INDEX_FILE);
        let mut places = Places::default();
        places.list("ads", "/lists/ads.hosts");
        for line in 1..=10_000 {
            let name = format!("n{line}.example");
            places.add(&name, line, &format!("0.0.0.0 {name}"));
        }
        places.list("more", "https://lists.example/more.txt");
        places.add("n7.example", 3, "n7.example");
        places.add("/^ad[0-9]/", 4, "/^ad[0-9]/");
        places.write(&path).unwrap();
        let index = Index::open(&path).unwrap();
        let first = place("ads", "/lists/ads.hosts", 7, "0.0.0.0 n7.example");
        let second = place("more", "https://lists.example/more.txt", 3, "n7.example");
        assert_eq!(index.find("n7.example"), [first, second]);
        assert_eq!(index.find("/^ad[0-9]/").len(), 1);
        assert_eq!(index.find("n10001.example"), []);
        assert!((1..=10_000).all(|line| index.find(&format!("n{line}.example"))[0].line == line));
    }

    #[test]
    fn a_damaged_index_is_refused_or_finds_nothing_and_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INDEX_FILE);
        let mut places = Places::default();
        places.list("ads", "ads");
        places.add("a.example", 1, "a.example # why");
        places.write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            if let Ok(index) = Index::open(&path) {
                assert_eq!(index.find("a.example"), [], "cut at {cut}");
            }
        }
        let mut flipped = whole.clone();
        for at in 0..whole.len() {
            flipped[at] ^= 0xff;
            std::fs::write(&path, &flipped).unwrap();
            if let Ok(index) = Index::open(&path) {
                index.find("a.example");
            }
            flipped[at] ^= 0xff;
        }
    }
}
