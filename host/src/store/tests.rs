//! What holds of the SQLite store alone; what holds of every store is in `conformance`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use dnsvet_core::event::{Batch, Event};
use dnsvet_core::verdict::{Action, Reason, Step, TraceLine, Verdict};

use super::sqlite::SqliteStore;
use super::*;
use crate::config::{ClientAddresses, Retention};

pub(super) const T: Tenant = Tenant::DEFAULT;
pub(super) const NOON_MS: u64 = 1_795_348_800_000;

pub(super) fn open(folder: &Path) -> SqliteStore {
    open_keeping(folder, Retention::default())
}

fn open_keeping(folder: &Path, retention: Retention) -> SqliteStore {
    SqliteStore::open(&folder.join("events.db"), retention, ClientAddresses::Truncate).unwrap()
}

pub(crate) fn event(seq: u64, name: &str, client: &str, action: Action, reason: Reason) -> Event {
    let line =
        |step, said: String, score| TraceLine { step, said: said.into(), decided: action.stops(), score };
    let score = (seq % 1000) as f64 / 1000.0;
    let verdict = Verdict {
        action,
        would: None,
        reasons: vec![reason],
        rule: action.stops().then(|| "kadhosts".into()),
        score: Some(score),
        model: Some("small@1a2b3c4d".into()),
        group: "default".into(),
        snapshot: "0011223344556677".into(),
        ttl_s: 60,
        own: Default::default(),
        trace: vec![
            line(Step::Group, format!("client {client} is in group default"), None),
            line(Step::Lists, format!("{name} listed by kadhosts, line {seq}"), None),
            line(Step::Model, format!("small gives {score:.5}, block above 0.98"), Some(score)),
        ],
    };
    Event {
        seq,
        time_ms: NOON_MS + seq,
        client: client.into(),
        name: name.into(),
        qtype: 1,
        door: "udp".into(),
        verdict,
        not_confident: reason == Reason::NotConfident,
        took_us: 12,
    }
}

pub(super) fn batch(events: Vec<Event>) -> Batch {
    Batch { source: "node/1/2".into(), dropped: 0, events }
}

pub(super) fn append(store: &dyn EventStore, tenant: Tenant, batch: Batch) -> Appended {
    store.append(tenant, batch).unwrap().blocking_recv().unwrap().unwrap()
}

pub(super) fn names(page: &Page) -> Vec<&str> {
    page.items.iter().map(|stored| stored.event.name.as_str()).collect()
}

pub(super) fn by_name(text: &str) -> Search {
    Search { name: Some(text.into()), limit: 100, ..Search::default() }
}

#[test]
fn an_event_outlives_the_roll_ups_where_raw_events_are_kept_longer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (now, day) = (now_ms(), 86_400_000);
    let at = |seq, name: &str, days: u64| Event {
        time_ms: now - days * day,
        ..event(seq, name, "10.0.0.1", Action::Allow, Reason::Model)
    };
    append(&store, T, batch(vec![at(1, "gone.example", 500), at(2, "kept.example", 20)]));
    drop(store);
    let path = folder.path().join("events.db");
    let retain = |raw_days| {
        let keep = Retention { raw_days, rollup_days: 7, ..Retention::default() };
        assert!(sqlite::Writer::for_test(&path, keep).retain(now).unwrap());
        let store = open(folder.path());
        let sources = store.overview(T, 0, now).unwrap().sources.len();
        (store.search(T, &by_name("example")).unwrap().items.len(), sources)
    };
    assert_eq!((retain(400), retain(7)), ((1, 1), (0, 0)));
}

#[test]
fn retention_by_size_removes_the_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = now_ms();
    for part in 0..6u64 {
        let events = (1..=5_000u64).map(|i| {
            let seq = part * 5_000 + i;
            Event {
                time_ms: now,
                ..event(seq, &format!("n{seq}.example"), "10.0.0.1", Action::Allow, Reason::Model)
            }
        });
        append(&store, T, batch(events.collect()));
    }
    drop(store);
    let path = folder.path().join("events.db");
    let most = std::fs::metadata(&path).unwrap().len() / 10 * 8;
    let mut writer = sqlite::Writer::for_test(&path, Retention { store_bytes: most, ..Retention::default() });
    assert!(writer.retain(now).unwrap());
    drop(writer);
    let store = open(folder.path());
    let page = store.search(T, &Search { limit: 1, ..Search::default() }).unwrap();
    assert_eq!(names(&page), ["n30000.example"], "the newest stays");
    assert!(store.event(T, EventId(1)).unwrap().is_none(), "the oldest went");
    drop(store);
    let mut writer =
        sqlite::Writer::for_test(&path, Retention { store_bytes: 1 << 20, ..Retention::default() });
    assert!(writer.retain(now).unwrap());
    drop(writer);
    assert!(std::fs::metadata(&path).unwrap().len() <= 1 << 20, "names that only roll-ups remember go last");
}

/// Set in the child of the next test: where it writes until it is killed.
const CHILD: &str = "STORE_TEST_CHILD";

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let of = |number: u64| {
        let seqs = number * 50 + 1..=number * 50 + 50;
        batch(
            seqs.map(|seq| event(seq, &format!("n{seq}.example"), "10.0.0.1", Action::Allow, Reason::Model))
                .collect(),
        )
    };
    if let Ok(folder) = std::env::var(CHILD) {
        let store = open(Path::new(&folder));
        for number in 0.. {
            append(&store, T, of(number));
            println!("acknowledged {number}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let test = "store::tests::what_was_acknowledged_survives_kill_9";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = 0;
    for line in lines {
        // libtest's own "test ... " may stand before the first one.
        if let Some(number) = line.split("acknowledged ").nth(1).and_then(|number| number.parse().ok()) {
            acknowledged = number;
            if acknowledged >= 20 {
                break;
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(acknowledged >= 20, "the child wrote");
    let store = open(folder.path());
    for number in 0..=acknowledged {
        assert_eq!(append(&store, T, of(number)), Appended { stored: 0, known: 50 }, "batch {number}");
    }
}

mod sqlite_store {
    use super::*;
    use crate::store::conformance::{Engine, conformance};

    struct Sqlite(tempfile::TempDir);

    impl Engine for Sqlite {
        fn open(&self, retention: Retention, addresses: ClientAddresses) -> Box<dyn EventStore> {
            Box::new(SqliteStore::open(&self.0.path().join("events.db"), retention, addresses).unwrap())
        }

        fn retain(&self, retention: Retention, now_ms: u64) {
            let mut writer = sqlite::Writer::for_test(&self.0.path().join("events.db"), retention);
            assert!(writer.retain(now_ms).unwrap());
        }
    }

    conformance!(Some(Sqlite(tempfile::tempdir().unwrap())));
}
