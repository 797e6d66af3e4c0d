//! Wire types between the parts: scorer protocol and the plugin's configuration.

#[cfg(feature = "attribution")]
mod attribution;

use serde::{Deserialize, Serialize};

use crate::policy::FailureMode;

#[cfg(feature = "attribution")]
pub use attribution::{Attribution, Span};

/// `POST /v1/score` request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRequest {
    /// Names to score, lower case, without trailing dot.
    pub names: Vec<String>,
    /// The model to use; the scorer's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Say with each score which characters made it; for as many names as a person looks at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attribution: bool,
}

/// `POST /v1/score` reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreReply {
    /// The model that scored, `name@hash`.
    pub model: String,
    /// Where it ran: `cpu`, `tract`, `cuda:0`.
    pub device: String,
    /// One for each name, in order.
    pub results: Vec<ScoreResult>,
}

/// One name's score, or why there is none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoreResult {
    /// The name as asked.
    pub name: String,
    /// Calibrated probability of malicious under the model's training balance, [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The same for the declared prior of unlisted names: what thresholds are compared with, [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// `malicious`, `benign` or `uncertain` by the model's own thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Which characters made the score; only if asked for, and of a model that tells.
    #[cfg(feature = "attribution")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Box<Attribution>>,
    /// Why this name has no score; the others are scored all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The plugin's JSON configuration: how it reaches its peers. What it decides comes with the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// Names this runtime in events' source ids: host name, pod, listener.
    pub node: String,
    /// What the door is called in events when the runtime does not say (Envoy: `envoy`).
    pub door: String,
    /// Path that DoH requests come to.
    pub path: String,
    /// Cluster of the control plane; empty: no snapshot fetch, no events.
    pub control_cluster: String,
    /// Authority of the control plane, as sent in the `:authority` field.
    pub control_authority: String,
    /// Bearer token for the control plane's feed and event sink.
    pub token: String,
    /// Cluster of the scorer; empty: no callout, the small model decides alone.
    pub scorer_cluster: String,
    /// Authority of the scorer.
    pub scorer_authority: String,
    /// The scorer is given up after this many milliseconds.
    pub scorer_timeout_ms: u32,
    /// Callouts to the scorer in flight at once.
    pub scorer_in_flight: u32,
    /// Milliseconds between two looks for a new snapshot and two batches of events.
    pub tick_ms: u32,
    /// A snapshot in standard base64, for runtimes without a control plane.
    pub snapshot: String,
    /// Ed25519 public keys (hex, 64 digits) of which one must have signed a snapshot; empty: unsigned ones too.
    pub snapshot_keys: Vec<String>,
    /// How many trusted proxies in front append to X-Forwarded-For; 0: the peer's address is the client.
    pub trusted_hops: u8,
    /// Events kept while the control plane is away.
    pub spool_events: u32,
    /// Emit an event for each question.
    pub events: bool,
    /// What becomes of questions while there is no snapshot: `allow` or `deny`. Once there is one, its groups say.
    pub failure_mode: FailureMode,
    /// Hold headers until the body is decided. Needs `allow_on_headers_stop_iteration` in Envoy; where that can't
    /// be set (Istio's WasmPlugin) say `false`: headers pass at once and the body is held.
    pub hold_headers: bool,
}

impl Default for PluginConfig {
    fn default() -> Self {
        Self {
            node: "plugin".into(),
            door: "doh".into(),
            path: "/dns-query".into(),
            control_cluster: String::new(),
            control_authority: "control".into(),
            token: String::new(),
            scorer_cluster: String::new(),
            scorer_authority: "scorer".into(),
            scorer_timeout_ms: 50,
            scorer_in_flight: 256,
            tick_ms: 250,
            snapshot: String::new(),
            snapshot_keys: Vec::new(),
            trusted_hops: 0,
            spool_events: 65_536,
            events: true,
            failure_mode: FailureMode::Allow,
            hold_headers: true,
        }
    }
}
