//! Real lists: the million names of `blocklist-1m.txt.gz` and lists as they are published.
//!
//! Looks in the folder `TEST_DATA`, else in `../shared/data`; says so where there is none.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use dnsvet_core::lists::{Effect, Format, Rule, Scope, Trigger, collect};
use dnsvet_core::snapshot::{Builder, Role, Snapshot};

fn data(file: &str) -> Option<Vec<u8>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("TEST_DATA").map_or_else(beside, PathBuf::from);
    let Ok(bytes) = std::fs::read(folder.join(file)) else {
        println!("skipped: no {file} in {}; set TEST_DATA", folder.display());
        return None;
    };
    if !file.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    let read = flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut text);
    assert!(read.is_ok(), "{file}: {read:?}");
    Some(text)
}

#[test]
fn every_one_of_a_million_real_names_is_found_at_under_six_bytes_each() {
    let Some(text) = data("blocklist-1m.txt.gz") else { return };
    let (entries, rejected, counts) = collect(&text, Format::detect(&text));
    assert_eq!((rejected.len(), counts.rules, counts.lines), (0, 1_000_000, 1_000_000));
    let mut builder = Builder::new(1, [5; 16]);
    builder.list("1m", Role::Block, "");
    for entry in &entries {
        builder.add_rule(0, &entry.rule).unwrap();
    }
    let snapshot = Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap();
    assert_eq!(snapshot.name_count(), 1_000_000);
    for entry in &entries {
        let name = entry.rule.name().unwrap();
        let hits = snapshot.lookup(name);
        assert!(hits.iter().any(|hit| hit.suffix() == name.as_str()), "{name}");
    }
    let a_name = snapshot.total_bytes() as f64 / 1e6;
    assert!(a_name <= 5.8, "{a_name} bytes a name");
}

#[test]
fn a_published_hosts_file_is_accounted_for_line_by_line() {
    let Some(text) = data("fixture-kadhosts.hosts.txt") else { return };
    assert_eq!(Format::detect(&text), Format::Hosts);
    let (entries, rejected, counts) = collect(&text, Format::Hosts);
    assert_eq!(counts.lines, counts.rules + counts.comments + counts.rejected);
    let lines = String::from_utf8(text).unwrap();
    let rules = lines.lines().filter(|line| line.starts_with("0.0.0.0 ")).count();
    assert!(counts.rejected * 1_000 < counts.lines, "{:?}", rejected.first());
    assert_eq!(entries.len() as u64, counts.entries);
    assert!(counts.rules as usize >= rules - rejected.len() && rules > 10_000, "{counts:?}");
}

#[test]
fn another_formats_file_is_reported_line_by_line_and_not_taken_for_names() {
    let Some(text) = data("fixture-hagezi-fake.adblock.txt") else { return };
    let (entries, rejected, counts) = collect(&text, Format::Plain);
    assert_eq!(counts.lines, counts.rules + counts.comments + counts.rejected);
    assert!(rejected.len() > 7_000 && entries.len() < 20, "{} {}", rejected.len(), entries.len());
}

/// Each published list, with the format that it is in, how many rules it has and how many reports.
const FIXTURES: [(&str, Format, usize, usize); 6] = [
    ("fixture-kadhosts.hosts.txt", Format::Hosts, 23_655, 0),
    ("fixture-hagezi-fake.adblock.txt", Format::Adblock, 7_355, 0),
    ("fixture-hagezi-fake.wildcard.txt", Format::Wildcard, 7_355, 0),
    ("fixture-hagezi-fake.dnsmasq.txt", Format::Dnsmasq, 7_355, 0),
    ("fixture-blp-ransomware.adguard.txt", Format::Adblock, 1_904, 0),
    ("fixture-kadomains.rpz.txt", Format::Rpz, 7_600, 0),
];

#[test]
fn published_lists_of_each_format_are_told_apart_and_accounted_for() {
    for (file, format, rules, reports) in FIXTURES {
        let Some(text) = data(file) else { continue };
        assert_eq!(Format::detect(&text), format, "{file}");
        let (entries, rejected, counts) = collect(&text, format);
        assert_eq!(counts.lines, counts.rules + counts.comments + counts.rejected, "{file}");
        assert_eq!((entries.len(), rejected.len()), (rules, reports), "{file}: {:?}", rejected.first());
        assert_eq!(counts.lines as usize, text.split(|&byte| byte == b'\n').count() - 1, "{file}");
    }
}

#[test]
fn one_list_in_three_formats_gives_the_same_rules() {
    let files = ["adblock", "wildcard", "dnsmasq"].map(|format| format!("fixture-hagezi-fake.{format}.txt"));
    let mut rules: Vec<HashSet<Rule>> = Vec::new();
    for file in files {
        let Some(text) = data(&file) else { return };
        let (entries, _, _) = collect(&text, Format::detect(&text));
        rules.push(entries.into_iter().map(|entry| entry.rule).collect());
    }
    assert_eq!(rules[0].len(), 7_355);
    assert!(rules.iter().all(|other| *other == rules[0]));
}

#[test]
fn a_published_policy_zone_keeps_its_actions_and_scopes() {
    let Some(text) = data("fixture-kadomains.rpz.txt") else { return };
    let (entries, _, _) = collect(&text, Format::Rpz);
    let count = |keep: &dyn Fn(&Rule) -> bool| entries.iter().filter(|entry| keep(&entry.rule)).count();
    let below = count(&|rule| matches!(rule.trigger, Trigger::Name(_, Scope::Below)));
    let nodata = count(&|rule| rule.effect == Effect::Stop(dnsvet_core::verdict::Action::Nodata));
    let lines = String::from_utf8(text).unwrap();
    assert_eq!(below, lines.lines().filter(|line| line.starts_with("*.")).count());
    assert_eq!(nodata, lines.lines().filter(|line| line.ends_with("CNAME *.")).count());
}
