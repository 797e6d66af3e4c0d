//! One fetch: what is asked, what is followed, what is refused.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};

use super::super::address::why_not_public;
use super::super::error::{Blame, FetchError};
use super::super::fetch::{Fetched, Fetcher, Roots, Validators, Wanted};
use super::super::resolve::{ResolveError, Resolver};
use super::server::{Server, body, ok, redirect, status, stream};
use super::{fetcher, wanted};
use crate::lists::UnpackError;
use crate::upstream::counting::{CountingUpstream, at_once, header_and_question, with_address};

/// In these tests one address of this machine stands for a public one.
fn only_the_first_is_public(address: IpAddr) -> Option<&'static str> {
    why_not_public(address).filter(|_| address != IpAddr::from([127, 0, 0, 1]))
}

/// Asks as a list does that may not come from inside.
async fn fetch_public(url: &str) -> Result<Fetched, FetchError> {
    let wanted = Wanted { allow_private: false, ..wanted(url) };
    fetcher().public_if(only_the_first_is_public).fetch(&wanted).await
}

fn text(fetched: Result<Fetched, FetchError>) -> String {
    match fetched.unwrap() {
        Fetched::Fresh { text, .. } => String::from_utf8(text).unwrap(),
        Fetched::Unchanged => panic!("unchanged"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

#[tokio::test]
async fn a_copy_is_asked_for_by_its_validators_and_a_304_keeps_it() {
    let server = Server::start(|seen| {
        let known = seen.field("if-none-match") == "\"v1\"" && seen.field("if-modified-since") == "yesterday";
        match known {
            true => status(304, &[], body("")),
            false => ok(&[("etag", "\"v1\""), ("last-modified", "yesterday")], "a.example\n"),
        }
    });
    let first = fetcher().fetch(&wanted(&server.url("/ads.txt?x=1"))).await.unwrap();
    let Fetched::Fresh { text, validators, .. } = first else { panic!("{first:?}") };
    assert_eq!(text, b"a.example\n");
    let again = Wanted { validators, ..wanted(&server.url("/ads.txt?x=1")) };
    assert!(matches!(fetcher().fetch(&again).await, Ok(Fetched::Unchanged)));
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/ads.txt?x=1");
    assert_eq!(seen.field("user-agent"), concat!("dnsvet/", env!("CARGO_PKG_VERSION")));
    assert_eq!(seen.field("host"), server.address.to_string());
    assert_eq!((seen.field("accept-encoding"), seen.field("if-none-match")), ("gzip", ""));
}

#[tokio::test]
async fn a_304_that_was_not_asked_for_is_an_error() {
    let server = Server::start(|_| status(304, &[], body("")));
    let error = fetcher().fetch(&wanted(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Status { code: 304, .. }), "{error}");
}

#[tokio::test]
async fn a_status_is_an_error_with_what_to_do_and_when_to_come_back() {
    for (code, fields, remedy, retry) in [
        (404, &[][..], "look for its new URL", None),
        (503, &[("retry-after", "77")][..], "wait", Some(77)),
        (429, &[("retry-after", "x")][..], "too often", None),
        (204, &[][..], "publisher", None),
    ] {
        let server = Server::start(move |_| status(code, fields, body("a.example")));
        let error = fetcher().fetch(&wanted(&server.url("/"))).await.unwrap_err();
        assert!(error.to_string().contains(remedy), "{error}");
        assert_eq!((error.retry_after_s(), error.blame()), (retry, Blame::Publisher));
    }
}

#[tokio::test]
async fn packed_lists_are_unpacked_by_encoding_and_by_first_bytes() {
    let plain = b"a.example\n";
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/encoded" => ok(&[("content-encoding", "gzip")], gzip(plain)),
        "/file.gz" => ok(&[], gzip(plain)),
        "/file.zst" => ok(&[], zstd::encode_all(&plain[..], 3).unwrap()),
        "/both.zst" => ok(&[("content-encoding", "x-gzip")], gzip(&zstd::encode_all(&plain[..], 3).unwrap())),
        "/br" => ok(&[("content-encoding", "br")], "x"),
        _ => ok(&[("content-encoding", "gzip")], "no gzip"),
    });
    for path in ["/encoded", "/file.gz", "/file.zst", "/both.zst"] {
        assert_eq!(text(fetcher().fetch(&wanted(&server.url(path))).await), "a.example\n", "{path}");
    }
    let error = fetcher().fetch(&wanted(&server.url("/br"))).await.unwrap_err();
    assert!(matches!(&error, FetchError::Encoding(encoding) if encoding == "br"), "{error}");
    let error = fetcher().fetch(&wanted(&server.url("/damaged"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Unpack(UnpackError::Damaged(_))), "{error}");
}

#[tokio::test]
async fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![b'\n'; 64 << 20];
    let (gz, zst) = (gzip(&zeros), zstd::encode_all(zeros.as_slice(), 3).unwrap());
    assert!(gz.len() < 1 << 20 && zst.len() < 1 << 20, "small on the way");
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/encoded" => ok(&[("content-encoding", "gzip")], gz.clone()),
        "/gz" => ok(&[], gz.clone()),
        "/twice" => ok(&[("content-encoding", "gzip")], gzip(&gz)),
        _ => ok(&[], zst.clone()),
    });
    for path in ["/encoded", "/gz", "/zst", "/twice"] {
        let error = fetcher().fetch(&wanted(&server.url(path))).await.unwrap_err();
        assert!(matches!(error, FetchError::Unpack(UnpackError::TooLarge(1_048_576))), "{path}: {error}");
    }
    let enough = Wanted { most_bytes: 64 << 20, ..wanted(&server.url("/gz")) };
    assert_eq!(text(fetcher().fetch(&enough).await).len(), 64 << 20);
}

#[tokio::test]
async fn an_endless_body_is_stopped_at_the_byte_limit() {
    let piece: &'static str = Box::leak("a.example\n".repeat(1_000).into_boxed_str());
    let server = Server::start(move |_| status(200, &[], stream(piece, Duration::ZERO, None)));
    let error = fetcher().fetch(&wanted(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong(1_048_576)), "{error}");
    let whole = Server::start(|_| ok(&[], "a.example\n"));
    let most = |most_bytes| Wanted { most_bytes, ..wanted(&whole.url("/")) };
    assert_eq!(text(fetcher().fetch(&most(10)).await), "a.example\n");
    let error = fetcher().fetch(&most(9)).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong(9)), "{error}");
}

#[tokio::test]
async fn a_slow_body_is_stopped_at_the_time_limit() {
    let server = Server::start(|_| status(200, &[], stream("a.example\n", Duration::from_millis(50), None)));
    let started = Instant::now();
    let limited = fetcher().limit(Duration::from_millis(400));
    let error = limited.fetch(&wanted(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, FetchError::TooSlow(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_list() {
    let server = Server::start(|_| status(200, &[], stream("a.example\n", Duration::ZERO, Some(3))));
    let error = fetcher().fetch(&wanted(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Http(_)), "{error}");
    let short = Server::start(|_| {
        status(200, &[("content-length", "1000")], stream("a.example\n", Duration::ZERO, Some(3)))
    });
    let error = fetcher().fetch(&wanted(&short.url("/"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Http(_)), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_five_times_and_no_more() {
    let server = Server::start(|seen| {
        let left: usize = seen.path.trim_start_matches('/').parse().unwrap();
        match left {
            0 => ok(&[], "a.example\n"),
            left => redirect([301, 302, 303, 307, 308][left % 5], &format!("{}", left - 1)),
        }
    });
    assert_eq!(text(fetch_public(&server.url("/5")).await), "a.example\n");
    let error = fetch_public(&server.url("/6")).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirects(5)), "{error}");
    let round = Server::start(|_| redirect(302, "/"));
    let error = fetch_public(&round.url("/")).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirects(5)), "{error}");
    assert_eq!(round.seen().len(), 6);
}

#[tokio::test]
async fn a_redirect_to_an_address_inside_is_refused_before_anybody_there_is_asked() {
    let inside = Server::at("127.0.0.2:0", None, |_| ok(&[], "secret.example\n"));
    let target = inside.url("/");
    let server = Server::start(move |_| redirect(302, &target));
    let error = fetch_public(&server.url("/")).await.unwrap_err();
    assert!(matches!(error, FetchError::NotPublic { kind: "loopback", .. }), "{error}");
    assert!(inside.seen().is_empty(), "nobody inside was asked");
    // The same with leave to: so it is the address that was refused.
    assert_eq!(text(fetcher().fetch(&wanted(&server.url("/"))).await), "secret.example\n");
}

#[tokio::test]
async fn redirects_to_other_schemes_and_to_users_are_refused() {
    for (to, want) in [
        ("ftp://lists.example/", "http and https only"),
        ("http://me:x@127.0.0.1/", "a user"),
        ("http://me@127.0.0.1/", "a user"),
        ("http://", "usable location"),
    ] {
        let server = Server::start(move |_| redirect(301, to));
        let error = fetch_public(&server.url("/")).await.unwrap_err().to_string();
        assert!(error.contains(want) && !error.contains("me:x"), "{error}");
    }
    let server = Server::start(|_| status(301, &[], body("")));
    let error = fetch_public(&server.url("/")).await.unwrap_err();
    assert!(matches!(error, FetchError::Location(301)), "{error}");
}

#[tokio::test]
async fn addresses_inside_are_refused_however_they_are_written() {
    let server = Server::start(|_| ok(&[], "secret.example\n"));
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "a.localhost",
    ] {
        let asked = Wanted { allow_private: false, ..wanted(&format!("http://{host}:{port}/")) };
        let error = fetcher().fetch(&asked).await.unwrap_err();
        assert!(matches!(error, FetchError::NotPublic { kind: "loopback", .. }), "{host}: {error}");
        assert_eq!(error.blame(), Blame::Configuration);
    }
    for host in ["10.0.0.1", "[fd00::1]", "169.254.169.254", "[64:ff9b::a00:1]", "100.64.0.1", "224.0.0.1"] {
        let asked = Wanted { allow_private: false, ..wanted(&format!("http://{host}:{port}/")) };
        let error = fetcher().fetch(&asked).await.unwrap_err();
        assert!(matches!(error, FetchError::NotPublic { .. }), "{host}: {error}");
    }
    assert!(server.seen().is_empty());
    assert_eq!(
        text(fetcher().fetch(&wanted(&format!("http://localhost:{port}/"))).await),
        "secret.example\n"
    );
}

#[tokio::test]
async fn a_name_that_resolves_to_an_address_inside_is_refused() {
    let server = Server::start(|_| ok(&[], "secret.example\n"));
    let upstream = CountingUpstream::start(|asked| at_once(with_address(&asked.wire, 60, [127, 0, 0, 1])));
    let fetcher = Fetcher::new(Resolver::Servers(vec![upstream.address]), Roots::System);
    let url = format!("http://lists.example:{}/", server.address.port());
    let error = fetcher.fetch(&Wanted { allow_private: false, ..wanted(&url) }).await.unwrap_err();
    assert!(matches!(error, FetchError::NotPublic { kind: "loopback", .. }), "{error}");
    assert!(error.to_string().contains("lists.example has the loopback address 127.0.0.1"), "{error}");
    assert!(server.seen().is_empty());
    // With leave to it is fetched, under its own name.
    assert_eq!(text(fetcher.fetch(&wanted(&url)).await), "secret.example\n");
    assert_eq!(server.seen()[0].field("host"), format!("lists.example:{}", server.address.port()));
    assert!(upstream.seen().len() >= 2, "the configured upstream was asked");
}

#[tokio::test]
async fn a_name_without_addresses_says_whose_fault_it_is() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = CountingUpstream::start(|asked| at_once(header_and_question(&asked.wire, 3)));
    let empty = CountingUpstream::start(|asked| at_once(header_and_question(&asked.wire, 0)));
    let ill = CountingUpstream::start(|asked| at_once(header_and_question(&asked.wire, 2)));
    for (resolver, want, blame) in [
        (Resolver::Servers(vec![nobody]), "no upstream answers", Blame::Network),
        (Resolver::Servers(vec![ill.address]), "response code 2", Blame::Network),
        (Resolver::Servers(vec![gone.address]), "does not exist", Blame::Configuration),
        (Resolver::Servers(vec![ill.address, empty.address]), "no addresses", Blame::Configuration),
        (Resolver::Demo, "no network", Blame::Configuration),
    ] {
        let fetcher = Fetcher::new(resolver, Roots::System);
        let error = fetcher.fetch(&wanted("http://lists.example/")).await.unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(matches!(error, FetchError::Resolve { .. }) && error.blame() == blame, "{error}");
    }
    let aliased = Resolver::Servers(vec![gone.address]).resolve("lists.example").await;
    assert!(matches!(aliased, Err(ResolveError::NoName)));
}

/// A server's side of TLS for a name, and the authority that certifies it.
fn certified(name: &str) -> (Arc<ServerConfig>, Arc<RootCertStore>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    (Arc::new(config), Arc::new(roots))
}

#[tokio::test]
async fn https_servers_are_checked_against_the_roots_and_their_name() {
    let (tls, roots) = certified("lists.example");
    let (_, other_roots) = certified("lists.example");
    let server = Server::at("127.0.0.1:0", Some(tls), |_| ok(&[], "a.example\n"));
    let upstream = CountingUpstream::start(|asked| at_once(with_address(&asked.wire, 60, [127, 0, 0, 1])));
    let resolver = Resolver::Servers(vec![upstream.address]);
    let port = server.address.port();
    let fetch = async |host: &str, roots: &Arc<RootCertStore>| {
        let fetcher = Fetcher::new(resolver.clone(), Roots::Given(Arc::clone(roots)));
        fetcher.fetch(&wanted(&format!("https://{host}:{port}/"))).await
    };
    assert_eq!(text(fetch("lists.example", &roots).await), "a.example\n");
    for (host, roots) in [("other.example", &roots), ("lists.example", &other_roots), ("127.0.0.1", &roots)] {
        let error = fetch(host, roots).await.unwrap_err();
        assert!(matches!(error, FetchError::Tls { .. }), "{host}: {error}");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn https_is_never_left_for_http() {
    let (tls, roots) = certified("localhost");
    let plain = Server::start(|_| ok(&[], "changed.example\n"));
    let target = plain.url("/");
    let secure = Server::at("127.0.0.1:0", Some(tls), move |seen| match seen.path.as_str() {
        "/down" => redirect(301, &target),
        _ => ok(&[], "a.example\n"),
    });
    let fetcher = Fetcher::new(Resolver::Demo, Roots::Given(roots));
    let url = format!("https://localhost:{}", secure.address.port());
    let error = fetcher.fetch(&wanted(&format!("{url}/down"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Downgrade(_)), "{error}");
    assert!(plain.seen().is_empty());
    let up = format!("{url}/up");
    let upwards = Server::start(move |_| redirect(301, &up));
    assert_eq!(text(fetcher.fetch(&wanted(&upwards.url("/"))).await), "a.example\n");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_fault_of_the_network() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetcher().fetch(&wanted(&format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }) && error.blame() == Blame::Network, "{error}");
    let etag = Validators { etag: Some("a\nb".into()), last_modified: None };
    let server = Server::start(|_| ok(&[], ""));
    let error = fetcher().fetch(&Wanted { validators: etag, ..wanted(&server.url("/")) }).await.unwrap_err();
    assert!(matches!(error, FetchError::Request(_)), "{error}");
}
