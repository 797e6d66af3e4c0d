//! The API's connections: how many there may be, and how long one may take to ask.
//!
//! The surprise: the server that tells HTTP/1.1 from HTTP/2 waits for a connection's first bytes without an
//! end, so a clock of our own runs until the first request is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

/// An HTTP/2 connection whose peer answers no ping for this long is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Between two lines in the log that there are too many connections.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// A request's head that takes longer is cut off, and so is an HTTP/1.1 connection that asks nothing.
    pub head: Duration,
}

impl Default for Bounds {
    /// Far above what filters and people need: a filter has one connection, a dashboard some.
    fn default() -> Self {
        Self { connections: 1_024, head: Duration::from_secs(30) }
    }
}

/// Serves `router` until `ending` turns true; connections then finish what is under way.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, mut ending: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) if connections.len() < bounds.connections => {
                let _ = stream.set_nodelay(true);
                connections.spawn(converse(stream, from, router.clone(), bounds.head, ending.clone()));
            }
            Ok((_, from)) => {
                if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                    warned = Some(Instant::now());
                    let most = bounds.connections;
                    tracing::warn!(%from, most, "too many connections to the API; new ones are closed");
                }
            }
            // Out of file descriptors, most likely: they come back when connections end.
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection to the API");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn converse(
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    head: Duration,
    mut ending: watch::Receiver<bool>,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(head);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS);
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(from));
        router.clone().oneshot(request)
    });
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let first = tokio::time::sleep(head);
    tokio::pin!(connection, first);
    // How a client ends its connection is its own business.
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = first.as_mut(), if !first.is_elapsed() => if !asked.load(Ordering::Relaxed) {
                return;
            },
            _ = ending.wait_for(|ending| *ending) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Reads until the other side closes.
    async fn rest(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
        // A reset is an end too.
        let _ = read.expect("the connection was closed");
        bytes
    }

    #[tokio::test]
    async fn connections_are_bounded_and_one_that_asks_nothing_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ending, ended) = watch::channel(false);
        let router = Router::new().route("/", axum::routing::get(async || "here"));
        let bounds = Bounds { connections: 3, head: Duration::from_millis(500) };
        let serving = tokio::spawn(serve(listener, router, bounds, ended));
        let connect = async |sent: &[u8]| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent).await.unwrap();
            stream
        };
        let mut slow = Vec::new();
        for sent in [&b""[..], b"P", b"GET / HTTP/1.1\r\nhost: x\r\nslow"] {
            slow.push(connect(sent).await);
        }
        assert!(rest(&mut connect(b"").await).await.is_empty(), "one too many");
        for stream in &mut slow {
            assert!(!rest(stream).await.starts_with(b"HTTP/1.1 200"));
        }
        let asked = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = rest(&mut connect(asked).await).await;
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"here"), "{answer:?}");
        ending.send(true).unwrap();
        serving.await.unwrap();
    }
}
