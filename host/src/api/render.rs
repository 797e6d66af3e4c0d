//! A stored event as people and programs read it.

use dnsvet_core::message::QueryType;
use dnsvet_core::verdict::{Action, Reason, Verdict};
use serde_json::{Value, json};

use crate::store::Stored;

/// An event as JSON: `verdict`, `score` and `trace` are shaped as `dnsvet check --json` prints them.
pub fn item(stored: &Stored) -> Value {
    let event = &stored.event;
    let verdict = &event.verdict;
    json!({
        "id": stored.id,
        "source": stored.source,
        "seq": event.seq,
        "time_ms": event.time_ms,
        "client": event.client,
        "name": event.name,
        "qtype": event.qtype,
        "type": qtype(event.qtype),
        "door": event.door,
        "took_us": event.took_us,
        "not_confident": event.not_confident,
        "headline": headline(verdict),
        "verdict": {
            "action": verdict.action,
            "would": verdict.would,
            "reasons": verdict.reasons,
            "rule": verdict.rule,
            "model": verdict.model,
            "group": verdict.group,
            "snapshot": verdict.snapshot,
            "ttl_s": verdict.ttl_s,
        },
        "score": verdict.score,
        "trace": verdict.trace,
    })
}

/// The verdict as one sentence: what happened, and why.
pub fn headline(verdict: &Verdict) -> String {
    let did = |action: Action| match action {
        Action::Allow => "Allowed",
        Action::Nxdomain | Action::Nodata | Action::Null | Action::Custom => "Blocked",
        Action::Honeypot => "Sent to the honeypot",
        Action::Refused => "Refused",
        Action::Drop => "Dropped",
    };
    let whys: Vec<String> = verdict.reasons.iter().take(2).map(|reason| why(*reason, verdict)).collect();
    let whys = if whys.is_empty() { "nothing speaks against it".to_owned() } else { whys.join(", and ") };
    match verdict.would {
        Some(would) => {
            format!("Allowed in log mode; enforced it would be {}: {whys}", did(would).to_lowercase())
        }
        None => format!("{}: {whys}", did(verdict.action)),
    }
}

fn why(reason: Reason, verdict: &Verdict) -> String {
    let on =
        |what: &str| verdict.rule.as_ref().map_or(format!("on {what}"), |rule| format!("on {what} {rule}"));
    match reason {
        Reason::Special => "a special-use name".into(),
        Reason::Mandatory => on("the mandatory list"),
        Reason::Vetted => "a person decided so".into(),
        Reason::Unblock => "unblocked for a while".into(),
        Reason::Allowlist => on("the allowlist"),
        Reason::List => on("the blocklist"),
        Reason::Rule => "a rule of the policy".into(),
        Reason::Schedule => "a schedule of the policy".into(),
        Reason::LookAlike => "looks like a brand that it is not".into(),
        Reason::Tunnel => "behaves like a tunnel".into(),
        Reason::Model if verdict.action.stops() || verdict.would.is_some() => "the model is sure".into(),
        Reason::Model => "the model finds it benign".into(),
        Reason::Popular => "too popular for a model to block".into(),
        Reason::NotConfident => "no model is sure, it waits for a person".into(),
        Reason::Budget => "the scorer's budget was spent".into(),
        Reason::Response => "the upstream's answer is not acceptable".into(),
        Reason::Failure => "something was away and the failure mode decided".into(),
    }
}

/// The mnemonic of a QTYPE (IANA registry), or `TYPE123` (RFC 3597).
pub fn qtype(qtype: u16) -> String {
    QueryType(qtype).to_string()
}
