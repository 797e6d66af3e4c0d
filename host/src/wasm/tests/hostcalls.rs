//! Every hostcall with right and wrong arguments.

use super::*;
use crate::wasm::hostcalls::NAMES;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const SERIALIZATION_FAILURE: u32 = 3;
const PARSE_FAILURE: u32 = 4;
const INVALID_MEMORY_ACCESS: u32 = 6;
const EMPTY: u32 = 7;
const CAS_MISMATCH: u32 = 8;

/// What a hostcall leaves for the guest.
#[derive(Debug)]
enum Leaves {
    /// Nothing that matters here.
    Any,
    /// These bytes, behind a pointer and a length.
    Bytes(&'static [u8]),
    /// A null pointer and no length.
    Null,
    /// This number.
    Number(u32),
}
use Leaves::{Any, Bytes, Null, Number};

type Case = (&'static str, u32, Leaves);

/// Makes the calls in one callback of a request with body, and compares what they did.
#[track_caller]
fn check(callback: &'static str, cases: &[Case]) -> (Vm, Arc<SharedState>) {
    let calls: Vec<&str> = cases.iter().map(|(call, ..)| *call).collect();
    let guest = Guest::new().on(callback, 1, &calls);
    let (mut vm, shared) = guest.start();
    if !matches!(callback, "proxy_on_configure" | "proxy_on_vm_start") {
        request(&mut vm).unwrap();
    }
    if callback == "proxy_on_tick" {
        vm.tick().unwrap();
    }
    compare(&guest, &shared, cases);
    (vm, shared)
}

#[track_caller]
fn compare(guest: &Guest, shared: &SharedState, cases: &[Case]) {
    for ((call, status, leaves), seen) in cases.iter().zip(guest.seen(shared)) {
        let Some(seen) = seen else { panic!("{call} was not made") };
        assert_eq!(seen.status, *status, "{call}: {seen:?}");
        match leaves {
            Any => {}
            Bytes(bytes) => assert_eq!(seen.value, *bytes, "{call}"),
            Null => assert_eq!(seen.words[..2], [0, 0], "{call}"),
            Number(number) => assert_eq!(seen.words[0], *number, "{call}"),
        }
    }
}

const HEADERS_PHASE: &str = "proxy_on_request_headers";
const BODY_PHASE: &str = "proxy_on_request_body";

#[test]
fn the_host_defines_every_import_of_the_sdk_and_no_other() {
    let mut here: Vec<&str> = NAMES.to_vec();
    let mut there: Vec<&str> = IMPORTS.iter().map(|(name, _)| *name).collect();
    here.sort_unstable();
    there.sort_unstable();
    assert_eq!(here, there);
}

#[test]
fn log_clock_and_timer() {
    let (vm, _) = check(
        HEADERS_PHASE,
        &[
            ("log 2 'hello'", OK, Any),
            ("log 0 0 0", OK, Any),
            ("log 5 'hello'", OK, Any),
            ("log 6 'hello'", BAD_ARGUMENT, Any),
            ("log 2 BAD 1", INVALID_MEMORY_ACCESS, Any),
            ("log 2 BAD 0", INVALID_MEMORY_ACCESS, Any),
            ("log 2 0 0xffffffff", INVALID_MEMORY_ACCESS, Any),
            ("get_log_level 0x8000", OK, Any),
            ("get_log_level BAD", INVALID_MEMORY_ACCESS, Any),
            ("get_current_time_nanoseconds 0x8000", OK, Any),
            ("get_current_time_nanoseconds 0x1fffc", INVALID_MEMORY_ACCESS, Any),
            ("set_tick_period_milliseconds 250", OK, Any),
        ],
    );
    assert_eq!(vm.tick_period(), Some(std::time::Duration::from_millis(250)));
}

#[test]
fn the_clock_is_the_wall_clock() {
    let guest = Guest::new().on(HEADERS_PHASE, 0, &["get_current_time_nanoseconds 0x8000"]);
    let (mut vm, shared) = guest.start();
    request(&mut vm).unwrap();
    let [low, high, ..] = guest.seen(&shared)[0].clone().unwrap().words;
    let seconds = (u64::from(high) << 32 | u64::from(low)) / 1_000_000_000;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now - seconds < 60, "{seconds} now {now}");
}

#[test]
fn contexts_foreign_functions_and_done() {
    check(
        HEADERS_PHASE,
        &[
            ("get_status 0x8008 OUT", OK, Null),
            ("get_status BAD OUT", INVALID_MEMORY_ACCESS, Any),
            ("get_status 0x8008 BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
            ("call_foreign_function 'f' 'x' OUT", NOT_FOUND, Any),
            ("call_foreign_function BAD 1 'x' OUT", INVALID_MEMORY_ACCESS, Any),
            ("call_foreign_function 'f' BAD 1 OUT", INVALID_MEMORY_ACCESS, Any),
            ("done", NOT_FOUND, Any),
            ("set_effective_context 99", BAD_ARGUMENT, Any),
            ("set_effective_context 0", BAD_ARGUMENT, Any),
            ("get_property 'source~port' OUT", OK, Any),
            ("set_effective_context 1", OK, Any),
            ("get_property 'source~port' OUT", NOT_FOUND, Any),
            ("done", NOT_FOUND, Any),
            ("set_effective_context 2", OK, Any),
            ("get_property 'source~port' OUT", OK, Any),
        ],
    );
}

#[test]
fn configuration_is_there_while_configuring() {
    check(
        "proxy_on_configure",
        &[
            ("get_buffer_bytes 7 0 100 OUT", OK, Bytes(b"config")),
            ("get_buffer_bytes 7 3 100 OUT", OK, Bytes(b"fig")),
            ("get_buffer_bytes 7 0 3 OUT", OK, Bytes(b"con")),
            ("get_buffer_bytes 7 1 0xffffffff OUT", OK, Bytes(b"onfig")),
            ("get_buffer_bytes 7 6 1 OUT", OK, Null),
            ("get_buffer_bytes 7 0xffffffff 0xffffffff OUT", OK, Null),
            ("get_buffer_bytes 6 0 100 OUT", OK, Null),
            ("get_buffer_status 7 0x8000 0x8008", OK, Number(6)),
            ("get_buffer_bytes 4 0 100 OUT", NOT_FOUND, Any),
            ("get_buffer_bytes 8 0 100 OUT", NOT_FOUND, Any),
            ("get_buffer_bytes 9 0 100 OUT", BAD_ARGUMENT, Any),
            ("get_buffer_bytes 7 0 100 BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
            ("get_buffer_bytes 7 0 100 0x8000 BAD", INVALID_MEMORY_ACCESS, Any),
            ("set_buffer_bytes 7 0 100 'x'", BAD_ARGUMENT, Any),
            ("get_property 'plugin_root_id' OUT", OK, Null),
            ("get_property 'source~address' OUT", NOT_FOUND, Any),
            ("set_property 'a' 'b'", NOT_FOUND, Any),
            ("get_header_map_value 0 ':path' OUT", BAD_ARGUMENT, Any),
            ("get_header_map_pairs 0 OUT", OK, Null),
        ],
    );
    check(HEADERS_PHASE, &[("get_buffer_bytes 7 0 100 OUT", NOT_FOUND, Any)]);
}

#[test]
fn request_body() {
    check(
        HEADERS_PHASE,
        &[("get_buffer_bytes 0 0 100 OUT", OK, Null), ("set_buffer_bytes 0 0 0 'x'", BAD_ARGUMENT, Any)],
    );
    let (vm, _) = check(
        BODY_PHASE,
        &[
            ("get_buffer_bytes 0 0 100 OUT", OK, Bytes(b"question")),
            ("get_buffer_status 0 0x8000 0x8008", OK, Number(8)),
            ("get_buffer_status 0 BAD 0x8008", INVALID_MEMORY_ACCESS, Any),
            ("get_buffer_status 0 0x8000 BAD", INVALID_MEMORY_ACCESS, Any),
            ("get_buffer_status 4 0x8000 0x8008", NOT_FOUND, Any),
            ("get_buffer_status 9 0x8000 0x8008", BAD_ARGUMENT, Any),
            ("set_buffer_bytes 0 0 0 'the_'", OK, Any),
            ("set_buffer_bytes 0 100 0 '!'", OK, Any),
            ("get_buffer_bytes 0 0 100 OUT", OK, Bytes(b"the_question!")),
            ("set_buffer_bytes 0 0 5 'x'", BAD_ARGUMENT, Any),
            ("set_buffer_bytes 0 3 5 'x'", BAD_ARGUMENT, Any),
            ("set_buffer_bytes 0 0 13 BAD 4", INVALID_MEMORY_ACCESS, Any),
            ("set_buffer_bytes 0 0 13 'other'", OK, Any),
            ("get_buffer_bytes 0 0 100 OUT", OK, Bytes(b"other")),
            ("set_buffer_bytes 1 0 100 'x'", BAD_ARGUMENT, Any),
            ("set_buffer_bytes 2 0 100 'x'", BAD_ARGUMENT, Any),
            ("set_buffer_bytes 4 0 100 'x'", NOT_FOUND, Any),
            ("set_buffer_bytes 9 0 100 'x'", BAD_ARGUMENT, Any),
            ("get_buffer_bytes 1 0 100 OUT", OK, Null),
            ("get_buffer_bytes 2 0 100 OUT", OK, Null),
            ("get_buffer_bytes 5 0 100 OUT", OK, Null),
        ],
    );
    let (_, body) = vm.request_parts(vm.in_flight()[0]).unwrap();
    assert_eq!(body, b"other");
}

#[test]
fn request_headers() {
    let (vm, _) = check(
        HEADERS_PHASE,
        &[
            ("get_header_map_value 0 ':path' OUT", OK, Bytes(b"/q")),
            ("get_header_map_value 0 'X-TWICE' OUT", OK, Bytes(b"1")),
            ("get_header_map_value 0 'absent' OUT", NOT_FOUND, Any),
            ("get_header_map_value 0 BAD 4 OUT", INVALID_MEMORY_ACCESS, Any),
            ("get_header_map_value 0 ':path' BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
            ("get_header_map_value 8 ':path' OUT", BAD_ARGUMENT, Any),
            ("get_header_map_value 2 ':status' OUT", BAD_ARGUMENT, Any),
            ("get_header_map_size 0 0x8000", OK, Number(52)),
            ("get_header_map_size 0 BAD", INVALID_MEMORY_ACCESS, Any),
            ("get_header_map_size 6 0x8000", BAD_ARGUMENT, Any),
            ("get_header_map_size 8 0x8000", BAD_ARGUMENT, Any),
            ("add_header_map_value 0 'X-Twice' '2'", OK, Any),
            ("add_header_map_value 0 'x-empty' 0 0", OK, Any),
            ("get_header_map_value 0 'x-empty' OUT", OK, Null),
            ("add_header_map_value 2 'a' 'b'", BAD_ARGUMENT, Any),
            ("add_header_map_value 8 'a' 'b'", BAD_ARGUMENT, Any),
            ("add_header_map_value 0 'a' BAD 1", INVALID_MEMORY_ACCESS, Any),
            ("replace_header_map_value 0 ':path' '/r'", OK, Any),
            ("replace_header_map_value 0 'new' 'n'", OK, Any),
            ("replace_header_map_value 6 'new' 'n'", BAD_ARGUMENT, Any),
            ("replace_header_map_value 9 'new' 'n'", BAD_ARGUMENT, Any),
            ("replace_header_map_value 0 BAD 1 'n'", INVALID_MEMORY_ACCESS, Any),
            ("remove_header_map_value 0 'x-empty'", OK, Any),
            ("remove_header_map_value 0 'absent'", OK, Any),
            ("remove_header_map_value 1 'absent'", BAD_ARGUMENT, Any),
            ("remove_header_map_value 8 'absent'", BAD_ARGUMENT, Any),
            ("remove_header_map_value 0 BAD 1", INVALID_MEMORY_ACCESS, Any),
            ("get_header_map_pairs 1 OUT", OK, Null),
            ("get_header_map_pairs 7 OUT", OK, Null),
            ("get_header_map_pairs 8 OUT", BAD_ARGUMENT, Any),
            ("get_header_map_pairs 0 BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
            ("set_header_map_pairs 1 {a=b}", BAD_ARGUMENT, Any),
            ("set_header_map_pairs 8 {a=b}", BAD_ARGUMENT, Any),
            ("set_header_map_pairs 0 BAD 8", INVALID_MEMORY_ACCESS, Any),
        ],
    );
    let (headers, _) = vm.request_parts(vm.in_flight()[0]).unwrap();
    let headers: Vec<String> = headers.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let want = ":method=POST :path=/r :scheme=https :authority=host x-twice=1 x-twice=2 new=n";
    assert_eq!(headers.join(" "), want);
}

#[test]
fn whole_header_maps() {
    let guest = Guest::new().on(
        HEADERS_PHASE,
        0,
        &[
            "set_header_map_pairs 0 {A=b;:path=/z}",
            "get_header_map_pairs 0 OUT",
            "set_header_map_pairs 0 'garbage'",
            "get_header_map_pairs 0 OUT",
        ],
    );
    let (mut vm, shared) = guest.start();
    request(&mut vm).unwrap();
    let seen: Vec<Seen> = guest.seen(&shared).into_iter().flatten().collect();
    assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [OK; 4]);
    assert_eq!(seen[1].value, encoded("a=b;:path=/z"));
    assert_eq!(seen[3].words[..2], [0, 0], "a map that cannot be read is an empty one");
}

#[test]
fn headers_that_went_on_are_out_of_reach() {
    let calls = &["get_header_map_value 0 ':path' OUT"];
    for (action, status) in [(0, BAD_ARGUMENT), (1, OK)] {
        let guest = Guest::new().on(HEADERS_PHASE, action, &[]).on(BODY_PHASE, 0, calls);
        let (mut vm, shared) = guest.start();
        request(&mut vm).unwrap();
        assert_eq!(guest.seen(&shared)[0].as_ref().unwrap().status, status, "action {action}");
    }
}

#[test]
fn properties() {
    check(
        HEADERS_PHASE,
        &[
            ("get_property 'source~address' OUT", OK, Bytes(b"192.0.2.1:5353")),
            ("get_property 'source~port' OUT", OK, Bytes(b"\xe9\x14\0\0\0\0\0\0")),
            ("get_property 'door~name' OUT", OK, Bytes(b"udp")),
            ("get_property 'request~path' OUT", OK, Bytes(b"/q")),
            ("get_property 'request~method' OUT", OK, Bytes(b"POST")),
            ("get_property 'request~scheme' OUT", OK, Bytes(b"https")),
            ("get_property 'request~host' OUT", OK, Bytes(b"host")),
            ("get_property 'request~size' OUT", OK, Bytes(b"\x08\0\0\0\0\0\0\0")),
            ("get_property 'request~other' OUT", NOT_FOUND, Any),
            ("get_property 'door' OUT", NOT_FOUND, Any),
            ("get_property 0 0 OUT", SERIALIZATION_FAILURE, Any),
            ("get_property BAD 1 OUT", INVALID_MEMORY_ACCESS, Any),
            ("get_property 'door~name' BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
            ("get_property 'source~port' BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
            ("set_property 'mine~x' 'value'", OK, Any),
            ("get_property 'mine~x' OUT", OK, Bytes(b"value")),
            ("set_property 'mine~x' 0 0", OK, Any),
            ("get_property 'mine~x' OUT", OK, Null),
            ("set_property BAD 1 'value'", INVALID_MEMORY_ACCESS, Any),
            ("set_property 'mine~x' BAD 1", INVALID_MEMORY_ACCESS, Any),
        ],
    );
}

#[test]
fn shared_data() {
    check(
        HEADERS_PHASE,
        &[
            ("get_shared_data 'key' OUT 0x8008", NOT_FOUND, Any),
            ("set_shared_data 'key' 'one' 0", OK, Any),
            ("get_shared_data 'key' OUT 0x8008", OK, Bytes(b"one")),
            ("set_shared_data 'key' 'two' 0x7fffffff", CAS_MISMATCH, Any),
            ("set_shared_data 'key' 0 0 0", OK, Any),
            ("get_shared_data 'key' OUT 0x8008", OK, Null),
            ("get_shared_data 'key' OUT BAD", INVALID_MEMORY_ACCESS, Any),
            ("get_shared_data 'key' BAD 0x8004 0x8008", INVALID_MEMORY_ACCESS, Any),
            ("get_shared_data BAD 3 OUT 0x8008", INVALID_MEMORY_ACCESS, Any),
            ("set_shared_data BAD 3 'one' 0", INVALID_MEMORY_ACCESS, Any),
            ("set_shared_data 'key' BAD 3 0", INVALID_MEMORY_ACCESS, Any),
        ],
    );
}

#[test]
fn shared_queues() {
    check(
        HEADERS_PHASE,
        &[
            ("resolve_shared_queue 0 0 'q' 0x8000", NOT_FOUND, Any),
            ("register_shared_queue 'q' 0x8000", OK, Number(1)),
            ("register_shared_queue 'q' BAD", INVALID_MEMORY_ACCESS, Any),
            ("register_shared_queue BAD 1 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("resolve_shared_queue 0 0 'q' 0x8000", OK, Number(1)),
            ("resolve_shared_queue 'other' 'q' 0x8000", NOT_FOUND, Any),
            ("resolve_shared_queue BAD 1 'q' 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("resolve_shared_queue 0 0 BAD 1 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("resolve_shared_queue 0 0 'q' BAD", INVALID_MEMORY_ACCESS, Any),
            ("dequeue_shared_queue 1 OUT", EMPTY, Any),
            ("enqueue_shared_queue 1 'entry'", OK, Any),
            ("enqueue_shared_queue 1 0 0", OK, Any),
            ("enqueue_shared_queue 2 'entry'", NOT_FOUND, Any),
            ("enqueue_shared_queue 1 BAD 1", INVALID_MEMORY_ACCESS, Any),
            ("dequeue_shared_queue 1 OUT", OK, Bytes(b"entry")),
            ("dequeue_shared_queue 1 OUT", OK, Null),
            ("dequeue_shared_queue 2 OUT", NOT_FOUND, Any),
            ("enqueue_shared_queue 1 'entry'", OK, Any),
            ("dequeue_shared_queue 1 BAD 0x8004", INVALID_MEMORY_ACCESS, Any),
        ],
    );
}

#[test]
fn streams() {
    check(
        "proxy_on_tick",
        &[
            ("continue_stream 0", OK, Any),
            ("continue_stream 1", OK, Any),
            ("continue_stream 2", BAD_ARGUMENT, Any),
            ("continue_stream 3", BAD_ARGUMENT, Any),
            ("continue_stream 4", BAD_ARGUMENT, Any),
            ("close_stream 0", OK, Any),
            ("close_stream 2", OK, Any),
            ("close_stream 3", OK, Any),
            ("close_stream 4", BAD_ARGUMENT, Any),
            ("send_local_response 200 0 0 'body' {a=b} -1", OK, Any),
        ],
    );
    let (_, shared) = check(
        HEADERS_PHASE,
        &[
            ("send_local_response 200 BAD 1 'body' {a=b} -1", INVALID_MEMORY_ACCESS, Any),
            ("send_local_response 200 0 0 BAD 1 {a=b} -1", INVALID_MEMORY_ACCESS, Any),
            ("send_local_response 200 0 0 'body' BAD 1 -1", INVALID_MEMORY_ACCESS, Any),
            ("send_local_response 99 0 0 'body' {a=b} -1", BAD_ARGUMENT, Any),
            ("send_local_response 65736 0 0 'body' {a=b} -1", BAD_ARGUMENT, Any),
        ],
    );
    assert_eq!(shared.ignored_local_responses(), 0);
}

#[test]
fn http_calls() {
    let (mut vm, _) = check(
        HEADERS_PHASE,
        &[
            ("http_call 'peer' {:method=GET;:path=/x;:authority=a} 0 0 0 0 50 0x8000", OK, Number(4)),
            ("http_call 'peer' {:method=POST;:path=/y;:authority=a} 'body' 0 0 0 0x8000", OK, Number(8)),
            (
                "http_call 'nobody' {:method=GET;:path=/x;:authority=a} 0 0 0 0 50 0x8000",
                BAD_ARGUMENT,
                Number(0),
            ),
            ("http_call 'peer' {:method=GET;:authority=a} 0 0 0 0 50 0x8000", BAD_ARGUMENT, Any),
            ("http_call 'peer' {:path=/x;:authority=a} 0 0 0 0 50 0x8000", BAD_ARGUMENT, Any),
            ("http_call 'peer' {:path=/x;:method=GET} 0 0 0 0 50 0x8000", BAD_ARGUMENT, Any),
            ("http_call 'peer' 'garbage' 0 0 0 0 50 0x8000", BAD_ARGUMENT, Any),
            ("http_call 'peer' {:method=GET;:path=/x;:authority=a} 0 0 0 0 -1 0x8000", BAD_ARGUMENT, Any),
            (
                "http_call 'peer' {:method=GET;:path=/x;:authority=a} 0 0 0 0 50 BAD",
                INVALID_MEMORY_ACCESS,
                Any,
            ),
            (
                "http_call BAD 1 {:method=GET;:path=/x;:authority=a} 0 0 0 0 5 0x8000",
                INVALID_MEMORY_ACCESS,
                Any,
            ),
            ("http_call 'peer' BAD 1 0 0 0 0 5 0x8000", INVALID_MEMORY_ACCESS, Any),
            (
                "http_call 'peer' {:method=GET;:path=/x;:authority=a} BAD 1 0 0 5 0x8000",
                INVALID_MEMORY_ACCESS,
                Any,
            ),
            (
                "http_call 'peer' {:method=GET;:path=/x;:authority=a} 0 0 BAD 1 5 0x8000",
                INVALID_MEMORY_ACCESS,
                Any,
            ),
        ],
    );
    let calls = vm.take_callouts();
    assert_eq!(calls.len(), 2);
    assert_eq!((calls[0].token, calls[0].cluster.as_str(), calls[0].timeout_ms), (4, "peer", 50));
    assert_eq!(calls[0].headers[1], (":path".to_owned(), "/x".to_owned()));
    assert_eq!((calls[1].token, calls[1].body.as_slice()), (8, &b"body"[..]));
    assert!(vm.take_callouts().is_empty());
}

#[test]
fn grpc_has_no_services() {
    check(
        HEADERS_PHASE,
        &[
            ("grpc_call 'c' 's' 'm' 0 0 'x' 50 0x8000", PARSE_FAILURE, Any),
            ("grpc_call BAD 1 's' 'm' 0 0 'x' 50 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("grpc_call 'c' 's' 'm' 0 0 BAD 1 50 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("grpc_stream 'c' 's' 'm' 0 0 0x8000", PARSE_FAILURE, Any),
            ("grpc_stream 'c' 's' 'm' BAD 1 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("grpc_send 1 'x' 1", BAD_ARGUMENT, Any),
            ("grpc_send 2 'x' 1", NOT_FOUND, Any),
            ("grpc_send 2 BAD 1 1", INVALID_MEMORY_ACCESS, Any),
            ("grpc_cancel 1", NOT_FOUND, Any),
            ("grpc_close 2", NOT_FOUND, Any),
        ],
    );
}

#[test]
fn metrics() {
    let (_, shared) = check(
        HEADERS_PHASE,
        &[
            ("define_metric 0 'c' 0x8000", OK, Number(4)),
            ("define_metric 1 'g' 0x8000", OK, Number(9)),
            ("define_metric 2 'h' 0x8000", OK, Number(14)),
            ("define_metric 0 'c' 0x8000", OK, Number(4)),
            ("define_metric 3 'c' 0x8000", BAD_ARGUMENT, Any),
            ("define_metric 0 BAD 1 0x8000", INVALID_MEMORY_ACCESS, Any),
            ("define_metric 0 'c' BAD", INVALID_MEMORY_ACCESS, Any),
            ("increment_metric 4 64:3", OK, Any),
            ("increment_metric 4 64:0", BAD_ARGUMENT, Any),
            ("increment_metric 4 64:-1", BAD_ARGUMENT, Any),
            ("increment_metric 9 64:-2", OK, Any),
            ("increment_metric 14 64:1", BAD_ARGUMENT, Any),
            ("increment_metric 8 64:1", NOT_FOUND, Any),
            ("increment_metric 0 64:1", NOT_FOUND, Any),
            ("increment_metric 3 64:1", BAD_ARGUMENT, Any),
            ("record_metric 4 64:2", OK, Any),
            ("record_metric 9 64:7", OK, Any),
            ("record_metric 14 64:100", OK, Any),
            ("record_metric 99 64:1", NOT_FOUND, Any),
            ("get_metric 4 0x8000", OK, Number(5)),
            ("get_metric 9 0x8000", OK, Number(7)),
            ("get_metric 14 0x8000", BAD_ARGUMENT, Any),
            ("get_metric 8 0x8000", NOT_FOUND, Any),
            ("get_metric 4 BAD", INVALID_MEMORY_ACCESS, Any),
        ],
    );
    let names: Vec<String> = shared.metrics().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["c", "g", "h"]);
}

#[test]
fn the_reply_is_there_while_it_is_handed_over() {
    let start = "http_call 'peer' {:method=GET;:path=/x;:authority=a} 0 0 0 0 50 0x8000";
    let cases: &[Case] = &[
        ("get_buffer_bytes 4 0 100 OUT", OK, Bytes(b"reply")),
        ("get_header_map_value 6 ':status' OUT", OK, Bytes(b"200")),
        ("get_header_map_value 6 'absent' OUT", NOT_FOUND, Any),
        ("get_header_map_size 6 0x8000", OK, Number(10)),
        ("add_header_map_value 6 'a' 'b'", BAD_ARGUMENT, Any),
        ("set_buffer_bytes 4 0 100 'x'", BAD_ARGUMENT, Any),
        ("get_status 0x8008 OUT", OK, Null),
        ("set_effective_context 2", OK, Any),
        ("get_buffer_bytes 4 0 100 OUT", OK, Bytes(b"reply")),
        ("get_buffer_bytes 0 0 100 OUT", OK, Bytes(b"question")),
    ];
    let calls: Vec<&str> = cases.iter().map(|(call, ..)| *call).collect();
    let guest = Guest::new().on("proxy_on_http_call_response", 0, &calls).on(BODY_PHASE, 1, &[start]);
    let (mut vm, shared) = guest.start();
    request(&mut vm).unwrap();
    vm.callout_reply(4, &[(":status", "200")], b"reply".to_vec()).unwrap();
    compare(&guest, &shared, cases);

    let cases: &[Case] = &[
        ("get_status 0x8008 OUT", OK, Bytes(b"reset")),
        ("get_buffer_bytes 4 0 100 OUT", NOT_FOUND, Any),
        ("get_header_map_pairs 6 OUT", OK, Null),
    ];
    let calls: Vec<&str> = cases.iter().map(|(call, ..)| *call).collect();
    let guest = Guest::new().on("proxy_on_http_call_response", 0, &calls).on(BODY_PHASE, 1, &[start]);
    let (mut vm, shared) = guest.start();
    request(&mut vm).unwrap();
    vm.callout_reply::<&str, &str>(4, &[], Vec::new()).unwrap();
    compare(&guest, &shared, cases);
}

#[test]
fn a_guest_may_grow_its_memory_while_it_is_given_bytes() {
    let guest = Guest::new().on(BODY_PHASE, 0, &["get_buffer_bytes 0 0 1000000 OUT"]);
    let (mut vm, shared) = guest.start();
    let before = vm.memory_bytes();
    let body = vec![7; 300_000];
    vm.request(&HEADERS, &body, stream()).unwrap();
    assert!(vm.memory_bytes() > before);
    assert_eq!(guest.seen(&shared)[0].as_ref().unwrap().value, body);
}
