//! What a registry takes, gives back, and refuses.

use std::fs;

use dnsvet_models::bundled;
use dnsvet_models::infer::Backend;
use dnsvet_models::manifest::Manifest;
use dnsvet_models::publish::{self, PublishError};
use dnsvet_models::recipe::Recipe;
use dnsvet_models::registry::{Registry, RegistryError};

fn stored(folder: &std::path::Path) -> Registry {
    for name in ["seed", "small"] {
        let artifact = Registry::bundled().get(name).unwrap();
        artifact.store(folder, "# card\n").unwrap();
        artifact.store(folder, "# card\n").unwrap();
    }
    Registry::open(folder).unwrap()
}

#[test]
fn every_bundled_model_holds_its_golden_vectors_in_both_backends() {
    let registry = Registry::bundled();
    let names = registry.names().unwrap();
    assert_eq!(names, ["large", "seed", "small"]);
    for name in names {
        let artifact = registry.get(&name).unwrap();
        artifact.check_golden(Backend::OwnCpu).unwrap();
        artifact.check_golden(Backend::Tract).unwrap();
        assert_eq!(artifact.model().unwrap().id(), artifact.manifest.id);
    }
    let bytes = bundled::size();
    assert!(bytes <= 8_000_000, "{bytes} bytes of models");
    let small = registry.get("small").unwrap();
    assert!(small.dvm.unwrap().len() <= 5 << 20, "it travels in every snapshot");
}

#[test]
fn no_bundled_model_learnt_from_a_source_that_may_not_ship() {
    for name in Registry::bundled().names().unwrap() {
        let manifest = Registry::bundled().get(&name).unwrap().manifest;
        assert!(!manifest.sources.is_empty());
        for source in manifest.sources {
            for refused in ["openphish", "discord-antiscam", "blackbook", "alexa", "GPL", "none stated"] {
                assert!(!source.source.contains(refused) && !source.licence.contains(refused), "{source:?}");
            }
        }
    }
}

#[test]
fn a_stored_model_comes_back_and_an_unknown_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = stored(folder.path());
    assert_eq!(registry.names().unwrap(), ["seed", "small"]);
    let small = registry.get("small").unwrap();
    assert_eq!(small.manifest, Registry::bundled().get("small").unwrap().manifest);
    let error = registry.get("../small").unwrap_err().to_string();
    assert!(error.contains("seed, small"), "{error}");
}

#[test]
fn a_changed_file_or_a_false_golden_vector_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = stored(folder.path());
    let onnx = folder.path().join("small/model.onnx");
    let mut bytes = fs::read(&onnx).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&onnx, bytes).unwrap();
    assert!(matches!(registry.get("small"), Err(RegistryError::Hash { file: "model.onnx", .. })));

    let path = folder.path().join("seed/manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.golden[0].logit += 0.5;
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    assert!(matches!(registry.get("seed"), Err(RegistryError::Golden { .. })));
}

#[test]
fn an_onnx_file_is_imported_with_its_manifest_and_scores_by_tract() {
    let folder = tempfile::tempdir().unwrap();
    let small = Registry::bundled().get("small").unwrap();
    let mut manifest = small.manifest.clone();
    manifest.name = "own".into();
    let (imported, _) = publish::import(small.onnx.to_vec(), manifest.clone(), folder.path()).unwrap();
    assert_eq!(imported.dvm_blake3, None);
    let own = Registry::open(folder.path()).unwrap().get("own").unwrap();
    assert_eq!(own.best_backend(), Backend::Tract);

    let wrong = Manifest { length: 32, ..manifest.clone() };
    let refused = publish::import(small.onnx.to_vec(), wrong, folder.path());
    assert!(matches!(refused, Err(PublishError::Shape { got, said: 32, .. }) if got == manifest.length));
    let escaping = Manifest { name: "../own".into(), ..manifest.clone() };
    assert!(publish::import(small.onnx.to_vec(), escaping, folder.path()).is_err());
    let refused = publish::import(b"no model".to_vec(), manifest, folder.path());
    assert!(matches!(refused, Err(PublishError::Import(_))));
}

#[test]
fn training_ends_in_a_registry_with_an_artifact_that_holds_together() {
    let data = tempfile::tempdir().unwrap();
    let benign: String = (0..1_200)
        .map(|i| format!("shop{i}.de\t\thageziTop-2023\t{}\n", ["clean", "single"][i % 2]))
        .collect();
    let malicious: String =
        (0..1_200).map(|i| format!("x{}qz.top\tmaltrail/some\tmalware\n", i * 7_919)).collect();
    for (file, text) in [("benign-train-meta.tsv.gz", benign), ("malicious-train.tsv.gz", malicious)] {
        let file = fs::File::create(data.path().join(file)).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
        gzip.finish().unwrap();
    }
    let registry = tempfile::tempdir().unwrap();
    // The large one: a table CNN, and a bag for each way to read.
    let mut recipe = Recipe { sample: 1_000, ..Recipe::large() };
    for table in recipe.tables_mut() {
        (table.epochs, table.batch) = (2, 32);
    }
    let made = publish::train(&[recipe], data.path(), registry.path(), &mut |_| {}).unwrap().remove(0);
    let artifact = Registry::open(registry.path()).unwrap().get("large").unwrap();
    assert_eq!(artifact.manifest, made);
    assert!(!registry.path().join(".training").exists(), "nothing is kept once all is done");
    assert!(made.metrics.unwrap().auc > 0.95);
    let card = fs::read_to_string(registry.path().join("large/CARD.md")).unwrap();
    assert!(card.contains(&made.id) && card.contains("maltrail"));

    let names: Vec<String> = dnsvet_models::data::dga::names(300, 2)
        .into_iter()
        .chain((0..100).map(|i| format!("{}.cdn{i}.mine.webflow.io", "ab-9_".repeat(i % 12))))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let logits = |backend| {
        let mut logits = vec![0.0; names.len()];
        artifact.scorer(backend).unwrap().score(&names, &mut logits).unwrap();
        logits
    };
    for (name, (own, tract)) in
        names.iter().zip(logits(Backend::OwnCpu).into_iter().zip(logits(Backend::Tract)))
    {
        assert!((own - tract).abs() <= 1e-4 + 1e-4 * own.abs(), "{name}: {own}, by tract {tract}");
    }
}

#[test]
fn bad_data_is_refused_and_the_registry_keeps_its_model() {
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path());
    let before = fs::read(folder.path().join("small/manifest.json")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let recipes = [Recipe::small(), Recipe::large()];
    for (benign, malicious, says) in [
        ("a.com\t\tmine\tclean\n", "\u{0}\u{1}\u{2}", "malicious-train.tsv.gz:1: 1 tab-separated columns"),
        ("a.com\t\tmine\tclean\n", "", "no malicious names"),
        ("", "b.top\tmine\tscam\n", "no benign names"),
        ("a.com\t\tmine\tsingle\n", "b.top\tmine\tscam\n", "no clean benign names"),
        (
            "a.com\t\tmine\tclean\n",
            "b.top\tmine\tscam\nb.top\tmine\tscam\n",
            "malicious-train.tsv.gz:2: \"b.top\" was in",
        ),
    ] {
        for (file, text) in [("benign-train-meta.tsv.gz", benign), ("malicious-train.tsv.gz", malicious)] {
            let file = fs::File::create(data.path().join(file)).unwrap();
            let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
            gzip.finish().unwrap();
        }
        let error =
            publish::train(&recipes, data.path(), folder.path(), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(fs::read(folder.path().join("small/manifest.json")).unwrap(), before);
    }
}
