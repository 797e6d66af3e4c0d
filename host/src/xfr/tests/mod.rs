//! What holds for parts; whole exchanges with other people's servers are in the `dnsvet-tests` crate.

mod peers;
mod policy;
mod server;
mod signatures;
mod zones;

use dnsvet_core::name::Name;

use super::*;
use crate::xfr::message::types;
use crate::xfr::zone::Record;

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn wire(text: &str) -> Vec<u8> {
    name(text).to_wire()
}

pub(super) fn soa(serial: u32) -> Soa {
    Soa {
        mname: wire("ns.example"),
        rname: wire("admin.example"),
        serial: Serial(serial),
        refresh_s: 3600,
        retry_s: 600,
        expire_s: 604_800,
        minimum_s: 60,
        ttl_s: 300,
    }
}

/// A record `OWNER CNAME .` below `rpz.example`.
pub(super) fn block(owner: &str) -> Record {
    Record::new(&wire(&format!("{owner}.rpz.example")), types::CNAME, 60, &[0])
}

pub(super) fn zone(serial: u32, owners: &[&str]) -> Zone {
    let mut zone = Zone::new(name("rpz.example"), soa(serial));
    for owner in owners {
        assert!(zone.add(block(owner)));
    }
    zone
}

pub(super) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(super) const KEY: &str = "hmac-sha256:transfer.example:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
