//! The names that wait, as SQL for SQLite.

use rusqlite::{Connection, params};

use super::search::{Failed, Read, event};
use crate::store::pending::{Counted, HALF_CLIENTS, HALF_NEW_MS, Order, Pending, queue};
use crate::store::{EventId, Tenant};

/// The queue, first one first, without what `settled` holds.
pub(super) fn pending(
    connection: &Connection,
    tenant: Tenant,
    order: Order,
    settled: &dyn Fn(&str) -> bool,
) -> Read<Vec<Pending>> {
    // The priority without the score's part, as `store::pending` has it.
    let sql = "SELECT name, queries, clients, first_ms, last_ms, last_id FROM
       (SELECT n.name AS name, count(*) AS queries, count(DISTINCT e.client_id) AS clients, min(e.time_ms) AS first_ms,
          max(e.time_ms) AS last_ms, max(e.id) AS last_id
        FROM events e JOIN names n ON n.id = e.name_id WHERE e.tenant_id = ?1 AND e.not_confident = 1 GROUP BY e.name_id)
       ORDER BY clients / (clients + ?3) * ?4 / (?4 + max(0, ?2 - first_ms)) DESC, queries DESC, last_id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let now = i64::try_from(order.now_ms).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![tenant.0, now, HALF_CLIENTS, HALF_NEW_MS], |row| {
        let counted = Counted {
            queries: row.get::<_, i64>(1)? as u64,
            clients: row.get::<_, i64>(2)? as u64,
            first_ms: row.get::<_, i64>(3)? as u64,
            last_ms: row.get::<_, i64>(4)? as u64,
            last_id: EventId::of_row(row.get(5)?),
        };
        Ok(Pending::unscored(row.get(0)?, counted, order.now_ms))
    })?;
    let score = |pending: &Pending| -> Result<Option<f64>, Failed> {
        let found = event(connection, tenant, pending.last_id)?.map_err(Failed::Event)?;
        Ok(found.and_then(|stored| stored.event.verdict.score))
    };
    Failed::read(queue(rows.map(|row| row.map_err(Failed::from)), order, settled, score))
}

/// How many clients asked for any of the names while no model could settle it.
pub(super) fn clients_of(connection: &Connection, tenant: Tenant, names: &[String]) -> rusqlite::Result<u64> {
    let sql = "SELECT count(DISTINCT e.client_id) FROM json_each(?2) asked
       JOIN names n ON n.tenant_id = ?1 AND n.name = asked.value
       JOIN events e ON e.tenant_id = ?1 AND e.name_id = n.id AND e.not_confident = 1";
    let names = serde_json::to_string(names).unwrap_or_default();
    let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    connection.prepare_cached(sql)?.query_row(params![tenant.0, names], count).map(|count| count as u64)
}
