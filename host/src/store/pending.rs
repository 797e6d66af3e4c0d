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

use serde::Serialize;

use super::EventId;

/// Names whose scores are read for one look at the queue.
pub(super) const MOST_SCORED: usize = 10_000;
/// So many clients make half of the most that clients can make.
pub(super) const HALF_CLIENTS: f64 = 3.0;
/// After so long a name is half as new, milliseconds.
pub(super) const HALF_NEW_MS: f64 = 2.0 * 86_400_000.0;
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
    pub last_id: EventId,
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

impl Pending {
    /// A name whose score is not known yet: its priority is the most that it can be.
    pub(super) fn unscored(name: String, counted: Counted, now_ms: u64) -> Self {
        let Counted { queries, clients, first_ms, last_ms, last_id } = counted;
        let novelty = novelty(first_ms, now_ms);
        let (score, uncertainty, priority) = (None, 1.0, reach(clients) * novelty);
        Self { name, queries, clients, score, first_ms, last_ms, last_id, uncertainty, novelty, priority }
    }

    /// The same with its score.
    fn scored(self, score: Option<f64>, threshold: f64) -> Self {
        let uncertainty = uncertainty(score, threshold);
        Self { score, uncertainty, priority: self.priority * uncertainty, ..self }
    }
}

/// What a store counts of a name that waits; the fields are those of [`Pending`].
pub(super) struct Counted {
    pub queries: u64,
    pub clients: u64,
    pub first_ms: u64,
    pub last_ms: u64,
    pub last_id: EventId,
}

/// The queue, first one first, of names that come by the most that their priority can be, greatest first.
pub(super) fn queue<E>(
    names: impl Iterator<Item = Result<Pending, E>>,
    order: Order,
    settled: &dyn Fn(&str) -> bool,
    mut score: impl FnMut(&Pending) -> Result<Option<f64>, E>,
) -> Result<Vec<Pending>, E> {
    // Counted after those that are settled are left out: else many of them would hide the rest.
    let waits = |row: &Result<Pending, E>| !row.as_ref().is_ok_and(|pending| settled(&pending.name));
    let mut first = Foremost { limit: order.limit, places: BTreeMap::new() };
    for pending in names.filter(waits).take(MOST_SCORED) {
        let pending = pending?;
        if !first.may_take(pending.priority) {
            break;
        }
        let score = score(&pending)?;
        first.take(pending.scored(score, order.threshold));
    }
    Ok(first.places.into_values().collect())
}

/// The names with the greatest priorities, so many at most.
struct Foremost {
    limit: usize,
    /// By priority, queries and last event, greatest first. Positive numbers are ordered as their bits are.
    places: BTreeMap<Reverse<(u64, u64, EventId)>, Pending>,
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
