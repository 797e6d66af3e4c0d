//! What a model has to beat: a quick learner on n-grams, and two rules that any honest model must leave behind.
//!
//! ```text
//! training names ─► Grams: hashed 1- to 4-grams, logistic regression        ─┐
//!                ├► Odds::suffix: log-odds of the public suffix alone        ├─► logit ─► calibrated as models are
//!                └► Odds::length: log-odds of the name's length alone       ─┘
//! ```
//!
//! A published network comes here as one more [`Baseline`], listed in [`all`]. The surprise: suffix and length
//! alone go a long way on lists such as these. What a model finds beyond them is what it is worth.

use std::collections::HashMap;

use dnsvet_core::hash::{self, finish, step};
use dnsvet_core::model::{Parts, sigmoid};

use crate::data::Example;

/// Something simple that scores names.
pub trait Baseline {
    /// The word in tables and legends.
    fn label(&self) -> &'static str;
    /// What it is, in a sentence.
    fn about(&self) -> &'static str;
    /// Higher is more malicious; calibrated later.
    fn logit(&self, name: &str) -> f32;
}

/// Those that learn here, learnt from these names.
pub(super) fn all(train: &[&Example]) -> Vec<Box<dyn Baseline>> {
    vec![Box::new(Grams::learn(train)), Box::new(Odds::suffix(train)), Box::new(Odds::length(train))]
}

/// Logistic regression on hashed 1- to 4-grams of the whole name, one pass of Adagrad (Duchi et al. 2011).
#[derive(Debug)]
pub struct Grams {
    weights: Vec<f32>,
}

/// Weights of the table, and step size.
const GRAM_BITS: u32 = 20;
const LONGEST: usize = 4;
const RATE: f32 = 0.1;

impl Grams {
    /// Learns, in the order of the names; weights count.
    pub fn learn(train: &[&Example]) -> Self {
        let mut weights = vec![0f32; 1 << GRAM_BITS];
        let mut squares = vec![1e-4f32; 1 << GRAM_BITS];
        let mut grams = Vec::new();
        for example in train {
            self::grams(&example.name, &mut grams);
            let scale = scale(&grams);
            let logit = scale * grams.iter().map(|gram| weights[*gram]).sum::<f32>();
            let target = f64::from(u8::from(example.is_malicious()));
            let slope = (sigmoid(f64::from(logit)) - target) as f32 * example.weight * scale;
            for gram in &grams {
                squares[*gram] += slope * slope;
                weights[*gram] -= RATE * slope / squares[*gram].sqrt();
            }
        }
        Self { weights }
    }
}

impl Baseline for Grams {
    fn label(&self) -> &'static str {
        "n-grams"
    }

    fn about(&self) -> &'static str {
        "logistic regression on hashed 1- to 4-grams of the whole name, one pass over the training names"
    }

    fn logit(&self, name: &str) -> f32 {
        let mut grams = Vec::new();
        self::grams(name, &mut grams);
        scale(&grams) * grams.iter().map(|gram| self.weights[*gram]).sum::<f32>()
    }
}

/// Long names have no larger sums than short ones.
fn scale(grams: &[usize]) -> f32 {
    1.0 / (grams.len() as f32).sqrt().max(1.0)
}

/// Replaces `grams` by those of the framed name.
fn grams(name: &str, grams: &mut Vec<usize>) {
    grams.clear();
    let framed = || [b'^'].into_iter().chain(name.bytes()).chain([b'$']);
    for start in 0..name.len() + 2 {
        let mut state = hash::START;
        for byte in framed().skip(start).take(LONGEST) {
            state = step(state, byte);
            grams.push((finish(state) >> (32 - GRAM_BITS)) as usize);
        }
    }
}

/// The log-odds of malicious by one property of a name, as counted in the training names by their weights.
pub struct Odds {
    label: &'static str,
    about: &'static str,
    of: fn(&str) -> String,
    odds: HashMap<String, f32>,
}

impl Odds {
    /// By the registry's suffix.
    pub fn suffix(train: &[&Example]) -> Self {
        let about = "the log-odds of the public suffix in the training names, nothing else";
        Self::learn("suffix", about, |name| Parts::of(name).suffix.to_owned(), train)
    }

    /// By the length of the name.
    pub fn length(train: &[&Example]) -> Self {
        let about = "the log-odds of the name's length in the training names, nothing else";
        Self::learn("length", about, |name| name.len().to_string(), train)
    }

    fn learn(label: &'static str, about: &'static str, of: fn(&str) -> String, train: &[&Example]) -> Self {
        // One name of either side is added everywhere: what is rare says little, what is new nothing.
        let mut sums: HashMap<String, [f64; 2]> = HashMap::new();
        for example in train {
            let sums = sums.entry(of(&example.name)).or_insert([1.0; 2]);
            sums[usize::from(example.is_malicious())] += f64::from(example.weight);
        }
        let odds = sums.into_iter().map(|(key, [benign, malicious])| (key, (malicious / benign).ln() as f32));
        Self { label, about, of, odds: odds.collect() }
    }
}

impl Baseline for Odds {
    fn label(&self) -> &'static str {
        self.label
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn logit(&self, name: &str) -> f32 {
        self.odds.get(&(self.of)(name)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(examples: &[Example]) -> Vec<&Example> {
        examples.iter().collect()
    }
    use crate::data::{Class, Random};

    fn example(name: String, malicious: bool) -> Example {
        let class = if malicious { Class::Malware } else { Class::Benign };
        Example { weight: 1.0, ..Example::new(name, class, !malicious, "list".into()) }
    }

    #[test]
    fn suffix_and_length_say_their_log_odds_and_nothing_else() {
        let train: Vec<Example> = (0..10)
            .map(|i| example(format!("n{i}.top"), i < 8))
            .chain((0..5).map(|i| example(format!("www.long-name-{i}.co.uk"), false)))
            .collect();
        let suffix = Odds::suffix(&all(&train));
        assert_eq!(suffix.logit("anything.at.all.top"), (9.0f64 / 3.0).ln() as f32);
        assert_eq!(suffix.logit("x.co.uk"), (1.0f64 / 6.0).ln() as f32);
        assert_eq!(suffix.logit("x.never-seen"), 0.0);
        let length = Odds::length(&all(&train));
        assert_eq!(length.logit("abcd.x"), (9.0f64 / 3.0).ln() as f32);
        assert_eq!((length.logit("abc.de"), length.logit("seven.x")), (length.logit("n0.top"), 0.0));
    }

    #[test]
    fn n_grams_learn_what_letters_tell_and_not_what_they_don_t() {
        let mut random = Random::new(10);
        let mut name = |letters: &[u8]| -> String {
            (0..10).map(|_| char::from(*random.pick(letters))).chain(".com".chars()).collect()
        };
        let mut of = |count: usize| -> Vec<Example> {
            (0..count)
                .map(|i| example(name(if i % 2 == 0 { b"qxzjv" } else { b"aeioun" }), i % 2 == 0))
                .collect()
        };
        let (train, test) = (of(400), of(200));
        let auc = |grams: &Grams, test: &[Example]| {
            let scored: Vec<(f64, bool)> =
                test.iter().map(|e| (f64::from(grams.logit(&e.name)), e.is_malicious())).collect();
            crate::evaluate::auc(&scored)
        };
        assert!(auc(&Grams::learn(&all(&train)), &test) > 0.999);
        let mut random = Random::new(11);
        let shuffled: Vec<Example> =
            train.iter().map(|e| example(e.name.clone(), random.below(2) == 0)).collect();
        let blind = auc(&Grams::learn(&all(&shuffled)), &test);
        assert!((0.3..0.7).contains(&blind), "{blind}");
    }

    #[test]
    fn grams_are_framed_and_of_one_to_four_bytes() {
        let mut found = Vec::new();
        grams("ab", &mut found);
        // ^ ^a ^ab ^ab$, a ab ab$, b b$, $
        assert_eq!(found.len(), 10);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 10);
    }
}
