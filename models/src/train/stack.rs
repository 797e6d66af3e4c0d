//! How much each member of a stack counts, and what a suffix may say: logistic regression on names that the
//! members did not learn from.
//!
//! The surprise: what a suffix learnt is not what it says. Clean names are moved under each of the suffixes that
//! malicious names prefer, and each of these is lowered until no more than the share [`MOVED`] of them passes the
//! threshold that 1 % of the clean names pass where they are. What names under it need then comes from their content.

use dnsvet_core::model::sigmoid;
use dnsvet_core::model::stack::MAX_BOUND;

use crate::data::Example;

/// The share of clean names that a suffix may put over the threshold of 1 %.
const MOVED: f64 = 0.09;
/// How often suffixes are lowered and all is fitted again: each changes the threshold of the other.
const ROUNDS: usize = 4;
const PASSES: usize = 4;
const BOUND: f64 = MAX_BOUND as f64;

/// What suffixes say of names, unbound.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Of each name, its own suffix.
    pub unbound: Vec<f32>,
    /// Of each name, which of the watched suffixes is its own.
    pub watched: Vec<Option<usize>>,
    /// Of clean names, by index, each of the watched suffixes.
    pub moved: Vec<(usize, Vec<f32>)>,
}

/// What is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// One for each member.
    pub weights: Vec<f64>,
    /// One for each watched suffix, at least 0: taken off what it would say, before `factor`.
    pub lowered: Vec<f64>,
    /// Factor of what a suffix would say unbound.
    pub factor: f64,
    /// Added to every logit.
    pub bias: f64,
}

impl Fitted {
    /// The logit of each name.
    pub fn logits(&self, members: &[&[f32]], said: &Said) -> Vec<f32> {
        let logit = |at| (self.content(members, at) + self.say(self.own(said, at))) as f32;
        (0..said.unbound.len()).map(logit).collect()
    }

    /// The logit of a name without what its suffix says.
    fn content(&self, members: &[&[f32]], at: usize) -> f64 {
        let own = members.iter().map(|logits| f64::from(logits[at]));
        self.bias + self.weights.iter().zip(own).map(|(weight, logit)| weight * logit).sum::<f64>()
    }

    /// What a name's suffix would say unbound, lowered.
    fn own(&self, said: &Said, at: usize) -> f64 {
        let lowered = said.watched[at].map_or(0.0, |suffix| self.lowered[suffix]);
        f64::from(said.unbound[at]) - lowered
    }

    /// What a suffix says that would say `unbound`.
    fn say(&self, unbound: f64) -> f64 {
        BOUND * (self.factor * unbound / BOUND).tanh()
    }

    /// What a suffix would have to say, unbound, to bring a content's logit to `threshold`.
    fn wanted(&self, content: f64, threshold: f64) -> f64 {
        let share = ((threshold - content) / BOUND).clamp(-0.999_999, 0.999_999);
        BOUND * share.atanh() / self.factor
    }

    /// The logit that 1 % of the clean names pass.
    fn threshold(&self, members: &[&[f32]], said: &Said, examples: &[Example]) -> Option<f64> {
        let clean = (0..examples.len()).filter(|&at| examples[at].clean);
        let logit = |at| self.content(members, at) + self.say(self.own(said, at));
        let mut placed: Vec<f64> = clean.map(logit).collect();
        placed.sort_by(|a, b| b.total_cmp(a));
        placed.get(placed.len() / 100).copied()
    }

    /// Lowers each watched suffix, or raises it as far as it was lowered, so that the share [`MOVED`] of clean names
    /// would pass `threshold` under it.
    fn lower(&mut self, threshold: f64, members: &[&[f32]], said: &Said) {
        let wanted: Vec<f64> =
            said.moved.iter().map(|(at, _)| self.wanted(self.content(members, *at), threshold)).collect();
        let lowered = (0..self.lowered.len()).map(|suffix| {
            let excess =
                said.moved.iter().zip(&wanted).map(|((_, says), wanted)| f64::from(says[suffix]) - wanted);
            let mut excess: Vec<f64> = excess.collect();
            excess.sort_by(|a, b| b.total_cmp(a));
            excess.get((excess.len() as f64 * MOVED) as usize).map_or(0.0, |least| least.max(0.0))
        });
        self.lowered = lowered.collect();
    }
}

/// Fits weights to `members[member][example]` and to what each example's suffix would say unbound.
pub fn fit(members: &[&[f32]], said: &Said, examples: &[Example]) -> Fitted {
    let suffixes = said.moved.first().map_or(0, |(_, says)| says.len());
    let mut fitted = fit_lowered(vec![0.0; suffixes], members, said, examples);
    for _ in 0..ROUNDS {
        let Some(threshold) = fitted.threshold(members, said, examples) else { break };
        fitted.lower(threshold, members, said);
        fitted = fit_lowered(fitted.lowered, members, said, examples);
    }
    fitted
}

/// Adagrad on the weighted logistic loss; both classes count the same.
fn fit_lowered(lowered: Vec<f64>, members: &[&[f32]], said: &Said, examples: &[Example]) -> Fitted {
    let mass = |malicious: bool| {
        let class = examples.iter().filter(|example| example.is_malicious() == malicious);
        class.map(|example| f64::from(example.weight)).sum::<f64>().max(1e-9)
    };
    let balance = [1.0 / mass(false), 1.0 / mass(true)].map(|share| share * examples.len() as f64 / 2.0);
    let share = 1.0 / members.len().max(1) as f64;
    let mut fitted = Fitted { weights: vec![share; members.len()], lowered, factor: 1.0, bias: 0.0 };
    let mut squares = (vec![1e-9; members.len()], 1e-9, 1e-9);
    let steps = (PASSES * examples.len()).max(1) as f64;
    let mut done = 0.0;
    let step = |weight: &mut f64, square: &mut f64, slope: f64, rate: f64| {
        *square += slope * slope;
        *weight -= rate * slope / square.sqrt();
    };
    for _ in 0..PASSES {
        for (at, example) in examples.iter().enumerate() {
            let rate = 0.05 * (1.0 - done / steps);
            done += 1.0;
            let unbound = fitted.own(said, at);
            let says = fitted.say(unbound);
            let target = f64::from(u8::from(example.is_malicious()));
            let weight = f64::from(example.weight) * balance[usize::from(example.is_malicious())];
            let slope = (sigmoid(fitted.content(members, at) + says) - target) * weight;
            let own = members.iter().map(|logits| f64::from(logits[at]));
            for ((weight, square), logit) in fitted.weights.iter_mut().zip(&mut squares.0).zip(own) {
                step(weight, square, slope * logit, rate);
            }
            let bent = slope * (1.0 - (says / BOUND).powi(2)) * unbound;
            step(&mut fitted.factor, &mut squares.1, bent, rate);
            // A suffix never says the contrary of what was learnt.
            fitted.factor = fitted.factor.max(0.01);
            step(&mut fitted.bias, &mut squares.2, slope, rate);
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Class, Random};

    /// One member that knows something, one that knows nothing, and a suffix that says much.
    fn made(count: usize) -> (Vec<Vec<f32>>, Said, Vec<Example>) {
        let mut random = Random::new(9);
        let mut logits = vec![Vec::new(); 2];
        let (mut said, mut examples) = (Said::default(), Vec::new());
        for i in 0..count {
            let malicious = i % 2 == 0;
            let sign = if malicious { 1.0 } else { -1.0 };
            logits[0].push((3.0 * (0.4 * sign + random.signed())) as f32);
            logits[1].push(random.signed() as f32);
            let watched = random.below(100) < if malicious { 60 } else { 1 };
            said.unbound.push(if watched { 2.0 } else { -0.8 });
            said.watched.push(watched.then_some(1));
            if !malicious {
                said.moved.push((i, vec![-0.8, 2.0]));
            }
            let class = if malicious { Class::Malware } else { Class::Benign };
            examples.push(Example::new(format!("n{i}.com"), class, !malicious, "list".into()));
        }
        (logits, said, examples)
    }

    fn slices(logits: &[Vec<f32>]) -> Vec<&[f32]> {
        logits.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn a_member_counts_by_what_it_knows() {
        let (logits, said, examples) = made(20_000);
        let fitted = fit(&slices(&logits), &said, &examples);
        assert!(fitted.weights[0] > 0.3 && fitted.weights[1].abs() < 0.1, "{:?}", fitted.weights);
        assert_eq!(fit(&slices(&logits), &said, &examples), fitted);
    }

    /// The share of clean names over the threshold of 1 %, were all under a suffix.
    fn moved(fitted: &Fitted, members: &[&[f32]], said: &Said, examples: &[Example], suffix: usize) -> f64 {
        let threshold = fitted.threshold(members, said, examples).unwrap();
        let logit = |at, says: f32| {
            fitted.content(members, at) + fitted.say(f64::from(says) - fitted.lowered[suffix])
        };
        let over = said.moved.iter().filter(|(at, says)| logit(*at, says[suffix]) > threshold).count();
        over as f64 / said.moved.len() as f64
    }

    #[test]
    fn a_suffix_is_lowered_until_it_moves_no_more_clean_names_than_it_may() {
        let (logits, said, examples) = made(20_000);
        let members = slices(&logits);
        let free = fit_lowered(vec![0.0; 2], &members, &said, &examples);
        let share = moved(&free, &members, &said, &examples, 1);
        assert!(share > 1.1 * MOVED, "this suffix would say too much: {share}");
        let fitted = fit(&members, &said, &examples);
        let share = moved(&fitted, &members, &said, &examples, 1);
        assert!((0.95 * MOVED..1.05 * MOVED).contains(&share), "{share}");
        assert_eq!(fitted.lowered[0], 0.0, "the other says nothing against a name");
        assert!(fitted.lowered[1] > 0.0 && fitted.say(2.0) > 0.0 && fitted.say(-0.8) < 0.0);
    }
}
