//! `dnsvet vet`: decide on a name, on the same machine, without a password.

use std::process::ExitCode;

use dnsvet_core::name::{Name, NameError};
use serde_json::{Value, json};

use crate::api::ask_socket;
use crate::config::{ConfigError, Flags};
use crate::control::socket_path;
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
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No such name can exist.
    #[error("`{name}` is no name: {why}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// Nobody answers on the socket.
    #[error("{socket}: {source}; is `dnsvet serve` running on this data folder, as this user?")]
    Socket {
        /// Its path.
        socket: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The control plane refused.
    #[error("{0}")]
    Refused(String),
}

/// Asks the control plane over its socket; returns once the decision is served.
pub fn run(args: Args) -> Result<ExitCode, VetError> {
    Name::parse(&args.name).map_err(|why| VetError::Name { name: args.name.clone(), why })?;
    let config = args.config.load()?;
    let socket = socket_path(&config.data_dir);
    let scope = if args.exact { "exact" } else { "suffix" };
    let body = json!({"name": args.name, "decision": args.decision, "scope": scope});
    let reply = ask_socket(&socket, "/vetting", &body)
        .map_err(|source| VetError::Socket { socket: socket.display().to_string(), source })?;
    if reply.status != 200 {
        return Err(VetError::Refused(text(&reply.body, "detail").to_owned()));
    }
    if args.json {
        println!("{}", reply.body);
    } else {
        let below = if args.exact { "" } else { " and all below it" };
        println!(
            "{}{below}: {}, served after {} ms in snapshot {} (serial {}); every filter has it within 2 s",
            text(&reply.body, "name"),
            text(&reply.body, "decision"),
            reply.body["took_ms"],
            text(&reply.body, "snapshot"),
            reply.body["serial"],
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or("?")
}
