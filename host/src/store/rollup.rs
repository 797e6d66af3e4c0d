//! Roll-ups: counts by minute, hour and day, summed in memory for a transaction and then added.

use std::collections::HashMap;

use dnsvet_core::verdict::Verdict;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::Tenant;

/// Seconds of each level's bucket: minute, hour, day. The stored level is the index.
pub const LEVELS: [u64; 3] = [60, 3_600, 86_400];

/// What a rule led to, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// The question went on.
    Allowed,
    /// It was stopped.
    Blocked,
    /// It would have been, were it not for log mode.
    Would,
}

impl Effect {
    /// That of a verdict.
    pub fn of(verdict: &Verdict) -> Self {
        match (verdict.action.stops(), verdict.would) {
            (true, _) => Self::Blocked,
            (false, Some(_)) => Self::Would,
            (false, None) => Self::Allowed,
        }
    }
}

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
        for (level, seconds) in LEVELS.into_iter().enumerate() {
            let start = event.time_ms / 1000 / seconds * seconds;
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
        let mut verdicts: Vec<_> = self.verdicts.into_iter().collect();
        verdicts.sort_unstable();
        let mut add = connection.prepare_cached(
            "INSERT INTO rollup_verdicts VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET queries = queries + excluded.queries",
        )?;
        for ((tenant, level, start, action, reason), queries) in verdicts {
            add.execute(params![tenant, level as i64, start as i64, action, reason, queries as i64])?;
        }
        let mut rules: Vec<_> = self.rules.into_iter().collect();
        rules.sort_unstable();
        let mut add = connection.prepare_cached(
            "INSERT INTO rollup_rules VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET queries = queries + excluded.queries",
        )?;
        for ((tenant, level, start, rule, effect), queries) in rules {
            add.execute(params![tenant, level as i64, start as i64, rule, effect as i64, queries as i64])?;
        }
        for (table, sums) in [("rollup_names", self.names), ("rollup_clients", self.clients)] {
            let mut sums: Vec<_> = sums.into_iter().collect();
            sums.sort_unstable();
            let mut add = connection.prepare_cached(&format!(
                "INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET queries = queries + excluded.queries"
            ))?;
            for ((tenant, level, start, id, blocked), queries) in sums {
                add.execute(params![tenant, level as i64, start as i64, id, blocked, queries as i64])?;
            }
        }
        Ok(())
    }
}

/// How often a list or rule decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleHits {
    /// Its name.
    pub rule: String,
    /// Questions that it stopped.
    pub blocked: u64,
    /// Questions that it would have stopped, were it not for log mode.
    pub would: u64,
    /// Questions that it let through.
    pub allowed: u64,
}

/// How often each rule decided since a time, milliseconds since 1970; most blocked first. By hours, past two weeks by
/// days.
pub(super) fn rules(
    connection: &Connection,
    tenant: Tenant,
    since_ms: u64,
) -> rusqlite::Result<Vec<RuleHits>> {
    let long = super::now_ms().saturating_sub(since_ms) / 1000 > 14 * 86_400;
    let level = if long { 2 } else { 1 };
    let since_s = since_ms / 1000 / LEVELS[level] * LEVELS[level];
    let sql = "SELECT t.text, r.effect, sum(r.queries) FROM rollup_rules r JOIN texts t ON t.id = r.rule_id
      WHERE r.tenant_id = ?1 AND r.level = ?2 AND r.start_s >= ?3 GROUP BY r.rule_id, r.effect ORDER BY t.text";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![tenant.0, level as i64, since_s as i64])?;
    let mut hits: Vec<RuleHits> = Vec::new();
    while let Some(row) = rows.next()? {
        let (rule, effect): (String, i64) = (row.get(0)?, row.get(1)?);
        let queries = row.get::<_, i64>(2)? as u64;
        if hits.last().is_none_or(|last| last.rule != rule) {
            hits.push(RuleHits { rule, ..RuleHits::default() });
        }
        let Some(last) = hits.last_mut() else { continue };
        let slot = match effect {
            0 => &mut last.allowed,
            1 => &mut last.blocked,
            _ => &mut last.would,
        };
        *slot += queries;
    }
    hits.sort_by_key(|hits| std::cmp::Reverse(hits.blocked));
    Ok(hits)
}
