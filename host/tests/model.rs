//! `dnsvet model promote`, `rollback` and `list` as a person or a program runs them, with no server.

use std::path::Path;
use std::process::{Command, Output};

use dnsvet_core::model::{Calibration, Spec};
use dnsvet_models::registry::Registry;
use serde_json::Value;

/// A registry with `loud`, which blocks nearly every name, and `quiet`, which blocks none.
fn registry(folder: &Path) {
    let small = Registry::bundled().get("small").unwrap();
    let spec = |name: &str| Spec { name: name.into(), ..small.manifest.spec() };
    let mut quiet = spec("quiet");
    quiet.thresholds.block_above = 1.0;
    let mut loud = spec("loud");
    loud.calibration = Calibration { intercept: 60.0, ..loud.calibration };
    for spec in [quiet, loud] {
        small.with_spec(spec).unwrap().store(&folder.join("registry"), "").unwrap();
    }
}

fn model(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsvet"));
    command.current_dir(folder).arg("model").args(arguments).args(["--data-dir", "data"]);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

/// The last line of `model list --json`.
fn standing(folder: &Path) -> Value {
    let listed = model(folder, &["list", "--json", "--registry", "registry"]);
    let lines = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(lines.lines().count(), 3, "two manifests and how they stand: {lines}");
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}

#[test]
fn models_are_promoted_and_rolled_back_without_a_server_and_the_list_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    registry(folder);
    let bundled = Registry::bundled().get("small").unwrap().manifest.id;
    assert_eq!(
        (&standing(folder)["in_force"]["id"], &standing(folder)["before"]),
        (&bundled.clone().into(), &Value::Null)
    );

    let promoted = model(folder, &["promote", "quiet", "--registry", "registry"]);
    assert_eq!(promoted.status.code(), Some(0), "{}", text(&promoted));
    let said = String::from_utf8(promoted.stdout).unwrap();
    assert!(
        said.starts_with("quiet@")
            && said.contains(&format!("in the place of {bundled}; from the next start")),
        "{said}"
    );
    let quiet = standing(folder)["in_force"]["id"].clone();

    let refused = model(folder, &["promote", "loud", "--registry", "registry"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(
        text(&refused).contains("would newly block") && text(&refused).contains("say --even-so"),
        "{}",
        text(&refused)
    );
    assert_eq!(standing(folder)["in_force"]["id"], quiet);
    let forced = model(folder, &["promote", "loud", "--registry", "registry", "--even-so", "--json"]);
    let forced: Value = serde_json::from_slice(&forced.stdout).unwrap();
    assert_eq!(
        (&forced["even_so"], &forced["author"], &forced["from"]["id"]),
        (&true.into(), &"local".into(), &quiet)
    );
    assert_eq!(standing(folder)["before"]["id"], quiet);

    let listed = text(&model(folder, &["list", "--registry", "registry"]));
    let line = |id: &str| listed.lines().find(|line| line.starts_with(id)).unwrap_or_default().to_owned();
    assert!(line("loud@").ends_with("\tin force") && line("quiet@").ends_with("\tbefore"), "{listed}");
    for back in [quiet, bundled.into()] {
        assert_eq!(model(folder, &["rollback"]).status.code(), Some(0));
        assert_eq!(standing(folder)["in_force"]["id"], back);
    }
    let none = model(folder, &["rollback"]);
    assert!(none.status.code() == Some(1) && text(&none).contains("none to go back to"), "{}", text(&none));
    assert_eq!(standing(folder)["history"].as_array().unwrap().len(), 4);
}

#[test]
fn a_challenger_is_put_up_and_taken_away_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    registry(folder);
    let put_up = model(folder, &["challenge", "quiet", "--registry", "registry"]);
    assert!(
        put_up.status.success() && text(&put_up).contains("scores beside the model in force"),
        "{}",
        text(&put_up)
    );
    assert!(standing(folder)["challenger"]["model"]["id"].as_str().unwrap().starts_with("quiet@"));
    let listed = text(&model(folder, &["list", "--registry", "registry"]));
    assert!(listed.contains("\tchallenges") && listed.contains("it saw no name"), "{listed}");
    let promoted = text(&model(folder, &["promote", "quiet", "--registry", "registry"]));
    assert!(promoted.contains("as challenger it saw no name"), "{promoted}");
    assert_eq!(standing(folder)["challenger"], Value::Null);
    assert!(text(&model(folder, &["challenge", "--stop"])).contains("there is no challenger"));
    assert!(text(&model(folder, &["rebase"])).contains("taken as usual"));
}
