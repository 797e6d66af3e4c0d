//! Two groups of opposite policies over one cache: no answer of one ever goes to the other.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use dnsvet_tests::client::{Door, question};
use dnsvet_tests::flow::{Flow, WINDOW};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};
use hickory_proto::rr::RecordType;

const LEFT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const RIGHT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Names of each zone: few, so that most questions meet what the other group has put into a cache.
const NAMES: usize = 200;

const GROUPS: &str = r#"
[[groups]]
name = "left"
clients = ["127.0.0.2/32"]
models = "off"
rules = ["||left.example^"]

[[groups]]
name = "right"
clients = ["127.0.0.3/32"]
models = "off"
block_action = "null"
rules = ["||right.example^"]
"#;

/// Answers that live one second.
const SHORT: &str = r#"
  local-zone: "left.example." redirect
  local-data: "left.example. 1 IN A 198.51.100.77"
  local-zone: "right.example." redirect
  local-data: "right.example. 1 IN A 198.51.100.77"
"#;

#[test]
fn no_answer_crosses_from_one_group_to_another_fresh_or_stale() {
    let (group, upstream) = (GROUPS.into(), SHORT.into());
    let mut rig = Rig::start(Plan { scorer: false, group, upstream, ..Plan::new("groups") });
    let rounds = if std::env::var_os("DNSVET_LONG").is_some() { 1_000_000 / WINDOW / 2 } else { 60 };
    let client = rig.client();
    let mut draw = Draw::new("groups");
    for stale in [false, true] {
        if stale {
            rig.upstream.stop();
            std::thread::sleep(Duration::from_millis(1_200));
        }
        let (mut count, mut failed) = (0, 0);
        for door in Door::ALL {
            let (start, failed_before) = (Instant::now(), failed);
            client.run(async {
                let mut left = Flow::open(&client, door, LEFT).await;
                let mut right = Flow::open(&client, door, RIGHT).await;
                for _ in 0..rounds / 2 {
                    let zone = |draw: &mut Draw| if draw.bits() & 1 == 0 { "left" } else { "right" };
                    let asked: Vec<(String, &str)> =
                        (0..WINDOW).map(|_| (format!("n{}", draw.below(NAMES)), zone(&mut draw))).collect();
                    let wires = || -> Vec<Vec<u8>> {
                        let name = |(label, zone): &(String, &str)| format!("{label}.{zone}.example");
                        asked.iter().map(|asked| question(0, &name(asked), RecordType::A)).collect()
                    };
                    let (ours, theirs) = tokio::join!(left.ask(wires()), right.ask(wires()));
                    for ((label, zone), (left, right)) in asked.iter().zip(ours.iter().zip(&theirs)) {
                        let what = format!("{label}.{zone}.example at {door:?}, stale: {stale}");
                        let (blocked, open, code) =
                            if *zone == "left" { (left, right, 3) } else { (right, left, 0) };
                        let null = *zone == "right";
                        assert_eq!(blocked.header(), Some((code, u16::from(null))), "{what}: {blocked:?}");
                        if null {
                            assert_eq!(blocked.addresses(), [Ipv4Addr::UNSPECIFIED], "{what}");
                        }
                        match open.header() {
                            Some((0, 1)) => assert_ne!(open.addresses(), [Ipv4Addr::UNSPECIFIED], "{what}"),
                            // Nothing stale of it was kept.
                            Some((2, 0)) if stale => failed += 1,
                            other => panic!("{what}: {other:?}"),
                        }
                    }
                }
            });
            let asked = rounds / 2 * WINDOW * 2;
            count += asked;
            println!(
                "{asked} questions at {door:?}, stale: {stale}, {} of them failed, in {:.1?}",
                failed - failed_before,
                start.elapsed()
            );
        }
        // Half of the questions are blocked and never fail. A worker keeps what it was asked itself: a door whose
        // connection now reaches another worker may know little, all of them together do not.
        assert!(failed * 4 < count, "hardly anything stale was answered: {failed} of {} failed", count / 2);
    }
}
