//! Searches over events, and the counts of the overview, as SQL for SQLite.

use dnsvet_core::event::Event;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::store::codes::{Packed, action_code, reason_code};
use crate::store::search::{ActionFilter, ClientPart, NamePart, Search, bucket_start_s, level};
use crate::store::{EventId, Overview, Page, StoreError, Stored, Tenant};

/// Events of other rules that one page passes over at most.
const MOST_PASSED: usize = 50_000;
/// Names matched by a text, beyond which a search walks the events instead of the names.
const FEW_NAMES: i64 = 2_000;

const COLUMNS: &str =
    "e.id, s.source, e.seq, e.time_ms, c.address, n.name, e.qtype, d.text, e.not_confident, e.took_us,
  shape.text, v.arguments, snapshot.text";
const JOINS: &str = "events e JOIN sources s ON s.id = e.source_id JOIN clients c ON c.id = e.client_id
  JOIN names n ON n.id = e.name_id JOIN texts d ON d.id = e.door_id JOIN verdicts v ON v.id = e.verdict_id
  JOIN texts shape ON shape.id = v.shape_id JOIN texts snapshot ON snapshot.id = v.snapshot_id";

/// What a query gave, or an event whose verdict can't be read back.
pub(super) type Read<T> = rusqlite::Result<Result<T, StoreError>>;

/// Either way in which a [`Read`] fails.
pub(super) enum Failed {
    Sql(rusqlite::Error),
    Event(StoreError),
}

impl Failed {
    /// The same as a [`Read`].
    pub fn read<T>(result: Result<T, Self>) -> Read<T> {
        match result {
            Ok(found) => Ok(Ok(found)),
            Err(Self::Event(error)) => Ok(Err(error)),
            Err(Self::Sql(error)) => Err(error),
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// One page, newest first. A rule stands in the verdicts alone, so events are read and passed over where it is another;
/// a page that ends at [`MOST_PASSED`] of those may be short, and still has a next one.
pub fn page(connection: &Connection, tenant: Tenant, search: &Search) -> Read<Page> {
    let Some(rule) = search.rule() else { return page_of(connection, tenant, search) };
    let limit = search.page_size();
    let mut walk = Search { rule: None, limit: 1_000, ..search.clone() };
    let mut page = Page { items: Vec::new(), next: None };
    for _ in 0..MOST_PASSED / 1_000 {
        let step = match page_of(connection, tenant, &walk)? {
            Ok(step) => step,
            Err(error) => return Ok(Err(error)),
        };
        page.next = step.next;
        for stored in step.items {
            if stored.event.verdict.rule.as_deref() != Some(rule) {
                continue;
            }
            if page.items.len() == limit {
                page.next = page.items.last().map(|last: &Stored| last.id);
                return Ok(Ok(page));
            }
            page.items.push(stored);
        }
        walk.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    Ok(Ok(page))
}

fn page_of(connection: &Connection, tenant: Tenant, search: &Search) -> Read<Page> {
    let empty = Page { items: Vec::new(), next: None };
    let mut conditions = vec!["e.tenant_id = ?".to_owned()];
    let mut values = vec![Value::Integer(tenant.0)];
    let mut restrict = |condition: &str, value: Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    if let Some(cursor) = search.cursor {
        restrict("e.id < ?", Value::Integer(cursor.row()));
    }
    if let Some(since_ms) = search.since_ms {
        restrict("e.time_ms >= ?", Value::Integer(since_ms as i64));
    }
    if let Some(until_ms) = search.until_ms {
        restrict("e.time_ms < ?", Value::Integer(i64::try_from(until_ms).unwrap_or(i64::MAX)));
    }
    match search.action {
        Some(ActionFilter::Is(action)) => restrict("e.action = ?", Value::Integer(action_code(action))),
        Some(ActionFilter::Blocked) => restrict("e.action <> ?", Value::Integer(0)),
        Some(ActionFilter::NotConfident) => restrict("e.not_confident = ?", Value::Integer(1)),
        None => {}
    }
    if let Some(reason) = search.reason {
        restrict("e.reason = ?", Value::Integer(reason_code(Some(reason))));
    }
    match search.name_part() {
        NamePart::Any => {}
        NamePart::Never => return Ok(Ok(empty)),
        NamePart::Is(name) => restrict(
            "+e.tenant_id >= 0 AND e.name_id IN (SELECT id FROM names WHERE tenant_id = e.tenant_id AND name = ?)",
            Value::Text(name),
        ),
        NamePart::Holds(part) => {
            let pattern = format!("*{part}*");
            if part.len() >= 3 && few_names(connection, &pattern)? {
                let among =
                    "+e.tenant_id >= 0 AND e.name_id IN (SELECT rowid FROM names_fts WHERE name GLOB ?)";
                restrict(among, Value::Text(pattern));
            } else {
                restrict("n.name GLOB ?", Value::Text(pattern));
            }
        }
    }
    if let Some(part) = search.clients() {
        let ids = clients(connection, tenant, part)?;
        if ids.is_empty() {
            return Ok(Ok(empty));
        }
        conditions.push(format!("e.client_id IN ({})", ids.join(",")));
    }
    let limit = search.page_size();
    values.push(Value::Integer(limit as i64 + 1));
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {COLUMNS} FROM {JOINS} WHERE {conditions} ORDER BY e.id DESC LIMIT ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), stored)?;
    let items: Result<Vec<Stored>, StoreError> =
        rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().collect();
    Ok(items.map(|mut items| {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(|last| last.id).filter(|_| more);
        Page { items, next }
    }))
}

/// One event.
pub fn event(connection: &Connection, tenant: Tenant, id: EventId) -> Read<Option<Stored>> {
    let sql = format!("SELECT {COLUMNS} FROM {JOINS} WHERE e.id = ?1 AND e.tenant_id = ?2");
    let found = connection.prepare_cached(&sql)?.query_row(params![id.row(), tenant.0], stored).optional()?;
    Ok(found.transpose())
}

fn few_names(connection: &Connection, pattern: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM names_fts WHERE name GLOB ?1 LIMIT ?2)";
    let count: i64 =
        connection.prepare_cached(sql)?.query_row(params![pattern, FEW_NAMES + 1], |row| row.get(0))?;
    Ok(count <= FEW_NAMES)
}

/// The ids of the clients that are meant.
fn clients(connection: &Connection, tenant: Tenant, part: ClientPart<'_>) -> rusqlite::Result<Vec<String>> {
    let means = |address: &str| match part {
        ClientPart::Within(net) => {
            address.parse().is_ok_and(|address: std::net::IpAddr| net.contains(&address))
        }
        ClientPart::Starts(text) => address.starts_with(text),
    };
    let mut statement = connection.prepare_cached("SELECT id, address FROM clients WHERE tenant_id = ?1")?;
    let rows = statement
        .query_map(params![tenant.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut ids = Vec::new();
    for row in rows {
        let (id, address) = row?;
        if means(&address) {
            ids.push(id.to_string());
        }
    }
    Ok(ids)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Result<Stored, StoreError>> {
    let (id, name): (EventId, String) = (EventId::of_row(row.get(0)?), row.get(5)?);
    let packed = Packed { shape: row.get(10)?, arguments: row.get(11)?, snapshot: row.get(12)? };
    let Some(verdict) = packed.verdict(&name) else { return Ok(Err(StoreError::Damaged(id))) };
    let event = Event {
        seq: row.get::<_, i64>(2)? as u64,
        time_ms: row.get::<_, i64>(3)? as u64,
        client: row.get(4)?,
        name,
        qtype: row.get(6)?,
        door: row.get(7)?,
        verdict,
        not_confident: row.get(8)?,
        took_us: row.get::<_, i64>(9)? as u64,
    };
    Ok(Ok(Stored { id, source: row.get(1)?, event }))
}

/// Counts since a time, from the coarsest roll-up that still draws a line.
pub fn overview(
    connection: &Connection,
    tenant: Tenant,
    since_ms: u64,
    now_ms: u64,
) -> rusqlite::Result<Overview> {
    let mut overview = Overview::starting(since_ms, now_ms);
    let level = level(since_ms, now_ms);
    let sql = "SELECT start_s, action, reason, queries FROM rollup_verdicts
       WHERE tenant_id = ?1 AND level = ?2 AND start_s >= ?3 ORDER BY start_s";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![tenant.0, level as i64, (overview.since_ms / 1000) as i64])?;
    while let Some(row) = rows.next()? {
        let (start_s, queries) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(3)? as u64);
        overview.count(start_s, row.get(1)?, row.get(2)?, queries);
    }
    overview.sort();
    // Names and clients have no minutes.
    let level = level.max(1);
    let since_s = bucket_start_s(since_ms, level) as i64;
    let top = |sql: &str| {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![tenant.0, level as i64, since_s], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    overview.blocked_names =
        top("SELECT n.name, sum(r.queries) FROM rollup_names r JOIN names n ON n.id = r.name_id
        WHERE r.tenant_id = ?1 AND r.level = ?2 AND r.start_s >= ?3 AND r.blocked = 1
        GROUP BY r.name_id ORDER BY 2 DESC LIMIT 10")?;
    overview.clients =
        top("SELECT c.address, sum(r.queries) FROM rollup_clients r JOIN clients c ON c.id = r.client_id
        WHERE r.tenant_id = ?1 AND r.level = ?2 AND r.start_s >= ?3
        GROUP BY r.client_id ORDER BY 2 DESC LIMIT 10")?;
    let mut statement = connection
        .prepare_cached("SELECT source, events, last_ms, dropped FROM sources WHERE tenant_id = ?1 AND last_ms >= ?2 ORDER BY last_ms DESC LIMIT 100")?;
    let mut rows = statement.query(params![tenant.0, since_ms as i64])?;
    while let Some(row) = rows.next()? {
        overview.sources.push((row.get(0)?, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64));
        overview.dropped += row.get::<_, i64>(3)? as u64;
    }
    Ok(overview)
}
