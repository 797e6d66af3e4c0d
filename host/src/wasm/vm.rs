//! One instance of a plugin, for one thread.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Instance, Store, StoreLimitsBuilder, TypedFunc, WasmParams, WasmResults};

use super::abi::BROKEN_CONNECTION;
use super::context::{
    Context, ContextId, Decision, Outcome, OwnProperties, Phase, ROOT, ResponseOutcome, StreamInfo,
};
use super::error::{Trap, VmError};
use super::headers::Headers;
use super::runtime::{HalfLimit, Runtime};
use super::shared::SharedState;
use super::state::{CallReply, OutgoingCall, State};

/// A running instance. After a [`Trap`] it is dead: every call answers with an error, the requests that
/// [`Vm::in_flight`] lists have to be answered by the caller, and a fresh VM takes its place.
pub struct Vm {
    store: Store<State>,
    exports: Exports,
    runtime: Arc<Runtime>,
    call: HalfLimit,
    background: HalfLimit,
}

/// How a request or response came through the guest.
enum Passed {
    On,
    Paused,
    Decided(Outcome),
}

/// Stream, header fields or body bytes, whether it is the end; the action.
type Callback = TypedFunc<(u32, u32, u32), u32>;

/// Root context, token, header fields, body bytes, trailers.
type CallResponse = TypedFunc<(u32, u32, u32, u32, u32), ()>;

/// Header fields in their order.
type Fields = Vec<(String, String)>;

/// The guest's functions; a guest leaves out what it does not need.
struct Exports {
    context_create: Option<TypedFunc<(u32, u32), ()>>,
    vm_start: Option<TypedFunc<(u32, u32), u32>>,
    configure: Option<TypedFunc<(u32, u32), u32>>,
    tick: Option<TypedFunc<u32, ()>>,
    queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    request_headers: Option<Callback>,
    request_body: Option<Callback>,
    response_headers: Option<Callback>,
    response_body: Option<Callback>,
    http_call_response: Option<CallResponse>,
    done: Option<TypedFunc<u32, u32>>,
    log: Option<TypedFunc<u32, ()>>,
    delete: Option<TypedFunc<u32, ()>>,
}

/// A guest function with its name, for the trap's report.
macro_rules! guest {
    ($vm:ident.$field:ident) => {
        $vm.exports.$field.clone().map(|function| (concat!("proxy_on_", stringify!($field)), function))
    };
}

impl Vm {
    /// Starts an instance and configures it.
    pub fn start(runtime: &Arc<Runtime>, config: &[u8], shared: Arc<SharedState>) -> Result<Self, VmError> {
        let limits = runtime.limits();
        let call = runtime.half(limits.call_ms);
        let background = runtime.half(limits.background_ms);
        let memory_limits = StoreLimitsBuilder::new().memory_size(limits.memory_bytes).build();
        let mut store = Store::new(runtime.engine(), State::new(shared, memory_limits, config));
        store.limiter(|state| &mut state.limits);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().watch.expired()));
        store.set_epoch_deadline(background.ticks);
        store.data_mut().watch.start(background.time, background.ticks);
        let instance = runtime.pre().instantiate(&mut store).map_err(|error| {
            if error.is::<wasmtime::Trap>() {
                VmError::Trap(Trap::new("the start function", &error))
            } else {
                VmError::Instantiate(format!("{error:#}"))
            }
        })?;
        let exports = Exports::find(&mut store, &instance);
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let malloc = find(&mut store, &instance, "proxy_on_memory_allocate");
        store.data_mut().malloc = malloc.or_else(|| find(&mut store, &instance, "malloc"));
        let mut vm = Self { store, exports, runtime: runtime.clone(), call, background };
        vm.initialize(&instance)?;
        vm.configure()?;
        Ok(vm)
    }

    fn initialize(&mut self, instance: &Instance) -> Result<(), Trap> {
        for name in ["_initialize", "_start"] {
            if let Some(function) = find::<(), ()>(&mut self.store, instance, name) {
                return self.invoke(name, &function, 0, self.background, ());
            }
        }
        Ok(())
    }

    fn configure(&mut self) -> Result<(), VmError> {
        let config_bytes = number(self.store.data().config.len());
        if let Some((name, function)) = guest!(self.context_create) {
            self.invoke(name, &function, ROOT, self.background, (ROOT, 0))?;
        }
        if let Some((name, function)) = guest!(self.vm_start)
            && self.invoke(name, &function, ROOT, self.background, (ROOT, 0))? == 0
        {
            return Err(VmError::Refused(name));
        }
        if let Some((name, function)) = guest!(self.configure) {
            self.store.data_mut().config_visible = true;
            let accepted = self.invoke(name, &function, ROOT, self.background, (ROOT, config_bytes))?;
            self.store.data_mut().config_visible = false;
            if accepted == 0 {
                return Err(VmError::Refused(name));
            }
        }
        Ok(())
    }

    /// Runs a request through the guest. Headers hold `:method`, `:path`, `:authority`, `:scheme` first.
    /// However it ends, [`Vm::done`] has to follow once the request is answered.
    ///
    /// A guest may decide here about other requests that are paused; [`Vm::take_resumed`] tells.
    pub fn request<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        headers: &[(N, V)],
        body: &[u8],
        stream: StreamInfo,
    ) -> Result<(ContextId, Outcome), Trap> {
        self.check()?;
        let name = self.store.data_mut().contexts.open(stream);
        let id = name.id;
        if let Some(context) = self.store.data_mut().contexts.get_mut(id) {
            for (name, value) in headers {
                context.request.headers.push(name.as_ref().as_bytes(), value.as_ref().as_bytes());
            }
            context.request.body.extend_from_slice(body);
            context.request.headers_visible = true;
        }
        if let Some((name, function)) = guest!(self.context_create) {
            self.invoke(name, &function, id, self.call, (id, ROOT))?;
        }
        let callbacks = [guest!(self.request_headers), guest!(self.request_body)];
        let outcome = match self.pass(id, callbacks, headers.len(), body.len())? {
            Passed::On => {
                if let Some(context) = self.store.data_mut().contexts.get_mut(id) {
                    context.phase = Phase::Upstream;
                    context.request.hide();
                }
                Outcome::Continue
            }
            Passed::Paused => Outcome::Paused,
            Passed::Decided(outcome) => outcome,
        };
        Ok((name, outcome))
    }

    /// Runs a response through the guest, after [`Outcome::Continue`]. A request that is over, or not at
    /// this point, passes its response unchanged.
    pub fn response<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: ContextId,
        headers: &[(N, V)],
        body: &[u8],
    ) -> Result<ResponseOutcome, Trap> {
        self.check()?;
        let id = name.id;
        let state = self.store.data_mut();
        let live = state.contexts.is_live(name);
        let context = state.contexts.get_mut(id).filter(|context| live && context.phase == Phase::Upstream);
        let Some(context) = context else {
            let headers =
                headers.iter().map(|(n, v)| (n.as_ref().to_owned(), v.as_ref().to_owned())).collect();
            return Ok(ResponseOutcome::Continue { headers, body: body.to_vec() });
        };
        context.phase = Phase::Response;
        for (name, value) in headers {
            context.response.headers.push(name.as_ref().as_bytes(), value.as_ref().as_bytes());
        }
        context.response.body.extend_from_slice(body);
        context.response.headers_visible = true;
        let callbacks = [guest!(self.response_headers), guest!(self.response_body)];
        Ok(match self.pass(id, callbacks, headers.len(), body.len())? {
            Passed::On => {
                let context = self.store.data_mut().contexts.get_mut(id);
                let (headers, body) = context.map(Context::finish_response).unwrap_or_default();
                ResponseOutcome::Continue { headers, body }
            }
            Passed::Paused => ResponseOutcome::Paused,
            Passed::Decided(Outcome::Local { status, headers, body }) => {
                ResponseOutcome::Local { status, headers, body }
            }
            Passed::Decided(_) => ResponseOutcome::Reset,
        })
    }

    /// Runs the headers and the body, if there is one, of the direction that a stream is in through their
    /// callbacks. A pause on headers waits for the body, whose callback decides.
    fn pass(
        &mut self,
        id: u32,
        [headers, body]: [Option<(&'static str, Callback)>; 2],
        fields: usize,
        body_bytes: usize,
    ) -> Result<Passed, Trap> {
        let (fields, bytes) = (number(fields), number(body_bytes));
        let mut pause = false;
        if let Some((name, function)) = headers {
            pause = self.invoke(name, &function, id, self.call, (id, fields, u32::from(bytes == 0)))? != 0;
        }
        if let Some(outcome) = self.settle(id, &mut pause) {
            return Ok(Passed::Decided(outcome));
        }
        if bytes > 0 {
            if let Some(context) = self.store.data_mut().contexts.get_mut(id) {
                let message = context.message();
                // Headers that the guest let go on are out of reach, as in Envoy.
                message.headers_visible = pause;
                message.body_visible = true;
            }
            pause = false;
            if let Some((name, function)) = body {
                pause = self.invoke(name, &function, id, self.call, (id, bytes, 1))? != 0;
            }
            if let Some(outcome) = self.settle(id, &mut pause) {
                return Ok(Passed::Decided(outcome));
            }
        }
        if let Some(context) = self.store.data_mut().contexts.get_mut(id) {
            context.paused = pause;
        }
        Ok(if pause { Passed::Paused } else { Passed::On })
    }

    /// Takes what the guest decided in a callback; `None`: its return value counts.
    fn settle(&mut self, id: u32, pause: &mut bool) -> Option<Outcome> {
        let context = self.store.data_mut().contexts.get_mut(id)?;
        let outcome = match context.decision.take()? {
            Decision::Continue => {
                *pause = false;
                return None;
            }
            Decision::Local { status, headers, body } => Outcome::Local { status, headers, body },
            Decision::Reset => Outcome::Reset,
        };
        context.phase = Phase::Ended;
        Some(outcome)
    }

    /// The request as the guest left it, after [`Outcome::Continue`]: header fields and body.
    pub fn request_parts(&self, name: ContextId) -> Option<(Fields, &[u8])> {
        let contexts = &self.store.data().contexts;
        let context = contexts.get(name.id).filter(|_| contexts.is_live(name))?;
        Some((context.request.headers.to_strings(), &context.request.body))
    }

    /// The request's body as the guest left it, after [`Outcome::Continue`].
    pub fn request_body(&self, name: ContextId) -> Option<&[u8]> {
        let contexts = &self.store.data().contexts;
        contexts
            .get(name.id)
            .filter(|_| contexts.is_live(name))
            .map(|context| context.request.body.as_slice())
    }

    /// Ends a request, in whatever state it is: the guest logs and forgets it. The id is over. Returns the properties
    /// that the guest set on the way.
    pub fn done(&mut self, name: ContextId) -> Result<OwnProperties, Trap> {
        self.check()?;
        let state = self.store.data_mut();
        if !state.contexts.is_live(name) {
            return Ok(OwnProperties::default());
        }
        let id = name.id;
        if let Some(context) = state.contexts.get_mut(id) {
            context.phase = Phase::Ended;
            context.paused = false;
            context.request.headers_visible = true;
            context.response.headers_visible = context.response.headers.len() > 0;
        }
        // Envoy gives a stream no time after `proxy_on_done`, whatever it answers.
        if let Some((name, function)) = guest!(self.done) {
            self.invoke(name, &function, id, self.call, id)?;
        }
        if let Some((name, function)) = guest!(self.log) {
            self.invoke(name, &function, id, self.call, id)?;
        }
        if let Some((name, function)) = guest!(self.delete) {
            self.invoke(name, &function, id, self.call, id)?;
        }
        Ok(self.store.data_mut().contexts.close(id))
    }

    /// Callouts that the guest asked for since the last time. Each has to be answered, exactly once, by
    /// [`Vm::callout_reply`].
    pub fn take_callouts(&mut self) -> Vec<OutgoingCall> {
        std::mem::take(&mut self.store.data_mut().callouts)
    }

    /// Hands a callout's reply to the guest, and tells which paused requests go on. Empty headers say that
    /// nothing came (timeout, reset). An unknown token is ignored.
    pub fn callout_reply<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        token: u32,
        headers: &[(N, V)],
        body: impl Into<Vec<u8>>,
    ) -> Result<Vec<(ContextId, Outcome)>, Trap> {
        self.check()?;
        let state = self.store.data_mut();
        let Some(context) = state.pending.remove(&token) else { return Ok(Vec::new()) };
        state.contexts.call_ended(context);
        let mut reply = CallReply { headers: Headers::default(), body: body.into() };
        for (name, value) in headers {
            reply.headers.push(name.as_ref().as_bytes(), value.as_ref().as_bytes());
        }
        let (fields, size) = (number(headers.len()), number(reply.body.len()));
        if fields == 0 {
            state.status = (BROKEN_CONNECTION, "reset");
        } else {
            state.reply = Some(reply);
        }
        let limit = if context == ROOT { self.background } else { self.call };
        if let Some((name, function)) = guest!(self.http_call_response) {
            let size = if fields == 0 { 0 } else { size };
            self.invoke(name, &function, ROOT, limit, (ROOT, token, fields, size, 0))?;
        }
        let state = self.store.data_mut();
        state.reply = None;
        state.status = (0, "");
        Ok(state.take_resumed())
    }

    /// Tells the guest that its timer fired, and which paused requests go on.
    pub fn tick(&mut self) -> Result<Vec<(ContextId, Outcome)>, Trap> {
        self.check()?;
        if let Some((name, function)) = guest!(self.tick) {
            self.invoke(name, &function, ROOT, self.background, ROOT)?;
        }
        Ok(self.store.data_mut().take_resumed())
    }

    /// How often the guest wants [`Vm::tick`]; `None`: never.
    pub fn tick_period(&self) -> Option<Duration> {
        let period_ms = self.store.data().tick_ms;
        (period_ms > 0).then(|| Duration::from_millis(period_ms.into()))
    }

    /// Tells the guest of new entries in queues that it registered, and which paused requests go on.
    pub fn queues_ready(&mut self) -> Result<Vec<(ContextId, Outcome)>, Trap> {
        self.check()?;
        let state = self.store.data();
        for queue in state.shared.ready_queues(state.vm) {
            if let Some((name, function)) = guest!(self.queue_ready) {
                self.invoke(name, &function, ROOT, self.background, (ROOT, queue))?;
            }
        }
        Ok(self.store.data_mut().take_resumed())
    }

    /// Paused requests that the guest decided about while it ran for another one.
    pub fn take_resumed(&mut self) -> Vec<(ContextId, Outcome)> {
        self.store.data_mut().take_resumed()
    }

    /// Asks the plugin to finish. `false`: it still wants replies or ticks; [`Vm::is_finished`] tells when
    /// it is done.
    pub fn finish(&mut self) -> Result<bool, Trap> {
        self.check()?;
        self.store.data_mut().finishing = true;
        if let Some((name, function)) = guest!(self.done) {
            let finished = self.invoke(name, &function, ROOT, self.background, ROOT)? != 0;
            self.store.data_mut().done |= finished;
        } else {
            self.store.data_mut().done = true;
        }
        Ok(self.store.data().done)
    }

    /// Whether a plugin that was asked to finish is done.
    pub fn is_finished(&self) -> bool {
        self.store.data().done
    }

    /// Whether a guest call trapped.
    pub fn is_dead(&self) -> bool {
        self.store.data().dead
    }

    /// Requests that are not done. Of a dead VM, the caller has to answer them.
    pub fn in_flight(&self) -> Vec<ContextId> {
        self.store.data().contexts.live().collect()
    }

    /// Tokens of callouts that are not answered.
    pub fn pending_callouts(&self) -> Vec<u32> {
        self.store.data().pending.keys().copied().collect()
    }

    /// The guest's memory now, bytes. It never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// The plugin that this VM runs.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn check(&self) -> Result<(), Trap> {
        if self.is_dead() { Err(Trap::dead()) } else { Ok(()) }
    }

    /// Calls a guest function on behalf of a context.
    fn invoke<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &'static str,
        function: &TypedFunc<P, R>,
        context: u32,
        limit: HalfLimit,
        parameters: P,
    ) -> Result<R, Trap> {
        self.store.set_epoch_deadline(limit.ticks);
        let state = self.store.data_mut();
        state.watch.start(limit.time, limit.ticks);
        state.current = context;
        state.effective = 0;
        let result = function.call(&mut self.store, parameters);
        let state = self.store.data_mut();
        state.current = 0;
        result.map_err(|error| {
            let trap = Trap::new(name, &error);
            state.dead = true;
            state.shared.count_trap(trap.timed_out);
            trap
        })
    }
}

impl Exports {
    fn find(store: &mut Store<State>, instance: &Instance) -> Self {
        Self {
            context_create: find(store, instance, "proxy_on_context_create"),
            vm_start: find(store, instance, "proxy_on_vm_start"),
            configure: find(store, instance, "proxy_on_configure"),
            tick: find(store, instance, "proxy_on_tick"),
            queue_ready: find(store, instance, "proxy_on_queue_ready"),
            request_headers: find(store, instance, "proxy_on_request_headers"),
            request_body: find(store, instance, "proxy_on_request_body"),
            response_headers: find(store, instance, "proxy_on_response_headers"),
            response_body: find(store, instance, "proxy_on_response_body"),
            http_call_response: find(store, instance, "proxy_on_http_call_response"),
            done: find(store, instance, "proxy_on_done"),
            log: find(store, instance, "proxy_on_log"),
            delete: find(store, instance, "proxy_on_delete"),
        }
    }
}

/// A length for the guest. Larger ones than it could address are cut to the largest.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A guest function; its signature was checked when the module was loaded.
fn find<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    instance: &Instance,
    name: &str,
) -> Option<TypedFunc<P, R>> {
    instance.get_typed_func(store, name).ok()
}
