//! The ROC curve near zero: only there can a filter work.
//!
//! The surprise: a rate below one over the clean names can't be told from zero. There the threshold is the worst
//! clean name, and [`Point::allowed`] is 0.

use serde::{Deserialize, Serialize};

use crate::evaluate::{allowed, descending};

/// Points a decade.
const A_DECADE: i32 = 10;

/// One threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The false-positive rate aimed at.
    pub rate: f64,
    /// Clean names that may score above the threshold: the whole part of `rate` times clean names.
    pub allowed: usize,
    /// The highest score that is not flagged.
    pub threshold: f64,
    /// The share of malicious names above it.
    pub found: f64,
}

/// From 1e-4 to 1e-1.
pub(super) fn points(clean: &[f64], malicious: &[f64]) -> Vec<Point> {
    let (clean, malicious) = (descending(clean.to_vec()), descending(malicious.to_vec()));
    let point = |step: i32| {
        let rate = 10f64.powf(f64::from(step) / f64::from(A_DECADE));
        let threshold = cut(&clean, rate);
        let found = malicious.partition_point(|score| *score > threshold);
        let found = found as f64 / malicious.len().max(1) as f64;
        Point { rate, allowed: allowed(clean.len(), rate), threshold, found }
    };
    (-4 * A_DECADE..=-A_DECADE).map(point).collect()
}

/// The lowest score such that at most the share `rate` of the scores lies above it; these are not empty, highest
/// first, and the rate is below 1.
pub(super) fn cut(descending: &[f64], rate: f64) -> f64 {
    descending.get(allowed(descending.len(), rate)).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_ten_a_decade_and_count_by_hand() {
        let clean: Vec<f64> = (0..1_000).map(|i| f64::from(i) / 1_000.0).collect();
        let malicious = [0.95, 0.985, 0.9895, 0.9995];
        let points = points(&clean, &malicious);
        assert_eq!(points.len(), 31);
        let at = |rate: f64| points.iter().find(|point| (point.rate / rate - 1.0).abs() < 1e-9).unwrap();
        // Ten of a thousand may pass: the eleventh, 0.989, is the highest that is not flagged.
        assert_eq!((at(1e-2).allowed, at(1e-2).threshold, at(1e-2).found), (10, 0.989, 0.5));
        assert_eq!((at(1e-4).allowed, at(1e-4).threshold, at(1e-4).found), (0, 0.999, 0.25));
        assert_eq!((at(1e-1).threshold, at(1e-1).found), (0.899, 1.0));
    }

    #[test]
    fn equal_scores_never_pass_the_rate() {
        assert_eq!(cut(&[0.9, 0.5, 0.5, 0.5, 0.1], 0.4), 0.5);
        assert_eq!([allowed(100, 0.01), allowed(99, 0.01), allowed(30_000, 1e-4)], [1, 0, 3]);
    }
}
