//! From a logit to a probability: Platt's scaling, then the correction for how rare malicious names are.
//!
//! The surprise: `exp` here is our own. It uses additions, multiplications and one bit shift only, which
//! IEEE 754 defines to the last bit, so the score of a logit is the same in native code and in wasm. The
//! platforms' own `exp` differ in the last digit.

/// The share of malicious names among the unlisted ones that a filter asks a model about, unless declared.
pub const UNLISTED_PRIOR: f64 = 0.01;

/// Platt scaling: `slope * logit + intercept` is the log-odds of malicious under the training balance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Factor of the raw logit, above 0 (a higher logit is never a lower score).
    pub slope: f64,
    /// Added after the factor.
    pub intercept: f64,
    /// Share of malicious names among those that slope and intercept were fitted on, in (0, 1).
    pub balance: f64,
}

impl Calibration {
    /// A raw logit taken as it is, from a balanced training set.
    pub const RAW: Self = Self { slope: 1.0, intercept: 0.0, balance: 0.5 };

    /// The probability of malicious under the training balance, in [0, 1].
    pub fn score(&self, logit: f32) -> f64 {
        sigmoid(self.slope * f64::from(logit) + self.intercept)
    }

    /// The same for a population of which the share `prior`, in (0, 1), is malicious (Saerens 2002).
    pub fn probability(&self, logit: f32, prior: f64) -> f64 {
        let shift = odds(prior) / odds(self.balance);
        // Both factors are finite, but their product may be too large to be.
        let odds = (exp(self.slope * f64::from(logit) + self.intercept) * shift).min(f64::MAX);
        odds / (1.0 + odds)
    }

    pub(super) fn is_sound(&self) -> bool {
        let inside = self.balance > 0.0 && self.balance < 1.0;
        inside && self.slope > 0.0 && self.slope < 1e6 && self.intercept.abs() < 1e6
    }
}

fn odds(share: f64) -> f64 {
    let share = share.clamp(1e-12, 1.0 - 1e-12);
    share / (1.0 - share)
}

/// The logistic function, in [0, 1], the same to the last bit on every platform.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + exp(-x))
    } else {
        let e = exp(x);
        e / (1.0 + e)
    }
}

/// `e^x` for |x| <= 690, clamped beyond (so finite, and never 0); relative error below 1e-15.
fn exp(x: f64) -> f64 {
    // ln 2 in two parts (fdlibm): the high part has zeros at its end, so that `k * HIGH` is exact.
    const HIGH: f64 = 6.931_471_803_691_238e-1;
    const LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = x.clamp(-690.0, 690.0);
    let k = (x * std::f64::consts::LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }) as i64;
    let kf = k as f64;
    let r = (x - kf * HIGH) - kf * LOW;
    // Taylor around 0 for |r| <= 0.35: the 15th term is below 1e-18.
    let mut sum = 1.0;
    for n in (1..=14).rev() {
        sum = 1.0 + sum * r / f64::from(n);
    }
    sum * f64::from_bits(((k + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_platform() {
        for i in -69_000..=69_000 {
            let x = f64::from(i) / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn sigmoid_rises_from_zero_to_one() {
        assert!(sigmoid(-800.0) < 1e-290 && sigmoid(800.0) == 1.0);
        assert_eq!(sigmoid(0.0), 0.5);
        let mut last = 0.0;
        for i in -3_000..=3_000 {
            let next = sigmoid(f64::from(i) / 100.0);
            assert!(next >= last, "{i}");
            last = next;
        }
    }

    #[test]
    fn the_surest_logit_of_the_most_lopsided_training_set_is_a_probability() {
        let lopsided = |balance: f64| Calibration { slope: 1e5, intercept: 0.0, balance };
        for (logit, want) in [(1e5, 1.0), (-1e5, 0.0)] {
            for (balance, prior) in [(1e-300, 1.0 - 1e-16), (1.0 - 1e-16, 1e-300)] {
                let probability = lopsided(balance).probability(logit, prior);
                assert!((probability - want).abs() < 1e-200, "{logit} {balance}: {probability}");
            }
        }
    }

    #[test]
    fn a_rare_prior_lowers_the_probability_and_the_balance_itself_leaves_it() {
        let calibration = Calibration { slope: 1.3, intercept: -0.2, balance: 0.5 };
        let score = calibration.score(2.0);
        assert!((calibration.probability(2.0, 0.5) - score).abs() < 1e-12);
        let rare = calibration.probability(2.0, 0.01);
        let expected = score / (1.0 - score) / 99.0;
        assert!((rare - expected / (1.0 + expected)).abs() < 1e-12);
    }
}
