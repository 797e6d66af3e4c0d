//! Names over time, as SQL for SQLite.
//!
//! Its surprise: roll-ups of names have no index by name. A time is a handful of buckets, so each bucket is asked for the
//! name by its primary key, and no table is walked.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::search::{Failed, Read, event};
use crate::store::names::{
    MOST_EVENTS, MOST_RANKED, NameAsked, NameStory, Ranked, Ranking, RankingAsked, Raw, Rolled, Step,
};
use crate::store::search::{LEVELS, bucket_start_s};
use crate::store::{EventId, Stored, Tenant};

/// Names under one registrable domain that are looked at, the newest first.
const MOST_RELATED: usize = 200;

/// Tells what is known of a name; `None` if nobody ever asked for it.
pub(super) fn story(
    connection: &Connection,
    tenant: Tenant,
    asked: &NameAsked<'_>,
) -> Read<Option<NameStory>> {
    let Some(name) = id_of(connection, tenant, asked.name)? else { return Ok(Ok(None)) };
    let mut story = asked.starting();
    let level = asked.step.level();
    let (since_s, until_s) = (story.since_ms / 1000, story.until_ms / 1000);
    let rolled = match asked.step {
        Step::Minute => None,
        Step::Hour | Step::Day => Some(rolled_up(connection, tenant, name, level, (since_s, until_s))?),
    };
    let clients = raw(connection, name, level, &mut story)?.tell(&mut story, rolled);
    let mut address = connection.prepare_cached("SELECT address FROM clients WHERE id = ?1")?;
    for (id, asked, blocked) in clients {
        story.clients.push((address.query_row([id], |row| row.get(0))?, asked, blocked));
    }
    let days = days(connection, tenant, name)?;
    story.span(raw_ends(connection, name)?, days.keys().min().copied().zip(days.keys().max().copied()));
    if let Some(registrable) = asked.registrable {
        related(connection, tenant, (name, registrable), &mut story)?;
    }
    match last_event(connection, tenant, name)? {
        Ok(last) => story.last = last,
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(Some(story)))
}

fn id_of(connection: &Connection, tenant: Tenant, name: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM names WHERE tenant_id = ?1 AND name = ?2";
    connection.prepare_cached(sql)?.query_row(params![tenant.0, name], |row| row.get(0)).optional()
}

fn last_event(connection: &Connection, tenant: Tenant, name: i64) -> Read<Option<Stored>> {
    let sql = "SELECT max(id) FROM events WHERE name_id = ?1";
    let last: Option<i64> = connection.prepare_cached(sql)?.query_row([name], |row| row.get(0))?;
    last.map_or(Ok(Ok(None)), |last| event(connection, tenant, EventId::of_row(last)))
}

/// Counts the raw events of the story's time, by clients' ids.
fn raw(
    connection: &Connection,
    name: i64,
    level: usize,
    story: &mut NameStory,
) -> rusqlite::Result<Raw<i64>> {
    let mut raw = Raw::new();
    let sql = "SELECT time_ms, client_id, action, not_confident FROM events
      WHERE name_id = ?1 AND time_ms >= ?2 AND time_ms < ?3 ORDER BY id DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let (since, until) = (story.since_ms as i64, story.until_ms as i64);
    let mut rows = statement.query(params![name, since, until, MOST_EVENTS as i64 + 1])?;
    let mut counted = 0;
    while let Some(row) = rows.next()? {
        if counted == MOST_EVENTS {
            story.more = true;
            break;
        }
        let start_s = bucket_start_s(row.get::<_, i64>(0)? as u64, level);
        raw.add(start_s, row.get(1)?, (row.get(2)?, row.get(3)?), 1);
        counted += 1;
    }
    Ok(raw)
}

/// Roll-ups of a name. `from` and `until` are whole buckets, seconds.
fn rolled_up(
    connection: &Connection,
    tenant: Tenant,
    name: i64,
    level: usize,
    (from, until): (u64, u64),
) -> rusqlite::Result<Rolled> {
    let sql =
        "WITH RECURSIVE bucket(at) AS (SELECT ?4 UNION ALL SELECT at + ?6 FROM bucket WHERE at + ?6 < ?5)
      SELECT at, r.blocked, r.queries FROM bucket CROSS JOIN rollup_names r
      WHERE r.tenant_id = ?1 AND r.level = ?2 AND r.start_s = at AND r.name_id = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![tenant.0, level as i64, name, from as i64, until as i64, LEVELS[level] as i64];
    let mut rows = statement.query(values)?;
    let mut buckets = Rolled::new();
    while let Some(row) = rows.next()? {
        let slot = usize::from(row.get::<_, bool>(1)?);
        buckets.entry(row.get::<_, i64>(0)? as u64).or_default()[slot] += row.get::<_, i64>(2)? as u64;
    }
    Ok(buckets)
}

/// The days on which a name was asked for.
fn days(connection: &Connection, tenant: Tenant, name: i64) -> rusqlite::Result<Rolled> {
    let day = Step::Day.level();
    let sql = "SELECT min(start_s), max(start_s) FROM rollup_names WHERE tenant_id = ?1 AND level = ?2";
    match connection.prepare_cached(sql)?.query_row(params![tenant.0, day as i64], ends)? {
        Some((first, last)) => rolled_up(connection, tenant, name, day, (first, last + LEVELS[day])),
        None => Ok(Rolled::new()),
    }
}

/// The times of a name's first and last raw event, milliseconds since 1970.
fn raw_ends(connection: &Connection, name: i64) -> rusqlite::Result<Option<(u64, u64)>> {
    let sql = "SELECT min(time_ms), max(time_ms) FROM events WHERE id IN
      ((SELECT min(id) FROM events WHERE name_id = ?1), (SELECT max(id) FROM events WHERE name_id = ?1))";
    connection.prepare_cached(sql)?.query_row([name], ends)
}

fn ends(row: &Row<'_>) -> rusqlite::Result<Option<(u64, u64)>> {
    let (first, last) = (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?);
    Ok(first.zip(last).map(|(first, last)| (first as u64, last as u64)))
}

/// Counts names under one registrable domain into the story.
fn related(
    connection: &Connection,
    tenant: Tenant,
    (name, registrable): (i64, &str),
    story: &mut NameStory,
) -> rusqlite::Result<()> {
    let (level, since_s, until_s) = story.related_in();
    // Names are written without `*`, `?` and `[`, so they mean themselves in a pattern.
    let sql = "SELECT id, name FROM names WHERE tenant_id = ?1 AND name = ?2 AND id <> ?3
      UNION ALL SELECT * FROM (SELECT n.id, n.name FROM names_fts f JOIN names n ON n.id = f.rowid
        WHERE f.name GLOB ?4 AND n.tenant_id = ?1 AND n.id <> ?3 ORDER BY n.id DESC LIMIT ?5)";
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![tenant.0, registrable, name, format!("*.{registrable}"), MOST_RELATED as i64 + 1];
    let rows = statement.query_map(values, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    story.related_more = found.len() > MOST_RELATED;
    found.truncate(MOST_RELATED);
    let mut names = Vec::with_capacity(found.len());
    for (id, name) in found {
        let buckets = rolled_up(connection, tenant, id, level, (since_s, until_s))?;
        let [allowed, blocked] =
            buckets.values().fold([0, 0], |sum, each| [sum[0] + each[0], sum[1] + each[1]]);
        names.push((name, allowed + blocked, blocked));
    }
    story.relate(names);
    Ok(())
}

/// Names of one side by how often they were asked for.
pub(super) fn ranking(connection: &Connection, tenant: Tenant, asked: &RankingAsked) -> Read<Ranking> {
    let (ranking, level) = asked.starting();
    let order = asked.order();
    let sql = format!(
        "SELECT n.id, n.name, r.queries, r.blocked FROM (SELECT name_id, sum(queries) AS queries,
           sum(blocked * queries) AS blocked FROM rollup_names
           WHERE tenant_id = ?1 AND level = ?2 AND start_s >= ?3 AND start_s < ?4
           GROUP BY name_id ORDER BY {order} LIMIT ?5) r JOIN names n ON n.id = r.name_id ORDER BY {order}, n.name"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (since_s, until_s) = ((ranking.since_ms / 1000) as i64, (ranking.until_ms / 1000) as i64);
    let values = params![tenant.0, level as i64, since_s, until_s, MOST_RANKED as i64 + 1];
    let rows = statement.query_map(values, |row| {
        let (queries, blocked) = (row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)? as u64);
        Ok((row.get::<_, i64>(0)?, Ranked { name: row.get(1)?, queries, blocked, ..Ranked::default() }))
    })?;
    let last = |name| last_event(connection, tenant, name)?.map_err(Failed::Event);
    Failed::read(ranking.rank(asked, rows.map(|row| row.map_err(Failed::from)), last))
}
