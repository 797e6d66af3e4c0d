//! What an upstream answers, as far as the filter looks at it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{DecodeError, Reader, RecordHead};
use super::{Header, MAX_MESSAGE_BYTES, flag, rtype};
use crate::name::Name;

/// The class of the Internet.
const INTERNET: u16 = 1;

/// A response's code and answer section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code, the OPT record's upper bits included (RFC 6891 section 6.1.3).
    pub rcode: u16,
    /// TC: the answer was cut.
    pub truncated: bool,
    /// The answer section.
    pub records: Vec<Record>,
}

/// A record of the answer section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub owner: Name,
    /// Its type.
    pub rtype: u16,
    /// Its class; 1 is the Internet.
    pub class: u16,
    /// Seconds for which it may be cached.
    pub ttl: u32,
    /// Its data, where somebody looks at it.
    pub data: Data,
}

/// Data that somebody here looks at: response triggers, names of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME: its target.
    Cname(Name),
    /// PTR: what an address is called.
    Pointer(Name),
    /// SVCB or HTTPS (RFC 9460).
    Svcb {
        /// 0 is an alias.
        priority: u16,
        /// The target; the root stands for the owner.
        target: Name,
        /// `ipv4hint` and `ipv6hint`.
        hints: Vec<IpAddr>,
    },
    /// Any other type or class.
    Other,
}

/// Decodes a response. Every record of every section must lie in the message; bytes behind the last record
/// are tolerated.
pub fn decode_answer(wire: &[u8]) -> Result<Answer, DecodeError> {
    let (header, mut reader) = open(wire)?;
    let [_, answers, authorities, additionals] = header.counts;
    let mut records = Vec::with_capacity(usize::from(answers.min(32)));
    for _ in 0..answers {
        let start = reader.at();
        let owner = reader.name()?;
        let head = reader.record_body(start)?;
        let data = decode_data(wire, &head)?;
        records.push(Record { owner, rtype: head.rtype, class: head.class, ttl: lasting(head.ttl), data });
    }
    let mut rcode = header.rcode();
    for _ in 0..u32::from(authorities) + u32::from(additionals) {
        let head = reader.record()?;
        if head.rtype == rtype::OPT {
            rcode = header.rcode() | ((head.ttl >> 24) as u16) << 4;
        }
    }
    Ok(Answer { rcode, truncated: header.flags & flag::TC != 0, records })
}

/// Visits the records of the answer section with data that can stand in another message: that of aliases with
/// its name written out, that of types newer than RFC 1035 as it is (RFC 3597 section 4: no compression there).
/// Other types, other classes and signatures are passed over.
pub(crate) fn for_each_answer(
    wire: &[u8],
    mut visit: impl FnMut(&Name, u16, u32, &[u8]),
) -> Result<(), DecodeError> {
    let (header, mut reader) = open(wire)?;
    let [_, answers, ..] = header.counts;
    for _ in 0..answers {
        let start = reader.at();
        let owner = reader.name()?;
        let head = reader.record_body(start)?;
        let data = decode_data(wire, &head)?;
        if head.class != INTERNET {
            continue;
        }
        if let Data::Cname(target) = data {
            visit(&owner, head.rtype, lasting(head.ttl), &target.to_wire());
        } else if matches!(head.rtype, rtype::A | rtype::AAAA | rtype::TXT | rtype::SVCB | rtype::HTTPS) {
            visit(
                &owner,
                head.rtype,
                lasting(head.ttl),
                wire.get(head.data_at..head.end).unwrap_or_default(),
            );
        }
    }
    Ok(())
}

/// Seconds for which a response may be cached over HTTP (RFC 8484 section 5.1): the smallest TTL of the
/// answer section; of an empty one, how long its negative answer holds (RFC 2308 section 5). `None` if
/// nothing says so, or if the bytes are no response.
pub fn min_ttl(wire: &[u8]) -> Option<u32> {
    let (header, mut reader) = open(wire).ok()?;
    let [_, answers, authorities, _] = header.counts;
    let mut least: Option<u32> = None;
    for _ in 0..answers {
        let ttl = lasting(reader.record().ok()?.ttl);
        least = Some(least.map_or(ttl, |known| known.min(ttl)));
    }
    if answers > 0 {
        return least;
    }
    for _ in 0..authorities {
        let head = reader.record().ok()?;
        if head.rtype == rtype::SOA {
            let minimum = wire.get(head.data_at..head.end)?.last_chunk::<4>()?;
            return Some(lasting(head.ttl).min(lasting(u32::from_be_bytes(*minimum))));
        }
    }
    None
}

/// A response's header, and a reader behind its questions.
pub(super) fn open(wire: &[u8]) -> Result<(Header, Reader<'_>), DecodeError> {
    if wire.len() > MAX_MESSAGE_BYTES {
        return Err(DecodeError::Long(wire.len()));
    }
    let header = Header::decode(wire).ok_or(DecodeError::Truncated { what: "header", at: 0 })?;
    if !header.is_response() {
        return Err(DecodeError::NotResponse);
    }
    let mut reader = Reader::new(wire, Header::BYTES);
    let [questions, ..] = header.counts;
    for _ in 0..questions {
        reader.skip_name()?;
        reader.take(4, "question")?;
    }
    Ok((header, reader))
}

/// A TTL with its top bit set counts as 0 (RFC 2181 section 8).
pub(super) fn lasting(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

fn decode_data(wire: &[u8], head: &RecordHead) -> Result<Data, DecodeError> {
    if head.class != INTERNET {
        return Ok(Data::Other);
    }
    let bad = || DecodeError::Data { rtype: head.rtype, at: head.data_at };
    // Data ends where its record ends: names in it may point back, but may not run on.
    let upto_end = wire.get(..head.end).ok_or_else(bad)?;
    let data = upto_end.get(head.data_at..).ok_or_else(bad)?;
    match head.rtype {
        rtype::A => {
            let octets = <[u8; 4]>::try_from(data).map_err(|_| bad())?;
            Ok(Data::Address(Ipv4Addr::from(octets).into()))
        }
        rtype::AAAA => {
            let octets = <[u8; 16]>::try_from(data).map_err(|_| bad())?;
            Ok(Data::Address(Ipv6Addr::from(octets).into()))
        }
        rtype::CNAME => {
            let mut reader = Reader::new(upto_end, head.data_at);
            let target = reader.name().map_err(|_| bad())?;
            if reader.at() == head.end { Ok(Data::Cname(target)) } else { Err(bad()) }
        }
        // No verdict depends on it, so a bad one is no reason to refuse the answer.
        rtype::PTR => {
            let mut reader = Reader::new(upto_end, head.data_at);
            let name = reader.name().ok().filter(|_| reader.at() == head.end);
            Ok(name.map_or(Data::Other, Data::Pointer))
        }
        rtype::SVCB | rtype::HTTPS => {
            decode_svcb(&mut Reader::new(upto_end, head.data_at), head.end).ok_or_else(bad)
        }
        _ => Ok(Data::Other),
    }
}

/// RFC 9460 section 2.2. A compressed target is read, as lenient clients do, so that it can't hide.
fn decode_svcb(reader: &mut Reader<'_>, end: usize) -> Option<Data> {
    const IPV4HINT: u16 = 4;
    const IPV6HINT: u16 = 6;
    let priority = reader.u16("priority").ok()?;
    let target = reader.name().ok()?;
    let mut hints = Vec::new();
    while reader.at() < end {
        let key = reader.u16("key").ok()?;
        let length = reader.u16("length").ok()?;
        let value = reader.take(usize::from(length), "value").ok()?;
        match key {
            IPV4HINT => {
                let (addresses, rest) = value.as_chunks::<4>();
                hints.extend(addresses.iter().map(|&octets| IpAddr::from(octets)));
                rest.is_empty().then_some(())?;
            }
            IPV6HINT => {
                let (addresses, rest) = value.as_chunks::<16>();
                hints.extend(addresses.iter().map(|&octets| IpAddr::from(octets)));
                rest.is_empty().then_some(())?;
            }
            _ => {}
        }
    }
    Some(Data::Svcb { priority, target, hints })
}
