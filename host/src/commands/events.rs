//! `dnsvet events`: another system's history into the event store, and stored events out of it.

use std::process::ExitCode;

use super::export::{self, ExportError};
use super::import::{self, EventsError};

/// Bring the history of another system into the event store, or take events out of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Import(import::Args),
    Export(export::Args),
}

/// Why a command did not do all that it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not everything was imported.
    #[error(transparent)]
    Import(#[from] EventsError),
    /// Not everything was exported.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Runs the command.
///
/// # Errors
/// As the command says.
pub fn run(args: Args) -> Result<ExitCode, CommandError> {
    Ok(match args.command {
        Command::Import(args) => import::run(args)?,
        Command::Export(args) => export::run(args)?,
    })
}
