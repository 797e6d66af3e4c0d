//! Shared data and queues.

use crate::wasm::abi::Status;
use crate::wasm::memory::{Caller, Hostcall, Out, give_bytes, put_u32, read, split};
use crate::wasm::shared::{QueueError, Refused};

impl From<QueueError> for Status {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Unknown => Self::NotFound,
            QueueError::Empty => Self::Empty,
            QueueError::Full => Self::InternalFailure,
        }
    }
}

pub(super) fn get_data(
    caller: &mut Caller<'_>,
    key: u32,
    key_size: u32,
    data: u32,
    size: u32,
    cas: u32,
) -> Hostcall {
    let (memory, state) = split(caller);
    let Some(key) = read(memory, key, key_size) else { return Ok(Status::InvalidMemoryAccess) };
    let Some((value, version)) = state.shared.get(key) else { return Ok(Status::NotFound) };
    match give_bytes(caller, Out { pointer: data, length: size }, &value)? {
        Status::Ok => Ok(put_u32(caller, cas, version)),
        bad => Ok(bad),
    }
}

pub(super) fn set_data(
    caller: &mut Caller<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
    cas: u32,
) -> Hostcall {
    let (memory, state) = split(caller);
    let (Some(key), Some(value)) = (read(memory, key, key_size), read(memory, value, value_size)) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    Ok(match state.shared.set(key, value, cas) {
        Ok(()) => Status::Ok,
        Err(Refused::Mismatch) => Status::CasMismatch,
        Err(Refused::Full) => Status::InternalFailure,
    })
}

pub(super) fn register_queue(caller: &mut Caller<'_>, name: u32, name_size: u32, id: u32) -> Hostcall {
    let (memory, state) = split(caller);
    let Some(name) = read(memory, name, name_size) else { return Ok(Status::InvalidMemoryAccess) };
    let Some(queue) = state.shared.register_queue(state.vm, name) else {
        return Ok(Status::InternalFailure);
    };
    Ok(put_u32(caller, id, queue))
}

/// All VMs of a plugin have the empty VM id; no other has queues here.
pub(super) fn resolve_queue(
    caller: &mut Caller<'_>,
    vm_id: u32,
    vm_id_size: u32,
    name: u32,
    name_size: u32,
    id: u32,
) -> Hostcall {
    let (memory, state) = split(caller);
    let (Some(vm_id), Some(name)) = (read(memory, vm_id, vm_id_size), read(memory, name, name_size)) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    match state.shared.resolve_queue(name) {
        Some(queue) if vm_id.is_empty() => Ok(put_u32(caller, id, queue)),
        _ => Ok(Status::NotFound),
    }
}

pub(super) fn enqueue(caller: &mut Caller<'_>, id: u32, value: u32, value_size: u32) -> Hostcall {
    let (memory, state) = split(caller);
    let Some(value) = read(memory, value, value_size) else { return Ok(Status::InvalidMemoryAccess) };
    Ok(state.shared.enqueue(id, value).map_or_else(Status::from, |()| Status::Ok))
}

pub(super) fn dequeue(caller: &mut Caller<'_>, id: u32, data: u32, size: u32) -> Hostcall {
    match caller.data().shared.dequeue(id) {
        Ok(entry) => give_bytes(caller, Out { pointer: data, length: size }, &entry),
        Err(error) => Ok(error.into()),
    }
}
