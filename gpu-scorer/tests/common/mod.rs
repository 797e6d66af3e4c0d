//! Models with drawn weights, for tests that compare two ways to run them.

use dnsvet_core::model::{
    BankWeights, Calibration, Model, Network, Seed, Spec, Table, TableWeights, Thresholds,
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
        hidden: weights(96 * 16, 0.3, state + 4),
        hidden_bias: weights(16, 0.1, state + 5),
        output: weights(16, 0.8, state + 6),
        output_bias: 0.1,
    };
    Model::new(spec(name), Network::Table(Box::new(Table::new(table).unwrap()))).unwrap()
}
