//! Whether a fresh copy may replace the one in force, or is kept back for a person to look at.
//!
//! ```text
//! fresh text ─► HTML? ─► binary? ─► no rule? ─► less than half of before? ─► blocks a popular name anew? ─► in force
//!                 └──────────┴───────────┴──────────────────┴─────────────────────────┴─► kept back, with the reason
//! ```
//!
//! The surprise: a first copy may block popular names, since an advertisement list is meant to. Only a name that
//! a later copy adds is doubted.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher as _;

use dnsvet_core::lists::{self, Conditions, Effect, Format, Rule, Scope, Trigger};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Builder, Role, Snapshot};

use super::shelf::{Copy, Shelf, Slot};
use crate::bundled;
use crate::config::ListConfig;
use crate::lists::{Place, is_text, read};

/// In this many popularity lists a name is popular, as for models.
const POPULAR_IN: u32 = 2;
/// Names that a doubt shows.
const SHOWN: usize = 5;

/// Why a copy is kept back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It is a web page.
    Html,
    /// It is no text.
    Binary,
    /// No line is a rule; carries the number of lines and what they were read as.
    NoRule(u64, Format),
    /// It has less than half of the rules that it had; carries both numbers.
    Shrunk {
        /// Before.
        from: u64,
        /// Now.
        to: u64,
    },
    /// It blocks popular names that it did not block before: how many, and the first of them.
    Popular(usize, Vec<String>),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Html => write!(f, "it is a web page, not a list"),
            Self::Binary => write!(f, "it holds NUL bytes, so it is no list"),
            Self::NoRule(lines, format) => write!(f, "none of its {lines} lines is a {format} rule"),
            Self::Shrunk { from, to } => write!(f, "it shrank from {from} rules to {to}"),
            Self::Popular(count, names) => {
                write!(f, "it would newly block popular names: {}", names.join(", "))?;
                if *count > names.len() { write!(f, " and {} more", count - names.len()) } else { Ok(()) }
            }
        }
    }
}

/// A fresh copy, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Fresh<'a> {
    /// The list.
    pub text: &'a [u8],
    /// Its content type.
    pub content_type: &'a str,
}

/// Counts a fresh copy's rules, and says why it should be kept back. `popular` is asked only if it matters.
pub fn judge(
    list: &ListConfig,
    old: Option<&Copy>,
    fresh: Fresh<'_>,
    popular: impl FnOnce() -> Vec<String>,
) -> (u64, Option<Doubt>) {
    let format = list.source.format.unwrap_or_else(|| Format::detect(fresh.text));
    let counts = lists::parse(fresh.text, format, drop, drop);
    let entries = counts.entries;
    // Some servers call every file a page; one that always did has not turned into one.
    let was_called_html = old.is_some_and(|old| is_html_type(&old.head.content_type));
    if looks_like_html(fresh.text) || is_html_type(fresh.content_type) && !was_called_html {
        return (entries, Some(Doubt::Html));
    }
    if !is_text(fresh.text) {
        return (entries, Some(Doubt::Binary));
    }
    if entries == 0 {
        return (entries, Some(Doubt::NoRule(counts.lines, format)));
    }
    let Some(old) = old else { return (entries, None) };
    if entries.saturating_mul(2) < old.head.entries {
        return (entries, Some(Doubt::Shrunk { from: old.head.entries, to: entries }));
    }
    if !matches!(list.source.role, Role::Block | Role::Mandatory) {
        return (entries, None);
    }
    let old_format = list.source.format.unwrap_or_else(|| Format::detect(&old.text));
    let hits = newly_blocked((&old.text, old_format), (fresh.text, format), popular);
    let doubt =
        (!hits.is_empty()).then(|| Doubt::Popular(hits.len(), hits.into_iter().take(SHOWN).collect()));
    (entries, doubt)
}

fn is_html_type(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "text/html" || kind == "application/xhtml+xml"
}

fn looks_like_html(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let starts =
        |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    ["<!doctype", "<html", "<head", "<body", "<script", "<?xml", "<!--"].into_iter().any(starts)
}

/// The popular names that the fresh text blocks and the old one did not.
fn newly_blocked(
    old: (&[u8], Format),
    fresh: (&[u8], Format),
    popular: impl FnOnce() -> Vec<String>,
) -> Vec<String> {
    let mut before = Blocked::default();
    blocked(old, |trigger| before.add(trigger));
    let mut added = Blocked { state: before.state.clone(), ..Blocked::default() };
    blocked(fresh, |trigger| {
        if !before.has(trigger) {
            added.add(trigger);
        }
    });
    if added.rules.is_empty() {
        return Vec::new();
    }
    let [matched, matched_before] = [&added, &before].map(|blocked| blocked.matcher());
    let hit = |name: &String| {
        (added.covers(name) || matches(&matched, name))
            && !(before.covers(name) || matches(&matched_before, name))
    };
    popular().into_iter().filter(hit).collect()
}

/// Names with their scopes, and patterns, as hashes: lists have millions. A false match keeps back a list once in 2^64.
#[derive(Default)]
struct Blocked {
    state: RandomState,
    rules: HashSet<u64>,
    /// In the order of the list, since a snapshot takes the first ones if there are too many.
    patterns: Vec<String>,
}

impl Blocked {
    fn add(&mut self, trigger: &Trigger) {
        match trigger {
            Trigger::Name(name, scope) => _ = self.rules.insert(self.hash(name.as_str(), *scope)),
            Trigger::Pattern(pattern) => {
                if self.rules.insert(self.hash_of_pattern(pattern)) {
                    self.patterns.push(pattern.clone());
                }
            }
            Trigger::Client(_) | Trigger::Address(_) => {}
        }
    }

    fn has(&self, trigger: &Trigger) -> bool {
        match trigger {
            Trigger::Name(name, scope) => self.rules.contains(&self.hash(name.as_str(), *scope)),
            Trigger::Pattern(pattern) => self.rules.contains(&self.hash_of_pattern(pattern)),
            Trigger::Client(_) | Trigger::Address(_) => true,
        }
    }

    /// A snapshot of the patterns alone, which says what they match.
    fn matcher(&self) -> Option<Snapshot> {
        if self.patterns.is_empty() {
            return None;
        }
        let mut builder = Builder::new(0, [0; 16]);
        let list = builder.list("", Role::Block, "");
        for pattern in &self.patterns {
            let trigger = Trigger::Pattern(pattern.clone());
            let rule = Rule { trigger, effect: Effect::Listed, conditions: Conditions::default() };
            if let Err(why) = builder.add_rule(list, &rule) {
                tracing::debug!(pattern, %why, "not compared with popular names, since it will not be taken");
            }
        }
        Snapshot::open(builder.build(None).ok()?.into(), &[]).ok()
    }

    fn hash_of_pattern(&self, pattern: &str) -> u64 {
        self.state.hash_one(("pattern", pattern))
    }

    fn hash(&self, name: &str, scope: Scope) -> u64 {
        self.state.hash_one((name, scope))
    }

    fn covers(&self, name: &str) -> bool {
        let has = |name: &str, scope: Scope| self.rules.contains(&self.hash(name, scope));
        let parents = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
        has(name, Scope::Exact)
            || has(name, Scope::Suffix)
            || parents.map(|(_, parent)| parent).any(|at| has(at, Scope::Suffix) || has(at, Scope::Below))
    }
}

fn matches(patterns: &Option<Snapshot>, name: &str) -> bool {
    let found = patterns.as_ref().zip(Name::parse(name).ok());
    found.is_some_and(|(patterns, name)| !patterns.lookup(&name).is_empty())
}

/// What blocks in a text.
fn blocked((text, format): (&[u8], Format), mut take: impl FnMut(&Trigger)) {
    lists::parse(
        text,
        format,
        |entry| {
            let Rule { trigger, effect, .. } = &entry.rule;
            let blocks = !entry.revokes && !matches!(effect, Effect::Allow);
            if blocks {
                take(trigger);
            }
        },
        drop,
    );
}

/// The names that are in two or more of the snapshot's popularity lists: the configured ones, or the bundled.
pub fn popular_names(lists: &[ListConfig], shelf: &Shelf) -> Vec<String> {
    names_in(POPULAR_IN, lists, shelf)
}

/// The same, those of one list too.
pub fn names_of_popularity_lists(lists: &[ListConfig], shelf: &Shelf) -> Vec<String> {
    names_in(1, lists, shelf)
}

fn names_in(least: u32, lists: &[ListConfig], shelf: &Shelf) -> Vec<String> {
    let configured = lists.iter().filter(|list| list.source.role == Role::Popular);
    let mut texts: Vec<(Vec<u8>, Option<Format>)> = Vec::new();
    for list in configured {
        let text = match &list.source.place {
            Place::File(path) => read(path).ok(),
            Place::Url(url) => {
                let copy = shelf.read(&Shelf::key(&list.name, url.as_str()), Slot::Good);
                copy.ok().flatten().map(|copy| copy.text)
            }
            Place::Transfer(_) => None,
        };
        texts.extend(text.map(|text| (text, list.source.format)));
    }
    if texts.is_empty() {
        let bundled = bundled::lists().iter().filter(|list| list.role == Role::Popular);
        texts.extend(bundled.filter_map(|list| Some((list.text().ok()?, Some(Format::Plain)))));
    }
    let mut seen: HashMap<String, (usize, u32)> = HashMap::new();
    for (number, (text, format)) in texts.iter().enumerate() {
        let format = format.unwrap_or_else(|| Format::detect(text));
        blocked((text, format), |trigger| {
            let Trigger::Name(name, _) = trigger else { return };
            let (last, lists) = seen.entry(name.as_str().to_owned()).or_insert((usize::MAX, 0));
            if *last != number {
                (*last, *lists) = (number, *lists + 1);
            }
        });
    }
    let popular = seen.into_iter().filter(|(_, (_, lists))| *lists >= least);
    let mut names: Vec<String> = popular.map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::super::shelf::Head;
    use super::*;

    fn copy(text: &str, content_type: &str) -> Copy {
        let entries = lists::parse(text.as_bytes(), Format::Plain, drop, drop).entries;
        let head = Head { entries, content_type: content_type.into(), ..Head::default() };
        Copy { head, confirmed_ms: 0, text: text.into() }
    }

    fn doubt(list: &str, old: Option<&str>, fresh: &str) -> Option<Doubt> {
        let list: ListConfig = list.parse().unwrap();
        let old = old.map(|text| copy(text, "text/plain"));
        let fresh = Fresh { text: fresh.as_bytes(), content_type: "text/plain" };
        judge(&list, old.as_ref(), fresh, || vec!["popular.example".into(), "www.known.example".into()]).1
    }

    #[test]
    fn a_copy_that_grows_or_loses_less_than_half_passes() {
        assert_eq!(doubt("plain:x", None, "a.example\n"), None);
        assert_eq!(
            doubt("plain:x", Some("a.example\nb.example\n"), "a.example\nc.example\nd.example\n"),
            None
        );
        assert_eq!(
            doubt("plain:x", Some("a.example\nb.example\nc.example\nd.example\n"), "a.example\nb.example\n"),
            None
        );
        let shrunk = Some(Doubt::Shrunk { from: 3, to: 1 });
        assert_eq!(doubt("plain:x", Some("a.example\nb.example\nc.example\n"), "a.example\n"), shrunk);
        assert_eq!(doubt("allow:plain:x", Some("a.example\nb.example\nc.example\n"), "a.example\n"), shrunk);
    }

    #[test]
    fn a_page_is_known_by_its_first_bytes_and_by_its_type() {
        for page in ["<!DOCTYPE html>", "\u{feff}\n <HTML>", "<?xml version=\"1.0\"?>"] {
            assert_eq!(doubt("plain:x", None, page), Some(Doubt::Html), "{page}");
        }
        let list: ListConfig = "plain:x".parse().unwrap();
        let fresh = Fresh { text: b"a.example\n", content_type: "text/html; charset=utf-8" };
        assert_eq!(judge(&list, None, fresh, Vec::new).1, Some(Doubt::Html));
        let before = copy("a.example\n", "text/plain");
        assert_eq!(judge(&list, Some(&before), fresh, Vec::new).1, Some(Doubt::Html));
        let before = copy("a.example\n", "text/html");
        assert_eq!(judge(&list, Some(&before), fresh, Vec::new).1, None, "its server always called it so");
    }

    #[test]
    fn a_copy_without_a_rule_is_doubted() {
        assert_eq!(doubt("plain:x", None, "# gone\n"), Some(Doubt::NoRule(1, Format::Plain)));
        assert_eq!(doubt("hosts:x", None, "no hosts\n"), Some(Doubt::NoRule(1, Format::Hosts)));
    }

    #[test]
    fn a_popular_name_that_is_newly_blocked_is_named() {
        let popular = |names: &[&str]| {
            Some(Doubt::Popular(names.len(), names.iter().map(|name| (*name).to_owned()).collect()))
        };
        let old = Some("a.example\n");
        assert_eq!(doubt("plain:x", old, "a.example\npopular.example\n"), popular(&["popular.example"]));
        assert_eq!(doubt("plain:x", old, "a.example\nknown.example\n"), popular(&["www.known.example"]));
        assert_eq!(
            doubt("plain:x", old, "a.example\nexample\n"),
            popular(&["popular.example", "www.known.example"])
        );
        // Below a popular name, or above it but exact, nothing popular is blocked.
        assert_eq!(doubt("plain:x", old, "a.example\nads.popular.example\n"), None);
        assert_eq!(doubt("hosts:x", Some("0.0.0.0 a.example\n"), "0.0.0.0 known.example\n"), None);
        // Blocked before, if in other words.
        assert_eq!(doubt("plain:x", Some("known.example\n"), "www.known.example\n"), None);
        // By a regular expression.
        let (old_pattern, new_pattern) = (Some("^a\\.example$\n"), "^a\\.example$\n^pop[a-z]+\\.example$\n");
        assert_eq!(doubt("regex:x", old_pattern, new_pattern), popular(&["popular.example"]));
        assert_eq!(doubt("regex:x", Some("^pop\n"), new_pattern), None);
        // Not blocked at all, or not for the first time.
        assert_eq!(doubt("allow:plain:x", old, "popular.example\n"), None);
        assert_eq!(doubt("plain:x", None, "popular.example\n"), None);
    }

    #[test]
    fn popular_is_what_two_lists_hold() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("a", "one.example\ntwo.example\none.example\n"), ("b", "two.example\nthree.example\n")];
        let lists = files.map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("popular:plain:{}", path.display()).parse::<ListConfig>().unwrap()
        });
        let shelf = Shelf::of(folder.path());
        assert_eq!(popular_names(&lists, &shelf), ["two.example"]);
        let bundled = popular_names(&[], &shelf);
        assert!(
            bundled.len() > 1_000 && bundled.iter().any(|name| name == "google.com"),
            "{}",
            bundled.len()
        );
    }
}
