//! Proposals: decisions that wait for a second person.
//!
//! A name has one proposal at most. Its surprise: whoever decides the same again does not replace its author, who may
//! then not be the one who confirms it; whoever decides otherwise has to confirm or deny it first.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::vetting::{Done, Proposal, Second, VettingError, Why, current, put, room, scope};
use super::{Decision, Scope, VettedRow, add_audit};
use crate::store::Tenant;

/// Proposals that may wait, of one author and of all.
pub const MOST_PROPOSED_BY_ONE: usize = 2_000;
/// See [`MOST_PROPOSED_BY_ONE`].
pub const MOST_PROPOSED: usize = 20_000;

/// The newest proposals, and how many there are.
pub(super) fn newest(
    connection: &Connection,
    tenant: Tenant,
    limit: usize,
) -> rusqlite::Result<(Vec<Proposal>, u64)> {
    let count = "SELECT count(*) FROM proposed WHERE tenant_id = ?1";
    let count: i64 = connection.query_row(count, params![tenant.0], |row| row.get(0))?;
    let sql = format!("{PROPOSAL} WHERE tenant_id = ?1 ORDER BY time_ms DESC, name LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![tenant.0, limit as i64], proposal)?;
    Ok((rows.collect::<rusqlite::Result<_>>()?, count as u64))
}

/// Keeps a decision as proposed, or finds that it is already.
pub(super) fn propose(
    connection: &Connection,
    tenant: Tenant,
    row: &VettedRow,
    why: Why,
) -> rusqlite::Result<Result<Proposal, VettingError>> {
    let known = proposal_on(connection, tenant, &row.name)?;
    if let Some(known) = known.filter(|known| known.author != row.author) {
        // The first who proposed it stays its author, so that the second is another person.
        let same = (known.decision, known.scope) == (row.decision, row.scope);
        return Ok(if same { Ok(known) } else { Err(otherwise(known)) });
    }
    let VettedRow { name, decision, scope, author, time_ms, .. } = row.clone();
    let proposal = Proposal { name, decision, scope, author, time_ms, why };
    let sql = "INSERT OR REPLACE INTO proposed VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Proposal { name, author, .. } = &proposal;
    let exact = scope == Scope::Exact;
    let row = params![tenant.0, name, decision.as_str(), exact, author, time_ms as i64, why.as_str()];
    connection.prepare_cached(sql)?.execute(row)?;
    let detail = format!("{name} {} ({})", decision.as_str(), why.as_str());
    add_audit(connection, tenant, time_ms, author, "propose", &detail)?;
    Ok(Ok(proposal))
}

/// The bound that an author's proposals, or all, have passed.
pub(super) fn too_many(
    connection: &Connection,
    tenant: Tenant,
    author: &str,
) -> rusqlite::Result<Option<usize>> {
    let own = "SELECT count(*) FROM proposed WHERE tenant_id = ?1 AND author = ?2";
    let own: i64 = connection.prepare_cached(own)?.query_row(params![tenant.0, author], |row| row.get(0))?;
    let all = "SELECT count(*) FROM proposed WHERE tenant_id = ?1";
    let all: i64 = connection.prepare_cached(all)?.query_row(params![tenant.0], |row| row.get(0))?;
    let bounds = [(own, MOST_PROPOSED_BY_ONE), (all, MOST_PROPOSED)];
    Ok(bounds.into_iter().find(|(count, most)| *count as usize > *most).map(|(_, most)| most))
}

/// Puts proposals in force, or drops them; all or none.
pub(super) fn confirm(
    transaction: &Transaction<'_>,
    tenant: Tenant,
    second: Second<'_>,
) -> Done<Vec<VettedRow>> {
    let Second { who, time_ms, .. } = second;
    let mut rows = Vec::with_capacity(second.names.len());
    for name in second.names {
        let Some(proposal) = proposal_on(transaction, tenant, name)? else {
            return Ok(Err(VettingError::NotProposed(name.clone()).into()));
        };
        if second.seen.is_some_and(|seen| seen != proposal.decision) {
            return Ok(Err(otherwise(proposal).into()));
        }
        let own = proposal.author == who;
        let Proposal { name, decision, scope, author, .. } = proposal;
        let word = decision.as_str();
        if second.deny {
            let sql = "DELETE FROM proposed WHERE tenant_id = ?1 AND name = ?2";
            transaction.prepare_cached(sql)?.execute(params![tenant.0, name])?;
            let detail = format!("{name} {word}, proposed by {author}");
            add_audit(transaction, tenant, time_ms, who, "deny", &detail)?;
            continue;
        }
        if own && !second.alone {
            return Ok(Err(VettingError::Own(name).into()));
        }
        let confirmed_by = (!own).then(|| who.to_owned());
        let row = VettedRow { name, decision, scope, author, time_ms, before: Decision::None, confirmed_by };
        let before = current(transaction, tenant, &row.name)?;
        let row = put(transaction, tenant, &row, before, own)?;
        let what = if own { "confirm alone" } else { "confirm" };
        let detail =
            format!("{} {word}, proposed by {} (before: {})", row.name, row.author, row.before.as_str());
        add_audit(transaction, tenant, time_ms, who, what, &detail)?;
        rows.push(row);
    }
    Ok(room(transaction, tenant)?.map(|()| rows))
}

fn otherwise(known: Proposal) -> VettingError {
    let scope = if known.scope == Scope::Exact { "exact" } else { "suffix" };
    let proposed = format!("{} ({scope})", known.decision.as_str());
    VettingError::Otherwise { name: known.name, proposed, author: known.author }
}

const PROPOSAL: &str = "SELECT name, decision, exact, author, time_ms, why FROM proposed";

fn proposal_on(connection: &Connection, tenant: Tenant, name: &str) -> rusqlite::Result<Option<Proposal>> {
    let sql = format!("{PROPOSAL} WHERE tenant_id = ?1 AND name = ?2");
    connection.prepare_cached(&sql)?.query_row(params![tenant.0, name], proposal).optional()
}

fn proposal(row: &Row<'_>) -> rusqlite::Result<Proposal> {
    Ok(Proposal {
        name: row.get(0)?,
        decision: Decision::of(&row.get::<_, String>(1)?),
        scope: scope(row.get(2)?),
        author: row.get(3)?,
        time_ms: row.get::<_, i64>(4)? as u64,
        why: Why::of(&row.get::<_, String>(5)?),
    })
}
