//! Names a second on one core, our forward pass and tract in one run, and what it costs to say which characters made a
//! score: `cargo bench -p dnsvet-models`.

use std::hint::black_box;
use std::time::Instant;

use dnsvet_models::data::dga;
use dnsvet_models::infer::Backend;
use dnsvet_models::registry::{Artifact, Registry};

fn main() {
    let generated = dga::names(4_000, 5);
    let deep = (0..4_000).map(|i| format!("img{}.cdn.example-{}.co.uk", i % 9, i));
    let names: Vec<String> = generated.into_iter().chain(deep).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let heads = ["own names/s", "tract names/s", "ratio", "attributed/s", "x a score"];
    println!(
        "{:8} {:>14} {:>14} {:>8} {:>14} {:>10}",
        "model", heads[0], heads[1], heads[2], heads[3], heads[4]
    );
    for model in ["seed", "small", "large"] {
        let artifact = match Registry::bundled().get(model) {
            Ok(artifact) => artifact,
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(1);
            }
        };
        // Rounds alternate, so that both see the same load of the machine; the best round counts.
        let (mut own, mut tract, mut attributed) = (0.0f64, 0.0f64, None::<f64>);
        for _ in 0..3 {
            own = own.max(rate(&artifact, Backend::OwnCpu, &names));
            tract = tract.max(rate(&artifact, Backend::Tract, &names[..1_024]));
            attributed = attribution_rate(&artifact, &names).map(|rate| rate.max(attributed.unwrap_or(0.0)));
        }
        print!("{model:8} {own:>14.0} {tract:>14.0} {:>8.1}", own / tract);
        match attributed {
            Some(rate) => println!(" {rate:>14.0} {:>10.1}", own / rate),
            None => println!(" {:>14} {:>10}", "none", ""),
        }
    }
}

/// Names a second for which it is said which characters made the score; `None` for a model that does not tell.
fn attribution_rate(artifact: &Artifact, names: &[&str]) -> Option<f64> {
    let model = artifact.model()?;
    let names = names.iter().step_by(16);
    let start = Instant::now();
    let mut count = 0;
    for name in names {
        black_box(model.attribution(name)?);
        count += 1;
    }
    Some(f64::from(count) / start.elapsed().as_secs_f64())
}

fn rate(artifact: &Artifact, backend: Backend, names: &[&str]) -> f64 {
    let mut logits = vec![0.0; names.len()];
    match artifact.scorer(backend) {
        Ok(mut scorer) => {
            let start = Instant::now();
            if let Err(error) = scorer.score(names, &mut logits) {
                eprintln!("{error}");
                std::process::exit(1);
            }
            names.len() as f64 / start.elapsed().as_secs_f64()
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
