//! Of random unlisted names some reach the scorer, and most are settled in the filter.

use dnsvet_tests::client::Door;
use dnsvet_tests::names::Draw;

use crate::line::rig;

const NAMES: usize = 10_000;
/// As the scorer itself counts them.
const SCORED: &str = "dnsvet_scorer_scored_names_total";

#[test]
fn of_ten_thousand_unlisted_names_1_to_30_percent_reach_the_scorer() {
    let (rig, _) = rig();
    let client = rig.client();
    let mut draw = Draw::new("scored");
    for door in [Door::Udp, Door::Envoy] {
        // Most names that people ask for are made of words, and some of those that programs do are not.
        let name = |draw: &mut Draw| match draw.below(4) {
            0 => draw.machine_domain(),
            _ => draw.plain_domain(),
        };
        let names: Vec<String> = (0..NAMES).map(|_| name(&mut draw)).collect();
        let before = rig.scorer_metric(SCORED);
        for reply in client.ask_all(door, &names) {
            assert!(matches!(reply.rcode(), Some(0 | 3)), "{door:?}: {reply:?}");
        }
        let share = (rig.scorer_metric(SCORED) - before) / NAMES as f64;
        println!("{door:?}: {:.2} % of {NAMES} names reached the scorer", share * 100.0);
        assert!((0.01..=0.30).contains(&share), "{door:?}: {:.2} %", share * 100.0);
    }
}
