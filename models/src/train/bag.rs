//! Training of a hashed bag, by one pass of Adagrad over single names (Duchi et al. 2011).
//!
//! ```text
//! name -> features -> sum of rows -> dense -> logit ┐
//!     '-> suffix, and features under it -> sum ──────┴-> loss -> the rows that were read
//! ```
//!
//! The suffix' word is learnt beside the content's. Each name is seen twice: as it is, and in guise ([`Guises`]): a
//! benign one as if it stood under a suffix that malicious names have, or behind what malicious names or hosts of any
//! network start with, a malicious one under a suffix of benign names, so that none of these becomes the reason. Only the rows of a name's features move, so a step is as cheap as a
//! score. The surprise: one pass and no more. The second one learns the names themselves, and recall on others falls
//! by a third.

use dnsvet_core::model::bag::DIMENSIONS;
use dnsvet_core::model::features::{FEATURE_BITS, crossed};
use dnsvet_core::model::stack::{self, MAX_BOUND, SUFFIX_BITS};
use dnsvet_core::model::{Bag, BagWeights, ModelError, Parts, Reading, SuffixWeights, features, sigmoid};

use super::real::Real;
use super::{Progress, Run};
use crate::data::{Example, Random, Split};

/// How a bag is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct BagRecipe {
    /// What it reads.
    pub reading: Reading,
    /// The table has `2^bits` rows.
    pub bits: u8,
    /// Hidden units.
    pub units: usize,
    /// The table of features under a suffix has `2^crossed_bits` rows.
    pub crossed_bits: u8,
    /// Step size of rows; that of dense weights is a fifth. Both fall to nothing over the pass.
    pub rate: f64,
}

/// How much a benign name in guise counts, in what it counts by itself; a malicious one a quarter of that.
const GUISE_WEIGHT: f64 = 0.2;
/// Rows start this near to nothing.
const START: f64 = 0.01;
/// Suffixes are few and seen often: they may move quickly.
const SUFFIX_RATE: f64 = 1.0;
/// Step size of features under a suffix, in those of rows.
const CROSSED_RATE: f64 = 1.5;

/// Trains a bag in one pass, with what suffixes say beside it.
pub fn train(
    recipe: &BagRecipe,
    run: Run,
    split: &Split<'_>,
    progress: &mut dyn FnMut(Progress),
) -> BagParams<f32> {
    let mut random = Random::new(run.seed);
    let mut order: Vec<usize> = (0..split.train.len()).collect();
    random.shuffle(&mut order);
    let mut trainer = BagTrainer::new(recipe, &mut random);
    let guises = Guises::new(split);
    let (mut loss, mut mass) = (0.0, 0.0);
    for (done, example) in order.iter().map(|&at| split.train[at]).enumerate() {
        let weight = f64::from(example.weight);
        let left = 1.0 - done as f64 / order.len() as f64;
        let parts = Parts::of(&example.name);
        let target = f64::from(u8::from(example.is_malicious()));
        loss = 0.9999 * loss + trainer.learn(&parts, target, weight, left);
        mass = 0.9999 * mass + weight;
        if let Some(guise) = guises.of(example, &mut random) {
            let share = if example.is_malicious() { GUISE_WEIGHT / 4.0 } else { GUISE_WEIGHT };
            trainer.learn(&Parts::of(&guise), target, share * weight, left);
        }
        if done % 1_000 == 0 {
            let (names, of) = (done + 1, order.len());
            progress(Progress::Step { stage: run.stage, epoch: 1, names, of, loss: loss / mass });
        }
    }
    trainer.params
}

/// What names are put in: benign ones in what stands around the registered label of malicious names, malicious ones
/// under the suffixes of benign names. Suffixes are those of registries; platforms stay where they are.
struct Guises<'a> {
    /// Of each malicious name, what stands before its registrable domain, and its suffix.
    of_malicious: Vec<(&'a str, &'a str)>,
    /// Of each benign name, its suffix.
    of_benign: Vec<&'a str>,
    hosts: Vec<&'static str>,
}

/// What hosts are called in any network. Lists of popular names have registrable domains, hardly any host, and
/// malicious names have both: a filter must not take `mail` for a sign.
const HOSTS: &str = "mail smtp imap pop webmail autodiscover mx mx1 ns ns1 ns2 dns vpn remote api cdn static img \
    images media assets m mobile blog shop store news forum wiki docs help support status app apps portal login auth \
    sso account accounts my secure admin dev test staging beta demo git ftp files download downloads update updates \
    cloud edge data stats analytics track events ads ssl web www2 en de us eu server host gateway proxy chat calendar \
    meet video search";

impl<'a> Guises<'a> {
    fn new(split: &Split<'a>) -> Self {
        let hosts = HOSTS.split_whitespace().collect();
        let mut guises = Self { of_malicious: Vec::new(), of_benign: Vec::new(), hosts };
        for example in &split.train {
            let suffix = Parts::of(&example.name).suffix;
            if example.is_malicious() {
                guises.of_malicious.push((&example.name[..example.domain_at], suffix));
            } else {
                guises.of_benign.push(suffix);
            }
        }
        guises
    }

    /// A name in guise: always under another suffix; a benign registrable domain also, by a quarter each, behind a
    /// host, or behind what malicious names have there.
    fn of(&self, example: &Example, random: &mut Random) -> Option<String> {
        if self.of_malicious.is_empty() || self.of_benign.is_empty() {
            return None;
        }
        let suffix = Parts::of(&example.name).suffix;
        let registered = example.name.strip_suffix(suffix)?.strip_suffix('.')?;
        if example.is_malicious() {
            return Some(format!("{registered}.{}", random.pick(&self.of_benign)));
        }
        let (before, suffix): (&str, &str) = *random.pick(&self.of_malicious);
        Some(match random.below(4) {
            0 if example.domain_at == 0 => format!("{}.{registered}.{suffix}", random.pick(&self.hosts)),
            1 if example.domain_at == 0 => format!("{before}{registered}.{suffix}"),
            _ => format!("{registered}.{suffix}"),
        })
    }
}

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct BagParams<R> {
    reading: Reading,
    bits: u8,
    /// `[feature][dimension]`
    rows: Vec<R>,
    /// `[unit][dimension]`
    hidden: Vec<R>,
    hidden_bias: Vec<R>,
    output: Vec<R>,
    output_bias: Vec<R>,
    /// `[slot of the suffix]`
    suffix: Vec<R>,
    crossed_bits: u8,
    /// `[feature under a suffix]`
    crossed: Vec<R>,
}

/// The slopes of one name's loss.
#[derive(Debug, Default)]
struct Slopes<R> {
    /// Rows that were read.
    rows: Vec<usize>,
    /// Crossed rows that were read.
    crossed: Vec<usize>,
    slot: usize,
    pooled: [R; DIMENSIONS],
    /// Of each hidden unit, after relu.
    units: Vec<R>,
    /// By the logit, and so by the suffix' number.
    logit: R,
    /// By each hidden unit's input.
    inputs: Vec<R>,
    /// By each number of each row that was read.
    row: [R; DIMENSIONS],
    /// By each crossed row that was read.
    under: R,
}

impl<R: Real> BagParams<R> {
    /// Rows near to nothing, the dense layers by He.
    pub fn random(recipe: &BagRecipe, random: &mut Random) -> Self {
        let mut uniform = |count: usize, limit: f64| -> Vec<R> {
            (0..count).map(|_| R::of(limit * random.signed())).collect()
        };
        let units = recipe.units;
        Self {
            reading: recipe.reading,
            bits: recipe.bits,
            rows: uniform(DIMENSIONS << recipe.bits, START),
            hidden: uniform(units * DIMENSIONS, (6.0 / DIMENSIONS as f64).sqrt()),
            hidden_bias: vec![R::default(); units],
            output: uniform(units, (3.0 / units as f64).sqrt()),
            output_bias: vec![R::default()],
            suffix: vec![R::default(); 1 << SUFFIX_BITS],
            crossed_bits: recipe.crossed_bits,
            crossed: vec![R::default(); 1 << recipe.crossed_bits],
        }
    }

    fn zeros(&self) -> Self {
        let mut zeros = self.clone();
        zeros.tensors_mut().into_iter().for_each(|tensor| tensor.fill(R::default()));
        zeros
    }

    fn tensors_mut(&mut self) -> [&mut Vec<R>; 7] {
        [
            &mut self.rows,
            &mut self.hidden,
            &mut self.hidden_bias,
            &mut self.output,
            &mut self.output_bias,
            &mut self.suffix,
            &mut self.crossed,
        ]
    }

    /// The logit of a name; leaves in `slopes` what the slopes are made of.
    fn forward(&self, parts: &Parts<'_>, slopes: &mut Slopes<R>) -> f64 {
        let mut found = Vec::new();
        features(parts.content, self.reading, &mut found);
        let row = |feature: u32, bits: u8| (feature >> (FEATURE_BITS - u32::from(bits))) as usize;
        slopes.rows.clear();
        slopes.rows.extend(found.iter().map(|feature| row(*feature, self.bits)));
        slopes.crossed.clear();
        slopes.crossed.extend(crossed(&found, parts.suffix).map(|feature| row(feature, self.crossed_bits)));
        slopes.slot = stack::slot(parts.suffix);
        slopes.pooled = [R::default(); DIMENSIONS];
        let rows = self.rows.as_chunks::<DIMENSIONS>().0;
        for row in &slopes.rows {
            for (sum, value) in slopes.pooled.iter_mut().zip(&rows[*row]) {
                *sum += *value;
            }
        }
        let share = share::<R>(slopes.rows.len());
        slopes.pooled.iter_mut().for_each(|value| *value = *value * share);
        let mut said = R::default();
        slopes.crossed.iter().for_each(|row| said += self.crossed[*row]);
        let said = self.suffix[slopes.slot].wide() + (said * share).wide();
        slopes.units.clear();
        let mut logit = self.output_bias[0];
        let layer = self.hidden.as_chunks::<DIMENSIONS>().0.iter().zip(&self.hidden_bias).zip(&self.output);
        for ((weights, bias), output) in layer {
            let mut sum = *bias;
            slopes.pooled.iter().zip(weights).for_each(|(value, weight)| sum += *value * *weight);
            let unit = if sum > R::default() { sum } else { R::default() };
            slopes.units.push(unit);
            logit += unit * *output;
        }
        logit.wide() + said
    }

    /// The slopes of a name's weighted logistic loss; gives that loss, nats.
    fn slopes(&self, parts: &Parts<'_>, target: f64, weight: f64, slopes: &mut Slopes<R>) -> f64 {
        let logit = self.forward(parts, slopes);
        let slope = (sigmoid(logit) - target) * weight;
        slopes.logit = R::of(slope);
        slopes.row = [R::default(); DIMENSIONS];
        slopes.inputs.clear();
        for (unit, (weights, output)) in
            slopes.units.iter().zip(self.hidden.as_chunks::<DIMENSIONS>().0.iter().zip(&self.output))
        {
            let input = if *unit > R::default() { slopes.logit * *output } else { R::default() };
            slopes.inputs.push(input);
            slopes.row.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += input * *weight);
        }
        let share = share::<R>(slopes.rows.len());
        slopes.row.iter_mut().for_each(|value| *value = *value * share);
        slopes.under = slopes.logit * share;
        let margin = if target > 0.5 { logit } else { -logit };
        ((-margin).max(0.0) + (-margin.abs()).exp().ln_1p()) * weight
    }
}

/// A sum of `count` rows is divided by the root of it.
fn share<R: Real>(count: usize) -> R {
    R::of(1.0 / (count.max(1) as f64).sqrt())
}

impl BagParams<f32> {
    /// The content's logit in bytes: each dimension is cut to twenty standard deviations and gets 255 steps.
    pub fn quantised(&self) -> Result<Bag, ModelError> {
        let rows = self.rows.as_chunks::<DIMENSIONS>().0;
        let mut scale = [0.0f32; DIMENSIONS];
        for (dimension, scale) in scale.iter_mut().enumerate() {
            let squares: f64 = rows.iter().map(|row| f64::from(row[dimension]).powi(2)).sum();
            let largest = rows.iter().map(|row| row[dimension].abs()).fold(0.0, f32::max);
            let deviation = (squares / rows.len() as f64).sqrt() as f32;
            *scale = (20.0 * deviation).min(largest).max(1e-9) / 127.0;
        }
        let step = |(value, scale): (f32, f32)| (value / scale).round().clamp(-127.0, 127.0) as i8;
        let quantise = |row: &[f32; DIMENSIONS]| {
            let mut steps = [0; DIMENSIONS];
            for ((slot, value), scale) in steps.iter_mut().zip(row).zip(scale) {
                *slot = step((*value, scale));
            }
            steps
        };
        Bag::new(BagWeights {
            reading: self.reading,
            bits: self.bits,
            rows: rows.iter().map(quantise).collect(),
            scale,
            hidden: self.hidden.as_chunks::<DIMENSIONS>().0.to_vec(),
            hidden_bias: self.hidden_bias.clone(),
            output: self.output.clone(),
            output_bias: self.output_bias[0],
        })
    }
}

impl BagParams<f32> {
    /// The suffix' word as it was learnt, in bytes where it is of features.
    pub fn suffix(&self) -> SuffixWeights {
        let squares: f64 = self.crossed.iter().map(|value| f64::from(*value).powi(2)).sum();
        let largest = self.crossed.iter().map(|value| value.abs()).fold(0.0, f32::max);
        let deviation = (squares / self.crossed.len() as f64).sqrt() as f32;
        // Most rows are next to nothing, so the others lie far out.
        let scale = (20.0 * deviation).min(largest).max(1e-9) / 127.0;
        SuffixWeights {
            bound: MAX_BOUND,
            terms: self.suffix.clone(),
            bits: self.crossed_bits,
            rows: self
                .crossed
                .iter()
                .map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8)
                .collect(),
            scale,
        }
    }
}

/// Adagrad over one name after the other.
struct BagTrainer {
    params: BagParams<f32>,
    squares: BagParams<f32>,
    slopes: Slopes<f32>,
    rate: f64,
}

impl BagTrainer {
    fn new(recipe: &BagRecipe, random: &mut Random) -> Self {
        let params = BagParams::random(recipe, random);
        let squares = params.zeros();
        Self { params, squares, slopes: Slopes::default(), rate: recipe.rate }
    }

    /// Learns one name, of which the target is 0 or 1, with the share of the pass that is `left`; gives its weighted
    /// loss, nats.
    fn learn(&mut self, parts: &Parts<'_>, target: f64, weight: f64, left: f64) -> f64 {
        let loss = self.params.slopes(parts, target, weight, &mut self.slopes);
        let (rate, dense) = ((self.rate * left) as f32, (self.rate * left / 5.0) as f32);
        let (params, squares, slopes) = (&mut self.params, &mut self.squares, &self.slopes);
        for row in &slopes.rows {
            let at = row * DIMENSIONS;
            let rows = params.rows[at..at + DIMENSIONS].iter_mut();
            let squares = squares.rows[at..at + DIMENSIONS].iter_mut();
            for ((weight, square), slope) in rows.zip(squares).zip(slopes.row) {
                step(weight, square, slope, rate);
            }
        }
        for (unit, (&active, &input)) in slopes.units.iter().zip(&slopes.inputs).enumerate() {
            if active > 0.0 {
                step(&mut params.output[unit], &mut squares.output[unit], slopes.logit * active, dense);
                step(&mut params.hidden_bias[unit], &mut squares.hidden_bias[unit], input, dense);
                for (dimension, pooled) in slopes.pooled.iter().enumerate() {
                    let at = unit * DIMENSIONS + dimension;
                    step(&mut params.hidden[at], &mut squares.hidden[at], input * pooled, dense);
                }
            }
        }
        step(&mut params.output_bias[0], &mut squares.output_bias[0], slopes.logit, dense);
        let rate = (SUFFIX_RATE * left) as f32;
        step(&mut params.suffix[slopes.slot], &mut squares.suffix[slopes.slot], slopes.logit, rate);
        let rate = (self.rate * CROSSED_RATE * left) as f32;
        for row in &slopes.crossed {
            step(&mut params.crossed[*row], &mut squares.crossed[*row], slopes.under, rate);
        }
        loss
    }
}

fn step(weight: &mut f32, square: &mut f32, slope: f32, rate: f32) {
    *square += slope * slope;
    *weight -= rate * slope / (square.sqrt() + 1e-6);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Class, Corpus};
    use crate::train::Stage;

    const RECIPE: BagRecipe =
        BagRecipe { reading: Reading::Labels, bits: 10, units: 8, crossed_bits: 10, rate: 0.1 };

    #[test]
    fn every_slope_agrees_with_the_difference_quotient() {
        let mut params = BagParams::<f64>::random(&RECIPE, &mut Random::new(3));
        let mut random = Random::new(4);
        for tensor in params.tensors_mut() {
            tensor.iter_mut().for_each(|value| *value += 0.3 * random.signed());
        }
        let mut checked = 0;
        for (name, target, weight) in
            [("example.com", 0.0, 1.0), ("pay-pal1.login.top", 1.0, 0.7), ("co.uk", 1.0, 2.0)]
        {
            let mut slopes = Slopes::default();
            let parts = Parts::of(name);
            params.slopes(&parts, target, weight, &mut slopes);
            let mut expected = params.zeros();
            for row in &slopes.rows {
                for (dimension, slope) in slopes.row.iter().enumerate() {
                    expected.rows[row * DIMENSIONS + dimension] += slope;
                }
            }
            slopes.crossed.iter().for_each(|row| expected.crossed[*row] += slopes.under);
            for (unit, input) in slopes.inputs.iter().enumerate() {
                expected.output[unit] = slopes.logit * slopes.units[unit];
                expected.hidden_bias[unit] = *input;
                for (dimension, pooled) in slopes.pooled.iter().enumerate() {
                    expected.hidden[unit * DIMENSIONS + dimension] = input * pooled;
                }
            }
            expected.output_bias[0] = slopes.logit;
            expected.suffix[slopes.slot] = slopes.logit;
            let expected = expected.tensors_mut().map(|tensor| tensor.clone());
            for (tensor, expected) in expected.iter().enumerate() {
                for at in (0..expected.len()).step_by((expected.len() / 50).max(1)).chain([slopes.slot]) {
                    let Some(expected) = expected.get(at) else { continue };
                    let mut loss = |by: f64| {
                        let kept = params.tensors_mut()[tensor][at];
                        params.tensors_mut()[tensor][at] = kept + by;
                        let loss = params.slopes(&parts, target, weight, &mut Slopes::default());
                        params.tensors_mut()[tensor][at] = kept;
                        loss
                    };
                    let quotient = (loss(1e-6) - loss(-1e-6)) / 2e-6;
                    assert!(
                        (quotient - expected).abs() < 1e-6 + 1e-5 * quotient.abs(),
                        "{name} {tensor} {at}"
                    );
                    checked += usize::from(quotient.abs() > 1e-6);
                }
            }
        }
        assert!(checked > 100, "only {checked} slopes were other than zero");
    }

    fn corpus() -> Corpus {
        let mut random = Random::new(5);
        let example = |i: usize| {
            let letters = if i.is_multiple_of(2) { b"qxzjkv" } else { b"aeinrt" };
            let label: String = (0..8).map(|_| char::from(*random.pick(letters))).collect();
            let class = if i.is_multiple_of(2) { Class::Scam } else { Class::Benign };
            Example { weight: 1.0, ..Example::new(format!("{label}.com"), class, false, "list".into()) }
        };
        Corpus { learning: (0..2_000).map(example).collect(), ..Corpus::default() }
    }

    #[test]
    fn a_separable_set_is_learnt_in_every_reading_and_bytes_keep_what_was() {
        let corpus = corpus();
        let split = corpus.split(None);
        for reading in Reading::ALL {
            let train = |seed| {
                let stage = Stage { member: "bag", fold: None };
                let run = Run { stage, seed, threads: 1 };
                train(&BagRecipe { reading, ..RECIPE }, run, &split, &mut |_| {})
            };
            let params = train(1);
            assert_eq!(train(1), params);
            assert_ne!(train(2), params);
            let (bag, suffix) = (params.quantised().unwrap(), params.suffix());
            assert_eq!(bag.reading(), reading);
            for example in &corpus.learning[..200] {
                let parts = Parts::of(&example.name);
                let logit = params.forward(&parts, &mut Slopes::default());
                assert_eq!(logit > 0.0, example.is_malicious(), "{}: {logit}", example.name);
                let mut found = Vec::new();
                features(parts.content, reading, &mut found);
                let bytes = f64::from(bag.logit(&found) + suffix.unbound(&found, "com"));
                assert!((bytes - logit).abs() < 0.05 + 0.1 * logit.abs(), "{bytes} for {logit}");
            }
        }
    }

    #[test]
    fn a_benign_name_is_also_learnt_under_suffixes_of_malicious_ones() {
        // Benign under .com only, malicious under .top only, the contents alike: the suffix is all there is to learn.
        let example = |i: usize, suffix: &str, class| Example {
            weight: 1.0,
            ..Example::new(format!("n{}.{suffix}", i / 2), class, false, "list".into())
        };
        let names = (0..2_000).map(|i| match i % 2 {
            0 => example(i, "com", Class::Benign),
            _ => example(i, "top", Class::Scam),
        });
        let corpus = Corpus { learning: names.collect(), ..Corpus::default() };
        let run = Run { stage: Stage { member: "bag", fold: None }, seed: 1, threads: 1 };
        let params = train(&RECIPE, run, &corpus.split(None), &mut |_| {});
        let logit = |name: &str| params.forward(&Parts::of(name), &mut Slopes::default());
        // One benign copy of a fifth of the weight stands against each malicious name there.
        let odds = logit("n500.top");
        assert!((0.5..3.0).contains(&odds), "{odds}, where (1 / 0.2).ln() is 1.6");
    }
}
