//! Unblock requests: people who were blocked and say that it was wrong.
//!
//! Bounded, for all and for each author, since anybody who may look may ask. A name is kept once, with how often it was
//! asked for and the last words on it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::add_audit;
use super::vetting::{Done, VettingError};
use crate::store::Tenant;

/// Open requests, of one author and of all.
pub const MOST_REQUESTS_BY_ONE: usize = 50;
/// See [`MOST_REQUESTS_BY_ONE`].
pub const MOST_REQUESTS: usize = 500;

/// A name that somebody wants to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnblockAsked {
    /// The name.
    pub name: String,
    /// Who asked first.
    pub author: String,
    /// What was said last; may be empty.
    pub note: String,
    /// How often it was asked for.
    pub asked: u64,
    /// First and last time, milliseconds since 1970.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
}

/// Stores a request or counts it.
pub(super) fn ask(transaction: &Transaction<'_>, tenant: Tenant, asked: &UnblockAsked) -> Done<UnblockAsked> {
    let UnblockAsked { name, author, note, last_ms, .. } = asked;
    let sql = "INSERT INTO unblock_requests VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5)
      ON CONFLICT (tenant_id, name) DO UPDATE SET asked = asked + 1, last_ms = excluded.last_ms,
      note = iif(excluded.note = '', note, excluded.note)";
    let row = params![tenant.0, name, author, note, *last_ms as i64];
    transaction.prepare_cached(sql)?.execute(row)?;
    let stored = one(transaction, tenant, name)?.unwrap_or_else(|| asked.clone());
    if stored.asked == 1 {
        let count =
            "SELECT count(*), coalesce(sum(author = ?2), 0) FROM unblock_requests WHERE tenant_id = ?1";
        let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as usize));
        let (all, own) = transaction.prepare_cached(count)?.query_row(params![tenant.0, author], pair)?;
        if own > MOST_REQUESTS_BY_ONE || all > MOST_REQUESTS {
            let most = if own > MOST_REQUESTS_BY_ONE { MOST_REQUESTS_BY_ONE } else { MOST_REQUESTS };
            return Ok(Err(VettingError::RequestsFull { most }.into()));
        }
        // Once a name: whoever asks again and again fills no audit trail.
        add_audit(transaction, tenant, *last_ms, author, "unblock request", name)?;
    }
    Ok(Ok(stored))
}

/// All that are open, most asked first.
pub(super) fn open(connection: &Connection, tenant: Tenant) -> rusqlite::Result<Vec<UnblockAsked>> {
    let sql = format!("{COLUMNS} WHERE tenant_id = ?1 ORDER BY asked DESC, first_ms, name");
    connection.prepare_cached(&sql)?.query_map(params![tenant.0], read)?.collect()
}

/// Takes one out, with an audit line of who said what when.
pub(super) fn close(
    transaction: &Transaction<'_>,
    tenant: Tenant,
    name: &str,
    (who, said, now_ms): (&str, &str, u64),
) -> Done<UnblockAsked> {
    let Some(found) = one(transaction, tenant, name)? else {
        return Ok(Err(VettingError::NotAsked(name.to_owned()).into()));
    };
    let sql = "DELETE FROM unblock_requests WHERE tenant_id = ?1 AND name = ?2";
    transaction.prepare_cached(sql)?.execute(params![tenant.0, name])?;
    let detail = format!("{name}, asked for {} times, first by {}: {said}", found.asked, found.author);
    add_audit(transaction, tenant, now_ms, who, "unblock request decided", &detail)?;
    Ok(Ok(found))
}

const COLUMNS: &str = "SELECT name, author, note, asked, first_ms, last_ms FROM unblock_requests";

fn one(connection: &Connection, tenant: Tenant, name: &str) -> rusqlite::Result<Option<UnblockAsked>> {
    let sql = format!("{COLUMNS} WHERE tenant_id = ?1 AND name = ?2");
    connection.prepare_cached(&sql)?.query_row(params![tenant.0, name], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<UnblockAsked> {
    Ok(UnblockAsked {
        name: row.get(0)?,
        author: row.get(1)?,
        note: row.get(2)?,
        asked: row.get::<_, i64>(3)? as u64,
        first_ms: row.get::<_, i64>(4)? as u64,
        last_ms: row.get::<_, i64>(5)? as u64,
    })
}
