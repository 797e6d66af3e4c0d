//! `dnsvet replay`: what a change would have done to the stored events, before anybody makes it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;
use dnsvet_models::registry::{Registry, RegistryError};
use indicatif::{ProgressBar, ProgressStyle};
use ipnet::IpNet;

use super::check::{self, CheckError};
use super::out::{self, say};
use crate::config::{ConfigError, Flags, StoreKind};
use crate::replay::{self, ReplayError, Request, When, With};
use crate::store::{StoreError, Tenant, now_ms};

/// Say what a change would have done to the stored events; no server is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Changes: add-list:[ROLE:][FORMAT:]PATH, remove-list:NAME, threshold:P, model:NAME. Several --with are made at once.
An added list stands beside those that are there. In the configuration the first entry of `lists` takes the place of
the bundled blocklist: to see that, give remove-list:bundled too.

The snapshot of the data folder, else the bundled one, is compared with the changed one, for each stored event. What
tunnels, budgets, a scorer or an upstream's answer decided is taken from the store; how much that is, is said. Public
clients are known as far as the store keeps their addresses.

Examples:
  dnsvet replay --since 7d --with add-list:ads.txt
  dnsvet replay --since 24h --with remove-list:bundled --group kids
  dnsvet replay --since 2026-11-20 --with remove-list:ads --with add-list:block:hosts:ads-new.txt --json
  dnsvet replay --since 7d --with threshold:0.95")]
pub struct Args {
    /// From when on: how long ago (7d, 36h, 90m), or a day (2026-11-20, UTC).
    #[arg(long, value_name = "T")]
    since: When,
    /// Until when, exclusive; default: now.
    #[arg(long, value_name = "T")]
    until: Option<When>,
    /// A change; may be given several times.
    #[arg(long, value_name = "CHANGE", required = true)]
    with: Vec<With>,
    /// Only clients of this address or network.
    #[arg(long, value_name = "IP|NET", value_parser = net)]
    client: Option<IpNet>,
    /// Only clients of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Names shown of each kind.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Take models from this folder instead of those that come with dnsvet.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    registry: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The snapshot can't be used.
    #[error(transparent)]
    Snapshot(#[from] CheckError),
    /// The registry can't be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// There are no events.
    #[error("no events in {}: {source}; let `dnsvet serve` run for a while, or name its folder with --data-dir", path.display())]
    NoStore {
        /// Where they were looked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The events lie in another kind of store.
    #[error("a replay reads events of SQLite, and the store is {0}; name a file with --store sqlite:PATH")]
    OtherStore(String),
    /// The replay failed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, CommandError> {
    match replayed(&args) {
        Err(CommandError::Replay(error)) if error.is_wrong_use() => {
            eprintln!("dnsvet: {error}");
            Ok(ExitCode::from(2))
        }
        done => done,
    }
}

fn replayed(args: &Args) -> Result<ExitCode, CommandError> {
    let config = args.config.load()?;
    let StoreKind::Sqlite(events) = config.store_kind() else {
        return Err(CommandError::OtherStore(config.store));
    };
    let base = check::open(None, Some(config.data_dir))?;
    let registry = match &args.registry {
        Some(folder) => Registry::open(folder)?,
        None => Registry::bundled(),
    };
    let now_ms = now_ms();
    let request = Request {
        with: args.with.clone(),
        since_ms: args.since.at_ms(now_ms),
        until_ms: args.until.map_or(now_ms, |until| until.at_ms(now_ms)),
        client: args.client,
        group: args.group.clone(),
        top: args.top,
    };
    let bar = progress();
    let report = replay::replay(&request, &base, &registry, (&events, Tenant::DEFAULT), |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| match error {
        ReplayError::Store(StoreError::File { source, .. }) => {
            CommandError::NoStore { path: events.clone(), source }
        }
        error => CommandError::Replay(error),
    })?;
    if args.json {
        say!("{}", serde_json::json!(report));
    } else {
        out::write(format_args!("{}", report.describe()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A text that is no client.
#[derive(Debug, thiserror::Error)]
#[error("write an address or a network, as in 10.0.0.7 or 10.0.0.0/8")]
struct NoNet;

fn net(text: &str) -> Result<IpNet, NoNet> {
    let address = text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
    address.or_else(|_| text.parse()).map_err(|_| NoNet)
}

/// How far it is, on standard error, where a person waits there.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} events, {eta} to go");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
