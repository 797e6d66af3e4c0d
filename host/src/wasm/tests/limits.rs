//! Guests that misbehave.

use std::time::{Duration, Instant};

use super::*;
use crate::wasm::VmError;

const BODY_PHASE: &str = "proxy_on_request_body";

#[test]
fn a_trap_kills_the_vm_and_nothing_else() {
    let guest =
        Guest::new().on_raw("proxy_on_request_headers", 0, "(call $inner)").with("(func $inner unreachable)");
    let (mut vm, shared) = guest.start();
    let trap = request(&mut vm).unwrap_err();
    assert_eq!(trap.call, "proxy_on_request_headers");
    assert!(trap.what.contains("unreachable"), "{trap}");
    assert!(trap.backtrace.contains("inner"), "{trap}");
    assert!(!trap.timed_out && vm.is_dead());
    assert_eq!(vm.in_flight().len(), 1);
    assert_eq!((shared.traps(), shared.timeouts()), (1, 0));

    let in_flight = vm.in_flight()[0];
    assert!(request(&mut vm).unwrap_err().to_string().contains("replace it"));
    assert!(vm.done(in_flight).is_err());
    assert!(vm.tick().is_err());
    assert!(vm.callout_reply(4, &[("a", "b")], Vec::new()).is_err());
    let mut fresh = Vm::start(&vm.runtime().clone(), b"", shared.clone()).unwrap();
    assert!(fresh.tick().is_ok());
    assert_eq!(shared.traps(), 1, "calls into a dead VM are no traps");
}

#[test]
fn an_endless_loop_is_stopped() {
    let limits = Limits { call_ms: 40, ..limits() };
    let guest = Guest::new().on_raw(BODY_PHASE, 0, "(loop $again (br $again))");
    let shared = SharedState::new([""; 0]);
    let mut vm = guest.start_with(&shared, limits);
    let start = Instant::now();
    let trap = request(&mut vm).unwrap_err();
    assert!(trap.timed_out, "{trap}");
    assert!(start.elapsed() >= Duration::from_millis(39), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((shared.traps(), shared.timeouts()), (1, 1));
}

#[test]
fn an_endless_loop_while_starting_is_stopped() {
    let limits = Limits { background_ms: 40, ..limits() };
    for callback in ["_initialize", "proxy_on_vm_start", "proxy_on_configure", "proxy_on_context_create"] {
        let guest = Guest::new().on_raw(callback, 0, "(loop $again (br $again))");
        let runtime = Runtime::load(&guest.wasm(), None, limits).unwrap();
        match Vm::start(&runtime, b"", SharedState::new([""; 0])) {
            Err(VmError::Trap(trap)) => assert!(trap.timed_out && trap.call == callback, "{trap}"),
            Err(error) => panic!("{callback}: {error}"),
            Ok(_) => panic!("{callback} ended"),
        }
    }
}

#[test]
fn work_outside_of_requests_has_its_own_limit() {
    let limits = Limits { call_ms: 10, background_ms: 10_000, ..limits() };
    let work = "(local $n i32) (loop $again (br_if $again (i32.lt_u
        (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 300000000))))";
    let guest = Guest::new().on_raw("proxy_on_tick", 0, work).on_raw(BODY_PHASE, 0, work);
    let mut vm = guest.start_with(&SharedState::new([""; 0]), limits);
    vm.tick().unwrap();
    assert!(request(&mut vm).unwrap_err().timed_out);
}

#[test]
fn memory_stops_growing_at_the_limit() {
    let grow = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
    let (mut vm, _) = Guest::new().on_raw(BODY_PHASE, 0, grow).start();
    request(&mut vm).unwrap();
    assert_eq!(vm.memory_bytes(), limits().memory_bytes);
}

#[test]
fn bytes_that_do_not_fit_into_the_guest_are_its_problem() {
    let guest = Guest::new().on(BODY_PHASE, 0, &["get_buffer_bytes 0 0 0x7fffffff OUT"]);
    let (mut vm, shared) = guest.start();
    vm.request(&HEADERS, &vec![0; 8 << 20], stream()).unwrap();
    assert_eq!(guest.seen(&shared)[0].as_ref().unwrap().status, 6);
    assert!(!vm.is_dead());
}

#[test]
fn a_deep_recursion_is_a_trap() {
    let guest = Guest::new().on_raw(BODY_PHASE, 0, "(call $deep)").with("(func $deep (call $deep))");
    let (mut vm, _) = guest.start();
    let trap = request(&mut vm).unwrap_err();
    assert!(trap.what.contains("stack"), "{trap}");
    assert!(!trap.backtrace.is_empty());
}

#[test]
fn hostcalls_inside_the_allocator_trap() {
    let allocator = |call: &str| {
        let wat = Guest::new().on(BODY_PHASE, 0, &["get_buffer_bytes 0 0 9 OUT"]).wat();
        wat.replace("(local.get $at))\n", &format!("{call} (local.get $at))\n"))
    };
    let run = |wat: String| {
        let runtime = Runtime::load(&wat::parse_str(wat).unwrap(), None, limits()).unwrap();
        let mut vm = Vm::start(&runtime, b"", SharedState::new([""; 0])).unwrap();
        request(&mut vm).map(drop)
    };
    run(allocator("(drop (call $proxy_log (i32.const 2) (i32.const 0) (i32.const 0)))")).unwrap();
    let trap = run(allocator("(drop (call $proxy_set_tick_period_milliseconds (i32.const 2)))")).unwrap_err();
    assert!(trap.what.contains("inside the guest's allocator"), "{trap}");
    run(allocator("unreachable")).unwrap_err();
    run(allocator("(return (i32.const 0))")).unwrap();
    run(allocator("(return (i32.const -1))")).unwrap();
}

#[test]
fn all_instances_in_use_is_an_error() {
    let runtime = Runtime::load(&Guest::new().wasm(), None, limits()).unwrap();
    let start = || Vm::start(&runtime, b"", SharedState::new([""; 0]));
    let kept: Vec<Vm> = (0..limits().instances).map(|_| start().unwrap()).collect();
    assert!(matches!(start(), Err(VmError::Instantiate(_))));
    drop(kept);
    start().unwrap();
}

#[test]
fn a_hostcall_before_there_is_memory_reads_nothing() {
    // The start function runs before the host can know the memory.
    let guest = Guest::new().with(
        "(global $seen (mut i32) (i32.const 0))
        (func $early (global.set $seen (call $proxy_log (i32.const 2) (i32.const 0) (i32.const 1))))
        (start $early)",
    );
    let guest = guest.on_raw("proxy_on_tick", 0, "(call $report (global.get $seen) (i32.const 0))");
    let (mut vm, shared) = guest.start();
    vm.tick().unwrap();
    assert_eq!(seen(&shared, 0).unwrap().status, 6);
}

#[test]
fn a_trap_while_starting_is_told_as_one() {
    let wat = Guest::new().with("(func $early unreachable) (start $early)").wat();
    let runtime = Runtime::load(&wat::parse_str(wat).unwrap(), None, limits()).unwrap();
    let started = Vm::start(&runtime, b"", SharedState::new([""; 0]));
    assert!(matches!(started, Err(VmError::Trap(trap)) if trap.call == "the start function"));
}
