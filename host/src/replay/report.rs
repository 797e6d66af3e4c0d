//! What a replay found, for programs (JSON) and for people (text).

use std::fmt::Write as _;

use serde::Serialize;

use super::decide::Answer;
use super::tally::{Class, Kept};

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The changes, as they were given.
    pub with: Vec<String>,
    /// The changes in words.
    pub said: Vec<String>,
    /// The snapshot that they were made to.
    pub snapshot: String,
    /// The time looked at, milliseconds since 1970; the end is not in it.
    pub since_ms: u64,
    /// See `since_ms`.
    pub until_ms: u64,
    /// Events, names and clients looked at.
    pub looked_at: LookedAt,
    /// Passed, and would be stopped.
    pub blocked: Part,
    /// Were stopped, and would pass.
    pub allowed: Part,
    /// Were stopped, and would be stopped otherwise.
    pub otherwise: Part,
    /// Pass; something in log mode would newly stop them.
    pub would_block: Part,
    /// Pass; nothing in log mode would stop them any longer.
    pub would_allow: Part,
    /// What could not be replayed.
    pub not_replayed: Kept,
    /// What a reader must know to read the figures right.
    pub notes: Vec<String>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// Events, names and clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LookedAt {
    /// Events.
    pub events: u64,
    /// Distinct names.
    pub names: u64,
    /// Distinct clients.
    pub clients: u64,
}

/// What becomes of some of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Part {
    /// Events.
    pub events: u64,
    /// Distinct names.
    pub names: u64,
    /// Distinct clients.
    pub clients: u64,
    /// The names that were asked most.
    pub top: Vec<TopName>,
}

/// A name that would be answered otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopName {
    /// The name.
    pub name: String,
    /// How often it was asked.
    pub events: u64,
    /// By how many clients.
    pub clients: u64,
    /// What is answered now, and why.
    pub now: Answer,
    /// What would be, and why.
    pub then: Answer,
}

impl Report {
    /// The part of a class.
    pub fn part(&self, class: Class) -> &Part {
        match class {
            Class::Blocked => &self.blocked,
            Class::Allowed => &self.allowed,
            Class::Otherwise => &self.otherwise,
            Class::WouldBlock => &self.would_block,
            Class::WouldAllow => &self.would_allow,
        }
    }

    /// The report as a person reads it: the sentence first, then the figures, then the names.
    pub fn describe(&self) -> String {
        let LookedAt { events, names, clients } = self.looked_at;
        let mut text = format!(
            "{} events of {} ({}, {}), replayed in {:.1} s\n",
            grouped(events),
            span(self.until_ms.saturating_sub(self.since_ms)),
            counted(names, "name"),
            counted(clients, "client"),
            self.took_ms as f64 / 1_000.0,
        );
        for said in &self.said {
            let _ = writeln!(text, "  {said}");
        }
        let changes: u64 = Class::ALL.into_iter().map(|class| self.part(class).events).sum();
        text.push('\n');
        if changes == 0 {
            text.push_str("nothing would change\n");
        }
        // The three that answers are made of are always said; log mode only where it has something to say.
        let of_log = |class| matches!(class, Class::WouldBlock | Class::WouldAllow);
        let shown = Class::ALL.into_iter().filter(|class| !of_log(*class) || self.part(*class).events > 0);
        for class in shown.filter(|_| changes > 0) {
            let Part { events, names, clients, .. } = self.part(class);
            let (events, names) = (counted(*events, "event"), counted(*names, "name"));
            let _ = writeln!(text, "{:<28} {events}, {names}, {}", title(class), counted(*clients, "client"));
        }
        for class in Class::ALL {
            let part = self.part(class);
            if !part.top.is_empty() {
                let _ = writeln!(text, "\n{}, most asked first:", title(class));
                let _ =
                    writeln!(text, "  {:>9} {:>7}  {:<40} {:<28} then", "events", "clients", "name", "now");
            }
            for TopName { name, events, clients, now, then } in &part.top {
                let (events, clients) = (grouped(*events), grouped(*clients));
                let (now, then) = (said(now), said(then));
                let _ = writeln!(text, "  {events:>9} {clients:>7}  {name:<40} {now:<28} {then}");
            }
            let more = part.names.saturating_sub(part.top.len() as u64);
            if more > 0 && !part.top.is_empty() {
                let _ = writeln!(text, "  and {} more; --top shows more", counted(more, "name"));
            }
        }
        self.describe_rest(&mut text);
        text
    }

    fn describe_rest(&self, text: &mut String) {
        let kept = &self.not_replayed;
        let kept = [
            (
                kept.answers,
                "were passed on: lists hold for where an answer leads too, and answers are not stored",
            ),
            (kept.response, "were judged by their answer, and stay as they were"),
            (kept.tunnel, "were stopped as tunnels, and stay so"),
            (kept.budget, "were decided by the budget of callouts, and stay as they were"),
            (kept.failure, "were decided by the failure mode, and stay as they were"),
            (kept.scorer, "go to the scorer, if there is one, and it was not asked then: taken as allowed"),
            (kept.unreadable, "have a stored name that can't be read"),
        ];
        let kept: Vec<_> = kept.into_iter().filter(|(events, _)| *events > 0).collect();
        if !kept.is_empty() {
            text.push_str("\nnot replayed:\n");
        }
        for (events, why) in kept {
            let _ = writeln!(text, "  {} {why}", counted(events, "event"));
        }
        if !self.notes.is_empty() {
            text.push_str("\nnote:\n");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
    }
}

fn title(class: Class) -> &'static str {
    match class {
        Class::Blocked => "newly blocked",
        Class::Allowed => "newly allowed",
        Class::Otherwise => "blocked otherwise",
        Class::WouldBlock => "would block, only logged",
        Class::WouldAllow => "no longer would, only logged",
    }
}

/// `nxdomain (list ads)`
fn said(answer: &Answer) -> String {
    let action = answer.would.map_or(answer.action.as_str().to_owned(), |would| {
        format!("{}, would be {}", answer.action.as_str(), would.as_str())
    });
    let reason = answer.reason.map(|reason| reason.as_str()).into_iter();
    let why: Vec<&str> = reason.chain(answer.rule.as_deref()).collect();
    if why.is_empty() { action } else { format!("{action} ({})", why.join(" ")) }
}

/// `12,345`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 name`, `2,000 names`
fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

/// `7 days`, `36 hours`, `90 minutes`
fn span(ms: u64) -> String {
    let minutes = ms.div_ceil(60_000);
    match minutes {
        0..120 => counted(minutes, "minute"),
        120..2_880 => counted(minutes / 60, "hour"),
        _ => counted(minutes / 1_440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
        assert_eq!((counted(1, "name"), counted(2_000, "name")), ("1 name".into(), "2,000 names".into()));
        let spans = [3_600_000, 36 * 3_600_000, 7 * 86_400_000].map(span);
        assert_eq!(spans, ["60 minutes", "36 hours", "7 days"]);
    }
}
