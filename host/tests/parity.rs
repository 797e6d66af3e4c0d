//! The same source gives the same scores in wasm as it does natively.

mod measure;

use dnsvet_core::model::Model;
use dnsvet_models::registry::Registry;
use measure::Measure;

/// Names a batch; a body holds them all.
const BATCH: usize = 4_096;

/// Names and logits of a golden file: `name<TAB>logit`, further columns are passed over.
fn golden(text: &str) -> (Vec<&str>, Vec<f64>) {
    let row = |line: &'_ str| -> Option<f64> { line.split('\t').nth(1)?.parse().ok() };
    let names = text.lines().map(|line| line.split('\t').next().unwrap_or_default());
    (names.collect(), text.lines().map(|line| row(line).expect("a logit")).collect())
}

fn logits_in_wasm(vm: &mut Measure, model: &[u8], names: &[&str]) -> Vec<f32> {
    let id = vm.ask("/model", model);
    assert_eq!(id, Model::decode(model).expect("a model").id());
    let batches = names.chunks(BATCH).map(|batch| vm.ask("/logits", batch.join("\n").as_bytes()));
    let text: String = batches.collect();
    text.lines().map(|bits| f32::from_bits(u32::from_str_radix(bits, 16).expect("bits"))).collect()
}

/// Byte-equal to native code, and within 1e-4 relative + 1e-4 absolute of an independent forward pass.
fn compare_with_oracle(vm: &mut Measure, text: &str) {
    let artifact = Registry::bundled().get("seed").expect("the seed comes with dnsvet");
    let dvm = artifact.dvm.expect("the seed has our own form");
    let native = Model::decode(&dvm).expect("a model");
    let (names, expected) = golden(text);
    let logits = logits_in_wasm(vm, &dvm, &names);
    assert_eq!(logits.len(), names.len());
    for ((name, expected), logit) in names.iter().zip(expected).zip(logits) {
        assert_eq!(logit.to_bits(), native.logit(name).to_bits(), "{name:?}");
        let off = (f64::from(logit) - expected).abs();
        assert!(off <= 1e-4 + 1e-4 * expected.abs(), "{name:?}: {logit} for {expected}");
    }
}

#[test]
fn the_seed_scores_generated_names_in_wasm_as_numpy_does() {
    let Some(mut vm) = Measure::start() else { return };
    let text = include_str!("../../models/tests/golden/seed.tsv");
    assert!(text.lines().count() >= 400);
    compare_with_oracle(&mut vm, text);
}

/// The seed's own lists with Keras' logits; `None`, said aloud, where the test data is not.
fn own_lists() -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var("TEST_DATA").unwrap_or_else(|_| beside.into());
    let path = std::path::Path::new(&folder).join("mlbridge-scores.tsv.gz");
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let lines = dnsvet_models::data::lines(&path).expect("the file can be read");
    assert_eq!(lines.len(), 30_089);
    Some(lines.join("\n"))
}

#[test]
fn the_seed_scores_its_own_lists_in_wasm_as_keras_did() {
    let Some(mut vm) = Measure::start() else { return };
    let Some(text) = own_lists() else { return };
    compare_with_oracle(&mut vm, &text);
}

#[test]
fn the_command_scores_the_seeds_own_lists_in_their_order_as_keras_did() {
    let Some(text) = own_lists() else { return };
    let (names, expected) = golden(&text);
    let input = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(input.path(), names.join("\n")).expect("the names");
    for flag in ["--logit", ""] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dnsvet"));
        command.args(["score", "--model", "seed"]).args(Some(flag).filter(|flag| !flag.is_empty()));
        let output = command.stdin(std::fs::File::open(input.path()).expect("the names")).output();
        let output = output.expect("the command runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("text");
        let (printed, values) = golden(&printed);
        assert_eq!(printed, names, "every name, in the order in which it came");
        for ((name, value), logit) in names.iter().zip(values).zip(&expected) {
            let wanted = if flag.is_empty() { 1.0 / (1.0 + (-logit).exp()) } else { *logit };
            assert!((value - wanted).abs() <= 1e-4 + 1e-4 * wanted.abs(), "{name:?}: {value} for {wanted}");
        }
    }
}

#[test]
fn the_small_model_has_the_same_logits_in_wasm_and_natively() {
    let Some(mut vm) = Measure::start() else { return };
    let artifact = Registry::bundled().get("small").expect("the small model comes with dnsvet");
    let dvm = artifact.dvm.expect("it has our own form");
    let native = Model::decode(&dvm).expect("a model");
    let names = dnsvet_models::data::dga::names(2_000, 33);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (name, logit) in names.iter().zip(logits_in_wasm(&mut vm, &dvm, &names)) {
        assert!((logit - native.logit(name)).abs() <= 1e-4, "{name:?}: {logit} for {}", native.logit(name));
    }
}
