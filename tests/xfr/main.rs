//! Zone transfer with other people's servers: BIND, NSD and Knot as primaries of our client; Unbound, BIND and
//! PowerDNS as secondaries of our server.

mod primaries;
mod secondaries;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dnsvet::xfr::Key;
use xtask::child::Child;
use xtask::{shell, workspace};

/// How long anything may take that should take a moment: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

const ZONE: &str = "rpz.example";
const KEY_NAME: &str = "transfer.example";
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn key(algorithm: &str) -> Key {
    format!("{algorithm}:{KEY_NAME}:{SECRET}").parse().expect("a key")
}

/// The program, or `None` with a line that says that its test did not run.
fn find(program: &str) -> Option<PathBuf> {
    let found = shell::find(program);
    if found.is_none() {
        println!("skipped: no {program} here; cargo xtask test installs it");
    }
    found
}

/// An empty folder of this test run.
fn folder(name: &str) -> PathBuf {
    let folder = workspace::target().join("tmp/xfr").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder below target");
    folder
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn start(program: &Path, arguments: &[&str], folder: &Path) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    Child::start(&command, &folder.join("out.log")).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until `ready`; then fails with what it was waited for and what the server printed.
fn wait_for(what: &str, child: &Child, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        let printed = child.printed();
        assert!(child.alive(), "the server ended while it was waited for {what}:\n{printed}");
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}:\n{}", shell::tail(&printed));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}
