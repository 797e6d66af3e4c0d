//! The client against primaries that break the protocol, each in its own way.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::xfr::message::{Message, Section, Writer, framed, types};
use crate::xfr::tsig::{Chain, Stamp, now_s};
use crate::xfr::zone::RecordRef;

/// What a primary does with one request: the bytes it sends, lengths included.
type Script = fn(&Message) -> Vec<u8>;

/// A primary that answers its connections by one script after the other; the last goes on.
async fn primary(scripts: &'static [Script]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let script = scripts[number.min(scripts.len() - 1)];
            let length = stream.read_u16().await.unwrap();
            let mut request = vec![0; usize::from(length)];
            stream.read_exact(&mut request).await.unwrap();
            let reply = script(&Message::decode(&request).unwrap());
            let _ = stream.write_all(&reply).await;
            // Empty: a primary that keeps silent.
            if reply.is_empty() {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        }
    });
    address
}

fn source(primary: SocketAddr, key: Option<Key>) -> Source {
    let limits = Limits { records: 1000, bytes: 1 << 20, idle: Duration::from_secs(2), ..Limits::default() };
    Source { primary, zone: name("rpz.example"), key, limits }
}

async fn error_of(scripts: &'static [Script]) -> String {
    fetch(&source(primary(scripts).await, None), None).await.unwrap_err().to_string()
}

/// One message in answer to a request.
fn message(request: &Message, records: &[RecordRef<'_>]) -> Vec<u8> {
    let mut writer = Writer::new(request.id, 0x8400, request.question.as_ref(), 65_000);
    for record in records {
        assert!(writer.push(Section::Answer, *record));
    }
    writer.finish()
}

/// A whole zone of serial 5 in one message.
fn whole(request: &Message) -> Vec<u8> {
    let (soa, block) = (soa(5).record(&wire("rpz.example")), block("a"));
    message(request, &[soa.view(), block.view(), soa.view()])
}

fn changed(request: &Message, at: usize, value: u8) -> Vec<u8> {
    let mut message = whole(request);
    message[at] = value;
    framed(&message)
}

fn header_only(request: &Message, rcode: u8) -> Vec<u8> {
    framed(&Writer::new(request.id, 0x8000 | u16::from(rcode), request.question.as_ref(), 512).finish())
}

#[tokio::test]
async fn a_zone_comes_in_as_many_messages_as_the_primary_likes() {
    let one_each: &[Script] = &[|request| {
        let (soa, a, b) = (soa(5).record(&wire("rpz.example")), block("a"), block("b"));
        let bare = Message { question: None, ..Message::decode(&whole(request)).unwrap() };
        let first = framed(&message(request, &[soa.view()]));
        let rest = [a.view(), b.view(), soa.view()].map(|record| framed(&message(&bare, &[record])));
        [first, rest.concat()].concat()
    }];
    let got = fetch(&source(primary(one_each).await, None), None).await.unwrap();
    let Fetched::Zone { zone: got, way: Way::Full } = got else { panic!("{got:?}") };
    assert_eq!(got, zone(5, &["a", "b"]));
}

#[tokio::test]
async fn messages_of_somebody_else_are_refused() {
    assert!(error_of(&[|r| changed(r, 1, r.id as u8 ^ 1)]).await.contains("another id"));
    assert!(error_of(&[|r| changed(r, 2, 0x04)]).await.contains("no response to a query"));
    assert!(error_of(&[|r| changed(r, 2, 0xa4)]).await.contains("no response to a query"));
    assert!(error_of(&[|r| changed(r, 2, 0x86)]).await.contains("truncated"));
    assert!(error_of(&[|r| changed(r, 13, b'x')]).await.contains("another question"));
    assert!(error_of(&[|r| changed(r, 12 + 14, 251)]).await.contains("another question"));
    let no_question: &[Script] = &[|request| {
        let bare = Message { question: None, ..Message::decode(&whole(request)).unwrap() };
        let soa = soa(5).record(&wire("rpz.example"));
        framed(&message(&bare, &[soa.view(), soa.view()]))
    }];
    assert!(error_of(no_question).await.contains("no question"));
}

#[tokio::test]
async fn a_primary_that_says_no_is_quoted_with_a_remedy() {
    let refused = error_of(&[|request| header_only(request, 5)]).await;
    assert!(refused.contains("rpz.example with REFUSED") && refused.contains("allow transfers"), "{refused}");
    assert!(error_of(&[|request| header_only(request, 9)]).await.contains("NOTAUTH"));
    assert!(error_of(&[|request| header_only(request, 11)]).await.contains("RCODE 11"));
}

#[tokio::test]
async fn a_transfer_that_is_not_whole_is_no_zone() {
    let cut: &[Script] = &[|request| {
        let mut reply = framed(&whole(request));
        reply.truncate(reply.len() - 5);
        reply
    }];
    assert!(error_of(cut).await.contains("closed the connection"));
    let no_final_soa: &[Script] = &[|request| {
        let (soa, block) = (soa(5).record(&wire("rpz.example")), block("a"));
        framed(&message(request, &[soa.view(), block.view()]))
    }];
    assert!(error_of(no_final_soa).await.contains("closed the connection"));
    assert!(error_of(&[|request| framed(&whole(request)[..40])]).await.contains("cut short"));
    let looped: &[Script] = &[|request| {
        let mut reply = message(request, &[]);
        reply[7] = 1;
        let here = 0xc000 | reply.len() as u16;
        reply.extend(here.to_be_bytes());
        framed(&reply)
    }];
    assert!(error_of(looped).await.contains("name that can't be decoded"));
}

#[tokio::test]
async fn a_primary_without_end_is_stopped_by_the_limits() {
    let endless: &[Script] = &[|request| {
        let soa = soa(5).record(&wire("rpz.example"));
        let mut reply = framed(&message(request, &[soa.view()]));
        for number in 0..2000 {
            reply.extend(framed(&message(request, &[block(&number.to_string()).view()])));
        }
        reply
    }];
    assert!(error_of(endless).await.contains("larger than 1000 records"));
    let empty: &[Script] = &[|request| framed(&message(request, &[])).repeat(60_000)];
    assert!(error_of(empty).await.contains("larger than 1048576 bytes"));

    let silent = primary(&[|_| Vec::new()]).await;
    let mut limited = source(silent, None);
    limited.limits.idle = Duration::from_millis(50);
    assert!(fetch(&limited, None).await.unwrap_err().to_string().contains("the next message"));
    limited.limits = Limits { total: Duration::from_millis(50), ..Limits::default() };
    assert!(fetch(&limited, None).await.unwrap_err().to_string().contains("the whole transfer"));
    let nobody = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    assert!(fetch(&source(nobody, None), None).await.unwrap_err().to_string().contains("can't connect"));
}

#[tokio::test]
async fn the_whole_zone_is_asked_for_where_differences_fail() {
    let have = zone(1, &["x"]);
    let not_implemented: Script = |request| header_only(request, 4);
    let not_ours: Script = |request| {
        let version = |serial| soa(serial).record(&wire("rpz.example"));
        let (five, one, gone) = (version(5), version(1), block("never-there"));
        framed(&message(request, &[five.view(), one.view(), gone.view(), five.view(), five.view()]))
    };
    let full: Script = |request| {
        assert_eq!(request.question.as_ref().unwrap().qtype, types::AXFR);
        framed(&whole(request))
    };
    let scripts: [&'static [Script]; 2] =
        [Box::leak(Box::new([not_implemented, full])), Box::leak(Box::new([not_ours, full]))];
    for scripts in scripts {
        let got = fetch(&source(primary(scripts).await, None), Some(&have)).await.unwrap();
        assert!(matches!(got, Fetched::Zone { zone: got, way: Way::Full } if got == zone(5, &["a"])));
    }
    assert_eq!(have, zone(1, &["x"]));
}

/// The reply, signed for a request whose MAC is known.
fn signed(request: &Message, key: &Key, time_s: u64) -> Vec<u8> {
    let mut reply = whole(request);
    let mac = &request.tsig.as_ref().unwrap().mac;
    Chain::response(key, mac).sign(&mut reply, &Stamp { time_s, ..Stamp::default() });
    framed(&reply)
}

#[tokio::test]
async fn with_a_key_only_what_it_signed_is_taken() {
    let fetched = |scripts: &'static [Script]| async move {
        fetch(&source(primary(scripts).await, Some(key(KEY))), None).await.map_err(|error| error.to_string())
    };
    assert!(fetched(&[|request| signed(request, &key(KEY), now_s())]).await.is_ok());
    let unsigned = fetched(&[|request| framed(&whole(request))]).await.unwrap_err();
    assert!(unsigned.contains("is not signed"), "{unsigned}");
    let other = fetched(&[|request| signed(request, &key(&KEY.replace("MDEy", "NDEy")), now_s())]).await;
    assert!(other.unwrap_err().contains("signature is wrong"));
    let stale = fetched(&[|request| signed(request, &key(KEY), now_s() - 1000)]).await.unwrap_err();
    assert!(stale.contains("from our time; set both clocks"), "{stale}");
    // The last message of a transfer must be signed (RFC 8945 section 5.3.1).
    let open_end = fetched(&[|request| {
        let soa = soa(5).record(&wire("rpz.example"));
        let mut first = message(request, &[soa.view()]);
        let mac = &request.tsig.as_ref().unwrap().mac;
        Chain::response(&key(KEY), mac).sign(&mut first, &Stamp { time_s: now_s(), ..Stamp::default() });
        [framed(&first), framed(&message(request, &[block("a").view(), soa.view()]))].concat()
    }]);
    assert!(open_end.await.unwrap_err().contains("is not signed"));
    // A refusal that can't be signed is quoted all the same.
    let refused = fetched(&[|request| header_only(request, 5)]).await.unwrap_err();
    assert!(refused.contains("REFUSED"), "{refused}");
}

/// Used by the server's tests too: one request, one reply, over TCP.
pub(super) async fn ask_tcp(server: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(&framed(request)).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut reply = vec![0; usize::from(length)];
    stream.read_exact(&mut reply).await.ok()?;
    Some(reply)
}
