//! How often lists and rules decided, whichever store counts: [`RuleHits`], from roll-ups by [`Effect`].

use std::collections::BTreeMap;

use dnsvet_core::verdict::Verdict;
use serde::Serialize;

use super::search::{bucket_start_s, level};

/// What a rule led to, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// The question went on.
    Allowed,
    /// It was stopped.
    Blocked,
    /// It would have been, were it not for log mode.
    Would,
}

impl Effect {
    /// That of a verdict.
    pub fn of(verdict: &Verdict) -> Self {
        match (verdict.action.stops(), verdict.would) {
            (true, _) => Self::Blocked,
            (false, Some(_)) => Self::Would,
            (false, None) => Self::Allowed,
        }
    }
}

/// How often a list or rule decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleHits {
    /// Its name.
    pub rule: String,
    /// Questions that it stopped.
    pub blocked: u64,
    /// Questions that it would have stopped, were it not for log mode.
    pub would: u64,
    /// Questions that it let through.
    pub allowed: u64,
}

/// The level of the roll-ups that counts rules from `since_ms` to `now_ms` (milliseconds since 1970), and where its first
/// bucket starts, seconds: hours, past two weeks days.
pub(super) fn since(since_ms: u64, now_ms: u64) -> (usize, u64) {
    // Rules have no minutes.
    let level = level(since_ms, now_ms).max(1);
    (level, bucket_start_s(since_ms, level))
}

/// What rows of rule, stored effect and questions say of each rule; most blocked first, then by name.
pub(super) fn hits(rows: Vec<(String, u8, u64)>) -> Vec<RuleHits> {
    let mut rules = BTreeMap::<String, RuleHits>::new();
    for (rule, effect, queries) in rows {
        let hits = rules.entry(rule).or_default();
        let slot = match effect {
            0 => &mut hits.allowed,
            1 => &mut hits.blocked,
            _ => &mut hits.would,
        };
        *slot += queries;
    }
    let mut hits: Vec<RuleHits> = rules.into_iter().map(|(rule, hits)| RuleHits { rule, ..hits }).collect();
    hits.sort_by_key(|hits| std::cmp::Reverse(hits.blocked));
    hits
}
