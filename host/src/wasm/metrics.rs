//! Metrics that guests define. A counter has one cell for each VM, so that threads never share a cache
//! line on the hot path; a snapshot adds the cells up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::abi::MetricType;

/// Names that guests may define, so that a broken one cannot fill the host's memory.
const MAX_METRICS: usize = 16_384;

/// What a metric says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricValue {
    /// Only rises, while the process lives.
    Counter(u64),
    /// Goes up and down.
    Gauge(i64),
    /// A distribution of recorded values.
    Histogram(Histogram),
}

/// A distribution in power-of-two buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Values recorded.
    pub count: u64,
    /// Their sum, modulo 2^64.
    pub sum: u64,
    /// Values of bit length `i`, so at most `2^i - 1` and above the bucket before; 65 buckets.
    pub buckets: Vec<u64>,
}

/// All metrics of a [`super::SharedState`].
#[derive(Debug, Default)]
pub(super) struct Registry {
    metrics: Mutex<BTreeMap<(String, MetricType), Arc<Metric>>>,
}

/// One metric, whatever the number of VMs that defined it.
#[derive(Debug)]
enum Metric {
    Counter(Mutex<Cells>),
    Gauge(AtomicI64),
    Histogram(Box<Buckets>),
}

/// A counter: the sum of cells of VMs that are gone, and the cells of those that live.
#[derive(Debug, Default)]
struct Cells {
    gone: u64,
    live: Vec<Arc<AtomicU64>>,
}

#[derive(Debug)]
struct Buckets {
    sum: AtomicU64,
    counts: [AtomicU64; 65],
}

/// A VM's hold on a metric.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    metric: Arc<Metric>,
    cell: Option<Arc<AtomicU64>>,
}

/// The metric's kind does not allow the operation, or the offset's sign does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAllowed;

impl Registry {
    /// A hold on the metric of this kind and name; `None` where there are too many.
    pub(super) fn define(&self, kind: MetricType, name: &str) -> Option<Handle> {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), kind);
        if metrics.len() >= MAX_METRICS && !metrics.contains_key(&key) {
            return None;
        }
        let metric = metrics.entry(key).or_insert_with(|| Arc::new(Metric::new(kind))).clone();
        let cell = match &*metric {
            Metric::Counter(cells) => Some(cells.lock().unwrap_or_else(PoisonError::into_inner).join()),
            _ => None,
        };
        Some(Handle { metric, cell })
    }

    /// Every metric by name, in order; a name defined with two kinds comes twice.
    pub(super) fn snapshot(&self) -> Vec<(String, MetricValue)> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.iter().map(|((name, _), metric)| (name.clone(), metric.value())).collect()
    }
}

impl Cells {
    /// Gives a new VM its cell, and folds in the cells of VMs that are gone.
    fn join(&mut self) -> Arc<AtomicU64> {
        let mut gone = self.gone;
        self.live.retain(|cell| {
            let alive = Arc::strong_count(cell) > 1;
            if !alive {
                gone = gone.wrapping_add(cell.load(Relaxed));
            }
            alive
        });
        self.gone = gone;
        let cell = Arc::new(AtomicU64::new(0));
        self.live.push(cell.clone());
        cell
    }

    fn sum(&self) -> u64 {
        self.live.iter().fold(self.gone, |sum, cell| sum.wrapping_add(cell.load(Relaxed)))
    }
}

impl Metric {
    fn new(kind: MetricType) -> Self {
        match kind {
            MetricType::Counter => Self::Counter(Mutex::default()),
            MetricType::Gauge => Self::Gauge(AtomicI64::new(0)),
            MetricType::Histogram => {
                let counts = [const { AtomicU64::new(0) }; 65];
                Self::Histogram(Box::new(Buckets { sum: AtomicU64::new(0), counts }))
            }
        }
    }

    fn value(&self) -> MetricValue {
        match self {
            Self::Counter(cells) => {
                MetricValue::Counter(cells.lock().unwrap_or_else(PoisonError::into_inner).sum())
            }
            Self::Gauge(value) => MetricValue::Gauge(value.load(Relaxed)),
            Self::Histogram(histogram) => {
                let buckets: Vec<u64> = histogram.counts.iter().map(|count| count.load(Relaxed)).collect();
                MetricValue::Histogram(Histogram {
                    count: buckets.iter().sum(),
                    sum: histogram.sum.load(Relaxed),
                    buckets,
                })
            }
        }
    }
}

impl Handle {
    /// Whether two handles name the same metric.
    pub(super) fn same(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.metric, &other.metric)
    }

    /// Adds; a counter only rises, a histogram cannot be added to.
    pub(super) fn increment(&self, offset: i64) -> Result<(), NotAllowed> {
        match (&*self.metric, &self.cell) {
            (Metric::Counter(_), Some(cell)) if offset > 0 => bump(cell, offset.unsigned_abs()),
            (Metric::Gauge(value), _) => {
                value.fetch_add(offset, Relaxed);
            }
            _ => return Err(NotAllowed),
        }
        Ok(())
    }

    /// A counter rises by the value, a gauge becomes it, a histogram takes it in.
    pub(super) fn record(&self, value: u64) {
        match (&*self.metric, &self.cell) {
            (Metric::Counter(_), Some(cell)) => bump(cell, value),
            (Metric::Gauge(gauge), _) => gauge.store(value as i64, Relaxed),
            (Metric::Histogram(histogram), _) => {
                let bits = (u64::BITS - value.leading_zeros()) as usize;
                if let Some(count) = histogram.counts.get(bits) {
                    count.fetch_add(1, Relaxed);
                }
                histogram.sum.fetch_add(value, Relaxed);
            }
            (Metric::Counter(_), None) => {}
        }
    }

    /// The value over all VMs; a histogram has none.
    pub(super) fn get(&self) -> Result<u64, NotAllowed> {
        match self.metric.value() {
            MetricValue::Counter(value) => Ok(value),
            MetricValue::Gauge(value) => Ok(value as u64),
            MetricValue::Histogram(_) => Err(NotAllowed),
        }
    }
}

/// Only one thread writes a VM's cell, so this needs no locked instruction.
fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_over_vms_that_live_and_are_gone() {
        let registry = Registry::default();
        let first = registry.define(MetricType::Counter, "c").unwrap();
        first.increment(3).unwrap();
        drop(first);
        let second = registry.define(MetricType::Counter, "c").unwrap();
        second.increment(4).unwrap();
        let third = registry.define(MetricType::Counter, "c").unwrap();
        third.record(5);
        assert_eq!(second.get(), Ok(12));
        assert_eq!(registry.snapshot(), [("c".to_owned(), MetricValue::Counter(12))]);
    }

    #[test]
    fn counters_never_fall_and_histograms_are_not_added_to() {
        let registry = Registry::default();
        let counter = registry.define(MetricType::Counter, "c").unwrap();
        assert_eq!(counter.increment(0), Err(NotAllowed));
        assert_eq!(counter.increment(-1), Err(NotAllowed));
        let gauge = registry.define(MetricType::Gauge, "g").unwrap();
        gauge.record(7);
        gauge.increment(-9).unwrap();
        assert_eq!(gauge.get(), Ok(-2i64 as u64));
        let histogram = registry.define(MetricType::Histogram, "h").unwrap();
        assert_eq!(histogram.increment(1), Err(NotAllowed));
        assert_eq!(histogram.get(), Err(NotAllowed));
    }

    #[test]
    fn histograms_sort_by_bit_length() {
        let registry = Registry::default();
        let histogram = registry.define(MetricType::Histogram, "h").unwrap();
        for value in [0, 1, 2, 3, 4, u64::MAX] {
            histogram.record(value);
        }
        let [(_, MetricValue::Histogram(seen))] = &registry.snapshot()[..] else { panic!("one histogram") };
        assert_eq!((seen.count, seen.sum), (6, 9));
        assert_eq!(seen.buckets[..4], [1, 1, 2, 1]);
        assert_eq!(seen.buckets[64], 1);
    }

    #[test]
    fn names_are_bounded() {
        let registry = Registry::default();
        for n in 0..MAX_METRICS {
            assert!(registry.define(MetricType::Gauge, &n.to_string()).is_some());
        }
        assert!(registry.define(MetricType::Gauge, "one more").is_none());
        assert!(registry.define(MetricType::Gauge, "0").is_some());
    }
}
