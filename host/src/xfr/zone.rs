//! A zone in memory: one SOA, and records in the order of their bytes.
//!
//! A record's key is its owner, its type and its data in one run of bytes, so a zone of millions of names
//! stays small, and its text is the same however the records came.

use std::collections::BTreeMap;

use dnsvet_core::name::Name;

use super::Serial;
use super::message::types;

/// One record of class IN, borrowed. Names are uncompressed and lower-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The owner name, wire form.
    pub owner: &'a [u8],
    /// The type.
    pub rtype: u16,
    /// The TTL, seconds.
    pub ttl_s: u32,
    /// The data, wire form.
    pub data: &'a [u8],
}

/// One record of class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Owner, type, data.
    pub key: Box<[u8]>,
    /// Seconds.
    pub ttl_s: u32,
}

impl Record {
    /// A record of parts that are in wire form: `owner` ends with the root label.
    pub fn new(owner: &[u8], rtype: u16, ttl_s: u32, data: &[u8]) -> Self {
        let mut key = Vec::with_capacity(owner.len() + 2 + data.len());
        key.extend_from_slice(owner);
        key.extend_from_slice(&rtype.to_be_bytes());
        key.extend_from_slice(data);
        Self { key: key.into(), ttl_s }
    }

    pub fn view(&self) -> RecordRef<'_> {
        view(&self.key, self.ttl_s)
    }
}

fn view(key: &[u8], ttl_s: u32) -> RecordRef<'_> {
    let (owner, rest) = key.split_at_checked(name_end(key)).unwrap_or((key, &[]));
    let (rtype, data) =
        rest.split_first_chunk().map_or((0, rest), |(t, data)| (u16::from_be_bytes(*t), data));
    RecordRef { owner, rtype, ttl_s, data }
}

/// The length of the uncompressed name at the start, its root label included.
pub(super) fn name_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(0) => return at + 1,
            Some(&length) => at += 1 + usize::from(length),
        }
    }
}

/// Whether an uncompressed lower-case name is `apex` or lies below it.
pub(super) fn is_within(mut name: &[u8], apex: &[u8]) -> bool {
    while name.len() > apex.len() {
        let step = 1 + usize::from(name.first().copied().unwrap_or(0));
        name = name.get(step..).unwrap_or_default();
    }
    name == apex
}

/// The SOA record's fields (RFC 1035 section 3.3.13). Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// The primary's name, wire form.
    pub mname: Vec<u8>,
    /// The mailbox of whoever is responsible, wire form.
    pub rname: Vec<u8>,
    /// The version.
    pub serial: Serial,
    /// When to ask for a newer version.
    pub refresh_s: u32,
    /// When to ask again after a failure.
    pub retry_s: u32,
    /// When a copy is no longer good.
    pub expire_s: u32,
    /// The TTL of negative answers (RFC 2308).
    pub minimum_s: u32,
    /// The TTL of the record itself.
    pub ttl_s: u32,
}

impl Soa {
    /// Reads uncompressed data; `None` if it is not the data of an SOA record.
    pub(super) fn decode(ttl_s: u32, data: &[u8]) -> Option<Self> {
        let (mname, rest) = data.split_at_checked(name_end(data))?;
        let (rname, numbers) = rest.split_at_checked(name_end(rest))?;
        if mname.last() != Some(&0) || rname.last() != Some(&0) || numbers.len() != 20 {
            return None;
        }
        let mut numbers = numbers.as_chunks().0.iter().map(|number| u32::from_be_bytes(*number));
        let mut next = || numbers.next();
        Some(Self {
            mname: mname.to_vec(),
            rname: rname.to_vec(),
            serial: Serial(next()?),
            refresh_s: next()?,
            retry_s: next()?,
            expire_s: next()?,
            minimum_s: next()?,
            ttl_s,
        })
    }

    /// The record at `apex`.
    pub(super) fn record(&self, apex: &[u8]) -> Record {
        let mut data = [self.mname.as_slice(), &self.rname].concat();
        for number in [self.serial.0, self.refresh_s, self.retry_s, self.expire_s, self.minimum_s] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        Record::new(apex, types::SOA, self.ttl_s, &data)
    }
}

/// A zone: its name, its SOA, its other records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    origin: Name,
    apex: Vec<u8>,
    soa: Soa,
    records: BTreeMap<Box<[u8]>, u32>,
}

impl Zone {
    /// A zone without records but its SOA.
    pub(super) fn new(origin: Name, soa: Soa) -> Self {
        let apex = origin.to_wire();
        Self { origin, apex, soa, records: BTreeMap::new() }
    }

    /// Its name.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Its name in wire form.
    pub(super) fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// Its SOA: version, and when to refresh, retry and give up.
    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// Its version.
    pub fn serial(&self) -> Serial {
        self.soa.serial
    }

    /// How many records it has, the SOA left out.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the SOA is all there is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Its records in order, the SOA left out.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> + Send {
        self.records.iter().map(|(key, ttl_s)| view(key, *ttl_s))
    }

    pub(super) fn set_soa(&mut self, soa: Soa) {
        self.soa = soa;
    }

    /// Adds a record that lies in the zone and is no SOA; false if it is there already, whose TTL stays.
    pub(super) fn add(&mut self, record: Record) -> bool {
        match self.records.entry(record.key) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(record.ttl_s);
                true
            }
        }
    }

    /// Takes a record out, whatever its TTL; false if it is not there.
    pub(super) fn remove(&mut self, record: &Record) -> bool {
        self.records.remove(&record.key).is_some()
    }

    /// What must be taken out of this zone and put in to get `newer`; both in order. A record whose TTL differs
    /// is in both.
    pub(super) fn difference(&self, newer: &Zone) -> (Vec<Record>, Vec<Record>) {
        let only_in = |one: &Zone, other: &Zone| {
            let records = one.records.iter().filter(|(key, ttl_s)| other.records.get(*key) != Some(ttl_s));
            records.map(|(key, ttl_s)| Record { key: key.clone(), ttl_s: *ttl_s }).collect()
        };
        (only_in(self, newer), only_in(newer, self))
    }
}
