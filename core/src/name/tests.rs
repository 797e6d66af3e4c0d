use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn case_and_trailing_dot_make_no_difference() {
    for text in ["WWW.Example.COM", "www.example.com.", "www.example.com"] {
        assert_eq!(name(text).as_str(), "www.example.com");
    }
    assert_eq!([name(""), name(".")], [Name::root(), Name::root()]);
    assert_eq!(Name::root().to_string(), ".");
}

#[test]
fn international_names_become_a_labels() {
    assert_eq!(name("Bücher.example").as_str(), "xn--bcher-kva.example");
    assert_eq!(name("bücher.example"), name("xn--bcher-kva.example"));
    assert_eq!(name("例え。テスト。"), name("xn--r8jz45g.xn--zckzah"), "ideographic full stops are dots");
    assert_eq!(name("ｅｘａｍｐｌｅ.com").as_str(), "example.com");
    assert_eq!(Name::parse("a\u{200b}..é"), Err(NameError::EmptyLabel));
    assert_eq!(Name::parse("\u{2f4}é\u{ffff}.com"), Err(NameError::Idna));
}

#[test]
fn odd_bytes_are_escaped_and_read_back() {
    let odd = Name::from_labels([&b"a.b"[..], b"\x00\xff *", b"com"]).unwrap();
    assert_eq!(odd.as_str(), "a\\046b.\\000\\255\\032\\042.com");
    assert_eq!(Name::parse(odd.as_str()), Ok(odd.clone()));
    assert_eq!((odd.label_count(), odd.to_wire()), (3, b"\x03a.b\x04\x00\xff *\x03com\x00".to_vec()));
    assert_eq!(name("*.example.com").as_str(), "\\042.example.com");
    assert_eq!(name("\\065\\066.com").as_str(), "ab.com", "an escaped capital is lower-cased too");
}

#[test]
fn what_is_no_name_is_refused_with_the_reason() {
    for (text, error) in [
        ("a..b", NameError::EmptyLabel),
        (".a", NameError::EmptyLabel),
        ("..", NameError::EmptyLabel),
        ("a\\", NameError::Escape),
        ("a\\25", NameError::Escape),
        ("a\\256", NameError::Escape),
        ("a\\.b", NameError::Escape),
        ("a b", NameError::Character(' ')),
        ("http://a", NameError::Character(':')),
        ("a/b", NameError::Character('/')),
        ("a\tb", NameError::Character('\t')),
    ] {
        assert_eq!(Name::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn limits_are_63_bytes_a_label_and_255_on_the_wire() {
    let longest = "a".repeat(63);
    assert_eq!(name(&longest).as_str(), longest);
    assert_eq!(Name::parse(&"a".repeat(64)), Err(NameError::LongLabel(64)));
    let fits = format!("{longest}.{longest}.{longest}.{}", "b".repeat(61));
    assert_eq!(name(&fits).to_wire().len(), MAX_WIRE_BYTES);
    let long = format!("{longest}.{longest}.{longest}.{}", "b".repeat(62));
    assert_eq!(Name::parse(&long), Err(NameError::LongName(256)));
    let escaped = "\\255".repeat(63);
    assert_eq!(name(&escaped).to_wire().len(), 65);
    assert_eq!(Name::parse(&"\\255".repeat(64)), Err(NameError::LongLabel(64)));
    assert!(matches!(Name::parse(&"é".repeat(100_000)), Err(NameError::LongName(200_000))));
}

#[test]
fn registrable_domain_follows_the_list_with_its_private_section() {
    for (text, expected) in [
        ("www.example.com", Some("example.com")),
        ("a.b.example.co.uk", Some("example.co.uk")),
        ("x.y.github.io", Some("y.github.io")),
        ("deep.shop.webflow.io", Some("shop.webflow.io")),
        ("www.city.kawasaki.jp", Some("city.kawasaki.jp")),
        ("a.b.c.kawasaki.jp", Some("b.c.kawasaki.jp")),
        ("a.unknown-suffix", Some("a.unknown-suffix")),
        ("食狮.公司.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ("a.食狮.公司.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ("github.io", None),
        ("co.uk", None),
        ("com", None),
        ("", None),
        ("a.b\\046co.uk", Some("b\\046co.uk")),
        ("evil\\046com.example.com", Some("example.com")),
    ] {
        assert_eq!(name(text).registrable_domain(), expected, "{text}");
    }
}

#[test]
fn a_name_is_within_its_parents_only_at_a_boundary() {
    let within = |text: &str, parent: &str| name(text).is_within(parent);
    assert!(within("a.example.com", "example.com") && within("example.com", "example.com"));
    assert!(within("example.com", "") && within("", ""));
    assert!(!within("badexample.com", "example.com") && !within("com", "example.com"));
    assert!(!within("bad\\046example.com", "example.com"), "that dot is inside a label");
    assert!(!within("a\\046b.com", "046b.com") && !within("", "com"));
}

#[test]
fn suffixes_go_from_the_name_to_the_top() {
    assert_eq!(name("a.b.c").suffixes().collect::<Vec<_>>(), ["a.b.c", "b.c", "c"]);
    assert_eq!(name("a\\046b.c").suffixes().collect::<Vec<_>>(), ["a\\046b.c", "c"]);
    assert_eq!(Name::root().suffixes().count(), 0);
}

fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=20), 0..=10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wire_labels_come_back_in_lower_case(labels in labels()) {
        let name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(label.len() as u8);
            wire.extend(label.to_ascii_lowercase());
        }
        wire.push(0);
        prop_assert_eq!(name.to_wire(), wire);
        prop_assert_eq!(name.label_count(), labels.len());
        prop_assert_eq!(Name::parse(name.as_str()), Ok(name.clone()));
        prop_assert!(name.as_str().is_ascii());
        if let Some(registrable) = name.registrable_domain() {
            prop_assert!(name.is_within(registrable));
        }
        for suffix in name.suffixes() {
            prop_assert!(name.is_within(suffix));
        }
    }

    #[test]
    fn within_is_what_the_labels_say(
        one in proptest::collection::vec(prop::sample::select(vec!["a", "b", ".", "a.b", "\\", "0"]), 0..4),
        other in proptest::collection::vec(prop::sample::select(vec!["a", "b", ".", "a.b", "\\", "0"]), 0..3),
    ) {
        let of = |labels: &[&str]| Name::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap();
        prop_assert_eq!(of(&one).is_within(of(&other).as_str()), one.ends_with(&other));
    }

    #[test]
    fn any_text_is_a_name_that_stays_itself_or_an_error(text in "\\PC{0,40}|[a-zA-Z0-9.\\\\-]{0,80}") {
        if let Ok(name) = Name::parse(&text) {
            prop_assert_eq!(Name::parse(name.as_str()), Ok(name.clone()));
            prop_assert!(name.to_wire().len() <= MAX_WIRE_BYTES);
        }
    }
}
