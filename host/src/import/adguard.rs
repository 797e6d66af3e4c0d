//! AdGuard Home's `querylog.json`: one JSON object a line.
//!
//! After `internal/querylog/entry.go` (the fields: `T` time, `QH` name, `QT` type, `IP` client, `Answer` a DNS message in
//! base64, `Result`, `Elapsed` nanoseconds) and `internal/filtering` (`Result.Reason`, a number) of AdGuard Home.
//! The surprise: what was answered to a blocked name is in the answer alone, so that is decoded; a reason without an answer
//! is taken for AdGuard Home's default, `0.0.0.0`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dnsvet_core::message::{Answer, Data, decode_answer, rcode};
use dnsvet_core::verdict::{Action, Reason};
use hickory_proto::rr::RecordType;
use jiff::Timestamp;
use serde::Deserialize;

use super::lines::Lines;
use super::{
    Asked, Decision, ImportError, Intake, RowError, System, address, event, fingerprint, name, shown,
};

/// The longest line, bytes: an answer of 64 KiB in base64, twice, and what is around it.
const MOST_LINE: usize = 256 << 10;

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "T")]
    time: String,
    #[serde(rename = "QH")]
    name: String,
    #[serde(rename = "QT")]
    qtype: String,
    #[serde(rename = "QC", default)]
    qclass: String,
    #[serde(rename = "CP", default)]
    protocol: String,
    #[serde(rename = "IP")]
    client: String,
    #[serde(rename = "Answer", default)]
    answer: Option<String>,
    #[serde(rename = "Result", default)]
    result: Filtering,
    #[serde(rename = "Elapsed", default)]
    elapsed_ns: i64,
}

/// `Result`. Older versions have one rule in `Rule`, newer ones a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filtering {
    is_filtered: bool,
    reason: i64,
    rule: String,
    rules: Vec<Rule>,
    service_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rule {
    text: String,
}

/// Reads a log. The first line names the source, the line the number.
pub(super) fn read(path: &Path, intake: &mut Intake) -> Result<(), ImportError> {
    let mut lines = Lines::open(path, MOST_LINE)?;
    let mut source = None;
    loop {
        let Some((number, line)) = lines.next()? else { break };
        let read = line.and_then(|line| {
            source.get_or_insert_with(|| format!("import/adguard/{}", fingerprint(line)));
            parse(number, line)
        });
        match (read, &source) {
            (Ok(Some((asked, decision))), Some(source)) => {
                intake.take(source, event(System::Adguard, asked, decision))?;
            }
            (Ok(_), _) => intake.pass_over("questions of another class than IN", 1),
            (Err(why), _) => intake.bad(path, format_args!("line {number}"), &why),
        }
        intake.progress(lines.bytes());
    }
    Ok(())
}

fn parse(seq: u64, line: &[u8]) -> Result<Option<(Asked, Decision)>, RowError> {
    let entry: Entry = serde_json::from_slice(line).map_err(RowError::Json)?;
    if !matches!(entry.qclass.as_str(), "" | "IN") {
        return Ok(None);
    }
    let time: Result<Timestamp, _> = entry.time.parse();
    let time_ms = time.ok().and_then(|time| u64::try_from(time.as_millisecond()).ok());
    let time_ms = time_ms.filter(|ms| *ms < super::MOST_MS);
    let asked = Asked {
        seq,
        time_ms: time_ms.ok_or_else(|| RowError::Time(shown(&entry.time)))?,
        client: address(&entry.client)?,
        name: name(&entry.name)?,
        qtype: record_type(&entry.qtype)?,
        took_us: u64::try_from(entry.elapsed_ns).unwrap_or(0) / 1_000,
    };
    Ok(Some((asked, decision(&entry))))
}

/// `AAAA`, or `TYPE65` for types without a name.
fn record_type(text: &str) -> Result<u16, RowError> {
    let number = text.strip_prefix("TYPE").and_then(|number| number.parse().ok());
    let named = || text.parse::<RecordType>().ok().map(u16::from);
    number.or_else(named).ok_or_else(|| RowError::Type(shown(text)))
}

/// The reasons in the order of AdGuard Home's numbers.
const REASONS: [&str; 12] = [
    "not filtered",
    "allowed by a filter",
    "filtering failed",
    "blocked by a filter",
    "blocked by safe browsing",
    "blocked by parental control",
    "blocked as invalid",
    "safe search",
    "blocked service",
    "rewritten",
    "rewritten by the hosts file",
    "rewritten by a rule",
];

fn decision(entry: &Entry) -> Decision {
    let Filtering { is_filtered, reason, rule, rules, service_name } = &entry.result;
    let what = usize::try_from(*reason).ok().and_then(|reason| REASONS.get(reason));
    let (action, why) = match reason {
        0 => (Action::Allow, None),
        1 => (Action::Allow, Some(Reason::Allowlist)),
        2 => (Action::Allow, Some(Reason::Failure)),
        3..=5 => (answered(entry), Some(Reason::List)),
        6 | 8 => (answered(entry), Some(Reason::Rule)),
        7 | 9..=11 => (Action::Custom, Some(Reason::Rule)),
        _ if *is_filtered => (answered(entry), Some(Reason::List)),
        _ => (Action::Allow, None),
    };
    let mut said = format!("{} (reason {reason})", what.unwrap_or(&"a reason of a newer version"));
    for (label, text) in [("service", service_name), ("protocol", &entry.protocol)] {
        if !text.is_empty() {
            said.push_str(&format!(", {label} {}", shown(text)));
        }
    }
    let first = rules.iter().map(|rule| &rule.text).chain([rule]).find(|text| !text.is_empty());
    Decision { rule: first.map(|text| shown(text)), ..Decision::new(action, why, said) }
}

/// How a blocked name was answered.
fn answered(entry: &Entry) -> Action {
    let message = entry.answer.as_ref().and_then(|text| STANDARD.decode(text).ok());
    message.and_then(|wire| decode_answer(&wire).ok()).map_or(Action::Null, |answer| action_of(&answer))
}

/// What an answer that policy made is called here.
fn action_of(answer: &Answer) -> Action {
    let addresses = answer.records.iter().filter_map(|record| match &record.data {
        Data::Address(ip) => Some(ip),
        _ => None,
    });
    match answer.rcode {
        code if code == rcode::NXDOMAIN => Action::Nxdomain,
        code if code == rcode::REFUSED => Action::Refused,
        _ if answer.records.is_empty() => Action::Nodata,
        _ if addresses.into_iter().any(|ip| ip.is_unspecified()) => Action::Null,
        _ => Action::Custom,
    }
}
