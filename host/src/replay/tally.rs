//! What a replay counts: events, names and clients, by what becomes of them.

use std::collections::{HashMap, HashSet};

use dnsvet_core::verdict::Reason;
use hashlink::DefaultHashBuilder;
use serde::Serialize;

use super::decide::Answer;

type Set<T> = HashSet<T, DefaultHashBuilder>;
type Map<K, V> = HashMap<K, V, DefaultHashBuilder>;

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It passed and would be stopped.
    Blocked,
    /// It was stopped and would pass.
    Allowed,
    /// It was stopped and would be stopped otherwise.
    Otherwise,
    /// It passes, and something in log mode would newly stop it.
    WouldBlock,
    /// It passes, and nothing in log mode would stop it any longer.
    WouldAllow,
}

impl Class {
    /// All classes, in the order in which they are shown.
    pub const ALL: [Class; 5] =
        [Class::Blocked, Class::Allowed, Class::Otherwise, Class::WouldBlock, Class::WouldAllow];

    /// What becomes of a question that is answered so now and so then; `own`: it is answered with other records.
    pub fn of(now: &Answer, then: &Answer, own: bool) -> Option<Self> {
        match (now.action.stops(), then.action.stops()) {
            (false, true) => Some(Self::Blocked),
            (true, false) => Some(Self::Allowed),
            (true, true) => (now.action != then.action || own).then_some(Self::Otherwise),
            (false, false) => match (now.would, then.would) {
                (None, Some(_)) => Some(Self::WouldBlock),
                (Some(_), None) => Some(Self::WouldAllow),
                _ => None,
            },
        }
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events looked at.
    pub events: u64,
    /// Names looked at.
    pub names: Set<i64>,
    /// What could not be replayed.
    pub kept: Kept,
    answers: Vec<Answer>,
    numbers: HashMap<Answer, u32>,
    entries: Map<(Class, i64, u32, u32), Entry>,
    /// Which clients an entry has.
    asked: Set<(u32, i64)>,
    changed: Set<(Class, i64)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    number: u32,
    events: u64,
    clients: u64,
}

/// Events whose stored answer stands, because what made it is not in the store.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Passed on to an upstream: lists hold for what it answered too, and answers are not stored.
    pub answers: u64,
    /// Stopped by what the upstream answered.
    pub response: u64,
    /// Stopped as a tunnel: that takes what the client asked before.
    pub tunnel: u64,
    /// Decided by the budget of callouts.
    pub budget: u64,
    /// Decided by the failure mode.
    pub failure: u64,
    /// Left to a scorer, if there is one, that was not asked then: taken as allowed.
    pub scorer: u64,
    /// Their stored name can't be read.
    pub unreadable: u64,
}

impl Kept {
    /// Counts an event that stays as it was.
    pub fn count(&mut self, reason: Option<Reason>, passed: bool, lists: bool) {
        match reason {
            Some(Reason::Response) => self.response += 1,
            Some(Reason::Tunnel) => self.tunnel += 1,
            Some(Reason::Budget) => self.budget += 1,
            Some(Reason::Failure) => self.failure += 1,
            _ => self.answers += u64::from(passed && lists),
        }
    }
}

/// A name that would be answered otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its number in the store.
    pub name: i64,
    /// How often it was asked.
    pub events: u64,
    /// By how many clients.
    pub clients: u64,
    /// What is answered now.
    pub now: Answer,
    /// What would be.
    pub then: Answer,
}

/// A class's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events.
    pub events: u64,
    /// Distinct names.
    pub names: u64,
    /// Distinct clients.
    pub clients: u64,
    /// The names that were asked most.
    pub top: Vec<Changed>,
}

impl Tally {
    /// Counts an event that would be answered otherwise.
    pub fn change(&mut self, class: Class, name: i64, client: i64, now: &Answer, then: &Answer) {
        let key = (class, name, self.number(now), self.number(then));
        let fresh = self.entries.len() as u32;
        let entry = self.entries.entry(key).or_insert(Entry { number: fresh, ..Entry::default() });
        entry.events += 1;
        if self.asked.insert((entry.number, client)) {
            entry.clients += 1;
            self.changed.insert((class, client));
        }
    }

    fn number(&mut self, answer: &Answer) -> u32 {
        if let Some(number) = self.numbers.get(answer) {
            return *number;
        }
        let number = self.answers.len() as u32;
        self.answers.push(answer.clone());
        self.numbers.insert(answer.clone(), number);
        number
    }

    /// The figures of a class, with `top` names at most.
    pub fn figures(&self, class: Class, top: usize) -> Figures {
        let mut ours: Vec<_> = self.entries.iter().filter(|(key, _)| key.0 == class).collect();
        let names: Set<i64> = ours.iter().map(|(key, _)| key.1).collect();
        let events = ours.iter().map(|(_, entry)| entry.events).sum();
        ours.sort_unstable_by_key(|(key, entry)| (std::cmp::Reverse(entry.events), **key));
        let answer = |number: u32| self.answers.get(number as usize).cloned();
        let changed = ours.into_iter().take(top).filter_map(|(key, entry)| {
            let (now, then) = (answer(key.2)?, answer(key.3)?);
            Some(Changed { name: key.1, events: entry.events, clients: entry.clients, now, then })
        });
        let top = changed.collect();
        let clients = self.changed.iter().filter(|(of, _)| *of == class).count() as u64;
        Figures { events, names: names.len() as u64, clients, top }
    }
}
