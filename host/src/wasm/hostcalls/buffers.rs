//! Bodies and configurations.

use crate::wasm::abi::{BufferType, Status};
use crate::wasm::memory::{Caller, Hostcall, Out, fill, give, put_u32, read, split};
use crate::wasm::state::State;

/// The buffer's bytes now; `None` where there is no such buffer. The streams' own buffers always exist, as
/// in Envoy (the specification would say `NotFound`), and are empty while out of reach.
fn buffer(state: &State, kind: BufferType) -> Option<&[u8]> {
    match kind {
        BufferType::RequestBody => {
            let message = state.stream().map(|stream| &stream.request);
            Some(message.filter(|message| message.body_visible).map_or(&[], |message| &message.body))
        }
        BufferType::ResponseBody => {
            let message = state.stream().map(|stream| &stream.response);
            Some(message.filter(|message| message.body_visible).map_or(&[], |message| &message.body))
        }
        BufferType::DownstreamData | BufferType::UpstreamData | BufferType::GrpcReceive => Some(&[]),
        BufferType::CallResponseBody => state.reply.as_ref().map(|reply| reply.body.as_slice()),
        BufferType::VmConfiguration => Some(&[]),
        BufferType::PluginConfiguration => state.config_visible.then_some(&state.config),
        BufferType::CallData => None,
    }
}

/// Up to `length` bytes from `start` on; none from a start past the end.
fn part(state: &State, kind: BufferType, start: u32, length: u32) -> Option<&[u8]> {
    let bytes = buffer(state, kind)?;
    let start = (start as usize).min(bytes.len());
    let end = start.saturating_add(length as usize).min(bytes.len());
    bytes.get(start..end)
}

pub(super) fn get_bytes(
    caller: &mut Caller<'_>,
    kind: u32,
    start: u32,
    length: u32,
    data: u32,
    size: u32,
) -> Hostcall {
    let Some(kind) = BufferType::new(kind) else { return Ok(Status::BadArgument) };
    let Some(found) = part(caller.data(), kind, start, length).map(<[u8]>::len) else {
        return Ok(Status::NotFound);
    };
    give(caller, Out { pointer: data, length: size }, found, |state, place| {
        part(state, kind, start, length).is_some_and(|bytes| fill(place, bytes))
    })
}

/// Length, and flags that no host sets.
pub(super) fn get_status(caller: &mut Caller<'_>, kind: u32, length: u32, flags: u32) -> Hostcall {
    let Some(kind) = BufferType::new(kind) else { return Ok(Status::BadArgument) };
    let Some(found) = buffer(caller.data(), kind).map(<[u8]>::len) else { return Ok(Status::NotFound) };
    match put_u32(caller, length, u32::try_from(found).unwrap_or(u32::MAX)) {
        Status::Ok => Ok(put_u32(caller, flags, 0)),
        bad => Ok(bad),
    }
}

/// Puts bytes in front (start 0, length 0), behind (start past the end) or in the place of the whole body
/// (start 0, length at least its own); nothing else, as in Envoy. Only bodies within reach can be written.
pub(super) fn set_bytes(
    caller: &mut Caller<'_>,
    kind: u32,
    start: u32,
    length: u32,
    data: u32,
    size: u32,
) -> Hostcall {
    let Some(kind) = BufferType::new(kind) else { return Ok(Status::BadArgument) };
    let (memory, state) = split(caller);
    if buffer(state, kind).is_none() {
        return Ok(Status::NotFound);
    }
    let Some(bytes) = read(memory, data, size) else { return Ok(Status::InvalidMemoryAccess) };
    let message = match (kind, state.stream_mut()) {
        (BufferType::RequestBody, Some(stream)) => &mut stream.request,
        (BufferType::ResponseBody, Some(stream)) => &mut stream.response,
        _ => return Ok(Status::BadArgument),
    };
    if !message.body_visible {
        return Ok(Status::BadArgument);
    }
    let body = &mut message.body;
    let (start, length) = (start as usize, length as usize);
    match (start, length) {
        (0, 0) => drop(body.splice(0..0, bytes.iter().copied())),
        (0, _) if length >= body.len() => {
            body.clear();
            body.extend_from_slice(bytes);
        }
        (1.., _) if start >= body.len() => body.extend_from_slice(bytes),
        _ => return Ok(Status::BadArgument),
    }
    Ok(Status::Ok)
}
