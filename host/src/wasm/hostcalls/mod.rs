//! The `env.proxy_*` imports of a guest, one file a group.

mod buffers;
mod callouts;
mod general;
mod headers;
mod metrics;
mod properties;
mod shared;
mod streams;

use wasmtime::Linker;

use super::memory::Caller;
use super::state::State;

/// Defines the imports in a linker, and their names beside it.
macro_rules! imports {
    ($($name:literal = $function:path as ($($argument:ident: $type:ty),*);)*) => {
        /// Every import that a guest finds in module `env`.
        pub(super) const NAMES: &[&str] = &[$($name),*];

        /// Defines every import.
        pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
            $(linker.func_wrap("env", $name, |mut caller: Caller<'_>, $($argument: $type),*| -> wasmtime::Result<u32> {
                check(&caller, $name)?;
                Ok($function(&mut caller, $($argument),*)? as u32)
            })?;)*
            Ok(())
        }
    };
}

imports! {
    "proxy_log" = general::log as (level: u32, data: u32, size: u32);
    "proxy_get_log_level" = general::get_log_level as (level: u32);
    "proxy_get_current_time_nanoseconds" = general::get_current_time as (time: u32);
    "proxy_set_tick_period_milliseconds" = general::set_tick_period as (period_ms: u32);
    "proxy_get_status" = general::get_status as (code: u32, data: u32, size: u32);
    "proxy_set_effective_context" = general::set_effective_context as (id: u32);
    "proxy_done" = general::done as ();
    "proxy_call_foreign_function" = general::call_foreign_function as
        (name: u32, name_size: u32, arguments: u32, arguments_size: u32, result: u32, result_size: u32);
    "proxy_get_buffer_bytes" = buffers::get_bytes as
        (buffer: u32, start: u32, length: u32, data: u32, size: u32);
    "proxy_set_buffer_bytes" = buffers::set_bytes as
        (buffer: u32, start: u32, length: u32, data: u32, size: u32);
    "proxy_get_buffer_status" = buffers::get_status as (buffer: u32, length: u32, flags: u32);
    "proxy_get_header_map_size" = headers::get_size as (map: u32, size: u32);
    "proxy_get_header_map_pairs" = headers::get_pairs as (map: u32, data: u32, size: u32);
    "proxy_set_header_map_pairs" = headers::set_pairs as (map: u32, data: u32, size: u32);
    "proxy_get_header_map_value" = headers::get_value as
        (map: u32, name: u32, name_size: u32, data: u32, size: u32);
    "proxy_add_header_map_value" = headers::add_value as
        (map: u32, name: u32, name_size: u32, value: u32, value_size: u32);
    "proxy_replace_header_map_value" = headers::replace_value as
        (map: u32, name: u32, name_size: u32, value: u32, value_size: u32);
    "proxy_remove_header_map_value" = headers::remove_value as (map: u32, name: u32, name_size: u32);
    "proxy_get_property" = properties::get as (path: u32, path_size: u32, data: u32, size: u32);
    "proxy_set_property" = properties::set as (path: u32, path_size: u32, value: u32, value_size: u32);
    "proxy_get_shared_data" = shared::get_data as
        (key: u32, key_size: u32, data: u32, size: u32, cas: u32);
    "proxy_set_shared_data" = shared::set_data as
        (key: u32, key_size: u32, value: u32, value_size: u32, cas: u32);
    "proxy_register_shared_queue" = shared::register_queue as (name: u32, name_size: u32, id: u32);
    "proxy_resolve_shared_queue" = shared::resolve_queue as
        (vm_id: u32, vm_id_size: u32, name: u32, name_size: u32, id: u32);
    "proxy_enqueue_shared_queue" = shared::enqueue as (id: u32, value: u32, value_size: u32);
    "proxy_dequeue_shared_queue" = shared::dequeue as (id: u32, data: u32, size: u32);
    "proxy_continue_stream" = streams::resume as (stream: u32);
    "proxy_close_stream" = streams::close as (stream: u32);
    "proxy_send_local_response" = streams::send_local_response as
        (status: u32, details: u32, details_size: u32, body: u32, body_size: u32, headers: u32,
         headers_size: u32, grpc_status: u32);
    "proxy_http_call" = callouts::http_call as
        (cluster: u32, cluster_size: u32, headers: u32, headers_size: u32, body: u32, body_size: u32,
         trailers: u32, trailers_size: u32, timeout_ms: u32, token: u32);
    "proxy_grpc_call" = callouts::grpc_call as
        (cluster: u32, cluster_size: u32, service: u32, service_size: u32, method: u32, method_size: u32,
         metadata: u32, metadata_size: u32, message: u32, message_size: u32, timeout_ms: u32, token: u32);
    "proxy_grpc_stream" = callouts::grpc_stream as
        (cluster: u32, cluster_size: u32, service: u32, service_size: u32, method: u32, method_size: u32,
         metadata: u32, metadata_size: u32, token: u32);
    "proxy_grpc_send" = callouts::grpc_send as (token: u32, message: u32, message_size: u32, end: u32);
    "proxy_grpc_cancel" = callouts::grpc_cancel as (token: u32);
    "proxy_grpc_close" = callouts::grpc_close as (token: u32);
    "proxy_define_metric" = metrics::define_metric as (kind: u32, name: u32, name_size: u32, id: u32);
    "proxy_increment_metric" = metrics::increment as (id: u32, offset: i64);
    "proxy_record_metric" = metrics::record as (id: u32, value: u64);
    "proxy_get_metric" = metrics::get as (id: u32, value: u32);
}

/// A guest's allocator runs in the middle of a hostcall; it may log and ask the time, as in Envoy, and
/// traps on all else.
fn check(caller: &Caller<'_>, name: &str) -> wasmtime::Result<()> {
    if !caller.data().allocating || matches!(name, "proxy_log" | "proxy_get_current_time_nanoseconds") {
        return Ok(());
    }
    Err(wasmtime::Error::msg(format!("{name} called inside the guest's allocator")))
}
