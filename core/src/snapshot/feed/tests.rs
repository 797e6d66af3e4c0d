use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;

use super::super::container::CHUNK_BYTES;
use super::super::{Builder, Decision, Deltas, Role, Unsatisfiable, Vetted, etag_matches, serve_range};
use super::*;
use crate::lists::Scope;
use crate::name::Name;

mod swap;

/// A server of `GET /v1/snapshot` with a log of what it sent.
struct Server {
    file: Vec<u8>,
    deltas: Deltas,
    sent: Vec<(u16, usize)>,
}

impl Server {
    fn new(file: Vec<u8>) -> Self {
        Self { file, deltas: Deltas::default(), sent: Vec::new() }
    }

    fn id(&self) -> String {
        etag_of(&self.file)
    }

    fn answer(&mut self, callout: &Callout) -> Reply {
        let header =
            |name: &str| callout.headers.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
        assert_eq!((callout.method, callout.peer), ("GET", Peer::Control));
        assert_eq!(header("authorization"), Some("Bearer secret"));
        self.deltas.serve(&self.id(), &self.file.clone().into()).unwrap();
        if let Some(from) = callout.path.strip_prefix("/v1/snapshot/delta?from=") {
            let (status, body) = match self.deltas.since(from.parse().unwrap()) {
                _ if etag_matches(header("if-none-match"), &self.id()) => (304, Vec::new()),
                Ok(body) => (200, body.to_vec()),
                Err(_) => (404, Vec::new()),
            };
            assert!(body.len() <= CHUNK_BYTES);
            self.sent.push((status, body.len()));
            return Reply { status, headers: vec![("etag".to_owned(), format!("\"{}\"", self.id()))], body };
        }
        assert_eq!(callout.path, "/v1/snapshot");
        let etag = ("etag".to_owned(), format!("\"{}\"", self.id()));
        let (status, range) = match serve_range(self.file.len() as u64, header("range")) {
            _ if etag_matches(header("if-none-match"), &self.id()) => (304, 0..0),
            Ok(Some(range)) => (206, range.start as usize..range.end as usize),
            Ok(None) => (200, 0..self.file.len()),
            Err(Unsatisfiable { .. }) => (416, 0..0),
        };
        assert!(range.len() <= CHUNK_BYTES);
        self.sent.push((status, range.len()));
        let content_range = format!("bytes {}-{}/{}", range.start, range.end.max(1) - 1, self.file.len());
        Reply {
            status,
            headers: vec![etag, ("content-range".into(), content_range)],
            body: self.file[range].to_vec(),
        }
    }

    /// Answers until the feed has nothing more to ask; gives what came of it.
    fn serve(&mut self, feed: &mut Feed, now_ms: u64) -> FeedStep {
        let mut last = FeedStep::Idle;
        for _ in 0..10_000 {
            let Some(callout) = feed.next_request(now_ms) else { return last };
            assert!(feed.next_request(now_ms).is_none(), "one request in flight");
            let reply = self.answer(&callout);
            last = feed.on_reply(&reply, now_ms);
            if !matches!(last, FeedStep::More | FeedStep::Swapped(_)) {
                return last;
            }
        }
        panic!("the feed never ends");
    }
}

fn etag_of(file: &[u8]) -> String {
    Snapshot::open(file.to_vec().into(), &[]).unwrap().id().to_owned()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[4; 32])
}

/// A signed snapshot of `names` names, one more for each of `extra`, decided on `vetted`.
fn file(serial: u64, names: u32, extra: &[&str], vetted: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(serial, [2; 16]);
    builder.list("block", Role::Block, "CC0-1.0");
    for number in 0..names {
        builder.add(0, &Name::parse(&format!("n{number}.example")).unwrap(), Scope::Suffix);
    }
    for text in extra {
        builder.add(0, &Name::parse(text).unwrap(), Scope::Suffix);
    }
    for name in vetted {
        let (name, author) = ((*name).to_owned(), "ann".to_owned());
        builder.vet(Vetted { name, decision: Decision::Malicious, exact: false, author, time_ms: 1 });
    }
    builder.small_model((0..600_000u32).map(|i| (i * 7 % 251) as u8).collect::<Vec<u8>>());
    builder.build(Some(&key())).unwrap()
}

fn feed(held: Option<&Snapshot>) -> Feed {
    let keys = vec![key().verifying_key()];
    Feed::new(FeedConfig { token: "secret".into(), keys, ..FeedConfig::default() }, held)
}

fn ready(step: FeedStep) -> Snapshot {
    match step {
        FeedStep::Ready(snapshot) => snapshot,
        other => panic!("{other:?}"),
    }
}

fn refused(step: FeedStep) -> SnapshotError {
    match step {
        FeedStep::Refused(error) => error,
        other => panic!("{other:?}"),
    }
}

fn lists(snapshot: &Snapshot, text: &str) -> bool {
    !snapshot.lookup(&Name::parse(text).unwrap()).is_empty()
}

#[test]
fn a_first_fetch_gives_the_whole_snapshot_in_ranges() {
    let file = file(1, 200_000, &[], &["vetted.example"]);
    let mut server = Server::new(file.clone());
    let mut feed = feed(None);
    let snapshot = ready(server.serve(&mut feed, 0));
    assert_eq!((snapshot.id(), snapshot.serial()), (server.id().as_str(), 1));
    assert!((0..200_000).step_by(997).all(|i| lists(&snapshot, &format!("www.n{i}.example"))));
    assert!(snapshot.vetted(&Name::parse("a.vetted.example").unwrap()).is_some());
    assert_eq!(snapshot.small_model().map(<[u8]>::len), Some(600_000));
    let sent: usize = server.sent.iter().map(|(_, bytes)| bytes).sum();
    assert!(sent <= file.len() + HEAD_BYTES, "{sent} of {}", file.len());
}

#[test]
fn an_unchanged_snapshot_costs_a_304() {
    let mut server = Server::new(file(1, 10, &[], &[]));
    let mut feed = feed(None);
    ready(server.serve(&mut feed, 0));
    server.sent.clear();
    assert!(feed.next_request(1).is_none(), "not before the poll is due");
    assert!(matches!(server.serve(&mut feed, 1_000), FeedStep::Idle));
    assert_eq!(server.sent, [(304, 0)]);
}

#[test]
fn polls_come_within_a_second_and_not_in_step() {
    let mut waits = BTreeSet::new();
    for seed in 0..50 {
        let config = FeedConfig { token: "secret".into(), jitter_seed: seed, ..FeedConfig::default() };
        let (mut server, mut feed) = (Server::new(file(1, 1, &[], &[])), Feed::new(config, None));
        ready(server.serve(&mut feed, 5_000));
        waits.insert((5_000..=6_000).find(|&now| feed.next_request(now).is_some()).unwrap());
    }
    assert!(waits.len() > 20 && *waits.first().unwrap() >= 5_750, "{waits:?}");
}

#[test]
fn a_decision_travels_in_the_head_alone() {
    let old = Snapshot::open(file(1, 100_000, &[], &[]).into(), &[]).unwrap();
    let mut server = Server::new(file(2, 100_000, &[], &["bad.example"]));
    let snapshot = ready(server.serve(&mut feed(Some(&old)), 0));
    assert!(snapshot.vetted(&Name::parse("x.bad.example").unwrap()).is_some());
    assert_eq!(server.sent, [(404, 0), (206, HEAD_BYTES)], "no delta: this server never served the old one");
    assert!(snapshot.update_bytes(&old) < 2_000, "{}", snapshot.update_bytes(&old));
    assert!(lists(&snapshot, "n99999.example"));
}

#[test]
fn one_more_name_makes_one_shard_travel() {
    let old = Snapshot::open(file(1, 200_000, &[], &[]).into(), &[]).unwrap();
    let mut server = Server::new(file(2, 200_000, &["one.more.example"], &[]));
    let snapshot = ready(server.serve(&mut feed(Some(&old)), 0));
    assert!(lists(&snapshot, "one.more.example") && lists(&snapshot, "n7.example"));
    let sent: usize = server.sent.iter().map(|(_, bytes)| bytes).sum();
    assert!(sent < HEAD_BYTES + 400_000, "{:?}", server.sent);
    assert!(server.file.len() > 1_500_000);
}

#[test]
fn a_server_without_ranges_is_understood() {
    let file = file(3, 1_000, &[], &[]);
    let mut feed = feed(None);
    feed.next_request(0).unwrap();
    let reply = Reply { status: 200, headers: vec![], body: file.clone() };
    assert_eq!(ready(feed.on_reply(&reply, 0)).id(), etag_of(&file));
}

#[test]
fn a_lower_or_equal_serial_is_refused_once_and_not_fetched_again() {
    let held = Snapshot::open(file(5, 10, &[], &[]).into(), &[]).unwrap();
    for serial in [4, 5] {
        let mut server = Server::new(file(serial, 10, &["other.example"], &[]));
        let mut feed = feed(Some(&held));
        let error = refused(server.serve(&mut feed, 0));
        assert_eq!(error, SnapshotError::Serial { offered: serial, held: 5 });
        server.sent.clear();
        assert!(matches!(server.serve(&mut feed, 100_000), FeedStep::Idle));
        assert_eq!(server.sent, [(304, 0)]);
        server.file = file(6, 10, &[], &[]);
        assert_eq!(ready(server.serve(&mut feed, 200_000)).serial(), 6);
    }
}

#[test]
fn a_corrupt_chunk_is_refused_and_fetched_again_later() {
    let good = file(1, 200_000, &[], &[]);
    let mut server = Server::new(good.clone());
    let mut feed = feed(None);
    let callout = feed.next_request(0).unwrap();
    let reply = server.answer(&callout);
    assert!(matches!(feed.on_reply(&reply, 0), FeedStep::More));
    let callout = feed.next_request(0).unwrap();
    let mut reply = server.answer(&callout);
    let middle = reply.body.len() / 2;
    reply.body[middle] ^= 1;
    assert!(matches!(refused(feed.on_reply(&reply, 0)), SnapshotError::Chunk { .. }));
    assert!(feed.next_request(500).is_none(), "it waits before it tries again");
    assert_eq!(ready(server.serve(&mut feed, 10_000)).id(), etag_of(&good));
}

#[test]
fn a_reply_that_does_not_fit_its_request_is_refused() {
    let break_it = |what: &str, reply: &mut Reply| match what {
        "truncated" => reply.body.truncate(10),
        "another range" => reply.headers[1].1 = "bytes 7-9/100".into(),
        "no range" => reply.headers.truncate(1),
        _ => reply.status = 403,
    };
    for what in ["truncated", "another range", "no range", "forbidden"] {
        let mut server = Server::new(file(1, 200_000, &[], &[]));
        let mut feed = feed(None);
        for _ in 0..2 {
            let callout = feed.next_request(0).unwrap();
            let reply = server.answer(&callout);
            assert!(matches!(feed.on_reply(&reply, 0), FeedStep::More));
        }
        let callout = feed.next_request(0).unwrap();
        let mut reply = server.answer(&callout);
        break_it(what, &mut reply);
        assert!(matches!(feed.on_reply(&reply, 0), FeedStep::Refused(_)), "{what}");
    }
}

#[test]
fn a_truncated_head_and_a_foreign_signature_are_refused() {
    let whole = file(1, 10, &[], &[]);
    for len in [0, 50, 200] {
        let mut feed = feed(None);
        feed.next_request(0).unwrap();
        let headers = vec![("content-range".to_owned(), "bytes 0-1/2".to_owned())];
        let reply = Reply { status: 206, headers, body: whole[..len].to_vec() };
        assert!(matches!(refused(feed.on_reply(&reply, 0)), SnapshotError::Short { .. }), "{len}");
    }
    let mut builder = Builder::new(9, [0; 16]);
    let foreign = builder.build(Some(&SigningKey::from_bytes(&[8; 32]))).unwrap();
    assert_eq!(refused(Server::new(foreign).serve(&mut feed(None), 0)), SnapshotError::Signature);
    assert_eq!(
        refused(Server::new(builder.build(None).unwrap()).serve(&mut feed(None), 0)),
        SnapshotError::Unsigned
    );
}

#[test]
fn what_nobody_signed_does_not_keep_out_the_snapshot_whose_tag_it_bears() {
    const SIGNATURE_AT: usize = 48;
    let mut server = Server::new(file(1, 10, &[], &[]));
    let mut feed = feed(None);
    let mut reply = server.answer(&feed.next_request(0).unwrap());
    reply.body[SIGNATURE_AT] ^= 1;
    assert_eq!(refused(feed.on_reply(&reply, 0)), SnapshotError::Signature);
    assert!(feed.next_request(500).is_none(), "it is not asked at once");
    assert_eq!(ready(server.serve(&mut feed, 2 * MOST_REFUSED_MS)).serial(), 1);
}

#[test]
fn a_snapshot_past_the_bound_is_refused_before_it_is_fetched() {
    let mut server = Server::new(file(1, 200_000, &[], &[]));
    let config = FeedConfig { token: "secret".into(), most_bytes: 1 << 20, ..FeedConfig::default() };
    let error = refused(server.serve(&mut Feed::new(config, None), 0));
    assert_eq!(error, SnapshotError::TooLarge { bytes: server.file.len() as u64, most: 1 << 20 });
    assert_eq!(server.sent, [(206, HEAD_BYTES)]);
}

#[test]
fn an_absent_control_plane_is_waited_for_with_growing_gaps() {
    let mut feed = feed(None);
    let mut now = 0;
    let mut gaps = Vec::new();
    for status in [0, 503, 0, 500, 0, 0] {
        assert!(feed.next_request(now).is_some());
        let reply = Reply { status, ..Reply::nothing() };
        assert!(matches!(feed.on_reply(&reply, now), FeedStep::Idle));
        let from = now;
        while feed.in_flight.is_none() && now < from + 10_000 {
            now += 10;
            if feed.next_request(now).is_some() {
                feed.in_flight = None;
                break;
            }
        }
        gaps.push(now - from);
    }
    assert_eq!(feed.failures(), 6);
    assert!(gaps.iter().all(|gap| (1_500..=5_000).contains(gap)), "{gaps:?}");
    let mut server = Server::new(file(1, 1, &[], &[]));
    ready(server.serve(&mut feed, now));
    assert_eq!(feed.failures(), 0);
}

#[test]
fn a_snapshot_that_changes_on_the_way_is_fetched_to_its_new_end() {
    let mut server = Server::new(file(1, 200_000, &[], &[]));
    let mut feed = feed(None);
    for _ in 0..4 {
        let callout = feed.next_request(0).unwrap();
        let reply = server.answer(&callout);
        assert!(matches!(feed.on_reply(&reply, 0), FeedStep::More));
    }
    let fetched: usize = server.sent.iter().map(|(_, bytes)| bytes).sum();
    server.file = file(2, 200_000, &[], &["new.example"]);
    server.sent.clear();
    let snapshot = ready(server.serve(&mut feed, 0));
    assert_eq!(snapshot.serial(), 2);
    assert!((0..200_000).step_by(997).all(|i| lists(&snapshot, &format!("n{i}.example"))));
    let rest: usize = server.sent.iter().map(|(_, bytes)| bytes).sum();
    assert!(
        rest < server.file.len() - fetched + 3 * CHUNK_BYTES,
        "what came before is not sent again: {rest}"
    );
}

/// A control plane's builder: `names` names, built again for each change.
fn builder(names: u32) -> Builder {
    let mut builder = Builder::new(1, [2; 16]);
    builder.list("block", Role::Block, "CC0-1.0");
    builder.list("ours", Role::Block, "CC0-1.0");
    for number in 0..names {
        builder.add(
            0,
            &Name::parse(&format!("n{number}.example{}.test", number % 10_000)).unwrap(),
            Scope::Suffix,
        );
    }
    builder
}

/// The next snapshot of a builder, with one more name.
fn next(builder: &mut Builder, serial: u64, extra: &str) -> Vec<u8> {
    builder.serial(serial).add(1, &Name::parse(extra).unwrap(), Scope::Suffix);
    builder.build(Some(&key())).unwrap()
}

/// A server and a feed that has the first snapshot of a builder.
fn served(names: u32) -> (Builder, Server, Feed) {
    let mut builder = builder(names);
    let mut server = Server::new(next(&mut builder, 1, "first.test"));
    let mut feed = feed(None);
    ready(server.serve(&mut feed, 0));
    server.sent.clear();
    (builder, server, feed)
}

#[test]
fn a_changed_name_is_in_force_after_one_small_request() {
    let (mut builder, mut server, mut feed) = served(200_000);
    for (serial, extra) in [(2, "second.test"), (3, "third.test")] {
        server.file = next(&mut builder, serial, extra);
        let snapshot = ready(server.serve(&mut feed, serial * 10_000));
        assert!(["first.test", extra, "n7.example7.test"].iter().all(|text| lists(&snapshot, text)));
        assert_eq!((snapshot.id(), snapshot.serial()), (server.id().as_str(), serial));
    }
    let [(200, second), (200, third)] = server.sent[..] else { panic!("{:?}", server.sent) };
    assert!(second < 4_096 && third < 4_096, "{second}, {third}");
}

#[test]
fn the_next_poll_is_due_at_once_after_one_that_was_held_and_a_second_after_one_that_was_not() {
    let (_, mut server, mut feed) = served(100);
    let held = feed.next_request(5_000).unwrap();
    assert!(held.headers.contains(&("prefer".into(), "wait=1".into())), "{held:?}");
    assert_eq!(held.timeout_ms, FeedConfig::default().timeout_ms + 1_000);
    assert!(matches!(feed.on_reply(&server.answer(&held), 6_000), FeedStep::Idle));
    let at_once = feed.next_request(6_000).unwrap();
    assert!(matches!(feed.on_reply(&server.answer(&at_once), 6_010), FeedStep::Idle));
    assert!(feed.next_request(6_700).is_none());
    assert!(feed.next_request(7_000).is_some());
}

#[test]
fn without_a_delta_from_here_ranges_are_fetched_in_the_same_poll() {
    let (mut builder, mut server, mut feed) = served(20_000);
    for serial in 2..40 {
        let bytes = next(&mut builder, serial, &format!("n{serial}.test"));
        server.deltas.serve(&etag_of(&bytes), &bytes.clone().into()).unwrap();
        server.file = bytes;
    }
    assert_eq!(ready(server.serve(&mut feed, 10_000)).serial(), 39);
    assert_eq!(server.sent[0], (404, 0), "32 snapshots later the first is forgotten");
    assert_eq!(server.sent[1], (206, HEAD_BYTES));
    server.sent.clear();
    server.file = next(&mut builder, 40, "n40.test");
    ready(server.serve(&mut feed, 20_000));
    assert_eq!(
        server.sent.iter().map(|sent| sent.0).collect::<Vec<_>>(),
        [200],
        "and deltas are tried again"
    );
}

#[test]
fn a_large_change_is_no_delta() {
    let (mut builder, mut server, mut feed) = served(200_000);
    for number in 0..100_000 {
        builder.add(1, &Name::parse(&format!("more{number}.test")).unwrap(), Scope::Suffix);
    }
    server.file = next(&mut builder, 2, "n2.test");
    assert_eq!(ready(server.serve(&mut feed, 10_000)).serial(), 2);
    assert_eq!(server.sent[0], (404, 0));
}

#[test]
fn a_damaged_delta_is_refused_and_ranges_are_fetched_at_once() {
    let (mut builder, mut server, _) = served(20_000);
    let old = Snapshot::open(server.file.clone().into(), &[]).unwrap();
    server.file = next(&mut builder, 2, "second.test");
    let new = server.id();
    server.deltas.serve(&new, &server.file.clone().into()).unwrap();
    let whole = server.deltas.since(1).unwrap().len();
    type Damage = Box<dyn Fn(&mut Vec<u8>)>;
    let damages: Vec<Damage> = vec![
        Box::new(|body| body.truncate(50)),
        Box::new(|body| body.truncate(body.len() - 1)),
        Box::new(|body| body.push(0)),
        Box::new(Vec::clear),
        Box::new(|body| body.resize(CHUNK_BYTES + 1, 0)),
    ];
    let flips = (0..whole).step_by(97).chain([0, 8, 12, 60, whole - 1]);
    let flips = flips.map(|at| Box::new(move |body: &mut Vec<u8>| body[at] ^= 1) as Damage);
    for (number, damage) in damages.into_iter().chain(flips).enumerate() {
        let mut feed = feed(Some(&old));
        let callout = feed.next_request(0).unwrap();
        let mut reply = server.answer(&callout);
        assert_eq!(reply.status, 200);
        damage(&mut reply.body);
        refused(feed.on_reply(&reply, 0));
        server.sent.clear();
        assert_eq!(ready(server.serve(&mut feed, 0)).id(), new, "{number}");
        assert_eq!(server.sent[0], (206, HEAD_BYTES), "{number}");
    }
}

#[test]
fn a_replayed_older_snapshot_is_refused_by_delta_too() {
    let (mut builder, mut server, mut feed) = served(20_000);
    let first = server.file.clone();
    server.file = next(&mut builder, 2, "second.test");
    ready(server.serve(&mut feed, 10_000));
    // Whoever sits between gives the delta to the older one, signed as it was.
    let mut replay = Server::new(server.file.clone());
    replay.deltas.serve(&server.id(), &server.file.clone().into()).unwrap();
    let mut deltas = Deltas::default();
    let renumbered = next(&mut builder, 0, "zeroth.test");
    deltas.serve(&etag_of(&renumbered), &renumbered.into()).unwrap();
    deltas.serve(&etag_of(&first), &first.clone().into()).unwrap();
    let body = deltas.since(0).unwrap().to_vec();
    feed.next_request(20_000).unwrap();
    let error = refused(feed.on_reply(&Reply { status: 200, headers: vec![], body }, 20_000));
    assert_eq!(error, SnapshotError::Serial { offered: 1, held: 2 });
    // The same by ranges.
    server.file = first;
    server.deltas = Deltas::default();
    server.sent.clear();
    assert!(matches!(server.serve(&mut feed, 90_000), FeedStep::Idle));
    assert_eq!(server.sent, [(304, 0)], "it is known as refused");
    server.file = next(&mut builder, 3, "third.test");
    assert_eq!(ready(server.serve(&mut feed, 200_000)).serial(), 3);
}
