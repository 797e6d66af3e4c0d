//! Log, clock, timer, contexts.

use std::time::{SystemTime, UNIX_EPOCH};

use tracing::level_filters::LevelFilter;

use crate::wasm::abi::Status;
use crate::wasm::context::ROOT;
use crate::wasm::memory::{Caller, Hostcall, Out, give_bytes, put_u32, put_u64, read, split};

/// Writes a line at level 0 (trace) to 5 (critical).
pub(super) fn log(caller: &mut Caller<'_>, level: u32, data: u32, size: u32) -> Hostcall {
    if level > 5 {
        return Ok(Status::BadArgument);
    }
    let (memory, _) = split(caller);
    let Some(line) = read(memory, data, size) else { return Ok(Status::InvalidMemoryAccess) };
    let line = String::from_utf8_lossy(line);
    match level {
        0 => tracing::trace!(target: "plugin", "{line}"),
        1 => tracing::debug!(target: "plugin", "{line}"),
        2 => tracing::info!(target: "plugin", "{line}"),
        3 => tracing::warn!(target: "plugin", "{line}"),
        _ => tracing::error!(target: "plugin", "{line}"),
    }
    Ok(Status::Ok)
}

/// The least level that anybody listens to.
pub(super) fn get_log_level(caller: &mut Caller<'_>, level: u32) -> Hostcall {
    let least = match LevelFilter::current() {
        LevelFilter::TRACE => 0,
        LevelFilter::DEBUG => 1,
        LevelFilter::INFO => 2,
        LevelFilter::WARN => 3,
        LevelFilter::ERROR => 4,
        _ => 5,
    };
    Ok(put_u32(caller, level, least))
}

/// Wall clock, nanoseconds since 1970.
pub(super) fn get_current_time(caller: &mut Caller<'_>, time: u32) -> Hostcall {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(put_u64(caller, time, u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)))
}

/// Asks for `proxy_on_tick` every so often; 0 stops it.
pub(super) fn set_tick_period(caller: &mut Caller<'_>, period_ms: u32) -> Hostcall {
    caller.data_mut().tick_ms = period_ms;
    Ok(Status::Ok)
}

/// Why the reply at hand is empty.
pub(super) fn get_status(caller: &mut Caller<'_>, code: u32, data: u32, size: u32) -> Hostcall {
    let (number, text) = caller.data().status;
    match put_u32(caller, code, number) {
        Status::Ok => give_bytes(caller, Out { pointer: data, length: size }, text.as_bytes()),
        bad => Ok(bad),
    }
}

/// Lets the hostcalls that follow work on another context, until the guest call returns.
pub(super) fn set_effective_context(caller: &mut Caller<'_>, id: u32) -> Hostcall {
    let state = caller.data_mut();
    if !state.knows(id) {
        return Ok(Status::BadArgument);
    }
    state.effective = id;
    Ok(Status::Ok)
}

/// Ends a context whose `proxy_on_done` answered false. As in Envoy, only the root context may ask for
/// that time; a stream is over when its `proxy_on_done` returns.
pub(super) fn done(caller: &mut Caller<'_>) -> Hostcall {
    let state = caller.data_mut();
    if state.context_id() != ROOT || !state.finishing {
        return Ok(Status::NotFound);
    }
    state.done = true;
    Ok(Status::Ok)
}

/// This host has no foreign functions.
pub(super) fn call_foreign_function(
    caller: &mut Caller<'_>,
    name: u32,
    name_size: u32,
    arguments: u32,
    arguments_size: u32,
    _result: u32,
    _result_size: u32,
) -> Hostcall {
    let (memory, _) = split(caller);
    if read(memory, name, name_size).is_none() || read(memory, arguments, arguments_size).is_none() {
        return Ok(Status::InvalidMemoryAccess);
    }
    Ok(Status::NotFound)
}
