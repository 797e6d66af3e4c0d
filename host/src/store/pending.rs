//! The vetting queue: names that no model could settle, those first on which a decision is worth most.
//!
//! ```text
//! priority    = uncertainty x clients / (clients + 3) x novelty          each in (0, 1]
//! uncertainty = 2 / (2 + |logit(score) - logit(threshold)|)              1 at the threshold where names are blocked
//! novelty     = 1 / (1 + days since it was first asked for / 2)          1 now, 1/2 after two days
//! ```
//!
//! `clients` is how many clients asked, so that one that asks a thousand times moves nothing. A name without a score
//! has the uncertainty 1/2. Of names with one priority the one asked more often comes first.
//!
//! The surprise: scores lie in the stored verdicts, which are slow to read. So names come from the store by the other
//! two factors, and the walk ends where no score could bring a further name into the queue; at the latest after
//! [`MOST_SCORED`] names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::search::{Read, event};
use super::{StoreError, Tenant};

/// Names whose scores are read for one look at the queue.
const MOST_SCORED: usize = 10_000;
/// So many clients make half of the most that clients can make.
const HALF_CLIENTS: f64 = 3.0;
/// After so long a name is half as new, milliseconds.
const HALF_NEW_MS: f64 = 2.0 * 86_400_000.0;
/// So far from the threshold, in log-odds, a score is half as uncertain.
const HALF_CERTAIN: f64 = 2.0;
/// Of a name without a score.
const UNSCORED: f64 = 0.5;

/// How the queue is ordered.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The most names.
    pub limit: usize,
    /// The score from which a name is blocked, (0, 1).
    pub threshold: f64,
    /// Wall clock, milliseconds since 1970.
    pub now_ms: u64,
}

/// A name that no model could settle and nobody has decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pending {
    /// The name.
    pub name: String,
    /// How often it was asked.
    pub queries: u64,
    /// How many clients asked.
    pub clients: u64,
    /// The last score, [0, 1].
    pub score: Option<f64>,
    /// First and last time, milliseconds since 1970.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
    /// The last event, to open its trace.
    pub last_id: i64,
    /// How near the score is to where it would be blocked, (0, 1].
    pub uncertainty: f64,
    /// How new the name is, (0, 1].
    pub novelty: f64,
    /// Its place in the queue: greater comes first.
    pub priority: f64,
}

/// How near a score is to the threshold.
fn uncertainty(score: Option<f64>, threshold: f64) -> f64 {
    let logit = |p: f64| {
        let p = p.clamp(1e-6, 1.0 - 1e-6);
        (p / (1.0 - p)).ln()
    };
    score.map_or(UNSCORED, |score| HALF_CERTAIN / (HALF_CERTAIN + (logit(score) - logit(threshold)).abs()))
}

/// The part that clients have in a priority.
fn reach(clients: u64) -> f64 {
    clients as f64 / (clients as f64 + HALF_CLIENTS)
}

/// How new a name is.
fn novelty(first_ms: u64, now_ms: u64) -> f64 {
    HALF_NEW_MS / (HALF_NEW_MS + now_ms.saturating_sub(first_ms) as f64)
}

/// The queue, first one first, without what `settled` holds.
pub(super) fn pending(
    connection: &Connection,
    tenant: Tenant,
    order: Order,
    settled: &dyn Fn(&str) -> bool,
) -> Read<Vec<Pending>> {
    // `reach` times `novelty`, as above.
    let sql = "SELECT name, queries, clients, first_ms, last_ms, last_id FROM
       (SELECT n.name AS name, count(*) AS queries, count(DISTINCT e.client_id) AS clients, min(e.time_ms) AS first_ms,
          max(e.time_ms) AS last_ms, max(e.id) AS last_id
        FROM events e JOIN names n ON n.id = e.name_id WHERE e.tenant_id = ?1 AND e.not_confident = 1 GROUP BY e.name_id)
       ORDER BY clients / (clients + ?3) * ?4 / (?4 + max(0, ?2 - first_ms)) DESC, queries DESC, last_id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let now = i64::try_from(order.now_ms).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![tenant.0, now, HALF_CLIENTS, HALF_NEW_MS], |row| {
        let (clients, first_ms) = (row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)? as u64);
        let novelty = novelty(first_ms, order.now_ms);
        Ok(Pending {
            name: row.get(0)?,
            queries: row.get::<_, i64>(1)? as u64,
            clients,
            score: None,
            first_ms,
            last_ms: row.get::<_, i64>(4)? as u64,
            last_id: row.get(5)?,
            uncertainty: 1.0,
            novelty,
            priority: reach(clients) * novelty,
        })
    })?;
    // Counted after those that are settled are left out: else many of them would hide the rest.
    let waits = |row: &rusqlite::Result<Pending>| !row.as_ref().is_ok_and(|pending| settled(&pending.name));
    let mut first = Foremost { limit: order.limit, places: BTreeMap::new() };
    for row in rows.filter(waits).take(MOST_SCORED) {
        let pending = row?;
        if !first.may_take(pending.priority) {
            break;
        }
        match event(connection, tenant, pending.last_id)? {
            Ok(found) => {
                let score = found.and_then(|stored| stored.event.verdict.score);
                let uncertainty = uncertainty(score, order.threshold);
                let priority = pending.priority * uncertainty;
                first.take(Pending { score, uncertainty, priority, ..pending });
            }
            Err(damaged @ StoreError::Damaged(_)) => return Ok(Err(damaged)),
            Err(other) => return Ok(Err(other)),
        }
    }
    Ok(Ok(first.places.into_values().collect()))
}

/// The names with the greatest priorities, so many at most.
struct Foremost {
    limit: usize,
    /// By priority, queries and last event, greatest first. Positive numbers are ordered as their bits are.
    places: BTreeMap<Reverse<(u64, u64, i64)>, Pending>,
}

impl Foremost {
    /// Whether a name of at most this priority may still get a place.
    fn may_take(&self, most: f64) -> bool {
        let last = self.places.last_key_value().map(|(_, last)| last.priority);
        self.places.len() < self.limit || last.is_some_and(|last| most > last)
    }

    fn take(&mut self, pending: Pending) {
        let place = (pending.priority.to_bits(), pending.queries, pending.last_id);
        self.places.insert(Reverse(place), pending);
        if self.places.len() > self.limit {
            self.places.pop_last();
        }
    }
}

/// How many clients asked for any of the names while no model could settle it.
pub(super) fn clients_of(connection: &Connection, tenant: Tenant, names: &[String]) -> rusqlite::Result<u64> {
    let sql = "SELECT count(DISTINCT e.client_id) FROM json_each(?2) asked
       JOIN names n ON n.tenant_id = ?1 AND n.name = asked.value
       JOIN events e ON e.tenant_id = ?1 AND e.name_id = n.id AND e.not_confident = 1";
    let names = serde_json::to_string(names).unwrap_or_default();
    let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    connection.prepare_cached(sql)?.query_row(params![tenant.0, names], count).map(|count| count as u64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOON_MS, T, append, batch, event, open};
    use super::super::{EventStore as _, sqlite::SqliteStore};
    use super::*;
    use dnsvet_core::event::Event;
    use dnsvet_core::verdict::{Action, Reason};

    const DAY_MS: u64 = 86_400_000;

    fn unsure(seq: u64, name: &str, client: &str) -> Event {
        event(seq, name, client, Action::Allow, Reason::NotConfident)
    }

    fn scored(mut event: Event, score: Option<f64>) -> Event {
        event.verdict.score = score;
        event
    }

    fn at(limit: usize) -> Order {
        Order { limit, threshold: 0.9, now_ms: NOON_MS + 1_000 }
    }

    fn names(store: &SqliteStore, limit: usize) -> Vec<String> {
        let pending = store.pending(T, at(limit), &|_| false).unwrap();
        pending.into_iter().map(|pending| pending.name).collect()
    }

    #[test]
    fn the_queue_groups_by_name_and_counts_queries_and_clients() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        append(
            &store,
            T,
            batch(vec![
                unsure(1, "odd.example", "10.0.0.1"),
                unsure(2, "odd.example", "10.0.0.2"),
                unsure(300, "odd.example", "10.0.0.2"),
                unsure(4, "rare.example", "10.0.0.1"),
                event(5, "sure.example", "10.0.0.1", Action::Allow, Reason::Model),
            ]),
        );
        let pending = store.pending(T, at(10), &|_| false).unwrap();
        assert_eq!(
            pending.iter().map(|p| (p.name.as_str(), p.queries, p.clients)).collect::<Vec<_>>(),
            [("odd.example", 3, 2), ("rare.example", 1, 1)]
        );
        assert_eq!(pending[0].score, Some(0.3), "of the last query");
        assert_eq!((pending[0].first_ms, pending[0].last_ms), (NOON_MS + 1, NOON_MS + 300));
        let rest = store.pending(T, at(1), &|name| name == "odd.example").unwrap();
        assert_eq!(rest.len(), 1, "a settled name takes no place");
        assert_eq!(rest[0].name, "rare.example");
        let both = ["odd.example".to_owned(), "rare.example".to_owned(), "no.example".to_owned()];
        assert_eq!(store.clients_of(T, &both).unwrap(), 2, "one asked for both");
        assert_eq!(store.clients_of(Tenant(2), &both).unwrap(), 0);
    }

    #[test]
    fn each_factor_moves_a_name_and_a_priority_is_their_product() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut events = vec![
            scored(unsure(1, "near.example", "10.0.0.1"), Some(0.88)),
            scored(unsure(2, "far.example", "10.0.0.1"), Some(0.01)),
            scored(unsure(3, "none.example", "10.0.0.1"), None),
            Event {
                time_ms: NOON_MS - 4 * DAY_MS,
                ..scored(unsure(4, "old.example", "10.0.0.1"), Some(0.88))
            },
        ];
        for client in 1..=9 {
            let seq = 10 + client;
            let asked = unsure(seq, "wide.example", &format!("10.0.0.{client}"));
            events.push(scored(asked, Some(0.88)));
        }
        // One client that asks often moves nothing.
        events.extend((30..90).map(|seq| scored(unsure(seq, "loud.example", "10.0.0.1"), Some(0.5))));
        append(&store, T, batch(events));
        let pending = store.pending(T, at(10), &|_| false).unwrap();
        let order: Vec<&str> = pending.iter().map(|p| p.name.as_str()).collect();
        let want =
            ["wide.example", "near.example", "none.example", "loud.example", "old.example", "far.example"];
        assert_eq!(order, want);
        for p in &pending {
            let product = p.uncertainty * (p.clients as f64 / (p.clients as f64 + 3.0)) * p.novelty;
            assert!((p.priority - product).abs() < 1e-12, "{p:?}");
            assert!([p.uncertainty, p.novelty, p.priority].iter().all(|part| *part > 0.0 && *part <= 1.0));
        }
        let old = pending.iter().find(|p| p.name == "old.example").unwrap();
        assert!((old.novelty - 1.0 / 3.0).abs() < 1e-3, "four days are two half-lives: {}", old.novelty);
    }

    #[test]
    fn the_walk_ends_early_and_finds_what_looking_at_all_finds() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut events = Vec::new();
        for n in 0..600u64 {
            for client in 0..=n % 7 {
                let time_ms = NOON_MS - (n * 37 % 11) * DAY_MS / 3;
                let asked =
                    unsure(events.len() as u64 + 1, &format!("n{n}.example"), &format!("10.0.0.{client}"));
                let score = (n * 101 % 997) as f64 / 997.0;
                events.push(Event { time_ms, ..scored(asked, Some(score)) });
            }
        }
        append(&store, T, batch(events));
        let all = names(&store, 600);
        assert_eq!(all.len(), 600);
        for limit in [1, 10, 100] {
            assert_eq!(names(&store, limit), all[..limit]);
        }
        assert!(names(&store, 0).is_empty());
    }

    #[test]
    fn a_long_queue_is_read_in_a_bounded_walk() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut seq = 0;
        for part in 0..40u64 {
            let events = (0..1_000u64).map(|n| {
                seq += 1;
                let (name, client) = (part * 1_000 + n, n * 7 % 250);
                let asked = unsure(seq, &format!("n{}.example", name % 20_000), &format!("10.0.0.{client}"));
                scored(asked, Some((seq * 101 % 997) as f64 / 997.0))
            });
            append(&store, T, batch(events.collect()));
        }
        let started = std::time::Instant::now();
        let queue = names(&store, 1_000);
        let took = started.elapsed();
        println!("20,000 names wait in 40,000 events: the queue is read in {} ms", took.as_millis());
        assert_eq!(queue.len(), 1_000);
        assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    }

    #[test]
    fn a_score_at_the_threshold_is_the_least_certain() {
        assert!((uncertainty(Some(0.9), 0.9) - 1.0).abs() < 1e-12);
        let side = |score| uncertainty(Some(score), 0.9);
        assert!(side(0.8) > side(0.5) && side(0.5) > side(0.1) && side(0.95) > side(0.999));
        assert!(side(0.0) > 0.1 && side(1.0) > 0.1, "never nothing");
    }
}
