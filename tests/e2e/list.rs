//! A million listed names reach both runtimes, block there, and take little of a filter's memory.

use std::process::Command;

use dnsvet_tests::client::Door;
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, WORKERS};
use xtask::{shell, workspace};

const NAMES: usize = 1_000_000;
/// Of a filter's memory, for each listed name.
const MOST_BYTES: f64 = 8.0;
const MEMORY: &str = "dnsvet_resolver_plugin_memory_bytes";

/// Real names where the test data is, else as many that are drawn.
fn million(draw: &mut Draw) -> Vec<String> {
    let path = workspace::test_data().join("blocklist-1m.txt.gz");
    if !path.is_file() {
        println!("{} is not there: the names are drawn", path.display());
        return (0..NAMES).map(|_| draw.machine_domain()).collect();
    }
    let text = shell::output(Command::new("zcat").arg(&path)).unwrap_or_else(|error| panic!("{error}"));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_million_names_are_served_to_both_runtimes_and_block_at_8_bytes_of_memory_a_name() {
    let mut draw = Draw::new("long list");
    let blocked = million(&mut draw);
    assert_eq!(blocked.len(), NAMES);
    let sample: Vec<String> = (0..500).map(|_| draw.pick(&blocked).clone()).collect();
    let without = {
        let rig = Rig::start(Plan { envoy: false, scorer: false, ..Plan::new("no-list") });
        memory(&rig)
    };
    let rig = Rig::start(Plan { blocked, scorer: false, ..Plan::new("list") });
    let each = (memory(&rig) - without) / NAMES as f64;
    println!("a filter's memory: {each:.2} bytes a name above the {without} bytes without a list");
    assert!(each <= MOST_BYTES, "{each:.2} bytes of wasm memory a name");
    let client = rig.client();
    for door in Door::MAIN {
        for (name, reply) in sample.iter().zip(client.ask_all(door, &sample)) {
            assert_eq!(reply.rcode(), Some(3), "{door:?} {name}");
        }
        for name in &sample[..50] {
            let below = format!("www.{name}");
            assert_eq!(client.ask(door, &below).rcode(), Some(3), "{door:?} {below}");
        }
    }
    assert!(sample.iter().all(|name| !rig.upstream.asked().contains_key(name)));
}

/// Linear memory of one filter of the resolver, bytes, once it has its snapshot.
fn memory(rig: &Rig) -> f64 {
    let api = rig.api();
    let loaded = || api.metric("dnsvet_filter_snapshots_loaded_total") >= WORKERS as f64;
    let patience = std::time::Duration::from_secs(30);
    assert!(dnsvet_tests::rig::eventually(patience, loaded).is_some(), "every filter has a snapshot");
    // It is written down at each tick.
    std::thread::sleep(std::time::Duration::from_secs(2));
    api.metric(MEMORY) / WORKERS as f64
}
