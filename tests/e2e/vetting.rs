//! A person's decision is in force in both runtimes within two seconds.

use std::net::Ipv4Addr;
use std::time::Duration;

use dnsvet_tests::client::{Client, Door, Reply};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::eventually;
use dnsvet_tests::upstream::ADDRESS;
use serde_json::json;

use crate::line::rig;

const WITHIN: Duration = Duration::from_secs(2);

fn in_force(client: &Client, name: &str, what: &str, holds: impl Fn(&Reply) -> bool) {
    for door in Door::MAIN {
        let took = eventually(WITHIN, || holds(&client.ask(door, name)));
        assert!(took.is_some(), "{what} is not in force at {door:?} within {WITHIN:?}");
    }
}

#[test]
fn a_decision_changes_the_answer_at_every_door_and_takes_its_subdomains_along() {
    let (rig, _) = rig();
    let (client, api) = (rig.client(), rig.api());
    let mut draw = Draw::new("vetting");
    let name = draw.plain_domain();
    let below = format!("{}.{name}", draw.label(6));
    let allowed = |reply: &Reply| matches!(reply, Reply::Message(_)) && reply.addresses() == [ADDRESS];
    let honeypot = |reply: &Reply| {
        matches!(reply, Reply::Message(_)) && reply.addresses() == [Ipv4Addr::new(127, 0, 0, 53)]
    };

    let decide = |decision: &str| {
        let answer =
            api.post("/api/v1/vetting", &json!({"name": name, "decision": decision, "scope": "suffix"}));
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    decide("malicious");
    in_force(&client, &name, "malicious", |reply| reply.rcode() == Some(3));
    in_force(&client, &below, "malicious above", |reply| reply.rcode() == Some(3));
    decide("honeypot");
    in_force(&client, &name, "honeypot", honeypot);
    decide("benign");
    in_force(&client, &name, "benign", allowed);
    in_force(&client, &below, "benign above", allowed);
}

#[test]
fn the_command_decides_without_a_password_and_a_benign_decision_beats_the_list() {
    let (rig, listed) = rig();
    let client = rig.client();
    let name = Draw::new("vet").pick(listed).clone();
    assert_eq!(client.ask(Door::Udp, &name).rcode(), Some(3));
    rig.dnsvet(&["vet", &name, "benign"]);
    in_force(&client, &name, "benign", |reply| reply.rcode() == Some(0));
    rig.dnsvet(&["vet", &name, "none"]);
    in_force(&client, &name, "no decision", |reply| reply.rcode() == Some(3));
}
