//! The scorer is stopped, slow or answers garbage: the failure mode answers soon after the 50 ms timeout.

use std::time::{Duration, Instant};

use dnsvet_tests::client::Door;
use dnsvet_tests::rig::{Plan, Rig};
use dnsvet_tests::scorer::{Manner, false_scorer, uncertain};

/// The timeout is 50 ms; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1_000);
const FAILURES: &str = "dnsvet_filter_callout_failures_total";

fn failures(rig: &Rig) -> f64 {
    rig.api().metric(FAILURES) + rig.envoy_metric(FAILURES)
}

fn answered_soon(rig: &Rig, names: &[String], rcode: u16, what: &str) {
    let (client, doors) = (rig.client(), [Door::Udp, Door::Envoy]);
    let before = failures(rig);
    for door in doors {
        for name in names {
            let start = Instant::now();
            let reply = client.ask(door, name);
            let took = start.elapsed();
            assert_eq!(reply.rcode(), Some(rcode), "{what}, {door:?}, {name}: {reply:?}");
            assert!(took < SOON, "{what}, {door:?}, {name}: answered after {took:?}");
        }
    }
    let counted = (failures(rig) - before) as usize;
    assert_eq!(counted, doors.len() * names.len(), "{what}: each is counted as {FAILURES}");
}

fn every_fault(rig: &mut Rig, rcode: u16) {
    let names = uncertain(rig, 30);
    let port = rig.options.ports.scorer;
    rig.scorer = None;
    answered_soon(rig, &names[..10], rcode, "scorer stopped");
    {
        let _slow = false_scorer(port, Manner::Slow);
        answered_soon(rig, &names[10..20], rcode, "scorer slow");
    }
    let _garbage = false_scorer(port, Manner::Garbage);
    answered_soon(rig, &names[20..], rcode, "scorer answers garbage");
}

#[test]
fn names_pass_when_the_scorer_fails_and_the_failure_mode_is_allow() {
    let mut rig = Rig::start(Plan::new("scorer-allow"));
    every_fault(&mut rig, 0);
}

#[test]
fn names_do_not_pass_when_the_scorer_fails_and_the_failure_mode_is_deny() {
    let plan = Plan { group: "failure_mode = \"deny\"".into(), ..Plan::new("scorer-deny") };
    let mut rig = Rig::start(plan);
    // REFUSED, with an extended error that says that nothing was decided on the name itself.
    every_fault(&mut rig, 5);
}
