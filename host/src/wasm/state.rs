//! What a VM's hostcalls work on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Memory, StoreLimits, TypedFunc, UpdateDeadline};

use super::context::{Context, ContextId, Contexts, Decision, Outcome, Phase, ROOT};
use super::headers::Headers;
use super::metrics::Handle;
use super::shared::SharedState;

/// An HTTP request of the guest to a cluster. Its reply goes to [`super::Vm::callout_reply`], exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingCall {
    /// Names the call in the reply.
    pub token: u32,
    /// One of the clusters of the [`SharedState`].
    pub cluster: String,
    /// Header fields, `:method`, `:path` and `:authority` among them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Given up after this many milliseconds; 0: the cluster's own limit.
    pub timeout_ms: u32,
}

/// The reply that `proxy_on_http_call_response` reads.
#[derive(Debug, Default)]
pub(super) struct CallReply {
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// The data of a VM's store.
pub(super) struct State {
    pub(super) shared: Arc<SharedState>,
    pub(super) vm: u64,
    pub(super) limits: StoreLimits,
    pub(super) watch: Watch,
    pub(super) memory: Option<Memory>,
    pub(super) malloc: Option<TypedFunc<u32, u32>>,
    /// Inside the guest's allocator, where hostcalls are refused.
    pub(super) allocating: bool,
    pub(super) config: Vec<u8>,
    /// Whether the guest may read the plugin's configuration now.
    pub(super) config_visible: bool,
    pub(super) contexts: Contexts,
    /// The context that the running guest call belongs to; 0 outside of calls.
    pub(super) current: u32,
    /// The context that the guest chose instead; 0 for none.
    pub(super) effective: u32,
    /// Paused streams about which the guest decided something.
    pub(super) touched: Vec<u32>,
    pub(super) tick_ms: u32,
    pub(super) callouts: Vec<OutgoingCall>,
    /// Callouts in flight, with the context that made each.
    pub(super) pending: HashMap<u32, u32>,
    pub(super) last_token: u32,
    pub(super) reply: Option<CallReply>,
    /// What `proxy_get_status` tells.
    pub(super) status: (u32, &'static str),
    pub(super) metrics: Vec<(super::abi::MetricType, Handle)>,
    /// The root context said that it is done.
    pub(super) done: bool,
    /// The root context was asked to finish and is not done.
    pub(super) finishing: bool,
    pub(super) dead: bool,
}

impl State {
    pub(super) fn new(shared: Arc<SharedState>, limits: StoreLimits, config: &[u8]) -> Self {
        Self {
            vm: shared.next_vm(),
            shared,
            limits,
            watch: Watch::default(),
            memory: None,
            malloc: None,
            allocating: false,
            config: config.to_vec(),
            config_visible: false,
            contexts: Contexts::default(),
            current: 0,
            effective: 0,
            touched: Vec::new(),
            tick_ms: 0,
            callouts: Vec::new(),
            pending: HashMap::new(),
            last_token: 0,
            reply: None,
            status: (0, ""),
            metrics: Vec::new(),
            done: false,
            finishing: false,
            dead: false,
        }
    }

    /// The id of the context that hostcalls work on. One that the guest chose and that is over since gives
    /// way to the running one.
    pub(super) fn context_id(&self) -> u32 {
        match self.effective {
            0 => self.current,
            id if self.knows(id) => id,
            _ => self.current,
        }
    }

    /// Whether a context of this id exists.
    pub(super) fn knows(&self, id: u32) -> bool {
        id == ROOT || self.contexts.get(id).is_some()
    }

    /// The stream that hostcalls work on; `None` in the root context.
    pub(super) fn stream(&self) -> Option<&Context> {
        self.contexts.get(self.context_id())
    }

    /// The stream that hostcalls work on; `None` in the root context.
    pub(super) fn stream_mut(&mut self) -> Option<&mut Context> {
        self.contexts.get_mut(self.context_id())
    }

    /// Notes a decision about the stream that hostcalls work on. The first one that ends it stays: `false`
    /// if this one came too late.
    pub(super) fn decide(&mut self, decision: Decision) -> bool {
        let id = self.context_id();
        let Some(context) = self.contexts.get_mut(id) else { return false };
        if !matches!(context.phase, Phase::Request | Phase::Response)
            || matches!(context.decision, Some(Decision::Local { .. } | Decision::Reset))
        {
            return false;
        }
        context.decision = Some(decision);
        if context.paused {
            self.touched.push(id);
        }
        true
    }

    /// What became of paused streams that the guest decided about since the last time.
    pub(super) fn take_resumed(&mut self) -> Vec<(ContextId, Outcome)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().filter_map(|id| self.resume(id)).collect()
    }

    fn resume(&mut self, id: u32) -> Option<(ContextId, Outcome)> {
        let name = self.contexts.id(id)?;
        let context = self.contexts.get_mut(id)?;
        if !context.paused {
            return None;
        }
        let outcome = match context.decision.take()? {
            Decision::Continue if context.phase == Phase::Request => {
                context.phase = Phase::Upstream;
                context.request.hide();
                Outcome::Continue
            }
            Decision::Continue => {
                let (headers, body) = context.finish_response();
                Outcome::Response { headers, body }
            }
            Decision::Local { status, headers, body } => {
                context.phase = Phase::Ended;
                Outcome::Local { status, headers, body }
            }
            Decision::Reset => {
                context.phase = Phase::Ended;
                Outcome::Reset
            }
        };
        context.paused = false;
        Some((name, outcome))
    }
}

impl Context {
    /// Ends the stream with its response, which is given away.
    pub(super) fn finish_response(&mut self) -> (Vec<(String, String)>, Vec<u8>) {
        self.phase = Phase::Ended;
        self.response.hide();
        (self.response.headers.to_strings(), std::mem::take(&mut self.response.body))
    }
}

/// Stops a guest call that ran too long. Epochs count wall time, and on a loaded machine the thread may
/// have been kept waiting; so the second half of the limit is counted in processor time of the thread.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Half of the running call's limit.
    pub(super) half: Duration,
    /// The same in epochs.
    pub(super) half_ticks: u64,
    /// Processor time when the first half was over.
    since: Option<Duration>,
    extensions: u32,
}

/// However little processor time a call gets, it is stopped after this many halves of wall time.
const MAX_EXTENSIONS: u32 = 20;

impl Watch {
    /// A guest call starts.
    pub(super) fn start(&mut self, half: Duration, half_ticks: u64) {
        *self = Self { half, half_ticks, since: None, extensions: 0 };
    }

    /// The epoch deadline passed: go on or stop.
    pub(super) fn expired(&mut self) -> UpdateDeadline {
        let now = thread_time();
        let since = *self.since.get_or_insert(now);
        self.extensions += 1;
        if now.saturating_sub(since) >= self.half || self.extensions > MAX_EXTENSIONS {
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Continue(self.half_ticks)
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
