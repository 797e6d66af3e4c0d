//! What is searched for and counted, whichever store answers.

use dnsvet_core::verdict::{Action, Reason};
use ipnet::IpNet;

use super::codes::{action_word, reason_code, reason_word};
use super::{EventId, Overview};

/// Seconds of each level's bucket of the roll-ups: minute, hour, day. The stored level is the index.
pub const LEVELS: [u64; 3] = [60, 3_600, 86_400];

/// What to look for; an empty field does not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// Part of a name, literally; upper and lower case alike.
    pub name: Option<String>,
    /// Whether `name` is a whole name.
    pub exact: bool,
    /// An address, a network such as `10.0.0.0/8`, or the start of an address.
    pub client: Option<String>,
    /// What was answered.
    pub action: Option<ActionFilter>,
    /// The deciding reason.
    pub reason: Option<Reason>,
    /// The list or rule that decided, its whole name.
    pub rule: Option<String>,
    /// Not before this time, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Before this time, milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// Events on a page, 1 to 1,000.
    pub limit: usize,
    /// Older than this event: the last page's `next`.
    pub cursor: Option<EventId>,
}

/// An action, or a family of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionFilter {
    /// This one.
    Is(Action),
    /// Any that stopped the question.
    Blocked,
    /// Allowed, but no model could settle it.
    NotConfident,
}

/// What [`Search::name`] asks of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePart {
    /// Nothing.
    Any,
    /// That it holds this: letters, digits, hyphens, underscores, dots and backslashes.
    Holds(String),
    /// That it is this, of the same characters.
    Is(String),
    /// What no name can hold.
    Never,
}

impl Search {
    /// What is asked of the name. Names are written with `\DDD` for every byte but letters, digits, hyphen and
    /// underscore, so that no other character ever stands in one.
    pub fn name_part(&self) -> NamePart {
        let Some(text) = self.name.as_deref().filter(|text| !text.is_empty()) else { return NamePart::Any };
        let lower = text.trim().trim_end_matches('.').to_lowercase();
        let lower = if lower.is_ascii() { Ok(lower) } else { idna::domain_to_ascii(&lower) };
        let possible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'\\');
        match lower {
            Ok(lower) if !lower.is_empty() && lower.bytes().all(possible) => match self.exact {
                true => NamePart::Is(lower),
                false => NamePart::Holds(lower),
            },
            _ => NamePart::Never,
        }
    }

    /// The clients meant, if not all.
    pub fn clients(&self) -> Option<ClientPart<'_>> {
        let text = self.client.as_deref().filter(|text| !text.is_empty())?;
        Some(text.parse().map_or(ClientPart::Starts(text), ClientPart::Within))
    }

    /// The rule meant, if not any.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref().filter(|rule| !rule.is_empty())
    }

    /// Events on a page, in bounds.
    pub fn page_size(&self) -> usize {
        self.limit.clamp(1, 1_000)
    }
}

/// What [`Search::client`] asks of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientPart<'a> {
    /// That it lies in this network.
    Within(IpNet),
    /// That its address, as it is written, starts so.
    Starts(&'a str),
}

/// The level of the roll-ups that still draws a line of the time from `since_ms` to `now_ms`.
pub fn level(since_ms: u64, now_ms: u64) -> usize {
    match now_ms.saturating_sub(since_ms) / 1000 {
        0..=10_800 => 0,
        10_801..=1_209_600 => 1,
        _ => 2,
    }
}

/// The start of the bucket that a time lies in, seconds since 1970.
pub fn bucket_start_s(time_ms: u64, level: usize) -> u64 {
    time_ms / 1000 / LEVELS[level] * LEVELS[level]
}

impl Overview {
    /// Nothing counted yet, at the level for the time from `since_ms` to `now_ms`.
    pub fn starting(since_ms: u64, now_ms: u64) -> Self {
        let level = level(since_ms, now_ms);
        let since_ms = bucket_start_s(since_ms, level) * 1000;
        Self { since_ms, bucket_s: LEVELS[level], ..Self::default() }
    }

    /// Adds a bucket's queries with one stored action and reason; buckets come in the order of their times.
    pub fn count(&mut self, start_s: u64, action: i64, reason: i64, queries: u64) {
        self.queries += queries;
        add(&mut self.actions, action_word(action), queries);
        let start_ms = start_s * 1000;
        if self.series.last().is_none_or(|bucket| bucket.0 != start_ms) {
            self.series.push((start_ms, 0, 0, 0));
        }
        if action != 0 {
            self.blocked += queries;
            add(&mut self.reasons, reason_word(reason), queries);
        }
        if let Some(bucket) = self.series.last_mut() {
            let slot = match (action, reason) {
                (0, reason) if reason == reason_code(Some(Reason::NotConfident)) => &mut bucket.2,
                (0, _) => &mut bucket.1,
                _ => &mut bucket.3,
            };
            *slot += queries;
        }
    }

    /// Puts what was counted in order.
    pub fn sort(&mut self) {
        self.actions.sort_by_key(|(_, queries)| std::cmp::Reverse(*queries));
        self.reasons.sort_by_key(|(_, queries)| std::cmp::Reverse(*queries));
    }
}

fn add(counts: &mut Vec<(String, u64)>, word: &str, queries: u64) {
    match counts.iter_mut().find(|(known, _)| known == word) {
        Some((_, count)) => *count += queries,
        None => counts.push((word.to_owned(), queries)),
    }
}
