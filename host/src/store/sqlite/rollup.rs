//! Roll-ups: counts by minute, hour and day, summed in memory for a transaction and then added.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::store::rules::{self, Effect, RuleHits};
use crate::store::search::{LEVELS, bucket_start_s};
use crate::store::{Tenant, now_ms};

/// Counts of one transaction.
#[derive(Debug, Default)]
pub struct Sums {
    verdicts: HashMap<(i64, usize, u64, i64, i64), u64>,
    names: HashMap<(i64, usize, u64, i64, bool), u64>,
    clients: HashMap<(i64, usize, u64, i64, bool), u64>,
    rules: HashMap<(i64, usize, u64, i64, Effect), u64>,
}

/// What a roll-up needs of an event.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Stored action.
    pub action: i64,
    /// Stored reason.
    pub reason: i64,
    /// Stored name.
    pub name_id: i64,
    /// Stored client.
    pub client_id: i64,
    /// Stored name of the list or rule that decided, and what it led to.
    pub rule: Option<(i64, Effect)>,
}

impl Sums {
    /// Counts an event. Names, clients and rules have no minutes: they would be as many rows as events.
    pub fn add(&mut self, tenant: Tenant, event: Counted) {
        let blocked = event.action != 0;
        for level in 0..LEVELS.len() {
            let start = bucket_start_s(event.time_ms, level);
            *self.verdicts.entry((tenant.0, level, start, event.action, event.reason)).or_default() += 1;
            if level > 0 {
                *self.names.entry((tenant.0, level, start, event.name_id, blocked)).or_default() += 1;
                *self.clients.entry((tenant.0, level, start, event.client_id, blocked)).or_default() += 1;
                if let Some((rule, effect)) = event.rule {
                    *self.rules.entry((tenant.0, level, start, rule, effect)).or_default() += 1;
                }
            }
        }
    }

    /// Adds the counts to the tables, in key order.
    pub fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        add(connection, "rollup_verdicts", self.verdicts, |code| code)?;
        add(connection, "rollup_rules", self.rules, |effect| effect as i64)?;
        add(connection, "rollup_names", self.names, i64::from)?;
        add(connection, "rollup_clients", self.clients, i64::from)
    }
}

/// Adds the counts of one table: by tenant, level, start of the bucket, what is counted, and its side.
fn add<S>(
    connection: &Connection,
    table: &str,
    sums: HashMap<(i64, usize, u64, i64, S), u64>,
    side: impl Fn(S) -> i64,
) -> rusqlite::Result<()> {
    let row = |((tenant, level, start, what, of), queries)| {
        [tenant, level as i64, start as i64, what, side(of), queries as i64]
    };
    let mut rows: Vec<[i64; 6]> = sums.into_iter().map(row).collect();
    rows.sort_unstable();
    let mut add = connection.prepare_cached(&format!(
        "INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET queries = queries + excluded.queries"
    ))?;
    for row in rows {
        add.execute(row)?;
    }
    Ok(())
}

/// How often each rule decided since a time, milliseconds since 1970.
pub(super) fn rules(
    connection: &Connection,
    tenant: Tenant,
    since_ms: u64,
) -> rusqlite::Result<Vec<RuleHits>> {
    let (level, since_s) = rules::since(since_ms, now_ms());
    let sql = "SELECT t.text, r.effect, sum(r.queries) FROM rollup_rules r JOIN texts t ON t.id = r.rule_id
      WHERE r.tenant_id = ?1 AND r.level = ?2 AND r.start_s >= ?3 GROUP BY r.rule_id, r.effect";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![tenant.0, level as i64, since_s as i64], |row| {
        Ok((row.get(0)?, row.get::<_, u8>(1)?, row.get::<_, i64>(2)? as u64))
    })?;
    Ok(rules::hits(rows.collect::<rusqlite::Result<Vec<_>>>()?))
}
