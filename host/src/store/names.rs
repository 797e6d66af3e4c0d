//! Names over time, whichever store answers: the story of one, and those that were asked for most.
//!
//! ```text
//! roll-ups (hours, days) ─► series, ranking, related names, first and last day     as far back as roll-ups go
//! raw events of the name ─► verdicts, clients, minutes, who could not be settled   as far back as raw events go
//! ```
//!
//! [`NameStory`] and [`Ranking`] are the two answers. The surprise: roll-ups don't say who could not be settled, so a
//! series of hours or days takes that from the raw events that are left.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use dnsvet_core::verdict::Reason;
use serde::Serialize;

use super::codes::action_word;
use super::search::{LEVELS, bucket_start_s};
use super::{EventId, Stored};

/// The most buckets of one series: 25 hours of minutes, two months of hours, four years of days.
pub const MOST_BUCKETS: u64 = 1_500;
/// Raw events of one name that are counted, the newest first.
pub(super) const MOST_EVENTS: u64 = 100_000;
/// Clients of a name that are told.
const MOST_CLIENTS: usize = 20;
/// Names under one registrable domain that are told.
pub(super) const MOST_RELATED: usize = 20;
/// Names whose last verdict is read for one ranking.
pub(super) const MOST_RANKED: usize = 5_000;
/// Spans up to this are counted by hours, longer ones by days, seconds.
const BY_HOURS_S: u64 = 3 * 86_400;
/// From this score on a name that no model could settle leans to malicious.
const LEANS: f64 = 0.5;

/// How fine a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From raw events.
    Minute,
    /// From roll-ups, as days are.
    Hour,
    /// See `Hour`.
    Day,
}

impl Step {
    /// The level of the roll-ups with such buckets.
    pub(super) fn level(self) -> usize {
        self as usize
    }

    /// Seconds of one bucket.
    pub fn seconds(self) -> u64 {
        LEVELS.get(self.level()).copied().unwrap_or(60)
    }
}

/// What is asked about one name.
#[derive(Debug, Clone, Copy)]
pub struct NameAsked<'a> {
    /// The name, lower case, no trailing dot.
    pub name: &'a str,
    /// Its registrable domain, if it has one.
    pub registrable: Option<&'a str>,
    /// From here, milliseconds since 1970; cut to whole steps.
    pub since_ms: u64,
    /// Before this; at least `since_ms`, at most [`MOST_BUCKETS`] steps later.
    pub until_ms: u64,
    /// How fine.
    pub step: Step,
}

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NameStory {
    /// Start of the time covered, milliseconds since 1970.
    pub since_ms: u64,
    /// Its end.
    pub until_ms: u64,
    /// Seconds of one bucket of `series`.
    pub bucket_s: u64,
    /// Questions in that time.
    pub queries: u64,
    /// Buckets with questions: start (milliseconds), allowed, not confident, blocked.
    pub series: Vec<(u64, u64, u64, u64)>,
    /// Raw events of that time, which `verdicts` and `clients` are counted from.
    pub counted: u64,
    /// Whether there are more raw events than are counted; the newest are.
    pub more: bool,
    /// Events by action; `not_confident` for those that were allowed because no model could settle them.
    pub verdicts: Vec<(String, u64)>,
    /// Busiest clients: address, events, of them blocked.
    pub clients: Vec<(String, u64, u64)>,
    /// How many clients asked.
    pub clients_count: u64,
    /// When it was first asked for, milliseconds since 1970; to the day where only roll-ups remember.
    pub first_ms: Option<u64>,
    /// When it was last asked for.
    pub last_ms: Option<u64>,
    /// Names under the same registrable domain, most asked first: name, questions, of them blocked.
    pub related: Vec<(String, u64, u64)>,
    /// Whether there are more of those.
    pub related_more: bool,
    /// The last event, if a raw one is left.
    #[serde(skip)]
    pub last: Option<Stored>,
}

/// Where a name stands by its last verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Blocked, blocked if it were not for log mode, or not settled with a score from 0.5 on.
    Malicious,
    /// The rest, without special-use names, which nobody judges.
    Benign,
}

/// What is asked for a ranking.
#[derive(Debug, Clone, Copy)]
pub struct RankingAsked {
    /// Which names.
    pub side: Side,
    /// From here, milliseconds since 1970; cut to whole hours, past three days to whole days.
    pub since_ms: u64,
    /// Before this.
    pub until_ms: u64,
    /// The most names, from 1.
    pub limit: usize,
}

/// Names of one side, most asked first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranking {
    /// Start of the time covered, milliseconds since 1970.
    pub since_ms: u64,
    /// Its end.
    pub until_ms: u64,
    /// The names.
    pub names: Vec<Ranked>,
    /// Whether there are more, or more names than are looked at.
    pub more: bool,
}

/// A name of a ranking.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranked {
    /// The name.
    pub name: String,
    /// Questions in the time.
    pub queries: u64,
    /// Of them blocked.
    pub blocked: u64,
    /// The last action; `None` where no raw event is left.
    pub action: Option<String>,
    /// What it would have been, were it not for log mode.
    pub would: Option<String>,
    /// The deciding reason of the last verdict.
    pub reason: Option<String>,
    /// Whether no model could settle it.
    pub not_confident: bool,
    /// The last score, [0, 1].
    pub score: Option<f64>,
    /// The last event, and when it was, milliseconds since 1970.
    pub last_id: Option<EventId>,
    /// See `last_id`.
    pub last_ms: Option<u64>,
}

impl NameAsked<'_> {
    /// A story of the asked time, in whole steps, with nothing counted.
    pub(super) fn starting(&self) -> NameStory {
        let bucket_s = self.step.seconds();
        let since_s = bucket_start_s(self.since_ms, self.step.level());
        let until_s = self.until_ms.div_ceil(1000 * bucket_s) * bucket_s;
        let until_s = until_s.min(since_s + MOST_BUCKETS * bucket_s);
        NameStory { since_ms: since_s * 1000, until_ms: until_s * 1000, bucket_s, ..NameStory::default() }
    }
}

impl NameStory {
    /// Level, start and end (seconds) of the roll-ups that count related names.
    pub(super) fn related_in(&self) -> (usize, u64, u64) {
        let level = rough_level(self.since_ms, self.until_ms);
        (level, bucket_start_s(self.since_ms, level), self.until_ms / 1000)
    }

    /// Takes related names: name, questions, of them blocked.
    pub(super) fn relate(&mut self, mut names: Vec<(String, u64, u64)>) {
        names.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        self.related_more |= names.len() > MOST_RELATED;
        names.truncate(MOST_RELATED);
        self.related = names;
    }

    /// Takes first and last time: of raw events (milliseconds), and of the days (starts, seconds) that roll-ups remember.
    pub(super) fn span(&mut self, raw: Option<(u64, u64)>, days: Option<(u64, u64)>) {
        let days = days.map(|(first, last)| (first * 1000, last * 1000));
        let day = LEVELS.len() - 1;
        self.first_ms = match (raw, days) {
            // An event within the first day that is remembered says the moment.
            (Some((first, _)), Some((older, _))) if bucket_start_s(first, day) * 1000 > older => Some(older),
            (raw, days) => raw.or(days).map(|(first, _)| first),
        };
        self.last_ms = raw.or(days).map(|(_, last)| last);
    }
}

/// Roll-ups of a name, by start (seconds): allowed, blocked.
pub(super) type Rolled = HashMap<u64, [u64; 2]>;

/// Raw events of a name, counted; `C` is what a store knows a client by.
pub(super) struct Raw<C> {
    /// By start, seconds: allowed, not confident, blocked.
    buckets: HashMap<u64, [u64; 3]>,
    verdicts: HashMap<&'static str, u64>,
    /// Events, of them blocked.
    clients: HashMap<C, (u64, u64)>,
}

impl<C: Hash + Ord> Raw<C> {
    /// Nothing counted.
    pub fn new() -> Self {
        Self { buckets: HashMap::new(), verdicts: HashMap::new(), clients: HashMap::new() }
    }

    /// Counts events of one bucket (start, seconds) and client, with one stored action.
    pub fn add(&mut self, start_s: u64, client: C, (action, not_confident): (i64, bool), events: u64) {
        let unsure = action == 0 && not_confident;
        let slot = if unsure { 1 } else { 2 * usize::from(action != 0) };
        self.buckets.entry(start_s).or_default()[slot] += events;
        *self.verdicts.entry(if unsure { "not_confident" } else { action_word(action) }).or_default() +=
            events;
        let (asked, blocked) = self.clients.entry(client).or_default();
        *asked += events;
        *blocked += if action == 0 { 0 } else { events };
    }

    /// Tells the counts, and those of roll-ups in the place of the buckets. Returns the clients to tell, busiest first.
    pub fn tell(self, story: &mut NameStory, rolled: Option<Rolled>) -> Vec<(C, u64, u64)> {
        let raw = self.buckets;
        let buckets = match rolled {
            None => raw,
            // Roll-ups outlive the events that say who could not be settled.
            Some(rolled) => rolled
                .into_iter()
                .map(|(start, [allowed, blocked])| {
                    let unsure = raw.get(&start).map_or(0, |bucket| bucket[1]).min(allowed);
                    (start, [allowed - unsure, unsure, blocked])
                })
                .collect(),
        };
        story.series = buckets.into_iter().map(|(start, [a, u, b])| (start * 1000, a, u, b)).collect();
        story.series.sort_unstable();
        story.queries = story.series.iter().map(|(_, a, u, b)| a + u + b).sum();
        story.counted = self.verdicts.values().sum();
        story.verdicts = self.verdicts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
        story.verdicts.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        story.clients_count = self.clients.len() as u64;
        let mut clients: Vec<_> =
            self.clients.into_iter().map(|(client, (asked, blocked))| (client, asked, blocked)).collect();
        clients.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        clients.truncate(MOST_CLIENTS);
        clients
    }
}

/// The level of the roll-ups that counts names in a time: hours, or days where it is long.
fn rough_level(since_ms: u64, until_ms: u64) -> usize {
    if until_ms.saturating_sub(since_ms) / 1000 <= BY_HOURS_S { 1 } else { 2 }
}

impl RankingAsked {
    /// A ranking of the asked time, in whole buckets, without names, and the level of the roll-ups that counts it.
    pub(super) fn starting(&self) -> (Ranking, usize) {
        let level = rough_level(self.since_ms, self.until_ms);
        let bucket_ms = LEVELS[level] * 1000;
        let since_ms = bucket_start_s(self.since_ms, level) * 1000;
        let until_ms = self.until_ms.div_ceil(bucket_ms) * bucket_ms;
        (Ranking { since_ms, until_ms, ..Ranking::default() }, level)
    }

    /// The order, as SQL over `queries` and `blocked`, in which names are looked at.
    pub(super) fn order(&self) -> &'static str {
        match self.side {
            Side::Malicious => "blocked DESC, queries DESC",
            Side::Benign => "queries DESC",
        }
    }
}

impl Ranking {
    /// Takes the names of the asked side out of `rows`, which come in [`RankingAsked::order`], at most [`MOST_RANKED`]
    /// and one more. `last` gives a name's last event by what the store knows it by.
    pub(super) fn rank<K, E>(
        mut self,
        asked: &RankingAsked,
        rows: impl Iterator<Item = Result<(K, Ranked), E>>,
        mut last: impl FnMut(K) -> Result<Option<Stored>, E>,
    ) -> Result<Self, E> {
        for (looked_at, row) in rows.enumerate() {
            let enough = asked.side == Side::Benign && self.names.len() > asked.limit;
            if looked_at == MOST_RANKED || enough {
                self.more = true;
                break;
            }
            let (key, ranked) = row?;
            let stands = stands(ranked, last(key)?).filter(|(side, _)| *side == asked.side);
            self.names.extend(stands.map(|(_, ranked)| ranked));
        }
        self.names.sort_by(|a, b| (b.queries, &a.name).cmp(&(a.queries, &b.name)));
        self.more |= self.names.len() > asked.limit;
        self.names.truncate(asked.limit);
        Ok(self)
    }
}

/// Where a name stands by its last event; by its count, if none is left. `None` for a special-use name.
fn stands(ranked: Ranked, last: Option<Stored>) -> Option<(Side, Ranked)> {
    let Some(Stored { id, event, .. }) = last else {
        let side = if ranked.blocked > 0 { Side::Malicious } else { Side::Benign };
        return Some((side, ranked));
    };
    let (verdict, reason) = (&event.verdict, event.reason());
    if reason == Some(Reason::Special) {
        return None;
    }
    let unsure = event.not_confident && !event.action().stops();
    let leans = verdict.score.is_some_and(|score| score >= LEANS);
    let bad = event.action().stops() || verdict.would.is_some() || unsure && leans;
    let ranked = Ranked {
        action: Some(event.action().as_str().to_owned()),
        would: verdict.would.map(|would| would.as_str().to_owned()),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        not_confident: unsure,
        score: verdict.score,
        last_id: Some(id),
        last_ms: Some(event.time_ms),
        ..ranked
    };
    Some((if bad { Side::Malicious } else { Side::Benign }, ranked))
}
