//! What the server says to a request: who may ask, what is there, and in what messages.

use std::io;
use std::iter::Peekable;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dnsvet_core::message::UDP_BYTES;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Serial;
use super::message::{
    HEADER_BYTES, Message, Question, Section, Writer, append, append_opt, class, flags, framed, opcode,
    rcode, types,
};
use super::publish::Version;
use super::tsig::{Chain, Key, MOST_TSIG_BYTES, Stamp, Tsig, TsigError, code, now_s};
use super::zone::{Record, RecordRef, Soa};
use crate::listener::Access;

/// Bytes of records in one message of a transfer. More would save little, and cost a slow line its turns.
const TRANSFER_BYTES: usize = 32 * 1024;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Who may ask.
#[derive(Debug)]
pub(super) struct Rules {
    pub keys: Vec<Key>,
    pub networks: Option<Access>,
}

impl Rules {
    /// Whether anybody at this address may ask at all. Without keys and without networks, nobody may.
    pub fn allows(&self, ip: IpAddr) -> bool {
        self.networks.as_ref().map_or(!self.keys.is_empty(), |networks| networks.allows(ip))
    }
}

/// What is sent back.
pub(super) enum Reply {
    Nothing,
    Message(Vec<u8>),
    Transfer(Box<Transfer>),
}

/// A transfer to be sent, message by message.
pub(super) struct Transfer {
    id: u16,
    question: Question,
    edns: bool,
    chain: Option<Chain>,
    version: Arc<Version>,
    /// Differences from this version; all of it, if there is none.
    from: Option<Serial>,
}

/// One request under way: what its responses need.
struct Asked<'a> {
    message: &'a Message,
    chain: Option<Chain>,
    stamp: Stamp,
    /// Of our zone, wire form.
    apex: &'a [u8],
}

/// Answers a request for the zone `apex`.
pub(super) fn answer(
    wire: &[u8],
    (from, transport): (IpAddr, Transport),
    rules: &Rules,
    apex: &[u8],
    version: Option<Arc<Version>>,
    now: u64,
) -> Reply {
    let message = match Message::decode(wire) {
        Ok(message) if message.is_response() => return Reply::Nothing,
        Ok(message) => message,
        Err(_) => return formerr(wire),
    };
    let stamp = Stamp { time_s: now, ..Stamp::default() };
    let mut asked = Asked { message: &message, chain: None, stamp, apex };
    if !rules.allows(from) {
        tracing::debug!(%from, "refused: the address is in no allowed network");
        return asked.code(rcode::REFUSED);
    }
    let key = match &message.tsig {
        None => None,
        Some(tsig) => match rules.keys.iter().find(|key| key.is_named_by(tsig)) {
            None => {
                tracing::info!(%from, "refused: signed by a key or algorithm that is not known here");
                return asked.unsigned_error(tsig, code::BADKEY);
            }
            Some(key) => match Chain::request(key).check(wire, &message, now) {
                Ok(_) => {
                    asked.chain = Some(Chain::response(key, &tsig.mac));
                    Some(key)
                }
                Err(error) => {
                    tracing::info!(%from, %error, "refused");
                    return asked.signature_error(key, tsig, &error, now);
                }
            },
        },
    };
    if message.opcode() != opcode::QUERY {
        return asked.code(rcode::NOTIMP);
    }
    let Some(question) = &message.question else { return asked.code(rcode::FORMERR) };
    if message.edns.is_some_and(|version| version > 0) {
        return asked.bad_version();
    }
    if !rules.keys.is_empty() && key.is_none() {
        tracing::info!(%from, "refused: not signed");
        return asked.code(rcode::REFUSED);
    }
    let transfer = matches!(question.qtype, types::AXFR | types::IXFR);
    if question.qclass != class::IN || question.name != apex {
        // Below the zone, too: its content goes out by transfer only.
        return asked.code(if transfer { rcode::NOTAUTH } else { rcode::REFUSED });
    }
    let Some(version) = version else { return asked.code(rcode::SERVFAIL) };
    let soa = version.soa.view();
    match question.qtype {
        types::SOA => asked.records(Section::Answer, std::iter::once(soa)),
        types::NS => {
            let apex_ns = version.zone.records().filter(|r| r.rtype == types::NS && r.owner == apex);
            asked.records(Section::Answer, apex_ns)
        }
        types::IXFR => {
            let Some(theirs) = serial_in(&message, apex) else { return asked.code(rcode::FORMERR) };
            // A single SOA: nothing newer, or over UDP "ask over TCP" (RFC 1995 section 2).
            if transport == Transport::Udp || !version.zone.serial().is_newer_than(theirs) {
                return asked.records(Section::Answer, std::iter::once(soa));
            }
            let from = version.steps_from(theirs).is_some().then_some(theirs);
            Reply::Transfer(Box::new(Transfer::new(asked, question, version, from)))
        }
        // Not defined over UDP (RFC 5936 section 4.2).
        types::AXFR if transport == Transport::Udp => asked.code(rcode::FORMERR),
        types::AXFR => Reply::Transfer(Box::new(Transfer::new(asked, question, version, None))),
        _ => asked.records(Section::Authority, std::iter::once(soa)),
    }
}

/// The serial that an IXFR request says it has.
fn serial_in(message: &Message, apex: &[u8]) -> Option<Serial> {
    let mut records = message.authority.iter().map(Record::view);
    let soa = records.find(|record| record.rtype == types::SOA && record.owner == apex)?;
    Soa::decode(soa.ttl_s, soa.data).map(|soa| soa.serial)
}

/// To what can't be decoded, if it is no response: its id is all that is known of it.
fn formerr(wire: &[u8]) -> Reply {
    match wire.first_chunk::<HEADER_BYTES>() {
        Some(head) if head[2] & 0x80 == 0 => {
            let id = u16::from_be_bytes([head[0], head[1]]);
            let flags = flags::QR | u16::from(head[2] & 0x78) << 8 | u16::from(rcode::FORMERR);
            Reply::Message(Writer::new(id, flags, None, HEADER_BYTES).finish())
        }
        _ => Reply::Nothing,
    }
}

/// The flags of a response.
fn response_flags(opcode: u8, recursion_desired: bool, authoritative: bool, rcode: u8) -> u16 {
    flags::QR
        | u16::from(opcode) << 11
        | if authoritative { flags::AA } else { 0 }
        | if recursion_desired { flags::RD } else { 0 }
        | u16::from(rcode & 0x0f)
}

impl Asked<'_> {
    fn writer(&self, authoritative: bool, rcode: u8) -> Writer {
        let desired = self.message.flags & flags::RD != 0;
        let flags = response_flags(self.message.opcode(), desired, authoritative, rcode);
        let most = usize::from(UDP_BYTES);
        Writer::new(self.message.id, flags, self.message.question.as_ref(), most)
    }

    fn finish(mut self, writer: Writer, extended_rcode: u8) -> Reply {
        let mut out = writer.finish();
        if self.message.edns.is_some() {
            append_opt(&mut out, u16::from(extended_rcode) << 8);
        }
        if let Some(chain) = &mut self.chain {
            chain.sign(&mut out, &self.stamp);
        }
        Reply::Message(out)
    }

    /// No records, this response code.
    fn code(self, rcode: u8) -> Reply {
        let writer = self.writer(false, rcode);
        self.finish(writer, 0)
    }

    /// BADVERS, 16: its upper bits stand in OPT (RFC 6891 section 6.1.3).
    fn bad_version(self) -> Reply {
        let writer = self.writer(false, 0);
        self.finish(writer, 1)
    }

    fn records<'r>(self, section: Section, records: impl Iterator<Item = RecordRef<'r>>) -> Reply {
        debug_assert!(self.message.question.as_ref().is_some_and(|question| question.name == self.apex));
        let mut writer = self.writer(true, 0);
        for record in records {
            // SOA and NS of our own: two names each, far below the limit.
            writer.push(section, record);
        }
        self.finish(writer, 0)
    }

    /// A response that can't be signed since the key is not known or the signature is wrong.
    fn unsigned_error(self, tsig: &Tsig, error: u16) -> Reply {
        let mut out = self.writer(false, rcode::NOTAUTH).finish();
        append(&mut out, &tsig.unsigned_error(error, self.message.id));
        Reply::Message(out)
    }

    fn signature_error(mut self, key: &Key, tsig: &Tsig, error: &TsigError, now: u64) -> Reply {
        match error {
            // Signed, so that the client can trust the time in it (RFC 8945 section 5.2.3).
            TsigError::Time { .. } => {
                self.chain = Some(Chain::response(key, &tsig.mac));
                let other = now.to_be_bytes()[2..].to_vec();
                self.stamp = Stamp { time_s: tsig.time_s, error: code::BADTIME, other };
                self.code(rcode::NOTAUTH)
            }
            TsigError::Truncated => self.unsigned_error(tsig, code::BADTRUNC),
            _ => self.unsigned_error(tsig, code::BADSIG),
        }
    }
}

impl Transfer {
    fn new(asked: Asked<'_>, question: &Question, version: Arc<Version>, from: Option<Serial>) -> Self {
        let (id, edns) = (asked.message.id, asked.message.edns.is_some());
        Self { id, question: question.clone(), edns, chain: asked.chain, version, from }
    }

    /// What it is, for the log.
    pub fn kind(&self) -> &'static str {
        if self.from.is_some() { "IXFR" } else { "AXFR" }
    }

    /// The version that is sent.
    pub fn serial(&self) -> Serial {
        self.version.zone.serial()
    }

    /// Sends its messages in order, each within `limit`; returns how many records went.
    pub async fn send(self, stream: &mut TcpStream, limit: Duration) -> io::Result<usize> {
        let Self { id, question, edns, mut chain, version, from } = self;
        let soa = version.soa.view();
        let middle: Records<'_> = match from.and_then(|serial| version.steps_from(serial)) {
            Some(steps) => Box::new(steps),
            None => Box::new(version.zone.records()),
        };
        let records: Records<'_> = Box::new(std::iter::once(soa).chain(middle).chain([soa]));
        let mut records = records.peekable();
        let flags = response_flags(opcode::QUERY, false, true, 0);
        let mut sent = 0;
        while records.peek().is_some() {
            let mut writer = Writer::new(id, flags, Some(&question), TRANSFER_BYTES);
            match push_some(&mut writer, &mut records) {
                0 => return Err(io::Error::other("a record is too long for a message")),
                count => sent += count,
            }
            let mut out = writer.finish();
            if edns {
                append_opt(&mut out, 0);
            }
            if let Some(chain) = &mut chain {
                chain.sign(&mut out, &Stamp { time_s: now_s(), ..Stamp::default() });
            }
            let out = framed(&out);
            timeout(limit, stream.write_all(&out)).await??;
        }
        Ok(sent)
    }
}

type Records<'a> = Box<dyn Iterator<Item = RecordRef<'a>> + Send + 'a>;

/// Moves records to a message until it is full; returns how many.
fn push_some(writer: &mut Writer, records: &mut Peekable<Records<'_>>) -> usize {
    let mut count = 0;
    while records.next_if(|record| writer.push(Section::Answer, *record)).is_some() {
        count += 1;
    }
    count
}

const _: () = assert!(TRANSFER_BYTES + 11 + MOST_TSIG_BYTES <= u16::MAX as usize);
