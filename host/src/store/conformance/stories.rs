//! What holds of names, rankings and rules in every store.

use super::*;
use crate::store::names::{MOST_BUCKETS, Side, Step};

pub(in crate::store) fn a_whole_name_and_a_rule_are_found_and_nothing_beside_them(engine: &dyn Engine) {
    let store = open(engine);
    let ruled = |seq, name: &str, rule: Option<&str>| {
        let mut event = event(seq, name, "10.0.0.1", Action::Nxdomain, Reason::Rule);
        event.verdict.rule = rule.map(str::to_owned);
        event
    };
    let odd = "it's \\ list2 \"%\"";
    let mut events = vec![
        ruled(1, "shop.example", Some("kids")),
        ruled(2, "www.shop.example", Some("kids")),
        ruled(3, "shop.example.org", None),
        ruled(4, "a_b.example", Some(odd)),
    ];
    // Many of another rule between those of one.
    events.extend((10..2_500).map(|seq| ruled(seq, "axb.example", Some("kids2"))));
    events.push(ruled(2_500, "shop.example", Some("kids")));
    append(&*store, T, batch(events));
    let seqs = |search: &Search| {
        let (mut search, mut seqs) = (search.clone(), Vec::new());
        loop {
            let page = store.search(T, &search).unwrap();
            seqs.extend(page.items.iter().map(|stored| stored.event.seq));
            search.cursor = page.next;
            if page.next.is_none() {
                return seqs;
            }
        }
    };
    let exact = |name: &str| seqs(&Search { exact: true, ..by_name(name) });
    assert_eq!(exact("Shop.Example."), [2_500, 1]);
    assert_eq!(exact("a_b.example"), [4], "an underscore is itself");
    for nobody in ["hop.example", "example", "shop.example'", "%", "*"] {
        assert!(exact(nobody).is_empty(), "{nobody}");
    }
    assert_eq!(seqs(&Search { exact: true, ..by_name("") }).len(), 2_495, "no name restricts nothing");
    let by_rule = |rule: &str| Search { rule: Some(rule.into()), limit: 2, ..Search::default() };
    assert_eq!(seqs(&by_rule("kids")), [2_500, 2, 1]);
    assert_eq!(seqs(&by_rule(odd)), [4]);
    for nobody in ["kid", "KIDS", "%", "it's", "' OR 1=1 --"] {
        assert!(seqs(&by_rule(nobody)).is_empty(), "{nobody}");
    }
    let until = Search { until_ms: Some(NOON_MS + 2), ..by_rule("kids") };
    assert_eq!(seqs(&until), [1], "before, not at");
    assert_eq!(seqs(&Search { exact: true, name: Some("shop.example".into()), ..until }), [1]);
}

pub(in crate::store) fn rules_are_counted_by_what_they_led_to(engine: &dyn Engine) {
    let store = open(engine);
    let mut seq = 0;
    let mut ruled = |rule: Option<&str>, action, would, time_ms| {
        seq += 1;
        let mut event = event(seq, "x.example", "10.0.0.1", action, Reason::Rule);
        (event.verdict.rule, event.verdict.would) = (rule.map(str::to_owned), would);
        Event { time_ms, ..event }
    };
    let events = vec![
        ruled(Some("ads"), Action::Nxdomain, None, NOON_MS),
        ruled(Some("ads"), Action::Null, None, NOON_MS + 1),
        ruled(Some("ads"), Action::Allow, Some(Action::Nxdomain), NOON_MS + 2),
        ruled(Some("ours"), Action::Allow, None, NOON_MS + 3),
        ruled(Some("it's"), Action::Allow, None, NOON_MS + 4),
        ruled(None, Action::Nxdomain, None, NOON_MS + 5),
        ruled(Some("ads"), Action::Nxdomain, None, NOON_MS - 15 * DAY_MS),
    ];
    append(&*store, T, batch(events));
    append(&*store, T, batch(vec![ruled(Some("ours"), Action::Drop, None, NOON_MS + 6)]));
    let hits = |rule: &str, blocked, would, allowed| RuleHits { rule: rule.into(), blocked, would, allowed };
    let recent = [hits("ads", 2, 1, 0), hits("ours", 1, 0, 1), hits("it's", 0, 0, 1)];
    assert_eq!(store.rules(T, NOON_MS).unwrap(), recent, "most blocked first");
    let all = [hits("ads", 3, 1, 0), hits("ours", 1, 0, 1), hits("it's", 0, 0, 1)];
    assert_eq!(store.rules(T, NOON_MS - 20 * DAY_MS).unwrap(), all);
    assert!(store.rules(Tenant(2), 0).unwrap().is_empty());
}

fn about(step: Step, from_ms: u64, until_ms: u64) -> NameAsked<'static> {
    let (name, registrable) = ("www.shop.example", Some("shop.example"));
    NameAsked { name, registrable, since_ms: from_ms, until_ms, step }
}

fn of(store: &dyn EventStore, asked: NameAsked<'_>) -> NameStory {
    store.name(T, &asked).unwrap().unwrap()
}

/// Two days: noon, an hour later, a day later.
fn filled(engine: &dyn Engine) -> Box<dyn EventStore> {
    let store = open(engine);
    let at = |time_ms, event: Event| Event { time_ms, ..event };
    let name = "www.shop.example";
    append(
        &*store,
        T,
        batch(vec![
            at(NOON_MS, event(1, name, "10.0.0.1", Action::Allow, Reason::Model)),
            at(NOON_MS + 5_000, event(2, name, "10.0.0.1", Action::Allow, Reason::NotConfident)),
            at(NOON_MS + 61_000, event(3, name, "10.0.0.2", Action::Nxdomain, Reason::Vetted)),
            at(NOON_MS + HOUR_MS, event(4, name, "10.0.0.1", Action::Allow, Reason::Model)),
            at(NOON_MS + DAY_MS, event(5, name, "10.0.0.3", Action::Honeypot, Reason::Vetted)),
            at(NOON_MS, event(6, "shop.example", "10.0.0.1", Action::Allow, Reason::Model)),
            at(NOON_MS, event(7, "img.cdn.shop.example", "10.0.0.1", Action::Nxdomain, Reason::List)),
            at(NOON_MS, event(8, "img.cdn.shop.example", "10.0.0.1", Action::Allow, Reason::Model)),
            at(NOON_MS, event(9, "not-shop.example", "10.0.0.1", Action::Allow, Reason::Model)),
            at(NOON_MS, event(10, "shop.example.org", "10.0.0.1", Action::Allow, Reason::Model)),
        ]),
    );
    store
}

pub(in crate::store) fn a_name_is_counted_by_minute_hour_and_day_and_every_step_agrees(engine: &dyn Engine) {
    let store = filled(engine);
    let minutes = of(&*store, about(Step::Minute, NOON_MS, NOON_MS + 2 * HOUR_MS));
    let minute = 60_000;
    let want = [(NOON_MS, 1, 1, 0), (NOON_MS + minute, 0, 0, 1), (NOON_MS + HOUR_MS, 1, 0, 0)];
    assert_eq!((minutes.series, minutes.queries), (want.to_vec(), 4));
    let hours = of(&*store, about(Step::Hour, NOON_MS, NOON_MS + 2 * HOUR_MS));
    assert_eq!(hours.series, [(NOON_MS, 1, 1, 1), (NOON_MS + HOUR_MS, 1, 0, 0)]);
    let days = of(&*store, about(Step::Day, NOON_MS, NOON_MS + DAY_MS + 1));
    let day = NOON_MS / DAY_MS * DAY_MS;
    assert_eq!(days.series, [(day, 2, 1, 1), (day + DAY_MS, 0, 0, 1)]);
    assert_eq!((days.since_ms, days.until_ms, days.bucket_s), (day, day + 2 * DAY_MS, 86_400));
    assert_eq!((days.queries, days.counted, days.more), (5, 5, false));
    assert_eq!((days.first_ms, days.last_ms), (Some(NOON_MS), Some(NOON_MS + DAY_MS)));
    let verdicts: Vec<(&str, u64)> = days.verdicts.iter().map(|(word, n)| (word.as_str(), *n)).collect();
    assert_eq!(verdicts, [("allow", 2), ("honeypot", 1), ("not_confident", 1), ("nxdomain", 1)]);
    let clients: Vec<(&str, u64, u64)> =
        days.clients.iter().map(|(address, asked, blocked)| (address.as_str(), *asked, *blocked)).collect();
    assert_eq!(clients, [("10.0.0.1", 3, 0), ("10.0.0.2", 1, 1), ("10.0.0.3", 1, 1)]);
    assert_eq!(days.clients_count, 3);
    assert_eq!(days.last.unwrap().event.verdict.action, Action::Honeypot);
}

pub(in crate::store) fn related_names_are_those_under_the_registrable_domain_and_no_others(
    engine: &dyn Engine,
) {
    let store = filled(engine);
    let story = of(&*store, about(Step::Day, NOON_MS, NOON_MS + 1));
    let want = [("img.cdn.shop.example".to_owned(), 2, 1), ("shop.example".to_owned(), 1, 0)];
    assert_eq!((story.related, story.related_more), (want.to_vec(), false));
    let later = of(&*store, about(Step::Hour, NOON_MS + DAY_MS, NOON_MS + DAY_MS + 1));
    let want = [("img.cdn.shop.example".to_owned(), 0, 0), ("shop.example".to_owned(), 0, 0)];
    assert_eq!(later.related, want, "not asked for in that time");
    let alone = NameAsked { registrable: None, ..about(Step::Day, NOON_MS, NOON_MS + 1) };
    assert!(of(&*store, alone).related.is_empty());
}

pub(in crate::store) fn a_name_that_nobody_asked_for_has_no_story_and_a_tenant_sees_its_own(
    engine: &dyn Engine,
) {
    let store = filled(engine);
    let asked = about(Step::Day, 0, NOON_MS);
    for hostile in ["", "never.example", "%", "*", "' OR 1=1 --"] {
        assert_eq!(store.name(T, &NameAsked { name: hostile, ..asked }).unwrap(), None, "{hostile}");
    }
    assert_eq!(store.name(Tenant(2), &asked).unwrap(), None);
}

pub(in crate::store) fn a_series_has_a_bound(engine: &dyn Engine) {
    let store = filled(engine);
    let long = of(&*store, about(Step::Minute, 0, NOON_MS));
    assert_eq!(long.until_ms - long.since_ms, MOST_BUCKETS * 60_000);
}

pub(in crate::store) fn a_story_and_a_ranking_go_on_by_day_where_no_raw_event_is_left(engine: &dyn Engine) {
    let now = now_ms();
    let day = (now - 20 * DAY_MS) / DAY_MS * DAY_MS;
    let name = "www.shop.example";
    let at = |time_ms, event: Event| Event { time_ms, ..event };
    let store = open(engine);
    append(
        &*store,
        T,
        batch(vec![
            at(day + 5, event(1, name, "10.0.0.1", Action::Allow, Reason::NotConfident)),
            at(day + 6, event(2, name, "10.0.0.1", Action::Nxdomain, Reason::List)),
            at(day + DAY_MS, event(3, name, "10.0.0.2", Action::Allow, Reason::Model)),
            at(day, event(4, "good.example", "10.0.0.1", Action::Allow, Reason::Model)),
            at(now, event(5, "new.example", "10.0.0.1", Action::Allow, Reason::Model)),
        ]),
    );
    drop(store);
    let keep = Retention { raw_days: 7, ..KEEP };
    engine.retain(keep.clone(), now);
    let store = engine.open(keep, ClientAddresses::Truncate);
    let days = of(&*store, about(Step::Day, day, now));
    assert_eq!(days.series, [(day, 1, 0, 1), (day + DAY_MS, 1, 0, 0)]);
    assert_eq!((days.first_ms, days.last_ms), (Some(day), Some(day + DAY_MS)), "to the day");
    assert_eq!((days.counted, days.clients_count, days.last), (0, 0, None));
    let of_side = |side| {
        let ranking =
            store.ranking(T, &RankingAsked { side, since_ms: day, until_ms: now, limit: 9 }).unwrap();
        ranking.names.into_iter().map(|it| (it.name, it.queries, it.action)).collect::<Vec<_>>()
    };
    assert_eq!(of_side(Side::Malicious), [(name.to_owned(), 3, None)], "blocked at all");
    let good =
        [("good.example".to_owned(), 1, None), ("new.example".to_owned(), 1, Some("allow".to_owned()))];
    assert_eq!(of_side(Side::Benign), good);
}

fn ranked(store: &dyn EventStore, side: Side, limit: usize) -> Ranking {
    let asked = RankingAsked { side, since_ms: NOON_MS, until_ms: NOON_MS + HOUR_MS, limit };
    store.ranking(T, &asked).unwrap()
}

fn ranks(ranking: &Ranking) -> Vec<(&str, u64)> {
    ranking.names.iter().map(|ranked| (ranked.name.as_str(), ranked.queries)).collect()
}

pub(in crate::store) fn each_name_stands_on_the_side_of_its_last_verdict_most_asked_first(
    engine: &dyn Engine,
) {
    let store = open(engine);
    let mut logged = event(1, "logged.example", "10.0.0.1", Action::Allow, Reason::Model);
    logged.verdict.would = Some(Action::Nxdomain);
    let mut events = vec![logged];
    let mut add = |times: u64, name: &str, action, reason, score| {
        for _ in 0..times {
            let mut one = event(events.len() as u64 + 1, name, "10.0.0.1", action, reason);
            one.verdict.score = Some(score);
            events.push(one);
        }
    };
    add(4, "freed.example", Action::Nxdomain, Reason::Model, 0.99);
    add(1, "freed.example", Action::Allow, Reason::Vetted, 0.99);
    add(3, "evil.example", Action::Nxdomain, Reason::List, 0.4);
    add(2, "leans.example", Action::Allow, Reason::NotConfident, 0.8);
    add(6, "good.example", Action::Allow, Reason::Model, 0.01);
    add(2, "odd.example", Action::Allow, Reason::NotConfident, 0.2);
    add(9, "localhost", Action::Nxdomain, Reason::Special, 0.0);
    append(&*store, T, batch(events));
    let bad = ranked(&*store, Side::Malicious, 10);
    assert_eq!(ranks(&bad), [("evil.example", 3), ("leans.example", 2), ("logged.example", 1)]);
    let first = &bad.names[0];
    assert_eq!(
        (first.blocked, first.action.as_deref(), first.reason.as_deref()),
        (3, Some("nxdomain"), Some("list"))
    );
    assert_eq!((bad.names[1].not_confident, bad.names[1].score), (true, Some(0.8)));
    let last = store.event(T, first.last_id.unwrap()).unwrap().unwrap();
    assert_eq!((last.event.name.as_str(), Some(last.event.time_ms)), ("evil.example", first.last_ms));
    assert_eq!(bad.names[2].would.as_deref(), Some("nxdomain"));
    let good = ranked(&*store, Side::Benign, 10);
    assert_eq!(ranks(&good), [("good.example", 6), ("freed.example", 5), ("odd.example", 2)]);
    assert_eq!((good.names[1].blocked, good.more), (4, false));
    let two = ranked(&*store, Side::Benign, 2);
    assert_eq!((two.names.len(), two.more), (2, true));
    let later = RankingAsked {
        side: Side::Malicious,
        since_ms: NOON_MS + HOUR_MS,
        until_ms: NOON_MS + 2 * HOUR_MS,
        limit: 9,
    };
    assert!(store.ranking(T, &later).unwrap().names.is_empty());
    assert!(store.ranking(Tenant(2), &RankingAsked { since_ms: 0, ..later }).unwrap().names.is_empty());
}
