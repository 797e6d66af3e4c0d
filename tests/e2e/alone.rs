//! Each runtime decides by itself; with a plugin that passes everything, nothing is blocked anywhere.

use dnsvet_tests::client::{Door, Reply};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};
use dnsvet_tests::upstream::ADDRESS;
use xtask::workspace;

#[test]
fn envoy_blocks_with_the_resolver_and_the_control_plane_gone() {
    let mut draw = Draw::new("alone");
    let blocked: Vec<String> = (0..20).map(|_| draw.domain()).collect();
    let mut rig = Rig::start(Plan { blocked: blocked.clone(), ..Plan::new("alone") });
    let client = rig.client();
    rig.serve = None;
    rig.scorer = None;
    for (name, reply) in blocked.iter().zip(client.ask_all(Door::Envoy, &blocked)) {
        assert_eq!(reply.rcode(), Some(3), "{name}: {reply:?}");
    }
    let other = client.ask(Door::Envoy, &draw.plain_domain());
    assert!(matches!(other, Reply::Status(502..=504)), "nobody is left to forward to: {other:?}");
}

#[test]
fn a_plugin_that_passes_everything_blocks_nothing_at_any_door() {
    let mut draw = Draw::new("allow all");
    let blocked: Vec<String> = (0..20).map(|_| draw.domain()).collect();
    let rig = Rig::start(Plan {
        blocked: blocked.clone(),
        plugin: Some(workspace::allow_all_plugin()),
        ..Plan::new("allow-all")
    });
    let client = rig.client();
    for door in Door::ALL {
        for (name, reply) in blocked.iter().zip(client.ask_all(door, &blocked)) {
            assert_eq!(reply.addresses(), [ADDRESS], "{door:?} {name}");
        }
    }
}
