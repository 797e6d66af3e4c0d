//! What holds of every store: one body for each assertion, run over every engine by [`conformance!`].

use dnsvet_core::event::{Batch, Event};
use dnsvet_core::verdict::{Action, Reason};

use super::tests::{NOON_MS, T, append, batch, by_name, event, names};
use super::*;
use crate::config::{ClientAddresses, Retention};

mod stories;
pub(super) use stories::*;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
/// So long that nothing goes while a test runs, whenever it does.
const KEEP: Retention =
    Retention { raw_days: 20_000, rollup_days: 20_000, store_bytes: 0, spool_bytes: 1 << 30 };

/// A store under test, empty at first.
pub(super) trait Engine {
    /// Opens it; what was committed before is there.
    fn open(&self, retention: Retention, addresses: ClientAddresses) -> Box<dyn EventStore>;

    /// Lets retention do all its work, as of `now_ms`; the store is closed.
    fn retain(&self, retention: Retention, now_ms: u64);
}

fn open(engine: &dyn Engine) -> Box<dyn EventStore> {
    engine.open(KEEP, ClientAddresses::Truncate)
}

/// The tests of a module `$engine` over what `$make` gives: `Some(impl Engine)`, or `None` after it has said
/// `skipped:` and why.
macro_rules! conformance {
    ($make:expr => $($test:ident)*) => { $(
        #[test]
        fn $test() {
            if let Some(engine) = $make {
                crate::store::conformance::$test(&engine);
            }
        }
    )* };
    ($make:expr) => {
        crate::store::conformance::conformance! { $make =>
            an_event_comes_back_as_it_was_sent
            a_batch_sent_twice_or_out_of_order_is_stored_once
            events_of_two_sources_are_told_apart
            a_search_finds_parts_of_names_and_only_literally
            filters_combine_and_pages_follow_each_other_without_gaps
            a_client_is_found_by_address_network_and_start
            each_action_and_reason_is_found_by_its_word
            roll_ups_agree_with_the_events_at_every_level
            top_lists_are_sorted_and_have_ten_entries
            sources_say_how_much_they_sent_and_dropped
            tenants_do_not_see_each_other
            public_client_addresses_are_cut_and_private_ones_kept
            hashed_clients_are_told_apart_and_no_address_is_stored
            the_live_tail_gets_what_was_committed
            the_queue_groups_by_name_and_counts_queries_and_clients
            each_factor_moves_a_name_and_a_priority_is_their_product
            retention_removes_old_events_and_their_names_and_keeps_the_counts
            a_whole_name_and_a_rule_are_found_and_nothing_beside_them
            rules_are_counted_by_what_they_led_to
            a_name_is_counted_by_minute_hour_and_day_and_every_step_agrees
            related_names_are_those_under_the_registrable_domain_and_no_others
            a_name_that_nobody_asked_for_has_no_story_and_a_tenant_sees_its_own
            a_series_has_a_bound
            a_story_and_a_ranking_go_on_by_day_where_no_raw_event_is_left
            each_name_stands_on_the_side_of_its_last_verdict_most_asked_first
        }
    };
}
pub(super) use conformance;

pub(super) fn an_event_comes_back_as_it_was_sent(engine: &dyn Engine) {
    let store = open(engine);
    let sent = event(1, "a1.b2.evil.example", "10.1.2.3", Action::Nxdomain, Reason::List);
    let mut odd = event(2, "x\\039y.example", "fd00::1", Action::Allow, Reason::NotConfident);
    odd.verdict.trace[0].said = "it's \"odd\": \\N \t\n\u{1} ünïcode {} $x 'a'\\'".into();
    odd.verdict.rule = Some("a'; DROP TABLE events; --".into());
    odd.verdict.score = None;
    odd.qtype = 65_535;
    odd.took_us = 1 << 51;
    assert_eq!(append(&*store, T, batch(vec![sent.clone(), odd.clone()])), Appended { stored: 2, known: 0 });
    let page = store.search(T, &Search { limit: 10, ..Search::default() }).unwrap();
    let events: Vec<&Event> = page.items.iter().map(|stored| &stored.event).collect();
    assert_eq!(events, [&odd, &sent], "newest first");
    assert_eq!((page.items[0].source.as_str(), page.next), ("node/1/2", None));
    assert!(page.items[0].id > page.items[1].id, "newer events have greater ids");
    for stored in &page.items {
        assert_eq!(store.event(T, stored.id).unwrap().as_ref(), Some(stored));
    }
    assert_eq!(store.event(T, EventId(999_999)).unwrap(), None);
}

pub(super) fn a_batch_sent_twice_or_out_of_order_is_stored_once(engine: &dyn Engine) {
    let store = open(engine);
    let events = |range: std::ops::RangeInclusive<u64>| {
        batch(range.map(|seq| event(seq, "x.example", "10.0.0.1", Action::Allow, Reason::Model)).collect())
    };
    assert_eq!(append(&*store, T, events(11..=20)).stored, 10);
    assert_eq!(append(&*store, T, events(1..=10)).stored, 10);
    assert_eq!(append(&*store, T, events(5..=25)), Appended { stored: 5, known: 16 });
    drop(store);
    let store = open(engine);
    assert_eq!(append(&*store, T, events(1..=25)), Appended { stored: 0, known: 25 }, "after a restart too");
    assert_eq!(append(&*store, T, batch(vec![])), Appended { stored: 0, known: 0 });
    let page = store.search(T, &Search { limit: 100, ..Search::default() }).unwrap();
    let mut seqs: Vec<u64> = page.items.iter().map(|stored| stored.event.seq).collect();
    // Which are the newest, a store may tell by their times or by when they came.
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=25).collect::<Vec<_>>());
    assert_eq!(store.overview(T, 0, NOON_MS + 1000).unwrap().queries, 25, "roll-ups count each once");
}

pub(super) fn events_of_two_sources_are_told_apart(engine: &dyn Engine) {
    let store = open(engine);
    let of = |source: &str| Batch {
        source: source.into(),
        dropped: 0,
        events: vec![event(7, "x.example", "10.0.0.1", Action::Allow, Reason::Model)],
    };
    for source in ["node/1/1", "it's/2\\2", "node/3/\"3\""] {
        assert_eq!(
            append(&*store, T, of(source)).stored,
            1,
            "{source}: same time and number, another source"
        );
        assert_eq!(append(&*store, T, of(source)).known, 1, "{source}");
    }
    let page = store.search(T, &Search { limit: 10, ..Search::default() }).unwrap();
    let mut sources: Vec<&str> = page.items.iter().map(|stored| stored.source.as_str()).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["it's/2\\2", "node/1/1", "node/3/\"3\""]);
    // A page may end between events of one time.
    let mut seen = 0;
    let mut search = Search { limit: 1, ..Search::default() };
    loop {
        let page = store.search(T, &search).unwrap();
        seen += page.items.len();
        search.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(seen, 3);
}

pub(super) fn a_search_finds_parts_of_names_and_only_literally(engine: &dyn Engine) {
    let store = open(engine);
    let all = ["login.paypa1.example", "a_b.example", "axb.example", "x\\042y.example", "ads.tracker.test"];
    let events = all.iter().enumerate();
    let events = events.map(|(i, name)| event(i as u64 + 1, name, "10.0.0.1", Action::Allow, Reason::Model));
    append(&*store, T, batch(events.collect()));
    let found = |text: &str| {
        let page = store.search(T, &by_name(text)).unwrap();
        let mut found: Vec<String> = names(&page).into_iter().map(str::to_owned).collect();
        found.sort();
        found
    };
    assert_eq!(found("login.paypa1.example"), ["login.paypa1.example"], "a whole name");
    assert_eq!(found("ads.t"), ["ads.tracker.test"], "its start");
    assert_eq!(found("PAYPA1"), ["login.paypa1.example"], "a part of it");
    assert_eq!(found("a_b"), ["a_b.example"], "an underscore is no wildcard");
    assert_eq!(found("_b"), ["a_b.example"], "short texts too");
    assert_eq!(found("tracker.test."), ["ads.tracker.test"]);
    assert_eq!(found("\\042"), ["x\\042y.example"]);
    assert_eq!(found("example").len(), 4);
    assert!(found("nowhere").is_empty());
    let hostile =
        ["%", "*", "a*b", "a%b", "?", "[a-z]", "'", "\"", "'; DROP TABLE events; --", "a\0b", "NEAR("];
    for text in hostile {
        assert!(found(text).is_empty(), "{text:?}");
    }
    assert_eq!(found("\\"), ["x\\042y.example"]);
    assert!(found("OR 1=1").is_empty());
    assert_eq!(found("").len(), 5);
}

pub(super) fn filters_combine_and_pages_follow_each_other_without_gaps(engine: &dyn Engine) {
    let store = open(engine);
    let events = (1..=250u64).map(|seq| {
        let (action, reason) =
            if seq % 5 == 0 { (Action::Nxdomain, Reason::List) } else { (Action::Allow, Reason::Model) };
        event(seq, &format!("n{seq}.example"), &format!("10.0.{}.1", seq % 2), action, reason)
    });
    append(&*store, T, batch(events.collect()));
    let mut search = Search {
        name: Some("example".into()),
        client: Some("10.0.1.0/24".into()),
        action: Some(ActionFilter::Blocked),
        reason: Some(Reason::List),
        since_ms: Some(NOON_MS + 25),
        until_ms: Some(NOON_MS + 245),
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
    let expected: Vec<u64> = (25..245u64).rev().filter(|seq| seq % 5 == 0 && seq % 2 == 1).collect();
    assert_eq!(seen, expected);
}

pub(super) fn a_client_is_found_by_address_network_and_start(engine: &dyn Engine) {
    let store = open(engine);
    let clients = ["10.0.0.1", "10.0.1.1", "10.1.0.1", "192.168.0.1", "fd00::1", "fd00:1::1"];
    let events = clients.iter().enumerate();
    let events =
        events.map(|(i, client)| event(i as u64 + 1, "x.example", client, Action::Allow, Reason::Model));
    append(&*store, T, batch(events.collect()));
    let found = |text: &str| {
        let search = Search { client: Some(text.into()), limit: 100, ..Search::default() };
        let page = store.search(T, &search).unwrap();
        page.items.iter().rev().map(|stored| stored.event.client.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found("10.0.1.1"), ["10.0.1.1"]);
    assert_eq!(found("10.0."), ["10.0.0.1", "10.0.1.1"]);
    assert_eq!(found("10.0.0.0/15"), ["10.0.0.1", "10.0.1.1", "10.1.0.1"]);
    assert_eq!(found("10.0.0.1/32"), ["10.0.0.1"]);
    assert_eq!(found("fd00::/32"), ["fd00::1"]);
    assert_eq!(found("0.0.0.0/0").len(), 4);
    assert_eq!(found("::/0").len(), 2);
    assert_eq!(found("").len(), 6);
    for nobody in ["192.0.2.1", "10.0.0.0/33", "%", "_", "'", "1' OR '1'='1", "\\"] {
        assert!(found(nobody).is_empty(), "{nobody}");
    }
}

pub(super) fn each_action_and_reason_is_found_by_its_word(engine: &dyn Engine) {
    let store = open(engine);
    let kinds = [
        (Action::Allow, Reason::Model),
        (Action::Allow, Reason::NotConfident),
        (Action::Nxdomain, Reason::List),
        (Action::Null, Reason::Vetted),
        (Action::Honeypot, Reason::Vetted),
        (Action::Drop, Reason::Tunnel),
    ];
    let events = (0..60u64).map(|seq| {
        let (action, reason) = kinds[seq as usize % kinds.len()];
        event(seq + 1, "x.example", "10.0.0.1", action, reason)
    });
    append(&*store, T, batch(events.collect()));
    let count = |action: Option<ActionFilter>, reason: Option<Reason>| {
        let search = Search { action, reason, limit: 1_000, ..Search::default() };
        let page = store.search(T, &search).unwrap();
        for stored in &page.items {
            assert!(reason.is_none() || stored.event.reason() == reason);
        }
        page.items.len()
    };
    assert_eq!(count(Some(ActionFilter::Blocked), None), 40);
    assert_eq!(count(Some(ActionFilter::NotConfident), None), 10);
    assert_eq!(count(Some(ActionFilter::Is(Action::Allow)), None), 20);
    assert_eq!(count(Some(ActionFilter::Is(Action::Refused)), None), 0);
    assert_eq!(count(None, Some(Reason::Vetted)), 20);
    assert_eq!(count(Some(ActionFilter::Is(Action::Null)), Some(Reason::Vetted)), 10);
    let overview = store.overview(T, NOON_MS, NOON_MS + 1_000).unwrap();
    assert_eq!((overview.queries, overview.blocked), (60, 40));
    assert_eq!(overview.actions[0], ("allow".to_owned(), 20));
    assert_eq!(overview.actions.len(), 5);
    assert_eq!(overview.reasons[0], ("vetted".to_owned(), 20));
    assert_eq!(overview.series, [(NOON_MS, 10, 10, 40)]);
}

pub(super) fn roll_ups_agree_with_the_events_at_every_level(engine: &dyn Engine) {
    let store = open(engine);
    let events = (1..=120u64).map(|seq| {
        let blocked = seq % 4 == 0;
        let (action, reason) =
            if blocked { (Action::Nxdomain, Reason::List) } else { (Action::Allow, Reason::Model) };
        let name = if blocked { "bad.example".to_owned() } else { format!("n{seq}.example") };
        Event { time_ms: NOON_MS + seq * 60_000, ..event(seq, &name, "10.0.0.9", action, reason) }
    });
    let mut events: Vec<Event> = events.collect();
    // In two batches: a bucket is added to.
    let later = events.split_off(50);
    append(&*store, T, batch(events));
    append(&*store, T, batch(later));
    for (span_ms, buckets) in [(2 * HOUR_MS, 120), (DAY_MS, 3), (30 * DAY_MS, 1)] {
        let now = NOON_MS + 2 * HOUR_MS;
        let overview = store.overview(T, now - span_ms, now).unwrap();
        assert_eq!((overview.queries, overview.blocked), (120, 30), "{span_ms}");
        assert_eq!(overview.series.iter().map(|b| b.1 + b.2 + b.3).sum::<u64>(), 120);
        assert_eq!(overview.series.len(), buckets, "{:?}", overview.series);
        assert!(overview.series.is_sorted_by_key(|bucket| bucket.0));
        assert!(overview.series.iter().all(|bucket| bucket.0 % (overview.bucket_s * 1_000) == 0));
        assert_eq!(overview.reasons, [("list".to_owned(), 30)]);
        assert_eq!(overview.blocked_names, [("bad.example".to_owned(), 30)]);
        assert_eq!(overview.clients, [("10.0.0.9".to_owned(), 120)]);
    }
    let later = store.overview(T, NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS).unwrap();
    assert_eq!(later.queries, 61, "from the minute on");
}

pub(super) fn top_lists_are_sorted_and_have_ten_entries(engine: &dyn Engine) {
    let store = open(engine);
    let mut events = Vec::new();
    for n in 1..=15u64 {
        for _ in 0..n {
            let seq = events.len() as u64 + 1;
            let (name, client) = (format!("n{n}.example"), format!("10.0.0.{n}"));
            events.push(event(seq, &name, &client, Action::Nxdomain, Reason::List));
            let seq = seq + 1;
            events.push(event(seq, "allowed.example", "10.0.0.99", Action::Allow, Reason::Model));
        }
    }
    append(&*store, T, batch(events));
    let overview = store.overview(T, NOON_MS - HOUR_MS, NOON_MS + HOUR_MS).unwrap();
    let want: Vec<(String, u64)> = (6..=15u64).rev().map(|n| (format!("n{n}.example"), n)).collect();
    assert_eq!(overview.blocked_names, want);
    assert_eq!(overview.clients[0], ("10.0.0.99".to_owned(), 120));
    assert_eq!(overview.clients[1], ("10.0.0.15".to_owned(), 15));
    assert_eq!(overview.clients.len(), 10);
}

pub(super) fn sources_say_how_much_they_sent_and_dropped(engine: &dyn Engine) {
    let store = open(engine);
    let of = |source: &str, dropped, seqs: std::ops::RangeInclusive<u64>| Batch {
        source: source.into(),
        dropped,
        events: seqs.map(|n| event(n, "x.example", "10.0.0.1", Action::Allow, Reason::Model)).collect(),
    };
    append(&*store, T, of("node/1/1", 0, 1..=10));
    append(&*store, T, of("node/1/2", 5, 1..=20));
    append(&*store, T, of("node/1/2", 7, 11..=30));
    let overview = store.overview(T, NOON_MS, NOON_MS + HOUR_MS).unwrap();
    let want = [("node/1/2".to_owned(), 30, NOON_MS + 30), ("node/1/1".to_owned(), 10, NOON_MS + 10)];
    assert_eq!(overview.sources, want, "the last one first");
    assert_eq!(overview.dropped, 7, "a source counts from its start");
    assert!(store.overview(T, NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS).unwrap().sources.is_empty());
}

pub(super) fn tenants_do_not_see_each_other(engine: &dyn Engine) {
    let store = open(engine);
    let other = Tenant(2);
    let ours = event(1, "ours.example", "10.0.0.1", Action::Nxdomain, Reason::List);
    let theirs = event(1, "theirs.example", "10.0.0.2", Action::Allow, Reason::NotConfident);
    append(&*store, T, batch(vec![ours]));
    append(&*store, other, batch(vec![theirs]));
    let all = Search { limit: 10, ..Search::default() };
    let (mine, other_page) = (store.search(T, &all).unwrap(), store.search(other, &all).unwrap());
    assert_eq!((names(&mine), names(&other_page)), (vec!["ours.example"], vec!["theirs.example"]));
    // Ids may be those of each tenant.
    let found = store.event(other, mine.items[0].id).unwrap();
    assert!(found.is_none_or(|found| found == other_page.items[0]), "not another tenant's");
    assert!(names(&store.search(T, &by_name("theirs")).unwrap()).is_empty());
    let overview = store.overview(T, NOON_MS, NOON_MS + 1_000).unwrap();
    assert_eq!((overview.queries, overview.clients.len(), overview.sources.len()), (1, 1, 1));
    assert_eq!(overview.blocked_names, [("ours.example".to_owned(), 1)]);
    let order = Order { limit: 10, threshold: 0.9, now_ms: NOON_MS };
    assert!(store.pending(T, order, &|_| false).unwrap().is_empty());
    assert_eq!(store.pending(other, order, &|_| false).unwrap().len(), 1);
}

pub(super) fn public_client_addresses_are_cut_and_private_ones_kept(engine: &dyn Engine) {
    let clients = ["203.0.113.77", "10.9.8.7", "2001:db8:1:ff22::1", "fd00::1", "127.0.0.1"];
    let events = |from: u64| {
        let events = clients.iter().enumerate();
        let events = events
            .map(|(i, client)| event(from + i as u64, "x.example", client, Action::Allow, Reason::Model));
        batch(events.collect())
    };
    append(&*open(engine), T, events(1));
    let store = engine.open(KEEP, ClientAddresses::Plain);
    append(&*store, T, events(11));
    let page = store.search(T, &Search { limit: 10, ..Search::default() }).unwrap();
    let stored: Vec<&str> = page.items.iter().rev().map(|stored| stored.event.client.as_str()).collect();
    assert_eq!(stored[..5], ["203.0.113.0", "10.9.8.7", "2001:db8:1:ff00::", "fd00::1", "127.0.0.1"]);
    assert_eq!(stored[5..], clients);
}

pub(super) fn hashed_clients_are_told_apart_and_no_address_is_stored(engine: &dyn Engine) {
    let clients = ["203.0.113.77", "10.9.8.7", "203.0.113.77"];
    for (at, client) in clients.into_iter().enumerate() {
        let store = engine.open(KEEP, ClientAddresses::Hash);
        append(
            &*store,
            T,
            batch(vec![event(at as u64 + 1, "x.example", client, Action::Allow, Reason::Model)]),
        );
    }
    let store = engine.open(KEEP, ClientAddresses::Hash);
    let found = |client: &str| {
        let search = Search { client: Some(client.into()), limit: 10, ..Search::default() };
        let page = store.search(T, &search).unwrap();
        page.items.iter().rev().map(|stored| stored.event.client.clone()).collect::<Vec<_>>()
    };
    let [first, second, third] = found("").try_into().unwrap();
    assert_eq!(first, third, "one client, over restarts");
    assert_ne!(first, second);
    assert!([&first, &second].iter().all(|client| client.starts_with("client-")), "{first} {second}");
    assert_eq!(found(&second), [second.as_str()]);
    assert!(found("0.0.0.0/0").is_empty() && found("203.0.113").is_empty() && found("::/0").is_empty());
    let counts = store.overview(T, NOON_MS, NOON_MS + 1_000).unwrap().clients;
    assert_eq!(counts, [(first, 2), (second, 1)]);
}

pub(super) fn the_live_tail_gets_what_was_committed(engine: &dyn Engine) {
    let store = open(engine);
    let mut tail = store.subscribe();
    append(&*store, T, batch(vec![event(1, "x.example", "10.0.0.1", Action::Allow, Reason::Model)]));
    let (tenant, stored) = tail.blocking_recv().unwrap();
    assert_eq!((tenant, stored.event.name.as_str()), (T, "x.example"));
    assert_eq!(store.event(T, stored.id).unwrap().unwrap(), *stored);
}

fn unsure(seq: u64, name: &str, client: &str) -> Event {
    event(seq, name, client, Action::Allow, Reason::NotConfident)
}

fn scored(mut event: Event, score: Option<f64>) -> Event {
    event.verdict.score = score;
    event
}

fn at(limit: usize) -> Order {
    Order { limit, threshold: 0.9, now_ms: NOON_MS + 1_000 }
}

pub(super) fn the_queue_groups_by_name_and_counts_queries_and_clients(engine: &dyn Engine) {
    let store = open(engine);
    append(
        &*store,
        T,
        batch(vec![
            unsure(1, "odd.example", "10.0.0.1"),
            unsure(2, "odd.example", "10.0.0.2"),
            unsure(300, "odd.example", "10.0.0.2"),
            unsure(4, "rare.example", "10.0.0.1"),
            event(5, "sure.example", "10.0.0.1", Action::Allow, Reason::Model),
        ]),
    );
    let pending = store.pending(T, at(10), &|_| false).unwrap();
    assert_eq!(
        pending.iter().map(|p| (p.name.as_str(), p.queries, p.clients)).collect::<Vec<_>>(),
        [("odd.example", 3, 2), ("rare.example", 1, 1)]
    );
    assert_eq!(pending[0].score, Some(0.3), "of the last query");
    assert_eq!((pending[0].first_ms, pending[0].last_ms), (NOON_MS + 1, NOON_MS + 300));
    let rest = store.pending(T, at(1), &|name| name == "odd.example").unwrap();
    assert_eq!(rest.len(), 1, "a settled name takes no place");
    assert_eq!(rest[0].name, "rare.example");
    let both = ["odd.example".to_owned(), "rare.example".to_owned(), "no.example".to_owned()];
    assert_eq!(store.clients_of(T, &both).unwrap(), 2, "one asked for both");
    assert_eq!(store.clients_of(Tenant(2), &both).unwrap(), 0);
}

pub(super) fn each_factor_moves_a_name_and_a_priority_is_their_product(engine: &dyn Engine) {
    let store = open(engine);
    let mut events = vec![
        scored(unsure(1, "near.example", "10.0.0.1"), Some(0.88)),
        scored(unsure(2, "far.example", "10.0.0.1"), Some(0.01)),
        scored(unsure(3, "none.example", "10.0.0.1"), None),
        Event { time_ms: NOON_MS - 4 * DAY_MS, ..scored(unsure(4, "old.example", "10.0.0.1"), Some(0.88)) },
    ];
    for client in 1..=9 {
        let seq = 10 + client;
        let asked = unsure(seq, "wide.example", &format!("10.0.0.{client}"));
        events.push(scored(asked, Some(0.88)));
    }
    // One client that asks often moves nothing.
    events.extend((30..90).map(|seq| scored(unsure(seq, "loud.example", "10.0.0.1"), Some(0.5))));
    append(&*store, T, batch(events));
    let pending = store.pending(T, at(10), &|_| false).unwrap();
    let order: Vec<&str> = pending.iter().map(|p| p.name.as_str()).collect();
    let want = ["wide.example", "near.example", "none.example", "loud.example", "old.example", "far.example"];
    assert_eq!(order, want);
    for p in &pending {
        let product = p.uncertainty * (p.clients as f64 / (p.clients as f64 + 3.0)) * p.novelty;
        assert!((p.priority - product).abs() < 1e-12, "{p:?}");
        assert!([p.uncertainty, p.novelty, p.priority].iter().all(|part| *part > 0.0 && *part <= 1.0));
    }
    let old = pending.iter().find(|p| p.name == "old.example").unwrap();
    assert!((old.novelty - 1.0 / 3.0).abs() < 1e-3, "four days are two half-lives: {}", old.novelty);
}

pub(super) fn retention_removes_old_events_and_their_names_and_keeps_the_counts(engine: &dyn Engine) {
    let now = now_ms();
    let at = |seq, name: &str, time_ms| Event {
        time_ms,
        ..event(seq, name, "10.0.0.1", Action::Allow, Reason::Model)
    };
    let store = open(engine);
    append(&*store, T, batch(vec![at(1, "old.example", now - 9 * DAY_MS), at(2, "new.example", now)]));
    drop(store);
    engine.retain(Retention::default(), now);
    let store = engine.open(Retention::default(), ClientAddresses::Truncate);
    assert_eq!(names(&store.search(T, &Search { limit: 9, ..Search::default() }).unwrap()), ["new.example"]);
    assert!(store.search(T, &by_name("old")).unwrap().items.is_empty());
    assert_eq!(store.overview(T, now - 30 * DAY_MS, now).unwrap().queries, 2, "days outlive raw events");
    let fine = store.overview(T, now - 10 * DAY_MS, now).unwrap();
    assert_eq!(fine.queries, 1, "hours go with the raw events");
}
