//! `dnsvet-scorer`: the scorer sidecar's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dnsvet_scorer::{bench, serve};
use tracing_subscriber::EnvFilter;

/// Scores DNS names with the larger models, in batches, on a GPU or the CPU.
#[derive(Parser)]
#[command(name = "dnsvet-scorer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Names scored a second, a core, by our own forward pass and by others, in one run.
    #[command(after_help = "Examples:\n  dnsvet-scorer bench\n  dnsvet-scorer bench --json | jq .ratios")]
    Bench(bench::Args),
    /// Answer over HTTP until SIGTERM; SIGHUP opens the registry again.
    #[command(
        after_help = "Examples:\n  dnsvet-scorer serve\n  dnsvet-scorer serve --device cuda --listen 127.0.0.1:8600\n  curl -s localhost:8600/v1/score -d '{\"names\":[\"example.com\"]}'\n  curl -sT names.txt -X POST localhost:8600/v1/score/stream"
    )]
    Serve(serve::Args),
}

fn main() -> ExitCode {
    // stdout is for results, so logs go to stderr.
    let filter = EnvFilter::try_from_env("DNSVET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome: Result<ExitCode, Box<dyn std::error::Error>> = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args).map_err(Into::into),
        Command::Serve(args) => serve::run(&args).map_err(Into::into),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("dnsvet-scorer: {error}");
        ExitCode::FAILURE
    })
}
