//! Every kept input goes through its target: what was found once stays mended.

use std::path::Path;

use dnsvet_fuzz::TARGETS;

/// The longest input that is kept, bytes; seeds of snapshots and models are longer.
const MOST_BYTES: u64 = 32 << 10;

#[test]
fn every_kept_input_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora");
    let mut count = 0;
    for (target, run) in TARGETS {
        let folder = corpora.join(target);
        let mut inputs: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{target} has no inputs: cargo xtask fuzz {target} --keep");
        for path in &inputs {
            let input = std::fs::read(path).unwrap();
            assert!(input.len() as u64 <= MOST_BYTES, "{}: {} bytes", path.display(), input.len());
            if std::panic::catch_unwind(|| run(&input)).is_err() {
                panic!("{} fails {target}", path.display());
            }
        }
        count += inputs.len();
    }
    println!("{count} inputs of {} targets", TARGETS.len());
}

#[test]
fn every_folder_of_inputs_belongs_to_a_target() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(dnsvet_fuzz::target(&name).is_some(), "corpora/{name} is no target's");
    }
}

#[test]
fn no_bytes_at_all_pass_every_target() {
    TARGETS.iter().for_each(|(_, run)| run(&[]));
}
