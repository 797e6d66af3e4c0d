//! A model as the kernels take it: which kernels, one after the other, and their weights.
//!
//! ```text
//! seed:   bytes -> seed.cu ──────────────────────────────────────────────────► logits
//! table:  text ──► table.cu ─────────────────────────────────────────────────► logits
//! stack:  content ─► table.cu, once for each table ─► logits of members ─┐
//!         features ──────────────────────────────────────────────────────┴─► stack.cu ─► logits
//! ```

use dnsvet_core::model::{Bag, Member, Model, Network, Reading, Stack, Table};

use super::packed::Reads;

/// Hidden units that table.cu has threads for.
const TABLE_UNITS: usize = 128;

/// A kernel of this crate, by its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// kernels/seed.cu
    Seed,
    /// kernels/table.cu
    Table,
    /// kernels/deep.cu: a table CNN with a second convolution. No network of core has one yet.
    Deep,
    /// kernels/stack.cu
    Stack,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Seed, Self::Table, Self::Deep, Self::Stack];
}

/// What the kernels need to know of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// What is packed of each name.
    pub reads: Reads,
    /// Run in this order; each gives one logit a name, and the last one's are the model's.
    pub passes: Vec<Pass>,
}

/// One launch: a kernel and its constants, laid out as the head of its source says.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// Which.
    pub kernel: Kernel,
    /// Numbers of layers, units and the like; none for the seed.
    pub shape: Vec<i32>,
    /// All that is not whole.
    pub weights: Vec<f32>,
    /// Rows of bags and of crossed features; stacks only.
    pub rows: Vec<i8>,
}

impl Pass {
    /// Bytes of the constants on the device.
    pub fn bytes(&self) -> usize {
        4 * (self.shape.len() + self.weights.len()) + self.rows.len()
    }
}

impl Program {
    /// `None` for a network that no kernel runs: a table of more than 128 hidden units, alone or in a stack.
    pub fn of(model: &Model) -> Option<Self> {
        match model.network() {
            Network::Seed(seed) => {
                let pass = Pass {
                    kernel: Kernel::Seed,
                    shape: Vec::new(),
                    weights: seed.weights(),
                    rows: Vec::new(),
                };
                Some(Self { reads: Reads::Bytes, passes: vec![pass] })
            }
            Network::Table(network) => Some(Self { reads: Reads::Text, passes: vec![table(network)?] }),
            Network::Stack(stack) => {
                let tables = tables(stack).map(|(_, network)| table(network));
                let mut passes = tables.collect::<Option<Vec<Pass>>>()?;
                let readings = readings(stack);
                passes.push(sum(stack, &readings));
                Some(Self { reads: Reads::Parts(readings), passes })
            }
        }
    }
}

fn tables(stack: &Stack) -> impl Iterator<Item = (f32, &Table)> {
    stack.weights().members.iter().filter_map(|(weight, member)| match member {
        Member::Table(table) => Some((*weight, &**table)),
        Member::Bag(_) => None,
    })
}

fn bags(stack: &Stack) -> impl Iterator<Item = (f32, &Bag)> {
    stack.weights().members.iter().filter_map(|(weight, member)| match member {
        Member::Bag(bag) => Some((*weight, &**bag)),
        Member::Table(_) => None,
    })
}

/// What its bags read, each once: labels first, whose features are at hand for the suffix.
fn readings(stack: &Stack) -> Vec<Reading> {
    Reading::ALL.into_iter().filter(|reading| bags(stack).any(|(_, bag)| bag.reading() == *reading)).collect()
}

fn table(table: &Table) -> Option<Pass> {
    let parts = table.weights();
    let units = parts.hidden_bias.len();
    if units > TABLE_UNITS {
        return None;
    }
    let mut shape = vec![parts.banks.len() as i32, units as i32];
    let mut weights = Vec::new();
    for bank in &parts.banks {
        shape.extend([bank.width as i32, bank.bias.len() as i32]);
        weights.extend(&bank.bias);
        weights.extend(&bank.table);
    }
    weights.extend(&parts.hidden_bias);
    weights.extend(&parts.hidden);
    weights.extend(&parts.output);
    weights.push(parts.output_bias);
    Some(Pass { kernel: Kernel::Table, shape, weights, rows: Vec::new() })
}

/// The bags, the suffix' word and the sum.
fn sum(stack: &Stack, readings: &[Reading]) -> Pass {
    let parts = stack.weights();
    let bias = parts.bias + bags(stack).map(|(weight, bag)| weight * bag.weights().output_bias).sum::<f32>();
    let mut weights = vec![bias, parts.suffix.bound, parts.suffix.scale];
    weights.extend(&parts.suffix.terms);
    weights.extend(tables(stack).map(|(weight, _)| weight));
    let lists = 1 + readings.len();
    let numbers = [tables(stack).count(), lists, usize::from(parts.suffix.bits), bags(stack).count()];
    let mut shape = numbers.map(|number| number as i32).to_vec();
    let mut rows = Vec::new();
    for (weight, bag) in bags(stack) {
        let bag = bag.weights();
        let place = readings.iter().position(|reading| *reading == bag.reading).unwrap_or_default();
        shape.extend([1 + place as i32, i32::from(bag.bits), bag.hidden.len() as i32]);
        weights.extend(bag.scale);
        for dimension in 0..bag.scale.len() {
            weights.extend(bag.hidden.iter().map(|unit| unit[dimension]));
        }
        weights.extend(&bag.hidden_bias);
        weights.extend(bag.output.iter().map(|output| weight * output));
        rows.extend(bag.rows.as_flattened());
    }
    rows.extend(&parts.suffix.rows);
    Pass { kernel: Kernel::Stack, shape, weights, rows }
}
