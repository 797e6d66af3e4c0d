//! Artifacts: what comes back, and what is refused.

use super::*;

pub(super) fn noise(count: usize, scale: f32) -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * scale
    };
    (0..count).map(|_| next()).collect()
}

fn spec(name: &str) -> Spec {
    Spec {
        name: name.into(),
        calibration: Calibration { slope: 1.1, intercept: -0.3, balance: 0.5 },
        prior: UNLISTED_PRIOR,
        thresholds: Thresholds { allow_below: 0.02, block_above: 0.95 },
    }
}

pub(super) fn seed() -> Model {
    let seed = Seed::from_weights(&noise(seed::PARAMETERS, 0.8)).unwrap();
    Model::new(spec("seed"), Network::Seed(Box::new(seed))).unwrap()
}

pub(super) fn table() -> Model {
    let bank = |width: usize, filters: usize| BankWeights {
        width,
        bias: noise(filters, 0.2),
        table: noise(width * tokenizer::ALPHABET * filters, 0.5),
    };
    let banks = vec![bank(1, 16), bank(3, 32), bank(6, 16)];
    let weights = TableWeights {
        banks,
        hidden: noise(128 * 16, 0.5),
        hidden_bias: noise(16, 0.1),
        output: noise(16, 1.0),
        output_bias: 0.25,
    };
    Model::new(spec("small"), Network::Table(Box::new(Table::new(weights).unwrap()))).unwrap()
}

pub(super) fn bag() -> Bag {
    let bits = 6;
    let bytes = |count: usize| noise(count, 250.0).into_iter().map(|value| value as i8);
    let rows: Vec<i8> = bytes(bag::DIMENSIONS << bits).collect();
    Bag::new(BagWeights {
        reading: Reading::Labels,
        bits,
        rows: rows.as_chunks::<{ bag::DIMENSIONS }>().0.to_vec(),
        scale: [0.01; bag::DIMENSIONS],
        hidden: noise(bag::DIMENSIONS * 8, 1.0).as_chunks::<{ bag::DIMENSIONS }>().0.to_vec(),
        hidden_bias: noise(8, 0.2),
        output: noise(8, 1.0),
        output_bias: -0.5,
    })
    .unwrap()
}

fn stack_weights() -> StackWeights {
    let Network::Table(table) = table().network().clone() else { panic!("a table") };
    StackWeights {
        members: vec![(0.7, Member::Table(table)), (0.4, Member::Bag(Box::new(bag())))],
        suffix: SuffixWeights {
            bound: 1.0,
            terms: noise(1 << stack::SUFFIX_BITS, 9.0),
            bits: 8,
            rows: noise(1 << 8, 250.0).into_iter().map(|value| value as i8).collect(),
            scale: 0.02,
        },
        bias: 0.1,
    }
}

/// A stack of these members, with the suffix' word of [`stack`].
pub(super) fn stack_of(members: Vec<(f32, Member)>) -> Model {
    let stack = Stack::new(StackWeights { members, ..stack_weights() }).unwrap();
    Model::new(spec("stack"), Network::Stack(Box::new(stack))).unwrap()
}

pub(super) fn stack() -> Model {
    stack_of(stack_weights().members)
}

const NAMES: [&str; 6] = [
    "example.com",
    "a",
    "",
    "xn--bcher-kva.example",
    "long-label-1234567890.a.b.c.example.co.uk",
    "www.bbc.co.uk",
];

#[test]
fn an_artifact_comes_back_as_it_was() {
    for model in [seed(), table(), stack()] {
        let bytes = model.encode();
        let back = Model::decode(&bytes).unwrap();
        assert_eq!(back, model);
        assert_eq!(back.encode(), bytes);
        for name in NAMES {
            assert_eq!(back.logit(name).to_bits(), model.logit(name).to_bits(), "{name}");
        }
    }
}

#[test]
fn the_identifier_changes_with_any_weight_or_threshold() {
    let model = table();
    assert_eq!(model.id().len(), "small@".len() + 8);
    let mut other = model.spec().clone();
    other.thresholds.block_above = 0.96;
    let other = Model::new(other, model.network().clone()).unwrap();
    assert_ne!(other.id(), model.id());
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused() {
    let bytes = seed().encode();
    for end in 0..bytes.len() {
        assert!(Model::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert!(Model::decode(&bytes).is_err(), "flipped at {at}");
    }
}

/// A body with a valid checksum, so that what lies behind it is reached.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let digest = blake3::hash(&body);
    body.extend(digest.as_bytes());
    body
}

#[test]
fn a_sealed_artifact_with_wrong_content_is_refused_by_its_reason() {
    let whole = table().encode();
    let body = whole[..whole.len() - 32].to_vec();
    let with = |at: usize, value: u8| {
        let mut body = body.clone();
        body[at] = value;
        Model::decode(&sealed(body)).unwrap_err()
    };
    assert_eq!(with(4, 9), ModelError::Kind(9));
    assert_eq!(with(5, 1), ModelError::Tokenizer { expected: 2, got: 1 });
    assert_eq!(with(7, b'S'), ModelError::Name);
    let weights = 4 + 3 + "small".len() + 6 * 8;
    // No convolutions at all; a first one 200 tokens wide.
    with(weights, 0);
    assert!(matches!(with(weights + 3, 200), ModelError::Shape(_)));

    let mut longer = body.clone();
    longer.push(0);
    assert_eq!(Model::decode(&sealed(longer)), Err(ModelError::Trailing(1)));
    let mut infinite = body.clone();
    let last = infinite.len() - 4;
    infinite[last..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(matches!(Model::decode(&sealed(infinite)), Err(ModelError::WeightRange { .. })));
    let mut backwards = body;
    backwards[weights - 8..weights].copy_from_slice(&0.001f64.to_le_bytes());
    let refused = Model::decode(&sealed(backwards));
    assert!(matches!(refused, Err(ModelError::Parameter(what)) if what.starts_with("thresholds")));
}

#[test]
fn many_names_at_once_score_as_one_by_one() {
    for model in [seed(), table(), stack()] {
        let names: Vec<String> = (0..150).map(|i| format!("n{i}.{}", NAMES[i % NAMES.len()])).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut logits = vec![0.0; names.len()];
        model.logits(&names, &mut Scratch::default(), &mut logits);
        for (name, logit) in names.iter().zip(&logits) {
            assert_eq!(model.logit(name).to_bits(), logit.to_bits(), "{name}");
        }
    }
}

/// The textbook forward pass in double precision, without folding or skipping.
fn plain_table_logit(weights: &TableWeights, name: &str) -> f64 {
    let (tokens, _) = tokenizer::tokens(name);
    let mut inputs = Vec::new();
    for bank in &weights.banks {
        let filters = bank.bias.len();
        let values: Vec<Vec<f64>> = tokens
            .windows(bank.width)
            .map(|window| {
                let filter = |f: usize| {
                    let taps = window.iter().enumerate().map(|(tap, &token)| {
                        f64::from(bank.table[(tap * tokenizer::ALPHABET + usize::from(token)) * filters + f])
                    });
                    (f64::from(bank.bias[f]) + taps.sum::<f64>()).max(0.0)
                };
                (0..filters).map(filter).collect()
            })
            .collect();
        inputs.extend((0..filters).map(|f| values.iter().map(|v| v[f]).fold(0.0, f64::max)));
        inputs.extend((0..filters).map(|f| values.iter().map(|v| v[f]).sum::<f64>() / values.len() as f64));
    }
    let units = weights.hidden_bias.len();
    let hidden = (0..units).map(|u| {
        let sum: f64 =
            inputs.iter().enumerate().map(|(i, x)| x * f64::from(weights.hidden[i * units + u])).sum();
        (f64::from(weights.hidden_bias[u]) + sum).max(0.0) * f64::from(weights.output[u])
    });
    f64::from(weights.output_bias) + hidden.sum::<f64>()
}

#[test]
fn the_folded_forward_agrees_with_the_textbook() {
    let model = table();
    let Network::Table(table) = model.network() else { panic!("a table") };
    for name in NAMES.into_iter().chain([&*"x".repeat(300), "0123456789".repeat(6).as_str()]) {
        let expected = plain_table_logit(table.weights(), name);
        let got = f64::from(model.logit(name));
        assert!((got - expected).abs() < 1e-5 + 1e-5 * expected.abs(), "{name}: {got} for {expected}");
    }
}

#[test]
fn no_suffix_moves_a_logit_by_more_than_its_bound() {
    let (model, suffix) = (stack(), stack_weights().suffix);
    let mut largest = 0.0f32;
    for content in ["example", "pay-pal1.login", "a.b.c", "mine.webflow"] {
        let mut found = Vec::new();
        features(content, Reading::Labels, &mut found);
        let logit = |suffix: &str| model.logit(&format!("{content}.{suffix}"));
        for (one, other) in
            [("com", "top"), ("io", "co.uk"), ("xyz", "unknown"), ("ru", "cn"), ("net", "org")]
        {
            let expected = suffix.say(&found, one) - suffix.say(&found, other);
            let moved = logit(one) - logit(other);
            assert!((moved - expected).abs() < 1e-5, "{content} {one} {other}: {moved} for {expected}");
            let textbook = |suffix_name: &str| f64::from(suffix.unbound(&found, suffix_name)).tanh() as f32;
            assert!((suffix.say(&found, one) - textbook(one)).abs() < 1e-6);
            largest = largest.max(moved.abs());
        }
    }
    assert!(largest <= 2.0 && largest > 1.5, "{largest}: terms far beyond the bound come near to it");
    assert_eq!(model.logit("www.example.com").to_bits(), model.logit("example.com").to_bits());
}

#[test]
fn a_stack_is_the_weighted_sum_of_its_members() {
    let (model, weights) = (stack(), stack_weights());
    let mut found = Vec::new();
    for name in NAMES {
        let parts = Parts::of(name);
        features(parts.content, Reading::Labels, &mut found);
        let mut expected = weights.bias + weights.suffix.say(&found, parts.suffix);
        expected += 0.7 * table().logit(parts.content) + 0.4 * bag().logit(&found);
        assert!((model.logit(name) - expected).abs() < 1e-5, "{name}");
    }
}

#[test]
fn a_bag_s_logit_is_the_textbook_s() {
    let (bag, weights) = (bag(), bag().weights().clone());
    for content in ["example", "a.b.c", "", "pay-pal1.login"] {
        let mut found = Vec::new();
        features(content, Reading::Labels, &mut found);
        let share = (found.len().max(1) as f64).sqrt();
        let value = |d: usize| {
            let sum: f64 =
                found.iter().map(|feature| f64::from(weights.rows[*feature as usize >> 14][d])).sum();
            sum * f64::from(weights.scale[d]) / share
        };
        let unit = |u: usize| {
            let sum: f64 = (0..bag::DIMENSIONS).map(|d| value(d) * f64::from(weights.hidden[u][d])).sum();
            (sum + f64::from(weights.hidden_bias[u])).max(0.0) * f64::from(weights.output[u])
        };
        let expected = f64::from(weights.output_bias) + (0..8).map(unit).sum::<f64>();
        let got = f64::from(bag.logit(&found));
        assert!((got - expected).abs() < 1e-5 + 1e-5 * expected.abs(), "{content}: {got} for {expected}");
    }
}

#[test]
fn a_stack_that_does_not_hold_together_is_refused() {
    let refused = |change: &dyn Fn(&mut StackWeights)| {
        let mut weights = stack_weights();
        change(&mut weights);
        Stack::new(weights).unwrap_err()
    };
    assert!(matches!(refused(&|w| w.members.clear()), ModelError::Shape(_)));
    assert!(matches!(refused(&|w| w.suffix.terms.truncate(9)), ModelError::Shape(_)));
    assert!(matches!(refused(&|w| w.suffix.rows.truncate(9)), ModelError::Shape(_)));
    assert!(matches!(refused(&|w| w.suffix.bits = 21), ModelError::Shape(_)));
    for bound in [0.0, -1.0, 8.5, f32::NAN] {
        assert!(matches!(refused(&|w| w.suffix.bound = bound), ModelError::Parameter(_)), "{bound}");
    }
    let weights = |change: &dyn Fn(&mut BagWeights)| {
        let mut weights = bag().weights().clone();
        change(&mut weights);
        Bag::new(weights)
    };
    assert!(weights(&|w| w.bits = 7).is_err() && weights(&|w| w.bits = 0).is_err());
    assert!(weights(&|w| w.output.truncate(3)).is_err() && weights(&|w| w.hidden.clear()).is_err());

    let whole = stack().encode();
    let body = &whole[..whole.len() - DIGEST_BYTES];
    let sealed = |body: &[u8]| [body, blake3::hash(body).as_bytes()].concat();
    for length in (0..body.len()).step_by(97) {
        assert!(Model::decode(&sealed(&body[..length])).is_err(), "{length}");
    }
    // The first member's kind stands behind the number of members.
    let kind = 4 + 3 + "stack".len() + 6 * 8 + 1;
    let mut other = body.to_vec();
    other[kind] = 9;
    assert_eq!(Model::decode(&sealed(&other)), Err(ModelError::Kind(9)));
}
