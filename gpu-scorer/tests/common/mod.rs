//! Models with drawn weights, for tests that compare two ways to run them.

use dnsvet_core::model::bag::DIMENSIONS;
use dnsvet_core::model::stack::SUFFIX_BITS;
use dnsvet_core::model::{
    Bag, BagWeights, BankWeights, Calibration, Member, Model, Network, Reading, Seed, Spec, Stack,
    StackWeights, SuffixWeights, Table, TableWeights, Thresholds,
};

/// Deterministic weights in [-scale, scale].
pub fn weights(count: usize, scale: f32, mut state: u64) -> Vec<f32> {
    let draw = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
    };
    (0..count).map(draw).collect()
}

fn spec(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        calibration: Calibration { slope: 1.0, intercept: 0.0, balance: 0.5 },
        prior: 0.01,
        thresholds: Thresholds { allow_below: 0.005, block_above: 0.5 },
    }
}

/// The seed's network with drawn weights.
pub fn seed_model(state: u64) -> Model {
    let seed = Seed::from_weights(&weights(1913, 0.3, state)).unwrap();
    Model::new(spec("seed"), Network::Seed(Box::new(seed))).unwrap()
}

/// A small table network with drawn weights.
pub fn table_model(name: &str, state: u64) -> Model {
    Model::new(spec(name), Network::Table(Box::new(table(16, state)))).unwrap()
}

/// A stack of a table with more hidden units than a kernel has threads for.
pub fn wide_stack_model(name: &str, state: u64) -> Model {
    stack_of(name, vec![(1.0, Member::Table(Box::new(table(144, state))))], 1, state)
}

fn table(units: usize, state: u64) -> Table {
    let banks = vec![
        BankWeights { width: 2, bias: weights(16, 0.1, state), table: weights(2 * 41 * 16, 0.5, state + 1) },
        BankWeights {
            width: 4,
            bias: weights(32, 0.1, state + 2),
            table: weights(4 * 41 * 32, 0.5, state + 3),
        },
    ];
    let table = TableWeights {
        banks,
        hidden: weights(96 * units, 0.3, state + 4),
        hidden_bias: weights(units, 0.1, state + 5),
        output: weights(units, 0.8, state + 6),
        output_bias: 0.1,
    };
    Table::new(table).unwrap()
}

/// Stacks with drawn weights: of two tables and bags of every reading, all of unlike sizes; and of one bag that does not
/// read labels, with the largest tables.
pub fn stack_models(name: &str, state: u64) -> [Model; 2] {
    let of_table = |weight, units| (weight, Member::Table(Box::new(table(units, state + units as u64))));
    let of_bag = |weight, reading, bits, units| {
        (weight, Member::Bag(Box::new(bag(reading, bits, units, state + u64::from(bits)))))
    };
    let many = vec![
        of_table(0.6, 16),
        of_bag(0.4, Reading::Skips, 9, 40),
        of_bag(0.5, Reading::Labels, 12, 32),
        of_bag(0.3, Reading::Content, 1, 3),
        of_table(-0.3, 48),
        of_bag(-0.2, Reading::Skips, 14, 64),
    ];
    let one = vec![of_bag(1.0, Reading::Content, 20, 16)];
    [stack_of(name, many, 13, state), stack_of(name, one, 20, state)]
}

fn stack_of(name: &str, members: Vec<(f32, Member)>, bits: u8, state: u64) -> Model {
    let suffix = SuffixWeights {
        bound: 1.5,
        terms: weights(1 << SUFFIX_BITS, 2.0, state + 7),
        bits,
        rows: bytes(1 << bits, state + 8),
        scale: 0.002,
    };
    let stack = Stack::new(StackWeights { members, suffix, bias: -0.2 }).unwrap();
    Model::new(spec(name), Network::Stack(Box::new(stack))).unwrap()
}

fn bag(reading: Reading, bits: u8, units: usize, state: u64) -> Bag {
    let rows = |values: &[f32]| values.as_chunks::<DIMENSIONS>().0.to_vec();
    Bag::new(BagWeights {
        reading,
        bits,
        rows: bytes(DIMENSIONS << bits, state).as_chunks::<DIMENSIONS>().0.to_vec(),
        scale: *weights(DIMENSIONS, 0.004, state + 1).first_chunk().unwrap(),
        hidden: rows(&weights(units * DIMENSIONS, 0.5, state + 2)),
        hidden_bias: weights(units, 0.1, state + 3),
        output: weights(units, 0.5, state + 4),
        output_bias: 0.3,
    })
    .unwrap()
}

/// Any byte, the outermost among them.
fn bytes(count: usize, state: u64) -> Vec<i8> {
    weights(count, 128.9, state).into_iter().map(|value| value as i8).collect()
}
