//! Metrics. An id is the metric's number in this VM, with its kind in the low two bits.

use crate::wasm::abi::{MetricType, Status};
use crate::wasm::headers::text;
use crate::wasm::memory::{Caller, Hostcall, put_u32, put_u64, read, split};
use crate::wasm::metrics::Handle;
use crate::wasm::state::State;

pub(super) fn define_metric(
    caller: &mut Caller<'_>,
    kind: u32,
    name: u32,
    name_size: u32,
    id: u32,
) -> Hostcall {
    let (memory, state) = split(caller);
    let Some(name) = read(memory, name, name_size) else { return Ok(Status::InvalidMemoryAccess) };
    let Some(kind) = MetricType::new(kind) else { return Ok(Status::BadArgument) };
    let Some(handle) = state.shared.metrics.define(kind, &text(name)) else {
        return Ok(Status::InternalFailure);
    };
    let known = state.metrics.iter().position(|(other, held)| *other == kind && held.same(&handle));
    let index = known.unwrap_or_else(|| {
        state.metrics.push((kind, handle));
        state.metrics.len() - 1
    });
    Ok(put_u32(caller, id, ((index as u32 + 1) << 2) | kind as u32))
}

/// Adds to a counter (only upwards) or a gauge.
pub(super) fn increment(caller: &mut Caller<'_>, id: u32, offset: i64) -> Hostcall {
    match find(caller.data(), id) {
        Some(metric) => Ok(metric.increment(offset).map_or(Status::BadArgument, |()| Status::Ok)),
        None => Ok(unknown(id)),
    }
}

/// Adds to a counter, sets a gauge, or adds a value to a histogram.
pub(super) fn record(caller: &mut Caller<'_>, id: u32, value: u64) -> Hostcall {
    let Some(metric) = find(caller.data(), id) else { return Ok(Status::NotFound) };
    metric.record(value);
    Ok(Status::Ok)
}

/// Reads a counter or a gauge, over all VMs.
pub(super) fn get(caller: &mut Caller<'_>, id: u32, value: u32) -> Hostcall {
    match find(caller.data(), id).map(Handle::get) {
        Some(Ok(now)) => Ok(put_u64(caller, value, now)),
        Some(Err(_)) => Ok(Status::BadArgument),
        None => Ok(unknown(id)),
    }
}

fn find(state: &State, id: u32) -> Option<&Handle> {
    let index = (id >> 2).checked_sub(1)?;
    let (kind, handle) = state.metrics.get(index as usize)?;
    (*kind as u32 == id & 3).then_some(handle)
}

/// An id of a kind that can't be added to or read is a wrong argument even where it is unknown.
fn unknown(id: u32) -> Status {
    if id & 3 < MetricType::Histogram as u32 { Status::NotFound } else { Status::BadArgument }
}
