//! The event store in ClickHouse, for more events than one machine's disk should hold.
//!
//! ```text
//! append ─► shipper ─► INSERT, rows as JSON ─► events ─► materialized views ─► roll-ups
//! API ◄──── SELECT over HTTP ◄────────────────────┴────────────────────────────────┘
//! ```
//!
//! It speaks ClickHouse's HTTP interface in text. Its surprise: an event's id is made of its time, source and number, so
//! it is the same wherever it is stored from, and a page is a range of the primary key. Should two control planes store
//! an event at once, its rows become one when parts merge, and a page shows one before that too; the roll-ups count it
//! twice.

mod names;
mod schema;
mod sql;
#[cfg(test)]
pub(super) mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dnsvet_core::event::{Batch, Event};
use http::Method;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use super::codes::{Packed, action_code, reason_code};
use super::id::source_key;
use super::names::{NameAsked, NameStory, Ranking, RankingAsked};
use super::pending::{Counted, HALF_CLIENTS, HALF_NEW_MS, Order, Pending, queue};
use super::ranges::Ranges;
use super::remote::{Ask, Remote, RemoteError, password};
use super::rules::{self, Effect, RuleHits};
use super::search::{Search, bucket_start_s, level};
use super::shipper::{Shipper, Sink};
use super::{EventId, EventStore, Overview, Page, Receipt, StoreError, Stored, Tenant, now_ms};
use crate::config::{ClickHouse, ClientAddresses, Retention};

/// A question of the API may take so long.
const READ: Duration = Duration::from_secs(10);
/// An insert, or a change of the tables.
const WRITE: Duration = Duration::from_secs(30);
/// The first version that is taken.
const LEAST: (u32, &str) = (23, "23");
/// Names that wait, of which the queue is made.
const MOST_PENDING: usize = 50_000;

/// An event store in ClickHouse.
pub struct ClickHouseStore {
    engine: Arc<Engine>,
    /// `None`: for reading alone.
    shipper: Option<Shipper>,
}

/// What is asked over HTTP.
struct Engine {
    remote: Remote,
    database: String,
    retention: Retention,
}

impl ClickHouseStore {
    /// The store that `config` names. Nothing is asked of it here: while it is away, events wait in `spool`, a folder,
    /// in at most `retention.spool_bytes`.
    ///
    /// # Errors
    /// If the configuration or the folder can't be used.
    pub fn open(
        config: &ClickHouse,
        spool: &Path,
        retention: Retention,
        addresses: ClientAddresses,
    ) -> Result<Self, StoreError> {
        let bytes = retention.spool_bytes;
        let engine = Arc::new(Engine::new(config, retention)?);
        let sink: Arc<dyn Sink> = engine.clone();
        Ok(Self { engine, shipper: Some(Shipper::start(sink, (spool, bytes), addresses)?) })
    }

    /// The same for reading alone.
    ///
    /// # Errors
    /// If the configuration can't be used.
    pub fn open_reading(config: &ClickHouse) -> Result<Self, StoreError> {
        Ok(Self { engine: Arc::new(Engine::new(config, Retention::default())?), shipper: None })
    }
}

impl EventStore for ClickHouseStore {
    fn append(&self, tenant: Tenant, batch: Batch) -> Result<Receipt, StoreError> {
        self.shipper.as_ref().ok_or(StoreError::Closed)?.append(tenant, batch)
    }

    fn search(&self, tenant: Tenant, search: &Search) -> Result<Page, StoreError> {
        let Some(conditions) = sql::conditions(tenant, search) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let limit = search.page_size();
        let mut items = self.engine.events(&conditions, limit + 1)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(|last| last.id).filter(|_| more);
        items.dedup_by_key(|stored| stored.id);
        Ok(Page { items, next })
    }

    fn event(&self, tenant: Tenant, id: EventId) -> Result<Option<Stored>, StoreError> {
        self.engine.event(tenant, id)
    }

    fn pending(
        &self,
        tenant: Tenant,
        order: Order,
        settled: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Pending>, StoreError> {
        // The priority without the score's part, as `store::pending` has it.
        let sql = format!(
            "SELECT name, count() AS asked, uniqExact(client) AS who, min(time_ms) AS first, max(time_ms),
               max((time_ms, source_key, seq)) AS last, argMax(tuple(score), (time_ms, source_key, seq)).1
             FROM {}.events WHERE tenant_id = {} AND not_confident = 1 GROUP BY name
             ORDER BY who / (who + {HALF_CLIENTS}) * {HALF_NEW_MS} /
               ({HALF_NEW_MS} + greatest(0, {} - toInt64(first))) DESC, asked DESC, last DESC
             LIMIT {MOST_PENDING}",
            self.engine.database,
            tenant.0,
            order.now_ms.min(i64::MAX as u64),
        );
        type Row = (String, u64, u64, u64, u64, (u64, u32, u64), Option<f64>);
        let rows: Vec<Row> = self.engine.read(&sql)?;
        let mut scores = std::collections::HashMap::new();
        let names: Vec<Pending> = rows
            .into_iter()
            .map(|(name, queries, clients, first_ms, last_ms, (time_ms, source, seq), score)| {
                let last_id = EventId::of(time_ms, source, seq);
                scores.insert(last_id, score);
                let counted = Counted { queries, clients, first_ms, last_ms, last_id };
                Pending::unscored(name, counted, order.now_ms)
            })
            .collect();
        let score = |pending: &Pending| Ok(scores.get(&pending.last_id).copied().flatten());
        queue(names.into_iter().map(Ok), order, settled, score)
    }

    fn clients_of(&self, tenant: Tenant, names: &[String]) -> Result<u64, StoreError> {
        if names.is_empty() {
            return Ok(0);
        }
        let names: Vec<String> = names.iter().map(|name| sql::literal(name)).collect();
        let sql = format!(
            "SELECT uniqExact(client) FROM {}.events WHERE tenant_id = {} AND not_confident = 1 AND name IN ({})",
            self.engine.database,
            tenant.0,
            names.join(", ")
        );
        let rows: Vec<(u64,)> = self.engine.read(&sql)?;
        Ok(rows.first().map_or(0, |row| row.0))
    }

    fn overview(&self, tenant: Tenant, since_ms: u64, now_ms: u64) -> Result<Overview, StoreError> {
        let engine = &self.engine;
        let (database, tenant) = (&engine.database, tenant.0);
        let mut overview = Overview::starting(since_ms, now_ms);
        let level = level(since_ms, now_ms);
        let verdicts: Vec<(u64, u8, u8, u64)> = engine.read(&format!(
            "SELECT start_s, action, reason, sum(queries) FROM {database}.rollup_verdicts
             WHERE tenant_id = {tenant} AND level = {level} AND start_s >= {}
             GROUP BY start_s, action, reason ORDER BY start_s",
            overview.since_ms / 1000
        ))?;
        for (start_s, action, reason, queries) in verdicts {
            overview.count(start_s, action.into(), reason.into(), queries);
        }
        overview.sort();
        // Names and clients have no minutes.
        let level = level.max(1);
        let since_s = bucket_start_s(since_ms, level);
        let top = |table: &str, column: &str, more: &str| {
            engine.read(&format!(
                "SELECT {column}, sum(queries) AS asked FROM {database}.{table}
                 WHERE tenant_id = {tenant} AND level = {level} AND start_s >= {since_s} {more}
                 GROUP BY {column} ORDER BY asked DESC, {column} LIMIT 10"
            ))
        };
        overview.blocked_names = top("rollup_names", "name", "AND blocked = 1")?;
        overview.clients = top("rollup_clients", "client", "")?;
        let sources: Vec<(String, u64, u64, u64)> = engine.read(&format!(
            "SELECT source, sum(events), max(last_ms) AS last, max(dropped) FROM {database}.sources
             WHERE tenant_id = {tenant} GROUP BY source HAVING last >= {since_ms} ORDER BY last DESC LIMIT 100"
        ))?;
        for (source, events, last_ms, dropped) in sources {
            overview.sources.push((source, events, last_ms));
            overview.dropped += dropped;
        }
        Ok(overview)
    }

    fn name(&self, tenant: Tenant, asked: &NameAsked<'_>) -> Result<Option<NameStory>, StoreError> {
        names::story(&self.engine, tenant, asked)
    }

    fn rules(&self, tenant: Tenant, since_ms: u64) -> Result<Vec<RuleHits>, StoreError> {
        let (level, since_s) = rules::since(since_ms, now_ms());
        let rows = self.engine.read(&format!(
            "SELECT rule, effect, sum(queries) FROM {}.rollup_rules
             WHERE tenant_id = {} AND level = {level} AND start_s >= {since_s} GROUP BY rule, effect",
            self.engine.database, tenant.0
        ))?;
        Ok(rules::hits(rows))
    }

    fn ranking(&self, tenant: Tenant, asked: &RankingAsked) -> Result<Ranking, StoreError> {
        names::ranking(&self.engine, tenant, asked)
    }

    fn subscribe(&self) -> broadcast::Receiver<(Tenant, Arc<Stored>)> {
        self.shipper.as_ref().map_or_else(|| broadcast::channel(1).1, Shipper::subscribe)
    }

    fn render(&self, text: &mut String) {
        if let Some(shipper) = &self.shipper {
            shipper.render(text);
        }
    }
}

/// An event's columns, as they are read.
type Columns = (u64, u64, String, String, String, u16, String, u8, u64, String, String, String);

impl Engine {
    fn new(config: &ClickHouse, retention: Retention) -> Result<Self, RemoteError> {
        let password = password("clickhouse.password_file", &config.password, &config.password_file)?;
        let fields = [("x-clickhouse-user", config.user.clone()), ("x-clickhouse-key", password)];
        let remote = Remote::new("clickhouse.url", &config.url, &fields)?;
        Ok(Self { remote, database: config.database.clone(), retention })
    }

    /// Sends a statement, with rows behind it or none.
    fn send(&self, statement: Vec<u8>, limit: Duration) -> Result<bytes::Bytes, RemoteError> {
        self.remote.asked(Ask {
            method: Method::POST,
            // An error comes as one, and not behind half an answer.
            path: "/?wait_end_of_query=1".into(),
            content_type: "text/plain; charset=utf-8",
            body: statement.into(),
            limit,
        })
    }

    fn execute(&self, statement: &str) -> Result<(), RemoteError> {
        self.send(statement.as_bytes().to_vec(), WRITE).map(|_| ())
    }

    /// Rows of a question.
    fn read<T: DeserializeOwned>(&self, question: &str) -> Result<Vec<T>, StoreError> {
        let seconds = READ.as_secs();
        let statement = format!(
            "{question} SETTINGS max_execution_time = {seconds}, output_format_json_quote_64bit_integers = 0
             FORMAT JSONCompactEachRow"
        );
        let body = self.send(statement.into_bytes(), READ)?;
        let rows = serde_json::Deserializer::from_slice(&body).into_iter();
        rows.collect::<Result<_, _>>().map_err(|error| self.remote.unreadable(error).into())
    }

    fn event(&self, tenant: Tenant, id: EventId) -> Result<Option<Stored>, StoreError> {
        let parts = id.parts();
        let (time_ms, source, seq) = (parts.time_ms, parts.source, parts.seq);
        let tenant = tenant.0;
        let key =
            format!("tenant_id = {tenant} AND time_ms = {time_ms} AND source_key = {source} AND seq = {seq}");
        Ok(self.events(&key, 1)?.pop())
    }

    /// Events, newest first.
    fn events(&self, conditions: &str, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let rows: Vec<Columns> = self.read(&format!(
            "SELECT time_ms, seq, source, client, name, qtype, door, not_confident, took_us, shape, arguments, snapshot
             FROM {}.events WHERE {conditions}
             ORDER BY tenant_id DESC, time_ms DESC, source_key DESC, seq DESC LIMIT {limit}",
            self.database
        ))?;
        rows.into_iter().map(stored).collect()
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.database)
    }
}

fn stored(columns: Columns) -> Result<Stored, StoreError> {
    let (time_ms, seq, source, client, name, qtype, door, not_confident, took_us, shape, arguments, snapshot) =
        columns;
    let id = EventId::of(time_ms, source_key(&source), seq);
    let packed = Packed { shape, arguments, snapshot };
    let verdict = packed.verdict(&name).ok_or(StoreError::Damaged(id))?;
    let not_confident = not_confident != 0;
    let event = Event { seq, time_ms, client, name, qtype, door, verdict, not_confident, took_us };
    Ok(Stored { id, source, event })
}

impl Sink for Engine {
    fn prepare(&self) -> Result<(), StoreError> {
        // Old servers don't know the format of other answers.
        let answer = self.send(b"SELECT version() FORMAT TabSeparated".to_vec(), READ)?;
        let found = String::from_utf8_lossy(&answer).trim().to_owned();
        if found.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|m| m < LEAST.0) {
            let url = self.remote.url().to_owned();
            return Err(RemoteError::Old { url, what: "ClickHouse", found, least: LEAST.1 }.into());
        }
        for statement in schema::tables(&self.database, &self.retention) {
            self.execute(&statement)?;
        }
        let version = self.table("schema_version");
        let found: Vec<(u64,)> = self.read(&format!("SELECT max(version) FROM {version}"))?;
        match found.first().map_or(0, |row| row.0) {
            0 => self.execute(&format!("INSERT INTO {version} VALUES ({})", schema::VERSION))?,
            found if found > schema::VERSION => {
                let path = format!("{} database {}", self.remote.url(), self.database);
                let (found, known) = (found as i64, schema::VERSION as i64);
                return Err(StoreError::Newer { path, found, known });
            }
            _ => {}
        }
        for (table, ttl) in schema::ttls(&self.retention) {
            let sql = format!(
                "SELECT create_table_query FROM system.tables WHERE database = {} AND name = {}",
                sql::literal(&self.database),
                sql::literal(table)
            );
            let now: Vec<(String,)> = self.read(&sql)?;
            let days = |text: &str| {
                let all = text.split("toIntervalDay(").skip(1);
                all.map(|rest| rest.split(')').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
            };
            if now.first().is_some_and(|row| days(&row.0) != days(&ttl)) {
                self.execute(&format!("ALTER TABLE {} MODIFY {ttl}", self.table(table)))?;
            }
        }
        Ok(())
    }

    fn received(&self, tenant: Tenant, source: &str) -> Result<Ranges, StoreError> {
        // Of consecutive numbers, all have the same distance to their place.
        let ranges: Vec<(u64, u64)> = self.read(&format!(
            "SELECT min(seq), max(seq) FROM
               (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run FROM
                 (SELECT DISTINCT seq FROM {} WHERE tenant_id = {} AND source = {}))
             GROUP BY run ORDER BY 1",
            self.table("events"),
            tenant.0,
            sql::literal(source)
        ))?;
        Ok(Ranges::of(ranges))
    }

    fn insert(
        &self,
        events: &[(Tenant, Stored)],
        dropped: &[(Tenant, String, u64)],
    ) -> Result<(), StoreError> {
        if !events.is_empty() {
            let mut body = format!(
                "INSERT INTO {} ({}) SETTINGS max_partitions_per_insert_block = 0, max_execution_time = {} \
                 FORMAT JSONCompactEachRow\n",
                self.table("events"),
                schema::COLUMNS,
                WRITE.as_secs()
            )
            .into_bytes();
            for (tenant, stored) in events {
                let event = &stored.event;
                let packed = Packed::of(&event.verdict, &event.name)
                    .map_err(|error| self.remote.unreadable(format!("an event is no JSON: {error}")))?;
                let head = (tenant.0, event.time_ms, source_key(&stored.source), event.seq, &stored.source);
                let middle = (
                    &event.client,
                    &event.name,
                    event.qtype,
                    &event.door,
                    action_code(event.action()),
                    reason_code(event.reason()),
                    u8::from(event.not_confident),
                    event.took_us,
                    event.verdict.score,
                );
                let rule = event.verdict.rule.as_deref().unwrap_or_default();
                let effect = Effect::of(&event.verdict) as u8;
                let tail = (&packed.shape, &packed.snapshot, &packed.arguments, rule, effect);
                row(&mut body, &head, &middle, &tail)
                    .map_err(|error| self.remote.unreadable(format!("an event is no JSON: {error}")))?;
            }
            self.send(body, WRITE)?;
        }
        if !dropped.is_empty() {
            let rows = dropped.iter();
            let rows: Vec<String> = rows
                .map(|(tenant, source, count)| {
                    format!("({}, {}, 0, {count}, 0)", tenant.0, sql::literal(source))
                })
                .collect();
            self.execute(&format!("INSERT INTO {} VALUES {}", self.table("sources"), rows.join(", ")))?;
        }
        Ok(())
    }

    fn retain(&self, now_ms: u64) -> Result<(), StoreError> {
        let partitions: Vec<(String, String, u64)> = self.read(&format!(
            "SELECT table, partition, sum(bytes_on_disk) FROM system.parts
             WHERE database = {} AND active AND (table = 'events' OR startsWith(table, 'rollup_'))
             GROUP BY table, partition ORDER BY partition",
            sql::literal(&self.database)
        ))?;
        let partitions = partitions.into_iter();
        let partitions = partitions
            .map(|(table, partition, bytes)| schema::Partition { table, partition, bytes })
            .collect();
        for gone in schema::expired(partitions, &self.retention, now_ms) {
            self.execute(&format!(
                "ALTER TABLE {} DROP PARTITION {}",
                self.table(&gone.table),
                gone.partition
            ))?;
            tracing::info!(
                table = gone.table,
                partition = gone.partition,
                bytes = gone.bytes,
                "retention removed a day"
            );
        }
        Ok(())
    }
}

/// One row as JSON: the elements of three tuples in one array.
fn row(
    body: &mut Vec<u8>,
    head: &impl serde::Serialize,
    middle: &impl serde::Serialize,
    tail: &impl serde::Serialize,
) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *body, head)?;
    body.pop();
    for (part, last) in [(serde_json::to_vec(middle)?, false), (serde_json::to_vec(tail)?, true)] {
        body.push(b',');
        body.extend_from_slice(&part[1..part.len() - usize::from(!last)]);
    }
    body.push(b'\n');
    Ok(())
}
