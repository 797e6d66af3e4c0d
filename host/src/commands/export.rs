//! `dnsvet events export`: stored events as CSV or as JSON lines, newest first, from whichever store the configuration
//! names. A server may run beside it.
//!
//! Its surprise: a spreadsheet runs what a cell begins with `=`, `+`, `-` or `@`, and names come from anybody. In CSV such
//! a cell gets an apostrophe in front; JSON lines have every text as it is.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ValueEnum, ValueHint};
use jiff::Timestamp;

use crate::api::render::{item, qtype};
use crate::config::{ConfigError, Flags};
use crate::folder;
use crate::replay::When;
use crate::store::codes::{action_of, reason_of};
use crate::store::{self, ActionFilter, EventStore, Search, StoreError, Stored, Tenant, now_ms};

/// Events on one page.
const PAGE: usize = 1_000;
/// The columns of CSV.
const COLUMNS: [&str; 15] = [
    "time",
    "name",
    "type",
    "client",
    "door",
    "action",
    "reason",
    "rule",
    "score",
    "model",
    "group",
    "not_confident",
    "took_us",
    "source",
    "seq",
];

/// Write stored events as CSV or JSON lines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Newest first. In CSV a cell that a spreadsheet would run gets an apostrophe in front.

Examples:
  dnsvet events export --since 24h --action blocked > blocked.csv
  dnsvet events export --format ndjson --name tracker.example --since 2026-11-20 --until 2026-11-21
  dnsvet events export --since 7d --client 10.1.0.0/16 --output kids.csv")]
pub struct Args {
    /// From when on: how long ago (7d, 36h, 90m), or a day (2026-11-20, UTC); default: all.
    #[arg(long, value_name = "T")]
    since: Option<When>,
    /// Until when, exclusive; default: now.
    #[arg(long, value_name = "T")]
    until: Option<When>,
    /// Part of the name.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Address, network, or start of an address.
    #[arg(long, value_name = "TEXT")]
    client: Option<String>,
    /// An action, or `blocked` or `not_confident`.
    #[arg(long, value_name = "WORD", value_parser = action)]
    action: Option<ActionFilter>,
    /// The deciding reason, such as `list`.
    #[arg(long, value_name = "WORD", value_parser = reason)]
    reason: Option<dnsvet_core::verdict::Reason>,
    /// Events at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// A file instead of standard output, its owner's alone; one that is there is replaced.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    config: Flags,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// RFC 4180, with a line of column names.
    Csv,
    /// One JSON object a line, as `/api/v1/queries` has them.
    Ndjson,
}

/// Why nothing, or not all, was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file can't be written.
    #[error("{}: {source}; check that its folder is there and has room", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Runs the command.
///
/// # Errors
/// Configuration, store or file can't be used.
pub fn run(args: Args) -> Result<ExitCode, ExportError> {
    let config = args.config.load()?;
    let store = store::open_reading(&config)?;
    let now_ms = now_ms();
    let search = Search {
        name: args.name,
        client: args.client,
        action: args.action,
        reason: args.reason,
        since_ms: args.since.map(|since| since.at_ms(now_ms)),
        until_ms: args.until.map(|until| until.at_ms(now_ms)),
        limit: PAGE,
        ..Search::default()
    };
    let named = |source| {
        let path = args.output.clone().unwrap_or_else(|| "standard output".into());
        ExportError::File { path, source }
    };
    let mut out: Box<dyn Write> = match &args.output {
        None => Box::new(BufWriter::new(io::stdout().lock())),
        Some(path) => {
            // It says who asked for what.
            folder::make_file(path).map_err(named)?;
            Box::new(BufWriter::new(File::create(path).map_err(named)?))
        }
    };
    let most = args.limit.unwrap_or(usize::MAX);
    match write(store.as_ref(), search, most, args.format, &mut out)? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Who reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        Err(error) => Err(named(error)),
    }
}

/// Writes at most `most` events, page by page.
fn write(
    store: &dyn EventStore,
    mut search: Search,
    most: usize,
    format: Format,
    out: &mut dyn Write,
) -> Result<io::Result<()>, StoreError> {
    let (mut left, mut text) = (most, String::new());
    if format == Format::Csv {
        text.push_str(&COLUMNS.join(","));
        text.push_str("\r\n");
    }
    loop {
        let page = store.search(Tenant::DEFAULT, &search)?;
        for stored in page.items.iter().take(left) {
            match format {
                Format::Csv => csv(&mut text, stored),
                Format::Ndjson => text.push_str(&format!("{}\n", item(stored))),
            }
        }
        left = left.saturating_sub(page.items.len());
        search.cursor = page.next;
        let last = page.next.is_none() || left == 0;
        let written = out.write_all(text.as_bytes()).and_then(|()| if last { out.flush() } else { Ok(()) });
        if last || written.is_err() {
            return Ok(written);
        }
        text.clear();
    }
}

fn action(word: &str) -> Result<ActionFilter, String> {
    match word {
        "blocked" => Ok(ActionFilter::Blocked),
        "not_confident" => Ok(ActionFilter::NotConfident),
        word => action_of(word).map(ActionFilter::Is).ok_or_else(|| {
            "expected allow, nxdomain, nodata, null, honeypot, custom, refused, drop, blocked or not_confident".into()
        }),
    }
}

fn reason(word: &str) -> Result<dnsvet_core::verdict::Reason, String> {
    reason_of(word).ok_or_else(|| "no such reason; `dnsvet check` prints those that there are".into())
}

/// One line of CSV, its cells in the order of [`COLUMNS`].
fn csv(line: &mut String, stored: &Stored) {
    let event = &stored.event;
    let verdict = &event.verdict;
    let time = Timestamp::from_millisecond(event.time_ms as i64);
    let cells = [
        time.map_or_else(|_| event.time_ms.to_string(), |time| time.to_string()),
        event.name.clone(),
        qtype(event.qtype),
        event.client.clone(),
        event.door.clone(),
        verdict.action.as_str().to_owned(),
        event.reason().map_or_else(String::new, |reason| reason.as_str().to_owned()),
        verdict.rule.clone().unwrap_or_default(),
        verdict.score.map_or_else(String::new, |score| score.to_string()),
        verdict.model.clone().unwrap_or_default(),
        verdict.group.clone(),
        event.not_confident.to_string(),
        event.took_us.to_string(),
        stored.source.clone(),
        event.seq.to_string(),
    ];
    for (index, text) in cells.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        cell(line, text);
    }
    line.push_str("\r\n");
}

/// A text as a cell that no spreadsheet runs.
fn cell(line: &mut String, text: &str) {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let quoted = text.contains(['"', ',', '\r', '\n', ';']) || text.starts_with('\'');
    let apostrophe = if runs { "'" } else { "" };
    if quoted || runs {
        line.push_str(&format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")));
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use dnsvet_core::event::Batch;
    use dnsvet_core::verdict::{Action, Reason};

    use super::*;
    use crate::config::{ClientAddresses, Retention};
    use crate::store::sqlite::SqliteStore;
    use crate::store::tests::event;

    #[test]
    fn every_event_is_written_once_newest_first_in_both_formats_beside_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let missing = SqliteStore::open_reading(&path).map(|_| ()).unwrap_err();
        assert!(matches!(missing, StoreError::File { .. }), "nothing is made: {missing}");
        let keep = Retention { raw_days: 20_000, ..Retention::default() };
        let writer = SqliteStore::open(&path, keep, ClientAddresses::Truncate).unwrap();
        let events = (1..=2_500u64).map(|seq| {
            let (action, reason) =
                if seq % 2 == 0 { (Action::Nxdomain, Reason::List) } else { (Action::Allow, Reason::Model) };
            event(seq, &format!("-n{seq}.example"), "10.0.0.1", action, reason)
        });
        let batch = Batch { source: "=node/1/1".into(), dropped: 0, events: events.collect() };
        writer.append(Tenant::DEFAULT, batch).unwrap().blocking_recv().unwrap().unwrap();
        let store = SqliteStore::open_reading(&path).unwrap();
        let written = |action, most, format| {
            let mut out = Vec::new();
            let search = Search { action, limit: PAGE, ..Search::default() };
            write(&store, search, most, format, &mut out).unwrap().unwrap();
            String::from_utf8(out).unwrap()
        };
        let csv = written(None, usize::MAX, Format::Csv);
        let lines: Vec<&str> = csv.split("\r\n").collect();
        assert_eq!((lines.len(), lines[2_501]), (2_502, ""));
        assert_eq!(lines[0], COLUMNS.join(","));
        let newest = "2026-11-22T12:00:02.5Z,\"'-n2500.example\",A,10.0.0.1,udp,nxdomain,list,kadhosts,0.5,\
            small@1a2b3c4d,default,false,12,\"'=node/1/1\",2500";
        assert_eq!(lines[1], newest);
        let numbers: Vec<u64> =
            lines[1..2_501].iter().map(|l| l.rsplit(',').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (1..=2_500).rev().collect::<Vec<u64>>());
        let json = written(Some(ActionFilter::Blocked), 1_100, Format::Ndjson);
        let items: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(items.len(), 1_100);
        assert_eq!((&items[0]["name"], &items[1_099]["seq"]), (&"-n2500.example".into(), &302.into()));
        let refused = store.append(Tenant::DEFAULT, Batch { source: "x".into(), dropped: 0, events: vec![] });
        assert!(matches!(refused, Err(StoreError::Closed)), "it only reads");
    }

    fn as_cell(text: &str) -> String {
        let mut line = String::new();
        cell(&mut line, text);
        line
    }

    #[test]
    fn no_cell_begins_with_what_a_spreadsheet_runs() {
        for (text, want) in [
            ("a.example", "a.example"),
            ("=1+1", "\"'=1+1\""),
            ("-x.example", "\"'-x.example\""),
            ("+1", "\"'+1\""),
            ("@sum(1)", "\"'@sum(1)\""),
            ("\tx", "\"'\tx\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("a,b", "\"a,b\""),
            ("a\r\n=b", "\"a\r\n=b\""),
            ("", ""),
        ] {
            assert_eq!(as_cell(text), want);
        }
    }
}
