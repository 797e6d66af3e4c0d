//! One snapshot takes over from another in place.

use bytes::Bytes;

use super::super::super::map::ALL_GROUPS;
use super::*;

const NAMES: u32 = 250_000;

/// Half of the names are allowed below a blocked name in snapshots of even serials; in those of odd ones neither
/// list has them. So no name may ever be blocked, whatever is mixed.
fn version(serial: u64) -> Vec<u8> {
    let mut builder = Builder::new(serial, [serial as u8; 16]);
    let block = builder.list("block", Role::Block, "CC0-1.0");
    let allow = builder.list("allow", Role::Allow, "CC0-1.0");
    let popular = builder.list("popular", Role::Popular, "CC0-1.0");
    builder.add(block, &Name::parse(&format!("only{serial}")).unwrap(), Scope::Suffix);
    for number in 0..NAMES {
        let name = |text: String| Name::parse(&text).unwrap();
        builder.add(block, &name(format!("s{serial}.n{number}.test")), Scope::Suffix);
        if number % 50 == 0 {
            builder.add(popular, &name(format!("n{number}.test")), Scope::Suffix);
            if serial.is_multiple_of(2) {
                builder.add(block, &name(format!("n{number}.test")), Scope::Suffix);
                builder.add(allow, &name(format!("www.n{number}.test")), Scope::Suffix);
            }
        }
    }
    builder.build(Some(&key())).unwrap()
}

fn open(file: &[u8]) -> Snapshot {
    Snapshot::open(file.to_vec().into(), &[]).unwrap()
}

/// What a snapshot says of a name, all of it that depends on maps.
fn said(snapshot: &Snapshot, name: &Name) -> (Vec<String>, u8) {
    let found = snapshot.lookup(name).into_iter().map(|m| format!("{} {}", m.list, m.by));
    (found.collect(), snapshot.popularity(name))
}

fn asked() -> Vec<Name> {
    let texts = (0..NAMES).step_by(1_250).flat_map(|n| {
        [format!("www.n{n}.test"), format!("x.s1.n{n}.test"), format!("s2.n{n}.test"), format!("n{n}.only3")]
    });
    texts.map(|text| Name::parse(&text).unwrap()).collect()
}

/// Every name is answered by one of `layers` as one of `whole` does; by the layer of that snapshot.
fn check(layers: &[Snapshot], whole: &[Snapshot], names: &[Name]) {
    for name in names {
        let covering: Vec<&Snapshot> = layers.iter().filter(|layer| layer.covers(name)).collect();
        assert_eq!(covering.len(), 1, "{name}");
        let same = whole.iter().find(|snapshot| snapshot.id() == covering[0].id()).unwrap();
        assert_eq!(said(covering[0], name), said(same, name), "{name}");
        for layer in layers.iter().filter(|layer| !layer.covers(name)) {
            assert_eq!(layer.lookup(name), [], "{name}: a layer speaks for its names only");
        }
    }
}

/// Bytes of all pieces that are held; what is not held must not keep its buffer either.
fn held_bytes(layers: &[Snapshot]) -> usize {
    let pieces = layers.iter().flat_map(|layer| layer.inner.manifest.pieces.iter().zip(&layer.maps.pieces));
    let freed = pieces.filter(|(piece, bytes)| piece.len != bytes.len());
    assert!(freed.map(|(_, bytes)| bytes.as_ptr()).all(|at| at == Bytes::new().as_ptr()));
    layers.iter().flat_map(Snapshot::held_pieces).map(|(_, bytes)| bytes.len()).sum()
}

#[test]
fn a_large_change_takes_over_shard_by_shard_and_no_answer_is_mixed() {
    let files = [version(1), version(2)];
    let whole = files.each_ref().map(|file| open(file));
    let (mut server, mut feed) = (Server::new(files[1].clone()), feed(Some(&whole[0])));
    let names = asked();
    let (mut steps, mut most) = (0, 0);
    let last = loop {
        let callout = feed.next_request(0).unwrap();
        let reply = server.answer(&callout);
        match feed.on_reply(&reply, 0) {
            FeedStep::Swapped(layers) => {
                check(&layers, &whole, &names);
                most = most.max(held_bytes(&layers));
                steps += 1;
            }
            FeedStep::Ready(snapshot) => break snapshot,
            FeedStep::More => {}
            other => panic!("{other:?}"),
        }
    };
    check(&[last], &whole, &names);
    let one = files[0].len().max(files[1].len());
    assert!(steps >= 4 && most < one * 13 / 10, "{steps} steps, {most} bytes at most, {one} of one");
    let sent: usize = server.sent.iter().map(|(_, bytes)| bytes).sum();
    assert!(sent < files[1].len() + 2 * HEAD_BYTES, "{sent}");
}

#[test]
fn a_control_plane_that_goes_away_half_way_leaves_both_in_force_and_the_rest_is_fetched_later() {
    let files = [version(1), version(2)];
    let whole = files.each_ref().map(|file| open(file));
    let (mut server, mut feed) = (Server::new(files[1].clone()), feed(Some(&whole[0])));
    let names = asked();
    let mut layers = Vec::new();
    let mut now = 0;
    // It comes back after each second request, and once as another process, which knows no older snapshot.
    for request in 0.. {
        assert!(request < 1_000);
        let Some(callout) = feed.next_request(now) else {
            now += 10_000;
            continue;
        };
        let reply = if request % 3 == 2 { Reply::nothing() } else { server.answer(&callout) };
        if request == 6 {
            server.deltas = Deltas::default();
        }
        match feed.on_reply(&reply, now) {
            FeedStep::Swapped(fresh) => layers = fresh,
            FeedStep::Ready(snapshot) => {
                layers = vec![snapshot];
                break;
            }
            FeedStep::Refused(error) => panic!("{error}"),
            FeedStep::Idle | FeedStep::More => {}
        }
        if !layers.is_empty() {
            check(&layers, &whole, &names);
        }
    }
    check(&layers, &whole[1..], &names);
    let sent: usize = server.sent.iter().map(|(_, bytes)| bytes).sum();
    assert!(sent < files[1].len() * 3 / 2, "shards that came are not fetched again: {sent}");
}

#[test]
fn snapshots_that_overtake_each_other_end_with_the_newest() {
    let files: Vec<Vec<u8>> = (1..8).map(version).collect();
    let whole: Vec<Snapshot> = files.iter().map(|file| open(file)).collect();
    let (mut server, mut feed) = (Server::new(files[1].clone()), feed(Some(&whole[0])));
    let names = asked();
    let (mut most, mut swapped) = (0, 0);
    let last = loop {
        let Some(callout) = feed.next_request(0) else { panic!("it stops") };
        let reply = server.answer(&callout);
        match feed.on_reply(&reply, 0) {
            FeedStep::Swapped(layers) => {
                check(&layers, &whole, &names);
                most = most.max(layers.len());
                swapped += 1;
                if swapped % 2 == 0 {
                    let at = whole.iter().position(|snapshot| snapshot.id() == server.id()).unwrap();
                    server.file = files[(at + 1).min(6)].clone();
                }
            }
            FeedStep::Ready(snapshot) if snapshot.serial() == 7 => break snapshot,
            FeedStep::Ready(_) => server.file = files[6].clone(),
            FeedStep::More => {}
            other => panic!("{other:?}"),
        }
    };
    check(&[last], &whole, &names);
    assert_eq!(most, MOST_LAYERS);
}

#[test]
fn a_snapshot_that_the_filter_refuses_frees_nothing_and_is_not_fetched_again() {
    let files = [version(1), version(2)];
    let whole = files.each_ref().map(|file| open(file));
    let (mut server, mut feed) = (Server::new(files[1].clone()), feed(Some(&whole[0])));
    loop {
        let callout = feed.next_request(0).unwrap();
        let reply = server.answer(&callout);
        if let FeedStep::Swapped(layers) = feed.on_reply(&reply, 0) {
            assert_eq!(layers[0].taken_over(), 0);
            assert_eq!(layers[1].taken_over(), ALL_GROUPS);
            break;
        }
    }
    feed.refuse();
    check(&feed.layers, &whole[..1], &asked());
    server.sent.clear();
    assert!(matches!(server.serve(&mut feed, 100_000), FeedStep::Idle));
    assert_eq!(server.sent, [(304, 0)]);
}

#[test]
fn a_damaged_shard_in_the_middle_leaves_both_in_force_and_is_fetched_again() {
    let files = [version(1), version(2)];
    let whole = files.each_ref().map(|file| open(file));
    let (mut server, mut feed) = (Server::new(files[1].clone()), feed(Some(&whole[0])));
    let names = asked();
    let (mut swapped, mut damaged) = (0, false);
    let mut now = 0;
    loop {
        let Some(callout) = feed.next_request(now) else {
            now += 10_000;
            continue;
        };
        let mut reply = server.answer(&callout);
        if swapped == 2 && !damaged {
            damaged = true;
            let middle = reply.body.len() / 2;
            reply.body[middle] ^= 1;
            assert!(matches!(refused(feed.on_reply(&reply, now)), SnapshotError::Chunk { .. }));
            check(&feed.layers, &whole, &names);
            // An older snapshot, now that the new one has begun, is refused as ever.
            server.file = files[0].clone();
            now += 100_000;
            let error = refused(server.serve(&mut feed, now));
            assert_eq!(error, SnapshotError::Serial { offered: 1, held: 2 });
            server.file = files[1].clone();
            now += 100_000;
            continue;
        }
        match feed.on_reply(&reply, now) {
            FeedStep::Swapped(layers) => {
                check(&layers, &whole, &names);
                swapped += 1;
            }
            FeedStep::Ready(snapshot) => return check(&[snapshot], &whole[1..], &names),
            _ => {}
        }
    }
}
