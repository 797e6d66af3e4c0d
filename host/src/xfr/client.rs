//! Fetching a zone from a primary, over TCP.
//!
//! With an older zone at hand the differences are asked for (IXFR, RFC 1995); where the primary has none, or
//! they don't fit, the whole zone is (AXFR, RFC 5936), over a new connection. Every wait has its limit.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dnsvet_core::name::Name;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::XfrError;
use super::message::{Message, Question, Section, Writer, flags, framed, opcode, types};
use super::transfer::{Outcome, Transfer};
use super::tsig::{Chain, Key, Stamp, TsigError, now_s};
use super::zone::{Soa, Zone};

/// The longest request, bytes.
const MOST_REQUEST_BYTES: usize = 4096;

/// Where a zone comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The primary, most often port 53.
    pub primary: SocketAddr,
    /// The zone's name.
    pub zone: Name,
    /// Signs requests; answers must then be signed too.
    pub key: Option<Key>,
    /// What is taken at most.
    pub limits: Limits,
}

/// How much and how long a transfer may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes on the wire, and bytes of records with their names written out. Default 1 GiB.
    pub bytes: u64,
    /// Records. Default ten million.
    pub records: u64,
    /// For the connection. Default 10 s.
    pub connect: Duration,
    /// From one message to the next. Default 30 s.
    pub idle: Duration,
    /// For all of it. Default 15 min.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            records: 10_000_000,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(15 * 60),
        }
    }
}

/// How a zone came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All of it.
    Full,
    /// By its differences.
    Incremental {
        /// Records taken out.
        removed: usize,
        /// Records put in.
        added: usize,
    },
}

/// What a primary had.
#[derive(Debug)]
pub enum Fetched {
    /// Nothing newer. The primary's SOA tells whether it is the same, or an older one: then the primary was set
    /// back, and its operator must raise the serial.
    Unchanged {
        /// The primary's SOA.
        soa: Soa,
    },
    /// A newer zone, whole.
    Zone {
        /// The zone.
        zone: Zone,
        /// How it came.
        way: Way,
    },
}

/// Transfers a zone. `have` is the version that is here; with it only what is newer is transferred, and only
/// the differences where the primary has them.
///
/// # Errors
/// If no whole zone came within the limits; `have` is still good then.
pub async fn fetch(source: &Source, have: Option<&Zone>) -> Result<Fetched, XfrError> {
    let server = source.primary;
    let limit = source.limits.total;
    timeout(limit, fetch_by_any_way(source, have)).await.unwrap_or(Err(XfrError::Timeout {
        server,
        what: "the whole transfer",
        limit,
    }))
}

async fn fetch_by_any_way(source: &Source, have: Option<&Zone>) -> Result<Fetched, XfrError> {
    let Some(zone) = have.filter(|zone| *zone.origin() == source.zone) else {
        return exchange(source, None, types::AXFR).await;
    };
    match exchange(source, Some(zone), types::IXFR).await {
        // What a full transfer may help against: a primary without IXFR, or with a wrong history.
        Err(
            error @ (XfrError::Refused { .. }
            | XfrError::Inconsistent { .. }
            | XfrError::Malformed(_)
            | XfrError::Mismatch(_)
            | XfrError::Closed { .. }),
        ) => {
            tracing::info!(zone = %source.zone, %error, "no incremental transfer; asking for the whole zone");
            exchange(source, Some(zone), types::AXFR).await
        }
        other => other,
    }
}

async fn exchange(source: &Source, have: Option<&Zone>, qtype: u16) -> Result<Fetched, XfrError> {
    let server = source.primary;
    let limits = &source.limits;
    let connecting = timeout(limits.connect, TcpStream::connect(server));
    let timed_out = |what, limit| XfrError::Timeout { server, what, limit };
    let mut stream = connecting
        .await
        .map_err(|_| timed_out("connecting", limits.connect))?
        .map_err(|source| XfrError::Connect { server, source })?;
    // The request is small, and nothing follows it.
    let _ = stream.set_nodelay(true);

    let question = Question::new(&source.zone.to_wire(), qtype);
    let (id, request, mut chain) = request(source, have, &question)?;
    let network = |source| XfrError::Network { server, source };
    let request = framed(&request);
    let sending = timeout(limits.idle, stream.write_all(&request));
    sending.await.map_err(|_| timed_out("sending the request", limits.idle))?.map_err(network)?;

    let most = (limits.records, limits.bytes);
    let mut transfer = Transfer::new(&source.zone, have, qtype == types::IXFR, most);
    let (mut bytes, mut first) = (0u64, true);
    loop {
        let reading = timeout(limits.idle, read_message(&mut stream));
        let wire = reading.await.map_err(|_| timed_out("the next message", limits.idle))?;
        let wire = wire.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => XfrError::Closed { server },
            _ => network(source),
        })?;
        bytes += 2 + wire.len() as u64;
        if bytes > limits.bytes {
            return Err(XfrError::TooLarge { what: "bytes", limit: limits.bytes });
        }
        let message = Message::decode(&wire).map_err(XfrError::Malformed)?;
        if message.id != id {
            return Err(XfrError::Mismatch("another id"));
        }
        if !message.is_response() || message.opcode() != opcode::QUERY {
            return Err(XfrError::Mismatch("no response to a query"));
        }
        let signed = match &mut chain {
            Some(chain) => {
                let checked = chain.check(&wire, &message, now_s());
                // A refusal without signature says more than that it has none.
                if checked == Err(TsigError::Unsigned) && message.rcode() != 0 {
                    return Err(refused(source, &message));
                }
                checked?
            }
            None => true,
        };
        if message.rcode() != 0 {
            return Err(refused(source, &message));
        }
        match &message.question {
            Some(asked) if asked.is(&question) => {}
            Some(_) => return Err(XfrError::Mismatch("another question")),
            None if first => return Err(XfrError::Mismatch("no question")),
            None => {}
        }
        if message.flags & flags::TC != 0 {
            return Err(XfrError::Malformed("truncated, which no message over TCP is"));
        }
        first = false;
        transfer.take(message.answers)?;
        if transfer.is_done() {
            if !signed {
                return Err(TsigError::Unsigned.into());
            }
            break;
        }
    }
    Ok(match transfer.outcome() {
        Some(Outcome::Unchanged(soa)) => Fetched::Unchanged { soa },
        Some(Outcome::Full(zone)) => Fetched::Zone { zone, way: Way::Full },
        Some(Outcome::Changed { zone, removed, added }) => {
            Fetched::Zone { zone, way: Way::Incremental { removed, added } }
        }
        None => return Err(XfrError::Closed { server }),
    })
}

/// The request with its id, and the chain that its answers are checked by.
fn request(
    source: &Source,
    have: Option<&Zone>,
    question: &Question,
) -> Result<(u16, Vec<u8>, Option<Chain>), XfrError> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(XfrError::Random)?;
    let id = u16::from_be_bytes(id);
    let mut writer = Writer::new(id, 0, Some(question), MOST_REQUEST_BYTES);
    if let Some(zone) = have.filter(|_| question.qtype == types::IXFR) {
        // Names of an SOA have at most 255 bytes each: there is room.
        writer.push(Section::Authority, zone.soa().record(zone.apex()).view());
    }
    let mut request = writer.finish();
    let chain = source.key.as_ref().map(|key| {
        let stamp = Stamp { time_s: now_s(), ..Stamp::default() };
        let mac = Chain::request(key).sign(&mut request, &stamp);
        Chain::response(key, &mac)
    });
    Ok((id, request, chain))
}

fn refused(source: &Source, message: &Message) -> XfrError {
    XfrError::Refused { zone: source.zone.to_string(), rcode: message.rcode() }
}

async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut wire = vec![0; usize::from(length)];
    stream.read_exact(&mut wire).await?;
    Ok(wire)
}
