//! What each filter of a table CNN moved, back through its layers to the bytes of the windows that it answered to.
//!
//! ```text
//! bytes ─► Windows (convolution) ─► Pool (relu, maximum, mean) ─► Dense (relu) ─► logit
//!       ◄─ shares                ◄─ slopes                     ◄─ slopes       ◄─ 1
//! ```
//!
//! Each layer has a way forward and a way back. The reference is the average character in each place of the text: tables
//! and biases can shift constants between them without any change of a logit, and a difference of two characters is free
//! of that. Between the reference and the text only the convolution's sums move, on a straight line, so they are
//! computed once and the way is walked behind them.

use super::Attribution;
use crate::model::table::{BankWeights, LANES, Table, TableWeights};
use crate::model::tokenizer::{ALPHABET, Framed, OTHER, PAD, TEXT_TOKENS, frame};

/// Steps from the reference to the text. More do not rank bytes better; fewer leave more over.
const STEPS: usize = 8;

/// Adds `weight` times the table's logit of a text, which starts at byte `at` of the name.
pub(super) fn attribute(table: &Table, weight: f64, text: &str, at: usize, out: &mut Attribution) {
    let weights = table.weights();
    let framed = frame(text);
    let mut banks: Vec<Bank<'_>> = weights.banks.iter().map(|bank| Bank::new(bank, &framed)).collect();
    let mut dense = Dense::new(weights);
    for step in 0..STEPS {
        let way = (step as f32 + 0.5) / STEPS as f32;
        dense.forward(&mut banks, way);
        let slopes = dense.backward();
        let mut rest = slopes.as_slice();
        for bank in &mut banks {
            let Some((own, others)) = rest.split_at_checked(2 * bank.windows.filters) else { break };
            bank.pool.backward(&mut bank.windows, way, own);
            rest = others;
        }
    }
    let mut shared = 0.0;
    for bank in &banks {
        shared += bank.windows.share(&framed, weight / STEPS as f64, at, out);
    }
    out.rest += weight * dense.forward(&mut banks, 1.0) - shared;
}

/// The logit of the reference of a text: what [`attribute`] leaves to no byte, but for what its steps leave over.
#[cfg(test)]
pub(super) fn reference(table: &Table, text: &str) -> f64 {
    let framed = frame(text);
    let mut banks: Vec<Bank<'_>> =
        table.weights().banks.iter().map(|bank| Bank::new(bank, &framed)).collect();
    Dense::new(table.weights()).forward(&mut banks, 0.0)
}

/// One convolution and its pooling.
struct Bank<'a> {
    windows: Windows<'a>,
    pool: Pool,
}

impl<'a> Bank<'a> {
    fn new(weights: &'a BankWeights, text: &Framed) -> Self {
        let windows = Windows::new(weights, text);
        let filters = windows.filters;
        let pool =
            Pool { maximum: vec![0.0; filters], winners: vec![0.0; filters], total: vec![0.0; filters] };
        Self { windows, pool }
    }
}

/// A convolution over the windows that hold text, and one of padding where there is more.
struct Windows<'a> {
    weights: &'a BankWeights,
    filters: usize,
    /// `[tap][filter]`: the row of the average character.
    average: Vec<f32>,
    /// `[window][filter]`: the sum where each byte of the text is the average character.
    reference: Vec<f32>,
    /// `[window][filter]`: what the text itself adds.
    moved: Vec<f32>,
    /// `[window][filter]`: how far the logit follows, summed over steps.
    slopes: Vec<f32>,
    /// How often the last window is there.
    padding: usize,
    /// How many windows there are, all of padding included.
    count: usize,
}

impl<'a> Windows<'a> {
    fn new(weights: &'a BankWeights, (tokens, used): &Framed) -> Self {
        let (filters, width) = (weights.bias.len(), weights.width);
        let average = average(weights);
        let count = TEXT_TOKENS - width + 1;
        let live = count.min(used + 1);
        let kept = count.min(live + 1);
        let mut reference = Vec::with_capacity(kept * filters);
        let mut moved = vec![0.0; kept * filters];
        for (window, moved) in tokens.windows(width).zip(moved.chunks_exact_mut(filters)) {
            let start = reference.len();
            reference.extend_from_slice(&weights.bias);
            let sum = reference.get_mut(start..).unwrap_or_default();
            for ((tap, token), average) in window.iter().enumerate().zip(average.chunks_exact(filters)) {
                let row = row(weights, tap, *token);
                if *token == PAD {
                    add(sum, row);
                } else {
                    add(sum, average);
                    for ((moved, value), average) in moved.iter_mut().zip(row).zip(average) {
                        *moved += value - average;
                    }
                }
            }
        }
        let slopes = vec![0.0; moved.len()];
        Self { weights, filters, average, reference, moved, slopes, padding: count - live, count }
    }

    /// Windows in order: what they give at the reference, what the text adds, and how often they are there.
    fn each(&self) -> impl Iterator<Item = (&[f32], &[f32], f32)> {
        let last = (self.reference.len() / self.filters).saturating_sub(1);
        let both = self.reference.chunks_exact(self.filters).zip(self.moved.chunks_exact(self.filters));
        both.enumerate().map(move |(at, (reference, moved))| {
            let times = if at == last && self.padding > 0 { self.padding as f32 } else { 1.0 };
            (reference, moved, times)
        })
    }

    /// Gives each byte what it moved in each window that it stands in; what that is together.
    fn share(&self, (tokens, used): &Framed, weight: f64, at: usize, out: &mut Attribution) -> f64 {
        let mut shared = 0.0;
        for (start, slopes) in self.slopes.chunks_exact(self.filters).enumerate() {
            for (tap, average) in self.average.chunks_exact(self.filters).enumerate() {
                let place = start + tap;
                let Some(token) = tokens.get(place).filter(|_| (1..=*used).contains(&place)) else {
                    continue;
                };
                let moved = dot(slopes, row(self.weights, tap, *token)) - dot(slopes, average);
                let moved = weight * f64::from(moved);
                shared += moved;
                out.add(at + place - 1, moved);
            }
        }
        shared
    }
}

fn row(weights: &BankWeights, tap: usize, token: u8) -> &[f32] {
    let filters = weights.bias.len();
    let start = (tap * ALPHABET + usize::from(token)) * filters;
    weights.table.get(start..start + filters).unwrap_or_default()
}

/// `[tap][filter]`: the mean row of all characters that names are written in.
fn average(weights: &BankWeights) -> Vec<f32> {
    let filters = weights.bias.len();
    let mut average = vec![0.0; weights.width * filters];
    for (tap, mean) in average.chunks_exact_mut(filters).enumerate() {
        for token in PAD + 1..OTHER {
            add(mean, row(weights, tap, token));
        }
        mean.iter_mut().for_each(|value| *value /= f32::from(OTHER - PAD - 1));
    }
    average
}

/// Of two rows whose lengths are multiples of [`LANES`].
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

fn add(sum: &mut [f32], row: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += value;
    }
}

/// Relu, then the maximum and the mean of each filter over all windows.
struct Pool {
    maximum: Vec<f32>,
    /// How many windows gave the maximum.
    winners: Vec<f32>,
    total: Vec<f32>,
}

impl Pool {
    /// Appends the maxima and then the means, `way` of the way from the reference to the text.
    fn forward(&mut self, windows: &Windows<'_>, way: f32, pooled: &mut Vec<f32>) {
        self.maximum.fill(0.0);
        self.winners.fill(1.0);
        self.total.fill(0.0);
        for (reference, moved, times) in windows.each() {
            let kept = self.maximum.iter_mut().zip(&mut self.winners).zip(&mut self.total);
            for (((maximum, winners), total), (reference, moved)) in kept.zip(reference.iter().zip(moved)) {
                let value = positive(reference + way * moved);
                *total += value * times;
                let same = if value == *maximum { *winners + 1.0 } else { *winners };
                (*winners, *maximum) = if value > *maximum { (1.0, value) } else { (same, *maximum) };
            }
        }
        pooled.extend(&self.maximum);
        pooled.extend(self.total.iter().map(|total| total / windows.count as f32));
    }

    /// Adds the slopes of maxima to the windows that won, those of means to all that are open.
    fn backward(&self, windows: &mut Windows<'_>, way: f32, slopes: &[f32]) {
        let filters = windows.filters;
        let Some((maxima, means)) = slopes.split_at_checked(filters) else { return };
        let won: Vec<f32> =
            maxima.iter().zip(&self.winners).map(|(slope, winners)| slope / winners).collect();
        let means: Vec<f32> = means.iter().map(|slope| slope / windows.count as f32).collect();
        let both = windows.reference.chunks_exact(filters).zip(windows.moved.chunks_exact(filters));
        for (into, (reference, moved)) in windows.slopes.chunks_exact_mut(filters).zip(both) {
            let slopes = won.iter().zip(&means).zip(&self.maximum);
            for ((into, ((won, mean), maximum)), (reference, moved)) in
                into.iter_mut().zip(slopes).zip(reference.iter().zip(moved))
            {
                let value = reference + way * moved;
                let slope = if value >= *maximum { won + mean } else { *mean };
                *into += if value > 0.0 { slope } else { 0.0 };
            }
        }
    }
}

fn positive(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

/// The hidden layer and the output.
struct Dense<'a> {
    weights: &'a TableWeights,
    pooled: Vec<f32>,
    sums: Vec<f32>,
}

impl<'a> Dense<'a> {
    fn new(weights: &'a TableWeights) -> Self {
        Self { weights, pooled: Vec::new(), sums: Vec::new() }
    }

    /// The logit, `way` of the way from the reference to the text.
    fn forward(&mut self, banks: &mut [Bank<'_>], way: f32) -> f64 {
        self.pooled.clear();
        for bank in banks {
            bank.pool.forward(&bank.windows, way, &mut self.pooled);
        }
        let w = self.weights;
        self.sums.clone_from(&w.hidden_bias);
        for (value, row) in self.pooled.iter().zip(w.hidden.chunks_exact(w.hidden_bias.len())) {
            for (sum, weight) in self.sums.iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
        let units = self.sums.iter().zip(&w.output).map(|(sum, weight)| f64::from(positive(*sum) * weight));
        f64::from(w.output_bias) + units.sum::<f64>()
    }

    /// How far the logit follows each input.
    fn backward(&self) -> Vec<f32> {
        let w = self.weights;
        let open = |(sum, weight): (&f32, &f32)| if *sum > 0.0 { *weight } else { 0.0 };
        let open: Vec<f32> = self.sums.iter().zip(&w.output).map(open).collect();
        w.hidden.chunks_exact(open.len()).map(|row| dot(row, &open)).collect()
    }
}
