//! A name that is answered as another one: safe search, local aliases, `CNAME` rules.
//!
//! ```text
//! www.search.example ─► rule: CNAME safe.search.example ─► upstream is asked for safe.search.example
//! client ◄─ www.search.example CNAME safe.search.example · safe.search.example A … ◄─ its answer
//! ```
//!
//! The upstream is asked for the target, so its answer is cached under its own name, and what comes back is
//! put behind the alias. Signatures are left out: a changed answer proves nothing.

use crate::message::{Header, MAX_MESSAGE_BYTES, Query, flag, for_each_answer, put_u16, put_u32, rtype};
use crate::name::Name;
use crate::response::{OptRecord, PADDING_BLOCK_BYTES, put_opt};

/// The question for `target` that goes to the upstream in the place of `query`.
pub fn question(query: &Query, target: &Name) -> Vec<u8> {
    let mut flags = 0;
    flags |= if query.rd { flag::RD } else { 0 } | if query.cd { flag::CD } else { 0 };
    let mut out = Vec::with_capacity(64);
    for word in [query.id, flags, 1, 0, 0, u16::from(query.edns.is_some())] {
        put_u16(&mut out, word);
    }
    out.extend(target.to_wire());
    put_u16(&mut out, query.question.qtype);
    put_u16(&mut out, query.question.qclass);
    if query.edns.is_some() {
        put_opt(&mut out, &OptRecord { rcode: 0, dnssec_ok: false, ede: None, pad_to: 0 });
    }
    out
}

/// The answer to `query`: an alias to `target`, with `ttl_s`, and behind it the records of the upstream's answer
/// for the target. `None` if that can't be decoded. Over UDP an answer that is too long is cut (TC=1); where nobody
/// else can read, one is padded if the client asked for that (RFC 8467), so that its length does not tell the rule.
pub fn answer(
    query: &Query,
    target: &Name,
    ttl_s: u32,
    upstream: &[u8],
    udp: bool,
    encrypted: bool,
) -> Option<Vec<u8>> {
    let header = Header::decode(upstream)?;
    let mut flags = flag::QR | flag::RA | header.flags & flag::TC | header.rcode();
    flags |= if query.rd { flag::RD } else { 0 } | if query.cd { flag::CD } else { 0 };
    let mut records = Vec::with_capacity(256);
    let mut count: u16 = 1;
    put_record(&mut records, None, rtype::CNAME, ttl_s, &target.to_wire());
    for_each_answer(upstream, |owner, rtype, ttl, rdata| {
        put_record(&mut records, Some(owner), rtype, ttl, rdata);
        count = count.saturating_add(1);
    })
    .ok()?;
    let with = |flags: u16, count: u16, records: &[u8]| {
        let mut out = Vec::with_capacity(64 + records.len());
        for word in [query.id, flags, 1, count, 0, u16::from(query.edns.is_some())] {
            put_u16(&mut out, word);
        }
        out.extend_from_slice(&query.raw_question);
        out.extend_from_slice(records);
        if let Some(edns) = query.edns {
            let pad_to = if encrypted && edns.padding { PADDING_BLOCK_BYTES } else { 0 };
            let (rcode, dnssec_ok) = (header.rcode(), edns.dnssec_ok);
            put_opt(&mut out, &OptRecord { rcode, dnssec_ok, ede: None, pad_to });
        }
        out
    };
    let whole = with(flags, count, &records);
    let limit = if udp { query.udp_limit() } else { MAX_MESSAGE_BYTES };
    Some(if whole.len() <= limit { whole } else { with(flags | flag::TC, 0, &[]) })
}

/// A record; without an owner it is that of the question.
fn put_record(out: &mut Vec<u8>, owner: Option<&Name>, rtype: u16, ttl_s: u32, rdata: &[u8]) {
    const QNAME_POINTER: u16 = 0xc000 | Header::BYTES as u16;
    const INTERNET: u16 = 1;
    match owner {
        Some(owner) => out.extend(owner.to_wire()),
        None => put_u16(out, QNAME_POINTER),
    }
    put_u16(out, rtype);
    put_u16(out, INTERNET);
    put_u32(out, ttl_s);
    put_u16(out, rdata.len() as u16);
    out.extend_from_slice(rdata);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Data, decode_answer, decode_query};

    fn query(udp_bytes: u16) -> Query {
        let mut wire = vec![0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        wire.extend(b"\x03WwW\x06search\x07example\x00\x00\x01\x00\x01");
        wire.extend([0, 0, 41]);
        wire.extend(udp_bytes.to_be_bytes());
        wire.extend([0, 0, 0, 0, 0, 0]);
        decode_query(&wire).unwrap()
    }

    /// An answer to the question for safe.example: an alias in compressed names, `addresses` addresses.
    fn upstream(addresses: u8) -> Vec<u8> {
        let mut wire = vec![0, 9, 0x81, 0x80, 0, 1, 0, addresses + 2, 0, 0, 0, 0];
        wire.extend(b"\x04safe\x07example\x00\x00\x01\x00\x01");
        wire.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x05\x02vs\xc0\x11");
        wire.extend(b"\xc0\x0c\x00\x2e\x00\x01\x00\x00\x00\x3c\x00\x01\x00");
        for last in 0..addresses {
            wire.extend(b"\xc0\x2a\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc0\x00\x02");
            wire.push(last);
        }
        wire
    }

    #[test]
    fn the_target_is_asked_for_with_the_clients_type() {
        let query = query(1232);
        let asked = decode_query(&question(&query, &Name::parse("safe.example").unwrap())).unwrap();
        assert_eq!((asked.question.name.as_str(), asked.question.qtype, asked.id), ("safe.example", 1, 9));
        assert!(asked.rd && asked.edns.is_some());
    }

    #[test]
    fn the_answer_goes_behind_the_alias_and_the_question_comes_back_as_it_was() {
        let query = query(1232);
        let target = Name::parse("safe.example").unwrap();
        let wire = answer(&query, &target, 60, &upstream(2), true, false).unwrap();
        assert!(wire[12..].starts_with(b"\x03WwW\x06search"), "0x20 is kept");
        let records = decode_answer(&wire).unwrap().records;
        let owners: Vec<&str> = records.iter().map(|record| record.owner.as_str()).collect();
        assert_eq!(owners, ["www.search.example", "safe.example", "vs.example", "vs.example"]);
        assert_eq!(records[0].data, Data::Cname(target));
        assert_eq!(records[1].data, Data::Cname(Name::parse("vs.example").unwrap()));
        assert_eq!(records[3].data, Data::Address([192, 0, 2, 1].into()));
    }

    #[test]
    fn records_of_other_classes_do_not_become_records_of_the_internet() {
        let (query, target) = (query(1232), Name::parse("safe.example").unwrap());
        let mut upstream = upstream(1);
        // The address: class CH, whose A records have other data (RFC 1035 section 3.4 is for the Internet).
        let class = upstream.len() - 12;
        assert_eq!(upstream[class..class + 2], [0, 1]);
        upstream[class + 1] = 3;
        let wire = answer(&query, &target, 60, &upstream, true, false).unwrap();
        let records = decode_answer(&wire).unwrap().records;
        assert!(
            records.iter().all(|record| record.class == 1 && record.rtype == rtype::CNAME),
            "{records:?}"
        );
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn an_answer_that_grew_too_long_for_udp_is_cut() {
        let (query, target) = (query(512), Name::parse("safe.example").unwrap());
        let wire = answer(&query, &target, 60, &upstream(30), true, false).unwrap();
        assert!(wire.len() <= 512 && decode_answer(&wire).unwrap().truncated);
        let whole = answer(&query, &target, 60, &upstream(30), false, false).unwrap();
        assert_eq!(decode_answer(&whole).unwrap().records.len(), 32);
    }

    #[test]
    fn an_answer_is_padded_where_that_was_asked_for_and_helps() {
        let mut wire = vec![0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        wire.extend(b"\x03www\x06search\x07example\x00\x00\x01\x00\x01");
        // An OPT record with an empty padding option.
        wire.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 12, 0, 0]);
        let (padding, target) = (decode_query(&wire).unwrap(), Name::parse("safe.example").unwrap());
        let bytes = |query: &Query, addresses, encrypted| {
            answer(query, &target, 60, &upstream(addresses), false, encrypted).unwrap().len()
        };
        assert_eq!([bytes(&padding, 1, true), bytes(&padding, 2, true)], [PADDING_BLOCK_BYTES; 2]);
        assert_ne!(bytes(&padding, 1, false), bytes(&padding, 2, false));
        assert_ne!(bytes(&query(1232), 1, true), bytes(&query(1232), 2, true));
    }

    #[test]
    fn a_damaged_answer_makes_none() {
        let (query, target, whole) = (query(1232), Name::parse("safe.example").unwrap(), upstream(1));
        for cut in 0..whole.len() {
            assert_eq!(answer(&query, &target, 60, &whole[..cut], true, false), None, "cut at {cut}");
        }
    }
}
