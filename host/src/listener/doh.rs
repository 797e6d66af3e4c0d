//! DNS over HTTPS (RFC 8484): GET and POST at `/dns-query` (or `/dns-query/ID` for a client that
//! has an id), HTTP/1.1 and HTTP/2, and JSON for scripts.
//!
//! The forwarding door is the same service in the clear. The surprise: a question that policy drops ends in
//! an error of the service, which resets its HTTP/2 stream or closes its HTTP/1.1 connection.

use std::net::SocketAddr;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use dnsvet_core::doh::{is_message, path_id};
use dnsvet_core::message::min_ttl;
use dnsvet_core::policy::identity::{Identity, bearer};
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::connection::{self, HEAD, Unread};
use super::{json, tcp};
use crate::pipeline::{Door, Pipeline, Progress, Reply};
use crate::tls::client_names;

/// Where questions are taken.
pub const PATH: &str = "/dns-query";
/// The longest DNS message, bytes.
const MAX_MESSAGE: usize = 65_535;

const DNS_MESSAGE: &str = "application/dns-message";
/// base64url; padding is against the RFC, but harmless.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Policy dropped the question: the stream is reset.
#[derive(Debug, thiserror::Error)]
#[error("dropped by policy")]
struct Dropped;

/// What the service needs to know beside the pipeline.
#[derive(Clone)]
pub struct Options {
    /// [`Door::Doh`] or [`Door::Forward`].
    pub door: Door,
    /// TLS; none on the forwarding door.
    pub tls: Option<TlsAcceptor>,
    /// All clients get the same answers, so that a shared cache may keep them.
    pub one_policy: bool,
}

/// Serves until `stop` turns true; then connections finish what is under way.
pub async fn serve(
    listener: TcpListener,
    pipeline: Rc<Pipeline>,
    options: Options,
    stop: watch::Receiver<bool>,
) {
    let (shared, stopped) = (Rc::clone(&pipeline), stop.clone());
    tcp::accept(listener, pipeline, stop, move |stream, from| {
        let (pipeline, options, stop) = (Rc::clone(&shared), options.clone(), stopped.clone());
        async move {
            match options.tls.clone() {
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
                        let client = Client { from, sans: client_names(stream.get_ref().1).into() };
                        converse(stream, client, pipeline, options, stop).await;
                    }
                }
                None => converse(stream, Client { from, sans: [].into() }, pipeline, options, stop).await,
            }
        }
    })
    .await;
}

/// Who is at the other end of a connection.
#[derive(Clone)]
struct Client {
    from: SocketAddr,
    /// Names in its certificate.
    sans: Rc<[String]>,
}

async fn converse<S>(
    stream: S,
    client: Client,
    pipeline: Rc<Pipeline>,
    options: Options,
    stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let answer = move |request| {
        let (pipeline, one_policy, door) = (Rc::clone(&pipeline), options.one_policy, options.door);
        let client = client.clone();
        async move { answer(request, &client, &pipeline, door, one_policy).await }
    };
    connection::converse(stream, answer, stop).await;
}

/// A refusal in HTTP's terms: status and one line.
struct Refusal(StatusCode, &'static str);

/// What a request asks for, and how the answer is to be written.
struct Asked {
    message: Bytes,
    json: bool,
    /// Who the client says that it is.
    identity: Identity,
}

async fn answer(
    request: Request<Incoming>,
    client: &Client,
    pipeline: &Rc<Pipeline>,
    door: Door,
    one_policy: bool,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let head = request.method() == Method::HEAD;
    let mut asked = match read(request).await {
        Ok(asked) => asked,
        Err(refusal) => {
            let mut response = refuse(&refusal);
            if head {
                *response.body_mut() = Full::default();
            }
            return Ok(response);
        }
    };
    asked.identity.sans = client.sans.to_vec();
    let reply = match pipeline.ask_as(&asked.message, client.from, &asked.identity, door) {
        Progress::Ready(reply) => reply,
        Progress::Later(reply) => reply.await,
    };
    let message = match reply {
        Reply::Message(message) => message,
        Reply::Malformed(_) => {
            return Ok(refuse(&Refusal(StatusCode::BAD_REQUEST, "the DNS message can't be decoded")));
        }
        Reply::Nothing => return Err(Dropped),
    };
    let max_age = min_ttl(&message).unwrap_or(0);
    let privacy = if one_policy { "" } else { "private, " };
    let (body, content_type) = if asked.json {
        let Some(text) = json::render(&message) else {
            return Ok(refuse(&Refusal(StatusCode::BAD_GATEWAY, "the answer can't be written as JSON")));
        };
        (Bytes::from(text), json::CONTENT_TYPE)
    } else {
        (Bytes::from(message), DNS_MESSAGE)
    };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::try_from(format!("{privacy}max-age={max_age}")) {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    Ok(response)
}

async fn read(request: Request<Incoming>) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    let identity = identity(&head);
    let post = match read_head(&head) {
        Ok(Some(asked)) => return Ok(Asked { identity, ..asked }),
        Ok(None) => Ok(()),
        Err(refusal) => Err(refusal),
    };
    let body = connection::read_body(body, MAX_MESSAGE).await;
    // Read even if it is refused: an HTTP/2 client that still sends may miss an answer that comes before the end.
    post?;
    match body {
        Ok(message) => Ok(Asked { message, json: false, identity }),
        Err(Unread::TooLong) => {
            Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "a DNS message has at most 65535 bytes"))
        }
        Err(Unread::Broken) => Err(Refusal(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(Unread::Slow) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// Who the client says that it is in a request: by the end of the path, by a bearer token.
fn identity(head: &Parts) -> Identity {
    let path_id = path_id(head.uri.path(), PATH).ok().flatten().map(str::to_owned);
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    Identity { path_id, token, sans: Vec::new() }
}

/// What the head asks for; `None` if the question is in the body.
fn read_head(head: &Parts) -> Result<Option<Asked>, Refusal> {
    if path_id(head.uri.path(), PATH).is_err() {
        return Err(Refusal(StatusCode::NOT_FOUND, "DNS questions are taken at /dns-query"));
    }
    match head.method {
        Method::GET => read_query(head.uri.query().unwrap_or("")).map(Some),
        Method::POST => {
            let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if !is_message(content_type) {
                return Err(Refusal(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "POST takes content-type application/dns-message",
                ));
            }
            Ok(None)
        }
        _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST")),
    }
}

fn read_query(query: &str) -> Result<Asked, Refusal> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    if let Some((_, text)) = parameters.find(|(key, _)| key == "dns") {
        if text.len() > MAX_MESSAGE.div_ceil(3) * 4 {
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "a DNS message has at most 65535 bytes"));
        }
        let message = BASE64URL
            .decode(text.as_bytes())
            .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "parameter dns is not base64url"))?;
        return Ok(Asked { message: message.into(), json: false, identity: Identity::default() });
    }
    json::question(form_urlencoded::parse(query.as_bytes()))
        .map(|message| Asked { message: message.into(), json: true, identity: Identity::default() })
        .map_err(|why| Refusal(StatusCode::BAD_REQUEST, why))
}

fn refuse(Refusal(status, line): &Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{line}\n"))));
    *response.status_mut() = *status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}
