//! What the scorer counts, in Prometheus' text format at `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Labels of what one model does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    model: String,
    device: String,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// Not understood: 400.
    BadRequest,
    /// A model that the registry does not have: 404.
    UnknownModel,
    /// A body past the limit: 413.
    TooLarge,
    /// No room: 429.
    Overload,
    /// The caller's deadline had passed: 504.
    Deadline,
    /// The backend failed: 500.
    Failed,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadRequest => "bad_request",
            Self::UnknownModel => "unknown_model",
            Self::TooLarge => "too_large",
            Self::Overload => "overload",
            Self::Deadline => "deadline",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    outcome: &'static str,
}

type SecondsFamily = Family<LaneLabels, Histogram, fn() -> Histogram>;

/// The metrics of one lane.
#[derive(Debug, Clone)]
pub struct LaneMetrics {
    /// Names scored.
    pub scored_names: Counter,
    /// Names dropped because their deadline had passed.
    pub deadline_names: Counter,
    /// Names whose batch failed.
    pub failed_names: Counter,
    /// Names that wait.
    pub queued_names: Gauge,
    /// Names of a batch.
    pub batch_names: Histogram,
    /// Time in the backend.
    pub batch_seconds: Histogram,
    /// Time in the queue.
    pub wait_seconds: Histogram,
}

/// All metrics of a scorer.
pub struct Metrics {
    registry: Registry,
    scored_names: Family<LaneLabels, Counter>,
    deadline_names: Family<LaneLabels, Counter>,
    failed_names: Family<LaneLabels, Counter>,
    queued_names: Family<LaneLabels, Gauge>,
    batch_names: SecondsFamily,
    batch_seconds: SecondsFamily,
    wait_seconds: SecondsFamily,
    requests: Family<RequestLabels, Counter>,
    /// Names refused as no names.
    pub bad_names: Counter,
    /// Times the registry was opened again with success.
    pub reloads: Counter,
    /// Times it could not be, and the models in force stayed.
    pub failed_reloads: Counter,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 2.0, 16))
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 4.0, 10))
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("dnsvet_scorer"),
            scored_names: Family::default(),
            deadline_names: Family::default(),
            failed_names: Family::default(),
            queued_names: Family::default(),
            batch_names: Family::new_with_constructor(sizes),
            batch_seconds: Family::new_with_constructor(seconds),
            wait_seconds: Family::new_with_constructor(seconds),
            requests: Family::default(),
            bad_names: Counter::default(),
            reloads: Counter::default(),
            failed_reloads: Counter::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("scored_names", "Names scored", metrics.scored_names.clone());
        registry.register(
            "deadline_names",
            "Names dropped because their deadline had passed",
            metrics.deadline_names.clone(),
        );
        registry.register("failed_names", "Names whose batch failed", metrics.failed_names.clone());
        registry.register("queued_names", "Names that wait", metrics.queued_names.clone());
        registry.register("batch_names", "Names of a batch", metrics.batch_names.clone());
        registry.register_with_unit(
            "batch",
            "Time of a batch in the backend",
            Unit::Seconds,
            metrics.batch_seconds.clone(),
        );
        registry.register_with_unit(
            "wait",
            "Time of a job in the queue",
            Unit::Seconds,
            metrics.wait_seconds.clone(),
        );
        registry.register("requests", "Requests by outcome", metrics.requests.clone());
        registry.register("bad_names", "Texts refused as no names", metrics.bad_names.clone());
        registry.register("reloads", "Registry opened again", metrics.reloads.clone());
        registry.register(
            "failed_reloads",
            "Registry could not be opened again; the models in force stayed",
            metrics.failed_reloads.clone(),
        );
        metrics
    }

    /// The metrics of one model on one device; the same counters for the same labels.
    pub fn lane(&self, model: &str, device: &str) -> LaneMetrics {
        let labels = LaneLabels { model: model.to_owned(), device: device.to_owned() };
        LaneMetrics {
            scored_names: self.scored_names.get_or_create_owned(&labels),
            deadline_names: self.deadline_names.get_or_create_owned(&labels),
            failed_names: self.failed_names.get_or_create_owned(&labels),
            queued_names: self.queued_names.get_or_create_owned(&labels),
            batch_names: self.batch_names.get_or_create_owned(&labels),
            batch_seconds: self.batch_seconds.get_or_create_owned(&labels),
            wait_seconds: self.wait_seconds.get_or_create_owned(&labels),
        }
    }

    /// Counts a finished request.
    pub fn request(&self, outcome: Outcome) {
        self.requests.get_or_create(&RequestLabels { outcome: outcome.text() }).inc();
    }

    /// OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
