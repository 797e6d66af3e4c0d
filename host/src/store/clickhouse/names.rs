//! Names over time, as SQL for ClickHouse.
//!
//! A name's rows are found through the n-grams that each table keeps of its names. Its surprise: a ranking reads raw
//! events from the start of its time on, and no older ones; a name that was asked for in that time has its last event
//! there, if it has one at all.

use std::collections::HashMap;

use super::{Engine, sql};
use crate::store::names::{
    MOST_EVENTS, MOST_RANKED, MOST_RELATED, NameAsked, NameStory, Ranked, Ranking, RankingAsked, Raw, Rolled,
    Step,
};
use crate::store::{EventId, StoreError, Stored, Tenant};

/// Newest first, as the primary key has them.
const NEWEST: &str = "ORDER BY tenant_id DESC, time_ms DESC, source_key DESC, seq DESC";

/// Tells what is known of a name; `None` if nobody ever asked for it.
pub(super) fn story(
    engine: &Engine,
    tenant: Tenant,
    asked: &NameAsked<'_>,
) -> Result<Option<NameStory>, StoreError> {
    let mut story = asked.starting();
    let within = format!("time_ms >= {} AND time_ms < {}", story.since_ms, story.until_ms);
    let (database, name) = (&engine.database, sql::literal(asked.name));
    let of_name = format!("tenant_id = {} AND name = {name}", tenant.0);
    type Ends = (u64, u64, u64, (u64, u32, u64));
    let raw: Vec<Ends> = engine.read(&format!(
        "SELECT count(), countIf({within}), min(time_ms), max((time_ms, source_key, seq))
         FROM {database}.events WHERE {of_name}"
    ))?;
    let raw = raw.first().filter(|(count, ..)| *count > 0);
    let day = Step::Day.level();
    let days: Vec<(u64, u64, u64)> = engine.read(&format!(
        "SELECT count(), min(start_s), max(start_s) FROM {database}.rollup_names WHERE {of_name} AND level = {day}"
    ))?;
    let days = days.first().filter(|(count, ..)| *count > 0).map(|(_, first, last)| (*first, *last));
    if raw.is_none() && days.is_none() {
        return Ok(None);
    }
    story.span(raw.map(|(_, _, first, (last, ..))| (*first, *last)), days);
    story.more = raw.is_some_and(|(_, within, ..)| *within > MOST_EVENTS);
    let rolled = match asked.step {
        Step::Minute => None,
        Step::Hour | Step::Day => Some(rolled_up(engine, &of_name, asked.step.level(), &story)?),
    };
    story.clients = counted(engine, &of_name, &within, story.bucket_s)?.tell(&mut story, rolled);
    if let Some(registrable) = asked.registrable {
        related(engine, tenant, (&name, registrable), &mut story)?;
    }
    if let Some((.., (time_ms, source, seq))) = raw {
        story.last = engine.event(tenant, EventId::of(*time_ms, *source, *seq))?;
    }
    Ok(Some(story))
}

/// The raw events of the story's time, the newest of them, by clients.
fn counted(engine: &Engine, of_name: &str, within: &str, bucket_s: u64) -> Result<Raw<String>, StoreError> {
    let rows: Vec<(u64, String, u8, u8, u64)> = engine.read(&format!(
        "SELECT intDiv(time_ms, 1000 * {bucket_s}) * {bucket_s} AS start_s, client, action, not_confident, count()
         FROM (SELECT time_ms, client, action, not_confident FROM {}.events
           WHERE {of_name} AND {within} {NEWEST} LIMIT {MOST_EVENTS})
         GROUP BY start_s, client, action, not_confident",
        engine.database
    ))?;
    let mut raw = Raw::new();
    for (start_s, client, action, not_confident, events) in rows {
        raw.add(start_s, client, (action.into(), not_confident != 0), events);
    }
    Ok(raw)
}

fn rolled_up(engine: &Engine, of_name: &str, level: usize, story: &NameStory) -> Result<Rolled, StoreError> {
    let rows: Vec<(u64, u64, u64)> = engine.read(&format!(
        "SELECT start_s, sumIf(queries, blocked = 0), sumIf(queries, blocked = 1) FROM {}.rollup_names
         WHERE {of_name} AND level = {level} AND start_s >= {} AND start_s < {} GROUP BY start_s",
        engine.database,
        story.since_ms / 1000,
        story.until_ms / 1000
    ))?;
    Ok(rows.into_iter().map(|(start_s, allowed, blocked)| (start_s, [allowed, blocked])).collect())
}

/// Counts names under one registrable domain into the story; `name` is a literal.
fn related(
    engine: &Engine,
    tenant: Tenant,
    (name, registrable): (&str, &str),
    story: &mut NameStory,
) -> Result<(), StoreError> {
    let (level, since_s, until_s) = story.related_in();
    let counts = format!("level = {level} AND start_s >= {since_s} AND start_s < {until_s}");
    // Days say which names there are at all.
    let names = engine.read(&format!(
        "SELECT name, sumIf(queries, {counts}) AS asked, sumIf(queries, blocked = 1 AND {counts})
         FROM {}.rollup_names WHERE tenant_id = {} AND (level = {} OR {counts})
           AND (name = {} OR name LIKE {}) AND name <> {name}
         GROUP BY name ORDER BY asked DESC, name LIMIT {}",
        engine.database,
        tenant.0,
        Step::Day.level(),
        sql::literal(registrable),
        sql::ending(&format!(".{registrable}")),
        MOST_RELATED + 1
    ))?;
    story.relate(names);
    Ok(())
}

/// Names of one side by how often they were asked for.
pub(super) fn ranking(engine: &Engine, tenant: Tenant, asked: &RankingAsked) -> Result<Ranking, StoreError> {
    let (ranking, level) = asked.starting();
    let (database, tenant, order) = (&engine.database, tenant.0, asked.order());
    let top = format!(
        "SELECT name, asked AS queries, stopped AS blocked FROM
           (SELECT name, sum(queries) AS asked, sumIf(queries, blocked = 1) AS stopped FROM {database}.rollup_names
            WHERE tenant_id = {tenant} AND level = {level} AND start_s >= {} AND start_s < {} GROUP BY name)
         ORDER BY {order}, name LIMIT {}",
        ranking.since_ms / 1000,
        ranking.until_ms / 1000,
        MOST_RANKED + 1
    );
    let rows: Vec<(String, u64, u64)> = engine.read(&top)?;
    if rows.is_empty() {
        return Ok(ranking);
    }
    let key = "tenant_id, time_ms, source_key, seq";
    let newest = format!(
        "({key}) IN (SELECT {tenant}, last.1, last.2, last.3 FROM
           (SELECT max((time_ms, source_key, seq)) AS last FROM {database}.events
            WHERE tenant_id = {tenant} AND time_ms >= {} AND name IN (SELECT name FROM ({top})) GROUP BY name))",
        ranking.since_ms
    );
    let events = engine.events(&newest, MOST_RANKED + 1)?;
    let mut last: HashMap<String, Stored> =
        events.into_iter().map(|stored| (stored.event.name.clone(), stored)).collect();
    let rows = rows.into_iter().map(|(name, queries, blocked)| {
        Ok((name.clone(), Ranked { name, queries, blocked, ..Ranked::default() }))
    });
    ranking.rank(asked, rows, |name| Ok(last.remove(&name)))
}
