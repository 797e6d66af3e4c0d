//! Vetting: people's decisions, and how one person alone is kept from turning them against everybody.
//!
//! ```text
//! POST /vetting, /vetting/clusters, `dnsvet vet` ─► names parsed ─► popular in the snapshot in force?
//!    ─► store: in force, or proposed ─► one snapshot for all of them
//! POST /vetting/confirm by another person ─► in force     POST /vetting/undo by an admin ─► as it was before
//! ```
//!
//! A decision that blocks (malicious, honeypot) waits as *proposed* for a second person
//! - if the name is popular: a registrable domain, or its `www.`, in so many popularity lists that no model may block
//!   it either, or
//! - if its author blocked [`MOST_LATELY`] other names within [`LATELY`], and does not own the data folder.
//!
//! A person is an identity: a user, a token, or whoever uses the control socket (`local`), which is open to the owner of
//! the data folder only. Owners write lists as they like, so numbers prove nothing against them; a popular name they may
//! still have mistyped. An admin who is the only person says `alone`: then nothing waits, and the audit trail says
//! `vet alone`. Decisions that free a name, or take one back, never wait.
//!
//! The surprise: a proposal changes no snapshot, so a flood of them costs no compile.

pub mod clusters;
pub mod rows;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use dnsvet_core::name::Name;
use dnsvet_core::snapshot::Snapshot;

use super::{Control, ControlError, Order, now_ms};
use crate::store::StoreError;
use crate::store::control::requests::UnblockAsked;
use crate::store::control::undo::Undone;
use crate::store::control::vetting::{Asked, Batch, Limit, Outcome, Second};
use crate::store::control::{Decision, Identity, Role, Scope, VettedRow};

/// Names that one person may block within [`LATELY`]; further ones wait for a second person.
pub const MOST_LATELY: usize = 20;
/// See [`MOST_LATELY`].
pub const LATELY: Duration = Duration::from_secs(600);
/// Names that may be decided or confirmed at a time.
pub const MOST_TOGETHER: usize = 1_000;
/// The longest note of an unblock request, bytes.
pub const MOST_NOTE_BYTES: usize = 500;

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No name, or too many.
    #[error("{0} names; 1 to {MOST_TOGETHER} are decided at a time")]
    Count(usize),
    /// Someone who is no admin wants to decide alone.
    #[error(
        "`alone` is for the role admin; without it the decision waits for a second person where one is needed"
    )]
    Alone,
    /// A note that can't be kept.
    #[error("note: at most {MOST_NOTE_BYTES} bytes without control characters")]
    Note,
    /// A time that ends before it begins.
    #[error("until_ms is before since_ms")]
    Times,
}

/// What a person decides.
#[derive(Debug, Clone, Copy)]
pub struct Deciding<'a> {
    /// The names, as people write them; one that stands there twice is decided once.
    pub names: &'a [String],
    /// What they are.
    pub decision: Decision,
    /// How far it reaches.
    pub scope: Scope,
    /// Without a second person, whatever the names are; for admins.
    pub alone: bool,
    /// What the audit trail calls them all, if they are decided as one.
    pub together: Option<&'a str>,
}

/// What became of decisions, and the snapshot that is served then.
#[derive(Debug, Clone)]
pub struct Served<T> {
    /// What became of them.
    pub what: T,
    /// The snapshot's serial.
    pub serial: u64,
    /// The snapshot's id.
    pub snapshot: String,
}

impl Control {
    /// Stores decisions, all or none, and waits until the snapshot with those that are in force is served.
    ///
    /// # Errors
    /// If a name is none or a public suffix, `alone` is not allowed, the store fails, or no snapshot could be made
    /// (the decisions are kept).
    pub fn decide(
        &self,
        who: &Identity,
        deciding: Deciding<'_>,
    ) -> Result<Served<Vec<Outcome>>, ControlError> {
        let Deciding { names, decision, scope, alone, together } = deciding;
        allowed(who, names.len(), alone)?;
        let time_ms = now_ms();
        let (mut asked, mut seen) = (Vec::with_capacity(names.len()), HashSet::new());
        for name in names {
            let name = decidable(name, decision, scope)?;
            if !seen.insert(name.as_str().to_owned()) {
                continue;
            }
            let row = VettedRow {
                name: name.as_str().to_owned(),
                decision,
                scope,
                author: who.name.clone(),
                time_ms,
                before: Decision::None,
                confirmed_by: None,
            };
            asked.push(Asked { row, popular: decision.blocks() && self.is_popular(&name) });
        }
        let since_ms = time_ms.saturating_sub(LATELY.as_millis() as u64);
        let most = if who.owns_folder() { usize::MAX } else { MOST_LATELY };
        let limit = (!alone).then_some(Limit { most, since_ms });
        let whole = together.map(|label| {
            format!("{label}: {} names {}: {}", asked.len(), decision.as_str(), first_names(&asked))
        });
        let batch = Batch { asked: &asked, limit, whole: whole.as_deref() };
        let outcomes = self.state.decide_all(who.tenant, batch)?;
        let any = outcomes.iter().any(|outcome| matches!(outcome, Outcome::InForce(_)));
        self.served(outcomes, any)
    }

    /// Puts proposals in force, or drops them if `deny`; all or none.
    ///
    /// # Errors
    /// If nothing of the kind is proposed, `who` proposed it and is not `alone`, the store fails, or no snapshot could
    /// be made.
    pub fn confirm(
        &self,
        who: &Identity,
        names: &[String],
        seen: Option<Decision>,
        deny: bool,
        alone: bool,
    ) -> Result<Served<Vec<VettedRow>>, ControlError> {
        allowed(who, names.len(), alone)?;
        let parsed: BTreeSet<String> =
            names.iter().map(|name| parse(name, Scope::Suffix).map(text)).collect::<Result<_, _>>()?;
        let names: Vec<String> = parsed.into_iter().collect();
        let second = Second { who: &who.name, names: &names, seen, deny, alone, time_ms: now_ms() };
        let rows = self.state.confirm(who.tenant, second)?;
        let any = !rows.is_empty();
        self.served(rows, any)
    }

    /// Takes back what `author` decided and proposed from `since_ms` to `until_ms`.
    ///
    /// # Errors
    /// If the times make none, the store fails, or no snapshot could be made.
    pub fn undo(
        &self,
        who: &Identity,
        author: &str,
        since_ms: u64,
        until_ms: Option<u64>,
    ) -> Result<Served<Undone>, ControlError> {
        let until_ms = until_ms.unwrap_or(u64::MAX);
        if until_ms < since_ms {
            return Err(Refused::Times.into());
        }
        let undone = self.state.undo(who.tenant, author, since_ms..=until_ms, &who.name, now_ms())?;
        let any = !undone.restored.is_empty();
        self.served(undone, any)
    }

    /// Keeps the request of someone who was blocked.
    ///
    /// # Errors
    /// If the name is none or a public suffix, the note is too long, too many requests wait, or the store fails.
    pub fn ask_unblock(&self, who: &Identity, name: &str, note: &str) -> Result<UnblockAsked, ControlError> {
        let note = note.trim();
        if note.len() > MOST_NOTE_BYTES || note.contains(char::is_control) {
            return Err(Refused::Note.into());
        }
        let name = text(decidable(name, Decision::Benign, Scope::Suffix)?);
        let now = now_ms();
        let (author, note) = (who.name.clone(), note.to_owned());
        let asked = UnblockAsked { name, author, note, asked: 1, first_ms: now, last_ms: now };
        Ok(self.state.ask_unblock(who.tenant, &asked)?)
    }

    /// Whether someone asked for the name; refuses if not.
    pub(crate) fn asked_for(&self, who: &Identity, name: &str) -> Result<String, ControlError> {
        let name = text(parse(name, Scope::Suffix)?);
        let requests = self.state.unblock_requests(who.tenant)?;
        let open = requests.iter().any(|request| request.name == name);
        let not_asked = || crate::store::control::vetting::VettingError::NotAsked(name.clone());
        open.then(|| name.clone()).ok_or_else(|| StoreError::from(not_asked()).into())
    }

    /// Closes an unblock request, with what was said to it.
    ///
    /// # Errors
    /// If nobody asked for that, or the store fails.
    pub fn close_request(
        &self,
        who: &Identity,
        name: &str,
        said: &str,
    ) -> Result<UnblockAsked, ControlError> {
        Ok(self.state.close_request(who.tenant, name, &who.name, said, now_ms())?)
    }

    /// Whether the snapshot in force has a registrable domain, or its `www.`, for popular, so that no model may block
    /// it. Other names below a popular one are few people's business.
    fn is_popular(&self, name: &Name) -> bool {
        self.published().is_some_and(|published| is_popular(&published.opened, name))
    }

    /// The snapshot with what changed, or the one in force if nothing did.
    pub(super) fn served<T>(&self, what: T, changed: bool) -> Result<Served<T>, ControlError> {
        let published = match self.published().filter(|_| !changed) {
            Some(published) => published,
            None => self.order(Order::Vetted)?.recv().map_err(|_| ControlError::Closed)??,
        };
        Ok(Served { what, serial: published.serial, snapshot: published.id.clone() })
    }
}

/// Whether a snapshot has a registrable domain, or its `www.`, for popular.
pub(crate) fn is_popular(snapshot: &Snapshot, name: &Name) -> bool {
    let bare = name.as_str().strip_prefix("www.").unwrap_or(name.as_str());
    if name.registrable_domain().is_some_and(|domain| domain != bare) {
        return false;
    }
    snapshot.popularity(name) >= snapshot.policy().popular_lists.max(1)
}

fn allowed(who: &Identity, names: usize, alone: bool) -> Result<(), Refused> {
    if alone && who.role != Role::Admin {
        return Err(Refused::Alone);
    }
    if (1..=MOST_TOGETHER).contains(&names) { Ok(()) } else { Err(Refused::Count(names)) }
}

/// A name as lists write it: `*.` before it means all below it, which a suffix takes along anyway.
fn parse(name: &str, scope: Scope) -> Result<Name, ControlError> {
    let refuse = |why: String| ControlError::Name { name: name.to_owned(), why };
    let text = name.trim();
    let text = if scope == Scope::Suffix { text.strip_prefix("*.").unwrap_or(text) } else { text };
    let parsed = Name::parse(text).map_err(|error| refuse(error.to_string()))?;
    if parsed.is_root() { Err(refuse("it is empty".into())) } else { Ok(parsed) }
}

/// A name that this may be decided on.
fn decidable(name: &str, decision: Decision, scope: Scope) -> Result<Name, ControlError> {
    let parsed = parse(name, scope)?;
    let public = parsed.label_count() < 2 || parsed.registrable_domain().is_none();
    if public && scope == Scope::Suffix && decision != Decision::None {
        let why = "it is a public suffix, and would decide everybody's names under it; say exact, or put it in a list";
        return Err(ControlError::Name { name: name.to_owned(), why: why.into() });
    }
    Ok(parsed)
}

fn text(name: Name) -> String {
    name.as_str().to_owned()
}

/// The first names of many, for one line of the audit trail; each has a line of its own besides.
fn first_names(asked: &[Asked]) -> String {
    let mut names: Vec<&str> = asked.iter().take(5).map(|asked| asked.row.name.as_str()).collect();
    if asked.len() > names.len() {
        names.push("...");
    }
    names.join(" ")
}
