//! The resolver's own numbers: each worker counts for itself, `/metrics` adds them up.
//!
//! A worker is the only writer of its counters, so that counting is a load and a store, without a lock on
//! the bus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::pipeline::Door;
use crate::wasm::{MetricValue, SharedState};

/// Upper bounds of the upstream latency's buckets, seconds.
const BUCKETS_S: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `by`; to be called by the counter's worker alone.
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Relaxed) + by, Relaxed);
    }

    /// Puts a gauge's value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A histogram of seconds with one writer.
#[derive(Debug, Default)]
pub struct Seconds {
    buckets: [Counter; BUCKETS_S.len() + 1],
    sum_us: Counter,
}

impl Seconds {
    /// Counts one observation.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS_S.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS_S.len());
        self.buckets[bucket].add(1);
        self.sum_us.add(took.as_micros() as u64);
    }
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// Questions by door, in the order of [`Door::ALL`].
    pub queries: [Counter; Door::ALL.len()],
    /// Questions refused because the client is not in `allow_from`.
    pub refused_clients: Counter,
    /// Questions that got no answer at all, as decided (drop) or because they are none.
    pub dropped: Counter,
    /// Fresh answers from the cache.
    pub cache_hits: Counter,
    /// Questions that the cache had no fresh answer to.
    pub cache_misses: Counter,
    /// Answers in the cache.
    pub cache_entries: Counter,
    /// Bytes of the cache.
    pub cache_bytes: Counter,
    /// Stale answers served because no upstream answered.
    pub stale_answers: Counter,
    /// Questions sent to upstreams, retries included.
    pub upstream_queries: Counter,
    /// Tries that failed: timeout, network.
    pub upstream_errors: Counter,
    /// Questions answered SERVFAIL because no upstream answered.
    pub upstream_failures: Counter,
    /// Time until an upstream answered.
    pub upstream_seconds: Seconds,
    /// Traps of the plugin; each replaced its VM.
    pub plugin_traps: Counter,
    /// Questions decided by the failure mode because the plugin could not.
    pub plugin_failures: Counter,
    /// Linear memory of the worker's VM, bytes.
    pub plugin_memory_bytes: Counter,
    /// TCP and TLS connections refused because there were too many.
    pub refused_connections: Counter,
}

/// The numbers of all workers.
#[derive(Debug, Clone, Default)]
pub struct ResolverMetrics {
    workers: Vec<Arc<WorkerMetrics>>,
}

impl ResolverMetrics {
    /// For workers whose handles are given.
    pub fn new(workers: Vec<Arc<WorkerMetrics>>) -> Self {
        Self { workers }
    }

    /// The sum of one counter.
    pub fn sum(&self, counter: impl Fn(&WorkerMetrics) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| counter(worker).get()).sum()
    }

    /// Appends everything in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
            // Writing to a String can't fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let doors: Vec<_> = Door::ALL
            .iter()
            .enumerate()
            .map(|(i, door)| {
                (format!("{{door=\"{}\"}}", door.name()), self.sum(|w| &w.queries[i]).to_string())
            })
            .collect();
        family("dnsvet_resolver_queries_total", "counter", "Questions by door.", &doors);
        let counters: [Simple; 11] = [
            ("refused_clients_total", "Questions from clients outside allow_from.", |w| &w.refused_clients),
            ("dropped_total", "Questions that got no answer.", |w| &w.dropped),
            ("cache_hits_total", "Fresh answers from the cache.", |w| &w.cache_hits),
            ("cache_misses_total", "Questions without a fresh answer in the cache.", |w| &w.cache_misses),
            ("stale_answers_total", "Stale answers served while no upstream answered.", |w| &w.stale_answers),
            ("upstream_queries_total", "Questions sent to upstreams.", |w| &w.upstream_queries),
            ("upstream_errors_total", "Tries at an upstream that failed.", |w| &w.upstream_errors),
            ("upstream_failures_total", "Questions that no upstream answered.", |w| &w.upstream_failures),
            ("plugin_traps_total", "Traps of the plugin.", |w| &w.plugin_traps),
            ("plugin_failures_total", "Questions decided by the failure mode.", |w| &w.plugin_failures),
            ("refused_connections_total", "Connections over the limit.", |w| &w.refused_connections),
        ];
        for (name, help, counter) in counters {
            let value = self.sum(counter).to_string();
            family(&format!("dnsvet_resolver_{name}"), "counter", help, &[(String::new(), value)]);
        }
        let gauges: [Simple; 3] = [
            ("cache_entries", "Answers in the cache.", |w| &w.cache_entries),
            ("cache_bytes", "Bytes of the cache.", |w| &w.cache_bytes),
            ("plugin_memory_bytes", "Linear memory of all VMs.", |w| &w.plugin_memory_bytes),
        ];
        for (name, help, counter) in gauges {
            let value = self.sum(counter).to_string();
            family(&format!("dnsvet_resolver_{name}"), "gauge", help, &[(String::new(), value)]);
        }
        self.render_latency(out);
    }

    fn render_latency(&self, out: &mut String) {
        const NAME: &str = "dnsvet_resolver_upstream_seconds";
        let _ = writeln!(out, "# HELP {NAME} Time until an upstream answered.\n# TYPE {NAME} histogram");
        let mut total = 0;
        for bucket in 0..=BUCKETS_S.len() {
            total += self.sum(|w| &w.upstream_seconds.buckets[bucket]);
            let bound = BUCKETS_S.get(bucket).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let _ = writeln!(out, "{NAME}_bucket{{le=\"{bound}\"}} {total}");
        }
        let sum_s = self.sum(|w| &w.upstream_seconds.sum_us) as f64 / 1e6;
        let _ = writeln!(out, "{NAME}_sum {sum_s}\n{NAME}_count {total}");
    }
}

/// Appends the metrics that the plugin defined, and what its runtime saw, in Prometheus' text format.
pub fn plugin_metrics(shared: &SharedState, out: &mut String) {
    for (name, value) in shared.metrics() {
        // A guest may call a metric anything; Prometheus takes letters, digits, `_` and `:`.
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let _ = match value {
            MetricValue::Counter(value) => writeln!(out, "# TYPE {name} counter\n{name} {value}"),
            MetricValue::Gauge(value) => writeln!(out, "# TYPE {name} gauge\n{name} {value}"),
            MetricValue::Histogram(histogram) => {
                let (count, sum) = (histogram.count, histogram.sum);
                writeln!(out, "# TYPE {name} summary\n{name}_sum {sum}\n{name}_count {count}")
            }
        };
    }
    let runtime = [
        ("dnsvet_resolver_plugin_timeouts_total", shared.timeouts()),
        ("dnsvet_resolver_plugin_late_replies_total", shared.ignored_local_responses()),
    ];
    for (name, value) in runtime {
        let _ = writeln!(out, "# TYPE {name} counter\n{name} {value}");
    }
}

/// A metric of one value: name after the prefix, help, where it is.
type Simple = (&'static str, &'static str, fn(&WorkerMetrics) -> &Counter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up_and_buckets_are_cumulative() {
        let workers = [Arc::new(WorkerMetrics::default()), Arc::new(WorkerMetrics::default())];
        workers[0].queries[0].add(2);
        workers[1].queries[0].add(3);
        workers[0].upstream_seconds.observe(Duration::from_millis(3));
        workers[1].upstream_seconds.observe(Duration::from_secs(9));
        let mut text = String::new();
        ResolverMetrics::new(workers.to_vec()).render(&mut text);
        for line in [
            "dnsvet_resolver_queries_total{door=\"udp\"} 5",
            "dnsvet_resolver_upstream_seconds_bucket{le=\"0.002\"} 0",
            "dnsvet_resolver_upstream_seconds_bucket{le=\"0.005\"} 1",
            "dnsvet_resolver_upstream_seconds_bucket{le=\"+Inf\"} 2",
            "dnsvet_resolver_upstream_seconds_count 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
