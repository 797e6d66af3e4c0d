//! What the wasm host costs: loading, starting, a request. `cargo bench -p dnsvet --bench wasm`.
//!
//! The guest does what the least filter does: it reads the body and the client's address, and answers with
//! 74 bytes. So the numbers are the host's and the boundary's, not the plugin's.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dnsvet::wasm::{Limits, Outcome, Properties, Runtime, SharedState, StreamInfo, Vm};

const GUEST: &str = r#"(module
  (import "env" "proxy_get_buffer_bytes" (func $body (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $count (param i32 i64) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "source\00address")
  (data (i32.const 32) "\01\00\00\00\0c\00\00\00\17\00\00\00content-type\00application/dns-message\00")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 1024)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (drop (call $body (i32.const 0) (i32.const 0) (local.get 1) (i32.const 1024) (i32.const 1028)))
    (drop (call $property (i32.const 0) (i32.const 14) (i32.const 1024) (i32.const 1028)))
    (drop (call $count (i32.const 4) (i64.const 1)))
    (if (result i32) (i32.load8_u (i32.const 2048))
      (then (i32.const 0))
      (else
        (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 74)
          (i32.const 32) (i32.const 49) (i32.const -1)))
        (i32.const 1))))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_tick") (param i32) (i32.store8 (i32.const 2048) (i32.const 1)))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32)))"#;

fn main() {
    let wasm = wat::parse_str(GUEST).expect("the guest is right");
    let plugin = std::env::args().nth(1).filter(|argument| argument.ends_with(".wasm"));
    if let Some(path) = plugin {
        let wasm = std::fs::read(&path).expect("the file is there");
        load(&path, &wasm);
    }
    load("the guest of this benchmark", &wasm);

    let runtime = Runtime::load(&wasm, None, Limits::default()).expect("it loads");
    let shared = SharedState::new(["control"]);
    let start = || Vm::start(&runtime, b"{}", shared.clone()).expect("it starts");
    measure("start and stop a VM", 2_000, || drop(black_box(start())));

    let mut vm = start();
    let properties = Properties::new([(&["listener", "door"][..], &b"udp"[..])]);
    let source = SocketAddr::from(([192, 0, 2, 1], 5353));
    let headers = [
        (":method", "POST"),
        (":path", "/dns-query"),
        (":scheme", "https"),
        (":authority", "dnsvet"),
        ("content-type", "application/dns-message"),
        ("content-length", "45"),
    ];
    let question = [0x5a; 45];
    let ask = |vm: &mut Vm| {
        let stream = StreamInfo { source, properties: properties.clone() };
        vm.request(&headers, &question, stream).expect("no trap")
    };
    measure("request answered by the guest (6 guest calls, 4 hostcalls)", 200_000, || {
        let (id, outcome) = ask(&mut vm);
        assert!(matches!(outcome, Outcome::Local { .. }));
        vm.done(id).expect("no trap");
    });
    vm.tick().expect("no trap");
    measure("request let through, response let through (8 guest calls, 3 hostcalls)", 200_000, || {
        let (id, outcome) = ask(&mut vm);
        assert_eq!(outcome, Outcome::Continue);
        let answer = [(":status", "200"), ("content-type", "application/dns-message")];
        black_box(vm.response(id, &answer, &[0; 74]).expect("no trap"));
        vm.done(id).expect("no trap");
    });
}

fn load(what: &str, wasm: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    println!("{what}, {} bytes", wasm.len());
    let load = || drop(black_box(Runtime::load(wasm, Some(&cache), Limits::default()).expect("it loads")));
    let start = Instant::now();
    load();
    println!("  {:<74}{:>12.1?}", "load, compiled", start.elapsed());
    measure("load, cached", 20, load);
}

/// Prints the best and the median of 11 rounds, a time for each.
fn measure(what: &str, times: u32, mut run: impl FnMut()) {
    let mut rounds: Vec<Duration> = (0..11)
        .map(|_| {
            let start = Instant::now();
            (0..times).for_each(|_| run());
            start.elapsed() / times
        })
        .collect();
    rounds.sort_unstable();
    println!("  {what:<74}{:>12.1?} best {:>12.1?} median", rounds[0], rounds[5]);
}
