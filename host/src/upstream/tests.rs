use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dnsvet_core::message::decode_query;

use super::counting::{CountingUpstream, Seen, at_once, header_and_question, with_address};
use super::message::{question_end, records, tests as build, u16_at};
use super::*;

fn forwarder(upstreams: &[&CountingUpstream]) -> Rc<Forwarder> {
    let servers = upstreams.iter().map(|upstream| upstream.address).collect();
    Rc::new(Forwarder::new(Upstreams::Servers(servers), 1 << 20, Arc::default()))
}

async fn ask(forwarder: &Rc<Forwarder>, wire: &[u8]) -> Vec<u8> {
    let query = decode_query(wire).unwrap();
    match forwarder.lookup(&query, Transport::Stream) {
        Lookup::Answer(answer) => answer,
        Lookup::Miss(miss) => forwarder.fetch(&query, miss, Transport::Stream).await,
    }
}

/// Runs a test as a worker would: one thread, local tasks.
fn on_worker<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn code(answer: &[u8]) -> u16 {
    exchange::header_rcode(answer)
}

/// The extended error code of an answer to a question with EDNS and nothing else in OPT.
fn extended_error(answer: &[u8]) -> Option<u16> {
    let opt = *records(answer).unwrap().last()?;
    (u16_at(answer, opt.ttl_at + 6)? == 15).then(|| u16_at(answer, opt.ttl_at + 10))?
}

#[test]
fn an_answer_comes_once_from_the_upstream_and_then_from_the_cache() {
    let upstream = CountingUpstream::start(|q| at_once(with_address(&q.wire, 300, [192, 0, 2, 1])));
    on_worker(async {
        let forwarder = forwarder(&[&upstream]);
        for name in ["www.example", "WWW.example", "www.EXAMPLE"] {
            let answer = ask(&forwarder, &build::query(name, 1)).await;
            assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 1]);
            assert_eq!(answer[12..29], build::query(name, 1)[12..29], "the client's own spelling");
        }
    });
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn the_upstream_sees_a_fresh_id_and_spelling_and_no_option_of_the_client() {
    let upstream = CountingUpstream::start(|q| at_once(with_address(&q.wire, 0, [192, 0, 2, 1])));
    // Client subnet 192.0.2.0/24 and a cookie.
    let options =
        [&[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2][..], &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
    let name = "a-name-with-many-letters.example";
    on_worker(async {
        let forwarder = forwarder(&[&upstream]);
        for _ in 0..8 {
            ask(&forwarder, &build::edns_query(name, 1, 4096, &options)).await;
        }
    });
    let seen = upstream.seen();
    assert_eq!(seen.len(), 8);
    for Seen { wire, .. } in &seen {
        let end = question_end(wire).unwrap();
        assert_eq!(wire[end..], [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0], "OPT without options");
    }
    let ids: std::collections::HashSet<_> = seen.iter().map(|s| s.wire[..2].to_vec()).collect();
    let spellings: std::collections::HashSet<_> = seen.iter().map(|s| s.wire[12..46].to_vec()).collect();
    assert!(ids.len() >= 7 && spellings.len() >= 7);
}

#[test]
fn a_truncated_answer_is_asked_again_over_tcp() {
    let upstream = CountingUpstream::start(|q| {
        if q.tcp {
            return at_once(with_address(&q.wire, 60, [192, 0, 2, 2]));
        }
        let mut truncated = header_and_question(&q.wire, 0);
        truncated[2] |= 0x02;
        at_once(truncated)
    });
    on_worker(async {
        let answer = ask(&forwarder(&[&upstream]), &build::query("big.example", 1)).await;
        assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 2]);
    });
    assert_eq!(upstream.seen().iter().map(|s| s.tcp).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn answers_with_a_wrong_id_or_question_are_ignored_until_the_right_one_comes() {
    let upstream = CountingUpstream::start(|q| {
        let mut wrong_id = with_address(&q.wire, 60, [6, 6, 6, 6]);
        wrong_id[0] ^= 1;
        let mut wrong_name = with_address(&q.wire, 60, [6, 6, 6, 6]);
        wrong_name[13] = b'x';
        let mut question = with_address(&q.wire, 60, [6, 6, 6, 6]);
        question[2] &= 0x7f;
        let right = with_address(&q.wire, 60, [192, 0, 2, 3]);
        [wrong_id, wrong_name, question, vec![0; 3], right].map(|m| (Duration::from_millis(5), m)).to_vec()
    });
    on_worker(async {
        let answer = ask(&forwarder(&[&upstream]), &build::query("abc.example", 1)).await;
        assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 3]);
    });
}

#[test]
fn a_spelling_that_is_not_ours_is_not_believed_over_udp() {
    let upstream = CountingUpstream::start(|q| {
        let mut answer = with_address(&q.wire, 60, if q.tcp { [192, 0, 2, 4] } else { [6, 6, 6, 6] });
        let end = question_end(&answer).unwrap() - 4;
        answer[12..end].make_ascii_lowercase();
        at_once(answer)
    });
    on_worker(async {
        let name = "a-name-with-many-letters-that-has-capitals-for-sure.example";
        let answer = ask(&forwarder(&[&upstream]), &build::query(name, 1)).await;
        assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 4]);
    });
}

#[test]
fn clients_that_ask_the_same_wait_for_one_exchange() {
    let upstream = CountingUpstream::start(|q| {
        vec![(Duration::from_millis(100), with_address(&q.wire, 60, [192, 0, 2, 5]))]
    });
    on_worker(async {
        let forwarder = forwarder(&[&upstream]);
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let forwarder = Rc::clone(&forwarder);
            clients.spawn_local(async move { ask(&forwarder, &build::query("same.example", 1)).await });
        }
        while let Some(answer) = clients.join_next().await {
            assert_eq!(code(&answer.unwrap()), 0);
        }
    });
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_silent_upstream_is_left_for_the_next_and_silence_of_all_is_servfail_that_says_why() {
    let silent = CountingUpstream::start(|_| Vec::new());
    let refusing = CountingUpstream::start(|q| at_once(header_and_question(&q.wire, 5)));
    let good = CountingUpstream::start(|q| at_once(with_address(&q.wire, 60, [192, 0, 2, 6])));
    on_worker(async {
        let answer = ask(&forwarder(&[&silent, &refusing, &good]), &build::query("a.example", 1)).await;
        assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 6]);
        let alone = forwarder(&[&silent]);
        let started = Instant::now();
        let wire = build::edns_query("b.example", 1, 1232, &[]);
        let answer = ask(&alone, &wire).await;
        assert_eq!((code(&answer), extended_error(&answer)), (rcode::SERVFAIL, Some(22)));
        assert!(started.elapsed() < Duration::from_secs(5), "before stubs give up");
        let again = Instant::now();
        assert_eq!(code(&ask(&alone, &wire).await), rcode::SERVFAIL);
        assert!(again.elapsed() < Duration::from_millis(100), "the failure is remembered");
    });
}

#[test]
fn a_closed_port_is_a_network_error_at_once() {
    let gone = CountingUpstream::start(|_| Vec::new());
    let address = gone.address;
    drop(gone);
    on_worker(async {
        let forwarder = Rc::new(Forwarder::new(Upstreams::Servers(vec![address]), 1 << 20, Arc::default()));
        let started = Instant::now();
        let answer = ask(&forwarder, &build::edns_query("a.example", 1, 1232, &[])).await;
        assert_eq!((code(&answer), extended_error(&answer)), (rcode::SERVFAIL, Some(23)));
        assert!(started.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_failure_that_all_upstreams_state_is_passed_on_but_not_kept() {
    let upstream = CountingUpstream::start(|q| at_once(header_and_question(&q.wire, 2)));
    on_worker(async {
        let forwarder = forwarder(&[&upstream]);
        assert_eq!(code(&ask(&forwarder, &build::query("a.example", 1)).await), rcode::SERVFAIL);
        assert_eq!(forwarder.cache_size().0, 0);
    });
}

#[test]
fn an_answer_past_its_ttl_is_served_stale_while_upstreams_fail_and_replaced_when_they_are_back() {
    let away = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&away);
    let upstream = CountingUpstream::start(move |q| {
        if flag.load(Relaxed) { Vec::new() } else { at_once(with_address(&q.wire, 1, [192, 0, 2, 7])) }
    });
    on_worker(async {
        let forwarder = forwarder(&[&upstream]);
        let wire = build::edns_query("a.example", 1, 1232, &[]);
        assert_eq!(extended_error(&ask(&forwarder, &wire).await), None);
        away.store(true, Relaxed);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let started = Instant::now();
        let answer = ask(&forwarder, &wire).await;
        assert_eq!((code(&answer), extended_error(&answer)), (0, Some(3)));
        assert!(started.elapsed() < STALE_AFTER + Duration::from_millis(400), "the client timer of RFC 8767");
        away.store(false, Relaxed);
        // The flight that began then, and the memory of its failure, end first.
        tokio::time::sleep(Duration::from_millis(2800)).await;
        assert_eq!(extended_error(&ask(&forwarder, &wire).await), None);
    });
}

#[test]
fn transfers_meta_types_and_other_classes_never_leave() {
    let upstream = CountingUpstream::start(|q| at_once(with_address(&q.wire, 60, [192, 0, 2, 8])));
    on_worker(async {
        let forwarder = forwarder(&[&upstream]);
        for qtype in [0, 41, 251, 252, 250, 249] {
            assert_eq!(
                code(&ask(&forwarder, &build::query("a.example", qtype)).await),
                rcode::REFUSED,
                "{qtype}"
            );
        }
        let mut chaos = build::query("version.bind", 16);
        let end = chaos.len();
        chaos[end - 1] = 3;
        assert_eq!(code(&ask(&forwarder, &chaos).await), rcode::REFUSED);
    });
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_demonstration_zone_answers_without_any_upstream() {
    on_worker(async {
        let zone = Arc::new(zone::Zone::default());
        let forwarder = Rc::new(Forwarder::new(Upstreams::Demo(zone), 1 << 20, Arc::default()));
        let answer = ask(&forwarder, &build::query("any.example", 1)).await;
        assert_eq!((code(&answer), u16_at(&answer, 6)), (0, Some(1)));
    });
}
