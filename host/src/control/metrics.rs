//! `/metrics`: the control plane's own numbers, and whatever else the process adds.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Writes lines of Prometheus text, without an end mark.
pub type MetricsSource = Box<dyn Fn(&mut String) + Send + Sync>;

/// The control plane's counters; clones count into the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    sources: Arc<Mutex<Vec<MetricsSource>>>,
    stored: Counter,
    known: Counter,
    serial: Gauge<u64, AtomicU64>,
    bytes: Gauge<u64, AtomicU64>,
    seconds: Gauge<f64, AtomicU64>,
    failures: Counter,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let (stored, known, failures) = (Counter::default(), Counter::default(), Counter::default());
        let (serial, bytes, seconds) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("dnsvet_events_stored", "Events stored", stored.clone());
        registry.register("dnsvet_events_known", "Events that were stored already", known.clone());
        registry.register(
            "dnsvet_compile_failures",
            "Compiles that failed; the last good snapshot stayed",
            failures.clone(),
        );
        registry.register("dnsvet_snapshot_serial", "Serial of the snapshot served", serial.clone());
        registry.register("dnsvet_snapshot_bytes", "Bytes of the snapshot served", bytes.clone());
        registry.register("dnsvet_compile_seconds", "Seconds that the last compile took", seconds.clone());
        let (registry, sources) = (Arc::new(Mutex::new(registry)), Arc::default());
        Self { registry, sources, stored, known, serial, bytes, seconds, failures }
    }

    /// Adds another part's numbers.
    pub fn add(&self, source: MetricsSource) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// Counts a batch.
    pub fn events(&self, stored: u64, known: u64) {
        self.stored.inc_by(stored);
        self.known.inc_by(known);
    }

    /// Counts a snapshot that is served from now on.
    pub fn compiled(&self, serial: u64, bytes: u64, took: Duration) {
        self.serial.set(serial);
        self.bytes.set(bytes);
        self.seconds.set(took.as_secs_f64());
    }

    /// Counts a compile that failed.
    pub fn compile_failed(&self) {
        self.failures.inc();
    }

    /// All as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for source in self.sources.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            source(&mut text);
        }
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
