//! Changes to wire bytes between client and upstream. All are pure: bytes in, bytes out.

use super::answer::{lasting, open};
use super::wire::{DecodeError, Reader, RecordHead, options, patch, put_u16};
use super::{Header, MAX_MESSAGE_BYTES, Query, flag, option, rtype};
use crate::response::{OptRecord, put_opt};

/// Sets the id of a message; nothing if there is none.
pub fn set_id(message: &mut [u8], id: u16) {
    patch(message, 0, &id.to_be_bytes());
}

/// Clears AD in a response: whoever changed it can't vouch for its signatures.
pub fn clear_authentic_data(answer: &mut [u8]) {
    edit_flags(answer, |flags| flags & !flag::AD);
}

/// Builds the query for the upstream: one question as the client wrote it, the id given, RD, AD, CD and DO
/// kept. Client subnet, cookie and padding belong to one hop and stay here, as does everything else that the
/// client's message held.
pub fn forward_query(query: &Query, id: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(Header::BYTES + query.raw_question.len() + 11);
    put_u16(&mut out, id);
    let mut flags = 0;
    for (set, bit) in [(query.rd, flag::RD), (query.ad, flag::AD), (query.cd, flag::CD)] {
        flags |= if set { bit } else { 0 };
    }
    put_u16(&mut out, flags);
    for count in [1, 0, 0, u16::from(query.edns.is_some())] {
        put_u16(&mut out, count);
    }
    out.extend_from_slice(&query.raw_question);
    if query.edns.is_some() {
        put_opt(&mut out, &OptRecord { rcode: 0, dnssec_ok: query.dnssec_ok(), ede: None, pad_to: 0 });
    }
    out
}

/// Makes an upstream's answer, fresh or from the cache, the answer to this query: id, RD and CD of the query,
/// the question in its letters, AD only for a client that knows it (RFC 6840 section 5.8), an OPT record
/// of our own if asked (the upstream's EDE kept, its cookie and padding not), TC over UDP where it is too
/// long. `None` if the answer can't be decoded or is the answer to another question.
pub fn answer_for(query: &Query, answer: &[u8], udp: bool, encrypted: bool) -> Option<Vec<u8>> {
    let (header, reader) = open(answer).ok()?;
    let question_end = reader.at();
    let question = answer.get(Header::BYTES..question_end)?;
    if header.counts.first() != Some(&1) || !question.eq_ignore_ascii_case(&query.raw_question) {
        return None;
    }
    let parts = Parts::split(answer).ok()?;
    let mut out = parts.without_opt(answer)?;
    set_id(&mut out, query.id);
    edit_flags(&mut out, |flags| {
        let mut flags = flags & !(flag::RD | flag::CD);
        flags |= if query.rd { flag::RD } else { 0 } | if query.cd { flag::CD } else { 0 };
        if query.ad || query.dnssec_ok() { flags } else { flags & !flag::AD }
    });
    patch(&mut out, Header::BYTES, &query.raw_question);
    let limit = if udp { query.udp_limit() } else { MAX_MESSAGE_BYTES };
    if let Some(edns) = query.edns {
        let opt = parts.opt.as_ref();
        let ede = opt.and_then(|opt| first_option(answer, opt, option::EDE));
        let mut record = OptRecord {
            rcode: opt.map_or(0, |opt| (opt.ttl >> 24) as u16) << 4,
            dnssec_ok: edns.dnssec_ok,
            ede,
            pad_to: if encrypted && edns.padding { crate::response::PADDING_BLOCK_BYTES } else { 0 },
        };
        if out.len() + record.encoded_bytes() > limit {
            cut(&mut out, question_end);
        }
        if out.len() + record.encoded_bytes() > limit {
            record.ede = None;
        }
        put_opt(&mut out, &record);
        add_additional(&mut out, 1);
    } else if out.len() > limit {
        cut(&mut out, question_end);
    }
    Some(out)
}

/// Removes client subnets (RFC 7871) from a message's OPT record. The message comes back unchanged if it holds
/// none or can't be decoded; records behind the OPT record go with the subnet, as in [`answer_for`].
pub fn strip_client_subnet(message: &[u8]) -> Vec<u8> {
    let strip = || {
        let parts = Parts::split(message).ok()?;
        let opt = parts.opt?;
        let data = message.get(opt.data_at..opt.end)?;
        let mut kept = Vec::with_capacity(data.len());
        for found in options(data) {
            let (number, value) = found?;
            if number != option::CLIENT_SUBNET {
                put_u16(&mut kept, number);
                put_u16(&mut kept, u16::try_from(value.len()).ok()?);
                kept.extend_from_slice(value);
            }
        }
        if kept.len() == data.len() {
            return None;
        }
        let mut out = message.get(..opt.data_at)?.to_vec();
        patch(&mut out, opt.data_at - 2, &u16::try_from(kept.len()).ok()?.to_be_bytes());
        patch(&mut out, 10, &(parts.before_opt + 1).to_be_bytes());
        out.extend_from_slice(&kept);
        Some(out)
    };
    strip().unwrap_or_else(|| message.to_vec())
}

/// Fits an answer into `limit` bytes: as it is if it fits, else the question and the OPT record with TC set
/// (RFC 2181 section 9), so that the client comes back over TCP.
pub fn truncate_for_udp(answer: &[u8], limit: usize) -> Vec<u8> {
    if answer.len() <= limit {
        return answer.to_vec();
    }
    let question_end = open(answer).map_or(Header::BYTES, |(_, reader)| reader.at());
    let opt = Parts::split(answer).ok().and_then(|parts| parts.opt);
    let opt = opt.and_then(|opt| answer.get(opt.start..opt.end)).unwrap_or_default();
    let mut out = answer.to_vec();
    cut(&mut out, question_end);
    if question_end == Header::BYTES {
        patch(&mut out, 4, &[0, 0]);
    }
    if !opt.is_empty() && out.len() + opt.len() <= limit {
        out.extend_from_slice(opt);
        add_additional(&mut out, 1);
    }
    out
}

/// Makes every TTL smaller by the seconds that an answer lay in a cache; 0 is the least.
pub fn age_ttls(answer: &mut [u8], seconds: u32) -> Result<(), DecodeError> {
    map_ttls(answer, |ttl| ttl.saturating_sub(seconds))
}

/// Changes every TTL of a response, the OPT record's flags excepted. On an error nothing is changed.
pub fn map_ttls(answer: &mut [u8], change: impl Fn(u32) -> u32) -> Result<(), DecodeError> {
    let mut places = Vec::with_capacity(16);
    let (header, mut reader) = open(answer)?;
    let [_, sections @ ..] = header.counts;
    for _ in 0..sections.into_iter().map(u32::from).sum() {
        let head = reader.record()?;
        if head.rtype != rtype::OPT {
            places.push((head.ttl_at, lasting(head.ttl)));
        }
    }
    for (at, ttl) in places {
        patch(answer, at, &change(ttl).to_be_bytes());
    }
    Ok(())
}

/// Where the additional section and its OPT record lie.
struct Parts {
    /// Where the last record ends.
    end: usize,
    /// The first OPT record of the additional section, and how many additional records stand before it.
    opt: Option<RecordHead>,
    before_opt: u16,
    additionals: u16,
}

impl Parts {
    fn split(message: &[u8]) -> Result<Self, DecodeError> {
        let header = Header::decode(message).ok_or(DecodeError::Truncated { what: "header", at: 0 })?;
        let [questions, answers, authorities, additionals] = header.counts;
        let mut reader = Reader::new(message, Header::BYTES);
        for _ in 0..questions {
            reader.skip_name()?;
            reader.take(4, "question")?;
        }
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            reader.record()?;
        }
        let mut parts = Self { end: 0, opt: None, before_opt: 0, additionals };
        for nth in 0..additionals {
            let head = reader.record()?;
            if head.rtype == rtype::OPT && parts.opt.is_none() {
                parts.opt = Some(head);
                parts.before_opt = nth;
            }
        }
        parts.end = reader.at();
        Ok(parts)
    }

    /// The message up to its OPT record. What stands behind one (seldom anything, and never more than hints)
    /// goes with it: compressed names in it could point to bytes that moved.
    fn without_opt(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (end, additionals) = match &self.opt {
            Some(opt) => (opt.start, self.before_opt),
            None => (self.end, self.additionals),
        };
        let mut out = Vec::with_capacity(end + 64);
        out.extend_from_slice(message.get(..end)?);
        patch(&mut out, 10, &additionals.to_be_bytes());
        Some(out)
    }
}

/// The first option of that number that holds at least two bytes.
fn first_option<'a>(message: &'a [u8], opt: &RecordHead, number: u16) -> Option<(u16, &'a [u8])> {
    let data = message.get(opt.data_at..opt.end)?;
    let value = options(data).flatten().find(|(found, _)| *found == number)?.1;
    let (code, text) = value.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*code), text))
}

/// Leaves header and question, with TC set.
fn cut(answer: &mut Vec<u8>, question_end: usize) {
    answer.truncate(question_end);
    edit_flags(answer, |flags| flags | flag::TC);
    patch(answer, 6, &[0; 6]);
}

fn add_additional(message: &mut [u8], records: u16) {
    if let Some(header) = Header::decode(message) {
        let [.., additionals] = header.counts;
        patch(message, 10, &additionals.saturating_add(records).to_be_bytes());
    }
}

fn edit_flags(message: &mut [u8], edit: impl Fn(u16) -> u16) {
    if let Some(header) = Header::decode(message) {
        patch(message, 2, &edit(header.flags).to_be_bytes());
    }
}
