//! Frames as servers write them, cut and changed at random: never a panic, and what stands before the damage is read.

use dnsvet_core::name::Name;
use prost::Message as _;

use super::frames::CONTENT_TYPE;
use super::record::{CLIENT_QUERY, CLIENT_RESPONSE, Dnstap, Message, Policy};
use super::*;

/// 2026-11-18, seconds since 1970.
const BEGAN_S: u64 = 1_795_000_000;
const CLIENT: [u8; 4] = [10, 0, 0, 7];

/// The data of a frame.
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    /// A client's query, some milliseconds after the beginning.
    pub(crate) fn query(name: &str, id: u8, ms: u64) -> Self {
        let mut wire = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        wire.extend(asks(name));
        Self::of(Message {
            kind: CLIENT_QUERY,
            query_time_sec: Some(BEGAN_S + ms / 1_000),
            query_time_nsec: Some((ms % 1_000) as u32 * 1_000_000),
            query_message: Some(wire),
            ..from_client()
        })
    }

    /// The response; a policy has an action and what it matched.
    pub(crate) fn response(name: &str, id: u8, ms: u64, code: u8, policy: Option<(i32, i32)>) -> Self {
        let mut wire = vec![0, id, 0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0];
        wire.extend(asks(name));
        let policy = policy.map(|(action, matched)| Policy {
            kind: Some("RPZ".into()),
            rule: Some(Name::parse("bad.rpz.example").unwrap().to_wire()),
            action: Some(action),
            matched: Some(matched),
        });
        Self::of(Message {
            kind: CLIENT_RESPONSE,
            response_time_sec: Some(BEGAN_S + ms / 1_000),
            response_time_nsec: Some((ms % 1_000) as u32 * 1_000_000),
            response_message: Some(wire),
            policy,
            ..from_client()
        })
    }

    /// A resolver's query.
    pub(crate) fn between_servers() -> Self {
        Self::of(Message { kind: 3, query_message: Some(asks("x.example")), ..from_client() })
    }

    fn of(message: Message) -> Self {
        Self(Dnstap { message: Some(message), kind: 1 }.encode_to_vec())
    }
}

fn from_client() -> Message {
    Message { query_address: Some(CLIENT.to_vec()), query_port: Some(40_000), ..Message::default() }
}

fn asks(name: &str) -> Vec<u8> {
    let mut question = Name::parse(name).unwrap().to_wire();
    question.extend([0, 1, 0, 1]);
    question
}

fn control(kind: u32, fields: &[u8]) -> Vec<u8> {
    let length = 4 + fields.len() as u32;
    [&[0; 4], &length.to_be_bytes(), &kind.to_be_bytes()[..], fields].concat()
}

/// A file of these frames.
pub(crate) fn file(frames: &[Frame]) -> Vec<u8> {
    let content =
        [&1u32.to_be_bytes()[..], &(CONTENT_TYPE.len() as u32).to_be_bytes(), CONTENT_TYPE].concat();
    let mut bytes = control(2, &content);
    for Frame(data) in frames {
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(data);
    }
    bytes.extend(control(3, &[]));
    bytes
}

/// Events and damaged rows of a file; `None` if it is none.
fn read_all(bytes: &[u8]) -> Option<(u64, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dns.tap");
    std::fs::write(&path, bytes).unwrap();
    let mut intake = Intake::new(None, 0, &|_| ());
    let done = read(&path, &mut intake);
    let report = intake.report();
    done.ok().map(|()| (report.events, report.bad))
}

/// Bytes that look random but are the same each time.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}

fn sample() -> Vec<u8> {
    let names: Vec<String> = (0..8).map(|i| format!("name{i}.example")).collect();
    let frames: Vec<Frame> = names
        .iter()
        .zip(0u8..)
        .flat_map(|(name, id)| {
            let policy = (id % 2 == 0).then_some((1, 1));
            [Frame::query(name, id, 10), Frame::response(name, id, 20, 3, policy)]
        })
        .collect();
    file(&frames)
}

#[test]
fn a_file_cut_anywhere_gives_what_stands_before_the_cut() {
    let whole = sample();
    assert_eq!(read_all(&whole), Some((8, 0)));
    let mut before = 0;
    for end in 0..whole.len() {
        match read_all(&whole[..end]) {
            None => assert!(end < 42, "the first frame is whole at {end}"),
            Some((events, bad)) => {
                assert!(events >= before && bad <= 1, "cut at {end}: {events} events, {bad} damaged");
                before = events;
            }
        }
    }
    assert_eq!(before, 8, "without its STOP");
}

#[test]
fn changed_bytes_never_panic_and_never_make_more_events_than_there_were_messages() {
    let whole = sample();
    for seed in 0..3_000 {
        let (mut next, mut bytes) = (noise(seed), whole.clone());
        for _ in 0..=next() % 4 {
            let at = next() as usize % bytes.len();
            bytes[at] = next() as u8;
        }
        bytes.truncate(1 + next() as usize % (2 * bytes.len()));
        if let Some((events, bad)) = read_all(&bytes) {
            assert!(events <= 16, "seed {seed}: {events} events, {bad} damaged");
        }
    }
}

#[test]
fn frames_of_noise_are_damaged_rows() {
    let frames: Vec<Frame> = (0..500)
        .map(|seed| {
            let mut next = noise(seed);
            let length = next() % 200 + 1;
            Frame((0..length).map(|_| next() as u8).collect())
        })
        .collect();
    let (events, bad) = read_all(&file(&frames)).unwrap();
    assert_eq!((events, bad), (0, 500));
}

#[test]
fn a_length_that_no_frame_has_takes_no_memory_and_is_passed_over_where_the_bytes_are_there() {
    let (good, late) = (Frame::query("a.example", 1, 0), Frame::query("b.example", 2, 0));
    let mut bytes = file(&[good]);
    bytes.truncate(bytes.len() - 12);
    let long = 300u32 << 10;
    bytes.extend(long.to_be_bytes());
    let cut = bytes.clone();
    bytes.extend(vec![7; long as usize]);
    bytes.extend((late.0.len() as u32).to_be_bytes());
    bytes.extend(&late.0);
    assert_eq!(read_all(&bytes), Some((2, 1)));
    assert_eq!(read_all(&cut), Some((1, 1)));
    let huge = [&cut[..cut.len() - 4], &u32::MAX.to_be_bytes()].concat();
    assert_eq!(read_all(&huge), Some((1, 1)));
    for start in [control(2, &[0; 600]), control(3, &[]), control(2, b"\0\0\0\x01\0\0\0\x04text"), vec![0; 4]]
    {
        assert_eq!(read_all(&start), None, "{start:?}");
    }
}
