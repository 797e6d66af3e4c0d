//! Where a listed name stands: list, line and text, for every entry of every list.
//!
//! ```text
//! a list's text ─► Places ─► index/KEY.idx (texts, then sorted hashes) ─┐
//! names of all lists, in order ─► index/lists.json ─────────────────────┴─► Index::find(key) ─► list, line, text
//! ```
//!
//! A snapshot holds hashes and can't say where an entry came from. These files lie beside it, in the data folder
//! only: they hold the names themselves, so they also tell a true match from a false one. A list's file is named
//! after the list's content, so one that did not change is not written again.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

/// Its folder in the data folder.
const FOLDER: &str = "index";
/// Names the lists, in their order.
const LISTS_FILE: &str = "lists.json";
/// The last bytes of a list's file, behind the number of records.
const MAGIC: [u8; 8] = *b"DVINDEX2";
/// Number of records, magic.
const FOOTER_BYTES: usize = 8 + 8;
/// Hash, offset of the texts, line.
const RECORD_BYTES: usize = 20;
/// A longer line is shown cut.
const MOST_TEXT_BYTES: usize = 512;

/// A list, as the index names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedList {
    /// Its name in verdicts.
    pub name: String,
    /// Its file or address.
    pub source: String,
    /// What its content is known by.
    pub key: String,
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

/// Takes the places of one list's entries.
#[derive(Debug)]
pub struct Places {
    file: BufWriter<File>,
    records: Vec<Record>,
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    hash: u64,
    offset: u64,
    line: u32,
}

impl Places {
    /// An entry: what it is found under, its line and that line's text.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn add(&mut self, key: &str, line: u32, text: &str) -> io::Result<()> {
        self.records.push(Record { hash: hash(key), offset: self.offset, line });
        let text = if text == key { "" } else { &text[..text.floor_char_boundary(MOST_TEXT_BYTES)] };
        for part in [key, text] {
            let part = &part.as_bytes()[..part.len().min(usize::from(u16::MAX))];
            self.file.write_all(&(part.len() as u16).to_le_bytes())?;
            self.file.write_all(part)?;
            self.offset += 2 + part.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.records.sort_unstable();
        for Record { hash, offset, line } in &self.records {
            self.file.write_all(&hash.to_le_bytes())?;
            self.file.write_all(&offset.to_le_bytes())?;
            self.file.write_all(&line.to_le_bytes())?;
        }
        self.file.write_all(&(self.records.len() as u64).to_le_bytes())?;
        self.file.write_all(&MAGIC)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// The index of a data folder, for writing.
#[derive(Debug)]
pub struct IndexFolder(PathBuf);

impl IndexFolder {
    /// That of a data folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }

    /// Writes the file of a list unless it is there, whole or not at all; `fill` adds its entries.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn put(&self, key: &str, fill: impl FnOnce(&mut Places) -> io::Result<()>) -> io::Result<()> {
        let path = file_of(&self.0, key);
        if path.exists() {
            return Ok(());
        }
        let fresh = path.with_extension("new");
        let mut places =
            Places { file: BufWriter::new(File::create(&fresh)?), records: Vec::new(), offset: 0 };
        fill(&mut places)?;
        places.finish()?;
        fs::rename(fresh, path)
    }

    /// Says which lists are in force, in their order, and forgets the files of others.
    ///
    /// # Errors
    /// If the file that says so can't be written.
    pub fn publish(&self, lists: &[IndexedList]) -> io::Result<()> {
        let path = self.0.join(LISTS_FILE);
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(lists)?)?;
        fs::rename(fresh, path)?;
        for file in fs::read_dir(&self.0)?.flatten().map(|file| file.path()) {
            let used = lists.iter().any(|list| file_of(&self.0, &list.key) == file);
            if file.extension().is_some_and(|extension| extension == "idx") && !used {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }
}

fn file_of(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.idx"))
}

/// An index, mapped.
#[derive(Debug)]
pub struct Index {
    lists: Vec<(IndexedList, Mapped)>,
}

/// The file of a list, mapped.
#[derive(Debug)]
struct Mapped {
    map: Mmap,
    /// Where the texts end and the records start.
    texts: usize,
}

impl Index {
    /// Opens the index of a data folder. Lists whose file is not there, because a newer one was just put in its
    /// place, are left out.
    ///
    /// # Errors
    /// If there is none, or a file is none of this version.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        let named: Vec<IndexedList> = serde_json::from_slice(&fs::read(folder.join(LISTS_FILE))?)?;
        let mut lists = Vec::with_capacity(named.len());
        for list in named {
            match Mapped::open(&file_of(&folder, &list.key)) {
                Ok(mapped) => lists.push((list, mapped)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { lists })
    }

    /// Every place of what is found under a key, in the order of lists and lines.
    pub fn find(&self, key: &str) -> Vec<Place> {
        let wanted = hash(key);
        let lists = self.lists.iter();
        let found = lists.flat_map(|(list, mapped)| mapped.find(key, wanted).map(move |found| (list, found)));
        let place = |(list, (line, text)): (&IndexedList, (u32, &[u8]))| Place {
            list: list.name.clone(),
            source: list.source.clone(),
            line,
            text: String::from_utf8_lossy(text).into_owned(),
        };
        found.map(place).collect()
    }
}

impl Mapped {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the file is never written in place: `IndexFolder::put` puts a fresh one in its place by a rename,
        // so what is mapped here stays as it is until the mapping ends. The data folder is its owner's alone.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file)? };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not an index of a list, or damaged");
        let footer = map.len().checked_sub(FOOTER_BYTES).ok_or_else(damaged)?;
        let (count, magic) =
            map.get(footer..).and_then(<[u8]>::split_first_chunk::<8>).ok_or_else(damaged)?;
        if magic != MAGIC {
            return Err(damaged());
        }
        let records = usize::try_from(u64::from_le_bytes(*count)).ok();
        let records = records.and_then(|count| count.checked_mul(RECORD_BYTES)).ok_or_else(damaged)?;
        let texts = footer.checked_sub(records).ok_or_else(damaged)?;
        Ok(Self { map, texts })
    }

    /// Line and text of what is found under a key.
    fn find<'a>(&'a self, key: &'a str, wanted: u64) -> impl Iterator<Item = (u32, &'a [u8])> {
        let end = self.map.len().saturating_sub(FOOTER_BYTES);
        let records = self.map.get(self.texts..end).unwrap_or_default().as_chunks::<RECORD_BYTES>().0;
        let hash_of = |record: &[u8; RECORD_BYTES]| {
            record.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let first = records.partition_point(|record| hash_of(record) < wanted);
        let same = records.get(first..).unwrap_or_default().iter();
        same.take_while(move |record| hash_of(record) == wanted).filter_map(|record| self.place(record, key))
    }

    fn place(&self, record: &[u8; RECORD_BYTES], key: &str) -> Option<(u32, &[u8])> {
        let offset = u64::from_le_bytes(*record.get(8..)?.first_chunk()?);
        let line = u32::from_le_bytes(*record.get(16..)?.first_chunk()?);
        let texts = self.map.get(..self.texts)?.get(usize::try_from(offset).ok()?..)?;
        let (found, rest) = text(texts)?;
        let (text, _) = text(rest)?;
        (found == key.as_bytes()).then_some((line, if text.is_empty() { found } else { text }))
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

    fn list(name: &str, source: &str, key: &str) -> IndexedList {
        IndexedList { name: name.into(), source: source.into(), key: key.into() }
    }

    fn place(list: &str, source: &str, line: u32, text: &str) -> Place {
        Place { list: list.into(), source: source.into(), line, text: text.into() }
    }

    #[test]
    fn every_entry_is_found_with_list_line_and_text() {
        let data = tempfile::tempdir().unwrap();
        let folder = IndexFolder::of(data.path()).unwrap();
        let ads = |places: &mut Places| {
            for line in (1..=10_000).rev() {
                let name = format!("n{line}.example");
                places.add(&name, line, &format!("0.0.0.0 {name}"))?;
            }
            Ok(())
        };
        folder.put("a", ads).unwrap();
        let more = |places: &mut Places| {
            places.add("/^ad[0-9]/", 4, "/^ad[0-9]/")?;
            places.add("n7.example", 3, "n7.example")
        };
        folder.put("b", more).unwrap();
        let url = "https://lists.example/more.txt";
        folder.publish(&[list("ads", "/lists/ads.hosts", "a"), list("more", url, "b")]).unwrap();
        let index = Index::open(data.path()).unwrap();
        let first = place("ads", "/lists/ads.hosts", 7, "0.0.0.0 n7.example");
        assert_eq!(index.find("n7.example"), [first, place("more", url, 3, "n7.example")]);
        assert_eq!(index.find("/^ad[0-9]/").len(), 1);
        assert_eq!(index.find("n10001.example"), []);
        assert!((1..=10_000).all(|line| index.find(&format!("n{line}.example"))[0].line == line));
    }

    #[test]
    fn a_list_that_is_there_is_not_written_again_and_one_that_is_gone_is_forgotten() {
        let data = tempfile::tempdir().unwrap();
        let folder = IndexFolder::of(data.path()).unwrap();
        folder.put("a", |places| places.add("a.example", 1, "a.example")).unwrap();
        folder.publish(&[list("ads", "ads", "a")]).unwrap();
        folder.put("a", |_| panic!("it is there")).unwrap();
        let failed = folder.put("b", |places| {
            places.add("b.example", 1, "b.example")?;
            Err(io::Error::other("no room"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no room");
        let index = Index::open(data.path()).unwrap();
        assert_eq!(index.find("a.example").len(), 1, "the last good one stays");
        folder.put("b", |places| places.add("b.example", 1, "b.example")).unwrap();
        folder.publish(&[list("ads", "ads", "b")]).unwrap();
        let index = Index::open(data.path()).unwrap();
        assert_eq!((index.find("a.example").len(), index.find("b.example").len()), (0, 1));
        assert!(!file_of(&folder.0, "a").exists());
    }

    #[test]
    fn a_damaged_index_is_refused_or_finds_nothing_and_never_panics() {
        let data = tempfile::tempdir().unwrap();
        let folder = IndexFolder::of(data.path()).unwrap();
        folder.put("a", |places| places.add("a.example", 1, "a.example # why")).unwrap();
        folder.publish(&[list("ads", "ads", "a")]).unwrap();
        let path = file_of(&folder.0, "a");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            if let Ok(index) = Index::open(data.path()) {
                assert_eq!(index.find("a.example"), [], "cut at {cut}");
            }
        }
        let mut flipped = whole.clone();
        for at in 0..whole.len() {
            flipped[at] ^= 0xff;
            fs::write(&path, &flipped).unwrap();
            if let Ok(index) = Index::open(data.path()) {
                index.find("a.example");
            }
            flipped[at] ^= 0xff;
        }
    }
}
