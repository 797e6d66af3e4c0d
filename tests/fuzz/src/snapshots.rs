//! Snapshots: what no reader may choke on, whatever their maker did.

use std::net::IpAddr;

use bytes::Bytes;
use dnsvet_core::filter::{Asked, Filter, Outcome, Ticket};
use dnsvet_core::host::Scripted;
use dnsvet_core::message::decode_query;
use dnsvet_core::name::Name;
use dnsvet_core::policy::Policy;
use dnsvet_core::policy::groups::Groups;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::snapshot::{Change, Deltas, Snapshot};

use crate::messages::answers;
use crate::{fixtures, forge};

/// Names of the fixtures, and such as are in none.
const NAMES: [&str; 16] = [
    "",
    "example",
    "n4.ads.example",
    "a.one.ads.example",
    "good.ads.example",
    "typed.example",
    "own.example",
    "safe.example",
    "tcp.example",
    "x.below.example",
    "ad7.pattern.example",
    "x.vetted.example",
    "popular.top.example",
    "later5.example",
    "game.example",
    "g00gle.com",
];
const ADDRESSES: [&str; 4] = ["10.0.0.1", "10.0.0.9", "192.0.2.7", "2001:db8::1"];

/// A file as it is, and with hashes that hold.
pub(crate) fn snapshot(data: &[u8]) {
    let whole = Bytes::copy_from_slice(data);
    if let Ok(snapshot) = Snapshot::open(whole.clone(), &[]) {
        look_around(&snapshot);
        let mut deltas = Deltas::default();
        assert_eq!(deltas.serve(snapshot.id(), &whole), Ok(()));
        let _ = deltas.since(snapshot.serial());
    }
    if let Some(forged) = forge::read(data)
        && let Ok(snapshot) = Snapshot::open(forged.encode().into(), &[])
    {
        look_around(&snapshot);
    }
}

/// Sections with separators between them.
pub(crate) fn sections(data: &[u8]) {
    let forged = forge::split(data).encode();
    if let Ok(snapshot) = Snapshot::open(forged.into(), &[]) {
        look_around(&snapshot);
        decide(snapshot);
    }
}

/// A policy, in a snapshot that is sound otherwise.
pub(crate) fn policy(data: &[u8]) {
    let Ok(policy) = serde_json::from_slice::<Policy>(data) else { return };
    let Ok(written) = serde_json::to_vec(&policy) else { return };
    let again = serde_json::from_slice::<Policy>(&written).unwrap_or_else(|error| panic!("{error}"));
    // A share is read to the last digit but one.
    assert_eq!(Policy { prior: 0.5, ..again }, Policy { prior: 0.5, ..policy.clone() });
    let Some(mut forged) = forge::read(&fixtures::snapshot()) else { return };
    forged.replace(forge::POLICY, vec![data.to_vec()]);
    let snapshot = Snapshot::open(forged.encode().into(), &[]).unwrap_or_else(|error| panic!("{error}"));
    let groups = Groups::new(&policy, snapshot.lists());
    for group in &policy.groups {
        for now_ms in [0, 1_700_000_000_000, u64::MAX] {
            group.schedules.iter().for_each(|schedule| _ = schedule.holds(now_ms));
            let _ = policy.is_paused(&group.name, now_ms);
        }
        let identity = Identity {
            path_id: group.path_ids.first().cloned(),
            token: group.tokens.first().cloned(),
            sans: group.sans.clone(),
        };
        for address in ADDRESSES {
            let held = groups.of(ip(address), &identity);
            (0..70).for_each(|list| _ = (held.holds(list), held.holds_at(list, 5)));
        }
    }
    policy.clients.iter().for_each(|client| _ = policy.client_nets(&client.name).count());
    decide(snapshot);
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// Asks a snapshot all that it can be asked.
pub(crate) fn look_around(snapshot: &Snapshot) {
    let lists = snapshot.lists().len();
    let long = "a.".repeat(100);
    for name in NAMES.into_iter().chain([long.as_str(), "a\\046b.example"]) {
        let Ok(name) = Name::parse(name) else { continue };
        let found = snapshot.lookup(&name);
        assert!(found.iter().all(|found| usize::from(found.list) < lists), "{name}: {found:?}");
        assert!(snapshot.covers(&name));
        for found in &found {
            assert!(found.suffix().is_empty() || name.is_within(found.suffix()), "{name}: {found:?}");
            let _ = (found.by.key(), found.by.to_string());
        }
        let _ = (snapshot.is_listed(&name), snapshot.popularity(&name));
        if let Some(vetted) = snapshot.vetted(&name) {
            assert!(name.is_within(&vetted.name), "{name}: {vetted:?}");
        }
    }
    for address in ADDRESSES.map(ip) {
        let found = [snapshot.lookup_client(address), snapshot.lookup_address(address)].concat();
        assert!(found.iter().all(|found| usize::from(found.list) < lists), "{address}: {found:?}");
        let _ = snapshot.is_client_listed(address);
    }
    let sizes: u64 = snapshot.section_bytes().iter().map(|(_, bytes)| bytes).sum();
    assert!(sizes <= snapshot.total_bytes());
    assert!(snapshot.update_bytes(snapshot) <= snapshot.total_bytes());
    let _ = (snapshot.all_vetted().count(), snapshot.rule_count(), snapshot.name_count());
    let change = Change { without: vec![0, u16::MAX], beside: Some(snapshot.clone()), small_model: None };
    let _ = snapshot.changed(change).lookup(&Name::parse("n4.ads.example").unwrap_or_default());
}

/// Lets a filter decide with it.
fn decide(snapshot: Snapshot) {
    let mut filter = Filter::new(&[], "fuzz".into()).unwrap_or_else(|error| panic!("{error}"));
    if filter.set_snapshot(snapshot).is_err() {
        return;
    }
    let mut host = Scripted { now_ms: 1_700_000_000_000, ..Scripted::default() };
    for (number, name) in (0u32..).zip(NAMES) {
        let Ok(name) = Name::parse(name) else { continue };
        let qtype = [1u16, 28, 65, 255][number as usize % 4];
        let mut wire = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        wire.extend(name.to_wire());
        wire.extend([qtype.to_be_bytes(), [0, 1]].concat());
        let Ok(query) = decode_query(&wire) else { continue };
        let (ticket, identity) = (Ticket(number), Identity::default());
        let door = ["udp", "doh"][number as usize % 2];
        let client = ip(ADDRESSES[number as usize % ADDRESSES.len()]);
        let asked = Asked { wire: &wire, client, identity: &identity, door };
        match filter.ask(&mut host, ticket, asked) {
            Outcome::Answer(answered) => answers(&query, &answered.wire, door == "udp", door == "doh"),
            Outcome::PassAs(wire) => assert!(decode_query(&wire).is_ok()),
            _ => {}
        }
        filter.end(&mut host, ticket);
    }
}
