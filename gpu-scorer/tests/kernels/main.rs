//! The CUDA sources against the reference forward pass: on a GPU where there is one, and on the CPU.

#[path = "../common/mod.rs"]
mod common;
mod gpu;
mod shim;

use common::weights;

/// Fails where a logit is not the forward pass's, but for rounding.
fn assert_close(names: &[&str], got: &[f32], expected: &[f32]) {
    for ((name, got), expected) in names.iter().zip(got).zip(expected) {
        let allowed = 1e-4 + 1e-4 * expected.abs();
        assert!((got - expected).abs() <= allowed, "{name}: {got} and {expected}");
    }
}

/// A name of each length from nothing to 299.
fn names_of_each_length() -> Vec<String> {
    let letters: Vec<char> = ('a'..='z').chain('0'..='9').chain(['.', '-', '_', '\\']).collect();
    let draws = weights(300 * 300, 1.0, 9);
    let name = |length: usize| {
        let draw = |i: usize| ((draws[length * 300 + i] + 1.0) * 0.499 * letters.len() as f32) as usize;
        (0..length).map(|i| letters[draw(i)]).collect()
    };
    (0..300).map(name).collect()
}
