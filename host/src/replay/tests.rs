//! Stores with known events: each kind of change yields the names and counts that it must.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use dnsvet_core::event::{Batch, Event};
use dnsvet_core::lists::{ClientIs, Conditions, Effect, Rule, Scope, Trigger};
use dnsvet_core::model::{Model, Spec, Thresholds};
use dnsvet_core::name::Name;
use dnsvet_core::policy::{Group, Mode, Policy, Schedule};
use dnsvet_core::snapshot::{Builder, Role};
use dnsvet_core::verdict::{Action, Reason, Step, TraceLine, Verdict};

use super::*;
use crate::config::{ClientAddresses, Retention};
use crate::store::EventStore;
use crate::store::sqlite::SqliteStore;

/// A noon.
const NOON_MS: u64 = 1_795_348_800_000;
const HOUR_MS: u64 = 3_600_000;

/// An event: name, client, action, reason.
type Told<'a> = (&'a str, &'a str, Action, Option<Reason>);

fn event(seq: u64, (name, client, action, reason): Told<'_>) -> Event {
    let verdict = Verdict {
        action,
        would: None,
        reasons: reason.into_iter().collect(),
        rule: action.stops().then(|| "then".into()),
        score: None,
        model: None,
        group: "default".into(),
        snapshot: "0011223344556677".into(),
        ttl_s: 60,
        trace: vec![],
        own: Default::default(),
    };
    Event {
        seq,
        time_ms: NOON_MS + seq,
        client: client.into(),
        name: name.into(),
        qtype: 1,
        door: "udp".into(),
        verdict,
        not_confident: reason == Some(Reason::NotConfident),
        took_us: 9,
    }
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("events.db"), Retention::default(), ClientAddresses::Truncate).unwrap()
}

fn append(store: &SqliteStore, events: Vec<Event>) {
    let batch = Batch { source: "node/1/2".into(), dropped: 0, events };
    store.append(Tenant::DEFAULT, batch).unwrap().blocking_recv().unwrap().unwrap();
}

/// A folder with these events.
fn stored(events: Vec<Event>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()), events);
    folder
}

fn events(specs: &[Told<'_>]) -> Vec<Event> {
    specs.iter().zip(1..).map(|(spec, seq)| event(seq, *spec)).collect()
}

/// A scorer had a part in it.
fn scored(mut event: Event) -> Event {
    event.verdict.trace.push(TraceLine {
        step: Step::Scorer,
        said: "large".into(),
        decided: true,
        score: Some(0.5),
    });
    event
}

fn listed(name: &str) -> Rule {
    Rule::listed(Name::parse(name).unwrap(), Scope::Suffix)
}

fn snapshot(lists: &[(&str, Role, Vec<Rule>)], policy: Policy) -> Snapshot {
    let mut builder = Builder::new(1, [3; 16]);
    for (name, role, rules) in lists {
        let list = builder.list(name, *role, "");
        rules.iter().for_each(|rule| builder.add_rule(list, rule).unwrap());
    }
    builder.policy(policy);
    Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()
}

/// Two blocklists that share a name, and an allowlist with a longer name.
fn base() -> Snapshot {
    let lists = [
        ("ads", Role::Block, vec![listed("ads.example"), listed("both.example")]),
        ("more", Role::Block, vec![listed("both.example"), listed("tree.example")]),
        ("ours", Role::Allow, vec![listed("good.tree.example")]),
    ];
    snapshot(&lists, Policy::default())
}

fn request(with: &[&str]) -> Request {
    Request {
        with: with.iter().map(|text| text.parse().unwrap()).collect(),
        since_ms: NOON_MS - HOUR_MS,
        until_ms: NOON_MS + HOUR_MS,
        client: None,
        group: None,
        top: 10,
    }
}

fn asked(folder: &Path, base: &Snapshot, request: &Request) -> Result<Report, ReplayError> {
    let at = (&*folder.join("events.db"), Tenant::DEFAULT);
    replay(request, base, &Registry::bundled(), at, |_, _| {})
}

fn report(folder: &Path, base: &Snapshot, with: &[&str]) -> Report {
    asked(folder, base, &request(with)).unwrap()
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Names of a part with events and clients.
fn top(part: &Part) -> Vec<(&str, u64, u64)> {
    part.top.iter().map(|top| (top.name.as_str(), top.events, top.clients)).collect()
}

fn counts(part: &Part) -> (u64, u64, u64) {
    (part.events, part.names, part.clients)
}

/// Events of each class.
fn changes(report: &Report) -> [u64; 5] {
    Class::ALL.map(|class| report.part(class).events)
}

const ASKED: [Told<'_>; 10] = [
    ("new.example", "10.0.0.1", Action::Allow, None),
    ("new.example", "10.0.0.2", Action::Allow, None),
    ("new.example", "10.0.0.2", Action::Allow, None),
    ("www.ads.example", "10.0.0.1", Action::Nxdomain, Some(Reason::List)),
    ("both.example", "10.0.0.3", Action::Nxdomain, Some(Reason::List)),
    ("x.good.tree.example", "10.0.0.1", Action::Allow, Some(Reason::Allowlist)),
    ("bad.tree.example", "10.0.0.1", Action::Nxdomain, Some(Reason::List)),
    ("plain.example", "10.0.0.1", Action::Allow, None),
    ("plain.example", "10.0.0.4", Action::Allow, None),
    ("other.example", "10.0.0.4", Action::Allow, None),
];

#[test]
fn a_blocklist_that_is_added_blocks_what_nothing_freed_or_blocked_before() {
    let folder = stored(events(&ASKED));
    let path = file(
        folder.path(),
        "fresh.txt",
        "new.example\nads.example\ntree.example\nother.example\nunasked.example\n",
    );
    let report = report(folder.path(), &base(), &[&format!("add-list:plain:{}", path.display())]);
    assert_eq!(changes(&report), [4, 0, 0, 0, 0]);
    assert_eq!(counts(&report.blocked), (4, 2, 3));
    assert_eq!(top(&report.blocked), [("new.example", 3, 2), ("other.example", 1, 1)]);
    let first = &report.blocked.top[0];
    assert_eq!((first.now.action, first.now.reason), (Action::Allow, None));
    assert_eq!((first.then.action, first.then.reason), (Action::Nxdomain, Some(Reason::List)));
    assert_eq!(first.then.rule.as_deref(), Some("fresh"));
    assert_eq!(report.looked_at, LookedAt { events: 10, names: 7, clients: 4 });
    assert_eq!(
        report.not_replayed,
        Kept { answers: 3, ..Kept::default() },
        "what passes may lead to listed names"
    );
    assert_eq!(report.said, ["with the block list fresh (5 names)"]);
    let text = report.describe();
    assert!(text.contains(" 4 events, 2 names, 3 clients\n"), "{text}");
    assert!(text.contains("nxdomain (list fresh)"), "{text}");
}

#[test]
fn an_allowlist_that_is_added_frees_what_is_as_long_or_longer() {
    let folder = stored(events(&ASKED));
    let path = file(folder.path(), "free.txt", "ads.example\nbad.tree.example\nexample\n");
    let report = report(folder.path(), &base(), &[&format!("add-list:allow:plain:{}", path.display())]);
    assert_eq!(changes(&report), [0, 2, 0, 0, 0], "both.example is longer than example");
    assert_eq!(top(&report.allowed), [("www.ads.example", 1, 1), ("bad.tree.example", 1, 1)]);
    assert_eq!(report.allowed.top[0].now.rule.as_deref(), Some("ads"));
    assert_eq!(report.allowed.top[0].then.reason, Some(Reason::Allowlist));
}

#[test]
fn a_list_that_is_removed_frees_what_no_other_list_blocks() {
    let folder = stored(events(&ASKED));
    let report = |with: &[&str]| report(folder.path(), &base(), with);
    let ads = report(&["remove-list:ads"]);
    assert_eq!((changes(&ads), top(&ads.allowed)), ([0, 1, 0, 0, 0], vec![("www.ads.example", 1, 1)]));
    assert_eq!(ads.said, ["without the block list ads (2 names)"]);
    let ours = report(&["remove-list:ours"]);
    assert_eq!((changes(&ours), top(&ours.blocked)), ([1, 0, 0, 0, 0], vec![("x.good.tree.example", 1, 1)]));
    let both = report(&["remove-list:ads", "remove-list:more"]);
    assert_eq!(counts(&both.allowed), (3, 3, 2));
    let path = file(folder.path(), "ads.txt", "both.example\nnew.example\n");
    let newer =
        report(&["remove-list:ads", "remove-list:more", &format!("add-list:plain:{}", path.display())]);
    assert_eq!(changes(&newer), [3, 2, 0, 0, 0], "a newer list in the place of two");
}

#[test]
fn a_change_that_changes_nothing_says_so() {
    let folder = stored(events(&ASKED));
    let path = file(folder.path(), "far.txt", "far.test\nboth.example\n");
    let report = report(folder.path(), &base(), &[&format!("add-list:plain:{}", path.display())]);
    assert_eq!(changes(&report), [0; 5]);
    let text = report.describe();
    assert!(text.contains("nothing would change") && !text.contains("newly blocked"), "{text}");
    assert!(text.starts_with("10 events of 2 hours (7 names, 4 clients)"), "{text}");
}

#[test]
fn lists_models_and_groups_that_are_not_there_are_refused_with_those_that_are() {
    let folder = stored(events(&ASKED));
    let refused = |with: &[&str], group: Option<&str>| {
        let request = Request { group: group.map(str::to_owned), ..request(with) };
        let error = asked(folder.path(), &base(), &request).unwrap_err();
        assert!(error.is_wrong_use(), "{error}");
        error.to_string()
    };
    assert_eq!(
        refused(&["remove-list:adds"], None),
        "no list \"adds\" in the snapshot; there are: ads, more, ours"
    );
    assert_eq!(
        refused(&["remove-list:ads"], Some("kids")),
        "no group \"kids\" in the policy; there are: default"
    );
    assert!(refused(&["model:huge"], None).ends_with("there are: large, seed, small"));
    assert!(refused(&["threshold:0.9", "threshold:0.95"], None).starts_with("threshold:0.95 is the second"));
    let empty = file(folder.path(), "empty.txt", "# nothing\n");
    let with = format!("add-list:plain:{}", empty.display());
    let error = asked(folder.path(), &base(), &request(&[&with])).unwrap_err().to_string();
    assert!(error.contains("none of its 1 lines is a plain rule"), "{error}");
    let error = asked(folder.path(), &base(), &request(&["threshold:0.9"])).unwrap_err().to_string();
    assert!(error.contains("no small model"), "{error}");
}

#[test]
fn only_events_of_the_time_the_client_and_the_group_are_looked_at() {
    let group = |name: &str, net: &str| Group {
        name: name.into(),
        clients: net.parse().into_iter().collect(),
        ..Group::default()
    };
    let policy =
        Policy { groups: vec![group("kids", "10.0.0.2/31"), group("rest", "")], ..Policy::default() };
    let base = snapshot(&[("ads", Role::Block, vec![listed("example")])], policy);
    let folder = stored(events(&ASKED));
    let looked = |change: &dyn Fn(&mut Request)| {
        let mut request = request(&["remove-list:ads"]);
        change(&mut request);
        let report = asked(folder.path(), &base, &request).unwrap();
        assert_eq!(report.looked_at.events, report.allowed.events);
        counts(&report.allowed)
    };
    assert_eq!(looked(&|_| ()), (10, 7, 4));
    assert_eq!(
        looked(&|request| request.client = "10.0.0.4".parse::<IpAddr>().ok().map(IpNet::from)),
        (2, 2, 1)
    );
    assert_eq!(looked(&|request| request.client = "10.0.0.2/31".parse().ok()), (3, 2, 2));
    assert_eq!(looked(&|request| request.group = Some("kids".into())), (3, 2, 2));
    assert_eq!(looked(&|request| request.since_ms = NOON_MS + 9), (2, 2, 1));
    assert_eq!(looked(&|request| request.until_ms = NOON_MS + 2), (1, 1, 1));
    let mut none = request(&["remove-list:ads"]);
    none.until_ms = none.since_ms;
    assert!(asked(folder.path(), &base, &none).unwrap_err().is_wrong_use());
}

#[test]
fn rules_for_some_clients_types_and_times_change_those_questions_alone() {
    let only = |name: &str, conditions: Conditions| Rule { conditions, ..listed(name) };
    let lab =
        Conditions { clients: vec![ClientIs::In("10.0.0.1/32".parse().unwrap())], ..Conditions::default() };
    let v6 = Conditions { types: vec![28], ..Conditions::default() };
    let infected = Rule {
        trigger: Trigger::Client("10.0.0.9/32".parse().unwrap()),
        effect: Effect::Stop(Action::Refused),
        conditions: Conditions::default(),
    };
    let nights = vec![Schedule { name: "game.example".into(), to_minute: 600, ..Schedule::default() }];
    let policy =
        Policy { groups: vec![Group { schedules: nights, ..Group::default() }], ..Policy::default() };
    let lists = [
        (
            "some",
            Role::Block,
            vec![only("lab.example", lab), only("six.example", v6), listed("game.example")],
        ),
        ("infected", Role::Block, vec![infected]),
    ];
    let base = snapshot(&lists, policy);
    let ask = |name, client| (name, client, Action::Nxdomain, Some(Reason::List));
    let mut events = events(&[
        ask("lab.example", "10.0.0.1"),
        ask("lab.example", "10.0.0.2"),
        ask("six.example", "10.0.0.2"),
        ask("six.example", "10.0.0.2"),
        ask("game.example", "10.0.0.2"),
        ask("game.example", "10.0.0.2"),
        ask("any.example", "10.0.0.9"),
        ask("any.example", "10.0.0.2"),
    ]);
    events[3].qtype = 28;
    events[5].time_ms = NOON_MS - 11 * HOUR_MS;
    let folder = stored(events);
    let mut request = request(&["remove-list:some"]);
    request.since_ms = NOON_MS - 12 * HOUR_MS;
    let some = asked(folder.path(), &base, &request).unwrap();
    let freed = [("lab.example", 1, 1), ("six.example", 1, 1), ("game.example", 1, 1)];
    assert_eq!((changes(&some), top(&some.allowed)), ([0, 3, 0, 0, 0], freed.to_vec()));
    let infected = report(folder.path(), &base, &["remove-list:infected"]);
    assert_eq!((changes(&infected), top(&infected.allowed)), ([0, 1, 0, 0, 0], vec![("any.example", 1, 1)]));
    assert_eq!(infected.allowed.top[0].now.action, Action::Refused);
}

#[test]
fn what_the_past_decided_stays_unless_a_list_goes_before_it() {
    let folder = stored(events(&[
        ("a1.tunnel.example", "10.0.0.1", Action::Nxdomain, Some(Reason::Tunnel)),
        ("a2.tunnel.example", "10.0.0.1", Action::Nxdomain, Some(Reason::Tunnel)),
        ("leads.example", "10.0.0.1", Action::Nxdomain, Some(Reason::Response)),
        ("busy.example", "10.0.0.1", Action::Nxdomain, Some(Reason::Budget)),
        ("away.example", "10.0.0.1", Action::Refused, Some(Reason::Failure)),
    ]));
    // Models run in this group, so that their past can have decided.
    let group = Group { models: Mode::Enforce, ..Group::default() };
    let lists = [("ads", Role::Block, vec![listed("leads.example"), listed("other.example")])];
    let base = snapshot(&lists, Policy { groups: vec![group], ..Policy::default() });
    let path = file(folder.path(), "free.txt", "a1.tunnel.example\naway.example\nleads.example\n");
    let free = report(
        folder.path(),
        &base,
        &["remove-list:ads", &format!("add-list:allow:plain:{}", path.display())],
    );
    assert_eq!(changes(&free), [0, 2, 0, 0, 0]);
    let tunnel = free.allowed.top.iter().find(|top| top.name == "a1.tunnel.example").unwrap();
    assert!(tunnel.now.stored && tunnel.now.reason == Some(Reason::Tunnel));
    assert_eq!(tunnel.now.rule.as_deref(), Some("then"), "the stored verdict's");
    let kept = Kept { tunnel: 1, budget: 1, response: 1, ..Kept::default() };
    assert_eq!(free.not_replayed, kept);
    let path = file(folder.path(), "block.txt", "tunnel.example\naway.example\n");
    let block = report(folder.path(), &base, &[&format!("add-list:plain:{}", path.display())]);
    assert_eq!(changes(&block), [0, 0, 1, 0, 0], "refused for failure, and nxdomain by the list");
    let kept = Kept { tunnel: 2, response: 1, budget: 1, ..Kept::default() };
    assert_eq!(block.not_replayed, kept);
    let text = block.describe();
    assert!(text.contains("2 events were stopped as tunnels"), "{text}");
}

/// The bundled small model, blocking from 0.93 on.
fn modelled(models: Mode) -> Snapshot {
    let small = Registry::bundled().get("small").unwrap();
    let small = small.model().unwrap();
    let thresholds = Thresholds { block_above: 0.93, ..small.thresholds() };
    let spec = Spec { thresholds, ..small.spec().clone() };
    let mut builder = Builder::new(1, [3; 16]);
    builder.small_model(Model::new(spec, small.network().clone()).unwrap().encode());
    let group = Group { models, ..Group::default() };
    builder.policy(Policy { groups: vec![group], ..Policy::default() });
    Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()
}

/// Where a model leaves a name: below its thresholds, between or above, `block_above` replaced by `block`.
fn side(model: &Model, name: &str, block: Option<f64>) -> i8 {
    let p = dnsvet_core::verdict::round_score(model.probability(model.logit(name), Policy::default().prior));
    let thresholds = model.thresholds();
    let block = block.unwrap_or(thresholds.block_above).max(0.9);
    i8::from(p >= block) - i8::from(p < thresholds.allow_below)
}

#[test]
fn a_threshold_moves_what_the_small_model_blocks_and_not_what_a_scorer_said() {
    let base = modelled(Mode::Enforce);
    let model = Model::decode(base.small_model().unwrap()).unwrap();
    let names = dnsvet_models::data::dga::names(10_000, 11);
    // What lies between and stays there was blocked by a scorer, every second of what moves too.
    let moves = |name: &str, to| side(&model, name, None) != side(&model, name, Some(to));
    for to in [0.9, 1.0] {
        let specs: Vec<Told<'_>> = names
            .iter()
            .enumerate()
            .map(|(at, name)| match side(&model, name, None) {
                0 if at % 2 == 0 => (name.as_str(), "10.0.0.1", Action::Nxdomain, Some(Reason::Model)),
                0 => (name.as_str(), "10.0.0.1", Action::Allow, Some(Reason::NotConfident)),
                1 => (name.as_str(), "10.0.0.1", Action::Nxdomain, Some(Reason::Model)),
                _ => (name.as_str(), "10.0.0.1", Action::Allow, Some(Reason::Model)),
            })
            .collect();
        let (mut blocked, mut moved) = (0, 0);
        for (at, name) in names.iter().enumerate().filter(|(_, name)| moves(name, to)) {
            moved += 1;
            blocked += u64::from(side(&model, name, None) == 0 && at % 2 == 1);
        }
        assert!(moved > 3, "{moved} names between the thresholds");
        let events =
            events(&specs).into_iter().zip(&names).map(|(event, name)| match side(&model, name, None) {
                0 => scored(event),
                _ => event,
            });
        let folder = stored(events.collect());
        let report = report(folder.path(), &base, &[&format!("threshold:{to}")]);
        // Past a higher threshold a scorer is asked, and nobody asked it about what the small model had blocked.
        let freed = if to > 0.93 { moved } else { 0 };
        assert_eq!(changes(&report), [blocked, freed, 0, 0, 0], "to {to}");
        assert_eq!(report.not_replayed, Kept { scorer: freed, ..Kept::default() });
    }
}

#[test]
fn a_stored_answer_is_read_under_the_mode_of_today() {
    let base = modelled(Mode::Log);
    let model = Model::decode(base.small_model().unwrap()).unwrap();
    let names = dnsvet_models::data::dga::names(10_000, 11);
    let name = names.iter().find(|name| side(&model, name, None) == 0 && side(&model, name, Some(0.9)) == 1);
    // A scorer blocked it when models were enforced; today the small model would, in log mode as well.
    let event = event(1, (name.unwrap(), "10.0.0.1", Action::Nxdomain, Some(Reason::Model)));
    let folder = stored(vec![scored(event)]);
    assert_eq!(changes(&report(folder.path(), &base, &["threshold:0.9"])), [0; 5]);
}

#[test]
fn what_a_threshold_leaves_to_a_scorer_that_nobody_asked_is_said() {
    let base = modelled(Mode::Enforce);
    let model = Model::decode(base.small_model().unwrap()).unwrap();
    let names = dnsvet_models::data::dga::names(10_000, 11);
    let name = names.iter().find(|name| side(&model, name, None) == 1 && side(&model, name, Some(1.0)) == 0);
    // A list blocked it then, so no scorer has spoken.
    let folder = stored(events(&[(name.unwrap(), "10.0.0.1", Action::Nxdomain, Some(Reason::List))]));
    let report = report(folder.path(), &base, &["threshold:1.0"]);
    assert_eq!((changes(&report), report.not_replayed.scorer), ([0, 1, 0, 0, 0], 1));
}

#[test]
fn in_log_mode_a_threshold_changes_what_would_be_blocked() {
    let base = modelled(Mode::Log);
    let model = Model::decode(base.small_model().unwrap()).unwrap();
    let names = dnsvet_models::data::dga::names(10_000, 11);
    let specs: Vec<Told<'_>> = names
        .iter()
        .map(|name| (name.as_str(), "10.0.0.1", Action::Allow, Some(Reason::NotConfident)))
        .collect();
    let moved =
        names.iter().filter(|name| side(&model, name, None) == 0 && side(&model, name, Some(0.9)) == 1);
    let folder = stored(events(&specs));
    let report = report(folder.path(), &base, &["threshold:0.9"]);
    let moved = moved.count() as u64;
    assert!(moved > 0);
    assert_eq!(changes(&report), [0, 0, 0, moved, 0]);
    assert_eq!(report.notes, ["models are in log mode in group default: there they block nothing"]);
    assert!(report.describe().contains("would block, only logged"));
}

#[test]
fn another_model_decides_what_lists_leave_open() {
    let base = modelled(Mode::Enforce);
    let small = Model::decode(base.small_model().unwrap()).unwrap();
    let seed = Registry::bundled().get("seed").unwrap();
    let seed = seed.model().unwrap();
    let names = dnsvet_models::data::dga::names(300, 5);
    let specs: Vec<Told<'_>> = names
        .iter()
        .map(|name| (name.as_str(), "10.0.0.1", Action::Allow, Some(Reason::NotConfident)))
        .collect();
    let folder = stored(events(&specs));
    let report = report(folder.path(), &base, &["model:seed"]);
    let count = |now: i8, then: i8| {
        let sides = names.iter().map(|name| (side(&small, name, None), side(seed, name, None)));
        sides.filter(|(small, seed)| (*small == 1) == (now == 1) && (*seed == 1) == (then == 1)).count()
            as u64
    };
    // What the seed's leaves open has a stored answer: allowed.
    assert_eq!(changes(&report)[..2], [count(0, 1), count(1, 0)]);
    assert!(count(0, 1) > 0 && count(1, 0) > 0);
    assert_eq!(report.blocked.top[0].then.rule.as_deref(), Some(seed.id()));
}

#[test]
fn it_works_beside_a_running_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    append(&store, vec![event(1, ASKED[3])]);
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut seq = 1;
            while !done.load(Ordering::Relaxed) || seq < 100 {
                seq += 1;
                append(&store, vec![event(seq, ASKED[3])]);
            }
            seq
        });
        let mut before = 0;
        for _ in 0..20 {
            let report = report(folder.path(), &base(), &["remove-list:ads"]);
            assert_eq!(report.allowed.events, report.looked_at.events);
            assert!(report.looked_at.events >= before.max(1), "what was seen stays");
            before = report.looked_at.events;
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert_eq!(report(folder.path(), &base(), &["remove-list:ads"]).looked_at.events, written);
}

#[test]
fn a_report_is_one_object_on_one_line() {
    let folder = stored(events(&ASKED));
    let report = report(folder.path(), &base(), &["remove-list:ads"]);
    let line = serde_json::json!(report).to_string();
    assert!(!line.contains('\n'));
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["with"], serde_json::json!(["remove-list:ads"]));
    assert_eq!((&read["looked_at"]["events"], &read["allowed"]["events"]), (&10.into(), &1.into()));
    let top = &read["allowed"]["top"][0];
    assert_eq!(top["name"], "www.ads.example");
    assert_eq!(top["now"], serde_json::json!({"action": "nxdomain", "reason": "list", "rule": "ads"}));
    assert_eq!(top["then"], serde_json::json!({"action": "allow", "reason": null}));
}
