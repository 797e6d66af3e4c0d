//! One question to one upstream: a datagram from a port of its own, or a TCP connection.
//!
//! What comes back must come from the address asked, carry our random id and our question with our random
//! spelling (0x20). Anything else is ignored while the clock runs; many such datagrams look like somebody
//! guessing, and TCP takes over.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{question_end, question_for_upstream, u16_at};

/// After this many datagrams that don't match, the question goes over TCP.
const MAX_STRANGERS: u32 = 8;

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing that matches came in time.
    #[error("no answer in time")]
    Timeout,
    /// The network or the upstream's host refused.
    #[error("network: {0}")]
    Network(#[from] io::Error),
    /// Over TCP, the answer is not to our question.
    #[error("answer to another question")]
    Mismatch,
}

/// A question on its way: our id and spelling, to be matched.
pub struct Outgoing {
    wire: Vec<u8>,
    question_end: usize,
}

impl Outgoing {
    /// Draws an id and a spelling for a question.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn draw(raw_question: &[u8], cd: bool, dnssec_ok: bool) -> io::Result<Self> {
        let mut random = [0u8; 2 + 32];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let id = u16::from_be_bytes([random[0], random[1]]);
        let mut wire = question_for_upstream(id, raw_question, cd, dnssec_ok);
        let question_end = 12 + raw_question.len();
        // Length bytes are below 64, so that only letters match; type and class are left alone.
        let letters = wire[12..question_end - 4].iter_mut().enumerate();
        for (index, byte) in letters.filter(|(_, byte)| byte.is_ascii_alphabetic()) {
            if random[2 + index / 8 % 32] >> (index % 8) & 1 == 1 {
                *byte ^= 0x20;
            }
        }
        Ok(Self { wire, question_end })
    }

    /// The message as it is sent.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether `reply` is a response to this question, however its name is spelled.
    fn matches(&self, reply: &[u8]) -> bool {
        reply.len() >= self.question_end
            && reply[..2] == self.wire[..2]
            && reply[2] & 0x80 != 0
            && question_end(reply) == Some(self.question_end)
            && reply[12..self.question_end].eq_ignore_ascii_case(&self.wire[12..self.question_end])
    }

    /// Whether `reply`, which matches, has our spelling too.
    fn echoes(&self, reply: &[u8]) -> bool {
        reply[12..self.question_end] == self.wire[12..self.question_end]
    }

    /// Whether `reply` refuses to say to what: servers that can't read EDNS may answer with a bare header.
    fn is_bare_error(&self, reply: &[u8]) -> bool {
        reply.len() == 12 && reply[..2] == self.wire[..2] && reply[2] & 0x80 != 0 && reply[3] & 0x0f != 0
    }
}

/// Asks over UDP, and over TCP if the answer says that it is truncated.
pub async fn ask(server: SocketAddr, outgoing: &Outgoing, limit: Duration) -> Result<Vec<u8>, ExchangeError> {
    let udp = timeout(limit, ask_udp(server, outgoing)).await.map_err(|_| ExchangeError::Timeout)??;
    match udp {
        Some(reply) if reply[2] & 0x02 == 0 => Ok(reply),
        _ => timeout(limit, ask_tcp(server, outgoing)).await.map_err(|_| ExchangeError::Timeout)?,
    }
}

/// `None`: the answer can't be trusted, ask over TCP: too many strangers, or the spelling is not ours (some
/// servers lower it, and so would somebody who guesses).
async fn ask_udp(server: SocketAddr, outgoing: &Outgoing) -> Result<Option<Vec<u8>>, ExchangeError> {
    // A fresh socket is a fresh port; connected, the kernel drops datagrams from other addresses.
    let local = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    socket.send(outgoing.wire()).await?;
    let mut reply = vec![0; 4096];
    for _ in 0..MAX_STRANGERS {
        let length = socket.recv(&mut reply).await?;
        let bare = outgoing.is_bare_error(&reply[..length]);
        if bare || outgoing.matches(&reply[..length]) {
            reply.truncate(length);
            return Ok((bare || outgoing.echoes(&reply)).then_some(reply));
        }
    }
    Ok(None)
}

async fn ask_tcp(server: SocketAddr, outgoing: &Outgoing) -> Result<Vec<u8>, ExchangeError> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut framed = (outgoing.wire().len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(outgoing.wire());
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await?;
    if !outgoing.matches(&reply) && !outgoing.is_bare_error(&reply) {
        return Err(ExchangeError::Mismatch);
    }
    Ok(reply)
}

/// The response code in a reply's header.
pub fn header_rcode(reply: &[u8]) -> u16 {
    u16_at(reply, 2).unwrap_or(0) & 0x0f
}
