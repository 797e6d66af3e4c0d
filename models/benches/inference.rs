//! Names a second on one core, our forward pass and tract in one run: `cargo bench -p dnsvet-models`.

use std::time::Instant;

use dnsvet_models::data::dga;
use dnsvet_models::infer::Backend;
use dnsvet_models::registry::{Artifact, Registry};

fn main() {
    let generated = dga::names(4_000, 5);
    let deep = (0..4_000).map(|i| format!("img{}.cdn.example-{}.co.uk", i % 9, i));
    let names: Vec<String> = generated.into_iter().chain(deep).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    println!("{:8} {:>14} {:>14} {:>8}", "model", "own names/s", "tract names/s", "ratio");
    for model in ["seed", "small", "large"] {
        let artifact = match Registry::bundled().get(model) {
            Ok(artifact) => artifact,
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(1);
            }
        };
        // Rounds alternate, so that both see the same load of the machine; the best round counts.
        let (mut own, mut tract) = (0.0f64, 0.0f64);
        for _ in 0..3 {
            own = own.max(rate(&artifact, Backend::OwnCpu, &names));
            tract = tract.max(rate(&artifact, Backend::Tract, &names[..1_024]));
        }
        println!("{model:8} {own:>14.0} {tract:>14.0} {:>8.1}", own / tract);
    }
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
