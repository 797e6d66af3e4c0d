//! Rules of lists that are more than a name, from the snapshot to the answer.

use super::*;
use crate::lists::{ClientIs, Conditions, Effect, LocalData, Rule, Scope, Trigger};
use crate::message::QueryType;
use crate::message::{Data, flag};
use crate::policy::{Designated, Group, NamedClient, Pause, Schedule};
use crate::snapshot::ListInfo;
use crate::verdict::Step;

fn on(text: &str) -> Rule {
    Rule::listed(name(text), Scope::Suffix)
}

fn with(rule: Rule, effect: Effect) -> Rule {
    Rule { effect, ..rule }
}

fn when(rule: Rule, conditions: Conditions) -> Rule {
    Rule { conditions, ..rule }
}

/// A filter with lists and their rules.
fn filter_of(lists: Vec<(ListInfo, Vec<Rule>)>, policy: Policy) -> Filter {
    let mut builder = Builder::new(3, [4; 16]);
    for (info, rules) in lists {
        let list = builder.add_list(info);
        for rule in rules {
            builder.add_rule(list, &rule).unwrap();
        }
    }
    builder.policy(policy);
    let mut filter = Filter::new(b"", "test/1/1".into()).unwrap();
    filter.set_snapshot(Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()).unwrap();
    filter
}

fn list(name: &str, role: Role) -> ListInfo {
    ListInfo { name: name.into(), role, ..ListInfo::default() }
}

struct Question<'a> {
    name: &'a str,
    qtype: u16,
    client: &'a str,
    door: &'a str,
}

fn asked(text: &str) -> Question<'_> {
    Question { name: text, qtype: rtype::A, client: "192.0.2.7", door: "udp" }
}

fn wire(question: &Question<'_>) -> Vec<u8> {
    let mut wire = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend(name(question.name).to_wire());
    wire.extend(question.qtype.to_be_bytes());
    wire.extend([0, 1]);
    wire
}

/// What becomes of a question, and its verdict (its event's, once it is over).
fn run(filter: &mut Filter, question: &Question<'_>) -> (Outcome, Verdict) {
    let host = &mut Scripted::default();
    let wire = wire(question);
    let client = question.client.parse().unwrap();
    let outcome = filter.ask(
        host,
        Ticket(1),
        Asked { wire: &wire, client, identity: &Identity::default(), door: question.door },
    );
    filter.end(host, Ticket(1));
    (outcome, filter.spool().take().unwrap().verdict)
}

fn action(filter: &mut Filter, question: &Question<'_>) -> Action {
    run(filter, question).1.action
}

fn records(outcome: &Outcome) -> Vec<Data> {
    let Outcome::Answer(answered) = outcome else { panic!("{outcome:?}") };
    decode_answer(&answered.wire).unwrap().records.into_iter().map(|record| record.data).collect()
}

#[test]
fn an_exception_frees_what_the_same_list_blocks_and_important_goes_first() {
    let important = Conditions { important: true, ..Conditions::default() };
    let rules = vec![
        on("ads.example"),
        with(on("good.ads.example"), Effect::Allow),
        when(on("bad.good.ads.example"), important.clone()),
        with(on("x.bad.good.ads.example"), Effect::Allow),
        when(with(on("y.bad.good.ads.example"), Effect::Allow), important),
    ];
    let mut filter = filter_of(vec![(list("ads", Role::Block), rules)], Policy::default());
    for (text, want, reason) in [
        ("ads.example", Action::Nxdomain, Reason::List),
        ("good.ads.example", Action::Allow, Reason::Allowlist),
        ("a.bad.good.ads.example", Action::Nxdomain, Reason::List),
        ("x.bad.good.ads.example", Action::Nxdomain, Reason::List),
        ("y.bad.good.ads.example", Action::Allow, Reason::Allowlist),
    ] {
        let verdict = run(&mut filter, &asked(text)).1;
        assert_eq!((verdict.action, verdict.reason()), (want, Some(reason)), "{text}");
    }
}

#[test]
fn conditions_on_client_type_and_name_hold_and_nothing_is_cached_across_them() {
    let of_client = |clients| Conditions { clients, ..Conditions::default() };
    let rules = vec![
        when(on("kids.example"), of_client(vec![ClientIs::In("10.1.0.0/16".parse().unwrap())])),
        when(on("tv.example"), of_client(vec![ClientIs::Named("TV".into())])),
        when(on("v6.example"), Conditions { types: vec![rtype::AAAA], ..Conditions::default() }),
        when(on("not4.example"), Conditions { not_types: vec![rtype::A], ..Conditions::default() }),
        when(
            on("most.example"),
            Conditions { except: vec![name("not.most.example")], ..Conditions::default() },
        ),
    ];
    let tv = NamedClient { name: "tv".into(), nets: vec!["10.2.0.9/32".parse().unwrap()] };
    let policy = Policy { clients: vec![tv], ..Policy::default() };
    let mut filter = filter_of(vec![(list("some", Role::Block), rules)], policy);
    for _ in 0..2 {
        for (text, qtype, client, stops) in [
            ("kids.example", 1, "10.1.2.3", true),
            ("kids.example", 1, "10.2.2.3", false),
            ("tv.example", 1, "10.2.0.9", true),
            ("tv.example", 1, "10.2.0.8", false),
            ("v6.example", 28, "10.1.2.3", true),
            ("v6.example", 1, "10.1.2.3", false),
            ("not4.example", 1, "10.1.2.3", false),
            ("not4.example", 65, "10.1.2.3", true),
            ("a.most.example", 1, "10.1.2.3", true),
            ("a.not.most.example", 1, "10.1.2.3", false),
        ] {
            let question = Question { qtype, client, ..asked(text) };
            assert_eq!(action(&mut filter, &question).stops(), stops, "{text} {qtype} {client}");
        }
    }
}

#[test]
fn a_client_with_a_rule_of_its_own_never_gets_anothers_cached_verdict() {
    let rule = |net: &str, effect| Rule {
        trigger: Trigger::Client(net.parse().unwrap()),
        effect,
        conditions: Conditions::default(),
    };
    let rules = vec![
        rule("10.0.0.66/32", Effect::Stop(Action::Refused)),
        rule("10.0.0.7/32", Effect::Allow),
        on("ads.example"),
    ];
    let mut filter = filter_of(vec![(list("rpz", Role::Block), rules)], Policy::default());
    for _ in 0..2 {
        for (text, client, want) in [
            ("any.example", "10.0.0.1", Action::Allow),
            ("any.example", "10.0.0.66", Action::Refused),
            ("ads.example", "10.0.0.1", Action::Nxdomain),
            ("ads.example", "10.0.0.7", Action::Allow),
        ] {
            assert_eq!(action(&mut filter, &Question { client, ..asked(text) }), want, "{text} {client}");
        }
    }
}

#[test]
fn a_pattern_blocks_what_it_matches_and_a_listed_exception_frees_it() {
    let pattern = |text: &str, effect| Rule {
        trigger: Trigger::Pattern(text.into()),
        effect,
        conditions: Conditions::default(),
    };
    let rules = vec![
        pattern("^ad[0-9]+\\.", Effect::Listed),
        with(on("ok.example"), Effect::Allow),
        on("wide.example"),
        pattern("^fine", Effect::Allow),
    ];
    let mut filter = filter_of(vec![(list("regex", Role::Block), rules)], Policy::default());
    let verdict = run(&mut filter, &asked("ad12.some.example")).1;
    assert_eq!(verdict.action, Action::Nxdomain);
    assert!(verdict.trace.iter().any(|line| line.said == "listed by regex as /^ad[0-9]+\\./"), "{verdict:?}");
    assert_eq!(action(&mut filter, &asked("ad12.ok.example")), Action::Allow);
    assert_eq!(action(&mut filter, &asked("fine.wide.example")), Action::Allow);
    assert_eq!(action(&mut filter, &asked("bad.example")), Action::Allow);
}

#[test]
fn each_list_blocks_in_its_own_way() {
    let of = |name: &str, action, addresses| {
        let info = ListInfo { action, addresses, ..list(name, Role::Block) };
        (info, vec![on(&format!("{name}.example"))])
    };
    let custom = Some(("192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()));
    let mut lists = vec![of("group", None, None), of("custom", Some(Action::Custom), custom)];
    for action in [Action::Nodata, Action::Null, Action::Refused, Action::Drop, Action::Honeypot] {
        lists.push(of(action.as_str(), Some(action), None));
    }
    let mut filter = filter_of(lists, Policy::default());
    for want in [Action::Nodata, Action::Null, Action::Refused, Action::Drop, Action::Honeypot] {
        assert_eq!(action(&mut filter, &asked(&format!("{}.example", want.as_str()))), want);
    }
    assert_eq!(action(&mut filter, &asked("group.example")), Action::Nxdomain);
    let of_type = |qtype| Question { qtype, ..asked("custom.example") };
    let v4 = records(&run(&mut filter, &of_type(rtype::A)).0);
    assert_eq!(v4, [Data::Address("192.0.2.9".parse().unwrap())]);
    let v6 = records(&run(&mut filter, &of_type(rtype::AAAA)).0);
    assert_eq!(v6, [Data::Address("2001:db8::9".parse().unwrap())]);
    let https = records(&run(&mut filter, &of_type(rtype::HTTPS)).0);
    assert!(matches!(&https[..], [Data::Svcb { hints, .. }] if hints.len() == 2), "{https:?}");
    assert!(records(&run(&mut filter, &of_type(rtype::TXT)).0).is_empty());
}

#[test]
fn records_of_its_own_are_answered_by_type_and_rules_of_one_name_add_up() {
    let address = |text: &str| Effect::Answer(vec![LocalData::Address(text.parse().unwrap())]);
    let text = LocalData::Record { rtype: rtype::TXT, rdata: b"\x02hi".to_vec() };
    let rules = vec![
        with(on("printer.example"), address("10.0.0.5")),
        with(on("printer.example"), address("10.0.0.6")),
        with(on("printer.example"), Effect::Answer(vec![text])),
    ];
    let mut filter = filter_of(vec![(list("ours", Role::Block), rules)], Policy::default());
    let of_type = |qtype| Question { qtype, ..asked("printer.example") };
    let addresses = ["10.0.0.5", "10.0.0.6"].map(|text| Data::Address(text.parse().unwrap()));
    assert_eq!(records(&run(&mut filter, &of_type(rtype::A)).0), addresses);
    assert_eq!(records(&run(&mut filter, &of_type(rtype::TXT)).0).len(), 1);
    assert_eq!(records(&run(&mut filter, &of_type(rtype::AAAA)).0), []);
    assert_eq!(records(&run(&mut filter, &of_type(rtype::ANY)).0).len(), 3);
}

#[test]
fn an_alias_is_asked_for_upstream_and_its_answer_comes_back_under_the_name_asked() {
    let safe = Effect::Answer(vec![LocalData::Cname(name("safe.example"))]);
    let rules = vec![with(on("www.search.example"), safe)];
    let mut filter = filter_of(vec![(list("safe", Role::Block), rules)], Policy::default());
    let host = &mut Scripted::default();
    let question = asked("www.search.example");
    let (sent, client) = (wire(&question), question.client.parse().unwrap());
    let outcome = filter.ask(
        host,
        Ticket(1),
        Asked { wire: &sent, client, identity: &Identity::default(), door: "udp" },
    );
    let Outcome::PassAs(passed) = outcome else { panic!("{outcome:?}") };
    assert_eq!(decode_query(&passed).unwrap().question.name.as_str(), "safe.example");
    let mut upstream = passed.clone();
    (upstream[2], upstream[3], upstream[7]) = (0x81, 0x80, 1);
    upstream.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xcb\x00\x71\x05");
    let answer = filter.answered(host, Ticket(1), &upstream).unwrap();
    let want = [Data::Cname(name("safe.example")), Data::Address("203.0.113.5".parse().unwrap())];
    assert_eq!(records(&answer), want);
    let verdict = filter.spool().take().unwrap().verdict;
    assert_eq!((verdict.action, verdict.reason()), (Action::Custom, Some(Reason::List)));
    let cname = Question { qtype: rtype::CNAME, ..question };
    assert_eq!(records(&run(&mut filter, &cname).0), [Data::Cname(name("safe.example"))]);
}

#[test]
fn tcp_only_cuts_over_udp_and_does_nothing_elsewhere() {
    let rules = vec![with(on("slow.example"), Effect::TcpOnly)];
    let mut filter = filter_of(vec![(list("rpz", Role::Block), rules)], Policy::default());
    for _ in 0..2 {
        let (outcome, verdict) = run(&mut filter, &asked("slow.example"));
        let Outcome::Answer(answered) = outcome else { panic!("{outcome:?}") };
        assert_eq!(verdict.action, Action::Custom);
        assert_ne!(u16::from_be_bytes([answered.wire[2], answered.wire[3]]) & flag::TC, 0);
        for door in ["tcp", "doh"] {
            assert_eq!(action(&mut filter, &Question { door, ..asked("slow.example") }), Action::Allow);
        }
    }
}

#[test]
fn a_list_in_log_mode_says_what_it_would_do_and_stands_in_nobodys_way() {
    let logs = ListInfo { mode: Mode::Log, ..list("trial", Role::Block) };
    let off = ListInfo { mode: Mode::Off, ..list("off", Role::Block) };
    let lists = vec![
        (logs, vec![on("both.example"), on("a.trial.example")]),
        (list("real", Role::Block), vec![on("example.both.example"), on("both.example")]),
        (off, vec![on("off.example")]),
    ];
    let mut filter = filter_of(lists, Policy::default());
    let verdict = run(&mut filter, &asked("a.trial.example")).1;
    assert_eq!((verdict.action, verdict.would), (Action::Allow, Some(Action::Nxdomain)));
    assert_eq!((verdict.reason(), verdict.rule.as_deref()), (Some(Reason::List), Some("trial")));
    let verdict = run(&mut filter, &asked("both.example")).1;
    assert_eq!((verdict.action, verdict.rule.as_deref()), (Action::Nxdomain, Some("real")));
    let verdict = run(&mut filter, &asked("off.example")).1;
    assert_eq!((verdict.action, verdict.would), (Action::Allow, None));
}

#[test]
fn a_revoked_rule_is_gone_from_every_list() {
    let mut builder = Builder::new(3, [4; 16]);
    for name in ["one", "two"] {
        let list = builder.list(name, Role::Block, "");
        builder.add_rule(list, &on("mistake.example")).unwrap();
        builder.add_rule(list, &on("meant.example")).unwrap();
    }
    builder.revoke(&on("mistake.example"));
    let snapshot = Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap();
    assert!(snapshot.lookup(&name("mistake.example")).is_empty());
    assert_eq!(snapshot.lookup(&name("meant.example")).len(), 2);
}

#[test]
fn a_pause_softens_a_group_but_not_the_law_until_it_ends() {
    let lists = vec![
        (list("ads", Role::Block), vec![on("ads.example")]),
        (list("court", Role::Mandatory), vec![on("court.example")]),
    ];
    let kids =
        Group { name: "kids".into(), clients: vec!["10.1.0.0/16".parse().unwrap()], ..Group::default() };
    let pause = Pause { group: "kids".into(), until_ms: 10_000 };
    let groups = vec![kids, Group::default()];
    let mut filter = filter_of(lists, Policy { groups, pauses: vec![pause], ..Policy::default() });
    let host = &mut Scripted::default();
    let mut at = |now_ms: u64, text: &str, client: &str| {
        host.now_ms = now_ms;
        let sent = wire(&asked(text));
        filter.ask(
            host,
            Ticket(1),
            Asked {
                wire: &sent,
                client: client.parse().unwrap(),
                identity: &Identity::default(),
                door: "udp",
            },
        );
        filter.end(host, Ticket(1));
        let verdict = filter.spool().take().unwrap().verdict;
        (verdict.action, verdict.would)
    };
    let blocked = (Action::Nxdomain, None);
    assert_eq!(at(9_000, "ads.example", "10.1.0.1"), (Action::Allow, Some(Action::Nxdomain)));
    assert_eq!(at(9_000, "court.example", "10.1.0.1"), blocked);
    assert_eq!(at(9_000, "ads.example", "10.2.0.1"), blocked);
    assert_eq!(at(10_000, "ads.example", "10.1.0.1"), blocked, "over, at once");
}

#[test]
fn an_answered_address_sets_off_its_rule() {
    let rule = |net: &str, effect| Rule {
        trigger: Trigger::Address(net.parse().unwrap()),
        effect,
        conditions: Conditions::default(),
    };
    let rules = vec![rule("203.0.113.0/24", Effect::Listed), rule("203.0.113.8/32", Effect::Allow)];
    let mut filter = filter_of(vec![(list("rpz", Role::Block), rules)], Policy::default());
    for (last, stops) in [(7, true), (8, false)] {
        let host = &mut Scripted::default();
        let sent = wire(&asked("any.example"));
        let client = "192.0.2.7".parse().unwrap();
        assert_eq!(
            filter.ask(
                host,
                Ticket(1),
                Asked { wire: &sent, client, identity: &Identity::default(), door: "udp" }
            ),
            Outcome::Pass
        );
        let mut upstream = sent.clone();
        (upstream[2], upstream[3], upstream[7]) = (0x81, 0x80, 1);
        upstream.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xcb\x00\x71");
        upstream.push(last);
        assert_eq!(filter.answered(host, Ticket(1), &upstream).is_some(), stops, "{last}");
        let verdict = filter.spool().take().unwrap().verdict;
        let said = verdict.trace.iter().find(|line| line.step == Step::Response).map(|line| &*line.said);
        let want = "answered with 203.0.113.7, listed by rpz as address 203.0.113.0/24";
        assert_eq!(said, stops.then_some(want));
    }
}

#[test]
fn a_group_stops_types_for_every_name_and_no_cached_verdict_slips_through() {
    let group = Group {
        nodata_types: vec![QueryType(rtype::HTTPS)],
        refused_types: vec![QueryType(rtype::ANY)],
        ..Group::default()
    };
    let policy = Policy { groups: vec![group], ..Policy::default() };
    let mut filter = filter_of(vec![(list("ads", Role::Block), vec![on("ads.example")])], policy);
    for _ in 0..2 {
        for (qtype, want, reason) in [
            (rtype::A, Action::Allow, None),
            (rtype::HTTPS, Action::Nodata, Some(Reason::Rule)),
            (rtype::ANY, Action::Refused, Some(Reason::Rule)),
        ] {
            let verdict = run(&mut filter, &Question { qtype, ..asked("any.example") }).1;
            assert_eq!((verdict.action, verdict.reason()), (want, reason), "{qtype}");
        }
    }
}

#[test]
fn the_extended_error_says_whether_an_answer_is_forged_or_kept_back() {
    let custom = Some(("192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()));
    let court =
        ListInfo { action: Some(Action::Custom), addresses: custom, ..list("court", Role::Mandatory) };
    let moved = ListInfo { action: Some(Action::Custom), addresses: custom, ..list("moved", Role::Block) };
    let address = LocalData::Address("10.0.0.5".parse().unwrap());
    let rules = vec![
        on("ads.example"),
        with(on("nas.example"), Effect::Answer(vec![address])),
        with(on("tcp.example"), Effect::TcpOnly),
    ];
    let lists = vec![
        (court, vec![on("court.example")]),
        (moved, vec![on("moved.example")]),
        (list("ads", Role::Block), rules),
    ];
    let mut filter = filter_of(lists, Policy::default());
    for (text, want) in [
        ("court.example", Some(16)),
        ("moved.example", Some(4)),
        ("nas.example", Some(4)),
        ("ads.example", Some(15)),
        ("tcp.example", None),
    ] {
        let mut wire = wire(&asked(text));
        wire[11] = 1;
        wire.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        let (client, identity) = ("192.0.2.7".parse().unwrap(), &Identity::default());
        let asked = Asked { wire: &wire, client, identity, door: "udp" };
        let outcome = filter.ask(&mut Scripted::default(), Ticket(1), asked);
        let Outcome::Answer(answered) = outcome else { panic!("{text}: {outcome:?}") };
        // The option is the last thing of the message: 15, length, code, text.
        let said = answered.wire.windows(2).position(|pair| pair == [0, 15]);
        let said = said.filter(|at| answered.wire.len() == at + 4 + usize::from(answered.wire[at + 3]));
        assert_eq!(said.map(|at| answered.wire[at + 5]), want, "{text}");
        filter.end(&mut Scripted::default(), Ticket(1));
    }
}

#[test]
fn a_list_of_a_schedule_holds_in_its_window_only() {
    let schedule = Schedule { lists: vec!["games".into()], to_minute: 60, ..Schedule::default() };
    let group = Group { schedules: vec![schedule], ..Group::default() };
    let lists = vec![(list("games", Role::Block), vec![on("games.example")])];
    let mut filter = filter_of(lists, Policy { groups: vec![group], ..Policy::default() });
    let host = &mut Scripted::default();
    for (minute, want) in [(59, Action::Nxdomain), (60, Action::Allow), (1_440, Action::Nxdomain)] {
        host.now_ms = minute * 60_000;
        let sent = wire(&asked("games.example"));
        let (client, identity) = ("192.0.2.7".parse().unwrap(), &Identity::default());
        filter.ask(host, Ticket(1), Asked { wire: &sent, client, identity, door: "udp" });
        filter.end(host, Ticket(1));
        assert_eq!(filter.spool().take().unwrap().verdict.action, want, "minute {minute}");
    }
}

#[test]
fn discovery_is_told_of_our_own_doors() {
    let door =
        Designated { name: "dns.example".into(), protocols: vec!["h2".into()], ..Designated::default() };
    let mut filter = filter_of(vec![], Policy { designated: vec![door], ..Policy::default() });
    let question = Question { qtype: rtype::SVCB, ..asked("_dns.resolver.arpa") };
    let found = records(&run(&mut filter, &question).0);
    assert!(
        matches!(&found[..], [Data::Svcb { target, .. }] if target.as_str() == "dns.example"),
        "{found:?}"
    );
    let a = run(&mut filter, &asked("_dns.resolver.arpa")).0;
    assert_eq!(records(&a), [], "NODATA for other types");
    let mut filter = filter_of(vec![], Policy::default());
    assert_eq!(action(&mut filter, &question), Action::Nodata, "no doors to tell of");
}

#[test]
fn a_stopped_type_never_goes_before_the_law() {
    let group = Group { nodata_types: vec![QueryType(rtype::A)], ..Group::default() };
    let pauses = vec![Pause { group: String::new(), until_ms: 10_000 }];
    let lists = vec![(list("court", Role::Mandatory), vec![on("court.example")])];
    let mut filter = filter_of(lists, Policy { groups: vec![group], pauses, ..Policy::default() });
    let verdict = run(&mut filter, &asked("court.example")).1;
    assert_eq!((verdict.action, verdict.reason()), (Action::Nxdomain, Some(Reason::Mandatory)));
    let verdict = run(&mut filter, &asked("other.example")).1;
    assert_eq!((verdict.action, verdict.would), (Action::Allow, Some(Action::Nodata)), "paused");
}
