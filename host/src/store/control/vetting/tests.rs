use super::super::ControlStore as _;
use super::super::proposals::MOST_PROPOSED_BY_ONE;
use super::super::tests::open;
use super::*;

const T: Tenant = Tenant::DEFAULT;

fn row(name: &str, decision: Decision, author: &str, time_ms: u64) -> VettedRow {
    let (name, author, before) = (name.into(), author.into(), Decision::None);
    VettedRow { name, decision, scope: Scope::Suffix, author, time_ms, before, confirmed_by: None }
}

/// Decides with a limit of two within 100 ms; popular are the names that say so.
fn decide(control: &SqliteControl, rows: &[VettedRow]) -> Vec<Outcome> {
    let asked: Vec<Asked> =
        rows.iter().map(|row| Asked { popular: row.name.starts_with("popular"), row: row.clone() }).collect();
    let limit = Some(Limit { most: 2, since_ms: rows[0].time_ms.saturating_sub(100) });
    control.decide_all(T, Batch { asked: &asked, limit, whole: None }).unwrap()
}

fn one(control: &SqliteControl, name: &str, decision: Decision, author: &str, time_ms: u64) -> Outcome {
    decide(control, &[row(name, decision, author, time_ms)]).remove(0)
}

fn why(outcome: &Outcome) -> Option<Why> {
    match outcome {
        Outcome::InForce(_) => None,
        Outcome::Proposed(proposal) => Some(proposal.why),
    }
}

fn in_force(control: &SqliteControl) -> Vec<(String, Decision, String)> {
    let mut rows: Vec<_> = control.vetted(T).unwrap();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows.into_iter().map(|row| (row.name, row.decision, row.author)).collect()
}

fn second<'a>(who: &'a str, names: &'a [String], time_ms: u64) -> Second<'a> {
    Second { who, names, seen: None, deny: false, alone: false, time_ms }
}

fn refused(result: Result<Vec<VettedRow>, StoreError>) -> VettingError {
    match result.unwrap_err() {
        StoreError::Vetting(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn blocking_many_names_is_proposed_until_time_has_passed_and_freeing_never_is() {
    use Decision::{Benign, Honeypot, Malicious, None as Back};
    let (_folder, control) = open();
    assert_eq!(why(&one(&control, "a.example", Malicious, "ana", 1)), None);
    assert_eq!(why(&one(&control, "b.example", Honeypot, "ana", 2)), None);
    assert_eq!(why(&one(&control, "c.example", Malicious, "ana", 3)), Some(Why::Many));
    assert_eq!(why(&one(&control, "a.example", Honeypot, "ana", 4)), None, "no further name");
    assert_eq!(why(&one(&control, "a.example", Back, "ana", 5)), None);
    assert_eq!(
        why(&one(&control, "c.example", Malicious, "ana", 6)),
        Some(Why::Many),
        "taking back buys nothing"
    );
    assert_eq!(why(&one(&control, "d.example", Benign, "ana", 7)), None);
    assert_eq!(why(&one(&control, "e.example", Malicious, "bob", 8)), None, "another author");
    assert_eq!(why(&one(&control, "f.example", Malicious, "ana", 105)), None, "the first two are long ago");
    let names: Vec<String> = in_force(&control).into_iter().map(|row| row.0).collect();
    assert_eq!(names, ["b.example", "d.example", "e.example", "f.example"]);
    let (proposed, count) = control.proposed(T, 9).unwrap();
    assert_eq!((proposed[0].name.as_str(), proposed[0].time_ms, count), ("c.example", 6, 1));
}

#[test]
fn a_popular_name_needs_two_people_and_who_proposed_is_not_the_second() {
    use Decision::{Benign, Honeypot, Malicious};
    let (_folder, control) = open();
    let name = ["popular.example".to_owned()];
    assert_eq!(why(&one(&control, &name[0], Benign, "ana", 1)), None, "benign never waits");
    assert_eq!(why(&one(&control, &name[0], Malicious, "ana", 2)), Some(Why::Popular));
    assert_eq!(why(&one(&control, &name[0], Malicious, "bob", 3)), Some(Why::Popular));
    let (proposed, _) = control.proposed(T, 9).unwrap();
    assert_eq!((proposed[0].author.as_str(), proposed[0].time_ms), ("ana", 2), "the first stays its author");
    let other = [Asked { row: row(&name[0], Honeypot, "bob", 4), popular: true }];
    let limit = Some(Limit { most: 2, since_ms: 0 });
    let otherwise = control.decide_all(T, Batch { asked: &other, limit, whole: None }).unwrap_err();
    assert!(otherwise.to_string().contains("proposed as malicious (suffix) by ana"), "{otherwise}");
    assert_eq!(refused(control.confirm(T, second("ana", &name, 5))), VettingError::Own(name[0].clone()));
    let seen = Second { seen: Some(Honeypot), ..second("bob", &name, 5) };
    assert!(matches!(refused(control.confirm(T, seen)), VettingError::Otherwise { .. }));
    assert_eq!(in_force(&control), [(name[0].clone(), Benign, "ana".into())]);

    let rows = control.confirm(T, second("bob", &name, 6)).unwrap();
    let confirmed = &control.vetted(T).unwrap()[0];
    assert_eq!(rows, std::slice::from_ref(confirmed));
    assert_eq!((confirmed.decision, confirmed.author.as_str(), confirmed.before), (Malicious, "ana", Benign));
    assert_eq!(confirmed.confirmed_by.as_deref(), Some("bob"));
    assert_eq!(
        refused(control.confirm(T, second("bob", &name, 7))),
        VettingError::NotProposed(name[0].clone())
    );
    assert_eq!(why(&one(&control, &name[0], Malicious, "cy", 8)), None, "it is in force already");
    assert_eq!(why(&one(&control, &name[0], Honeypot, "cy", 9)), Some(Why::Popular));
    assert_eq!(why(&one(&control, &name[0], Benign, "bob", 10)), None);
    assert_eq!(control.proposed(T, 9).unwrap().1, 0, "a decision settles what was proposed");
    assert_eq!(control.proposed(Tenant(2), 9).unwrap().1, 0);
}

#[test]
fn proposals_are_confirmed_all_or_none_and_can_be_denied() {
    let (_folder, control) = open();
    for author in ["ana", "bob"] {
        one(&control, &format!("popular.{author}.example"), Decision::Malicious, author, 1);
    }
    let both = ["popular.ana.example".to_owned(), "popular.bob.example".to_owned()];
    assert!(matches!(refused(control.confirm(T, second("bob", &both, 2))), VettingError::Own(_)));
    assert!(in_force(&control).is_empty());
    let deny = Second { deny: true, ..second("bob", &both, 3) };
    assert_eq!(control.confirm(T, deny).unwrap(), [], "one may drop one's own too");
    assert_eq!(control.proposed(T, 9).unwrap().1, 0);
    one(&control, &both[0], Decision::Malicious, "ana", 4);
    let alone = Second { alone: true, ..second("ana", &both[..1], 5) };
    assert_eq!(control.confirm(T, alone).unwrap()[0].confirmed_by, None);
    let trail = control.audit_trail(T, 1).unwrap();
    assert_eq!(trail[0].what, "confirm alone");
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let (_folder, control) = open();
    one(&control, "popular.example", Decision::Honeypot, "bob", 1);
    let rows = ["x.example", "popular.example"].map(|name| row(name, Decision::Malicious, "ana", 2));
    let asked = rows.map(|row| Asked { popular: row.name.starts_with("popular"), row });
    let limit = Some(Limit { most: 9, since_ms: 0 });
    control.decide_all(T, Batch { asked: &asked, limit, whole: Some("both") }).unwrap_err();
    assert!(in_force(&control).is_empty());
    assert_eq!(control.audit_trail(T, 9).unwrap().len(), 1, "bob's");
}

#[test]
fn proposals_of_one_author_are_bounded_and_leave_room_for_others() {
    let (_folder, control) = open();
    let flood: Vec<VettedRow> = (0..MOST_PROPOSED_BY_ONE)
        .map(|n| row(&format!("popular{n}.example"), Decision::Malicious, "ana", 1))
        .collect();
    for part in flood.chunks(500) {
        decide(&control, part);
    }
    let more = [Asked { row: row("popular.example", Decision::Malicious, "ana", 2), popular: true }];
    let limit = Some(Limit { most: 2, since_ms: 0 });
    let full = control.decide_all(T, Batch { asked: &more, limit, whole: None }).unwrap_err().to_string();
    assert!(full.contains("2000 proposals"), "{full}");
    assert_eq!(why(&one(&control, "popular.example", Decision::Malicious, "bob", 3)), Some(Why::Popular));
    assert_eq!(control.proposed(T, 9).unwrap().1, MOST_PROPOSED_BY_ONE as u64 + 1);
}

#[test]
fn undo_takes_one_authors_decisions_out_of_every_chain() {
    use Decision::{Benign, Honeypot, Malicious, None as Back};
    let (_folder, control) = open();
    let far = 1_000;
    // Restored to what bob decided; left undecided; kept, since bob decided later; brought back after `none`.
    one(&control, "early.example", Malicious, "ana", 3);
    one(&control, "over.example", Benign, "bob", 1);
    one(&control, "over.example", Malicious, "ana", far);
    one(&control, "over.example", Honeypot, "ana", far + 1);
    one(&control, "fresh.example", Malicious, "ana", far + 200);
    one(&control, "under.example", Malicious, "ana", far + 400);
    one(&control, "under.example", Benign, "bob", far + 401);
    one(&control, "gone.example", Malicious, "bob", 2);
    one(&control, "gone.example", Back, "ana", far + 500);
    one(&control, "popular.example", Malicious, "ana", far + 600);
    let undone = control.undo(T, "ana", 500..=u64::MAX, "root", 5_000).unwrap();
    let restored: Vec<(&str, Decision)> =
        undone.restored.iter().map(|restored| (restored.name.as_str(), restored.decision)).collect();
    assert_eq!(restored, [("fresh.example", Back), ("gone.example", Malicious), ("over.example", Benign)]);
    assert_eq!(
        (undone.kept, undone.proposals),
        (vec!["under.example".to_owned()], vec!["popular.example".into()])
    );
    let want = [
        ("early.example", Malicious, "ana"),
        ("gone.example", Malicious, "bob"),
        ("over.example", Benign, "bob"),
        ("under.example", Benign, "bob"),
    ];
    assert_eq!(in_force(&control), want.map(|(name, what, who)| (name.into(), what, who.into())));
    let under = control.vetted(T).unwrap().into_iter().find(|row| row.name == "under.example").unwrap();
    assert_eq!(under.before, Back, "bob's decision now stands over none");

    let undone = control.undo(T, "bob", 500..=u64::MAX, "root", 5_001).unwrap();
    assert_eq!((undone.restored[0].name.as_str(), undone.restored[0].decision), ("under.example", Back));
    assert!(in_force(&control).iter().all(|row| row.0 != "under.example"), "ana's does not come back");
    assert_eq!(control.undo(T, "ana", 500..=u64::MAX, "root", 5_002).unwrap(), Undone::default());
    let trail = control.audit_trail(T, 99).unwrap();
    let lines = |what: &str| trail.iter().filter(|line| line.what == what && line.author == "root").count();
    assert_eq!((lines("undo"), lines("undo together")), (5, 3));
}

#[test]
fn a_name_is_asked_for_once_and_counted_and_requests_are_bounded() {
    use super::super::requests::MOST_REQUESTS_BY_ONE;
    let (_folder, control) = open();
    let asked = |name: &str, author: &str, note: &str, at| UnblockAsked {
        name: name.into(),
        author: author.into(),
        note: note.into(),
        asked: 1,
        first_ms: at,
        last_ms: at,
    };
    control.ask_unblock(T, &asked("shop.example", "ana", "I need it", 1)).unwrap();
    let again = control.ask_unblock(T, &asked("shop.example", "bob", "", 2)).unwrap();
    let want = UnblockAsked { asked: 2, last_ms: 2, ..asked("shop.example", "ana", "I need it", 1) };
    assert_eq!(again, want);
    for n in 1..MOST_REQUESTS_BY_ONE {
        control.ask_unblock(T, &asked(&format!("n{n}.example"), "ana", "", 3)).unwrap();
    }
    let full = control.ask_unblock(T, &asked("more.example", "ana", "", 4)).unwrap_err().to_string();
    assert!(full.contains("50 unblock requests"), "{full}");
    control.ask_unblock(T, &asked("shop.example", "ana", "still", 5)).expect("one that is there");
    control.ask_unblock(T, &asked("more.example", "bob", "", 6)).expect("somebody else");
    assert_eq!(control.unblock_requests(T).unwrap().len(), MOST_REQUESTS_BY_ONE + 1);
    assert_eq!(control.close_request(T, "shop.example", "root", "denied", 7).unwrap().note, "still");
    let gone = control.close_request(T, "shop.example", "root", "denied", 8).unwrap_err();
    assert!(matches!(gone, StoreError::Vetting(VettingError::NotAsked(_))), "{gone}");
    let said = &control.audit_trail(T, 1).unwrap()[0];
    assert_eq!(said.detail, "shop.example, asked for 3 times, first by ana: denied");
}
