//! One look at a list: whether there is something new, and whether it may come in.
//!
//! ```text
//! URL  ─► fetch ─► the same text? ─► judge ─┬─► shelf, in force ─► Changed
//!                        └─► Unchanged      └─► shelf, held     ─► Held
//! file ─► time and size ─► hash ────────────────────────────────► Changed
//! ```
//!
//! A person's own file is never kept back: who writes it has looked at it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use url::Url;

use super::error::FetchError;
use super::fetch::{Fetched, Fetcher, Validators, Wanted};
use super::guard::{self, Fresh};
use super::shelf::{Copy, Head, Shelf, ShelfError, Slot};
use crate::config::ListConfig;
use crate::lists::{Transfer, regular};
use crate::store::now_ms;
use crate::xfr::{self, Zone};

/// Why a look gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The folder of copies.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A file.
    #[error("its file can't be read ({0}); what was read last stays in force")]
    File(io::Error),
    /// A fault of ours.
    #[error("the look at it failed ({0}); this is a fault of dnsvet, please report it")]
    Fault(#[from] tokio::task::JoinError),
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// What is in force is what is there.
    Unchanged,
    /// Something new, to be compiled.
    Changed,
    /// Something new that a person should look at, or that nobody has looked at yet.
    Held,
}

/// What looks need.
#[derive(Clone)]
pub struct Tools {
    /// Fetches.
    pub fetcher: Fetcher,
    /// Keeps.
    pub shelf: Shelf,
}

/// What a file was when it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    modified: SystemTime,
    bytes: u64,
    hash: Option<blake3::Hash>,
}

impl Stamp {
    /// Time and size only, so that a start does not read all files twice.
    pub fn of(path: &Path) -> io::Result<Self> {
        let data = regular(path)?;
        Ok(Self { modified: data.modified()?, bytes: data.len(), hash: None })
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.modified, self.bytes) == (other.modified, other.bytes)
    }
}

/// Looks at a file. A file that was written again with the same text has not changed.
pub fn file(path: &Path, before: Option<Stamp>) -> io::Result<(Looked, Stamp)> {
    let mut now = Stamp::of(path)?;
    if let Some(before) = before.filter(|before| before.is_like(&now) && before.hash.is_some()) {
        return Ok((Looked::Unchanged, before));
    }
    now.hash = Some(hash(File::open(path)?)?);
    let is_same = before.is_some_and(|before| before.is_like(&now) || before.hash == now.hash);
    Ok((if is_same { Looked::Unchanged } else { Looked::Changed }, now))
}

fn hash(mut file: File) -> io::Result<blake3::Hash> {
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some(bytes @ [_, ..]) => hasher.update(bytes),
            _ => return Ok(hasher.finalize()),
        };
    }
}

/// Looks at a URL.
pub async fn url(
    tools: &Tools,
    list: &ListConfig,
    url: &Url,
    all: Arc<[ListConfig]>,
) -> Result<Looked, LookError> {
    let key = Shelf::key(&list.name, url.as_str());
    let (shelf, at) = (tools.shelf.clone(), key.clone());
    let (good, held) = tokio::task::spawn_blocking(move || -> Result<_, ShelfError> {
        Ok((whole(shelf.read(&at, Slot::Good))?, whole(shelf.peek(&at, Slot::Held))?))
    })
    .await??;
    // Of the copy that came last: the server tells only whether there is a newer one.
    let last = held.as_ref().map(|(head, _)| head).or(good.as_ref().map(|good| &good.head));
    let wanted = Wanted {
        url: url.clone(),
        validators: last.map(|head| head.validators.clone()).unwrap_or_default(),
        allow_private: list.allow_private,
        most_bytes: list.most_bytes,
    };
    let arrived = match tools.fetcher.fetch(&wanted).await? {
        Fetched::Unchanged => None,
        Fetched::Fresh { text, validators, content_type } => Some(Arrived { text, validators, content_type }),
    };
    put_by(tools, list, url.to_string(), all, (good, held.map(|(head, _)| head)), arrived).await
}

/// Looks at a zone: only what differs from the last good copy is transferred, where its primary can say that.
pub async fn transfer(
    tools: &Tools,
    list: &ListConfig,
    wanted: &Transfer,
    all: Arc<[ListConfig]>,
) -> Result<Looked, LookError> {
    let place = list.source.place.to_string();
    let (shelf, at) = (tools.shelf.clone(), Shelf::key(&list.name, &place));
    let (good, held, have) = tokio::task::spawn_blocking(move || -> Result<_, ShelfError> {
        let good = whole(shelf.read(&at, Slot::Good))?;
        let held = whole(shelf.peek(&at, Slot::Held))?.map(|(head, _)| head);
        let text = good.as_ref().and_then(|good| std::str::from_utf8(&good.text).ok());
        let have = text.and_then(|text| Zone::parse_master_text(text).ok());
        Ok((good, held, have))
    })
    .await??;
    let limits = (list.allow_private, list.most_bytes);
    let arrived = match tools.fetcher.transfer(wanted, list.key(), limits, have.as_ref()).await? {
        xfr::Fetched::Unchanged { .. } => None,
        xfr::Fetched::Zone { zone, way } => {
            tracing::debug!(list = list.name, serial = %zone.serial(), ?way, "a zone was transferred");
            let text = tokio::task::spawn_blocking(move || zone.to_master_text().into_bytes()).await?;
            Some(Arrived { text, validators: Validators::default(), content_type: String::new() })
        }
    };
    put_by(tools, list, place, all, (good, held), arrived).await
}

/// Keeps what arrived; nothing has if what is at hand is still right.
async fn put_by(
    tools: &Tools,
    list: &ListConfig,
    place: String,
    all: Arc<[ListConfig]>,
    (good, held): (Option<Copy>, Option<Head>),
    arrived: Option<Arrived>,
) -> Result<Looked, LookError> {
    let key = Shelf::key(&list.name, &place);
    let Some(arrived) = arrived else {
        tools.shelf.confirm(&key)?;
        return Ok(if held.is_some() { Looked::Held } else { Looked::Unchanged });
    };
    let (shelf, list) = (tools.shelf.clone(), list.clone());
    let kept =
        tokio::task::spawn_blocking(move || keep(&shelf, &key, &list, &place, (good, held), arrived, &all));
    Ok(kept.await??)
}

/// A text as it came.
struct Arrived {
    text: Vec<u8>,
    validators: Validators,
    content_type: String,
}

/// Puts what came where it belongs.
fn keep(
    shelf: &Shelf,
    key: &str,
    list: &ListConfig,
    place: &str,
    (good, held): (Option<Copy>, Option<Head>),
    arrived: Arrived,
    all: &[ListConfig],
) -> Result<Looked, ShelfError> {
    let Arrived { text, validators, content_type } = arrived;
    let hash = blake3::hash(&text).to_hex().to_string();
    if let Some(good) = good.as_ref().filter(|good| good.head.blake3 == hash) {
        shelf.drop_held(key)?;
        if good.head.validators == validators {
            shelf.confirm(key)?;
        } else {
            shelf.write(key, Slot::Good, Head { validators, ..good.head.clone() }, &text)?;
        }
        return Ok(Looked::Unchanged);
    }
    let known = held.filter(|held| held.blake3 == hash);
    let fresh = Fresh { text: &text, content_type: &content_type };
    let (entries, doubt) = guard::judge(list, good.as_ref(), fresh, || guard::popular_names(all, shelf));
    let (name, since_ms) = (list.name.clone(), known.as_ref().map_or_else(now_ms, |known| known.since_ms));
    let mut head = Head {
        name,
        url: place.to_owned(),
        validators,
        content_type,
        since_ms,
        entries,
        why: String::new(),
        blake3: hash,
    };
    match doubt {
        None => {
            shelf.write(key, Slot::Good, head, &text)?;
            shelf.drop_held(key)?;
            Ok(Looked::Changed)
        }
        Some(doubt) => {
            head.why = doubt.to_string();
            if known.is_none() {
                let list = &list.name;
                tracing::warn!(
                    list,
                    why = head.why,
                    "a fresh copy is kept back; `dnsvet lists accept` takes it"
                );
            }
            shelf.write(key, Slot::Held, head, &text)?;
            shelf.confirm(key)?;
            Ok(Looked::Held)
        }
    }
}

/// A damaged copy is as good as none: it is fetched again.
fn whole<T>(read: Result<Option<T>, ShelfError>) -> Result<Option<T>, ShelfError> {
    match read {
        Err(error @ ShelfError::Damaged { .. }) => {
            tracing::warn!(%error, "a copy of a list can't be used");
            Ok(None)
        }
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_changed_if_its_text_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let write = |text: &str, age_s: u64| {
            std::fs::write(&path, text).unwrap();
            let at = SystemTime::now() - std::time::Duration::from_secs(age_s);
            File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        };
        write("a.example\n", 100);
        let first = Stamp::of(&path).unwrap();
        let (looked, stamp) = file(&path, Some(first)).unwrap();
        assert_eq!(looked, Looked::Unchanged);
        write("a.example\n", 50);
        let (looked, stamp) = file(&path, Some(stamp)).unwrap();
        assert_eq!(looked, Looked::Unchanged, "written again, with the same text");
        write("b.example\n", 10);
        let (looked, stamp) = file(&path, Some(stamp)).unwrap();
        assert_eq!(looked, Looked::Changed);
        write("a.example\n", 5);
        assert_eq!(file(&path, Some(first)).unwrap().0, Looked::Changed, "its text was never hashed");
        std::fs::remove_file(&path).unwrap();
        assert!(file(&path, Some(stamp)).is_err());
    }
}
