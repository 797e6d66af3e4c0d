//! Serials, the meaning of records in a transfer, text.

use super::*;
use crate::xfr::message::Message;
use crate::xfr::transfer::{Outcome, Transfer};
use crate::xfr::zone::is_within;

const PLENTY: (u64, u64) = (1000, 1 << 20);

fn version(serial: u32) -> Record {
    soa(serial).record(&wire("rpz.example"))
}

/// Feeds records one by one, so that no test depends on where a message ends.
fn run(have: Option<&Zone>, records: Vec<Record>) -> Result<Outcome, XfrError> {
    let mut transfer = Transfer::new(&name("rpz.example"), have, true, PLENTY);
    for record in records {
        transfer.take(vec![record])?;
    }
    transfer.outcome().ok_or(XfrError::Malformed("not whole"))
}

#[test]
fn serials_are_compared_around_the_wrap() {
    // RFC 1982 section 5.1, with 32 bits.
    let newer = |a: u32, b: u32| Serial(a).is_newer_than(Serial(b));
    assert!(newer(1, 0) && newer(44, 0) && newer(100, 44) && newer(0, u32::MAX) && newer(99, u32::MAX - 5));
    assert!(!newer(0, 1) && !newer(7, 7) && !newer(u32::MAX, 0));
    assert!(!newer(1 << 31, 0) && !newer(0, 1 << 31), "undefined by the RFC: not newer, so nothing loops");
    assert!(newer((1 << 31) - 1, 0));
    assert_eq!(Serial(u32::MAX).next(), Serial(1));
}

#[test]
fn a_name_is_within_a_zone_by_labels_and_not_by_letters() {
    let within = |a: &str, b: &str| is_within(&wire(a), &wire(b));
    assert!(within("a.rpz.example", "rpz.example") && within("rpz.example", "rpz.example"));
    assert!(within("example", "") && within("", ""));
    assert!(!within("arpz.example", "rpz.example") && !within("example", "rpz.example"));
    // The bytes of `rpz.example` inside one label.
    assert!(!is_within(b"\x0ca\x03rpz\x07example\x00", &wire("rpz.example")));
}

#[test]
fn a_full_transfer_takes_what_lies_between_two_equal_soas() {
    let records = vec![version(5), block("b"), block("a"), block("b"), version(5)];
    let Ok(Outcome::Full(got)) = run(None, records) else { panic!("not a full zone") };
    assert_eq!(got, zone(5, &["a", "b"]));
}

#[test]
fn differences_are_applied_version_by_version() {
    let have = zone(1, &["a", "b"]);
    let records = vec![
        version(3),
        version(1),
        block("a"),
        version(2),
        block("c"),
        version(2),
        block("c"),
        version(3),
        block("d"),
        block("e"),
        version(3),
    ];
    let Ok(Outcome::Changed { zone: got, removed, added }) = run(Some(&have), records) else {
        panic!("not changed")
    };
    assert_eq!(got, zone(3, &["b", "d", "e"]));
    assert_eq!((removed, added), (2, 3));
}

#[test]
fn a_whole_zone_may_answer_for_its_differences_and_a_lone_soa_says_nothing_newer() {
    let have = zone(1, &["a"]);
    let records = vec![version(4), block("z"), version(4)];
    assert!(matches!(run(Some(&have), records), Ok(Outcome::Full(got)) if got == zone(4, &["z"])));
    assert!(
        matches!(run(Some(&have), vec![version(1)]), Ok(Outcome::Unchanged(soa)) if soa.serial == Serial(1))
    );
    let older = zone(9, &["a"]);
    assert!(
        matches!(run(Some(&older), vec![version(4)]), Ok(Outcome::Unchanged(soa)) if soa.serial == Serial(4))
    );
}

#[test]
fn differences_that_do_not_fit_are_told_apart() {
    let have = zone(1, &["a"]);
    let why = |records| match run(Some(&have), records) {
        Err(XfrError::Inconsistent { serial: Serial(1), why }) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(vec![version(3), version(1), block("x")]).contains("taken out"));
    assert!(why(vec![version(3), version(1), version(3), block("a")]).contains("put in"));
    assert!(why(vec![version(3), version(2)]).contains("another version"));
    assert!(why(vec![version(5), version(1), version(2), version(3)]).contains("missing"));
}

#[test]
fn records_that_are_no_transfer_are_refused() {
    let refused = |records| run(None, records).unwrap_err().to_string();
    assert!(refused(vec![block("a")]).contains("does not start with the SOA"));
    assert!(refused(vec![version(5), block("a"), version(6)]).contains("from serial 5 to 6"));
    assert!(refused(vec![version(5), block("a"), version(5), block("b")]).contains("behind the closing SOA"));
    assert!(refused(vec![version(5), block("a")]).contains("not whole"));
    let foreign = Record::new(&wire("a.other.example"), types::CNAME, 60, &[0]);
    assert!(refused(vec![version(5), foreign]).contains("a.other.example., outside of zone rpz.example"));
    let below = soa(5).record(&wire("below.rpz.example"));
    assert!(refused(vec![version(5), below]).contains("below the zone's own name"));
    let signature = Record::new(&wire("a.rpz.example"), types::TSIG, 0, &[0]);
    assert!(refused(vec![version(5), signature]).contains("no zone holds"));
    let many = std::iter::once(version(5)).chain((0..1001).map(|n| block(&n.to_string())));
    assert!(refused(many.collect()).contains("larger than 1000 records"));
    let long = Record::new(&wire("a.rpz.example"), 65280, 60, &vec![0; 40_000]);
    assert!(refused(std::iter::once(version(5)).chain(vec![long; 27]).collect()).contains("1048576 bytes"));
}

#[test]
fn text_of_a_zone_is_the_same_however_it_came_and_reads_back() {
    let mut odd = zone(7, &["*.a", "b"]);
    let owner = wire("x.rpz.example");
    let at = |rtype, data: &[u8]| Record::new(&owner, rtype, 300, data);
    assert!(odd.add(at(types::A, &[192, 0, 2, 1])));
    assert!(odd.add(at(types::A, &[192, 0, 2])), "data that is no address still passes");
    assert!(odd.add(at(types::AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])));
    assert!(odd.add(at(types::TXT, b"\x05a \"\\;\x02\x00\xff\x00")));
    assert!(odd.add(at(types::MX, &[&[0, 10][..], &wire("mail.example")].concat())));
    assert!(odd.add(at(types::SRV, &[&[0, 1, 0, 2, 0, 53][..], &wire("s.example")].concat())));
    assert!(odd.add(at(65, &[0, 1, 0, 0xab])));
    assert!(odd.add(at(65281, &[])));
    let strange = [&b"\x04a.\x40\x20"[..], &wire("rpz.example")].concat();
    assert!(odd.add(Record::new(&strange, types::CNAME, 0, b"\x01*\x00")));
    let text = odd.to_master_text();
    let expected = r#"$ORIGIN rpz.example.
@ 300 IN SOA ns.example. admin.example. 7 3600 600 604800 60
*.a 60 IN CNAME .
b 60 IN CNAME .
x 300 IN A \# 3 C00002
x 300 IN A 192.0.2.1
x 300 IN MX 10 mail.example.
x 300 IN TXT "a \"\\;" "\000\255" ""
x 300 IN AAAA 2001:db8::1
x 300 IN SRV 1 2 53 s.example.
x 300 IN TYPE65 \# 4 000100AB
x 300 IN TYPE65281 \# 0
a\046\064\032 0 IN CNAME *.
"#;
    assert_eq!(text, expected);
    assert_eq!(Zone::parse_master_text(&text), Ok(odd));
}

#[test]
fn text_that_is_no_zone_is_refused_with_its_line() {
    let good = zone(7, &["a"]).to_master_text();
    let refused = |text: &str| Zone::parse_master_text(text).unwrap_err();
    assert_eq!(refused("").line, 1);
    assert_eq!(refused("$ORIGIN rpz.example.\n").why, "no SOA");
    for bad in [
        "a 60 IN CNAME .",
        "b 60 IN CNAME relative",
        "b 60 CH CNAME .",
        "b x IN CNAME .",
        "b 60 IN CNAME . .",
        "b 60 IN A 1.2.3",
        "b 60 IN NONE \\# 0",
        "b 60 IN TYPE65 \\# 3 0000",
        "b 60 IN TXT \"x",
        "b..c 60 IN CNAME .",
        "b\\3 60 IN CNAME .",
        "@ 300 IN SOA ns.example. admin.example. 8 3600 600 604800 60",
        "",
    ] {
        assert_eq!(refused(&format!("{good}{bad}\n")).line, 4, "{bad}");
    }
}

#[test]
fn compressed_names_in_data_are_written_out_and_others_left_alone() {
    // example. NS ns.example.; then TYPE65280 whose data looks like a pointer.
    let mut message = b"\x00\x01\x84\x00\x00\x01\x00\x02\x00\x00\x00\x00".to_vec();
    message.extend(b"\x07ExamplE\x00\x00\xfc\x00\x01");
    message.extend(b"\xc0\x0c\x00\x02\x00\x01\x00\x00\x00\x3c\x00\x05\x02NS\xc0\x0c");
    message.extend(b"\xc0\x0c\xff\x00\x00\x01\x80\x00\x00\x00\x00\x02\xc0\x0c");
    let decoded = Message::decode(&message).unwrap();
    let views: Vec<_> = decoded.answers.iter().map(Record::view).collect();
    assert_eq!((views[0].owner, views[0].data), (&wire("example")[..], &wire("ns.example")[..]));
    assert_eq!((views[1].data, views[1].ttl_s), (&[0xc0, 0x0c][..], 0));
    assert_eq!(&decoded.question.unwrap().raw[..9], b"\x07ExamplE\x00", "the spelling is kept for the echo");
}

#[test]
fn no_message_cut_or_changed_at_any_byte_panics() {
    let mut message = b"\x00\x01\x84\x00\x00\x01\x00\x02\x00\x01\x00\x01".to_vec();
    message.extend(b"\x07example\x00\x00\xfb\x00\x01");
    message.extend(b"\xc0\x0c\x00\x02\x00\x01\x00\x00\x00\x3c\x00\x05\x02ns\xc0\x0c");
    message.extend(b"\x01a\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x06\x00\x05\x01b\xc0\x0c");
    let soa = soa(1).record(&wire("example"));
    message.extend([soa.view().owner, &[0, 6, 0, 1, 0, 0, 0, 9, 0, 47]].concat());
    message.extend(soa.view().data);
    message.extend(b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1a\x01h\x00");
    message.extend(b"\x00\x00\x00\x00\x00\x09\x01\x2c\x00\x04abcd\x00\x01\x00\x00\x00\x03xyz");
    let whole = Message::decode(&message);
    assert!(whole.as_ref().is_ok_and(|m| m.tsig.as_ref().is_some_and(|t| t.mac == b"abcd")), "{whole:?}");
    for end in 0..message.len() {
        assert!(Message::decode(&message[..end]).is_err(), "cut at {end}");
    }
    for at in 0..message.len() {
        for value in [0, 1, 0x3f, 0x40, 0x7f, 0xc0, 0xff] {
            let mut changed = message.clone();
            changed[at] = value;
            let _ = Message::decode(&changed);
        }
    }
}
