//! One model, one logit: the folded forward pass, tract, and an independent oracle agree.

use dnsvet_models::data::dga;
use dnsvet_models::infer::Backend;
use dnsvet_models::registry::{Artifact, Registry};

fn logits(artifact: &Artifact, backend: Backend, names: &[&str]) -> Vec<f32> {
    let mut logits = vec![0.0; names.len()];
    artifact.scorer(backend).unwrap().score(names, &mut logits).unwrap();
    logits
}

/// 1e-4 relative + 1e-4 absolute, on logits: saturated scores prove nothing.
fn agree(names: &[&str], expected: &[f64], got: &[f32], what: &str) {
    for ((name, expected), got) in names.iter().zip(expected).zip(got) {
        let off = (f64::from(*got) - expected).abs();
        assert!(off <= 1e-4 + 1e-4 * expected.abs(), "{what}, {name:?}: {got} for {expected}");
    }
}

fn compare_with_oracle(text: &str) {
    let rows: Vec<(&str, f64)> = text
        .lines()
        .map(|line| {
            let mut columns = line.split('\t');
            (columns.next().unwrap(), columns.next().unwrap().parse().unwrap())
        })
        .collect();
    let (names, expected): (Vec<&str>, Vec<f64>) = rows.into_iter().unzip();
    let seed = Registry::bundled().get("seed").unwrap();
    agree(&names, &expected, &logits(&seed, Backend::OwnCpu, &names), "own forward");
    agree(&names, &expected, &logits(&seed, Backend::Tract, &names), "tract");
}

#[test]
fn the_seed_scores_generated_names_as_numpy_does() {
    let text = include_str!("golden/seed.tsv");
    assert!(text.lines().count() >= 400);
    compare_with_oracle(text);
}

#[test]
fn the_seed_scores_its_own_lists_as_keras_did() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var("TEST_DATA").unwrap_or_else(|_| beside.into());
    let path = std::path::Path::new(&folder).join("mlbridge-scores.tsv.gz");
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let lines = dnsvet_models::data::lines(&path).unwrap();
    assert_eq!(lines.len(), 30_089);
    compare_with_oracle(&lines.join("\n"));
}

#[test]
fn small_and_large_score_the_same_folded_and_in_tract() {
    let generated = dga::names(1_500, 21);
    let deep = (0..500).map(|i| format!("{}.cdn-{}.assets.example-{}.co.uk", i % 7, i % 13, i));
    let long = (0..200).map(|i| format!("{}.example.net", "ab-9_".repeat(i % 20 + 1)));
    let names: Vec<String> = generated.into_iter().chain(deep).chain(long).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for model in ["small", "large"] {
        let artifact = Registry::bundled().get(model).unwrap();
        let own = logits(&artifact, Backend::OwnCpu, &names);
        let expected: Vec<f64> = own.iter().map(|logit| f64::from(*logit)).collect();
        agree(&names, &expected, &logits(&artifact, Backend::Tract, &names), model);
        let distinct: std::collections::HashSet<u32> = own.iter().map(|logit| logit.to_bits()).collect();
        assert!(distinct.len() > names.len() / 2, "{model} tells names apart");
    }
}
