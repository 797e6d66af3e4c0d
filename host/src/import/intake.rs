//! Takes events from the readers: counts them, and puts them into the store in batches.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use dnsvet_core::event::{Batch, Event};
use serde::Serialize;

use super::{ImportError, RowError};
use crate::store::control::Decision;
use crate::store::{Appended, EventStore, Receipt, StoreError, Tenant};

/// Events that wait here until they are stored: one transaction of the store.
const WAITING_EVENTS: usize = 5_000;
/// Batches handed to the store at once; fewer than may wait for its writer.
const TOGETHER: usize = 128;
/// Bad rows that are told with their place; further ones are counted.
const SHOWN_BAD: usize = 20;
/// A store that another process writes to is tried so often.
const TRIES: u32 = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// What came of an import.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Questions found.
    pub events: u64,
    /// Those that were stored.
    pub stored: u64,
    /// Those that the store had from before.
    pub known: u64,
    /// Records that are no questions of clients, by what they are.
    pub passed_over: Vec<(&'static str, u64)>,
    /// Rows that are damaged.
    pub bad: u64,
    /// The first of them: place and why.
    pub bad_rows: Vec<String>,
    /// Questions that the other system kept from the client.
    pub blocked: u64,
    /// First and last time, milliseconds since 1970; 0 without events.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
    /// Questions before the time given to [`Intake::new`].
    pub old: u64,
    /// Events by source.
    pub sources: Vec<(String, u64)>,
    /// What people decided in the other system; in force here only if [`super::decisions`] puts it there.
    pub decisions: Vec<Offered>,
}

/// A decision of people in the other system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offered {
    /// The name, that alone.
    pub name: String,
    /// What it was said to be.
    pub decision: Decision,
}

/// Where events go; without a store they are counted.
pub struct Intake<'a> {
    store: Option<(&'a dyn EventStore, Tenant)>,
    old_before_ms: u64,
    report: Report,
    waiting: HashMap<String, Vec<Event>>,
    count: usize,
    done: u64,
    /// Of the files before.
    done_before: u64,
    sources: HashMap<String, u64>,
    progress: &'a dyn Fn(u64),
}

impl<'a> Intake<'a> {
    /// Takes events into `store`, or only counts them. Those before `old_before_ms` (milliseconds since 1970) are counted
    /// apart. `progress` is told of bytes or rows as they are read.
    pub fn new(
        store: Option<(&'a dyn EventStore, Tenant)>,
        old_before_ms: u64,
        progress: &'a dyn Fn(u64),
    ) -> Self {
        let (report, waiting, sources) = (Report::default(), HashMap::new(), HashMap::new());
        Self { store, old_before_ms, report, waiting, count: 0, done: 0, done_before: 0, sources, progress }
    }

    /// What came of it.
    pub fn report(mut self) -> Report {
        self.report.sources = self.sources.into_iter().collect();
        self.report.sources.sort();
        self.report
    }

    /// Takes an event; its number must not be less than the one before of that source.
    pub(super) fn take(&mut self, source: &str, event: Event) -> Result<(), ImportError> {
        if self.count >= WAITING_EVENTS {
            self.flush()?;
        }
        let report = &mut self.report;
        report.first_ms = if report.events == 0 { event.time_ms } else { report.first_ms.min(event.time_ms) };
        report.last_ms = report.last_ms.max(event.time_ms);
        report.events += 1;
        report.blocked += u64::from(event.action().stops());
        report.old += u64::from(event.time_ms < self.old_before_ms);
        *self.sources.entry(source.to_owned()).or_default() += 1;
        if self.store.is_some() {
            self.waiting.entry(source.to_owned()).or_default().push(event);
            self.count += 1;
        }
        Ok(())
    }

    /// Counts a row that is damaged; `place` is a file with line or row.
    pub(super) fn bad(&mut self, path: &Path, place: std::fmt::Arguments<'_>, why: &RowError) {
        self.report.bad += 1;
        if self.report.bad_rows.len() < SHOWN_BAD {
            self.report.bad_rows.push(format!("{}: {place}: {why}", path.display()));
        }
    }

    /// Counts records that are no questions of clients.
    pub(super) fn pass_over(&mut self, what: &'static str, count: u64) {
        match self.report.passed_over.iter_mut().find(|(known, _)| *known == what) {
            Some((_, counted)) => *counted += count,
            None => self.report.passed_over.push((what, count)),
        }
    }

    /// Notes what people decided.
    pub(super) fn offer(&mut self, name: String, decision: Decision) {
        self.report.decisions.push(Offered { name, decision });
    }

    /// Tells how far the reader of one file is.
    pub(super) fn progress(&mut self, done: u64) {
        self.done = done;
        (self.progress)(self.done_before + done);
    }

    /// A file is read to its end.
    pub(super) fn end_of_file(&mut self) {
        self.done_before += std::mem::take(&mut self.done);
    }

    /// Stores what waits.
    ///
    /// # Errors
    /// If the store does not take it within some seconds.
    pub fn flush(&mut self) -> Result<(), ImportError> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.count = 0;
        let Some((store, tenant)) = self.store else { return Ok(()) };
        let mut batches: Vec<Batch> =
            waiting.map(|(source, events)| Batch { source, dropped: 0, events }).collect();
        batches.sort_by(|a, b| a.source.cmp(&b.source));
        for together in batches.chunks(TOGETHER) {
            // Handed in before the first is waited for, so that they share a transaction.
            let receipts: Vec<_> = together.iter().map(|batch| store.append(tenant, batch.clone())).collect();
            for (batch, receipt) in together.iter().zip(receipts) {
                let Appended { stored, known } =
                    settled(receipt).or_else(|error| again(store, tenant, batch, error))?;
                self.report.stored += stored;
                self.report.known += known;
            }
        }
        Ok(())
    }
}

fn settled(receipt: Result<Receipt, StoreError>) -> Result<Appended, StoreError> {
    receipt.and_then(|receipt| receipt.blocking_recv().unwrap_or(Err(StoreError::Closed)))
}

/// Tries a batch again: the store is busy, or another process writes to it.
fn again(
    store: &dyn EventStore,
    tenant: Tenant,
    batch: &Batch,
    mut error: StoreError,
) -> Result<Appended, StoreError> {
    for _ in 0..TRIES {
        if !matches!(error, StoreError::Busy | StoreError::Sqlite { .. }) {
            break;
        }
        std::thread::sleep(PAUSE);
        match settled(store.append(tenant, batch.clone())) {
            Ok(appended) => return Ok(appended),
            Err(other) => error = other,
        }
    }
    Err(error)
}
