//! Brings events to a store on another machine.
//!
//! ```text
//! append ─► bounded queue ─► shipper thread ─► known already? ─► one insert for all that waits ─► receipt, live tail
//!                                  │                                   │ away
//!                                  │      tried again, 1 to 30 s ◄─ spool on disk ─► receipt
//! ```
//!
//! A store that is away, refuses or is damaged does not hold up filters while the spool has room. When that is full,
//! batches are refused: filters keep them then, and count what they drop.
//!
//! Its surprise: which numbers of a source are stored is asked of the store itself when a source is first seen, and
//! again after every insert that failed, since nobody knows what became of that one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use dnsvet_core::event::Batch;
use tokio::sync::{broadcast, oneshot};

use super::clients::Addresses;
use super::id::source_key;
use super::queue::{Job, hand_over};
use super::ranges::Ranges;
use super::spool::{Kept, Spool};
use super::{Appended, EventId, Receipt, StoreError, Stored, Tenant, now_ms};
use crate::background;
use crate::config::ClientAddresses;

/// Batches that may wait for the shipper.
const QUEUE_BATCHES: usize = 256;
/// Events in one insert, about.
const INSERT_EVENTS: usize = 20_000;
/// Between two inserts at least: stores like few large ones.
const INSERT_EVERY: Duration = Duration::from_millis(100);
/// Events that the live tail may lag behind.
const TAIL_EVENTS: usize = 4_096;
/// Between two looks at retention.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Between two tries of a store that is away.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Sources whose numbers are remembered.
const MOST_SOURCES: usize = 10_000;

/// A store on another machine, as the shipper sees it.
pub(super) trait Sink: Send + Sync + 'static {
    /// Makes what is missing of its tables.
    fn prepare(&self) -> Result<(), StoreError>;

    /// The numbers of a source that are stored.
    fn received(&self, tenant: Tenant, source: &str) -> Result<Ranges, StoreError>;

    /// Stores events that are not stored yet, and how many each source dropped since it started.
    fn insert(
        &self,
        events: &[(Tenant, Stored)],
        dropped: &[(Tenant, String, u64)],
    ) -> Result<(), StoreError>;

    /// Removes what is too old or too much.
    fn retain(&self, now_ms: u64) -> Result<(), StoreError>;
}

/// What `/metrics` shows.
#[derive(Default)]
struct Counts {
    waiting_events: AtomicU64,
    waiting_bytes: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

/// The way into a store on another machine. Dropping it sends nothing more: the spool stays for the next start.
pub(super) struct Shipper {
    jobs: Option<SyncSender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
    tail: broadcast::Sender<(Tenant, Arc<Stored>)>,
    counts: Arc<Counts>,
}

impl Shipper {
    /// Starts the thread that ships to `sink`, with a spool in `folder` of at most so many bytes.
    ///
    /// # Errors
    /// If the folder can't be used.
    pub fn start(
        sink: Arc<dyn Sink>,
        (folder, most_bytes): (&Path, u64),
        addresses: ClientAddresses,
    ) -> Result<Self, StoreError> {
        let addresses = Addresses::beside(folder, addresses)?;
        let path = || folder.display().to_string();
        let spool =
            Spool::open(folder, most_bytes).map_err(|source| StoreError::File { path: path(), source })?;
        let (jobs, queue) = sync_channel(QUEUE_BATCHES);
        let (tail, counts) = (broadcast::channel(TAIL_EVENTS).0, Arc::<Counts>::default());
        let mut work = Work {
            sink,
            spool,
            addresses,
            tail: tail.clone(),
            counts: Arc::clone(&counts),
            prepared: false,
            known: HashMap::new(),
            dropped: HashMap::new(),
            inserted: None,
            wait: RETRY.0,
        };
        let thread = std::thread::Builder::new()
            .name("store-shipper".into())
            .spawn(move || work.run(&queue))
            .map_err(|source| StoreError::File { path: path(), source })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), tail, counts })
    }

    /// See [`super::EventStore::append`]. A batch that went to the spool is in neither count.
    pub fn append(&self, tenant: Tenant, batch: Batch) -> Result<Receipt, StoreError> {
        hand_over(self.jobs.as_ref(), tenant, batch)
    }

    /// See [`super::EventStore::subscribe`].
    pub fn subscribe(&self) -> broadcast::Receiver<(Tenant, Arc<Stored>)> {
        self.tail.subscribe()
    }

    /// Lines for `/metrics`.
    pub fn render(&self, text: &mut String) {
        let Counts { waiting_events, waiting_bytes, refused, lost, failures } = &*self.counts;
        let mut line = |name: &str, kind: &str, help: &str, value: &AtomicU64| {
            let family = name.strip_suffix("_total").unwrap_or(name);
            text.push_str(&format!(
                "# HELP {family} {help}.\n# TYPE {family} {kind}\n{name} {}\n",
                value.load(Relaxed)
            ));
        };
        line("dnsvet_store_spool_events", "gauge", "Events that wait for the store", waiting_events);
        line("dnsvet_store_spool_bytes", "gauge", "Bytes that they take on disk", waiting_bytes);
        let said = "Events refused because the spool is full; filters keep them, and count what they drop";
        line("dnsvet_store_refused_events_total", "counter", said, refused);
        line("dnsvet_store_lost_events_total", "counter", "Events of damaged entries of the spool", lost);
        line("dnsvet_store_failures_total", "counter", "Times that the store failed an insert", failures);
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Work {
    sink: Arc<dyn Sink>,
    spool: Spool,
    addresses: Addresses,
    tail: broadcast::Sender<(Tenant, Arc<Stored>)>,
    counts: Arc<Counts>,
    prepared: bool,
    /// Numbers that are stored, by source.
    known: HashMap<(i64, String), Ranges>,
    /// What sources last said they dropped.
    dropped: HashMap<(i64, String), u64>,
    inserted: Option<Instant>,
    wait: Duration,
}

impl Work {
    fn run(&mut self, queue: &Receiver<Job>) {
        let (mut retain_at, mut retry_at) = (Instant::now(), Instant::now());
        // The tables are there before somebody looks.
        self.try_prepare();
        self.count();
        loop {
            let due = if self.spool.is_empty() { retain_at } else { retain_at.min(retry_at) };
            match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    background::step_back(background::STORE);
                    let waited = self.spool.is_empty();
                    self.take(first, queue);
                    if waited && !self.spool.is_empty() {
                        retry_at = Instant::now() + self.wait;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.spool.is_empty() && Instant::now() >= retry_at {
                self.wait = if self.drain() { RETRY.0 } else { (self.wait * 2).min(RETRY.1) };
                retry_at = Instant::now() + self.wait;
            }
            if Instant::now() >= retain_at {
                if self.try_prepare()
                    && let Err(error) = self.sink.retain(now_ms())
                {
                    tracing::warn!(%error, "retention failed; tried again in a minute");
                }
                retain_at = Instant::now() + RETENTION_EVERY;
            }
        }
    }

    fn try_prepare(&mut self) -> bool {
        if !self.prepared {
            match self.sink.prepare() {
                Ok(()) => self.prepared = true,
                Err(error) => {
                    tracing::warn!(%error, "the event store is not ready; events wait in the spool")
                }
            }
        }
        self.prepared
    }

    /// Stores `first` and what else waits, or puts it into the spool.
    fn take(&mut self, first: Job, queue: &Receiver<Job>) {
        if let Some(rest) = self.inserted.and_then(|last| INSERT_EVERY.checked_sub(last.elapsed())) {
            std::thread::sleep(rest);
        }
        let mut events = first.1.events.len();
        let mut jobs = vec![first];
        while events < INSERT_EVENTS {
            let Ok(job) = queue.try_recv() else { break };
            events += job.1.events.len();
            jobs.push(job);
        }
        let (mut batches, receipts): (Vec<(Tenant, Batch)>, Vec<_>) =
            jobs.into_iter().map(|(tenant, batch, receipt)| ((tenant, batch), receipt)).unzip();
        let now_ms = now_ms();
        for (_, batch) in &mut batches {
            for event in &mut batch.events {
                event.client = self.addresses.stored(&event.client, now_ms);
            }
        }
        if self.spool.is_empty() {
            match self.store(&batches) {
                Ok(results) => {
                    for (receipt, result) in receipts.into_iter().zip(results) {
                        let _ = receipt.send(Ok(result));
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the event store failed; events wait in the spool");
                }
            }
        }
        self.keep(&batches, receipts);
    }

    fn keep(
        &mut self,
        batches: &[(Tenant, Batch)],
        receipts: Vec<oneshot::Sender<Result<Appended, StoreError>>>,
    ) {
        let kept = self.spool.keep(batches);
        if !matches!(kept, Ok(Kept::Yes)) {
            let events = batches.iter().map(|(_, batch)| batch.events.len() as u64).sum();
            self.counts.refused.fetch_add(events, Relaxed);
        }
        if let Err(error) = &kept {
            tracing::error!(%error, "the spool can't be written; filters send the events again");
        }
        self.count();
        for receipt in receipts {
            let _ = receipt.send(match &kept {
                Ok(Kept::Yes) => Ok(Appended { stored: 0, known: 0 }),
                _ => Err(StoreError::SpoolFull),
            });
        }
    }

    /// Stores what waits in the spool, oldest first; false if the store failed.
    fn drain(&mut self) -> bool {
        loop {
            match self.spool.oldest() {
                Ok(None) => return true,
                Ok(Some(batches)) => match self.store(&batches) {
                    Ok(_) => self.spool.done(),
                    Err(error) => {
                        tracing::warn!(%error, events = self.spool.events(), "the event store fails still");
                        return false;
                    }
                },
                Err(lost) => {
                    self.counts.lost.fetch_add(lost, Relaxed);
                }
            }
            self.count();
        }
    }

    /// Stores what of the batches is new.
    fn store(&mut self, batches: &[(Tenant, Batch)]) -> Result<Vec<Appended>, StoreError> {
        let stored = self.store_new(batches);
        self.inserted = Some(Instant::now());
        if stored.is_err() {
            self.counts.failures.fetch_add(1, Relaxed);
            self.prepared = false;
            for (tenant, batch) in batches {
                self.known.remove(&(tenant.0, batch.source.clone()));
            }
        }
        stored
    }

    fn store_new(&mut self, batches: &[(Tenant, Batch)]) -> Result<Vec<Appended>, StoreError> {
        if !self.prepared {
            self.sink.prepare()?;
            self.prepared = true;
        }
        if self.known.len() > MOST_SOURCES {
            self.known.clear();
            self.dropped.clear();
        }
        let (mut results, mut fresh, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, batch) in batches {
            let key = (tenant.0, batch.source.clone());
            if !self.known.contains_key(&key) {
                let received = self.sink.received(*tenant, &batch.source)?;
                self.known.insert(key.clone(), received);
            }
            let received = self.known.entry(key.clone()).or_default();
            let source = source_key(&batch.source);
            let mut appended = Appended { stored: 0, known: 0 };
            for event in &batch.events {
                if !received.insert(event.seq) {
                    appended.known += 1;
                    continue;
                }
                appended.stored += 1;
                let id = EventId::of(event.time_ms, source, event.seq);
                fresh.push((*tenant, Stored { id, source: batch.source.clone(), event: event.clone() }));
            }
            if self.dropped.get(&key).copied().unwrap_or(0) < batch.dropped {
                dropped.push((*tenant, batch.source.clone(), batch.dropped));
            }
            results.push(appended);
        }
        if !fresh.is_empty() || !dropped.is_empty() {
            self.sink.insert(&fresh, &dropped)?;
        }
        for (tenant, source, count) in dropped {
            self.dropped.insert((tenant.0, source), count);
        }
        if self.tail.receiver_count() > 0 {
            for (tenant, stored) in fresh {
                let _ = self.tail.send((tenant, Arc::new(stored)));
            }
        }
        Ok(results)
    }

    fn count(&self) {
        self.counts.waiting_events.store(self.spool.events(), Relaxed);
        self.counts.waiting_bytes.store(self.spool.bytes(), Relaxed);
    }
}
