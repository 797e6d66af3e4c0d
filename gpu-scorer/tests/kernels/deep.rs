//! kernels/deep.cu against sums that are taken one by one: no network of core has its layers yet.

use dnsvet_core::model::tokenizer::{ALPHABET, TEXT_TOKENS, tokens};
use dnsvet_scorer::device::{Kernel, Pass, Program, Reads};

use crate::common::weights;
use crate::{Check, names_of_each_length};

/// One of the first layer's tables.
struct Bank {
    width: usize,
    filters: usize,
    /// At position p it sees tokens p - lead and the following.
    lead: usize,
    bias: Vec<f32>,
    /// `[tap][token][filter]`
    table: Vec<f32>,
}

/// A table CNN with a second convolution, laid out as the kernel's source says.
pub struct Deep {
    banks: Vec<Bank>,
    taps: usize,
    bias: Vec<f32>,
    /// `[tap][filter of all tables][channel]`
    kernel: Vec<f32>,
    dense_bias: Vec<f32>,
    /// `[channel][unit]`
    dense: Vec<f32>,
    output: Vec<f32>,
    output_bias: f32,
}

impl Deep {
    /// Six tables of widths 2 to 7 by 32 filters, three taps, 128 channels, 96 units.
    pub fn drawn(state: u64) -> Self {
        let shape: Vec<_> = (2..=7).map(|width| (width, 32, (width - 1) / 2)).collect();
        Self::of_shape(&shape, 3, 128, 96, state)
    }

    /// Tables are width, filters, lead.
    fn of_shape(
        shape: &[(usize, usize, usize)],
        taps: usize,
        channels: usize,
        units: usize,
        state: u64,
    ) -> Self {
        let bank = |(at, &(width, filters, lead)): (usize, &(usize, usize, usize))| Bank {
            width,
            filters,
            lead,
            bias: weights(filters, 0.1, state + 10 * at as u64),
            table: weights(width * ALPHABET * filters, 0.4, state + 10 * at as u64 + 1),
        };
        let inputs: usize = shape.iter().map(|(_, filters, _)| filters).sum();
        Self {
            banks: shape.iter().enumerate().map(bank).collect(),
            taps,
            bias: weights(channels, 0.1, state + 2),
            kernel: weights(taps * inputs * channels, 0.1, state + 3),
            dense_bias: weights(units, 0.1, state + 4),
            dense: weights(channels * units, 0.1, state + 5),
            output: weights(units, 0.3, state + 6),
            output_bias: 0.2,
        }
    }

    pub fn program(&self) -> Program {
        let numbers = [self.banks.len(), self.taps, self.bias.len(), self.dense_bias.len()];
        let banks = self.banks.iter().flat_map(|bank| [bank.width, bank.filters, bank.lead]);
        let shape = numbers.into_iter().chain(banks).map(|number| number as i32).collect();
        let first = self.banks.iter().flat_map(|bank| [&bank.bias, &bank.table]);
        let rest = [&self.bias, &self.kernel, &self.dense_bias, &self.dense, &self.output];
        let mut weights: Vec<f32> = first.chain(rest).flatten().copied().collect();
        weights.push(self.output_bias);
        let pass = Pass { kernel: Kernel::Deep, shape, weights, rows: Vec::new() };
        Program { reads: Reads::Text, passes: vec![pass] }
    }

    /// Every position and every sum, in f64.
    fn logit(&self, name: &str) -> f32 {
        let (tokens, _) = tokens(name);
        let relu = |value: f64| value.max(0.0);
        let token = |at: usize, lead: usize| {
            at.checked_sub(lead).and_then(|at| tokens.get(at)).map_or(0, |token| *token)
        };
        let position = |position: usize| {
            let filters =
                self.banks.iter().flat_map(|bank| (0..bank.filters).map(move |filter| (bank, filter)));
            let sum = |(bank, filter): (&Bank, usize)| {
                let rows =
                    (0..bank.width).map(|tap| tap * ALPHABET + usize::from(token(position + tap, bank.lead)));
                let sum: f64 = rows.map(|row| f64::from(bank.table[row * bank.filters + filter])).sum();
                relu(f64::from(bank.bias[filter]) + sum)
            };
            filters.map(sum).collect::<Vec<f64>>()
        };
        let inputs: Vec<Vec<f64>> = (0..TEXT_TOKENS).map(position).collect();
        let channels = self.bias.len();
        let pooled = (0..channels).map(|channel| {
            let outputs = inputs.windows(self.taps).map(|window| {
                let values = window.iter().flatten().enumerate();
                let products =
                    values.map(|(at, value)| value * f64::from(self.kernel[at * channels + channel]));
                relu(f64::from(self.bias[channel]) + products.sum::<f64>())
            });
            outputs.fold(0.0, f64::max)
        });
        let pooled: Vec<f64> = pooled.collect();
        let units = self.dense_bias.len();
        let outputs = (0..units).map(|unit| {
            let products = pooled.iter().zip(self.dense.iter().skip(unit).step_by(units));
            let sum: f64 = products.map(|(value, weight)| value * f64::from(*weight)).sum();
            relu(f64::from(self.dense_bias[unit]) + sum) * f64::from(self.output[unit])
        });
        (f64::from(self.output_bias) + outputs.sum::<f64>()) as f32
    }
}

pub fn the_kernel_agrees_with_sums_one_by_one(check: Check<'_>) {
    let names = names_of_each_length();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The largest shape that the kernel takes, and a small one.
    let widest: Vec<_> = (0..8).map(|at| (1 + 2 * at, 32, at)).collect();
    let shapes =
        [Deep::of_shape(&widest, 5, 128, 300, 7), Deep::of_shape(&[(1, 4, 0), (3, 8, 2)], 1, 12, 20, 9)];
    for (network, step) in [Deep::drawn(5)].iter().chain(&shapes).zip([3, 20, 1]) {
        let names: Vec<&str> = names.iter().copied().step_by(step).collect();
        let expected: Vec<f32> = names.iter().map(|name| network.logit(name)).collect();
        assert!(expected.iter().any(|logit| (logit - expected[0]).abs() > 1e-3), "{expected:?}");
        check(&network.program(), &names, &expected);
    }
}
