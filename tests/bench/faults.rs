//! How soon a question is answered while the scorer fails: `cargo xtask bench faults`.
//!
//! Real resolver, real Envoy, names that the small model leaves open. The callout is given up after 50 ms; after
//! five failures in a row the breaker opens and the scorer is asked once a second. Both are shown: the wait while
//! the breaker is closed, and behind an open one. The baseline is the same question with the scorer at work.

use std::time::{Duration, Instant};

use dnsvet_tests::client::{Client, Door};
use dnsvet_tests::rig::{Plan, Rig};
use dnsvet_tests::scorer::{Manner, false_scorer, uncertain};

/// Questions at each door and fault; the breaker opens after five, so each begins with a closed one.
const QUESTIONS: usize = 60;
/// Failures in a row that open the breaker.
const CLOSED: usize = 5;
const DOORS: [Door; 2] = [Door::Udp, Door::Envoy];

fn main() {
    let mut rig = Rig::start(Plan::new("bench-faults"));
    let names = uncertain(&rig, 4 * QUESTIONS);
    let (client, port) = (rig.client(), rig.options.ports.scorer);
    println!(
        "{:<16}{:<8}{:>12}{:>12}{:>12}{:>12}",
        "scorer", "door", "median, ms", "p99", "max", "open, max"
    );
    let mut parts = names.chunks(QUESTIONS);
    let mut next = || parts.next().unwrap_or_default();
    report("at work", &client, next());
    rig.scorer = None;
    report("stopped", &client, next());
    recover(&mut rig, &client, &names);
    rig.scorer = None;
    let slow = false_scorer(port, Manner::Slow);
    report("slow (5 s)", &client, next());
    drop(slow);
    recover(&mut rig, &client, &names);
    rig.scorer = None;
    let _garbage = false_scorer(port, Manner::Garbage);
    report("garbage", &client, next());
}

/// Closes the breakers again: the scorer is back, and asked until it answers.
fn recover(rig: &mut Rig, client: &Client, names: &[String]) {
    rig.scorer = Some(rig.options.start_scorer().unwrap_or_else(|error| panic!("{error}")));
    for round in 0..12 {
        std::thread::sleep(Duration::from_millis(250));
        for door in DOORS {
            client.ask_all(door, &names.iter().skip(round).step_by(7).take(8).cloned().collect::<Vec<_>>());
        }
    }
}

fn report(what: &str, client: &Client, names: &[String]) {
    for door in DOORS {
        let ask = |name: &String| {
            let start = Instant::now();
            client.ask(door, name);
            start.elapsed()
        };
        let times: Vec<Duration> = names.iter().map(ask).collect();
        let (closed, open) = times.split_at(CLOSED.min(times.len()));
        let of = |times: &[Duration], share: f64| {
            let mut times = times.to_vec();
            times.sort_unstable();
            let at = ((times.len().saturating_sub(1)) as f64 * share).round() as usize;
            times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        println!(
            "{what:<16}{:<8}{:>12.1}{:>12.1}{:>12.1}{:>12.1}",
            door.event_name(),
            of(closed, 0.5),
            of(closed, 0.99),
            of(closed, 1.0),
            of(open, 1.0)
        );
    }
}
