//! The last good copy of each list in `data_dir/lists/`, and the one that is kept back.
//!
//! ```text
//! KEY.copy   {"url":…,"etag":…,"blake3":…}\n  zstd frame of the text     in force
//! KEY.held   the same                                                    waits for a person
//! ```
//!
//! One file holds text and validators, so that they can't come from two fetches. It is written beside its place
//! and moved there, so that it is whole whenever the process ends. KEY is a hash of the list's name and URL: what
//! stands in a configuration never becomes a path. The file's time is when the copy was last found to be right.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::fetch::Validators;
use crate::lists::{UnpackError, limited};

/// The folder in the data folder.
const FOLDER: &str = "lists";
/// The longest first line, bytes.
const MOST_HEAD_BYTES: u64 = 64 << 10;
/// The most text that a copy may unpack to, bytes.
const MOST_TEXT_BYTES: u64 = 4 << 30;
/// Copies of lists that are no longer configured go after this.
const FORGOTTEN: Duration = Duration::from_secs(30 * 86_400);

/// Why a copy can't be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The folder or a file.
    #[error("{}: {why}; check `data_dir` and who owns it", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// A file that is not as it was written.
    #[error("{}: damaged; it is fetched again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
}

/// Which of a list's two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The one in force.
    Good,
    /// The one that waits for a person.
    Held,
}

/// What is known of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// The list's name in verdicts.
    pub name: String,
    /// Where it came from.
    pub url: String,
    /// What its server said of it.
    #[serde(flatten)]
    pub validators: Validators,
    /// Its content type.
    pub content_type: String,
    /// When this text came first, milliseconds since 1970.
    pub since_ms: u64,
    /// Rules in it.
    pub entries: u64,
    /// Why it is kept back; empty for one in force.
    pub why: String,
    /// Of the text, in hex.
    pub blake3: String,
}

/// A copy, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What is known of it.
    pub head: Head,
    /// When it was last found to be right, milliseconds since 1970.
    pub confirmed_ms: u64,
    /// The list.
    pub text: Vec<u8>,
}

/// The folder of copies.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// That of a data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER) }
    }

    /// The key of a list.
    pub fn key(name: &str, url: &str) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("dnsvet 2026 list copy key");
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(url.as_bytes());
        hasher.finalize().to_hex().as_str().chars().take(32).collect()
    }

    /// Reads a copy and checks that it is as it was written; `None` if there is none.
    pub fn read(&self, key: &str, slot: Slot) -> Result<Option<Copy>, ShelfError> {
        let path = self.path(key, slot);
        let Some((mut file, head, confirmed_ms)) = open(&path)? else { return Ok(None) };
        let damaged = || ShelfError::Damaged { path: path.clone() };
        let frame = zstd::stream::read::Decoder::with_buffer(&mut file);
        let text = frame.map_err(UnpackError::from).and_then(|frame| limited(frame, MOST_TEXT_BYTES));
        let text = text.map_err(|_| damaged())?;
        if blake3::hash(&text).to_hex().as_str() != head.blake3 {
            return Err(damaged());
        }
        Ok(Some(Copy { head, confirmed_ms, text }))
    }

    /// What is known of a copy and when it was last found to be right, without reading its text.
    pub fn peek(&self, key: &str, slot: Slot) -> Result<Option<(Head, u64)>, ShelfError> {
        Ok(open(&self.path(key, slot))?.map(|(_, head, confirmed_ms)| (head, confirmed_ms)))
    }

    /// Puts a copy in its place, whole or not at all.
    pub fn write(&self, key: &str, slot: Slot, mut head: Head, text: &[u8]) -> Result<(), ShelfError> {
        let path = self.path(key, slot);
        head.blake3 = blake3::hash(text).to_hex().to_string();
        let put = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let fresh = path.with_added_extension("new");
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            let mut line = serde_json::to_vec(&head).map_err(io::Error::other)?;
            line.push(b'\n');
            file.write_all(&line)?;
            let mut frame = zstd::stream::write::Encoder::new(&mut file, 3)?;
            frame.write_all(text)?;
            frame.finish()?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        put().map_err(|why| ShelfError::File { path: path.clone(), why })
    }

    /// Notes that the copy in force was found to be right now.
    pub fn confirm(&self, key: &str) -> Result<(), ShelfError> {
        let path = self.path(key, Slot::Good);
        let now = FileTimes::new().set_modified(SystemTime::now());
        let set = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_times(now));
        match set {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(ShelfError::File { path, why }),
            _ => Ok(()),
        }
    }

    /// Puts the copy that is kept back in force; false if there is none.
    pub fn accept(&self, key: &str) -> Result<bool, ShelfError> {
        let Some(mut held) = self.read(key, Slot::Held)? else { return Ok(false) };
        held.head.why.clear();
        self.write(key, Slot::Good, held.head, &held.text)?;
        self.drop_held(key)?;
        Ok(true)
    }

    /// Forgets the copy that is kept back.
    pub fn drop_held(&self, key: &str) -> Result<(), ShelfError> {
        let path = self.path(key, Slot::Held);
        match fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(ShelfError::File { path, why }),
            _ => Ok(()),
        }
    }

    /// Removes copies that belong to none of `keys` and were not right for a month. A list that was taken out of
    /// the configuration by mistake is there again when it is put back.
    pub fn sweep(&self, keys: &[String]) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in files {
            let name = file.file_name().to_string_lossy().into_owned();
            let known = keys.iter().any(|key| name.starts_with(key.as_str()));
            let modified = file.metadata().and_then(|data| data.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            if !known && age > FORGOTTEN {
                // It goes at the next start, then.
                let _ = fs::remove_file(file.path());
            }
        }
    }

    fn path(&self, key: &str, slot: Slot) -> PathBuf {
        let ending = match slot {
            Slot::Good => "copy",
            Slot::Held => "held",
        };
        self.folder.join(key).with_extension(ending)
    }
}

/// The file behind its first line, that line, and the file's time.
fn open(path: &Path) -> Result<Option<(BufReader<File>, Head, u64)>, ShelfError> {
    let failed = |why| ShelfError::File { path: path.to_owned(), why };
    let file = match File::open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let modified = file.metadata().and_then(|data| data.modified()).map_err(failed)?;
    let confirmed_ms = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    file.by_ref().take(MOST_HEAD_BYTES).read_until(b'\n', &mut line).map_err(failed)?;
    match serde_json::from_slice(&line) {
        Ok(head) => Ok(Some((file, head, confirmed_ms))),
        Err(_) => Err(ShelfError::Damaged { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(folder.path());
        (folder, shelf)
    }

    #[test]
    fn a_copy_comes_back_as_it_was_put_and_an_accepted_one_takes_its_place() {
        let (_folder, shelf) = shelf();
        let key = Shelf::key("ads", "https://lists.example/../../etc/passwd");
        assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        assert_ne!(key, Shelf::key("ads2", "https://lists.example/../../etc/passwd"));
        assert_eq!(shelf.read(&key, Slot::Good).unwrap(), None);
        assert!(!shelf.accept(&key).unwrap());
        let head = Head { name: "ads".into(), entries: 1, why: String::new(), ..Head::default() };
        shelf.write(&key, Slot::Good, head.clone(), b"a.example\n").unwrap();
        let mut reader = File::open(shelf.path(&key, Slot::Good)).unwrap();
        let whole = fs::read(shelf.path(&key, Slot::Good)).unwrap();
        shelf.write(&key, Slot::Held, Head { why: "no".into(), ..head }, b"b.example\n").unwrap();
        assert_eq!(shelf.read(&key, Slot::Good).unwrap().unwrap().text, b"a.example\n");
        assert!(shelf.accept(&key).unwrap());
        let good = shelf.read(&key, Slot::Good).unwrap().unwrap();
        assert_eq!((good.text.as_slice(), good.head.why.as_str()), (&b"b.example\n"[..], ""));
        assert_eq!(shelf.peek(&key, Slot::Held).unwrap(), None);
        let mut before = Vec::new();
        reader.read_to_end(&mut before).unwrap();
        assert_eq!(before, whole, "a copy is replaced, never written over");
    }

    #[test]
    fn a_damaged_copy_is_refused_and_a_half_written_one_is_never_seen() {
        let (_folder, shelf) = shelf();
        let key = Shelf::key("ads", "u");
        shelf.write(&key, Slot::Good, Head::default(), b"a.example\nb.example\n").unwrap();
        let path = shelf.path(&key, Slot::Good);
        // As a process leaves it that is killed while it writes.
        fs::write(path.with_added_extension("new"), b"{\"name\":").unwrap();
        assert!(shelf.read(&key, Slot::Good).unwrap().is_some());
        let whole = fs::read(&path).unwrap();
        for cut in [whole.len() - 1, whole.len() - 12, 5, 0] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(shelf.read(&key, Slot::Good), Err(ShelfError::Damaged { .. })), "{cut}");
        }
        let mut changed = whole.clone();
        let at = changed.windows(6).position(|bytes| bytes == b"blake3").unwrap() + 10;
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        fs::write(&path, changed).unwrap();
        assert!(matches!(shelf.read(&key, Slot::Good), Err(ShelfError::Damaged { .. })));
    }

    #[test]
    fn copies_of_lists_that_are_gone_go_after_a_month() {
        let (_folder, shelf) = shelf();
        let keys: Vec<String> = ["kept", "gone", "fresh"].map(|name| Shelf::key(name, "u")).into();
        for key in &keys {
            shelf.write(key, Slot::Good, Head::default(), b"a.example\n").unwrap();
        }
        let old = FileTimes::new().set_modified(SystemTime::now() - 2 * FORGOTTEN);
        for key in &keys[..2] {
            File::options().write(true).open(shelf.path(key, Slot::Good)).unwrap().set_times(old).unwrap();
        }
        shelf.sweep(&keys[..1]);
        let left = keys.iter().map(|key| shelf.read(key, Slot::Good).unwrap().is_some());
        assert_eq!(left.collect::<Vec<_>>(), [true, false, true]);
    }
}
