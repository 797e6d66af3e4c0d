//! What the doors over HTTP have in common: one connection's life, and reading a body within bounds.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// A handshake, or a request's head, that takes longer is cut off.
pub const HEAD: Duration = Duration::from_secs(10);
/// A request's body that takes longer is cut off.
const BODY: Duration = Duration::from_secs(10);
/// An HTTP/2 connection whose peer answers no ping for this long is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Questions under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than it may be.
    TooLong,
    /// It broke off.
    Broken,
    /// It did not come in 10 seconds.
    Slow,
}

/// Reads a body of at most `most` bytes.
pub async fn read_body(body: Incoming, most: usize) -> Result<Bytes, Unread> {
    match tokio::time::timeout(BODY, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Ok(Err(_)) => Err(Unread::Broken),
        Err(_) => Err(Unread::Slow),
    }
}

/// Answers a connection's requests, HTTP/1.1 or HTTP/2, until it ends. Once `stop` turns true it finishes what is
/// under way. An error of `answer` resets the stream, or closes the connection.
pub async fn converse<S, A, F, E>(stream: S, answer: A, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, E>> + 'static,
    E: Error + Send + Sync + 'static,
{
    let mut server = auto::Builder::new(LocalExecutor);
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(128 << 10);
    let asked = Rc::new(Cell::new(false));
    let seen = Rc::clone(&asked);
    let service = hyper::service::service_fn(move |request| {
        seen.set(true);
        answer(request)
    });
    let connection = server.serve_connection(TokioIo::new(stream), service);
    // hyper's own clocks start once the connection's first bytes have told HTTP/1.1 from HTTP/2.
    let silent = async {
        tokio::time::sleep(HEAD).await;
        if asked.get() {
            std::future::pending::<()>().await;
        }
    };
    tokio::pin!(connection);
    // How a client ends its connection is its own business.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = silent => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Runs hyper's tasks on this worker's thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
