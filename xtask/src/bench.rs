//! `cargo xtask bench`: what dnsvet costs, against named baselines in the same run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::{build, shell, system, wasm, workspace};

/// Measure: prints figures, asserts nothing.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench snapshot
  cargo xtask bench snapshot lists/ads.hosts
  cargo xtask bench faults
  cargo xtask bench gpu
  cargo xtask bench groups
  cargo xtask bench reload
  cargo xtask bench replay /var/tmp
  cargo xtask bench store")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A list as a snapshot: bytes a name, time to compile, look-ups natively and in wasm.
    Snapshot {
        /// A plain or hosts list, `.gz` or not [default: blocklist-1m.txt.gz of TEST_DATA, else the bundled list].
        list: Option<PathBuf>,
    },
    /// The proxy-wasm host: to load a plugin, to start it, to pass a request through.
    Wasm,
    /// The models on one core, against tract.
    Models,
    /// The scorer's kernels on the first GPU: that they are right, then names a second. Without a GPU it says so.
    Gpu,
    /// How soon questions are answered while the scorer is stopped, slow, or answers garbage.
    Faults,
    /// What a changed list costs service: silence, lost answers, time until it is in force, memory.
    Reload {
        /// A plain or hosts list, `.gz` or not [default: blocklist-1m.txt.gz of TEST_DATA, else the bundled list].
        list: Option<PathBuf>,
    },
    /// What a thousand groups cost a question, against one.
    Groups,
    /// The event stores, SQLite and ClickHouse, on a million events: ingest, bytes, the dashboard's questions.
    Store,
    /// A replay of ten million stored events.
    Replay {
        /// Where the events lie, or are put: half a gigabyte, kept [default: target/replay].
        folder: Option<PathBuf>,
    },
}

/// Builds what the measurement needs, optimised, and runs it.
pub fn run(args: &Args) -> Result<(), Error> {
    match &args.what {
        What::Snapshot { list } => {
            wasm::build(false)?;
            cargo_bench("dnsvet", "snapshot", Some(&chosen(list.as_deref())?))
        }
        What::Reload { list } => {
            wasm::build(false)?;
            shell::show(&mut build::binaries(true))?;
            system::ensure(&system::TEST_TOOLS, "the measurement")?;
            bench_processes("reload", Some(&chosen(list.as_deref())?))
        }
        What::Wasm => {
            wasm::build(false)?;
            cargo_bench("dnsvet", "wasm", Some(&workspace::plugin()))
        }
        What::Replay { folder } => {
            let folder = folder.clone().unwrap_or_else(|| workspace::target().join("replay"));
            cargo_bench(
                "dnsvet",
                "replay",
                Some(&std::path::absolute(&folder).map_err(Error::file(&folder))?),
            )
        }
        What::Store => bench_processes("store", None),
        What::Groups => cargo_bench("dnsvet", "groups", None),
        What::Models => cargo_bench("dnsvet-models", "inference", None),
        What::Gpu => {
            let mut right = shell::cargo();
            right.args([
                "test",
                "--package",
                "dnsvet-scorer",
                "--test",
                "kernels",
                "--",
                "gpu::",
                "--nocapture",
            ]);
            shell::show(&mut right)?;
            let mut fast = shell::cargo();
            fast.args(["run", "--release", "--package", "dnsvet-scorer", "--", "bench", "--drawn-stack"]);
            shell::show(&mut fast)
        }
        What::Faults => {
            wasm::build(false)?;
            // What waits for a timeout needs no optimised binaries; the tests' own are there already.
            shell::show(&mut build::binaries(false))?;
            system::ensure(&system::TEST_TOOLS, "the measurement")?;
            bench_processes("faults", None)
        }
    }
}

fn cargo_bench(package: &str, bench: &str, argument: Option<&Path>) -> Result<(), Error> {
    let mut cargo = shell::cargo();
    cargo.args(["bench", "--package", package, "--bench", bench]);
    show(cargo, argument)
}

/// A measurement of other processes: it is not optimised itself, which would take many minutes.
fn bench_processes(bench: &str, argument: Option<&Path>) -> Result<(), Error> {
    let mut cargo = shell::cargo();
    cargo.args(["bench", "--workspace", "--profile", "dev", "--bench", bench]);
    show(cargo, argument)
}

fn show(mut cargo: Command, argument: Option<&Path>) -> Result<(), Error> {
    if let Some(argument) = argument {
        cargo.arg("--").arg(argument);
    }
    shell::show(&mut cargo)
}

/// The list to measure with, which is printed.
fn chosen(list: Option<&Path>) -> Result<PathBuf, Error> {
    let list = match list {
        Some(list) => std::path::absolute(list).map_err(Error::file(list))?,
        None => default_list()?,
    };
    println!("list                {}", list.display());
    Ok(list)
}

/// A million names where the test data is; else the list that is bundled, unpacked.
fn default_list() -> Result<PathBuf, Error> {
    let million = workspace::test_data().join("blocklist-1m.txt.gz");
    if million.is_file() {
        return Ok(million);
    }
    let packed = workspace::root().join("host/bundled/blocklist.txt.zst");
    let list = workspace::target().join("xtask/blocklist.txt");
    let file = std::fs::File::open(&packed).map_err(Error::file(&packed))?;
    let text = zstd::decode_all(file).map_err(Error::file(&packed))?;
    std::fs::create_dir_all(workspace::target().join("xtask")).map_err(Error::file(&list))?;
    std::fs::write(&list, text).map_err(Error::file(&list))?;
    Ok(list)
}
