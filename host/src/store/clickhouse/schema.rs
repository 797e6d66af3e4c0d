//! The tables in ClickHouse, and what goes from them by age and size.
//!
//! ```text
//! events (a partition a day, newest first is one read) ─► views ─► rollup_verdicts, rollup_names, rollup_clients,
//!                                                            rollup_rules, sources
//! ```
//!
//! Days of events go as partitions: whole, at once, without a mutation. The tables have a TTL as well, so that nothing
//! outlives its time where dnsvet does not run.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Retention;

/// Rises with each change of the tables.
pub(super) const VERSION: u64 = 1;
/// The most days that a TTL counts: ClickHouse's times end in 2106.
const MOST_DAYS: u32 = 10_000;
const DAY_MS: u64 = 86_400_000;

/// Columns of an event, in the order in which they are written.
pub(super) const COLUMNS: &str = "tenant_id, time_ms, source_key, seq, source, client, name, qtype, door, action, reason, \
    not_confident, took_us, score, shape, snapshot, arguments, rule, effect";

const TIME: &str = "toDateTime(intDiv(time_ms, 1000), 'UTC')";
const START: &str = "toDateTime(start_s, 'UTC')";

/// What makes the tables of `database` that are missing, one statement each.
pub(super) fn tables(database: &str, retention: &Retention) -> Vec<String> {
    let (raw, rollup) = days(retention);
    let settings = "SETTINGS ttl_only_drop_parts = 1";
    let rollup_of = |columns: &str, key: &str| {
        format!(
            "(tenant_id Int64, level UInt8, start_s UInt64, {columns}, queries UInt64) ENGINE = SummingMergeTree(queries)
             PARTITION BY if(level = 2, toYYYYMM({START}), toYYYYMMDD({START}))
             ORDER BY (tenant_id, level, {key}) {} {settings}",
            rollup_ttl(raw, rollup)
        )
    };
    let view = |columns: &str, from: usize, only: &str| {
        let (levels, seconds) = (&["0", "1", "2"][from..], &["60", "3600", "86400"][from..]);
        format!(
            "SELECT tenant_id, toUInt8(at) AS level, intDiv(time_ms, 1000 * seconds) * seconds AS start_s, {columns},
               toUInt64(count()) AS queries FROM {database}.events
             ARRAY JOIN [{}] AS at, [{}] AS seconds {only} GROUP BY tenant_id, level, start_s, {}",
            levels.join(", "),
            seconds.join(", "),
            columns.split(", ").map(|c| c.rsplit(" AS ").next().unwrap_or(c)).collect::<Vec<_>>().join(", ")
        )
    };
    let table = |name: &str, what: String| format!("CREATE TABLE IF NOT EXISTS {database}.{name} {what}");
    let into = |name: &str, what: String| {
        format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.{name}_view TO {database}.{name} AS {what}"
        )
    };
    vec![
        format!("CREATE DATABASE IF NOT EXISTS {database}"),
        table("schema_version", "(version UInt64) ENGINE = MergeTree ORDER BY version".into()),
        table(
            "events",
            format!(
                "(tenant_id Int64, time_ms UInt64 CODEC(DoubleDelta, ZSTD(1)), source_key UInt32 CODEC(ZSTD(1)),
                  seq UInt64 CODEC(Delta, ZSTD(1)), source LowCardinality(String), client LowCardinality(String),
                  name String CODEC(ZSTD(1)), qtype UInt16 CODEC(ZSTD(1)), door LowCardinality(String), action UInt8,
                  reason UInt8, not_confident UInt8, took_us UInt64 CODEC(T64, ZSTD(1)), score Nullable(Float64) CODEC(ZSTD(1)),
                  shape LowCardinality(String), snapshot LowCardinality(String), arguments String CODEC(ZSTD(1)),
                  rule LowCardinality(String), effect UInt8,
                  INDEX name_parts name TYPE ngrambf_v1(3, 16384, 2, 0) GRANULARITY 1,
                  INDEX sources source TYPE bloom_filter GRANULARITY 4,
                  INDEX rules rule TYPE bloom_filter GRANULARITY 4,
                  INDEX unsure not_confident TYPE minmax GRANULARITY 1)
                 ENGINE = ReplacingMergeTree PARTITION BY toYYYYMMDD({TIME})
                 ORDER BY (tenant_id, time_ms, source_key, seq) {} {settings}",
                events_ttl(raw)
            ),
        ),
        table("rollup_verdicts", rollup_of("action UInt8, reason UInt8", "start_s, action, reason")),
        table(
            "rollup_names",
            rollup_of(
                "name String CODEC(ZSTD(1)), blocked UInt8,
                 INDEX name_parts name TYPE ngrambf_v1(3, 16384, 2, 0) GRANULARITY 1",
                "blocked, start_s, name",
            ),
        ),
        table("rollup_clients", rollup_of("client LowCardinality(String), blocked UInt8", "start_s, client, blocked")),
        table("rollup_rules", rollup_of("rule LowCardinality(String), effect UInt8", "start_s, rule, effect")),
        table(
            "sources",
            "(tenant_id Int64, source String, events SimpleAggregateFunction(sum, UInt64),
              dropped SimpleAggregateFunction(max, UInt64), last_ms SimpleAggregateFunction(max, UInt64))
             ENGINE = AggregatingMergeTree ORDER BY (tenant_id, source)"
                .into(),
        ),
        into("rollup_verdicts", view("action, reason", 0, "")),
        into("rollup_names", view("name, toUInt8(action <> 0) AS blocked", 1, "")),
        into("rollup_clients", view("client, toUInt8(action <> 0) AS blocked", 1, "")),
        into("rollup_rules", view("rule, effect", 1, "WHERE rule <> ''")),
        into(
            "sources",
            format!(
                "SELECT tenant_id, source, toUInt64(count()) AS events, toUInt64(0) AS dropped, max(time_ms) AS last_ms
                 FROM {database}.events GROUP BY tenant_id, source"
            ),
        ),
    ]
}

/// Tables with a TTL, and what it is.
pub(super) fn ttls(retention: &Retention) -> Vec<(&'static str, String)> {
    let (raw, rollup) = days(retention);
    let rollups = ["rollup_verdicts", "rollup_names", "rollup_clients", "rollup_rules"];
    let mut all: Vec<_> = rollups.into_iter().map(|table| (table, rollup_ttl(raw, rollup))).collect();
    all.push(("events", events_ttl(raw)));
    all
}

fn days(retention: &Retention) -> (u32, u32) {
    (retention.raw_days.min(MOST_DAYS), retention.rollup_days.min(MOST_DAYS))
}

fn events_ttl(raw: u32) -> String {
    format!("TTL {TIME} + toIntervalDay({raw})")
}

/// Fine levels go with the raw events, days stay.
fn rollup_ttl(raw: u32, rollup: u32) -> String {
    let fine = (raw + 1).min(MOST_DAYS);
    format!(
        "TTL {START} + toIntervalDay({rollup}) WHERE level = 2, {START} + toIntervalDay({fine}) WHERE level < 2"
    )
}

/// A partition of one of the tables.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Partition {
    /// Table.
    pub table: String,
    /// `YYYYMMDD`, or `YYYYMM` of the roll-ups by day.
    pub partition: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// The partitions that go: those whose last moment is too old, then the oldest days until the rest fits. The newest day
/// of events stays, whatever it takes.
pub(super) fn expired(mut all: Vec<Partition>, retention: &Retention, now_ms: u64) -> Vec<Partition> {
    let (raw, rollup) = days(retention);
    let ago = |days: u32| now_ms.saturating_sub(u64::from(days) * DAY_MS);
    let [raw_from, fine_from] = [ago(raw), ago(raw + 1)].map(|time_ms| day(time_ms, "%Y%m%d"));
    let rollup_from = day(ago(rollup), "%Y%m");
    let is_old = |partition: &Partition| match (partition.table.as_str(), partition.partition.len()) {
        ("events", 8) => partition.partition < raw_from,
        (_, 8) => partition.partition < fine_from,
        (_, 6) => partition.partition < rollup_from,
        _ => false,
    };
    let (mut gone, mut left): (Vec<_>, Vec<_>) = all.drain(..).partition(is_old);
    let mut bytes: u64 = left.iter().map(|partition| partition.bytes).sum();
    while retention.store_bytes > 0 && bytes > retention.store_bytes {
        let days = left.iter().filter(|partition| partition.partition.len() == 8);
        let (Some(first), Some(last)) =
            (days.clone().map(|p| &p.partition).min().cloned(), days.map(|p| &p.partition).max())
        else {
            break;
        };
        if first == *last {
            break;
        }
        let (oldest, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|p| p.partition == first);
        bytes -= oldest.iter().map(|partition| partition.bytes).sum::<u64>();
        gone.extend(oldest);
        left = rest;
    }
    gone
}

fn day(time_ms: u64, format: &str) -> String {
    let time = Timestamp::from_millisecond(time_ms as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(table: &str, partition: &str, bytes: u64) -> Partition {
        Partition { table: table.into(), partition: partition.into(), bytes }
    }

    /// 2026-11-22T12:00:00Z
    const NOON_MS: u64 = 1_795_348_800_000;

    #[test]
    fn whole_days_that_are_too_old_go_and_days_of_roll_ups_stay_longer() {
        let all = vec![
            partition("events", "20261114", 1),
            partition("events", "20261115", 1),
            partition("rollup_names", "20261113", 1),
            partition("rollup_names", "20261114", 1),
            partition("rollup_names", "202609", 1),
            partition("rollup_names", "202509", 1),
        ];
        let gone = expired(all, &Retention::default(), NOON_MS);
        let gone: Vec<&str> = gone.iter().map(|partition| partition.partition.as_str()).collect();
        assert_eq!(gone, ["20261114", "20261113", "202509"]);
    }

    #[test]
    fn past_its_size_the_oldest_days_go_and_the_newest_stays() {
        let all: Vec<Partition> = (16..=20)
            .flat_map(|day| ["events", "rollup_names"].map(|t| partition(t, &format!("202611{day}"), 100)))
            .collect();
        let keeping = |store_bytes| {
            let keep = Retention { store_bytes, ..Retention::default() };
            let gone = expired(all.clone(), &keep, NOON_MS);
            gone.iter().filter(|p| p.table == "events").map(|p| p.partition.clone()).collect::<Vec<_>>()
        };
        assert!(keeping(1_000).is_empty());
        assert_eq!(keeping(999), ["20261116"]);
        assert_eq!(keeping(1), ["20261116", "20261117", "20261118", "20261119"]);
        assert!(keeping(0).is_empty(), "no limit");
    }
}
