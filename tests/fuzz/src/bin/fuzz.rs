//! libFuzzer over the target that `DNSVET_FUZZ` names; started by `cargo xtask fuzz`.

#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(run) = TARGET.get() {
        run(data);
    }
});

fn choose() {
    let name = std::env::var("DNSVET_FUZZ").unwrap_or_default();
    let Some(run) = dnsvet_fuzz::target(&name) else {
        let known: Vec<&str> = dnsvet_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("DNSVET_FUZZ={name:?} is no target; known: {}", known.join(", "));
        std::process::exit(2);
    };
    let _ = TARGET.set(run);
}
