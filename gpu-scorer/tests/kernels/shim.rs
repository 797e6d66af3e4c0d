//! The CUDA sources compiled by g++ through a shim of fibers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dnsvet_scorer::device::{Kernel, Limits, Packed, Program};

use crate::common::{seed_model, stack_models, table_model};
use crate::{assert_close, deep, program};

/// Compiles the kernels with their harness; `None`, with a line that says so, where there is no g++.
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

/// Runs a model's kernels; threads go in an order drawn from `order`.
fn run(binary: &Path, order: u64, names: &[&str], program: &Program) -> Vec<f32> {
    let mut packed = Packed::default();
    let all = Limits { names: names.len(), text_bytes: usize::MAX, features: usize::MAX };
    assert_eq!(packed.fill(&program.reads, names, all), names.len());
    let mut input = order.to_le_bytes().to_vec();
    let mut numbers = |numbers: &[u32]| input.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    let lists = program.reads.lists();
    numbers(
        &[names.len(), lists, packed.features.len(), packed.text.len(), program.passes.len()]
            .map(|count| count as u32),
    );
    for section in [&packed.ends, &packed.slots, &packed.list_ends, &packed.features] {
        numbers(section);
    }
    input.extend(&packed.text);
    for pass in &program.passes {
        let kernel = match pass.kernel {
            Kernel::Seed => 0,
            Kernel::Table => 1,
            Kernel::Deep => 2,
            Kernel::Stack => 3,
        };
        for count in [kernel, pass.shape.len(), pass.weights.len(), pass.rows.len()] {
            input.extend((count as u32).to_le_bytes());
        }
        pass.shape.iter().for_each(|number| input.extend(number.to_le_bytes()));
        pass.weights.iter().for_each(|weight| input.extend(weight.to_le_bytes()));
        input.extend(pass.rows.iter().map(|byte| *byte as u8));
    }
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

fn assert_agrees(binary: &Path, program: &Program, names: &[&str], expected: &[f32]) {
    assert_close(names, &run(binary, 1, names, program), expected);
}

const BOUNDS: [&str; 2] = ["-fsanitize=bounds", "-fno-sanitize-recover=all"];

#[test]
fn kernels_agree_with_the_forward_pass_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "kernels", &BOUNDS) else { return };
    crate::kernels_agree_with_the_forward_pass_at_every_length(&|program, names, expected| {
        assert_agrees(&binary, program, names, expected);
    });
}

#[test]
fn the_bundled_models_give_their_golden_logits() {
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "kernels", &[]) else { return };
    crate::the_bundled_models_give_their_golden_logits(&|program, names, expected| {
        assert_agrees(&binary, program, names, expected);
    });
}

#[test]
fn the_deep_kernel_agrees_with_sums_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "kernels", &BOUNDS) else { return };
    deep::the_kernel_agrees_with_sums_one_by_one(&|program, names, expected| {
        assert_agrees(&binary, program, names, expected);
    });
}

#[test]
fn a_name_of_no_bytes_has_a_logit() {
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "kernels", &BOUNDS) else { return };
    crate::a_name_of_no_bytes_has_a_logit(&|program, names, expected| {
        assert_agrees(&binary, program, names, expected);
    });
}

#[test]
fn kernels_do_not_depend_on_the_order_of_threads() {
    let names =
        ["a.example", "b.example", "abcdefghijklmnopqrstuvwxyz-0123456789.example", "x.y", "q", "", "z"];
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = compile(folder.path(), "synced", &[]) else { return };
    let without = ["-DDNSVET_NO_SYNCWARP", "-DDNSVET_NO_SYNCTHREADS"];
    let Some(unsynced) = compile(folder.path(), "unsynced", &without) else { return };
    let [_, bag] = stack_models("large", 3);
    let programs = [
        ("seed", program(&seed_model(3))),
        ("table", program(&table_model("large", 3))),
        ("deep", deep::Deep::drawn(3).program()),
        ("stack", program(&bag)),
    ];
    for (kernel, program) in programs {
        let first = run(&binary, 0, &names, &program);
        for order in 1..6 {
            assert_eq!(run(&binary, order, &names, &program), first, "{kernel}, order {order}");
        }
        // The shuffling is worth something: without its barriers a kernel is seen to be wrong.
        assert!((0..6).any(|order| run(&unsynced, order, &names, &program) != first), "{kernel}");
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
    let Some(binary) = compile(folder.path(), "kernels", &[]) else { return };
    let entries = dnsvet_scorer::registry::open(None).unwrap();
    let entry = entries.iter().find(|entry| entry.name() == "seed").unwrap();
    let rows = dnsvet_models::data::lines(&scores).unwrap();
    let rows = rows.iter().step_by(30).map(|row| {
        let mut columns = row.split('\t');
        (columns.next().unwrap(), columns.next().unwrap().parse::<f32>().unwrap())
    });
    let (names, expected): (Vec<&str>, Vec<f32>) = rows.unzip();
    assert!(names.len() >= 1_000);
    let got = run(&binary, 1, &names, &program(entry.model().unwrap()));
    for ((name, got), expected) in names.iter().zip(got).zip(expected) {
        assert!((got - expected).abs() <= 1e-4 + 1e-4 * expected.abs(), "{name}: {got} and {expected}");
    }
}
