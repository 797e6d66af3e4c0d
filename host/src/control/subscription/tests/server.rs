//! An HTTP server that answers as a test says and remembers what it was asked.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
}

impl Seen {
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A running server; dropped, it stops and refuses connections.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", None, answer)
    }

    pub fn at(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).unwrap()
        };
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (remember, answer) = (Arc::clone(&seen), Arc::new(answer));
        let acceptor = tls.map(TlsAcceptor::from);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (remember, answer, acceptor) = (remember.clone(), answer.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, remember, answer).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, remember, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, runtime: Some(runtime) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve<A: Fn(&Seen) -> Response<Body>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    remember: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<A>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Seen { path: request.uri().to_string(), headers: request.headers().clone() };
        remember.lock().unwrap().push(seen.clone());
        let response = answer(&seen);
        async move { Ok::<_, Infallible>(response) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A whole text.
pub fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A 200 with fields.
pub fn ok(fields: &[(&str, &str)], bytes: impl Into<Bytes>) -> Response<Body> {
    status(200, fields, body(bytes))
}

pub fn status(code: u16, fields: &[(&str, &str)], body: Body) -> Response<Body> {
    let mut response = Response::builder().status(code);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

pub fn redirect(code: u16, to: &str) -> Response<Body> {
    status(code, &[("location", to)], body(""))
}

/// The same piece again and again, with a wait before each; for ever, or until it breaks off.
pub fn stream(piece: &'static str, wait: Duration, pieces: Option<usize>) -> Body {
    let frames = stream::unfold(0, move |sent| async move {
        tokio::time::sleep(wait).await;
        let broken = pieces.is_some_and(|pieces| sent >= pieces);
        let frame = if broken {
            Err(io::Error::other("cut"))
        } else {
            Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
        };
        Some((frame, sent + 1))
    });
    StreamBody::new(frames.boxed()).boxed_unsync()
}
