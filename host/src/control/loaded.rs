//! Lists in a builder: only what changed is read into it again.
//!
//! ```text
//! configuration ─► wanted lists ─┬─ the same as before: texts that changed replace theirs ─► small overlay
//!                                └─ others: a fresh builder ──────────────────────────────► new name map
//! ```
//!
//! Its surprise: a text is looked at before the builder is touched, so a bad one leaves its list as it was.

use std::io;
use std::path::Path;

use dnsvet_core::lists::Format;
use dnsvet_core::model::Brands;
use dnsvet_core::policy::Policy;
use dnsvet_core::snapshot::{Builder, ListInfo, Role};

use super::compile::CompileError;
use super::subscription::shelf::{Shelf, Slot};
use super::{ListStatus, own};
use crate::bundled::{self, BundledList};
use crate::config::Config;
use crate::explain::{IndexFolder, IndexedList};
use crate::lists::{self, ListReport, ListSource, Place, Told};

/// A list that the configuration asks for.
pub(super) struct Wanted {
    info: ListInfo,
    source: ListSource,
    from: From,
}

/// Where a list's text is.
enum From {
    /// Here.
    Text(String),
    /// In the file that its source names.
    File,
    /// The last good copy, on the shelf.
    Shelf,
    /// In the program.
    Program(&'static BundledList),
}

/// A text, and what it is known by.
struct Text {
    digest: blake3::Hash,
    bytes: Vec<u8>,
}

/// The lists of a configuration, in the order of the snapshot.
pub(super) fn wanted(config: &Config, shelf: &Shelf) -> Vec<Wanted> {
    let own = own::lists(config).into_iter().map(|(info, text)| {
        let place = own::place(&info);
        let source = ListSource { role: info.role, format: Some(Format::Adblock), place };
        Wanted { info, source, from: From::Text(text) }
    });
    let listed = config.lists.iter().map(|list| {
        let from = if matches!(list.source.place, Place::File(_)) { From::File } else { From::Shelf };
        Wanted { info: list.info(), source: list.source.clone(), from }
    });
    let mut wanted: Vec<Wanted> = own.chain(listed).collect();
    // Without popular names nothing would keep a model from blocking them, so those are never left out.
    let has_popular = wanted.iter().any(|list| list.source.role == Role::Popular && list.is_here(shelf));
    let missing = bundled::lists()
        .iter()
        .filter(|list| config.lists.is_empty() || list.role == Role::Popular && !has_popular);
    wanted.extend(missing.map(|list| Wanted {
        info: list.info(),
        source: list.source(),
        from: From::Program(list),
    }));
    wanted
}

impl Wanted {
    /// Whether there is a text of it.
    fn is_here(&self, shelf: &Shelf) -> bool {
        match self.from {
            From::Shelf => matches!(shelf.peek(&self.shelf_key(), Slot::Good), Ok(Some(_))),
            _ => true,
        }
    }

    fn shelf_key(&self) -> String {
        Shelf::key(&self.info.name, &self.source.place.to_string())
    }

    /// The text as it is in force: a file as it is now, of a URL the last good copy; `None` if it is the known one.
    /// A list that was never fetched is empty, so that it has a place in the overview.
    fn read(&self, shelf: &Shelf, known: Option<blake3::Hash>) -> Result<Option<Text>, CompileError> {
        let digested = |bytes: Vec<u8>| Text { digest: blake3::hash(&bytes), bytes };
        let text = match &self.from {
            From::Program(_) if known.is_some() => None,
            From::Program(list) => Some(digested(list.text().map_err(CompileError::Bundled)?)),
            From::Text(text) => Some(digested(text.clone().into_bytes())),
            From::Shelf => match shelf.read(&self.shelf_key(), Slot::Good) {
                Ok(copy) => Some(digested(copy.map(|copy| copy.text).unwrap_or_default())),
                Err(error) => {
                    let list = &self.info.name;
                    tracing::warn!(list, %error, "a list is empty until it is fetched again");
                    Some(digested(Vec::new()))
                }
            },
            From::File => {
                let Place::File(path) = &self.source.place else { return Ok(None) };
                let packed = lists::read_packed(path)?;
                let digest = blake3::hash(&packed);
                let changed = known != Some(digest);
                changed
                    .then(|| Ok::<_, CompileError>(Text { digest, bytes: lists::unpacked(path, packed)? }))
                    .transpose()?
            }
        };
        Ok(text.filter(|text| known != Some(text.digest)))
    }

    /// Refuses a file that was clearly written in another format than it is read as.
    fn check(&self, text: &Text) -> Result<(), CompileError> {
        if lists::has_rules(self.source.format, &text.bytes) {
            return Ok(());
        }
        let mut scratch = Builder::new(0, [0; 16]);
        let report = lists::add_text(&mut scratch, self.info.clone(), &self.source, &text.bytes);
        Ok(refuse_without_rules(&report)?)
    }
}

/// What stays in memory between two snapshots.
pub(super) struct Loaded {
    pub(super) builder: Builder,
    lists: Vec<InForce>,
    /// The policy of the configuration, with what holds for a while.
    pub(super) policy: Policy,
    /// BLAKE3 of the small model in the builder.
    pub(super) model: Option<String>,
}

/// A list in the builder.
struct InForce {
    info: ListInfo,
    source: ListSource,
    digest: blake3::Hash,
    status: ListStatus,
    /// Its text, until the index has it.
    text: Option<Vec<u8>>,
    /// What of the text need not be read again.
    told: Told,
}

impl Loaded {
    /// All wanted lists in a fresh builder, with brands and without a model.
    pub(super) fn fresh(
        wanted: &[Wanted],
        shelf: &Shelf,
        key_seed: [u8; 16],
        policy: Policy,
    ) -> Result<Self, CompileError> {
        let builder = Builder::new(0, key_seed);
        let mut loaded = Self { builder, lists: Vec::new(), policy, model: None };
        for list in wanted {
            let Some(text) = list.read(shelf, None)? else { continue };
            let (mut told, name) = (Told::default(), list.info.name.clone());
            let number = loaded.builder.add_list(list.info.clone());
            let report = lists::fill(&mut loaded.builder, number, name, &list.source, &text.bytes, &mut told);
            refuse_without_rules(&report)?;
            loaded.lists.push(InForce {
                info: list.info.clone(),
                source: list.source.clone(),
                digest: text.digest,
                status: status(report),
                text: Some(text.bytes),
                told,
            });
        }
        let brands = bundled::brand_names().map_err(CompileError::Bundled)?;
        let brands = String::from_utf8_lossy(&brands);
        loaded.builder.brands(Brands::from_popular(brands.lines()).encode());
        Ok(loaded)
    }

    /// Whether these are the lists of the builder, whatever their texts are.
    pub(super) fn is_of(&self, wanted: &[Wanted]) -> bool {
        let held = self.lists.iter().map(|list| (&list.info, &list.source));
        held.eq(wanted.iter().map(|list| (&list.info, &list.source)))
    }

    /// Takes the texts that changed. A list whose text can't be taken stays as it was, and its status says why: it
    /// must not keep the others from changing.
    pub(super) fn update(&mut self, wanted: &[Wanted], shelf: &Shelf) {
        for (number, (held, list)) in (0..).zip(self.lists.iter_mut().zip(wanted)) {
            let read = list.read(shelf, Some(held.digest));
            let checked = read.and_then(|text| text.map(|text| list.check(&text).map(|()| text)).transpose());
            match checked {
                Ok(None) => held.status.not_taken = None,
                Ok(Some(text)) => {
                    self.builder.clear_list(number);
                    let name = held.info.name.clone();
                    let (source, told) = (&held.source, &mut held.told);
                    held.status =
                        status(lists::fill(&mut self.builder, number, name, source, &text.bytes, told));
                    (held.digest, held.text) = (text.digest, Some(text.bytes));
                }
                Err(error) => {
                    let list = &held.info.name;
                    tracing::warn!(list, %error, "what was read of a list last stays in force");
                    held.status.not_taken = Some(error.to_string());
                }
            }
        }
    }

    /// The lists as the overview shows them, with the entries that a snapshot counted.
    pub(super) fn statuses(&self, counted: &[ListInfo]) -> Vec<ListStatus> {
        let lists = self.lists.iter().zip(counted);
        lists.map(|(list, info)| ListStatus { entries: info.entries, ..list.status.clone() }).collect()
    }

    /// Writes where entries stand, of lists that changed since the last time.
    pub(super) fn index(&mut self, data_dir: &Path) -> io::Result<()> {
        if self.lists.iter().all(|list| list.text.is_none()) {
            return Ok(());
        }
        let folder = IndexFolder::of(data_dir)?;
        for list in &mut self.lists {
            let Some(text) = list.text.take() else { continue };
            folder.put(&list.key(), |places| lists::index(places, list.source.format, &text))?;
        }
        let named = self.lists.iter().map(|list| IndexedList {
            name: list.info.name.clone(),
            source: list.source.place.to_string(),
            key: list.key(),
        });
        folder.publish(&named.collect::<Vec<_>>())
    }
}

impl InForce {
    /// What its text, and how that is read, are known by.
    fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("dnsvet 2026 list index key");
        hasher.update(self.digest.as_bytes());
        hasher.update(self.source.format.map_or("", Format::as_str).as_bytes());
        hasher.finalize().to_hex().as_str().chars().take(32).collect()
    }
}

/// An error if a file's lines are clearly of another format. What was fetched was looked at when it came: one bad
/// list out there must not stop the others here.
fn refuse_without_rules(report: &ListReport) -> Result<(), lists::CompileError> {
    match report.place {
        Place::File(_) => report.refuse_without_rules(),
        _ => Ok(()),
    }
}

/// A report as the overview shows it.
fn status(report: ListReport) -> ListStatus {
    let first_rejected = report.complaints().next();
    let counts = report.counts;
    if let Some(first) = &first_rejected {
        tracing::warn!(list = report.name, rejected = counts.rejected, first, "lines of a list were skipped");
    }
    let (name, role) = (report.name, report.role.as_str().to_owned());
    let (entries, rejected) = (counts.entries, counts.rejected);
    ListStatus { name, role, entries, rejected, first_rejected, ..ListStatus::default() }
}
