//! DNS over TCP (RFC 1035 section 4.2.2, RFC 7766): many questions a connection, answered as they are ready.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::canonical;
use crate::pipeline::{Door, Pipeline, Progress, Reply};

/// A connection without a question under way is closed after this (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A client that does not take its answers for this long is cut off.
const WRITE: Duration = Duration::from_secs(10);
/// Questions under way on one connection; further ones wait in the socket.
const MAX_PIPELINED: usize = 100;
/// Connections of one door and worker; further ones are closed at once.
pub const MAX_CONNECTIONS: usize = 2048;

/// Counts connections of one door, so that they stay bounded.
#[derive(Debug, Clone, Default)]
pub struct Connections(Rc<Cell<usize>>);

/// One counted connection; dropped, it is counted off.
#[derive(Debug)]
pub struct Connection(Rc<Cell<usize>>);

impl Connections {
    /// Counts one more, unless there are [`MAX_CONNECTIONS`].
    pub fn open(&self) -> Option<Connection> {
        if self.0.get() >= MAX_CONNECTIONS {
            return None;
        }
        self.0.set(self.0.get() + 1);
        Some(Connection(Rc::clone(&self.0)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Accepts connections until `stop` turns true, and hands each to `serve_one` in a task of its own, which
/// holds the [`Connection`] as long as it lives.
pub async fn accept<F, S>(
    listener: TcpListener,
    pipeline: Rc<Pipeline>,
    mut stop: watch::Receiver<bool>,
    serve_one: S,
) where
    S: Fn(TcpStream, std::net::SocketAddr) -> F,
    F: Future<Output = ()> + 'static,
{
    let connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, from)) => {
                let Some(counted) = connections.open() else {
                    pipeline.metrics().refused_connections.add(1);
                    continue;
                };
                // Answers are small and wanted now; without it they only come later.
                let _ = stream.set_nodelay(true);
                let serving = serve_one(stream, canonical(from));
                tokio::task::spawn_local(async move {
                    serving.await;
                    drop(counted);
                });
            }
            // Out of file descriptors, most likely: they come back when connections end.
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves until `stop` turns true; connections with questions under way finish them.
pub async fn serve(listener: TcpListener, pipeline: Rc<Pipeline>, stop: watch::Receiver<bool>) {
    let (shared, stopped) = (Rc::clone(&pipeline), stop.clone());
    accept(listener, pipeline, stop, move |stream, from| {
        let (pipeline, stop) = (Rc::clone(&shared), stopped.clone());
        async move {
            // The client's end of a connection is its own business.
            let _ = converse(stream, from, &pipeline, stop).await;
        }
    })
    .await;
}

async fn converse(
    mut stream: TcpStream,
    from: std::net::SocketAddr,
    pipeline: &Rc<Pipeline>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut incoming = BytesMut::with_capacity(1024);
    let mut outgoing = Vec::new();
    let mut under_way: JoinSet<Reply> = JoinSet::new();
    let mut reading = true;
    while reading || !under_way.is_empty() {
        while under_way.len() < MAX_PIPELINED {
            let Some(question) = take_message(&mut incoming) else { break };
            match pipeline.ask(&question, from, Door::Tcp) {
                Progress::Ready(reply) => frame(reply, &mut outgoing, pipeline),
                Progress::Later(reply) => {
                    under_way.spawn_local(reply);
                }
            }
        }
        if !outgoing.is_empty() {
            timeout(WRITE, stream.write_all(&outgoing)).await??;
            outgoing.clear();
        }
        let full = under_way.len() >= MAX_PIPELINED;
        tokio::select! {
            read = stream.read_buf(&mut incoming), if reading && !full => reading = read? > 0,
            Some(reply) = under_way.join_next() => if let Ok(reply) = reply {
                frame(reply, &mut outgoing, pipeline);
            },
            () = tokio::time::sleep(IDLE), if under_way.is_empty() => return Ok(()),
            _ = stop.wait_for(|stop| *stop), if reading => reading = false,
        }
        if !outgoing.is_empty() && !reading {
            timeout(WRITE, stream.write_all(&outgoing)).await??;
            outgoing.clear();
        }
    }
    stream.shutdown().await
}

/// The next whole message: two bytes of length, then the message.
fn take_message(incoming: &mut BytesMut) -> Option<BytesMut> {
    let length = usize::from(u16::from_be_bytes(incoming.get(..2)?.try_into().ok()?));
    if incoming.len() < 2 + length {
        incoming.reserve(2 + length - incoming.len());
        return None;
    }
    incoming.advance(2);
    Some(incoming.split_to(length))
}

fn frame(reply: Reply, outgoing: &mut Vec<u8>, pipeline: &Pipeline) {
    match reply {
        Reply::Message(message) | Reply::Malformed(Some(message)) => {
            // A DNS message is never longer: lengths inside it have 16 bits.
            let Ok(length) = u16::try_from(message.len()) else { return };
            outgoing.extend_from_slice(&length.to_be_bytes());
            outgoing.extend_from_slice(&message);
        }
        Reply::Malformed(None) | Reply::Nothing => pipeline.metrics().dropped.add(1),
    }
}
