//! ML Bridge's middleware protocol of 2020, for its CoreDNS plugin: `POST /` with `{"Domain Name": NAME, "IP": CLIENT}`
//! is answered `{"p": "0.98"}`, the probability of malicious as a decimal in a text. The plugin goes on to the next one
//! below 0.5, and answers a sinkhole or honeypot address at or above it.
//!
//! ```text
//! CoreDNS, old plugin ─► POST / ─► question for NAME, type A, of CLIENT ─► pipeline ─► verdict ─► p
//! ```
//!
//! The surprise: a verdict is more than a probability, so `p` follows the verdict. The model's calibrated score is told
//! where it is on the verdict's side of 0.5; else `p` is 1 (kept away) or 0. Each question is vetted, its answer is
//! inspected, and it is recorded, as one of any other door; what policy would answer itself (an address of its own) can't
//! be told, and counts as kept away. The old plugin lets a name pass when its call fails. It looks at no status: it takes
//! the first text behind the first colon for the number, and a text that is none for 0. So errors are one text behind one
//! key, and all that goes wrong here fails open.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;
use dnsvet_core::filter::Told;
use dnsvet_core::message::rtype;
use dnsvet_core::name::NameError;
use dnsvet_core::policy::FailureMode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::connection::{self, Unread};
use super::{canonical, canonical_ip, tcp};
use crate::pipeline::{Door, Pipeline};
use crate::presentation;
use crate::upstream::message::question_for_upstream;

/// The longest body, bytes: a name of 255 bytes all escaped, and an address, have room.
const MAX_BODY_BYTES: usize = 4_096;
/// From here on the old plugin blocks.
const BLOCKS_FROM: f64 = 0.5;

/// The body of a question, as the old plugin writes it.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(rename = "Domain Name")]
    name: String,
    #[serde(rename = "IP")]
    ip: String,
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0} is not in allow_from")]
    Client(IpAddr),
    #[error("questions are taken at /")]
    Path,
    #[error("use POST")]
    Method,
    #[error("the body has more than {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error("the body broke off")]
    Broken,
    #[error("the body took too long")]
    Slow,
    #[error("body: {0}; expected {{\"Domain Name\": \"example.com.\", \"IP\": \"192.0.2.1\"}}")]
    Json(serde_json::Error),
    #[error("Domain Name: `{name}` is no name: {why}")]
    Name { name: String, why: NameError },
    #[error("IP: `{0}` is no address, such as 192.0.2.1 or 192.0.2.1:53")]
    Ip(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::Client(_) => StatusCode::FORBIDDEN,
            Refusal::Path => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Slow => StatusCode::REQUEST_TIMEOUT,
            Refusal::Broken | Refusal::Json(_) | Refusal::Name { .. } | Refusal::Ip(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

/// Serves until `stop` turns true; then connections finish what is under way.
pub async fn serve(listener: TcpListener, pipeline: Rc<Pipeline>, stop: watch::Receiver<bool>) {
    let (shared, stopped) = (Rc::clone(&pipeline), stop.clone());
    tcp::accept(listener, pipeline, stop, move |stream, from| {
        let (pipeline, stop) = (Rc::clone(&shared), stopped.clone());
        async move {
            let answer = move |request| {
                let pipeline = Rc::clone(&pipeline);
                async move { Ok::<_, Infallible>(answer(request, from, &pipeline).await) }
            };
            connection::converse(stream, answer, stop).await;
        }
    })
    .await;
}

async fn answer(
    request: Request<Incoming>,
    from: SocketAddr,
    pipeline: &Rc<Pipeline>,
) -> Response<Full<Bytes>> {
    match probability(request, from, pipeline).await {
        Ok(p) => reply(StatusCode::OK, &json!({"p": p.to_string()})),
        Err(refusal) => {
            let mut response = reply(refusal.status(), &refused(&refusal));
            if matches!(refusal, Refusal::Method) {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

async fn probability(
    request: Request<Incoming>,
    from: SocketAddr,
    pipeline: &Rc<Pipeline>,
) -> Result<f64, Refusal> {
    let (head, body) = request.into_parts();
    // Read even if it is refused, as at the other door over HTTP.
    let body = connection::read_body(body, MAX_BODY_BYTES).await;
    if !pipeline.allows(from.ip()) {
        pipeline.metrics().refused_clients.add(1);
        return Err(Refusal::Client(from.ip()));
    }
    if head.uri.path() != "/" {
        return Err(Refusal::Path);
    }
    if head.method != Method::POST {
        return Err(Refusal::Method);
    }
    let body = body.map_err(|unread| match unread {
        Unread::TooLong => Refusal::TooLong,
        Unread::Broken => Refusal::Broken,
        Unread::Slow => Refusal::Slow,
    })?;
    let Body { name, ip } = serde_json::from_slice(&body).map_err(Refusal::Json)?;
    let client = client(&ip).ok_or(Refusal::Ip(ip))?;
    let question = question(&name).map_err(|why| Refusal::Name { name, why })?;
    let told = pipeline.vet(&question, client, Door::Mlbridge).await;
    Ok(told.map_or_else(|| undecided(pipeline.failure_mode()), p))
}

/// The client's address, whatever its port.
fn client(text: &str) -> Option<SocketAddr> {
    let bare = || text.parse().map(|ip| SocketAddr::new(canonical_ip(ip), 0));
    text.parse().map(canonical).or_else(|_| bare()).ok()
}

/// A question for the name's addresses.
fn question(name: &str) -> Result<Vec<u8>, NameError> {
    let mut question = presentation::name(name)?.to_wire();
    question.extend_from_slice(&rtype::A.to_be_bytes());
    question.extend_from_slice(&[0, 1]);
    Ok(question_for_upstream(0, &question, false, false))
}

/// On the verdict's side of 0.5, and the model's own score if that is there too.
fn p(told: Told) -> f64 {
    let agrees = told.score.filter(|score| (*score >= BLOCKS_FROM) == told.blocks);
    agrees.unwrap_or(if told.blocks { 1.0 } else { 0.0 })
}

/// Where the plugin could not decide.
fn undecided(mode: FailureMode) -> f64 {
    match mode {
        FailureMode::Allow => 0.0,
        FailureMode::Deny => 1.0,
    }
}

fn refused(refusal: &Refusal) -> serde_json::Value {
    json!({"error": refusal.to_string()})
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_is_always_on_the_side_of_the_verdict() {
        for (blocks, score, expected) in [
            (true, Some(0.98), 0.98),
            (true, Some(0.5), 0.5),
            (true, Some(0.49), 1.0),
            (true, None, 1.0),
            (false, Some(0.01), 0.01),
            (false, Some(0.499_999_99), 0.499_999_99),
            (false, Some(0.5), 0.0),
            (false, Some(0.99), 0.0),
            (false, None, 0.0),
        ] {
            assert_eq!(p(Told { blocks, score }), expected, "{blocks} {score:?}");
        }
        assert_eq!((undecided(FailureMode::Allow), undecided(FailureMode::Deny)), (0.0, 1.0));
    }

    /// What the plugin of 2020 takes for the probability; it would fall over a body without a text behind a colon.
    fn as_the_plugin_reads(body: &str) -> f64 {
        let behind_colon = body.split(':').nth(1).unwrap();
        behind_colon.split('"').nth(1).unwrap().parse().unwrap_or(0.0)
    }

    #[test]
    fn the_plugin_reads_every_answer_as_meant_and_every_error_as_a_pass() {
        for (blocks, score) in [(true, Some(0.98)), (true, None), (false, Some(0.02)), (false, None)] {
            let body = json!({"p": p(Told { blocks, score }).to_string()}).to_string();
            assert_eq!(as_the_plugin_reads(&body) >= 0.5, blocks, "{body}");
        }
        let no_json = serde_json::from_str::<Body>("{}").unwrap_err();
        for refusal in [
            Refusal::Client("192.0.2.1".parse().unwrap()),
            Refusal::Path,
            Refusal::Method,
            Refusal::TooLong,
            Refusal::Broken,
            Refusal::Slow,
            Refusal::Json(no_json),
            Refusal::Name { name: "a..b".into(), why: presentation::name("a..b").unwrap_err() },
            Refusal::Ip("1".into()),
        ] {
            let body = refused(&refusal).to_string();
            assert!(as_the_plugin_reads(&body) < 0.5, "{body}");
        }
    }

    #[test]
    fn a_decimal_is_written_without_an_exponent() {
        assert_eq!(2.5e-9f64.to_string(), "0.0000000025");
        assert_eq!(1.0f64.to_string(), "1");
    }

    #[test]
    fn clients_are_read_with_and_without_port() {
        let ip = |text: &str| client(text).map(|client| client.ip().to_string());
        for (text, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:40000", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:53", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(ip(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "localhost", "192.0.2", "192.0.2.7:x"] {
            assert_eq!(ip(text), None, "{text}");
        }
    }
}
