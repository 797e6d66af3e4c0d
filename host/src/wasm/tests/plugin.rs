//! The real plugin, where it was built.

use super::*;

/// A DNS query for `localhost`, A, with recursion desired.
const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01";

#[test]
fn the_plugin_loads_and_takes_a_question() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugin/dnsvet.wasm");
    let path = std::env::var("DNSVET_PLUGIN").unwrap_or_else(|_| path.to_owned());
    let Ok(wasm) = std::fs::read(&path) else {
        println!("skipped: no plugin at {path}, `cargo xtask build --plugin` makes it");
        return;
    };
    let runtime = Runtime::load(&wasm, None, Limits { instances: 2, ..Limits::default() }).unwrap();
    let shared = SharedState::new(["control", "scorer"]);
    let mut vm = Vm::start(&runtime, b"{}", shared).unwrap();
    let length = QUERY.len().to_string();
    let headers = [
        (":method", "POST"),
        (":path", "/dns-query"),
        (":scheme", "https"),
        (":authority", "dnsvet"),
        ("content-type", "application/dns-message"),
        ("content-length", &length),
    ];
    let (id, outcome) = vm.request(&headers, QUERY, stream()).unwrap();
    let Outcome::Local { status, body, .. } = outcome else {
        panic!("localhost is answered here: {outcome:?}")
    };
    assert_eq!(status, 200);
    assert_eq!(body[..2], QUERY[..2], "the id is the question's");
    assert_eq!(body[2] & 0x80, 0x80, "it is a response");
    vm.done(id).unwrap();
    assert!(vm.in_flight().is_empty());
}
