//! A large snapshot takes over from another while questions come.

use super::*;
use crate::snapshot::serve_range;

const NAMES: u32 = 250_000;

/// Every name is blocked in the first snapshot by one list and in the second by another, under another policy;
/// one in a hundred is allowed in both, in the first by a list, in the second since nothing blocks it.
fn version(serial: u64) -> Vec<u8> {
    let mut builder = Builder::new(serial, [serial as u8; 16]);
    if serial == 2 {
        builder.list("unused", Role::Popular, "");
    }
    let block = builder.list(if serial == 1 { "first" } else { "second" }, Role::Block, "");
    let allow = builder.list("good", Role::Allow, "");
    for number in 0..NAMES {
        let text = format!("n{number}.test");
        if number % 100 != 0 || serial == 1 {
            builder.add(block, &name(&text), Scope::Suffix);
        }
        if number % 100 == 0 && serial == 1 {
            builder.add(allow, &name(&format!("www.{text}")), Scope::Suffix);
        }
    }
    let action = if serial == 1 { Action::Nxdomain } else { Action::Refused };
    builder.policy(policy(|group| (group.block_action, group.models) = (action, Mode::Off)));
    builder.build(None).unwrap()
}

fn reply(file: &[u8], callout: &Callout) -> Reply {
    let header =
        |name: &str| callout.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if callout.path.contains("/delta") {
        return Reply { status: 404, headers: vec![], body: vec![] };
    }
    let range = serve_range(file.len() as u64, header("range")).unwrap().unwrap();
    let said = format!("bytes {}-{}/{}", range.start, range.end - 1, file.len());
    let body = file[range.start as usize..range.end as usize].to_vec();
    Reply { status: 206, headers: vec![("content-range".into(), said)], body }
}

#[test]
fn every_question_is_answered_by_one_of_two_snapshots_in_whole() {
    let files = [version(1), version(2)];
    let whole = files.each_ref().map(|file| Snapshot::open(file.clone().into(), &[]).unwrap());
    let mut filter = Filter::new(br#"{"control_cluster":"control"}"#, "test/1/1".into()).unwrap();
    let host = &mut Scripted::default();
    let (mut answered, mut seen, mut steps) = (0, [0usize; 2], 0);
    for (turn, file) in files.iter().enumerate() {
        host.now_ms += 10_000;
        filter.tick(host);
        while answered < host.callouts.len() {
            let callout = host.callouts[answered].clone();
            let id = CalloutId(answered as u32);
            answered += 1;
            if callout.path.starts_with("/v1/snapshot") {
                filter.on_reply(host, id, &reply(file, &callout));
            }
            if turn == 0 {
                continue;
            }
            steps += usize::from(!filter.older.is_empty());
            // The same questions again and again: what was cached under the old one must not outlive it.
            for number in (1..NAMES).step_by(2_500).chain((0..NAMES).step_by(5_000)) {
                let text = format!("www.n{number}.test");
                let verdict = verdict(&mut filter, host, &text);
                let by = whole.iter().position(|snapshot| snapshot.id() == verdict.snapshot).unwrap();
                seen[by] += 1;
                let want = match (number % 100, by) {
                    (0, _) => Action::Allow,
                    (_, 0) => Action::Nxdomain,
                    _ => Action::Refused,
                };
                assert_eq!(verdict.action, want, "{text} by snapshot {by}: {verdict:?}");
                let force = layer_of(&filter.force, &filter.older, filter.layer(&name(&text)));
                assert_eq!(force.id(), verdict.snapshot, "{text}");
            }
        }
    }
    assert_eq!(filter.snapshot().unwrap().serial(), 2);
    assert!(filter.older.is_empty());
    assert!(steps >= 4 && seen[0] > 100 && seen[1] > 100, "{steps} {seen:?}");
    assert_eq!(host.counters[&Counter::SnapshotsLoaded], 2);
}
