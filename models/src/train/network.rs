//! Parameters of a table CNN, their fold, and forward and backward of one name.

use dnsvet_core::model::stack::{SUFFIX_BITS, slot};
use dnsvet_core::model::tokenizer::{self, ALPHABET, PAD, TEXT_TOKENS};
use dnsvet_core::model::{BankWeights, Parts, TableWeights, sigmoid};

use super::real::Real;
use crate::data::{Example, Random};
use crate::recipe::Shape;

/// One convolution before folding.
#[derive(Debug, Clone, PartialEq)]
pub struct Bank<R> {
    /// Tokens that a filter sees.
    pub width: usize,
    /// `[tap][embedding][filter]`.
    pub kernel: Vec<R>,
    /// One for each filter.
    pub bias: Vec<R>,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Params<R> {
    /// `[token][embedding]`.
    pub embedding: Vec<R>,
    /// The convolutions.
    pub banks: Vec<Bank<R>>,
    /// `[input][hidden]`, inputs as in [`TableWeights::hidden`].
    pub hidden: Vec<R>,
    /// One for each hidden unit.
    pub hidden_bias: Vec<R>,
    /// One for each hidden unit.
    pub output: Vec<R>,
    /// One number.
    pub output_bias: Vec<R>,
    /// What each slot of suffixes says, before it is bound: learnt beside the rest, so that the content need
    /// not stand in for it.
    pub suffix: Vec<R>,
}

/// One name as the network sees it.
#[derive(Debug, Clone)]
pub struct Item {
    tokens: [u8; TEXT_TOKENS],
    used: usize,
    slot: usize,
    target: f64,
    /// How much it counts.
    pub weight: f64,
}

impl Item {
    /// A name with what its score should be, 0 or 1, and how much it counts.
    pub fn new(name: &str, target: f64, weight: f64) -> Self {
        let parts = Parts::of(name);
        let (tokens, used) = tokenizer::frame(parts.content);
        Self { tokens, used, slot: slot(parts.suffix), target, weight }
    }

    pub fn of(example: &Example) -> Self {
        let target = f64::from(u8::from(example.is_malicious()));
        Self::new(&example.name, target, f64::from(example.weight))
    }
}

/// What a suffix may say in training, log-odds either way.
const BOUND: f64 = 1.0;

impl<R: Real> Params<R> {
    /// Uniform, with He's variance for what relu follows.
    pub fn random(shape: &Shape, random: &mut Random) -> Self {
        let mut uniform = |count: usize, fan_in: usize| -> Vec<R> {
            let limit = (6.0 / fan_in as f64).sqrt();
            (0..count).map(|_| R::of(limit * random.signed())).collect()
        };
        let embedding = uniform(ALPHABET * shape.embedding, 6);
        let banks = shape.widths.iter().map(|&width| Bank {
            width,
            kernel: uniform(width * shape.embedding * shape.filters, width * shape.embedding),
            bias: vec![R::default(); shape.filters],
        });
        let banks: Vec<Bank<R>> = banks.collect();
        let inputs = 2 * shape.filters * shape.widths.len();
        Self {
            embedding,
            banks,
            hidden: uniform(inputs * shape.hidden, inputs),
            hidden_bias: vec![R::default(); shape.hidden],
            output: uniform(shape.hidden, 4 * shape.hidden),
            output_bias: vec![R::default()],
            suffix: vec![R::default(); 1 << SUFFIX_BITS],
        }
    }

    /// What the suffix of an item adds to its logit.
    pub fn term(&self, item: &Item) -> f64 {
        BOUND * (self.suffix[item.slot].wide() / BOUND).tanh()
    }

    /// The same shape, all zero.
    pub fn zeros(&self) -> Self {
        let mut zeros = self.clone();
        zeros.tensors_mut().into_iter().for_each(|tensor| tensor.fill(R::default()));
        zeros
    }

    /// Numbers that are trained.
    pub fn count(&self) -> usize {
        self.tensors().iter().map(|tensor| tensor.len()).sum()
    }

    /// Numbers a token is embedded in.
    pub fn embedding_size(&self) -> usize {
        self.embedding.len() / ALPHABET
    }

    /// All tensors, in one order.
    pub fn tensors(&self) -> Vec<&[R]> {
        let mut all: Vec<&[R]> = vec![&self.embedding];
        all.extend(self.banks.iter().flat_map(|bank| [bank.kernel.as_slice(), bank.bias.as_slice()]));
        all.extend([&*self.hidden, &*self.hidden_bias, &*self.output, &*self.output_bias, &*self.suffix]);
        all
    }

    /// The same, to be changed.
    pub fn tensors_mut(&mut self) -> Vec<&mut [R]> {
        let mut all: Vec<&mut [R]> = vec![&mut self.embedding];
        all.extend(
            self.banks.iter_mut().flat_map(|bank| [bank.kernel.as_mut_slice(), bank.bias.as_mut_slice()]),
        );
        all.extend([&mut *self.hidden, &mut *self.hidden_bias, &mut *self.output]);
        all.extend([&mut *self.output_bias, &mut *self.suffix]);
        all
    }
}

impl Params<f32> {
    /// Folds the embedding into the convolutions: the weights of the forward pass.
    pub fn fold(&self) -> TableWeights {
        let folded = Folded::new(self);
        let banks = self.banks.iter().zip(folded.tables).map(|(bank, table)| BankWeights {
            width: bank.width,
            bias: bank.bias.clone(),
            table,
        });
        TableWeights {
            banks: banks.collect(),
            hidden: self.hidden.clone(),
            hidden_bias: self.hidden_bias.clone(),
            output: self.output.clone(),
            output_bias: self.output_bias[0],
        }
    }
}

/// The tables `T[tap][token][filter]` of the present parameters.
pub struct Folded<R> {
    tables: Vec<Vec<R>>,
}

impl<R: Real> Folded<R> {
    pub fn new(params: &Params<R>) -> Self {
        let size = params.embedding_size();
        let fold = |bank: &Bank<R>| {
            let filters = bank.bias.len();
            let mut table = vec![R::default(); bank.width * ALPHABET * filters];
            let taps = table.chunks_exact_mut(ALPHABET * filters);
            for (rows, kernel) in taps.zip(bank.kernel.chunks_exact(size * filters)) {
                for (row, embedding) in
                    rows.chunks_exact_mut(filters).zip(params.embedding.chunks_exact(size))
                {
                    for (&value, weights) in embedding.iter().zip(kernel.chunks_exact(filters)) {
                        add_scaled(row, value, weights);
                    }
                }
            }
            table
        };
        Self { tables: params.banks.iter().map(fold).collect() }
    }
}

/// The gradient of one shard, with respect to the folded tables and all that follows them.
pub struct Gradient<R> {
    tables: Vec<Vec<R>>,
    rest: Params<R>,
}

impl<R: Real> Gradient<R> {
    pub fn zeros(params: &Params<R>) -> Self {
        let table = |bank: &Bank<R>| vec![R::default(); bank.width * ALPHABET * bank.bias.len()];
        Self { tables: params.banks.iter().map(table).collect(), rest: params.zeros() }
    }

    pub fn clear(&mut self) {
        self.tables.iter_mut().for_each(|table| table.fill(R::default()));
        self.rest.tensors_mut().into_iter().for_each(|tensor| tensor.fill(R::default()));
    }

    pub fn add(&mut self, other: &Self) {
        for (sum, table) in self.tables.iter_mut().zip(&other.tables) {
            sum.iter_mut().zip(table).for_each(|(sum, value)| *sum += *value);
        }
        for (sum, tensor) in self.rest.tensors_mut().into_iter().zip(other.rest.tensors()) {
            sum.iter_mut().zip(tensor).for_each(|(sum, value)| *sum += *value);
        }
    }

    /// The chain rule from tables to embedding and kernels; everything times `scale`.
    pub fn unfold(&self, params: &Params<R>, scale: R) -> Params<R> {
        let mut gradient = self.rest.clone();
        let size = params.embedding_size();
        for ((bank, table), out) in params.banks.iter().zip(&self.tables).zip(&mut gradient.banks) {
            let filters = bank.bias.len();
            let taps = table.chunks_exact(ALPHABET * filters);
            let kernels = bank.kernel.chunks_exact(size * filters);
            for ((rows, kernel), out) in taps.zip(kernels).zip(out.kernel.chunks_exact_mut(size * filters)) {
                for (token, row) in rows.chunks_exact(filters).enumerate() {
                    for dimension in 0..size {
                        let at = token * size + dimension;
                        let weights = &kernel[dimension * filters..][..filters];
                        gradient.embedding[at] += dot(row, weights);
                        add_scaled(&mut out[dimension * filters..][..filters], params.embedding[at], row);
                    }
                }
            }
        }
        for tensor in gradient.tensors_mut() {
            tensor.iter_mut().for_each(|value| *value = *value * scale);
        }
        gradient
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct Workspace<R> {
    /// For each bank, relu'd values of each live window and then of the window of padding.
    windows: Vec<Vec<R>>,
    /// For each bank, the window that gave each filter's maximum; `NONE` if no value is above 0.
    largest: Vec<Vec<u32>>,
    pooled: Vec<R>,
    hidden: Vec<R>,
    upstream: Vec<R>,
}

const NONE: u32 = u32::MAX;

/// Windows that see text, all windows.
fn spans(width: usize, used: usize) -> (usize, usize) {
    let all = TEXT_TOKENS - width + 1;
    (all.min(used + 1), all)
}

/// The tokens of a window, the one after the live ones being all padding.
fn window(tokens: &[u8; TEXT_TOKENS], at: usize, live: usize, width: usize) -> &[u8] {
    const PADDING: [u8; TEXT_TOKENS] = [PAD; TEXT_TOKENS];
    if at < live { &tokens[at..at + width] } else { &PADDING[..width] }
}

/// The logit of one content; leaves in the workspace what [`learn`] needs.
pub fn forward<R: Real>(params: &Params<R>, folded: &Folded<R>, item: &Item, space: &mut Workspace<R>) -> R {
    space.windows.resize_with(params.banks.len(), Vec::new);
    space.largest.resize_with(params.banks.len(), Vec::new);
    space.pooled.clear();
    for (index, (bank, table)) in params.banks.iter().zip(&folded.tables).enumerate() {
        let filters = bank.bias.len();
        let (live, all) = spans(bank.width, item.used);
        let count = live + usize::from(live < all);
        let windows = &mut space.windows[index];
        windows.clear();
        windows.resize(count * filters, R::default());
        let largest = &mut space.largest[index];
        largest.clear();
        largest.resize(filters, NONE);
        let start = space.pooled.len();
        space.pooled.resize(start + 2 * filters, R::default());
        let (maximum, mean) = space.pooled[start..].split_at_mut(filters);
        for (at, values) in windows.chunks_exact_mut(filters).enumerate() {
            values.copy_from_slice(&bank.bias);
            for (tap, &token) in window(&item.tokens, at, live, bank.width).iter().enumerate() {
                let row = &table[(tap * ALPHABET + usize::from(token)) * filters..][..filters];
                values.iter_mut().zip(row).for_each(|(value, weight)| *value += *weight);
            }
            let times = R::of(if at < live { 1.0 } else { (all - live) as f64 });
            for (value, mean) in values.iter_mut().zip(mean.iter_mut()) {
                *value = if *value > R::default() { *value } else { R::default() };
                *mean += *value * times;
            }
            for ((value, maximum), largest) in values.iter().zip(maximum.iter_mut()).zip(largest.iter_mut()) {
                let larger = *value > *maximum;
                *maximum = if larger { *value } else { *maximum };
                *largest = if larger { at as u32 } else { *largest };
            }
        }
        let share = R::of(1.0 / all as f64);
        mean.iter_mut().for_each(|mean| *mean = *mean * share);
    }
    let units = params.hidden_bias.len();
    space.hidden.clear();
    space.hidden.extend(&params.hidden_bias);
    for (&value, weights) in space.pooled.iter().zip(params.hidden.chunks_exact(units)) {
        if value > R::default() {
            add_scaled(&mut space.hidden, value, weights);
        }
    }
    for unit in &mut space.hidden {
        *unit = if *unit > R::default() { *unit } else { R::default() };
    }
    params.output_bias[0] + dot(&space.hidden, &params.output)
}

/// Adds one name's gradient of its weighted logistic loss; gives that loss, nats.
pub fn learn<R: Real>(
    params: &Params<R>,
    folded: &Folded<R>,
    item: &Item,
    space: &mut Workspace<R>,
    gradient: &mut Gradient<R>,
) -> f64 {
    let term = params.term(item);
    let logit = forward(params, folded, item, space).wide() + term;
    let slope = (sigmoid(logit) - item.target) * item.weight;
    let rest = &mut gradient.rest;
    rest.suffix[item.slot] += R::of(slope * (1.0 - (term / BOUND) * (term / BOUND)));
    let slope = R::of(slope);
    rest.output_bias[0] += slope;
    add_scaled(&mut rest.output, slope, &space.hidden);

    // From here `hidden` holds the loss' slope at each unit's input.
    for (unit, &weight) in space.hidden.iter_mut().zip(&params.output) {
        *unit = if *unit > R::default() { slope * weight } else { R::default() };
    }
    rest.hidden_bias.iter_mut().zip(&space.hidden).for_each(|(sum, value)| *sum += *value);
    let units = params.hidden_bias.len();
    space.upstream.clear();
    space.upstream.resize(space.pooled.len(), R::default());
    let rows = params.hidden.chunks_exact(units).zip(rest.hidden.chunks_exact_mut(units));
    for ((&value, upstream), (weights, sums)) in space.pooled.iter().zip(&mut space.upstream).zip(rows) {
        if value > R::default() {
            *upstream = dot(&space.hidden, weights);
            add_scaled(sums, value, &space.hidden);
        }
    }

    let mut upstream = space.upstream.as_slice();
    for (index, bank) in params.banks.iter().enumerate() {
        let filters = bank.bias.len();
        let (pooled, following) = upstream.split_at(2 * filters);
        upstream = following;
        let (maximum, mean) = pooled.split_at(filters);
        let (live, all) = spans(bank.width, item.used);
        let share = R::of(1.0 / all as f64);
        let largest = &space.largest[index];
        for (at, values) in space.windows[index].chunks_exact_mut(filters).enumerate() {
            let share = if at < live { share } else { share * R::of((all - live) as f64) };
            let sources = maximum.iter().zip(mean).zip(largest);
            for (value, ((maximum, mean), largest)) in values.iter_mut().zip(sources) {
                let peak = if *largest == at as u32 { *maximum } else { R::default() };
                *value = if *value > R::default() { *mean * share + peak } else { R::default() };
            }
            let table = &mut gradient.tables[index];
            for (tap, &token) in window(&item.tokens, at, live, bank.width).iter().enumerate() {
                let row = &mut table[(tap * ALPHABET + usize::from(token)) * filters..][..filters];
                row.iter_mut().zip(values.iter()).for_each(|(sum, value)| *sum += *value);
            }
            let bias = &mut gradient.rest.banks[index].bias;
            bias.iter_mut().zip(values.iter()).for_each(|(sum, value)| *sum += *value);
        }
    }
    let margin = if item.target > 0.5 { logit } else { -logit };
    ((-margin).max(0.0) + (-margin.abs()).exp().ln_1p()) * item.weight
}

fn add_scaled<R: Real>(sums: &mut [R], value: R, weights: &[R]) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += value * *weight;
    }
}

/// Eight running sums, so that it vectorises; the order is fixed.
fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [R::default(); 8];
    for (a, b) in a8.iter().zip(b8) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += *a * *b;
        }
    }
    let mut total = R::default();
    sums.iter().for_each(|sum| total += *sum);
    a_rest.iter().zip(b_rest).for_each(|(a, b)| total += *a * *b);
    total
}
