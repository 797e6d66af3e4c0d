//! What the kernels are fed and what they score: names packed on one thread, and names scored on the first GPU.
//!
//! A stack's features are hashed while its names are packed, which takes longer than all that the GPU does with them:
//! so there are streams for as many threads as the machine has, up to 8, and the first figure bounds the second.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use dnsvet_core::model::bag::DIMENSIONS;
use dnsvet_core::model::stack::SUFFIX_BITS;
use dnsvet_core::model::tokenizer::ALPHABET;
use dnsvet_core::model::{
    Bag, BagWeights, BankWeights, Calibration, Member, Model, ModelError, Network, Scratch, Spec, Stack,
    StackWeights, SuffixWeights, Table, TableWeights, Thresholds, UNLISTED_PRIOR,
};
use dnsvet_models::recipe::{MemberRecipe, Recipe, Shape};
use dnsvet_models::train::BagRecipe;

use super::{BenchError, compare, passes_rate};
use crate::backend::BackendError;
use crate::device::{Cuda, Packed, Program};

/// Names of a batch on the GPU: what one client sends, what many make together, and what fills a launch.
const BATCHES: [usize; 3] = [64, 4096, 65_536];
/// How long the GPU is kept busy in a round.
const ROUND: Duration = Duration::from_millis(200);

/// Names packed a CPU-second on one thread, the best of the rounds.
pub(super) fn packed(program: &Program, names: &[&str], rounds: u32) -> f64 {
    let mut packed = Packed::default();
    let mut pass = || {
        let mut rest = names;
        while !rest.is_empty() {
            rest = &rest[packed.fill(&program.reads, rest, program.reads.limits())..];
        }
        Ok::<(), Infallible>(())
    };
    let rates = (0..rounds).map(|_| passes_rate(&mut pass).unwrap_or_default() * names.len() as f64);
    rates.fold(0.0, f64::max)
}

/// Names a second by names of a batch, the best of the rounds; each stream has a thread that keeps it busy. Fails where
/// a logit is not the forward pass's.
pub(super) fn scored(
    gpu: &Cuda,
    model: &Model,
    program: &Program,
    names: &[&str],
    rounds: u32,
) -> Result<BTreeMap<usize, f64>, BenchError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut backends = gpu.backends(program, threads).map_err(BackendError::from)?;
    let mut own = vec![0.0; names.len()];
    model.logits(names, &mut Scratch::default(), &mut own);
    for backend in &mut backends {
        let mut theirs = vec![f32::NAN; names.len()];
        backend.logits(names, &mut theirs)?;
        compare(model.id(), "the gpu", names, &own, &theirs)?;
    }
    let mut rates = BTreeMap::new();
    for batch in BATCHES {
        let batch: Vec<&str> = names.iter().copied().cycle().take(batch).collect();
        let mut best = 0.0f64;
        for _ in 0..rounds {
            let start = Instant::now();
            let scored = std::thread::scope(|scope| {
                let threads: Vec<_> = backends
                    .iter_mut()
                    .map(|backend| {
                        let batch = &batch;
                        scope.spawn(move || {
                            let mut logits = vec![0.0; batch.len()];
                            let mut scored = 0;
                            while start.elapsed() < ROUND {
                                backend.logits(batch, &mut logits)?;
                                scored += batch.len();
                            }
                            Ok(scored)
                        })
                    })
                    .collect();
                let counts =
                    threads.into_iter().map(|thread| thread.join().map_err(|_| BackendError::Panicked)?);
                counts.sum::<Result<usize, BackendError>>()
            })?;
            best = best.max(scored as f64 / start.elapsed().as_secs_f64());
        }
        rates.insert(batch.len(), best);
    }
    Ok(rates)
}

/// A stack in the shape of the large model's recipe: what it costs does not depend on what it has learnt.
pub(super) fn drawn_stack() -> Result<Model, ModelError> {
    let recipe = Recipe::large();
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let mut members = Vec::new();
    for table in recipe.tables() {
        members.push((0.5, Member::Table(Box::new(draw.table(&table.shape)?))));
    }
    let mut bits = 1;
    for member in &recipe.members {
        if let MemberRecipe::Bag(bag) = member {
            bits = bag.crossed_bits;
            members.push((0.5, Member::Bag(Box::new(draw.bag(bag)?))));
        }
    }
    let suffix = SuffixWeights {
        bound: 1.0,
        terms: draw.floats(1 << SUFFIX_BITS, 1.0),
        bits,
        rows: draw.bytes(1 << bits),
        scale: 0.001,
    };
    let spec = Spec {
        name: "stack".into(),
        calibration: Calibration::RAW,
        prior: UNLISTED_PRIOR,
        thresholds: Thresholds { allow_below: 0.0, block_above: 1.0 },
    };
    let stack = Stack::new(StackWeights { members, suffix, bias: 0.0 })?;
    Model::new(spec, Network::Stack(Box::new(stack)))
}

/// Numbers of no meaning, the same each time.
struct Draw(u64);

impl Draw {
    fn floats(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
        };
        (0..count).map(|_| next()).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<i8> {
        self.floats(count, 127.0).into_iter().map(|value| value as i8).collect()
    }

    fn table(&mut self, shape: &Shape) -> Result<Table, ModelError> {
        let bank = |width: &usize| BankWeights {
            width: *width,
            bias: self.floats(shape.filters, 0.1),
            table: self.floats(width * ALPHABET * shape.filters, 0.5),
        };
        let banks: Vec<BankWeights> = shape.widths.iter().map(bank).collect();
        let inputs = 2 * shape.filters * banks.len();
        Table::new(TableWeights {
            banks,
            hidden: self.floats(inputs * shape.hidden, 0.1),
            hidden_bias: self.floats(shape.hidden, 0.1),
            output: self.floats(shape.hidden, 0.5),
            output_bias: 0.0,
        })
    }

    fn bag(&mut self, recipe: &BagRecipe) -> Result<Bag, ModelError> {
        let rows = self.bytes(DIMENSIONS << recipe.bits);
        let hidden = self.floats(DIMENSIONS * recipe.units, 0.5);
        Bag::new(BagWeights {
            reading: recipe.reading,
            bits: recipe.bits,
            rows: rows.as_chunks::<DIMENSIONS>().0.to_vec(),
            scale: [0.002; DIMENSIONS],
            hidden: hidden.as_chunks::<DIMENSIONS>().0.to_vec(),
            hidden_bias: self.floats(recipe.units, 0.1),
            output: self.floats(recipe.units, 0.5),
            output_bias: 0.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Kernel;

    #[test]
    fn the_drawn_stack_is_as_large_as_the_recipe_and_has_kernels() {
        let model = drawn_stack().unwrap();
        let program = Program::of(&model).unwrap();
        let kernels: Vec<Kernel> = program.passes.iter().map(|pass| pass.kernel).collect();
        assert_eq!(kernels, [Kernel::Table, Kernel::Stack]);
        // Bags of 2^18, 2^16 and 2^16 rows of 16 bytes, 2^19 crossed rows.
        assert_eq!(program.passes[1].rows.len(), (16 << 18) + 2 * (16 << 16) + (1 << 19));
        let logits = ["example.com", "a.example.com", "b.example.top"].map(|name| model.logit(name));
        assert!(logits[0] != logits[1] && logits[1] != logits[2], "{logits:?}");
    }
}
