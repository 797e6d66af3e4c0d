use std::collections::HashSet;

use super::*;
use crate::model::fitting::data;

fn brands() -> Brands {
    Brands::from_popular([
        "google.com",
        "facebook.com",
        "microsoft.com",
        "paypal.com",
        "wellsfargo.com",
        "google.de",
        "login.com",
        "paypa1-status.com",
        "ebay.com",
        "support.com",
    ])
}

fn found(text: &str) -> Option<LookAlike> {
    look_alike(&Name::parse(text).unwrap(), &brands())
}

#[test]
fn a_label_that_is_read_as_a_brand_is_blocked_and_names_it() {
    for (text, brand) in [
        ("раураl.com", "paypal.com"),
        ("www.раураl.xyz", "paypal.com"),
        ("pàypal.com", "paypal.com"),
        ("paypa1.com", "paypal.com"),
        ("mlcrosoft.com", "microsoft.com"),
        ("еbay.com", "ebay.com"),
        ("g00gle.net", "google.com"),
        ("login.goog1e.co.uk", "google.com"),
        ("rnicrosoft.com", "microsoft.com"),
        ("vvellsfargo.com", "wellsfargo.com"),
        ("fаcebook.webflow.io", "facebook.com"),
    ] {
        let found = found(text).unwrap_or_else(|| panic!("{text} is not seen"));
        assert_eq!(found.brand, brand);
        assert!(found.score >= BLOCK_ABOVE, "{text}: {found:?}");
    }
}

#[test]
fn the_brand_itself_under_any_suffix_is_no_look_alike() {
    for text in
        ["paypal.com", "www.paypal.com", "paypal.org", "google.co.jp", "google.top", "google.webflow.io"]
    {
        assert_eq!(found(text), None, "{text}");
    }
}

#[test]
fn a_public_suffix_the_root_and_short_names_are_no_look_alikes() {
    for text in ["com", "co.uk", "xn--.com", "a.com", "gool.com", "paypol-shop.com"] {
        assert_eq!(found(text), None, "{text}");
    }
    assert_eq!(look_alike(&Name::root(), &brands()), None);
    assert_eq!(look_alike(&Name::parse("paypa1.com").unwrap(), &Brands::default()), None);
}

#[test]
fn a_slip_is_ranked_but_never_blocked() {
    for (text, how) in [
        ("paypals.com", "nearly paypal: s put in"),
        ("gogle.com", "nearly google: double o written once"),
        ("googke.com", "nearly google: k, a neighbour key, for l"),
        ("faceboook.com", "nearly facebook: o doubled"),
        ("facebozk.com", "nearly facebook: z for o"),
        ("micorsoft.com", "nearly microsoft: r and o exchanged"),
        ("face-book.com", "nearly facebook: a hyphen put in"),
        ("wwwpaypal.com", "nearly paypal: www or its suffix in the label"),
        ("paypal-com.net", "nearly paypal: www or its suffix in the label"),
        ("qooqle.com", "nearly google: similar letters"),
        ("wellsfarko.com", "nearly wellsfargo: k for g"),
        ("google.cm", "google under cm for com"),
    ] {
        let found = found(text).unwrap_or_else(|| panic!("{text} is not seen"));
        assert_eq!(found.how, how, "{text}");
        assert!(found.score > 0.1 && found.score < BLOCK_ABOVE, "{text}: {found:?}");
    }
    let score = |text| found(text).unwrap().score;
    assert!(score("microsooft.com") > score("micrsoft.com"), "a doubled letter is surer than one left out");
    assert!(score("gooogle.com") > score("gooogle.top"), "the brand's own suffix is surer");
}

#[test]
fn a_brand_beside_a_lure_scores_below_a_block_unless_it_is_disguised() {
    for text in [
        "paypal-login.com",
        "secure-paypal-verify.com",
        "account-google.top",
        "loginpaypal.com",
        "paypalsupport.com",
        "ebay-signin.com",
    ] {
        let found = found(text).unwrap_or_else(|| panic!("{text} is not seen"));
        assert!(found.score >= 0.5 && found.score < BLOCK_ABOVE, "{text}: {found:?}");
    }
    let disguised = found("paypa1-login.com").unwrap();
    assert_eq!((disguised.brand.as_str(), disguised.score >= BLOCK_ABOVE), ("paypal.com", true));
    let plain = found("paypal-shop.com").unwrap();
    assert!(plain.score < found("paypal-login.com").unwrap().score, "{plain:?}");
    for text in ["paypal-cat.com", "login-support.com", "google.login.example.com", "my-bank-login.com"] {
        assert_eq!(found(text), None, "{text}");
    }
}

#[test]
fn an_odd_letter_or_a_second_reading_does_not_hide_a_brand() {
    let score = |text| found(text).map_or(0.0, |found| found.score);
    assert!(score("faceßook.com") >= BLOCK_ABOVE && score("micro\u{437}oft.com") > 0.8);
    assert!(score("facebooジ.com") > 0.8, "one letter that looks like no plain one");
    assert_eq!(score("フェイスブック.com"), 0.0);
}

#[test]
fn a_mark_under_a_countrys_suffix_may_be_its_spelling() {
    let brands = Brands::from_popular(["zurich.com"]);
    let score = |text| look_alike(&Name::parse(text).unwrap(), &brands).unwrap().score;
    assert!(score("zürich.ch") < BLOCK_ABOVE && score("zürich.com") >= BLOCK_ABOVE);
}

#[test]
fn words_of_another_script_at_home_and_short_or_slight_changes_are_not_blocked() {
    let brands = Brands::from_popular(["kometa.com", "paypal.com", "ebay.com"]);
    let score = |text| look_alike(&Name::parse(text).unwrap(), &brands).map_or(0.0, |found| found.score);
    assert!(score("комета.рф") < BLOCK_ABOVE && score("комета.com") >= BLOCK_ABOVE);
    assert!(score("kоmета.ru") >= BLOCK_ABOVE, "two scripts in one label are nobody's spelling");
    assert!(score("paypai.com") > 0.1 && score("paypai.com") < BLOCK_ABOVE);
    for text in ["ebây.com", "еьау.com", "ebav.com"] {
        assert!(score(text) < BLOCK_ABOVE, "{text}: {}", score(text));
    }
    assert!(score("eьay.com") >= BLOCK_ABOVE, "two scripts in one short label");
}

#[test]
fn labels_of_any_length_are_looked_at_without_pain() {
    let long = ["1", "-", "my", "a", "o0", "login", "cl"].map(|part| part.repeat(62 / part.len()));
    for label in long.iter().chain([&"х".repeat(40)]) {
        let Ok(name) = Name::parse(&format!("{label}.com")) else { continue };
        assert_eq!(look_alike(&name, &brands()), None, "{label}");
    }
}

#[test]
fn names_of_real_languages_are_not_blocked() {
    // Words and names of the languages themselves, taken from no list.
    let brands = Brands::from_popular([
        "google.com",
        "apple.com",
        "paypal.com",
        "muller.com",
        "munchen.de",
        "cafe.com",
        "resume.com",
        "strasse.de",
        "citroen.com",
        "loreal.com",
        "nestle.com",
        "coca.com",
        "opera.com",
        "mercado.com",
        "kometa.com",
        "beton.com",
    ]);
    for text in [
        "müller.de",
        "münchen.de",
        "straße.de",
        "café.fr",
        "résumé.fr",
        "citroën.fr",
        "nestlé.ch",
        "комета.рф",
        "бетон.рф",
        "сока.рф",
        "опера.рф",
        "москва.рф",
        "россия.рф",
        "ελλάδα.gr",
        "αθήνα.ελ",
        "日本語.jp",
        "中文.cn",
        "한국.kr",
        "smörgåsbord.se",
        "åre.no",
        "łódź.pl",
        "żywiec.pl",
        "praha-výlety.cz",
        "điệnmáy.vn",
        "ไทย.th",
        "украина.укр",
        "беларусь.бел",
        "ıstanbul.tr",
        "göteborg.se",
        "københavn.dk",
    ] {
        let name = Name::parse(text).unwrap();
        let found = look_alike(&name, &brands);
        assert!(found.as_ref().is_none_or(|found| found.score < BLOCK_ABOVE), "{text}: {found:?}");
    }
}

#[test]
fn clean_names_are_hardly_ever_hit_and_phishing_is() {
    let Some(clean) = data("benign-train-meta.tsv.gz") else { return };
    let clean = String::from_utf8_lossy(&clean);
    let rows = || clean.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let popular: Vec<&str> = rows().filter(|row| row[2] == "umbrella100k-2025").map(|row| row[0]).collect();
    let brands = Brands::from_popular(popular.iter().copied());
    let known: HashSet<String> = popular
        .iter()
        .filter_map(|text| Some(Name::parse(text).ok()?.registrable_domain()?.to_owned()))
        .collect();

    let (mut seen, mut blocked, mut scored) = (HashSet::new(), Vec::new(), 0);
    for row in rows().filter(|row| row[3] == "clean") {
        let Ok(name) = Name::parse(row[0]) else { continue };
        let Some(registrable) = name.registrable_domain() else { continue };
        if known.contains(registrable) || !seen.insert(registrable.to_owned()) {
            continue;
        }
        match look_alike(&name, &brands) {
            Some(found) if found.score >= BLOCK_ABOVE => blocked.push((registrable.to_owned(), found)),
            Some(_) => scored += 1,
            None => {}
        }
    }
    println!(
        "{} brands, {} exempt, {} bytes; clean registrable domains that made no brand: {}, blocked {}, scored {scored}",
        brands.len(),
        brands.exempt_len(),
        brands.encode().len(),
        seen.len(),
        blocked.len(),
    );
    blocked.iter().for_each(|(name, found)| println!("  {name}: {found:?}"));
    assert!(
        seen.len() > 20_000 && blocked.len() * 2_000 <= seen.len(),
        "{} of {}",
        blocked.len(),
        seen.len()
    );

    let Some(bad) = data("malicious-train.tsv.gz") else { return };
    let bad = String::from_utf8_lossy(&bad);
    let all = Brands::from_popular(popular.into_iter().chain(rows().map(|row| row[0])));
    for (which, brands, least) in [("one list", &brands, 500), ("every list", &all, 600)] {
        let (mut phishing, mut hit, mut idn, mut blocked) = (0, 0, 0, 0);
        for line in bad.lines().filter(|line| line.ends_with("\tphishing")) {
            let Some(name) = line.split('\t').next().and_then(|text| Name::parse(text).ok()) else {
                continue;
            };
            let found = look_alike(&name, brands);
            phishing += 1;
            hit += u32::from(found.is_some());
            if name.registrable_domain().is_some_and(|registrable| registrable.starts_with("xn--")) {
                idn += 1;
                blocked += u32::from(found.is_some_and(|found| found.score >= BLOCK_ABOVE));
            }
        }
        println!(
            "{} brands of {which}: of {phishing} phishing names {hit} are look-alikes; of {idn} international \
             ones {blocked} are blocked",
            brands.len()
        );
        assert!(hit > 1_000 && blocked > least, "{hit} {blocked}");
    }
}
