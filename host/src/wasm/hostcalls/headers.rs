//! Header maps. Values of a map that is out of reach answer `BadArgument`, its pairs read as none: Envoy's
//! ways.

use crate::wasm::abi::{MapType, Status};
use crate::wasm::headers::{Headers, decode};
use crate::wasm::memory::{Caller, Hostcall, Out, fill, give, put_u32, read, split};
use crate::wasm::state::State;

/// The map, where the guest may read it now. No trailers and no gRPC metadata ever come.
fn map(state: &State, kind: MapType) -> Option<&Headers> {
    match kind {
        MapType::RequestHeaders => state
            .stream()
            .map(|stream| &stream.request)
            .filter(|message| message.headers_visible)
            .map(|m| &m.headers),
        MapType::ResponseHeaders => state
            .stream()
            .map(|stream| &stream.response)
            .filter(|message| message.headers_visible)
            .map(|m| &m.headers),
        MapType::CallResponseHeaders => state.reply.as_ref().map(|reply| &reply.headers),
        MapType::RequestTrailers
        | MapType::ResponseTrailers
        | MapType::GrpcInitialMetadata
        | MapType::GrpcTrailingMetadata
        | MapType::CallResponseTrailers => None,
    }
}

/// The map, where the guest may write it now.
fn map_mut(state: &mut State, kind: MapType) -> Option<&mut Headers> {
    let stream = state.stream_mut()?;
    let message = match kind {
        MapType::RequestHeaders => &mut stream.request,
        MapType::ResponseHeaders => &mut stream.response,
        _ => return None,
    };
    message.headers_visible.then_some(&mut message.headers)
}

/// Bytes of all names and values together.
pub(super) fn get_size(caller: &mut Caller<'_>, kind: u32, size: u32) -> Hostcall {
    let Some(kind) = MapType::new(kind) else { return Ok(Status::BadArgument) };
    let Some(headers) = map(caller.data(), kind) else { return Ok(Status::BadArgument) };
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    Ok(put_u32(caller, size, u32::try_from(bytes).unwrap_or(u32::MAX)))
}

pub(super) fn get_pairs(caller: &mut Caller<'_>, kind: u32, data: u32, size: u32) -> Hostcall {
    let Some(kind) = MapType::new(kind) else { return Ok(Status::BadArgument) };
    let length = map(caller.data(), kind).map_or(0, Headers::encoded_len);
    give(caller, Out { pointer: data, length: size }, length, |state, place| {
        map(state, kind).is_some_and(|headers| headers.encode(place))
    })
}

pub(super) fn set_pairs(caller: &mut Caller<'_>, kind: u32, data: u32, size: u32) -> Hostcall {
    let Some(kind) = MapType::new(kind) else { return Ok(Status::BadArgument) };
    let (memory, state) = split(caller);
    let Some(bytes) = read(memory, data, size) else { return Ok(Status::InvalidMemoryAccess) };
    let Some(headers) = map_mut(state, kind) else { return Ok(Status::BadArgument) };
    headers.assign(&decode(bytes));
    Ok(Status::Ok)
}

pub(super) fn get_value(
    caller: &mut Caller<'_>,
    kind: u32,
    name: u32,
    name_size: u32,
    data: u32,
    size: u32,
) -> Hostcall {
    let Some(kind) = MapType::new(kind) else { return Ok(Status::BadArgument) };
    let (memory, state) = split(caller);
    let Some(wanted) = read(memory, name, name_size) else { return Ok(Status::InvalidMemoryAccess) };
    let Some(headers) = map(state, kind) else { return Ok(Status::BadArgument) };
    let Some((index, length)) = headers.find(wanted) else { return Ok(Status::NotFound) };
    give(caller, Out { pointer: data, length: size }, length, |state, place| {
        map(state, kind).and_then(|headers| headers.value(index)).is_some_and(|value| fill(place, value))
    })
}

pub(super) fn add_value(
    caller: &mut Caller<'_>,
    kind: u32,
    name: u32,
    name_size: u32,
    value: u32,
    value_size: u32,
) -> Hostcall {
    edit(caller, kind, (name, name_size), (value, value_size), Headers::push)
}

pub(super) fn replace_value(
    caller: &mut Caller<'_>,
    kind: u32,
    name: u32,
    name_size: u32,
    value: u32,
    value_size: u32,
) -> Hostcall {
    edit(caller, kind, (name, name_size), (value, value_size), Headers::replace)
}

pub(super) fn remove_value(caller: &mut Caller<'_>, kind: u32, name: u32, name_size: u32) -> Hostcall {
    edit(caller, kind, (name, name_size), (0, 0), |headers, name, _| headers.remove(name))
}

fn edit(
    caller: &mut Caller<'_>,
    kind: u32,
    name: (u32, u32),
    value: (u32, u32),
    change: impl FnOnce(&mut Headers, &[u8], &[u8]),
) -> Hostcall {
    let Some(kind) = MapType::new(kind) else { return Ok(Status::BadArgument) };
    let (memory, state) = split(caller);
    let (Some(name), Some(value)) = (read(memory, name.0, name.1), read(memory, value.0, value.1)) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    let Some(headers) = map_mut(state, kind) else { return Ok(Status::BadArgument) };
    change(headers, name, value);
    Ok(Status::Ok)
}
