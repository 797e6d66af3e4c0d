//! Names drawn when the test runs, through every door, against an upstream that counts.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use dnsvet_tests::api::canonical_trace;
use dnsvet_tests::client::{Door, Reply};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, eventually};
use dnsvet_tests::upstream::ADDRESS;
use serde_json::Value;

/// Names that the rig of this file blocks by its list.
const LISTED: usize = 200;

/// One rig for the tests of this file, one test at a time: they count what went by.
pub fn rig() -> (MutexGuard<'static, Rig>, &'static [String]) {
    static SHARED: OnceLock<(Mutex<Rig>, Vec<String>)> = OnceLock::new();
    let (rig, listed) = SHARED.get_or_init(|| {
        let mut draw = Draw::new("list");
        let listed: Vec<String> = (0..LISTED).map(|_| draw.domain()).collect();
        (Mutex::new(Rig::start(Plan { blocked: listed.clone(), ..Plan::new("line") })), listed)
    });
    (rig.lock().unwrap_or_else(std::sync::PoisonError::into_inner), listed)
}

fn action(item: &Value) -> &str {
    item["verdict"]["action"].as_str().expect("an action")
}

#[test]
fn every_door_answers_as_decided_and_the_upstream_sees_no_blocked_name() {
    let (rig, listed) = rig();
    let mut draw = Draw::new("every door");
    let client = rig.client();
    for door in Door::ALL {
        // Other names at each door, so that no cache answers for another.
        let mut names: Vec<String> = (0..120).map(|_| draw.domain()).collect();
        for _ in 0..60 {
            let name = draw.pick(listed).clone();
            let sub = format!("{}.{name}", draw.label(8));
            names.extend([name, sub]);
        }
        let names: Vec<String> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let expected = rig.check(&names);
        let cased: Vec<String> = names.iter().map(|name| draw.mixed_case(name)).collect();
        let replies = client.ask_all(door, &cased);
        let asked = rig.upstream.asked();
        let (mut allowed, mut blocked) = (0, 0);
        for ((name, check), reply) in names.iter().zip(&expected).zip(&replies) {
            let seen = asked.get(name).copied().unwrap_or(0);
            if action(check) == "allow" {
                allowed += 1;
                assert!(matches!(reply, Reply::Message(_)), "{door:?} {name}: {reply:?}");
                assert_eq!(reply.addresses(), [ADDRESS], "{door:?} {name}: {check}");
                assert!(seen > 0, "{door:?} {name} was allowed, yet the upstream did not see it");
            } else {
                blocked += 1;
                assert_eq!(reply.rcode(), Some(3), "{door:?} {name}: {reply:?}, {check}");
                assert_eq!(seen, 0, "{door:?} {name} was blocked, yet the upstream saw it");
            }
        }
        assert!(allowed >= 20 && blocked >= 100, "{door:?}: {allowed} allowed, {blocked} blocked");
    }
}

#[test]
fn the_question_is_echoed_in_its_own_case() {
    let (rig, listed) = rig();
    let client = rig.client();
    let mut draw = Draw::new("case");
    for door in Door::ALL {
        for name in [draw.pick(listed).clone(), draw.plain_domain()] {
            let cased = draw.mixed_case(&name);
            let message = client.ask(door, &cased).message();
            let echoed = message.queries[0].name().to_ascii();
            assert_eq!(echoed.trim_end_matches('.'), cased, "{door:?}");
        }
    }
}

#[test]
fn the_trace_of_a_question_is_the_same_natively_in_wasmtime_and_in_envoy() {
    let (rig, listed) = rig();
    let (client, api) = (rig.client(), rig.api());
    let mut draw = Draw::new("traces");
    let mut names: Vec<String> = (0..40).map(|_| draw.domain()).collect();
    names.extend((0..5).map(|_| format!("{}.{}", draw.label(5), draw.pick(listed))));
    names.extend(["localhost".into(), "printer.local".into(), "_sip._tcp.example.com".into()]);
    let checks = rig.check(&names);
    for door in [Door::Udp, Door::Envoy] {
        client.ask_all(door, &names);
    }
    let mut compared = 0;
    for (name, check) in names.iter().zip(&checks) {
        let native = canonical_trace(check);
        let items = {
            let filter = format!("name={name}");
            eventually(Duration::from_secs(10), || api.queries(&filter).len() >= 2);
            api.queries(&filter)
        };
        for door in ["udp", "envoy"] {
            let of_door = |item: &&Value| item["door"] == door && item["name"] == name.as_str();
            let item = items.iter().find(of_door).unwrap_or_else(|| panic!("no event of {name} at {door}"));
            assert_eq!(canonical_trace(item), native, "{name} at {door}");
            assert_eq!(item["verdict"]["action"], check["verdict"]["action"], "{name} at {door}");
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * names.len());
}
