//! The root context: configuration, tick, replies of the control plane. One for each VM.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dnsvet_core::filter::{Filter, Outcome, Ticket};
use dnsvet_core::host::{CalloutId, Level, Reply};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::runtime::{self, Runtime};
use crate::stream::Stream;

/// Shared data key under which instances are numbered; the guest has no random source.
const INSTANCES: &str = "dnsvet.instances";
/// Milliseconds between ticks until the first snapshot is in force.
const FIRST_TICKS_MS: u64 = 20;

/// The filter with its way to the runtime; shared by all streams of the VM.
pub struct Instance {
    /// Decides.
    pub filter: Filter,
    /// Reaches out.
    pub runtime: Runtime,
}

/// Empty until the plugin is configured.
pub type Shared = Rc<RefCell<Option<Instance>>>;

/// The root context.
#[derive(Default)]
pub struct Root {
    shared: Shared,
    waiting_for_snapshot: bool,
}

/// Hands a callout's reply to the filter.
pub fn deliver(shared: &Shared, token: u32, reply: &Reply) -> Vec<(Ticket, Outcome)> {
    match shared.borrow_mut().as_mut() {
        Some(Instance { filter, runtime }) => filter.on_reply(runtime, CalloutId(token), reply),
        None => Vec::new(),
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _trailers: usize) {
        let reply = runtime::reply(headers, body_bytes);
        // The root's own callouts are the feed and the event sink: no question waits for them.
        deliver(&self.shared, token, &reply);
        self.settle_tick();
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _bytes: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        match Filter::new(&config, new_source(&config)) {
            Ok(filter) => {
                let runtime = Runtime::new(filter.config());
                self.waiting_for_snapshot = true;
                self.set_tick_period(Duration::from_millis(FIRST_TICKS_MS));
                *self.shared.borrow_mut() = Some(Instance { filter, runtime });
                self.settle_tick();
                true
            }
            Err(error) => {
                runtime::log(Level::Error, &error.to_string());
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(Instance { filter, runtime }) = self.shared.borrow_mut().as_mut() {
            filter.tick(runtime);
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, Rc::clone(&self.shared))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Root {
    /// Ticks at the configured pace once there is a snapshot, or none to wait for.
    fn settle_tick(&mut self) {
        if !self.waiting_for_snapshot {
            return;
        }
        let shared = self.shared.borrow();
        let Some(Instance { filter, .. }) = shared.as_ref() else { return };
        if filter.snapshot().is_none() && !filter.config().control_cluster.is_empty() {
            return;
        }
        let period = Duration::from_millis(u64::from(filter.config().tick_ms.max(10)));
        drop(shared);
        self.waiting_for_snapshot = false;
        self.set_tick_period(period);
    }
}

/// Names this life of this instance: node, number of the instance, start time.
fn new_source(config: &[u8]) -> String {
    let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    let node = config.get("node").and_then(|node| node.as_str()).unwrap_or("plugin");
    format!("{node}/{}/{}", next_instance(), runtime::now_us())
}

/// Numbers the instances of a runtime by compare-and-swap in shared data; 0 where a runtime has none.
fn next_instance() -> u64 {
    for _ in 0..64 {
        let Ok((bytes, cas)) = hostcalls::get_shared_data(INSTANCES) else { return 0 };
        let last = bytes.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let next = last.wrapping_add(1);
        if hostcalls::set_shared_data(INSTANCES, Some(&next.to_le_bytes()), cas).is_ok() {
            return next;
        }
    }
    0
}
