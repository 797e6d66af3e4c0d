//! The server: who may ask, what it answers, and that our client understands it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::peers::ask_tcp;
use super::*;
use crate::xfr::message::{Message, Question, Section, Writer, append_opt, types};
use crate::xfr::policy::{Action, Entry, Scope};
use crate::xfr::tsig::{Chain, Stamp, now_s};

struct Running {
    address: SocketAddr,
    publisher: Publisher,
    stop: watch::Sender<bool>,
}

fn start(config: ServerConfig) -> Running {
    let publisher = Publisher::new(ZoneConfig { origin: name("rpz.example"), ..ZoneConfig::default() }, None);
    let server = Server::bind(&[(Ipv4Addr::LOCALHOST, 0).into()], config).unwrap();
    let address = server.addresses()[0];
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(server.run(publisher.clone(), stopped));
    Running { address, publisher, stop }
}

fn open() -> ServerConfig {
    ServerConfig { allow_from: vec!["127.0.0.0/8".parse().unwrap()], ..ServerConfig::default() }
}

fn entries(count: usize) -> impl Iterator<Item = Entry> {
    let names = (0..count).map(|n| name(&format!("name{n}.test")));
    names.map(|name| Entry { name, scope: Scope::Suffix, action: Action::Nxdomain })
}

fn source(running: &Running, key: Option<Key>) -> Source {
    Source { primary: running.address, zone: name("rpz.example"), key, limits: Limits::default() }
}

fn request(qname: &str, qtype: u16) -> Vec<u8> {
    Writer::new(77, 0x0100, Some(&Question::new(&wire(qname), qtype)), 512).finish()
}

async fn ask_udp(running: &Running, request: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(request, running.address).await.unwrap();
    let mut reply = vec![0; 4096];
    let length = timeout(Duration::from_millis(500), socket.recv(&mut reply)).await.ok()?.unwrap();
    reply.truncate(length);
    Some(reply)
}

/// Code, answers and authority records of the reply over UDP, which must equal that over TCP.
async fn asked(running: &Running, request: &[u8]) -> (u8, usize, usize) {
    let udp = ask_udp(running, request).await.unwrap();
    let tcp = ask_tcp(running.address, request).await.unwrap();
    assert_eq!(udp, tcp);
    let reply = Message::decode(&udp).unwrap();
    (reply.rcode(), reply.answers.len(), reply.authority.len())
}

#[tokio::test]
async fn our_client_gets_the_zone_then_its_differences_then_nothing() {
    for key in [None, Some(key(KEY))] {
        let config = ServerConfig { keys: key.iter().cloned().collect(), ..open() };
        let running = start(config);
        let source = source(&running, key);
        let first = running.publisher.update(entries(5000));
        let Ok(Fetched::Zone { zone: full, way: Way::Full }) = fetch(&source, None).await else { panic!() };
        assert_eq!(Some(full.to_master_text()), running.publisher.to_master_text());
        assert_eq!((full.serial(), full.len()), (first.serial, 10_001));

        let unchanged = fetch(&source, Some(&full)).await.unwrap();
        assert!(matches!(unchanged, Fetched::Unchanged { soa } if soa == *full.soa()));

        running.publisher.update(entries(5003));
        running.publisher.update(entries(5001));
        let Ok(Fetched::Zone { zone: next, way }) = fetch(&source, Some(&full)).await else { panic!() };
        assert_eq!(way, Way::Incremental { removed: 4, added: 6 });
        assert_eq!(Some(next.to_master_text()), running.publisher.to_master_text());

        running.publisher.update(entries(1));
        let Ok(Fetched::Zone { zone: last, way }) = fetch(&source, Some(&next)).await else { panic!() };
        assert_eq!(way, Way::Full, "the differences are longer than the zone");
        assert_eq!(Some(last.to_master_text()), running.publisher.to_master_text());
    }
}

#[tokio::test]
async fn nothing_is_served_before_the_first_update() {
    let running = start(open());
    assert_eq!(asked(&running, &request("rpz.example", types::SOA)).await, (2, 0, 0));
    let refused = fetch(&source(&running, None), None).await.unwrap_err().to_string();
    assert!(refused.contains("SERVFAIL"), "{refused}");
}

#[tokio::test]
async fn soa_and_ns_are_answered_and_the_content_is_not() {
    let running = start(open());
    running.publisher.update(entries(3));
    assert_eq!(asked(&running, &request("rpz.example", types::SOA)).await, (0, 1, 0));
    assert_eq!(asked(&running, &request("rpz.example", types::NS)).await, (0, 1, 0));
    assert_eq!(asked(&running, &request("rpz.example", types::A)).await, (0, 0, 1));
    assert_eq!(asked(&running, &request("name1.test.rpz.example", types::CNAME)).await, (5, 0, 0));
    assert_eq!(asked(&running, &request("other.example", types::SOA)).await, (5, 0, 0));
    assert_eq!(asked(&running, &request("other.example", types::AXFR)).await, (9, 0, 0));
    let mut spelled = request("rpz.example", types::SOA);
    spelled[13] = b'R';
    let reply = ask_udp(&running, &spelled).await.unwrap();
    assert_eq!(reply[12..29], spelled[12..29], "the question comes back as it was spelled");
    assert_eq!(reply[2..4], [0x85, 0], "QR, AA and RD");
}

#[tokio::test]
async fn transfers_do_not_go_over_udp() {
    let running = start(open());
    let serial = running.publisher.update(entries(3)).serial;
    let reply = ask_udp(&running, &request("rpz.example", types::AXFR)).await.unwrap();
    assert_eq!(Message::decode(&reply).unwrap().rcode(), 1);
    let mut writer = Writer::new(77, 0, Some(&Question::new(&wire("rpz.example"), types::IXFR)), 512);
    let old = soa(serial.0 - 1).record(&wire("rpz.example"));
    assert!(writer.push(Section::Authority, old.view()));
    let reply = Message::decode(&ask_udp(&running, &writer.finish()).await.unwrap()).unwrap();
    assert_eq!((reply.rcode(), reply.answers.len()), (0, 1));
    let bare = ask_tcp(running.address, &request("rpz.example", types::IXFR)).await.unwrap();
    assert_eq!(Message::decode(&bare).unwrap().rcode(), 1, "which version has it?");
}

#[tokio::test]
async fn by_default_nobody_may_ask() {
    let running = start(ServerConfig::default());
    running.publisher.update(entries(3));
    let udp = ask_udp(&running, &request("rpz.example", types::SOA)).await.unwrap();
    assert_eq!(Message::decode(&udp).unwrap().rcode(), 5);
    assert_eq!(ask_tcp(running.address, &request("rpz.example", types::SOA)).await, None);
    let elsewhere = ServerConfig { allow_from: vec!["192.0.2.0/24".parse().unwrap()], ..open() };
    let keyed = ServerConfig { keys: vec![key(KEY)], ..elsewhere };
    let running = start(keyed);
    running.publisher.update(entries(3));
    assert!(fetch(&source(&running, Some(key(KEY))), None).await.is_err(), "the key alone is not enough");
}

#[tokio::test]
async fn with_keys_only_those_who_sign_may_ask() {
    let running = start(ServerConfig { keys: vec![key(KEY)], ..ServerConfig::default() });
    running.publisher.update(entries(3));
    let why = |key: Option<Key>| {
        let source = source(&running, key);
        async move { fetch(&source, None).await.map_err(|error| error.to_string()) }
    };
    assert!(why(Some(key(KEY))).await.is_ok());
    assert!(why(None).await.unwrap_err().contains("REFUSED"));
    let unknown = why(Some(key(&KEY.replace("transfer", "other")))).await.unwrap_err();
    assert!(unknown.contains("BADKEY"), "{unknown}");
    let wrong = why(Some(key(&KEY.replace("MDEy", "NDEy")))).await.unwrap_err();
    assert!(wrong.contains("BADSIG"), "{wrong}");
    assert_eq!(asked(&running, &request("rpz.example", types::SOA)).await, (5, 0, 0));

    // A clock that is an hour late: the answer is signed and holds our time.
    let mut late = request("rpz.example", types::SOA);
    let time_s = now_s() - 3600;
    let mac = Chain::request(&key(KEY)).sign(&mut late, &Stamp { time_s, ..Stamp::default() });
    let reply = ask_udp(&running, &late).await.unwrap();
    let message = Message::decode(&reply).unwrap();
    let checked = Chain::response(&key(KEY), &mac).check(&reply, &message, time_s);
    assert!(matches!(checked, Err(TsigError::RefusedTime { seconds: 3599..3602 })), "{checked:?}");
    assert_eq!(message.rcode(), 9);
}

#[tokio::test]
async fn edns_is_answered_with_edns() {
    let running = start(open());
    running.publisher.update(entries(3));
    for (version, high) in [(0, 0), (1, 1)] {
        let mut wire = request("rpz.example", types::SOA);
        append_opt(&mut wire, version);
        let reply = ask_udp(&running, &wire).await.unwrap();
        let opt = &reply[reply.len() - 11..];
        assert_eq!((opt[..3].to_vec(), opt[5]), (vec![0, 0, 41], high));
    }
}

#[tokio::test]
async fn bytes_that_are_no_request_get_formerr_or_nothing() {
    let running = start(open());
    running.publisher.update(entries(3));
    let whole = request("rpz.example", types::SOA);
    assert_eq!(ask_udp(&running, &whole[..11]).await, None);
    let cut = ask_udp(&running, &whole[..20]).await.unwrap();
    assert_eq!(cut, [0, 77, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut response = whole.clone();
    response[2] |= 0x80;
    assert_eq!(ask_udp(&running, &response).await, None, "two servers would talk for ever");
    let mut notify = whole.clone();
    notify[2] = 0x20;
    assert_eq!(asked(&running, &notify).await.0, 4);
    assert_eq!(asked(&running, &whole).await.0, 0, "it still serves");
}

#[tokio::test]
async fn one_address_gets_only_so_many_connections_and_gives_them_back() {
    let running = start(open());
    running.publisher.update(entries(3));
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(TcpStream::connect(running.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask_tcp(running.address, &request("rpz.example", types::SOA)).await, None);
    held.clear();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ask_tcp(running.address, &request("rpz.example", types::SOA)).await.is_some());
}

#[tokio::test]
async fn secondaries_are_told_again_until_they_answer_and_of_each_version() {
    let secondary = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let told = Secondary { address: secondary.local_addr().unwrap(), key: Some(key(KEY)) };
    let running = start(ServerConfig { secondaries: vec![told], ..open() });
    let mut buffer = vec![0; 4096];
    let silent = timeout(Duration::from_millis(100), secondary.recv_from(&mut buffer)).await;
    assert!(silent.is_err(), "there is nothing to tell yet");
    let first = running.publisher.update(entries(1)).serial;
    let mut receive = async |answer: bool| {
        let got = timeout(Duration::from_secs(5), secondary.recv_from(&mut buffer)).await;
        let (length, from) = got.unwrap().unwrap();
        let wire = buffer[..length].to_vec();
        let message = Message::decode(&wire).unwrap();
        assert_eq!(message.flags, 0x2400, "NOTIFY, AA");
        assert_eq!(Chain::request(&key(KEY)).check(&wire, &message, now_s()), Ok(true));
        let soa = message.answers[0].view();
        if answer {
            let question = message.question.as_ref();
            let mut reply = Writer::new(message.id, 0xa400, question, 512).finish();
            let stamp = Stamp { time_s: now_s(), ..Stamp::default() };
            Chain::response(&key(KEY), &message.tsig.unwrap().mac).sign(&mut reply, &stamp);
            secondary.send_to(&reply, from).await.unwrap();
        }
        Soa::decode(soa.ttl_s, soa.data).unwrap().serial
    };
    assert_eq!(receive(false).await, first);
    assert_eq!(receive(true).await, first);
    let second = running.publisher.update(entries(2)).serial;
    assert_eq!(receive(true).await, second, "not the first again");
    running.publisher.update(entries(2));
    let quiet = timeout(Duration::from_millis(1500), secondary.recv_from(&mut buffer)).await;
    assert!(quiet.is_err(), "it answered, and nothing changed");
    running.stop.send(true).unwrap();
}
