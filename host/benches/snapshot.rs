//! `cargo bench -p dnsvet-core --bench snapshot -- LIST`: what a snapshot of a list costs.
//!
//! LIST is a plain list, `.gz` or not. Prints bytes a name, compile time, and lookup times: best of rounds over
//! shuffled names, warm (the same 4,096 names again) and cold (each name of the list once).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement may stop at what is wrong")]

use std::hint::black_box;
use std::io::Read;
use std::time::Instant;

use bytes::Bytes;
use dnsvet_core::lists::{Format, parse};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Builder, Role, Snapshot};

const WARM_NAMES: usize = 4_096;
const ROUNDS: usize = 30;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let Some(path) = args.first() else {
        eprintln!("usage: cargo bench -p dnsvet-core --bench snapshot -- LIST");
        return;
    };
    let packed = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut text = Vec::new();
    match packed.starts_with(&[0x1f, 0x8b]) {
        true => drop(flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text).unwrap()),
        false => text = packed,
    }

    let start = Instant::now();
    let mut builder = Builder::new(1, [1; 16]);
    builder.list("bench", Role::Block, "");
    let mut names = Vec::new();
    parse(&text, Format::detect(&text), |entry| names.push(entry.name), |_| ());
    let parsed = start.elapsed();
    let start = Instant::now();
    for name in &names {
        builder.add(0, name, false);
    }
    let file = builder.build(None).unwrap();
    let built = start.elapsed();
    let start = Instant::now();
    builder.serial(2).build(None).unwrap();
    let again = start.elapsed();
    let bytes = Bytes::from(file);
    let start = Instant::now();
    let snapshot = Snapshot::open(bytes.clone(), &[]).unwrap();
    let opened = start.elapsed();

    let count = snapshot.name_count();
    let sections = snapshot.section_bytes();
    let map = sections.iter().find(|(name, _)| *name == "name map").map_or(0, |(_, bytes)| *bytes);
    let each = |bytes: u64| bytes as f64 / count.max(1) as f64;
    println!("names               {count}");
    println!("map                 {map} bytes, {:.3} a name", each(map));
    println!("snapshot            {} bytes, {:.3} a name", bytes.len(), each(bytes.len() as u64));
    println!("parse               {:.0} ms", parsed.as_secs_f64() * 1e3);
    println!("compile             {:.0} ms, again with the same names {:.0} ms", ms(built), ms(again));
    println!("open and check      {:.1} ms", ms(opened));

    shuffle(&mut names);
    let below = |prefix: &str| -> Vec<Name> {
        names
            .iter()
            .map(|name| Name::parse(&format!("{prefix}.{name}")).unwrap_or_else(|_| name.clone()))
            .collect()
    };
    let miss: Vec<Name> =
        names.iter().map(|name| Name::parse(&format!("{name}q")).unwrap_or_default()).collect();
    let miss_below: Vec<Name> =
        miss.iter().map(|name| Name::parse(&format!("www.{name}")).unwrap_or_default()).collect();
    println!("lookup, ns          warm    cold");
    for (what, asked) in [
        ("hit, exact", names.clone()),
        ("hit, one more label", below("www")),
        ("miss", miss),
        ("miss, subdomain", miss_below),
    ] {
        let hits = asked.iter().filter(|name| snapshot.is_listed(name)).count();
        let warm = best(&snapshot, asked.get(..WARM_NAMES).unwrap_or(&asked), ROUNDS);
        let cold = best(&snapshot, &asked, 3);
        println!("  {what:<20} {warm:>6.1}  {cold:>6.1}   ({hits} of {} found)", asked.len());
    }
}

fn ms(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Nanoseconds a name, best of rounds.
fn best(snapshot: &Snapshot, asked: &[Name], rounds: usize) -> f64 {
    let round = || {
        let start = Instant::now();
        let hits = asked.iter().filter(|name| snapshot.is_listed(black_box(name))).count();
        black_box(hits);
        start.elapsed().as_nanos() as f64 / asked.len().max(1) as f64
    };
    (0..rounds).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn shuffle(names: &mut [Name]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for last in (1..names.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        names.swap(last, (state >> 33) as usize % (last + 1));
    }
}
