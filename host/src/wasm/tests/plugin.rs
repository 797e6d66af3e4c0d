//! The real plugins, made with the SDK for Rust, where they were built.

use std::path::Path;

use super::*;

/// A DNS query for `localhost`, A, with recursion desired.
const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01";

/// A started VM of a built plugin; `None`, said aloud, where it is not built.
fn plugin(name: &str) -> Option<Vm> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let path = root.join(target).join("plugin").join(name);
    let Ok(wasm) = std::fs::read(&path) else {
        println!("skipped: no {}, `cargo xtask build` makes it", path.display());
        return None;
    };
    let runtime = Runtime::load(&wasm, None, Limits { instances: 2, ..Limits::default() }).unwrap();
    Some(Vm::start(&runtime, b"{}", SharedState::new(["control", "scorer"])).unwrap())
}

fn ask(vm: &mut Vm) -> (ContextId, Outcome) {
    let length = QUERY.len().to_string();
    let headers = [
        (":method", "POST"),
        (":path", "/dns-query"),
        (":scheme", "https"),
        (":authority", "dnsvet"),
        ("content-type", "application/dns-message"),
        ("content-length", &length),
    ];
    vm.request(&headers, QUERY, stream()).unwrap()
}

#[test]
fn the_plugin_answers_localhost_by_itself() {
    let Some(mut vm) = plugin("dnsvet.wasm") else { return };
    for _ in 0..3 {
        let (id, outcome) = ask(&mut vm);
        let Outcome::Local { status, body, .. } = outcome else {
            panic!("localhost is answered here: {outcome:?}")
        };
        assert_eq!(status, 200);
        assert_eq!(body[..2], QUERY[..2], "the id is the question's");
        assert_eq!(body[2] & 0x80, 0x80, "it is a response");
        vm.done(id).unwrap();
        assert!(vm.in_flight().is_empty());
    }
}

#[test]
fn the_allow_all_plugin_lets_everything_through() {
    let Some(mut vm) = plugin("allow-all.wasm") else { return };
    for _ in 0..3 {
        let (id, outcome) = ask(&mut vm);
        assert_eq!(outcome, Outcome::Continue);
        vm.response(id, &[(":status", "200")], QUERY).unwrap();
        vm.done(id).unwrap();
    }
}
