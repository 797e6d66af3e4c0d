//! ML Bridge's Elasticsearch of 2020, as elasticdump writes it (a document a line) or as `_search` answers.
//!
//! After what its middleware stores: one document in each index. An index with a name's name holds its questions,
//! `{"2020-07-01": {"13": {"5": 2}}, "2020": {"7": {"1": 2}}, "count": {"10.0.0.7": 2}, "status": "0.98"}`: by date, hour and
//! minute, by day, by client, and the model's score. `not_vetted`, `benign_vet`, `honeypot` and `blacklist` hold names with
//! `class` and `acc`, `mal` and `benign` names with `count` and `status`.
//!
//! The surprise: which client asked in which minute was never stored, so clients are shared out among the minutes in order:
//! counts by time are right, counts by client are right, the pairs are not known, and the trace says so. Times are local
//! ones without a zone. `www.` was taken off before anything was stored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use dnsvet_core::message::rtype;
use dnsvet_core::verdict::{Action, Reason};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::lines::Lines;
use super::{Asked, Decision, ImportError, Intake, RowError, System, address, event, file, name, shown};
use crate::store::control::Decision as Vetted;

/// The longest line, bytes: Elasticsearch's own bound for a document.
const MOST_LINE: usize = 100 << 20;
/// Questions of one minute; more are a damaged count.
const MOST_A_MINUTE: u64 = 1_000_000;
/// What the old system asked of a model before it believed it.
const CONFIDENT: f64 = 0.9;

/// What people decided, and what each of their lists is called.
const LISTS: [(&str, Vetted); 3] =
    [("blacklist", Vetted::Malicious), ("honeypot", Vetted::Honeypot), ("benign_vet", Vetted::Benign)];
/// Lists that hold no decisions.
const COUNTS: [&str; 3] = ["not_vetted", "mal", "benign"];

/// A document and where it stood.
struct Document {
    path: PathBuf,
    place: String,
    index: String,
    source: Map<String, Value>,
}

/// Reads files together: the lists in any of them say what became of the names in all.
pub(super) fn read(paths: &[PathBuf], zone: &TimeZone, intake: &mut Intake) -> Result<(), ImportError> {
    let mut documents = Vec::new();
    for path in paths {
        load(path, &mut documents, intake)?;
        intake.end_of_file();
    }
    let is_list = |index: &str| LISTS.iter().any(|(list, _)| *list == index) || COUNTS.contains(&index);
    let (lists, names): (Vec<_>, Vec<_>) =
        documents.into_iter().partition(|document| is_list(&document.index));
    let vetted = decisions(&lists, intake);
    let mut listed = listed(&lists);
    for document in names {
        listed.remove(&bare(&document.index));
        if !is_history(&document.source) {
            intake.pass_over("documents of other indices", 1);
        } else if let Err(why) = history(&document, &vetted, zone, intake)? {
            intake.bad(&document.path, format_args!("{}, {}", document.place, shown(&document.index)), &why);
        }
    }
    if !listed.is_empty() {
        intake.pass_over("names in lists without a history in these files", listed.len() as u64);
    }
    Ok(())
}

/// Reads the documents of a file, line by line; a file that is one JSON text over many lines, whole.
fn load(path: &Path, documents: &mut Vec<Document>, intake: &mut Intake) -> Result<(), ImportError> {
    let mut lines = Lines::open(path, MOST_LINE)?;
    while let Some((number, line)) = lines.next()? {
        let parsed = line.and_then(|line| serde_json::from_slice::<Value>(line).map_err(RowError::Json));
        match parsed {
            Ok(value) => documents_of(value, path, &format!("line {number}"), documents, intake),
            Err(RowError::Json(why)) if number == 1 && why.is_eof() => {
                let text = std::fs::read(path).map_err(file(path))?;
                let value = serde_json::from_slice(&text).map_err(|why| ImportError::Format {
                    path: path.to_owned(),
                    why: why.to_string(),
                    expected: "what elasticdump writes, or an answer of _search",
                })?;
                documents_of(value, path, "hits", documents, intake);
                return Ok(());
            }
            Err(why) => intake.bad(path, format_args!("line {number}"), &why),
        }
        intake.progress(lines.bytes());
    }
    Ok(())
}

/// The documents in a hit, in an answer of `_search`, or in an array of either.
fn documents_of(value: Value, path: &Path, place: &str, documents: &mut Vec<Document>, intake: &mut Intake) {
    let mut value = value;
    if let Value::Array(all) = &mut value {
        for (at, one) in std::mem::take(all).into_iter().enumerate() {
            documents_of(one, path, &format!("{place}, item {}", at + 1), documents, intake);
        }
        return;
    }
    if value["hits"]["hits"].is_array() {
        return documents_of(value["hits"]["hits"].take(), path, place, documents, intake);
    }
    let parts = match value {
        Value::Object(mut hit) => (hit.remove("_index"), hit.remove("_source")),
        _ => (None, None),
    };
    match parts {
        (Some(Value::String(index)), Some(Value::Object(source))) => {
            documents.push(Document { path: path.to_owned(), place: place.to_owned(), index, source });
        }
        _ => intake.bad(
            path,
            format_args!("{place}"),
            &RowError::Damaged("no document with _index and _source"),
        ),
    }
}

/// What people decided, by name; the list that is stricter counts.
fn decisions(lists: &[Document], intake: &mut Intake) -> HashMap<String, Vetted> {
    let mut vetted = BTreeMap::new();
    for (list, decision) in LISTS {
        for document in lists.iter().filter(|document| document.index == list) {
            for text in document.source.keys() {
                match name(text) {
                    Ok(name) => {
                        vetted.entry(name.as_str().to_owned()).or_insert(decision);
                    }
                    Err(why) => {
                        intake.bad(&document.path, format_args!("{}, {list}", document.place), &why);
                    }
                }
            }
        }
    }
    vetted.iter().for_each(|(name, decision)| intake.offer(name.clone(), *decision));
    vetted.into_iter().collect()
}

/// Every name that a list holds.
fn listed(lists: &[Document]) -> HashSet<String> {
    lists.iter().flat_map(|document| document.source.keys()).map(|text| bare(text)).collect()
}

fn bare(text: &str) -> String {
    text.strip_suffix('.').unwrap_or(text).to_lowercase()
}

fn is_history(source: &Map<String, Value>) -> bool {
    source.get("count").is_some_and(Value::is_object) && source.contains_key("status")
}

/// Takes the questions for one name.
fn history(
    document: &Document,
    vetted: &HashMap<String, Vetted>,
    zone: &TimeZone,
    intake: &mut Intake,
) -> Result<Result<(), RowError>, ImportError> {
    let (name, score) = match (name(&document.index), score(&document.source)) {
        (Ok(name), Ok(score)) => (name, score),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
    };
    let minutes = match minutes(&document.source, zone) {
        Ok(minutes) => minutes,
        Err(why) => return Ok(Err(why)),
    };
    let (mut clients, several) = clients(document, intake);
    let decision = decision(score, vetted.get(name.as_str()).copied(), several);
    let source = format!("import/mlbridge/{name}");
    let mut seq = 0;
    for (minute_ms, count) in minutes {
        for place in 0..count {
            seq += 1;
            let asked = Asked {
                seq,
                // Apart, so that they keep their order; the old system knew no seconds.
                time_ms: minute_ms + place.min(59_999),
                client: next_client(&mut clients),
                name: name.clone(),
                qtype: rtype::A,
                took_us: 0,
            };
            intake.take(&source, event(System::Mlbridge, asked, decision.clone()))?;
        }
    }
    Ok(Ok(()))
}

/// The model's score: a decimal, in a text as the middleware stores it.
fn score(source: &Map<String, Value>) -> Result<f64, RowError> {
    let status = source.get("status").unwrap_or(&Value::Null);
    let score = status.as_f64().or_else(|| status.as_str()?.parse().ok());
    score
        .filter(|score| (0.0..=1.0).contains(score))
        .ok_or_else(|| RowError::Score(shown(&status.to_string())))
}

/// Questions by minute (milliseconds since 1970), oldest first.
fn minutes(source: &Map<String, Value>, zone: &TimeZone) -> Result<BTreeMap<u64, u64>, RowError> {
    let mut minutes = BTreeMap::new();
    // `2020-07-01`; years, `count` and `status` are no dates.
    for (date, hours) in source.iter().filter(|(key, _)| key.len() == 10 && key.contains('-')) {
        let bad = || RowError::Time(shown(date));
        let day: Date = date.parse().map_err(|_| bad())?;
        for (hour, of_hour) in hours.as_object().ok_or_else(bad)? {
            for (minute, count) in of_hour.as_object().ok_or_else(bad)? {
                let bad = || RowError::Time(shown(&format!("{date} {hour}:{minute}")));
                let numbers = hour.parse().ok().zip(minute.parse().ok());
                let time = numbers.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
                let at = day.to_datetime(time.ok_or_else(bad)?).to_zoned(zone.clone()).map_err(|_| bad())?;
                let ms = u64::try_from(at.timestamp().as_millisecond()).map_err(|_| bad())?;
                let count = count.as_u64().filter(|count| *count <= MOST_A_MINUTE);
                let count = count.ok_or(RowError::Damaged("a count that is no number up to a million"))?;
                // Where a clock was put back, two minutes of the day are one.
                *minutes.entry(ms).or_default() += count;
            }
        }
    }
    Ok(minutes)
}

/// Clients with their counts, last first, and whether there are several.
fn clients(document: &Document, intake: &mut Intake) -> (Vec<(IpAddr, u64)>, bool) {
    let mut clients = Vec::new();
    for (text, count) in document.source.get("count").and_then(Value::as_object).into_iter().flatten().rev() {
        match (address(text), count.as_u64()) {
            (Ok(ip), Some(count)) => clients.push((ip, count)),
            (Err(why), _) => intake.bad(&document.path, format_args!("{}, count", document.place), &why),
            (_, None) => {
                let why = RowError::Damaged("a client's count that is no number");
                intake.bad(&document.path, format_args!("{}, count", document.place), &why);
            }
        }
    }
    let several = clients.len() > 1;
    (clients, several)
}

/// Whose question the next one is; `0.0.0.0` where the counts know nobody more.
fn next_client(clients: &mut Vec<(IpAddr, u64)>) -> IpAddr {
    while let Some((ip, left)) = clients.last_mut() {
        if *left > 0 {
            *left -= 1;
            return *ip;
        }
        clients.pop();
    }
    Ipv4Addr::UNSPECIFIED.into()
}

/// What the old system did with a name: its lists first, then its model if that was confident.
fn decision(score: f64, vetted: Option<Vetted>, several: bool) -> Decision {
    let confident = score.max(1.0 - score) >= CONFIDENT;
    let (action, reason, list) = match vetted {
        Some(Vetted::Malicious) => (Action::Null, Reason::Vetted, Some("blacklist")),
        Some(Vetted::Honeypot) => (Action::Honeypot, Reason::Vetted, Some("honeypot")),
        Some(Vetted::Benign) => (Action::Allow, Reason::Vetted, Some("benign_vet")),
        _ if !confident => (Action::Allow, Reason::NotConfident, None),
        _ if score >= 0.5 => (Action::Null, Reason::Model, None),
        _ => (Action::Allow, Reason::Model, None),
    };
    let mut said = match list {
        Some(list) => format!("in {list} when it was exported, model {score}"),
        None if confident => format!("model {score}"),
        None => format!("model {score}, not confident"),
    };
    if several {
        said.push_str("; which of its clients asked when is not known");
    }
    let rule = list.map(str::to_owned);
    Decision { rule, score: Some(score), ..Decision::new(action, reason, said) }
}
