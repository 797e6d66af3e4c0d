//! What a reload does to service: `cargo xtask bench reload [LIST]`.
//!
//! Real resolver and real Envoy, two workers each, a million names where the test data is, 2,000 questions a second
//! at one door while the list's file changes and the resolver gets SIGHUP: time until the change is in force at all
//! workers (file written, signal sent, every worker blocks it), the longest time without any answer, answers lost
//! or late, and the processes' peak memory against that before. The baseline is the same load with no change.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dnsvet_tests::client::Door;
use dnsvet_tests::load::{Load, Workers};
use dnsvet_tests::rig::{Plan, Rig};
use xtask::shell;

const PER_SECOND: u32 = 2_000;
/// Of it, names asked: half are listed.
const ASKED: usize = 128;
const DOORS: [Door; 2] = [Door::Udp, Door::Envoy];
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let list = std::env::args().skip(1).find(|argument| argument != "--bench");
    let names = match &list {
        Some(path) => read(path),
        None => (0..200_000).map(|number| format!("n{number}.listed.example")).collect(),
    };
    let plan = Plan { blocked: names.clone(), scorer: false, release: true, ..Plan::new("bench-reload") };
    let rig = Rig::start(plan);
    let step = names.len() / (ASKED / 2);
    let open = (0..ASKED / 2).map(|number| format!("open{number}.test"));
    let asked: Vec<String> = names.iter().step_by(step.max(1)).take(ASKED / 2).cloned().chain(open).collect();
    println!("{} names, {PER_SECOND} questions a second at one door", names.len());
    println!(
        "{:<8}{:<22}{:>10}{:>12}{:>10}{:>10}{:>8}{:>8}{:>16}{:>16}",
        "door", "change", "in force", "silence", "p99", "worst", "lost", "failed", "serve, MiB", "envoy, MiB"
    );
    let mut held = names.clone();
    for door in DOORS {
        row(&rig, door, "none", &asked, None);
        for (what, count) in [("1 name", 1), ("100 names", 100), ("100 names again", 100)] {
            let sentinel = format!("sentinel.{}.{}.example", what.replace(' ', "-"), door.event_name());
            held.extend((1..count).map(|number| format!("new{number}.{sentinel}")));
            held.push(sentinel.clone());
            row(&rig, door, what, &asked, Some((&held, &sentinel)));
        }
        let sentinel = format!("all.{}.example", door.event_name());
        let other: Vec<String> =
            names.iter().map(|name| format!("w.{name}")).chain([sentinel.clone()]).collect();
        row(&rig, door, "all names", &asked, Some((&other, &sentinel)));
        let sentinel = format!("back.{}.example", door.event_name());
        held.push(sentinel.clone());
        row(&rig, door, "all names, back", &asked, Some((&held, &sentinel)));
    }
}

/// One name a line, of a plain or hosts list.
fn read(path: &str) -> Vec<String> {
    let text =
        shell::output(Command::new("gzip").args(["-dcf", path])).unwrap_or_else(|error| panic!("{error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

/// The list that is in force, and where the next one is written.
fn lists(rig: &Rig) -> (PathBuf, PathBuf) {
    let list = rig.options.folder.join("blocked.txt");
    let fresh = list.with_extension("new");
    (list, fresh)
}

/// Replaces the list by the one that was written; how long until its sentinel is blocked by every worker.
fn change(rig: &Rig, workers: &mut Workers, sentinel: &str) -> Option<Duration> {
    let (list, fresh) = lists(rig);
    let pid = rig.serve.as_ref().map(xtask::child::Child::pid).unwrap_or_default();
    let start = Instant::now();
    fs::rename(&fresh, &list).expect("the list can be replaced");
    shell::output(Command::new("kill").args(["-HUP", &pid.to_string()]))
        .unwrap_or_else(|error| panic!("{error}"));
    workers.wait(sentinel, LIMIT, |reply| reply.rcode() == Some(3))?;
    Some(start.elapsed())
}

/// The resident memory of a process now, and its highest since it was asked for last, MiB.
struct Memory(u32);

impl Memory {
    fn start(pid: u32) -> (Self, f64) {
        let memory = Self(pid);
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("one's own process");
        let now = memory.field("VmRSS:");
        (memory, now)
    }

    fn field(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
    }

    fn peak(&self) -> f64 {
        self.field("VmHWM:")
    }
}

/// A load, during which the list becomes these names, the sentinel among them.
fn row(rig: &Rig, door: Door, what: &str, asked: &[String], to: Option<(&[String], &str)>) {
    let pid = |child: &Option<xtask::child::Child>| {
        child.as_ref().map(xtask::child::Child::pid).unwrap_or_default()
    };
    if let Some((names, _)) = to {
        fs::write(lists(rig).1, names.join("\n") + "\n").expect("the list can be written");
    }
    let mut workers = Workers::open(rig, door);
    let load = Load::start(rig, door, asked, PER_SECOND);
    std::thread::sleep(Duration::from_secs(2));
    let (serve, serve_before) = Memory::start(pid(&rig.serve));
    let (envoy, envoy_before) = Memory::start(pid(&rig.envoy));
    let took = to.map(|(_, sentinel)| change(rig, &mut workers, sentinel));
    std::thread::sleep(Duration::from_secs(2));
    let report = load.end();
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let memory = |memory: &Memory, before: f64| format!("{before:.0}, {:.2} x", memory.peak() / before);
    println!(
        "{:<8}{what:<22}{:>10}{:>12}{:>10}{:>10}{:>8}{:>8}{:>16}{:>16}",
        door.event_name(),
        took.map_or("-".to_owned(), |took| took.map_or("never".to_owned(), ms)),
        ms(report.silence),
        ms(report.quantile(0.99)),
        ms(report.quantile(1.0)),
        report.lost,
        report.failed,
        memory(&serve, serve_before),
        memory(&envoy, envoy_before),
    );
}
