//! The loop learns, repeats itself to the byte, and its gradient is the true one.

use super::*;
use crate::data::Class;
use crate::recipe::Shape;

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
        Example { weight: 1.0, ..Example::new(format!("{label}.com"), class, !malicious, "list".into()) }
    };
    let mut part = |count: usize| (0..count).map(|i| name(i % 2 == 0)).collect::<Vec<_>>();
    Corpus {
        train: part(600),
        validation: part(100),
        calibration: part(100),
        test: part(100),
        ..Corpus::default()
    }
}

fn recipe(threads: usize) -> Recipe {
    Recipe { shape: shape(), epochs: 3, batch: 32, sample: 600, threads, ..Recipe::small() }
}

#[test]
fn a_separable_set_is_learnt() {
    let mut epochs = Vec::new();
    table(&recipe(1), &corpus(), &mut |progress| {
        if let Progress::Epoch { validation_auc, validation_loss, .. } = progress {
            epochs.push((validation_auc, validation_loss));
        }
    });
    let (auc, loss) = *epochs.last().unwrap();
    assert!(auc > 0.999 && loss < 0.35 && loss < epochs[0].1, "{epochs:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let corpus = corpus();
    let run = |threads: usize, seed: u64| table(&Recipe { seed, ..recipe(threads) }, &corpus, &mut |_| {});
    let one = run(1, 3);
    assert_eq!(run(2, 3), one);
    assert_eq!(run(4, 3), one);
    assert_ne!(run(1, 4), one);
}

#[test]
fn the_folded_weights_give_the_trained_network_s_logits() {
    let params = table(&recipe(1), &corpus(), &mut |_| {});
    let table = dnsvet_core::model::Table::new(params.fold()).unwrap();
    let folded = Folded::new(&params);
    let mut space = Workspace::default();
    for example in &corpus().test {
        let trained = network::forward(&params, &folded, &Item::new(&example.name, 0.0, 1.0), &mut space);
        let run = table.logit(Parts::of(&example.name).content);
        assert!((trained - run).abs() < 1e-4, "{}: {trained}, {run}", example.name);
    }
}
