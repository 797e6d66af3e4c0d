//! The scorer is stopped, slow or answers garbage: the failure mode answers soon after the 50 ms timeout.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dnsvet_tests::client::Door;
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};
use serde_json::Value;

/// The timeout is 50 ms; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1_000);
const FAILURES: &str = "dnsvet_filter_callout_failures_total";

/// What a false scorer does with a connection.
#[derive(Clone, Copy)]
enum Manner {
    Slow,
    Garbage,
}

/// Something on the scorer's port that is no scorer.
struct FalseScorer {
    ended: Arc<AtomicBool>,
}

impl FalseScorer {
    fn start(port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the scorer's port is free");
        listener.set_nonblocking(true).expect("a listener");
        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(std::thread::spawn(move || talk(stream, manner))),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { ended }
    }
}

impl Drop for FalseScorer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn talk(mut stream: TcpStream, manner: Manner) {
    let mut buffer = [0; 4096];
    // Whatever comes, the other side's error is what the test looks at.
    let _ = stream.set_nonblocking(false);
    let _ = stream.read(&mut buffer);
    match manner {
        Manner::Slow => std::thread::sleep(Duration::from_secs(5)),
        Manner::Garbage => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{]garbage")),
    }
}

/// Names that the small model cannot settle, so that the scorer is asked.
fn uncertain(rig: &Rig, count: usize) -> Vec<String> {
    let mut draw = Draw::new("uncertain");
    let mut found = Vec::new();
    for _ in 0..40 {
        let names: Vec<String> = (0..500).map(|_| draw.domain()).collect();
        let asks = |item: &Value| {
            item["trace"].as_array().is_some_and(|lines| lines.iter().any(|line| line["step"] == "scorer"))
        };
        let checks = rig.check(&names);
        found.extend(names.into_iter().zip(checks).filter(|(_, check)| asks(check)).map(|(name, _)| name));
        if found.len() >= count {
            found.truncate(count);
            return found;
        }
    }
    panic!("only {} of 20,000 random names reach the scorer", found.len());
}

fn failures(rig: &Rig) -> f64 {
    rig.api().metric(FAILURES) + rig.envoy_metric(FAILURES)
}

fn answered_soon(rig: &Rig, names: &[String], rcode: u16, what: &str) {
    let client = rig.client();
    let before = failures(rig);
    for door in [Door::Udp, Door::Envoy] {
        for name in names {
            let start = Instant::now();
            let reply = client.ask(door, name);
            let took = start.elapsed();
            assert_eq!(reply.rcode(), Some(rcode), "{what}, {door:?}, {name}: {reply:?}");
            assert!(took < SOON, "{what}, {door:?}, {name}: answered after {took:?}");
        }
    }
    assert!(failures(rig) > before, "{what}: counted as {FAILURES}");
}

fn every_fault(rig: &mut Rig, rcode: u16) {
    let names = uncertain(rig, 30);
    let port = rig.options.ports.scorer;
    rig.scorer = None;
    answered_soon(rig, &names[..10], rcode, "scorer stopped");
    {
        let _slow = FalseScorer::start(port, Manner::Slow);
        answered_soon(rig, &names[10..20], rcode, "scorer slow");
    }
    std::thread::sleep(Duration::from_millis(100));
    let _garbage = FalseScorer::start(port, Manner::Garbage);
    answered_soon(rig, &names[20..], rcode, "scorer answers garbage");
}

#[test]
fn names_pass_when_the_scorer_fails_and_the_failure_mode_is_allow() {
    let mut rig = Rig::start(Plan::new("scorer-allow"));
    every_fault(&mut rig, 0);
}

#[test]
fn names_do_not_pass_when_the_scorer_fails_and_the_failure_mode_is_deny() {
    let plan = Plan { group: "failure_mode = \"deny\"".into(), ..Plan::new("scorer-deny") };
    let mut rig = Rig::start(plan);
    // REFUSED, with an extended error that says that nothing was decided on the name itself.
    every_fault(&mut rig, 5);
}
