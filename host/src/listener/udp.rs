//! DNS over UDP (RFC 1035 section 4.2.1).
//!
//! Datagrams are taken in bursts; each that can be answered at once is answered before the next is read.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::canonical;
use crate::pipeline::{Door, Pipeline, Progress, Reply};

/// Datagrams taken in a row before other work gets its turn.
const BURST: usize = 64;
/// Questions of this door that may wait at once; past it, new ones are dropped as by a full buffer.
const MAX_WAITING: usize = 10_000;
/// The longest datagram, bytes.
const MAX_DATAGRAM: usize = 65_535;

/// Serves until `stop` turns true.
pub async fn serve(socket: UdpSocket, pipeline: Rc<Pipeline>, mut stop: watch::Receiver<bool>) {
    let socket = Rc::new(socket);
    let waiting = Rc::new(Cell::new(0usize));
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        tokio::select! {
            ready = socket.readable() => if ready.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        for _ in 0..BURST {
            let (length, from) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier answer: says nothing about the next datagram.
                Err(_) => continue,
            };
            match pipeline.ask(&buffer[..length], canonical(from), Door::Udp) {
                Progress::Ready(reply) => {
                    if let Some(message) = message(reply, &pipeline) {
                        // A full send buffer loses the datagram, as the network would.
                        let _ = socket.try_send_to(&message, from);
                    }
                }
                Progress::Later(_) if waiting.get() >= MAX_WAITING => pipeline.metrics().dropped.add(1),
                Progress::Later(reply) => {
                    waiting.set(waiting.get() + 1);
                    let (socket, waiting) = (Rc::clone(&socket), Rc::clone(&waiting));
                    let pipeline = Rc::clone(&pipeline);
                    tokio::task::spawn_local(async move {
                        if let Some(message) = message(reply.await, &pipeline) {
                            let _ = socket.send_to(&message, from).await;
                        }
                        waiting.set(waiting.get() - 1);
                    });
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

fn message(reply: Reply, pipeline: &Pipeline) -> Option<Vec<u8>> {
    match reply {
        Reply::Message(message) | Reply::Malformed(Some(message)) => Some(message),
        Reply::Malformed(None) | Reply::Nothing => {
            pipeline.metrics().dropped.add(1);
            None
        }
    }
}
