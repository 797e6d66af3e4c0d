//! The kernels as a GPU runs them; skipped where there is none.

use dnsvet_scorer::device::{Cuda, Program};

use crate::common::{seed_model, stack_models, table_model};
use crate::{assert_close, names_of_each_length, program};

/// The first GPU; `None`, with a line that says so, where there is none.
fn gpu() -> Option<Cuda> {
    Cuda::open().inspect_err(|reason| println!("skipped: no GPU to run the kernels on ({reason})")).ok()
}

/// Scores the names on each stream of the GPU at once, several times, and compares each pass.
fn assert_agrees(cuda: &Cuda, program: &Program, names: &[&str], expected: &[f32]) {
    let backends = cuda.backends(program, 4).unwrap();
    assert!(backends.len() > 1);
    std::thread::scope(|scope| {
        for mut backend in backends {
            scope.spawn(move || {
                assert_eq!(backend.device(), cuda.label());
                for _ in 0..3 {
                    let mut logits = vec![f32::NAN; names.len()];
                    backend.logits(names, &mut logits).unwrap();
                    assert_close(names, &logits, expected);
                }
            });
        }
    });
}

#[test]
fn kernels_agree_with_the_forward_pass_at_every_length() {
    let Some(cuda) = gpu() else { return };
    crate::kernels_agree_with_the_forward_pass_at_every_length(&|program, names, expected| {
        assert_agrees(&cuda, program, names, expected);
    });
}

#[test]
fn the_bundled_models_give_their_golden_logits() {
    let Some(cuda) = gpu() else { return };
    crate::the_bundled_models_give_their_golden_logits(&|program, names, expected| {
        assert_agrees(&cuda, program, names, expected);
    });
}

#[test]
fn the_deep_kernel_agrees_with_sums_one_by_one() {
    let Some(cuda) = gpu() else { return };
    crate::deep::the_kernel_agrees_with_sums_one_by_one(&|program, names, expected| {
        assert_agrees(&cuda, program, names, expected);
    });
}

#[test]
fn no_names_cost_no_launch_and_a_name_of_no_bytes_has_a_logit() {
    let Some(cuda) = gpu() else { return };
    assert_agrees(&cuda, &program(&seed_model(3)), &[], &[]);
    assert_agrees(&cuda, &program(&stack_models("large", 3)[0]), &[], &[]);
    crate::a_name_of_no_bytes_has_a_logit(&|program, names, expected| {
        assert_agrees(&cuda, program, names, expected);
    });
}

#[test]
fn kernels_agree_with_the_forward_pass_at_every_number_of_names() {
    let Some(cuda) = gpu() else { return };
    let names = names_of_each_length();
    let [many, one] = stack_models("large", 9);
    for model in [seed_model(3), table_model("large", 21), many, one] {
        let expected: Vec<f32> = names.iter().map(|name| model.logit(name)).collect();
        // More names, and more bytes, than one launch takes.
        for count in [1, 7, 8, 9, 31, 32, 33, 300, 150_000] {
            let rows = || (0..count).map(|row| (row * 7) % names.len());
            let named: Vec<&str> = rows().map(|row| names[row].as_str()).collect();
            let logits: Vec<f32> = rows().map(|row| expected[row]).collect();
            assert_agrees(&cuda, &program(&model), &named, &logits);
        }
    }
}
