//! The guest's memory, as hostcalls read and write it. Every access is checked; a bad pointer is the
//! guest's to hear of.

use super::abi::Status;
use super::state::State;

/// A hostcall's view of its VM.
pub(super) type Caller<'a> = wasmtime::Caller<'a, State>;

/// What a hostcall gives back: a status for the guest, or an error that traps it.
pub(super) type Hostcall = wasmtime::Result<Status>;

/// Where a hostcall puts bytes for the guest: the addresses of a pointer and a length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) pointer: u32,
    pub(super) length: u32,
}

/// The guest's memory beside the VM's state; empty before the module is instantiated.
pub(super) fn split<'a>(caller: &'a mut Caller<'_>) -> (&'a mut [u8], &'a mut State) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// `size` bytes at `pointer`, where they lie within memory.
pub(super) fn read(memory: &[u8], pointer: u32, size: u32) -> Option<&[u8]> {
    let start = pointer as usize;
    memory.get(start..start.checked_add(size as usize)?)
}

/// Writes bytes at `pointer`; `false` where they do not fit.
pub(super) fn write(memory: &mut [u8], pointer: u32, bytes: &[u8]) -> bool {
    let start = pointer as usize;
    let place = start.checked_add(bytes.len()).and_then(|end| memory.get_mut(start..end));
    place.map(|place| place.copy_from_slice(bytes)).is_some()
}

/// Writes a number for the guest.
pub(super) fn put_u32(caller: &mut Caller<'_>, pointer: u32, value: u32) -> Status {
    put(caller, pointer, &value.to_le_bytes())
}

/// Writes a number for the guest.
pub(super) fn put_u64(caller: &mut Caller<'_>, pointer: u32, value: u64) -> Status {
    put(caller, pointer, &value.to_le_bytes())
}

fn put(caller: &mut Caller<'_>, pointer: u32, bytes: &[u8]) -> Status {
    if write(split(caller).0, pointer, bytes) { Status::Ok } else { Status::InvalidMemoryAccess }
}

impl Out {
    fn set(self, memory: &mut [u8], pointer: u32, length: u32) -> Status {
        let written = write(memory, self.pointer, &pointer.to_le_bytes())
            && write(memory, self.length, &length.to_le_bytes());
        if written { Status::Ok } else { Status::InvalidMemoryAccess }
    }

    fn is_valid(self, memory: &[u8]) -> bool {
        read(memory, self.pointer, 4).is_some() && read(memory, self.length, 4).is_some()
    }
}

/// Gives the guest `length` bytes in memory that its own allocator provides, filled by `fill` (which says
/// `false` if it cannot). None at all travel as a null pointer.
pub(super) fn give(
    caller: &mut Caller<'_>,
    out: Out,
    length: usize,
    fill: impl FnOnce(&State, &mut [u8]) -> bool,
) -> Hostcall {
    if !out.is_valid(split(caller).0) {
        return Ok(Status::InvalidMemoryAccess);
    }
    let Ok(size) = u32::try_from(length) else { return Ok(Status::InternalFailure) };
    if size == 0 {
        return Ok(out.set(split(caller).0, 0, 0));
    }
    let pointer = allocate(caller, size)?;
    if pointer == 0 {
        return Ok(Status::InvalidMemoryAccess);
    }
    let (memory, state) = split(caller);
    let start = pointer as usize;
    let Some(place) = start.checked_add(length).and_then(|end| memory.get_mut(start..end)) else {
        return Ok(Status::InvalidMemoryAccess);
    };
    if !fill(state, place) {
        return Ok(Status::InternalFailure);
    }
    Ok(out.set(memory, pointer, size))
}

/// Gives the guest bytes that lie outside of the VM's state.
pub(super) fn give_bytes(caller: &mut Caller<'_>, out: Out, bytes: &[u8]) -> Hostcall {
    give(caller, out, bytes.len(), |_, place| fill(place, bytes))
}

/// Copies where the lengths agree.
pub(super) fn fill(place: &mut [u8], bytes: &[u8]) -> bool {
    let fits = place.len() == bytes.len();
    if fits {
        place.copy_from_slice(bytes);
    }
    fits
}

/// Calls the guest's allocator, which may grow its memory; 0 where there is none or it has no room.
fn allocate(caller: &mut Caller<'_>, size: u32) -> wasmtime::Result<u32> {
    let Some(malloc) = caller.data().malloc.clone() else { return Ok(0) };
    caller.data_mut().allocating = true;
    let pointer = malloc.call(&mut *caller, size);
    caller.data_mut().allocating = false;
    pointer
}
