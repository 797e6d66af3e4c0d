//! A client of a running scorer: `POST /v1/score` over HTTP/1.1, one request at a time.

use std::time::Duration;

use bytes::Bytes;
use dnsvet_core::schema::{ScoreReply, ScoreRequest};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

/// Names in one request.
const NAMES: usize = 1_000;
/// A request is given up after this; scoring a thousand names takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest reply that is read, bytes.
const MAX_REPLY: usize = 4 << 20;

/// Why the scorer gave no scores.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not of the kind that is spoken here.
    #[error("--scorer {0:?} is no http:// URL with a host, such as http://127.0.0.1:8600")]
    Url(String),
    /// The runtime could not be started.
    #[error("no runtime for the scorer's client: {0}")]
    Runtime(#[from] std::io::Error),
    /// No connection, or it broke.
    #[error("scorer {url}: {reason}; is `dnsvet-scorer serve` running?")]
    Connect {
        /// Whom we asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Nothing came within 30 seconds.
    #[error("scorer {0} did not answer within 30 s")]
    Timeout(String),
    /// Another status than 200.
    #[error("scorer {url} answered {status}: {body}")]
    Status {
        /// Whom we asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// The start of its body.
        body: String,
    },
    /// The reply is not what it should be.
    #[error("scorer {url} gave a bad reply: {reason}")]
    Reply {
        /// Whom we asked.
        url: String,
        /// What is wrong in it.
        reason: String,
    },
}

/// A connection to a scorer.
pub struct ScorerClient {
    runtime: tokio::runtime::Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    model: Option<String>,
}

impl ScorerClient {
    /// For the scorer at `url`, by `model` or the scorer's own choice.
    pub fn new(url: &str, model: Option<String>) -> Result<Self, ClientError> {
        let bad = || ClientError::Url(url.to_owned());
        let uri: Uri = format!("{}/v1/score", url.trim_end_matches('/')).parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(bad());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { runtime, client, uri, model })
    }

    /// A score for each name, or why that name has none.
    pub fn score(&self, names: &[&str]) -> Result<Vec<Result<f64, String>>, ClientError> {
        let mut scores = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES) {
            let reply = self.runtime.block_on(async {
                let asked = tokio::time::timeout(TIMEOUT, self.ask(names)).await;
                asked.map_err(|_| ClientError::Timeout(self.uri.to_string()))?
            })?;
            if reply.results.len() != names.len() {
                let reason = format!("{} results for {} names", reply.results.len(), names.len());
                return Err(self.bad_reply(reason));
            }
            scores.extend(reply.results.into_iter().map(|result| {
                result.score.ok_or_else(|| result.error.unwrap_or_else(|| "no score and no reason".into()))
            }));
        }
        Ok(scores)
    }

    async fn ask(&self, names: &[&str]) -> Result<ScoreReply, ClientError> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let request = ScoreRequest { names, model: self.model.clone(), attribution: false };
        let body = serde_json::to_vec(&request).map_err(|error| self.bad_reply(error))?;
        let request = Request::post(self.uri.clone()).header("content-type", "application/json");
        let request = request.body(Full::from(body)).map_err(|error| self.connect(error))?;
        let response = self.client.request(request).await.map_err(|error| self.connect(error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_REPLY).collect().await;
        let body = body.map_err(|error| self.bad_reply(error))?.to_bytes();
        if status != StatusCode::OK {
            let body = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Err(ClientError::Status { url: self.uri.to_string(), status, body });
        }
        serde_json::from_slice(&body).map_err(|error| self.bad_reply(error))
    }

    fn connect(&self, reason: impl ToString) -> ClientError {
        ClientError::Connect { url: self.uri.to_string(), reason: reason.to_string() }
    }

    fn bad_reply(&self, reason: impl ToString) -> ClientError {
        ClientError::Reply { url: self.uri.to_string(), reason: reason.to_string() }
    }
}
