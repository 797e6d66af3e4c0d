//! Guests written for the occasion, run through the real engine.
//!
//! A guest's callbacks are lists of hostcalls. What each returned, and what it put in memory, comes back
//! through the shared data.

mod hostcalls;
mod lifecycle;
mod limits;
mod loading;
mod plugin;

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use super::headers::Headers;
use super::runtime::EXPORTS;
use super::{ContextId, Limits, Outcome, Properties, Runtime, SharedState, StreamInfo, Trap, Vm};

/// Where hostcalls put their results.
const OUT: u32 = 0x8000;
/// Where the report of a hostcall is put together.
const REPORT: u32 = 0x9000;
/// Far outside of memory.
const BAD: u32 = 0xffff_fff0;

/// A guest in the making.
#[derive(Default)]
struct Guest {
    data: Vec<u8>,
    callbacks: Vec<(&'static str, String, u32)>,
    extra: String,
    calls: u32,
}

/// What a hostcall did.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    status: u32,
    /// The bytes that the pointer and length at [`OUT`] name.
    value: Vec<u8>,
    /// The first words at [`OUT`].
    words: [u32; 4],
}

impl Guest {
    fn new() -> Self {
        Self::default()
    }

    /// A callback that makes these hostcalls and then returns `result`. A call is words: the function
    /// without `proxy_`, then numbers, `64:5` for an i64, `'text'` for address and length of a text (`~` is
    /// NUL), `{a=b;c=d}` for those of a map, `OUT` for addresses of a pointer and a length, `BAD` for an
    /// address outside of memory.
    fn on(mut self, callback: &'static str, result: u32, calls: &[&str]) -> Self {
        let mut code = String::new();
        for call in calls {
            let index = self.calls;
            self.calls += 1;
            let call = self.call(call);
            writeln!(code, "(call $report {call} (i32.const {index}))").unwrap();
        }
        self.callbacks.push((callback, code, result));
        self
    }

    /// A callback in WAT.
    fn on_raw(mut self, callback: &'static str, result: u32, code: &str) -> Self {
        self.callbacks.push((callback, code.to_owned(), result));
        self
    }

    /// Further fields of the module.
    fn with(mut self, wat: &str) -> Self {
        self.extra.push_str(wat);
        self
    }

    fn call(&mut self, call: &str) -> String {
        let mut words = call.split_whitespace();
        let mut code = format!("(call $proxy_{}", words.next().unwrap());
        for word in words {
            if let Some(number) = word.strip_prefix("64:") {
                write!(code, " (i64.const {number})").unwrap();
            } else if let Some(text) = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
                self.place(&mut code, text.replace('~', "\0").into_bytes());
            } else if let Some(map) = word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                self.place(&mut code, encoded(map));
            } else if word == "OUT" {
                write!(code, " (i32.const {OUT}) (i32.const {})", OUT + 4).unwrap();
            } else if word == "BAD" {
                write!(code, " (i32.const {BAD})").unwrap();
            } else {
                write!(code, " (i32.const {word})").unwrap();
            }
        }
        code + ")"
    }

    fn place(&mut self, code: &mut String, bytes: Vec<u8>) {
        write!(code, " (i32.const {}) (i32.const {})", self.data.len(), bytes.len()).unwrap();
        self.data.extend(bytes);
        assert!(self.data.len() < OUT as usize, "too much text");
    }

    fn wat(&self) -> String {
        let mut imports = String::new();
        for (name, parameters) in IMPORTS {
            writeln!(imports, "(import \"env\" \"{name}\" (func ${name} (param {parameters}) (result i32)))")
                .unwrap();
        }
        let mut functions = String::new();
        for (callback, code, result) in &self.callbacks {
            let &(_, parameters, returns) = EXPORTS.iter().find(|(name, ..)| name == callback).unwrap();
            let parameters = "i32 ".repeat(parameters);
            let (kind, value) =
                if returns { ("(result i32)", format!("(i32.const {result})")) } else { ("", String::new()) };
            writeln!(functions, "(func (export \"{callback}\") (param {parameters}) {kind} {code} {value})")
                .unwrap();
        }
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!(
            r#"(module {imports}
            (memory (export "memory") 2)
            (data (i32.const 0) "{data}")
            (global $top (mut i32) (i32.const 0x10000))
            (func (export "proxy_abi_version_0_2_1"))
            (func $malloc (export "malloc") (param $size i32) (result i32) (local $at i32)
              (local.set $at (global.get $top))
              (global.set $top (i32.add (local.get $at) (local.get $size)))
              (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
                (then (drop (memory.grow (i32.add (i32.const 1)
                  (i32.shr_u (local.get $size) (i32.const 16)))))))
              (local.get $at))
            (func $share (param $tag i32) (param $data i32) (param $size i32)
              (i32.store8 (i32.const {tag}) (local.get $tag))
              (drop (call $proxy_set_shared_data (i32.const {key}) (i32.const 5)
                (local.get $data) (local.get $size) (i32.const 0))))
            (func $report (param $status i32) (param $index i32)
              (i32.store (i32.const {REPORT}) (local.get $status))
              (i32.store (i32.const {key}) (local.get $index))
              (call $share (i32.const 115) (i32.const {REPORT}) (i32.const 4))
              (call $share (i32.const 119) (i32.const {OUT}) (i32.const 16))
              (call $share (i32.const 118) (i32.load (i32.const {OUT})) (i32.load (i32.const {length})))
              (memory.fill (i32.const {OUT}) (i32.const 0) (i32.const 16)))
            {functions} {extra})"#,
            key = REPORT + 4,
            tag = REPORT + 8,
            length = OUT + 4,
            extra = self.extra,
        )
    }

    fn wasm(&self) -> Vec<u8> {
        let wat = self.wat();
        wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
    }

    /// Starts the guest with the configuration `config` and the cluster `peer`.
    fn start(&self) -> (Vm, Arc<SharedState>) {
        let shared = SharedState::new(["peer"]);
        (self.start_with(&shared, limits()), shared)
    }

    fn start_with(&self, shared: &Arc<SharedState>, limits: Limits) -> Vm {
        let runtime = Runtime::load(&self.wasm(), None, limits).unwrap();
        Vm::start(&runtime, b"config", shared.clone()).unwrap()
    }

    /// What every hostcall did, in the order in which the callbacks were given; `None`: not made.
    fn seen(&self, shared: &SharedState) -> Vec<Option<Seen>> {
        (0..self.calls).map(|index| seen(shared, index)).collect()
    }
}

fn seen(shared: &SharedState, index: u32) -> Option<Seen> {
    let get = |tag: u8| {
        let mut key = index.to_le_bytes().to_vec();
        key.push(tag);
        shared.get(&key).map(|(value, _)| value.to_vec())
    };
    let words = get(b'w')?;
    Some(Seen {
        status: u32::from_le_bytes(get(b's')?.try_into().ok()?),
        value: get(b'v').unwrap_or_default(),
        words: std::array::from_fn(|n| u32::from_le_bytes(words[n * 4..][..4].try_into().unwrap())),
    })
}

/// `a=b;c=d` as the map of the ABI.
fn encoded(map: &str) -> Vec<u8> {
    let mut headers = Headers::default();
    for (name, value) in map.split(';').filter_map(|pair| pair.split_once('=')) {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    let mut bytes = vec![0; headers.encoded_len()];
    assert!(headers.encode(&mut bytes));
    bytes
}

/// Few instances, so that hundreds of engines fit in the address space.
fn limits() -> Limits {
    Limits { memory_bytes: 4 << 20, instances: 2, ..Limits::default() }
}

fn stream() -> StreamInfo {
    let properties = Properties::new([(&["door", "name"][..], &b"udp"[..])]);
    StreamInfo { source: SocketAddr::from(([192, 0, 2, 1], 5353)), properties }
}

const HEADERS: [(&str, &str); 5] =
    [(":method", "POST"), (":path", "/q"), (":scheme", "https"), (":authority", "host"), ("X-Twice", "1")];

fn request(vm: &mut Vm) -> Result<(ContextId, Outcome), Trap> {
    vm.request(&HEADERS, b"question", stream())
}

/// Every import with its parameters, as the SDK for Rust declares them.
const IMPORTS: &[(&str, &str)] = &[
    ("proxy_log", "i32 i32 i32"),
    ("proxy_get_log_level", "i32"),
    ("proxy_get_current_time_nanoseconds", "i32"),
    ("proxy_set_tick_period_milliseconds", "i32"),
    ("proxy_get_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("proxy_set_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("proxy_get_buffer_status", "i32 i32 i32"),
    ("proxy_get_header_map_size", "i32 i32"),
    ("proxy_get_header_map_pairs", "i32 i32 i32"),
    ("proxy_set_header_map_pairs", "i32 i32 i32"),
    ("proxy_get_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_remove_header_map_value", "i32 i32 i32"),
    ("proxy_replace_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_add_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_get_property", "i32 i32 i32 i32"),
    ("proxy_set_property", "i32 i32 i32 i32"),
    ("proxy_get_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_set_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_register_shared_queue", "i32 i32 i32"),
    ("proxy_resolve_shared_queue", "i32 i32 i32 i32 i32"),
    ("proxy_dequeue_shared_queue", "i32 i32 i32"),
    ("proxy_enqueue_shared_queue", "i32 i32 i32"),
    ("proxy_continue_stream", "i32"),
    ("proxy_close_stream", "i32"),
    ("proxy_send_local_response", "i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_http_call", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_grpc_call", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_grpc_stream", "i32 i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_grpc_send", "i32 i32 i32 i32"),
    ("proxy_grpc_cancel", "i32"),
    ("proxy_grpc_close", "i32"),
    ("proxy_get_status", "i32 i32 i32"),
    ("proxy_set_effective_context", "i32"),
    ("proxy_call_foreign_function", "i32 i32 i32 i32 i32 i32"),
    ("proxy_done", ""),
    ("proxy_define_metric", "i32 i32 i32 i32"),
    ("proxy_get_metric", "i32 i32"),
    ("proxy_record_metric", "i32 i64"),
    ("proxy_increment_metric", "i32 i64"),
];
