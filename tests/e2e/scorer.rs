//! Of random unlisted names some reach the scorer, and most are settled in the filter; the command asks it alike.

use std::collections::BTreeSet;
use std::process::Command;

use dnsvet_tests::client::Door;
use dnsvet_tests::names::Draw;
use xtask::{shell, workspace};

use crate::line::rig;

const NAMES: usize = 10_000;
/// As the scorer itself counts them.
const SCORED: &str = "dnsvet_scorer_scored_names_total";

#[test]
fn the_cascades_score_is_the_same_with_the_larger_model_in_the_scorer() {
    let (rig, _) = rig();
    let mut draw = Draw::new("remote");
    let mut names: Vec<String> = (0..300).map(|_| draw.domain()).collect();
    names.push("paypa1.com".into());
    let scores = |scorer: Option<String>| -> Vec<(String, f64)> {
        let mut command = Command::new(workspace::binary("dnsvet", false));
        command.arg("score").args(scorer.iter().flat_map(|url| ["--scorer", url]));
        let printed = shell::output_with_input(&mut command, names.join("\n").as_bytes());
        let printed = printed.unwrap_or_else(|error| panic!("{error}"));
        let row =
            |line: &str| line.split_once('\t').map(|(name, score)| (name.to_owned(), score.parse().unwrap()));
        printed.lines().map(|line| row(line).expect("name and score")).collect()
    };
    let here = scores(None);
    let remote = scores(Some(format!("http://127.0.0.1:{}", rig.options.ports.scorer)));
    assert_eq!(here.len(), names.len());
    for ((name, here), (other, remote)) in here.iter().zip(&remote) {
        assert!(name == other && (here - remote).abs() < 1e-6, "{name}: {here}, {other}: {remote}");
    }
}

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

#[test]
fn check_says_which_characters_made_a_score_whichever_model_gave_it() {
    let (rig, _) = rig();
    let mut draw = Draw::new("characters");
    let names: Vec<String> =
        (0..400).map(|at| if at % 2 == 0 { draw.machine_domain() } else { draw.plain_domain() }).collect();
    let mut models = BTreeSet::new();
    for (name, check) in names.iter().zip(rig.check(&names)) {
        let Some(model) = check["verdict"]["model"].as_str() else { continue };
        let attribution = &check["attribution"];
        assert_eq!(
            (attribution["model"].as_str(), attribution["name"].as_str()),
            (Some(model), Some(&**name)),
            "{check}"
        );
        assert_eq!(attribution["bytes"].as_array().map(Vec::len), Some(name.len()), "{check}");
        models.extend(model.split('@').next().map(str::to_owned));
    }
    assert_eq!(models.into_iter().collect::<Vec<_>>(), ["large", "small"]);
}
