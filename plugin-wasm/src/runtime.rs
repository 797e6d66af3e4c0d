//! [`Host`] over hostcalls.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use dnsvet_core::host::{Callout, CalloutId, Counter, Host, Level, NotStarted, Peer, Reply};
use dnsvet_core::schema::PluginConfig;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};

/// Clusters by peer, and the counters defined so far.
#[derive(Debug, Default)]
pub struct Runtime {
    control: (String, String),
    scorer: (String, String),
    counters: BTreeMap<Counter, u32>,
}

impl Runtime {
    /// A runtime that reaches its peers as the configuration says.
    pub fn new(config: &PluginConfig) -> Self {
        Self {
            control: (config.control_cluster.clone(), config.control_authority.clone()),
            scorer: (config.scorer_cluster.clone(), config.scorer_authority.clone()),
            counters: BTreeMap::new(),
        }
    }
}

/// Wall clock, microseconds since 1970.
pub fn now_us() -> u64 {
    let now = hostcalls::get_current_time().ok();
    let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Writes a log line.
pub fn log(level: Level, line: &str) {
    let level = match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    // A log that can't be written can't be reported either.
    let _ = hostcalls::log(level, line);
}

/// The reply of a callout as the SDK announces it; no headers: nothing came.
pub fn reply(header_count: usize, body_bytes: usize) -> Reply {
    if header_count == 0 {
        return Reply::nothing();
    }
    let headers = hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap_or_default();
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, text(value))).collect();
    let status = headers.iter().find(|(name, _)| name == ":status");
    let status = status.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_bytes)
        .ok()
        .flatten()
        .unwrap_or_default();
    Reply { status, headers, body }
}

impl Host for Runtime {
    fn now_ms(&self) -> u64 {
        now_us() / 1_000
    }

    fn now_us(&self) -> u64 {
        now_us()
    }

    fn log(&mut self, level: Level, line: &str) {
        log(level, line);
    }

    fn callout(&mut self, callout: Callout) -> Result<CalloutId, NotStarted> {
        let (cluster, authority) = match callout.peer {
            Peer::Control => &self.control,
            Peer::Scorer => &self.scorer,
        };
        let mut headers = vec![
            (":method", callout.method),
            (":path", callout.path.as_str()),
            (":authority", authority.as_str()),
            (":scheme", "http"),
        ];
        headers.extend(callout.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let body = (!callout.body.is_empty()).then_some(callout.body.as_slice());
        let timeout = Duration::from_millis(u64::from(callout.timeout_ms));
        hostcalls::dispatch_http_call(cluster, headers, body, vec![], timeout)
            .map(CalloutId)
            .map_err(|_| NotStarted)
    }

    fn count(&mut self, counter: Counter, by: u64) {
        let id = match self.counters.get(&counter) {
            Some(id) => *id,
            None => {
                let Ok(id) = hostcalls::define_metric(MetricType::Counter, counter.name()) else { return };
                self.counters.insert(counter, id);
                id
            }
        };
        // A counter that was defined can be added to; a runtime without metrics has refused above.
        let _ = hostcalls::increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX));
    }
}
