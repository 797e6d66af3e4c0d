//! The CUDA sources against the reference forward pass: on a GPU where there is one, and on the CPU.
//!
//! What must hold is said once, here, of any way to run them; `gpu.rs` and `shim.rs` are the ways.

#[path = "../common/mod.rs"]
mod common;
mod deep;
mod gpu;
mod shim;

use common::{seed_model, stack_models, table_model, weights, wide_stack_model};
use dnsvet_core::model::Model;
use dnsvet_scorer::device::Program;

/// Runs a model's kernels on names and compares with the logits that are expected.
type Check<'a> = &'a dyn Fn(&Program, &[&str], &[f32]);

fn program(model: &Model) -> Program {
    Program::of(model).unwrap()
}

fn kernels_agree_with_the_forward_pass_at_every_length(check: Check<'_>) {
    let names = names_of_each_length();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let [many, one] = stack_models("large", 5);
    for model in [seed_model(3), seed_model(4), table_model("large", 21), many, one] {
        let expected: Vec<f32> = names.iter().map(|name| model.logit(name)).collect();
        check(&program(&model), &names, &expected);
    }
}

fn the_bundled_models_give_their_golden_logits(check: Check<'_>) {
    for entry in dnsvet_scorer::registry::open(None).unwrap() {
        let golden = &entry.manifest().golden;
        assert!(golden.len() >= 20);
        let names: Vec<&str> = golden.iter().map(|golden| golden.name.as_str()).collect();
        let expected: Vec<f32> = golden.iter().map(|golden| golden.logit).collect();
        check(&program(entry.model().unwrap()), &names, &expected);
    }
}

fn a_name_of_no_bytes_has_a_logit(check: Check<'_>) {
    let [many, one] = stack_models("large", 7);
    for model in [seed_model(3), table_model("large", 3), many, one] {
        check(&program(&model), &[""], &[model.logit("")]);
    }
}

#[test]
fn a_stack_with_a_member_that_no_kernel_runs_has_no_program() {
    assert_eq!(Program::of(&wide_stack_model("large", 3)), None);
}

/// Fails where a logit is not the expected one but for rounding. Then scores are the same to 1e-5: near 0 one moves by a
/// quarter of what its logit moves by, farther out by less.
fn assert_close(names: &[&str], got: &[f32], expected: &[f32]) {
    assert_eq!((got.len(), expected.len()), (names.len(), names.len()));
    for ((name, got), expected) in names.iter().zip(got).zip(expected) {
        let allowed = 3e-5 + 1e-5 * expected.abs();
        assert!((got - expected).abs() <= allowed, "{name}: {got} and {expected}");
    }
}

/// A name of each length from nothing to 299, names with suffixes, and one that has as many features as a name can.
fn names_of_each_length() -> Vec<String> {
    let letters: Vec<char> = ('a'..='z').chain('0'..='9').chain(['.', '-', '_', '\\']).collect();
    let draws = weights(300 * 300, 1.0, 9);
    let name = |length: usize| {
        let draw = |i: usize| ((draws[length * 300 + i] + 1.0) * 0.499 * letters.len() as f32) as usize;
        (0..length).map(|i| letters[draw(i)]).collect()
    };
    let usual =
        ["com", "co.uk", "example.com", "www.example.co.uk", "a.pay-pal1.login.top", "x.s3.amazonaws.com"];
    let most = "a-1.".repeat(15) + "b";
    (0..300).map(name).chain(usual.map(String::from)).chain([most]).collect()
}
