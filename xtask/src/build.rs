//! `cargo xtask build`: the binaries, and the plugin with its size.

use std::path::PathBuf;

use crate::error::Error;
use crate::wasm::Plugin;
use crate::{shell, ui, wasm, workspace};

/// Build the binaries and the plugin.
#[derive(clap::Args)]
pub struct Args {
    /// Optimise the binaries in full (the plugin always is).
    #[arg(long)]
    release: bool,
}

/// Builds everything that runs and says where it lies.
pub fn run(args: &Args) -> Result<(), Error> {
    ui::build(true)?;
    let plugin = wasm::build(false)?;
    shell::show(&mut binaries(args.release))?;
    for name in ["dnsvet", "dnsvet-scorer"] {
        println!("{:<15}{}", name, relative(workspace::binary(name, args.release)));
    }
    println!("{:<15}{}", "plugin", summary(&plugin));
    Ok(())
}

/// The Cargo call for the binaries. The whole workspace at once, as in `cargo xtask test`, so that both agree
/// on the features of every dependency and nothing is compiled twice.
pub fn binaries(release: bool) -> std::process::Command {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--workspace", "--bins"]);
    if release {
        cargo.arg("--release");
    }
    cargo
}

/// A plugin in one line: path, size, hash.
pub fn summary(plugin: &Plugin) -> String {
    format!("{}  {} bytes  sha256 {}", relative(plugin.path.clone()), plugin.bytes, plugin.sha256)
}

fn relative(path: PathBuf) -> String {
    path.strip_prefix(workspace::root()).unwrap_or(&path).display().to_string()
}
