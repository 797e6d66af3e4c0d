//! The event store as its users see it.

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

pub(super) fn event(seq: u64, name: &str, client: &str, action: Action, reason: Reason) -> Event {
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

pub(super) fn append(store: &SqliteStore, tenant: Tenant, batch: Batch) -> Appended {
    store.append(tenant, batch).unwrap().blocking_recv().unwrap().unwrap()
}

fn names(page: &Page) -> Vec<&str> {
    page.items.iter().map(|stored| stored.event.name.as_str()).collect()
}

fn by_name(text: &str) -> Search {
    Search { name: Some(text.into()), limit: 100, ..Search::default() }
}

#[test]
fn an_event_comes_back_as_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sent = event(1, "a1.b2.evil.example", "10.1.2.3", Action::Nxdomain, Reason::List);
    assert_eq!(append(&store, T, batch(vec![sent.clone()])), Appended { stored: 1, known: 0 });
    let page = store.search(T, &Search { limit: 10, ..Search::default() }).unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].event, sent);
    assert_eq!(page.items[0].source, "node/1/2");
    assert_eq!(store.event(T, page.items[0].id).unwrap().unwrap().event, sent);
    assert_eq!(store.event(Tenant(2), page.items[0].id).unwrap(), None, "not another tenant's");
}

#[test]
fn a_batch_sent_twice_or_out_of_order_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let events = |range: std::ops::RangeInclusive<u64>| {
        batch(range.map(|seq| event(seq, "x.example", "10.0.0.1", Action::Allow, Reason::Model)).collect())
    };
    assert_eq!(append(&store, T, events(11..=20)).stored, 10);
    assert_eq!(append(&store, T, events(1..=10)).stored, 10);
    assert_eq!(append(&store, T, events(5..=25)), Appended { stored: 5, known: 16 });
    drop(store);
    let store = open(folder.path());
    assert_eq!(append(&store, T, events(1..=25)), Appended { stored: 0, known: 25 }, "after a restart too");
    assert_eq!(store.overview(T, 0, NOON_MS + 1000).unwrap().queries, 25, "roll-ups count each once");
}

#[test]
fn a_search_finds_parts_of_names_and_only_literally() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let all = ["login.paypa1.example", "a_b.example", "axb.example", "x\\042y.example", "ads.tracker.test"];
    let events = all.iter().enumerate();
    let events = events.map(|(i, name)| event(i as u64 + 1, name, "10.0.0.1", Action::Allow, Reason::Model));
    append(&store, T, batch(events.collect()));
    let found = |text: &str| {
        let page = store.search(T, &by_name(text)).unwrap();
        let mut found: Vec<String> = names(&page).into_iter().map(str::to_owned).collect();
        found.sort();
        found
    };
    assert_eq!(found("PAYPA1"), ["login.paypa1.example"]);
    assert_eq!(found("a_b"), ["a_b.example"], "an underscore is no wildcard");
    assert_eq!(found("_b"), ["a_b.example"], "short texts too");
    assert_eq!(found("tracker.test."), ["ads.tracker.test"]);
    assert_eq!(found("\\042"), ["x\\042y.example"]);
    assert_eq!(found("example").len(), 4);
    for hostile in [
        "%",
        "*",
        "a*b",
        "?",
        "[a-z]",
        "'",
        "\"",
        "'; DROP TABLE events; --",
        "\\",
        "a\0b",
        "NEAR(",
        "OR 1=1",
    ] {
        let hits = found(hostile);
        assert!(hits.is_empty() || hostile == "\\" && hits.len() == 1, "{hostile:?}: {hits:?}");
    }
    assert_eq!(found("").len(), 5);
}

#[test]
fn filters_combine_and_pages_follow_each_other_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let events = (1..=250u64).map(|seq| {
        let (action, reason) =
            if seq % 5 == 0 { (Action::Nxdomain, Reason::List) } else { (Action::Allow, Reason::Model) };
        event(seq, &format!("n{seq}.example"), &format!("10.0.{}.1", seq % 2), action, reason)
    });
    append(&store, T, batch(events.collect()));
    let mut search = Search {
        client: Some("10.0.1.0/24".into()),
        action: Some(ActionFilter::Blocked),
        reason: Some(Reason::List),
        since_ms: Some(NOON_MS + 20),
        limit: 7,
        ..Search::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = store.search(T, &search).unwrap();
        seen.extend(page.items.iter().map(|stored| stored.event.seq));
        assert!(page.items.len() <= 7);
        search.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (20..=250u64).rev().filter(|seq| seq % 5 == 0 && seq % 2 == 1).collect();
    assert_eq!(seen, expected);
    assert!(
        store
            .search(T, &Search { client: Some("192.0.2.1".into()), limit: 1, ..Search::default() })
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn roll_ups_agree_with_the_events_at_every_level() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let events = (1..=120u64).map(|seq| {
        let blocked = seq % 4 == 0;
        let (action, reason) =
            if blocked { (Action::Nxdomain, Reason::List) } else { (Action::Allow, Reason::Model) };
        let name = if blocked { "bad.example".to_owned() } else { format!("n{seq}.example") };
        Event { time_ms: NOON_MS + seq * 60_000, ..event(seq, &name, "10.0.0.9", action, reason) }
    });
    append(&store, T, batch(events.collect()));
    for span_ms in [2 * 3_600_000, 86_400_000, 30 * 86_400_000] {
        let now = NOON_MS + 2 * 3_600_000;
        let overview = store.overview(T, now - span_ms, now).unwrap();
        assert_eq!((overview.queries, overview.blocked), (120, 30), "{span_ms}");
        assert_eq!(overview.series.iter().map(|b| b.1 + b.2 + b.3).sum::<u64>(), 120);
        assert_eq!(overview.reasons, [("list".to_owned(), 30)]);
        assert_eq!(overview.blocked_names, [("bad.example".to_owned(), 30)]);
        assert_eq!(overview.clients, [("10.0.0.9".to_owned(), 120)]);
    }
}

#[test]
fn public_client_addresses_are_cut_and_private_ones_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let clients = ["203.0.113.77", "10.9.8.7", "2001:db8:1:ff22::1", "fd00::1", "127.0.0.1"];
    let events = clients.iter().enumerate();
    let events =
        events.map(|(i, client)| event(i as u64 + 1, "x.example", client, Action::Allow, Reason::Model));
    append(&store, T, batch(events.collect()));
    let page = store.search(T, &Search { limit: 10, ..Search::default() }).unwrap();
    let stored: Vec<&str> = page.items.iter().rev().map(|stored| stored.event.client.as_str()).collect();
    assert_eq!(stored, ["203.0.113.0", "10.9.8.7", "2001:db8:1:ff00::", "fd00::1", "127.0.0.1"]);
}

#[test]
fn the_live_tail_gets_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut tail = store.subscribe();
    append(&store, T, batch(vec![event(1, "x.example", "10.0.0.1", Action::Allow, Reason::Model)]));
    let (tenant, stored) = tail.blocking_recv().unwrap();
    assert_eq!((tenant, stored.event.name.as_str()), (T, "x.example"));
    assert_eq!(store.event(T, stored.id).unwrap().unwrap(), *stored);
}

#[test]
fn retention_removes_old_events_and_their_names_and_keeps_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = now_ms();
    let day = 86_400_000;
    let at = |seq, name: &str, time_ms| Event {
        time_ms,
        ..event(seq, name, "10.0.0.1", Action::Allow, Reason::Model)
    };
    append(&store, T, batch(vec![at(1, "old.example", now - 9 * day), at(2, "new.example", now)]));
    drop(store);
    let mut writer = sqlite::Writer::for_test(&folder.path().join("events.db"), Retention::default());
    assert!(writer.retain(now).unwrap());
    drop(writer);
    let store = open(folder.path());
    assert_eq!(names(&store.search(T, &Search { limit: 9, ..Search::default() }).unwrap()), ["new.example"]);
    assert!(store.search(T, &by_name("old")).unwrap().items.is_empty());
    assert_eq!(store.overview(T, now - 30 * day, now).unwrap().queries, 2, "days outlive raw events");
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
    assert!(store.event(T, 1).unwrap().is_none(), "the oldest went");
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
