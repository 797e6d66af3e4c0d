//! Whether a threshold that is set on some clean registrable domains keeps its budget on others.
//!
//! Domains fall into two halves by a hash of their own; each counts once, by its worst name. The surprise: the
//! Poisson interval is too narrow here, because the threshold itself is off by chance. Even a model whose clean
//! scores are all of one kind leaves it about one time in six; [`Budget::low_both`] and [`Budget::high_both`]
//! hold what it does 19 times in 20.

use std::collections::HashMap;

use dnsvet_core::hash;
use serde::{Deserialize, Serialize};

use super::{RATES, Row, interval, roc};
use crate::evaluate::{allowed, descending};

/// One budget, set on one half and counted on the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// False positives that are allowed, per clean registrable domain.
    pub rate: f64,
    /// Domains that the threshold was set on.
    pub set_on: usize,
    /// Domains that were counted.
    pub counted_on: usize,
    /// What is flagged scores above this.
    pub threshold: f64,
    /// `rate` times the domains counted.
    pub expected: f64,
    /// Domains flagged.
    pub counted: usize,
    /// Lower end of the 95 % Poisson interval of the expected count.
    pub low: usize,
    /// Upper end of the Poisson interval.
    pub high: usize,
    /// Whether the count lies in it.
    pub inside: bool,
    /// Lower end of the 95 % interval that also holds what setting the threshold adds by chance.
    pub low_both: usize,
    /// Upper end of that interval.
    pub high_both: usize,
    /// Whether the count lies in that one.
    pub inside_both: bool,
}

/// One for each of [`RATES`]; none where a half is empty.
pub(super) fn budgets(rows: &[Row<'_>]) -> Vec<Budget> {
    let mut worst: HashMap<&str, f64> = HashMap::new();
    for row in rows.iter().filter(|row| row.example.clean) {
        let slot = worst.entry(row.example.domain()).or_insert(0.0);
        *slot = slot.max(row.score);
    }
    let mut halves = [Vec::new(), Vec::new()];
    for (domain, score) in worst {
        halves[half(domain)].push(score);
    }
    let [set_on, counted_on] = halves.map(descending);
    if set_on.is_empty() || counted_on.is_empty() {
        return Vec::new();
    }
    RATES.map(|rate| budget(rate, &set_on, &counted_on)).to_vec()
}

fn budget(rate: f64, set_on: &[f64], others: &[f64]) -> Budget {
    let threshold = roc::cut(set_on, rate);
    let counted = others.partition_point(|score| *score > threshold);
    let expected = rate * others.len() as f64;
    let [low, high] = interval::poisson(expected);
    let [low_both, high_both] = interval::beside(allowed(set_on.len(), rate), set_on.len(), others.len());
    Budget {
        rate,
        set_on: set_on.len(),
        counted_on: others.len(),
        threshold,
        expected,
        counted,
        low,
        high,
        inside: (low..=high).contains(&counted),
        low_both,
        high_both,
        inside_both: (low_both..=high_both).contains(&counted),
    }
}

fn half(domain: &str) -> usize {
    let state = domain.bytes().fold(hash::START, hash::step);
    (hash::finish(state) >> 31) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Class, Example, Random};

    fn clean(i: usize) -> Example {
        Example::new(format!("www.n{i}.com"), Class::Benign, true, "list".into())
    }

    fn of(examples: &[Example], score: impl FnMut(&Example) -> f64) -> Vec<Budget> {
        let scores: Vec<f64> = examples.iter().map(score).collect();
        let rows = examples.iter().zip(scores).map(|(example, score)| Row { example, score });
        budgets(&rows.collect::<Vec<_>>())
    }

    #[test]
    fn a_budget_is_counted_on_the_other_half_by_each_domain_s_worst_name() {
        let mut examples: Vec<Example> = (0..4_000).map(clean).collect();
        let score = |example: &Example| {
            let number: f64 = example.domain()[1..].trim_end_matches(".com").parse().unwrap();
            number / 4_000.0
        };
        let once = of(&examples, score);
        let [first, ..] = &once[..] else { panic!() };
        assert_eq!(first.set_on + first.counted_on, 4_000);
        assert!(first.set_on.abs_diff(2_000) < 150, "{first:?}");
        // Scores follow the number, halves the hash, so about 20 of 2,000 pass.
        assert!(first.inside_both && (first.expected - 20.0).abs() < 1.5, "{first:?}");
        // A second name of a domain with a lower score changes nothing.
        examples.extend((0..4_000).map(|i| Example {
            name: format!("a.n{i}.com"),
            domain_at: 2,
            ..clean(i)
        }));
        let twice = of(&examples, |e| score(e) / if e.name.starts_with('a') { 2.0 } else { 1.0 });
        assert_eq!(once, twice);
    }

    #[test]
    fn a_threshold_that_does_not_carry_over_is_told() {
        let examples: Vec<Example> = (0..4_000).map(clean).collect();
        let mut random = Random::new(8);
        // Those that are counted score far higher than those that the threshold is set on.
        let budgets = of(&examples, |example| {
            let uniform = (random.signed() + 1.0) / 2.0;
            if half(example.domain()) == 0 { uniform / 2.0 } else { uniform }
        });
        assert!(budgets.iter().all(|budget| !budget.inside && !budget.inside_both), "{budgets:?}");
    }

    #[test]
    fn the_wider_interval_holds_about_19_times_in_20_and_poisson_s_does_not() {
        let examples: Vec<Example> = (0..2_000).map(clean).collect();
        let mut random = Random::new(9);
        let (mut both, mut poisson) = (0, 0);
        for _ in 0..200 {
            let [at_1e2, ..] = of(&examples, |_| random.signed())[..] else { panic!() };
            both += usize::from(at_1e2.inside_both);
            poisson += usize::from(at_1e2.inside);
        }
        assert!((182..=200).contains(&both) && (140..=182).contains(&poisson), "{both}, {poisson}");
    }
}
