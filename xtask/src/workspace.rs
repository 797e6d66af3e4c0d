//! Where things lie.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo's target folder; everything that a task makes lies under it.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Data that is no part of the repository; tests that need it are skipped where it is not.
pub fn test_data() -> PathBuf {
    match std::env::var_os("TEST_DATA") {
        Some(folder) => root().join(folder),
        None => root().join("../shared/data"),
    }
}

/// A binary of this workspace, by Cargo profile.
pub fn binary(name: &str, release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" }).join(name)
}

/// The built plugin.
pub fn plugin() -> PathBuf {
    plugins().join("dnsvet.wasm")
}

/// The plugin that passes everything, for tests.
pub fn allow_all_plugin() -> PathBuf {
    plugins().join("allow-all.wasm")
}

/// Where built plugins lie.
pub fn plugins() -> PathBuf {
    target().join("plugin")
}
