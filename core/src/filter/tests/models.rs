//! The steps that guess: look-alikes, the small model (the shipped artifact), the scorer (a script), and what
//! holds them back.

use std::sync::LazyLock;

use super::*;
use crate::lists::Scope;
use crate::model::{Brands, Model};
use crate::schema::ScoreReply;
use crate::snapshot::ListInfo;

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    zstd::decode_all(&include_bytes!("../../../../models/artifacts/small/model.dvm.zst")[..]).unwrap()
});

/// Names of the three kinds that the small model makes: it allows, blocks, leaves open.
pub(super) struct Kinds {
    pub(super) benign: String,
    pub(super) malicious: String,
    pub(super) open: Vec<String>,
}

pub(super) fn kinds() -> Kinds {
    let model = Model::decode(&SMALL).unwrap();
    let (low, high) = (model.thresholds().allow_below, model.thresholds().block_above.max(0.9));
    let mut state = 7u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 33) % 26) as u8)
    };
    let names = (0..4_000).map(|i| {
        let label: String = (0..5 + i % 14).map(|_| letter()).collect();
        format!("{label}.{}", ["com", "top", "biz", "xyz", "de"][i % 5])
    });
    let (mut benign, mut malicious, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        match model.probability(model.logit(&name), Policy::default().prior) {
            p if p < low * 0.9 => benign.push(name),
            p if p > high => malicious.push(name),
            p if p > low * 1.1 && p < high * 0.99 => open.push(name),
            _ => {}
        }
    }
    assert!(open.len() >= 100, "{} names are left open", open.len());
    Kinds { benign: benign.swap_remove(0), malicious: malicious.swap_remove(0), open }
}

/// A filter with the small model, `popular` in two popular lists, and a brand.
pub(super) fn with_model(popular: &str, policy: Policy) -> Filter {
    let mut builder = builder();
    for list in ["first", "second"] {
        let list = builder.list(list, Role::Popular, "MIT");
        builder.add(list, &name(popular), Scope::Suffix);
    }
    builder.small_model(SMALL.clone()).brands(Brands::from_popular(["paypal.com"]).encode());
    filter(&mut builder, policy)
}

fn skipping(step: Option<Step>, change: impl FnOnce(&mut Group)) -> Policy {
    Policy { skip_steps: step.into_iter().collect(), ..policy(change) }
}

pub(super) fn ask(filter: &mut Filter, host: &mut Scripted, ticket: u32, text: &str) -> Outcome {
    let wire = question(text, rtype::A);
    filter.ask(
        host,
        Ticket(ticket),
        Asked { wire: &wire, client: CLIENT, identity: &Identity::default(), door: "udp" },
    )
}

pub(super) fn scorer_says(name: &str, class: &str, p: f64) -> Reply {
    let result = ScoreResult {
        name: name.into(),
        score: Some(p),
        p: Some(p),
        class: Some(class.into()),
        ..ScoreResult::default()
    };
    let reply = ScoreReply { model: "large@1".into(), device: "cpu".into(), results: vec![result] };
    Reply { status: 200, headers: Vec::new(), body: serde_json::to_vec(&reply).unwrap() }
}

/// Asks, lets the scorer answer if it is asked, and returns what was recorded.
fn with_scorer(filter: &mut Filter, text: &str, reply: &Reply) -> (Action, Option<Reason>) {
    let host = &mut Scripted::default();
    if ask(filter, host, 1, text) == Outcome::Wait {
        assert_eq!(filter.on_reply(host, CalloutId(0), reply).len(), 1);
    }
    filter.end(host, Ticket(1));
    decided(&filter.spool.take().unwrap().verdict)
}

#[test]
fn each_step_that_guesses_changes_an_answer() {
    let kinds = kinds();
    let open = kinds.open[0].as_str();
    let blocked = |reason| (Action::Nxdomain, Some(reason));
    let allowed = |reason| (Action::Allow, Some(reason));
    let malicious = kinds.malicious.as_str();
    for (step, text, popular, with) in [
        (Step::LookAlike, "paypa1.com", "x.example", blocked(Reason::LookAlike)),
        (Step::Model, malicious, "x.example", blocked(Reason::Model)),
        (Step::Popular, malicious, malicious, allowed(Reason::Popular)),
        (Step::Scorer, open, "x.example", blocked(Reason::Model)),
    ] {
        let verdict = |skip| {
            let mut filter = with_model(popular, skipping(skip, |_| {}));
            with_scorer(&mut filter, text, &scorer_says(text, "malicious", 0.99))
        };
        assert_eq!(verdict(None), with, "{text}");
        assert_ne!(verdict(Some(step)), with, "{text} without {step:?}");
    }
    // No callout in the budget: the registrable domain's own score decides.
    let verdict = |skip| {
        let mut filter = with_model("x.example", skipping(skip, |group| group.client_callouts_per_s = 0));
        with_scorer(&mut filter, open, &scorer_says(open, "malicious", 0.99))
    };
    assert_eq!(verdict(None), allowed(Reason::Budget));
    let mut filter = with_model("x.example", policy(|group| group.client_callouts_per_s = 0));
    let host = &mut Scripted::default();
    ask(&mut filter, host, 1, open);
    assert_eq!(host.counters.get(&Counter::BudgetExceeded), Some(&1));
    assert_eq!(verdict(Some(Step::Budget)), blocked(Reason::Model));
    // A scorer that is not sure blocks nothing.
    let verdict = |skip| {
        let mut filter = with_model("x.example", skipping(skip, |_| {}));
        with_scorer(&mut filter, open, &scorer_says(open, "malicious", 0.7))
    };
    assert_eq!(verdict(None), allowed(Reason::NotConfident));
    assert_eq!(verdict(Some(Step::Confidence)), blocked(Reason::Model));
    let benign = with_scorer(&mut with_model("x.example", policy(|_| {})), &kinds.benign, &Reply::nothing());
    assert_eq!(benign, allowed(Reason::Model));
}

#[test]
fn group_and_mode_change_an_answer() {
    let lists = |skip, mode| {
        let mut filter = with_model("x.example", skipping(skip, |group| group.lists = mode));
        decided(&verdict(&mut filter, &mut Scripted::default(), "blocked.example")).0
    };
    assert_eq!(lists(None, Mode::Off), Action::Allow);
    assert_eq!(lists(Some(Step::Group), Mode::Off), Action::Nxdomain, "the default group enforces");
    assert_eq!(lists(None, Mode::Log), Action::Allow);
    assert_eq!(lists(Some(Step::Mode), Mode::Log), Action::Nxdomain, "nothing wraps the list");
}

#[test]
fn what_the_scorer_says_decides_and_garbage_is_a_failure() {
    let kinds = kinds();
    let text = kinds.open[1].as_str();
    let of = |reply: &Reply| with_scorer(&mut with_model("x.example", policy(|_| {})), text, reply);
    assert_eq!(of(&scorer_says(text, "benign", 0.01)), (Action::Allow, Some(Reason::Model)));
    assert_eq!(of(&scorer_says(text, "benign", 0.3)), (Action::Allow, Some(Reason::NotConfident)));
    assert_eq!(of(&scorer_says(text, "uncertain", 0.5)), (Action::Allow, Some(Reason::NotConfident)));
    let failure = (Action::Allow, Some(Reason::Failure));
    assert_eq!(of(&Reply::nothing()), failure, "timeout");
    assert_eq!(of(&Reply { status: 500, ..scorer_says(text, "benign", 0.01) }), failure);
    assert_eq!(of(&scorer_says("other.example", "benign", 0.01)), failure, "another name's score");
    assert_eq!(of(&scorer_says(text, "malicious", 1.5)), failure, "no probability");
    assert_eq!(of(&Reply { body: b"{]".to_vec(), ..scorer_says(text, "benign", 0.01) }), failure);
}

#[test]
fn models_in_log_mode_refuse_nothing_when_the_scorer_fails() {
    let kinds = kinds();
    let text = kinds.open[8].as_str();
    let of = |mode| {
        let deny = policy(|group| (group.models, group.failure_mode) = (mode, FailureMode::Deny));
        with_scorer(&mut with_model("x.example", deny), text, &Reply::nothing())
    };
    assert_eq!(of(Mode::Enforce), (Action::Refused, Some(Reason::Failure)));
    assert_eq!(of(Mode::Log), (Action::Allow, Some(Reason::Failure)));
}

#[test]
fn a_verdict_of_the_snapshot_before_is_not_kept() {
    let kinds = kinds();
    let text = kinds.open[9].as_str();
    let mut filter = with_model("x.example", policy(|_| {}));
    let host = &mut Scripted::default();
    assert_eq!(ask(&mut filter, host, 1, text), Outcome::Wait);
    let mut newer = builder();
    newer.vet(Vetted {
        name: text.into(),
        decision: Decision::Malicious,
        exact: false,
        author: "a".into(),
        time_ms: 1,
    });
    let bytes = newer.small_model(SMALL.clone()).policy(policy(|_| {})).serial(2).build(None).unwrap();
    filter.set_snapshot(Snapshot::open(Bytes::from(bytes), &[]).unwrap()).unwrap();
    filter.on_reply(host, CalloutId(0), &scorer_says(text, "benign", 0.01));
    assert!(matches!(ask(&mut filter, host, 2, text), Outcome::Answer(_)), "the decision is in force");
}

#[test]
fn questions_for_one_name_wait_for_one_callout_and_its_score_is_kept() {
    let kinds = kinds();
    let text = kinds.open[2].as_str();
    let mut filter = with_model("x.example", policy(|_| {}));
    let host = &mut Scripted { now_ms: 1_000, ..Scripted::default() };
    for ticket in 1..=3 {
        assert_eq!(ask(&mut filter, host, ticket, text), Outcome::Wait);
    }
    assert_eq!(host.callouts.len(), 1);
    let settled = filter.on_reply(host, CalloutId(0), &scorer_says(text, "malicious", 0.99));
    let tickets: Vec<u32> = settled.iter().map(|(ticket, _)| ticket.0).collect();
    assert_eq!(tickets, [1, 2, 3]);
    assert!(settled.iter().all(|(_, outcome)| matches!(outcome, Outcome::Answer(_))), "{settled:?}");
    assert!(filter.on_reply(host, CalloutId(0), &Reply::nothing()).is_empty(), "a reply counts once");
    host.now_ms += 120_000;
    assert!(
        matches!(ask(&mut filter, host, 4, text), Outcome::Answer(_)),
        "the verdict is old, the score is not"
    );
    assert_eq!(host.callouts.len(), 1);
    assert_eq!(host.counters.get(&Counter::ScoreCacheHits), Some(&1));
}

#[test]
fn a_client_that_leaves_takes_its_callout_along_and_the_others_are_decided() {
    let kinds = kinds();
    let text = kinds.open[3].as_str();
    let mut filter = with_model("x.example", policy(|_| {}));
    let host = &mut Scripted::default();
    for ticket in 1..=3 {
        ask(&mut filter, host, ticket, text);
    }
    assert!(filter.end(host, Ticket(2)).is_empty(), "one that only waited");
    assert_eq!(filter.end(host, Ticket(1)), [(Ticket(3), Outcome::Pass)], "the failure mode allows");
    assert!(filter.on_reply(host, CalloutId(0), &scorer_says(text, "malicious", 0.99)).is_empty());
    filter.end(host, Ticket(3));
    assert_eq!(filter.spool.len(), 3, "each question is one event");
}

#[test]
fn a_scorer_that_fails_again_and_again_is_left_alone_and_callouts_in_flight_are_bounded() {
    let kinds = kinds();
    let mut filter = with_model("x.example", policy(|group| group.client_callouts_per_s = 1_000));
    let host = &mut Scripted { now_ms: 1_000, ..Scripted::default() };
    for (ticket, text) in (0..).zip(&kinds.open[..5]) {
        assert_eq!(ask(&mut filter, host, ticket, text), Outcome::Wait);
        filter.on_reply(host, CalloutId(ticket), &Reply::nothing());
    }
    assert_eq!(ask(&mut filter, host, 5, &kinds.open[5]), Outcome::Pass, "the breaker is open");
    host.now_ms += 1_000;
    assert_eq!(ask(&mut filter, host, 6, &kinds.open[6]), Outcome::Wait, "one tries again");
    assert_eq!(ask(&mut filter, host, 7, &kinds.open[7]), Outcome::Pass, "only one");

    let mut filter = with_model("x.example", policy(|group| group.client_callouts_per_s = 1_000));
    filter.config.scorer_in_flight = 2;
    let host = &mut Scripted::default();
    let outcomes: Vec<Outcome> =
        (0..).zip(&kinds.open[..4]).map(|(ticket, text)| ask(&mut filter, host, ticket, text)).collect();
    assert_eq!(outcomes, [Outcome::Wait, Outcome::Wait, Outcome::Pass, Outcome::Pass]);
}

#[test]
fn one_client_after_another_may_be_forgotten() {
    let kinds = kinds();
    let mut filter = with_model("x.example", policy(|group| group.client_callouts_per_s = 1));
    let host = &mut Scripted::default();
    let mut ask = |filter: &mut Filter, at: usize| ask(filter, host, at as u32, &kinds.open[at]);
    assert_eq!([0, 1, 2].map(|at| ask(&mut filter, at)), [Outcome::Wait, Outcome::Wait, Outcome::Pass]);
    filter.forget_clients();
    assert_eq!(ask(&mut filter, 3), Outcome::Wait);
}

#[test]
fn a_name_on_a_list_that_only_logs_still_waits_for_a_person() {
    let kinds = kinds();
    let open = kinds.open[0].as_str();
    let mut builder = builder();
    let logs = ListInfo { name: "trial".into(), mode: Mode::Log, ..ListInfo::default() };
    let list = builder.add_list(logs);
    builder.add(list, &name(open), Scope::Suffix).small_model(SMALL.clone());
    let mut filter = filter(&mut builder, policy(|_| {}));
    let host = &mut Scripted::default();
    ask(&mut filter, host, 1, open);
    filter.on_reply(host, CalloutId(0), &scorer_says(open, "uncertain", 0.5));
    filter.end(host, Ticket(1));
    let event = filter.spool.take().unwrap();
    assert_eq!(event.verdict.reasons, [Reason::List, Reason::NotConfident]);
    assert!(event.not_confident && host.counters[&Counter::NotConfident] == 1);
}
