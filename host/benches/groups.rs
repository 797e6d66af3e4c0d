//! What many groups cost a question: `cargo xtask bench groups`.
//!
//! One group with fifty lists against a thousand groups, each with half of the fifty, over the same names and
//! clients, in one run. CPU nanoseconds a question, from the message's bytes to the outcome, best of rounds taken in
//! turns: with the cascade at each question (more names than verdicts are kept), and with a verdict kept for nearly
//! each. A verdict is one group's, so the same names make two hundred times as many of them where two hundred groups
//! ask: that row has what memory takes in it, the last one, with as many verdicts on both sides, has not.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dnsvet_core::filter::{Asked, Filter, Outcome, Ticket};
use dnsvet_core::host::{Callout, CalloutId, Counter, Host, Level, NotStarted};
use dnsvet_core::lists::Scope;
use dnsvet_core::name::Name;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::policy::{Group, Mode, Policy};
use dnsvet_core::snapshot::{Builder, Role, Snapshot};

const LISTS: usize = 50;
const GROUPS: u16 = 1_000;
const NAMES_A_LIST: usize = 4_000;
const ROUNDS: usize = 9;

struct Quiet;

impl Host for Quiet {
    fn now_ms(&self) -> u64 {
        1_000
    }

    fn log(&mut self, _: Level, _: &str) {}

    fn callout(&mut self, _: Callout) -> Result<CalloutId, NotStarted> {
        Err(NotStarted)
    }

    fn count(&mut self, _: Counter, _: u64) {}
}

/// A filter with fifty lists and these groups, their models off.
fn filter(groups: Vec<Group>) -> Filter {
    let mut builder = Builder::new(1, [3; 16]);
    for list in 0..LISTS {
        let index = builder.list(&format!("list{list}"), Role::Block, "");
        for name in 0..NAMES_A_LIST {
            builder.add(index, &listed(list, name), Scope::Suffix);
        }
    }
    builder.policy(Policy { groups, ..Policy::default() });
    let snapshot = builder.build(None).expect("the snapshot builds");
    let snapshot = Snapshot::open(snapshot.into(), &[]).expect("the snapshot opens");
    let mut filter = Filter::new(br#"{"events": false}"#, "bench".into()).expect("a configuration");
    filter.set_snapshot(snapshot).expect("a good snapshot");
    filter
}

fn listed(list: usize, name: usize) -> Name {
    Name::parse(&format!("n{name}.of{list}.example")).expect("a name")
}

/// Nets of 250 clients each.
fn groups() -> Vec<Group> {
    let group = |number: u16| Group {
        name: format!("group{number}"),
        clients: vec![format!("10.{}.{}.0/24", number / 250, number % 250).parse().expect("a net")],
        use_lists: (0..LISTS)
            .filter(|list| (list + usize::from(number)) % 2 == 0)
            .map(|list| format!("list{list}"))
            .collect(),
        models: Mode::Off,
        ..Group::default()
    };
    (0..GROUPS).map(group).collect()
}

/// Half of the names are listed, somewhere.
fn question(number: usize) -> Vec<u8> {
    let (list, name) = (number % LISTS, number / LISTS % (2 * NAMES_A_LIST));
    let mut wire = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend(Name::parse(&format!("www.n{name}.of{list}.example")).expect("a name").to_wire());
    wire.extend([0, 1, 0, 1]);
    wire
}

/// Asks all; how many were stopped.
fn ask(filter: &mut Filter, asked: &[(Vec<u8>, IpAddr)]) -> usize {
    let (mut host, identity) = (Quiet, Identity::default());
    let mut stopped = 0;
    for (wire, client) in asked {
        let asked = Asked { wire, client: *client, identity: &identity, door: "udp" };
        let outcome = filter.ask(&mut host, Ticket(1), asked);
        stopped += usize::from(matches!(outcome, Outcome::Answer(_)));
        filter.end(&mut host, Ticket(1));
    }
    stopped
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() {
    let one = Group { models: Mode::Off, ..Group::default() };
    let mut filters = [filter(vec![one]), filter(groups())];
    println!("{:<28}{:>14}{:>14}{:>8}", "ns a question, CPU", "1 group", "1,000 groups", "ratio");
    for (what, names, clients) in [
        ("the cascade each time", [400_000; 2], 250_000),
        ("a verdict kept", [50; 2], 200),
        ("as many verdicts kept", [10_000, 50], 200),
    ] {
        let asked = names.map(|names| -> Vec<(Vec<u8>, IpAddr)> {
            let question = |number: usize| {
                // Clients of all groups in turns.
                let client = number.wrapping_mul(7_919) % clients;
                let (group, host) = (client % usize::from(GROUPS), client / usize::from(GROUPS));
                let client = Ipv4Addr::new(10, (group / 250) as u8, (group % 250) as u8, host as u8);
                (question(number.wrapping_mul(104_729) % names), client.into())
            };
            (0..400_000usize).map(question).collect()
        });
        let mut best = [f64::INFINITY; 2];
        let mut stopped = [0; 2];
        for _ in 0..ROUNDS {
            let results = best.iter_mut().zip(&mut stopped);
            for ((filter, asked), (best, stopped)) in filters.iter_mut().zip(&asked).zip(results) {
                let start = cpu();
                *stopped = ask(filter, asked);
                *best = best.min((cpu() - start).as_nanos() as f64 / asked.len() as f64);
            }
        }
        println!(
            "{what:<28}{:>14.0}{:>14.0}{:>8.3}    ({stopped:?} stopped)",
            best[0],
            best[1],
            best[1] / best[0]
        );
    }
}
