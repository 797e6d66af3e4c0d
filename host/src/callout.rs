//! Callouts of the plugin: HTTP requests to the clusters that its configuration may name.
//!
//! Connections are kept and used again, one pool for each worker. Whatever goes wrong (no such cluster, no
//! connection, too late, too long) is the same to the guest: a reply without headers.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::wasm::OutgoingCall;

/// The longest reply that is handed to the guest, bytes.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// An idle connection is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// The limit of a callout that states none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A cluster's base URL can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{cluster}: {url:?} is no http:// URL with a host; write http://127.0.0.1:8600")]
pub struct ClusterError {
    /// The cluster, as the plugin's configuration names it.
    pub cluster: String,
    /// What was given.
    pub url: String,
}

/// Where clusters are.
#[derive(Debug, Clone, Default)]
pub struct Clusters(HashMap<String, String>);

impl Clusters {
    /// Adds a cluster by its base URL, `http://HOST:PORT`.
    ///
    /// # Errors
    /// It is not a plain HTTP URL.
    pub fn add(&mut self, cluster: &str, url: &str) -> Result<(), ClusterError> {
        let error = || ClusterError { cluster: cluster.to_owned(), url: url.to_owned() };
        let base: Uri = url.parse().map_err(|_| error())?;
        if base.scheme_str() != Some("http") || base.authority().is_none() {
            return Err(error());
        }
        self.0.insert(cluster.to_owned(), url.trim_end_matches('/').to_owned());
        Ok(())
    }

    /// The clusters' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Header fields and body of a reply; both empty if none came.
pub type CalloutReply = (Vec<(String, String)>, Bytes);

/// Makes callouts for one worker.
pub struct Caller {
    clusters: Clusters,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Caller {
    /// A caller with no connections yet.
    pub fn new(clusters: Clusters) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { clusters, client }
    }

    /// Makes a callout and waits for its reply, or its timeout.
    pub async fn call(&self, call: OutgoingCall) -> CalloutReply {
        let limit = match call.timeout_ms {
            0 => DEFAULT_TIMEOUT,
            ms => Duration::from_millis(u64::from(ms)),
        };
        let cluster = call.cluster.clone();
        match tokio::time::timeout(limit, self.exchange(call)).await {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                tracing::debug!(cluster, "callout failed");
                Default::default()
            }
            Err(_) => {
                tracing::debug!(cluster, limit_ms = limit.as_millis() as u64, "callout timed out");
                Default::default()
            }
        }
    }

    async fn exchange(&self, call: OutgoingCall) -> Option<CalloutReply> {
        let base = self.clusters.0.get(&call.cluster)?;
        let mut request = Request::new(Full::new(Bytes::from(call.body)));
        let mut path = "/";
        for (name, value) in &call.headers {
            match name.as_str() {
                ":method" => *request.method_mut() = value.parse().ok()?,
                ":path" => path = value,
                // The connection's own: the URL says where, the client says how.
                ":scheme" | ":authority" | "host" | "connection" | "transfer-encoding" | "content-length" => {
                }
                _ => {
                    let name = HeaderName::try_from(name.as_str()).ok()?;
                    request.headers_mut().append(name, HeaderValue::try_from(value.as_str()).ok()?);
                }
            }
        }
        *request.uri_mut() = format!("{base}{path}").parse().ok()?;
        let response = self.client.request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.ok()?.to_bytes();
        let mut headers = Vec::with_capacity(head.headers.len() + 1);
        headers.push((":status".to_owned(), head.status.as_u16().to_string()));
        for (name, value) in &head.headers {
            headers.push((name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        Some((headers, body))
    }
}
