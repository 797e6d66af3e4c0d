//! hickory-proto decodes what we answer.

use hickory_proto::op::{self, Message, MessageType, OpCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::svcb::SvcParamValue;
use hickory_proto::rr::{Name as HickoryName, RData, RecordType};
use proptest::prelude::*;

use super::*;

const HONEYPOT: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 53), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53));

struct Ask {
    edns: Option<u16>,
    dnssec_ok: bool,
    padding: bool,
}

const PLAIN: Ask = Ask { edns: None, dnssec_ok: false, padding: false };
const EDNS: Ask = Ask { edns: Some(1232), dnssec_ok: false, padding: false };

fn query(name: &str, qtype: u16, ask: &Ask) -> Query {
    let mut message = Message::new(0x4242, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = true;
    message.add_query(op::Query::query(HickoryName::from_ascii(name).unwrap(), RecordType::from(qtype)));
    if let Some(bytes) = ask.edns {
        let mut edns = op::Edns::new();
        edns.set_max_payload(bytes).set_dnssec_ok(ask.dnssec_ok);
        if ask.padding {
            edns.options_mut().insert(EdnsOption::Unknown(12, vec![0; 3]));
        }
        message.set_edns(edns);
    }
    decode_query(&message.to_vec().unwrap()).unwrap()
}

fn synthesis(query: &Query, action: Action) -> Synthesis<'_> {
    Synthesis {
        query,
        action,
        ttl_s: 60,
        addresses: Some(HONEYPOT),
        own: &Own::Loopback,
        ede: None,
        udp: true,
        encrypted: false,
    }
}

fn answered(synthesis: &Synthesis<'_>) -> Message {
    let wire = synthesize(synthesis).unwrap();
    let end = Header::BYTES + synthesis.query.raw_question.len();
    assert_eq!(wire[Header::BYTES..end], synthesis.query.raw_question, "the question is echoed");
    let message = Message::from_vec(&wire).unwrap();
    assert_eq!(message.metadata.id, 0x4242);
    assert!(message.metadata.recursion_available && message.metadata.recursion_desired);
    assert!(!message.metadata.authoritative && !message.metadata.authentic_data);
    assert!(!message.metadata.truncation);
    message
}

/// The SOA record's owner and how long it lets the answer be cached.
fn negative(message: &Message) -> (String, u32, u32) {
    assert_eq!((message.answers.len(), message.authorities.len()), (0, 1));
    let record = &message.authorities[0];
    let RData::SOA(soa) = &record.data else { panic!("{record:?} is no SOA") };
    assert_eq!(soa.mname.to_ascii(), "dnsvet.invalid.");
    assert_eq!(soa.rname.to_ascii(), "hostmaster.dnsvet.invalid.");
    (record.name.to_ascii(), record.ttl, soa.minimum)
}

fn code(message: &Message) -> u16 {
    message.metadata.response_code.into()
}

#[test]
fn nxdomain_and_nodata_carry_the_soa_of_the_registrable_domain() {
    for (asked, owner) in [
        ("a.b.Example.co.uk.", "Example.co.uk."),
        ("example.com.", "example.com."),
        ("x.y.github.io.", "y.github.io."),
        ("co.uk.", "co.uk."),
        ("a\\.b.evil.com.", "evil.com."),
        (".", "."),
    ] {
        let query = query(asked, 1, &PLAIN);
        for (action, rcode) in [(Action::Nxdomain, rcode::NXDOMAIN), (Action::Nodata, rcode::NOERROR)] {
            let message = answered(&synthesis(&query, action));
            assert_eq!(code(&message), rcode);
            assert_eq!(negative(&message), (owner.to_owned(), 60, 60));
        }
    }
}

#[test]
fn null_is_unspecified_for_addresses_and_nodata_for_every_other_type() {
    for qtype in (1..260).filter(|qtype| ![41, 249, 250, 251, 252].contains(qtype)) {
        let query = query("bad.example.", qtype, &PLAIN);
        let message = answered(&synthesis(&query, Action::Null));
        assert_eq!(code(&message), rcode::NOERROR);
        match qtype {
            1 => assert_eq!(message.answers[0].data.ip_addr(), Some(Ipv4Addr::UNSPECIFIED.into())),
            28 => assert_eq!(message.answers[0].data.ip_addr(), Some(Ipv6Addr::UNSPECIFIED.into())),
            _ => assert_eq!(negative(&message).1, 60),
        }
    }
}

#[test]
fn honeypot_is_the_same_for_every_type_that_leads_to_an_address() {
    for action in [Action::Honeypot, Action::Custom] {
        let of = |qtype| {
            let query = query("bad.example.", qtype, &PLAIN);
            let message = answered(&synthesis(&query, action));
            assert!(message.authorities.is_empty() && message.answers.len() == 1);
            let record = message.answers[0].clone();
            assert_eq!((record.name.to_ascii().as_str(), record.ttl), ("bad.example.", 60));
            record.data
        };
        assert_eq!(of(1).ip_addr(), Some(HONEYPOT.0.into()));
        assert_eq!(of(28).ip_addr(), Some(HONEYPOT.1.into()));
        for qtype in [64, 65] {
            let (RData::HTTPS(hickory_proto::rr::rdata::HTTPS(service)) | RData::SVCB(service)) = of(qtype)
            else {
                panic!("no service binding");
            };
            assert!(service.svc_priority == 1 && service.target_name.is_root());
            let hints: Vec<IpAddr> = service
                .svc_params
                .iter()
                .map(|(_, value)| match value {
                    SvcParamValue::Ipv4Hint(hint) => IpAddr::V4(hint.0[0].0),
                    SvcParamValue::Ipv6Hint(hint) => IpAddr::V6(hint.0[0].0),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(hints, [IpAddr::V4(HONEYPOT.0), IpAddr::V6(HONEYPOT.1)]);
        }
        for qtype in [2, 5, 15, 16, 33, 255, 257] {
            let query = query("bad.example.", qtype, &PLAIN);
            negative(&answered(&synthesis(&query, action)));
        }
    }
}

#[test]
fn honeypot_without_an_address_is_nodata() {
    let query = query("bad.example.", 1, &PLAIN);
    negative(&answered(&Synthesis { addresses: None, ..synthesis(&query, Action::Honeypot) }));
}

#[test]
fn drop_and_allow_make_no_answer_and_refused_makes_an_empty_one() {
    let query = query("bad.example.", 1, &EDNS);
    assert_eq!(synthesize(&synthesis(&query, Action::Drop)), None);
    assert_eq!(synthesize(&synthesis(&query, Action::Allow)), None);
    let message = answered(&synthesis(&query, Action::Refused));
    assert_eq!((code(&message), message.answers.len(), message.authorities.len()), (5, 0, 0));
}

#[test]
fn localhost_is_loopback_and_nodata_for_other_types() {
    for (qtype, address) in [(1, IpAddr::V4(Ipv4Addr::LOCALHOST)), (28, IpAddr::V6(Ipv6Addr::LOCALHOST))] {
        let query = query("app.localhost.", qtype, &PLAIN);
        let message = answered(&Synthesis::localhost(&query, 3600, true, false));
        assert_eq!((message.answers[0].data.ip_addr(), message.answers[0].ttl), (Some(address), 3600));
    }
    let query = query("app.localhost.", 65, &PLAIN);
    negative(&answered(&Synthesis::localhost(&query, 3600, true, false)));
}

#[test]
fn opt_and_ede_are_there_only_if_asked() {
    let ede = Some((15, "blocked by policy 01ab".to_owned()));
    let plain = query("bad.example.", 1, &PLAIN);
    let message = answered(&Synthesis { ede: ede.clone(), ..synthesis(&plain, Action::Nxdomain) });
    assert_eq!(message.edns, None);
    for dnssec_ok in [false, true] {
        let asked = query("bad.example.", 1, &Ask { edns: Some(4096), dnssec_ok, padding: false });
        let message = answered(&Synthesis { ede: ede.clone(), ..synthesis(&asked, Action::Nxdomain) });
        let edns = message.edns.unwrap();
        assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok), (UDP_BYTES, 0, dnssec_ok));
        let option = edns.option(EdnsCode::from(15)).unwrap();
        assert_eq!(option, &EdnsOption::Unknown(15, b"\x00\x0fblocked by policy 01ab".to_vec()));
        assert_eq!(edns.options().options.len(), 1);
    }
}

#[test]
fn long_ede_text_is_cut_at_a_character_so_that_the_answer_fits() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.example.com.");
    let query = query(&name, 16, &Ask { edns: Some(512), dnssec_ok: true, padding: false });
    for text in ["é".repeat(400), "x".repeat(400), String::new()] {
        let wire =
            synthesize(&Synthesis { ede: Some((15, text.clone())), ..synthesis(&query, Action::Nxdomain) });
        let wire = wire.unwrap();
        assert!(wire.len() <= 512, "{} bytes", wire.len());
        let message = Message::from_vec(&wire).unwrap();
        let Some(EdnsOption::Unknown(_, value)) = message.edns.unwrap().option(15.into()).cloned() else {
            panic!("no EDE")
        };
        let said = std::str::from_utf8(&value[2..]).unwrap();
        assert!(text.starts_with(said) && (said.len() > 100 || text.is_empty()), "{} bytes", said.len());
    }
}

#[test]
fn records_that_leave_no_room_for_the_opt_record_are_cut() {
    let query = query("text.example", 16, &EDNS);
    let rest = Header::BYTES + query.raw_question.len() + 12 + OPT_BYTES;
    for (bytes, cut) in [(1_232 - rest, false), (1_232 - rest + 1, true), (1_232 - rest + OPT_BYTES, true)] {
        let own = Own::Records(vec![LocalData::Record { rtype: 16, rdata: vec![0; bytes] }]);
        let wire = synthesize(&Synthesis { own: &own, ..synthesis(&query, Action::Custom) }).unwrap();
        assert!(wire.len() <= query.udp_limit(), "{} bytes", wire.len());
        assert_eq!(wire[2] & 2 != 0, cut, "{bytes} bytes of text");
    }
    // The extended error takes what is left, and nothing where that is less than its head.
    for left in 0..20 {
        let own = Own::Records(vec![LocalData::Record { rtype: 16, rdata: vec![0; 1_232 - rest - left] }]);
        let ede = Some((15, "blocked".to_owned()));
        let wire = synthesize(&Synthesis { own: &own, ede, ..synthesis(&query, Action::Custom) }).unwrap();
        let said = if left < 6 { 0 } else { left.min(6 + "blocked".len()) };
        assert_eq!(wire.len(), 1_232 - left + said);
    }
}

#[test]
fn padded_query_gets_answers_of_one_size_on_encrypted_transport_only() {
    let ask = Ask { edns: Some(1232), dnssec_ok: false, padding: true };
    for (udp, encrypted, padded) in [(false, true, true), (false, false, false), (true, false, false)] {
        for action in [Action::Nxdomain, Action::Honeypot, Action::Refused, Action::Null] {
            let query = query("www.bad.example.", 1, &ask);
            let ede = Some((15, "blocked".to_owned()));
            let wire = synthesize(&Synthesis { udp, encrypted, ede, ..synthesis(&query, action) }).unwrap();
            assert_eq!(wire.len() == PADDING_BLOCK_BYTES, padded);
            assert!(Message::from_vec(&wire).is_ok());
        }
    }
    let unpadded = query("www.bad.example.", 1, &EDNS);
    let wire = synthesize(&Synthesis { encrypted: true, ..synthesis(&unpadded, Action::Nxdomain) }).unwrap();
    assert!(wire.len() < 200, "a query without padding gets an answer without padding");
}

#[test]
fn failures_keep_question_and_opt_and_carry_the_whole_code() {
    let query = query("bad.example.", 1, &EDNS);
    for expected in [1, 2, 4, 5, 16, 23] {
        let message =
            Message::from_vec(&failure(&query, expected, Some((22, "no upstream")), false)).unwrap();
        assert_eq!((code(&message), message.queries.len()), (expected, 1));
        assert!(message.edns.unwrap().option(15.into()).is_some());
    }
}

#[test]
fn error_answer_keeps_what_can_be_decoded() {
    let mut message = Message::new(0x4242, MessageType::Query, OpCode::Query);
    message.add_query(op::Query::query(HickoryName::from_ascii("a.example.").unwrap(), RecordType::A));
    let whole = message.to_vec().unwrap();
    let answer = Message::from_vec(&error_answer(&whole, 2).unwrap()).unwrap();
    assert_eq!((code(&answer), answer.queries.len()), (2, 1));
    let answer = Message::from_vec(&error_answer(&whole[..20], 2).unwrap()).unwrap();
    assert_eq!((code(&answer), answer.queries.len()), (2, 0));
    assert_eq!(error_answer(&whole[..11], 2), None);
    let mut response = whole;
    response[2] |= 0x80;
    assert_eq!(error_answer(&response, 2), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_to_any_name_decodes_with_its_code_and_fits(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..63), 0..4),
        qtype in any::<u16>(),
        ttl_s in 0..604_800u32,
        edns in any::<bool>(),
        padding in any::<bool>(),
        udp in any::<bool>(),
        encrypted in any::<bool>(),
        text in ".{0,300}",
        action in prop::sample::select(vec![
            Action::Nxdomain, Action::Nodata, Action::Null, Action::Honeypot, Action::Custom, Action::Refused,
        ]),
    ) {
        let mut wire = vec![0x42, 0x42, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        labels.iter().for_each(|label| {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        });
        wire.push(0);
        wire.extend_from_slice(&qtype.to_be_bytes());
        wire.extend_from_slice(&[0, 1]);
        if edns {
            wire.extend_from_slice(b"\x00\x00\x29\x10\x00\x00\x00\x00\x00");
            wire.extend_from_slice(if padding { b"\x00\x04\x00\x0c\x00\x00" } else { b"\x00\x00" });
        }
        let query = decode_query(&wire).unwrap();
        let synthesis = Synthesis {
            query: &query, action, ttl_s, addresses: Some(HONEYPOT), own: &Own::Loopback, ede: Some((15, text)), udp, encrypted,
        };
        let wire = synthesize(&synthesis).unwrap();
        prop_assert!(!udp || encrypted || wire.len() <= query.udp_limit());
        prop_assert_eq!(crate::message::decode_answer(&wire).unwrap().rcode, match action {
            Action::Nxdomain => rcode::NXDOMAIN,
            Action::Refused => rcode::REFUSED,
            _ => rcode::NOERROR,
        });
        if let Some(ttl) = crate::message::min_ttl(&wire) {
            prop_assert_eq!(ttl, ttl_s);
        }
        let message = Message::from_vec(&wire).unwrap();
        prop_assert_eq!(message.edns.is_some(), edns);
        prop_assert_eq!(message.authorities.len() + message.answers.len(), usize::from(action != Action::Refused));
    }
}
