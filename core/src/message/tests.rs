//! hickory-proto is the oracle: it builds well-formed messages and says what others hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hickory_proto::op::{self, Message, MessageType, OpCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::rdata::svcb::{IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS, SOA, SVCB, TXT};
use hickory_proto::rr::{DNSClass, Name as HickoryName, RData, Record as HickoryRecord, RecordType};
use proptest::prelude::*;

use super::*;
use crate::name::Name;
use crate::response;

fn hickory_name(text: &str) -> HickoryName {
    HickoryName::from_ascii(text).expect("a test's own name")
}

fn asked(name: &str, qtype: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(op::Query::query(hickory_name(name), qtype));
    message
}

fn with_edns(mut message: Message, udp_bytes: u16, options: &[(u16, &[u8])]) -> Message {
    let mut edns = op::Edns::new();
    edns.set_max_payload(udp_bytes);
    for (number, value) in options {
        edns.options_mut().insert(EdnsOption::Unknown(*number, value.to_vec()));
    }
    message.set_edns(edns);
    message
}

fn wire(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a test's own message")
}

fn response_to(query: &Message) -> Message {
    let mut message = query.clone();
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message
}

fn why(wire: &[u8]) -> DecodeError {
    match decode_query(wire) {
        Err(Malformed::FormErr { why, .. }) => why,
        other => panic!("expected FORMERR, got {other:?}"),
    }
}

#[test]
fn plain_query_is_decoded_and_its_case_is_kept_for_the_echo() {
    let wire = wire(&asked("WwW.ExAmple.COM.", RecordType::AAAA));
    let query = decode_query(&wire).unwrap();
    assert_eq!((query.id, query.rd, query.ad, query.cd), (0x1234, true, false, false));
    assert_eq!(query.question.name.as_str(), "www.example.com");
    assert_eq!((query.question.qtype, query.question.qclass), (rtype::AAAA, 1));
    assert_eq!(query.raw_question, b"\x03WwW\x07ExAmple\x03COM\x00\x00\x1c\x00\x01");
    assert_eq!(query.edns, None);
    assert_eq!(query.udp_limit(), 512);
}

#[test]
fn edns_is_read_with_each_option_that_matters() {
    let mut message = with_edns(asked("a.test.", RecordType::A), 4096, &[(10, b"12345678"), (12, &[0; 9])]);
    let subnet = ClientSubnet::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24, 0);
    let edns = message.edns.as_mut().unwrap();
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    edns.set_dnssec_ok(true);
    let edns = decode_query(&wire(&message)).unwrap().edns.unwrap();
    let all = Edns {
        udp_bytes: 4096,
        dnssec_ok: true,
        version: 0,
        padding: true,
        client_subnet: true,
        cookie: true,
    };
    assert_eq!(edns, all);
    let plain = decode_query(&wire(&with_edns(asked("a.test.", RecordType::A), 700, &[]))).unwrap();
    assert_eq!((plain.udp_limit(), plain.dnssec_ok()), (700, false));
    assert!(!plain.edns.is_some_and(|edns| edns.padding || edns.cookie || edns.client_subnet));
}

#[test]
fn udp_limit_lies_between_512_and_1232() {
    let limit = |bytes| {
        let mut query = decode_query(&wire(&with_edns(asked("a.test.", RecordType::A), 700, &[]))).unwrap();
        query.edns.as_mut().unwrap().udp_bytes = bytes;
        query.udp_limit()
    };
    assert_eq!([0, 511, 513, 1232, 65535].map(limit), [512, 512, 513, 1232, 1232]);
}

#[test]
fn responses_and_short_messages_are_dropped() {
    let query = wire(&asked("a.test.", RecordType::A));
    for length in 0..12 {
        assert_eq!(decode_query(&query[..length]), Err(Malformed::Dropped));
    }
    let response = wire(&response_to(&asked("a.test.", RecordType::A)));
    let dropped = decode_query(&response).unwrap_err();
    assert_eq!(dropped, Malformed::Dropped);
    assert_eq!((dropped.response(), dropped.rcode()), (None, None));
}

#[test]
fn every_other_opcode_is_not_implemented_and_echoed() {
    for opcode in 1..16u8 {
        let mut query = wire(&asked("a.test.", RecordType::A));
        query[2] |= opcode << 3;
        let malformed = decode_query(&query).unwrap_err();
        assert!(matches!(malformed, Malformed::NotImp { .. }), "{malformed:?}");
        let answer = malformed.response().unwrap();
        let header = Header::decode(&answer).unwrap();
        assert_eq!((header.id, header.opcode(), header.rcode()), (0x1234, opcode, rcode::NOTIMP));
        assert_eq!((header.counts, answer.len()), ([0; 4], 12));
    }
}

#[test]
fn a_query_cut_anywhere_is_a_format_error_and_never_a_question() {
    let whole = wire(&with_edns(asked("www.example.com.", RecordType::A), 1232, &[(10, b"12345678")]));
    for length in 12..whole.len() {
        let malformed = decode_query(&whole[..length]).unwrap_err();
        let answer = malformed.response().unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, u16::from(answer.metadata.response_code)), (0x1234, rcode::FORMERR));
        assert_eq!(
            answer.queries.len(),
            usize::from(length >= 33),
            "the question is echoed once it is whole"
        );
    }
}

#[test]
fn one_question_is_the_only_number_of_questions() {
    let mut query = wire(&asked("a.test.", RecordType::A));
    for count in [0u16, 2, 65535] {
        query[4..6].copy_from_slice(&count.to_be_bytes());
        assert_eq!(why(&query), DecodeError::Questions(count));
    }
    let mut two = asked("a.test.", RecordType::A);
    two.add_query(op::Query::query(hickory_name("b.test."), RecordType::A));
    assert_eq!(why(&wire(&two)), DecodeError::Questions(2));
}

#[test]
fn compression_pointers_in_a_question_are_refused_wherever_they_lead() {
    for pointer in [0xc000u16, 0xc004, 0xc00c, 0xc00d, 0xc010, 0xffff] {
        let mut query = wire(&asked(".", RecordType::A))[..12].to_vec();
        query.extend_from_slice(&pointer.to_be_bytes());
        query.extend_from_slice(&[0, 1, 0, 1]);
        assert_eq!(why(&query), DecodeError::Pointer { at: 12 });
    }
    let mut behind_label = wire(&asked(".", RecordType::A))[..12].to_vec();
    behind_label.extend_from_slice(b"\x01a\xc0\x0c\x00\x01\x00\x01");
    assert_eq!(why(&behind_label), DecodeError::Pointer { at: 14 });
}

#[test]
fn labels_of_unknown_type_and_names_that_are_too_long_are_refused() {
    let head = wire(&asked(".", RecordType::A))[..12].to_vec();
    for length in [0x40u8, 0x80, 0xbf] {
        let query = [&head[..], &[length], &[b'a'; 200]].concat();
        assert_eq!(why(&query), DecodeError::LabelType { at: 12 });
    }
    let longest = [&[63u8][..], &[b'a'; 63]].concat().repeat(3);
    let fits = [&head[..], &longest, &[61], &[b'a'; 61], &[0, 0, 1, 0, 1]].concat();
    assert_eq!(decode_query(&fits).unwrap().question.name.to_wire().len(), 255);
    let long = [&head[..], &longest, &[62], &[b'a'; 62], &[0, 0, 1, 0, 1]].concat();
    assert!(matches!(why(&long), DecodeError::Name { at: 12, .. }));
}

#[test]
fn bytes_behind_the_last_record_and_records_that_no_query_has_are_tolerated() {
    let mut message = asked("www.example.com.", RecordType::A);
    let plain = decode_query(&wire(&message)).unwrap();
    let address = RData::A(A(Ipv4Addr::LOCALHOST));
    message.add_answer(HickoryRecord::from_rdata(hickory_name("www.example.com."), 1, address));
    let mut query = wire(&message);
    query.extend_from_slice(b"trailing");
    let decoded = decode_query(&query).unwrap();
    assert_eq!((decoded.question, decoded.raw_question), (plain.question, plain.raw_question));
}

#[test]
fn second_opt_owned_opt_and_cut_options_are_format_errors() {
    let query = wire(&with_edns(asked("a.test.", RecordType::A), 1232, &[]));
    let (body, opt) = query.split_at(query.len() - 11);
    let mut two = [body, opt, opt].concat();
    two[11] = 2;
    assert!(matches!(why(&two), DecodeError::Opt { why: "there are two", .. }));
    let owned = [body, b"\x01a", opt].concat();
    assert!(matches!(why(&owned), DecodeError::Opt { why: "its owner is not the root", .. }));
    let mut cut = [body, opt, &[0, 10, 0, 9, 1, 2]].concat();
    let length_at = cut.len() - 7;
    cut[length_at] = 6;
    assert!(matches!(why(&cut), DecodeError::Opt { why: "an option is cut short", .. }));
}

#[test]
fn unknown_edns_version_is_answered_badvers_whatever_its_options_hold() {
    let mut query = wire(&with_edns(asked("a.test.", RecordType::A), 1232, &[(10, b"12345678")]));
    let opt = query.len() - 11 - 12;
    query[opt + 6] = 1;
    query[opt + 14] = 99;
    let malformed = decode_query(&query).unwrap_err();
    assert!(matches!(malformed, Malformed::BadVers { .. }), "{malformed:?}");
    let answer = Message::from_vec(&malformed.response().unwrap()).unwrap();
    assert_eq!(u16::from(answer.metadata.response_code), rcode::BADVERS);
    assert_eq!(answer.edns.as_ref().unwrap().version(), 0);
    assert_eq!(answer.queries[0].name, hickory_name("a.test."));
}

#[test]
fn a_message_past_64_kib_is_refused() {
    let mut query = wire(&asked("a.test.", RecordType::A));
    query.resize(65_535, 0);
    assert!(decode_query(&query).is_ok());
    query.push(0);
    assert_eq!(why(&query), DecodeError::Long(65_536));
}

fn answer_with(records: Vec<(&str, u32, RData)>) -> Message {
    let mut message = response_to(&asked("www.example.com.", RecordType::A));
    for (owner, ttl, data) in records {
        message.add_answer(HickoryRecord::from_rdata(hickory_name(owner), ttl, data));
    }
    message
}

fn address(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn soa(minimum: u32) -> RData {
    let name = hickory_name("ns.example.com.");
    RData::SOA(SOA::new(name.clone(), name, 1, 2, 3, 4, minimum))
}

#[test]
fn answer_section_is_decoded_through_compression() {
    let hints = vec![
        (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A(Ipv4Addr::new(10, 0, 0, 1))]))),
        (SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(vec![AAAA(Ipv6Addr::LOCALHOST)]))),
    ];
    let service = SVCB::new(1, hickory_name("svc.example.com."), hints);
    let alias = SVCB::new(0, hickory_name("alias.example.net."), Vec::new());
    let message = answer_with(vec![
        ("www.example.com.", 300, RData::CNAME(CNAME(hickory_name("edge.Example.com.")))),
        ("edge.example.com.", 60, address(1)),
        ("edge.example.com.", 61, RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))),
        ("edge.example.com.", 62, RData::HTTPS(HTTPS(service))),
        ("edge.example.com.", 63, RData::SVCB(alias)),
        ("edge.example.com.", 64, RData::TXT(TXT::new(vec!["text".into()]))),
    ]);
    let answer = decode_answer(&wire(&message)).unwrap();
    assert_eq!((answer.rcode, answer.truncated, answer.records.len()), (0, false, 6));
    let name = |text| Name::parse(text).unwrap();
    let data: Vec<Data> = answer.records.iter().map(|record| record.data.clone()).collect();
    let local = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let hints = vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), local];
    assert_eq!(data[0], Data::Cname(name("edge.example.com")));
    assert_eq!(data[1], Data::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!(data[2], Data::Address(local));
    assert_eq!(data[3], Data::Svcb { priority: 1, target: name("svc.example.com"), hints });
    assert_eq!(data[4], Data::Svcb { priority: 0, target: name("alias.example.net"), hints: Vec::new() });
    assert_eq!(data[5], Data::Other);
    assert_eq!(answer.records.iter().map(|record| record.ttl).collect::<Vec<_>>(), [300, 60, 61, 62, 63, 64]);
    assert_eq!(answer.records[1].owner, name("edge.example.com"));
}

#[test]
fn addresses_of_another_class_are_not_addresses() {
    let mut message = answer_with(vec![("www.example.com.", 300, address(1))]);
    message.answers[0].dns_class = DNSClass::CH;
    assert_eq!(decode_answer(&wire(&message)).unwrap().records[0].data, Data::Other);
}

#[test]
fn data_that_does_not_fit_its_type_is_an_error() {
    let whole = wire(&answer_with(vec![("www.example.com.", 300, address(1))]));
    for (rtype, data) in [
        (rtype::A, &b"\x01\x02\x03"[..]),
        (rtype::AAAA, b"1234"),
        (rtype::CNAME, b"\x01a"),
        (rtype::CNAME, b"\x00\x00"),
        (rtype::HTTPS, b"\x00\x01"),
        (rtype::HTTPS, b"\x00\x01\x00\x00\x04\x00\x03\x01\x02\x03"),
        (rtype::SVCB, b"\x00\x01\x00\x00\x06\x00\x11"),
    ] {
        let mut answer = whole[..whole.len() - 14].to_vec();
        answer.extend_from_slice(&rtype.to_be_bytes());
        answer.extend_from_slice(&[0, 1, 0, 0, 0, 9]);
        answer.extend_from_slice(&(data.len() as u16).to_be_bytes());
        answer.extend_from_slice(data);
        assert!(matches!(decode_answer(&answer), Err(DecodeError::Data { .. })), "type {rtype} {data:?}");
    }
}

#[test]
fn an_answer_cut_anywhere_is_an_error() {
    let mut message = answer_with(vec![("www.example.com.", 300, address(1))]);
    message.add_authority(HickoryRecord::from_rdata(hickory_name("example.com."), 5, soa(7)));
    let whole = wire(&with_edns(message, 1232, &[]));
    assert!(decode_answer(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(decode_answer(&whole[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(decode_answer(&wire(&asked("a.test.", RecordType::A))), Err(DecodeError::NotResponse));
}

#[test]
fn upper_bits_of_the_response_code_come_from_the_opt_record() {
    let mut message = with_edns(answer_with(Vec::new()), 1232, &[]);
    message.edns.as_mut().unwrap().set_rcode_high(1);
    message.metadata.response_code = op::ResponseCode::NoError;
    let mut whole = wire(&message);
    let ttl = whole.len() - 6;
    whole[ttl] = 1;
    assert_eq!(decode_answer(&whole).unwrap().rcode, rcode::BADVERS);
}

#[test]
fn min_ttl_is_the_least_of_the_answers_or_what_the_soa_says() {
    let message = answer_with(vec![("a.test.", 300, address(1)), ("a.test.", 30, address(2))]);
    assert_eq!(min_ttl(&wire(&message)), Some(30));
    assert_eq!(min_ttl(&wire(&answer_with(vec![("a.test.", 0x8000_0000, address(1))]))), Some(0));
    for (ttl, minimum) in [(900, 60), (60, 900)] {
        let mut negative = answer_with(Vec::new());
        negative.add_authority(HickoryRecord::from_rdata(hickory_name("example.com."), ttl, soa(minimum)));
        assert_eq!(min_ttl(&wire(&negative)), Some(60));
    }
    assert_eq!(min_ttl(&wire(&answer_with(Vec::new()))), None);
    assert_eq!(min_ttl(b"garbage"), None);
}

/// Real messages of every shape, to be mutated.
fn seeds() -> Vec<Vec<u8>> {
    let subnet = ClientSubnet::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24, 0);
    let mut ecs =
        with_edns(asked("Ecs.Example.com.", RecordType::HTTPS), 4096, &[(10, b"12345678"), (12, &[0; 20])]);
    ecs.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Subnet(subnet));
    let mut answer = answer_with(vec![
        ("www.example.com.", 300, RData::CNAME(CNAME(hickory_name("edge.example.com.")))),
        ("edge.example.com.", 60, address(1)),
        (
            "edge.example.com.",
            62,
            RData::HTTPS(HTTPS(SVCB::new(
                1,
                hickory_name("svc.example.com."),
                vec![(
                    SvcParamKey::Ipv6Hint,
                    SvcParamValue::Ipv6Hint(IpHint(vec![AAAA(Ipv6Addr::LOCALHOST)])),
                )],
            ))),
        ),
    ]);
    answer.add_authority(HickoryRecord::from_rdata(hickory_name("example.com."), 5, soa(7)));
    let answer = with_edns(answer, 1232, &[(15, b"\x00\x0fblocked")]);
    let mut answer_in_query = answer.clone();
    answer_in_query.metadata.message_type = MessageType::Query;
    vec![
        wire(&asked("www.example.com.", RecordType::A)),
        wire(&asked(".", RecordType::NS)),
        wire(&asked("_dns.resolver.arpa.", RecordType::SVCB)),
        wire(&ecs),
        wire(&answer),
        wire(&answer_in_query),
    ]
}

/// Runs everything that takes wire bytes; returns whether the bytes are a query.
fn exercise(bytes: &[u8]) -> bool {
    let _ = decode_answer(bytes);
    let _ = min_ttl(bytes);
    let _ = response::error_answer(bytes, 2);
    let decoded = decode_query(bytes);
    if let Some(response) = decoded.as_ref().err().and_then(Malformed::response) {
        let message = Message::from_vec(&response).expect("what we answer can be decoded");
        assert_eq!(message.metadata.message_type, MessageType::Response);
    }
    decoded.is_ok()
}

/// hickory-proto's view of a query, for those that both must accept.
fn agrees_with_hickory(bytes: &[u8]) {
    let Ok(theirs) = Message::from_vec(bytes) else { return };
    let ours = match decode_query(bytes) {
        Ok(ours) => ours,
        // Stricter than hickory-proto on purpose: see `decode_query` and RFC 6891 section 6.1.2.
        Err(Malformed::FormErr { why: DecodeError::Pointer { .. } | DecodeError::Opt { .. }, .. }) => return,
        Err(malformed) => {
            let acceptable = theirs.metadata.message_type == MessageType::Query
                && theirs.metadata.op_code == OpCode::Query
                && theirs.queries.len() == 1
                && theirs.edns.as_ref().is_none_or(|edns| edns.version() == 0);
            assert!(!acceptable, "refused {malformed:?} of {bytes:02x?}");
            return;
        }
    };
    let question = &theirs.queries[0];
    let labels: Vec<Vec<u8>> = question.name.iter().map(<[u8]>::to_ascii_lowercase).collect();
    let expected = Name::from_labels(labels.iter().map(Vec::as_slice)).expect("hickory-proto's labels");
    assert_eq!(ours.question.name, expected);
    assert_eq!(ours.question.qtype, u16::from(question.query_type));
    assert_eq!(ours.id, theirs.metadata.id);
    assert_eq!(ours.edns.is_some(), theirs.edns.is_some());
    if let (Some(ours), Some(theirs)) = (ours.edns, &theirs.edns) {
        assert_eq!(ours.dnssec_ok, theirs.flags().dnssec_ok);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic_and_agree_with_hickory(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
        agrees_with_hickory(&bytes);
    }

    #[test]
    fn mutated_messages_never_panic_and_agree_with_hickory(
        seed in 0..6usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = seeds().swap_remove(seed);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        exercise(&bytes);
        agrees_with_hickory(&bytes);
    }

    #[test]
    fn well_formed_queries_are_accepted_with_the_question_that_hickory_sees(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30), 0..6),
        qtype in any::<u16>(),
        edns in any::<bool>(),
    ) {
        let mut bytes = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        for label in &labels {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        bytes.extend_from_slice(&qtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        if edns {
            bytes.extend_from_slice(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00");
        }
        prop_assert!(Message::from_vec(&bytes).is_ok());
        prop_assert!(exercise(&bytes));
        agrees_with_hickory(&bytes);
    }
}

#[test]
fn names_parse_as_hickory_parses_them() {
    for text in
        ["example.com", "a.b.c.d.e", "xn--bcher-kva.example", "_dmarc.example.com", "1.0.0.127.in-addr.arpa"]
    {
        let ours = Name::parse(text).unwrap();
        let theirs = HickoryName::from_str(text).unwrap();
        assert_eq!(ours.labels().count(), usize::from(theirs.num_labels()));
        assert_eq!(ours.as_str(), theirs.to_ascii());
    }
}
