//! Names over time: the story of one, and those that were asked for most.
//!
//! ```text
//! roll-ups (hours, days) ─► series, ranking, related names, first and last day     as far back as roll-ups go
//! raw events of the name ─► verdicts, clients, minutes, who could not be settled   as far back as raw events go
//! ```
//!
//! [`story`] and [`ranking`] are the two questions. The surprise: roll-ups of names have no index by name. A time is a
//! handful of buckets, so each bucket is asked for the name by its primary key, and no table is walked.

use std::collections::HashMap;

use dnsvet_core::verdict::Reason;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::codes::action_word;
use super::rollup::LEVELS;
use super::search::{Read, event};
use super::{Stored, Tenant};

/// The most buckets of one series: 25 hours of minutes, two months of hours, four years of days.
pub const MOST_BUCKETS: u64 = 1_500;
/// Raw events of one name that are counted, the newest first.
const MOST_EVENTS: i64 = 100_000;
/// Clients of a name that are told.
const MOST_CLIENTS: usize = 20;
/// Names under one registrable domain that are looked at, and told.
const MOST_RELATED: usize = 200;
/// See [`MOST_RELATED`].
const RELATED_SHOWN: usize = 20;
/// Names whose last verdict is read for one ranking.
const MOST_RANKED: i64 = 5_000;
/// Spans up to this are counted by hours, longer ones by days, seconds.
const BY_HOURS_S: u64 = 3 * 86_400;
/// From this score on a name that no model could settle leans to malicious.
const LEANS: f64 = 0.5;

/// How fine a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From raw events.
    Minute,
    /// From roll-ups, as days are.
    Hour,
    /// See `Hour`.
    Day,
}

impl Step {
    fn level(self) -> usize {
        self as usize
    }

    /// Seconds of one bucket.
    pub fn seconds(self) -> u64 {
        LEVELS.get(self.level()).copied().unwrap_or(60)
    }
}

/// What is asked about one name.
#[derive(Debug, Clone, Copy)]
pub struct NameAsked<'a> {
    /// The name, lower case, no trailing dot.
    pub name: &'a str,
    /// Its registrable domain, if it has one.
    pub registrable: Option<&'a str>,
    /// From here, milliseconds since 1970; cut to whole steps.
    pub since_ms: u64,
    /// Before this; at least `since_ms`, at most [`MOST_BUCKETS`] steps later.
    pub until_ms: u64,
    /// How fine.
    pub step: Step,
}

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NameStory {
    /// Start of the time covered, milliseconds since 1970.
    pub since_ms: u64,
    /// Its end.
    pub until_ms: u64,
    /// Seconds of one bucket of `series`.
    pub bucket_s: u64,
    /// Questions in that time.
    pub queries: u64,
    /// Buckets with questions: start (milliseconds), allowed, not confident, blocked.
    pub series: Vec<(u64, u64, u64, u64)>,
    /// Raw events of that time, which `verdicts` and `clients` are counted from.
    pub counted: u64,
    /// Whether there are more raw events than are counted; the newest are.
    pub more: bool,
    /// Events by action; `not_confident` for those that were allowed because no model could settle them.
    pub verdicts: Vec<(String, u64)>,
    /// Busiest clients: address, events, of them blocked.
    pub clients: Vec<(String, u64, u64)>,
    /// How many clients asked.
    pub clients_count: u64,
    /// When it was first asked for, milliseconds since 1970; to the day where only roll-ups remember.
    pub first_ms: Option<u64>,
    /// When it was last asked for.
    pub last_ms: Option<u64>,
    /// Names under the same registrable domain, most asked first: name, questions, of them blocked.
    pub related: Vec<(String, u64, u64)>,
    /// Whether there are more of those.
    pub related_more: bool,
    /// The last event, if a raw one is left.
    #[serde(skip)]
    pub last: Option<Stored>,
}

/// Where a name stands by its last verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Blocked, blocked if it were not for log mode, or not settled with a score from 0.5 on.
    Malicious,
    /// The rest, without special-use names, which nobody judges.
    Benign,
}

/// What is asked for a ranking.
#[derive(Debug, Clone, Copy)]
pub struct RankingAsked {
    /// Which names.
    pub side: Side,
    /// From here, milliseconds since 1970; cut to whole hours, past three days to whole days.
    pub since_ms: u64,
    /// Before this.
    pub until_ms: u64,
    /// The most names, from 1.
    pub limit: usize,
}

/// Names of one side, most asked first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranking {
    /// Start of the time covered, milliseconds since 1970.
    pub since_ms: u64,
    /// Its end.
    pub until_ms: u64,
    /// The names.
    pub names: Vec<Ranked>,
    /// Whether there are more, or more names than are looked at.
    pub more: bool,
}

/// A name of a ranking.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranked {
    /// The name.
    pub name: String,
    /// Questions in the time.
    pub queries: u64,
    /// Of them blocked.
    pub blocked: u64,
    /// The last action; `None` where no raw event is left.
    pub action: Option<String>,
    /// What it would have been, were it not for log mode.
    pub would: Option<String>,
    /// The deciding reason of the last verdict.
    pub reason: Option<String>,
    /// Whether no model could settle it.
    pub not_confident: bool,
    /// The last score, [0, 1].
    pub score: Option<f64>,
    /// The last event, and when it was, milliseconds since 1970.
    pub last_id: Option<i64>,
    /// See `last_id`.
    pub last_ms: Option<u64>,
}

/// Tells what is known of a name; `None` if nobody ever asked for it.
pub(super) fn story(
    connection: &Connection,
    tenant: Tenant,
    asked: &NameAsked<'_>,
) -> Read<Option<NameStory>> {
    let Some(name) = id_of(connection, tenant, asked.name)? else { return Ok(Ok(None)) };
    let bucket_s = asked.step.seconds();
    let since_s = asked.since_ms / 1000 / bucket_s * bucket_s;
    let until_s =
        (asked.until_ms.div_ceil(1000 * bucket_s) * bucket_s).min(since_s + MOST_BUCKETS * bucket_s);
    let (since_ms, until_ms) = (since_s * 1000, until_s * 1000);
    let mut story = NameStory { since_ms, until_ms, bucket_s, ..NameStory::default() };
    let mut buckets = raw(connection, name, &mut story)?;
    if asked.step != Step::Minute {
        let rolled = rolled_up(connection, tenant, name, asked.step.level(), (since_s, until_s))?;
        // Roll-ups don't say who could not be settled, and outlive the events that do.
        let unsure = |start: &u64| buckets.get(start).map_or(0, |bucket| bucket[1]);
        let filled = |(start, [allowed, blocked]): (u64, [u64; 2])| {
            let unsure = unsure(&start).min(allowed);
            (start, [allowed - unsure, unsure, blocked])
        };
        buckets = rolled.into_iter().map(filled).collect();
    }
    story.series = buckets.into_iter().map(|(start, [a, u, b])| (start * 1000, a, u, b)).collect();
    story.series.sort_unstable();
    story.queries = story.series.iter().map(|(_, a, u, b)| a + u + b).sum();
    (story.first_ms, story.last_ms) = ends(connection, tenant, name)?;
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
    last.map_or(Ok(Ok(None)), |last| event(connection, tenant, last))
}

/// Counts the raw events of the story's time into it. Returns buckets by start (seconds): allowed, not confident, blocked.
fn raw(
    connection: &Connection,
    name: i64,
    story: &mut NameStory,
) -> rusqlite::Result<HashMap<u64, [u64; 3]>> {
    let (mut buckets, mut verdicts) = (HashMap::new(), HashMap::<&str, u64>::new());
    let mut clients = HashMap::<i64, (u64, u64)>::new();
    let sql = "SELECT time_ms, client_id, action, not_confident FROM events
      WHERE name_id = ?1 AND time_ms >= ?2 AND time_ms < ?3 ORDER BY id DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let (since, until) = (story.since_ms as i64, story.until_ms as i64);
    let mut rows = statement.query(params![name, since, until, MOST_EVENTS + 1])?;
    while let Some(row) = rows.next()? {
        if story.counted == MOST_EVENTS as u64 {
            story.more = true;
            break;
        }
        let (time_ms, client, action): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let unsure = action == 0 && row.get::<_, bool>(3)?;
        let start = time_ms as u64 / 1000 / story.bucket_s * story.bucket_s;
        let bucket: &mut [u64; 3] = buckets.entry(start).or_default();
        let slot = if unsure { 1 } else { 2 * usize::from(action != 0) };
        bucket[slot] += 1;
        *verdicts.entry(if unsure { "not_confident" } else { action_word(action) }).or_default() += 1;
        let (asked, blocked) = clients.entry(client).or_default();
        *asked += 1;
        *blocked += u64::from(action != 0);
        story.counted += 1;
    }
    story.verdicts = verdicts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
    story.verdicts.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    story.clients_count = clients.len() as u64;
    let mut clients: Vec<_> = clients.into_iter().collect();
    clients.sort_unstable_by_key(|(id, (asked, _))| (std::cmp::Reverse(*asked), *id));
    let mut address = connection.prepare_cached("SELECT address FROM clients WHERE id = ?1")?;
    for (id, (asked, blocked)) in clients.into_iter().take(MOST_CLIENTS) {
        story.clients.push((address.query_row([id], |row| row.get(0))?, asked, blocked));
    }
    Ok(buckets)
}

/// Roll-ups of a name, by start (seconds): allowed, blocked. `from` and `until` are whole buckets.
fn rolled_up(
    connection: &Connection,
    tenant: Tenant,
    name: i64,
    level: usize,
    (from, until): (u64, u64),
) -> rusqlite::Result<HashMap<u64, [u64; 2]>> {
    let sql =
        "WITH RECURSIVE bucket(at) AS (SELECT ?4 UNION ALL SELECT at + ?6 FROM bucket WHERE at + ?6 < ?5)
      SELECT at, r.blocked, r.queries FROM bucket CROSS JOIN rollup_names r
      WHERE r.tenant_id = ?1 AND r.level = ?2 AND r.start_s = at AND r.name_id = ?3";
    let seconds = LEVELS.get(level).copied().unwrap_or(60);
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![tenant.0, level as i64, name, from as i64, until as i64, seconds as i64];
    let mut rows = statement.query(values)?;
    let mut buckets = HashMap::<u64, [u64; 2]>::new();
    while let Some(row) = rows.next()? {
        let slot = usize::from(row.get::<_, bool>(1)?);
        buckets.entry(row.get::<_, i64>(0)? as u64).or_default()[slot] += row.get::<_, i64>(2)? as u64;
    }
    Ok(buckets)
}

/// First and last time that a name was asked for.
fn ends(connection: &Connection, tenant: Tenant, name: i64) -> rusqlite::Result<(Option<u64>, Option<u64>)> {
    let day = LEVELS.len() - 1;
    let sql = "SELECT min(start_s), max(start_s) FROM rollup_names WHERE tenant_id = ?1 AND level = ?2";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?));
    let days = connection.prepare_cached(sql)?.query_row(params![tenant.0, day as i64], read)?;
    let days = match days {
        (Some(first), Some(last)) => {
            rolled_up(connection, tenant, name, day, (first as u64, last as u64 + LEVELS[day]))?
        }
        _ => HashMap::new(),
    };
    let sql = "SELECT min(time_ms), max(time_ms) FROM events WHERE id IN
      ((SELECT min(id) FROM events WHERE name_id = ?1), (SELECT max(id) FROM events WHERE name_id = ?1))";
    let (first, last) = connection.prepare_cached(sql)?.query_row([name], read)?;
    let (first, last) = (first.map(|ms| ms as u64), last.map(|ms| ms as u64));
    let older = days.keys().min().map(|start| start * 1000);
    // An event within the first day that is remembered says the moment.
    let first = match (first, older) {
        (Some(first), Some(older)) if first / 1000 / LEVELS[day] * LEVELS[day] > older / 1000 => Some(older),
        (Some(first), _) => Some(first),
        (None, older) => older,
    };
    Ok((first, last.or_else(|| days.keys().max().map(|start| start * 1000))))
}

/// Counts names under one registrable domain into the story.
fn related(
    connection: &Connection,
    tenant: Tenant,
    (name, registrable): (i64, &str),
    story: &mut NameStory,
) -> rusqlite::Result<()> {
    let hours = (story.until_ms - story.since_ms) / 1000 <= BY_HOURS_S;
    let level = if hours { 1 } else { 2 };
    let bucket_s = LEVELS[level];
    let since_s = story.since_ms / 1000 / bucket_s * bucket_s;
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
    for (id, name) in found {
        let buckets = rolled_up(connection, tenant, id, level, (since_s, story.until_ms / 1000))?;
        let [allowed, blocked] =
            buckets.values().fold([0, 0], |sum, each| [sum[0] + each[0], sum[1] + each[1]]);
        story.related.push((name, allowed + blocked, blocked));
    }
    story.related.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    story.related_more |= story.related.len() > RELATED_SHOWN;
    story.related.truncate(RELATED_SHOWN);
    Ok(())
}

/// Names of one side by how often they were asked for.
pub(super) fn ranking(connection: &Connection, tenant: Tenant, asked: &RankingAsked) -> Read<Ranking> {
    let level = if asked.until_ms.saturating_sub(asked.since_ms) / 1000 <= BY_HOURS_S { 1 } else { 2 };
    let bucket_s = LEVELS[level];
    let since_s = asked.since_ms / 1000 / bucket_s * bucket_s;
    let until_s = asked.until_ms.div_ceil(1000 * bucket_s) * bucket_s;
    let mut ranking = Ranking { since_ms: since_s * 1000, until_ms: until_s * 1000, ..Ranking::default() };
    let order = match asked.side {
        Side::Malicious => "blocked DESC, queries DESC",
        Side::Benign => "queries DESC",
    };
    let sql = format!(
        "SELECT n.id, n.name, r.queries, r.blocked FROM (SELECT name_id, sum(queries) AS queries,
           sum(blocked * queries) AS blocked FROM rollup_names
           WHERE tenant_id = ?1 AND level = ?2 AND start_s >= ?3 AND start_s < ?4
           GROUP BY name_id ORDER BY {order} LIMIT ?5) r JOIN names n ON n.id = r.name_id ORDER BY {order}, n.name"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![tenant.0, level as i64, since_s as i64, until_s as i64, MOST_RANKED + 1];
    let mut rows = statement.query(values)?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let enough = asked.side == Side::Benign && ranking.names.len() > asked.limit;
        if looked_at > MOST_RANKED || enough {
            ranking.more = true;
            break;
        }
        let (name, queries, blocked) =
            (row.get(1)?, row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)? as u64);
        let last = match last_event(connection, tenant, row.get(0)?)? {
            Ok(last) => last,
            Err(error) => return Ok(Err(error)),
        };
        let ranked = Ranked { name, queries, blocked, ..Ranked::default() };
        ranking.names.extend(stands(ranked, last).filter(|(side, _)| *side == asked.side).map(|(_, it)| it));
    }
    ranking.names.sort_by(|a, b| (b.queries, &a.name).cmp(&(a.queries, &b.name)));
    ranking.more |= ranking.names.len() > asked.limit;
    ranking.names.truncate(asked.limit);
    Ok(Ok(ranking))
}

/// Where a name stands by its last event; by its count, if none is left. `None` for a special-use name.
fn stands(ranked: Ranked, last: Option<Stored>) -> Option<(Side, Ranked)> {
    let Some(Stored { id, event, .. }) = last else {
        let side = if ranked.blocked > 0 { Side::Malicious } else { Side::Benign };
        return Some((side, ranked));
    };
    let (verdict, reason) = (&event.verdict, event.reason());
    if reason == Some(Reason::Special) {
        return None;
    }
    let unsure = event.not_confident && !event.action().stops();
    let leans = verdict.score.is_some_and(|score| score >= LEANS);
    let bad = event.action().stops() || verdict.would.is_some() || unsure && leans;
    let ranked = Ranked {
        action: Some(event.action().as_str().to_owned()),
        would: verdict.would.map(|would| would.as_str().to_owned()),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        not_confident: unsure,
        score: verdict.score,
        last_id: Some(id),
        last_ms: Some(event.time_ms),
        ..ranked
    };
    Some((if bad { Side::Malicious } else { Side::Benign }, ranked))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOON_MS, T, append, batch, event, open};
    use super::super::{EventStore as _, sqlite::SqliteStore};
    use super::*;
    use dnsvet_core::event::Event;
    use dnsvet_core::verdict::Action;

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    fn about(step: Step, from_ms: u64, until_ms: u64) -> NameAsked<'static> {
        let (name, registrable) = ("www.shop.example", Some("shop.example"));
        NameAsked { name, registrable, since_ms: from_ms, until_ms, step }
    }

    fn of(store: &SqliteStore, asked: NameAsked<'_>) -> NameStory {
        store.name(T, &asked).unwrap().unwrap()
    }

    /// Two days: noon, an hour later, a day later.
    fn filled(folder: &std::path::Path) -> SqliteStore {
        let store = open(folder);
        let at = |time_ms, event: Event| Event { time_ms, ..event };
        let name = "www.shop.example";
        append(
            &store,
            T,
            batch(vec![
                at(NOON_MS, event(1, name, "10.0.0.1", Action::Allow, Reason::Model)),
                at(NOON_MS + 5_000, event(2, name, "10.0.0.1", Action::Allow, Reason::NotConfident)),
                at(NOON_MS + 61_000, event(3, name, "10.0.0.2", Action::Nxdomain, Reason::Vetted)),
                at(NOON_MS + HOUR_MS, event(4, name, "10.0.0.1", Action::Allow, Reason::Model)),
                at(NOON_MS + DAY_MS, event(5, name, "10.0.0.3", Action::Honeypot, Reason::Vetted)),
                at(NOON_MS, event(6, "shop.example", "10.0.0.1", Action::Allow, Reason::Model)),
                at(NOON_MS, event(7, "img.cdn.shop.example", "10.0.0.1", Action::Nxdomain, Reason::List)),
                at(NOON_MS, event(8, "img.cdn.shop.example", "10.0.0.1", Action::Allow, Reason::Model)),
                at(NOON_MS, event(9, "not-shop.example", "10.0.0.1", Action::Allow, Reason::Model)),
                at(NOON_MS, event(10, "shop.example.org", "10.0.0.1", Action::Allow, Reason::Model)),
            ]),
        );
        store
    }

    #[test]
    fn a_name_is_counted_by_minute_hour_and_day_and_every_step_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let minutes = of(&store, about(Step::Minute, NOON_MS, NOON_MS + 2 * HOUR_MS));
        let minute = 60_000;
        let want = [(NOON_MS, 1, 1, 0), (NOON_MS + minute, 0, 0, 1), (NOON_MS + HOUR_MS, 1, 0, 0)];
        assert_eq!((minutes.series, minutes.queries), (want.to_vec(), 4));
        let hours = of(&store, about(Step::Hour, NOON_MS, NOON_MS + 2 * HOUR_MS));
        assert_eq!(hours.series, [(NOON_MS, 1, 1, 1), (NOON_MS + HOUR_MS, 1, 0, 0)]);
        let days = of(&store, about(Step::Day, NOON_MS, NOON_MS + DAY_MS + 1));
        let day = NOON_MS / DAY_MS * DAY_MS;
        assert_eq!(days.series, [(day, 2, 1, 1), (day + DAY_MS, 0, 0, 1)]);
        assert_eq!((days.since_ms, days.until_ms, days.bucket_s), (day, day + 2 * DAY_MS, 86_400));
        assert_eq!((days.queries, days.counted, days.more), (5, 5, false));
        assert_eq!((days.first_ms, days.last_ms), (Some(NOON_MS), Some(NOON_MS + DAY_MS)));
        let verdicts: Vec<(&str, u64)> = days.verdicts.iter().map(|(word, n)| (word.as_str(), *n)).collect();
        assert_eq!(verdicts, [("allow", 2), ("honeypot", 1), ("not_confident", 1), ("nxdomain", 1)]);
        let clients: Vec<(&str, u64, u64)> = days
            .clients
            .iter()
            .map(|(address, asked, blocked)| (address.as_str(), *asked, *blocked))
            .collect();
        assert_eq!(clients, [("10.0.0.1", 3, 0), ("10.0.0.2", 1, 1), ("10.0.0.3", 1, 1)]);
        assert_eq!(days.clients_count, 3);
        assert_eq!(days.last.unwrap().event.verdict.action, Action::Honeypot);
    }

    #[test]
    fn related_names_are_those_under_the_registrable_domain_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let story = of(&store, about(Step::Day, NOON_MS, NOON_MS + 1));
        let want = [("img.cdn.shop.example".to_owned(), 2, 1), ("shop.example".to_owned(), 1, 0)];
        assert_eq!((story.related, story.related_more), (want.to_vec(), false));
        let alone = NameAsked { registrable: None, ..about(Step::Day, NOON_MS, NOON_MS + 1) };
        assert!(of(&store, alone).related.is_empty());
    }

    #[test]
    fn a_name_that_nobody_asked_for_has_no_story_and_a_tenant_sees_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let asked = about(Step::Day, 0, NOON_MS);
        for hostile in ["", "never.example", "%", "*", "' OR 1=1 --"] {
            assert_eq!(store.name(T, &NameAsked { name: hostile, ..asked }).unwrap(), None, "{hostile}");
        }
        assert_eq!(store.name(Tenant(2), &asked).unwrap(), None);
    }

    #[test]
    fn a_series_has_a_bound_and_roll_ups_outlive_the_events() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let long = of(&store, about(Step::Minute, 0, NOON_MS));
        assert_eq!(long.until_ms - long.since_ms, MOST_BUCKETS * 60_000);
        drop(store);
        let path = folder.path().join("events.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute("DELETE FROM events", []).unwrap();
        drop(connection);
        let store = open(folder.path());
        let days = of(&store, about(Step::Day, NOON_MS, NOON_MS + 2 * DAY_MS));
        let day = NOON_MS / DAY_MS * DAY_MS;
        assert_eq!(days.series, [(day, 3, 0, 1), (day + DAY_MS, 0, 0, 1)]);
        assert_eq!((days.first_ms, days.last_ms), (Some(day), Some(day + DAY_MS)), "to the day");
        assert_eq!((days.counted, days.last), (0, None));
    }

    fn ranked(store: &SqliteStore, side: Side, limit: usize) -> Ranking {
        let asked = RankingAsked { side, since_ms: NOON_MS, until_ms: NOON_MS + HOUR_MS, limit };
        store.ranking(T, &asked).unwrap()
    }

    fn names(ranking: &Ranking) -> Vec<(&str, u64)> {
        ranking.names.iter().map(|ranked| (ranked.name.as_str(), ranked.queries)).collect()
    }

    #[test]
    fn each_name_stands_on_the_side_of_its_last_verdict_most_asked_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut logged = event(1, "logged.example", "10.0.0.1", Action::Allow, Reason::Model);
        logged.verdict.would = Some(Action::Nxdomain);
        let mut events = vec![logged];
        let mut add = |times: u64, name: &str, action, reason, score| {
            for _ in 0..times {
                let mut one = event(events.len() as u64 + 1, name, "10.0.0.1", action, reason);
                one.verdict.score = Some(score);
                events.push(one);
            }
        };
        add(4, "freed.example", Action::Nxdomain, Reason::Model, 0.99);
        add(1, "freed.example", Action::Allow, Reason::Vetted, 0.99);
        add(3, "evil.example", Action::Nxdomain, Reason::List, 0.4);
        add(2, "leans.example", Action::Allow, Reason::NotConfident, 0.8);
        add(6, "good.example", Action::Allow, Reason::Model, 0.01);
        add(2, "odd.example", Action::Allow, Reason::NotConfident, 0.2);
        add(9, "localhost", Action::Nxdomain, Reason::Special, 0.0);
        append(&store, T, batch(events));
        let bad = ranked(&store, Side::Malicious, 10);
        assert_eq!(names(&bad), [("evil.example", 3), ("leans.example", 2), ("logged.example", 1)]);
        let first = &bad.names[0];
        assert_eq!(
            (first.blocked, first.action.as_deref(), first.reason.as_deref()),
            (3, Some("nxdomain"), Some("list"))
        );
        assert_eq!((bad.names[1].not_confident, bad.names[1].score), (true, Some(0.8)));
        assert_eq!(bad.names[2].would.as_deref(), Some("nxdomain"));
        let good = ranked(&store, Side::Benign, 10);
        assert_eq!(names(&good), [("good.example", 6), ("freed.example", 5), ("odd.example", 2)]);
        assert_eq!((good.names[1].blocked, good.more), (4, false));
        let two = ranked(&store, Side::Benign, 2);
        assert_eq!((two.names.len(), two.more), (2, true));
        let later = RankingAsked {
            side: Side::Malicious,
            since_ms: NOON_MS + HOUR_MS,
            until_ms: NOON_MS + 2 * HOUR_MS,
            limit: 9,
        };
        assert!(store.ranking(T, &later).unwrap().names.is_empty());
        assert!(store.ranking(Tenant(2), &RankingAsked { since_ms: 0, ..later }).unwrap().names.is_empty());
    }
}
