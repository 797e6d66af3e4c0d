//! `cargo xtask`: builds, runs and tests dnsvet from nothing.

use std::process::ExitCode;

use clap::Parser;
use xtask::{bench, build, fuzz, kernels, test, up};

/// Build, run and test dnsvet.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Measure what dnsvet costs.
    Bench(bench::Args),
    /// Build the binaries and the plugin.
    Build(build::Args),
    /// Look for inputs that break a parser.
    Fuzz(fuzz::Args),
    /// Compile the CUDA kernels to the PTX that is kept.
    Kernels(kernels::Args),
    /// Run everything that CI runs.
    Test(test::Args),
    /// Start everything, show what it does, stay up until Ctrl-C.
    Up(up::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Build(args) => build::run(&args).map(|_| ExitCode::SUCCESS),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Up(args) => up::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
