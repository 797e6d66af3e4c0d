//! `dnsvet user`: people and tokens, in the data folder itself: with the server running or not.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use super::out::say;
use crate::config::{ConfigError, Flags};
use crate::control::{now_ms, secret};
use crate::folder;
use crate::store::control::{AuditRow, ControlStore, Role, SqliteControl};
use crate::store::{StoreError, Tenant};

/// Add people and tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet user add ana --role vetter             prints a password made for her
  echo PASSWORD | dnsvet user add admin --role admin --password-stdin
  dnsvet user token envoy-1 --role filter       a token for a plugin in another proxy")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Add a user, or give one a new password and role. Ends the user's sessions.
    Add {
        /// The user's name.
        name: String,
        /// What the user may do.
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// Read the password from standard input instead of making one.
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        config: Flags,
    },
    /// Make a token for a program and print it, this once. An older one with the same label ends.
    Token {
        /// What it is for.
        label: String,
        /// What it lets in to: `filter` for plugins.
        #[arg(long, default_value = "filter")]
        role: Role,
        #[command(flatten)]
        config: Flags,
    },
}

/// Why nobody was added.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data folder can't be made.
    #[error("{}: {source}; check `data_dir`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Standard input can't be read.
    #[error("standard input: {0}")]
    Input(#[from] std::io::Error),
    /// A password or name that can't be used.
    #[error("{0}")]
    Unusable(String),
}

/// Adds the user or token and prints its secret.
pub fn run(args: Args) -> Result<ExitCode, UserError> {
    match args.what {
        What::Add { name, role, password_stdin, config } => {
            let state = open(&config)?;
            if name.is_empty()
                || name.len() > secret::MAX_USER_BYTES
                || name.contains(char::is_control)
                || name.starts_with("token:")
            {
                return Err(UserError::Unusable(
                    "a user's name is 1 to 64 bytes without control characters".into(),
                ));
            }
            if role == Role::Filter {
                return Err(UserError::Unusable(
                    "the role filter is for tokens: dnsvet user token LABEL".into(),
                ));
            }
            let password = if password_stdin { read_password()? } else { secret::password() };
            let hash = secret::hash_password(&password)
                .map_err(|error| UserError::Unusable(format!("password: {error}")))?;
            state.set_user(Tenant::DEFAULT, &name, role, &hash)?;
            audit(&state, "user", &format!("{name} ({})", role.as_str()))?;
            if password_stdin {
                say!("{name}: {}", role.as_str());
            } else {
                say!("{name}: {}, password {password}", role.as_str());
            }
        }
        What::Token { label, role, config } => {
            let state = open(&config)?;
            let (token, hash) = secret::fresh();
            state.set_token(Tenant::DEFAULT, &hash, &label, role, now_ms())?;
            audit(&state, "token", &format!("{label} ({})", role.as_str()))?;
            say!("{token}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(config: &Flags) -> Result<SqliteControl, UserError> {
    let data_dir = config.load()?.data_dir;
    folder::make(&data_dir).map_err(|source| UserError::Folder { path: data_dir.clone(), source })?;
    Ok(SqliteControl::open(&data_dir.join("control.db"))?)
}

fn audit(state: &SqliteControl, what: &str, detail: &str) -> Result<(), StoreError> {
    let line =
        AuditRow { time_ms: now_ms(), author: "local".into(), what: what.into(), detail: detail.into() };
    state.audit(Tenant::DEFAULT, &line)
}

fn read_password() -> Result<String, UserError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("password, then Enter (it shows):");
    }
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.chars().count() < 10 {
        return Err(UserError::Unusable("a password has at least 10 characters".into()));
    }
    if password.len() > secret::MAX_PASSWORD_BYTES {
        let most = secret::MAX_PASSWORD_BYTES;
        return Err(UserError::Unusable(format!("a password has at most {most} bytes")));
    }
    Ok(password)
}
