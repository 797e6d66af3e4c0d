//! Packs a registry's `small` and `large` into `models/artifacts`, from where they are built into the binary, and says
//! in their cards what the licences cost: what the same recipe finds that learnt from all sources.
//!
//! ```text
//! dnsvet model train --recipe cascade --sources shippable --data DIR --out SHIPPED
//! dnsvet model train --recipe cascade --data DIR --out ALL
//! cargo run --release -p dnsvet-models --example bundle -- SHIPPED ALL DIR
//! ```

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use dnsvet_models::bundled;
use dnsvet_models::data::{Corpus, Sources};
use dnsvet_models::registry::Registry;
use dnsvet_models::report::{self, Evidence, RATES};

fn main() -> ExitCode {
    let folders: Vec<_> = std::env::args_os().skip(1).collect();
    let [shipped, all, data] = folders.as_slice() else {
        eprintln!("usage: bundle SHIPPED ALL DIR");
        return ExitCode::from(2);
    };
    match bundle(shipped.as_ref(), all.as_ref(), data.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bundle(shipped: &Path, all: &Path, data: &Path) -> Result<(), Box<dyn Error>> {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    bundled::pack(shipped, &artifacts)?;
    // Who judges is drawn by registrable domain, so neither registry's models learnt from these names.
    let corpus = Corpus::load(data, Sources::All, 1_000_000, 1)?;
    for name in ["small", "large"] {
        let judge = |registry: &Path| -> Result<Evidence, Box<dyn Error>> {
            let artifact = Registry::open(registry)?.get(name)?;
            Ok(report::evaluate(&artifact, &corpus, &|_, _, _| {})?.report.model)
        };
        let path = artifacts.join(name).join("CARD.md");
        let card = fs::read_to_string(&path)? + &cost(&judge(shipped)?, &judge(all)?)?;
        fs::write(path, card)?;
    }
    Ok(())
}

/// The card's last part.
fn cost(shipped: &Evidence, all: &Evidence) -> Result<String, std::fmt::Error> {
    let mut text = String::from("\n## What the licences cost\n\n");
    writeln!(
        text,
        "Malicious names found, of all sources, at 1 % / 0.1 % of clean names flagged: by this model, and by one of the same recipe that learnt from all sources, also from those that may not be given away. None of the names was learnt from by either.\n"
    )?;
    writeln!(text, "| class | names | this model | from all sources |\n|---|---|---|---|")?;
    for (ours, theirs) in shipped.recall.classes.iter().zip(&all.recall.classes) {
        let [ours_found, theirs_found] = [ours, theirs].map(|group| {
            let found = RATES[..2].iter().zip(&group.recall);
            found
                .map(|(_, recall)| format!("{:.1} %", 100.0 * recall.found.rate))
                .collect::<Vec<_>>()
                .join(" / ")
        });
        writeln!(text, "| {} | {} | {ours_found} | {theirs_found} |", ours.label, ours.names)?;
    }
    writeln!(text, "| AUC | | {:.4} | {:.4} |", shipped.clean_auc.area, all.clean_auc.area)?;
    Ok(text)
}
