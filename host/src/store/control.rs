//! The control plane's state: users, sessions, tokens, decisions, audit trail, serial numbers.
//!
//! Small and precious, so it has a file of its own (`control.db`), synced on every commit. Passwords are
//! kept as argon2id; sessions and tokens are 256 random bits, of which only the BLAKE3 hash is kept: a
//! slow hash adds nothing to a secret that can't be guessed, and would be paid on every request.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use self::models::ModelStore;
use self::vetting::{Asked, Batch, Limit, Outcome, VettingStore};
use super::{StoreError, Tenant};
use crate::folder;

pub mod models;
pub mod proposals;
pub mod requests;
mod schema;
pub mod undo;
pub mod vetting;

/// What someone may do; each may do what those before it may, but for `Filter`, which is no person.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A plugin: fetches snapshots and sends events, nothing else.
    Filter,
    /// Sees queries, verdicts and counts.
    Viewer,
    /// Decides on names.
    Vetter,
    /// Reloads, manages users and tokens.
    Admin,
}

impl Role {
    /// The word in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Filter => "filter",
            Role::Viewer => "viewer",
            Role::Vetter => "vetter",
            Role::Admin => "admin",
        }
    }

    fn of(word: &str) -> Role {
        [Role::Viewer, Role::Vetter, Role::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
            .unwrap_or(Role::Filter)
    }
}

/// Someone who is let in: by a session or by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name, or `token:LABEL`.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whose rows they see.
    pub tenant: Tenant,
}

impl Identity {
    /// Whoever can open the control socket: an owner of the data folder.
    pub fn local() -> Self {
        Self { name: "local".into(), role: Role::Admin, tenant: Tenant::DEFAULT }
    }

    /// Whether this is [`Identity::local`].
    pub fn owns_folder(&self) -> bool {
        *self == Self::local()
    }
}

/// A user's stored password and role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub identity: Identity,
    /// argon2id, PHC form.
    pub password: String,
}

/// What a person decided on a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Allowed.
    Benign,
    /// Blocked.
    Malicious,
    /// Answered with the honeypot's address.
    Honeypot,
    /// An earlier decision is taken back.
    None,
}

impl Decision {
    /// The word in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Benign => "benign",
            Decision::Malicious => "malicious",
            Decision::Honeypot => "honeypot",
            Decision::None => "none",
        }
    }

    fn of(word: &str) -> Decision {
        let all = [Decision::Benign, Decision::Malicious, Decision::Honeypot];
        all.into_iter().find(|decision| decision.as_str() == word).unwrap_or(Decision::None)
    }

    /// Whether clients no longer reach the name.
    pub fn blocks(self) -> bool {
        matches!(self, Decision::Malicious | Decision::Honeypot)
    }
}

/// How far a decision reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The name and all below it.
    #[default]
    Suffix,
    /// The name alone.
    Exact,
}

/// A decision with its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VettedRow {
    /// The name, lower case, no trailing dot.
    pub name: String,
    /// What was decided.
    pub decision: Decision,
    /// How far it reaches.
    pub scope: Scope,
    /// Who decided.
    pub author: String,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// The decision before it, for undo.
    pub before: Decision,
    /// The second person, where one was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
}

/// A name unblocked for a while, or protection paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relief {
    /// The name, with all below it; empty: all protection is paused.
    pub name: String,
    /// The group; empty: all.
    pub group: String,
    /// When it ends, milliseconds since 1970; not after `time_ms` ends it now.
    pub until_ms: u64,
    /// Who gave it.
    pub author: String,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// Who.
    pub author: String,
    /// What was done: `vet`, `propose`, `confirm`, `deny`, `undo`, `unblock request`, `unblock`, `pause`, `login`,
    /// `token`, `user`, `reload`, `model promote`, `model rollback`,
    /// `model rebase`, `model challenge`, `model challenge ended`.
    pub what: String,
    /// To what.
    pub detail: String,
}

/// Keeps the control plane's state.
pub trait ControlStore: VettingStore + ModelStore {
    /// Adds a user, or changes the password and role of the one with this name.
    fn set_user(&self, tenant: Tenant, name: &str, role: Role, password: &str) -> Result<(), StoreError>;
    /// A user by name.
    fn user(&self, name: &str) -> Result<Option<User>, StoreError>;
    /// How many users there are.
    fn user_count(&self) -> Result<u64, StoreError>;
    /// Opens a session for a user, by the hash of its secret, until a time. Those that have ended are removed.
    fn open_session(&self, hash: &[u8; 32], user: &str, until_ms: u64, now_ms: u64)
    -> Result<(), StoreError>;
    /// Who a session belongs to, if it is still open.
    fn session(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<Identity>, StoreError>;
    /// Ends a session.
    fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError>;
    /// Adds a token by the hash of its secret; one with the same label goes.
    fn set_token(
        &self,
        tenant: Tenant,
        hash: &[u8; 32],
        label: &str,
        role: Role,
        now_ms: u64,
    ) -> Result<(), StoreError>;
    /// Who a token lets in.
    fn token(&self, hash: &[u8; 32]) -> Result<Option<Identity>, StoreError>;
    /// Stores a decision and its audit line, whoever made it and however often; returns the row, or `None` if it took
    /// one back. One more than a snapshot holds is refused: stored, it would stop every compile.
    fn decide(&self, tenant: Tenant, row: &VettedRow) -> Result<Option<VettedRow>, StoreError> {
        let asked = [Asked { row: row.clone(), popular: false }];
        let limit = Limit { most: usize::MAX, since_ms: row.time_ms };
        let outcomes = self.decide_all(tenant, Batch { asked: &asked, limit: Some(limit), whole: None })?;
        Ok(outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::InForce(row) if row.decision != Decision::None => Some(row),
            _ => None,
        }))
    }
    /// All decisions in force, newest first.
    fn vetted(&self, tenant: Tenant) -> Result<Vec<VettedRow>, StoreError>;
    /// Stores a relief in the place of one for the same name and group, and its audit line.
    fn relieve(&self, tenant: Tenant, relief: &Relief) -> Result<(), StoreError>;
    /// All reliefs that hold, the one that ends first first.
    fn reliefs(&self, tenant: Tenant, now_ms: u64) -> Result<Vec<Relief>, StoreError>;
    /// Writes an audit line.
    fn audit(&self, tenant: Tenant, row: &AuditRow) -> Result<(), StoreError>;
    /// The newest audit lines.
    fn audit_trail(&self, tenant: Tenant, limit: usize) -> Result<Vec<AuditRow>, StoreError>;
    /// The next serial number: greater than any before, kept before it is returned.
    fn next_serial(&self) -> Result<u64, StoreError>;
    /// Makes the next serial numbers greater than this one.
    fn raise_serial(&self, at_least: u64) -> Result<(), StoreError>;
}

/// The control plane's state in a SQLite file.
pub struct SqliteControl {
    path: String,
    connection: Mutex<Connection>,
}

impl SqliteControl {
    /// Opens or makes the state at `path`, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        folder::make_file(path).map_err(|source| StoreError::File { path: name.clone(), source })?;
        let prepare = || {
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.set_prepared_statement_cache_capacity(64);
            let found = schema::bring_up(&mut connection)?;
            Ok((connection, found))
        };
        let prepared = prepare().map_err(|source| StoreError::Sqlite { path: name.clone(), source })?;
        let (connection, found) = prepared;
        if found > schema::VERSION {
            return Err(StoreError::Newer { path: name, found, known: schema::VERSION });
        }
        Ok(Self { path: name, connection: Mutex::new(connection) })
    }

    fn with<T>(
        &self,
        run: impl FnOnce(&mut MutexGuard<'_, Connection>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        run(&mut connection).map_err(|source| StoreError::Sqlite { path: self.path.clone(), source })
    }

    /// Runs in one transaction, which is rolled back if it fails. The write lock is taken first: what it reads
    /// stands until it has written.
    fn whole<T>(&self, run: impl FnOnce(&Transaction<'_>) -> vetting::Done<T>) -> Result<T, StoreError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = run(&transaction)?;
            if done.is_ok() {
                transaction.commit()?;
            }
            Ok(done)
        })?
    }
}

impl ControlStore for SqliteControl {
    fn set_user(&self, tenant: Tenant, name: &str, role: Role, password: &str) -> Result<(), StoreError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM sessions WHERE user = ?1", params![name])?;
            transaction.execute(
                "INSERT INTO users VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password",
                params![name, tenant.0, role.as_str(), password],
            )?;
            transaction.commit()
        })
    }

    fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let read = |row: &Row<'_>| Ok(User { identity: identity(row)?, password: row.get(3)? });
        self.with(|connection| {
            let sql = "SELECT name, role, tenant_id, password FROM users WHERE name = ?1";
            connection.prepare_cached(sql)?.query_row(params![name], read).optional()
        })
    }

    fn user_count(&self) -> Result<u64, StoreError> {
        self.with(|connection| {
            connection.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))
        })
        .map(|count| count as u64)
    }

    fn open_session(
        &self,
        hash: &[u8; 32],
        user: &str,
        until_ms: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM sessions WHERE until_ms <= ?1", params![now_ms as i64])?;
            transaction
                .execute("INSERT INTO sessions VALUES (?1, ?2, ?3)", params![hash, user, until_ms as i64])?;
            transaction.commit()
        })
    }

    fn session(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<Identity>, StoreError> {
        self.with(|connection| {
            let sql = "SELECT u.name, u.role, u.tenant_id FROM sessions s JOIN users u ON u.name = s.user
              WHERE s.hash = ?1 AND s.until_ms > ?2";
            connection.prepare_cached(sql)?.query_row(params![hash, now_ms as i64], identity).optional()
        })
    }

    fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.with(|connection| connection.execute("DELETE FROM sessions WHERE hash = ?1", params![hash]))?;
        Ok(())
    }

    fn set_token(
        &self,
        tenant: Tenant,
        hash: &[u8; 32],
        label: &str,
        role: Role,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO tokens VALUES (?1, ?2, ?3, ?4, ?5)",
                params![hash, tenant.0, label, role.as_str(), now_ms as i64],
            )
        })?;
        Ok(())
    }

    fn token(&self, hash: &[u8; 32]) -> Result<Option<Identity>, StoreError> {
        self.with(|connection| {
            let sql = "SELECT 'token:' || label, role, tenant_id FROM tokens WHERE hash = ?1";
            connection.prepare_cached(sql)?.query_row(params![hash], identity).optional()
        })
    }

    fn vetted(&self, tenant: Tenant) -> Result<Vec<VettedRow>, StoreError> {
        self.with(|connection| {
            let sql = format!("{} WHERE tenant_id = ?1 ORDER BY time_ms DESC, name", vetting::VETTED);
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![tenant.0], vetting::vetted)?.collect()
        })
    }

    fn relieve(&self, tenant: Tenant, relief: &Relief) -> Result<(), StoreError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let Relief { name, group, until_ms, author, time_ms } = relief;
            transaction.execute("DELETE FROM reliefs WHERE until_ms <= ?1", params![*time_ms as i64])?;
            let sql = "DELETE FROM reliefs WHERE tenant_id = ?1 AND name = ?2 AND client_group = ?3";
            transaction.execute(sql, params![tenant.0, name, group])?;
            if until_ms > time_ms {
                let row = params![tenant.0, name, group, *until_ms as i64, author, *time_ms as i64];
                transaction.execute("INSERT INTO reliefs VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)?;
            }
            let what = if name.is_empty() { "pause" } else { "unblock" };
            let whose = if group.is_empty() { "all" } else { group };
            let detail = format!("{name} for {whose}, {} s", until_ms.saturating_sub(*time_ms) / 1_000);
            add_audit(&transaction, tenant, *time_ms, author, what, detail.trim_start())?;
            transaction.commit()
        })
    }

    fn reliefs(&self, tenant: Tenant, now_ms: u64) -> Result<Vec<Relief>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, client_group, until_ms, author, time_ms FROM reliefs
                 WHERE tenant_id = ?1 AND until_ms > ?2 ORDER BY until_ms, name, client_group",
            )?;
            let rows = statement.query_map(params![tenant.0, now_ms as i64], |row| {
                Ok(Relief {
                    name: row.get(0)?,
                    group: row.get(1)?,
                    until_ms: row.get::<_, i64>(2)? as u64,
                    author: row.get(3)?,
                    time_ms: row.get::<_, i64>(4)? as u64,
                })
            })?;
            rows.collect()
        })
    }

    fn audit(&self, tenant: Tenant, row: &AuditRow) -> Result<(), StoreError> {
        self.with(|connection| {
            add_audit(connection, tenant, row.time_ms, &row.author, &row.what, &row.detail)
        })
    }

    fn audit_trail(&self, tenant: Tenant, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.with(|connection| {
            let sql = "SELECT time_ms, author, what, detail FROM audit WHERE tenant_id = ?1 ORDER BY id DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![tenant.0, limit as i64], |row| {
                Ok(AuditRow {
                    time_ms: row.get::<_, i64>(0)? as u64,
                    author: row.get(1)?,
                    what: row.get(2)?,
                    detail: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    fn next_serial(&self) -> Result<u64, StoreError> {
        self.with(|connection| {
            connection.query_row(
                "INSERT INTO serials VALUES ('snapshot', 1) ON CONFLICT (name) DO UPDATE SET serial = serial + 1 RETURNING serial",
                [],
                |row| row.get::<_, i64>(0),
            )
        })
        .map(|serial| serial as u64)
    }

    fn raise_serial(&self, at_least: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO serials VALUES ('snapshot', ?1)
            ON CONFLICT (name) DO UPDATE SET serial = max(serial, excluded.serial)";
        self.with(|connection| connection.execute(sql, params![at_least as i64]))?;
        Ok(())
    }
}

fn identity(row: &Row<'_>) -> rusqlite::Result<Identity> {
    Ok(Identity { name: row.get(0)?, role: Role::of(&row.get::<_, String>(1)?), tenant: Tenant(row.get(2)?) })
}

fn add_audit(
    connection: &Connection,
    tenant: Tenant,
    time_ms: u64,
    author: &str,
    what: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO audit VALUES (NULL, ?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![tenant.0, time_ms as i64, author, what, detail])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use dnsvet_core::snapshot::MOST_VETTED;

    use super::*;

    pub(super) fn open() -> (tempfile::TempDir, SqliteControl) {
        let folder = tempfile::tempdir().unwrap();
        let control = SqliteControl::open(&folder.path().join("control.db")).unwrap();
        (folder, control)
    }

    #[test]
    fn a_relief_replaces_the_one_before_ends_by_itself_and_can_be_ended() {
        let (_folder, control) = open();
        let relief = |name: &str, group: &str, time_ms, until_ms| Relief {
            name: name.into(),
            group: group.into(),
            until_ms,
            author: "ann".into(),
            time_ms,
        };
        let give = |relief: &Relief| control.relieve(Tenant::DEFAULT, relief).unwrap();
        let held = |now_ms| -> Vec<(String, String, u64)> {
            let reliefs = control.reliefs(Tenant::DEFAULT, now_ms).unwrap().into_iter();
            reliefs.map(|relief| (relief.name, relief.group, relief.until_ms)).collect()
        };
        give(&relief("a.example", "", 1, 100));
        give(&relief("a.example", "", 2, 200));
        give(&relief("a.example", "kids", 2, 150));
        give(&relief("", "kids", 3, 120));
        let all = [("", "kids", 120), ("a.example", "kids", 150), ("a.example", "", 200)];
        assert_eq!(held(4), all.map(|(name, group, until)| (name.into(), group.into(), until)));
        assert_eq!(held(150).len(), 1);
        give(&relief("a.example", "", 5, 5));
        assert_eq!(held(6).len(), 2);
        let trail = control.audit_trail(Tenant::DEFAULT, 2).unwrap();
        assert_eq!((trail[0].what.as_str(), trail[0].detail.as_str()), ("unblock", "a.example for all, 0 s"));
        assert_eq!((trail[1].what.as_str(), trail[1].detail.as_str()), ("pause", "for kids, 0 s"));
    }

    #[test]
    fn a_decision_remembers_the_one_before_it_and_leaves_an_audit_line() {
        let (_folder, control) = open();
        let row = |decision, time_ms| VettedRow {
            name: "x.example".into(),
            decision,
            scope: Scope::Suffix,
            author: "ana".into(),
            time_ms,
            before: Decision::None,
            confirmed_by: None,
        };
        control.decide(Tenant::DEFAULT, &row(Decision::Malicious, 1)).unwrap();
        let second = control.decide(Tenant::DEFAULT, &row(Decision::Benign, 2)).unwrap().unwrap();
        assert_eq!(second.before, Decision::Malicious);
        assert_eq!(control.vetted(Tenant::DEFAULT).unwrap(), [second]);
        assert!(control.vetted(Tenant(2)).unwrap().is_empty(), "another tenant sees nothing");
        assert!(control.decide(Tenant::DEFAULT, &row(Decision::None, 3)).unwrap().is_none());
        assert!(control.vetted(Tenant::DEFAULT).unwrap().is_empty());
        let trail = control.audit_trail(Tenant::DEFAULT, 10).unwrap();
        assert_eq!(trail[0].detail, "x.example none (before: benign)");
        assert_eq!(trail.len(), 3);
    }

    #[test]
    fn one_decision_more_than_a_snapshot_holds_is_refused_and_not_stored() {
        let (_folder, control) = open();
        let row = |name: &str, decision| VettedRow {
            name: name.into(),
            decision,
            scope: Scope::Suffix,
            author: "ana".into(),
            time_ms: 1,
            before: Decision::None,
            confirmed_by: None,
        };
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO vetted SELECT 1, 'n' || i || '.example', 'benign', 0, 'ana', 1, 'none', '' FROM n";
        control.with(|connection| connection.execute(fill, params![MOST_VETTED as i64])).unwrap();
        let decide = |name, decision| control.decide(Tenant::DEFAULT, &row(name, decision));
        let refused = decide("one.more.example", Decision::Malicious).unwrap_err().to_string();
        assert!(refused.contains("65536 names") && refused.contains("take decisions back"), "{refused}");
        assert_eq!(control.vetted(Tenant::DEFAULT).unwrap().len(), MOST_VETTED);
        decide("n7.example", Decision::Malicious).unwrap().expect("another decision on the same name");
        decide("n8.example", Decision::None).unwrap();
        decide("one.more.example", Decision::Malicious).unwrap().expect("there is room again");
    }

    #[test]
    fn serials_rise_across_restarts() {
        let (folder, control) = open();
        assert_eq!((control.next_serial().unwrap(), control.next_serial().unwrap()), (1, 2));
        drop(control);
        let again = SqliteControl::open(&folder.path().join("control.db")).unwrap();
        assert_eq!(again.next_serial().unwrap(), 3);
        again.raise_serial(40).unwrap();
        again.raise_serial(2).unwrap();
        assert_eq!(again.next_serial().unwrap(), 41);
    }

    #[test]
    fn a_session_ends_by_time_by_logout_and_by_a_new_password() {
        let (_folder, control) = open();
        control.set_user(Tenant::DEFAULT, "ana", Role::Vetter, "phc").unwrap();
        for hash in [[1; 32], [2; 32], [3; 32]] {
            control.open_session(&hash, "ana", 100, 1).unwrap();
        }
        assert_eq!(control.session(&[1; 32], 99).unwrap().unwrap().role, Role::Vetter);
        assert_eq!(control.session(&[1; 32], 100).unwrap(), None);
        control.close_session(&[2; 32]).unwrap();
        assert_eq!(control.session(&[2; 32], 1).unwrap(), None);
        control.set_user(Tenant::DEFAULT, "ana", Role::Viewer, "other").unwrap();
        assert_eq!(control.session(&[3; 32], 1).unwrap(), None);
    }

    #[test]
    fn sessions_that_have_ended_are_removed_when_one_is_opened() {
        let (_folder, control) = open();
        control.set_user(Tenant::DEFAULT, "ana", Role::Vetter, "phc").unwrap();
        for (hash, until_ms, now_ms) in [([1; 32], 100, 1), ([2; 32], 200, 1), ([3; 32], 300, 100)] {
            control.open_session(&hash, "ana", until_ms, now_ms).unwrap();
        }
        let count = "SELECT count(*) FROM sessions";
        let left: i64 = control.with(|c| c.query_row(count, [], |row| row.get(0))).unwrap();
        assert_eq!(left, 2);
    }
}
