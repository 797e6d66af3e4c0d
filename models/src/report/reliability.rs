//! Whether a score means what it says, where clean and malicious names weigh the same.
//!
//! Benign names of a single list are left out, as in calibration: some of them are malicious in truth.

use serde::{Deserialize, Serialize};

use super::interval::wilson;

/// Bins of equal width.
const BINS: usize = 15;

/// Reliability diagram and its one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Bins of equal width over [0, 1]; those without names are left out.
    pub bins: Vec<Bin>,
    /// Mean distance between score and share of malicious names over the bins, by their weight (Naeini 2015).
    pub expected_calibration_error: f64,
}

/// Names of like score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Scores from here.
    pub from: f64,
    /// To here; the end belongs to the next bin, but for 1.
    pub to: f64,
    /// Names.
    pub names: usize,
    /// Their share of all weight.
    pub weight: f64,
    /// Their mean score.
    pub mean_score: f64,
    /// The share of malicious weight among them.
    pub malicious: f64,
    /// Lower end of its 95 % interval (Wilson, on Kish's effective number of names).
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
}

#[derive(Default, Clone, Copy)]
struct Sum {
    names: usize,
    weight: f64,
    squares: f64,
    scores: f64,
    malicious: f64,
}

/// Both sides weigh one half, whatever their numbers.
pub(super) fn reliability(clean: &[f64], malicious: &[f64]) -> Reliability {
    let mut sums = [Sum::default(); BINS];
    for (scores, label) in [(clean, 0.0), (malicious, 1.0)] {
        let weight = 0.5 / scores.len().max(1) as f64;
        for score in scores {
            let sum = &mut sums[((score * BINS as f64) as usize).min(BINS - 1)];
            sum.names += 1;
            sum.weight += weight;
            sum.squares += weight * weight;
            sum.scores += weight * score;
            sum.malicious += weight * label;
        }
    }
    let bins: Vec<Bin> =
        sums.iter().enumerate().filter(|(_, sum)| sum.names > 0).map(|(at, sum)| bin(at, sum)).collect();
    let expected_calibration_error =
        bins.iter().map(|bin| bin.weight * (bin.mean_score - bin.malicious).abs()).sum();
    Reliability { bins, expected_calibration_error }
}

fn bin(at: usize, sum: &Sum) -> Bin {
    let share = sum.malicious / sum.weight;
    let [low, high] = wilson(share, sum.weight * sum.weight / sum.squares);
    Bin {
        from: at as f64 / BINS as f64,
        to: (at + 1) as f64 / BINS as f64,
        names: sum.names,
        weight: sum.weight,
        mean_score: sum.scores / sum.weight,
        malicious: share,
        low,
        high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Random;

    #[test]
    fn shares_and_error_are_right_by_hand() {
        // Clean weighs 1/8 a name, malicious 1/4: the low bin holds 3/8 clean, 1/4 malicious.
        let result = reliability(&[0.01, 0.01, 0.01, 0.99], &[0.01, 0.99]);
        let [low, high] = &result.bins[..] else { panic!("{result:?}") };
        assert_eq!((low.names, low.weight, low.malicious), (4, 0.625, 0.4));
        assert_eq!((high.names, high.weight), (2, 0.375));
        assert!((high.malicious - 2.0 / 3.0).abs() < 1e-12 && low.low < 0.4 && low.high > 0.4);
        let expected = 0.625 * 0.39 + 0.375 * (0.99 - 2.0 / 3.0);
        assert!((result.expected_calibration_error - expected).abs() < 1e-12, "{result:?}");
    }

    #[test]
    fn a_calibrated_score_has_almost_no_error_and_a_distorted_one_has() {
        let mut random = Random::new(4);
        let (mut clean, mut malicious) = (Vec::new(), Vec::new());
        for _ in 0..60_000 {
            let score = (random.signed() + 1.0) / 2.0;
            let side = if (random.signed() + 1.0) / 2.0 < score { &mut malicious } else { &mut clean };
            side.push(score);
        }
        assert!(reliability(&clean, &malicious).expected_calibration_error < 0.01);
        for side in [&mut clean, &mut malicious] {
            side.iter_mut().for_each(|score| *score = *score * *score);
        }
        // The mean of |s - s^2| over [0, 1] is 1/6.
        let error = reliability(&clean, &malicious).expected_calibration_error;
        assert!((error - 1.0 / 6.0).abs() < 0.01, "{error}");
    }
}
