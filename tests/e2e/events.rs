//! Each question is one event, with what a person wants to know of it.

use std::collections::BTreeMap;

use dnsvet_tests::client::Door;
use dnsvet_tests::names::Draw;

use crate::line::rig;

#[test]
fn as_many_events_are_stored_as_questions_were_sent() {
    let (rig, listed) = rig();
    let (client, api) = (rig.client(), rig.api());
    let mut draw = Draw::new("events");
    // A label that marks the names of this test.
    let mark = draw.label(12);
    let mut sent = BTreeMap::new();
    for door in Door::MAIN {
        let count = 150 + draw.below(100);
        let name = |draw: &mut Draw| match draw.below(3) {
            0 => format!("{mark}.{}", draw.pick(listed)),
            1 => format!("{mark}.{}", draw.plain_domain()),
            _ => format!("{mark}.{}", draw.machine_domain()),
        };
        let mut names: Vec<String> = (0..count).map(|_| name(&mut draw)).collect();
        // The same question again is another event, cached or not.
        names.extend(names.clone());
        client.ask_all(door, &names);
        sent.insert(door.event_name(), names.len());
    }
    let total: usize = sent.values().sum();
    let items = api.queries_at_least(&format!("name={mark}"), total);
    let mut stored = BTreeMap::new();
    for item in &items {
        *stored.entry(item["door"].as_str().expect("a door")).or_insert(0) += 1;
        assert_eq!(item["client"], "127.0.0.1", "{item}");
        assert!(item["time_ms"].as_u64().is_some_and(|time| time > 1_600_000_000_000), "{item}");
        assert!(item["verdict"]["action"].is_string(), "{item}");
        let listed = listed.iter().any(|name| item["name"].as_str().is_some_and(|full| full.ends_with(name)));
        if listed {
            assert_eq!(item["verdict"]["reasons"][0], "list", "{item}");
        } else {
            assert!(item["score"].is_number(), "{item}");
        }
    }
    assert_eq!(stored, sent, "events by door");
}
