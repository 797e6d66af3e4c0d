//! What a model is worth on names that it did not see: curves, calibration, thresholds.
//!
//! The surprise: false blocks are counted on *clean registrable domains*, each once by its worst name, and
//! a rate is never given without its bound: no false block in n domains proves only about 3/n.

use std::collections::HashMap;

use dnsvet_core::model::{Calibration, Thresholds};
use serde::{Deserialize, Serialize};

use crate::data::Example;

/// False blocks that a shipped model may make, per clean registrable domain.
pub const FALSE_BLOCK_BUDGET: f64 = 1e-4;
/// The confidence below which no model blocks, whatever the budget would allow.
pub const LEAST_CONFIDENCE: f64 = 0.90;
/// The share of an even mixture of benign and malicious names that goes on to a larger model.
const UNCERTAIN: f64 = 0.14;

/// A name's logit with what is known of the name.
#[derive(Debug, Clone)]
pub struct Scored<'a> {
    /// The name.
    pub example: &'a Example,
    /// The model's logit.
    pub logit: f32,
}

/// Area under the ROC curve of `(score, malicious)`; ties count half. 0.5 if a class is empty.
pub fn auc(scored: &[(f64, bool)]) -> f64 {
    let class = |wanted: bool| -> Vec<f64> {
        scored.iter().filter(|(_, malicious)| *malicious == wanted).map(|(score, _)| *score).collect()
    };
    let (negatives, positives) = (class(false), class(true));
    if negatives.is_empty() || positives.is_empty() {
        return 0.5;
    }
    placements(&positives, &negatives).iter().sum::<f64>() / positives.len() as f64
}

/// The share of `others` that each score is above, ties counting half; `others` is not empty.
pub(crate) fn placements(scores: &[f64], others: &[f64]) -> Vec<f64> {
    let others = descending(others.to_vec());
    let place = |score: &f64| {
        let above = others.partition_point(|other| other > score);
        let not_below = others.partition_point(|other| other >= score);
        1.0 - (above + not_below) as f64 / (2 * others.len()) as f64
    };
    scores.iter().map(place).collect()
}

/// Scores, highest first.
pub(crate) fn descending(mut scores: Vec<f64>) -> Vec<f64> {
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    scores
}

/// How many of `count` names may be flagged at a rate. A whole number times its inverse is that number, rounding or
/// not.
pub(crate) fn allowed(count: usize, rate: f64) -> usize {
    (rate * count as f64 + 1e-9).floor() as usize
}

/// The share of `positives` at or above the lowest threshold that at most the share `rate` of `negatives`
/// reaches.
pub fn recall_at(negatives: &[f64], positives: &[f64], rate: f64) -> f64 {
    let descending = descending(negatives.to_vec());
    let above = descending.get(allowed(descending.len(), rate)).copied().unwrap_or(f64::NEG_INFINITY);
    let found = positives.iter().filter(|score| **score > above).count();
    found as f64 / positives.len().max(1) as f64
}

/// Upper end of the one-sided 95 % Clopper-Pearson interval for `hits` of `trials`.
pub fn upper_bound(hits: usize, trials: usize) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (0.0f64, 1.0f64);
    for _ in 0..100 {
        let rate = (low + high) / 2.0;
        // P(at most `hits`) for this rate, by the ratio of neighbouring terms.
        let mut term = trials as f64 * (-rate).ln_1p();
        let mut total = 0.0;
        for k in 0..=hits {
            total += term.exp();
            let (k, n) = (k as f64, trials as f64);
            term += ((n - k) / (k + 1.0)).ln() + rate.ln() - (-rate).ln_1p();
        }
        if total > 0.05 { low = rate } else { high = rate }
    }
    high
}

/// Platt's scaling for an even mixture of clean and malicious names (Newton's method on the logistic loss).
/// Benign names of a single list are left out: some of them are malicious in truth, and would flatten it.
pub fn calibrate(scored: &[Scored<'_>]) -> Calibration {
    let scored: Vec<&Scored> =
        scored.iter().filter(|s| s.example.is_malicious() || s.example.clean).collect();
    let count =
        |malicious: bool| scored.iter().filter(|s| s.example.is_malicious() == malicious).count() as f64;
    let (positives, negatives) = (count(true).max(1.0), count(false).max(1.0));
    let (mut slope, mut intercept) = (1.0f64, 0.0f64);
    for _ in 0..50 {
        // A whiff of a Gaussian prior around 1 keeps a separable set finite.
        let (mut g0, mut g1) = (0.0, 1e-6 * (slope - 1.0));
        let (mut h00, mut h01, mut h11) = (1e-9, 0.0, 1e-6);
        for scored in &scored {
            let x = f64::from(scored.logit);
            let (target, weight) =
                if scored.example.is_malicious() { (1.0, 0.5 / positives) } else { (0.0, 0.5 / negatives) };
            let p = dnsvet_core::model::sigmoid(slope * x + intercept);
            let (error, curve) = ((p - target) * weight, p * (1.0 - p) * weight);
            g0 += error;
            g1 += error * x;
            h00 += curve;
            h01 += curve * x;
            h11 += curve * x * x;
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.abs() < 1e-18 {
            break;
        }
        let (step0, step1) = ((g0 * h11 - g1 * h01) / determinant, (g1 * h00 - g0 * h01) / determinant);
        intercept -= step0;
        slope = (slope - step1).max(1e-3);
        if step0.abs() + step1.abs() < 1e-10 {
            break;
        }
    }
    Calibration { slope: short(slope), intercept: short(intercept), balance: 0.5 }
}

/// To nine digits: short enough to stand exactly in a manifest's JSON.
fn short(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// The same, not below the value.
fn short_above(value: f64) -> f64 {
    let rounded = short(value);
    if rounded >= value { rounded } else { short(rounded * (1.0 + 1e-8)) }
}

/// The worst logit of each clean registrable domain.
fn worst_of_clean(scored: &[Scored<'_>]) -> Vec<f32> {
    let mut worst: HashMap<&str, f32> = HashMap::new();
    for scored in scored.iter().filter(|s| s.example.clean) {
        let slot = worst.entry(scored.example.domain()).or_insert(f32::NEG_INFINITY);
        *slot = slot.max(scored.logit);
    }
    let mut worst: Vec<f32> = worst.into_values().collect();
    worst.sort_by(|a, b| b.total_cmp(a));
    worst
}

/// Thresholds on the probability at `prior`: `block_above` lets [`FALSE_BLOCK_BUDGET`] of the clean domains
/// through at most and is never below [`LEAST_CONFIDENCE`]; `allow_below` leaves 14 % of an even mixture of
/// benign and malicious names between the two.
pub fn thresholds(scored: &[Scored<'_>], calibration: &Calibration, prior: f64) -> Thresholds {
    let worst = worst_of_clean(scored);
    let allowed = (FALSE_BLOCK_BUDGET * worst.len() as f64).floor() as usize;
    let over = worst.get(allowed).copied().unwrap_or(0.0);
    // The next float above the first domain that must not be blocked.
    let block_above =
        short_above(calibration.probability(over, prior).next_up()).clamp(LEAST_CONFIDENCE, 1.0);

    let class =
        |malicious: bool| scored.iter().filter(|s| s.example.is_malicious() == malicious).count() as f64;
    let shares = [0.5 / class(false).max(1.0), 0.5 / class(true).max(1.0)];
    let weighed = scored
        .iter()
        .map(|s| (calibration.probability(s.logit, prior), shares[usize::from(s.example.is_malicious())]));
    let mut below: Vec<(f64, f64)> = weighed.filter(|(p, _)| *p < block_above).collect();
    below.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut left = UNCERTAIN;
    let first_allowed = below.iter().find(|(_, share)| {
        left -= share;
        left < 0.0
    });
    let allow_below = first_allowed.map_or(0.0, |(p, _)| short_above(p.next_up()));
    Thresholds { allow_below: allow_below.min(block_above), block_above }
}

/// What the card reports, on names that neither training nor calibration saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Benign names tested.
    pub benign: usize,
    /// Of these, clean ones (in two independent lists, or .edu, .gov).
    pub clean: usize,
    /// Malicious names tested.
    pub malicious: usize,
    /// Area under the ROC curve, all benign names.
    pub auc: f64,
    /// The same, clean names only.
    pub clean_auc: f64,
    /// Share of malicious names found when 1 % of the clean names are flagged.
    pub recall_at_1e2: f64,
    /// The same for 0.1 %.
    pub recall_at_1e3: f64,
    /// Clean registrable domains with a name at or above `block_above`.
    pub false_blocks: usize,
    /// Clean registrable domains tested.
    pub clean_domains: usize,
    /// One-sided 95 % Clopper-Pearson bound of their rate.
    pub false_block_bound: f64,
    /// Share of malicious names at or above `block_above`.
    pub blocked: f64,
    /// Share of benign names between the thresholds.
    pub uncertain_benign: f64,
    /// Share of malicious names between the thresholds.
    pub uncertain_malicious: f64,
    /// Share of malicious names below `allow_below`.
    pub missed: f64,
}

/// Measures on held-back names; `p` gives the probability at the declared prior.
pub fn metrics(scored: &[Scored<'_>], thresholds: Thresholds, p: impl Fn(f32) -> f64) -> Metrics {
    let pick = |wanted: fn(&Example) -> bool| -> Vec<f64> {
        scored.iter().filter(|s| wanted(s.example)).map(|s| f64::from(s.logit)).collect()
    };
    let (benign, clean) = (pick(|e| !e.is_malicious()), pick(|e| e.clean));
    let malicious = pick(Example::is_malicious);
    let pairs = |negatives: &[f64]| -> Vec<(f64, bool)> {
        let positives = malicious.iter().map(|score| (*score, true));
        negatives.iter().map(|score| (*score, false)).chain(positives).collect()
    };
    let Thresholds { allow_below, block_above } = thresholds;
    let share = |logits: &[f64], wanted: &dyn Fn(f64) -> bool| {
        let found = logits.iter().filter(|logit| wanted(p(**logit as f32))).count();
        found as f64 / logits.len().max(1) as f64
    };
    let between = |p: f64| p >= allow_below && p < block_above;
    let domains = worst_of_clean(scored);
    let false_blocks = domains.iter().filter(|logit| p(**logit) >= block_above).count();
    Metrics {
        benign: benign.len(),
        clean: clean.len(),
        malicious: malicious.len(),
        auc: auc(&pairs(&benign)),
        clean_auc: auc(&pairs(&clean)),
        recall_at_1e2: recall_at(&clean, &malicious, 1e-2),
        recall_at_1e3: recall_at(&clean, &malicious, 1e-3),
        false_blocks,
        clean_domains: domains.len(),
        false_block_bound: upper_bound(false_blocks, domains.len()),
        blocked: share(&malicious, &|p| p >= block_above),
        uncertain_benign: share(&benign, &between),
        uncertain_malicious: share(&malicious, &between),
        missed: share(&malicious, &|p| p < allow_below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Class;

    #[test]
    fn auc_counts_pairs_in_order_and_ties_half() {
        assert_eq!(auc(&[(0.1, false), (0.2, false), (0.3, true)]), 1.0);
        assert_eq!(auc(&[(0.3, false), (0.2, true)]), 0.0);
        assert_eq!(auc(&[(0.3, false), (0.3, true)]), 0.5);
        assert_eq!(auc(&[(0.1, false), (0.2, true), (0.3, false), (0.4, true)]), 0.75);
    }

    #[test]
    fn recall_is_taken_above_the_negatives_that_may_pass() {
        let negatives: Vec<f64> = (0..100).map(f64::from).collect();
        let positives = [50.0, 97.5, 98.5, 200.0];
        assert_eq!(recall_at(&negatives, &positives, 0.0), 0.25);
        assert_eq!(recall_at(&negatives, &positives, 0.01), 0.5);
        assert_eq!(recall_at(&negatives, &positives, 0.02), 0.75);
    }

    #[test]
    fn the_bound_is_clopper_and_pearson_s() {
        // 1 - 0.05^(1/n) for none of n; R's binom.test for the other.
        assert!((upper_bound(0, 1_000) - (1.0 - 0.05f64.powf(1e-3))).abs() < 1e-9);
        assert!((upper_bound(2, 100) - 0.061_62).abs() < 1e-4);
        assert_eq!(upper_bound(5, 5), 1.0);
    }

    fn examples() -> Vec<(Example, f32)> {
        let example = |i: usize, malicious: bool| {
            let class = if malicious { Class::Malware } else { Class::Benign };
            Example::new(format!("n{i}.com"), class, !malicious, "list".into())
        };
        // Log-odds of malicious are logit + 1 by construction: logistic noise around -1.
        let mut random = crate::data::Random::new(2);
        let mut all = Vec::new();
        for i in 0..40_000 {
            let logit = 6.0 * random.signed();
            let p = 1.0 / (1.0 + (-(2.0 * logit + 1.0)).exp());
            all.push((example(i, (random.signed() + 1.0) / 2.0 < p), logit as f32));
        }
        all
    }

    #[test]
    fn platt_s_scaling_finds_slope_and_intercept() {
        let examples = examples();
        let scored: Vec<Scored> =
            examples.iter().map(|(example, logit)| Scored { example, logit: *logit }).collect();
        let calibration = calibrate(&scored);
        // Both classes count the same there; here about as many names are in each.
        let malicious = scored.iter().filter(|s| s.example.is_malicious()).count() as f64;
        let shift = (malicious / (scored.len() as f64 - malicious)).ln();
        assert!((calibration.slope - 2.0).abs() < 0.1, "{calibration:?}");
        assert!((calibration.intercept + shift - 1.0).abs() < 0.1, "{calibration:?}, {shift}");
    }

    #[test]
    fn rounded_numbers_stay_on_their_side() {
        let mut random = crate::data::Random::new(3);
        for _ in 0..10_000 {
            let value = (random.signed() + 1.0) / 2.0 * 10f64.powi(random.below(10) as i32 - 9);
            let (near, above) = (short(value), short_above(value));
            assert!(above >= value && (above - value) <= 3e-8 * value, "{value}: {above}");
            assert!((near - value).abs() <= 1e-8 * value);
            let json = serde_json::to_string(&above).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), above.to_bits(), "{json}");
        }
    }

    #[test]
    fn thresholds_keep_the_budget_and_leave_something_uncertain() {
        let examples = examples();
        let scored: Vec<Scored> =
            examples.iter().map(|(example, logit)| Scored { example, logit: *logit }).collect();
        let calibration = calibrate(&scored);
        let thresholds = thresholds(&scored, &calibration, 0.01);
        let metrics = metrics(&scored, thresholds, |logit| calibration.probability(logit, 0.01));
        let allowed = (FALSE_BLOCK_BUDGET * metrics.clean_domains as f64) as usize;
        assert!(metrics.false_blocks <= allowed && thresholds.block_above >= LEAST_CONFIDENCE);
        let uncertain = (metrics.uncertain_benign + metrics.uncertain_malicious) / 2.0;
        assert!((uncertain - UNCERTAIN).abs() < 0.001, "{metrics:?}");
        assert!(metrics.false_block_bound > FALSE_BLOCK_BUDGET);
    }
}
