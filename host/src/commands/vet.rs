//! `dnsvet vet`: decide on a name, on the same machine, without a password.

use std::process::ExitCode;

use dnsvet_core::name::{Name, NameError};
use serde_json::json;

use super::out::say;
use super::socket::{SocketError, ask, text, warn_of_mandatory};
use crate::config::Flags;
use crate::store::control::Decision;

/// Decide on a name: benign, malicious, honeypot, or none to take a decision back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet vet login-paypa1.example malicious     blocked, with all names below it, in every filter
  dnsvet vet cdn.example benign --exact         allowed, this name alone
  dnsvet vet cdn.example none                   takes it back")]
pub struct Args {
    /// The name; international names as people write them.
    name: String,
    /// What it is.
    decision: Decision,
    /// The name alone, not those below it.
    #[arg(long)]
    exact: bool,
    /// Print what came back as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Why no decision was made.
#[derive(Debug, thiserror::Error)]
pub enum VetError {
    /// No such name can exist.
    #[error("`{name}` is no name: {why}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// The control plane was not asked, or refused.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Asks the control plane over its socket; returns once the decision is served.
pub fn run(args: Args) -> Result<ExitCode, VetError> {
    Name::parse(&args.name).map_err(|why| VetError::Name { name: args.name.clone(), why })?;
    let config = args.config.load().map_err(SocketError::from)?;
    let scope = if args.exact { "exact" } else { "suffix" };
    let body = json!({"name": args.name, "decision": args.decision, "scope": scope});
    let body = ask(&config, "/vetting", &body)?;
    if args.json {
        say!("{}", body);
    } else {
        let below = if args.exact { "" } else { " and all below it" };
        say!(
            "{}{below}: {}, served after {} ms in snapshot {} (serial {}); every filter has it within 2 s",
            text(&body, "name"),
            text(&body, "decision"),
            body["took_ms"],
            text(&body, "snapshot"),
            body["serial"],
        );
        if args.decision == Decision::Benign {
            warn_of_mandatory(&body);
        }
    }
    Ok(ExitCode::SUCCESS)
}
