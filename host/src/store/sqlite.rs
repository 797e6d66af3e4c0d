//! The default store: one SQLite file in WAL mode, one writer thread, readers beside it.
//!
//! The writer takes all batches that wait, up to a bound, into one transaction; a batch's receipt comes after
//! the commit (which syncs to disk), so what a filter was told is stored survives a crash.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dnsvet_core::event::{Batch, Event};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::broadcast;

use super::codes::{Packed, action_code, reason_code};
use super::names::{NameAsked, NameStory, Ranking, RankingAsked};
use super::pending::{Order, Pending};
use super::queue::{Job, hand_over};
use super::ranges::Ranges;
use super::rules::{Effect, RuleHits};
use super::search::{LEVELS, Search};
use super::{
    Appended, EventId, EventStore, Overview, Page, Receipt, StoreError, Stored, Tenant, clients::Addresses,
    now_ms,
};
use crate::background;
use crate::config::{ClientAddresses, Retention};

mod names;
mod pending;
mod rollup;
pub(super) mod schema;
mod search;

use rollup::{Counted, Sums};

/// Batches that may wait for the writer.
const QUEUE_BATCHES: usize = 256;
/// Events in one transaction, about.
const TRANSACTION_EVENTS: usize = 20_000;
/// Entries of each of the writer's look-aside maps.
const CACHE_ENTRIES: usize = 200_000;
/// Events that the live tail may lag behind.
const TAIL_EVENTS: usize = 4_096;
/// Between two looks at retention.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Events removed in one transaction of retention.
const RETENTION_STEP: i64 = 5_000;
/// How long retention keeps the writer at a time.
const RETENTION_MOMENT: Duration = Duration::from_millis(300);
/// Between two sweeps of the dictionaries.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// An event store in a SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    jobs: Option<SyncSender<Job>>,
    writer: Option<std::thread::JoinHandle<()>>,
    readers: Mutex<Vec<Connection>>,
    tail: broadcast::Sender<(Tenant, Arc<Stored>)>,
}

impl SqliteStore {
    /// Opens or makes the store at `path` and starts its writer.
    pub fn open(path: &Path, retention: Retention, addresses: ClientAddresses) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        let (jobs, queue) = sync_channel(QUEUE_BATCHES);
        let (tail, _) = broadcast::channel(TAIL_EVENTS);
        let addresses = Addresses::beside(path, addresses)?;
        let mut writer = Writer::new(path.to_owned(), connection, tail.clone(), retention, addresses);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&queue))
            .map_err(|_| StoreError::Closed)?;
        let readers = Mutex::new(Vec::new());
        Ok(Self { path: path.to_owned(), jobs: Some(jobs), writer: Some(writer), readers, tail })
    }

    /// Opens the store at `path` for reading alone; a writer elsewhere may go on.
    ///
    /// # Errors
    /// There is none, or a newer dnsvet made it.
    pub fn open_reading(path: &Path) -> Result<Self, StoreError> {
        let shown = || path.display().to_string();
        std::fs::metadata(path).map_err(|source| StoreError::File { path: shown(), source })?;
        let failed = |source| StoreError::Sqlite { path: shown(), source };
        let connection = schema::open_reader(path).map_err(failed)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let (found, known): (i64, i64) = (version.map_err(failed)?, schema::VERSION);
        if found > known {
            return Err(StoreError::Newer { path: shown(), found, known });
        }
        let (tail, _) = broadcast::channel(1);
        Ok(Self {
            path: path.to_owned(),
            jobs: None,
            writer: None,
            readers: Mutex::new(vec![connection]),
            tail,
        })
    }

    /// Runs `read` on a reader connection of the pool.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let failed = |source| StoreError::Sqlite { path: self.path.display().to_string(), source };
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path).map_err(failed)?,
        };
        let result = read(&connection).map_err(failed);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }
}

impl Drop for SqliteStore {
    /// Commits what waits.
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl EventStore for SqliteStore {
    fn append(&self, tenant: Tenant, batch: Batch) -> Result<Receipt, StoreError> {
        hand_over(self.jobs.as_ref(), tenant, batch)
    }

    fn search(&self, tenant: Tenant, search: &Search) -> Result<Page, StoreError> {
        self.read(|connection| search::page(connection, tenant, search))?
    }

    fn event(&self, tenant: Tenant, id: EventId) -> Result<Option<Stored>, StoreError> {
        self.read(|connection| search::event(connection, tenant, id))?
    }

    fn pending(
        &self,
        tenant: Tenant,
        order: Order,
        settled: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Pending>, StoreError> {
        self.read(|connection| pending::pending(connection, tenant, order, settled))?
    }

    fn clients_of(&self, tenant: Tenant, names: &[String]) -> Result<u64, StoreError> {
        self.read(|connection| pending::clients_of(connection, tenant, names))
    }

    fn overview(&self, tenant: Tenant, since_ms: u64, now_ms: u64) -> Result<Overview, StoreError> {
        self.read(|connection| search::overview(connection, tenant, since_ms, now_ms))
    }

    fn name(&self, tenant: Tenant, asked: &NameAsked<'_>) -> Result<Option<NameStory>, StoreError> {
        self.read(|connection| names::story(connection, tenant, asked))?
    }

    fn rules(&self, tenant: Tenant, since_ms: u64) -> Result<Vec<RuleHits>, StoreError> {
        self.read(|connection| rollup::rules(connection, tenant, since_ms))
    }

    fn ranking(&self, tenant: Tenant, asked: &RankingAsked) -> Result<Ranking, StoreError> {
        self.read(|connection| names::ranking(connection, tenant, asked))?
    }

    fn subscribe(&self) -> broadcast::Receiver<(Tenant, Arc<Stored>)> {
        self.tail.subscribe()
    }
}

/// The one thread that writes.
pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
    tail: broadcast::Sender<(Tenant, Arc<Stored>)>,
    retention: Retention,
    addresses: Addresses,
    dictionaries: Dictionaries,
    /// SQLite's mark of other processes' writes.
    version: i64,
    /// Events removed since the last sweep, and when that was.
    removed: u64,
    swept: Instant,
}

impl Writer {
    #[cfg(test)]
    pub(super) fn for_test(path: &Path, retention: Retention) -> Self {
        let (tail, addresses) =
            (broadcast::channel(1).0, Addresses::beside(path, ClientAddresses::Truncate).unwrap());
        let mut writer = Self::new(path.to_owned(), schema::open(path).unwrap(), tail, retention, addresses);
        writer.swept = Instant::now() - 2 * SWEEP_EVERY;
        writer
    }

    fn new(
        path: PathBuf,
        connection: Connection,
        tail: broadcast::Sender<(Tenant, Arc<Stored>)>,
        retention: Retention,
        addresses: Addresses,
    ) -> Self {
        let (dictionaries, removed, swept) = (Dictionaries::default(), 0, Instant::now());
        Self { path, connection, tail, retention, addresses, dictionaries, version: 0, removed, swept }
    }

    fn run(&mut self, queue: &Receiver<Job>) {
        let mut due = Instant::now() + RETENTION_EVERY;
        loop {
            match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(first) => self.write(first, queue),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= due {
                let done = self.retain(now_ms()).unwrap_or_else(|error| {
                    tracing::warn!(%error, path = %self.path.display(), "retention failed; tried again in a minute");
                    true
                });
                due = Instant::now() + if done { RETENTION_EVERY } else { Duration::from_secs(1) };
            }
        }
    }

    /// One transaction of `first` and what else waits.
    fn write(&mut self, first: Job, queue: &Receiver<Job>) {
        background::step_back(background::STORE);
        let mut events = first.1.events.len();
        let mut jobs = vec![first];
        while events < TRANSACTION_EVENTS {
            let Ok(job) = queue.try_recv() else { break };
            events += job.1.events.len();
            jobs.push(job);
        }
        let (batches, receipts): (Vec<(Tenant, Batch)>, Vec<_>) =
            jobs.into_iter().map(|(tenant, batch, receipt)| ((tenant, batch), receipt)).unzip();
        let live = self.tail.receiver_count() > 0;
        match self.commit(batches, live) {
            Ok(Committed { results, stored }) => {
                for (receipt, result) in receipts.into_iter().zip(results) {
                    let _ = receipt.send(Ok(result));
                }
                for (tenant, stored) in stored {
                    let _ = self.tail.send((tenant, Arc::new(stored)));
                }
            }
            Err(source) => {
                // The ids that this transaction handed out are gone with it.
                self.dictionaries = Dictionaries::default();
                let said = source.to_string();
                tracing::error!(error = %said, path = %self.path.display(), "events not stored; filters send them again");
                for receipt in receipts {
                    let path = self.path.display().to_string();
                    let again = rusqlite::Error::ToSqlConversionFailure(said.clone().into());
                    let _ = receipt.send(Err(StoreError::Sqlite { path, source: again }));
                }
            }
        }
    }

    fn commit(&mut self, batches: Vec<(Tenant, Batch)>, live: bool) -> rusqlite::Result<Committed> {
        // A look at what is known comes before the first write: begun as a reader, it could not go on after another
        // process's write.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process that wrote may have removed what our ids stand for.
        let version: i64 = transaction.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if std::mem::replace(&mut self.version, version) != version {
            self.dictionaries = Dictionaries::default();
        }
        let mut sums = Sums::default();
        let mut committed = Committed::default();
        for (tenant, batch) in batches {
            let mut appended = Appended { stored: 0, known: 0 };
            let (source_id, mut received) = source(&transaction, tenant, &batch.source)?;
            let mut last_ms = 0;
            for mut event in batch.events {
                last_ms = last_ms.max(event.time_ms);
                if !received.insert(event.seq) {
                    appended.known += 1;
                    continue;
                }
                event.client = self.addresses.stored(&event.client, now_ms());
                let id = insert(&transaction, &mut self.dictionaries, tenant, source_id, &event, &mut sums)?;
                appended.stored += 1;
                if live {
                    committed.stored.push((
                        tenant,
                        Stored { id: EventId::of_row(id), source: batch.source.clone(), event },
                    ));
                }
            }
            transaction
                .prepare_cached(
                    "UPDATE sources SET received = ?2, events = events + ?3, dropped = max(dropped, ?4),
                       last_ms = max(last_ms, ?5) WHERE id = ?1",
                )?
                .execute(params![
                    source_id,
                    received.encode(),
                    appended.stored as i64,
                    batch.dropped as i64,
                    last_ms as i64
                ])?;
            committed.results.push(appended);
        }
        sums.write(&transaction)?;
        transaction.commit()?;
        self.dictionaries.shrink();
        Ok(committed)
    }

    /// Removes what is too old or too much, for a moment; false if there is more to do.
    pub(super) fn retain(&mut self, now_ms: u64) -> rusqlite::Result<bool> {
        let started = Instant::now();
        let raw_from = now_ms.saturating_sub(u64::from(self.retention.raw_days) * 86_400_000) as i64;
        loop {
            let step = self.connection.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?1) AND time_ms < ?2",
                params![RETENTION_STEP, raw_from],
            )?;
            self.removed += step as u64;
            if step < RETENTION_STEP as usize {
                break;
            }
            if started.elapsed() > RETENTION_MOMENT {
                return Ok(false);
            }
        }
        let rollup_from =
            (now_ms / 1000).saturating_sub(u64::from(self.retention.rollup_days) * 86_400) as i64;
        for table in ["rollup_verdicts", "rollup_names", "rollup_clients", "rollup_rules"] {
            // Fine levels go with the raw events, days stay.
            for (level, seconds) in LEVELS.into_iter().enumerate() {
                let from =
                    if seconds < 86_400 { rollup_from.max(raw_from / 1000 - 86_400) } else { rollup_from };
                let sql = format!("DELETE FROM {table} WHERE tenant_id = ?1 AND level = ?2 AND start_s < ?3");
                self.connection.execute(&sql, params![Tenant::DEFAULT.0, level as i64, from])?;
            }
        }
        // These look at every event, so they wait until it pays.
        if self.removed > 0 && self.swept.elapsed() > SWEEP_EVERY {
            // Events are found through their source, so it outlives the last of them.
            let sql = "DELETE FROM sources WHERE last_ms < ?1 AND id NOT IN (SELECT source_id FROM events)";
            self.connection.execute(sql, params![rollup_from * 1000])?;
            self.sweep()?;
        }
        self.shrink()?;
        Ok(true)
    }

    /// Removes the oldest events, a twentieth at a time, until the store fits its bound.
    fn shrink(&mut self) -> rusqlite::Result<()> {
        while self.retention.store_bytes > 0 && self.used_bytes()? > self.retention.store_bytes {
            let ends = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM events";
            let (first, last): (i64, i64) =
                self.connection.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let until = first + ((last - first) / 20).max(RETENTION_STEP);
            let step = self.connection.execute("DELETE FROM events WHERE id < ?1", params![until])?;
            self.removed += step as u64;
            // Names that only roll-ups remember take room too: without raw events the oldest day of those goes.
            if step == 0 && !self.drop_oldest_day()? {
                break;
            }
            self.sweep()?;
        }
        Ok(())
    }

    /// Removes the oldest day of names' and clients' roll-ups; false if there is none.
    fn drop_oldest_day(&mut self) -> rusqlite::Result<bool> {
        let sql = "SELECT min(start_s) FROM rollup_names";
        let oldest: Option<i64> = self.connection.query_row(sql, [], |row| row.get(0))?;
        let Some(oldest) = oldest else { return Ok(false) };
        for table in ["rollup_names", "rollup_clients"] {
            let sql = format!("DELETE FROM {table} WHERE start_s < ?1");
            self.connection.execute(&sql, params![oldest + 86_400])?;
        }
        Ok(true)
    }

    /// Removes dictionary entries that nothing refers to, and gives the pages back.
    fn sweep(&mut self) -> rusqlite::Result<()> {
        self.dictionaries = Dictionaries::default();
        tracing::info!(events = self.removed, "retention removed old events");
        (self.removed, self.swept) = (0, Instant::now());
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(
            "DELETE FROM verdicts WHERE id NOT IN (SELECT verdict_id FROM events);
             CREATE TEMP TABLE gone AS SELECT id, name FROM names
               WHERE id NOT IN (SELECT name_id FROM events) AND id NOT IN (SELECT name_id FROM rollup_names);
             INSERT INTO names_fts (names_fts, rowid, name) SELECT 'delete', id, name FROM gone;
             DELETE FROM names WHERE id IN (SELECT id FROM gone);
             DROP TABLE gone;
             DELETE FROM clients WHERE id NOT IN (SELECT client_id FROM events)
               AND id NOT IN (SELECT client_id FROM rollup_clients);
             DELETE FROM texts WHERE id NOT IN (SELECT shape_id FROM verdicts)
               AND id NOT IN (SELECT snapshot_id FROM verdicts) AND id NOT IN (SELECT door_id FROM events)
               AND id NOT IN (SELECT rule_id FROM rollup_rules);",
        )?;
        transaction.commit()?;
        let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Bytes in use, free pages left out.
    fn used_bytes(&self) -> rusqlite::Result<u64> {
        let read = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok(((read("page_count")? - read("freelist_count")?) * read("page_size")?) as u64)
    }
}

/// What one transaction did: a result for each batch, and the events for the live tail.
#[derive(Default)]
struct Committed {
    results: Vec<Appended>,
    stored: Vec<(Tenant, Stored)>,
}

/// Ids that the writer knows without asking the file.
#[derive(Default)]
struct Dictionaries {
    names: HashMap<(i64, String), i64>,
    clients: HashMap<(i64, String), i64>,
    texts: HashMap<(i64, String), i64>,
    verdicts: HashMap<(i64, i64, i64, String), i64>,
}

impl Dictionaries {
    fn shrink(&mut self) {
        if self.names.len() > CACHE_ENTRIES {
            self.names.clear();
        }
        if self.clients.len() > CACHE_ENTRIES {
            self.clients.clear();
        }
        if self.texts.len() > CACHE_ENTRIES {
            self.texts.clear();
        }
        if self.verdicts.len() > CACHE_ENTRIES {
            self.verdicts.clear();
        }
    }
}

fn source(connection: &Connection, tenant: Tenant, source: &str) -> rusqlite::Result<(i64, Ranges)> {
    let found = connection
        .prepare_cached("SELECT id, received FROM sources WHERE tenant_id = ?1 AND source = ?2")?
        .query_row(params![tenant.0, source], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    if let Some((id, received)) = found {
        return Ok((id, Ranges::decode(&received)));
    }
    connection
        .execute("INSERT INTO sources VALUES (NULL, ?1, ?2, '', 0, 0, 0)", params![tenant.0, source])?;
    Ok((connection.last_insert_rowid(), Ranges::default()))
}

/// Looks an entry of a dictionary table up, or adds it; true if it was added.
fn entry(
    connection: &Connection,
    cache: &mut HashMap<(i64, String), i64>,
    (table, column): (&str, &str),
    tenant: Tenant,
    text: &str,
) -> rusqlite::Result<(i64, bool)> {
    let key = (tenant.0, text.to_owned());
    if let Some(id) = cache.get(&key) {
        return Ok((*id, false));
    }
    let found = connection
        .prepare_cached(&format!("SELECT id FROM {table} WHERE tenant_id = ?1 AND {column} = ?2"))?
        .query_row(params![tenant.0, text], |row| row.get(0))
        .optional()?;
    let (id, new) = match found {
        Some(id) => (id, false),
        None => {
            connection
                .prepare_cached(&format!("INSERT INTO {table} (tenant_id, {column}) VALUES (?1, ?2)"))?
                .execute(params![tenant.0, text])?;
            (connection.last_insert_rowid(), true)
        }
    };
    cache.insert(key, id);
    Ok((id, new))
}

fn insert(
    connection: &Connection,
    dictionaries: &mut Dictionaries,
    tenant: Tenant,
    source_id: i64,
    event: &Event,
    sums: &mut Sums,
) -> rusqlite::Result<i64> {
    let (name_id, new) = entry(connection, &mut dictionaries.names, ("names", "name"), tenant, &event.name)?;
    if new {
        connection
            .prepare_cached("INSERT INTO names_fts (rowid, name) VALUES (?1, ?2)")?
            .execute(params![name_id, event.name])?;
    }
    let (client_id, _) =
        entry(connection, &mut dictionaries.clients, ("clients", "address"), tenant, &event.client)?;
    let text = ("texts", "text");
    let (door_id, _) = entry(connection, &mut dictionaries.texts, text, tenant, &event.door)?;
    let packed = Packed::of(&event.verdict, &event.name)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let (snapshot_id, _) = entry(connection, &mut dictionaries.texts, text, tenant, &packed.snapshot)?;
    let (shape_id, _) = entry(connection, &mut dictionaries.texts, text, tenant, &packed.shape)?;
    let key = (tenant.0, shape_id, snapshot_id, packed.arguments);
    let verdict_id = match dictionaries.verdicts.get(&key) {
        Some(id) => *id,
        None => {
            connection
                .prepare_cached("INSERT INTO verdicts VALUES (NULL, ?1, ?2, ?3, ?4)")?
                .execute(params![tenant.0, shape_id, snapshot_id, key.3])?;
            let id = connection.last_insert_rowid();
            dictionaries.verdicts.insert(key, id);
            id
        }
    };
    let (action, reason) = (action_code(event.action()), reason_code(event.reason()));
    connection
        .prepare_cached(
            "INSERT INTO events VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            tenant.0,
            source_id,
            event.seq as i64,
            event.time_ms as i64,
            name_id,
            client_id,
            event.qtype,
            door_id,
            action,
            reason,
            event.not_confident,
            event.took_us as i64,
            verdict_id
        ])?;
    let id = connection.last_insert_rowid();
    let rule = match &event.verdict.rule {
        Some(rule) => {
            let (rule_id, _) = entry(connection, &mut dictionaries.texts, text, tenant, rule)?;
            Some((rule_id, Effect::of(&event.verdict)))
        }
        None => None,
    };
    sums.add(tenant, Counted { time_ms: event.time_ms, action, reason, name_id, client_id, rule });
    Ok(id)
}
