//! A long list reaches both runtimes and blocks there.

use dnsvet_tests::client::Door;
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};

/// Names of the list; a million with `cargo xtask test --long`.
fn length() -> usize {
    if std::env::var_os("DNSVET_LONG").is_some() { 1_000_000 } else { 100_000 }
}

#[test]
fn a_long_list_is_served_to_both_runtimes_and_blocks() {
    let mut draw = Draw::new("long list");
    let blocked: Vec<String> = (0..length()).map(|_| draw.machine_domain()).collect();
    let sample: Vec<String> = (0..500).map(|_| draw.pick(&blocked).clone()).collect();
    let rig = Rig::start(Plan { blocked, ..Plan::new("list") });
    let client = rig.client();
    for door in Door::MAIN {
        for (name, reply) in sample.iter().zip(client.ask_all(door, &sample)) {
            assert_eq!(reply.rcode(), Some(3), "{door:?} {name}");
        }
    }
    assert!(sample.iter().all(|name| !rig.upstream.asked().contains_key(name)));
}
