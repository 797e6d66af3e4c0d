//! What goes wrong between the host, the module and its guest calls.

/// Why a module was refused. The file is to blame unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not a WebAssembly module, or one that uses features the engine does not have.
    #[error("the plugin does not compile: {0}")]
    Compile(String),
    /// No `proxy_abi_version_0_2_*` export.
    #[error(
        "the plugin speaks {found}, this host speaks proxy-wasm ABI 0.2.1 and 0.2.0: rebuild the plugin \
         with an SDK for 0.2.x"
    )]
    Abi {
        /// The version marker found, or `no proxy-wasm ABI`.
        found: String,
    },
    /// The module imports something that no proxy-wasm 0.2.1 host has.
    #[error("the plugin imports what this host does not have: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// A known import or export has another signature.
    #[error("a function of the plugin has the wrong signature: {0}")]
    Signature(String),
    /// An export that every guest needs is missing.
    #[error("the plugin does not export {0}")]
    MissingExport(&'static str),
    /// The engine itself could not be made (address space, unsupported processor): the host is to blame.
    #[error("the wasm engine does not start: {0}")]
    Engine(String),
}

/// Why a VM did not start.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// No instance could be made: all are in use, or the module needs more memory than the limit.
    #[error("the plugin cannot be instantiated: {0}")]
    Instantiate(String),
    /// `proxy_on_vm_start` or `proxy_on_configure` answered false: the configuration is to blame; the
    /// plugin's log says why.
    #[error("the plugin refused its configuration in {0}; see its log lines")]
    Refused(&'static str),
    /// The guest trapped while starting.
    #[error(transparent)]
    Trap(#[from] Trap),
}

/// A guest call that did not return. The VM it ran in is dead from then on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plugin trapped in {call}: {what}{}{backtrace}", if .backtrace.is_empty() { "" } else { "; at " })]
pub struct Trap {
    /// The guest function that was called; `-` where the VM was dead before.
    pub call: &'static str,
    /// Why: the engine's words, or the host's where the host stopped it.
    pub what: String,
    /// The innermost wasm frames, `name+0xoffset`, innermost first; empty where there is none.
    pub backtrace: String,
    /// Whether the guest ran past its time limit.
    pub timed_out: bool,
}

impl Trap {
    /// The call was not made: an earlier trap killed the VM.
    pub(super) fn dead() -> Self {
        Self {
            call: "-",
            what: "an earlier trap killed this VM, replace it".to_owned(),
            backtrace: String::new(),
            timed_out: false,
        }
    }

    pub(super) fn new(call: &'static str, error: &wasmtime::Error) -> Self {
        let cause = error.downcast_ref::<wasmtime::Trap>();
        let what = match cause {
            Some(wasmtime::Trap::Interrupt) => "interrupted, it ran past its time limit".to_owned(),
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        let frames = error.downcast_ref::<wasmtime::WasmBacktrace>().map_or(&[][..], |trace| trace.frames());
        let frames: Vec<String> = frames.iter().take(8).map(frame).collect();
        Self {
            call,
            what,
            backtrace: frames.join(" < "),
            timed_out: matches!(cause, Some(wasmtime::Trap::Interrupt)),
        }
    }
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    let offset = frame.func_offset().unwrap_or_default();
    match frame.func_name() {
        Some(name) => format!("{name}+0x{offset:x}"),
        None => format!("func[{}]+0x{offset:x}", frame.func_index()),
    }
}
