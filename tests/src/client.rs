//! Clients for every door. They know nothing of dnsvet: messages are made and read by hickory-proto.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use xtask::line::Ports;

/// Nobody may take longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions under way at once.
const IN_FLIGHT: usize = 32;

/// Where a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// DNS over UDP.
    Udp,
    /// DNS over TCP.
    Tcp,
    /// DoH of the resolver, POST.
    Doh,
    /// DoH of the resolver, GET.
    DohGet,
    /// DoH of Envoy, POST.
    Envoy,
    /// DoH of Envoy, GET.
    EnvoyGet,
}

impl Door {
    /// The four doors of the table.
    pub const MAIN: [Door; 4] = [Door::Udp, Door::Tcp, Door::Doh, Door::Envoy];
    /// All of them.
    pub const ALL: [Door; 6] = [Door::Udp, Door::Tcp, Door::Doh, Door::DohGet, Door::Envoy, Door::EnvoyGet];

    fn is_get(self) -> bool {
        matches!(self, Door::DohGet | Door::EnvoyGet)
    }

    /// The door's name in events.
    pub fn event_name(self) -> &'static str {
        match self {
            Door::Udp => "udp",
            Door::Tcp => "tcp",
            Door::Doh | Door::DohGet => "doh",
            Door::Envoy | Door::EnvoyGet => "envoy",
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A DNS message.
    Message(Vec<u8>),
    /// An HTTP status other than 200.
    Status(u16),
    /// Nothing: dropped, reset or closed.
    Nothing,
}

impl Reply {
    /// The message, decoded.
    ///
    /// # Panics
    /// If there is none, or it is none that hickory-proto reads.
    pub fn message(&self) -> Message {
        match self {
            Reply::Message(wire) => Message::from_vec(wire).expect("an answer that decodes"),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The RCODE; `None` if nothing that decodes came.
    pub fn rcode(&self) -> Option<u16> {
        match self {
            Reply::Message(wire) => {
                Message::from_vec(wire).ok().map(|message| u16::from(message.metadata.response_code))
            }
            _ => None,
        }
    }

    /// RCODE and number of answers from a message's header alone; `None` if there is none.
    pub fn header(&self) -> Option<(u8, u16)> {
        match self {
            Reply::Message(wire) => {
                let [_, _, _, flags, _, _, a, b, ..] = wire[..] else { return None };
                Some((flags & 15, u16::from_be_bytes([a, b])))
            }
            _ => None,
        }
    }

    /// The IPv4 addresses of the answer.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        let message = self.message();
        let records = message.answers.iter().filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        });
        records.collect()
    }
}

/// A question with EDNS.
///
/// # Panics
/// If `name` is no name.
pub fn question(id: u16, name: &str, qtype: RecordType) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut query = Query::query(Name::from_ascii(name).expect("a name"), qtype);
    query.set_query_class(DNSClass::IN);
    message.add_query(query);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.edns = Some(edns);
    message.to_vec().expect("a message")
}

/// A request to Envoy's door that an ordinary client would not make.
#[derive(Debug, Clone)]
pub enum Framing {
    /// GET with this query string, as it is.
    Get {
        /// What follows the `?`.
        query: String,
    },
    /// POST whose body is followed by trailers, so that no part of it is marked as the last.
    Trailers {
        /// The DNS message.
        body: Bytes,
    },
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Asks at the doors of one line.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    ports: Ports,
    tls: Arc<rustls::ClientConfig>,
}

impl Client {
    /// Trusts the certificate of the line, and nothing else.
    ///
    /// # Panics
    /// If the certificate can't be used.
    pub fn new(ports: Ports, certificate: &Path) -> Self {
        Self::showing(ports, certificate, None)
    }

    /// As [`Client::new`], with a certificate of its own to show.
    ///
    /// # Panics
    /// If a certificate can't be used.
    pub fn showing(
        ports: Ports,
        certificate: &Path,
        shown: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(certificate).expect("doh-cert.pem") {
            roots.add(certificate.expect("a certificate")).expect("a trust anchor");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots);
        let mut tls = match shown {
            None => tls.with_no_client_auth(),
            Some((certificate, key)) => {
                tls.with_client_auth_cert(vec![certificate], key).expect("a certificate with its key")
            }
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, ports, tls: Arc::new(tls) }
    }

    /// Asks for the IPv4 address of a name.
    pub fn ask(&self, door: Door, name: &str) -> Reply {
        self.send(door, question(7, name, RecordType::A))
    }

    /// Sends one message as it is.
    pub fn send(&self, door: Door, wire: Vec<u8>) -> Reply {
        self.send_all(door, vec![wire]).pop().unwrap_or(Reply::Nothing)
    }

    /// Asks for the IPv4 addresses of many names; replies in the same order.
    pub fn ask_all(&self, door: Door, names: &[String]) -> Vec<Reply> {
        let id = |index: usize| (index % 60_000) as u16;
        let wires = names.iter().enumerate().map(|(i, name)| question(id(i), name, RecordType::A)).collect();
        self.send_all(door, wires)
    }

    /// Sends many messages, some at once; replies in the same order. Each may take 5 s.
    ///
    /// # Panics
    /// If a door can't be reached at all.
    pub fn send_all(&self, door: Door, wires: Vec<Vec<u8>>) -> Vec<Reply> {
        self.send_all_within(door, wires, PATIENCE)
    }

    /// As [`Client::send_all`], with another limit for each.
    ///
    /// # Panics
    /// If a door can't be reached at all.
    pub fn send_all_within(&self, door: Door, wires: Vec<Vec<u8>>, patience: Duration) -> Vec<Reply> {
        let count = wires.len();
        self.runtime.block_on(async {
            let http = match door {
                Door::Udp | Door::Tcp => None,
                Door::Doh | Door::DohGet => Some(self.connect(Ipv4Addr::LOCALHOST, self.ports.doh).await),
                Door::Envoy | Door::EnvoyGet => {
                    Some(self.connect(Ipv4Addr::LOCALHOST, self.ports.envoy).await)
                }
            };
            let mut replies = vec![Reply::Nothing; count];
            let mut tasks = JoinSet::new();
            let mut waiting = wires.into_iter().enumerate();
            loop {
                while tasks.len() < IN_FLIGHT {
                    let Some((index, wire)) = waiting.next() else { break };
                    let (http, ports) = (http.clone(), self.ports);
                    tasks.spawn(async move {
                        let one = exchange(door, ports, http, wire);
                        (index, tokio::time::timeout(patience, one).await.unwrap_or(Reply::Nothing))
                    });
                }
                match tasks.join_next().await {
                    Some(done) => {
                        let (index, reply) = done.expect("a client that does not panic");
                        replies[index] = reply;
                    }
                    None => break replies,
                }
            }
        })
    }

    /// Sends a request to Envoy, framed in an unusual way.
    ///
    /// # Panics
    /// If Envoy's door can't be reached.
    pub fn send_framed(&self, framing: Framing) -> Reply {
        let request = Request::builder().header("accept", "application/dns-message");
        let request = match framing {
            Framing::Get { query } => request
                .uri(format!("https://127.0.0.1/dns-query?{query}"))
                .body(Full::new(Bytes::new()).boxed_unsync()),
            Framing::Trailers { body } => {
                let trailers = HeaderMap::from_iter([(
                    HeaderName::from_static("x-trailer"),
                    HeaderValue::from_static("1"),
                )]);
                let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
                request
                    .method(Method::POST)
                    .uri("https://127.0.0.1/dns-query")
                    .header("content-type", "application/dns-message")
                    .body(body.boxed_unsync())
            }
        };
        let request = request.expect("a request");
        self.runtime.block_on(async {
            let http = self.connect(Ipv4Addr::LOCALHOST, self.ports.envoy).await;
            tokio::time::timeout(PATIENCE, send(http, request)).await.unwrap_or(Reply::Nothing)
        })
    }

    /// Runs to the end.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// A connection to a DoH door that stays, from an address of loopback.
    pub(crate) async fn session(&self, door: Door, from: Ipv4Addr) -> Session {
        let envoy = matches!(door, Door::Envoy | Door::EnvoyGet);
        let http = self.connect(from, if envoy { self.ports.envoy } else { self.ports.doh }).await;
        Session { http, method: if door.is_get() { Method::GET } else { Method::POST } }
    }

    async fn connect(&self, from: Ipv4Addr, port: u16) -> SendRequest<Body> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address of loopback");
        let door = (Ipv4Addr::LOCALHOST, port).into();
        let stream = socket.connect(door).await.expect("the DoH door is open");
        // Else the kernel holds small parts of the handshake back for 40 ms.
        stream.set_nodelay(true).expect("a connected socket");
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let connector = tokio_rustls::TlsConnector::from(self.tls.clone());
        let stream =
            connector.connect(name, stream).await.expect("a TLS handshake with the line's certificate");
        let io = TokioIo::new(stream);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }
}

/// A connection to a DoH door.
#[derive(Clone)]
pub(crate) struct Session {
    http: SendRequest<Body>,
    method: Method,
}

impl Session {
    pub(crate) async fn ask(self, wire: Vec<u8>) -> Reply {
        doh(self.http, self.method, wire).await
    }
}

async fn exchange(door: Door, ports: Ports, http: Option<SendRequest<Body>>, wire: Vec<u8>) -> Reply {
    match (door, http) {
        (Door::Udp, _) => udp(ports.dns, &wire).await,
        (Door::Tcp, _) => tcp(ports.dns, &wire).await.unwrap_or(Reply::Nothing),
        (Door::DohGet | Door::EnvoyGet, Some(http)) => doh(http, Method::GET, wire).await,
        (_, Some(http)) => doh(http, Method::POST, wire).await,
        (_, None) => Reply::Nothing,
    }
}

async fn udp(port: u16, wire: &[u8]) -> Reply {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut buffer = vec![0; 65_535];
    let asked = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(server).await?;
        socket.send(wire).await?;
        socket.recv(&mut buffer).await
    };
    match asked.await {
        Ok(length) => Reply::Message(buffer[..length].to_vec()),
        Err(_) => Reply::Nothing,
    }
}

async fn tcp(port: u16, wire: &[u8]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut framed = (wire.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(wire);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(Reply::Message(answer))
}

async fn doh(http: SendRequest<Body>, method: Method, wire: Vec<u8>) -> Reply {
    let mut request = Request::builder().method(&method).header("accept", "application/dns-message");
    let body = if method == Method::GET {
        request = request.uri(format!("https://127.0.0.1/dns-query?dns={}", base64url(&wire)));
        Bytes::new()
    } else {
        request =
            request.uri("https://127.0.0.1/dns-query").header("content-type", "application/dns-message");
        Bytes::from(wire)
    };
    let Ok(request) = request.body(Full::new(body).boxed_unsync()) else { return Reply::Nothing };
    send(http, request).await
}

async fn send(mut http: SendRequest<Body>, request: Request<Body>) -> Reply {
    let Ok(response) = http.send_request(request).await else { return Reply::Nothing };
    let status = response.status().as_u16();
    if status != 200 {
        return Reply::Status(status);
    }
    match response.into_body().collect().await {
        Ok(body) => Reply::Message(body.to_bytes().to_vec()),
        Err(_) => Reply::Nothing,
    }
}

/// RFC 4648 section 5, without padding.
pub fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            text.push(char::from(LETTERS[(word >> (18 - 6 * i)) as usize & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_the_rfc() {
        let encoded = ["", "f", "fo", "foo", "foob"].map(|text| base64url(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg", "Zm8", "Zm9v", "Zm9vYg"]);
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }
}
