//! `dnsvet lists`: compiles lists into a snapshot, says what a snapshot holds, and what changed between two; asks
//! the running dnsvet about its subscriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::{Subcommand, ValueHint};
use dnsvet_core::lists::{self as parsers, Format};
use dnsvet_core::policy::Policy;
use dnsvet_core::snapshot::Snapshot;
use indicatif::ProgressBar;
use serde_json::json;

use super::out::{self, say};
use super::socket::SocketError;
use super::subscriptions;
use crate::lists::{
    self, CompileError, Compiled, KeyError, ListReport, ListSource, OpenError, Rest, open_snapshot,
};

/// Names that `lists diff` shows of each side.
const SHOWN_NAMES: usize = 10;

/// Compile lists into a snapshot; say what one holds; compare two; look after subscriptions.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compile lists into a snapshot file.
    #[command(after_help = "\
A list is [ROLE:][FORMAT:]PATH. Roles: block, allow, mandatory, popular; without one it is blocked. Formats: plain, hosts,
adblock, wildcard, dnsmasq, unbound, regex, rpz; without one it is found out. Lists that are URLs are fetched by `dnsvet
serve`, not here. Files may be .gz or .zst. Lines that are not understood are reported as FILE:LINE and passed over; a list
without one rule is refused.

The key file holds an Ed25519 seed: 64 hex digits, or PEM as `openssl genpkey -algorithm ed25519` writes it.
The snapshot's time is that of SOURCE_DATE_EPOCH (seconds) if it is set: same input, same bytes.

Examples:
  dnsvet lists compile --every-line ads.txt
  dnsvet lists compile block:ads.txt allow:ours.txt -o lists.dvs
  dnsvet lists compile hosts:/etc/hosts.block mandatory:court.txt.gz popular:top.txt.zst -o lists.dvs --key k.pem")]
    Compile(Compile),
    /// Say what a snapshot holds.
    #[command(
        after_help = "Examples:\n  dnsvet lists stats lists.dvs\n  dnsvet lists stats lists.dvs --json"
    )]
    Stats(Stats),
    /// Say how the lists of the running dnsvet stand.
    #[command(after_help = "Examples:\n  dnsvet lists status\n  dnsvet lists status --json")]
    Status(subscriptions::Status),
    /// Have the running dnsvet look at its lists now.
    #[command(after_help = "\
Exits with 1 if a list was not fetched, or a copy of it is kept back.

Examples:
  dnsvet lists update
  dnsvet lists update ads --json")]
    Update(subscriptions::Update),
    /// Take a fresh copy of a list that is kept back.
    #[command(after_help = "\
A fresh copy is kept back if it shrank by more than half, holds no rule, is a web page, or blocks a popular name that
the copy before it did not block. `dnsvet lists status` says which, and why.

Examples:
  dnsvet lists accept ads")]
    Accept(subscriptions::Accept),
    /// Compare two snapshots, or two lists.
    #[command(after_help = "\
Exits with 0 whether they differ or not. Snapshots hold hashes: of them the lists, decisions, policy and what a filter
would fetch are compared; of two lists the names are.

Examples:
  dnsvet lists diff old.dvs new.dvs
  dnsvet lists diff yesterday.txt today.txt --json")]
    Diff(Diff),
}

#[derive(Debug, clap::Args)]
struct Compile {
    /// The lists.
    #[arg(required = true, value_name = "[ROLE:][FORMAT:]PATH", value_hint = ValueHint::FilePath)]
    lists: Vec<ListSource>,
    /// Where the snapshot goes; without it the lists are only checked.
    #[arg(short, long, value_name = "F.dvs", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Report every line that is passed over, not the first five of each list.
    #[arg(long)]
    every_line: bool,
    /// Ed25519 key that signs it; unsigned without.
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Must rise from one snapshot of a feed to the next; default: seconds since 1970.
    #[arg(long, value_name = "N")]
    serial: Option<u64>,
    /// Policy as JSON; default: one group for everybody.
    #[arg(long, value_name = "F.json", value_hint = ValueHint::FilePath)]
    policy: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Stats {
    /// The snapshot.
    #[arg(value_name = "F.dvs", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Diff {
    /// The older one.
    #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
    old: PathBuf,
    /// The newer one.
    #[arg(value_name = "B", value_hint = ValueHint::FilePath)]
    new: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum ListsError {
    /// A list or the snapshot.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A snapshot to read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The policy file.
    #[error("policy {}: {why}", path.display())]
    Policy {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The snapshot could not be written.
    #[error("{}: {error}; choose another place with -o", path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The running dnsvet.
    #[error(transparent)]
    Subscriptions(#[from] SocketError),
    /// Only one of two files is a snapshot.
    #[error("{} is a snapshot and {} is not; compare two of a kind", snapshot.display(), other.display())]
    Unlike {
        /// The one that is.
        snapshot: PathBuf,
        /// The one that is not.
        other: PathBuf,
    },
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode, ListsError> {
    match args.command {
        Command::Compile(args) => compile(&args)?,
        Command::Stats(args) => stats(&args)?,
        Command::Diff(args) => diff(&args)?,
        Command::Status(args) => return Ok(subscriptions::status(&args)?),
        Command::Update(args) => return Ok(subscriptions::update(&args, &spinner("asking"))?),
        Command::Accept(args) => return Ok(subscriptions::accept(&args)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn compile(args: &Compile) -> Result<(), ListsError> {
    let key = args.key.as_deref().map(lists::signing_key).transpose()?;
    let policy = args.policy.as_deref().map(read_policy).transpose()?.unwrap_or_default();
    let made_s = now_s();
    let rest = Rest {
        vetted: &[],
        policy: &policy,
        brands: b"",
        small_model: None,
        serial: args.serial.unwrap_or(made_s),
        made_ms: made_s * 1_000,
        key: key.as_ref(),
    };
    let spinner = spinner("reading lists");
    let compiled = lists::compile(&args.lists, &rest, args.every_line, |report| {
        spinner.set_message(format!("read {} ({} entries); building", report.name, report.counts.entries));
    });
    spinner.finish_and_clear();
    let Compiled { bytes, reports } = compiled?;
    for complaint in reports.iter().flat_map(ListReport::complaints) {
        out::tell(format_args!("{complaint}"));
    }
    for report in &reports {
        report.refuse_without_rules()?;
    }
    let bytes = Bytes::from(bytes);
    let snapshot = Snapshot::open(bytes.clone(), &[]).map_err(CompileError::Open)?;
    if let Some(out) = &args.out {
        replace(out, &bytes).map_err(|error| ListsError::Write { path: out.clone(), error })?;
    }
    if args.json {
        let lists = reports.iter().map(|report| {
            let counts = &report.counts;
            let rejected = report.rejected.iter();
            json!({
                "name": report.name, "role": report.role.as_str(), "format": report.format.as_str(),
                "path": report.place.to_string(), "lines": counts.lines, "rules": counts.rules, "comments": counts.comments,
                "rejected": counts.rejected, "entries": counts.entries,
                "first_rejected": rejected.map(|r| json!({"line": r.line, "text": r.text, "why": r.why.to_string()}))
                    .collect::<Vec<_>>(),
            })
        });
        let lists: Vec<_> = lists.collect();
        say!(
            "{}",
            json!({
                "snapshot": args.out, "id": snapshot.id(), "serial": snapshot.serial(), "bytes": bytes.len(),
                "names": snapshot.name_count(), "signed": key.is_some(), "lists": lists,
            })
        );
        return Ok(());
    }
    for report in &reports {
        let counts = &report.counts;
        say!(
            "{} ({}, {}): {} lines = {} rules + {} comments + {} rejected",
            report.name,
            report.role.as_str(),
            report.format,
            counts.lines,
            counts.rules,
            counts.comments,
            counts.rejected
        );
    }
    say!(
        "{}: snapshot {}, serial {}, {} names, {} bytes{}",
        args.out.as_ref().map_or("not written".into(), |out| out.display().to_string()),
        snapshot.id(),
        snapshot.serial(),
        snapshot.name_count(),
        bytes.len(),
        if key.is_some() { ", signed" } else { ", unsigned" }
    );
    Ok(())
}

/// Puts bytes in the place of a file, whole or not at all; of the file that a link leads to, if it is one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let path = match lists::regular(path) {
        Ok(_) => path.canonicalize()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let mut fresh = path.clone().into_os_string();
    fresh.push(".new");
    let written = std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, &path));
    written.inspect_err(|_| drop(std::fs::remove_file(&fresh)))
}

fn stats(args: &Stats) -> Result<(), ListsError> {
    let snapshot = open_snapshot(&args.file)?;
    let sections = snapshot.section_bytes();
    let map_bytes = sections.iter().find(|(name, _)| *name == "name map").map_or(0, |(_, bytes)| *bytes);
    let a_name = map_bytes as f64 / snapshot.name_count().max(1) as f64;
    let (major, minor) = snapshot.format();
    if args.json {
        say!(
            "{}",
            json!({
                "id": snapshot.id(), "serial": snapshot.serial(), "format": format!("{major}.{minor}"),
                "made_ms": snapshot.made_ms(), "expires_ms": snapshot.expires_ms(), "bytes": snapshot.total_bytes(),
                "names": snapshot.name_count(), "map_bytes_a_name": (a_name * 1e3).round() / 1e3,
                "vetted": snapshot.all_vetted().count(), "lists": snapshot.lists(),
                "sections": sections.iter().copied().collect::<BTreeMap<_, _>>(),
            })
        );
        return Ok(());
    }
    say!("snapshot {}  serial {}  format {major}.{minor}", snapshot.id(), snapshot.serial());
    say!(
        "{} names, {} vetted, {} bytes",
        snapshot.name_count(),
        snapshot.all_vetted().count(),
        snapshot.total_bytes()
    );
    say!("name map: {a_name:.2} bytes a name");
    for list in snapshot.lists() {
        say!("  {:<9} {:<24} {:>9} entries  {}", list.role.as_str(), list.name, list.entries, list.licence);
    }
    for (name, bytes) in sections {
        say!("  section {name:<12} {bytes:>9} bytes");
    }
    Ok(())
}

fn diff(args: &Diff) -> Result<(), ListsError> {
    let texts = (lists::read(&args.old)?, lists::read(&args.new)?);
    let is_snapshot = |text: &[u8]| text.starts_with(b"\x89DVS");
    match (is_snapshot(&texts.0), is_snapshot(&texts.1)) {
        (true, true) => diff_snapshots(args, &open_snapshot(&args.old)?, &open_snapshot(&args.new)?),
        (false, false) => diff_lists(args, &texts.0, &texts.1),
        (first, _) => {
            let (snapshot, other) = if first { (&args.old, &args.new) } else { (&args.new, &args.old) };
            return Err(ListsError::Unlike { snapshot: snapshot.clone(), other: other.clone() });
        }
    }
    Ok(())
}

fn diff_snapshots(args: &Diff, old: &Snapshot, new: &Snapshot) {
    let entries = |snapshot: &Snapshot| -> BTreeMap<(String, &'static str), u64> {
        let lists = snapshot.lists().iter();
        lists.map(|list| ((list.name.clone(), list.role.as_str()), list.entries)).collect()
    };
    let (before, after) = (entries(old), entries(new));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let decisions = |snapshot: &Snapshot| -> BTreeSet<(String, bool, &'static str)> {
        snapshot.all_vetted().map(|vetted| (vetted.name, vetted.exact, vetted.decision.as_str())).collect()
    };
    let (decided, now_decided) = (decisions(old), decisions(new));
    let gone = decided.difference(&now_decided).count();
    let fresh = now_decided.difference(&decided).count();
    let policy_changed = old.policy() != new.policy();
    let fetch_bytes = new.update_bytes(old);
    if args.json {
        let lists: Vec<_> = keys
            .iter()
            .map(|key| json!({"name": key.0, "role": key.1, "old": before.get(key), "new": after.get(key)}))
            .collect();
        say!(
            "{}",
            json!({
                "old": {"id": old.id(), "serial": old.serial(), "names": old.name_count()},
                "new": {"id": new.id(), "serial": new.serial(), "names": new.name_count()},
                "lists": lists, "vetted_added": fresh, "vetted_removed": gone, "policy_changed": policy_changed,
                "fetch_bytes": fetch_bytes,
            })
        );
        return;
    }
    say!("{} (serial {}) -> {} (serial {})", old.id(), old.serial(), new.id(), new.serial());
    say!("names: {} -> {}", old.name_count(), new.name_count());
    let shown = |entries: Option<&u64>| entries.map_or("-".to_owned(), u64::to_string);
    for key in keys.iter().filter(|key| before.get(key) != after.get(key)) {
        say!("  {:<9} {:<24} {} -> {}", key.1, key.0, shown(before.get(key)), shown(after.get(key)));
    }
    say!("vetted: {fresh} added or changed, {gone} removed or changed");
    say!("policy: {}", if policy_changed { "changed" } else { "the same" });
    say!("a filter that holds the old one fetches {fetch_bytes} of {} bytes", new.total_bytes());
}

/// A rule as `lists diff` shows it: most are a name.
fn rule_text(rule: &parsers::Rule) -> String {
    rule.name().map_or_else(|| rule.trigger.to_string(), ToString::to_string)
}

fn diff_lists(args: &Diff, old: &[u8], new: &[u8]) {
    let names = |text: &[u8]| -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        parsers::parse(text, Format::detect(text), |entry| names.extend([rule_text(&entry.rule)]), drop);
        names
    };
    let (before, after) = (names(old), names(new));
    let added: Vec<&String> = after.difference(&before).collect();
    let removed: Vec<&String> = before.difference(&after).collect();
    if args.json {
        say!(
            "{}",
            json!({
                "old": before.len(), "new": after.len(), "added": added.len(), "removed": removed.len(),
                "first_added": added.iter().take(SHOWN_NAMES).collect::<Vec<_>>(),
                "first_removed": removed.iter().take(SHOWN_NAMES).collect::<Vec<_>>(),
            })
        );
        return;
    }
    say!("names: {} -> {}, {} added, {} removed", before.len(), after.len(), added.len(), removed.len());
    for (sign, names) in [('+', &added), ('-', &removed)] {
        names.iter().take(SHOWN_NAMES).for_each(|name| say!("{sign} {name}"));
        if names.len() > SHOWN_NAMES {
            say!("{sign} … {} more", names.len() - SHOWN_NAMES);
        }
    }
}

fn read_policy(path: &Path) -> Result<Policy, ListsError> {
    let failed = |why: String| ListsError::Policy { path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

/// The time that a snapshot is stamped with, seconds since 1970.
fn now_s() -> u64 {
    let fixed = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    fixed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn spinner(message: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_goes_where_it_is_told_and_replaces_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.dvs"), folder.path().join("link"));
        replace(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let error = replace(folder.path(), b"three").unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
        assert!(replace(&folder.path().join("none/a.dvs"), b"four").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }
}
