//! Builders that build again: overlays, and that they say what a fresh build says.

use super::*;

/// 3,000 names in list 0, some of them in others.
fn filled() -> Builder {
    let mut builder = builder();
    for number in 0..3_000 {
        builder.add(0, &name(&format!("n{number}.filler{}.example", number % 700)), Scope::Suffix);
    }
    builder.add(1, &name("n5.filler5.example"), Scope::Suffix).add(
        2,
        &name("n6.filler6.example"),
        Scope::Exact,
    );
    builder.add(3, &name("popular.example"), Scope::Suffix);
    builder
}

fn pieces(snapshot: &Snapshot, kind: Kind) -> Vec<Bytes> {
    snapshot.inner.manifest.section(kind, &snapshot.maps.pieces)
}

fn entries(snapshot: &Snapshot) -> Vec<u64> {
    snapshot.lists().iter().map(|list| list.entries).collect()
}

#[test]
fn a_few_changed_names_leave_every_shard_as_it_was() {
    let mut builder = filled();
    for number in 0..40 {
        builder.add(3, &name(&format!("top{number}.example")), Scope::Suffix);
    }
    let old = open(&mut builder);
    assert!(pieces(&old, Kind::Overlay).is_empty());
    builder.add(0, &name("new.example"), Scope::Exact).add(4, &name("popular.example"), Scope::Suffix);
    builder.clear_list(1).add(1, &name("n7.filler7.example"), Scope::Suffix);
    let new = open(&mut builder);
    for kind in [Kind::NameMap, Kind::Popular] {
        let (old, new) = (pieces(&old, kind), pieces(&new, kind));
        assert_eq!((&old[0], &old[2..]), (&new[0], &new[2..]), "all but the list-set table");
    }
    assert_eq!(
        pieces(&new, Kind::Overlay).iter().map(Bytes::len).collect::<Vec<_>>(),
        [12 + 3 * 12, 12 + 12]
    );
    assert_eq!(found(&new, "new.example"), [(0, "new.example".into(), true)]);
    assert_eq!(found(&new, "x.new.example"), []);
    let lists = |text: &str| found(&new, text).into_iter().map(|(list, ..)| list).collect::<Vec<_>>();
    assert_eq!((lists("n5.filler5.example"), lists("n7.filler7.example")), (vec![0], vec![0, 1]));
    assert_eq!((new.name_count(), new.popularity(&name("popular.example"))), (3_001, 2));
    assert_eq!(entries(&new), [3_001, 1, 1, 41, 1]);
    assert_eq!(old.popularity(&name("popular.example")), 1);
}

#[test]
fn what_is_taken_back_is_absent_and_what_comes_again_needs_no_overlay() {
    let mut builder = filled();
    let first = builder.build(None).unwrap();
    builder.clear_list(2);
    let without = open(&mut builder);
    assert_eq!(found(&without, "n6.filler6.example").len(), 1);
    builder.clear_list(1);
    let all: Vec<Rule> =
        (0..2_999).map(|number| on(&format!("n{number}.filler{}.example", number % 700))).collect();
    assert!(builder.replace_list(0, &all).is_empty());
    let fewer = open(&mut builder);
    assert_eq!((found(&fewer, "n2999.filler199.example"), fewer.name_count()), (vec![], 2_999));
    assert_eq!(entries(&fewer), [2_999, 0, 0, 1, 0]);
    builder.add(0, &name("n2999.filler199.example"), Scope::Suffix);
    builder.add(1, &name("n5.filler5.example"), Scope::Suffix).add(
        2,
        &name("n6.filler6.example"),
        Scope::Exact,
    );
    assert_eq!(builder.build(None).unwrap(), first);
}

fn on(text: &str) -> Rule {
    let trigger = Trigger::Name(name(text), Scope::Suffix);
    Rule { trigger, effect: Effect::Listed, conditions: Conditions::default() }
}

#[test]
fn many_changes_build_the_map_again() {
    let (mut builder, mut fresh) = (filled(), filled());
    builder.build(None).unwrap();
    for number in 0..200 {
        for builder in [&mut builder, &mut fresh] {
            builder.add(0, &name(&format!("more{number}.example")), Scope::Suffix);
        }
        let snapshot = open(&mut builder);
        assert_eq!(pieces(&snapshot, Kind::Overlay).is_empty(), number == 187, "{number}");
        if number == 187 {
            assert_eq!(builder.build(None).unwrap(), fresh.build(None).unwrap(), "as a fresh build");
            break;
        }
    }
}

#[test]
fn a_single_label_in_an_overlay_is_found() {
    let mut builder = filled();
    builder.build(None).unwrap();
    builder.add(0, &name("zip"), Scope::Suffix);
    let snapshot = open(&mut builder);
    assert!(!pieces(&snapshot, Kind::Overlay).is_empty());
    assert_eq!(found(&snapshot, "a.b.zip"), [(0, "zip".into(), false)]);
    builder.clear_list(0);
    assert_eq!(found(&open(&mut builder), "a.b.zip"), []);
}

#[test]
fn rules_patterns_and_revocations_of_a_list_go_with_it() {
    let mut builder = filled();
    let pattern = |text: &str| Rule { trigger: Trigger::Pattern(text.into()), ..on("x.example") };
    let narrowed =
        Rule { conditions: Conditions { types: vec![1], ..Conditions::default() }, ..on("ruled.example") };
    builder.add_rule(0, &pattern("^first")).unwrap();
    builder.add_rule(1, &pattern("^second")).unwrap();
    builder.add_rule(1, &narrowed).unwrap();
    builder.revoke_by(1, &on("n9.filler9.example")).revoke_by(1, &pattern("^first"));
    let with = open(&mut builder);
    let listed = |snapshot: &Snapshot, text: &str| !snapshot.lookup(&name(text)).is_empty();
    let asked = ["first.example", "second.example", "ruled.example", "n9.filler9.example"];
    assert_eq!(asked.map(|text| listed(&with, text)), [false, true, true, false]);
    assert_eq!((with.rule_count(), entries(&with)[0], with.name_count()), (2, 2_999, 3_000));
    builder.clear_list(1);
    let without = open(&mut builder);
    assert_eq!(asked.map(|text| listed(&without, text)), [true, false, false, true]);
    assert_eq!((without.rule_count(), entries(&without)[0]), (1, 3_001));
    assert_eq!(builder.replace_list(1, [pattern("("), pattern("^second")]).len(), 1);
    assert_eq!(asked.map(|text| listed(&open(&mut builder), text)), [true, true, false, true]);
}

#[test]
fn a_revocation_that_went_with_its_list_does_not_hold_for_what_comes_later() {
    let mut builder = filled();
    builder.build(None).unwrap();
    builder.revoke_by(1, &on("b")).clear_list(1).add(0, &name("b"), Scope::Suffix);
    assert_eq!(found(&open(&mut builder), "b"), [(0, "b".into(), false)]);
}

#[test]
fn a_protected_name_that_the_map_would_match_falsely_is_silenced() {
    for protect in [
        (|builder: &mut Builder| {
            builder.vet(vetted("www.lost.example", Decision::Benign, false, 1));
        }) as fn(&mut Builder),
        |builder| {
            builder.add(1, &name("a.lost.example"), Scope::Suffix);
        },
        |builder| {
            builder.add(3, &name("lost.example"), Scope::Suffix);
        },
        |builder| {
            builder.add_rule(0, &Rule { effect: Effect::Allow, ..on("lost.example") }).unwrap();
        },
    ] {
        let mut builder = filled();
        builder.add(2, &name("lost.example"), Scope::Suffix);
        builder.build(None).unwrap();
        // The map's shard goes on to hold it, as it would a name that matches falsely.
        builder.forget("lost.example");
        builder.clear_list(2);
        let is_block =
            |snapshot: &Snapshot| found(snapshot, "lost.example").iter().any(|(list, ..)| *list == 2);
        assert!(is_block(&open(&mut builder)), "nothing protects it");
        protect(&mut builder);
        assert!(!is_block(&open(&mut builder)));
        assert!(!is_block(&open(&mut builder)), "it stays so");
    }
}

#[test]
fn two_names_of_one_hash_get_another_key() {
    let mut builder = filled();
    builder.build(None).unwrap();
    builder.add(1, &name("twin.example"), Scope::Suffix).add(2, &name("other.example"), Scope::Suffix);
    let key = builder.make_last_collide(1, "other.example");
    let snapshot = open(&mut builder);
    assert_ne!(builder.key(), key);
    assert_eq!(found(&snapshot, "twin.example"), [(1, "twin.example".into(), false)]);
    assert_eq!(found(&snapshot, "other.example"), [(2, "other.example".into(), false)]);
    assert_eq!(found(&snapshot, "n8.filler8.example").len(), 1);
}

/// A change to a builder.
#[derive(Debug, Clone)]
enum Edit {
    Add(u16, Vec<(String, bool)>),
    Replace(u16, Vec<(String, bool)>),
    Revoke(u16, String),
    Build,
}

fn edit() -> impl Strategy<Value = Edit> {
    let names = || prop::collection::vec(("[ab](\\.[abc]{1,2}){0,3}", any::<bool>()), 0..6);
    prop_oneof![
        4 => (0u16..5, names()).prop_map(|(list, names)| Edit::Add(list, names)),
        2 => (0u16..5, names()).prop_map(|(list, names)| Edit::Replace(list, names)),
        1 => (0u16..5, "[ab](\\.[abc]{1,2}){0,2}").prop_map(|(list, name)| Edit::Revoke(list, name)),
        3 => Just(Edit::Build),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn after_any_edits_a_builder_says_what_a_fresh_one_says(
        edits in prop::collection::vec(edit(), 1..14),
        asked in prop::collection::vec("[ab](\\.[abc]{1,2}){0,4}", 20..40),
    ) {
        let mut builder = filled();
        builder.build(None).unwrap();
        for list in 1..5 {
            builder.clear_list(list);
        }
        let mut held: Vec<Vec<(String, bool)>> = vec![Vec::new(); 5];
        let mut revoked: Vec<Vec<String>> = vec![Vec::new(); 5];
        for edit in edits.iter().chain([&Edit::Build]) {
            match edit {
                Edit::Add(list, names) => {
                    for (text, exact) in names {
                        builder.add(*list, &name(text), scope_of(*exact));
                    }
                    held[usize::from(*list)].extend(names.iter().cloned());
                }
                Edit::Replace(list, names) => {
                    // The fillers of list 0 stay; they are what makes an overlay small.
                    let list = (*list).max(1);
                    builder.clear_list(list);
                    held[usize::from(list)] = names.clone();
                    revoked[usize::from(list)].clear();
                    for (text, exact) in names {
                        builder.add(list, &name(text), scope_of(*exact));
                    }
                }
                Edit::Revoke(list, text) => {
                    builder.revoke_by(*list, &on(text));
                    revoked[usize::from(*list)].push(text.clone());
                }
                Edit::Build => {
                    let mut fresh = filled();
                    for list in 1..5 {
                        fresh.clear_list(list);
                    }
                    for (list, names) in (0u16..).zip(&held) {
                        for (text, exact) in names {
                            fresh.add(list, &name(text), scope_of(*exact));
                        }
                    }
                    for text in revoked.iter().flatten() {
                        fresh.revoke(&on(text));
                    }
                    let (snapshot, fresh) = (open(&mut builder), open(&mut fresh));
                    prop_assert_eq!(entries(&snapshot), entries(&fresh));
                    prop_assert_eq!(snapshot.name_count(), fresh.name_count());
                    for text in &asked {
                        prop_assert_eq!(found(&snapshot, text), found(&fresh, text));
                        prop_assert_eq!(snapshot.is_listed(&name(text)), fresh.is_listed(&name(text)));
                        prop_assert_eq!(snapshot.popularity(&name(text)), fresh.popularity(&name(text)));
                    }
                    prop_assert_eq!(found(&snapshot, "n1.filler1.example").len(), 1);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn parts_of_a_list_that_are_told_as_runs_are_told_as_if_one_by_one(
        parts in prop::collection::vec(prop::collection::vec("[ab](\\.[abc]{1,2}){0,3}", 0..6), 1..8),
        versions in prop::collection::vec((prop::collection::vec(0usize..8, 0..8), any::<bool>()), 1..10),
    ) {
        let mut builder = filled();
        builder.build(None).unwrap();
        let mut known: HashMap<usize, Run> = HashMap::new();
        for (version, built) in versions {
            let version: Vec<usize> = version.into_iter().map(|part| part % parts.len()).collect();
            builder.clear_list(1);
            let before = std::mem::take(&mut known);
            for part in &version {
                let run = before.get(part).copied().filter(|run| builder.add_run(1, *run));
                let run = run.or_else(|| {
                    builder.begin_run(1);
                    parts[*part].iter().for_each(|text| _ = builder.add(1, &name(text), Scope::Suffix));
                    builder.end_run(1)
                });
                known.extend(run.map(|run| (*part, run)));
            }
            if !built {
                continue;
            }
            let mut fresh = filled();
            fresh.clear_list(1);
            for text in version.iter().flat_map(|part| &parts[*part]) {
                fresh.add(1, &name(text), Scope::Suffix);
            }
            let (snapshot, fresh) = (open(&mut builder), open(&mut fresh));
            prop_assert_eq!(entries(&snapshot), entries(&fresh));
            prop_assert_eq!(snapshot.name_count(), fresh.name_count());
            for text in parts.iter().flatten() {
                prop_assert_eq!(found(&snapshot, text), found(&fresh, text));
            }
        }
    }
}

#[test]
fn a_part_that_stays_is_a_run_until_one_of_its_names_lies_elsewhere() {
    let mut builder = filled();
    let tell = |builder: &mut Builder, names: &[&str]| {
        builder.begin_run(1);
        names.iter().for_each(|text| _ = builder.add(1, &name(text), Scope::Suffix));
        builder.end_run(1)
    };
    let (first, second) = (["a.example", "b.example"], ["c.example", "d.example"]);
    builder.clear_list(1);
    let runs = [tell(&mut builder, &first).unwrap(), tell(&mut builder, &second).unwrap()];
    assert!(!builder.add_run(1, runs[0]), "the list was not taken back");
    open(&mut builder);

    // The first part is another now, with a name of the second.
    builder.clear_list(1);
    assert_eq!(tell(&mut builder, &["new.example"]).map(|_| ()), Some(()));
    assert_eq!(tell(&mut builder, &["c.example", "newer.example"]), None, "one of before, and a new one");
    assert!(builder.add_run(1, runs[1]));
    let snapshot = open(&mut builder);
    let listed = |text: &str| !found(&snapshot, text).is_empty();
    let all = ["a.example", "b.example", "c.example", "d.example", "new.example", "newer.example"];
    assert_eq!(all.map(listed), [false, false, true, true, true, true]);

    builder.clear_list(1);
    assert!(!builder.add_run(1, runs[0]), "its names are gone");
    assert!(builder.add_run(1, runs[1]));
    assert_eq!(tell(&mut builder, &second), None, "told in this order, but not from where is expected");
    assert_eq!(tell(&mut builder, &[]).map(|run| builder.add_run(1, run)), Some(true), "no names");
    let snapshot = open(&mut builder);
    let listed = |text: &str| !found(&snapshot, text).is_empty();
    assert_eq!(all.map(listed), [false, false, true, true, false, false]);
}
