//! The HTTP door of a store on another machine, asked by threads that may block.
//!
//! ```text
//! thread ─► ask ─► our own runtime ─► a connection that was just used, or a new one (TLS for https) ─► reply, bounded
//! ```
//!
//! Every request has a limit of time, connecting included. Its surprise: a connection that was idle for a moment is not
//! used again, so that a request never meets one that the server has just closed: nobody could tell then whether what
//! it carried was taken.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::control::subscription::fetch::Roots;

/// To connect, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// Servers keep idle connections for longer.
const IDLE: Duration = Duration::from_secs(2);
/// The longest reply, bytes.
const MOST_REPLY_BYTES: usize = 64 << 20;
/// Bytes of a refusal that are told.
const SAID_BYTES: usize = 500;

/// Why a store on another machine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// What the configuration says can't be used.
    #[error("`{key}` is {got}; expected {expected}")]
    Config {
        /// The key.
        key: &'static str,
        /// What is there.
        got: String,
        /// What would be right.
        expected: &'static str,
    },
    /// It does not answer.
    #[error("{url}: {why}; check that it runs and can be reached from here")]
    Away {
        /// Its base URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// It answered, and not as hoped.
    #[error("{url} answers {status}: {said}")]
    Refused {
        /// Its base URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// The start of what it said.
        said: String,
    },
    /// Its answer can't be read.
    #[error("{url}: its answer is not what was asked for ({why}); is this the right server?")]
    Answer {
        /// Its base URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is too old.
    #[error("{url} is {what} {found}; dnsvet needs {least} or later")]
    Old {
        /// Its base URL.
        url: String,
        /// What it is.
        what: &'static str,
        /// Its version.
        found: String,
        /// The first that will do.
        least: &'static str,
    },
}

impl RemoteError {
    /// Whether the same may work later without anybody changing anything.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Refused { status: 429 | 502..=504, .. })
    }
}

/// A password: the file's first line, if a file is named, else the text.
///
/// # Errors
/// The file can't be read or is empty; `key` names it in the error.
pub(super) fn password(key: &'static str, text: &str, file: &Path) -> Result<String, RemoteError> {
    if file.as_os_str().is_empty() {
        return Ok(text.to_owned());
    }
    let bad = |why: String| RemoteError::Config {
        key,
        got: format!("{} ({why})", file.display()),
        expected: "a file with the password in its first line",
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    match text.lines().next().map(str::trim_end) {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(bad("empty".into())),
    }
}

/// What is asked.
pub(super) struct Ask {
    /// HTTP method.
    pub method: Method,
    /// Path and query below the base URL, from its `/`.
    pub path: String,
    /// `Content-Type` of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// How long it may take.
    pub limit: Duration,
}

/// A server's door.
pub(super) struct Remote {
    runtime: Option<tokio::runtime::Runtime>,
    door: Arc<Door>,
}

struct Door {
    url: Url,
    fields: Vec<(HeaderName, HeaderValue)>,
    tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<(Instant, SendRequest<Full<Bytes>>)>>,
}

impl Remote {
    /// A door at `url`; each request carries `fields` too. `key` names the URL in errors. Nothing is asked yet.
    ///
    /// # Errors
    /// The URL is none for HTTP, or a field holds what no header can.
    pub fn new(key: &'static str, url: &str, fields: &[(&'static str, String)]) -> Result<Self, RemoteError> {
        let expected = "an http:// or https:// URL such as \"http://127.0.0.1:8123\", with no user in it";
        let bad = || RemoteError::Config { key, got: format!("`{url}`"), expected };
        let parsed = Url::parse(url).map_err(|_| bad())?;
        let bare = parsed.username().is_empty() && parsed.password().is_none() && parsed.query().is_none();
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() || !bare {
            return Err(bad());
        }
        let away = |why: String| RemoteError::Away { url: url.to_owned(), why };
        let tls = match parsed.scheme() {
            "https" => Some(Roots::System.config().map_err(|error| away(error.to_string()))?),
            _ => None,
        };
        let mut named = Vec::new();
        for (name, value) in fields {
            let mut value = HeaderValue::from_str(value).map_err(|_| RemoteError::Config {
                key,
                got: format!("given with a {name} that no HTTP header can hold"),
                expected: "user and password without line breaks",
            })?;
            value.set_sensitive(true);
            named.push((HeaderName::from_static(name), value));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-remote")
            .enable_all()
            .build()
            .map_err(|error| away(error.to_string()))?;
        let door = Arc::new(Door { url: parsed, fields: named, tls, idle: Mutex::default() });
        Ok(Self { runtime: Some(runtime), door })
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        self.door.url.as_str()
    }

    /// Asks, and waits for the whole reply; its status and its body, whatever the status.
    ///
    /// # Errors
    /// No reply came in time, or it is too long.
    pub fn ask(&self, ask: Ask) -> Result<(StatusCode, Bytes), RemoteError> {
        let away = |why: String| RemoteError::Away { url: self.url().to_owned(), why };
        let Some(runtime) = &self.runtime else { return Err(away("closed".into())) };
        let (done, reply) = std::sync::mpsc::sync_channel(1);
        let (door, limit) = (Arc::clone(&self.door), ask.limit);
        runtime.spawn(async move {
            let late = |_| format!("no answer within {} s", limit.as_secs());
            let asked = tokio::time::timeout(limit, door.exchange(ask)).await;
            let _ = done.send(asked.map_err(late).and_then(|asked| asked));
        });
        reply.recv().map_err(|_| away("closed".into()))?.map_err(away)
    }

    /// The same, where anything but a 2xx is an error.
    ///
    /// # Errors
    /// As [`Remote::ask`], and if it refuses.
    pub fn asked(&self, ask: Ask) -> Result<Bytes, RemoteError> {
        let (status, body) = self.ask(ask)?;
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(SAID_BYTES)]).trim().to_owned();
        Err(RemoteError::Refused { url: self.url().to_owned(), status: status.as_u16(), said: text })
    }

    /// An answer that can't be read.
    pub fn unreadable(&self, why: impl ToString) -> RemoteError {
        RemoteError::Answer { url: self.url().to_owned(), why: why.to_string() }
    }
}

impl Drop for Remote {
    /// Ends without waiting: it may be dropped where waiting is forbidden.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Door {
    async fn exchange(&self, ask: Ask) -> Result<(StatusCode, Bytes), String> {
        let said = |error: hyper::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        };
        let mut sender = match self.used() {
            Some(sender) => sender,
            None => tokio::time::timeout(CONNECT, self.connect())
                .await
                .map_err(|_| format!("no connection within {} s", CONNECT.as_secs()))??,
        };
        let path = format!("{}{}", self.url.path().trim_end_matches('/'), ask.path);
        let host = self.url.host_str().unwrap_or_default();
        let host = self.url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let mut request = Request::builder()
            .method(ask.method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, ask.content_type)
            .body(Full::new(ask.body))
            .map_err(|error| error.to_string())?;
        for (name, value) in &self.fields {
            request.headers_mut().insert(name, value.clone());
        }
        let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
        let body = Limited::new(body, MOST_REPLY_BYTES).collect().await.map_err(|error| error.to_string())?;
        if sender.is_ready() || sender.ready().await.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), sender));
        }
        Ok((head.status, body.to_bytes()))
    }

    /// A connection that was just used.
    fn used(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, sender)| since.elapsed() < IDLE && !sender.is_closed());
        idle.pop().map(|(_, sender)| sender)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        // An IPv6 address has brackets in a URL.
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.url.port_or_known_default().unwrap_or_default();
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| format!("no connection: {error}"))?;
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return shake(stream).await };
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        shake(stream.map_err(|error| format!("TLS: {error}"))?).await
    }
}

async fn shake(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, String> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a store's connection ended");
        }
    });
    Ok(sender)
}
