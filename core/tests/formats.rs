//! What each list format says, case by case, as the documentation of its makers has it.
//!
//! The cases are in `formats/FORMAT.tsv`, one a line: the list's text, what it must give, and where that is
//! written. In a text `⏎` is a line end, `⇥` a tab, `␍` a carriage return and `␣` a space at an end. What it must give
//! are its rules, then its reports, parted by ` + `; `-` for neither:
//!
//! ```text
//! [revoke ](suffix|exact|below|pattern|client|address) WHAT [EFFECT] [CONDITION=VALUE|VALUE]...
//! !Why                     any report of that kind
//! !Why("what it carries")  that very report
//! ```
//!
//! A trailing part that is left out is empty: no effect is "listed". Records of other types are `TYPEn` and hex.

use std::fmt::Write;

use dnsvet_core::lists::{ClientIs, Conditions, Effect, Entry, Format, LocalData, Trigger, Why, collect};

/// Fewer cases than this, and a file was lost.
const FEWEST_CASES: usize = 500;

const FILES: [(Format, &str); 8] = [
    (Format::Plain, include_str!("formats/plain.tsv")),
    (Format::Hosts, include_str!("formats/hosts.tsv")),
    (Format::Adblock, include_str!("formats/adblock.tsv")),
    (Format::Wildcard, include_str!("formats/wildcard.tsv")),
    (Format::Dnsmasq, include_str!("formats/dnsmasq.tsv")),
    (Format::Unbound, include_str!("formats/unbound.tsv")),
    (Format::Regex, include_str!("formats/regex.tsv")),
    (Format::Rpz, include_str!("formats/rpz.tsv")),
];

/// Line in the file, text and expectation of each case.
fn cases(file: &str) -> Vec<(usize, String, &str)> {
    let mut cases = Vec::new();
    for (number, line) in file.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [text, want, source]: [&str; 3] = fields.try_into().unwrap_or_default();
        assert!(!want.is_empty() && !source.is_empty(), "line {}: not three fields: {line:?}", number + 1);
        let text = text.replace('⏎', "\n").replace('⇥', "\t").replace('␍', "\r").replace('␣', " ");
        cases.push((number + 1, text, want));
    }
    cases
}

fn shown(entry: &Entry) -> String {
    let mut text = String::new();
    if entry.revokes {
        text.push_str("revoke ");
    }
    match &entry.rule.trigger {
        Trigger::Name(name, scope) => _ = write!(text, "{} {name}", scope.as_str()),
        Trigger::Pattern(pattern) => _ = write!(text, "pattern {pattern}"),
        Trigger::Client(net) => _ = write!(text, "client {net}"),
        Trigger::Address(net) => _ = write!(text, "address {net}"),
    }
    match &entry.rule.effect {
        Effect::Listed => {}
        Effect::Allow => text.push_str(" allow"),
        Effect::Stop(action) => _ = write!(text, " {}", action.as_str()),
        Effect::TcpOnly => text.push_str(" tcp-only"),
        Effect::Answer(records) => {
            let records: Vec<String> = records.iter().map(record).collect();
            _ = write!(text, " answer {}", records.join(", "));
        }
    }
    let Conditions { important, clients, not_clients, types, not_types, except } = &entry.rule.conditions;
    if *important {
        text.push_str(" important");
    }
    let mut condition = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            _ = write!(text, " {name}={}", values.join("|"));
        }
    };
    condition("client", clients.iter().map(client).collect());
    condition("not-client", not_clients.iter().map(client).collect());
    condition("type", types.iter().map(u16::to_string).collect());
    condition("not-type", not_types.iter().map(u16::to_string).collect());
    condition("except", except.iter().map(ToString::to_string).collect());
    text
}

fn client(is: &ClientIs) -> String {
    match is {
        ClientIs::In(net) => net.to_string(),
        ClientIs::Named(name) => format!("\"{name}\""),
    }
}

fn record(data: &LocalData) -> String {
    match data {
        LocalData::Address(address) => address.to_string(),
        LocalData::Cname(name) => format!("CNAME {name}"),
        LocalData::Record { rtype, rdata } => {
            let hex: String = rdata.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("TYPE{rtype} {hex}")
        }
    }
}

/// The report in full, or its kind alone where the case says no more.
fn report(why: &Why, want: &str) -> String {
    let full = format!("!{why:?}");
    let kind = full.split(['(', ' ']).next().unwrap_or_default();
    if want.split(" + ").any(|part| part == kind) { kind.to_owned() } else { full }
}

#[test]
fn each_format_says_what_its_makers_document() {
    let mut failed = String::new();
    let mut count = 0;
    for (format, file) in FILES {
        let mut texts = std::collections::HashSet::new();
        for (line, text, want) in cases(file) {
            count += 1;
            let (mut entries, rejected, counts) = collect(text.as_bytes(), format);
            entries.sort_by_key(|entry| entry.line);
            let found = entries.iter().map(shown).chain(rejected.iter().map(|r| report(&r.why, want)));
            let found = found.collect::<Vec<_>>().join(" + ");
            let found = if found.is_empty() { "-" } else { &found };
            if found != want {
                _ = writeln!(failed, "{format}.tsv:{line}: {text:?}\n  wants {want}\n  found {found}");
            }
            if counts.rules + counts.comments + counts.rejected != counts.lines {
                _ = writeln!(failed, "{format}.tsv:{line}: {text:?}: {counts:?}");
            }
            if !texts.insert(text) {
                _ = writeln!(failed, "{format}.tsv:{line}: the same text twice");
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(count >= FEWEST_CASES, "{count} cases");
    println!("{count} cases");
}

#[test]
fn a_list_is_taken_for_the_format_that_it_is_written_in() {
    let mut failed = String::new();
    for (line, text, want) in cases(include_str!("formats/detect.tsv")) {
        let found = Format::detect(text.as_bytes());
        if found.as_str() != want {
            _ = writeln!(failed, "detect.tsv:{line}: {text:?}: wants {want}, found {found}");
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn a_web_page_and_json_are_reported_once_and_taken_for_nothing() {
    let page = "\n<!DOCTYPE html>\n<html><body>\nads.example\n</body></html>\n";
    let json = "[\n\"ads.example\",\n\"b.example\"\n]\n";
    for format in Format::ALL {
        for (text, why, lines) in [(page, Why::WebPage, 5), (json, Why::Json, 4)] {
            let (entries, rejected, counts) = collect(text.as_bytes(), format);
            assert_eq!((entries.len(), rejected.len()), (0, 1), "{format}");
            assert_eq!((rejected[0].line, &rejected[0].why), (1, &why));
            assert_eq!((counts.lines, counts.rejected), (lines, lines));
        }
    }
}

#[test]
fn records_of_one_answer_are_one_rule_with_the_line_of_the_first() {
    let text =
        b"a.example A 192.0.2.1\nb.example CNAME .\na.example AAAA 2001:db8::1\na.example A 192.0.2.1\n";
    let (entries, _, counts) = collect(text, Format::Rpz);
    let found: Vec<_> = entries.iter().map(|entry| (entry.line, shown(entry))).collect();
    let answer = "exact a.example answer 192.0.2.1, 2001:db8::1".to_owned();
    assert_eq!(found, [(2, "exact b.example nxdomain".to_owned()), (1, answer)]);
    assert_eq!((counts.rules, counts.entries), (4, 2));
}

#[test]
fn all_lines_of_a_record_count_as_what_the_record_is() {
    let text = b"@ SOA ns. host. (\n 1 ; serial\n 2 3 4\n 5 )\nx TXT (\n \"a\"\n \"b\" )\ny A (\n nonsense )\nz CNAME .\n";
    let (entries, rejected, counts) = collect(text, Format::Rpz);
    assert_eq!((counts.lines, counts.comments, counts.rules, counts.rejected), (10, 4, 4, 2));
    assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [10, 5]);
    assert_eq!(rejected.iter().map(|report| report.line).collect::<Vec<_>>(), [8]);
}

#[test]
fn an_open_parenthesis_costs_its_own_line_only() {
    let text = format!("a CNAME (\n{}", "b.example CNAME .\n".repeat(200));
    let (entries, rejected, counts) = collect(text.as_bytes(), Format::Rpz);
    assert_eq!((entries.len(), rejected.len()), (200, 1));
    assert_eq!((counts.lines, counts.rules, counts.rejected), (201, 200, 1));
}

#[test]
fn a_line_that_waits_for_the_end_of_the_list_is_still_counted_once() {
    let text = b"local-data: \"x.example A 192.0.2.1\"\nlocal-zone: \"x.example\" always_nxdomain\n\
        local-data: \"x.example A 192.0.2.2\" local-data: \"x.example A 192.0.2.3\"\n";
    let (entries, rejected, counts) = collect(text, Format::Unbound);
    assert_eq!((entries.len(), rejected.len()), (1, 3));
    assert_eq!((counts.lines, counts.rules, counts.rejected), (3, 1, 2));
}

#[test]
fn a_line_longer_than_64_kib_is_passed_over() {
    let text = format!("{}\nok.example\n", "a".repeat(70_000));
    for format in [Format::Plain, Format::Adblock, Format::Regex] {
        let (entries, rejected, _) = collect(text.as_bytes(), format);
        assert_eq!((entries.len(), &rejected[0].why), (1, &Why::LongLine(70_000)), "{format}");
    }
}

#[test]
fn an_answer_of_more_records_than_fit_is_reported() {
    let text: String = (0..70).map(|n| format!("x.example A 192.0.2.{n}\n")).collect();
    let (entries, rejected, _) = collect(text.as_bytes(), Format::Rpz);
    assert_eq!((entries.len(), rejected.len()), (1, 6));
    assert_eq!(rejected[0].why, Why::ManyRecords);
}

#[test]
fn every_pattern_that_is_given_can_be_parsed_again() {
    for (format, file) in FILES {
        for (_, text, _) in cases(file) {
            for entry in collect(text.as_bytes(), format).0 {
                let Trigger::Pattern(pattern) = &entry.rule.trigger else { continue };
                let again = dnsvet_core::lists::Pattern::regex(pattern);
                assert!(again.is_ok(), "{pattern}: {again:?}");
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    #[test]
    fn any_bytes_in_any_format_are_accounted_for(text: Vec<u8>) {
        for format in Format::ALL {
            accounted_for(&text, format)?;
        }
    }

    #[test]
    fn any_pieces_of_lists_in_any_format_are_accounted_for(pieces in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
        for format in Format::ALL {
            accounted_for(text.as_bytes(), format)?;
        }
        Format::detect(text.as_bytes());
    }
}

/// What lists are made of, so that chance builds lines that nearly make sense.
const PIECES: [&str; 71] = [
    "\n",
    "\n",
    "\n",
    "\r\n",
    " ",
    " ",
    "\t",
    "a.example",
    "*.b.example",
    "*",
    ".",
    "||",
    "|",
    "@@",
    "^",
    "$",
    ",",
    "important",
    "badfilter",
    "client=",
    "dnstype=",
    "dnsrewrite=",
    "denyallow=",
    "NOERROR;",
    "MX;",
    "A;",
    "HTTPS;",
    "~",
    "'",
    "\"",
    "\\",
    "\\0",
    "/",
    "(",
    ")",
    "[",
    "]",
    "{2,9}",
    "(?#",
    ";querytype=",
    ";reply=",
    "!A",
    "#",
    "##",
    "$$",
    "!",
    ";",
    "192.0.2.1",
    "0.0.0.0",
    "::",
    "2001:db8::1",
    "address=/",
    "server=/",
    "local=/",
    "--",
    "server:",
    "local-zone:",
    "local-data:",
    "local-data-ptr:",
    "redirect",
    "static",
    "always_null",
    "$ORIGIN ",
    "$TTL 60",
    "@ SOA ",
    "CNAME ",
    "TXT ",
    "IN ",
    "24.0.2.0.192.rpz-ip",
    "rpz-drop.",
    "\u{fc}",
];

fn accounted_for(text: &[u8], format: Format) -> Result<(), proptest::test_runner::TestCaseError> {
    let (entries, rejected, counts) = collect(text, format);
    proptest::prop_assert_eq!(counts.rules + counts.comments + counts.rejected, counts.lines, "{}", format);
    proptest::prop_assert_eq!(counts.entries, entries.len() as u64);
    proptest::prop_assert!(rejected.len() as u64 >= counts.rejected.min(1));
    let lines = 1..=counts.lines;
    proptest::prop_assert!(entries.iter().all(|entry| lines.contains(&u64::from(entry.line))));
    proptest::prop_assert!(rejected.iter().all(|report| lines.contains(&u64::from(report.line))));
    Ok(())
}
