//! What is trained: shapes and schedules, by the names that people ask for.

use dnsvet_core::model::Reading;

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

/// How a table CNN is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRecipe {
    /// What it is.
    pub shape: Shape,
    /// Passes over the training names.
    pub epochs: usize,
    /// Names a step.
    pub batch: usize,
    /// Highest step size; it warms up over the first twentieth and falls as a cosine to zero.
    pub rate: f64,
    /// Decoupled weight decay (AdamW).
    pub decay: f64,
}

/// How a member of a stack is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberRecipe {
    /// A table CNN.
    Table(TableRecipe),
    /// A bag.
    Bag(BagRecipe),
}

/// One model's training, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The model's name in the registry.
    pub name: &'static str,
    /// What is stacked. The first bag that reads labels also gives the suffix' word; there is always one.
    pub members: Vec<MemberRecipe>,
    /// Names to learn from at most, half of them malicious.
    pub sample: usize,
    /// Where all random choices start.
    pub seed: u64,
    /// Which sources it learns from.
    pub sources: Sources,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Recipe {
    /// The recipe of the model in the filter: a table CNN and a bag.
    pub fn small() -> Self {
        let shape = Shape { embedding: 24, widths: (1..=6).collect(), filters: 48, hidden: 48 };
        Self {
            name: "small",
            members: vec![table(shape), bag(Reading::Labels, 18)],
            sample: 3_000_000,
            seed: 1,
            sources: Sources::All,
            threads: threads(),
        }
    }

    /// The recipe of the model in the scorer: the small one's members, and a bag for each other reading. These find
    /// as much in a quarter of the rows.
    pub fn large() -> Self {
        let small = Self::small();
        let others = [Reading::Content, Reading::Skips].map(|reading| bag(reading, 16));
        Self { name: "large", members: small.members.iter().cloned().chain(others).collect(), ..small }
    }

    /// Its table CNNs.
    pub fn tables(&self) -> impl Iterator<Item = &TableRecipe> {
        self.members.iter().filter_map(|member| match member {
            MemberRecipe::Table(table) => Some(table),
            MemberRecipe::Bag(_) => None,
        })
    }

    /// The same, to be changed.
    pub fn tables_mut(&mut self) -> impl Iterator<Item = &mut TableRecipe> {
        self.members.iter_mut().filter_map(|member| match member {
            MemberRecipe::Table(table) => Some(table),
            MemberRecipe::Bag(_) => None,
        })
    }
}

fn table(shape: Shape) -> MemberRecipe {
    MemberRecipe::Table(TableRecipe { shape, epochs: 3, batch: 256, rate: 2e-3, decay: 1e-3 })
}

fn bag(reading: Reading, bits: u8) -> MemberRecipe {
    MemberRecipe::Bag(BagRecipe { reading, bits, units: 32, crossed_bits: 19, rate: 0.1 })
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}
