//! What each feature of a bag moved, spread evenly over the bytes that it is read from.
//!
//! Along the way from no feature to all of them a hidden unit's input is a straight line, so its relu is open for one
//! known share of the way and the integral is exact.

use super::Attribution;
use crate::model::bag::{Bag, DIMENSIONS};
use crate::model::features::features_with_bytes;

/// Adds `weight` times the bag's logit of a content, which starts at byte `at` of the name.
pub(super) fn attribute(bag: &Bag, weight: f64, content: &str, at: usize, out: &mut Attribution) {
    let found = features_with_bytes(content, bag.reading());
    let share = 1.0 / (found.len().max(1) as f64).sqrt();
    let rows: Vec<[f64; DIMENSIONS]> = found.iter().map(|(feature, _)| bag.row(*feature)).collect();
    let mut sum = [0.0; DIMENSIONS];
    for row in &rows {
        add_scaled(&mut sum, share, row);
    }
    let (start, slopes) = walked(bag, &sum);
    out.rest += weight * start;
    for ((_, from), row) in found.iter().zip(&rows) {
        let moved = weight * share * dot(row, &slopes);
        let each = moved / f64::from(from.count_ones().max(1));
        let mut bits = *from;
        while bits != 0 {
            out.add(at + bits.trailing_zeros() as usize, each);
            bits &= bits - 1;
        }
    }
}

/// The logit of no feature, and what each dimension moves on average along the way to `sum`.
fn walked(bag: &Bag, sum: &[f64; DIMENSIONS]) -> (f64, [f64; DIMENSIONS]) {
    let w = bag.weights();
    let (mut start, mut slopes) = (f64::from(w.output_bias), [0.0; DIMENSIONS]);
    for ((hidden, bias), output) in w.hidden.iter().zip(&w.hidden_bias).zip(&w.output) {
        let (hidden, bias, output) = (hidden.map(f64::from), f64::from(*bias), f64::from(*output));
        start += output * bias.max(0.0);
        add_scaled(&mut slopes, output * open(bias, dot(&hidden, sum)), &hidden);
    }
    (start, slopes)
}

/// The share of the way from `bias` to `bias + step` that lies above 0.
fn open(bias: f64, step: f64) -> f64 {
    let end = bias + step;
    if (bias > 0.0) == (end > 0.0) { f64::from(u8::from(end > 0.0)) } else { bias.max(end) / step.abs() }
}

fn dot(a: &[f64; DIMENSIONS], b: &[f64; DIMENSIONS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(sum: &mut [f64; DIMENSIONS], scale: f64, row: &[f64; DIMENSIONS]) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += scale * value;
    }
}
