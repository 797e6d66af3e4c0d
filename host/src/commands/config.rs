//! `dnsvet config`: every key, and what is in force.

use std::process::ExitCode;

use super::out;
use crate::config::{ConfigError, Flags, reference};

/// Show configuration keys and values.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet config reference > dnsvet.toml         every key at its default, with what it is for
  dnsvet config show --config dnsvet.toml       what is in force: file, environment and flags together")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print every key with its default, doc, environment variable and flag.
    Reference,
    /// Print what file, environment and flags say together.
    Show {
        #[command(flatten)]
        config: Flags,
    },
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It can't be written as TOML.
    #[error("the configuration can't be written: {0}")]
    Write(#[from] toml::ser::Error),
}

/// Prints the page or the configuration.
pub fn run(args: Args) -> Result<ExitCode, ShowError> {
    match args.what {
        What::Reference => out::write(format_args!("{}", reference())),
        What::Show { config } => out::write(format_args!("{}", toml::to_string(&config.load()?)?)),
    }
    Ok(ExitCode::SUCCESS)
}
