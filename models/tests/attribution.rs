//! Bytes that are said to have made a score are those whose change changes it: on real names, measured.
//!
//! A byte is occluded by each other character in turn; what the logit loses on average is what the byte was worth. That
//! is no more than a witness: it asks about one byte alone, while attribution shares out what bytes do together.

use dnsvet_core::model::{Model, Parts, Scratch};
use dnsvet_models::data::lures;
use dnsvet_models::data::suite::suites;
use dnsvet_models::registry::Registry;

const OTHERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-";

/// Places of values in their order, shared where values are the same.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: &f64| values.iter().filter(|other| *other < value).count() as f64;
    let same = |value: &f64| values.iter().filter(|other| *other == value).count() as f64;
    values.iter().map(|value| below(value) + (same(value) - 1.0) / 2.0).collect()
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| f(a - mean_a, b - mean_b)).sum()
    };
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt().max(f64::MIN_POSITIVE)
}

/// Mean rank correlation (Spearman) of attribution and occlusion over names, and of how many of the three bytes that
/// count most by one also do by the other, [0, 1].
fn agreement(model: &Model, names: &[&str]) -> (f64, f64) {
    let (mut rank, mut top, mut counted) = (0.0, 0.0, 0.0);
    for name in names {
        let text = Parts::of(name).content;
        let Some(at) = name.find(text).filter(|_| text.len() >= 5) else { continue };
        let places = at..at + text.len();
        let changed: Vec<String> = places
            .clone()
            .flat_map(|place| OTHERS.iter().map(move |other| (place, *other)))
            .map(|(place, other)| {
                let mut changed = name.as_bytes().to_vec();
                changed[place] = other;
                String::from_utf8(changed).unwrap()
            })
            .collect();
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        let mut logits = vec![0.0; changed.len()];
        model.logits(&changed, &mut Scratch::default(), &mut logits);
        let logit = f64::from(model.logit(name));
        let without = logits.chunks(OTHERS.len()).map(|logits| {
            logits.iter().map(|other| logit - f64::from(*other)).sum::<f64>() / OTHERS.len() as f64
        });
        let without: Vec<f64> = without.collect();
        let shared = model.attribution(name).unwrap();
        let bytes = &shared.bytes[places];
        rank += correlation(&ranks(bytes), &ranks(&without));
        let most = |values: &[f64]| {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
            order.truncate(3);
            order
        };
        let other = most(&without);
        top += most(bytes).iter().filter(|place| other.contains(place)).count() as f64 / 3.0;
        counted += 1.0;
    }
    (rank / counted, top / counted)
}

#[test]
fn bytes_of_the_models_that_come_with_dnsvet_rank_as_occlusion_ranks_them() {
    // In names of random letters all letters count alike, so that nothing ranks them.
    let suite = suites().into_iter().flat_map(|suite| suite.names.into_iter().step_by(97)).map(str::to_owned);
    let names: Vec<String> = suite.chain(lures::names(100, 3)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in ["small", "large"] {
        let artifact = Registry::bundled().get(name).unwrap();
        let model = artifact.model().unwrap();
        let (rank, top) = agreement(model, &names);
        println!("{name}: rank correlation {rank:.3}, same among three {top:.3}, {} names", names.len());
        // A stack shares a word out to all its letters, each of which takes the whole word with it when it is changed.
        assert!(rank > 0.5 && top > 0.3, "{name}: {rank}, {top}");
    }
}
