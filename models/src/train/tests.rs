//! The loop learns, repeats itself to the byte, and its gradient is the true one.

use dnsvet_core::model::{ModelError, Parts, Scratch};

use super::network::{self, Folded, Gradient, Item, Workspace};
use super::*;
use crate::data::{Class, Corpus, Example, Random};
use crate::evaluate;
use crate::recipe::{MemberRecipe, Recipe, Shape, TableRecipe};

fn shape() -> Shape {
    Shape { embedding: 5, widths: vec![1, 3, 4], filters: 16, hidden: 16 }
}

#[test]
fn every_gradient_agrees_with_the_difference_quotient() {
    let mut random = Random::new(11);
    let mut params = Params::<f64>::random(&shape(), &mut random);
    // Move the biases off zero, where relu has a kink for every window that sees nothing.
    for tensor in params.tensors_mut() {
        tensor.iter_mut().for_each(|value| *value += 0.05 * random.signed());
    }
    let long = "x7-".repeat(21) + "y";
    let items = [
        Item::new("example.com", 0.0, 1.0),
        Item::new("q7f-x_9.top", 1.0, 0.7),
        Item::new(&long, 1.0, 1.3),
        Item::new("", 0.0, 0.5),
    ];
    let loss = |params: &Params<f64>| -> f64 {
        let folded = Folded::new(params);
        let mut space = Workspace::default();
        let mut ignored = Gradient::zeros(params);
        items.iter().map(|item| network::learn(params, &folded, item, &mut space, &mut ignored)).sum()
    };
    let mut gradient = Gradient::zeros(&params);
    let folded = Folded::new(&params);
    let mut space = Workspace::default();
    for item in &items {
        network::learn(&params, &folded, item, &mut space, &mut gradient);
    }
    let gradient = gradient.unfold(&params, 1.0);
    let step = 1e-6;
    let mut checked = 0;
    for tensor in 0..params.tensors().len() {
        let length = params.tensors()[tensor].len();
        for at in (0..length).step_by((length / 40).max(1)) {
            let kept = params.tensors()[tensor][at];
            params.tensors_mut()[tensor][at] = kept + step;
            let above = loss(&params);
            params.tensors_mut()[tensor][at] = kept - step;
            let below = loss(&params);
            params.tensors_mut()[tensor][at] = kept;
            let expected = (above - below) / (2.0 * step);
            let got = gradient.tensors()[tensor][at];
            assert!(
                (got - expected).abs() < 1e-6 + 1e-5 * expected.abs(),
                "{tensor}/{at}: {got}, {expected}"
            );
            checked += usize::from(expected.abs() > 1e-6);
        }
    }
    assert!(checked > 150, "only {checked} gradients were other than zero");
}

fn corpus() -> Corpus {
    let mut random = Random::new(5);
    let mut name = |malicious: bool| {
        let letters = if malicious { "qxzjkv" } else { "aeinrt" };
        let letters: Vec<char> = letters.chars().collect();
        let label: String = (0..8).map(|_| *random.pick(&letters)).collect();
        let class = if malicious { Class::Scam } else { Class::Benign };
        Example::new(format!("{label}.com"), class, !malicious, "list".into())
    };
    Corpus::of((0..1_200).map(|i| name(i % 2 == 0)).collect(), 1_200, 1)
}

fn recipe(seed: u64, threads: usize) -> Recipe {
    let mut recipe = Recipe { seed, threads, ..Recipe::large() };
    for table in recipe.tables_mut() {
        *table = TableRecipe { shape: shape(), epochs: 3, batch: 32, ..table.clone() };
    }
    for member in &mut recipe.members {
        if let MemberRecipe::Bag(bag) = member {
            (bag.bits, bag.crossed_bits) = (12, 12);
        }
    }
    recipe
}

fn assembled(corpus: &Corpus, recipe: &Recipe) -> Assembled {
    Workshop::new(corpus, recipe.seed, recipe.threads).stack(recipe, &mut |_| {}).unwrap()
}

#[test]
fn a_separable_set_is_learnt_and_told_in_each_fold() {
    let (corpus, mut recipe) = (corpus(), recipe(3, 1));
    recipe.members.truncate(2);
    let mut epochs = Vec::new();
    let mut stages = Vec::new();
    let mut workshop = Workshop::new(&corpus, 3, 1);
    let made = workshop.stack(&recipe, &mut |progress| match progress {
        Progress::Epoch { stage, validation_auc, .. } => epochs.push((stage.fold, validation_auc)),
        Progress::Step { stage, .. } => stages.push(stage.to_string()),
    });
    let Assembled { stack, held, .. } = made.unwrap();
    stages.dedup();
    let told = ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3", "all names"];
    let expected = ["cnn", "bag"].map(|member| told.map(|stage| format!("{member}, {stage}")));
    assert_eq!(stages, expected.as_flattened());
    assert!(epochs.iter().skip(2).step_by(3).all(|(_, auc)| *auc > 0.99), "{epochs:?}");
    let pairs = |logits: &[f32], examples: &[Example]| -> Vec<(f64, bool)> {
        logits.iter().map(|logit| f64::from(*logit)).zip(examples.iter().map(Example::is_malicious)).collect()
    };
    assert!(evaluate::auc(&pairs(&held, &corpus.learning)) > 0.999);
    let names: Vec<&str> = corpus.test.iter().map(|example| example.name.as_str()).collect();
    let mut logits = vec![0.0; names.len()];
    stack.logits(&names, &mut Scratch::default(), &mut logits);
    assert!(evaluate::auc(&pairs(&logits, &corpus.test)) > 0.999);

    // What was trained is kept: the second stack of the same members tells nothing and is the same.
    let again = workshop.stack(&recipe, &mut |progress| panic!("{progress:?}")).unwrap();
    assert_eq!((again.stack, again.held), (stack, held));
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let corpus = corpus();
    let one = assembled(&corpus, &recipe(3, 1));
    for threads in [2, 4] {
        let other = assembled(&corpus, &recipe(3, threads));
        assert!(other.stack == one.stack && other.held == one.held, "{threads} threads");
    }
    assert_ne!(assembled(&corpus, &recipe(4, 1)).stack, one.stack);
}

#[test]
fn labels_that_mean_nothing_are_not_learnt() {
    let mut random = Random::new(8);
    let names = (0..6_000).map(|_| {
        let label: String = (0..8).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        let class = if random.below(2) == 0 { Class::Scam } else { Class::Benign };
        Example::new(format!("{label}.com"), class, class == Class::Benign, "list".into())
    });
    let corpus = Corpus::of(names.collect(), 6_000, 1);
    let mut recipe = recipe(3, 2);
    recipe.members.truncate(2);
    let held = assembled(&corpus, &recipe).held;
    let malicious = corpus.learning.iter().map(Example::is_malicious);
    let pairs: Vec<(f64, bool)> = held.iter().map(|logit| f64::from(*logit)).zip(malicious).collect();
    // The standard error of 2,700 against 2,700 names is 0.008.
    let auc = evaluate::auc(&pairs);
    assert!((auc - 0.5).abs() < 0.03, "{auc}: what was held back leaked");
}

#[test]
fn the_folded_weights_give_the_trained_network_s_logits() {
    let (corpus, recipe) = (corpus(), recipe(3, 1));
    let mut random = Random::new(3);
    let mut params = Params::<f32>::random(&recipe.tables().next().unwrap().shape, &mut random);
    params.hidden_bias.iter_mut().for_each(|bias| *bias += 0.1 * random.signed() as f32);
    let table = dnsvet_core::model::Table::new(params.fold()).unwrap();
    let folded = Folded::new(&params);
    let mut space = Workspace::default();
    for example in &corpus.test {
        let trained = network::forward(&params, &folded, &Item::new(&example.name, 0.0, 1.0), &mut space);
        let run = table.logit(Parts::of(&example.name).content);
        assert!((trained - run).abs() < 1e-4, "{}: {trained}, {run}", example.name);
    }
}

#[test]
fn a_recipe_without_a_bag_that_reads_labels_is_refused() {
    let mut recipe = recipe(3, 1);
    recipe.members.truncate(1);
    let refused = Workshop::new(&corpus(), 3, 1).stack(&recipe, &mut |_| {});
    assert!(matches!(refused, Err(TrainError::Model(ModelError::Shape(_)))));
}
