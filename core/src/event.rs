//! An event: one question with its verdict, as it travels from a filter to the control plane.
//!
//! Delivery is at least once and ingest is idempotent: a batch names its source and each event has that
//! source's sequence number, so a batch sent twice is stored once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::verdict::{Action, Reason, Verdict};

/// One question and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number in the source's sequence, from 1.
    pub seq: u64,
    /// Wall clock when the question came, milliseconds since 1970.
    pub time_ms: u64,
    /// The client's address, without port.
    pub client: String,
    /// QNAME, lower case, without trailing dot.
    pub name: String,
    /// QTYPE.
    pub qtype: u16,
    /// The door: `udp`, `tcp`, `doh`, `envoy`, `mlbridge`; of imported events the system that they come from.
    pub door: String,
    /// The verdict, trace included.
    pub verdict: Verdict,
    /// The vetting queue should show it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_confident: bool,
    /// Microseconds from question to verdict, callouts included.
    pub took_us: u64,
}

impl Event {
    /// The action of the verdict.
    pub fn action(&self) -> Action {
        self.verdict.action
    }

    /// The deciding reason.
    pub fn reason(&self) -> Option<Reason> {
        self.verdict.reason()
    }
}

/// `POST /v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Node id + counter + start time: unique for each life of a filter.
    pub source: String,
    /// Events that this source dropped since it started, because its spool was full.
    pub dropped: u64,
    /// Consecutive events.
    pub events: Vec<Event>,
}

/// Events waiting to be sent. Bounded: when full the oldest goes and is counted.
#[derive(Debug)]
pub struct Spool {
    source: String,
    next_seq: u64,
    waiting: VecDeque<Event>,
    capacity: usize,
    dropped: u64,
    /// Sequence number of the last event of the batch in flight.
    in_flight: Option<u64>,
    /// The most events of the next batch; less than usual after one was refused.
    most: usize,
}

impl Spool {
    /// The default bound of a filter, events.
    pub const DEFAULT_CAPACITY: usize = 65_536;
    /// The most events in a batch.
    pub const BATCH_EVENTS: usize = 1_000;

    /// An empty spool that keeps `capacity` events at most.
    pub fn new(source: String, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let (waiting, most) = (VecDeque::new(), Self::BATCH_EVENTS);
        Self { source, next_seq: 1, waiting, capacity, dropped: 0, in_flight: None, most }
    }

    /// Who is sending.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many events were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The number that the next event gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Adds an event and numbers it. Returns how many were dropped for it: 0 or 1.
    pub fn push(&mut self, mut event: Event) -> u64 {
        event.seq = self.next_seq;
        self.next_seq += 1;
        let mut dropped = 0;
        if self.waiting.len() >= self.capacity {
            self.waiting.pop_front();
            self.dropped += 1;
            dropped = 1;
        }
        self.waiting.push_back(event);
        dropped
    }

    /// Takes the oldest event out, for runners that send no batches.
    pub fn take(&mut self) -> Option<Event> {
        self.waiting.pop_front()
    }

    /// The next batch, at most [`Spool::BATCH_EVENTS`], unless one is in flight or nothing waits. The events stay
    /// until [`Spool::acknowledge`].
    pub fn batch(&mut self) -> Option<Batch> {
        if self.in_flight.is_some() || self.waiting.is_empty() {
            return None;
        }
        let events: Vec<Event> = self.waiting.iter().take(self.most).cloned().collect();
        self.in_flight = events.last().map(|event| event.seq);
        Some(Batch { source: self.source.clone(), dropped: self.dropped, events })
    }

    /// The batch in flight was stored: its events go. Returns how many.
    pub fn acknowledge(&mut self) -> u64 {
        let Some(last) = self.in_flight.take() else { return 0 };
        self.most = (self.most * 2).min(Self::BATCH_EVENTS);
        let before = self.waiting.len();
        while self.waiting.front().is_some_and(|event| event.seq <= last) {
            self.waiting.pop_front();
        }
        (before - self.waiting.len()) as u64
    }

    /// The batch in flight was not stored: it will be offered again.
    pub fn retry(&mut self) {
        self.in_flight = None;
    }

    /// The control plane can't take the batch in flight, however often it is offered. Smaller ones are offered
    /// from now on, until the event that it can't take stands alone; then that one is dropped and counted, so
    /// that the others are not kept behind it. Returns how many were dropped: 0 or 1.
    pub fn refused(&mut self) -> u64 {
        let Some(last) = self.in_flight.take() else { return 0 };
        let count = self.waiting.iter().take_while(|event| event.seq <= last).count();
        match count {
            // It was dropped meanwhile, and counted then.
            0 => 0,
            1 => {
                self.waiting.pop_front();
                self.dropped += 1;
                1
            }
            _ => {
                self.most = count / 2;
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Own;

    fn event(name: &str) -> Event {
        let verdict = Verdict {
            action: Action::Allow,
            would: None,
            reasons: vec![],
            rule: None,
            score: None,
            model: None,
            group: "default".into(),
            snapshot: String::new(),
            ttl_s: 0,
            trace: vec![],
            own: Own::default(),
        };
        Event {
            seq: 0,
            time_ms: 1,
            client: "192.0.2.1".into(),
            name: name.into(),
            qtype: 1,
            door: "udp".into(),
            verdict,
            not_confident: false,
            took_us: 3,
        }
    }

    #[test]
    fn a_batch_stays_until_it_is_acknowledged() {
        let mut spool = Spool::new("n/1/2".into(), 10);
        for i in 0..5 {
            spool.push(event(&format!("{i}.example")));
        }
        let first = spool.batch().unwrap();
        assert_eq!(first.events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(spool.batch().is_none(), "one batch in flight");
        spool.push(event("5.example"));
        spool.retry();
        assert_eq!(spool.batch().unwrap().events[..5], first.events, "offered again, same numbers");
        assert_eq!(spool.acknowledge(), 6);
        assert!(spool.batch().is_none());
    }

    #[test]
    fn an_event_that_is_never_taken_is_dropped_alone_and_the_others_arrive() {
        let mut spool = Spool::new("n/1/2".into(), 5_000);
        for i in 0..2_500 {
            spool.push(event(&format!("{i}.example")));
        }
        let bad = |event: &Event| [1, 700, 701, 2_500].contains(&event.seq);
        let (mut arrived, mut offers) = (Vec::new(), 0);
        while let Some(batch) = spool.batch() {
            offers += 1;
            if batch.events.iter().any(bad) {
                spool.refused();
            } else {
                arrived.extend(batch.events.iter().map(|event| event.seq));
                spool.acknowledge();
            }
        }
        assert_eq!((arrived.len(), spool.dropped()), (2_496, 4));
        assert!(arrived.is_sorted() && offers < 100, "{offers} offers");
    }

    #[test]
    fn a_full_spool_drops_the_oldest_and_counts_it() {
        let mut spool = Spool::new("n/1/2".into(), 2);
        let dropped: u64 = (0..5).map(|i| spool.push(event(&format!("{i}.example")))).sum();
        assert_eq!((dropped, spool.dropped(), spool.len()), (3, 3, 2));
        assert_eq!(spool.batch().unwrap().events[0].seq, 4);
    }

    #[test]
    fn dropping_while_a_batch_is_in_flight_acknowledges_only_what_was_sent() {
        let mut spool = Spool::new("n/1/2".into(), 3);
        for i in 0..3 {
            spool.push(event(&format!("{i}.example")));
        }
        spool.batch().unwrap();
        spool.push(event("late.example"));
        assert_eq!(spool.acknowledge(), 2, "event 1 was dropped for the late one, events 2 and 3 were sent");
        assert_eq!(spool.len(), 1);
    }
}
