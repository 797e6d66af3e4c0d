//! How a stream goes on.

use crate::wasm::abi::{Status, StreamType};
use crate::wasm::context::{Decision, Phase};
use crate::wasm::headers::{decode, text};
use crate::wasm::memory::{Caller, Hostcall, read, split};

/// Resumes a paused request or response. Of one that is not paused in this direction, nothing comes; there
/// are no downstream and upstream connections here.
pub(super) fn resume(caller: &mut Caller<'_>, stream: u32) -> Hostcall {
    let phase = match StreamType::new(stream) {
        Some(StreamType::Request) => Phase::Request,
        Some(StreamType::Response) => Phase::Response,
        _ => return Ok(Status::BadArgument),
    };
    let state = caller.data_mut();
    if state.stream().is_some_and(|stream| stream.phase == phase && stream.decision.is_none()) {
        state.decide(Decision::Continue);
    }
    Ok(Status::Ok)
}

/// Resets a request or response; closing a connection does nothing here.
pub(super) fn close(caller: &mut Caller<'_>, stream: u32) -> Hostcall {
    match StreamType::new(stream) {
        None => return Ok(Status::BadArgument),
        Some(StreamType::Downstream | StreamType::Upstream) => {}
        Some(StreamType::Request | StreamType::Response) => {
            caller.data_mut().decide(Decision::Reset);
        }
    }
    Ok(Status::Ok)
}

/// Answers the request by the guest itself. Only the first answer of a stream is sent; later ones, and
/// those outside of a stream, are counted and dropped, since two would hang the client.
#[allow(clippy::too_many_arguments)]
pub(super) fn send_local_response(
    caller: &mut Caller<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    _grpc_status: u32,
) -> Hostcall {
    let (memory, state) = split(caller);
    let (Some(_), Some(body), Some(headers)) = (
        read(memory, details, details_size),
        read(memory, body, body_size),
        read(memory, headers, headers_size),
    ) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    let Some(status) = u16::try_from(status).ok().filter(|status| (100..1000).contains(status)) else {
        return Ok(Status::BadArgument);
    };
    let headers = decode(headers)
        .into_iter()
        .map(|(name, value)| (text(name).to_ascii_lowercase(), text(value)))
        .collect();
    if !state.decide(Decision::Local { status, headers, body: body.to_vec() }) {
        state.shared.count_ignored_local_response();
    }
    Ok(Status::Ok)
}
