//! Parts of core in wasm: the plugin of `tests/measure`, run by our proxy-wasm host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dnsvet::wasm::{Limits, Outcome, Properties, Runtime, SharedState, StreamInfo, Vm};

/// A built plugin's file; `None`, said aloud, where it is not built.
pub fn built(file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let path = root.join(target).join("plugin").join(file);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: no {}, `cargo xtask build` makes it", path.display());
    None
}

/// A running VM of it.
pub struct Measure {
    vm: Vm,
}

impl Measure {
    /// Starts it; `None` where it is not built.
    pub fn start() -> Option<Self> {
        let wasm = std::fs::read(built("measure.wasm")?).expect("the plugin can be read");
        // What runs in one call here takes longer than a filter may.
        let limits = Limits { call_ms: 600_000, instances: 1, ..Limits::default() };
        let runtime = Runtime::load(&wasm, None, limits).expect("the plugin loads");
        let vm = Vm::start(&runtime, b"", SharedState::new(["control"])).expect("the plugin starts");
        Some(Self { vm })
    }

    /// Has something done with `body`; see `tests/measure`.
    ///
    /// # Panics
    /// If the plugin refuses; its reason is in the message.
    pub fn ask(&mut self, path: &str, body: &[u8]) -> String {
        let headers = [(":method", "POST"), (":path", path), (":scheme", "https"), (":authority", "measure")];
        let source = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = StreamInfo { source, properties: Properties::default() };
        let (id, outcome) = self.vm.request(&headers, body, stream).expect("no trap");
        let Outcome::Local { status, body, .. } = outcome else { panic!("{path}: {outcome:?}") };
        self.vm.done(id).expect("no trap");
        let text = String::from_utf8(body).expect("the plugin answers with text");
        assert_eq!(status, 200, "{path}: {text}");
        text
    }
}
