//! The characters that counted most, as a person reads them.

use std::ops::Range;

use super::Attribution;

/// A share of the largest byte below which a byte belongs to no span.
const LEAST_SHARE: f64 = 0.1;

/// Bytes beside each other that speak for the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Where in the name they stand, bytes.
    pub range: Range<usize>,
    /// What they moved together, in units of the logit.
    pub logit: f64,
}

impl Attribution {
    /// At most `most` spans, those that moved the logit furthest first. A byte that moved it by less than a tenth of what
    /// the strongest byte did ends a span.
    pub fn spans(&self, most: usize) -> Vec<Span> {
        let largest = self.bytes.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let sign = |value: f64| if value.abs() <= largest * LEAST_SHARE { 0.0 } else { value.signum() };
        let mut at = 0;
        let mut spans = Vec::new();
        for run in self.bytes.chunk_by(|a, b| sign(*a) == sign(*b)) {
            if run.first().is_some_and(|value| sign(*value) != 0.0) {
                spans.push(Span { range: at..at + run.len(), logit: run.iter().sum() });
            }
            at += run.len();
        }
        spans.sort_by(|a, b| b.logit.abs().total_cmp(&a.logit.abs()));
        spans.truncate(most);
        spans
    }
}
