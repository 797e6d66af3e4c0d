//! Decisions as they are stored: what is in force at once, what waits for a second person, what is taken back.
//!
//! ```text
//! asked ─► popular? too many lately? ─┬ no ──► vetted (in force) + decisions (who decided what over what)
//!                                     └ yes ─► proposed ─► confirmed by another person ─► vetted + decisions
//! undo: one author's decisions in a time, out of each name's chain of decisions ─► vetted as it was before
//! ```
//!
//! Its main type is [`VettingStore`]. The surprise: how many an author decided lately is counted in the transaction
//! that stores the next one, so that requests sent side by side don't slip past the limit together.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::proposals;
use super::requests::{self, UnblockAsked};
use super::undo::{self, Undone};
use super::{Decision, Scope, SqliteControl, VettedRow, add_audit};
use crate::store::{StoreError, Tenant};
use dnsvet_core::snapshot::MOST_VETTED;

/// Decisions that can be undone; older ones are forgotten.
const MOST_UNDOABLE: i64 = 200_000;

/// Why nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VettingError {
    /// Nobody proposed that.
    #[error("nothing is proposed for `{0}`; `GET /api/v1/vetting` lists what is")]
    NotProposed(String),
    /// The one who proposed it may not be the one who confirms it.
    #[error(
        "you proposed `{0}` yourself; another person with the role vetter or admin confirms it, or an admin decides alone"
    )]
    Own(String),
    /// Somebody else proposed something else for the name.
    #[error("`{name}` is proposed as {proposed} by {author}; confirm or deny that first")]
    Otherwise {
        /// The name.
        name: String,
        /// What is proposed, with its scope.
        proposed: String,
        /// By whom.
        author: String,
    },
    /// Too many proposals wait.
    #[error(
        "{most} proposals wait, the most that one author, or all, may have; have them confirmed or denied first"
    )]
    ProposalsFull {
        /// How many.
        most: usize,
    },
    /// Too many unblock requests wait.
    #[error(
        "{most} unblock requests wait, the most that one author, or all, may have; they are decided first"
    )]
    RequestsFull {
        /// How many.
        most: usize,
    },
    /// Nobody asked for that.
    #[error("nobody asked to unblock `{0}`")]
    NotAsked(String),
}

/// Why a decision waits for a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The name is popular.
    Popular,
    /// Its author blocked too many names lately.
    Many,
}

impl Why {
    /// The word in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Popular => "popular",
            Why::Many => "many",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        if word == "popular" { Why::Popular } else { Why::Many }
    }
}

/// A decision that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The name.
    pub name: String,
    /// What was decided.
    pub decision: Decision,
    /// How far it would reach.
    pub scope: Scope,
    /// Who decided.
    pub author: String,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// Why it waits.
    pub why: Why,
}

/// A decision on its way in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The decision; what was before is found out.
    pub row: VettedRow,
    /// Whether its name is popular.
    pub popular: bool,
}

/// How many names one author may block.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// So many.
    pub most: usize,
    /// Since then, milliseconds since 1970.
    pub since_ms: u64,
}

/// Decisions of one author that are stored together, all or none.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The decisions.
    pub asked: &'a [Asked],
    /// What makes them wait for a second person; `None`: nothing does, an admin decides alone.
    pub limit: Option<Limit>,
    /// What the audit trail says of the whole, besides a line for each.
    pub whole: Option<&'a str>,
}

/// What became of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force from the next snapshot on.
    InForce(VettedRow),
    /// It waits for a second person.
    Proposed(Proposal),
}

/// What a second person says of proposals.
#[derive(Debug, Clone, Copy)]
pub struct Second<'a> {
    /// Who that is.
    pub who: &'a str,
    /// The names.
    pub names: &'a [String],
    /// What they saw proposed; anything else is refused. `None`: whatever it is.
    pub seen: Option<Decision>,
    /// They are against it.
    pub deny: bool,
    /// An admin who may confirm what they proposed themselves.
    pub alone: bool,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
}

/// Keeps decisions, proposals and unblock requests.
pub trait VettingStore: Send + Sync {
    /// Stores decisions of one author, all or none, with their audit lines.
    fn decide_all(&self, tenant: Tenant, batch: Batch<'_>) -> Result<Vec<Outcome>, StoreError>;
    /// The newest proposals, and how many there are.
    fn proposed(&self, tenant: Tenant, limit: usize) -> Result<(Vec<Proposal>, u64), StoreError>;
    /// Puts proposals in force, or drops them; all or none. Returns the decisions that are in force then.
    fn confirm(&self, tenant: Tenant, second: Second<'_>) -> Result<Vec<VettedRow>, StoreError>;
    /// Takes back what one author decided or proposed in a time, and leaves each name as if that had never been.
    fn undo(
        &self,
        tenant: Tenant,
        author: &str,
        times_ms: RangeInclusive<u64>,
        who: &str,
        now_ms: u64,
    ) -> Result<Undone, StoreError>;
    /// Stores an unblock request, or counts it if the name is asked for already. Returns it as it stands.
    fn ask_unblock(&self, tenant: Tenant, asked: &UnblockAsked) -> Result<UnblockAsked, StoreError>;
    /// Open unblock requests, most asked first.
    fn unblock_requests(&self, tenant: Tenant) -> Result<Vec<UnblockAsked>, StoreError>;
    /// Closes an unblock request; `said` goes into the audit trail.
    fn close_request(
        &self,
        tenant: Tenant,
        name: &str,
        who: &str,
        said: &str,
        now_ms: u64,
    ) -> Result<UnblockAsked, StoreError>;
}

impl VettingStore for SqliteControl {
    fn decide_all(&self, tenant: Tenant, batch: Batch<'_>) -> Result<Vec<Outcome>, StoreError> {
        self.whole(|transaction| decide_all(transaction, tenant, batch))
    }

    fn proposed(&self, tenant: Tenant, limit: usize) -> Result<(Vec<Proposal>, u64), StoreError> {
        self.with(|connection| proposals::newest(connection, tenant, limit))
    }

    fn confirm(&self, tenant: Tenant, second: Second<'_>) -> Result<Vec<VettedRow>, StoreError> {
        self.whole(|transaction| proposals::confirm(transaction, tenant, second))
    }

    fn undo(
        &self,
        tenant: Tenant,
        author: &str,
        times_ms: RangeInclusive<u64>,
        who: &str,
        now_ms: u64,
    ) -> Result<Undone, StoreError> {
        self.whole(|transaction| {
            let undone = undo::undo(transaction, tenant, author, &times_ms, who, now_ms)?;
            Ok(room(transaction, tenant)?.map(|()| undone))
        })
    }

    fn ask_unblock(&self, tenant: Tenant, asked: &UnblockAsked) -> Result<UnblockAsked, StoreError> {
        self.whole(|transaction| requests::ask(transaction, tenant, asked))
    }

    fn unblock_requests(&self, tenant: Tenant) -> Result<Vec<UnblockAsked>, StoreError> {
        self.with(|connection| requests::open(connection, tenant))
    }

    fn close_request(
        &self,
        tenant: Tenant,
        name: &str,
        who: &str,
        said: &str,
        now_ms: u64,
    ) -> Result<UnblockAsked, StoreError> {
        self.whole(|transaction| requests::close(transaction, tenant, name, (who, said, now_ms)))
    }
}

/// What a transaction gave, or why it is rolled back.
pub(super) type Done<T> = rusqlite::Result<Result<T, StoreError>>;

fn decide_all(transaction: &Transaction<'_>, tenant: Tenant, batch: Batch<'_>) -> Done<Vec<Outcome>> {
    let Some(first) = batch.asked.first() else { return Ok(Ok(Vec::new())) };
    let (author, time_ms) = (first.row.author.as_str(), first.row.time_ms);
    let mut lately = match batch.limit {
        Some(limit) => blocked_lately(transaction, tenant, author, limit.since_ms)?,
        None => HashSet::new(),
    };
    let mut outcomes = Vec::with_capacity(batch.asked.len());
    for Asked { row, popular } in batch.asked {
        let before = current(transaction, tenant, &row.name)?;
        let stands = before.as_ref().is_some_and(|b| (b.decision, b.scope) == (row.decision, row.scope));
        let why = match batch.limit {
            Some(limit) if row.decision.blocks() && !stands => {
                let many = lately.len() >= limit.most && !lately.contains(&row.name);
                if *popular { Some(Why::Popular) } else { many.then_some(Why::Many) }
            }
            _ => None,
        };
        if let Some(why) = why {
            match proposals::propose(transaction, tenant, row, why)? {
                Ok(proposal) => outcomes.push(Outcome::Proposed(proposal)),
                Err(error) => return Ok(Err(error.into())),
            }
            continue;
        }
        if row.decision.blocks() {
            lately.insert(row.name.clone());
        }
        let alone = batch.limit.is_none();
        let row = put(transaction, tenant, row, before, alone)?;
        let (word, was) = (row.decision.as_str(), row.before.as_str());
        let what = if alone { "vet alone" } else { "vet" };
        let detail = format!("{} {word} (before: {was})", row.name);
        add_audit(transaction, tenant, time_ms, author, what, &detail)?;
        outcomes.push(Outcome::InForce(row));
    }
    if let Some(whole) = batch.whole {
        add_audit(transaction, tenant, time_ms, author, "vet together", whole)?;
    }
    if let Some(most) = proposals::too_many(transaction, tenant, author)? {
        return Ok(Err(VettingError::ProposalsFull { most }.into()));
    }
    Ok(room(transaction, tenant)?.map(|()| outcomes))
}

/// Names that an author blocked since a time by themselves: neither confirmed by a second person nor decided alone.
fn blocked_lately(
    connection: &Connection,
    tenant: Tenant,
    author: &str,
    since_ms: u64,
) -> rusqlite::Result<HashSet<String>> {
    let sql = "SELECT DISTINCT name FROM decisions WHERE tenant_id = ?1 AND author = ?2 AND time_ms > ?3
      AND confirmed = 0 AND alone = 0 AND decision IN ('malicious', 'honeypot')";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![tenant.0, author, since_ms as i64], |row| row.get(0))?;
    rows.collect()
}

/// The decision in force on a name.
pub(super) fn current(
    connection: &Connection,
    tenant: Tenant,
    name: &str,
) -> rusqlite::Result<Option<VettedRow>> {
    let sql = format!("{VETTED} WHERE tenant_id = ?1 AND name = ?2");
    connection.prepare_cached(&sql)?.query_row(params![tenant.0, name], vetted).optional()
}

/// Puts a decision in force, remembers what was before it, and drops what was proposed for the name.
pub(super) fn put(
    connection: &Connection,
    tenant: Tenant,
    row: &VettedRow,
    before: Option<VettedRow>,
    alone: bool,
) -> rusqlite::Result<VettedRow> {
    let was = before.as_ref().map_or(Decision::None, |before| before.decision);
    let row = VettedRow { before: was, ..row.clone() };
    let drop_proposal = "DELETE FROM proposed WHERE tenant_id = ?1 AND name = ?2";
    connection.prepare_cached(drop_proposal)?.execute(params![tenant.0, row.name])?;
    if before.is_some() || row.decision != Decision::None {
        let before = before.and_then(|before| serde_json::to_string(&before).ok()).unwrap_or_default();
        let sql = "INSERT INTO decisions VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        connection.prepare_cached(sql)?.execute(params![
            tenant.0,
            row.name,
            row.decision.as_str(),
            row.author,
            row.confirmed_by.is_some(),
            alone,
            row.time_ms as i64,
            before
        ])?;
        let oldest = connection.last_insert_rowid() - MOST_UNDOABLE;
        connection.prepare_cached("DELETE FROM decisions WHERE id <= ?1")?.execute(params![oldest])?;
    }
    set(connection, tenant, &row.name, Some(&row))?;
    Ok(row)
}

/// Makes a row the one in force on a name; none, or one that takes back, leaves the name undecided.
pub(super) fn set(
    connection: &Connection,
    tenant: Tenant,
    name: &str,
    row: Option<&VettedRow>,
) -> rusqlite::Result<()> {
    let Some(row) = row.filter(|row| row.decision != Decision::None) else {
        let sql = "DELETE FROM vetted WHERE tenant_id = ?1 AND name = ?2";
        connection.prepare_cached(sql)?.execute(params![tenant.0, name])?;
        return Ok(());
    };
    let sql = "INSERT OR REPLACE INTO vetted (tenant_id, name, decision, exact, author, time_ms, before, confirmed_by)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        tenant.0,
        name,
        row.decision.as_str(),
        row.scope == Scope::Exact,
        row.author,
        row.time_ms as i64,
        row.before.as_str(),
        row.confirmed_by.as_deref().unwrap_or_default()
    ])?;
    Ok(())
}

/// Refuses more decisions than a snapshot holds: stored, they would stop every compile.
pub(super) fn room(connection: &Connection, tenant: Tenant) -> Done<()> {
    let sql = "SELECT count(*) FROM vetted WHERE tenant_id = ?1";
    let count: i64 = connection.prepare_cached(sql)?.query_row(params![tenant.0], |row| row.get(0))?;
    let most = MOST_VETTED;
    Ok(if count as usize > most { Err(StoreError::DecisionsFull { most }) } else { Ok(()) })
}

/// Columns of [`vetted`].
pub(super) const VETTED: &str =
    "SELECT name, decision, exact, author, time_ms, before, confirmed_by FROM vetted";

/// A row of [`VETTED`].
pub(super) fn vetted(row: &Row<'_>) -> rusqlite::Result<VettedRow> {
    Ok(VettedRow {
        name: row.get(0)?,
        decision: Decision::of(&row.get::<_, String>(1)?),
        scope: scope(row.get(2)?),
        author: row.get(3)?,
        time_ms: row.get::<_, i64>(4)? as u64,
        before: Decision::of(&row.get::<_, String>(5)?),
        confirmed_by: Some(row.get::<_, String>(6)?).filter(|who| !who.is_empty()),
    })
}

pub(super) fn scope(exact: bool) -> Scope {
    if exact { Scope::Exact } else { Scope::Suffix }
}

#[cfg(test)]
mod tests;
