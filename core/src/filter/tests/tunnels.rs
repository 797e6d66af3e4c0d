//! What a client, or all of them, ask below one registrable domain in a minute: tunnels by names and by bytes, floods,
//! and traffic that is neither.

use super::models::{ask, kinds, scorer_says, with_model};
use super::*;
use crate::model::tunnel::FLOOD_NAMES_PER_MINUTE;

/// How many of these names, asked by one client at once, were answered before the first was stopped as a tunnel's.
fn passed(filter: &mut Filter, names: impl Iterator<Item = String>) -> Option<usize> {
    let host = &mut Scripted { now_ms: 60_000_000, ..Scripted::default() };
    let stopped = (Action::Nxdomain, Some(Reason::Tunnel));
    names.map(|name| decided(&verdict(filter, host, &name))).position(|decided| decided == stopped)
}

/// Digits that differ for each number and place.
fn digits(number: usize, many: usize, alphabet: &[u8]) -> String {
    let mut state = number as u64 + 1;
    let digit = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(alphabet[(state >> 33) as usize % alphabet.len()])
    };
    (0..many).map(digit).collect()
}

const HEX: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

#[test]
fn a_few_long_names_make_a_tunnel_as_many_short_ones_do() {
    let long = |number: usize| {
        let label = |part: usize| digits(number * 3 + part, 60, BASE32);
        format!("{}.{}.{}.exfil.net", label(0), label(1), label(2))
    };
    let after = passed(&mut filter(&mut builder(), policy(|_| {})), (0..300).map(long)).unwrap();
    assert!((55..=95).contains(&after), "{after} names of 112 bytes");

    let short = |number: usize| format!("{}.exfil.net", digits(number, 8, HEX));
    let after = passed(&mut filter(&mut builder(), policy(|_| {})), (0..300).map(short)).unwrap();
    assert!((170..=230).contains(&after), "{after} names of 4 bytes");

    let few = policy(|group| group.tunnel_bytes_per_minute = 1_000);
    let after = passed(&mut filter(&mut builder(), few), (0..300).map(long)).unwrap();
    assert!((7..=10).contains(&after), "{after} names at a limit of 1,000 bytes");

    // Who switched the limit on names off has none on bytes.
    let off = policy(|group| group.tunnel_names_per_minute = 1_421);
    assert_eq!(passed(&mut filter(&mut builder(), off), (0..300).map(long)), None);
}

#[test]
fn a_minute_of_content_networks_and_anti_virus_programs_is_no_tunnel() {
    // As many as a page full of pictures, a scan of a disk, or a busy mail filter asks in a minute.
    let pictures = |n: usize| format!("rr{}---sn-{}.video-network.net", n % 9, digits(n, 8, BASE32));
    let customers = |n: usize| format!("{}-assets-{}.eu-west-1.cdn-edge.net", digits(n, 20, HEX), n);
    let files = |n: usize| format!("{}.avqs.av-vendor.com", digits(n, 32, HEX));
    let reputation =
        |n: usize| format!("0.0.0.0.1.0.0.{:02x}.{}.avts.av-vendor.com", n % 256, digits(n, 26, BASE32));
    let hashes = |n: usize| format!("{}.hash.av-vendor.com", digits(n, 40, HEX));
    let addresses = |n: usize| format!("{}.{}.77.246.zen.blocklist.org", n % 250, n % 199);
    let machines = |n: usize| {
        let part = |at: usize, many: usize| digits(n * 5 + at, many, HEX);
        format!(
            "{}-{}-{}-{}-{}.app.cloud-host.net",
            part(0, 8),
            part(1, 4),
            part(2, 4),
            part(3, 4),
            part(4, 12)
        )
    };
    let all: [&dyn Fn(usize) -> String; 7] =
        [&pictures, &customers, &files, &reputation, &hashes, &addresses, &machines];
    for of in all {
        let after = passed(&mut filter(&mut builder(), policy(|_| {})), (0..150).map(of));
        assert_eq!(after, None, "{}", of(1));
    }
}

#[test]
fn a_flood_of_many_clients_is_told_and_asks_the_scorer_no_more() {
    let kinds = kinds();
    let zone = kinds.open.iter().find(|name| Name::parse(name).unwrap().label_count() == 2).unwrap();
    let mut filter = with_model("x.example", policy(|_| {}));
    let mut host = Scripted { now_ms: 60_000_000, ..Scripted::default() };
    let mut asked = |filter: &mut Filter, number: u32, text: &str, client: u32| {
        let wire = question(text, rtype::A);
        let client = IpAddr::from(client.to_be_bytes());
        let asked = Asked { wire: &wire, client, identity: &Identity::default(), door: "udp" };
        // Slow enough for every bucket of the budget to fill again.
        host.now_ms += 30;
        let outcome = filter.ask(&mut host, Ticket(number), asked);
        if outcome == Outcome::Wait {
            let calls = host.callouts.len() as u32;
            filter.on_reply(&mut host, CalloutId(calls - 1), &scorer_says(text, "uncertain", 0.5));
        }
        filter.end(&mut host, Ticket(number));
        (outcome == Outcome::Wait, filter.spool.take().unwrap().verdict)
    };
    let said = |verdict: &Verdict, word: &str| verdict.trace.iter().any(|line| line.said.starts_with(word));
    let (mut calls_before, mut first) = (0, None);
    for number in 0..1_900u32 {
        let text = format!("{}.{zone}", digits(number as usize, 10, BASE32));
        let (called, verdict) = asked(&mut filter, number, &text, 0x0A00_0000 + number);
        if said(&verdict, "flood: more than") {
            first = first.or(Some(number));
            assert!(!called, "{text}");
            assert_ne!(verdict.reason(), Some(Reason::Tunnel));
        } else {
            calls_before += usize::from(called);
        }
    }
    let first = first.expect("the flood is never told");
    assert!((850..=1_150).contains(&first), "told after {first}, not {FLOOD_NAMES_PER_MINUTE}");
    assert!(calls_before > 0, "no callout before it either");
    let (_, elsewhere) = asked(&mut filter, 5_000, "www.elsewhere.net", 7);
    assert!(!said(&elsewhere, "flood"), "{elsewhere:?}");
}

#[test]
fn below_a_popular_name_nothing_is_a_tunnel_or_a_flood() {
    let mut filter = with_model("popular-cdn.net", policy(|_| {}));
    let long = |n: usize| format!("{}.{}.popular-cdn.net", digits(n, 60, HEX), digits(n + 9_999, 60, HEX));
    assert_eq!(passed(&mut filter, (0..400).map(long)), None);
    let host = &mut Scripted { now_ms: 90_000_000, ..Scripted::default() };
    assert_eq!(ask(&mut filter, host, 1, "www.popular-cdn.net"), Outcome::Pass);
}
