//! Which characters made the score: a logit shared out among the bytes of the name.
//!
//! ```text
//! name -> Parts -> content -> bag:   what each feature moved, spread over the bytes it is read from
//!              |           -> table: what each filter moved at each window, given to the window's bytes
//!              └── suffix  -> its bounded word, spread over the suffix
//! ```
//!
//! The method is integrated gradients (Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017):
//! from a reference, where nothing is known of the name, to the name itself, every step of the logit goes to what moved
//! it. A bag's reference is no feature at all; along that way its one relu opens or closes once, so that the sum is
//! exact. A table's reference is the average character in each place, and the way is walked in a few steps; what they
//! leave over goes to the rest.
//! The surprise: contributions are shares of one logit and no promise of what another letter would do, though on real
//! names they rank bytes much as replacing each one does (`models/tests/attribution.rs` measures it).
//!
//! It is computed when somebody asks for it, and is no part of a filter: the feature `attribution` is off there.

mod bag;
mod spans;
mod table;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::features::{Reading, features};
use super::parts::Parts;
use super::stack::{Member, Stack};
use super::tokenizer::scored_text;
use super::{Model, Network};

pub use spans::Span;

/// A logit, shared out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attribution {
    /// One for each byte of the name, in units of the logit: above 0 speaks for malicious, below for benign. 0 for what
    /// the model does not read: a leading `www.`, what lies before the last 64 bytes.
    pub bytes: Vec<f64>,
    /// What no byte is to blame for: the logit of the reference, and what the steps of table CNNs leave over (of 180 real
    /// and generated names, at the median 3 % of 1 + the logit's size, at most 27 %).
    pub rest: f64,
}

impl Attribution {
    /// Bytes and rest together: [`Model::logit`], but for the last digits of an `f32`.
    pub fn sum(&self) -> f64 {
        self.bytes.iter().sum::<f64>() + self.rest
    }

    fn add(&mut self, at: usize, value: f64) {
        match self.bytes.get_mut(at) {
            Some(byte) => *byte += value,
            None => self.rest += value,
        }
    }

    /// Gives each byte of a range the same share.
    fn spread(&mut self, range: Range<usize>, value: f64) {
        let share = value / range.len().max(1) as f64;
        match self.bytes.get_mut(range) {
            Some(bytes) if !bytes.is_empty() => bytes.iter_mut().for_each(|byte| *byte += share),
            _ => self.rest += value,
        }
    }
}

impl Model {
    /// Which bytes of a name made [`Model::logit`]. `None` for the seed: it reads code points as numbers in a square,
    /// where neither a reference nor a neighbour means anything.
    pub fn attribution(&self, name: &str) -> Option<Attribution> {
        let mut out = Attribution { bytes: vec![0.0; name.len()], rest: 0.0 };
        let text = scored_text(name);
        let at = name.strip_suffix('.').unwrap_or(name).len() - text.len();
        match self.network() {
            Network::Seed(_) => return None,
            Network::Table(table) => table::attribute(table, 1.0, text, at, &mut out),
            Network::Stack(stack) => attribute(stack, name, at, &mut out),
        }
        Some(out)
    }
}

fn attribute(stack: &Stack, name: &str, at: usize, out: &mut Attribution) {
    let Parts { content, suffix } = Parts::of(name);
    let weights = stack.weights();
    out.rest += f64::from(weights.bias);
    for (weight, member) in &weights.members {
        match member {
            Member::Table(table) => table::attribute(table, f64::from(*weight), content, at, out),
            Member::Bag(bag) => bag::attribute(bag, f64::from(*weight), content, at, out),
        }
    }
    let mut found = Vec::new();
    features(content, Reading::Labels, &mut found);
    let end = name.strip_suffix('.').unwrap_or(name).len();
    out.spread(end - suffix.len()..end, f64::from(weights.suffix.say(&found, suffix)));
}
