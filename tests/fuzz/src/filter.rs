//! The whole filter: questions, upstream's answers and the scorer's replies, all of them any bytes.

use std::net::IpAddr;
use std::sync::LazyLock;

use dnsvet_core::event::Event;
use dnsvet_core::filter::{Asked, Filter, Outcome, Ticket};
use dnsvet_core::host::{CalloutId, Peer, Reply, Scripted};
use dnsvet_core::message::{Query, decode_query};
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::snapshot::Snapshot;

use crate::fixtures;
use crate::input::Input;
use crate::messages::answers;

static SNAPSHOT: LazyLock<Snapshot> =
    LazyLock::new(|| Snapshot::open(fixtures::snapshot(), &[]).unwrap_or_else(|error| panic!("{error}")));

/// Questions of an input, at most.
const MOST_QUESTIONS: u32 = 8;

/// Questions in a row: a byte for door and client, query, answer and score, each behind its length.
pub(crate) fn filter(data: &[u8]) {
    let config = br#"{"scorer_cluster":"scorer"}"#;
    let mut filter = Filter::new(config, "fuzz".into()).unwrap_or_else(|error| panic!("{error}"));
    filter.set_snapshot(SNAPSHOT.clone()).unwrap_or_else(|error| panic!("{error}"));
    filter.set_models_mode(dnsvet_core::policy::Mode::Enforce);
    let mut host = Scripted { now_ms: 1_700_000_000_000, ..Scripted::default() };
    let mut input = Input::new(data);
    for ticket in (0..MOST_QUESTIONS).map(Ticket) {
        if input.is_empty() {
            return;
        }
        let how = input.byte();
        let (wire, answer, score) = (input.bytes(), input.bytes(), input.bytes());
        let door = ["udp", "tcp", "doh", "envoy"][usize::from(how & 3)];
        let client = IpAddr::from([10, how >> 4 & 1, 0, how >> 5]);
        let path_id = (how & 4 != 0).then(|| "0123456789abcdefghijkl".to_owned());
        let identity = Identity { path_id, ..Identity::default() };
        let query = decode_query(wire).ok();
        let mut outcome = filter.ask(&mut host, ticket, Asked { wire, client, identity: &identity, door });
        if outcome == Outcome::Wait {
            let id = CalloutId(host.callouts.len() as u32 - 1);
            assert!(host.callouts.last().is_some_and(|callout| callout.peer == Peer::Scorer));
            let status = if how & 8 != 0 { 503 } else { 200 };
            let reply = Reply { status, headers: Vec::new(), body: score.to_vec() };
            let mut settled = filter.on_reply(&mut host, id, &reply);
            assert_eq!(settled.len(), 1);
            outcome = settled.pop().map_or(Outcome::Wait, |(_, outcome)| outcome);
        }
        is_sound(&outcome, query.as_ref(), door);
        if filter.is_passed(ticket) {
            let answered = filter.answered(&mut host, ticket, answer);
            answered.iter().for_each(|outcome| is_sound(outcome, query.as_ref(), door));
        }
        assert!(filter.end(&mut host, ticket).is_empty() && !filter.is_passed(ticket));
        while let Some(event) = filter.spool().take() {
            let written = serde_json::to_vec(&event).unwrap_or_default();
            let read: Event = serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((&read.name, read.verdict.action), (&event.name, event.verdict.action));
        }
        host.now_ms += 1_000;
    }
}

fn is_sound(outcome: &Outcome, query: Option<&Query>, door: &str) {
    let encrypted = !matches!(door, "udp" | "tcp");
    match (outcome, query) {
        (Outcome::Answer(answered), Some(query)) => answers(query, &answered.wire, door == "udp", encrypted),
        (Outcome::Drop(Some(refusal)), Some(query)) => answers(query, refusal, door == "udp", encrypted),
        (Outcome::PassAs(wire), Some(_)) => assert!(decode_query(wire).is_ok()),
        (Outcome::Wait, _) => panic!("it waits for nothing"),
        (Outcome::Pass | Outcome::PassAs(_), None) => panic!("passed on, though it can't be decoded"),
        _ => {}
    }
}
