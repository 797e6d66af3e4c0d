//! The tables of the event store.

use rusqlite::Connection;

use crate::folder;
use crate::store::StoreError;

/// Rises with each change of the tables.
pub const VERSION: i64 = STEPS.len() as i64;

/// What brings a file from each version to the next.
const STEPS: [&str; 2] = [TABLES, RULES];

const TABLES: &str = "
CREATE TABLE names (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (tenant_id, name));
CREATE VIRTUAL TABLE names_fts USING fts5(name, content='names', content_rowid='id', tokenize='trigram', detail='none');
CREATE TABLE clients (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, address TEXT NOT NULL, UNIQUE (tenant_id, address));
CREATE TABLE sources (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, source TEXT NOT NULL, received TEXT NOT NULL,
  events INTEGER NOT NULL, dropped INTEGER NOT NULL, last_ms INTEGER NOT NULL, UNIQUE (tenant_id, source));
CREATE TABLE texts (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (tenant_id, text));
CREATE TABLE verdicts (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, shape_id INTEGER NOT NULL,
  snapshot_id INTEGER NOT NULL, arguments TEXT NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, source_id INTEGER NOT NULL, seq INTEGER NOT NULL,
  time_ms INTEGER NOT NULL, name_id INTEGER NOT NULL, client_id INTEGER NOT NULL, qtype INTEGER NOT NULL,
  door_id INTEGER NOT NULL, action INTEGER NOT NULL, reason INTEGER NOT NULL, not_confident INTEGER NOT NULL,
  took_us INTEGER NOT NULL, verdict_id INTEGER NOT NULL);
CREATE INDEX events_name ON events (name_id);
CREATE INDEX events_not_confident ON events (tenant_id, name_id) WHERE not_confident = 1;
CREATE TABLE rollup_verdicts (tenant_id INTEGER NOT NULL, level INTEGER NOT NULL, start_s INTEGER NOT NULL,
  action INTEGER NOT NULL, reason INTEGER NOT NULL, queries INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, level, start_s, action, reason)) WITHOUT ROWID;
CREATE TABLE rollup_names (tenant_id INTEGER NOT NULL, level INTEGER NOT NULL, start_s INTEGER NOT NULL,
  name_id INTEGER NOT NULL, blocked INTEGER NOT NULL, queries INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, level, start_s, name_id, blocked)) WITHOUT ROWID;
CREATE TABLE rollup_clients (tenant_id INTEGER NOT NULL, level INTEGER NOT NULL, start_s INTEGER NOT NULL,
  client_id INTEGER NOT NULL, blocked INTEGER NOT NULL, queries INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, level, start_s, client_id, blocked)) WITHOUT ROWID;
";

/// `effect` is what the rule led to, as [`crate::store::rules::Effect`] numbers it.
const RULES: &str = "
CREATE TABLE rollup_rules (tenant_id INTEGER NOT NULL, level INTEGER NOT NULL, start_s INTEGER NOT NULL,
  rule_id INTEGER NOT NULL, effect INTEGER NOT NULL, queries INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, level, start_s, rule_id, effect)) WITHOUT ROWID;
";

/// Opens `path` for writing, with its tables. A new file is its owner's alone.
pub fn open(path: &std::path::Path) -> Result<Connection, StoreError> {
    folder::make_file(path)
        .map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
    prepare(path).map_err(|source| StoreError::Sqlite { path: path.display().to_string(), source }).and_then(
        |(connection, found)| {
            if found > VERSION {
                let path = path.display().to_string();
                return Err(StoreError::Newer { path, found, known: VERSION });
            }
            Ok(connection)
        },
    )
}

fn prepare(path: &std::path::Path) -> rusqlite::Result<(Connection, i64)> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.set_prepared_statement_cache_capacity(64);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if (0..VERSION).contains(&found) {
        let transaction = connection.transaction()?;
        for step in STEPS.iter().skip(found as usize) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok((connection, found))
}

/// Opens `path` for reading only.
pub fn open_reader(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{NOON_MS, T, append, batch, event, open as open_store};
    use crate::store::{EventStore as _, RuleHits};
    use dnsvet_core::verdict::{Action, Reason};

    #[test]
    fn a_file_of_before_gets_what_is_missing_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(TABLES).unwrap();
        old.execute("INSERT INTO rollup_verdicts VALUES (1, 2, ?1, 0, 0, 7)", [NOON_MS as i64 / 1000])
            .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let store = open_store(folder.path());
        append(&store, T, batch(vec![event(1, "x.example", "10.0.0.1", Action::Nxdomain, Reason::List)]));
        let want = RuleHits { rule: "kadhosts".into(), blocked: 1, ..RuleHits::default() };
        assert_eq!(store.rules(T, NOON_MS).unwrap(), [want]);
        assert_eq!(store.overview(T, 0, NOON_MS + 86_400_000).unwrap().queries, 8);
        drop(store);
        Connection::open(&path).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(matches!(open(&path), Err(StoreError::Newer { found, .. }) if found == VERSION + 1));
    }
}
