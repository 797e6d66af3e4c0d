//! The whole report on made names.

use std::collections::HashSet;

use super::*;
use crate::data::{Corpus, Random};

/// Clean names of vowels, malicious ones of consonants, some of each mixed up, in all parts.
fn corpus(names: usize, seed: u64) -> Corpus {
    let mut random = Random::new(seed);
    let mut used = HashSet::new();
    let mut corpus = Corpus::default();
    for i in 0..names {
        let malicious = i % 2 == 0;
        // One of ten looks like the other side.
        let letters = if malicious != (random.below(10) == 0) { b"bcdfgk" } else { b"aeioun" };
        let suffix = ["com", "de", "top", "co.uk"][random.below(4)];
        let label: String = (0..8 + random.below(6)).map(|_| char::from(*random.pick(letters))).collect();
        let class = if malicious { Class::ALL[1 + random.below(5)] } else { Class::Benign };
        let origin = if malicious { "bad/family" } else { "good" };
        let example =
            Example::new(format!("{label}.{suffix}"), class, !malicious && i % 8 != 1, origin.into());
        if !used.insert(example.name.clone()) {
            continue;
        }
        match i % 10 {
            0..7 => corpus.learning.push(example),
            _ => corpus.test.push(example),
        }
    }
    for example in &mut corpus.learning {
        example.weight = 1.0;
    }
    corpus
}

fn evaluation(corpus: &Corpus) -> Evaluation {
    let small = crate::registry::Registry::bundled().get("small").unwrap();
    evaluate(&small, corpus, &|_, _, _| {}).unwrap()
}

/// A small report, whole.
pub(super) fn report() -> Report {
    evaluation(&corpus(2_000, 12)).report
}

#[test]
fn the_same_names_give_the_same_report_and_json_gives_it_back() {
    let corpus = corpus(1_200, 13);
    let (first, second) = (evaluation(&corpus), evaluation(&corpus));
    assert_eq!(first, second);
    let json = serde_json::to_string(&first).unwrap();
    // Numbers come back but for the last digit.
    let back: Evaluation = serde_json::from_str(&json).unwrap();
    assert_eq!((back.describe(), &back.report.names), (first.describe(), &first.report.names));
    assert!(first.model.starts_with("small@"));
}

#[test]
fn the_metrics_of_the_card_stand_at_the_top_of_the_json_and_agree_with_the_report() {
    let evaluation = evaluation(&corpus(2_000, 14));
    let json = serde_json::to_value(&evaluation).unwrap();
    let metrics: crate::evaluate::Metrics = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(metrics, evaluation.metrics);
    assert!(json["clean_auc"].is_f64() && json["report"]["baselines"].is_array());

    let model = &evaluation.report.model;
    // Two ways to add up many halves.
    assert!((model.clean_auc.area - metrics.clean_auc).abs() < 1e-12);
    assert!((model.auc.area - metrics.auc).abs() < 1e-12);
    let recall = |at: usize| model.recall.pooled.recall[at].found.rate;
    assert_eq!((recall(0), recall(1)), (metrics.recall_at_1e2, metrics.recall_at_1e3));
    let malicious: usize = model.calls.iter().skip(2).map(|calls| calls.block.hits).sum();
    assert!((malicious as f64 / metrics.malicious as f64 - metrics.blocked).abs() < 1e-12);
}

#[test]
fn baselines_are_judged_on_the_same_names_and_each_sees_what_it_can() {
    let report = report();
    let labels: Vec<&str> = report.baselines.iter().map(|baseline| &*baseline.label).collect();
    assert_eq!(labels, ["seed", "n-grams", "suffix", "length"]);
    let area = |at: usize| report.baselines[at].clean_auc.area;
    // Letters tell nine of ten apart; suffix and length are drawn without regard to the side.
    assert!(area(1) > 0.85, "{}", area(1));
    for at in [2, 3] {
        assert!((0.4..0.6).contains(&area(at)), "{} {}", labels[at], area(at));
    }
    for evidence in report.all() {
        let names: usize = evidence.calls.iter().map(|calls| calls.allow.of).sum();
        assert_eq!(names, report.names.total(), "{}", evidence.label);
        assert_eq!(evidence.roc.len(), 31);
        assert!(evidence.roc.is_sorted_by(|a, b| a.found <= b.found));
    }
    // N-grams are calibrated on like names.
    assert!(report.baselines[1].reliability.expected_calibration_error < 0.12);
}

#[test]
fn shuffled_labels_leave_nothing_to_find() {
    let mut corpus = corpus(60_000, 15);
    let mut random = Random::new(16);
    for part in [&mut corpus.learning, &mut corpus.test] {
        for example in part {
            let malicious = random.below(2) == 0;
            let class = if malicious { Class::Phishing } else { Class::Benign };
            (example.class, example.clean) = (class, !malicious);
        }
    }
    let report = evaluation(&corpus).report;
    for evidence in report.all() {
        let Auc { area, low, high } = evidence.clean_auc;
        assert!((area - 0.5).abs() <= 0.01, "{}: {area}", evidence.label);
        assert!(low < area && area < high && high - low < 0.025, "{}", evidence.label);
        let found = evidence.recall.pooled.recall[0].found.rate;
        assert!(found < 0.02, "{}: {found} at 1e-2", evidence.label);
    }
}

#[test]
fn the_text_holds_every_scorer_and_no_line_is_too_long() {
    let evaluation = evaluation(&corpus(2_000, 12));
    let text = evaluation.describe();
    for part in ["small@", "n-grams", "suffix", "length", "seed", "phishing", "budget", "clean moved to .top"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 120 && line.trim_end() == line, "{line}");
    }
}

#[test]
fn names_without_a_clean_one_make_no_report() {
    let mut corpus = corpus(400, 17);
    corpus.test.retain(|example| !example.clean);
    let small = crate::registry::Registry::bundled().get("small").unwrap();
    let error = evaluate(&small, &corpus, &|_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("no clean benign names"), "{error}");
}

#[test]
fn the_hash_of_names_follows_names_and_labels_and_not_their_order() {
    let mut corpus = corpus(400, 18);
    let before = Names::of(&corpus.test);
    corpus.test.reverse();
    assert_eq!(Names::of(&corpus.test), before);
    assert_eq!(before.total(), corpus.test.len());
    corpus.test[0].clean = !corpus.test[0].clean;
    assert_ne!(Names::of(&corpus.test).blake3, before.blake3);
}

#[test]
fn progress_ends_where_it_said_it_would() {
    let corpus = corpus(1_000, 19);
    let seen = std::cell::RefCell::new(Vec::new());
    let small = crate::registry::Registry::bundled().get("small").unwrap();
    evaluate(&small, &corpus, &|label, done, of| seen.borrow_mut().push((label.to_owned(), done, of)))
        .unwrap();
    let seen = seen.into_inner();
    let (_, done, of) = seen.last().unwrap();
    assert_eq!(done, of);
    assert!(seen.is_sorted_by(|a, b| a.1 < b.1) && seen[0].0 == "small");
}
