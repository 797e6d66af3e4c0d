//! Undo: one author's decisions in a time are taken out, and each name is left as if they had never been made.
//!
//! ```text
//! x.example:  none ─► ana: malicious ─► bob: benign ─► ana: malicious        undo of ana:
//!             none ───────────────────► bob: benign                          bob's is in force, and over none
//! ```
//!
//! The surprise: a decision that somebody else made later stays, but what it would be taken back to changes.

use std::ops::RangeInclusive;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::vetting::{current, set};
use super::{Decision, VettedRow, add_audit};
use crate::store::Tenant;

/// What an undo did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Names with what is decided on them now.
    pub restored: Vec<Restored>,
    /// Names on which somebody else decided later; that stays.
    pub kept: Vec<String>,
    /// Names whose proposals were dropped.
    pub proposals: Vec<String>,
}

/// A name whose decision was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The name.
    pub name: String,
    /// What is decided on it now.
    pub decision: Decision,
}

/// Takes back what `author` decided and proposed in a time, with an audit line for each name and one for the whole.
pub(super) fn undo(
    connection: &Connection,
    tenant: Tenant,
    author: &str,
    times_ms: &RangeInclusive<u64>,
    who: &str,
    now_ms: u64,
) -> rusqlite::Result<Undone> {
    let (from, to) = (sql_time(*times_ms.start()), sql_time(*times_ms.end()));
    let window = params![tenant.0, author, from, to];
    let names = |sql: &str| -> rusqlite::Result<Vec<String>> {
        connection.prepare(sql)?.query_map(window, |row| row.get(0))?.collect()
    };
    let mut undone = Undone::default();
    let sql = "SELECT DISTINCT name FROM decisions
      WHERE tenant_id = ?1 AND author = ?2 AND time_ms BETWEEN ?3 AND ?4 ORDER BY name";
    for name in names(sql)? {
        let decided = |entry: &Entry| entry.author == author && (from..=to).contains(&entry.time_ms);
        match take_out(connection, tenant, &name, decided)? {
            Some(decision) => {
                let detail = format!("{name} of {author} taken back (now: {})", decision.as_str());
                add_audit(connection, tenant, now_ms, who, "undo", &detail)?;
                undone.restored.push(Restored { name, decision });
            }
            None => undone.kept.push(name),
        }
    }
    let sql = "DELETE FROM proposed
      WHERE tenant_id = ?1 AND author = ?2 AND time_ms BETWEEN ?3 AND ?4 RETURNING name";
    undone.proposals = names(sql)?;
    undone.proposals.sort_unstable();
    for name in &undone.proposals {
        let detail = format!("{name}, proposed by {author}, dropped");
        add_audit(connection, tenant, now_ms, who, "undo", &detail)?;
    }
    let (restored, kept) = (undone.restored.len(), undone.kept.len());
    let proposals = undone.proposals.len();
    let detail = format!(
        "{author}, {from} to {to}: {restored} taken back, {proposals} proposals dropped, {kept} decided anew since"
    );
    add_audit(connection, tenant, now_ms, who, "undo together", &detail)?;
    Ok(undone)
}

/// One decision of a name's chain.
struct Entry {
    id: i64,
    author: String,
    time_ms: i64,
    /// The row before it; empty: none.
    before: String,
}

/// Takes entries out of a name's chain. What is in force then, or `None` if the last one stays.
fn take_out(
    connection: &Connection,
    tenant: Tenant,
    name: &str,
    out: impl Fn(&Entry) -> bool,
) -> rusqlite::Result<Option<Decision>> {
    let sql =
        "SELECT id, author, time_ms, before FROM decisions WHERE tenant_id = ?1 AND name = ?2 ORDER BY id";
    let entry = |row: &rusqlite::Row<'_>| {
        Ok(Entry { id: row.get(0)?, author: row.get(1)?, time_ms: row.get(2)?, before: row.get(3)? })
    };
    let chain: Vec<Entry> = connection
        .prepare_cached(sql)?
        .query_map(params![tenant.0, name], entry)?
        .collect::<Result<_, _>>()?;
    // What stood before the entries that were just taken out.
    let mut stood: Option<String> = None;
    for entry in chain {
        if out(&entry) {
            connection.prepare_cached("DELETE FROM decisions WHERE id = ?1")?.execute(params![entry.id])?;
            stood.get_or_insert(entry.before);
            continue;
        }
        if let Some(before) = stood.take() {
            let sql = "UPDATE decisions SET before = ?1 WHERE id = ?2";
            connection.prepare_cached(sql)?.execute(params![before, entry.id])?;
        }
    }
    let Some(before) = stood else {
        relabel(connection, tenant, name)?;
        return Ok(None);
    };
    let before: Option<VettedRow> = serde_json::from_str(&before).ok();
    set(connection, tenant, name, before.as_ref())?;
    Ok(Some(before.map_or(Decision::None, |row| row.decision)))
}

/// Has the row in force say what the last entry of its chain says was before.
fn relabel(connection: &Connection, tenant: Tenant, name: &str) -> rusqlite::Result<()> {
    let sql = "SELECT before FROM decisions WHERE tenant_id = ?1 AND name = ?2 ORDER BY id DESC LIMIT 1";
    let last: String =
        connection.prepare_cached(sql)?.query_row(params![tenant.0, name], |row| row.get(0))?;
    let before = serde_json::from_str::<VettedRow>(&last).map_or(Decision::None, |row| row.decision);
    let Some(row) = current(connection, tenant, name)? else { return Ok(()) };
    set(connection, tenant, name, Some(&VettedRow { before, ..row }))
}

/// SQLite has no numbers past an `i64`.
fn sql_time(time_ms: u64) -> i64 {
    i64::try_from(time_ms).unwrap_or(i64::MAX)
}
