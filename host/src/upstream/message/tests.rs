use dnsvet_core::message::decode_query;

use super::*;

/// A question in wire form.
pub fn question(name: &str, qtype: u16) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire.extend_from_slice(&qtype.to_be_bytes());
    wire.extend_from_slice(&[0, 1]);
    wire
}

/// A query without EDNS, id 0x1234, RD set.
pub fn query(name: &str, qtype: u16) -> Vec<u8> {
    let mut wire = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend_from_slice(&question(name, qtype));
    wire
}

/// A query with OPT and the given options.
pub fn edns_query(name: &str, qtype: u16, udp_bytes: u16, options: &[u8]) -> Vec<u8> {
    let mut wire = query(name, qtype);
    wire[11] = 1;
    wire.extend_from_slice(&[0, 0, 41]);
    wire.extend_from_slice(&udp_bytes.to_be_bytes());
    wire.extend_from_slice(&[0, 0, 0, 0]);
    wire.extend_from_slice(&(options.len() as u16).to_be_bytes());
    wire.extend_from_slice(options);
    wire
}

/// An upstream's answer with one address record.
pub fn address_answer(name: &str, ttl_s: u32) -> Vec<u8> {
    let mut wire = query(name, 1);
    wire[2..4].copy_from_slice(&[0x85, 0xa0]);
    wire[7] = 1;
    wire.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    wire.extend_from_slice(&ttl_s.to_be_bytes());
    wire.extend_from_slice(&[0, 4, 192, 0, 2, 1]);
    wire
}

fn soa_answer(name: &str, rcode: u8, soa_ttl_s: u32, minimum_s: u32) -> Vec<u8> {
    let mut wire = query(name, 1);
    wire[2..4].copy_from_slice(&[0x81, 0x80 | rcode]);
    wire[9] = 1;
    wire.extend_from_slice(&[0xc0, 12, 0, 6, 0, 1]);
    wire.extend_from_slice(&soa_ttl_s.to_be_bytes());
    wire.extend_from_slice(&[0, 22, 0, 0]);
    wire.extend_from_slice(&[0; 16]);
    wire.extend_from_slice(&minimum_s.to_be_bytes());
    wire
}

fn compose(answer: &Answer, wire: &[u8], age: Age, transport: Transport) -> Vec<u8> {
    answer.compose(&decode_query(wire).unwrap(), age, transport)
}

#[test]
fn a_hit_takes_the_clients_id_spelling_and_flags_and_has_its_ttl_aged() {
    let answer = Answer::decode(address_answer("www.example", 300)).unwrap();
    let mut wire = query("wWw.ExAmPlE", 1);
    wire[..2].copy_from_slice(&[9, 9]);
    let out = compose(&answer, &wire, Age::Fresh(100), Transport::Udp);
    assert_eq!(out[..4], [9, 9, 0x81, 0x80], "no AA, no AD, RD and RA");
    assert_eq!(out[12..29], wire[12..29]);
    assert_eq!(u32_at(&out, records(&out).unwrap()[0].ttl_at), Some(200));
}

#[test]
fn ad_reaches_only_who_asked_for_it() {
    let answer = Answer::decode(address_answer("www.example", 300)).unwrap();
    let mut query = decode_query(&query("www.example", 1)).unwrap();
    assert_eq!(answer.compose(&query, Age::Fresh(0), Transport::Udp)[3] & 0x20, 0);
    query.ad = true;
    assert_eq!(answer.compose(&query, Age::Fresh(0), Transport::Udp)[3] & 0x20, 0x20);
}

#[test]
fn negative_answers_live_as_long_as_the_soa_says_and_without_one_not_at_all() {
    for (rcode, soa_ttl_s, minimum_s, expected) in [(3, 900, 60, 60), (0, 30, 3600, 30), (2, 900, 900, 0)] {
        let answer = Answer::decode(soa_answer("no.example", rcode, soa_ttl_s, minimum_s)).unwrap();
        assert_eq!(answer.ttl_s(), expected, "rcode {rcode}");
    }
    let mut bare = query("no.example", 1);
    bare[2..4].copy_from_slice(&[0x81, 0x83]);
    assert_eq!(Answer::decode(bare).unwrap().ttl_s(), 0);
}

#[test]
fn opt_of_the_upstream_is_cut_and_its_extended_error_is_kept() {
    let mut wire = soa_answer("no.example", 0, 60, 60);
    wire[11] = 1;
    // Extended code 1 (BADVERS high bits), EDE 6 "bogus", and a cookie that must not travel on.
    wire.extend_from_slice(&[0, 0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 23, 0, 15, 0, 7, 0, 6]);
    wire.extend_from_slice(b"bogus");
    wire.extend_from_slice(&[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let answer = Answer::decode(wire).unwrap();
    assert_eq!(answer.rcode(), 16);
    let out = compose(&answer, &edns_query("no.example", 1, 1232, &[]), Age::Fresh(0), Transport::Udp);
    assert_eq!(out[out.len() - 11..], [0, 15, 0, 7, 0, 6, b'b', b'o', b'g', b'u', b's']);
    let out = compose(&answer, &query("no.example", 1), Age::Fresh(0), Transport::Udp);
    assert_eq!(u16_at(&out, 10), Some(0), "no OPT for who sent none");
}

#[test]
fn stale_answers_say_so() {
    let answer = Answer::decode(address_answer("www.example", 300)).unwrap();
    let out = compose(&answer, &edns_query("www.example", 1, 1232, &[]), Age::Stale, Transport::Udp);
    assert_eq!(u32_at(&out, records(&out).unwrap()[0].ttl_at), Some(STALE_TTL_S));
    assert_eq!(out[out.len() - 6..], [0, 15, 0, 2, 0, 3]);
}

#[test]
fn long_answers_are_truncated_over_udp_and_whole_over_streams() {
    let mut wire = address_answer("www.example", 300);
    for _ in 0..99 {
        wire.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 2]);
    }
    wire[7] = 100;
    let answer = Answer::decode(wire).unwrap();
    for (wire, limit) in
        [(query("www.example", 1), 512), (edns_query("www.example", 1, 65_000, &[]), usize::from(UDP_BYTES))]
    {
        let out = compose(&answer, &wire, Age::Fresh(0), Transport::Udp);
        assert!(out.len() <= limit && out[2] & 0x02 != 0);
        assert!(records(&out).unwrap().iter().all(|span| span.section == 2), "no half answers");
        let out = compose(&answer, &wire, Age::Fresh(0), Transport::Stream);
        assert!(out.len() > 1600 && out[2] & 0x02 == 0);
    }
}

#[test]
fn padded_questions_get_answers_padded_to_the_block_under_tls_only() {
    let answer = Answer::decode(address_answer("www.example", 300)).unwrap();
    let wire = edns_query("www.example", 1, 1232, &[0, 12, 0, 4, 0, 0, 0, 0]);
    assert_eq!(compose(&answer, &wire, Age::Fresh(0), Transport::Encrypted).len() % 468, 0);
    assert!(compose(&answer, &wire, Age::Fresh(0), Transport::Stream).len() < 100);
}

#[test]
fn any_cut_or_change_of_an_answer_is_an_error_or_an_answer_but_never_a_panic() {
    let whole = soa_answer("no.example", 3, 900, 60);
    let ask = edns_query("no.example", 1, 1232, &[]);
    for end in 0..whole.len() {
        assert!(Answer::decode(whole[..end].to_vec()).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            if let Ok(answer) = Answer::decode(changed) {
                compose(&answer, &ask, Age::Fresh(1), Transport::Udp);
            }
        }
    }
}

#[test]
fn what_goes_upstream_has_no_option_of_the_client() {
    let wire = question_for_upstream(7, &question("www.example", 1), true, true);
    assert_eq!(wire[..4], [0, 7, 1, 0x30]);
    assert_eq!(wire[wire.len() - 11..], [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0]);
}
