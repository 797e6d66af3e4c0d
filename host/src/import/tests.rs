//! Small real files of each format, into a real store and out of it again.

use std::fs;
use std::path::PathBuf;

use dnsvet_core::snapshot::Builder;
use dnsvet_core::verdict::Action;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::dnstap::tests::{Frame, file as dnstap_file};
use super::*;
use crate::config::{ClientAddresses, Retention};
use crate::store::control::{ControlStore as _, Decision as Vetted, SqliteControl};
use crate::store::sqlite::SqliteStore;
use crate::store::{EventStore, Order, Search, Stored, Tenant};

/// A folder with a store.
struct Place {
    folder: TempDir,
    store: SqliteStore,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(&folder.path().join("events.db"), Retention::default(), ClientAddresses::Plain);
        Self { store: store.unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn import(&self, system: System, paths: &[PathBuf]) -> Report {
        self.try_import(system, paths).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_import(&self, system: System, paths: &[PathBuf]) -> Result<Report, ImportError> {
        let mut intake = Intake::new(Some((&self.store as &dyn EventStore, Tenant::DEFAULT)), 0, &|_| ());
        import(system, paths, &TimeZone::UTC, &mut intake)?;
        Ok(intake.report())
    }

    /// Every stored event, oldest first.
    fn events(&self) -> Vec<Stored> {
        let search = Search { limit: 1_000, ..Search::default() };
        let mut items = self.store.search(Tenant::DEFAULT, &search).unwrap().items;
        items.sort_by_key(|stored| (stored.event.time_ms, stored.event.seq));
        items
    }

    fn event(&self, name: &str) -> Event {
        let mut found = self.events().into_iter().filter(|stored| stored.event.name == name);
        let first = found.next().unwrap_or_else(|| panic!("no event of {name}"));
        assert!(found.next().is_none(), "several events of {name}");
        first.event
    }
}

fn said(event: &Event) -> &str {
    &event.verdict.trace[0].said
}

/// A line of AdGuard Home's log.
fn adguard_line(name: &str, qtype: &str, answer: &[u8], result: serde_json::Value) -> String {
    use base64::Engine as _;
    let answer = base64::engine::general_purpose::STANDARD.encode(answer);
    let line = json!({"T": "2026-11-25T18:55:56.519796+03:00", "QH": name, "QT": qtype, "QC": "IN", "CP": "doh",
        "Answer": answer, "IP": "10.0.0.7", "Result": result, "Elapsed": 837_429});
    format!("{line}\n")
}

/// A response with one A record, or none; `code` is its RCODE.
fn response(name: &str, code: u8, address: Option<[u8; 4]>) -> Vec<u8> {
    let mut wire = vec![0x12, 0x34, 0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0];
    wire.extend(Name::parse(name).unwrap().to_wire());
    wire.extend([0, 1, 0, 1]);
    if let Some(address) = address {
        wire.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        wire.extend(address);
    }
    wire
}

#[test]
fn adguards_lines_are_events_with_its_decisions() {
    let place = Place::new();
    let line =
        |name: &str, code, address, result| adguard_line(name, "A", &response(name, code, address), result);
    let rule =
        json!({"IsFiltered": true, "Reason": 3, "Rules": [{"FilterListID": 42, "Text": "||ads.example^"}]});
    let mut text = line("plain.example", 0, Some([192, 0, 2, 1]), json!({}));
    text += &line("ads.example", 0, Some([0, 0, 0, 0]), rule.clone());
    text += &line(
        "nx.ads.example",
        3,
        None,
        json!({"IsFiltered": true, "Reason": 3, "Rule": "||old.rule^", "FilterID": 1}),
    );
    text += &line("nodata.example", 0, None, json!({"IsFiltered": true, "Reason": 5}));
    text +=
        &line("refused.example", 5, None, json!({"IsFiltered": true, "Reason": 8, "ServiceName": "tiktok"}));
    text += &line(
        "allowed.example",
        0,
        Some([192, 0, 2, 1]),
        json!({"Reason": 1, "Rules": [{"Text": "@@||allowed.example^"}]}),
    );
    text += &line("safe.example", 0, Some([192, 0, 2, 1]), json!({"IsFiltered": true, "Reason": 7}));
    text += &line("newer.example", 0, Some([0, 0, 0, 0]), json!({"IsFiltered": true, "Reason": 77}));
    text += &adguard_line("odd.example", "TYPE65280", &[], json!({"IsFiltered": true, "Reason": 3}));
    let report = place.import(System::Adguard, &[place.write("querylog.json", &text)]);
    assert_eq!((report.events, report.stored, report.bad, report.blocked), (9, 9, 0, 7));

    let of = |name: &str| {
        let event = place.event(name);
        (event.action(), event.reason(), event.verdict.rule)
    };
    assert_eq!(of("plain.example"), (Action::Allow, None, None));
    let by = |rule: &str| Some(rule.to_owned());
    assert_eq!(of("ads.example"), (Action::Null, Some(Reason::List), by("||ads.example^")));
    assert_eq!(of("nx.ads.example"), (Action::Nxdomain, Some(Reason::List), by("||old.rule^")));
    assert_eq!(of("nodata.example"), (Action::Nodata, Some(Reason::List), None));
    assert_eq!(of("refused.example"), (Action::Refused, Some(Reason::Rule), None));
    assert_eq!(of("allowed.example"), (Action::Allow, Some(Reason::Allowlist), by("@@||allowed.example^")));
    assert_eq!(of("safe.example"), (Action::Custom, Some(Reason::Rule), None));
    assert_eq!(of("newer.example"), (Action::Null, Some(Reason::List), None));
    let event = place.event("refused.example");
    assert_eq!(
        said(&event),
        "imported from AdGuard Home: blocked service (reason 8), service tiktok, protocol doh"
    );
    assert_eq!((event.time_ms, event.took_us, event.qtype), (1_795_622_156_519, 837, 1));
    assert_eq!((event.client.as_str(), event.door.as_str()), ("10.0.0.7", "adguard"));
    assert_eq!(place.event("odd.example").qtype, 65_280);
}

#[test]
fn a_log_that_is_read_again_renamed_and_grown_adds_what_is_new_and_damaged_lines_are_told_with_their_place() {
    let place = Place::new();
    let line = |name: &str| adguard_line(name, "AAAA", &[], json!({}));
    let time = line("late.example").replace("2026-11-25T18:55", "12/09/1998T15:00");
    let damaged = [
        "{\"IP\":\n".to_owned(),
        line("a..b"),
        time,
        line("x.example").replace("10.0.0.7", "here"),
        line("x.example").replace("AAAA", "WHAT"),
        format!("{}\n", "x".repeat(300 << 10)),
    ];
    let text = line("one.example") + &damaged.concat() + "\n" + &line("two.example");
    let first = place.import(System::Adguard, &[place.write("querylog.json", &text)]);
    assert_eq!((first.events, first.stored, first.bad), (2, 2, 6));
    for (row, (line, why)) in first.bad_rows.iter().zip([
        (2, "EOF"),
        (3, "`a..b` is no name"),
        (4, "is no time"),
        (5, "`here` is no address"),
        (6, "`WHAT` is no record type"),
        (7, "longer than 262144 bytes"),
    ]) {
        assert!(row.contains(&format!("querylog.json: line {line}: ")) && row.contains(why), "{row}");
    }
    let again = place.import(System::Adguard, &[place.path("querylog.json")]);
    assert_eq!((again.stored, again.known), (0, 2));
    let grown = place.write("querylog.json.1", text + &line("three.example"));
    let report = place.import(System::Adguard, &[grown]);
    assert_eq!((report.stored, report.known), (1, 2));
    // Another log with another beginning is another history.
    let other = place.write("other.json", line("one.example").replace("10.0.0.7", "10.0.0.8"));
    assert_eq!(place.import(System::Adguard, &[other]).stored, 1);
    assert_eq!(place.events().len(), 4);
}

#[test]
fn what_would_be_imported_is_said_without_a_store_and_a_file_that_is_not_there_ends_it() {
    let place = Place::new();
    let path = place.write("querylog.json", adguard_line("one.example", "A", &[], json!({})).repeat(3));
    let done = std::cell::Cell::new(0);
    let progress = |bytes| done.set(bytes);
    let mut intake = Intake::new(None, 1_900_000_000_000, &progress);
    import(System::Adguard, &[path.clone(), path.clone()], &TimeZone::UTC, &mut intake).unwrap();
    let report = intake.report();
    assert_eq!((report.events, report.stored, report.known, report.old), (6, 0, 0, 6));
    assert_eq!(done.get(), length(System::Adguard, &[path.clone(), path.clone()]));
    let error = place.try_import(System::Adguard, &[path, place.path("nowhere")]).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert_eq!(place.events().len(), 3, "what came before is stored");
}

/// The database of FTL's first version, and of one of version 6.
const PIHOLE_1: &str = "
CREATE TABLE queries (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, type INTEGER NOT NULL,
  status INTEGER NOT NULL, domain TEXT NOT NULL, client TEXT NOT NULL, forward TEXT);
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL);
INSERT INTO ftl VALUES (0, 1), (1, 1606300000), (2, 1600000000);";
const PIHOLE_6: &str = "
CREATE TABLE query_storage (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, type INTEGER NOT NULL,
  status INTEGER NOT NULL, domain INTEGER NOT NULL, client INTEGER NOT NULL, forward INTEGER, additional_info INTEGER,
  reply_type INTEGER, reply_time REAL, dnssec INTEGER, list_id INTEGER, ede INTEGER);
CREATE TABLE domain_by_id (id INTEGER PRIMARY KEY, domain TEXT NOT NULL);
CREATE TABLE client_by_id (id INTEGER PRIMARY KEY, ip TEXT NOT NULL, name TEXT);
CREATE VIEW queries AS SELECT id, timestamp, type, status,
  CASE typeof(domain) WHEN 'integer' THEN (SELECT domain FROM domain_by_id d WHERE d.id = q.domain) ELSE domain END domain,
  CASE typeof(client) WHEN 'integer' THEN (SELECT ip FROM client_by_id c WHERE c.id = q.client) ELSE client END client,
  reply_type FROM query_storage q;
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL, description TEXT);
INSERT INTO ftl VALUES (0, 21, 'version'), (1, 1606300000, 'last'), (2, 1600000001, 'first');
INSERT INTO domain_by_id VALUES (1, 'ads.example'), (2, 'plain.example');
INSERT INTO client_by_id VALUES (1, '10.0.0.7', 'laptop'), (2, 'fd00::7', NULL);";

#[test]
fn piholes_first_database_is_read_with_every_status_and_type() {
    let place = Place::new();
    let path = place.path("pihole-FTL.db");
    let pihole = Connection::open(&path).unwrap();
    pihole.execute_batch(PIHOLE_1).unwrap();
    for status in 0..=19 {
        let sql = "INSERT INTO queries VALUES (NULL, 1606300000 + ?1, 1, ?1, 's' || ?1 || '.example', '10.0.0.7', NULL)";
        pihole.execute(sql, [status]).unwrap();
    }
    let types = [(2, 28), (6, 12), (16, 65), (14, 0), (166, 66), (65_635, 65_535)];
    for (number, _) in types {
        let sql = "INSERT INTO queries VALUES (NULL, 1606300100.5, ?1, 2, 't' || ?1 || '.example', 'fd00::7', NULL)";
        pihole.execute(sql, [number]).unwrap();
    }
    for bad in [
        "1606300200, 0, 2, 'x.example', '10.0.0.7'",
        "1606300200, 1, 2, 'a..b', '10.0.0.7'",
        "-1, 1, 2, 'x.example', '10.0.0.7'",
        "'now', 1, 2, 'x.example', '10.0.0.7'",
        "1606300200, 1, 2, 'x.example', 'laptop'",
    ] {
        pihole.execute_batch(&format!("INSERT INTO queries VALUES (NULL, {bad}, NULL)")).unwrap();
    }
    let report = place.import(System::Pihole, std::slice::from_ref(&path));
    assert_eq!((report.events, report.stored, report.bad), (26, 26, 5));
    assert!(report.bad_rows[0].contains("queries, id 27: `0` is no record type"), "{:?}", report.bad_rows);
    let blocked = [1, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 18];
    for status in 0..=19 {
        let event = place.event(&format!("s{status}.example"));
        assert_eq!(event.action().stops(), blocked.contains(&status), "{status}");
        assert_eq!(event.reason().is_some(), blocked.contains(&status), "{status}");
        assert_eq!(event.time_ms, (1_606_300_000 + status) * 1_000);
        assert!(
            said(&event).starts_with(&format!("imported from Pi-hole: status {status} (")),
            "{}",
            said(&event)
        );
    }
    assert_eq!(place.event("s1.example").reason(), Some(Reason::List));
    assert_eq!(place.event("s4.example").verdict.rule.as_deref(), Some("regex denylist"));
    assert_eq!(place.event("s16.example").action(), Action::Nxdomain);
    for (number, qtype) in types {
        let event = place.event(&format!("t{number}.example"));
        assert_eq!(
            (event.qtype, event.client.as_str(), event.time_ms),
            (qtype, "fd00::7", 1_606_300_100_500)
        );
    }
    let overview = place.store.overview(Tenant::DEFAULT, 0, 1_606_400_000_000).unwrap();
    assert_eq!((overview.queries, overview.blocked), (26, blocked.len() as u64), "roll-ups have them");
}

#[test]
fn a_pihole_that_forgot_old_queries_and_has_new_ones_adds_those_and_two_piholes_are_two_histories() {
    let place = Place::new();
    let path = place.path("pihole-FTL.db");
    let pihole = Connection::open(&path).unwrap();
    pihole.execute_batch(PIHOLE_6).unwrap();
    let ask = |domain: i64, status: i64| {
        let sql = "INSERT INTO query_storage (timestamp, type, status, domain, client) VALUES (1606300000, 1, ?1, ?2, 1)";
        pihole.execute(sql, [status, domain]).unwrap();
    };
    (0..10).for_each(|i| ask(1 + i % 2, 1 + i % 2));
    assert_eq!(place.import(System::Pihole, std::slice::from_ref(&path)).stored, 10);
    pihole.execute("DELETE FROM query_storage WHERE id <= 5", []).unwrap();
    (0..3).for_each(|_| ask(2, 2));
    let report = place.import(System::Pihole, std::slice::from_ref(&path));
    assert_eq!((report.stored, report.known), (3, 5));
    let other = place.path("other.db");
    fs::copy(&path, &other).unwrap();
    Connection::open(&other).unwrap().execute("UPDATE ftl SET value = 1700000000 WHERE id = 2", []).unwrap();
    assert_eq!(place.import(System::Pihole, &[other]).stored, 8);
    let error =
        place.try_import(System::Pihole, &[place.write("text.db", "no database at all, but long enough")]);
    assert!(error.unwrap_err().to_string().contains("text.db"));
}

#[test]
fn dnstaps_queries_and_responses_are_one_event_each_and_policies_are_verdicts() {
    let place = Place::new();
    let frames = [
        Frame::query("plain.example", 1, 0),
        Frame::query("lost.example", 2, 1),
        Frame::response("plain.example", 1, 25, 0, None),
        Frame::response("alone.example", 3, 30, 3, None),
        Frame::query("bad.example", 4, 40),
        Frame::query("bad.example", 4, 45),
        Frame::response("bad.example", 4, 50, 3, Some((1, 1))),
        Frame::response("ip.example", 5, 60, 0, Some((6, 3))),
        Frame::response("passed.example", 6, 70, 0, Some((3, 1))),
        Frame::between_servers(),
    ];
    let path = place.write("dns.tap", dnstap_file(&frames));
    let report = place.import(System::Dnstap, std::slice::from_ref(&path));
    assert_eq!((report.events, report.stored, report.bad, report.blocked), (6, 6, 0, 2), "{report:?}");
    assert_eq!(report.passed_over, [("queries sent again", 1), ("messages between servers", 1)]);
    let plain = place.event("plain.example");
    assert_eq!((plain.time_ms, plain.took_us, plain.seq), (1_795_000_000_000, 25_000, 3));
    assert_eq!((plain.client.as_str(), said(&plain)), ("10.0.0.7", "imported from dnstap: answered NOERROR"));
    assert_eq!(said(&place.event("alone.example")), "imported from dnstap: answered NXDOMAIN");
    assert_eq!(said(&place.event("lost.example")), "imported from dnstap: no response in the file");
    let bad = place.event("bad.example");
    assert_eq!((bad.action(), bad.reason()), (Action::Nxdomain, Some(Reason::List)));
    assert_eq!(bad.verdict.rule.as_deref(), Some("bad.rpz.example"));
    let ip = place.event("ip.example");
    assert_eq!((ip.action(), ip.reason()), (Action::Custom, Some(Reason::Response)));
    assert_eq!(place.event("passed.example").reason(), Some(Reason::Allowlist));
    let again = place.import(System::Dnstap, &[path]);
    assert_eq!((again.stored, again.known), (0, 6));
    let error = place.try_import(System::Dnstap, &[place.write("text", "no frames")]).unwrap_err();
    assert!(error.to_string().contains("START"), "{error}");
}

/// ML Bridge's documents: two names with their counts, and its lists.
fn documents(minutes: serde_json::Value, clients: serde_json::Value) -> Vec<serde_json::Value> {
    let document = |index: &str, source| json!({"_index": index, "_type": "_doc", "_id": "1", "_score": 1, "_source": source});
    vec![
        document(
            "example.com.",
            json!({"2020-07-01": minutes, "2020": {"7": {"1": 5}}, "count": clients, "status": "0.0123"}),
        ),
        document(
            "unsure.example.",
            json!({"2020-07-02": {"0": {"0": 1}}, "2020": {"7": {"2": 1}}, "count": {"10.0.0.9": 1}, "status": "0.7"}),
        ),
        document(
            "evil.example.",
            json!({"2020-07-02": {"23": {"59": 1}}, "count": {"10.0.0.9": 1}, "status": "0.99"}),
        ),
        document(
            "trap.example.",
            json!({"2020-07-02": {"23": {"59": 1}}, "count": {"10.0.0.9": 1}, "status": "0.2"}),
        ),
        document("not_vetted", json!({"unsure.example.": {"class": "Malicious", "acc": 70.0}})),
        document("benign_vet", json!({"fine.example.": {"class": "Benign", "acc": 60.0}})),
        document("honeypot", json!({"trap.example.": {"class": "Benign", "acc": 80.0}})),
        document("blacklist", json!({})),
        document("mal", json!({"evil.example.": {"count": 1, "status": 99.0}})),
        document("benign", json!({"example.com.": {"count": 5, "status": 98.77}})),
        document(".kibana_1", json!({"type": "config"})),
    ]
}

fn as_lines(documents: &[serde_json::Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

#[test]
fn ml_bridges_counts_are_events_at_their_minutes_and_by_their_clients() {
    let place = Place::new();
    let first =
        documents(json!({"13": {"5": 2, "7": 1}, "9": {"0": 2}}), json!({"10.0.0.7": 3, "10.0.0.8": 2}));
    let lines = place.write("dump.ndjson", as_lines(&first));
    let report = place.import(System::Mlbridge, std::slice::from_ref(&lines));
    assert_eq!((report.events, report.stored, report.bad), (8, 8, 0), "{report:?}");
    assert_eq!(
        report.passed_over,
        [("documents of other indices", 1), ("names in lists without a history in these files", 1)]
    );
    let events: Vec<Event> = place.events().into_iter().map(|stored| stored.event).collect();
    let of = |name: &str| events.iter().filter(|event| event.name == name).collect::<Vec<_>>();
    let example = of("example.com");
    let minutes: Vec<u64> = example.iter().map(|event| event.time_ms / 60_000).collect();
    let day = 1_593_561_600_000 / 60_000;
    assert_eq!(minutes, [9 * 60, 9 * 60, 13 * 60 + 5, 13 * 60 + 5, 13 * 60 + 7].map(|minute| day + minute));
    let clients = |ip: &str| example.iter().filter(|event| event.client == ip).count();
    assert_eq!((clients("10.0.0.7"), clients("10.0.0.8")), (3, 2));
    assert_eq!(
        (example[0].action(), example[0].reason(), example[0].verdict.score),
        (Action::Allow, Some(Reason::Model), Some(0.0123))
    );
    assert!(said(example[0]).contains("which of its clients asked when is not known"));
    let unsure = of("unsure.example")[0];
    assert!(
        unsure.not_confident
            && unsure.reason() == Some(Reason::NotConfident)
            && unsure.action() == Action::Allow
    );
    let evil = of("evil.example")[0];
    assert_eq!((evil.action(), evil.reason()), (Action::Null, Some(Reason::Model)));
    let trap = of("trap.example")[0];
    assert_eq!((trap.action(), trap.reason()), (Action::Honeypot, Some(Reason::Vetted)));
    let order = Order { limit: 10, threshold: 0.9, now_ms: 1_795_000_000_000 };
    let pending = place.store.pending(Tenant::DEFAULT, order, &|_| false).unwrap();
    assert_eq!(pending.iter().map(|pending| pending.name.as_str()).collect::<Vec<_>>(), ["unsure.example"]);

    // The same as an answer of `_search`, over many lines.
    let answer = json!({"took": 1, "hits": {"total": {"value": 11}, "hits": first}});
    let whole = place.write("search.json", serde_json::to_string_pretty(&answer).unwrap());
    let again = place.import(System::Mlbridge, &[whole]);
    assert_eq!((again.stored, again.known, again.bad), (0, 8, 0));
    // Exported again later, with more questions.
    let later =
        documents(json!({"13": {"5": 2, "7": 3}, "9": {"0": 2}}), json!({"10.0.0.7": 5, "10.0.0.8": 2}));
    let report = place.import(System::Mlbridge, &[place.write("later.ndjson", as_lines(&later))]);
    assert_eq!((report.stored, report.known), (2, 8));
}

#[test]
fn ml_bridges_damaged_documents_are_told_and_times_are_of_the_zone() {
    let place = Place::new();
    let document = |index: &str, source| json!({"_index": index, "_source": source});
    let good = |key: &str, value| json!({key: value, "count": {"10.0.0.7": 1}, "status": 0.01});
    let hour = json!({"13": {"5": 1}});
    let mut text = as_lines(&[
        document("fine.example.", good("2020-07-01", hour.clone())),
        document("when.example.", good("2020-13-01", hour.clone())),
        document("hour.example.", good("2020-07-01", json!({"24": {"5": 1}}))),
        document("many.example.", good("2020-07-01", json!({"1": {"5": 10_000_000}}))),
        document("score.example.", json!({"count": {}, "status": "high"})),
        document("a..b", good("2020-07-01", hour)),
        json!({"index": "x"}),
    ]);
    text += "{\"_index\":\n";
    let path = place.write("dump.ndjson", text);
    let mut intake = Intake::new(Some((&place.store as &dyn EventStore, Tenant::DEFAULT)), 0, &|_| ());
    import(System::Mlbridge, &[path], &TimeZone::get("Europe/Berlin").unwrap(), &mut intake).unwrap();
    let report = intake.report();
    assert_eq!((report.stored, report.bad), (1, 7), "{report:?}");
    assert!(
        report.bad_rows.iter().any(|row| row.contains("line 2, when.example.: `2020-13-01` is no time")),
        "{report:?}"
    );
    let at = place.event("fine.example").time_ms;
    assert_eq!(at, 1_593_561_600_000 + (11 * 60 + 5) * 60_000, "13:05 in Berlin is 11:05 UTC in July");
}

#[test]
fn vetted_names_are_put_in_force_once_by_the_named_author_and_decisions_here_stay() {
    let place = Place::new();
    let path = place.write("dump.ndjson", as_lines(&documents(json!({}), json!({}))));
    let report = place.import(System::Mlbridge, &[path]);
    let offered: Vec<_> =
        report.decisions.iter().map(|offered| (offered.name.as_str(), offered.decision)).collect();
    assert_eq!(offered, [("fine.example", Vetted::Benign), ("trap.example", Vetted::Honeypot)]);
    let snapshot = Builder::new(1, [7; 16]).build(None).unwrap();
    let snapshot = dnsvet_core::snapshot::Snapshot::open(snapshot.into(), &[]).unwrap();
    let write =
        |author| decisions::write(place.folder.path(), &report.decisions, author, &snapshot, 5_000).unwrap();
    assert_eq!(write("ana"), decisions::Written { in_force: 4, proposed: 0, kept: 0 });
    assert_eq!(write("bea"), decisions::Written { in_force: 0, proposed: 0, kept: 4 });
    let state = SqliteControl::open(&place.path("control.db")).unwrap();
    let rows = state.vetted(Tenant::DEFAULT).unwrap();
    let row = rows.iter().find(|row| row.name == "www.trap.example").unwrap();
    assert_eq!((row.decision, row.author.as_str(), row.time_ms), (Vetted::Honeypot, "ana", 5_000));
    assert!(rows.iter().all(|row| row.author == "ana"));
}

#[test]
fn a_server_that_removes_old_verdicts_meanwhile_leaves_no_event_without_its_own() {
    let place = Place::new();
    let line = |client: &str| adguard_line("one.example", "A", &[], json!({})).replace("10.0.0.7", client);
    place.import(System::Adguard, &[place.write("a.json", line("10.0.0.7"))]);
    // As the sweep of a server in another process does.
    let server = Connection::open(place.path("events.db")).unwrap();
    server.execute_batch("DELETE FROM events; DELETE FROM verdicts; DELETE FROM texts").unwrap();
    drop(server);
    place.import(System::Adguard, &[place.write("b.json", line("10.0.0.8"))]);
    assert_eq!(place.event("one.example").client, "10.0.0.8");
}
