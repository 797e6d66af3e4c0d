//! A worker's plugin: one VM, its callouts, its clock, and a fresh VM when it traps.
//!
//! ```text
//! pipeline ─► request ─► VM ─► decided at once
//!                         └──► paused ─► callout ─► reply ─► VM ─► decided, the waiting question resumes
//! ```
//!
//! The surprise: a trap ends every question in the VM at once. Their tickets are of an older generation
//! then, and the pipeline decides them by the failure mode.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dnsvet_core::filter::Told;
use dnsvet_core::policy::identity::Identity;
use tokio::sync::oneshot;

use crate::callout::{Caller, CalloutReply};
use crate::metrics::WorkerMetrics;
use crate::wasm::{
    ContextId, Outcome, Properties, ResponseOutcome, Runtime, SharedState, StreamInfo, Trap, Vm, VmError,
};

/// The shortest time between two starts of a VM; doubles while starting fails.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// The longest time between two starts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often a guest that wants no ticks is looked after.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Callouts in flight at once; past it, further ones fail at once.
const MAX_CALLOUTS: usize = 1024;
/// How long a draining worker waits for the last events to be taken.
const FLUSH: Duration = Duration::from_secs(2);

/// What a worker needs to start VMs.
#[derive(Clone)]
pub struct GuestSettings {
    /// The compiled plugin.
    pub runtime: Arc<Runtime>,
    /// Its JSON configuration.
    pub config: Vec<u8>,
    /// What the VMs of all workers share.
    pub shared: Arc<SharedState>,
}

/// What the plugin did with a question or an answer.
#[derive(Debug)]
pub enum Decided {
    /// Goes on.
    Continue(Ticket),
    /// Goes on with this question in the place of the client's.
    Rewritten(Ticket, Vec<u8>),
    /// Answered by the plugin: HTTP status and body.
    Local(u16, Vec<u8>),
    /// No answer.
    Reset,
    /// The plugin could not decide: trapped, or not running.
    Failed,
}

/// What the plugin did, or will do.
pub enum Asked {
    /// It decided.
    Now(Decided),
    /// It waits for a callout.
    Waits(Waiting),
}

/// Where the final verdict on a question is put, once its ticket is dropped.
pub type Ear = Rc<Cell<Option<Told>>>;

/// A question inside the VM. Dropped, it is over.
#[derive(Debug)]
pub struct Ticket {
    guest: Rc<Guest>,
    context: ContextId,
    generation: u64,
    ear: Option<Ear>,
}

/// A question that waits inside the VM.
pub struct Waiting {
    ticket: Ticket,
    outcome: oneshot::Receiver<Outcome>,
}

impl Waiting {
    /// Waits for the plugin's decision.
    pub async fn decided(self) -> Decided {
        match self.outcome.await {
            Ok(outcome) => settle(outcome, self.ticket),
            // The VM trapped.
            Err(_) => Decided::Failed,
        }
    }
}

/// An answer after inspection.
#[derive(Debug)]
pub enum Inspected {
    /// The message to send.
    Message(Vec<u8>),
    /// The plugin's own answer: HTTP status and body.
    Local(u16, Vec<u8>),
    /// No answer.
    Reset,
    /// The plugin could not inspect it.
    Failed,
}

/// An answer under inspection.
pub enum Inspection {
    /// It is inspected.
    Now(Inspected),
    /// The plugin waits for a callout.
    Waits(Waiting),
}

/// The plugin of one worker.
pub struct Guest {
    settings: GuestSettings,
    caller: Caller,
    metrics: Arc<WorkerMetrics>,
    state: RefCell<State>,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

struct State {
    vm: Option<Vm>,
    /// Counts VMs: contexts and callouts of an earlier one are not of this one.
    generation: u64,
    waiting: HashMap<ContextId, oneshot::Sender<Outcome>>,
    callouts: usize,
    last_start: Instant,
    backoff: Duration,
}

impl State {
    fn wake(&mut self, resumed: Vec<(ContextId, Outcome)>) {
        for (context, outcome) in resumed {
            if let Some(waiting) = self.waiting.remove(&context) {
                // A client that is gone has dropped its end.
                let _ = waiting.send(outcome);
            }
        }
    }
}

impl Guest {
    /// Starts the first VM.
    ///
    /// # Errors
    /// The plugin refuses its configuration, or traps while it starts.
    pub fn start(
        settings: GuestSettings,
        caller: Caller,
        metrics: Arc<WorkerMetrics>,
    ) -> Result<Rc<Self>, VmError> {
        let vm = Vm::start(&settings.runtime, &settings.config, Arc::clone(&settings.shared))?;
        let state = State {
            vm: Some(vm),
            generation: 0,
            waiting: HashMap::new(),
            callouts: 0,
            last_start: Instant::now(),
            backoff: FIRST_BACKOFF,
        };
        let guest = Rc::new(Self { settings, caller, metrics, state: RefCell::new(state) });
        guest.dispatch(&mut guest.state.borrow_mut());
        Ok(guest)
    }

    /// Ticks for ever.
    pub async fn run(self: Rc<Self>) {
        loop {
            let period = self.state.borrow().vm.as_ref().map_or(Some(FIRST_BACKOFF), Vm::tick_period);
            tokio::time::sleep(period.unwrap_or(IDLE_TICK)).await;
            self.tick();
        }
    }

    /// Lets the plugin send what it holds, and waits until it was taken, or for two seconds.
    pub async fn flush(self: &Rc<Self>) {
        let flushed = async {
            // The first tick sends events; the second, what came between.
            for _ in 0..2 {
                self.tick();
                while self.state.borrow().callouts > 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let _ = tokio::time::timeout(FLUSH, flushed).await;
    }

    /// Shows the plugin a question. Its final verdict goes to `ear`, if it comes by a door of which the plugin tells.
    pub fn request(
        self: &Rc<Self>,
        message: &[u8],
        source: std::net::SocketAddr,
        identity: &Identity,
        properties: &Properties,
        ear: Option<Ear>,
    ) -> Asked {
        let mut length = [0u8; 20];
        let path = identity.path_id.as_ref().map(|id| format!("{PATH}/{id}"));
        let token = identity.token.as_ref().map(|token| format!("Bearer {token}"));
        let common = request_headers(path.as_deref().unwrap_or(PATH), message.len(), &mut length);
        let with_token: Vec<(&str, &str)>;
        let headers: &[(&str, &str)] = match &token {
            None => &common,
            Some(token) => {
                with_token = common.into_iter().chain([("authorization", token.as_str())]).collect();
                &with_token
            }
        };
        let stream = StreamInfo { source, properties: with_names(properties, &identity.sans) };
        let mut state = self.state.borrow_mut();
        self.revive(&mut state);
        let Some(vm) = state.vm.as_mut() else { return Asked::Now(Decided::Failed) };
        match vm.request(headers, message, stream) {
            Err(trap) => {
                self.trapped(&mut state, &trap);
                Asked::Now(Decided::Failed)
            }
            Ok((context, outcome)) => {
                let ticket = Ticket { guest: Rc::clone(self), context, generation: state.generation, ear };
                let waits = matches!(outcome, Outcome::Paused).then(|| {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting.insert(context, sender);
                    receiver
                });
                let vm = state.vm.as_ref().filter(|_| matches!(outcome, Outcome::Continue));
                let body = vm.and_then(|vm| vm.request_body(context));
                let rewritten = body.filter(|body| *body != message).map(<[u8]>::to_vec);
                self.dispatch(&mut state);
                drop(state);
                match (waits, rewritten) {
                    (Some(outcome), _) => Asked::Waits(Waiting { ticket, outcome }),
                    (None, Some(wire)) => Asked::Now(Decided::Rewritten(ticket, wire)),
                    (None, None) => Asked::Now(settle(outcome, ticket)),
                }
            }
        }
    }

    fn tick(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        self.revive(&mut state);
        let Some(vm) = state.vm.as_mut() else { return };
        let resumed = vm.tick();
        self.metrics.plugin_memory_bytes.set(vm.memory_bytes() as u64);
        self.resume(&mut state, resumed);
    }

    fn callout_replied(self: &Rc<Self>, generation: u64, token: u32, (headers, body): CalloutReply) {
        let mut state = self.state.borrow_mut();
        state.callouts -= 1;
        if state.generation != generation {
            return;
        }
        let Some(vm) = state.vm.as_mut() else { return };
        let resumed = vm.callout_reply(token, &headers, body);
        self.resume(&mut state, resumed);
    }

    fn resume(self: &Rc<Self>, state: &mut State, resumed: Result<Vec<(ContextId, Outcome)>, Trap>) {
        match resumed {
            Err(trap) => self.trapped(state, &trap),
            Ok(resumed) => {
                state.wake(resumed);
                self.dispatch(state);
            }
        }
    }

    /// After a call into the VM: starts the callouts that it asked for, and wakes the questions that it
    /// decided beside the one it was called for.
    fn dispatch(self: &Rc<Self>, state: &mut State) {
        let Some(vm) = state.vm.as_mut() else { return };
        let (calls, resumed) = (vm.take_callouts(), vm.take_resumed());
        state.wake(resumed);
        for call in calls {
            let (guest, generation) = (Rc::clone(self), state.generation);
            let busy = state.callouts >= MAX_CALLOUTS;
            state.callouts += 1;
            tokio::task::spawn_local(async move {
                let token = call.token;
                let reply = if busy { Default::default() } else { guest.caller.call(call).await };
                guest.callout_replied(generation, token, reply);
            });
        }
    }

    fn trapped(self: &Rc<Self>, state: &mut State, trap: &Trap) {
        tracing::error!(%trap, "the plugin trapped; a fresh one takes over");
        self.metrics.plugin_traps.add(1);
        state.vm = None;
        state.generation += 1;
        // Their questions learn it by the closed channel.
        state.waiting.clear();
        self.revive(state);
    }

    /// Starts a fresh VM if there is none and the last start is long enough ago.
    fn revive(self: &Rc<Self>, state: &mut State) {
        if state.vm.is_some() || state.last_start.elapsed() < state.backoff {
            return;
        }
        state.last_start = Instant::now();
        match Vm::start(&self.settings.runtime, &self.settings.config, Arc::clone(&self.settings.shared)) {
            Ok(vm) => {
                state.vm = Some(vm);
                state.backoff = FIRST_BACKOFF;
                self.dispatch(state);
            }
            Err(error) => {
                state.backoff = (state.backoff * 2).min(LONGEST_BACKOFF);
                let retry_ms = state.backoff.as_millis() as u64;
                tracing::error!(%error, retry_ms, "the plugin does not start");
            }
        }
    }
}

impl Ticket {
    /// Shows the plugin the answer to the question.
    pub fn inspect(self, answer: &[u8]) -> Inspection {
        let guest = Rc::clone(&self.guest);
        let mut state = guest.state.borrow_mut();
        if state.generation != self.generation {
            return Inspection::Now(Inspected::Failed);
        }
        let Some(vm) = state.vm.as_mut() else { return Inspection::Now(Inspected::Failed) };
        match vm.response(self.context, &RESPONSE_HEADERS, answer) {
            Err(trap) => {
                guest.trapped(&mut state, &trap);
                Inspection::Now(Inspected::Failed)
            }
            Ok(outcome) => {
                let waits = matches!(outcome, ResponseOutcome::Paused).then(|| {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting.insert(self.context, sender);
                    receiver
                });
                guest.dispatch(&mut state);
                drop(state);
                match (outcome, waits) {
                    (_, Some(outcome)) => Inspection::Waits(Waiting { ticket: self, outcome }),
                    (ResponseOutcome::Continue { body, .. }, _) => Inspection::Now(Inspected::Message(body)),
                    (ResponseOutcome::Local { status, body, .. }, _) => {
                        Inspection::Now(Inspected::Local(status, body))
                    }
                    _ => Inspection::Now(Inspected::Reset),
                }
            }
        }
    }
}

impl Waiting {
    /// Waits for the plugin's word on an answer.
    pub async fn inspected(self) -> Inspected {
        match self.outcome.await {
            Ok(Outcome::Response { body, .. }) => Inspected::Message(body),
            Ok(Outcome::Local { status, body, .. }) => Inspected::Local(status, body),
            Ok(Outcome::Reset) => Inspected::Reset,
            Ok(Outcome::Continue | Outcome::Paused) | Err(_) => Inspected::Failed,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Borrowed only while the VM runs, and a VM drops no tickets.
        let Ok(mut state) = self.guest.state.try_borrow_mut() else { return };
        if state.generation != self.generation {
            return;
        }
        state.waiting.remove(&self.context);
        let Some(vm) = state.vm.as_mut() else { return };
        match vm.done(self.context) {
            Err(trap) => {
                let guest = Rc::clone(&self.guest);
                guest.trapped(&mut state, &trap);
            }
            Ok(own) => {
                if let Some(ear) = &self.ear {
                    ear.set(own.get(&VERDICT).and_then(Told::parse));
                }
                self.guest.dispatch(&mut state);
            }
        }
    }
}

fn settle(outcome: Outcome, ticket: Ticket) -> Decided {
    match outcome {
        Outcome::Continue => Decided::Continue(ticket),
        Outcome::Local { status, body, .. } => Decided::Local(status, body),
        Outcome::Response { .. } | Outcome::Reset => Decided::Reset,
        Outcome::Paused => Decided::Failed,
    }
}

/// The path under which the plugin takes questions.
const PATH: &str = "/dns-query";

/// Where the plugin puts the final verdict.
const VERDICT: [&str; 2] = ["dnsvet", "verdict"];

/// Where the plugin finds the first DNS name and the first URI of the client's certificate, as Envoy tells them.
const SANS: [(&[&str], bool); 2] = [
    (&["connection", "dns_san_peer_certificate"], false),
    (&["connection", "uri_san_peer_certificate"], true),
];

/// Properties with the names in a client's certificate.
fn with_names(properties: &Properties, sans: &[String]) -> Properties {
    if sans.is_empty() {
        return properties.clone();
    }
    // A URI has a colon, and a DNS name has none.
    let first = |is_uri: bool| sans.iter().find(|name| name.contains(':') == is_uri);
    properties.and(SANS.into_iter().filter_map(|(path, is_uri)| Some((path, first(is_uri)?.as_bytes()))))
}

/// Every question is one and the same HTTP request to the plugin, whatever door it came in by.
fn request_headers<'a>(
    path: &'a str,
    body_bytes: usize,
    buffer: &'a mut [u8; 20],
) -> [(&'static str, &'a str); 6] {
    [
        (":method", "POST"),
        (":path", path),
        (":scheme", "https"),
        (":authority", "dnsvet"),
        ("content-type", "application/dns-message"),
        ("content-length", decimal(body_bytes, buffer)),
    ]
}

const RESPONSE_HEADERS: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/dns-message")];

/// A number in decimal, without an allocation.
fn decimal(mut number: usize, buffer: &mut [u8; 20]) -> &str {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or("0")
}

#[cfg(test)]
mod tests;
