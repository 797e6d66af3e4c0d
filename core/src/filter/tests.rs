//! Each step of the cascade is alive: for each there is a question whose answer changes when the step is taken
//! out. Here the steps of lists and people, and what is common to all; those that guess are in [`models`].

mod models;
mod rules;
mod swap;
mod tunnels;

use super::*;
use crate::host::Scripted;
use crate::lists::Scope;
use crate::message::rtype;
use crate::policy::{FailureMode, Group, Mode, Schedule, Unblock};
use crate::snapshot::{Builder, Decision, Role, Vetted};
use crate::verdict::Step;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn question(text: &str, qtype: u16) -> Vec<u8> {
    let mut wire = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend(name(text).to_wire());
    wire.extend([qtype.to_be_bytes(), [0, 1]].concat());
    wire
}

/// A snapshot with one name for each list step.
fn builder() -> Builder {
    let mut builder = Builder::new(1, [7; 16]);
    let block = builder.list("ads", Role::Block, "MIT");
    builder.add(block, &name("blocked.example"), Scope::Suffix);
    builder.add(block, &name("exact.example"), Scope::Exact);
    builder.add(block, &name("deep.allowed.example"), Scope::Suffix);
    builder.add(block, &name("popular.example"), Scope::Suffix);
    let allow = builder.list("good", Role::Allow, "MIT");
    builder.add(allow, &name("allowed.example"), Scope::Suffix);
    builder.add(allow, &name("allowed.blocked.example"), Scope::Suffix);
    let law = builder.list("court", Role::Mandatory, "MIT");
    builder.add(law, &name("mandatory.example"), Scope::Suffix);
    for (text, decision, exact) in [
        ("benign.blocked.example", Decision::Benign, false),
        ("malicious.example", Decision::Malicious, false),
        ("honeypot.example", Decision::Honeypot, false),
        ("mandatory.example", Decision::Benign, false),
        ("only.example", Decision::Malicious, true),
    ] {
        builder.vet(Vetted { name: text.into(), decision, exact, author: "ada".into(), time_ms: 1 });
    }
    builder
}

fn policy(change: impl FnOnce(&mut Group)) -> Policy {
    let mut group = Group { models: Mode::Enforce, ..Group::default() };
    change(&mut group);
    Policy { groups: vec![group], ..Policy::default() }
}

fn filter(builder: &mut Builder, policy: Policy) -> Filter {
    let config = br#"{"scorer_cluster":"scorer","control_cluster":"control"}"#;
    let mut filter = Filter::new(config, "test/1/1".into()).unwrap();
    let bytes = builder.policy(policy).build(None).unwrap();
    filter.set_snapshot(Snapshot::open(Bytes::from(bytes), &[]).unwrap()).unwrap();
    filter
}

/// Asks, passes on and ends; returns what was recorded.
fn verdict(filter: &mut Filter, host: &mut Scripted, text: &str) -> Verdict {
    let wire = question(text, rtype::A);
    filter.ask(
        host,
        Ticket(1),
        Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door: "udp" },
    );
    filter.end(host, Ticket(1));
    filter.spool.take().unwrap().verdict
}

fn decided(verdict: &Verdict) -> (Action, Option<Reason>) {
    (verdict.action, verdict.reason())
}

#[test]
fn each_step_of_lists_and_people_changes_an_answer() {
    let unblock = Unblock { name: "unblocked.blocked.example".into(), until_ms: 1_000, ..Unblock::default() };
    let schedule =
        Schedule { name: "games.example".into(), from_minute: 0, to_minute: 60, ..Schedule::default() };
    for (step, text, action, reason) in [
        (Step::Special, "x.onion", Action::Nxdomain, Reason::Special),
        (Step::Mandatory, "mandatory.example", Action::Nxdomain, Reason::Mandatory),
        (Step::Vetted, "a.malicious.example", Action::Nxdomain, Reason::Vetted),
        (Step::Vetted, "honeypot.example", Action::Honeypot, Reason::Vetted),
        (Step::Vetted, "benign.blocked.example", Action::Allow, Reason::Vetted),
        (Step::Unblock, "unblocked.blocked.example", Action::Allow, Reason::Unblock),
        (Step::Lists, "www.blocked.example", Action::Nxdomain, Reason::List),
        (Step::Lists, "games.example", Action::Nxdomain, Reason::Schedule),
    ] {
        let with = |skip: Vec<Step>| {
            let mut policy = policy(|group| group.schedules = vec![schedule.clone()]);
            policy.unblocks = vec![unblock.clone()];
            policy.skip_steps = skip;
            let mut filter = filter(&mut builder(), policy);
            let verdict = verdict(&mut filter, &mut Scripted::default(), text);
            decided(&verdict)
        };
        assert_eq!(with(vec![]), (action, Some(reason)), "{text}");
        assert_ne!(with(vec![step]), (action, Some(reason)), "{text} without {step:?}");
    }
}

#[test]
fn an_allow_entry_beats_a_block_entry_of_equal_or_shorter_suffix() {
    let mut filter = filter(&mut builder(), policy(|_| {}));
    let host = &mut Scripted::default();
    for (text, reason) in [
        ("x.allowed.blocked.example", Reason::Allowlist),
        ("allowed.example", Reason::Allowlist),
        ("x.deep.allowed.example", Reason::List),
        ("exact.example", Reason::List),
    ] {
        assert_eq!(verdict(&mut filter, host, text).reason(), Some(reason), "{text}");
    }
    assert_eq!(verdict(&mut filter, host, "sub.exact.example").reason(), None, "exact scope");
    assert_eq!(verdict(&mut filter, host, "sub.only.example").reason(), None, "exact vetting");
}

#[test]
fn an_unblock_ends_at_its_time_on_a_name_that_is_asked_again() {
    let mut policy = policy(|_| {});
    policy.unblocks = vec![Unblock { name: "blocked.example".into(), until_ms: 1_000, ..Unblock::default() }];
    let mut filter = filter(&mut builder(), policy);
    let mut host = Scripted { now_ms: 999, ..Scripted::default() };
    assert_eq!(verdict(&mut filter, &mut host, "blocked.example").action, Action::Allow);
    host.now_ms = 1_000;
    assert_eq!(verdict(&mut filter, &mut host, "blocked.example").action, Action::Nxdomain);
}

#[test]
fn log_mode_allows_and_says_what_it_would_do() {
    let mut filter = filter(&mut builder(), policy(|group| group.lists = Mode::Log));
    let verdict = verdict(&mut filter, &mut Scripted::default(), "blocked.example");
    assert_eq!((verdict.action, verdict.would), (Action::Allow, Some(Action::Nxdomain)));
    assert_eq!(verdict.reason(), Some(Reason::List));
}

#[test]
fn without_a_snapshot_the_failure_mode_decides() {
    let mut filter = Filter::new(b"", "test/1/1".into()).unwrap();
    let verdict = verdict(&mut filter, &mut Scripted::default(), "example.com");
    assert_eq!(decided(&verdict), (Action::Allow, Some(Reason::Failure)));
}

#[test]
fn many_names_under_one_registrable_domain_make_a_tunnel() {
    let tunnel = |skip: Vec<Step>| {
        let mut policy = policy(|group| group.tunnel_names_per_minute = 50);
        policy.skip_steps = skip;
        let mut filter = filter(&mut builder(), policy);
        let host = &mut Scripted { now_ms: 60_000_000, ..Scripted::default() };
        (0..200)
            .filter(|i| {
                let verdict = verdict(&mut filter, host, &format!("{i:x}aa{i}.exfil.net"));
                decided(&verdict) == (Action::Nxdomain, Some(Reason::Tunnel))
            })
            .count()
    };
    let stopped = tunnel(vec![]);
    assert!((120..=170).contains(&stopped), "{stopped} of 200 stopped at a limit of 50");
    assert_eq!(tunnel(vec![Step::Tunnel]), 0);
}

/// An answer with one record: `owner` is the name asked.
fn answer(text: &str, rtype: u16, data: &[u8]) -> Vec<u8> {
    let mut wire = question(text, rtype::A);
    wire[2] = 0x81;
    wire[7] = 1;
    wire.extend([0xc0, 12]);
    wire.extend(rtype.to_be_bytes());
    wire.extend([0, 1, 0, 0, 0, 60]);
    wire.extend((data.len() as u16).to_be_bytes());
    wire.extend(data);
    wire
}

fn on_the_way_back(filter: &mut Filter, text: &str, rtype: u16, data: &[u8]) -> Verdict {
    let host = &mut Scripted::default();
    let wire = question(text, rtype::A);
    assert_eq!(
        filter.ask(
            host,
            Ticket(9),
            Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door: "udp" }
        ),
        Outcome::Pass
    );
    let changed = filter.answered(host, Ticket(9), &answer(text, rtype, data));
    let verdict = filter.spool.take().unwrap().verdict;
    assert_eq!(changed.is_some(), verdict.action.stops(), "{text}");
    verdict
}

#[test]
fn the_answer_is_inspected_on_the_way_back() {
    let back = |skip: Vec<Step>, text: &str, rtype: u16, data: &[u8]| {
        let mut policy = policy(|_| {});
        policy.skip_steps = skip;
        decided(&on_the_way_back(&mut filter(&mut builder(), policy), text, rtype, data))
    };
    let cname = name("cdn.blocked.example").to_wire();
    let blocked = (Action::Nxdomain, Some(Reason::Response));
    assert_eq!(back(vec![], "plain.example", rtype::CNAME, &cname), blocked);
    assert_ne!(back(vec![Step::Response], "plain.example", rtype::CNAME, &cname), blocked);
    assert_eq!(back(vec![], "plain.example", rtype::A, &[192, 168, 0, 1]), blocked, "rebinding");
    assert_eq!(back(vec![], "benign.blocked.example", rtype::A, &[192, 168, 0, 1]), blocked, "vetted or not");
    assert_ne!(back(vec![], "benign.blocked.example", rtype::CNAME, &cname), blocked, "a person allowed it");
    assert_ne!(back(vec![], "plain.example", rtype::A, &[93, 184, 216, 34]), blocked);
    assert_eq!(back(vec![], "_x.plain.example", rtype::A, &[192, 168, 0, 1]), blocked, "an underscore");
    let by_law = name("cdn.mandatory.example").to_wire();
    assert_eq!(back(vec![], "plain.example", rtype::CNAME, &by_law), blocked);
    assert_eq!(
        back(vec![], "benign.blocked.example", rtype::CNAME, &by_law),
        blocked,
        "a person can't allow it"
    );
}

#[test]
fn every_question_is_recorded_once_and_every_answer_given_once() {
    let mut filter = filter(&mut builder(), policy(|_| {}));
    let host = &mut Scripted::default();
    let ask = |filter: &mut Filter, host: &mut Scripted, ticket: u32, text: &str, qtype: u16| {
        let wire = question(text, qtype);
        filter.ask(
            host,
            Ticket(ticket),
            Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door: "tcp" },
        )
    };
    assert!(matches!(ask(&mut filter, host, 1, "blocked.example", rtype::A), Outcome::Answer(_)));
    assert!(filter.end(host, Ticket(1)).is_empty());
    assert_eq!(ask(&mut filter, host, 2, "plain.example", rtype::A), Outcome::Pass);
    assert_eq!(filter.answered(host, Ticket(2), &answer("plain.example", rtype::A, &[1, 1, 1, 1])), None);
    filter.end(host, Ticket(2));
    assert_eq!(ask(&mut filter, host, 3, "plain.example", rtype::AAAA), Outcome::Pass);
    filter.end(host, Ticket(3));
    assert_eq!(filter.spool.len(), 3);
    assert_eq!(host.counters.get(&Counter::VerdictCacheHits), Some(&1), "the second time from the cache");
    let recorded = std::iter::from_fn(|| filter.spool.take());
    let asked: Vec<String> = recorded.map(|event| event.verdict.trace[0].said.clone().into()).collect();
    assert_eq!(asked, ["blocked.example type 1", "plain.example type 1", "plain.example type 28"]);
}

#[test]
fn the_door_that_can_only_tell_hears_each_final_verdict_once_and_others_leave_nothing() {
    let mut filter = filter(&mut builder(), policy(|_| {}));
    let host = &mut Scripted::default();
    let mut tell = |ticket: u32, text: &str, door: &str| {
        let wire = question(text, rtype::A);
        let asked = Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door };
        if matches!(filter.ask(host, Ticket(ticket), asked), Outcome::Pass | Outcome::PassAs(_)) {
            assert_eq!(filter.take_told(Ticket(ticket)), None, "nothing is final yet");
        }
        filter.end(host, Ticket(ticket));
        let told = filter.take_told(Ticket(ticket));
        assert_eq!(filter.take_told(Ticket(ticket)), None);
        told.map(|told| told.blocks)
    };
    for (text, blocks) in [
        ("blocked.example", true),
        ("mandatory.example", true),
        ("honeypot.example", true),
        ("plain.example", false),
        ("benign.blocked.example", false),
        ("localhost", false),
        ("hidden.onion", true),
    ] {
        assert_eq!(tell(7, text, TELLING_DOOR), Some(blocks), "{text}");
        assert_eq!(tell(8, text, "udp"), None, "{text}");
    }
    assert!(filter.told.is_empty());
}

#[test]
fn what_is_told_comes_back_from_its_text() {
    for told in [
        Told { blocks: true, score: Some(0.981_234_567_890_123) },
        Told { blocks: false, score: Some(1e-12) },
        Told { blocks: false, score: None },
    ] {
        assert_eq!(Told::parse(told.to_text().as_bytes()), Some(told));
    }
    for text in ["", "block", "block 2", "block -0.1", "block NaN", "pass x", "stop 0.5", "\u{fffd} -"] {
        assert_eq!(Told::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn what_is_no_question_gets_what_its_door_can_say() {
    let mut filter = filter(&mut builder(), policy(|_| {}));
    let host = &mut Scripted::default();
    let mut ask = |wire: &[u8], door: &str| {
        filter.ask(host, Ticket(1), Asked { wire, client: CLIENT, identity: &Identity::default(), door })
    };
    let mut response = question("a.example", 1);
    response[2] |= 0x80;
    let mut notify = question("a.example", 1);
    notify[2] |= 4 << 3;
    assert_eq!(ask(&[1, 2, 3], "udp"), Outcome::Drop(None));
    assert_eq!(ask(&response, "tcp"), Outcome::Drop(None));
    assert!(matches!(ask(&notify, "udp"), Outcome::Answer(a) if a.wire[3] & 15 == 4));
    assert!(matches!(ask(&notify, "envoy"), Outcome::Answer(a) if a.wire[3] & 15 == 4));
    assert!(matches!(ask(&question("a.example", 1)[..20], "udp"), Outcome::Answer(a) if a.wire[3] & 15 == 1));
    assert!(matches!(ask(&question("a.example", 1)[..20], "envoy"), Outcome::Bad(_)));
    assert!(matches!(ask(&[], "doh"), Outcome::Bad(None)));
}

#[test]
fn without_a_snapshot_the_configured_failure_mode_may_deny_and_says_so() {
    let mut filter = Filter::new(br#"{"failure_mode": "deny"}"#, "test/1/1".into()).unwrap();
    let wire = question("example.com", 1);
    let host = &mut Scripted::default();
    let outcome = filter.ask(
        host,
        Ticket(1),
        Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door: "udp" },
    );
    assert!(matches!(outcome, Outcome::Answer(a) if a.wire[3] & 15 == 5), "REFUSED");
}

#[test]
fn events_that_were_not_taken_are_offered_again_and_one_that_never_will_be_is_dropped_and_counted() {
    let mut filter = Filter::new(br#"{"control_cluster": "control"}"#, "test/1/1".into()).unwrap();
    let host = &mut Scripted::default();
    for (ticket, text) in [(1, "a.example"), (2, "b.example"), (3, "c.example")] {
        let wire = question(text, rtype::A);
        filter.ask(
            host,
            Ticket(ticket),
            Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door: "udp" },
        );
        filter.end(host, Ticket(ticket));
    }
    filter.tick(host);
    let answer = |filter: &mut Filter, host: &mut Scripted, status| {
        let offered = host.callouts.iter().rposition(|callout| callout.path == "/v1/events").unwrap();
        let batch: crate::event::Batch = serde_json::from_slice(&host.callouts[offered].body).unwrap();
        let reply = Reply { status, ..Reply::nothing() };
        filter.on_reply(host, CalloutId(offered as u32), &reply);
        batch.events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(answer(&mut filter, host, 503), [1, 2, 3], "later");
    let offered = host.callouts.len();
    filter.tick(host);
    assert_eq!(host.callouts.len(), offered, "not at once");
    host.now_ms += 250;
    filter.tick(host);
    assert_eq!(answer(&mut filter, host, 401), [1, 2, 3], "a token that an operator will mend");
    host.now_ms += 500;
    filter.tick(host);
    assert_eq!(answer(&mut filter, host, 400), [1, 2, 3], "never: at once again, but fewer");
    assert_eq!(answer(&mut filter, host, 400), [1], "this one alone: dropped");
    assert_eq!(answer(&mut filter, host, 204), [2]);
    assert_eq!(answer(&mut filter, host, 204), [3]);
    assert_eq!(host.counters.get(&Counter::EventsDropped), Some(&1));
    assert_eq!(host.counters.get(&Counter::EventsSent), Some(&2));
}
