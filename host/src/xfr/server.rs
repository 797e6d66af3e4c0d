//! The server of the policy zone: SOA and NS over UDP and TCP, transfers over TCP, to those who may ask.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{Reply, Rules, Transport, answer};
use super::message::framed;
use super::notify;
use super::publish::Publisher;
use super::tsig::{Key, now_s};
use crate::listener::{Access, BindError, bind_tcp, bind_udp, canonical};

/// A connection on which nothing is asked for this long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// A message that is not taken within this ends the connection.
const WRITE: Duration = Duration::from_secs(30);
/// A connection ends after this, whatever is sent on it.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Requests answered on one connection.
const MOST_REQUESTS: usize = 100;
/// The longest request that is read, bytes: a question, an SOA, a signature.
const MOST_REQUEST_BYTES: usize = 4096;
/// Connections of one address; further ones are closed at once.
const MOST_FROM_ONE: usize = 8;
/// Connections in all.
const MOST_CONNECTIONS: usize = 64;

/// Who is told of new versions.
#[derive(Debug, Clone)]
pub struct Secondary {
    /// Where it takes NOTIFY, most often port 53.
    pub address: SocketAddr,
    /// Signs the NOTIFY.
    pub key: Option<Key>,
}

/// Who may transfer the zone, and who is told of it.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// With keys, every request must be signed by one of them. Default: none.
    pub keys: Vec<Key>,
    /// Networks that may ask. Default: none, which without keys is nobody, and with keys everybody who signs.
    pub allow_from: Vec<IpNet>,
    /// Who gets a NOTIFY. Default: nobody.
    pub secondaries: Vec<Secondary>,
}

/// The server with its sockets open.
pub struct Server {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    rules: Arc<Rules>,
    secondaries: Vec<Secondary>,
}

impl Server {
    /// Opens UDP and TCP sockets on each address; port 0 picks the same free one for both. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If an address can't be listened on.
    pub fn bind(addresses: &[SocketAddr], config: ServerConfig) -> Result<Self, BindError> {
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for &address in addresses {
            let error = |kind| move |source| BindError { address, kind, source };
            let mut bound = address;
            for socket in bind_tcp(address, 1)? {
                bound = socket.local_addr().map_err(error("tcp"))?;
                tcp.push(TcpListener::from_std(socket).map_err(error("tcp"))?);
            }
            for socket in bind_udp(bound, 1)? {
                udp.push(UdpSocket::from_std(socket).map_err(error("udp"))?);
            }
        }
        let ServerConfig { keys, allow_from, secondaries } = config;
        let networks = (!allow_from.is_empty()).then(|| Access::new(&allow_from));
        Ok(Self { udp, tcp, rules: Arc::new(Rules { keys, networks }), secondaries })
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Serves and notifies until `stop` turns true; transfers under way end then.
    pub async fn run(self, publisher: Publisher, mut stop: watch::Receiver<bool>) {
        // Dropped, it ends its tasks.
        let mut tasks = JoinSet::new();
        for secondary in self.secondaries {
            tasks.spawn(notify::keep_informed(secondary, publisher.clone()));
        }
        let served = Arc::new(Served { apex: publisher.origin().to_wire(), rules: self.rules, publisher });
        for socket in self.udp {
            tasks.spawn(serve_udp(socket, Arc::clone(&served)));
        }
        let places = Places::default();
        for listener in self.tcp {
            tasks.spawn(serve_tcp(listener, Arc::clone(&served), places.clone()));
        }
        // An end of whoever could stop it is a stop too.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// Opens the sockets and serves until `stop` turns true.
///
/// # Errors
/// If an address can't be listened on.
pub async fn serve(
    addresses: &[SocketAddr],
    config: ServerConfig,
    publisher: Publisher,
    stop: watch::Receiver<bool>,
) -> Result<(), BindError> {
    Server::bind(addresses, config)?.run(publisher, stop).await;
    Ok(())
}

/// What every socket answers from.
struct Served {
    publisher: Publisher,
    rules: Arc<Rules>,
    apex: Vec<u8>,
}

impl Served {
    fn answer(&self, wire: &[u8], from: IpAddr, transport: Transport) -> Reply {
        let version = self.publisher.version();
        answer(wire, (from, transport), &self.rules, &self.apex, version, now_s())
    }
}

async fn serve_udp(socket: UdpSocket, served: Arc<Served>) {
    let mut buffer = vec![0; MOST_REQUEST_BYTES];
    loop {
        // An error is an ICMP message about an earlier answer: says nothing of the next request.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        if let Reply::Message(reply) = served.answer(&buffer[..length], canonical(from).ip(), Transport::Udp)
        {
            // A full buffer loses the answer, as the network would.
            let _ = socket.try_send_to(&reply, from);
        }
    }
}

/// Counts connections, in all and by address.
#[derive(Clone)]
struct Places {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MOST_CONNECTIONS)), by_address: Arc::default() }
    }
}

/// One connection's place; given back when dropped.
struct Place {
    places: Places,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MOST_FROM_ONE {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), address, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, served: Arc<Served>, places: Places) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, from) = match accepted {
            Ok((stream, from)) => (stream, canonical(from).ip()),
            // Out of file descriptors, most likely: they come back when connections end.
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection for a zone transfer");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // A stranger gets no place: many of them would keep secondaries out.
        if !served.rules.allows(from) {
            tracing::info!(%from, "closed a connection for a zone transfer: no allowed network has its address");
            continue;
        }
        let Some(place) = places.take(from) else {
            tracing::info!(%from, "closed a connection for a zone transfer: too many are open");
            continue;
        };
        let served = Arc::clone(&served);
        connections.spawn(async move {
            let ended = timeout(LIFETIME, converse(stream, from, &served)).await;
            if let Ok(Err(error)) = ended {
                tracing::debug!(%from, %error, "connection for a zone transfer ended");
            }
            drop(place);
        });
    }
}

async fn converse(mut stream: TcpStream, from: IpAddr, served: &Served) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for _ in 0..MOST_REQUESTS {
        let request = match timeout(IDLE, read_request(&mut stream)).await {
            Ok(Ok(request)) => request,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        match served.answer(&request, from, Transport::Tcp) {
            Reply::Nothing => return Ok(()),
            Reply::Message(reply) => timeout(WRITE, stream.write_all(&framed(&reply))).await??,
            Reply::Transfer(transfer) => {
                let (kind, serial) = (transfer.kind(), transfer.serial());
                let records = transfer.send(&mut stream, WRITE).await?;
                tracing::info!(%from, kind, %serial, records, "zone transferred");
            }
        }
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MOST_REQUEST_BYTES {
        return Err(io::Error::other("a request of more than 4096 bytes"));
    }
    let mut wire = vec![0; length];
    stream.read_exact(&mut wire).await?;
    Ok(wire)
}
