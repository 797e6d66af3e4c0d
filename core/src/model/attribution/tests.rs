//! A logit is shared out whole, and to the bytes that made it.

use proptest::prelude::*;

use super::table::reference;
use super::*;
use crate::model::bag::DIMENSIONS;
use crate::model::features::features_with_bytes;
use crate::model::tests::{bag, seed, stack, stack_of, table};
use crate::model::{Bag, BagWeights};

/// The furthest that bytes and rest are from the logit, as a share of 1 + its size.
fn off(model: &Model, name: &str) -> f64 {
    let logit = f64::from(model.logit(name));
    let shared = model.attribution(name).unwrap();
    assert_eq!(shared.bytes.len(), name.len(), "{name}");
    assert!(shared.bytes.iter().all(|value| value.is_finite()), "{name}");
    (shared.sum() - logit).abs() / (1.0 + logit.abs())
}

fn name() -> impl Strategy<Value = String> {
    let label =
        prop_oneof![4 => "[a-z0-9-]{1,20}", 1 => "[a-z0-9_-]{30,63}", 1 => "xn--[a-z0-9]{3,12}", 1 => "www"];
    let suffix = prop_oneof!["com", "co\\.uk", "top", "webflow\\.io", "[a-z]{2,8}"];
    (prop::collection::vec(label, 0..5), suffix).prop_map(|(mut labels, suffix)| {
        labels.push(suffix);
        labels.join(".")
    })
}

proptest! {
    #[test]
    fn bags_and_suffix_are_shared_out_to_the_last_digit(name in name(), reading in 0..3usize) {
        let weights = BagWeights { reading: Reading::ALL[reading], ..bag().weights().clone() };
        let model = stack_of(vec![(0.7, Member::Bag(Box::new(bag()))), (-0.4, Member::Bag(Box::new(Bag::new(weights).unwrap())))]);
        prop_assert!(off(&model, &name) < 1e-5, "{}", off(&model, &name));
    }

    #[test]
    fn tables_are_shared_out_and_leave_the_reference_s_logit_to_no_byte(name in name()) {
        for model in [table(), stack()] {
            prop_assert!(off(&model, &name) < 1e-5, "{}", off(&model, &name));
        }
        let model = table();
        let Network::Table(network) = model.network() else { panic!("a table") };
        let left = model.attribution(&name).unwrap().rest - reference(network, scored_text(&name));
        let size = 1.0 + f64::from(model.logit(&name)).abs();
        prop_assert!(left.abs() < 0.1 * size, "{left} of {size}");
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in any::<String>(), letters in "[a-z.é☃-]{0,300}") {
        for model in [table(), stack()] {
            for text in [&text, &letters] {
                let shared = model.attribution(text).unwrap();
                prop_assert_eq!(shared.bytes.len(), text.len());
                prop_assert!(shared.sum().is_finite());
                shared.spans(5);
            }
        }
    }

    #[test]
    fn features_are_the_same_with_and_without_their_bytes(name in name(), reading in 0..3usize) {
        let (content, reading) = (Parts::of(&name).content, Reading::ALL[reading]);
        let mut alone = Vec::new();
        features(content, reading, &mut alone);
        let with = features_with_bytes(content, reading);
        prop_assert_eq!(alone, with.iter().map(|(feature, _)| *feature).collect::<Vec<_>>());
        let inside = content.bytes().enumerate().fold(0u64, |inside, (at, _)| inside | 1 << at);
        prop_assert!(with.iter().all(|(_, from)| *from != 0 && from & !inside == 0));
    }
}

/// A byte that no feature holds changes no feature, wherever it is replaced by one of the same kind.
#[test]
fn a_feature_is_read_from_the_bytes_that_change_it() {
    for reading in Reading::ALL {
        let content = "a1.pay-pal7x.login";
        let whole = features_with_bytes(content, reading);
        for at in (0..content.len()).filter(|at| content.as_bytes()[*at].is_ascii_lowercase()) {
            let mut other = content.to_owned().into_bytes();
            other[at] =
                if b"aeiou".contains(&other[at]) { b'o' + 6 * u8::from(other[at] == b'o') } else { b'q' };
            let other = String::from_utf8(other).unwrap();
            let changed = features_with_bytes(&other, reading);
            assert_eq!(changed.len(), whole.len());
            for ((before, from), (after, _)) in whole.iter().zip(&changed) {
                assert!(
                    before == after || from >> at & 1 == 1,
                    "{reading:?} {other}: feature {before:x} from {from:b}"
                );
            }
        }
    }
}

#[test]
fn what_one_n_gram_says_goes_to_its_bytes_alone() {
    let content = "login";
    let found = features_with_bytes(content, Reading::Labels);
    let (feature, from) = *found.iter().find(|(_, from)| *from == 0b01110).unwrap();
    let bits = 20;
    let mut rows = vec![[0; DIMENSIONS]; 1 << bits];
    rows[feature as usize] = [100; DIMENSIONS];
    let bag = Bag::new(BagWeights {
        reading: Reading::Labels,
        bits,
        rows,
        scale: [0.01; DIMENSIONS],
        hidden: vec![[0.25; DIMENSIONS]],
        hidden_bias: vec![-1.0],
        output: vec![3.0],
        output_bias: -0.5,
    });
    let model = stack_of(vec![(1.0, Member::Bag(Box::new(bag.unwrap())))]);
    let Network::Stack(stack) = model.network() else { panic!("a stack") };
    let bias = f64::from(stack.weights().bias);
    let shared = model.attribution("login.com").unwrap();
    let moved = 3.0 * (4.0 / (found.len() as f64).sqrt() - 1.0).max(0.0);
    for (at, value) in shared.bytes.iter().enumerate().take(5) {
        let expected = if from >> at & 1 == 1 { moved / 3.0 } else { 0.0 };
        assert!((value - expected).abs() < 1e-6, "{at}: {value}, {expected}");
    }
    assert!((shared.rest - bias + 0.5).abs() < 1e-6, "{}", shared.rest);
}

#[test]
fn what_is_not_read_has_no_share_and_the_suffix_has_its_own() {
    let long = format!("www.{}.example.co.uk", "abcdefgh-".repeat(12));
    for model in [table(), stack()] {
        let shared = model.attribution(&long).unwrap();
        let unread = long.len() - scored_text(&long).len();
        assert!(shared.bytes[..unread].iter().all(|value| *value == 0.0));
        assert!(shared.bytes[unread..].iter().any(|value| *value != 0.0));
        let dotted = model.attribution(&format!("{long}.")).unwrap();
        assert_eq!((&dotted.bytes[..long.len()], dotted.bytes[long.len()]), (&shared.bytes[..], 0.0));
    }
    let mut found = Vec::new();
    features("example", Reading::Labels, &mut found);
    let model = stack();
    let Network::Stack(stack) = model.network() else { panic!("a stack") };
    let said = f64::from(stack.weights().suffix.say(&found, "co.uk"));
    let shared = model.attribution("example.co.uk").unwrap();
    assert_eq!(shared.bytes[7], 0.0, "the dot between content and suffix is in neither");
    assert!(shared.bytes[8..].iter().all(|value| (value - said / 5.0).abs() < 1e-9));
}

#[test]
fn the_seed_has_no_attribution() {
    assert_eq!(seed().attribution("example.com"), None);
}

#[test]
fn spans_are_runs_of_one_sign_and_the_strongest_come_first() {
    let bytes = vec![0.5, 0.7, -0.2, 0.01, -2.0, -1.0, 0.3, 0.3];
    let shared = Attribution { bytes, rest: 1.0 };
    let spans = shared.spans(3);
    let said: Vec<_> = spans.iter().map(|span| (span.range.clone(), (span.logit * 10.0).round())).collect();
    assert_eq!(said, [(4..6, -30.0), (0..2, 12.0), (6..8, 6.0)]);
    assert_eq!(shared.spans(9).len(), 3, "a byte of a tenth of the largest or less is in none");
    assert!(Attribution::default().spans(3).is_empty());
}
