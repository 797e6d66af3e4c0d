//! `dnsvet model promote`, `rollback`, `challenge` and `rebase`: which model the filters run and what it takes as usual, with a server
//! on the data folder or without.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::check::{self, CheckError};
use super::super::out::say;
use super::super::socket::{SocketError, ask, text};
use crate::config::{Config, Flags};
use crate::control::models::{self, Asking, PromoteError};
use crate::control::socket_path;
use crate::folder;
use crate::store::StoreError;
use crate::store::control::{Identity, SqliteControl};

/// Put a model of a registry in force in the filters
#[derive(Debug, clap::Args)]
#[command(
    after_help = "First its hashes and golden vectors must hold, and it may not newly block a name that no model may
block: the false-positive suite and the popularity lists. Running filters have it within seconds.

Examples:
  dnsvet model promote small --registry registry
  dnsvet model promote small --registry registry --even-so    although it would newly block such names"
)]
pub struct Promote {
    /// The model's name in the registry
    name: String,
    /// The registry's folder [default: models.registry of the configuration, else the models that come with dnsvet]
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Although names would newly be blocked that no model may block; it is recorded
    #[arg(long)]
    even_so: bool,
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Put the model in force that was before
#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Let a model score beside the one in force, without touching verdicts
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It scores the names of events as they come in, at most 1,000 a second. `dnsvet model list` says how far both agree
and what only one of them would block; a promotion of the challenger records it.

Examples:
  dnsvet model challenge small --registry registry
  dnsvet model challenge --stop"
)]
pub struct Challenge {
    /// The model's name in the registry
    #[arg(required_unless_present = "stop")]
    name: Option<String>,
    /// The registry's folder [default: models.registry of the configuration, else the models that come with dnsvet]
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Take the challenger away
    #[arg(long, conflicts_with_all = ["name", "registry"])]
    stop: bool,
    #[command(flatten)]
    config: Flags,
}

/// Take the names that come from now on as usual: ends alarms of drift
#[derive(Debug, clap::Args)]
pub struct Rebase {
    #[command(flatten)]
    config: Flags,
}

/// Why the model in force stayed.
#[derive(Debug, thiserror::Error)]
pub enum GovernError {
    /// The server was not asked, or refused.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Refused here.
    #[error(transparent)]
    Promote(#[from] PromoteError),
    /// The snapshot to hold the model against.
    #[error(transparent)]
    Snapshot(#[from] CheckError),
    /// The state can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A path can't be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Promotes a model.
pub fn promote(args: Promote) -> Result<(), GovernError> {
    let config = args.config.load().map_err(SocketError::from)?;
    let registry = args.registry.map(absolute).transpose()?;
    let asking = Asking { name: args.name, registry, even_so: args.even_so };
    let done = if is_running(&config) {
        let Asking { name, registry, even_so } = &asking;
        ask(&config, "/models/promote", &json!({"name": name, "registry": registry, "even_so": even_so}))?
    } else {
        let snapshot = check::open(None, Some(config.data_dir.clone()))?;
        let (state, who) = (open(&config)?, Identity::local());
        let challenge = models::noted_challenge(&state, who.tenant)?;
        json!(models::promote(&state, (&snapshot, &config), &who, &asking, challenge)?)
    };
    report(&done, args.json);
    Ok(())
}

/// Goes back to the model before.
pub fn roll_back(args: Rollback) -> Result<(), GovernError> {
    let config = args.config.load().map_err(SocketError::from)?;
    let done = match is_running(&config) {
        true => ask(&config, "/models/rollback", &json!({}))?,
        false => json!(models::roll_back(&open(&config)?, &Identity::local())?),
    };
    report(&done, args.json);
    Ok(())
}

/// Puts a challenger up, or takes it away.
pub fn challenge(args: Challenge) -> Result<(), GovernError> {
    let config = args.config.load().map_err(SocketError::from)?;
    let registry = args.registry.map(absolute).transpose()?;
    let challenge = if is_running(&config) {
        ask(
            &config,
            "/models/challenge",
            &json!({"name": args.name, "registry": registry, "stop": args.stop}),
        )?
    } else {
        let (state, who) = (open(&config)?, Identity::local());
        json!(match args.name {
            None => models::stop_challenge(&state, &who)?,
            Some(name) => {
                models::challenge(&state, &config, &who, &Asking { name, registry, even_so: false })?
            }
        })
    };
    let id = text(&challenge["model"], "id");
    match args.stop {
        true => say!("{id} challenges no more; {}", saw(&challenge)),
        false => say!("{id} scores beside the model in force; `dnsvet model list` says what it sees"),
    }
    Ok(())
}

/// A path that holds in whatever folder the server stands.
fn absolute(path: PathBuf) -> Result<PathBuf, GovernError> {
    std::path::absolute(&path).map_err(|source| GovernError::File { path, source })
}

/// What a challenger saw, in words.
fn saw(challenge: &Value) -> String {
    let saw = &challenge["saw"];
    let Some(champion) = saw["champion"].as_str().filter(|champion| !champion.is_empty()) else {
        return "it saw no name".to_owned();
    };
    let count = |field: &str| saw[field].as_u64().unwrap_or_default();
    let examples = |field: &str| -> String {
        let names =
            saw[field].as_array().into_iter().flatten().filter_map(|example| example["name"].as_str());
        let shown: Vec<&str> = names.take(5).collect();
        if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
    };
    format!(
        "it saw {} names beside {champion} and agreed on {}; both would block {}, only it {}{}, only {champion} {}{}",
        count("names"),
        count("agreed"),
        count("both_block"),
        count("only_challenger_blocks"),
        examples("challenger_examples"),
        count("only_champion_blocks"),
        examples("champion_examples"),
    )
}

/// Begins a new baseline.
pub fn rebase(args: Rebase) -> Result<(), GovernError> {
    let config = args.config.load().map_err(SocketError::from)?;
    if is_running(&config) {
        ask(&config, "/models/rebase", &json!({}))?;
    } else {
        models::rebase(&open(&config)?, &Identity::local())?;
    }
    say!("the names that come from now on are taken as usual");
    Ok(())
}

/// How models stand on the data folder: as its server says, else as its state does.
pub fn standing(config: &Config) -> Result<Value, GovernError> {
    if is_running(config) {
        return Ok(ask(config, "/models", &json!({}))?);
    }
    Ok(json!(models::standing_of(&config.data_dir)?))
}

fn is_running(config: &Config) -> bool {
    std::os::unix::net::UnixStream::connect(socket_path(&config.data_dir)).is_ok()
}

fn open(config: &Config) -> Result<SqliteControl, GovernError> {
    let folder: &Path = &config.data_dir;
    folder::make(folder).map_err(|source| GovernError::File { path: folder.to_owned(), source })?;
    Ok(SqliteControl::open(&folder.join("control.db"))?)
}

fn report(done: &Value, json: bool) {
    if json {
        return say!("{done}");
    }
    let (to, from) = (text(&done["to"], "id"), text(&done["from"], "id"));
    let against = &done["evidence"]["gate"]["against"];
    let although = match done["even_so"].as_bool() {
        Some(true) => format!(", although it newly blocks {against} names that no model may"),
        _ => String::new(),
    };
    let when = match done["serial"].as_u64() {
        Some(serial) => {
            let (took_ms, snapshot) = (&done["took_ms"], text(done, "snapshot"));
            format!("served after {took_ms} ms in snapshot {snapshot} (serial {serial})")
        }
        None => "from the next start of `dnsvet serve`".to_owned(),
    };
    say!("{to} is in force in the place of {from}{although}; {when}");
    let challenger = &done["evidence"]["challenger"];
    if !challenger.is_null() {
        say!("as challenger {}", saw(challenger));
    }
}

/// What a listed model is, after a tab; empty if it is nothing of the kind.
pub fn marked(standing: &Value, id: &str) -> String {
    let marks = [("in_force", "in force"), ("before", "before")];
    if standing["challenger"]["model"]["id"] == id {
        return "\tchallenges".to_owned();
    }
    let is = |field: &str| standing[field]["id"] == id;
    marks.iter().find(|(field, _)| is(field)).map(|(_, said)| format!("\t{said}")).unwrap_or_default()
}

/// Says what is in force and how it came to be.
pub fn say_standing(standing: &Value) {
    let since = &standing["history"][0];
    let by = match since["author"].as_str() {
        Some(author) => format!(" (by {author}, {})", text(since, "what")),
        None => ", which came with dnsvet".to_owned(),
    };
    say!("in force\t{}{by}", text(&standing["in_force"], "id"));
    if let Some(before) = standing["before"]["id"].as_str() {
        say!("before\t{before} (dnsvet model rollback)");
    }
    let challenger = &standing["challenger"];
    if !challenger.is_null() {
        say!("challenger\t{}: {}", text(&challenger["model"], "id"), saw(challenger));
    }
    let drift = &standing["drift"];
    let last = &drift["last"];
    if let Some(names) = last["names"].as_u64() {
        let alarms: Vec<&str> =
            last["alarms"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let value = |field: &str| last[field].as_f64().unwrap_or_default();
        let alarm = if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") };
        let [score, tld, uncertain] = ["score", "tld", "uncertain"].map(value);
        say!("drift\t{alarm} (of {names} names: score {score:.3}, tld {tld:.3}, uncertain {uncertain:+.3})");
    }
}
