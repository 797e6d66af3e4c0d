//! Answers that the filter makes itself.
//!
//! Each echoes the question byte for byte, has AA=0, AD=0 and RA=1, and holds an OPT record only if the query
//! had one. Negative answers carry an SOA record, so that they are cached (RFC 2308). Its surprise: an answer
//! over UDP needs TC only for records of the policy's own: all else is short but for the text of the EDE, and that
//! is cut to fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lists::LocalData;
use crate::message::{
    Header, MAX_MESSAGE_BYTES, Malformed, Query, UDP_BYTES, decode_query, flag, option, put_u16, put_u32,
    rcode, rtype,
};
use crate::verdict::{Action, Own};

/// Padded answers are a multiple of this many bytes (RFC 8467 section 4.1).
pub const PADDING_BLOCK_BYTES: usize = 468;

/// `dnsvet.invalid.`: MNAME of the SOA records that we make; no server is there to be asked.
const MNAME: &[u8] = b"\x06dnsvet\x07invalid\x00";
/// `hostmaster.dnsvet.invalid.`
const RNAME: &[u8] = b"\x0ahostmaster\x06dnsvet\x07invalid\x00";

/// What to answer to a query that stops here.
#[derive(Debug, Clone)]
pub struct Synthesis<'a> {
    /// The query.
    pub query: &'a Query,
    /// What the verdict says.
    pub action: Action,
    /// Seconds for which the answer may be cached, negative ones included.
    pub ttl_s: u32,
    /// The addresses of [`Action::Honeypot`] and [`Action::Custom`]; without them those answer NODATA.
    pub addresses: Option<(Ipv4Addr, Ipv6Addr)>,
    /// What [`Action::Custom`] answers in the place of addresses.
    pub own: &'a Own,
    /// EDE (RFC 8914): its code and a text for people.
    pub ede: Option<(u16, String)>,
    /// The answer goes over UDP.
    pub udp: bool,
    /// The answer goes over an encrypted transport, where a padded query gets a padded answer.
    pub encrypted: bool,
}

impl<'a> Synthesis<'a> {
    /// The answer to `localhost` and names below it (RFC 6761 section 6.3): loopback addresses, and NODATA for
    /// every other type. An HTTPS record would turn a developer's `http://` into `https://`.
    pub fn localhost(query: &'a Query, ttl_s: u32, udp: bool, encrypted: bool) -> Self {
        let action = match query.question.qtype {
            rtype::A | rtype::AAAA => Action::Custom,
            _ => Action::Nodata,
        };
        let addresses = Some((Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST));
        Self { query, action, ttl_s, addresses, own: &Own::Loopback, ede: None, udp, encrypted }
    }
}

/// Makes the answer. `None` for [`Action::Drop`], and for [`Action::Allow`], whose answer is the upstream's.
pub fn synthesize(synthesis: &Synthesis<'_>) -> Option<Vec<u8>> {
    let (rcode, body) = match synthesis.action {
        Action::Allow | Action::Drop => return None,
        Action::Nxdomain => (rcode::NXDOMAIN, Body::Negative),
        Action::Nodata => (rcode::NOERROR, Body::Negative),
        Action::Refused => (rcode::REFUSED, Body::Empty),
        Action::Null => {
            let null = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
            let service = matches!(synthesis.query.question.qtype, rtype::SVCB | rtype::HTTPS);
            let body = if service { Body::Negative } else { addressed(synthesis.query, null) };
            (rcode::NOERROR, body)
        }
        Action::Custom if matches!(synthesis.own, Own::Truncated) => (rcode::NOERROR, Body::Cut),
        Action::Custom if matches!(synthesis.own, Own::Records(_)) => {
            let Own::Records(records) = synthesis.own else { return None };
            (rcode::NOERROR, of_own(synthesis.query, records))
        }
        Action::Honeypot | Action::Custom => {
            let addresses = synthesis.addresses;
            (rcode::NOERROR, addresses.map_or(Body::Negative, |pair| addressed(synthesis.query, pair)))
        }
    };
    let ede = synthesis.ede.as_ref().map(|(code, text)| (*code, text.as_str()));
    let limit = if synthesis.udp { synthesis.query.udp_limit() } else { MAX_MESSAGE_BYTES };
    Some(encode(synthesis.query, rcode, body, synthesis.ttl_s, ede, limit, synthesis.encrypted))
}

/// An answer that says only that it failed: SERVFAIL, REFUSED, FORMERR, NOTIMP, BADVERS.
/// Fits every transport; padded for whoever asked for that where nobody else can read.
pub fn failure(query: &Query, rcode: u16, ede: Option<(u16, &str)>, encrypted: bool) -> Vec<u8> {
    encode(query, rcode, Body::Empty, 0, ede, query.udp_limit(), encrypted)
}

/// The answer to wire bytes that says only that it failed. Question and OPT record are kept where they can be
/// decoded. `None` for fewer than 12 bytes and for responses.
pub fn error_answer(wire_query: &[u8], rcode: u8) -> Option<Vec<u8>> {
    let rcode = u16::from(rcode);
    match decode_query(wire_query) {
        Ok(query) | Err(Malformed::BadVers { query }) => Some(failure(&query, rcode, None, false)),
        Err(Malformed::Dropped) => None,
        Err(Malformed::NotImp { header }) => Some(header_answer(&header, None, rcode)),
        Err(Malformed::FormErr { header, raw_question, .. }) => {
            Some(header_answer(&header, raw_question.as_deref(), rcode))
        }
    }
}

/// The answer to a message of which little more than its header could be decoded.
pub(crate) fn header_answer(header: &Header, raw_question: Option<&[u8]>, rcode: u16) -> Vec<u8> {
    const OPCODE: u16 = 0x7800;
    let flags = flag::QR | flag::RA | header.flags & (OPCODE | flag::RD | flag::CD) | rcode & 15;
    let mut out = Vec::with_capacity(Header::BYTES + raw_question.map_or(0, <[u8]>::len));
    for word in [header.id, flags, u16::from(raw_question.is_some()), 0, 0, 0] {
        put_u16(&mut out, word);
    }
    out.extend_from_slice(raw_question.unwrap_or_default());
    out
}

/// What an answer holds beside the question.
enum Body {
    Empty,
    /// An SOA record in the authority section.
    Negative,
    Address(IpAddr),
    Service(Ipv4Addr, Ipv6Addr),
    /// Records by type and data.
    Records(Vec<(u16, Vec<u8>)>),
    /// Nothing, and TC=1.
    Cut,
}

/// The records of a name's own that answer a question: an alias answers every type.
fn of_own(query: &Query, records: &[LocalData]) -> Body {
    let qtype = query.question.qtype;
    let fits = |rtype: u16| [rtype, rtype::ANY].contains(&qtype) || rtype == rtype::CNAME;
    let found = records.iter().filter(|record| fits(record.rtype()));
    let found: Vec<_> = found.map(|record| (record.rtype(), record.to_wire())).collect();
    if !found.is_empty() {
        return Body::Records(found);
    }
    // Addresses of the policy's own lead HTTPS clients to the same place.
    let v4 = records
        .iter()
        .find_map(|r| if let LocalData::Address(IpAddr::V4(v4)) = r { Some(*v4) } else { None });
    let v6 = records
        .iter()
        .find_map(|r| if let LocalData::Address(IpAddr::V6(v6)) = r { Some(*v6) } else { None });
    match (qtype, v4, v6) {
        (rtype::SVCB | rtype::HTTPS, Some(v4), Some(v6)) => Body::Service(v4, v6),
        _ => Body::Negative,
    }
}

/// The same addresses for every type that can lead to one.
fn addressed(query: &Query, (v4, v6): (Ipv4Addr, Ipv6Addr)) -> Body {
    match query.question.qtype {
        rtype::A => Body::Address(v4.into()),
        rtype::AAAA => Body::Address(v6.into()),
        rtype::SVCB | rtype::HTTPS => Body::Service(v4, v6),
        _ => Body::Negative,
    }
}

fn encode(
    query: &Query,
    rcode: u16,
    body: Body,
    ttl_s: u32,
    ede: Option<(u16, &str)>,
    limit: usize,
    encrypted: bool,
) -> Vec<u8> {
    let mut flags = flag::QR | flag::RA | rcode & 15;
    flags |= if query.rd { flag::RD } else { 0 } | if query.cd { flag::CD } else { 0 };
    flags |= if matches!(body, Body::Cut) { flag::TC } else { 0 };
    let answers = match &body {
        Body::Address(_) | Body::Service(..) => 1,
        Body::Records(records) => u16::try_from(records.len()).unwrap_or(u16::MAX),
        Body::Empty | Body::Negative | Body::Cut => 0,
    };
    let authorities = u16::from(matches!(body, Body::Negative));
    let mut out = Vec::with_capacity(512);
    for word in [query.id, flags, 1, answers, authorities, u16::from(query.edns.is_some())] {
        put_u16(&mut out, word);
    }
    out.extend_from_slice(&query.raw_question);
    match body {
        Body::Empty | Body::Cut => {}
        Body::Records(records) => {
            for (rtype, rdata) in &records {
                put_record_head(&mut out, QNAME_POINTER, *rtype, query, ttl_s, rdata.len());
                out.extend_from_slice(rdata);
            }
            let opt_bytes = if query.edns.is_some() { OPT_BYTES } else { 0 };
            if out.len() + opt_bytes > limit {
                return encode(query, rcode, Body::Cut, ttl_s, ede, limit, encrypted);
            }
        }
        Body::Negative => put_soa(&mut out, query, ttl_s),
        Body::Address(address) => put_address(&mut out, query, ttl_s, address),
        Body::Service(v4, v6) => put_service(&mut out, query, ttl_s, v4, v6),
    }
    if let Some(edns) = query.edns {
        let mut record = OptRecord {
            rcode,
            dnssec_ok: edns.dnssec_ok,
            ede: None,
            pad_to: if encrypted && edns.padding { PADDING_BLOCK_BYTES } else { 0 },
        };
        // Without room for the code the text can't stand either.
        let room = limit.checked_sub(out.len() + record.encoded_bytes() + EDE_HEAD_BYTES);
        record.ede = ede
            .zip(room)
            .map(|((code, text), room)| (code, cut_text(text, room.min(MAX_EDE_TEXT_BYTES)).as_bytes()));
        put_opt(&mut out, &record);
    }
    out
}

/// An OPT record without options.
const OPT_BYTES: usize = 11;
/// Option number, length and EDE code.
const EDE_HEAD_BYTES: usize = 6;
/// An EDE text is for people: longer ones only make the answer an amplifier.
const MAX_EDE_TEXT_BYTES: usize = 255;

/// The longest prefix of whole characters in that many bytes.
fn cut_text(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// A pointer to the question's name, which starts right behind the header.
const QNAME_POINTER: u16 = 0xc000 | Header::BYTES as u16;

/// The class of a record for this question: that of the question, the Internet for ANY and NONE.
fn class_of(query: &Query) -> u16 {
    match query.question.qclass {
        254 | 255 => 1,
        class => class,
    }
}

fn put_record_head(out: &mut Vec<u8>, owner: u16, rtype: u16, query: &Query, ttl_s: u32, length: usize) {
    put_u16(out, owner);
    put_u16(out, rtype);
    put_u16(out, class_of(query));
    put_u32(out, ttl_s);
    put_u16(out, length as u16);
}

fn put_address(out: &mut Vec<u8>, query: &Query, ttl_s: u32, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            put_record_head(out, QNAME_POINTER, rtype::A, query, ttl_s, 4);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            put_record_head(out, QNAME_POINTER, rtype::AAAA, query, ttl_s, 16);
            out.extend_from_slice(&v6.octets());
        }
    }
}

/// `1 . ipv4hint=... ipv6hint=...` (RFC 9460): the owner itself, at the same addresses as A and AAAA.
fn put_service(out: &mut Vec<u8>, query: &Query, ttl_s: u32, v4: Ipv4Addr, v6: Ipv6Addr) {
    const DATA_BYTES: usize = 2 + 1 + 4 + 4 + 4 + 16;
    put_record_head(out, QNAME_POINTER, query.question.qtype, query, ttl_s, DATA_BYTES);
    out.extend_from_slice(&[0, 1, 0]);
    out.extend_from_slice(&[0, 4, 0, 4]);
    out.extend_from_slice(&v4.octets());
    out.extend_from_slice(&[0, 6, 0, 16]);
    out.extend_from_slice(&v6.octets());
}

/// The SOA record of a negative answer; its owner is the registrable domain, or the name if it has none.
/// TTL and MINIMUM are the same: how long the answer holds (RFC 2308 section 4).
fn put_soa(out: &mut Vec<u8>, query: &Query, ttl_s: u32) {
    const SERIAL: u32 = 1;
    const REFRESH_S: u32 = 3600;
    const RETRY_S: u32 = 900;
    const EXPIRE_S: u32 = 604_800;
    let length = MNAME.len() + RNAME.len() + 20;
    put_record_head(out, zone_pointer(query), rtype::SOA, query, ttl_s, length);
    out.extend_from_slice(MNAME);
    out.extend_from_slice(RNAME);
    for number in [SERIAL, REFRESH_S, RETRY_S, EXPIRE_S, ttl_s] {
        put_u32(out, number);
    }
}

/// A pointer into the question: past the labels that stand before the registrable domain.
fn zone_pointer(query: &Query) -> u16 {
    let name = &query.question.name;
    let Some(registrable) = name.registrable_domain() else {
        return QNAME_POINTER;
    };
    let before = name.as_str().len() - registrable.len();
    let labels = name.as_str().bytes().take(before).filter(|&byte| byte == b'.').count();
    let mut at = 0;
    for _ in 0..labels {
        at += query.raw_question.get(at).map_or(0, |&length| usize::from(length) + 1);
    }
    QNAME_POINTER + at as u16
}

/// An OPT record of ours (RFC 6891), version 0.
pub(crate) struct OptRecord<'a> {
    /// The whole response code; the upper eight bits stand in the record.
    pub(crate) rcode: u16,
    pub(crate) dnssec_ok: bool,
    pub(crate) ede: Option<(u16, &'a [u8])>,
    /// The message is padded to a multiple of this many bytes; 0 for no padding.
    pub(crate) pad_to: usize,
}

impl OptRecord<'_> {
    /// Its length without padding.
    pub(crate) fn encoded_bytes(&self) -> usize {
        OPT_BYTES + self.ede.map_or(0, |(_, text)| EDE_HEAD_BYTES + text.len())
    }
}

/// Appends the record to a message that ends here otherwise.
pub(crate) fn put_opt(out: &mut Vec<u8>, record: &OptRecord<'_>) {
    let unpadded = out.len() + record.encoded_bytes();
    let padding = (record.pad_to > 0).then(|| {
        let padded = (unpadded + 4).next_multiple_of(record.pad_to).min(MAX_MESSAGE_BYTES);
        padded.saturating_sub(unpadded + 4)
    });
    let padding = padding.filter(|bytes| unpadded + 4 + bytes <= MAX_MESSAGE_BYTES);
    let data_bytes = record.encoded_bytes() - OPT_BYTES + padding.map_or(0, |bytes| 4 + bytes);
    out.push(0);
    put_u16(out, rtype::OPT);
    put_u16(out, UDP_BYTES);
    out.extend_from_slice(&[(record.rcode >> 4) as u8, 0, if record.dnssec_ok { 0x80 } else { 0 }, 0]);
    put_u16(out, data_bytes as u16);
    if let Some((code, text)) = record.ede {
        put_u16(out, option::EDE);
        put_u16(out, (2 + text.len()) as u16);
        put_u16(out, code);
        out.extend_from_slice(text);
    }
    if let Some(bytes) = padding {
        put_u16(out, option::PADDING);
        put_u16(out, bytes as u16);
        out.resize(out.len() + bytes, 0);
    }
}

#[cfg(test)]
mod tests;
