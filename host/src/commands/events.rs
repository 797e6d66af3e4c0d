//! `dnsvet events`: stored events, as files.

use std::process::ExitCode;

use super::export::{self, ExportError};

/// Take events out of the event store.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(export::Args),
}

/// Runs the command.
///
/// # Errors
/// As the command says.
pub fn run(args: Args) -> Result<ExitCode, ExportError> {
    match args.command {
        Command::Export(args) => export::run(args),
    }
}
