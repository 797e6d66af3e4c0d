//! Calls of the guest to other servers: HTTP is queued for the caller to make, gRPC there is none.

use crate::wasm::abi::{Status, TOKEN_STEP, is_grpc_call};
use crate::wasm::headers::{Headers, decode, text};
use crate::wasm::memory::{Caller, Hostcall, put_u32, read, split};
use crate::wasm::state::{OutgoingCall, State};

/// Callouts of one VM in flight, so that a broken guest cannot fill the host's memory.
const MAX_PENDING: usize = 16_384;

/// Queues an HTTP call. `BadArgument` for an unknown cluster, a request without `:method`, `:path` or
/// `:authority`, and a negative timeout.
#[allow(clippy::too_many_arguments)]
pub(super) fn http_call(
    caller: &mut Caller<'_>,
    cluster: u32,
    cluster_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout_ms: u32,
    token: u32,
) -> Hostcall {
    // Written before the call is queued, so that a bad pointer starts nothing.
    if put_u32(caller, token, 0) != Status::Ok {
        return Ok(Status::InvalidMemoryAccess);
    }
    let (memory, state) = split(caller);
    let (Some(cluster), Some(headers), Some(body), Some(_)) = (
        read(memory, cluster, cluster_size),
        read(memory, headers, headers_size),
        read(memory, body, body_size),
        read(memory, trailers, trailers_size),
    ) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    let mut request = Headers::default();
    request.assign(&decode(headers));
    let complete = [&b":method"[..], b":path", b":authority"].iter().all(|name| request.get(name).is_some());
    if i32::try_from(timeout_ms).is_err() || !complete || !state.shared.has_cluster(cluster) {
        return Ok(Status::BadArgument);
    }
    if state.pending.len() >= MAX_PENDING {
        return Ok(Status::InternalFailure);
    }
    let number = next_token(state);
    let context = state.context_id();
    state.pending.insert(number, context);
    state.contexts.call_started(context);
    let call = OutgoingCall {
        token: number,
        cluster: text(cluster),
        headers: request.to_strings(),
        body: body.to_vec(),
        timeout_ms,
    };
    state.callouts.push(call);
    Ok(put_u32(caller, token, number))
}

/// Never 0, never one in flight.
fn next_token(state: &mut State) -> u32 {
    loop {
        state.last_token = state.last_token.wrapping_add(TOKEN_STEP);
        if state.last_token != 0 && !state.pending.contains_key(&state.last_token) {
            return state.last_token;
        }
    }
}

/// No gRPC service is known here: `ParseFailure`, as Envoy answers to one it cannot make out.
#[allow(clippy::too_many_arguments)]
pub(super) fn grpc_call(
    caller: &mut Caller<'_>,
    cluster: u32,
    cluster_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    message: u32,
    message_size: u32,
    _timeout_ms: u32,
    _token: u32,
) -> Hostcall {
    let arguments = [
        (cluster, cluster_size),
        (service, service_size),
        (method, method_size),
        (metadata, metadata_size),
        (message, message_size),
    ];
    Ok(no_service(caller, &arguments))
}

/// See [`grpc_call`].
#[allow(clippy::too_many_arguments)]
pub(super) fn grpc_stream(
    caller: &mut Caller<'_>,
    cluster: u32,
    cluster_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    _token: u32,
) -> Hostcall {
    let arguments =
        [(cluster, cluster_size), (service, service_size), (method, method_size), (metadata, metadata_size)];
    Ok(no_service(caller, &arguments))
}

fn no_service(caller: &mut Caller<'_>, arguments: &[(u32, u32)]) -> Status {
    let (memory, _) = split(caller);
    if arguments.iter().any(|&(data, size)| read(memory, data, size).is_none()) {
        return Status::InvalidMemoryAccess;
    }
    Status::ParseFailure
}

/// No stream is ever open; a token of a call, which takes no messages, is a wrong argument.
pub(super) fn grpc_send(
    caller: &mut Caller<'_>,
    token: u32,
    message: u32,
    message_size: u32,
    _end: u32,
) -> Hostcall {
    let (memory, _) = split(caller);
    if read(memory, message, message_size).is_none() {
        return Ok(Status::InvalidMemoryAccess);
    }
    Ok(if is_grpc_call(token) { Status::BadArgument } else { Status::NotFound })
}

pub(super) fn grpc_cancel(_caller: &mut Caller<'_>, _token: u32) -> Hostcall {
    Ok(Status::NotFound)
}

pub(super) fn grpc_close(_caller: &mut Caller<'_>, _token: u32) -> Hostcall {
    Ok(Status::NotFound)
}
