//! Roll-ups: counts by minute, hour and day, summed in memory for a transaction and then added.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::store::Tenant;
use crate::store::search::{LEVELS, bucket_start_s};

/// Counts of one transaction.
#[derive(Debug, Default)]
pub struct Sums {
    verdicts: HashMap<(i64, usize, u64, i64, i64), u64>,
    names: HashMap<(i64, usize, u64, i64, bool), u64>,
    clients: HashMap<(i64, usize, u64, i64, bool), u64>,
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
}

impl Sums {
    /// Counts an event. Names and clients have no minutes: they would be as many rows as events.
    pub fn add(&mut self, tenant: Tenant, event: Counted) {
        let blocked = event.action != 0;
        for level in 0..LEVELS.len() {
            let start = bucket_start_s(event.time_ms, level);
            *self.verdicts.entry((tenant.0, level, start, event.action, event.reason)).or_default() += 1;
            if level > 0 {
                *self.names.entry((tenant.0, level, start, event.name_id, blocked)).or_default() += 1;
                *self.clients.entry((tenant.0, level, start, event.client_id, blocked)).or_default() += 1;
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
