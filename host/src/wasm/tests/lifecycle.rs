//! Requests from start to end.

use super::*;
use crate::wasm::{ResponseOutcome, VmError};

const HEADERS_PHASE: &str = "proxy_on_request_headers";
const BODY_PHASE: &str = "proxy_on_request_body";
const REPLY: &str = "proxy_on_http_call_response";
const CALL: &str = "http_call 'peer' {:method=GET;:path=/x;:authority=a} 0 0 0 0 50 0x8000";
const ANSWER: &str = "send_local_response 403 0 0 'no' {Why=list} -1";

fn answered() -> Outcome {
    Outcome::Local { status: 403, headers: vec![("why".to_owned(), "list".to_owned())], body: b"no".to_vec() }
}

#[test]
fn a_guest_without_callbacks_lets_everything_through_unchanged() {
    let (mut vm, _) = Guest::new().start();
    let (id, outcome) = request(&mut vm).unwrap();
    assert_eq!(outcome, Outcome::Continue);
    let response = vm.response(id, &[(":status", "200")], b"answer").unwrap();
    let headers = vec![(":status".to_owned(), "200".to_owned())];
    assert_eq!(response, ResponseOutcome::Continue { headers, body: b"answer".to_vec() });
    vm.done(id).unwrap();
    assert!(vm.in_flight().is_empty());
}

#[test]
fn a_local_response_wins_over_the_action() {
    for (callback, action) in [(HEADERS_PHASE, 0), (HEADERS_PHASE, 1), (BODY_PHASE, 0), (BODY_PHASE, 1)] {
        let (mut vm, shared) = Guest::new().on(callback, action, &[ANSWER]).start();
        let (id, outcome) = request(&mut vm).unwrap();
        assert_eq!(outcome, answered(), "{callback} {action}");
        vm.done(id).unwrap();
        assert_eq!(shared.ignored_local_responses(), 0);
    }
}

#[test]
fn a_second_local_response_is_counted_and_dropped() {
    let (mut vm, shared) =
        Guest::new().on(BODY_PHASE, 1, &[ANSWER, "send_local_response 200 0 0 'two' 0 0 -1"]).start();
    assert_eq!(request(&mut vm).unwrap().1, answered());
    assert_eq!(shared.ignored_local_responses(), 1);
}

#[test]
fn a_local_response_after_the_request_went_on_is_counted_and_dropped() {
    let (mut vm, shared) =
        Guest::new().on(BODY_PHASE, 0, &[CALL]).on(REPLY, 0, &["set_effective_context 2", ANSWER]).start();
    let (id, outcome) = request(&mut vm).unwrap();
    assert_eq!(outcome, Outcome::Continue);
    assert_eq!(vm.callout_reply(4, &[(":status", "200")], Vec::new()).unwrap(), []);
    assert_eq!(shared.ignored_local_responses(), 1);
    assert!(matches!(vm.response(id, &[(":status", "200")], b""), Ok(ResponseOutcome::Continue { .. })));
}

#[test]
fn a_paused_request_is_resumed_by_a_reply() {
    let (mut vm, _) = Guest::new()
        .on(BODY_PHASE, 1, &[CALL])
        .on(REPLY, 0, &["set_effective_context 2", "continue_stream 0"])
        .start();
    let (id, outcome) = request(&mut vm).unwrap();
    assert_eq!(outcome, Outcome::Paused);
    assert_eq!(vm.take_callouts().len(), 1);
    assert_eq!(vm.pending_callouts(), [4]);
    assert_eq!(vm.callout_reply(4, &[(":status", "200")], Vec::new()).unwrap(), [(id, Outcome::Continue)]);
    assert_eq!(vm.callout_reply(4, &[(":status", "200")], Vec::new()).unwrap(), []);
    assert!(matches!(vm.response(id, &[(":status", "200")], b"x"), Ok(ResponseOutcome::Continue { .. })));
}

#[test]
fn a_paused_request_is_answered_by_a_reply() {
    let (mut vm, _) = Guest::new()
        .on(BODY_PHASE, 1, &[CALL])
        .on(REPLY, 0, &["set_effective_context 2", "continue_stream 0", ANSWER, "continue_stream 0"])
        .start();
    let (id, _) = request(&mut vm).unwrap();
    assert_eq!(vm.callout_reply::<&str, &str>(4, &[], Vec::new()).unwrap(), [(id, answered())]);
}

#[test]
fn a_tick_and_another_request_resume_too() {
    let (mut vm, _) = Guest::new()
        .on(BODY_PHASE, 1, &[])
        .on("proxy_on_tick", 0, &["set_effective_context 2", "continue_stream 0"])
        .start();
    let (first, _) = request(&mut vm).unwrap();
    let (_, outcome) = request(&mut vm).unwrap();
    assert_eq!(outcome, Outcome::Paused);
    assert_eq!(vm.tick().unwrap(), [(first, Outcome::Continue)]);

    let guest = Guest::new().on_raw(
        HEADERS_PHASE,
        1,
        "(if (i32.eq (local.get 0) (i32.const 3)) (then
            (drop (call $proxy_set_effective_context (i32.const 2)))
            (drop (call $proxy_close_stream (i32.const 0)))))",
    );
    let (mut vm, _) = guest.start();
    let (first, _) = vm.request(&HEADERS, b"", stream()).unwrap();
    vm.request(&HEADERS, b"", stream()).unwrap();
    assert_eq!(vm.take_resumed(), [(first, Outcome::Reset)]);
}

#[test]
fn pause_on_headers_waits_for_the_body() {
    let (mut vm, _) = Guest::new().on(HEADERS_PHASE, 1, &[]).on(BODY_PHASE, 0, &[]).start();
    assert_eq!(request(&mut vm).unwrap().1, Outcome::Continue);
    assert_eq!(vm.request(&HEADERS, b"", stream()).unwrap().1, Outcome::Paused);
}

#[test]
fn continuing_in_the_callback_itself_undoes_its_pause() {
    let (mut vm, _) = Guest::new().on(BODY_PHASE, 1, &["continue_stream 0"]).start();
    assert_eq!(request(&mut vm).unwrap().1, Outcome::Continue);
}

#[test]
fn a_closed_stream_is_reset() {
    let (mut vm, _) = Guest::new().on(BODY_PHASE, 0, &["close_stream 0", ANSWER]).start();
    assert_eq!(request(&mut vm).unwrap().1, Outcome::Reset);
}

#[test]
fn a_response_can_be_changed_replaced_paused_and_reset() {
    let (mut vm, _) = Guest::new()
        .on("proxy_on_response_headers", 1, &["replace_header_map_value 2 ':status' '201'"])
        .on("proxy_on_response_body", 0, &["set_buffer_bytes 1 0 100 'mine'"])
        .start();
    let (id, _) = request(&mut vm).unwrap();
    let headers = vec![(":status".to_owned(), "201".to_owned())];
    assert_eq!(
        vm.response(id, &[(":status", "200")], b"answer").unwrap(),
        ResponseOutcome::Continue { headers: headers.clone(), body: b"mine".to_vec() }
    );

    let (mut vm, _) = Guest::new().on("proxy_on_response_body", 0, &[ANSWER]).start();
    let (id, _) = request(&mut vm).unwrap();
    let outcome = vm.response(id, &[(":status", "200")], b"answer").unwrap();
    assert!(matches!(outcome, ResponseOutcome::Local { status: 403, .. }), "{outcome:?}");

    let (mut vm, _) = Guest::new().on("proxy_on_response_headers", 0, &["close_stream 1"]).start();
    let (id, _) = request(&mut vm).unwrap();
    assert_eq!(vm.response(id, &[(":status", "200")], b"answer").unwrap(), ResponseOutcome::Reset);

    let (mut vm, _) = Guest::new()
        .on("proxy_on_response_body", 1, &[])
        .on("proxy_on_tick", 0, &["set_effective_context 2", "continue_stream 0", "continue_stream 1"])
        .start();
    let (id, _) = request(&mut vm).unwrap();
    assert_eq!(vm.response(id, &[(":status", "201")], b"answer").unwrap(), ResponseOutcome::Paused);
    assert_eq!(vm.tick().unwrap(), [(id, Outcome::Response { headers, body: b"answer".to_vec() })]);
}

#[test]
fn a_reply_after_the_request_ended_reaches_the_guest_and_resumes_nothing() {
    let guest = Guest::new().on(REPLY, 0, &["set_effective_context 2", "get_buffer_bytes 4 0 9 OUT"]).on(
        BODY_PHASE,
        1,
        &[CALL],
    );
    let (mut vm, shared) = guest.start();
    let (id, _) = request(&mut vm).unwrap();
    vm.done(id).unwrap();
    let (other, _) = request(&mut vm).unwrap();
    assert_ne!(id, other);
    assert_eq!(vm.callout_reply(4, &[(":status", "200")], b"late".to_vec()).unwrap(), []);
    let seen = guest.seen(&shared);
    assert_eq!(seen[0].as_ref().unwrap().status, 2, "the context is over, its id not given away");
    assert_eq!(seen[1].as_ref().unwrap().value, b"late");
    assert!(matches!(vm.response(id, &[(":status", "200")], b"x"), Ok(ResponseOutcome::Continue { .. })));
}

#[test]
fn done_logs_with_both_maps_and_deletes_once() {
    let guest = Guest::new()
        .on("proxy_on_done", 0, &["done"])
        .on(
            "proxy_on_log",
            0,
            &["get_header_map_value 0 ':path' OUT", "get_header_map_value 2 ':status' OUT"],
        )
        .on_raw(
            "proxy_on_delete",
            0,
            "(drop (call $proxy_set_shared_data (i32.const 0) (i32.const 1)
            (i32.const 0) (i32.const 0) (i32.const 0)))",
        );
    let (mut vm, shared) = guest.start();
    let (id, _) = request(&mut vm).unwrap();
    vm.response(id, &[(":status", "200")], b"").unwrap();
    vm.done(id).unwrap();
    let seen: Vec<Seen> = guest.seen(&shared).into_iter().flatten().collect();
    assert_eq!(seen[0].status, 1, "a stream gets no time after on_done");
    assert_eq!((seen[1].value.as_slice(), seen[2].value.as_slice()), (&b"/q"[..], &b"200"[..]));
    let deleted = shared.get(b":").unwrap().1;
    vm.done(id).unwrap();
    assert_eq!(shared.get(b":").unwrap().1, deleted, "the second done reaches nobody");
}

#[test]
fn contexts_are_created_under_the_root_and_used_again() {
    let guest = Guest::new().on_raw(
        "proxy_on_context_create",
        0,
        "(i32.store (i32.const 0x8000) (local.get 0))
        (i32.store (i32.const 0x8004) (local.get 1))
        (drop (call $proxy_set_shared_data (i32.const 0x8000) (i32.const 4) (i32.const 0x8004) (i32.const 4)
            (i32.const 0)))",
    );
    let (mut vm, shared) = guest.start();
    let parent = |id: u32| shared.get(&id.to_le_bytes()).map(|(value, _)| value.to_vec());
    assert_eq!(parent(1), Some(vec![0, 0, 0, 0]));
    for _ in 0..3 {
        let (id, _) = request(&mut vm).unwrap();
        vm.done(id).unwrap();
    }
    assert_eq!(parent(2), Some(vec![1, 0, 0, 0]));
    assert_eq!(parent(3), None);
}

#[test]
fn a_queue_tells_the_vm_that_registered_it() {
    let guest = Guest::new()
        .on("proxy_on_configure", 1, &["register_shared_queue 'q' 0x8000"])
        .on("proxy_on_queue_ready", 0, &["dequeue_shared_queue 1 OUT"])
        .on("proxy_on_tick", 0, &["enqueue_shared_queue 1 'entry'"]);
    let shared = SharedState::new(["peer"]);
    let mut first = guest.start_with(&shared, limits());
    let mut second = guest.start_with(&shared, limits());
    first.tick().unwrap();
    first.queues_ready().unwrap();
    assert_eq!(guest.seen(&shared)[1], None);
    second.queues_ready().unwrap();
    assert_eq!(guest.seen(&shared)[1].as_ref().unwrap().value, b"entry");
}

#[test]
fn a_plugin_may_take_its_time_to_finish() {
    let (mut vm, _) = Guest::new().start();
    assert_eq!(vm.finish(), Ok(true));

    let (mut vm, _) = Guest::new().on("proxy_on_done", 0, &[]).on("proxy_on_tick", 0, &["done"]).start();
    vm.tick().unwrap();
    assert!(!vm.is_finished(), "it was not asked to");
    assert_eq!(vm.finish(), Ok(false));
    vm.tick().unwrap();
    assert!(vm.is_finished());
}

#[test]
fn a_refused_configuration_stops_the_start() {
    for callback in ["proxy_on_vm_start", "proxy_on_configure"] {
        let runtime = Runtime::load(&Guest::new().on(callback, 0, &[]).wasm(), None, limits()).unwrap();
        let started = Vm::start(&runtime, b"", SharedState::new([""; 0]));
        assert!(matches!(started, Err(VmError::Refused(name)) if name == callback));
    }
}

#[test]
fn vms_of_one_runtime_share_data_and_metrics() {
    let guest =
        Guest::new().on("proxy_on_tick", 0, &["define_metric 0 'ticks' 0x8000", "increment_metric 4 64:1"]);
    let shared = SharedState::new([""; 0]);
    for _ in 0..3 {
        guest.start_with(&shared, limits()).tick().unwrap();
    }
    assert_eq!(shared.metrics(), [("ticks".to_owned(), crate::wasm::MetricValue::Counter(3))]);
}
