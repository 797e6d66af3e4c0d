//! The tables of the control plane's state, and the steps by which an older file gets them.
//!
//! The surprise: a file of the first version says 0, as a new one does, so its tables are made only where they are
//! missing.

use rusqlite::{Connection, TransactionBehavior};

/// Rises with each step.
pub const VERSION: i64 = STEPS.len() as i64;

/// What takes a file of version N to N + 1.
const STEPS: [&str; 3] = ["
ALTER TABLE vetted ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT '';
CREATE TABLE decisions (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, name TEXT NOT NULL, decision TEXT NOT NULL,
  author TEXT NOT NULL, confirmed INTEGER NOT NULL, alone INTEGER NOT NULL, time_ms INTEGER NOT NULL, before TEXT NOT NULL);
CREATE INDEX decisions_name ON decisions (tenant_id, name);
CREATE INDEX decisions_author ON decisions (tenant_id, author, time_ms);
INSERT INTO decisions SELECT NULL, tenant_id, name, decision, author, 0, 0, time_ms, iif(before = 'none', '',
  json_object('name', name, 'decision', before, 'scope', iif(exact, 'exact', 'suffix'), 'author', 'unknown',
  'time_ms', time_ms, 'before', 'none')) FROM vetted ORDER BY time_ms;
CREATE TABLE proposed (tenant_id INTEGER NOT NULL, name TEXT NOT NULL, decision TEXT NOT NULL, exact INTEGER NOT NULL,
  author TEXT NOT NULL, time_ms INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (tenant_id, name)) WITHOUT ROWID;
CREATE INDEX proposed_author ON proposed (tenant_id, author);
CREATE TABLE unblock_requests (tenant_id INTEGER NOT NULL, name TEXT NOT NULL, author TEXT NOT NULL, note TEXT NOT NULL,
  asked INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, PRIMARY KEY (tenant_id, name)) WITHOUT ROWID;
", "
CREATE TABLE models (dvm_blake3 TEXT PRIMARY KEY, id TEXT NOT NULL, dvm BLOB NOT NULL);
CREATE TABLE promotions (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, time_ms INTEGER NOT NULL, author TEXT NOT NULL,
  what TEXT NOT NULL, from_id TEXT NOT NULL, from_dvm TEXT NOT NULL, from_onnx TEXT NOT NULL, to_id TEXT NOT NULL,
  to_dvm TEXT NOT NULL, to_onnx TEXT NOT NULL, even_so INTEGER NOT NULL, evidence TEXT NOT NULL);
", "
CREATE TABLE notes (tenant_id INTEGER NOT NULL, what TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (tenant_id, what)) WITHOUT ROWID;
"];

const FIRST: &str = "
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, tenant_id INTEGER NOT NULL, role TEXT NOT NULL, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE, until_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (hash BLOB PRIMARY KEY, tenant_id INTEGER NOT NULL, label TEXT NOT NULL, role TEXT NOT NULL, created_ms INTEGER NOT NULL, UNIQUE (tenant_id, label)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vetted (tenant_id INTEGER NOT NULL, name TEXT NOT NULL, decision TEXT NOT NULL, exact INTEGER NOT NULL,
  author TEXT NOT NULL, time_ms INTEGER NOT NULL, before TEXT NOT NULL, PRIMARY KEY (tenant_id, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reliefs (tenant_id INTEGER NOT NULL, name TEXT NOT NULL, client_group TEXT NOT NULL,
  until_ms INTEGER NOT NULL, author TEXT NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY (tenant_id, name, client_group)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL, time_ms INTEGER NOT NULL, author TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS serials (name TEXT PRIMARY KEY, serial INTEGER NOT NULL);
";

/// Brings a file to [`VERSION`], whole or not at all; returns the version that it has then, which is greater if a
/// newer dnsvet wrote it.
pub fn bring_up(connection: &mut Connection) -> rusqlite::Result<i64> {
    // The write lock first: a command may open the file while the server does.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found >= VERSION {
        return Ok(found);
    }
    if found == 0 {
        transaction.execute_batch(FIRST)?;
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(VERSION)
}

#[cfg(test)]
mod tests {
    use super::super::vetting::VettingStore as _;
    use super::super::{ControlStore as _, Decision, SqliteControl};
    use super::*;
    use crate::store::{StoreError, Tenant};

    #[test]
    fn a_file_of_the_first_version_opens_with_its_decisions_and_they_can_be_undone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(FIRST).unwrap();
        old.execute_batch(
            "INSERT INTO vetted VALUES (1, 'a.example', 'malicious', 0, 'ana', 7, 'none');
             INSERT INTO vetted VALUES (1, 'b.example', 'malicious', 1, 'ana', 8, 'benign');",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let control = SqliteControl::open(&path).unwrap();
            assert_eq!(control.vetted(Tenant::DEFAULT).unwrap().len(), 2);
        }
        let control = SqliteControl::open(&path).unwrap();
        let undone = control.undo(Tenant::DEFAULT, "ana", 0..=9, "root", 10).unwrap();
        assert_eq!(undone.restored.len(), 2);
        let left = control.vetted(Tenant::DEFAULT).unwrap();
        assert_eq!((left.len(), left[0].name.as_str(), left[0].decision), (1, "b.example", Decision::Benign));
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.db");
        drop(SqliteControl::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        let refused = SqliteControl::open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Newer { found, .. } if found == VERSION + 1), "{refused}");
    }
}
