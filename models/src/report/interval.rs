//! How far a count carries: 95 % intervals of shares, and where a count should lie.
//!
//! The surprise: a threshold that is set on n clean names is itself off by chance, so a second count of n names
//! scatters twice as far (in variance) as Poisson says. [`beside`] knows that, [`poisson`] does not.

use serde::{Deserialize, Serialize};

/// Two-sided 95 % of a normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;
/// What is left out on either side.
const TAIL: f64 = 0.025;

/// So many of so many, with Wilson's 95 % interval (Wilson 1927; Newcombe 1998, method 3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub hits: usize,
    /// Of how many.
    pub of: usize,
    /// `hits / of`; 0 of none.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval; 1 of none.
    pub high: f64,
}

impl Share {
    /// `hits` is at most `of`.
    pub fn new(hits: usize, of: usize) -> Self {
        let rate = hits as f64 / of.max(1) as f64;
        let [low, high] = wilson(rate, of as f64);
        Self { hits, of, rate, low, high }
    }

    /// The share of items that are wanted.
    pub(super) fn among<T>(items: impl IntoIterator<Item = T>, wanted: impl Fn(T) -> bool) -> Self {
        let (mut hits, mut of) = (0, 0);
        for item in items {
            hits += usize::from(wanted(item));
            of += 1;
        }
        Self::new(hits, of)
    }
}

/// Wilson's interval of a rate seen in `trials`, which need not be whole (names that weigh unlike).
pub(super) fn wilson(rate: f64, trials: f64) -> [f64; 2] {
    if trials <= 0.0 {
        return [0.0, 1.0];
    }
    let square = Z * Z / trials;
    let centre = (rate + square / 2.0) / (1.0 + square);
    let half = Z * (rate * (1.0 - rate) / trials + square / (4.0 * trials)).sqrt() / (1.0 + square);
    // Rounding must not put the end of an empty or full share beside it.
    let low = if rate <= 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if rate >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// The counts between which a Poisson variable of this mean lies, 2.5 % at most on either side.
pub(super) fn poisson(mean: f64) -> [usize; 2] {
    central(-mean, |k| mean.ln() - (k + 1.0).ln())
}

/// The same for how many of `counted` names lie above the `allowed + 1`-th highest of `set_on` others of their
/// kind (negative hypergeometric); `allowed` is below `set_on`.
pub(super) fn beside(allowed: usize, set_on: usize, counted: usize) -> [usize; 2] {
    let (set_on, others) = (set_on as f64, counted as f64);
    let first = (0..=allowed).map(|i| ((set_on - i as f64) / (set_on + others - i as f64)).ln()).sum();
    let allowed = allowed as f64;
    central(first, |k| {
        let left = set_on + others - allowed - 1.0 - k;
        if k >= others {
            f64::NEG_INFINITY
        } else {
            ((k + allowed + 1.0) / (k + 1.0) * (others - k) / left).ln()
        }
    })
}

/// The central 95 % of a distribution on 0, 1, 2 and so on, by the logarithms of its first term and of the ratio
/// of each to the one before.
fn central(first: f64, ratio: impl Fn(f64) -> f64) -> [usize; 2] {
    let (mut term, mut below, mut low) = (first, 0.0, None);
    for k in 0.. {
        below += term.exp();
        if below > TAIL {
            low.get_or_insert(k);
        }
        term += ratio(k as f64);
        // The last condition ends a sum that rounding keeps below 1.
        if below >= 1.0 - TAIL || (low.is_some() && term < -60.0) {
            return [low.unwrap_or(k), k];
        }
    }
    [0, usize::MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_wilson_s_interval_as_published() {
        // Newcombe 1998, table I, method 3.
        for (hits, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let share = Share::new(hits, of);
            assert!((share.low - low).abs() < 6e-5 && (share.high - high).abs() < 6e-5, "{share:?}");
        }
        assert_eq!((Share::new(0, 0).low, Share::new(0, 0).high), (0.0, 1.0));
        assert_eq!((Share::new(7, 7).high, Share::among([1, 2, 3], |i| i > 1)), (1.0, Share::new(2, 3)));
    }

    #[test]
    fn counts_lie_where_poisson_puts_them() {
        // R: qpois(c(0.025, 0.975), mean)
        for (mean, range) in [(0.1, [0, 1]), (1.0, [0, 3]), (10.0, [4, 17]), (40.0, [28, 53])] {
            assert_eq!(poisson(mean), range, "{mean}");
        }
        let [low, high] = poisson(10_000.0);
        assert!(low.abs_diff(9_804) <= 1 && high.abs_diff(10_196) <= 1, "{low} {high}");
    }

    /// How many of `b` names lie above the `allowed + 1`-th of `a`, over all orders of both.
    fn orders(allowed: usize, a: u32, b: u32) -> Vec<usize> {
        let places = a + b;
        let mut counts = Vec::new();
        for chosen in (0u32..1 << places).filter(|chosen| chosen.count_ones() == b) {
            let (mut seen, mut above) = (0, 0);
            for place in 0..places {
                if chosen >> place & 1 == 1 {
                    above += 1;
                } else if seen == allowed {
                    break;
                } else {
                    seen += 1;
                }
            }
            counts.push(above);
        }
        counts.sort_unstable();
        counts
    }

    #[test]
    fn a_count_beside_an_estimated_threshold_scatters_as_all_orders_do() {
        for (allowed, a, b) in [(0, 6, 6), (1, 8, 5), (2, 7, 9), (0, 3, 12)] {
            let counts = orders(allowed, a, b);
            let [low, high] = beside(allowed, a as usize, b as usize);
            let share = |wanted: &dyn Fn(usize) -> bool| {
                counts.iter().filter(|count| wanted(**count)).count() as f64 / counts.len() as f64
            };
            assert!(share(&|count| count < low) <= TAIL && share(&|count| count <= low) > TAIL);
            assert!(share(&|count| count > high) <= TAIL + 1e-12 && share(&|count| count >= high) > TAIL);
        }
        let ([low, high], [poisson_low, poisson_high]) = (beside(100, 10_000, 10_000), poisson(100.0));
        assert!(low < poisson_low && high > poisson_high, "{low} {high}");
    }
}
