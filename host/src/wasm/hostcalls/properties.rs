//! Properties of a stream: what the caller gave, what the guest set, and the standard ones of Envoy that
//! make sense here.

use crate::wasm::abi::Status;
use crate::wasm::memory::{Caller, Hostcall, Out, fill, give, give_bytes, read, split};
use crate::wasm::state::State;

/// Reads a property by its path, the parts joined by NUL.
pub(super) fn get(caller: &mut Caller<'_>, path: u32, path_size: u32, data: u32, size: u32) -> Hostcall {
    let out = Out { pointer: data, length: size };
    let (memory, state) = split(caller);
    let Some(wanted) = read(memory, path, path_size) else { return Ok(Status::InvalidMemoryAccess) };
    if wanted.is_empty() {
        return Ok(Status::SerializationFailure);
    }
    // Own properties are copied straight out of the state; only the path has to outlive the borrow.
    if let Some(length) = state.stream().and_then(|stream| stream.property(wanted)).map(<[u8]>::len) {
        let wanted = wanted.to_vec();
        return give(caller, out, length, |state, place| {
            let value = state.stream().and_then(|stream| stream.property(&wanted));
            value.is_some_and(|value| fill(place, value))
        });
    }
    match standard(state, wanted) {
        Some(value) => give_bytes(caller, out, &value),
        None => Ok(Status::NotFound),
    }
}

/// Sets a property of the stream; the root context has none.
pub(super) fn set(
    caller: &mut Caller<'_>,
    path: u32,
    path_size: u32,
    value: u32,
    value_size: u32,
) -> Hostcall {
    let (memory, state) = split(caller);
    let (Some(path), Some(value)) = (read(memory, path, path_size), read(memory, value, value_size)) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    let Some(stream) = state.stream_mut() else { return Ok(Status::NotFound) };
    stream.set_property(path, value);
    Ok(Status::Ok)
}

/// Texts as they are, whole numbers as eight bytes, lowest first: Envoy's serialisation.
fn standard(state: &State, path: &[u8]) -> Option<Vec<u8>> {
    if matches!(path, b"plugin_root_id" | b"plugin_vm_id" | b"plugin_name") {
        return Some(Vec::new());
    }
    let stream = state.stream()?;
    let header = |name: &str| stream.request.headers.get(name.as_bytes()).map(<[u8]>::to_vec);
    match path {
        b"source\0address" => Some(stream.source.to_string().into_bytes()),
        b"source\0port" => Some(i64::from(stream.source.port()).to_le_bytes().to_vec()),
        b"request\0path" => header(":path"),
        b"request\0method" => header(":method"),
        b"request\0scheme" => header(":scheme"),
        b"request\0host" => header(":authority"),
        b"request\0size" => Some((stream.request.body.len() as i64).to_le_bytes().to_vec()),
        _ => None,
    }
}
