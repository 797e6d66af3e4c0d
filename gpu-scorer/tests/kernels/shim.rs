//! The CUDA sources compiled by g++ through a shim of fibers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dnsvet_core::model::Model;
use dnsvet_scorer::device::{Kernel, Packed, Program};

use crate::common::{seed_model, table_model};
use crate::{assert_close, names_of_each_length};

/// Compiles a kernel with its harness; `None`, with a line that says so, where there is no g++.
fn compile(folder: &Path, name: &str, flags: &[&str]) -> Option<PathBuf> {
    if Command::new("g++").arg("--version").output().is_err() {
        println!("skipped: no g++, so the CUDA source is not run on the CPU");
        return None;
    }
    let program = folder.join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/shim/main.cpp");
    let output = Command::new("g++")
        .args(["-std=c++17", "-O1", "-Wall", "-Werror", "-Wno-unknown-pragmas"])
        .args(flags)
        .arg("-o")
        .arg(&program)
        .arg(source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// Runs the kernel; threads go in an order drawn from `order`.
fn run(binary: &Path, order: u64, names: &[&str], model: &Model) -> Vec<f32> {
    let program = Program::of(model).unwrap();
    let mut packed = Packed::default();
    assert_eq!(packed.fill(program.kernel, names, names.len(), usize::MAX), names.len());
    let mut input = Vec::new();
    input.extend(order.to_le_bytes());
    for count in [names.len(), program.shape.len(), program.weights.len(), packed.text.len()] {
        input.extend((count as u32).to_le_bytes());
    }
    packed.ends.iter().for_each(|end| input.extend(end.to_le_bytes()));
    program.shape.iter().for_each(|number| input.extend(number.to_le_bytes()));
    program.weights.iter().for_each(|weight| input.extend(weight.to_le_bytes()));
    input.extend(&packed.text);
    let mut child = Command::new(binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let logits = output.stdout.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let logits: Vec<f32> = logits.collect();
    assert_eq!(logits.len(), names.len());
    logits
}

const BOUNDS: [&str; 2] = ["-fsanitize=bounds", "-fno-sanitize-recover=all"];

#[test]
fn the_seed_kernel_agrees_with_the_forward_pass_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "seed", &BOUNDS) else { return };
    let names = names_of_each_length();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for state in [3, 4] {
        let model = seed_model(state);
        let expected: Vec<f32> = names.iter().map(|name| model.logit(name)).collect();
        assert_close(&names, &run(&binary, 1, &names, &model), &expected);
    }
}

#[test]
fn the_table_kernel_agrees_with_the_forward_pass_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "table", &[&BOUNDS[..], &["-DDNSVET_TABLE"]].concat()) else {
        return;
    };
    let mut names = names_of_each_length();
    names.push("www.example.com".into());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let model = table_model("large", 21);
    let expected: Vec<f32> = names.iter().map(|name| model.logit(name)).collect();
    assert_close(&names, &run(&binary, 1, &names, &model), &expected);
}

#[test]
fn kernels_do_not_depend_on_the_order_of_threads() {
    let names =
        ["a.example", "b.example", "abcdefghijklmnopqrstuvwxyz-0123456789.example", "x.y", "q", "", "z"];
    for (flag, model) in [("-DDNSVET_SEED", seed_model(3)), ("-DDNSVET_TABLE", table_model("large", 3))] {
        let folder = tempfile::tempdir().unwrap();
        let Some(binary) = compile(folder.path(), "synced", &[flag]) else { return };
        let without = ["-DDNSVET_NO_SYNCWARP", "-DDNSVET_NO_SYNCTHREADS", flag];
        let Some(unsynced) = compile(folder.path(), "unsynced", &without) else { return };
        let first = run(&binary, 0, &names, &model);
        for order in 1..6 {
            assert_eq!(run(&binary, order, &names, &model), first, "{flag}, order {order}");
        }
        // The shuffling is worth something: without its barriers a kernel is seen to be wrong.
        assert!((0..6).any(|order| run(&unsynced, order, &names, &model) != first), "{flag}");
    }
}

#[test]
fn the_bundled_models_kernels_agree_with_their_golden_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let Some(seed) = compile(folder.path(), "seed", &[]) else { return };
    let Some(table) = compile(folder.path(), "table", &["-DDNSVET_TABLE"]) else { return };
    for entry in dnsvet_scorer::registry::open(None).unwrap() {
        let model = entry.model().unwrap();
        let binary = match Program::of(model).unwrap().kernel {
            Kernel::Seed => &seed,
            Kernel::Table => &table,
        };
        let golden = &entry.manifest().golden;
        assert!(golden.len() >= 20);
        let names: Vec<&str> = golden.iter().map(|golden| golden.name.as_str()).collect();
        let expected: Vec<f32> = golden.iter().map(|golden| golden.logit).collect();
        assert_close(&names, &run(binary, 1, &names, model), &expected);
    }
}

#[test]
fn a_thousand_names_agree_with_the_original_models_scores() {
    let data = std::env::var_os("TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let scores = data.join("mlbridge-scores.tsv.gz");
    if !scores.exists() {
        println!("skipped: no {}", scores.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "seed", &[]) else { return };
    let entries = dnsvet_scorer::registry::open(None).unwrap();
    let entry = entries.iter().find(|entry| entry.name() == "seed").unwrap();
    let rows = dnsvet_models::data::lines(&scores).unwrap();
    let rows = rows.iter().step_by(30).map(|row| {
        let mut columns = row.split('\t');
        (columns.next().unwrap(), columns.next().unwrap().parse::<f32>().unwrap())
    });
    let (names, expected): (Vec<&str>, Vec<f32>) = rows.unzip();
    assert!(names.len() >= 1_000);
    assert_close(&names, &run(&binary, 1, &names, entry.model().unwrap()), &expected);
}
