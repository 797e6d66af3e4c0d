//! Names, DNS messages and the requests that carry them.

use dnsvet_core::doh::{self, Form};
use dnsvet_core::lists::LocalData;
use dnsvet_core::message::{
    Answer, Data, MAX_MESSAGE_BYTES, Query, decode_answer, decode_query, min_ttl, rtype,
};
use dnsvet_core::name::{MAX_WIRE_BYTES, Name};
use dnsvet_core::policy::identity::{bearer, hashed, is_path_id};
use dnsvet_core::response::{PADDING_BLOCK_BYTES, Synthesis, error_answer, failure, synthesize};
use dnsvet_core::rewrite;
use dnsvet_core::snapshot::{etag_matches, serve_range};
use dnsvet_core::verdict::{Action, Own};

use crate::input::Input;

/// A text and labels: what is a name is the same name again, in text and on the wire.
pub(crate) fn name(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = Name::parse(text)
    {
        is_sound(&name);
    }
    let mut labels = Vec::new();
    let mut rest = data;
    while let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let Some((label, behind)) = behind.split_at_checked(usize::from(*length)) else { break };
        labels.push(label);
        rest = behind;
    }
    if let Ok(name) = Name::from_labels(labels.iter().copied()) {
        is_sound(&name);
        let mut wire: Vec<u8> = Vec::new();
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(label.to_ascii_lowercase());
        }
        wire.push(0);
        assert_eq!(name.to_wire(), wire);
    }
}

fn is_sound(name: &Name) {
    assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(name));
    assert_eq!(Name::parse(&format!("{name}.").replace("..", ".")).as_ref(), Ok(name));
    let wire = name.to_wire();
    assert!(wire.len() <= MAX_WIRE_BYTES && wire.last() == Some(&0), "{name}");
    let mut rest = wire.as_slice();
    let mut labels = Vec::new();
    while let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, behind) = behind.split_at(usize::from(*length));
        labels.push(label);
        rest = behind;
    }
    assert_eq!(Name::from_labels(labels.iter().copied()).as_ref(), Ok(name));
    assert_eq!(name.label_count(), labels.len());
    assert_eq!(name.suffixes().count(), labels.len());
    for suffix in name.suffixes() {
        assert!(name.is_within(suffix), "{name} is not within {suffix}");
        assert_eq!(Name::parse(suffix).map(|parent| parent.as_str().to_owned()).as_deref(), Ok(suffix));
    }
    assert!(name.registrable_domain().is_none_or(|domain| name.is_within(domain)), "{name}");
}

/// A query: decoded, and answered in every way that there is.
pub(crate) fn query(data: &[u8]) {
    let mut input = Input::new(data);
    let (bytes, wire) = (usize::from(input.u16()), input.rest());
    let failed = error_answer(wire, 2);
    let query = match decode_query(wire) {
        Ok(query) => query,
        Err(malformed) => {
            let answer = malformed.response();
            assert_eq!((answer.is_some(), failed.is_some()), (malformed.rcode().is_some(), answer.is_some()));
            for answer in answer.iter().chain(&failed) {
                assert_eq!(answer.get(..2), wire.get(..2));
                assert!(answer.len() <= 512);
            }
            if let Some((answer, rcode)) = answer.zip(malformed.rcode()) {
                assert_eq!(decode_answer(&answer).map(|answer| answer.rcode), Ok(rcode));
            }
            return;
        }
    };
    assert_eq!(failed.and_then(|answer| decode_answer(&answer).ok()).map(|answer| answer.rcode), Some(2));
    let question = &query.question;
    is_sound(&question.name);
    let lower = query.raw_question.to_ascii_lowercase();
    assert!(lower.starts_with(&question.name.to_wire()));
    for target in [&question.name, &Name::root()] {
        let asked = decode_query(&rewrite::question(&query, target)).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((&asked.question.name, asked.question.qtype), (target, question.qtype));
        assert_eq!(
            (asked.id, asked.rd, asked.cd, asked.question.qclass),
            (query.id, query.rd, query.cd, question.qclass)
        );
        assert_eq!(asked.edns.is_some(), query.edns.is_some());
    }
    let record = LocalData::Record { rtype: question.qtype, rdata: vec![7; bytes] };
    let addresses = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|octets| LocalData::Address(octets.into()));
    let own = [
        Own::Loopback,
        Own::Truncated,
        Own::Records(vec![record; 1 + bytes % 3]),
        Own::Records(addresses.to_vec()),
        Own::Records(vec![LocalData::Cname(question.name.clone())]),
    ];
    let text = "ä".repeat(bytes % 400);
    for action in
        [Action::Nxdomain, Action::Nodata, Action::Null, Action::Honeypot, Action::Refused, Action::Custom]
    {
        for own in own.iter().take(if action == Action::Custom { own.len() } else { 1 }) {
            for (udp, encrypted) in [(true, false), (false, false), (false, true)] {
                let addresses = (bytes % 2 == 0).then_some(([192, 0, 2, 1].into(), [0x2001; 8].into()));
                let ede = (bytes % 5 > 0).then(|| (15, text.clone()));
                let synthesis =
                    Synthesis { query: &query, action, ttl_s: 60, addresses, own, ede, udp, encrypted };
                let made = synthesize(&synthesis).unwrap_or_else(|| panic!("{action:?} answers nothing"));
                answers(&query, &made, udp, encrypted);
            }
        }
    }
    let localhost = synthesize(&Synthesis::localhost(&query, 60, true, false));
    answers(&query, &localhost.unwrap_or_default(), true, false);
    for encrypted in [false, true] {
        answers(&query, &failure(&query, 5, Some((18, &text)), encrypted), !encrypted, encrypted);
    }
}

/// What holds of every answer that the filter makes to a query.
pub(crate) fn answers(query: &Query, made: &[u8], udp: bool, encrypted: bool) {
    let limit = if udp { query.udp_limit() } else { MAX_MESSAGE_BYTES };
    assert!(made.len() <= limit, "{} bytes where {limit} fit", made.len());
    let [high, low] = query.id.to_be_bytes();
    assert_eq!(made.get(..2), Some(&[high, low][..]));
    assert_eq!(made.get(12..12 + query.raw_question.len()), Some(query.raw_question.as_slice()));
    // What is no address may still be said to be one by a policy's own record.
    let own =
        matches!(query.question.qtype, rtype::A | rtype::AAAA | rtype::CNAME | rtype::SVCB | rtype::HTTPS);
    let decoded = decode_answer(made);
    assert!(decoded.is_ok() || own, "{decoded:?}");
    if encrypted
        && query.edns.is_some_and(|edns| edns.padding)
        && made.len() < MAX_MESSAGE_BYTES - PADDING_BLOCK_BYTES
    {
        assert_eq!(made.len() % PADDING_BLOCK_BYTES, 0);
    }
}

/// An answer: decoded, asked how long it holds, put behind an alias.
pub(crate) fn answer(data: &[u8]) {
    let ttl_s = min_ttl(data);
    let decoded = decode_answer(data);
    let mut question = data.to_vec();
    // The question that it answers: QR off, no records.
    if let Some(flags) = question.get_mut(2) {
        *flags &= 0x07;
    }
    question.get_mut(6..12).into_iter().for_each(|counts| counts.fill(0));
    let query = decode_query(&question).ok();
    let target = Name::parse("target.example").unwrap_or_default();
    let behind = query
        .as_ref()
        .map(|query| [true, false].map(|udp| (udp, rewrite::answer(query, &target, 60, data, udp, !udp))));
    let Ok(answer) = decoded else { return };
    assert_eq!(answer.records.len(), usize::from(data[6]) << 8 | usize::from(data[7]));
    for record in &answer.records {
        is_sound(&record.owner);
        match &record.data {
            Data::Cname(target) | Data::Pointer(target) | Data::Svcb { target, .. } => is_sound(target),
            Data::Address(_) | Data::Other => {}
        }
    }
    if !answer.records.is_empty() {
        assert_eq!(ttl_s, answer.records.iter().map(|record| record.ttl).min());
    }
    let Some((query, behind)) = query.zip(behind) else { return };
    for (udp, made) in behind {
        let made = made.unwrap_or_else(|| panic!("no answer is made of {answer:?}"));
        answers(&query, &made, udp, !udp);
        let made = decode_answer(&made).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(made.rcode & 15, answer.rcode & 15);
        is_behind(&made, &answer, &target);
    }
}

fn is_behind(made: &Answer, upstream: &Answer, target: &Name) {
    let Some((alias, rest)) = made.records.split_first() else {
        return assert!(made.truncated);
    };
    assert_eq!(alias.data, Data::Cname(target.clone()));
    let is_known = |record: &dnsvet_core::message::Record| match record.data {
        Data::Other => true,
        _ => upstream.records.iter().any(|known| known.data == record.data && known.owner == record.owner),
    };
    assert!(rest.len() <= upstream.records.len() && rest.iter().all(is_known), "{made:?} of {upstream:?}");
}

/// The head of a request over HTTP, one field a line: method, path, content type, authorization, range, ETags.
pub(crate) fn http(data: &[u8]) {
    const PATH: &str = "/dns-query";
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, path, kind) = (next(), next(), next());
    let (authorization, range, etags) = (next(), next(), next());
    match doh::read_head(method, path, (!kind.is_empty()).then_some(kind), PATH) {
        Ok(head) => {
            assert!(head.path_id.as_deref().is_none_or(is_path_id));
            assert!(path.starts_with(PATH));
            if let Form::Get { wire, path: Some(replaced) } = &head.form {
                let again = doh::read_head("GET", replaced, None, PATH).map(|head| (head.path_id, head.form));
                assert_eq!(again, Ok((None, Form::Get { wire: wire.clone(), path: None })), "{path}");
            }
            if let Form::Get { wire, path: None } = &head.form {
                assert!(wire.len() <= doh::MAX_MESSAGE_BYTES + 3 && head.path_id.is_none());
            }
        }
        Err(refusal) => assert!((400..=415).contains(&refusal.status())),
    }
    let made = doh::get_path(PATH, data);
    let read = doh::read_head("GET", &made, None, PATH).map(|head| head.form);
    assert_eq!(read, Ok(Form::Get { wire: data.to_vec(), path: None }));
    if let Some(token) = bearer(authorization) {
        assert!(token.len() <= 128);
        assert_eq!(hashed(&hashed(&token)), hashed(&token));
    }
    for len in [0, 1, 1_000, u64::MAX] {
        if let Ok(Some(part)) = serve_range(len, Some(range)) {
            assert!(part.start < part.end && part.end <= len, "{range:?} of {len}");
        }
    }
    const ID: &str = "0123456789abcdef";
    if etag_matches(Some(etags), ID) {
        assert!(etags.contains(ID) || etags.trim() == "*", "{etags:?}");
    }
}
