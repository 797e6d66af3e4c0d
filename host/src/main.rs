//! `dnsvet`: vets every name inside the resolver and the proxies that people already run.

use std::process::ExitCode;

use clap::Parser;

/// Vet every DNS name: lists, policy, models, people.
#[derive(Parser)]
#[command(name = "dnsvet", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {}

fn main() -> ExitCode {
    match Cli::parse().command {}
}
