//! Bad input by the thousand: each door answers as it should, nothing traps, nothing leaks, service goes on.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use dnsvet_tests::client::{Client, Door, Reply, question};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};
use hickory_proto::rr::RecordType;

/// Messages of each kind at each door; ten times as many with `cargo xtask test --long`.
fn rounds() -> usize {
    if std::env::var_os("DNSVET_LONG").is_some() { 10_000 } else { 1_000 }
}

fn rig() -> MutexGuard<'static, Rig> {
    static RIG: OnceLock<Mutex<Rig>> = OnceLock::new();
    let rig = RIG.get_or_init(|| Mutex::new(Rig::start(Plan::new("malformed"))));
    rig.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_http(door: Door) -> bool {
    !matches!(door, Door::Udp | Door::Tcp)
}

/// No message is answered by more than it asks for: an error, or nothing.
fn send(client: &Client, door: Door, wires: Vec<Vec<u8>>) -> Vec<Reply> {
    // Many are dropped without a word.
    client.send_all_within(door, wires, Duration::from_millis(if is_http(door) { 3_000 } else { 300 }))
}

fn still_serves(rig: &Rig, client: &Client, draw: &mut Draw) {
    for door in Door::ALL {
        let name = draw.plain_domain();
        let reply = client.ask(door, &name);
        assert!(matches!(reply.rcode(), Some(0 | 3)), "{door:?} after bad input: {reply:?}");
    }
    assert!(rig.serve.as_ref().is_some_and(|child| child.alive()), "the resolver runs");
    assert!(rig.envoy.as_ref().is_some_and(|child| child.alive()), "Envoy runs");
    assert_eq!(
        rig.api().metric("dnsvet_resolver_plugin_traps_total"),
        0.0,
        "the plugin trapped in the resolver"
    );
    let log = rig.envoy.as_ref().map(|child| child.printed()).unwrap_or_default();
    assert!(!log.contains("Function: proxy_on_request") && !log.contains("panicked"), "{log}");
}

#[test]
fn random_bytes_are_refused_at_every_door() {
    let rig = rig();
    let client = rig.client();
    let mut draw = Draw::new("random bytes");
    for door in [Door::Udp, Door::Tcp, Door::Doh, Door::Envoy] {
        let wires: Vec<Vec<u8>> = (0..rounds())
            .map(|_| {
                let length = 1 + draw.below(600);
                draw.bytes(length)
            })
            .collect();
        for (wire, reply) in wires.iter().zip(send(&client, door, wires.clone())) {
            match reply {
                Reply::Message(answer) => {
                    assert_eq!(answer.get(..2), wire.get(..2), "{door:?}: the id is echoed");
                    let rcode = answer[3] & 15;
                    assert!(matches!(rcode, 1 | 4 | 5 | 0), "{door:?}: RCODE {rcode} for {wire:02x?}");
                }
                Reply::Status(status) => assert_eq!(status, 400, "{door:?}: {wire:02x?}"),
                Reply::Nothing => assert!(!is_http(door) || wire.len() >= 3, "{door:?}: {wire:02x?}"),
            }
        }
    }
    still_serves(&rig, &client, &mut draw);
}

#[test]
fn a_question_cut_anywhere_is_dropped_or_formerr_and_over_http_400() {
    let rig = rig();
    let client = rig.client();
    let mut draw = Draw::new("truncated");
    let whole = question(0x1234, "www.example.com", RecordType::A);
    // The message ends with the OPT record; cut within the question or within OPT.
    let cuts: Vec<usize> = (0..whole.len()).collect();
    for door in [Door::Udp, Door::Tcp, Door::Doh, Door::Envoy] {
        let wires: Vec<Vec<u8>> =
            cuts.iter().filter(|cut| **cut > 0).map(|cut| whole[..*cut].to_vec()).collect();
        for (wire, reply) in wires.iter().zip(send(&client, door, wires.clone())) {
            let context = format!("{door:?}, {} of {} bytes: {reply:?}", wire.len(), whole.len());
            match reply {
                Reply::Nothing => assert!(!is_http(door) && wire.len() < 12, "{context}"),
                Reply::Status(status) => assert!(status == 400 && is_http(door), "{context}"),
                Reply::Message(answer) => {
                    assert!(!is_http(door), "{context}");
                    assert_eq!((answer[3] & 15, &answer[..2]), (1, &wire[..2]), "{context}")
                }
            }
        }
    }
    still_serves(&rig, &client, &mut draw);
}

#[test]
fn an_answer_sent_as_a_question_is_dropped_and_another_opcode_is_not_implemented() {
    let rig = rig();
    let client = rig.client();
    let mut draw = Draw::new("opcodes");
    let whole = question(0x2345, "www.example.com", RecordType::A);
    for door in [Door::Udp, Door::Tcp, Door::Doh, Door::Envoy] {
        let mut answer = whole.clone();
        answer[2] |= 0x80;
        let expected = if is_http(door) { Reply::Status(400) } else { Reply::Nothing };
        assert_eq!(send(&client, door, vec![answer]), [expected], "{door:?}");
        for opcode in [1u8, 2, 4, 5, 6, 15] {
            let mut other = whole.clone();
            other[2] = opcode << 3 | 1;
            let reply = send(&client, door, vec![other]).remove(0);
            assert_eq!(reply.rcode(), Some(4), "{door:?}, opcode {opcode}: {reply:?}");
        }
    }
    still_serves(&rig, &client, &mut draw);
}

#[test]
fn flipped_bits_never_trap_and_get_an_answer_or_none() {
    let rig = rig();
    let client = rig.client();
    let mut draw = Draw::new("flipped bits");
    for door in [Door::Udp, Door::Tcp, Door::Doh, Door::Envoy] {
        let wires: Vec<Vec<u8>> = (0..rounds())
            .map(|_| {
                let mut wire = question(draw.bits() as u16, "www.example.com", RecordType::A);
                for _ in 0..=draw.below(6) {
                    let at = draw.below(wire.len());
                    wire[at] ^= 1 << draw.below(8);
                }
                wire
            })
            .collect();
        for (wire, reply) in wires.iter().zip(send(&client, door, wires.clone())) {
            if let Reply::Message(answer) = reply {
                assert!(
                    answer.len() >= 12 && answer[2] & 0x80 != 0,
                    "{door:?}: {wire:02x?} to {answer:02x?}"
                );
                assert_eq!(answer[..2], wire[..2], "{door:?}: the id is echoed");
            }
        }
    }
    still_serves(&rig, &client, &mut draw);
}
