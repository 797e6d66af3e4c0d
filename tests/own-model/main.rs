//! Models that people bring: each example of `examples/own-model` from its requirements to its scores.
//!
//! ```text
//! requirements.txt ─► venv ─► train.py ─► dnsvet model import ─► dnsvet score ─► compare.py (onnxruntime)
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use dnsvet_tests::names::Draw;
use xtask::error::Error;
use xtask::{shell, system, workspace};

/// An example's virtual environment and an empty folder for what it makes; `None`, with a line that says so, where
/// there is no Python for it.
fn prepare(example: &str) -> Option<(PathBuf, PathBuf)> {
    let requirements = examples().join(example).join("requirements.txt");
    let python = match system::python_with(&format!("venv-own-{example}"), &requirements) {
        Ok(python) => python,
        Err(Error::Missing { what, remedy }) => {
            println!("skipped: {what}; {remedy}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let folder = workspace::target().join("tmp/own-model").join(example);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder below target");
    Some((python, folder))
}

fn examples() -> PathBuf {
    workspace::root().join("examples/own-model")
}

/// Trains, imports and scores as the README says, and lets onnxruntime say the same of names that nobody chose.
fn walk(example: &str, python: &Path, folder: &Path) {
    let (made, registry, name) = (folder.join("out"), folder.join("registry"), format!("own-{example}"));
    let mut train = shell::command(python);
    train.arg(examples().join(example).join("train.py")).arg("--out").arg(&made);
    let printed = ran(example, "train", &mut train);
    assert!(printed.contains("names that it did not see"), "{printed}");

    let mut import = dnsvet();
    import.args(["model", "import"]).arg(made.join("model.onnx"));
    import.arg("--manifest").arg(made.join("manifest.json")).arg("--out").arg(&registry);
    let printed = ran(example, "import", &mut import);
    assert!(printed.contains("us a name, 1000 names by tract"), "{printed}");

    let mut draw = Draw::new(example);
    let mut names: Vec<String> = (0..7).map(|_| draw.domain()).collect();
    names.push(format!("www.{}", names[0]));
    names.push(format!("{0}.{0}.{0}.{0}.{1}", "long-label-0123456789", names[1]));
    names.push("xn--bcher-kva.example".into());
    let mut score = dnsvet();
    score.args(["score", "--model", &name, "--registry"]).arg(&registry);
    let scores = shell::output_with_input(&mut score, names.join("\n").as_bytes());
    let scores = scores.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scores.lines().count(), names.len(), "{scores}");

    let mut compare = shell::command(python);
    compare.arg(examples().join("compare.py")).arg(&made);
    let compared = shell::output_with_input(&mut compare, scores.as_bytes());
    let compared = compared.unwrap_or_else(|error| panic!("{error}"));
    assert!(compared.contains("10 names, furthest apart"), "{compared}");
}

fn dnsvet() -> std::process::Command {
    shell::command(workspace::binary("dnsvet", false))
}

fn ran(example: &str, step: &str, command: &mut std::process::Command) -> String {
    let logged = shell::logged(&format!("own-{example}-{step}"), command).and_then(shell::Logged::checked);
    logged.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_scikit_learn_example_scores_as_onnxruntime_does() {
    if let Some((python, folder)) = prepare("sklearn") {
        walk("sklearn", &python, &folder);
    }
}

#[test]
fn the_pytorch_example_scores_as_onnxruntime_does() {
    if std::env::var_os("DNSVET_LONG").is_none() {
        println!("skipped: PyTorch takes 5.5 GB; cargo xtask test --long runs it");
        return;
    }
    if let Some((python, folder)) = prepare("pytorch") {
        walk("pytorch", &python, &folder);
    }
}
