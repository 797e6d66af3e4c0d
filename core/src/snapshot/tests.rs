use std::collections::HashMap;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::lists::{LocalData, Rule};
use crate::verdict::Step;

mod map;
mod overlay;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Builder, its lists: 0 block, 1 allow, 2 mandatory, 3 and 4 popular.
fn builder() -> Builder {
    let mut builder = Builder::new(7, [1; 16]);
    let roles = [Role::Block, Role::Allow, Role::Mandatory, Role::Popular, Role::Popular];
    for (number, role) in roles.into_iter().enumerate() {
        builder.list(&format!("list{number}"), role, "CC0-1.0");
    }
    builder
}

fn open(builder: &mut Builder) -> Snapshot {
    Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()
}

fn found(snapshot: &Snapshot, text: &str) -> Vec<(u16, String, bool)> {
    snapshot
        .lookup(&name(text))
        .into_iter()
        .map(|m| (m.list, m.suffix().to_owned(), matches!(m.by, Hit::Name(_, Scope::Exact))))
        .collect()
}

fn scope_of(exact: bool) -> Scope {
    if exact { Scope::Exact } else { Scope::Suffix }
}

fn vetted(text: &str, decision: Decision, exact: bool, time_ms: u64) -> Vetted {
    Vetted { name: text.into(), decision, exact, author: "ann".into(), time_ms }
}

#[test]
fn a_name_whose_text_is_long_for_its_escapes_is_found() {
    let long = format!("{}.example", "\\000\\001".repeat(30) + "." + &"\\255".repeat(30));
    let mut builder = builder();
    builder.add(0, &name(&long), Scope::Suffix).add(0, &name("example"), Scope::Exact);
    let snapshot = open(&mut builder);
    assert!(long.len() > 255 && snapshot.name_count() == 2);
    assert_eq!(found(&snapshot, &long), [(0, long.clone(), false)]);
    assert_eq!(found(&snapshot, &format!("x.{long}")), [(0, long, false)]);
}

#[test]
fn a_lookup_gives_every_listed_suffix_longest_first() {
    let mut builder = builder();
    builder.add(0, &name("example.com"), Scope::Suffix).add(1, &name("good.example.com"), Scope::Suffix);
    builder.add(2, &name("good.example.com"), Scope::Exact).add(3, &name("example.com"), Scope::Suffix);
    let snapshot = open(&mut builder);
    let both = [(1, "good.example.com".into(), false), (2, "good.example.com".into(), true)];
    let wide = (0, "example.com".to_owned(), false);
    assert_eq!(found(&snapshot, "good.example.com"), [&both[..], std::slice::from_ref(&wide)].concat());
    assert_eq!(
        found(&snapshot, "x.good.example.com"),
        [both[0].clone(), wide.clone()],
        "exact covers itself only"
    );
    assert_eq!(found(&snapshot, "a.b.c.d.e.f.example.com"), [wide]);
    assert_eq!(found(&snapshot, "notexample.com"), []);
    assert_eq!(found(&snapshot, "com"), []);
    assert_eq!(snapshot.lookup(&Name::root()), []);
    assert_eq!(snapshot.name_count(), 2);
    let entries: Vec<u64> = snapshot.lists().iter().map(|list| list.entries).collect();
    assert_eq!(entries, [1, 1, 1, 1, 0]);
}

#[test]
fn a_top_level_label_is_found_only_if_one_is_listed() {
    let mut builder = builder();
    builder.add(0, &name("zip"), Scope::Suffix);
    assert_eq!(found(&open(&mut builder), "a.b.zip"), [(0, "zip".into(), false)]);
    assert_eq!(found(&open(&mut builder), "zip"), [(0, "zip".into(), false)]);
}

#[test]
fn an_empty_snapshot_finds_nothing() {
    let snapshot = open(&mut Builder::new(1, [0; 16]));
    let any = name("a.example.com");
    assert_eq!(snapshot.lookup(&any), []);
    assert_eq!((snapshot.vetted(&any), snapshot.popularity(&any), snapshot.name_count()), (None, 0, 0));
    assert_eq!((snapshot.small_model(), snapshot.brands()), (None, &[][..]));
}

#[test]
fn one_name_twice_in_a_list_counts_once_and_suffix_scope_covers_exact() {
    let mut builder = builder();
    builder.add(0, &name("x.example"), Scope::Exact).add(0, &name("x.example"), Scope::Suffix).add(
        0,
        &name("x.example"),
        Scope::Suffix,
    );
    let snapshot = open(&mut builder);
    assert_eq!(found(&snapshot, "x.example"), [(0, "x.example".into(), false)]);
    assert_eq!(snapshot.lists()[0].entries, 1);
}

#[test]
fn popularity_counts_the_lists_that_hold_the_registrable_domain() {
    let mut builder = builder();
    builder.add(3, &name("example.co.uk"), Scope::Suffix).add(4, &name("example.co.uk"), Scope::Suffix);
    builder.add(4, &name("www.other.com"), Scope::Suffix).add(0, &name("blocked.com"), Scope::Suffix);
    let snapshot = open(&mut builder);
    let popularity = |text| snapshot.popularity(&name(text));
    assert_eq!(
        (popularity("example.co.uk"), popularity("a.b.example.co.uk"), popularity("co.uk")),
        (2, 2, 0)
    );
    assert_eq!((popularity("www.other.com"), popularity("other.com"), popularity("blocked.com")), (1, 0, 0));
    assert_eq!(found(&snapshot, "example.co.uk"), [], "popular is no listing");
}

#[test]
fn the_longest_vetted_name_decides_exact_before_suffix() {
    let mut builder = builder();
    builder.vet(vetted("Example.com", Decision::Malicious, false, 1));
    builder.vet(vetted("www.example.com", Decision::Honeypot, false, 2));
    builder.vet(vetted("www.example.com", Decision::Benign, true, 3));
    builder.vet(vetted("twice.example", Decision::Benign, false, 9));
    builder.vet(vetted("twice.example", Decision::Malicious, false, 5));
    let snapshot = open(&mut builder);
    let decision = |text| snapshot.vetted(&name(text)).map(|found| (found.name, found.decision));
    assert_eq!(decision("www.example.com"), Some(("www.example.com".into(), Decision::Benign)));
    assert_eq!(decision("a.www.example.com"), Some(("www.example.com".into(), Decision::Honeypot)));
    assert_eq!(decision("b.example.com"), Some(("example.com".into(), Decision::Malicious)));
    assert_eq!(decision("twice.example"), Some(("twice.example".into(), Decision::Benign)), "the later one");
    assert_eq!(decision("example.org"), None);
    assert_eq!(snapshot.all_vetted().count(), 4);
    let full = snapshot.vetted(&name("example.com")).unwrap();
    assert_eq!((full.author.as_str(), full.time_ms, full.exact), ("ann", 1, false));
}

#[test]
fn the_opaque_sections_come_back_as_they_went_in() {
    let mut builder = builder();
    let policy = Policy { prior: 0.25, skip_steps: vec![Step::Tunnel], ..Policy::default() };
    builder.policy(policy.clone()).brands(&b"brands"[..]).small_model(vec![5; 600_000]).times(11, 22);
    let snapshot = open(&mut builder);
    assert_eq!(snapshot.policy(), &policy);
    assert_eq!((snapshot.brands(), snapshot.small_model()), (&b"brands"[..], Some(&[5u8; 600_000][..])));
    assert_eq!((snapshot.made_ms(), snapshot.expires_ms(), snapshot.serial()), (11, Some(22), 7));
    assert_eq!((snapshot.id().len(), snapshot.format()), (16, FORMAT));
}

#[test]
fn more_list_sets_than_a_byte_numbers_go_through_the_side_table() {
    let mut builder = Builder::new(1, [3; 16]);
    for list in 0..12 {
        builder.list(&format!("l{list}"), Role::Block, "");
    }
    let lists_of = |number: u32| (0..12u16).filter(move |bit| (number + 1) >> bit & 1 == 1);
    for number in 0..3_000 {
        for list in lists_of(number) {
            builder.add(list, &name(&format!("n{number}.example")), scope_of(list % 2 == 1));
        }
    }
    let snapshot = open(&mut builder);
    for number in 0..3_000 {
        let got: Vec<u16> =
            snapshot.lookup(&name(&format!("n{number}.example"))).iter().map(|m| m.list).collect();
        assert_eq!(got, lists_of(number).collect::<Vec<_>>());
    }
}

#[test]
fn every_name_of_any_size_of_list_is_found_and_no_other() {
    for size in [0usize, 1, 2, 100, 10_000, 64_000, 300_000] {
        let mut builder = builder();
        let mut oracle: HashMap<String, (u16, bool)> = HashMap::with_capacity(size);
        for number in 0..size {
            let (text, list, exact) =
                (format!("n{number:x}.z{}.test", number % 97), number as u16 % 3, number % 5 == 0);
            builder.add(list, &name(&text), scope_of(exact));
            oracle.insert(text, (list, exact));
        }
        let snapshot = open(&mut builder);
        assert_eq!(snapshot.name_count(), size as u64);
        for (text, &(list, exact)) in &oracle {
            assert_eq!(found(&snapshot, text), [(list, text.clone(), exact)]);
            let below = found(&snapshot, &format!("www.{text}"));
            assert_eq!(below, if exact { vec![] } else { vec![(list, text.clone(), false)] });
        }
        let absent =
            (0..200_000).filter(|number| !found(&snapshot, &format!("m{number:x}.z1.test")).is_empty());
        assert!(absent.count() <= 1, "false matches at {size} names");
    }
}

#[test]
fn the_order_of_names_does_not_change_a_byte_and_the_key_seed_does() {
    let texts: Vec<String> = (0..1_000).map(|number| format!("n{number}.example")).collect();
    let build = |texts: Vec<&String>, seed| {
        let mut builder = Builder::new(1, [seed; 16]);
        builder.list("a", Role::Block, "");
        for text in texts {
            builder.add(0, &name(text), Scope::Suffix);
        }
        builder.build(None).unwrap()
    };
    let forward = build(texts.iter().collect(), 1);
    assert_eq!(forward, build(texts.iter().rev().collect(), 1));
    assert_ne!(forward, build(texts.iter().collect(), 2));
}

#[test]
fn a_builder_that_builds_again_gives_what_a_fresh_one_gives() {
    let decide = |builder: &mut Builder| {
        builder.serial(8).vetted(vec![vetted("v.example", Decision::Benign, false, 1)]);
        builder.build(None).unwrap()
    };
    let mut first = builder();
    first.add(0, &name("a.example"), Scope::Suffix).vet(vetted("old.example", Decision::Benign, false, 1));
    first.build(None).unwrap();
    let mut fresh = builder();
    fresh.add(0, &name("a.example"), Scope::Suffix);
    assert_eq!(decide(&mut first), decide(&mut fresh));
    first.add(0, &name("b.example"), Scope::Suffix);
    fresh.add(0, &name("b.example"), Scope::Suffix);
    assert_eq!(open(&mut first).name_count(), 2);
    assert_eq!(first.build(None).unwrap(), fresh.build(None).unwrap());
}

fn small_snapshot(key: Option<&SigningKey>) -> Vec<u8> {
    let mut builder = builder();
    builder.add(0, &name("bad.example"), Scope::Suffix).add(1, &name("good.example"), Scope::Exact);
    builder
        .add(3, &name("popular.example"), Scope::Suffix)
        .brands(&b"popular"[..])
        .small_model(&b"model"[..]);
    builder.vet(vetted("vetted.example", Decision::Honeypot, false, 3));
    builder.build(key).unwrap()
}

#[test]
fn no_flipped_byte_of_a_snapshot_passes() {
    let key = SigningKey::from_bytes(&[9; 32]);
    for (file, keys) in
        [(small_snapshot(None), vec![]), (small_snapshot(Some(&key)), vec![key.verifying_key()])]
    {
        assert!(Snapshot::open(file.clone().into(), &keys).is_ok());
        for at in 0..file.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut bad = file.clone();
                bad[at] ^= flip;
                assert!(Snapshot::open(bad.into(), &keys).is_err(), "byte {at} of {}", file.len());
            }
        }
    }
}

#[test]
fn a_snapshot_of_another_length_is_refused() {
    let file = small_snapshot(None);
    for len in 0..file.len() {
        assert!(Snapshot::open(file[..len].to_vec().into(), &[]).is_err(), "{len} bytes");
    }
    let longer = [&file[..], b"\0"].concat();
    let (have, want) = (longer.len() as u64, file.len() as u64);
    assert_eq!(Snapshot::open(longer.into(), &[]).unwrap_err(), SnapshotError::Long { have, want });
}

#[test]
fn a_damaged_chunk_is_named_with_its_section() {
    let mut file = small_snapshot(None);
    let last = file.len() - 1;
    file[last] ^= 1;
    let error = Snapshot::open(file.into(), &[]).unwrap_err().to_string();
    assert!(error.contains("section small model") && error.contains("is damaged"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lists_answer_as_a_hash_map_does(
        entries in prop::collection::vec(("[ab](\\.[abc]{1,2}){0,3}", 0u16..3, any::<bool>()), 0..60),
        asked in prop::collection::vec("[ab](\\.[abc]{1,2}){0,4}", 1..60),
    ) {
        let mut builder = builder();
        let mut oracle: HashMap<String, Vec<(u16, bool)>> = HashMap::new();
        for (text, list, exact) in &entries {
            builder.add(*list, &name(text), scope_of(*exact));
            let held = oracle.entry(text.clone()).or_default();
            held.retain(|(l, e)| l != list || *e != *exact);
            held.push((*list, *exact));
        }
        for held in oracle.values_mut() {
            let wide: Vec<u16> = held.iter().filter(|(_, exact)| !exact).map(|(list, _)| *list).collect();
            held.retain(|(list, exact)| !exact || !wide.contains(list));
            held.sort();
        }
        let snapshot = open(&mut builder);
        for text in &asked {
            let asked = name(text);
            let mut want = Vec::new();
            for suffix in asked.suffixes() {
                let held = oracle.get(suffix).into_iter().flatten();
                let covers = held.filter(|(_, exact)| !exact || suffix == text);
                want.extend(covers.map(|(list, exact)| (*list, suffix.to_owned(), *exact)));
            }
            prop_assert_eq!(snapshot.is_listed(&asked), !want.is_empty());
            prop_assert_eq!(found(&snapshot, text), want);
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, at in 0usize..2_000, flip in 1u8..) {
        prop_assert!(Snapshot::open(bytes.into(), &[]).is_err());
        let mut file = small_snapshot(None);
        let at = at % file.len();
        file[at] ^= flip;
        prop_assert!(Snapshot::open(file.into(), &[]).is_err());
    }
}

/// What `tests/golden/2.0.dvs` was built from; DNSVET_WRITE_GOLDEN=1 writes it again.
fn golden() -> Vec<u8> {
    let mut builder = Builder::new(1, *b"golden key seed.");
    builder.times(1_700_000_000_000, 1_800_000_000_000);
    let roles =
        [("ads", Role::Block), ("ours", Role::Allow), ("court", Role::Mandatory), ("top", Role::Popular)];
    for (list, role) in roles {
        let index = builder.list(list, role, "CC0-1.0");
        for number in 0..50 {
            builder.add(index, &name(&format!("n{number}.{list}.example")), scope_of(number % 2 == 1));
        }
    }
    let rule = |trigger, effect, conditions| Rule { trigger, effect, conditions };
    let ruled = Trigger::Name(name("ruled.example"), Scope::Below);
    let types = Conditions { types: vec![28], ..Conditions::default() };
    let answer = Effect::Answer(vec![LocalData::Address([192, 0, 2, 1].into())]);
    for rule in [
        rule(ruled, Effect::Stop(Action::Nodata), types),
        rule(Trigger::Name(name("own.example"), Scope::Exact), answer, Conditions::default()),
        rule(Trigger::Pattern("^ad[0-9]".into()), Effect::Listed, Conditions::default()),
    ] {
        builder.add_rule(0, &rule).unwrap();
    }
    builder.vet(vetted("vetted.example", Decision::Honeypot, false, 5));
    builder.brands(&b"brands"[..]).small_model(&b"model"[..]);
    builder.build(None).unwrap();
    builder.add(0, &name("later.example"), Scope::Suffix).add(2, &name("n4.ads.example"), Scope::Suffix);
    builder.build(Some(&SigningKey::from_bytes(&[7; 32]))).unwrap()
}

#[test]
fn the_snapshot_of_the_first_release_is_read_and_built_as_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/2.0.dvs");
    if std::env::var_os("DNSVET_WRITE_GOLDEN").is_some() {
        std::fs::write(path, golden()).unwrap();
    }
    let file = std::fs::read(path).unwrap();
    let keys = [SigningKey::from_bytes(&[7; 32]).verifying_key()];
    let old = Snapshot::open(file.clone().into(), &keys).unwrap();
    assert_eq!((old.serial(), old.format(), old.name_count()), (1, (2, 0), 153));
    assert_eq!(found(&old, "a.n4.court.example"), [(2, "n4.court.example".into(), false)]);
    assert_eq!(found(&old, "n5.ads.example"), [(0, "n5.ads.example".into(), true)]);
    assert_eq!(found(&old, "a.n5.ads.example"), []);
    assert_eq!(found(&old, "later.example"), [(0, "later.example".into(), false)], "in the overlay");
    assert_eq!(found(&old, "n4.ads.example").len(), 2, "in the overlay and the map");
    assert_eq!(old.popularity(&name("n7.top.example")), 1);
    let by = |text: &str| old.lookup(&name(text)).into_iter().map(|m| m.by.to_string()).collect::<Vec<_>>();
    assert_eq!(by("x.ruled.example"), ["ruled.example (below)"]);
    assert_eq!(by("own.example"), ["own.example (exact)"]);
    assert_eq!(by("ad7.example"), ["/^ad[0-9]/"]);
    assert_eq!(old.vetted(&name("x.vetted.example")).unwrap().decision, Decision::Honeypot);
    assert_eq!((old.brands(), old.small_model()), (&b"brands"[..], Some(&b"model"[..])));

    let fresh = Snapshot::open(golden().into(), &keys).unwrap();
    // The policy is JSON and may gain fields between minors, and another version of the library may build other
    // automata for patterns; all else is the same to the byte.
    let others = |snapshot: &Snapshot| -> Vec<Bytes> {
        let section = |kind| snapshot.inner.manifest.section(kind, &snapshot.maps.pieces);
        let free = [section(Kind::Policy), section(Kind::Rules)].concat();
        snapshot.maps.pieces.iter().filter(|piece| !free.contains(piece)).cloned().collect()
    };
    assert_eq!(others(&fresh), others(&old));
    assert_eq!(fresh.rule_count(), old.rule_count());
}
