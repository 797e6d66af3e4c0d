//! Builds the plugin for wasm32: finds or installs a toolchain, keeps a target folder of its own.
//!
//! The order: the target of the current toolchain; Debian's `rustc-web`, where it is already complete;
//! `rustup target add`; Debian's `rustc-web` from the registry. Debian has no ready std for wasm32, so std is
//! built from its sources, which needs `RUSTC_BOOTSTRAP`.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::{shell, system, workspace};

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std/src/lib.rs";
/// The first compiler that builds the workspace, as in the root `Cargo.toml`.
const OLDEST_RUSTC: (u32, u32) = (1, 95);

/// A built plugin.
pub struct Plugin {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// 64 hex digits.
    pub sha256: String,
}

/// How wasm is compiled on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// The current toolchain has the target.
    Installed,
    /// Debian's `rustc-web` with its own sources of std, linked by `wasm-ld`.
    Debian,
}

/// Crates that are plugins, and what the built file is called. The first is the product; the others serve
/// tests: one passes everything, one runs parts of core for comparison with native code.
const PLUGINS: [(&str, &str); 3] = [
    ("dnsvet-plugin", "dnsvet.wasm"),
    ("dnsvet-allow-all", "allow-all.wasm"),
    ("dnsvet-measure", "measure.wasm"),
];

/// Builds all plugins; returns the product.
pub fn build(quiet: bool) -> Result<Plugin, Error> {
    let toolchain = toolchain()?;
    let folder = workspace::target().join("wasm");
    let mut cargo = cargo(toolchain, &folder);
    if quiet {
        shell::logged("wasm", &mut cargo)?.checked()?;
    } else {
        shell::show(&mut cargo)?;
    }
    let built = folder.join(TARGET).join("plugin");
    for (package, file) in PLUGINS {
        let wasm = format!("{}.wasm", package.replace('-', "_"));
        copy_if_changed(&built.join(wasm), &workspace::plugins().join(file))?;
    }
    describe(&workspace::plugin())
}

/// Length and hash of a plugin that is there.
pub fn describe(path: &Path) -> Result<Plugin, Error> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Plugin { path: path.to_owned(), bytes: bytes.len() as u64, sha256 })
}

fn cargo(toolchain: Toolchain, folder: &Path) -> Command {
    let mut flags = "-C target-feature=+simd128".to_owned();
    let mut cargo = shell::cargo();
    cargo.args(["build", "--profile", "plugin", "--target", TARGET]);
    cargo.args(PLUGINS.iter().flat_map(|(package, _)| ["-p", package]));
    cargo.arg("--target-dir").arg(folder);
    if toolchain == Toolchain::Debian {
        flags += " -C linker=wasm-ld";
        cargo.arg("-Zbuild-std=std,panic_abort");
        // A compiler cache in front of another toolchain's compiler mixes the two.
        cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").env("RUSTC_WRAPPER", "");
        cargo.env("RUSTC_WORKSPACE_WRAPPER", "").env_remove("RUSTUP_TOOLCHAIN");
    }
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
    cargo
}

fn toolchain() -> Result<Toolchain, Error> {
    if current_has_target() {
        return Ok(Toolchain::Installed);
    }
    if debian_is_complete() {
        return Ok(Toolchain::Debian);
    }
    if shell::find("rustup").is_some() {
        eprintln!("adding the Rust target {TARGET}");
        let added = shell::logged("rustup", shell::command("rustup").args(["target", "add", TARGET]))?;
        if added.success() && current_has_target() {
            return Ok(Toolchain::Installed);
        }
    }
    let packages = ["rustc-web", "rust-web-src", "lld"];
    system::apt_install(&packages, &format!("the plugin (Rust for {TARGET})")).map_err(
        |error| match error {
            Error::Missing { what, remedy } => {
                Error::Missing { what, remedy: format!("`rustup target add {TARGET}`, or {remedy}") }
            }
            other => other,
        },
    )?;
    if debian_is_complete() {
        return Ok(Toolchain::Debian);
    }
    Err(Error::Missing {
        what: format!("no Rust of {}.{} or later for {TARGET}", OLDEST_RUSTC.0, OLDEST_RUSTC.1),
        remedy: format!("`rustup target add {TARGET}`, or Debian's {}", packages.join(", ")),
    })
}

fn current_has_target() -> bool {
    let sysroot = shell::output(shell::command("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|path| Path::new(path.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn debian_is_complete() -> bool {
    let version = shell::output(shell::command(DEBIAN_RUSTC).arg("--version")).unwrap_or_default();
    let new_enough = rustc_version(&version).is_some_and(|found| found >= OLDEST_RUSTC);
    new_enough && Path::new(DEBIAN_LIBRARY).exists() && shell::find("wasm-ld").is_some()
}

/// `rustc 1.96.0 (...)` to (1, 96).
fn rustc_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Leaves an equal file alone, so that whoever watches its time does not build anew.
fn copy_if_changed(from: &Path, to: &Path) -> Result<(), Error> {
    let new = std::fs::read(from).map_err(Error::file(from))?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(Error::file(parent))?;
    }
    std::fs::write(to, new).map_err(Error::file(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_compiler_is_read() {
        assert_eq!(rustc_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(rustc_version("rustc 1.63.0"), Some((1, 63)));
        assert_eq!(rustc_version("no compiler"), None);
    }
}
