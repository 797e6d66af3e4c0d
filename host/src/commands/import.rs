//! `dnsvet events import`: the history of another system into the event store.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::check::{self, CheckError};
use super::out::{self, say};
use super::socket;
use crate::config::{Config, ConfigError, Flags, Retention, StoreKind};
use crate::control::socket_path;
use crate::folder;
use crate::import::decisions::{self, Written};
use crate::import::{self, ImportError, Intake, Report, System};
use crate::store::sqlite::SqliteStore;
use crate::store::{EventStore, StoreError, Tenant, now_ms};

/// Import Pi-hole's, AdGuard Home's or ML Bridge's history, or dnstap files; twice is as good as once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is read:
  pihole   pihole-FTL.db, read only; while Pi-hole runs, a copy by sqlite3's `.backup` is safer
  adguard  querylog.json, querylog.json.1
  dnstap   files in Frame Streams, as fstrm_capture, BIND, Unbound, Knot and dnsdist write them: clients' queries and responses
  mlbridge documents of its Elasticsearch: elasticdump's lines, or an answer of `_search`; all files together

Events keep their times, and carry what the other system decided as verdict. A row that is damaged is passed over, counted
and told with its place. A server on the same data folder may run. It removes events that are older than
`retention.raw_days` at its next look; their counts by day stay for `retention.rollup_days`.

What is there is known by what a file begins with and the place in it: a log that was renamed or has grown adds only what is
new. Files that were cut at the front are others. Numbers of damaged rows may count as known once they are mended.

Examples:
  dnsvet events import --from pihole --dry-run /etc/pihole/pihole-FTL.db
  dnsvet events import --from adguard querylog.json.1 querylog.json
  dnsvet events import --from mlbridge --zone Europe/Berlin --decisions --author ana dump.ndjson")]
pub struct Args {
    /// Whose history it is.
    #[arg(long, value_enum)]
    from: System,
    /// The files.
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    paths: Vec<PathBuf>,
    /// Say what would be imported, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// The time zone that ML Bridge ran in; it stored local times.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: TimeZone,
    /// Put what people vetted in ML Bridge in force here too, for names that nobody has decided here.
    #[arg(long, requires = "author")]
    decisions: bool,
    /// Who is written down for those decisions.
    #[arg(long, value_name = "NAME", requires = "decisions", value_parser = author)]
    author: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Why not everything was imported.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file can't be read, or the store refuses.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is one that an import can't write to beside a server.
    #[error(
        "store is `clickhouse`: history is imported into SQLite alone; import with DNSVET_STORE=sqlite, or try --dry-run"
    )]
    NotSqlite,
    /// Which names are popular is not known.
    #[error(transparent)]
    Snapshot(#[from] CheckError),
    /// The data folder can't be made.
    #[error("{}: {source}; name another with --data-dir", path.display())]
    Folder {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, EventsError> {
    let config = args.config.load()?;
    let store = match args.dry_run {
        true => None,
        false => Some(open(&config)?),
    };
    let store = store.as_ref().map(|store| (store as &dyn EventStore, Tenant::DEFAULT));
    let kept_from = now_ms().saturating_sub(u64::from(config.retention.raw_days) * 86_400_000);
    let bar = progress(&args);
    let told = |done| bar.set_position(done);
    let mut intake = Intake::new(store, kept_from, &told);
    let imported = import::import(args.from, &args.paths, &args.zone, &mut intake);
    bar.finish_and_clear();
    let report = intake.report();
    // What came before a file that can't be read is stored, and told.
    let written = match (&imported, &args.author) {
        (Ok(()), Some(author)) if !args.dry_run => Some(decide(&config, &report, author)?),
        _ => None,
    };
    if args.json {
        let mut said = json!(report);
        said["dry_run"] = json!(args.dry_run);
        said["written"] = json!(written);
        say!("{said}");
    } else {
        out::write(format_args!("{}", describe(&args, &config, &report, written.as_ref())));
    }
    imported?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the event store. It keeps what it has: to remove what is old is for the server.
fn open(config: &Config) -> Result<SqliteStore, EventsError> {
    let StoreKind::Sqlite(path) = config.store_kind() else { return Err(EventsError::NotSqlite) };
    folder::make(&config.data_dir)
        .map_err(|source| EventsError::Folder { path: config.data_dir.clone(), source })?;
    let everything =
        Retention { raw_days: u32::MAX, rollup_days: u32::MAX, store_bytes: 0, ..Retention::default() };
    Ok(SqliteStore::open(&path, everything, config.client_addresses)?)
}

/// Writes decisions, and has a server that runs take them.
fn decide(config: &Config, report: &Report, author: &str) -> Result<Written, EventsError> {
    let snapshot = check::open(None, Some(config.data_dir.clone()))?;
    let written = decisions::write(&config.data_dir, &report.decisions, author, &snapshot, now_ms())?;
    if written.in_force > 0
        && socket_path(&config.data_dir).exists()
        && let Err(error) = socket::ask(config, "/reload", &json!({}))
    {
        out::tell(format_args!(
            "dnsvet: the decisions are stored, and in force from the next start on: {error}"
        ));
    }
    Ok(written)
}

fn describe(args: &Args, config: &Config, report: &Report, written: Option<&Written>) -> String {
    let mut lines = Vec::new();
    let time = |ms: u64| {
        let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.map_or_else(|| ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
    };
    let span = match report.events {
        0 => String::new(),
        _ => format!(", {} to {} (UTC)", time(report.first_ms), time(report.last_ms)),
    };
    lines.push(format!(
        "{} questions from {}, {} of them blocked there{span}",
        report.events,
        args.from.name(),
        report.blocked
    ));
    lines.push(match args.dry_run {
        true => "nothing was stored: --dry-run".to_owned(),
        false => format!("{} stored, {} were there already", report.stored, report.known),
    });
    lines.extend(report.passed_over.iter().map(|(what, count)| format!("{count} passed over: {what}")));
    if report.bad > 0 {
        lines.push(format!("{} damaged rows passed over:", report.bad));
        lines.extend(report.bad_rows.iter().map(|row| format!("  {row}")));
        let more = report.bad - report.bad_rows.len() as u64;
        lines.extend((more > 0).then(|| format!("  and {more} more")));
    }
    if report.old > 0 {
        let days = config.retention.raw_days;
        lines.push(format!(
            "{} are older than retention.raw_days ({days}): a server removes them at its next look, and keeps their counts \
             by day; raise retention.raw_days first if you want to keep them",
            report.old
        ));
    }
    match written {
        Some(Written { in_force, proposed, kept }) => lines.push(format!(
            "{in_force} decisions in force, {proposed} proposed for a second person (popular names), {kept} names were \
             decided here before"
        )),
        None if !report.decisions.is_empty() => lines.push(format!(
            "{} names were vetted by people there; --decisions --author NAME puts that in force here",
            report.decisions.len()
        )),
        None => {}
    }
    lines.join("\n") + "\n"
}

/// How far it is, on standard error, where a person waits there: bytes, or rows of a database.
fn progress(args: &Args) -> ProgressBar {
    let template = match args.from {
        System::Pihole => "{bar:30} {human_pos} of {human_len} rows, {eta} to go",
        _ => "{bar:30} {bytes} of {total_bytes}, {eta} to go",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(import::length(args.from, &args.paths)).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A text that is no time zone.
#[derive(Debug, thiserror::Error)]
#[error("write a name of the time zone database, as in Europe/Berlin, or UTC")]
struct NoZone;

fn zone(text: &str) -> Result<TimeZone, NoZone> {
    TimeZone::get(text).map_err(|_| NoZone)
}

/// A text that is no author.
#[derive(Debug, thiserror::Error)]
#[error("1 to 64 bytes without control characters, and not `local`")]
struct NoAuthor;

fn author(text: &str) -> Result<String, NoAuthor> {
    let fits = (1..=64).contains(&text.len()) && !text.contains(char::is_control) && text != "local";
    if fits { Ok(text.to_owned()) } else { Err(NoAuthor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(flatten)]
        import: Args,
    }

    #[test]
    fn a_store_that_is_not_sqlite_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let config = Config { data_dir: data_dir.clone(), store: "clickhouse".into(), ..Config::default() };
        let refused = open(&config).map(|_| ()).unwrap_err();
        assert!(matches!(refused, EventsError::NotSqlite), "{refused}");
        assert!(!data_dir.exists());
        let path = folder.path().join("other.db");
        let config = Config { store: format!("sqlite:{}", path.display()), ..config };
        open(&config).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn what_makes_no_sense_together_is_wrong_use() {
        let parse = |words: &str| {
            let words = ["import"].into_iter().chain(words.split(' '));
            <Program as clap::Parser>::try_parse_from(words)
        };
        for right in [
            "--from pihole x.db",
            "--from adguard a b --dry-run --json",
            "--from mlbridge x --zone Europe/Berlin --decisions --author ana",
        ] {
            parse(right).unwrap_or_else(|error| panic!("{right}: {error}"));
        }
        for wrong in [
            "x.db",
            "--from pihole",
            "--from bind x",
            "--from mlbridge x --decisions",
            "--from mlbridge x --author ana",
            "--from mlbridge x --decisions --author local",
            "--from mlbridge x --zone Berlin",
        ] {
            assert_eq!(parse(wrong).expect_err(wrong).exit_code(), 2, "{wrong}");
        }
    }
}
