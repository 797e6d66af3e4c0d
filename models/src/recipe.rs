//! What is trained: shapes and schedules, by the names that people ask for.

use crate::data::Sources;
use crate::train::BagRecipe;

/// The shape of a table CNN before folding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Numbers a token is embedded in.
    pub embedding: usize,
    /// Width of each convolution, tokens.
    pub widths: Vec<usize>,
    /// Filters of each convolution, a multiple of 16.
    pub filters: usize,
    /// Hidden units, a multiple of 16.
    pub hidden: usize,
}

/// One model's training, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The model's name in the registry.
    pub name: &'static str,
    /// Its table CNN.
    pub shape: Shape,
    /// Its bag.
    pub bag: BagRecipe,
    /// Passes of the CNN over the training names; a bag always makes one.
    pub epochs: usize,
    /// Names a step of the CNN.
    pub batch: usize,
    /// Training names at most, half of them malicious.
    pub sample: usize,
    /// Where all random choices start.
    pub seed: u64,
    /// Which sources it learns from.
    pub sources: Sources,
    /// Highest step size; it warms up over the first twentieth and falls as a cosine to zero.
    pub rate: f64,
    /// Decoupled weight decay (AdamW).
    pub decay: f64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Recipe {
    /// The recipe of the model in the filter.
    pub fn small() -> Self {
        let shape = Shape { embedding: 24, widths: (1..=6).collect(), filters: 48, hidden: 48 };
        Self {
            name: "small",
            shape,
            bag: BagRecipe { bits: 18, units: 32, crossed_bits: 19, rate: 0.1 },
            epochs: 3,
            batch: 256,
            sample: 3_000_000,
            seed: 1,
            sources: Sources::All,
            rate: 2e-3,
            decay: 1e-3,
            threads: threads(),
        }
    }

    /// The recipe of the model in the scorer: the same family, more and wider filters.
    pub fn large() -> Self {
        let shape = Shape { embedding: 32, widths: (1..=8).collect(), filters: 64, hidden: 128 };
        Self { name: "large", shape, ..Self::small() }
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}
