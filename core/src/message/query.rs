//! What a client asks.

use super::wire::{DecodeError, Reader, options};
use super::{MAX_MESSAGE_BYTES, UDP_BYTES, flag, option, rtype};
use crate::name::Name;
use crate::response;

/// A message's header (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The id that pairs answer and query.
    pub id: u16,
    /// QR, opcode, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub flags: u16,
    /// Questions, answers, authority records, additional records, as the message says.
    pub counts: [u16; 4],
}

impl Header {
    /// Bytes of a header.
    pub const BYTES: usize = 12;

    /// `None` for fewer than 12 bytes.
    #[inline]
    pub fn decode(wire: &[u8]) -> Option<Self> {
        let [i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, x0, x1] = *wire.first_chunk::<12>()?;
        let counts = [[q0, q1], [a0, a1], [n0, n1], [x0, x1]].map(u16::from_be_bytes);
        Some(Self { id: u16::from_be_bytes([i0, i1]), flags: u16::from_be_bytes([f0, f1]), counts })
    }

    /// QR: this is a response.
    pub fn is_response(&self) -> bool {
        self.flags & flag::QR != 0
    }

    /// The opcode, 0 to 15; 0 is QUERY.
    pub fn opcode(&self) -> u8 {
        (self.flags >> 11 & 15) as u8
    }

    /// The lower four bits of the response code.
    pub fn rcode(&self) -> u16 {
        self.flags & 15
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// QNAME, lower case.
    pub name: Name,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS; 1 is the Internet.
    pub qclass: u16,
}

/// What a query's OPT record says (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The most that the client takes over UDP, bytes, as it says: may be below 512.
    pub udp_bytes: u16,
    /// DO: the client wants signatures.
    pub dnssec_ok: bool,
    /// 0, else the query is answered BADVERS.
    pub version: u8,
    /// The query holds a padding option (RFC 7830), so its answer is padded too.
    pub padding: bool,
    /// The query holds a client subnet (RFC 7871).
    pub client_subnet: bool,
    /// The query holds a cookie (RFC 7873).
    pub cookie: bool,
}

/// A query with its one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The id to answer with.
    pub id: u16,
    /// RD: recursion desired.
    pub rd: bool,
    /// AD: the client understands AD in the answer (RFC 6840 section 5.7).
    pub ad: bool,
    /// CD: the client checks signatures itself.
    pub cd: bool,
    /// The question.
    pub question: Question,
    /// The question as it came, echoed byte for byte: its mixed case may be a client's defence (0x20).
    pub raw_question: Vec<u8>,
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
}

impl Query {
    /// The client set DO.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// The most that may be sent to this client over UDP, bytes: 512 without EDNS, never above
    /// [`UDP_BYTES`].
    pub fn udp_limit(&self) -> usize {
        usize::from(self.edns.map_or(512, |edns| edns.udp_bytes.clamp(512, UDP_BYTES)))
    }
}

/// Why bytes are no query that can be vetted, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer than 12 bytes, or a response (QR=1): never answered, or two servers could talk for ever.
    #[error("no query: shorter than a header, or a response")]
    Dropped,
    /// The client's message can't be decoded.
    #[error("malformed query: {why}")]
    FormErr {
        /// Its header.
        header: Header,
        /// The question, if that much could be decoded.
        raw_question: Option<Vec<u8>>,
        /// What is wrong with it.
        why: DecodeError,
    },
    /// An opcode other than QUERY.
    #[error("opcode {} is not implemented", header.opcode())]
    NotImp {
        /// Its header.
        header: Header,
    },
    /// An EDNS version other than 0 (RFC 6891 section 6.1.3).
    #[error("EDNS version {} is not implemented; use version 0", query.edns.map_or(0, |edns| edns.version))]
    BadVers {
        /// The query without its options.
        query: Query,
    },
}

impl Malformed {
    /// What the client is answered; `None` where it is answered nothing.
    pub fn response(&self) -> Option<Vec<u8>> {
        match self {
            Malformed::Dropped => None,
            Malformed::FormErr { header, raw_question, .. } => {
                Some(response::header_answer(header, raw_question.as_deref(), super::rcode::FORMERR))
            }
            Malformed::NotImp { header } => Some(response::header_answer(header, None, super::rcode::NOTIMP)),
            Malformed::BadVers { query } => {
                Some(response::failure(query, super::rcode::BADVERS, None, false))
            }
        }
    }

    /// The response code of [`Self::response`].
    pub fn rcode(&self) -> Option<u16> {
        match self {
            Malformed::Dropped => None,
            Malformed::FormErr { .. } => Some(super::rcode::FORMERR),
            Malformed::NotImp { .. } => Some(super::rcode::NOTIMP),
            Malformed::BadVers { .. } => Some(super::rcode::BADVERS),
        }
    }
}

/// Decodes a query of at most 64 KiB.
///
/// Every record of every section must lie in the message. Answer and authority records, and bytes behind the
/// last record, are tolerated and go no further. A question may not be compressed: nothing lies before it.
pub fn decode_query(wire: &[u8]) -> Result<Query, Malformed> {
    let header = Header::decode(wire).ok_or(Malformed::Dropped)?;
    if header.is_response() {
        return Err(Malformed::Dropped);
    }
    if header.opcode() != 0 {
        return Err(Malformed::NotImp { header });
    }
    let malformed = |raw_question, why| Malformed::FormErr { header, raw_question, why };
    if wire.len() > MAX_MESSAGE_BYTES {
        return Err(malformed(None, DecodeError::Long(wire.len())));
    }
    let [questions, answers, authorities, additionals] = header.counts;
    if questions != 1 {
        return Err(malformed(None, DecodeError::Questions(questions)));
    }
    let mut reader = Reader::new(wire, Header::BYTES);
    let (question, raw) = decode_question(&mut reader, wire).map_err(|why| malformed(None, why))?;
    let mut query = Query {
        id: header.id,
        rd: header.flags & flag::RD != 0,
        ad: header.flags & flag::AD != 0,
        cd: header.flags & flag::CD != 0,
        question,
        raw_question: raw.to_vec(),
        edns: None,
    };
    if answers == 0 && authorities == 0 && additionals == 0 {
        return Ok(query);
    }
    let records = u32::from(answers) + u32::from(authorities);
    match decode_records(&mut reader, wire, records, additionals) {
        Ok(edns) => query.edns = edns,
        Err(why) => return Err(malformed(Some(query.raw_question), why)),
    }
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return Err(Malformed::BadVers { query });
    }
    Ok(query)
}

#[inline]
fn decode_question<'a>(reader: &mut Reader<'a>, wire: &'a [u8]) -> Result<(Question, &'a [u8]), DecodeError> {
    let start = reader.at();
    let name = reader.name()?;
    let qtype = reader.u16("QTYPE")?;
    let qclass = reader.u16("QCLASS")?;
    let raw = wire.get(start..reader.at()).unwrap_or_default();
    Ok((Question { name, qtype, qclass }, raw))
}

/// Walks all records; returns what the OPT record says.
fn decode_records(
    reader: &mut Reader<'_>,
    wire: &[u8],
    records: u32,
    additionals: u16,
) -> Result<Option<Edns>, DecodeError> {
    for _ in 0..records {
        reader.record()?;
    }
    let mut edns = None;
    for _ in 0..additionals {
        let head = reader.record()?;
        if head.rtype != rtype::OPT {
            continue;
        }
        let bad = |why| DecodeError::Opt { at: head.start, why };
        if edns.is_some() {
            return Err(bad("there are two"));
        }
        if wire.get(head.start) != Some(&0) {
            return Err(bad("its owner is not the root"));
        }
        let data = wire.get(head.data_at..head.end).unwrap_or_default();
        let decoded = decode_opt(head.class, head.ttl, data).ok_or_else(|| bad("an option is cut short"))?;
        edns = Some(decoded);
    }
    Ok(edns)
}

fn decode_opt(class: u16, ttl: u32, data: &[u8]) -> Option<Edns> {
    let [_, version, flags, _] = ttl.to_be_bytes();
    let mut edns = Edns {
        udp_bytes: class,
        dnssec_ok: flags & 0x80 != 0,
        version,
        padding: false,
        client_subnet: false,
        cookie: false,
    };
    if version != 0 {
        return Some(edns);
    }
    for found in options(data) {
        match found?.0 {
            option::PADDING => edns.padding = true,
            option::CLIENT_SUBNET => edns.client_subnet = true,
            option::COOKIE => edns.cookie = true,
            _ => {}
        }
    }
    Some(edns)
}
