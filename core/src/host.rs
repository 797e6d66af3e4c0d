//! What a filter needs from whoever runs it: clock, log, callouts, metrics.
//!
//! Implemented by the plugin over proxy-wasm hostcalls, by `dnsvet check` natively, and by
//! [`Scripted`] in tests.

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers.
    Debug,
    /// Normal, worth a line.
    Info,
    /// Something degraded; service goes on.
    Warn,
    /// Something failed; a person should look.
    Error,
}

/// Whom a callout asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The scorer sidecar.
    Scorer,
    /// The control plane: snapshot feed and event sink.
    Control,
}

/// One HTTP request of the filter to a peer. Every callout states its timeout; its failure mode is the
/// group's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callout {
    /// Whom to ask.
    pub peer: Peer,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path with query.
    pub path: String,
    /// Header fields besides method, path and authority.
    pub headers: Vec<(String, String)>,
    /// Body; empty for `GET`.
    pub body: Vec<u8>,
    /// Given up after this many milliseconds.
    pub timeout_ms: u32,
}

/// Names a callout in flight; the runner hands it back with the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CalloutId(pub u32);

/// The runner could not even start a callout (no such peer, too many in flight).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("callout not started")]
pub struct NotStarted;

/// What came back of a callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status; 0 if nothing came (timeout, reset).
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A callout that timed out or was reset.
    pub fn nothing() -> Self {
        Self { status: 0, headers: Vec::new(), body: Vec::new() }
    }

    /// The first value of a header field; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A counter of the filter; the text is its exported name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// Questions decided.
    Queries,
    /// Questions answered by the filter (blocked, special, honeypot).
    Blocked,
    /// Messages refused before a decision (FORMERR, NOTIMP, dropped, 400).
    Malformed,
    /// Names the model could not settle.
    NotConfident,
    /// Callouts to the scorer.
    Callouts,
    /// Callouts to the scorer that failed, so that the failure mode decided.
    CalloutFailures,
    /// Questions decided on the registrable domain because a token bucket was empty.
    BudgetExceeded,
    /// Verdicts taken from the verdict cache.
    VerdictCacheHits,
    /// Scores taken from the score cache.
    ScoreCacheHits,
    /// Answers changed or blocked on the way back.
    ResponsesBlocked,
    /// Events handed to the control plane and acknowledged.
    EventsSent,
    /// Events dropped because the spool was full.
    EventsDropped,
    /// Snapshots put in force.
    SnapshotsLoaded,
    /// Snapshots refused; the last good one stayed.
    SnapshotsRefused,
}

impl Counter {
    /// All counters, in order.
    pub const ALL: [Counter; 14] = [
        Counter::Queries,
        Counter::Blocked,
        Counter::Malformed,
        Counter::NotConfident,
        Counter::Callouts,
        Counter::CalloutFailures,
        Counter::BudgetExceeded,
        Counter::VerdictCacheHits,
        Counter::ScoreCacheHits,
        Counter::ResponsesBlocked,
        Counter::EventsSent,
        Counter::EventsDropped,
        Counter::SnapshotsLoaded,
        Counter::SnapshotsRefused,
    ];

    /// The exported name, `dnsvet_filter_<what>_total`.
    pub fn name(self) -> &'static str {
        match self {
            Counter::Queries => "dnsvet_filter_queries_total",
            Counter::Blocked => "dnsvet_filter_blocked_total",
            Counter::Malformed => "dnsvet_filter_malformed_total",
            Counter::NotConfident => "dnsvet_filter_not_confident_total",
            Counter::Callouts => "dnsvet_filter_callouts_total",
            Counter::CalloutFailures => "dnsvet_filter_callout_failures_total",
            Counter::BudgetExceeded => "dnsvet_filter_budget_exceeded_total",
            Counter::VerdictCacheHits => "dnsvet_filter_verdict_cache_hits_total",
            Counter::ScoreCacheHits => "dnsvet_filter_score_cache_hits_total",
            Counter::ResponsesBlocked => "dnsvet_filter_responses_blocked_total",
            Counter::EventsSent => "dnsvet_filter_events_sent_total",
            Counter::EventsDropped => "dnsvet_filter_events_dropped_total",
            Counter::SnapshotsLoaded => "dnsvet_filter_snapshots_loaded_total",
            Counter::SnapshotsRefused => "dnsvet_filter_snapshots_refused_total",
        }
    }
}

/// What the filter asks of its runner.
pub trait Host {
    /// Wall clock, milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// Wall clock, microseconds since 1970.
    fn now_us(&self) -> u64 {
        self.now_ms() * 1_000
    }
    /// Writes a log line, lower case.
    fn log(&mut self, level: Level, line: &str);
    /// Starts a callout; its reply comes back later under the returned id, exactly once.
    fn callout(&mut self, callout: Callout) -> Result<CalloutId, NotStarted>;
    /// Adds to a counter.
    fn count(&mut self, counter: Counter, by: u64);
}

/// A host for tests: the clock stands where it is put, callouts are kept to be answered by the test.
#[derive(Debug, Default)]
pub struct Scripted {
    /// What [`Host::now_ms`] says.
    pub now_ms: u64,
    /// Log lines so far.
    pub lines: Vec<(Level, String)>,
    /// Callouts so far; the id of each is its index.
    pub callouts: Vec<Callout>,
    /// Counters so far.
    pub counters: std::collections::BTreeMap<Counter, u64>,
    /// Refuses callouts to this peer, as an unknown cluster would.
    pub refuse: Option<Peer>,
}

impl Host for Scripted {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn log(&mut self, level: Level, line: &str) {
        self.lines.push((level, line.to_owned()));
    }

    fn callout(&mut self, callout: Callout) -> Result<CalloutId, NotStarted> {
        if self.refuse == Some(callout.peer) {
            return Err(NotStarted);
        }
        self.callouts.push(callout);
        Ok(CalloutId(self.callouts.len() as u32 - 1))
    }

    fn count(&mut self, counter: Counter, by: u64) {
        *self.counters.entry(counter).or_default() += by;
    }
}
