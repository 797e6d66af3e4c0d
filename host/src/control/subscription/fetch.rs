//! One list over HTTP: asked for if it changed, followed where it went, never further than is safe.
//!
//! ```text
//! URL ─► scheme, no user ─► addresses (upstreams) ─► all public? ─► connect to one of these ─► TLS ─► GET
//!  ▲                                                                                                  │
//!  └───────────── 301 302 303 307 308: at most 5, never https to http ◄───────────────────────────────┤
//!                                304: the copy at hand is still right ◄───────────────────────────────┤
//!                                200: bytes, bounded ─► gzip off, .gz or .zst off, bounded ─► text ◄──┘
//! ```
//!
//! Its surprise: the connection goes to an address that was looked at, and no name is looked up again after that,
//! so that a name can't be public when it is checked and private when it is used.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::address::why_not_public;
use super::error::FetchError;
use super::resolve::Resolver;
use crate::lists::{Transfer, UnpackError, limited, unpack};
use crate::xfr::{self, Key, Zone};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;
/// The time of one list, all redirects and the whole body.
const LIMIT: Duration = Duration::from_secs(180);
/// The time of one try to connect; a host may have more addresses.
const CONNECT: Duration = Duration::from_secs(5);
/// What is asked for where nothing else is.
const ACCEPT: &str = "text/plain, */*;q=0.5";
/// How we call ourselves.
const USER_AGENT: &str = concat!("dnsvet/", env!("CARGO_PKG_VERSION"));

/// What a server said of a copy, to ask whether it is still right (RFC 9110 section 8.8).
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Validators {
    /// `ETag`, as it came.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    pub last_modified: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it is.
    pub url: Url,
    /// Of the copy at hand.
    pub validators: Validators,
    /// Whether it may come from inside.
    pub allow_private: bool,
    /// The most bytes, on the way and unpacked.
    pub most_bytes: u64,
}

/// What came.
#[derive(Debug)]
pub enum Fetched {
    /// The copy at hand is still right.
    Unchanged,
    /// A text.
    Fresh {
        /// Unpacked.
        text: Vec<u8>,
        /// To ask with next time.
        validators: Validators,
        /// `Content-Type`, as it came; empty if there was none.
        content_type: String,
    },
}

/// Fetches lists.
#[derive(Clone)]
pub struct Fetcher {
    resolver: Resolver,
    roots: Roots,
    limit: Duration,
    accept: &'static str,
    why_not_public: fn(IpAddr) -> Option<&'static str>,
}

/// Whom https servers are certified by.
#[derive(Clone)]
pub enum Roots {
    /// The authorities that this machine trusts, read anew for each list.
    System,
    /// These.
    Given(Arc<RootCertStore>),
}

impl Fetcher {
    /// A fetcher that asks `resolver` for addresses.
    pub fn new(resolver: Resolver, roots: Roots) -> Self {
        Self { resolver, roots, limit: LIMIT, accept: ACCEPT, why_not_public }
    }

    /// Asks for other media types.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// Another limit on the time of one list.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Another word on which addresses are public: in tests all servers are on this machine.
    #[cfg(test)]
    pub fn public_if(mut self, why_not_public: fn(IpAddr) -> Option<&'static str>) -> Self {
        self.why_not_public = why_not_public;
        self
    }

    /// Fetches a list, within the time limit.
    pub async fn fetch(&self, wanted: &Wanted) -> Result<Fetched, FetchError> {
        let late = |_| FetchError::TooSlow(self.limit.as_secs());
        tokio::time::timeout(self.limit, self.follow(wanted)).await.map_err(late)?
    }

    async fn follow(&self, wanted: &Wanted) -> Result<Fetched, FetchError> {
        let mut url = wanted.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.get(&url, wanted).await?;
            let status = response.status();
            match status.as_u16() {
                200 => return take(response, wanted.most_bytes).await,
                304 if wanted.validators != Validators::default() => return Ok(Fetched::Unchanged),
                301 | 302 | 303 | 307 | 308 => {
                    let next = text(response.headers(), &header::LOCATION).map(|to| url.join(&to));
                    let Some(Ok(next)) = next else { return Err(FetchError::Location(status.as_u16())) };
                    if url.scheme() == "https" && next.scheme() == "http" {
                        return Err(FetchError::Downgrade(next));
                    }
                    tracing::debug!(from = %url, to = %next, "a list has moved");
                    url = next;
                }
                code => return Err(FetchError::Status { code, retry_after_s: retry_after_s(&response) }),
            }
        }
        Err(FetchError::Redirects(MOST_REDIRECTS))
    }

    async fn get(&self, url: &Url, wanted: &Wanted) -> Result<Response<Incoming>, FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme(url.clone()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Userinfo);
        }
        let stream = self.connect(url, wanted.allow_private).await?;
        let request = request(url, self.accept, &wanted.validators)?;
        if url.scheme() == "http" {
            return exchange(stream, request).await;
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let failed = |why| FetchError::Tls { host: host.clone(), why };
        // An IPv6 address has brackets in a URL, and none in a certificate.
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|error| failed(io::Error::other(error)))?;
        let connector = TlsConnector::from(self.roots.config()?);
        let stream = connector.connect(name, stream).await.map_err(failed)?;
        exchange(stream, request).await
    }

    /// Transfers a zone, within the time limit of a transfer. `have` is the version at hand.
    pub async fn transfer(
        &self,
        wanted: &Transfer,
        key: Option<Key>,
        (allow_private, most_bytes): (bool, u64),
        have: Option<&Zone>,
    ) -> Result<xfr::Fetched, FetchError> {
        let addresses = self.addresses(&wanted.server, allow_private).await?;
        let mut failed = FetchError::NoAddress(wanted.server.clone());
        for address in addresses {
            let source = xfr::Source {
                primary: SocketAddr::new(address, wanted.port),
                zone: wanted.zone.clone(),
                key: key.clone(),
                limits: xfr::Limits { bytes: most_bytes, ..xfr::Limits::default() },
            };
            match xfr::fetch(&source, have).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => failed = FetchError::Transfer(error),
            }
        }
        Err(failed)
    }

    /// The addresses of a host, or itself if it is one.
    async fn addresses(&self, host: &str, allow_private: bool) -> Result<Vec<IpAddr>, FetchError> {
        let addresses = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let resolved = self.resolver.resolve(host).await;
                resolved.map_err(|why| FetchError::Resolve { host: host.to_owned(), why })?
            }
        };
        if !allow_private {
            for address in &addresses {
                if let Some(kind) = (self.why_not_public)(*address) {
                    return Err(FetchError::NotPublic { host: host.to_owned(), address: *address, kind });
                }
            }
        }
        Ok(addresses)
    }

    /// Connects to the first address that takes it. If one of the addresses is not public, none is tried.
    async fn connect(&self, url: &Url, allow_private: bool) -> Result<TcpStream, FetchError> {
        let host = match url.host() {
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Domain(host)) => host.to_owned(),
            None => String::new(),
        };
        let addresses = self.addresses(&host, allow_private).await?;
        let port = url.port_or_known_default().unwrap_or_default();
        let mut failed = FetchError::Scheme(url.clone());
        for address in addresses {
            let address = SocketAddr::new(address, port);
            let why = match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(why)) => why,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            failed = FetchError::Connect { address, why };
        }
        Err(failed)
    }
}

impl Roots {
    /// The client's side of TLS, HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// This machine trusts nobody.
    pub fn config(&self) -> Result<Arc<ClientConfig>, FetchError> {
        let roots = match self {
            Self::Given(roots) => Arc::clone(roots),
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                let mut roots = RootCertStore::empty();
                let (taken, _) = roots.add_parsable_certificates(found.certs);
                if taken == 0 {
                    let why = found.errors.first().map_or("none found".into(), ToString::to_string);
                    return Err(FetchError::NoRoots(why));
                }
                Arc::new(roots)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| FetchError::NoRoots(error.to_string()))?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn request(url: &Url, accept: &str, validators: &Validators) -> Result<Request<Empty<Bytes>>, FetchError> {
    let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, accept)
        .header(header::ACCEPT_ENCODING, "gzip");
    if let Some(etag) = &validators.etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(last_modified) = &validators.last_modified {
        request = request.header(header::IF_MODIFIED_SINCE, last_modified);
    }
    Ok(request.body(Empty::new())?)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the response's body, or when that is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a list's connection ended");
        }
    });
    Ok(sender.send_request(request).await?)
}

/// The body of a 200, unpacked.
async fn take(response: Response<Incoming>, most: u64) -> Result<Fetched, FetchError> {
    let (head, mut body) = response.into_parts();
    let encoding = text(&head.headers, &header::CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    let is_packed = match encoding.as_str() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => return Err(FetchError::Encoding(encoding)),
    };
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if (bytes.len() + data.len()) as u64 > most {
            return Err(FetchError::TooLong(most));
        }
        bytes.extend_from_slice(&data);
    }
    let unpacked = tokio::task::spawn_blocking(move || {
        if is_packed {
            bytes = limited(flate2::read::MultiGzDecoder::new(bytes.as_slice()), most)?;
        }
        unpack(bytes, most)
    });
    let text = unpacked.await.map_err(|error| UnpackError::Damaged(io::Error::other(error)))??;
    let validators = Validators {
        etag: self::text(&head.headers, &header::ETAG),
        last_modified: self::text(&head.headers, &header::LAST_MODIFIED),
    };
    let content_type = self::text(&head.headers, &header::CONTENT_TYPE).unwrap_or_default();
    Ok(Fetched::Fresh { text, validators, content_type })
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn retry_after_s(response: &Response<Incoming>) -> Option<u64> {
    let said = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    text(response.headers(), &header::RETRY_AFTER).filter(|_| said)?.trim().parse().ok()
}
