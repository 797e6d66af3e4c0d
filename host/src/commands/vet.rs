//! `dnsvet vet`: decide on a name, on the same machine, without a password; be the second person; undo; export.
//!
//! The surprise: a decision that waits for a second person ends with 1, since the name is answered as before.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;
use dnsvet_core::name::{Name, NameError};
use serde_json::{Value, json};

use super::out::say;
use super::relief::duration;
use super::socket::{SocketError, ask, text, warn_of_mandatory};
use crate::config::{Config, Flags};
use crate::control::now_ms;
use crate::control::vetting::rows::{self, PER_AUTHOR};
use crate::store::control::{ControlStore as _, Decision, SqliteControl};
use crate::store::{StoreError, Tenant};

/// Decide on a name: benign, malicious, honeypot, or none to take a decision back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Who blocks a popular name (a registrable domain or its www. in two popularity lists) only proposes it: this command then
says so and ends with 1, and the name is answered as before until another person confirms it. Whoever uses this command on
a machine is one person, called `local`, who owns the data folder and so decides with --alone too; the audit trail says
so. Over the API, the same holds for more than 20 names within 10 minutes.

--export writes the decisions in force as rows `name<TAB>class<TAB>author<TAB>time` for training: class is benign or
malicious, time in milliseconds since 1970. Decisions of people are all that is written: query logs never become labels,
nor do proposals or honeypot decisions.

Examples:
  dnsvet vet login-paypa1.example malicious     blocked, with all names below it, in every filter
  dnsvet vet cdn.example benign --exact         allowed, this name alone
  dnsvet vet cdn.example none                   takes it back
  dnsvet vet popular.example --confirm          the second person, after somebody proposed it
  dnsvet vet --undo-since 1h --author ana       what ana decided in the last hour is taken back
  dnsvet vet --export rows.tsv                  training rows, 200 of each author at most")]
pub struct Args {
    /// The name; international names as people write them.
    #[arg(required_unless_present_any = ["undo_since", "export"])]
    name: Option<String>,
    /// What it is.
    #[arg(required_unless_present_any = ["undo_since", "export", "confirm", "deny"])]
    decision: Option<Decision>,
    /// The name alone, not those below it.
    #[arg(long, requires = "decision")]
    exact: bool,
    /// Decide without a second person, whatever the name is.
    #[arg(long, requires = "name")]
    alone: bool,
    /// Put what another person proposed for the name in force; with a decision only if it is that one.
    #[arg(long, conflicts_with_all = ["exact", "deny"])]
    confirm: bool,
    /// Drop what is proposed for the name.
    #[arg(long, conflicts_with_all = ["exact", "alone"])]
    deny: bool,
    /// Take back what --author decided since so long ago: 90s, 10m, 2h, 1d.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "author", conflicts_with = "name")]
    undo_since: Option<Duration>,
    /// Whose decisions: a user, `token:LABEL`, or `local`.
    #[arg(long, requires = "undo_since")]
    author: Option<String>,
    /// Write the decisions in force as training rows; works without a server too.
    #[arg(long, value_name = "FILE.tsv", value_hint = ValueHint::FilePath, conflicts_with_all = ["name", "undo_since"])]
    export: Option<PathBuf>,
    /// Rows of one author, newest first, so that no one person shifts a model.
    #[arg(long, value_name = "N", default_value_t = PER_AUTHOR)]
    per_author: usize,
    /// Print what came back as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Why nothing was done.
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
    /// The decisions can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no decisions on this machine.
    #[error("{} is not there; name the data folder with --data-dir", .0.display())]
    NoState(PathBuf),
    /// The rows can't be written.
    #[error("{}: {source}; choose another file", path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Asks the control plane over its socket; returns once the decision is served.
pub fn run(args: Args) -> Result<ExitCode, VetError> {
    let config = args.config.load().map_err(SocketError::from)?;
    if let Some(file) = &args.export {
        return export(&config, file, &args);
    }
    if let (Some(lasts), Some(author)) = (args.undo_since, &args.author) {
        return undo(&config, lasts, author, args.json);
    }
    let name = args.name.as_deref().unwrap_or_default();
    Name::parse(name).map_err(|why| VetError::Name { name: name.to_owned(), why })?;
    match args.decision {
        Some(decision) if !args.confirm && !args.deny => decide(&config, name, decision, &args),
        seen => second(&config, name, seen, &args),
    }
}

fn decide(config: &Config, name: &str, decision: Decision, args: &Args) -> Result<ExitCode, VetError> {
    let scope = if args.exact { "exact" } else { "suffix" };
    let mut body = json!({"name": name, "decision": decision, "scope": scope});
    if args.alone {
        body["alone"] = json!(true);
    }
    let body = ask(config, "/vetting", &body)?;
    let proposed = body["state"] == "proposed";
    let below = if args.exact { "" } else { " and all below it" };
    let what = format!("{}{below}: {}", text(&body, "name"), text(&body, "decision"));
    if args.json {
        say!("{}", body);
    } else if proposed {
        say!("{what}, only PROPOSED, not in force: {}", text(&body, "detail"));
    } else {
        say!("{what}, {}; every filter has it within 2 s", served(&body));
        if decision == Decision::Benign {
            warn_of_mandatory(&body);
        }
    }
    Ok(if proposed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn second(config: &Config, name: &str, seen: Option<Decision>, args: &Args) -> Result<ExitCode, VetError> {
    let body = json!({"name": name, "decision": seen, "deny": args.deny, "alone": args.alone});
    let body = ask(config, "/vetting/confirm", &body)?;
    if args.json {
        say!("{}", body);
    } else if args.deny {
        say!("{name}: what was proposed for it is dropped");
    } else {
        let row = &body["decided"][0];
        let (decision, author) = (text(row, "decision"), text(row, "author"));
        say!("{name}: {decision}, proposed by {author}, {}; every filter has it within 2 s", served(&body));
    }
    Ok(ExitCode::SUCCESS)
}

fn undo(config: &Config, lasts: Duration, author: &str, json: bool) -> Result<ExitCode, VetError> {
    let since_ms = now_ms().saturating_sub(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let body = ask(config, "/vetting/undo", &json!({"author": author, "since_ms": since_ms}))?;
    if json {
        say!("{}", body);
        return Ok(ExitCode::SUCCESS);
    }
    let count = |field: &str| body[field].as_array().map_or(0, Vec::len);
    say!(
        "{author}: {} decisions taken back, {} proposals dropped, {} names that somebody else decided since stay; {}",
        count("restored"),
        count("proposals"),
        count("kept"),
        served(&body),
    );
    Ok(ExitCode::SUCCESS)
}

fn export(config: &Config, file: &Path, args: &Args) -> Result<ExitCode, VetError> {
    let state = config.data_dir.join("control.db");
    if !state.exists() {
        return Err(VetError::NoState(state));
    }
    let decided = SqliteControl::open(&state)?.vetted(Tenant::DEFAULT)?;
    let text = rows::rows(decided, args.per_author);
    let wrote = write_whole(file, &text);
    wrote.map_err(|source| VetError::Write { path: file.to_owned(), source })?;
    let count = text.lines().count();
    if args.json {
        say!("{}", json!({"file": file, "rows": count, "per_author": args.per_author}));
    } else {
        say!("{}: {count} rows, at most {} of one author", file.display(), args.per_author);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file whole or not at all.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let mut written = std::fs::File::create(&fresh)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&fresh, file)
}

fn served(body: &Value) -> String {
    let (took, snapshot, serial) = (&body["took_ms"], text(body, "snapshot"), &body["serial"]);
    format!("served after {took} ms in snapshot {snapshot} (serial {serial})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        vet: Args,
    }

    fn parse(words: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("vet").chain(words.split(' '));
        <Command as clap::Parser>::try_parse_from(words).map(|command| command.vet)
    }

    #[test]
    fn what_makes_no_sense_together_is_wrong_use() {
        for right in [
            "x.example malicious",
            "x.example benign --exact --json",
            "x.example malicious --alone",
            "x.example --confirm",
            "x.example malicious --confirm",
            "x.example --deny",
            "--undo-since 1h --author ana",
            "--export rows.tsv --per-author 5",
        ] {
            parse(right).unwrap_or_else(|error| panic!("{right}: {error}"));
        }
        for wrong in [
            "x.example",
            "x.example perhaps",
            "x.example --exact",
            "--undo-since 1h",
            "--author ana",
            "x.example --undo-since 1h --author ana",
            "x.example malicious --export rows.tsv",
            "x.example --confirm --deny",
            "--undo-since yesterday --author ana",
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
    }
}
