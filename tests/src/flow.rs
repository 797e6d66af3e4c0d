//! Many questions from one address at one door, some under way at a time.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, UdpSocket};

use crate::client::{Client, Door, Reply, Session};

/// Questions under way at once.
pub const WINDOW: usize = 64;
/// Nobody may take longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client of one address at one door.
pub struct Flow {
    kind: Kind,
}

enum Kind {
    Udp(UdpSocket),
    Tcp(OwnedReadHalf, OwnedWriteHalf),
    Http(Session),
}

impl Flow {
    /// Connects from an address of loopback.
    ///
    /// # Panics
    /// If the door can't be reached.
    pub async fn open(client: &Client, door: Door, from: Ipv4Addr) -> Self {
        let dns = (Ipv4Addr::LOCALHOST, client.ports().dns);
        let kind = match door {
            Door::Udp => {
                let socket = UdpSocket::bind((from, 0)).await.expect("an address of loopback");
                socket.connect(dns).await.expect("a port");
                Kind::Udp(socket)
            }
            Door::Tcp => {
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.bind((from, 0).into()).expect("an address of loopback");
                let (read, write) = socket.connect(dns.into()).await.expect("the door is open").into_split();
                Kind::Tcp(read, write)
            }
            _ => Kind::Http(client.session(door, from).await),
        };
        Self { kind }
    }

    /// Asks up to [`WINDOW`] questions at once; replies in the same order.
    pub async fn ask(&mut self, mut wires: Vec<Vec<u8>>) -> Vec<Reply> {
        assert!(wires.len() <= WINDOW);
        for (id, wire) in (0u16..).zip(&mut wires) {
            wire[..2].copy_from_slice(&id.to_be_bytes());
        }
        let mut replies = vec![Reply::Nothing; wires.len()];
        let all = async {
            match &mut self.kind {
                Kind::Udp(socket) => {
                    for wire in &wires {
                        socket.send(wire).await.expect("loopback takes a datagram");
                    }
                    let mut buffer = [0u8; 4_096];
                    while replies.contains(&Reply::Nothing) {
                        let length = socket.recv(&mut buffer).await.expect("an open port");
                        put(&mut replies, &buffer[..length]);
                    }
                }
                Kind::Tcp(read, write) => {
                    let framed = wires
                        .iter()
                        .flat_map(|wire| [&(wire.len() as u16).to_be_bytes(), &wire[..]].concat());
                    write.write_all(&framed.collect::<Vec<u8>>()).await.expect("an open connection");
                    while replies.contains(&Reply::Nothing) {
                        let length = read.read_u16().await.expect("an answer");
                        let mut answer = vec![0; usize::from(length)];
                        read.read_exact(&mut answer).await.expect("an answer");
                        put(&mut replies, &answer);
                    }
                }
                Kind::Http(session) => {
                    let mut under_way = tokio::task::JoinSet::new();
                    for (number, wire) in wires.into_iter().enumerate() {
                        let session = session.clone();
                        under_way.spawn(async move { (number, session.ask(wire).await) });
                    }
                    while let Some(done) = under_way.join_next().await {
                        let (number, reply) = done.expect("a client that does not panic");
                        replies[number] = reply;
                    }
                }
            }
        };
        // What came until then stands.
        let _ = tokio::time::timeout(PATIENCE, all).await;
        replies
    }
}

fn put(replies: &mut [Reply], wire: &[u8]) {
    let id = wire.first_chunk().map_or(u16::MAX, |id| u16::from_be_bytes(*id));
    if let Some(reply) = replies.get_mut(usize::from(id)) {
        *reply = Reply::Message(wire.to_vec());
    }
}
