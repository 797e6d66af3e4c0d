//! Area under the ROC curve with DeLong's interval (DeLong, DeLong, Clarke-Pearson 1988).
//!
//! The surprise: it takes names as drawn one by one. Clean names come several to a registrable domain, so the
//! interval is somewhat narrow; recall's bootstrap is by domain.

use serde::{Deserialize, Serialize};

use super::interval::Z;
use crate::evaluate::placements;

/// The chance that a malicious name scores above a benign one; equal scores count half.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Auc {
    /// The area.
    pub area: f64,
    /// Lower end of DeLong's 95 % interval.
    pub low: f64,
    /// Upper end of DeLong's 95 % interval.
    pub high: f64,
}

impl Auc {
    /// Of scores in any order; neither side is empty.
    pub fn of(negatives: &[f64], positives: &[f64]) -> Self {
        let over = placements(positives, negatives);
        let under = placements(negatives, positives);
        let area = mean(&over);
        let error = (variance(&over) / over.len() as f64 + variance(&under) / under.len() as f64).sqrt();
        Self { area, low: (area - Z * error).max(0.0), high: (area + Z * error).min(1.0) }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Random;

    /// 1, 1/2 or 0 for each pair.
    fn wins(positive: f64, negative: f64) -> f64 {
        f64::from(u8::from(positive > negative)) + 0.5 * f64::from(u8::from(positive == negative))
    }

    #[test]
    fn area_and_interval_are_those_of_all_pairs() {
        let mut random = Random::new(3);
        let mut draw = |count: usize, shift: f64| -> Vec<f64> {
            // Rounded, so that there are ties.
            (0..count).map(|_| ((random.signed() + shift) * 10.0).round()).collect()
        };
        let (negatives, positives) = (draw(40, 0.0), draw(25, 0.5));
        let (m, n) = (positives.len() as f64, negatives.len() as f64);
        let pairs: f64 = positives.iter().flat_map(|p| negatives.iter().map(|n| wins(*p, *n))).sum();
        let area = pairs / (m * n);
        let by_positive: Vec<f64> =
            positives.iter().map(|p| negatives.iter().map(|n| wins(*p, *n)).sum::<f64>() / n).collect();
        let by_negative: Vec<f64> =
            negatives.iter().map(|n| positives.iter().map(|p| wins(*p, *n)).sum::<f64>() / m).collect();
        let spread = |values: &[f64], count: f64| {
            values.iter().map(|value| (value - area).powi(2)).sum::<f64>() / (count - 1.0) / count
        };
        let error = (spread(&by_positive, m) + spread(&by_negative, n)).sqrt();
        let auc = Auc::of(&negatives, &positives);
        assert!((auc.area - area).abs() < 1e-12, "{auc:?}, by pairs {area}");
        assert!((auc.low - (area - 1.96 * error)).abs() < 1e-5 && (auc.high - auc.low) > 0.05, "{auc:?}");
    }

    #[test]
    fn separate_and_equal_scores_are_one_and_a_half() {
        assert_eq!(Auc::of(&[0.1, 0.2], &[0.3, 0.4]), Auc { area: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(Auc::of(&[0.5, 0.5], &[0.5]).area, 0.5);
    }

    #[test]
    fn the_interval_holds_the_true_area_about_95_times_in_100() {
        // Uniform on [0, 1) against uniform on [0.5, 1.5): the true area is 7/8.
        let mut random = Random::new(5);
        let mut inside = 0;
        for _ in 0..400 {
            let negatives: Vec<f64> = (0..60).map(|_| (random.signed() + 1.0) / 2.0).collect();
            let positives: Vec<f64> = (0..60).map(|_| (random.signed() + 2.0) / 2.0).collect();
            let auc = Auc::of(&negatives, &positives);
            inside += usize::from(auc.low <= 0.875 && 0.875 <= auc.high);
        }
        assert!((360..=395).contains(&inside), "{inside} of 400");
    }
}
