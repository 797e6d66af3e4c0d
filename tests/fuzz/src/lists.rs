//! Lists: what is read of any text, and what becomes of it in a snapshot.

use std::collections::HashSet;
use std::fmt::Debug;

use dnsvet_core::lists::{Effect, Entry, Format, LocalData, Rule, Scope, Trigger, collect, lines};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Builder, Match, PatternError, Role, Snapshot};
use dnsvet_core::verdict::Action;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most patterns of an input that are compiled, and the longest, bytes: large ones take a second.
const MOST_PATTERNS: usize = 4;
const MOST_PATTERN_BYTES: usize = 128;

/// The first byte says the format.
fn format_and_text(data: &[u8]) -> (Format, &[u8]) {
    let (first, text) = data.split_first().unwrap_or((&0, &[]));
    (Format::ALL[usize::from(*first) % Format::ALL.len()], text)
}

/// Every line is a rule, a comment or rejected, and every rule can be written down.
pub(crate) fn lists(data: &[u8]) {
    let (format, text) = format_and_text(data);
    accounted_for(text, format);
    let detected = Format::detect(text);
    if detected != format {
        accounted_for(text, detected);
    }
}

fn accounted_for(text: &[u8], format: Format) {
    let (entries, rejected, counts) = collect(text, format);
    assert_eq!(counts.rules + counts.comments + counts.rejected, counts.lines, "{format}: {counts:?}");
    assert_eq!(counts.lines, lines(text).count() as u64);
    assert_eq!(counts.entries, entries.len() as u64);
    assert!(rejected.len() as u64 >= counts.rejected.min(1), "{format}: {counts:?}");
    for report in &rejected {
        assert!((1..=counts.lines.max(1)).contains(&u64::from(report.line)), "{format}: {report}");
        assert!(report.text.chars().count() <= 81, "{format}: {report}");
    }
    for entry in &entries {
        assert!((1..=counts.lines).contains(&u64::from(entry.line)), "{format}: {entry:?}");
        is_sound(&entry.rule);
    }
}

fn is_sound(rule: &Rule) {
    match &rule.trigger {
        Trigger::Name(name, _) => is_name(name),
        Trigger::Client(net) | Trigger::Address(net) => {
            assert_eq!(*net, net.trunc(), "{rule:?}: bits behind its prefix");
        }
        Trigger::Pattern(_) => {}
    }
    rule.conditions.except.iter().for_each(is_name);
    match &rule.effect {
        Effect::Stop(action) => {
            let answers = matches!(action, Action::Allow | Action::Custom | Action::Honeypot);
            assert!(!answers, "{rule:?}");
        }
        Effect::Answer(records) => {
            assert!((1..=64).contains(&records.len()), "{rule:?}");
            let aliases = records.iter().filter(|record| matches!(record, LocalData::Cname(_))).count();
            assert!(aliases == 0 || records.len() == 1, "{rule:?}");
            for record in records {
                match record {
                    LocalData::Cname(target) => is_name(target),
                    LocalData::Record { rdata, .. } => assert!(rdata.len() <= 65_535),
                    LocalData::Address(_) => {}
                }
            }
        }
        _ => {}
    }
    again(&rule.trigger);
    again(&rule.effect);
    again(&rule.conditions);
}

fn is_name(name: &Name) {
    assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(name));
}

/// Written as JSON, as a snapshot holds it, it is read as the same.
fn again<T: Debug + PartialEq + Serialize + DeserializeOwned>(value: &T) {
    let written = serde_json::to_vec(value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    let read: T = serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_eq!(read, *value);
}

/// Every rule that was read is found again in the snapshot that is built of it.
pub(crate) fn compile(data: &[u8]) {
    let (format, text) = format_and_text(data);
    let (mut entries, _, _) = collect(text.get(..2_048).unwrap_or(text), format);
    let mut patterns = 0;
    entries.retain(|entry| {
        let Trigger::Pattern(pattern) = &entry.rule.trigger else { return true };
        patterns += 1;
        patterns <= MOST_PATTERNS && pattern.len() <= MOST_PATTERN_BYTES
    });
    let (revoking, mut entries): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.revokes);
    let mut builder = Builder::new(1, [3; 16]);
    let list = builder.list("fuzz", Role::Block, "");
    entries.retain(|entry| match builder.add_rule(list, &entry.rule) {
        Ok(()) => true,
        Err(error) => {
            let large = matches!(error, PatternError::Large | PatternError::Full);
            assert!(large && matches!(entry.rule.trigger, Trigger::Pattern(_)), "{:?}: {error}", entry.rule);
            false
        }
    });
    for entry in &revoking {
        builder.revoke_by(list, &entry.rule);
    }
    entries.retain(|entry| !revoking.iter().any(|by| by.rule == entry.rule));
    let built = builder.build(None).unwrap_or_else(|error| panic!("{error}"));
    let snapshot = Snapshot::open(built.into(), &[]).unwrap_or_else(|error| panic!("{error}"));
    for entry in &entries {
        let rule = &entry.rule;
        assert!(
            matches_of(&snapshot, rule).is_none_or(|found| found.iter().any(|m| is_of(m, rule))),
            "{rule:?}"
        );
    }
    let patterns = entries.iter().filter(|entry| matches!(entry.rule.trigger, Trigger::Pattern(_)));
    let distinct: HashSet<&Rule> = patterns.map(|entry| &entry.rule).collect();
    assert!(distinct.len() <= snapshot.rule_count());
}

/// What is found for a question that sets the rule off; `None` if it is not known which one does.
fn matches_of<'s>(snapshot: &'s Snapshot, rule: &Rule) -> Option<Vec<Match<'s>>> {
    match &rule.trigger {
        Trigger::Name(name, Scope::Below) => {
            Name::parse(&format!("x.{name}")).ok().map(|below| snapshot.lookup(&below))
        }
        Trigger::Name(name, _) => Some(snapshot.lookup(name)),
        Trigger::Client(net) => Some(snapshot.lookup_client(net.addr())),
        Trigger::Address(net) => Some(snapshot.lookup_address(net.addr())),
        Trigger::Pattern(_) => None,
    }
}

fn is_of(found: &Match<'_>, rule: &Rule) -> bool {
    found.by.key() == rule.trigger.key()
        && *found.effect == rule.effect
        && *found.conditions == rule.conditions
        && found.list == 0
}
