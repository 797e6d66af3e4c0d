//! `dnsvet.toml`: every key, its default and why. Each is also `DNSVET_<KEY>` in the environment (a dot
//! becomes two underscores) and a flag of `dnsvet serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use dnsvet_core::policy::{FailureMode, Group, Mode};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where snapshots, the store, keys and certificates live.
    pub data_dir: PathBuf,
    /// Addresses that are listened on.
    pub listen: Listen,
    /// Clients that are answered; others get REFUSED. Loopback and private ranges, so never an open resolver.
    pub allow_from: Vec<IpNet>,
    /// Upstream resolvers, `ADDRESS` or `ADDRESS:PORT`; empty: the system's, then a public pair.
    pub upstreams: Vec<String>,
    /// Lists: `[block:|allow:|mandatory:|popular:][plain:|hosts:]PATH`; empty: the bundled ones.
    pub lists: Vec<String>,
    /// Groups of clients; empty: one for everybody.
    pub groups: Vec<Group>,
    /// What happens if a remote call fails: `allow` or `deny`.
    pub failure_mode: FailureMode,
    /// What lists and models may do.
    pub mode: Modes,
    /// Base URL of the scorer; empty: the small model decides alone.
    pub scorer: String,
    /// The event store: `sqlite` (in `data_dir`) or `sqlite:PATH`.
    pub store: String,
    /// The plugin's `.wasm`; empty: beside the binary, then the embedded one.
    pub plugin: PathBuf,
    /// Worker threads, each with its own plugin instance; 0: one a core.
    pub workers: usize,
}

/// Addresses that are listened on; an empty text switches a door off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// DNS over UDP and TCP.
    pub dns: Option<SocketAddr>,
    /// DNS over HTTPS at `/dns-query`.
    pub doh: Option<SocketAddr>,
    /// Plain forwarding, no vetting and no events, for filters in front. Loopback only.
    pub forward: Option<SocketAddr>,
    /// API, dashboard, snapshot feed and `/metrics`.
    pub api: Option<SocketAddr>,
}

/// What lists and models may do: `off`, `log` or `enforce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Modes {
    /// Lists enforce from the first minute.
    pub lists: Mode,
    /// Models start in log mode: the dashboard shows what they would have done.
    pub models: Mode,
}

impl Default for Listen {
    fn default() -> Self {
        let on = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        Self { dns: on(5300), doh: on(8443), forward: on(8444), api: on(8080) }
    }
}

impl Default for Modes {
    fn default() -> Self {
        Self { lists: Mode::Enforce, models: Mode::Log }
    }
}

impl Default for Config {
    fn default() -> Self {
        let private = [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ];
        Self {
            data_dir: "dnsvet-data".into(),
            listen: Listen::default(),
            allow_from: private.iter().filter_map(|net| net.parse().ok()).collect(),
            upstreams: Vec::new(),
            lists: Vec::new(),
            groups: Vec::new(),
            failure_mode: FailureMode::Allow,
            mode: Modes::default(),
            scorer: String::new(),
            store: "sqlite".into(),
            plugin: PathBuf::new(),
            workers: 0,
        }
    }
}
