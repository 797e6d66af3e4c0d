//! How much each member of a stack counts, and what a suffix may say: logistic regression on names that the
//! members did not learn from.
//!
//! The surprise: the bound of a suffix is not chosen, it is measured. Clean names are moved to each of the suffixes
//! that malicious names prefer; the bound is the largest with which under none of them more than the share [`MOVED`]
//! passes the threshold that 1 % of the clean names pass where they are.

use dnsvet_core::model::sigmoid;
use dnsvet_core::model::stack::MAX_BOUND;

use crate::data::Example;

/// The share of clean names that a suffix may put over the threshold of 1 %.
const MOVED: f64 = 0.09;
const PASSES: usize = 4;

/// What suffixes say of names, unbound.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Of each name, its own suffix.
    pub unbound: Vec<f32>,
    /// Of clean names, by index, each of the worst suffixes.
    pub moved: Vec<(usize, Vec<f32>)>,
}

/// What is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// One for each member.
    pub weights: Vec<f64>,
    /// What a suffix says at most.
    pub bound: f64,
    /// Factor of what a suffix would say unbound.
    pub factor: f64,
    /// Added to every logit.
    pub bias: f64,
}

impl Fitted {
    /// The logit of each name.
    pub fn logits(&self, members: &[&[f32]], said: &Said) -> Vec<f32> {
        let logit = |(at, unbound): (usize, &f32)| (self.content(members, at) + self.say(*unbound)) as f32;
        said.unbound.iter().enumerate().map(logit).collect()
    }

    /// The logit of a name without what its suffix says.
    fn content(&self, members: &[&[f32]], at: usize) -> f64 {
        let own = members.iter().map(|logits| f64::from(logits[at]));
        self.bias + self.weights.iter().zip(own).map(|(weight, logit)| weight * logit).sum::<f64>()
    }

    /// What a suffix says that would say `unbound`.
    fn say(&self, unbound: f32) -> f64 {
        self.bound * (self.factor * f64::from(unbound) / self.bound).tanh()
    }
}

/// Fits weights to `members[member][example]` and to what each example's suffix would say unbound.
pub fn fit(members: &[&[f32]], said: &Said, examples: &[Example]) -> Fitted {
    let mut bound = f64::from(MAX_BOUND);
    loop {
        let fitted = fit_within(bound, members, said, examples);
        if moved(&fitted, members, said, examples) <= MOVED || bound < 0.05 {
            return fitted;
        }
        bound *= 0.9;
    }
}

/// Adagrad on the weighted logistic loss; both classes count the same.
fn fit_within(bound: f64, members: &[&[f32]], said: &Said, examples: &[Example]) -> Fitted {
    let mass = |malicious: bool| {
        let class = examples.iter().filter(|example| example.is_malicious() == malicious);
        class.map(|example| f64::from(example.weight)).sum::<f64>().max(1e-9)
    };
    let balance = [1.0 / mass(false), 1.0 / mass(true)].map(|share| share * examples.len() as f64 / 2.0);
    let share = 1.0 / members.len().max(1) as f64;
    let mut fitted = Fitted { weights: vec![share; members.len()], bound, factor: 1.0, bias: 0.0 };
    let mut squares = (vec![1e-9; members.len()], 1e-9, 1e-9);
    let steps = (PASSES * examples.len()).max(1) as f64;
    let mut done = 0.0;
    let step = |weight: &mut f64, square: &mut f64, slope: f64, rate: f64| {
        *square += slope * slope;
        *weight -= rate * slope / square.sqrt();
    };
    for _ in 0..PASSES {
        for (at, (example, unbound)) in examples.iter().zip(&said.unbound).enumerate() {
            let rate = 0.05 * (1.0 - done / steps);
            done += 1.0;
            let own = members.iter().map(|logits| f64::from(logits[at]));
            let said = fitted.say(*unbound);
            let target = f64::from(u8::from(example.is_malicious()));
            let weight = f64::from(example.weight) * balance[usize::from(example.is_malicious())];
            let slope = (sigmoid(fitted.content(members, at) + said) - target) * weight;
            for ((weight, square), logit) in fitted.weights.iter_mut().zip(&mut squares.0).zip(own) {
                step(weight, square, slope * logit, rate);
            }
            let bent = slope * (1.0 - (said / bound) * (said / bound)) * f64::from(*unbound);
            step(&mut fitted.factor, &mut squares.1, bent, rate);
            step(&mut fitted.bias, &mut squares.2, slope, rate);
        }
    }
    fitted
}

/// The share of clean names over the threshold of 1 %, were all under the worst of the suffixes.
fn moved(fitted: &Fitted, members: &[&[f32]], said: &Said, examples: &[Example]) -> f64 {
    let clean = (0..examples.len()).filter(|&at| examples[at].clean);
    let mut placed: Vec<f64> =
        clean.map(|at| fitted.content(members, at) + fitted.say(said.unbound[at])).collect();
    placed.sort_by(|a, b| b.total_cmp(a));
    let Some(threshold) = placed.get(placed.len() / 100) else { return 0.0 };
    let suffixes = said.moved.first().map_or(0, |(_, suffixes)| suffixes.len());
    let mut over = vec![0usize; suffixes];
    for (at, suffixes) in &said.moved {
        let content = fitted.content(members, *at);
        for (over, unbound) in over.iter_mut().zip(suffixes) {
            *over += usize::from(content + fitted.say(*unbound) > *threshold);
        }
    }
    over.into_iter().max().unwrap_or(0) as f64 / said.moved.len().max(1) as f64
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
            said.unbound.push(if random.below(10) < if malicious { 6 } else { 1 } { 2.0 } else { -0.8 });
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

    #[test]
    fn no_suffix_moves_more_clean_names_than_it_may() {
        let (logits, said, examples) = made(20_000);
        let members = slices(&logits);
        let free = fit_within(f64::from(MAX_BOUND), &members, &said, &examples);
        assert!(moved(&free, &members, &said, &examples) > MOVED, "this suffix would say too much");
        let fitted = fit(&members, &said, &examples);
        assert!(moved(&fitted, &members, &said, &examples) <= MOVED);
        assert!(fitted.say(1e9) <= fitted.bound && fitted.say(2.0) > 0.0 && fitted.say(-0.8) < 0.0);
    }
}
