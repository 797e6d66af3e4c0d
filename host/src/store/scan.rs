//! Reads all events of a time once, for whoever counts them: a connection of its own, beside a running writer.
//!
//! The surprise: nothing is grouped in SQL. SQLite would sort ten million rows on disk; the reader's own map groups
//! them as they come, and the dictionaries are asked once for each name.

use std::path::{Path, PathBuf};

use dnsvet_core::verdict::Verdict;
use rusqlite::{Connection, OptionalExtension, params};

use super::codes::join;
use super::sqlite::schema;
use super::{EventId, StoreError, Tenant};

/// What is read of every event: names and clients are numbers of dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its number; newer ones are greater.
    pub id: i64,
    /// See [`Scan::name`].
    pub name: i64,
    /// See [`Scan::clients`].
    pub client: i64,
    /// Stored action.
    pub action: i64,
    /// Stored deciding reason.
    pub reason: i64,
}

/// What is read of an event when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// QTYPE.
    pub qtype: u16,
    /// See [`Scan::text`].
    pub door: i64,
    /// See [`Scan::verdict`].
    pub verdict: i64,
}

/// The events of a store as they were when it was opened.
pub struct Scan {
    path: PathBuf,
    connection: Connection,
    tenant: Tenant,
}

impl Scan {
    /// Opens the store at `path` for reading; a writer may go on.
    pub fn open(path: &Path, tenant: Tenant) -> Result<Self, StoreError> {
        std::fs::metadata(path)
            .map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        let named = |source| StoreError::Sqlite { path: path.display().to_string(), source };
        let connection = schema::open_reader(path).map_err(named)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let found: i64 = version.map_err(named)?;
        if found > schema::VERSION {
            let path = path.display().to_string();
            return Err(StoreError::Newer { path, found, known: schema::VERSION });
        }
        // All that is read is of one moment.
        connection.execute_batch("BEGIN").map_err(named)?;
        Ok(Self { path: path.to_owned(), connection, tenant })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let named = |source| StoreError::Sqlite { path: self.path.display().to_string(), source };
        read(&self.connection).map_err(named)
    }

    /// Numbers of the first and the last event; zeros if there is none.
    pub fn ends(&self) -> Result<(i64, i64), StoreError> {
        // Each by itself is one step; both in one query would walk an index.
        let sql =
            "SELECT coalesce((SELECT min(id) FROM events), 0), coalesce((SELECT max(id) FROM events), 0)";
        self.read(|connection| connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))))
    }

    /// All clients: number and address, as it was stored.
    pub fn clients(&self) -> Result<Vec<(i64, String)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT id, address FROM clients WHERE tenant_id = ?1")?;
            let rows = statement.query_map([self.tenant.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// The name of a number.
    pub fn name(&self, id: i64) -> Result<String, StoreError> {
        let sql = "SELECT name FROM names WHERE id = ?1";
        self.read(|connection| connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)))
    }

    /// The number of a text, such as that of a door.
    pub fn text(&self, text: &str) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT id FROM texts WHERE tenant_id = ?1 AND text = ?2";
        let values = params![self.tenant.0, text];
        self.read(|connection| connection.query_row(sql, values, |row| row.get(0)).optional())
    }

    /// What [`Scan::rows`] leaves out of an event.
    pub fn rest(&self, row: &Row) -> Result<Rest, StoreError> {
        let sql = "SELECT time_ms, qtype, door_id, verdict_id FROM events WHERE id = ?1";
        self.read(|connection| {
            connection.prepare_cached(sql)?.query_row([row.id], |row| {
                let time_ms = row.get::<_, i64>(0)? as u64;
                Ok(Rest { time_ms, qtype: row.get(1)?, door: row.get(2)?, verdict: row.get(3)? })
            })
        })
    }

    /// The verdict of an event, whose name it is.
    pub fn verdict(&self, row: &Row, verdict: i64, name: &str) -> Result<Verdict, StoreError> {
        let sql = "SELECT shape.text, v.arguments FROM verdicts v JOIN texts shape ON shape.id = v.shape_id
          WHERE v.id = ?1";
        let (shape, arguments): (String, String) = self.read(|connection| {
            connection.prepare_cached(sql)?.query_row([verdict], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        let verdict = join(&shape, &arguments, name).and_then(|json| serde_json::from_str(&json).ok());
        verdict.ok_or(StoreError::Damaged(EventId::of_row(row.id)))
    }

    /// Hands over each event from `since_ms` on and before `until_ms` whose number lies in `ids`, oldest number
    /// first.
    pub fn rows<E: From<StoreError>>(
        &self,
        ids: std::ops::RangeInclusive<i64>,
        since_ms: u64,
        until_ms: u64,
        mut each: impl FnMut(&Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let named = |source| StoreError::Sqlite { path: self.path.display().to_string(), source };
        // Events are not in the order of their times, and need no index for them: a walk is one read of the file.
        let sql = "SELECT id, name_id, client_id, action, reason
          FROM events NOT INDEXED
          WHERE id BETWEEN ?1 AND ?2 AND tenant_id = ?3 AND time_ms >= ?4 AND time_ms < ?5";
        let mut statement = self.connection.prepare(sql).map_err(named)?;
        let until_ms = i64::try_from(until_ms).unwrap_or(i64::MAX);
        let values = params![ids.start(), ids.end(), self.tenant.0, since_ms as i64, until_ms];
        let mut rows = statement.query(values).map_err(named)?;
        while let Some(row) = rows.next().map_err(named)? {
            let read = || -> rusqlite::Result<Row> {
                Ok(Row {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    client: row.get(2)?,
                    action: row.get(3)?,
                    reason: row.get(4)?,
                })
            };
            each(&read().map_err(named)?)?;
        }
        Ok(())
    }
}
