//! The doors: sockets that clients ask at, the same set on each worker (`SO_REUSEPORT`).

mod connection;
pub mod doh;
pub mod json;
pub mod mlbridge;
pub mod tcp;
pub mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};

/// Receive buffer asked for at a UDP door, bytes: a burst waits instead of being lost.
const UDP_BUFFER_BYTES: usize = 4 << 20;
/// Connections that may wait to be accepted at a door.
const BACKLOG: i32 = 1024;

/// A door that can't be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "can't listen on {address} ({kind}): {source}; free the address or change `listen` in the configuration"
)]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// What for: `udp`, `tcp`.
    pub kind: &'static str,
    /// Why.
    pub source: io::Error,
}

/// An IPv4 address that came in IPv6 clothes (`::ffff:192.0.2.1`) as what it is.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The same for an address with port.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(canonical_ip(address.ip()), address.port())
}

/// Who may ask: `allow_from`.
#[derive(Debug, Clone)]
pub struct Access(Vec<IpNet>);

impl Access {
    /// Clients within `nets`.
    pub fn new(nets: &[IpNet]) -> Self {
        Self(nets.to_vec())
    }

    /// Whether a client, in canonical form, may ask.
    pub fn allows(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&ip))
    }
}

/// Opens one UDP socket for each worker on the same address. Port 0: the first picks, the others follow.
pub fn bind_udp(address: SocketAddr, workers: usize) -> Result<Vec<UdpSocket>, BindError> {
    let error = |source| BindError { address, kind: "udp", source };
    let sockets = bind_all(address, workers, Type::DGRAM, Protocol::UDP).map_err(error)?;
    for socket in &sockets {
        // The kernel may give less; that is no failure.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
    }
    Ok(sockets.into_iter().map(UdpSocket::from).collect())
}

/// Opens one listening TCP socket for each worker on the same address.
pub fn bind_tcp(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, BindError> {
    let error = |source| BindError { address, kind: "tcp", source };
    let sockets = bind_all(address, workers, Type::STREAM, Protocol::TCP).map_err(error)?;
    for socket in &sockets {
        socket.listen(BACKLOG).map_err(error)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

fn bind_all(address: SocketAddr, workers: usize, kind: Type, protocol: Protocol) -> io::Result<Vec<Socket>> {
    // A second server on the same address would silently take half of the questions: look first whether
    // the address is free for one that does not share.
    let mut address = open(address, kind, protocol, false)?.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = open(address, kind, protocol, true)?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            address = bound;
        }
        sockets.push(socket);
    }
    Ok(sockets)
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
