//! Entries as records of a policy zone.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::xfr::policy::{Action, Entry, Scope, Skipped, fill};

fn entry(text: &str, scope: Scope, action: Action) -> Entry {
    Entry { name: name(text), scope, action }
}

fn suffix(text: &str, action: Action) -> Entry {
    entry(text, Scope::Suffix, action)
}

fn exact(text: &str, action: Action) -> Entry {
    entry(text, Scope::Exact, action)
}

fn filled(entries: Vec<Entry>) -> (Zone, Skipped) {
    let mut zone = Zone::new(name("rpz.example"), soa(1));
    let skipped = fill(&mut zone, entries, 60);
    (zone, skipped)
}

/// The zone's text without its head, sorted: `OWNER TYPE DATA`.
fn lines(entries: Vec<Entry>) -> Vec<String> {
    let text = filled(entries).0.to_master_text();
    let mut lines: Vec<_> = text.lines().skip(2).map(|line| line.replace(" 60 IN", "")).collect();
    lines.sort();
    lines
}

#[test]
fn each_action_has_its_record_and_a_suffix_its_wildcard() {
    let local = Action::Local(vec!["2001:db8::7".parse().unwrap(), "192.0.2.7".parse::<IpAddr>().unwrap()]);
    let got = lines(vec![
        suffix("bad.test", Action::Nxdomain),
        exact("empty.test", Action::Nodata),
        exact("good.test", Action::Passthru),
        exact("drop.test", Action::Drop),
        exact("tcp.test", Action::TcpOnly),
        exact("here.test", local),
    ]);
    let expected = [
        "*.bad.test CNAME .",
        "bad.test CNAME .",
        "drop.test CNAME rpz-drop.",
        "empty.test CNAME *.",
        "good.test CNAME rpz-passthru.",
        "here.test A 192.0.2.7",
        "here.test AAAA 2001:db8::7",
        "tcp.test CNAME rpz-tcp-only.",
    ];
    assert_eq!(got, expected);
}

#[test]
fn places_that_an_exception_would_open_are_filled() {
    let got = lines(vec![suffix("bad.test", Action::Nxdomain), exact("x.y.bad.test", Action::Passthru)]);
    let expected = [
        "*.bad.test CNAME .",
        "*.x.y.bad.test CNAME .",
        "*.y.bad.test CNAME .",
        "bad.test CNAME .",
        "x.y.bad.test CNAME rpz-passthru.",
        "y.bad.test CNAME .",
    ];
    assert_eq!(got, expected);
}

#[test]
fn an_entry_that_says_what_is_said_above_it_is_left_out() {
    let (zone, skipped) = filled(vec![
        suffix("bad.test", Action::Nxdomain),
        suffix("a.bad.test", Action::Nxdomain),
        exact("b.bad.test", Action::Nxdomain),
        suffix("bad.test", Action::Nxdomain),
        exact("bad.test", Action::Passthru),
    ]);
    assert_eq!(skipped, Skipped { redundant: 3, ..Skipped::default() });
    assert_eq!(zone.len(), 2);
    assert!(zone.to_master_text().contains("\nbad.test 60 IN CNAME rpz-passthru.\n"));
}

/// What a zone says of a name (RFC 1034 section 4.3.2, RFC 4592 section 3.3.1), the data of its records.
fn look_up(zone: &Zone, qname: &str) -> Vec<String> {
    let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in zone.to_master_text().lines().skip(2) {
        let (owner, data) = line.split_once(' ').unwrap();
        let mut owner = owner.to_owned();
        nodes.entry(owner.clone()).or_default().push(data.to_owned());
        while let Some((_, parent)) = owner.split_once('.') {
            owner = parent.to_owned();
            nodes.entry(owner.clone()).or_default();
        }
    }
    let mut closest = qname;
    while !nodes.contains_key(closest) {
        let Some((_, parent)) = closest.split_once('.') else {
            return nodes.get("*").cloned().unwrap_or_default();
        };
        closest = parent;
    }
    if closest == qname {
        return nodes[qname].clone();
    }
    nodes.get(&format!("*.{closest}")).cloned().unwrap_or_default()
}

#[test]
fn a_zone_says_of_every_name_what_the_entries_say() {
    // Small worlds drawn at random: four labels deep over two letters, so that entries meet often.
    let mut state = 12345u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut names = vec![String::new()];
    for depth in 0..4 {
        let longest: Vec<String> =
            names.iter().filter(|n| n.split_terminator('.').count() == depth).cloned().collect();
        for parent in longest {
            names.extend(["p", "q"].map(|label| format!("{label}.{parent}")));
        }
    }
    names.remove(0);
    let mut names: Vec<String> = names.iter().map(|n| n.trim_end_matches('.').to_owned()).collect();
    let actions = [Action::Nxdomain, Action::Nodata, Action::Passthru];
    for world in 0..300 {
        let count = 1 + draw(7);
        let entries: Vec<Entry> = (0..count)
            .map(|_| {
                let scope = if draw(2) == 0 { Scope::Exact } else { Scope::Suffix };
                let text = &names[draw(names.len() as u64) as usize];
                entry(text, scope, actions[draw(3) as usize].clone())
            })
            .collect();
        let (zone, _) = filled(entries.clone());
        names.push("never.seen.p.p".to_owned());
        for qname in &names {
            let first = |scope, name: &str| {
                entries.iter().find(|e| e.scope == scope && e.name.as_str() == name).map(|e| e.action.clone())
            };
            let mut parents = std::iter::successors(Some(qname.as_str()), |n| n.split_once('.').map(|s| s.1));
            let expected =
                first(Scope::Exact, qname).or_else(|| parents.find_map(|n| first(Scope::Suffix, n)));
            let expected = expected.map(|action| match action {
                Action::Nxdomain => "60 IN CNAME .",
                Action::Nodata => "60 IN CNAME *.",
                _ => "60 IN CNAME rpz-passthru.",
            });
            let got = look_up(&zone, qname);
            assert_eq!(
                got,
                expected.into_iter().collect::<Vec<_>>(),
                "{qname} in world {world}: {entries:?}"
            );
        }
        names.pop();
    }
}

#[test]
fn what_the_zone_can_not_hold_is_counted_and_named() {
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(48)].join(".");
    let longer = format!("{long}de");
    let fits = filled(vec![suffix(&long[1..], Action::Nxdomain)]);
    assert_eq!((fits.0.len(), fits.1.too_long), (2, 0));
    let (zone, skipped) = filled(vec![
        suffix(&long, Action::Nxdomain),
        exact(&longer, Action::Nxdomain),
        exact("\\042.wild.test", Action::Nxdomain),
        suffix("1.0.0.127.rpz-ip", Action::Nxdomain),
        suffix("", Action::Nxdomain),
        exact("empty.test", Action::Local(Vec::new())),
        exact("twice.test", Action::Nxdomain),
        exact("twice.test", Action::Passthru),
    ]);
    let counts = (skipped.too_long, skipped.not_expressible, skipped.conflicting, skipped.redundant);
    assert_eq!(counts, (2, 4, 1, 0));
    assert_eq!(skipped.names.len(), 7);
    assert!(skipped.names.contains(&name(&long)) && skipped.names.contains(&name("twice.test")));
    // The name itself fits, its wildcard does not.
    assert_eq!(zone.len(), 2);
    assert!(zone.to_master_text().contains("\ntwice.test 60 IN CNAME .\n"));
}

#[test]
fn the_serial_rises_with_each_change_only_and_goes_on_after_a_restart() {
    let publisher = Publisher::new(ZoneConfig::default(), None);
    assert_eq!((publisher.serial(), publisher.to_master_text()), (None, None));
    let first = publisher.update([suffix("bad.test", Action::Nxdomain)]);
    assert!(first.changed && first.records == 3);
    let same = publisher.update([suffix("bad.test", Action::Nxdomain)]);
    assert_eq!((same.changed, same.serial), (false, first.serial));
    let more = publisher.update([suffix("bad.test", Action::Nodata)]);
    assert_eq!((more.changed, more.serial), (true, first.serial.next()));

    let last = Zone::parse_master_text(&publisher.to_master_text().unwrap()).unwrap();
    let restarted = Publisher::new(ZoneConfig::default(), Some(last));
    assert_eq!(restarted.serial(), Some(more.serial));
    assert!(!restarted.update([suffix("bad.test", Action::Nodata)]).changed);
    let config = ZoneConfig { refresh_s: 1, ..ZoneConfig::default() };
    let last = Zone::parse_master_text(&restarted.to_master_text().unwrap()).unwrap();
    let other_times = Publisher::new(config, Some(last.clone()));
    assert!(
        other_times.update([suffix("bad.test", Action::Nodata)]).changed,
        "its times are part of the zone"
    );
    let config = ZoneConfig { origin: name("other.example"), ..ZoneConfig::default() };
    assert_eq!(Publisher::new(config, Some(last)).serial(), None);
}

#[test]
fn the_journal_reaches_back_as_far_as_it_may() {
    let config = ZoneConfig { journal_versions: 3, ..ZoneConfig::default() };
    let publisher = Publisher::new(config.clone(), None);
    let many = |count: usize| {
        (0..count).map(|n| suffix(&format!("n{n}.test"), Action::Nxdomain)).collect::<Vec<_>>()
    };
    let serials: Vec<Serial> = (50..56).map(|count| publisher.update(many(count)).serial).collect();
    let version = publisher.version().unwrap();
    let reach: Vec<usize> = serials.iter().filter_map(|s| Some(version.steps_from(*s)?.count())).collect();
    assert_eq!(reach, [12, 8, 4], "two SOAs and two records a version, for the last three");
    publisher.update(Vec::new());
    let version = publisher.version().unwrap();
    assert!(version.steps_from(serials[5]).is_none(), "longer than the zone itself");

    let publisher = Publisher::new(ZoneConfig { journal_records: 7, ..config }, None);
    let serials: Vec<Serial> = (50..53).map(|count| publisher.update(many(count)).serial).collect();
    let version = publisher.version().unwrap();
    assert!(version.steps_from(serials[1]).is_some() && version.steps_from(serials[0]).is_none());
}
