//! Training of a table CNN: AdamW over batches.
//!
//! ```text
//! batch -> fold embedding into convolutions -> shards: forward, backward (own gradient each) -> sum -> AdamW
//! ```
//!
//! Convolutions are trained through their folded tables: a shard adds to rows of the table's gradient, and
//! the chain rule to embedding and kernels runs once a batch. The surprise: a batch is always cut into the
//! same [`SHARDS`] shards, whose gradients are summed in order, so the same seed gives the same bytes on
//! one thread and on many.

use std::thread;

use super::network::{self, Folded, Gradient, Item, Params, Workspace};
use super::optimizer::AdamW;
use super::{Progress, Run};
use crate::data::{Example, Random, Split};
use crate::evaluate;
use crate::recipe::TableRecipe;

/// Parts of a batch with a gradient of their own.
const SHARDS: usize = 4;
/// Epochs without a better validation loss after which training stops.
const PATIENCE: usize = 2;

/// Trains a table CNN by the recipe and gives the parameters of the best epoch.
pub fn train(
    recipe: &TableRecipe,
    run: Run,
    split: &Split<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Params<f32> {
    let mut random = Random::new(run.seed);
    let mut params = Params::<f32>::random(&recipe.shape, &mut random);
    let mut optimizer = AdamW::new(&params, recipe.decay);
    let mut order: Vec<usize> = (0..split.train.len()).collect();
    let steps = order.len().div_ceil(recipe.batch).max(1) * recipe.epochs;
    let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(&params)).collect();
    let mut best = (f64::INFINITY, params.clone());
    let mut stale = 0;
    let mut step = 0;
    for epoch in 1..=recipe.epochs {
        random.shuffle(&mut order);
        let (mut total, mut weight, mut seen, mut running) = (0.0, 0.0, 0, None);
        for batch in order.chunks(recipe.batch) {
            let items: Vec<Item> = batch.iter().map(|&at| Item::of(split.train[at])).collect();
            let (gradient, loss, mass) = gradient(&params, &items, &mut shards, run.threads);
            step += 1;
            optimizer.step(&mut params, gradient, rate(recipe.rate, step, steps));
            total += loss;
            weight += mass;
            seen += batch.len();
            let mean = loss / mass;
            let smooth = running.map_or(mean, |last: f64| 0.98 * last + 0.02 * mean);
            running = Some(smooth);
            progress(Progress::Step { stage: run.stage, epoch, names: seen, of: order.len(), loss: smooth });
        }
        let (validation_loss, validation_auc) = validate(&params, &split.validation, run.threads);
        let better = validation_loss < best.0;
        stale = if better { 0 } else { stale + 1 };
        if better {
            best = (validation_loss, params.clone());
        }
        let loss = total / f64::max(weight, 1e-9);
        progress(Progress::Epoch {
            stage: run.stage,
            epoch,
            loss,
            validation_loss,
            validation_auc,
            best: better,
        });
        if stale >= PATIENCE {
            break;
        }
    }
    best.1
}

/// The step size: a twentieth of the steps up, then half a cosine down to nothing.
fn rate(highest: f64, step: usize, steps: usize) -> f64 {
    let warm = (steps as f64 / 20.0).max(1.0);
    let step = step as f64;
    if step <= warm {
        return highest * step / warm;
    }
    let done = (step - warm) / (steps as f64 - warm).max(1.0);
    highest * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
}

struct Shard {
    gradient: Gradient<f32>,
    workspace: Workspace<f32>,
    loss: f64,
    weight: f64,
}

impl Shard {
    fn new(params: &Params<f32>) -> Self {
        Self { gradient: Gradient::zeros(params), workspace: Workspace::default(), loss: 0.0, weight: 0.0 }
    }

    fn run(&mut self, params: &Params<f32>, folded: &Folded<f32>, items: &[Item]) {
        self.gradient.clear();
        (self.loss, self.weight) = (0.0, 0.0);
        for item in items {
            self.loss += network::learn(params, folded, item, &mut self.workspace, &mut self.gradient);
            self.weight += item.weight;
        }
    }
}

/// The gradient of a batch's mean loss; the loss' sum and the weights' sum.
fn gradient(
    params: &Params<f32>,
    items: &[Item],
    shards: &mut [Shard],
    threads: usize,
) -> (Params<f32>, f64, f64) {
    let folded = Folded::new(params);
    let size = items.len().div_ceil(SHARDS).max(1);
    let mut parts = items.chunks(size).collect::<Vec<_>>();
    parts.resize(SHARDS, &[]);
    let mut work: Vec<(&mut Shard, &[Item])> = shards.iter_mut().zip(parts).collect();
    let each = SHARDS.div_ceil(threads.clamp(1, SHARDS));
    if each == SHARDS {
        work.iter_mut().for_each(|(shard, items)| shard.run(params, &folded, items));
    } else {
        thread::scope(|scope| {
            for group in work.chunks_mut(each) {
                let folded = &folded;
                scope.spawn(move || {
                    group.iter_mut().for_each(|(shard, items)| shard.run(params, folded, items));
                });
            }
        });
    }
    let (first, others) = shards.split_at_mut(1);
    let first = &mut first[0];
    for other in others {
        first.gradient.add(&other.gradient);
        first.loss += other.loss;
        first.weight += other.weight;
    }
    let scale = 1.0 / f64::max(first.weight, 1e-9);
    (first.gradient.unfold(params, scale as f32), first.loss, first.weight)
}

/// Weighted validation loss and area under the curve; both classes count the same.
fn validate(params: &Params<f32>, examples: &[&Example], threads: usize) -> (f64, f64) {
    let logits = logits(params, examples, threads);
    let scored: Vec<(f64, bool)> =
        logits.iter().copied().zip(examples.iter().map(|example| example.is_malicious())).collect();
    let mut sums = [(0.0, 0.0); 2];
    for ((logit, malicious), example) in scored.iter().zip(examples) {
        let margin = if *malicious { *logit } else { -*logit };
        let loss = (-margin).max(0.0) + (-margin.abs()).exp().ln_1p();
        let (sum, weight) = &mut sums[usize::from(*malicious)];
        *sum += loss * f64::from(example.weight);
        *weight += f64::from(example.weight);
    }
    let loss = sums.iter().map(|(sum, weight)| sum / f64::max(*weight, 1e-9)).sum::<f64>() / 2.0;
    (loss, evaluate::auc(&scored))
}

/// Logits of examples under parameters that are still being trained.
fn logits(params: &Params<f32>, examples: &[&Example], threads: usize) -> Vec<f64> {
    let folded = Folded::new(params);
    let size = examples.len().div_ceil(threads.max(1)).max(1);
    let run = |part: &[&Example]| -> Vec<f64> {
        let mut workspace = Workspace::default();
        let logit = |example: &&Example| {
            let item = Item::new(&example.name, 0.0, 1.0);
            f64::from(network::forward(params, &folded, &item, &mut workspace)) + params.term(&item)
        };
        part.iter().map(logit).collect()
    };
    thread::scope(|scope| {
        let parts: Vec<_> = examples.chunks(size).map(|part| scope.spawn(|| run(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}
