use super::*;

fn names(text: &str, format: Format) -> Vec<(String, bool)> {
    let (entries, rejected, _) = collect(text.as_bytes(), format);
    assert_eq!(rejected, []);
    entries.into_iter().map(|entry| name_and_scope(&entry)).collect()
}

fn name_and_scope(entry: &Entry) -> (String, bool) {
    let Trigger::Name(name, scope) = &entry.rule.trigger else { panic!("no name: {entry:?}") };
    (name.to_string(), *scope == Scope::Exact)
}

fn whys(text: &[u8], format: Format) -> Vec<(u32, Why)> {
    collect(text, format).1.into_iter().map(|report| (report.line, report.why)).collect()
}

#[test]
fn a_plain_list_gives_one_suffix_a_line() {
    let text = "\u{feff}# head\r\n\tEXAMPLE.com. \r\n\r\n*.wild.example\r\nbücher.example # inline\n! no\n; no\n// no\nlast.example ; why";
    let want = ["example.com", "wild.example", "xn--bcher-kva.example", "last.example"];
    assert_eq!(names(text, Format::Plain), want.map(|name| (name.to_owned(), false)));
}

#[test]
fn a_hosts_file_gives_every_name_behind_an_address() {
    let text = "\u{feff}127.0.0.1\tlocalhost\r\n::1 localhost ip6-localhost\r\nfe80::1%lo0 LOCALHOST\r\n0.0.0.0 0.0.0.0\r\n\
        255.255.255.255 broadcasthost\n0.0.0.0\tOne.example  two.example. #three.example\n127.0.0.1 a_b.example\n:: v6.example\n93.184.216.34 real.example\n";
    let want = ["one.example", "two.example", "a_b.example", "v6.example", "real.example"];
    assert_eq!(names(text, Format::Hosts), want.map(|name| (name.to_owned(), true)));
}

#[test]
fn boilerplate_of_a_hosts_file_counts_as_comment() {
    let counts = collect(b"127.0.0.1 localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 x.example\n", Format::Hosts).2;
    assert_eq!((counts.lines, counts.comments, counts.rules), (3, 2, 1));
}

#[test]
fn a_bad_line_is_reported_with_its_number_and_costs_nobody_else() {
    let text = b"ok.example\nhttp://x.example/\n1.2.3.4\n||ads.example^\na*b.example\n.\ntwo words\n\xff\xfe\nbad..example\na|b.example\nfine.example";
    let (entries, rejected, counts) = collect(text, Format::Plain);
    assert_eq!(
        entries.iter().map(|e| (e.line, name_and_scope(e).0)).collect::<Vec<_>>(),
        [(1, "ok.example".to_owned()), (11, "fine.example".to_owned())]
    );
    let want = [
        (2, Why::Url),
        (3, Why::Address),
        (4, Why::AdblockRule),
        (5, Why::Wildcard),
        (6, Why::Root),
        (7, Why::Words),
        (8, Why::NotUtf8),
        (9, Why::Name(NameError::EmptyLabel)),
        (10, Why::Name(NameError::Character('|'))),
    ];
    assert_eq!(rejected.iter().map(|r| (r.line, r.why.clone())).collect::<Vec<_>>(), want);
    assert_eq!((counts.lines, counts.rules, counts.rejected), (11, 2, 9));
    assert_eq!(
        rejected[0].to_string(),
        "line 2: \"http://x.example/\": a URL, not a name; keep only the host part"
    );
}

#[test]
fn a_hosts_line_keeps_its_good_names_and_reports_the_bad_one() {
    let (entries, rejected, counts) = collect(b"0.0.0.0 good.example b|d.example", Format::Hosts);
    assert_eq!((entries.len(), rejected.len()), (1, 1));
    assert_eq!((counts.lines, counts.rules, counts.rejected, counts.entries), (1, 0, 1, 1));
    assert_eq!(whys(b"name.example\n0.0.0.0\n", Format::Hosts), [(1, Why::NoAddress), (2, Why::NoName)]);
}

#[test]
fn a_report_repeats_at_most_eighty_characters() {
    let long = format!("{}.example", "ü".repeat(300));
    let report = &collect(long.as_bytes(), Format::Plain).1[0];
    assert_eq!(report.text.chars().count(), 81);
}

#[test]
fn the_format_is_told_from_the_first_lines() {
    assert_eq!(Format::detect(b"# x\n0.0.0.0 a.example\n127.0.0.1 b.example\nstray.example"), Format::Hosts);
    assert_eq!(Format::detect(b"# 0.0.0.0 x\na.example\nb.example"), Format::Plain);
    assert_eq!(Format::detect(b""), Format::Plain);
    assert_eq!("hosts".parse(), Ok(Format::Hosts));
    assert_eq!("rpz2".parse::<Format>(), Err(UnknownFormat("rpz2".into())));
}

#[test]
fn an_unknown_format_is_told_all_that_are_known() {
    let words = Format::ALL.map(Format::as_str);
    let message = UnknownFormat("x".into()).to_string();
    assert!(message.ends_with(&format!("known: {}", words.join(", "))), "{message}");
    assert!(words.iter().all(|word| word.parse::<Format>().is_ok_and(|format| format.to_string() == **word)));
}

proptest::proptest! {
    #[test]
    fn every_line_of_any_bytes_is_accounted_for(text: Vec<u8>, format in 0..Format::ALL.len()) {
        let format = Format::ALL[format];
        let (entries, _, counts) = collect(&text, format);
        proptest::prop_assert_eq!(counts.rules + counts.comments + counts.rejected, counts.lines);
        proptest::prop_assert_eq!(counts.entries, entries.len() as u64);
    }

    #[test]
    fn every_line_of_listlike_text_is_accounted_for(text in "([a-z.*#|/ \t0-9:!;\r\n]|0\\.0\\.0\\.0 |\u{fc}){0,80}") {
        for format in Format::ALL {
            let counts = collect(text.as_bytes(), format).2;
            proptest::prop_assert_eq!(counts.rules + counts.comments + counts.rejected, counts.lines);
        }
    }
}
