//! Histories of other systems, as events of this one: `dnsvet events import`.
//!
//! ```text
//! file ─► reader of its format ─► event, or why not ─► Intake ─► batches ─► event store
//!         adguard, dnstap, mlbridge, pihole              └─► counts, the first bad rows
//! ```
//!
//! Times, names, types and clients are those of the file. A verdict is what the other system decided, put into our words:
//! action and reason say what kind of decision it was, one line of the trace what the other system called it.
//!
//! The surprise is how a second import finds what is there: an event's source names the file by what it begins with, not by
//! its path, and its number is its place in the file. So a log that was moved, renamed or has grown adds only what is new.

pub mod adguard;
pub mod decisions;
pub mod dnstap;
mod intake;
mod lines;
pub mod mlbridge;
pub mod pihole;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use dnsvet_core::event::Event;
use dnsvet_core::name::{Name, NameError};
use dnsvet_core::verdict::{Action, Own, Reason, Step, TraceLine, Verdict};
use jiff::tz::TimeZone;

use crate::presentation;
use crate::store::StoreError;

pub use intake::{Intake, Offered, Report};

/// Latest time of an event, milliseconds since 1970, exclusive: what the store takes from filters too.
const MOST_MS: u64 = 1 << 52;

/// Whose history it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// ML Bridge of 2020: documents of its Elasticsearch.
    Mlbridge,
    /// Pi-hole: `pihole-FTL.db`.
    Pihole,
    /// AdGuard Home: `querylog.json`.
    Adguard,
    /// dnstap in Frame Streams, as BIND, Unbound, Knot, PowerDNS and CoreDNS write it.
    Dnstap,
}

impl System {
    /// The word in sources and as the door of events.
    pub fn as_str(self) -> &'static str {
        match self {
            System::Mlbridge => "mlbridge",
            System::Pihole => "pihole",
            System::Adguard => "adguard",
            System::Dnstap => "dnstap",
        }
    }

    /// The name that people know.
    pub fn name(self) -> &'static str {
        match self {
            System::Mlbridge => "ML Bridge",
            System::Pihole => "Pi-hole",
            System::Adguard => "AdGuard Home",
            System::Dnstap => "dnstap",
        }
    }
}

/// Why an import ends.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file can't be read.
    #[error("{}: {source}; check the path and that you may read it", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not of the format.
    #[error("{}: {why}; is it {expected}?", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A database can't be read.
    #[error("{}: {source}; is it Pi-hole's pihole-FTL.db? (copy it with sqlite3's .backup while Pi-hole runs)", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why one row of a file is no event; it is passed over and counted.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Not JSON, or not of the form.
    #[error("{0}")]
    Json(serde_json::Error),
    /// Too long for anything that belongs there.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// No such name can exist.
    #[error("`{name}` is no name: {why}")]
    Name {
        /// As it stands there.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// No client's address.
    #[error("`{0}` is no address")]
    Address(String),
    /// No time, or none that an event can have.
    #[error("`{0}` is no time of an event")]
    Time(String),
    /// No record type.
    #[error("`{0}` is no record type")]
    Type(String),
    /// No number that an event can have.
    #[error("`{0}` is no number of a row")]
    Number(i64),
    /// A field has another type than it should.
    #[error("column {0}: {1}")]
    Column(&'static str, rusqlite::Error),
    /// A record that breaks off or contradicts itself.
    #[error("{0}")]
    Damaged(&'static str),
    /// No score.
    #[error("`{0}` is no probability from 0 to 1")]
    Score(String),
}

/// Reads files of a system, in the order given. `zone` is that of times without one: ML Bridge wrote local time.
///
/// # Errors
/// The first file that can't be read, or is of another format; what came before it is stored.
pub fn import(
    system: System,
    paths: &[PathBuf],
    zone: &TimeZone,
    intake: &mut Intake,
) -> Result<(), ImportError> {
    match system {
        System::Mlbridge => mlbridge::read(paths, zone, intake)?,
        System::Pihole => each(paths, intake, pihole::read)?,
        System::Adguard => each(paths, intake, adguard::read)?,
        System::Dnstap => each(paths, intake, dnstap::read)?,
    }
    intake.flush()
}

fn each(
    paths: &[PathBuf],
    intake: &mut Intake,
    read: fn(&Path, &mut Intake) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    for path in paths {
        let done = read(path, intake);
        intake.end_of_file();
        if done.is_err() {
            // What came before it is stored.
            intake.flush()?;
            return done;
        }
    }
    Ok(())
}

/// What there is to read, for who waits: bytes, or rows of Pi-hole's database. 0 where that is not known.
pub fn length(system: System, paths: &[PathBuf]) -> u64 {
    let one = |path: &PathBuf| match system {
        System::Pihole => pihole::rows(path),
        _ => std::fs::metadata(path).ok().map(|file| file.len()),
    };
    paths.iter().filter_map(one).sum()
}

/// What the other system decided, in our words.
#[derive(Debug, Clone, PartialEq)]
struct Decision {
    action: Action,
    reason: Option<Reason>,
    /// The list or rule that decided, as the other system names it.
    rule: Option<String>,
    /// What the other system says: `status 1 (gravity)`.
    said: String,
    /// Probability of malicious, [0, 1].
    score: Option<f64>,
}

impl Decision {
    fn new(action: Action, reason: impl Into<Option<Reason>>, said: impl Into<String>) -> Self {
        Self { action, reason: reason.into(), rule: None, said: said.into(), score: None }
    }
}

/// A question of another system.
#[derive(Debug, Clone)]
struct Asked {
    /// Place in its file, from 1.
    seq: u64,
    time_ms: u64,
    client: IpAddr,
    name: Name,
    qtype: u16,
    took_us: u64,
}

/// The event of a question and its decision.
fn event(system: System, asked: Asked, decision: Decision) -> Event {
    let Decision { action, reason, rule, said, score } = decision;
    let line = TraceLine {
        step: step(reason),
        said: format!("imported from {}: {said}", system.name()).into(),
        decided: true,
        score,
    };
    let verdict = Verdict {
        action,
        would: None,
        reasons: reason.into_iter().collect(),
        rule,
        score,
        model: None,
        group: String::new(),
        snapshot: String::new(),
        ttl_s: 0,
        trace: vec![line],
        own: Own::default(),
    };
    Event {
        seq: asked.seq,
        time_ms: asked.time_ms,
        client: asked.client.to_canonical().to_string(),
        name: asked.name.as_str().to_owned(),
        qtype: asked.qtype,
        door: system.as_str().to_owned(),
        not_confident: reason == Some(Reason::NotConfident),
        verdict,
        took_us: asked.took_us,
    }
}

/// The step of our cascade at which such a decision falls.
fn step(reason: Option<Reason>) -> Step {
    match reason {
        None => Step::Decode,
        Some(Reason::Special) => Step::Special,
        Some(Reason::Vetted) => Step::Vetted,
        Some(Reason::Model) => Step::Model,
        Some(Reason::NotConfident) => Step::Confidence,
        Some(Reason::Response) => Step::Response,
        Some(_) => Step::Lists,
    }
}

fn name(text: &str) -> Result<Name, RowError> {
    match text {
        "" | "." => Ok(Name::root()),
        _ => presentation::name(text).map_err(|why| RowError::Name { name: shown(text), why }),
    }
}

fn address(text: &str) -> Result<IpAddr, RowError> {
    text.parse().map_err(|_| RowError::Address(shown(text)))
}

/// As much of a text as an error may carry.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Names a file's history by what the file begins with: 16 hex digits.
fn fingerprint(first: &[u8]) -> String {
    blake3::hash(first).to_hex().chars().take(16).collect()
}

fn file(path: &Path) -> impl Fn(std::io::Error) -> ImportError {
    let path = path.to_owned();
    move |source| ImportError::File { path: path.clone(), source }
}
