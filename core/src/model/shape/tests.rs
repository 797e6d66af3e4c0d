use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Option<Shape> {
    shape(&Name::parse(text).unwrap())
}

fn score(text: &str) -> f64 {
    found(text).map_or(0.0, |found| found.score)
}

#[test]
fn labels_full_of_data_are_told_with_what_they_are_written_in() {
    let hex = "1f8b080000a2c76502ff4bcecf2d284a2d2e4e4d51c8494d2e29cacc4b5728";
    let base32 = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgq2tmnzyha4q";
    for (text, alphabet, bytes) in [
        (format!("{hex}.{hex}.{hex}.corner-shop.com"), Alphabet::Hex, 93),
        (format!("{base32}.{base32}.t.example.com"), Alphabet::Base32, 75),
        (format!("{hex}.1.{hex}.0.weather.co.uk"), Alphabet::Hex, 62),
        ("8c1f0a2e4b6d9375.5.beacons.xyz".to_owned(), Alphabet::Hex, 8),
    ] {
        let found = found(&text).unwrap_or_else(|| panic!("{text} is not seen"));
        assert_eq!((found.alphabet, found.bytes), (alphabet, bytes), "{text}");
    }
    assert!(score(&format!("{base32}.{base32}.example.com")) >= 0.9);
}

#[test]
fn ordinary_names_say_nothing() {
    for text in [
        "example.com",
        "www.example.com",
        "mail.eu-west-1.example.co.uk",
        "static-assets.cdn.example.com",
        "login.microsoftonline.com",
        "accounts.service-production.example.com",
        "autodiscover.example.com",
        "xn--bcher-kva.example.de",
        "com",
        "co.uk",
        "1.0.0.127.in-addr.arpa",
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
    ] {
        assert_eq!(found(text), None, "{text}");
    }
    assert_eq!(shape(&Name::root()), None);
}

#[test]
fn who_registered_the_name_has_no_part_in_it() {
    let data = "3k7rsieh4m2upztj2db5zh3zvhfg5wsq.2";
    let scores = ["example.com", "qx7zt.top", "a.co.uk"].map(|zone| score(&format!("{data}.{zone}")));
    assert!(scores[0] > 0.1 && scores.iter().all(|score| *score == scores[0]), "{scores:?}");
}

#[test]
fn zones_that_answer_codes_themselves_say_nothing_and_their_imitators_do() {
    let hash = "0.0.0.0.1.0.0.6b.d7my7pcagxjkmty6zclsg7lhqn.avqs";
    assert_eq!(found(&format!("{hash}.mcafee.com")), None);
    assert!(score(&format!("{hash}.mcafee-update.com")) > 0.3);
}

#[test]
fn bytes_that_a_name_could_carry_follow_its_alphabet() {
    let carried = |text: &str| carried_bytes(&Name::parse(text).unwrap(), "example.com");
    assert_eq!(carried("example.com"), 0);
    assert_eq!(carried("www.example.com"), 1);
    assert_eq!(carried(&format!("{}.example.com", "0f".repeat(16))), 16);
    assert_eq!(carried(&format!("{}.example.com", "a2".repeat(16))), 16, "hex by its letters");
    assert_eq!(carried(&format!("{}.example.com", "z2".repeat(16))), 20);
    assert_eq!(carried(&format!("{}.example.com", "\\200".repeat(32))), 28, "an escaped byte is one");
    assert_eq!(carried("www.example.org"), 0, "not below it");
}

proptest! {
    #[test]
    fn any_name_has_a_probability_or_none(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=63), 1..6)) {
        let name = Name::from_labels(labels.iter().map(Vec::as_slice));
        if let Some(found) = name.ok().and_then(|name| shape(&name)) {
            prop_assert!((0.0..=1.0).contains(&found.score) && found.bytes < 255);
        }
    }
}
