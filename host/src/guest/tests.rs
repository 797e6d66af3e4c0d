//! A guest in WAT decides by the first letter of the name; real sockets behind it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Instant;

use dnsvet_core::policy::FailureMode;

use super::*;
use crate::callout::Clusters;
use crate::listener::Access;
use crate::pipeline::{Door, Pipeline, Progress, Reply, Vetting};
use crate::upstream::counting::{CountingUpstream, at_once, with_address};
use crate::upstream::message::tests::query;
use crate::upstream::{Forwarder, Upstreams};
use crate::wasm::Limits;

/// A header map as the ABI lays it out, escaped for a data segment.
fn map(fields: &[(&str, &str)]) -> (String, usize) {
    let mut bytes = (fields.len() as u32).to_le_bytes().to_vec();
    for (name, value) in fields {
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (name, value) in fields {
        bytes.extend_from_slice(&[name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    let text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    });
    (text, bytes.len())
}

/// `b`: answers itself. `d`: drops. `t`: traps. `p`: asks the scorer, then lets the question on, or answers
/// itself if no reply came. `r`: puts an answer of its own in place of the upstream's. Others go on.
fn runtime() -> Arc<Runtime> {
    let (headers, headers_bytes) = map(&[(":method", "GET"), (":path", "/"), (":authority", "scorer")]);
    let wat = format!(
        r#"(module
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $local (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 65536))
  (global $paused (mut i32) (i32.const 0))
  (data (i32.const 1024) "blocked by the guest")
  (data (i32.const 2048) "scorer")
  (data (i32.const 3072) "{headers}")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    ;; Nothing is kept between calls.
    (global.get $next))
  (func $own (param $status i32) (param $bytes i32)
    (drop (call $local (local.get $status) (i32.const 0) (i32.const 0) (i32.const 1024) (local.get $bytes)
      (i32.const 0) (i32.const 0) (i32.const -1))))
  (func $letter (param $type i32) (result i32)
    (drop (call $buffer (local.get $type) (i32.const 13) (i32.const 1) (i32.const 0) (i32.const 4)))
    (i32.load8_u (i32.load (i32.const 0))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_body") (param $id i32) (param i32 i32) (result i32)
    (local $letter i32)
    (local.set $letter (call $letter (i32.const 0)))
    (if (i32.eq (local.get $letter) (i32.const 98)) (then (call $own (i32.const 200) (i32.const 20)) (return (i32.const 1))))
    (if (i32.eq (local.get $letter) (i32.const 100)) (then (call $own (i32.const 204) (i32.const 0)) (return (i32.const 1))))
    (if (i32.eq (local.get $letter) (i32.const 116)) (then (unreachable)))
    (if (i32.eq (local.get $letter) (i32.const 112)) (then
      (global.set $paused (local.get $id))
      (drop (call $call (i32.const 2048) (i32.const 6) (i32.const 3072) (i32.const {headers_bytes})
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 8)))
      (return (i32.const 1))))
    (i32.const 0))
  (func (export "proxy_on_http_call_response") (param i32 i32 $fields i32) (param i32 i32)
    (drop (call $context (global.get $paused)))
    (if (local.get $fields)
      (then (drop (call $continue (i32.const 0))))
      (else (call $own (i32.const 200) (i32.const 20)))))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
    (if (i32.eq (call $letter (i32.const 1)) (i32.const 114)) (then (call $own (i32.const 200) (i32.const 20))))
    (i32.const 0))
)"#
    )
    .replace("(param i32 i32 $fields i32)", "(param i32 i32) (param $fields i32)");
    Runtime::load(&wat::parse_str(wat).unwrap(), None, Limits::default()).unwrap()
}

/// An HTTP server on loopback that answers each connection's one request after `wait`.
fn scorer(wait: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                std::thread::sleep(wait);
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            });
        }
    });
    url
}

fn closed_port() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

struct Line {
    pipeline: Rc<Pipeline>,
    guest: Rc<Guest>,
}

fn line(upstream: &CountingUpstream, scorer: &str, failure_mode: FailureMode) -> Line {
    let metrics: Arc<WorkerMetrics> = Arc::default();
    let mut clusters = Clusters::default();
    clusters.add("scorer", scorer).unwrap();
    let settings =
        GuestSettings { runtime: runtime(), config: Vec::new(), shared: SharedState::new(clusters.names()) };
    let guest = Guest::start(settings, Caller::new(clusters), Arc::clone(&metrics)).unwrap();
    let servers = Upstreams::Servers(vec![upstream.address]);
    let forwarder = Rc::new(Forwarder::new(servers, 1 << 20, Arc::clone(&metrics)));
    let vetting = Vetting::new(Rc::clone(&guest), failure_mode);
    let access = Access::new(&["127.0.0.0/8".parse().unwrap()]);
    Line { pipeline: Rc::new(Pipeline::new(access, Some(vetting), forwarder, metrics)), guest }
}

impl Line {
    async fn ask(&self, name: &str) -> Reply {
        match self.pipeline.ask(&query(name, 1), "127.0.0.1:4000".parse().unwrap(), Door::Udp) {
            Progress::Ready(reply) => reply,
            Progress::Later(reply) => reply.await,
        }
    }

    fn traps(&self) -> u64 {
        self.pipeline.metrics().plugin_traps.get()
    }
}

/// The upstream's answer, told by its address.
fn from_upstream(reply: &Reply) -> bool {
    matches!(reply, Reply::Message(message) if message.ends_with(&[192, 0, 2, 1]))
}

fn from_guest(reply: &Reply) -> bool {
    *reply == Reply::Message(b"blocked by the guest".to_vec())
}

fn answering() -> CountingUpstream {
    CountingUpstream::start(|q| at_once(with_address(&q.wire, 300, [192, 0, 2, 1])))
}

fn on_worker<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn the_guest_decides_what_goes_upstream_and_what_comes_back() {
    let upstream = answering();
    on_worker(async {
        let line = line(&upstream, &scorer(Duration::ZERO), FailureMode::Allow);
        assert!(from_guest(&line.ask("blocked.example").await));
        assert_eq!(line.ask("dropped.example").await, Reply::Nothing);
        assert!(upstream.seen().is_empty());
        assert!(from_upstream(&line.ask("allowed.example").await));
        assert!(from_upstream(&line.ask("paused.example").await), "after the scorer's reply");
        for _ in 0..2 {
            assert!(from_guest(&line.ask("response.example").await), "inspected, from the cache too");
        }
        assert_eq!(upstream.seen().len(), 3);
    });
}

#[test]
fn a_callout_that_fails_is_told_to_the_guest_soon() {
    let upstream = answering();
    on_worker(async {
        let line = line(&upstream, &closed_port(), FailureMode::Allow);
        let started = Instant::now();
        assert!(from_guest(&line.ask("paused.example").await));
        assert!(started.elapsed() < Duration::from_millis(500));
        let slow = self::line(&upstream, &scorer(Duration::from_secs(5)), FailureMode::Allow);
        let started = Instant::now();
        assert!(from_guest(&slow.ask("paused.example").await));
        let took = started.elapsed();
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "its timeout: {took:?}");
    });
}

#[test]
fn a_trap_costs_its_question_the_failure_mode_and_a_fresh_vm_vets_the_next() {
    let upstream = answering();
    on_worker(async {
        let line = line(&upstream, &closed_port(), FailureMode::Allow);
        tokio::time::sleep(FIRST_BACKOFF).await;
        assert!(from_upstream(&line.ask("trap.example").await), "allowed unvetted");
        assert_eq!(line.traps(), 1);
        assert!(from_guest(&line.ask("blocked.example").await), "vetted again at once");
    });
}

#[test]
fn with_failure_mode_deny_a_trap_is_servfail() {
    let upstream = answering();
    on_worker(async {
        let line = line(&upstream, &closed_port(), FailureMode::Deny);
        let Reply::Message(message) = line.ask("trap.example").await else { panic!("an answer") };
        assert_eq!(message[3] & 0x0f, 2);
        assert!(upstream.seen().is_empty());
    });
}

#[test]
fn questions_that_wait_in_a_vm_that_traps_get_the_failure_mode_at_once() {
    let upstream = answering();
    on_worker(async {
        let line = Rc::new(line(&upstream, &scorer(Duration::from_secs(5)), FailureMode::Allow));
        let shared = Rc::clone(&line);
        let started = Instant::now();
        let waiting = tokio::task::spawn_local(async move { shared.ask("paused.example").await });
        tokio::time::sleep(Duration::from_millis(60)).await;
        line.ask("trap.example").await;
        assert!(from_upstream(&waiting.await.unwrap()));
        assert!(started.elapsed() < Duration::from_millis(900), "not after the callout's timeout");
    });
}

#[test]
fn traps_in_a_row_wait_between_fresh_vms_and_end_when_the_guest_is_well() {
    let upstream = answering();
    on_worker(async {
        let line = line(&upstream, &closed_port(), FailureMode::Allow);
        for _ in 0..100 {
            line.ask("trap.example").await;
        }
        assert!(line.traps() <= 5, "{} VMs", line.traps());
        assert!(from_upstream(&line.ask("blocked.example").await), "no VM just now: the failure mode");
        tokio::time::sleep(FIRST_BACKOFF).await;
        assert!(from_guest(&line.ask("blocked.example").await));
    });
}

#[test]
fn a_client_that_goes_away_leaves_nothing_in_the_vm() {
    let upstream = answering();
    on_worker(async {
        let line = line(&upstream, &scorer(Duration::from_secs(5)), FailureMode::Allow);
        for _ in 0..20 {
            let _ = tokio::time::timeout(Duration::from_millis(1), line.ask("paused.example")).await;
        }
        let state = line.guest.state.borrow();
        assert!(state.waiting.is_empty());
        assert!(state.vm.as_ref().unwrap().in_flight().is_empty());
    });
}
