//! The control plane is away: Envoy's filter goes on with its snapshot and keeps its events.

use std::time::Duration;

use dnsvet_tests::client::{Door, Reply};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, eventually};

#[test]
fn events_come_in_after_the_control_plane_is_back_and_none_is_lost() {
    let mut draw = Draw::new("control away");
    let blocked: Vec<String> = (0..50).map(|_| draw.domain()).collect();
    let mut rig = Rig::start(Plan { blocked: blocked.clone(), ..Plan::new("control") });
    let client = rig.client();
    let mark = draw.label(12);
    let names: Vec<String> = (0..400).map(|_| format!("{mark}.{}", draw.pick(&blocked))).collect();
    let (before, while_away) = names.split_at(100);
    client.ask_all(Door::Envoy, before);
    rig.serve = None;
    for (name, reply) in while_away.iter().zip(client.ask_all(Door::Envoy, while_away)) {
        assert_eq!(reply.rcode(), Some(3), "{name}: {reply:?}");
    }
    rig.serve = Some(rig.options.start_serve().unwrap_or_else(|error| panic!("{error}")));
    let items = rig.api().queries_at_least(&format!("name={mark}"), names.len());
    assert_eq!(items.len(), names.len(), "each question is one event");
    let allowed = draw.plain_domain();
    rig.dnsvet(&["vet", &allowed, "benign"]);
    let passes = || matches!(client.ask(Door::Envoy, &allowed), Reply::Message(_));
    assert!(eventually(Duration::from_secs(10), passes).is_some(), "names are forwarded again");
}

#[test]
fn what_a_full_spool_drops_is_counted() {
    let mut draw = Draw::new("spool");
    let blocked: Vec<String> = (0..5).map(|_| draw.domain()).collect();
    let mut rig = Rig::start(Plan { blocked: blocked.clone(), envoy: false, ..Plan::new("spool") });
    rig.options.plugin_keys.push(("spool_events".into(), "10".into()));
    rig.start_envoy().unwrap_or_else(|error| panic!("{error}"));
    let client = rig.client();
    rig.serve = None;
    let mark = draw.label(12);
    let names: Vec<String> = (0..200).map(|_| format!("{mark}.{}", draw.pick(&blocked))).collect();
    client.ask_all(Door::Envoy, &names);
    rig.serve = Some(rig.options.start_serve().unwrap_or_else(|error| panic!("{error}")));
    let stored = rig.api().queries_at_least(&format!("name={mark}"), 10).len();
    let dropped = rig.envoy_metric("dnsvet_filter_events_dropped_total");
    assert!(dropped > 0.0, "more came than the spool holds");
    assert_eq!(stored as f64 + dropped, names.len() as f64, "{stored} stored, {dropped} dropped");
}
