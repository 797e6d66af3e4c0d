//! A verdict: one question's decision with its full trace.
//!
//! The trace holds a line for every step of the cascade that ran, in order. Its canonical JSON (times are
//! never in it, scores are rounded to five digits) is byte-equal in native code, wasmtime and Envoy.

pub mod cache;
pub mod cascade;
pub mod inspect;
pub mod precedence;
pub mod special;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::lists::LocalData;

/// What is answered. In log mode the action is `allow` and [`Verdict::would`] says what it would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Passed on; the upstream's answer is inspected on the way back.
    Allow,
    /// RCODE 3 with SOA.
    Nxdomain,
    /// RCODE 0, no answer records, with SOA.
    Nodata,
    /// `0.0.0.0` or `::`.
    Null,
    /// The honeypot's address.
    Honeypot,
    /// An address or record of the policy's own.
    Custom,
    /// RCODE 5.
    Refused,
    /// No answer at all (over HTTP: stream reset where possible, else REFUSED).
    Drop,
}

impl Action {
    /// Whether the question stops here.
    pub fn stops(self) -> bool {
        self != Action::Allow
    }

    /// The word used in JSON, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Nxdomain => "nxdomain",
            Action::Nodata => "nodata",
            Action::Null => "null",
            Action::Honeypot => "honeypot",
            Action::Custom => "custom",
            Action::Refused => "refused",
            Action::Drop => "drop",
        }
    }
}

/// Why: a closed set, in the order of the cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A special-use name (RFC 6761 and its kin) or one that never leaves.
    Special,
    /// A mandatory (legal) list.
    Mandatory,
    /// A person's decision.
    Vetted,
    /// A temporary unblock.
    Unblock,
    /// An allowlist.
    Allowlist,
    /// A blocklist.
    List,
    /// A rule of the policy.
    Rule,
    /// A schedule of the policy.
    Schedule,
    /// Looks like a brand that it is not.
    LookAlike,
    /// Many unlike names under one registrable domain from one client.
    Tunnel,
    /// The model.
    Model,
    /// Popular enough that the model may not block it.
    Popular,
    /// The model could not settle it; allowed and queued for vetting.
    NotConfident,
    /// A token bucket was empty; the registrable domain's own score decided.
    Budget,
    /// What the upstream answered.
    Response,
    /// Something was away; the failure mode decided.
    Failure,
}

impl Reason {
    /// The word used in JSON, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Special => "special",
            Reason::Mandatory => "mandatory",
            Reason::Vetted => "vetted",
            Reason::Unblock => "unblock",
            Reason::Allowlist => "allowlist",
            Reason::List => "list",
            Reason::Rule => "rule",
            Reason::Schedule => "schedule",
            Reason::LookAlike => "look_alike",
            Reason::Tunnel => "tunnel",
            Reason::Model => "model",
            Reason::Popular => "popular",
            Reason::NotConfident => "not_confident",
            Reason::Budget => "budget",
            Reason::Response => "response",
            Reason::Failure => "failure",
        }
    }
}

/// The steps of the cascade, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Message to question.
    Decode,
    /// Special names.
    Special,
    /// Client to group.
    Group,
    /// Mandatory lists.
    Mandatory,
    /// Vetted by a person.
    Vetted,
    /// Temporary unblocks.
    Unblock,
    /// Allowlists, blocklists and rules.
    Lists,
    /// Look-alike rule.
    LookAlike,
    /// Tunnel and flood sketches.
    Tunnel,
    /// The small model in the filter.
    Model,
    /// Token buckets of the callout.
    Budget,
    /// The callout to the scorer.
    Scorer,
    /// Popularity guards what the model would block.
    Popular,
    /// What is left undecided.
    Confidence,
    /// The upstream's answer.
    Response,
    /// The group's mode has the last word.
    Mode,
}

impl Step {
    /// The word used in the trace.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Decode => "decode",
            Step::Special => "special",
            Step::Group => "group",
            Step::Mandatory => "mandatory",
            Step::Vetted => "vetted",
            Step::Unblock => "unblock",
            Step::Lists => "lists",
            Step::LookAlike => "look_alike",
            Step::Tunnel => "tunnel",
            Step::Model => "model",
            Step::Budget => "budget",
            Step::Scorer => "scorer",
            Step::Popular => "popular",
            Step::Confidence => "confidence",
            Step::Response => "response",
            Step::Mode => "mode",
        }
    }
}

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceLine {
    /// Which step.
    pub step: Step,
    /// What it found, in words a person reads: `listed by kadhosts as example.com (suffix)`.
    pub said: Cow<'static, str>,
    /// Whether this line made the verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decided: bool,
    /// The score that this step saw, [0, 1], rounded to five digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// One question's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is answered.
    pub action: Action,
    /// What would be answered, were the mode `enforce`; only in log mode and only if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<Action>,
    /// Why, most important first; empty if nothing spoke against the name and no model ran.
    pub reasons: Vec<Reason>,
    /// The list or rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Probability of malicious for the declared prior, [0, 1]; `None` if no model ran.
    pub score: Option<f64>,
    /// The model that gave `score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Group of the client.
    pub group: String,
    /// Snapshot in force, 16 hex digits; empty if none.
    pub snapshot: String,
    /// Seconds for which the answer may be cached, where the filter makes it.
    pub ttl_s: u32,
    /// Every step that ran.
    pub trace: Vec<TraceLine>,
    /// What [`Action::Custom`] answers. It goes no further than the filter that decided.
    #[serde(skip)]
    pub own: Own,
}

/// What an answer of the policy's own holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Own {
    /// The loopback addresses.
    #[default]
    Loopback,
    /// These records, and NODATA for every other type.
    Records(Vec<LocalData>),
    /// Nothing but TC=1: ask again over TCP.
    Truncated,
}

impl Verdict {
    /// The deciding reason, if any.
    pub fn reason(&self) -> Option<Reason> {
        self.reasons.first().copied()
    }

    /// The trace as canonical JSON: one object a step, fields in a fixed order.
    pub fn canonical_trace(&self) -> String {
        serde_json::to_string(&self.trace).unwrap_or_default()
    }
}

/// Rounds a score to the five digits of a trace.
pub fn round_score(score: f64) -> f64 {
    (score * 1e5).round() / 1e5
}
