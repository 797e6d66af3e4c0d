//! Messages of transfers: read with care, written plainly.
//!
//! hickory's decoder reads headers, names and numbers. Record data is kept as bytes, and only names in it that
//! a sender may compress (RFC 3597 section 4) are written out, so a record of any type passes unchanged.

use dnsvet_core::message::UDP_BYTES;
use hickory_proto::rr::Name as WireName;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder, DecodeError};

use super::tsig::Tsig;
use super::zone::{Record, RecordRef};

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 12;
/// A compression pointer to the question's name.
const TO_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];

/// Record types and what may stand for one in a question.
pub(super) mod types {
    pub use dnsvet_core::message::rtype::{A, AAAA, CNAME, OPT, PTR, SOA, TXT};
    pub const NS: u16 = 2;
    pub const MX: u16 = 15;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
}

/// Classes.
pub(super) mod class {
    pub const IN: u16 = 1;
    pub const ANY: u16 = 255;
}

/// Operation codes.
pub(super) mod opcode {
    pub const QUERY: u8 = 0;
    pub const NOTIFY: u8 = 4;
}

/// Response codes beside those of `dnsvet_core::message`.
pub(super) mod rcode {
    pub const FORMERR: u8 = 1;
    pub const SERVFAIL: u8 = 2;
    pub const NOTIMP: u8 = 4;
    pub const REFUSED: u8 = 5;
    pub const NOTAUTH: u8 = 9;
}

/// Header flags.
pub(super) mod flags {
    pub const QR: u16 = 0x8000;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The name in lower case, wire form.
    pub name: Vec<u8>,
    pub qtype: u16,
    pub qclass: u16,
    /// The question as it stood in the message.
    pub raw: Vec<u8>,
}

impl Question {
    /// A question of class IN.
    pub fn new(name: &[u8], qtype: u16) -> Self {
        let mut raw = name.to_vec();
        raw.extend_from_slice(&qtype.to_be_bytes());
        raw.extend_from_slice(&class::IN.to_be_bytes());
        Self { name: name.to_vec(), qtype, qclass: class::IN, raw }
    }

    /// Whether both ask the same, however the name is spelled.
    pub fn is(&self, other: &Question) -> bool {
        (&self.name, self.qtype, self.qclass) == (&other.name, other.qtype, other.qclass)
    }
}

/// A decoded message.
#[derive(Debug)]
pub(super) struct Message {
    pub id: u16,
    pub flags: u16,
    pub question: Option<Question>,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    /// The version of its OPT record, if it has one.
    pub edns: Option<u8>,
    pub tsig: Option<Tsig>,
}

impl Message {
    pub fn is_response(&self) -> bool {
        self.flags & flags::QR != 0
    }

    pub fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 0x0f
    }

    pub fn rcode(&self) -> u8 {
        self.flags as u8 & 0x0f
    }

    /// Decodes a message. The error says what is wrong with it.
    ///
    /// # Errors
    /// If it ends inside a field, a name loops or is too long, there is more than one question, a record of
    /// answer or authority is not of class IN, TSIG is not the last, or bytes follow.
    pub fn decode(wire: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader(BinDecoder::new(wire));
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let question = match counts[0] {
            0 => None,
            1 => Some(reader.question(wire)?),
            _ => return Err("more than one question"),
        };
        let mut message =
            Self { id, flags, question, answers: Vec::new(), authority: Vec::new(), edns: None, tsig: None };
        for _ in 0..counts[1] {
            message.answers.push(reader.record(wire)?);
        }
        for _ in 0..counts[2] {
            message.authority.push(reader.record(wire)?);
        }
        for _ in 0..counts[3] {
            if message.tsig.is_some() {
                return Err("a record behind the signature");
            }
            reader.additional(&mut message)?;
        }
        if !reader.0.is_empty() {
            return Err("bytes behind the last record");
        }
        Ok(message)
    }
}

/// hickory's decoder, with our errors.
struct Reader<'a>(BinDecoder<'a>);

const CUT: &str = "a field that is cut short";

impl Reader<'_> {
    fn u16(&mut self) -> Result<u16, &'static str> {
        self.0.read_u16().map(|number| number.unverified()).map_err(|_| CUT)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.0.read_u32().map(|number| number.unverified()).map_err(|_| CUT)
    }

    fn bytes(&mut self, length: usize) -> Result<&[u8], &'static str> {
        self.0.read_slice(length).map(|bytes| bytes.unverified()).map_err(|_| CUT)
    }

    /// A name, uncompressed and in lower case, appended to `out`.
    fn name(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let name = WireName::read(&mut self.0).map_err(|error| match error {
            DecodeError::InsufficientBytes => CUT,
            _ => "a name that can't be decoded",
        })?;
        for label in name.iter() {
            out.push(label.len() as u8);
            out.extend(label.iter().map(u8::to_ascii_lowercase));
        }
        out.push(0);
        Ok(())
    }

    fn question(&mut self, wire: &[u8]) -> Result<Question, &'static str> {
        let start = self.0.index();
        let mut name = Vec::with_capacity(64);
        self.name(&mut name)?;
        let (qtype, qclass) = (self.u16()?, self.u16()?);
        let raw = wire.get(start..self.0.index()).ok_or(CUT)?.to_vec();
        // Echoed, a pointer would point elsewhere.
        if raw.len() != name.len() + 4 {
            return Err("a compressed question");
        }
        Ok(Question { name, qtype, qclass, raw })
    }

    fn record(&mut self, wire: &[u8]) -> Result<Record, &'static str> {
        let mut key = Vec::with_capacity(96);
        self.name(&mut key)?;
        let rtype = self.u16()?;
        if self.u16()? != class::IN {
            return Err("a record of another class than IN");
        }
        let ttl_s = self.u32()?;
        let length = usize::from(self.u16()?);
        key.extend_from_slice(&rtype.to_be_bytes());
        let end = self.0.index() + length;
        if end > wire.len() {
            return Err(CUT);
        }
        let (before, names) = names_in(rtype);
        if length >= before && names > 0 {
            key.extend_from_slice(self.bytes(before)?);
            for _ in 0..names {
                self.name(&mut key)?;
            }
        }
        let rest = end.checked_sub(self.0.index()).ok_or("a name that is longer than its record")?;
        key.extend_from_slice(self.bytes(rest)?);
        // RFC 2181 section 8: the top bit set means zero.
        let ttl_s = if ttl_s >> 31 == 0 { ttl_s } else { 0 };
        Ok(Record { key: key.into(), ttl_s })
    }

    fn additional(&mut self, message: &mut Message) -> Result<(), &'static str> {
        let at = self.0.index();
        let mut owner = Vec::with_capacity(64);
        self.name(&mut owner)?;
        let (rtype, rclass, ttl, length) = (self.u16()?, self.u16()?, self.u32()?, usize::from(self.u16()?));
        let end = self.0.index() + length;
        match rtype {
            types::TSIG => {
                if rclass != class::ANY || ttl != 0 {
                    return Err("a signature of another class than ANY, or with a TTL");
                }
                message.tsig = Some(self.tsig(at, owner)?);
                if self.0.index() != end {
                    return Err("a signature whose length is wrong");
                }
            }
            types::OPT if message.edns.is_some() => return Err("more than one OPT record"),
            types::OPT => {
                message.edns = Some((ttl >> 16) as u8);
                self.bytes(length)?;
            }
            _ => {
                self.bytes(length)?;
            }
        }
        Ok(())
    }

    fn tsig(&mut self, at: usize, key: Vec<u8>) -> Result<Tsig, &'static str> {
        let mut algorithm = Vec::with_capacity(16);
        self.name(&mut algorithm)?;
        let time_s = u64::from(self.u16()?) << 32 | u64::from(self.u32()?);
        let fudge_s = self.u16()?;
        let length = usize::from(self.u16()?);
        let mac = self.bytes(length)?.to_vec();
        let (original_id, error) = (self.u16()?, self.u16()?);
        let length = usize::from(self.u16()?);
        let other = self.bytes(length)?.to_vec();
        Ok(Tsig { at, key, algorithm, time_s, fudge_s, mac, original_id, error, other })
    }
}

/// Where names lie in a type's data that a sender may compress: bytes before the first, and how many.
pub(super) fn names_in(rtype: u16) -> (usize, usize) {
    match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 1),
        // SOA, MINFO, RP
        6 | 14 | 17 => (0, 2),
        // MX, AFSDB, RT
        15 | 18 | 21 => (2, 1),
        // PX
        26 => (2, 2),
        // SRV
        33 => (6, 1),
        _ => (0, 0),
    }
}

/// A section that records are written to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Section {
    Answer = 1,
    Authority = 2,
}

/// A message being written.
pub(super) struct Writer {
    out: Vec<u8>,
    /// The question's name, lower case, to which owners are compressed.
    apex: Vec<u8>,
    most: usize,
}

impl Writer {
    /// A message of at most `most` bytes with a header and, if there is one, its question.
    pub fn new(id: u16, flags: u16, question: Option<&Question>, most: usize) -> Self {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&[0, u8::from(question.is_some()), 0, 0, 0, 0, 0, 0]);
        let mut apex = Vec::new();
        if let Some(question) = question {
            out.extend_from_slice(&question.raw);
            apex.clone_from(&question.name);
        }
        Self { out, apex, most }
    }

    /// Adds a record; false if there is no room for it, and then nothing is added.
    pub fn push(&mut self, section: Section, record: RecordRef<'_>) -> bool {
        let below = record.owner.strip_suffix(self.apex.as_slice());
        let (owner, pointer) = match below.filter(|_| !self.apex.is_empty()) {
            Some(below) if super::zone::is_within(record.owner, &self.apex) => (below, &TO_QUESTION[..]),
            _ => (record.owner, &[][..]),
        };
        let needed = owner.len() + pointer.len() + 10 + record.data.len();
        let Ok(length) = u16::try_from(record.data.len()) else { return false };
        let count_at = 4 + 2 * section as usize;
        let count = u16::from_be_bytes([self.out[count_at], self.out[count_at + 1]]);
        if self.out.len() + needed > self.most || count == u16::MAX {
            return false;
        }
        self.out[count_at..count_at + 2].copy_from_slice(&(count + 1).to_be_bytes());
        self.out.extend_from_slice(owner);
        self.out.extend_from_slice(pointer);
        self.out.extend_from_slice(&record.rtype.to_be_bytes());
        self.out.extend_from_slice(&class::IN.to_be_bytes());
        self.out.extend_from_slice(&record.ttl_s.to_be_bytes());
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(record.data);
        true
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Adds an encoded record to a message's additional section.
pub(super) fn append(message: &mut Vec<u8>, record: &[u8]) {
    let additional = u16::from_be_bytes([message[10], message[11]]) + 1;
    message[10..12].copy_from_slice(&additional.to_be_bytes());
    message.extend_from_slice(record);
}

/// Adds an OPT record of ours (RFC 6891 section 6.1.2) with extended response code and version.
pub(super) fn append_opt(message: &mut Vec<u8>, code_and_version: u16) {
    let [size, code] = [UDP_BYTES, code_and_version].map(u16::to_be_bytes);
    append(message, &[0, 0, types::OPT as u8, size[0], size[1], code[0], code[1], 0, 0, 0, 0]);
}

/// A message behind its length, as TCP carries it (RFC 1035 section 4.2.2).
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    debug_assert!(message.len() <= usize::from(u16::MAX), "messages are written with less");
    [&(message.len() as u16).to_be_bytes(), message].concat()
}
