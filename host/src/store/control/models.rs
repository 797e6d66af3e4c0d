//! Which model is in force: every promotion and rollback, and the artifacts that may come back.
//!
//! ```text
//! promote ─► models (artifact) + promotions (who, when, from, to) ─┐
//! rollback ─► promotions ──────────────────────────────────────────┴─► stack: last one in force, the one below before
//! ```
//!
//! Its main types are [`ModelStore`] and [`Promotion`]. The surprise: nothing says what is in force but the rows
//! themselves. A promotion puts its model on a stack, a rollback takes the top away, and at the bottom lies the model
//! that comes with dnsvet, which needs no row.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vetting::Done;
use super::{SqliteControl, add_audit};
use crate::store::{StoreError, Tenant};

/// Artifacts of models that were in force and may come back by a rollback; older ones go.
pub const MOST_KEPT: usize = 10;
/// Promotions and rollbacks that are listed.
const MOST_LISTED: usize = 50;

/// Why nothing was put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromotionError {
    /// It is in force already.
    #[error("{0} is in force already; nothing was changed")]
    InForce(String),
    /// There is none to go back to.
    #[error("{0} came with dnsvet and nothing was promoted over it, so there is none to go back to")]
    NothingBefore(String),
}

/// A model by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Name and hash, as verdicts name it: `small@1a2b3c4d`.
    pub id: String,
    /// BLAKE3 of `model.dvm`, 64 hex digits: what the filter runs.
    pub dvm_blake3: String,
    /// BLAKE3 of `model.onnx`, 64 hex digits.
    pub onnx_blake3: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// A model of a registry was put in force.
    Promote,
    /// The one before it was.
    Rollback,
}

/// One change of the model in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// Who.
    pub author: String,
    /// What was done.
    pub what: Move,
    /// In force until then.
    pub from: ModelRef,
    /// In force since.
    pub to: ModelRef,
    /// The gate was against it, and it was done all the same.
    pub even_so: bool,
    /// What the gate found, and what the model did as challenger; null for a rollback.
    pub evidence: Value,
}

/// A model on its way into force.
#[derive(Debug, Clone)]
pub struct Promoting<'a> {
    /// The model.
    pub to: &'a ModelRef,
    /// Its `model.dvm`.
    pub dvm: &'a [u8],
    /// Who.
    pub author: &'a str,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// Although the gate is against it.
    pub even_so: bool,
    /// See [`Promotion::evidence`].
    pub evidence: Value,
}

/// What is in force, and what was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The model in force; `None`: the one that comes with dnsvet.
    pub now: Option<ModelRef>,
    /// What a rollback would put in force, if there is one: `Some(None)` is the model that comes with dnsvet.
    pub before: Option<Option<ModelRef>>,
}

/// Keeps which model is in force, with the artifacts.
pub trait ModelStore: Send + Sync {
    /// Puts a model in force, with its audit line, all or nothing. `bundled` is the one that comes with dnsvet.
    fn promote(
        &self,
        tenant: Tenant,
        promoting: &Promoting<'_>,
        bundled: &ModelRef,
    ) -> Result<Promotion, StoreError>;
    /// Puts the model before in force, with its audit line.
    fn roll_back(
        &self,
        tenant: Tenant,
        author: &str,
        time_ms: u64,
        bundled: &ModelRef,
    ) -> Result<Promotion, StoreError>;
    /// What is in force.
    fn in_force(&self, tenant: Tenant) -> Result<InForce, StoreError>;
    /// The newest promotions and rollbacks, newest first.
    fn promotions(&self, tenant: Tenant) -> Result<Vec<Promotion>, StoreError>;
    /// An artifact that is kept, by the BLAKE3 of its `model.dvm`.
    fn model(&self, dvm_blake3: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keeps an artifact that may get into force.
    fn keep(&self, model: &ModelRef, dvm: &[u8]) -> Result<(), StoreError>;
    /// Keeps what is noted of models beside all that, in the place of what was; null takes it away.
    fn note(&self, tenant: Tenant, what: &str, note: &Value) -> Result<(), StoreError>;
    /// What is noted.
    fn noted(&self, tenant: Tenant, what: &str) -> Result<Option<Value>, StoreError>;
}

impl ModelStore for SqliteControl {
    fn promote(
        &self,
        tenant: Tenant,
        promoting: &Promoting<'_>,
        bundled: &ModelRef,
    ) -> Result<Promotion, StoreError> {
        self.whole(|transaction| promote(transaction, tenant, promoting, bundled))
    }

    fn roll_back(
        &self,
        tenant: Tenant,
        author: &str,
        time_ms: u64,
        bundled: &ModelRef,
    ) -> Result<Promotion, StoreError> {
        self.whole(|transaction| roll_back(transaction, tenant, (author, time_ms), bundled))
    }

    fn in_force(&self, tenant: Tenant) -> Result<InForce, StoreError> {
        self.with(|connection| {
            let mut stack = stack(connection, tenant)?;
            let now = stack.pop();
            let before = now.is_some().then(|| stack.pop());
            Ok(InForce { now, before })
        })
    }

    fn promotions(&self, tenant: Tenant) -> Result<Vec<Promotion>, StoreError> {
        self.with(|connection| {
            let sql = format!("{PROMOTION} WHERE tenant_id = ?1 ORDER BY id DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![tenant.0, MOST_LISTED as i64], promotion)?.collect()
        })
    }

    fn model(&self, dvm_blake3: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|connection| {
            let sql = "SELECT dvm FROM models WHERE dvm_blake3 = ?1";
            connection.query_row(sql, params![dvm_blake3], |row| row.get(0)).optional()
        })
    }

    fn keep(&self, model: &ModelRef, dvm: &[u8]) -> Result<(), StoreError> {
        self.with(|connection| keep(connection, model, dvm))
    }

    fn note(&self, tenant: Tenant, what: &str, note: &Value) -> Result<(), StoreError> {
        self.with(|connection| {
            if note.is_null() {
                let sql = "DELETE FROM notes WHERE tenant_id = ?1 AND what = ?2";
                return connection.execute(sql, params![tenant.0, what]);
            }
            let sql = "INSERT OR REPLACE INTO notes VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![tenant.0, what, note.to_string()])
        })?;
        Ok(())
    }

    fn noted(&self, tenant: Tenant, what: &str) -> Result<Option<Value>, StoreError> {
        let sql = "SELECT note FROM notes WHERE tenant_id = ?1 AND what = ?2";
        let text: Option<String> = self.with(|connection| {
            connection.query_row(sql, params![tenant.0, what], |row| row.get(0)).optional()
        })?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

fn promote(
    transaction: &Transaction<'_>,
    tenant: Tenant,
    promoting: &Promoting<'_>,
    bundled: &ModelRef,
) -> Done<Promotion> {
    let Promoting { to, dvm, author, time_ms, even_so, .. } = *promoting;
    let from = stack(transaction, tenant)?.pop().unwrap_or_else(|| bundled.clone());
    if from.dvm_blake3 == to.dvm_blake3 {
        return Ok(Err(PromotionError::InForce(to.id.clone()).into()));
    }
    keep(transaction, to, dvm)?;
    let promotion = Promotion {
        time_ms,
        author: author.to_owned(),
        what: Move::Promote,
        from,
        to: to.clone(),
        even_so,
        evidence: promoting.evidence.clone(),
    };
    write(transaction, tenant, &promotion)?;
    prune(transaction, tenant)?;
    Ok(Ok(promotion))
}

fn roll_back(
    transaction: &Transaction<'_>,
    tenant: Tenant,
    (author, time_ms): (&str, u64),
    bundled: &ModelRef,
) -> Done<Promotion> {
    let mut stack = stack(transaction, tenant)?;
    let Some(from) = stack.pop() else {
        return Ok(Err(PromotionError::NothingBefore(bundled.id.clone()).into()));
    };
    let promotion = Promotion {
        time_ms,
        author: author.to_owned(),
        what: Move::Rollback,
        from,
        to: stack.pop().unwrap_or_else(|| bundled.clone()),
        even_so: false,
        evidence: Value::Null,
    };
    write(transaction, tenant, &promotion)?;
    Ok(Ok(promotion))
}

/// Keeps an artifact, once however often it is promoted; one that was damaged is whole again.
fn keep(connection: &Connection, model: &ModelRef, dvm: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO models VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![model.dvm_blake3, model.id, dvm])?;
    Ok(())
}

fn write(connection: &Connection, tenant: Tenant, promotion: &Promotion) -> rusqlite::Result<()> {
    let Promotion { time_ms, author, what, from, to, even_so, evidence } = promotion;
    let word = match what {
        Move::Promote => "promote",
        Move::Rollback => "rollback",
    };
    let sql = "INSERT INTO promotions VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    connection.prepare_cached(sql)?.execute(params![
        tenant.0,
        *time_ms as i64,
        author,
        word,
        from.id,
        from.dvm_blake3,
        from.onnx_blake3,
        to.id,
        to.dvm_blake3,
        to.onnx_blake3,
        even_so,
        evidence.to_string(),
    ])?;
    let against = if *even_so { ", although the gate was against it" } else { "" };
    let detail = format!("{} in the place of {}{against}", to.id, from.id);
    add_audit(connection, tenant, *time_ms, author, &format!("model {word}"), &detail)
}

/// Models that were promoted and not taken back, the one in force last. One whose artifact is gone is passed over.
fn stack(connection: &Connection, tenant: Tenant) -> rusqlite::Result<Vec<ModelRef>> {
    let mut stack = Vec::new();
    let sql = format!("{PROMOTION} WHERE tenant_id = ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant.0])?;
    while let Some(row) = rows.next()? {
        match promotion(row)? {
            Promotion { what: Move::Promote, to, .. } => stack.push(to),
            Promotion { what: Move::Rollback, .. } => drop(stack.pop()),
        }
    }
    let mut kept = connection.prepare_cached("SELECT 1 FROM models WHERE dvm_blake3 = ?1")?;
    let mut held = Vec::with_capacity(stack.len());
    for model in stack {
        if kept.exists(params![model.dvm_blake3])? {
            held.push(model);
        }
    }
    Ok(held)
}

/// Artifacts that no rollback will reach go, unless a note speaks of them: the challenger.
fn prune(connection: &Connection, tenant: Tenant) -> rusqlite::Result<()> {
    let stack = stack(connection, tenant)?;
    let newest: Vec<&str> =
        stack.iter().rev().take(MOST_KEPT).map(|model| model.dvm_blake3.as_str()).collect();
    let newest = serde_json::to_string(&newest).unwrap_or_default();
    let sql = "DELETE FROM models WHERE dvm_blake3 NOT IN (SELECT value FROM json_each(?1))
        AND NOT EXISTS (SELECT 1 FROM notes WHERE instr(note, dvm_blake3))";
    connection.execute(sql, params![newest])?;
    Ok(())
}

const PROMOTION: &str =
    "SELECT time_ms, author, what, from_id, from_dvm, from_onnx, to_id, to_dvm, to_onnx, even_so,
    evidence FROM promotions";

fn promotion(row: &Row<'_>) -> rusqlite::Result<Promotion> {
    let model = |first: usize| -> rusqlite::Result<ModelRef> {
        let (id, dvm_blake3, onnx_blake3) = (row.get(first)?, row.get(first + 1)?, row.get(first + 2)?);
        Ok(ModelRef { id, dvm_blake3, onnx_blake3 })
    };
    Ok(Promotion {
        time_ms: row.get::<_, i64>(0)? as u64,
        author: row.get(1)?,
        what: if row.get::<_, String>(2)? == "rollback" { Move::Rollback } else { Move::Promote },
        from: model(3)?,
        to: model(6)?,
        even_so: row.get(9)?,
        evidence: serde_json::from_str(&row.get::<_, String>(10)?).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::ControlStore as _;
    use super::super::tests::open;
    use super::*;

    fn model(name: &str) -> ModelRef {
        ModelRef { id: format!("{name}@0"), dvm_blake3: format!("dvm {name}"), onnx_blake3: String::new() }
    }

    fn put(control: &SqliteControl, name: &str, time_ms: u64) -> Result<Promotion, StoreError> {
        let (to, dvm) = (model(name), name.as_bytes());
        let promoting =
            Promoting { to: &to, dvm, author: "ana", time_ms, even_so: false, evidence: Value::Null };
        control.promote(Tenant::DEFAULT, &promoting, &model("bundled"))
    }

    fn back(control: &SqliteControl) -> Result<Promotion, StoreError> {
        control.roll_back(Tenant::DEFAULT, "ben", 9, &model("bundled"))
    }

    #[test]
    fn rollbacks_go_back_one_promotion_each_down_to_what_comes_with_dnsvet() {
        let (_folder, control) = open();
        let standing = || control.in_force(Tenant::DEFAULT).unwrap();
        assert_eq!(standing(), InForce { now: None, before: None });
        assert_eq!(put(&control, "a", 1).unwrap().from, model("bundled"));
        assert_eq!(standing(), InForce { now: Some(model("a")), before: Some(None) });
        assert_eq!(put(&control, "b", 2).unwrap().from, model("a"));
        assert_eq!(standing(), InForce { now: Some(model("b")), before: Some(Some(model("a"))) });
        let again = put(&control, "b", 3).unwrap_err().to_string();
        assert_eq!(again, "b@0 is in force already; nothing was changed");
        assert_eq!(back(&control).unwrap().to, model("a"));
        assert_eq!(put(&control, "c", 4).unwrap().from, model("a"), "b is not below it");
        assert_eq!((back(&control).unwrap().to, back(&control).unwrap().to), (model("a"), model("bundled")));
        assert!(back(&control).unwrap_err().to_string().contains("none to go back to"));
        let listed = control.promotions(Tenant::DEFAULT).unwrap();
        let said: Vec<_> = listed.iter().map(|row| (row.what, row.author.as_str(), &*row.to.id)).collect();
        assert_eq!(said[..2], [(Move::Rollback, "ben", "bundled@0"), (Move::Rollback, "ben", "a@0")]);
        assert_eq!(listed.len(), 6);
        let trail = control.audit_trail(Tenant::DEFAULT, 10).unwrap();
        assert_eq!((&*trail[0].what, &*trail[0].detail), ("model rollback", "bundled@0 in the place of a@0"));
        assert_eq!(trail.len(), 6, "what was refused left no line");
    }

    #[test]
    fn artifacts_are_kept_as_far_as_rollbacks_go_and_over_a_restart() {
        let (folder, control) = open();
        let most = MOST_KEPT as u64 + 2;
        (0..most).for_each(|number| drop(put(&control, &format!("m{number}"), number).unwrap()));
        drop(control);
        let control = SqliteControl::open(&folder.path().join("control.db")).unwrap();
        let kept = |name: &str| control.model(&format!("dvm {name}")).unwrap();
        assert_eq!((kept("m0"), kept("m1")), (None, None));
        assert_eq!(kept("m2").unwrap(), b"m2");
        for number in (2..most - 1).rev() {
            assert_eq!(back(&control).unwrap().to, model(&format!("m{number}")));
        }
        assert_eq!(back(&control).unwrap().to, model("bundled"), "older ones are gone");
    }
}
