//! Answers of upstreams as bytes: checked once, kept without OPT, handed to each client in its own terms.
//!
//! The surprise: records are never decoded. An [`Answer`] remembers where its TTLs lie, so a cache hit is a
//! copy, a few patched numbers and an OPT for who asked for one. Owner names that point at the question take
//! the client's own spelling with it (0x20).

use dnsvet_core::message::{Query, UDP_BYTES, rcode, rtype};

/// TTLs are held below this many seconds, one day; so are numbers with the top bit set (RFC 8767 section 4).
pub const MAX_TTL_S: u32 = 86_400;
/// The TTL of stale records, seconds (RFC 8767 section 5.2).
pub const STALE_TTL_S: u32 = 30;
/// Answers to padded questions are padded to a multiple of this, bytes (RFC 8467 section 4.1).
const PADDING_BLOCK_BYTES: usize = 468;

const OPTION_EDE: u16 = 15;
const OPTION_PADDING: u16 = 12;

/// Why an upstream's message is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It ends inside a field, a name loops, or a count promises more than there is.
    #[error("upstream's message can't be decoded")]
    Malformed,
    /// Not a response, or not to a question like ours.
    #[error("upstream's message answers another question")]
    Mismatch,
}

/// An extended DNS error: code and text (RFC 8914).
pub type ExtendedError = (u16, String);

/// One record's place in a message.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Section: 0 answer, 1 authority, 2 additional.
    pub section: u8,
    /// Offset of the owner name.
    pub start: usize,
    /// Offset of the TTL; the type lies 4 bytes before it, the data 6 bytes after.
    pub ttl_at: usize,
    /// Offset past the data.
    pub end: usize,
}

/// Reads a big-endian `u16`.
pub fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(message.get(at..at + 4)?.try_into().ok()?))
}

/// The offset past a name that starts at `at`; pointers end it, they are not followed.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// The offset past the only question.
pub fn question_end(message: &[u8]) -> Option<usize> {
    (u16_at(message, 4)? == 1).then_some(())?;
    let end = skip_name(message, 12)? + 4;
    (end <= message.len()).then_some(end)
}

/// The records of a message, in order.
pub fn records(message: &[u8]) -> Result<Vec<Span>, AnswerError> {
    let walk = || {
        let mut at = question_end(message)?;
        let mut spans = Vec::with_capacity(8);
        for section in 0..3u8 {
            for _ in 0..u16_at(message, 6 + 2 * usize::from(section))? {
                let ttl_at = skip_name(message, at)? + 4;
                let end = ttl_at + 6 + usize::from(u16_at(message, ttl_at + 4)?);
                (end <= message.len()).then_some(())?;
                spans.push(Span { section, start: at, ttl_at, end });
                at = end;
            }
        }
        Some(spans)
    };
    walk().ok_or(AnswerError::Malformed)
}

/// What goes to an upstream: our id, the client's question, EDNS of our own. Client subnet, cookies and
/// every other option of the client end here (they are per hop).
pub fn question_for_upstream(id: u16, raw_question: &[u8], cd: bool, dnssec_ok: bool) -> Vec<u8> {
    let mut wire = Vec::with_capacity(12 + raw_question.len() + 11);
    wire.extend_from_slice(&id.to_be_bytes());
    // RD; AD, so that the answer tells whether it was validated (RFC 6840 section 5.7), for who asks later.
    wire.extend_from_slice(&[0x01, if cd { 0x30 } else { 0x20 }]);
    wire.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    wire.extend_from_slice(raw_question);
    wire.push(0);
    wire.extend_from_slice(&rtype::OPT.to_be_bytes());
    wire.extend_from_slice(&UDP_BYTES.to_be_bytes());
    wire.extend_from_slice(&[0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    wire
}

/// How the client is reached, as far as an answer's form depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams: bounded, else truncated.
    Udp,
    /// Streams in the clear.
    Stream,
    /// Streams under TLS: answers are padded if the question was.
    Encrypted,
}

/// How old an answer is when it is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Within its TTL: this many seconds old.
    Fresh(u32),
    /// Past its TTL, served because no upstream answers (RFC 8767).
    Stale,
}

/// An upstream's answer, unfiltered, as it is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The message up to OPT, which is cut off with what follows it.
    message: Box<[u8]>,
    question_end: u16,
    ttl_offsets: Box<[u16]>,
    rcode: u16,
    extended_error: Option<ExtendedError>,
    ttl_s: u32,
}

impl Answer {
    /// Checks and takes an upstream's message. The caller has matched id and question.
    pub fn decode(mut message: Vec<u8>) -> Result<Self, AnswerError> {
        let spans = records(&message)?;
        let header = u16_at(&message, 2).ok_or(AnswerError::Malformed)?;
        if header & 0xf800 != 0x8000 {
            return Err(AnswerError::Mismatch);
        }
        let question_end = question_end(&message).ok_or(AnswerError::Malformed)?;
        let mut rcode = header & 0x000f;
        let mut extended_error = None;
        let mut kept = spans.len();
        let type_of = |message: &[u8], span: &Span| u16_at(message, span.ttl_at - 4).unwrap_or(0);
        if let Some(at) = spans.iter().position(|s| s.section == 2 && type_of(&message, s) == rtype::OPT) {
            let opt = spans[at];
            rcode |= u16::from(message[opt.ttl_at]) << 4;
            extended_error = find_extended_error(&message[opt.ttl_at + 6..opt.end]);
            let additional = spans[..at].iter().filter(|s| s.section == 2).count() as u16;
            message[10..12].copy_from_slice(&additional.to_be_bytes());
            message.truncate(opt.start);
            kept = at;
        }
        let spans = &spans[..kept];
        let ttl_s = lifetime(&message, spans, rcode, question_end);
        let ttl_offsets = spans
            .iter()
            .map(|s| u16::try_from(s.ttl_at).map_err(|_| AnswerError::Malformed))
            .collect::<Result<_, _>>()?;
        let question_end = u16::try_from(question_end).map_err(|_| AnswerError::Malformed)?;
        Ok(Self { message: message.into(), question_end, ttl_offsets, rcode, extended_error, ttl_s })
    }

    /// How long it may be kept, seconds; 0: not at all.
    pub fn ttl_s(&self) -> u32 {
        self.ttl_s
    }

    /// The response code with its extended bits.
    pub fn rcode(&self) -> u16 {
        self.rcode
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        let text = self.extended_error.as_ref().map_or(0, |(_, text)| text.len());
        size_of::<Self>() + self.message.len() + 2 * self.ttl_offsets.len() + text
    }

    /// Writes the answer as `query`'s sender expects it.
    pub fn compose(&self, query: &Query, age: Age, transport: Transport) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 64);
        out.extend_from_slice(&self.message);
        let question_end = usize::from(self.question_end);
        let upstream_ad = out[3] & 0x20;
        write_header(&mut out, query, self.rcode);
        let dnssec_ok = query.edns.as_ref().is_some_and(|edns| edns.dnssec_ok);
        if query.ad || dnssec_ok {
            out[3] |= upstream_ad;
        }
        // The question had the same bytes but for case, or the key would not have matched.
        if query.raw_question.len() == question_end - 12 {
            out[12..question_end].copy_from_slice(&query.raw_question);
        }
        for &at in &self.ttl_offsets {
            let at = usize::from(at);
            let ttl = u32_at(&out, at).unwrap_or(0).min(MAX_TTL_S);
            let ttl = match age {
                Age::Fresh(age_s) => ttl.saturating_sub(age_s),
                Age::Stale => STALE_TTL_S,
            };
            out[at..at + 4].copy_from_slice(&ttl.to_be_bytes());
        }
        let extended_error = match age {
            Age::Stale if self.rcode == rcode::NXDOMAIN => Some((19, "")),
            Age::Stale => Some((3, "")),
            Age::Fresh(_) => self.extended_error.as_ref().map(|(code, text)| (*code, text.as_str())),
        };
        finish(&mut out, query, self.rcode, extended_error, question_end, transport);
        out
    }
}

/// An answer of our own without records: SERVFAIL and REFUSED with their extended error.
pub fn refuse(
    query: &Query,
    rcode: u16,
    extended_error: Option<(u16, &str)>,
    transport: Transport,
) -> Vec<u8> {
    let mut out = vec![0; 12];
    out[5] = 1;
    out.extend_from_slice(&query.raw_question);
    write_header(&mut out, query, rcode);
    let question_end = out.len();
    finish(&mut out, query, rcode, extended_error, question_end, transport);
    out
}

/// Id, flags: QR, the client's RD and CD, RA; never AA (a forwarder has no authority), TC or AD.
fn write_header(out: &mut [u8], query: &Query, rcode: u16) {
    out[0..2].copy_from_slice(&query.id.to_be_bytes());
    out[2] = 0x80 | u8::from(query.rd);
    out[3] = 0x80 | if query.cd { 0x10 } else { 0 } | (rcode & 0x0f) as u8;
}

/// Appends OPT if the client sent one, pads, and truncates what is too long for a datagram.
fn finish(
    out: &mut Vec<u8>,
    query: &Query,
    rcode: u16,
    extended_error: Option<(u16, &str)>,
    question_end: usize,
    transport: Transport,
) {
    let limit = match (transport, &query.edns) {
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_bytes.clamp(512, UDP_BYTES)),
        (Transport::Udp, None) => 512,
        _ => usize::from(u16::MAX),
    };
    let Some(edns) = &query.edns else {
        if out.len() > limit {
            truncate(out, question_end);
        }
        return;
    };
    let mut opt = Vec::with_capacity(32);
    opt.push(0);
    opt.extend_from_slice(&rtype::OPT.to_be_bytes());
    opt.extend_from_slice(&UDP_BYTES.to_be_bytes());
    opt.extend_from_slice(&[(rcode >> 4) as u8, 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    if let Some((code, text)) = extended_error {
        opt.extend_from_slice(&OPTION_EDE.to_be_bytes());
        opt.extend_from_slice(&(text.len() as u16 + 2).to_be_bytes());
        opt.extend_from_slice(&code.to_be_bytes());
        opt.extend_from_slice(text.as_bytes());
    }
    if transport == Transport::Encrypted && edns.padding {
        let unpadded = out.len() + opt.len() + 4;
        let padding = unpadded.next_multiple_of(PADDING_BLOCK_BYTES) - unpadded;
        opt.extend_from_slice(&OPTION_PADDING.to_be_bytes());
        opt.extend_from_slice(&(padding as u16).to_be_bytes());
        opt.resize(opt.len() + padding, 0);
    }
    let options = (opt.len() - 11) as u16;
    opt[9..11].copy_from_slice(&options.to_be_bytes());
    if out.len() + opt.len() > limit {
        truncate(out, question_end);
    }
    let additional = u16_at(out, 10).unwrap_or(0) + 1;
    out[10..12].copy_from_slice(&additional.to_be_bytes());
    out.extend_from_slice(&opt);
}

/// Leaves header and question, with TC set: half an answer misleads (RFC 2181 section 9).
fn truncate(out: &mut Vec<u8>, question_end: usize) {
    out.truncate(question_end);
    out[2] |= 0x02;
    out[6..12].fill(0);
}

/// The first extended error among OPT's options.
fn find_extended_error(mut options: &[u8]) -> Option<ExtendedError> {
    loop {
        let (code, length) = (u16_at(options, 0)?, usize::from(u16_at(options, 2)?));
        let value = options.get(4..4 + length)?;
        if code == OPTION_EDE && value.len() >= 2 {
            return Some((u16_at(value, 0)?, String::from_utf8_lossy(&value[2..]).into_owned()));
        }
        options = &options[4 + length..];
    }
}

/// How long an answer may be kept: the smallest TTL of its answer section; where it says that there is
/// nothing, the SOA's word too (RFC 2308 section 5), and without an SOA not at all.
fn lifetime(message: &[u8], spans: &[Span], code: u16, question_end: usize) -> u32 {
    if !matches!(code, rcode::NOERROR | rcode::NXDOMAIN) {
        return 0;
    }
    let qtype = u16_at(message, question_end - 4).unwrap_or(0);
    let mut ttl_s: Option<u32> = None;
    let mut answered = false;
    for span in spans.iter().filter(|span| span.section == 0) {
        let rtype = u16_at(message, span.ttl_at - 4).unwrap_or(0);
        answered |= rtype == qtype || (qtype == rtype::ANY && rtype != rtype::CNAME);
        let ttl = u32_at(message, span.ttl_at).unwrap_or(0);
        ttl_s = Some(ttl_s.map_or(ttl, |least| least.min(ttl)));
    }
    if answered && code == rcode::NOERROR {
        return ttl_s.unwrap_or(0).min(MAX_TTL_S);
    }
    let soa = spans
        .iter()
        .find(|span| span.section == 1 && u16_at(message, span.ttl_at - 4) == Some(rtype::SOA))
        .and_then(|span| Some(u32_at(message, span.ttl_at)?.min(u32_at(message, span.end - 4)?)));
    match (soa, ttl_s) {
        (Some(soa), aliases) => soa.min(aliases.unwrap_or(u32::MAX)).min(MAX_TTL_S),
        (None, _) => 0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
