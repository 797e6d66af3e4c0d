use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use dnsvet_core::message::decode_query;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::pipeline::{Door, Pipeline};
use crate::upstream::counting::{CountingUpstream, at_once, with_address};
use crate::upstream::message::tests::{edns_query, query};
use crate::upstream::{Forwarder, Upstreams};

const SOON: Duration = Duration::from_secs(5);

/// Every door over one pipeline that only forwards.
struct Open {
    udp: SocketAddr,
    tcp: SocketAddr,
    doh: SocketAddr,
    forward: SocketAddr,
    stop: watch::Sender<bool>,
}

fn open(upstream: &CountingUpstream, allow_from: &str, tls: Option<tokio_rustls::TlsAcceptor>) -> Open {
    let servers = vec![upstream.address];
    let forwarder = Rc::new(Forwarder::new(Upstreams::Servers(servers), 1 << 20, Default::default()));
    let access = Access::new(&[allow_from.parse().unwrap()]);
    let pipeline = Rc::new(Pipeline::new(access, None, forwarder, Default::default()));
    let (stop, stopped) = watch::channel(false);
    let any = "127.0.0.1:0".parse().unwrap();
    let udp = UdpSocket::from_std(bind_udp(any, 1).unwrap().remove(0)).unwrap();
    let mut listeners =
        (0..3).map(|_| tokio::net::TcpListener::from_std(bind_tcp(any, 1).unwrap().remove(0)).unwrap());
    let (tcp, doh, forward) =
        (listeners.next().unwrap(), listeners.next().unwrap(), listeners.next().unwrap());
    let open = Open {
        udp: udp.local_addr().unwrap(),
        tcp: tcp.local_addr().unwrap(),
        doh: doh.local_addr().unwrap(),
        forward: forward.local_addr().unwrap(),
        stop,
    };
    let shared = || Rc::clone(&pipeline);
    tokio::task::spawn_local(udp::serve(udp, shared(), stopped.clone()));
    tokio::task::spawn_local(tcp::serve(tcp, shared(), stopped.clone()));
    let options = doh::Options { door: Door::Doh, tls, one_policy: false };
    tokio::task::spawn_local(doh::serve(doh, shared(), options, stopped.clone()));
    let options = doh::Options { door: Door::Forward, tls: None, one_policy: true };
    tokio::task::spawn_local(doh::serve(forward, shared(), options, stopped));
    open
}

fn on_worker<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn answering() -> CountingUpstream {
    CountingUpstream::start(|q| at_once(with_address(&q.wire, 300, [192, 0, 2, 1])))
}

async fn ask_udp(to: SocketAddr, wire: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(to).await.unwrap();
    socket.send(wire).await.unwrap();
    let mut answer = vec![0; 65_535];
    let length = timeout(wait, socket.recv(&mut answer)).await.ok()?.unwrap();
    answer.truncate(length);
    Some(answer)
}

fn framed(wire: &[u8]) -> Vec<u8> {
    [&(wire.len() as u16).to_be_bytes()[..], wire].concat()
}

async fn read_framed(stream: &mut TcpStream) -> Vec<u8> {
    let length = timeout(SOON, stream.read_u16()).await.unwrap().unwrap();
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

/// Bytes that look random but are the same each time.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// Random messages, and good ones cut or changed: at least a thousand that can't be decoded.
fn bad_messages() -> Vec<Vec<u8>> {
    let good = edns_query("some.name.example", 1, 1232, &[0, 12, 0, 4, 0, 0, 0, 0]);
    let cut = (0..good.len()).map(|end| good[..end].to_vec());
    let random = (0..1500u64).map(|seed| {
        let mut bytes = noise(seed);
        let length = usize::from(bytes.next().unwrap()) % 120;
        bytes.take(length).collect()
    });
    let changed = (0..800u64).map(|seed| {
        let (mut message, mut bytes) = (good.clone(), noise(seed + 10_000));
        for _ in 0..3 {
            let at = usize::from(bytes.next().unwrap()) % message.len();
            message[at] = bytes.next().unwrap();
        }
        message
    });
    let all: Vec<Vec<u8>> =
        cut.chain(random).chain(changed).filter(|wire| decode_query(wire).is_err()).collect();
    assert!(all.len() >= 1000, "{}", all.len());
    all
}

#[test]
fn every_door_answers_and_they_share_the_cache() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let wire = query("www.example", 1);
        let udp = ask_udp(open.udp, &wire, SOON).await.unwrap();
        assert_eq!(udp[udp.len() - 4..], [192, 0, 2, 1]);
        let mut stream = TcpStream::connect(open.tcp).await.unwrap();
        stream.write_all(&framed(&wire)).await.unwrap();
        assert_eq!(read_framed(&mut stream).await, udp);
        for door in [open.doh, open.forward] {
            let response = http(door, Version::HTTP_11, post(&wire)).await;
            assert_eq!(response.body()[..], udp);
        }
    });
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn clients_outside_allow_from_are_refused_at_every_door() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "192.0.2.0/24", None);
        let wire = query("www.example", 1);
        assert_eq!(ask_udp(open.udp, &wire, SOON).await.unwrap()[3] & 0x0f, 5);
        let mut stream = TcpStream::connect(open.tcp).await.unwrap();
        stream.write_all(&framed(&wire)).await.unwrap();
        assert_eq!(read_framed(&mut stream).await[3] & 0x0f, 5);
        assert_eq!(http(open.doh, Version::HTTP_11, post(&wire)).await.body()[3] & 0x0f, 5);
    });
    assert!(upstream.seen().is_empty());
}

#[test]
fn bad_messages_by_the_thousand_get_what_they_deserve_over_udp_and_the_door_stays_open() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(open.udp).await.unwrap();
        let mut buffer = vec![0; 4096];
        let (mut answered, mut silent) = (0, 0);
        for wire in bad_messages() {
            socket.send(&wire).await.unwrap();
            if let Some(expected) = decode_query(&wire).unwrap_err().response() {
                let length = timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap();
                assert_eq!(buffer[..length], expected, "{wire:?}");
                assert!(length <= wire.len().max(12) + 11, "no amplification");
                answered += 1;
            } else {
                silent += 1;
            }
        }
        assert!(answered > 100 && silent > 100, "{answered} answered, {silent} silent");
        let answer = ask_udp(open.udp, &query("still.example", 1), SOON).await.unwrap();
        assert_eq!(answer[3] & 0x0f, 0);
        assert!(
            timeout(Duration::from_millis(50), socket.recv(&mut buffer)).await.is_err(),
            "no extra answer"
        );
    });
    assert_eq!(upstream.seen().len(), 1, "nothing bad went upstream");
}

#[test]
fn bad_messages_by_the_thousand_over_tcp_leave_the_connection_and_the_good_questions_alone() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let mut stream = TcpStream::connect(open.tcp).await.unwrap();
        for wire in bad_messages() {
            stream.write_all(&framed(&wire)).await.unwrap();
            if let Some(expected) = decode_query(&wire).unwrap_err().response() {
                assert_eq!(read_framed(&mut stream).await, expected);
            }
        }
        stream.write_all(&framed(&query("still.example", 1))).await.unwrap();
        assert_eq!(read_framed(&mut stream).await[3] & 0x0f, 0);
        // A connection that breaks off within a message is over, without an answer.
        let mut broken = TcpStream::connect(open.tcp).await.unwrap();
        broken.write_all(&[0, 200, 1, 2, 3]).await.unwrap();
        broken.shutdown().await.unwrap();
        let mut rest = Vec::new();
        timeout(SOON, broken.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
    });
}

#[test]
fn bad_messages_by_the_thousand_over_http_get_400_or_their_error() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let client = client(Version::HTTP_2);
        for wire in bad_messages() {
            let malformed = decode_query(&wire).unwrap_err();
            let response = send(&client, open.doh, post(&wire)).await;
            match malformed.rcode() {
                Some(4 | 16) => assert_eq!(response.body()[..], malformed.response().unwrap()),
                _ => assert_eq!(response.status(), 400, "{wire:?}"),
            }
        }
        assert_eq!(send(&client, open.doh, post(&query("still.example", 1))).await.status(), 200);
    });
}

#[test]
fn a_slow_question_holds_up_no_other_on_the_same_connection() {
    let upstream = CountingUpstream::start(|q| {
        let wait = if q.wire[13] == b's' || q.wire[13] == b'S' { 300 } else { 0 };
        vec![(Duration::from_millis(wait), with_address(&q.wire, 300, [192, 0, 2, 1]))]
    });
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let mut stream = TcpStream::connect(open.tcp).await.unwrap();
        let mut both = framed(&query("slow.example", 1));
        both.extend_from_slice(&framed(&query("quick.example", 1)));
        // In pieces, as networks do.
        for byte in both.chunks(7) {
            stream.write_all(byte).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert_eq!(read_framed(&mut stream).await[13], b'q');
        // The client has said all; what is under way is still answered.
        stream.shutdown().await.unwrap();
        assert_eq!(read_framed(&mut stream).await[13], b's');
        let mut rest = Vec::new();
        timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
    });
}

#[test]
fn stopping_ends_idle_connections_and_answers_what_is_under_way() {
    let upstream = CountingUpstream::start(|q| {
        vec![(Duration::from_millis(200), with_address(&q.wire, 300, [192, 0, 2, 1]))]
    });
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let mut idle = TcpStream::connect(open.tcp).await.unwrap();
        let mut busy = TcpStream::connect(open.tcp).await.unwrap();
        busy.write_all(&framed(&query("www.example", 1))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        open.stop.send(true).unwrap();
        assert_eq!(timeout(SOON, idle.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
        assert!(started.elapsed() < Duration::from_millis(150));
        assert_eq!(read_framed(&mut busy).await[3] & 0x0f, 0);
    });
}

type TestClient = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

fn client(version: Version) -> TestClient {
    let mut connector = hyper_util::client::legacy::connect::HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build(connector)
}

fn request(method: Method, path: &str, content_type: Option<&str>, body: &[u8]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
}

fn post(wire: &[u8]) -> Request<Full<Bytes>> {
    request(Method::POST, "/dns-query", Some("application/dns-message"), wire)
}

fn get(path: &str) -> Request<Full<Bytes>> {
    request(Method::GET, path, None, &[])
}

async fn send(client: &TestClient, to: SocketAddr, mut request: Request<Full<Bytes>>) -> Response<Bytes> {
    *request.uri_mut() = format!("http://{to}{}", request.uri()).parse().unwrap();
    let response = timeout(SOON, client.request(request)).await.unwrap().unwrap();
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

async fn http(to: SocketAddr, version: Version, request: Request<Full<Bytes>>) -> Response<Bytes> {
    send(&client(version), to, request).await
}

#[test]
fn http_statuses_are_those_of_rfc_8484_in_both_versions() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let wire = query("www.example", 1);
        let base64 = URL_SAFE_NO_PAD.encode(&wire);
        let message = Some("application/dns-message");
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (expected, request) in [
                (200, get(&format!("/dns-query?dns={base64}"))),
                (200, get(&format!("/dns-query?x=1&dns={base64}"))),
                (200, post(&wire)),
                (200, request(Method::POST, "/dns-query", Some("Application/DNS-Message; q=1"), &wire)),
                (400, get("/dns-query")),
                (400, get("/dns-query?dns=")),
                (400, get("/dns-query?dns=*")),
                (400, post(&wire[..20])),
                (404, get(&format!("/?dns={base64}"))),
                (405, request(Method::PUT, "/dns-query", message, &wire)),
                (405, request(Method::DELETE, "/dns-query", None, &[])),
                (413, post(&[0; 65_536])),
                (415, request(Method::POST, "/dns-query", None, &wire)),
                (415, request(Method::POST, "/dns-query", Some("text/plain"), &wire)),
            ] {
                let uri: String = request.uri().to_string().chars().take(60).collect();
                let what = format!("{version:?} {} {uri}", request.method());
                let response = http(open.doh, version, request).await;
                assert_eq!(response.status(), expected, "{what}");
                assert_eq!(response.headers().contains_key("allow"), expected == 405, "{what}");
            }
        }
    });
}

#[test]
fn answers_say_how_long_and_by_whom_they_may_be_kept() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        for (door, expected) in [(open.doh, "private, max-age=300"), (open.forward, "max-age=300")] {
            let response = http(door, Version::HTTP_2, post(&query("www.example", 1))).await;
            assert_eq!(response.headers()["cache-control"], expected);
            assert_eq!(response.headers()["content-type"], "application/dns-message");
        }
    });
}

#[test]
fn scripts_ask_by_name_and_get_json() {
    let upstream = answering();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", None);
        let response = http(open.doh, Version::HTTP_11, get("/dns-query?name=www.example&type=a")).await;
        assert_eq!(response.headers()["content-type"], "application/dns-json");
        let value: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((&value["Status"], &value["RA"]), (&0.into(), &true.into()));
        let record = &value["Answer"][0];
        assert_eq!((&record["name"], &record["data"]), (&"www.example.".into(), &"192.0.2.1".into()));
        let response = http(open.doh, Version::HTTP_11, get("/dns-query?name=a.example&type=AXFR")).await;
        let value: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(value["extended_dns_errors"][0]["info_code"], 21);
        for bad in ["name=a..b", "name=www.example&type=NONSENSE", "type=A"] {
            let response = http(open.doh, Version::HTTP_11, get(&format!("/dns-query?{bad}"))).await;
            assert_eq!(response.status(), 400, "{bad}");
        }
    });
}

#[test]
fn the_door_under_tls_speaks_what_alpn_chooses_and_shows_the_certificate_it_made() {
    let upstream = answering();
    let folder = tempfile::tempdir().unwrap();
    let config = crate::tls::server_config(folder.path(), "127.0.0.1".parse().unwrap(), None).unwrap();
    on_worker(async {
        let open = open(&upstream, "127.0.0.0/8", Some(config.into()));
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject as _;
        let path = folder.path().join(crate::tls::CERTIFICATE_FILE);
        roots.add(rustls::pki_types::CertificateDer::from_pem_file(path).unwrap()).unwrap();
        for (alpn, h2) in [(&b"h2"[..], true), (b"http/1.1", false)] {
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let mut config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = vec![alpn.to_vec()];
            let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
            let stream = TcpStream::connect(open.doh).await.unwrap();
            let stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
            let io = hyper_util::rt::TokioIo::new(stream);
            let padded = edns_query("www.example", 1, 1232, &[0, 12, 0, 0]);
            let mut request = post(&padded);
            *request.uri_mut() = "https://127.0.0.1/dns-query".parse().unwrap();
            let response = if h2 {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::task::spawn_local(connection);
                sender.send_request(request).await.unwrap()
            } else {
                request.headers_mut().insert("host", "127.0.0.1".parse().unwrap());
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::task::spawn_local(connection);
                sender.send_request(request).await.unwrap()
            };
            assert_eq!(response.status(), 200);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len() % 468, 0, "padded");
        }
    });
}

#[test]
fn an_http_connection_that_asks_nothing_is_closed() {
    on_worker(async {
        let upstream = answering();
        let open = open(&upstream, "127.0.0.0/8", None);
        // The second byte would say whether it is HTTP/2.
        let mut silent = TcpStream::connect(open.forward).await.unwrap();
        silent.write_all(b"P").await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(30), silent.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "still open");
    });
}

#[test]
fn workers_share_an_address_and_a_second_server_is_refused() {
    let any = "127.0.0.1:0".parse().unwrap();
    let sockets = bind_udp(any, 3).unwrap();
    let address = sockets[0].local_addr().unwrap();
    assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
    let error = bind_udp(address, 1).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let listeners = bind_tcp(any, 2).unwrap();
    assert!(bind_tcp(listeners[0].local_addr().unwrap(), 1).is_err());
}

#[test]
fn an_ipv4_client_in_ipv6_clothes_is_judged_as_ipv4() {
    let access = Access::new(&["127.0.0.0/8".parse().unwrap()]);
    let mapped: SocketAddr = "[::ffff:127.0.0.1]:53".parse().unwrap();
    assert!(access.allows(canonical(mapped).ip()));
    assert!(!access.allows("::1".parse().unwrap()));
}
