//! Drift: whether the names that the model scores still look like those that it met first.
//!
//! ```text
//! scored name ─► Tally (log-odds, TLD, uncertain?) ─► window full ─┬─► the first one: baseline
//!                                                                  └─► compared with the baseline ─► Drift ─► alarms
//! ```
//!
//! A [`Watch`] belongs to one model; another one in force begins a fresh baseline. Each name counts once a window.
//! Scores and TLDs are compared by the population stability index, the sum over bins of `(p - q) ln(p / q)`: 0 for equal
//! shares, and by custom 0.1 is a small shift and 0.25 a large one. The surprise: memory is bounded whatever comes. Bins
//! are fixed, TLDs past [`MOST_TLDS`] count as one, and of names only hashes are kept, [`MOST_SEEN`] at most.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher as _;

use serde::{Deserialize, Serialize};

use crate::config::Models;

/// Bins of the log-odds: one for each unit from -12 to 12, and one for what lies beyond on each side.
pub const BINS: usize = 26;
/// Different TLDs of a tally; names under further ones count together.
pub const MOST_TLDS: usize = 256;
/// TLDs that are compared by themselves: the most frequent of the baseline.
const COMPARED_TLDS: usize = 20;
/// Names of a window that are remembered; past them all are forgotten, and some count twice.
const MOST_SEEN: usize = 65_536;

/// A name as far as drift looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The name.
    pub name: &'a str,
    /// The model's calibrated log-odds of malicious, at the balance that it was calibrated on.
    pub log_odds: f64,
    /// Its verdict was put before a person.
    pub uncertain: bool,
}

/// What names looked like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Distinct names.
    pub names: u64,
    /// Names by log-odds, [`BINS`] counts.
    pub bins: Vec<u64>,
    /// Names by TLD; under `""` those of all further TLDs.
    pub tlds: BTreeMap<String, u64>,
    /// Names whose verdict was uncertain.
    pub uncertain: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { names: 0, bins: vec![0; BINS], tlds: BTreeMap::new(), uncertain: 0 }
    }
}

impl Tally {
    fn add(&mut self, scored: &Scored<'_>) {
        self.names += 1;
        let bin = (scored.log_odds.floor() + (BINS / 2) as f64).clamp(0.0, (BINS - 1) as f64) as usize;
        if let Some(count) = self.bins.get_mut(bin) {
            *count += 1;
        }
        let tld = scored.name.rsplit('.').next().unwrap_or_default();
        let known = self.tlds.len() < MOST_TLDS || self.tlds.contains_key(tld);
        *self.tlds.entry(if known { tld.to_owned() } else { String::new() }).or_default() += 1;
        self.uncertain += u64::from(scored.uncertain);
    }

    fn uncertain_share(&self) -> f64 {
        self.uncertain as f64 / self.names.max(1) as f64
    }
}

/// What can drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The distribution of scores.
    Score,
    /// The mix of top-level domains.
    Tld,
    /// The share of uncertain verdicts.
    Uncertain,
}

impl Signal {
    /// All of them.
    pub const ALL: [Signal; 3] = [Signal::Score, Signal::Tld, Signal::Uncertain];

    /// The word in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Score => "score",
            Signal::Tld => "tld",
            Signal::Uncertain => "uncertain",
        }
    }
}

/// A window beside the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// When the window was full, milliseconds since 1970.
    pub time_ms: u64,
    /// Distinct names in it.
    pub names: u64,
    /// Population stability index of the scores, from 0.
    pub score: f64,
    /// The same of the TLDs.
    pub tld: f64,
    /// Share of uncertain verdicts less that of the baseline, in [-1, 1].
    pub uncertain: f64,
    /// What is past its threshold.
    pub alarms: Vec<Signal>,
}

impl Drift {
    /// What it says of a signal.
    pub fn of(&self, signal: Signal) -> f64 {
        match signal {
            Signal::Score => self.score,
            Signal::Tld => self.tld,
            Signal::Uncertain => self.uncertain,
        }
    }

    fn between(baseline: &Tally, window: &Tally, limits: &Models, time_ms: u64) -> Self {
        let bins = baseline.bins.iter().copied().zip(window.bins.iter().copied()).collect::<Vec<_>>();
        let mut drift = Self {
            time_ms,
            names: window.names,
            score: psi(&bins),
            tld: psi(&tlds(baseline, window)),
            uncertain: window.uncertain_share() - baseline.uncertain_share(),
            alarms: Vec::new(),
        };
        let most = |signal| match signal {
            Signal::Score => limits.drift_score,
            Signal::Tld => limits.drift_tld,
            Signal::Uncertain => limits.drift_uncertain,
        };
        drift.alarms =
            Signal::ALL.into_iter().filter(|signal| drift.of(*signal).abs() > most(*signal)).collect();
        drift
    }
}

/// Counts of the baseline's most frequent TLDs on both sides, and of all others together.
fn tlds(baseline: &Tally, window: &Tally) -> Vec<(u64, u64)> {
    let mut ranked: Vec<(&String, u64)> = baseline.tlds.iter().map(|(tld, count)| (tld, *count)).collect();
    ranked.sort_by_key(|(tld, count)| (std::cmp::Reverse(*count), *tld));
    let compared = ranked.into_iter().filter(|(tld, _)| !tld.is_empty()).take(COMPARED_TLDS);
    let mut pairs: Vec<(u64, u64)> =
        compared.map(|(tld, count)| (count, window.tlds.get(tld).copied().unwrap_or(0))).collect();
    let sum = |side: fn(&(u64, u64)) -> u64| pairs.iter().map(side).sum::<u64>();
    let others = (baseline.names - sum(|pair| pair.0), window.names - sum(|pair| pair.1));
    pairs.push(others);
    pairs
}

/// The population stability index of counts in two populations, half a count added to each so that an empty bin is no
/// infinity.
fn psi(pairs: &[(u64, u64)]) -> f64 {
    let half = pairs.len() as f64 / 2.0;
    let all = |side: fn(&(u64, u64)) -> u64| pairs.iter().map(side).sum::<u64>() as f64 + half;
    let (before, now) = (all(|pair| pair.0), all(|pair| pair.1));
    let part = |(p, q): &(u64, u64)| {
        let (p, q) = ((*p as f64 + 0.5) / before, (*q as f64 + 0.5) / now);
        (p - q) * (p / q).ln()
    };
    pairs.iter().map(part).sum()
}

/// What is kept of a watch over a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// The model that it watches, `name@hash`.
    pub model: String,
    /// What its names looked like at first; none until a window is full.
    pub baseline: Option<Tally>,
    /// The last full window after that.
    pub last: Option<Drift>,
}

/// Looks for drift of one model's names.
pub struct Watch {
    kept: Kept,
    window: Tally,
    began_ms: u64,
    seen: HashSet<u64>,
    state: RandomState,
}

impl Watch {
    /// Goes on with what is kept, if that is of this model.
    pub fn new(model: &str, kept: Option<Kept>) -> Self {
        let kept = kept.filter(|kept| kept.model == model);
        Self {
            kept: kept.unwrap_or_else(|| Kept { model: model.to_owned(), ..Kept::default() }),
            window: Tally::default(),
            began_ms: 0,
            seen: HashSet::new(),
            state: RandomState::new(),
        }
    }

    /// What is worth keeping.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Distinct names in the window that fills.
    pub fn filled(&self) -> u64 {
        self.window.names
    }

    /// Takes a name in; whether that closed a window, which has `watch_names` names and lasts `watch_minutes`.
    pub fn see(&mut self, scored: &Scored<'_>, limits: &Models, now_ms: u64) -> bool {
        if self.seen.len() >= MOST_SEEN {
            self.seen.clear();
        }
        if !self.seen.insert(self.state.hash_one(scored.name)) {
            return false;
        }
        if self.window.names == 0 {
            self.began_ms = now_ms;
        }
        self.window.add(scored);
        let lasted_ms = now_ms.saturating_sub(self.began_ms);
        if self.window.names < limits.watch_names as u64 || lasted_ms < limits.watch_minutes as u64 * 60_000 {
            return false;
        }
        self.seen.clear();
        let window = std::mem::take(&mut self.window);
        match &self.kept.baseline {
            None => self.kept.baseline = Some(window),
            Some(baseline) => self.kept.last = Some(Drift::between(baseline, &window, limits, now_ms)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Models {
        Models { watch_names: 2_000, watch_minutes: 0, ..Models::default() }
    }

    /// Names that do not repeat, from a small generator of our own.
    struct Stream {
        state: u64,
        count: u64,
    }

    impl Stream {
        fn unit(&mut self) -> f64 {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.state >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Feeds names until a window closes: log-odds around `centre`, a share of `tlds[0]`, a share uncertain.
        fn window(&mut self, watch: &mut Watch, centre: f64, tlds: (&str, f64), uncertain: f64) {
            let limits = limits();
            loop {
                self.count += 1;
                let log_odds = centre + (0..6).map(|_| self.unit() - 0.5).sum::<f64>() * 3.0;
                let tld = if self.unit() < tlds.1 {
                    tlds.0
                } else {
                    ["org", "net", "de", "fr"][(self.unit() * 4.0) as usize]
                };
                let name = format!("n{}.{tld}", self.count);
                let scored = Scored { name: &name, log_odds, uncertain: self.unit() < uncertain };
                if watch.see(&scored, &limits, self.count) {
                    return;
                }
            }
        }
    }

    fn alarms(centre: f64, tlds: (&str, f64), uncertain: f64) -> Vec<Signal> {
        let (mut watch, mut stream) = (Watch::new("m@1", None), Stream { state: 7, count: 0 });
        stream.window(&mut watch, -4.0, ("com", 0.5), 0.05);
        assert!(watch.kept().baseline.is_some() && watch.kept().last.is_none());
        let mut raised = Vec::new();
        for _ in 0..20 {
            stream.window(&mut watch, centre, tlds, uncertain);
            raised.extend(watch.kept().last.clone().unwrap().alarms);
        }
        raised.sort_by_key(|signal| signal.as_str());
        raised.dedup();
        raised
    }

    #[test]
    fn twenty_windows_of_the_same_stream_raise_no_alarm() {
        assert_eq!(alarms(-4.0, ("com", 0.5), 0.05), []);
    }

    #[test]
    fn each_shift_raises_its_own_alarm() {
        assert_eq!(alarms(-2.0, ("com", 0.5), 0.05), [Signal::Score]);
        assert_eq!(alarms(-4.0, ("xyz", 0.5), 0.05), [Signal::Tld], "a new TLD");
        assert_eq!(alarms(-4.0, ("com", 0.95), 0.05), [Signal::Tld], "an old one");
        assert_eq!(alarms(-4.0, ("com", 0.5), 0.20), [Signal::Uncertain]);
        assert_eq!(alarms(1.0, ("xyz", 0.9), 0.5), [Signal::Score, Signal::Tld, Signal::Uncertain]);
    }

    #[test]
    fn a_name_counts_once_a_window_and_a_window_lasts_its_time() {
        let limits = Models { watch_names: 2, watch_minutes: 1, ..Models::default() };
        let mut watch = Watch::new("m@1", None);
        let mut see = |name: &str, now_ms| {
            watch.see(&Scored { name, log_odds: 0.0, uncertain: false }, &limits, now_ms)
        };
        assert!(!see("a.example", 5) && !see("a.example", 60_006) && !see("b.example", 60_004));
        assert!(!see("b.example", 60_005), "known, though its time is over");
        assert!(see("c.example", 60_005));
        assert_eq!(watch.kept().baseline.as_ref().unwrap().names, 3);
        assert!(!watch.see(&Scored { name: "a.example", log_odds: 0.0, uncertain: false }, &limits, 60_006));
        assert_eq!(watch.filled(), 1, "known in the window before only");
    }

    #[test]
    fn a_watch_goes_on_over_a_restart_and_begins_anew_with_another_model() {
        let (mut watch, mut stream) = (Watch::new("m@1", None), Stream { state: 3, count: 0 });
        stream.window(&mut watch, -4.0, ("com", 0.5), 0.05);
        let kept: Kept = serde_json::from_str(&serde_json::to_string(watch.kept()).unwrap()).unwrap();
        assert_eq!(Watch::new("m@1", Some(kept.clone())).kept(), watch.kept());
        assert_eq!(Watch::new("m@2", Some(kept)).kept(), &Kept { model: "m@2".into(), ..Kept::default() });
    }

    #[test]
    fn memory_is_bounded_however_many_tlds_and_names_come_and_any_score_has_a_bin() {
        let mut watch = Watch::new("m@1", None);
        let limits = Models { watch_names: usize::MAX, ..limits() };
        for number in 0..100_000 {
            let name = format!("x.tld{number}");
            let log_odds = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.5][number % 4];
            watch.see(&Scored { name: &name, log_odds, uncertain: false }, &limits, 0);
        }
        assert_eq!(
            (watch.window.tlds.len(), watch.window.tlds[""]),
            (MOST_TLDS + 1, 100_000 - MOST_TLDS as u64)
        );
        assert!(watch.seen.len() <= MOST_SEEN);
        assert_eq!(watch.window.bins.iter().sum::<u64>(), 100_000);
        assert_eq!(watch.window.bins[BINS / 2], 25_000);
    }
}
