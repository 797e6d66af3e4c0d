//! One question's way through a worker: client check, plugin, cache, upstream, plugin again.
//!
//! ```text
//! ask ─► allow_from ─► request in the VM ─┬─ local ─────────────────────────► reply
//!                                         ├─ continue ─► cache, upstream ─► inspect in the VM ─► reply
//!                                         └─ failed ─► failure mode: forwarded unvetted, or SERVFAIL
//! ```
//!
//! What can be answered at once is answered at once ([`Progress::Ready`]): no task is started for it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use dnsvet_core::filter::{TELLING_DOOR, Told};
use dnsvet_core::message::{Malformed, Query, decode_query, rcode};
use dnsvet_core::policy::FailureMode;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::response::error_answer;

use crate::guest::{Asked, Decided, Ear, Guest, Inspected, Inspection, Ticket};
use crate::listener::Access;
use crate::metrics::WorkerMetrics;
use crate::upstream::message::{Transport, refuse};
use crate::upstream::{Forwarder, Lookup};
use crate::wasm::Properties;

const EDE_NOT_VETTED: (u16, &str) = (0, "the filter failed and its failure mode is deny");

/// Where a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// DNS over UDP.
    Udp,
    /// DNS over TCP.
    Tcp,
    /// DNS over HTTPS.
    Doh,
    /// DNS over plain HTTP for filters in front: forwarded without vetting, without events.
    Forward,
    /// The old middleware's protocol: verdicts instead of answers.
    Mlbridge,
}

impl Door {
    /// All doors, in the order of their metrics.
    pub const ALL: [Door; 5] = [Door::Udp, Door::Tcp, Door::Doh, Door::Forward, Door::Mlbridge];

    /// The name in events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Door::Udp => "udp",
            Door::Tcp => "tcp",
            Door::Doh => "doh",
            Door::Forward => "forward",
            Door::Mlbridge => TELLING_DOOR,
        }
    }

    fn transport(self) -> Transport {
        match self {
            Door::Udp => Transport::Udp,
            // Nobody gets the answer of the last: only its verdict.
            Door::Tcp | Door::Mlbridge => Transport::Stream,
            // What comes through the forwarding door goes on under TLS: the filter in front has it.
            Door::Doh | Door::Forward => Transport::Encrypted,
        }
    }
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A DNS message.
    Message(Vec<u8>),
    /// The question could not be decoded. Over DNS: the message, if there is one; over HTTP: 400.
    Malformed(Option<Vec<u8>>),
    /// Nothing: dropped by policy. HTTP resets the stream.
    Nothing,
}

/// How far a question got without waiting.
pub enum Progress {
    /// All the way.
    Ready(Reply),
    /// It waits: for an upstream, or for the plugin's callout.
    Later(Pin<Box<dyn Future<Output = Reply>>>),
}

impl Progress {
    async fn reply(self) -> Reply {
        match self {
            Progress::Ready(reply) => reply,
            Progress::Later(reply) => reply.await,
        }
    }
}

/// The plugin in a pipeline, and what happens where it fails.
pub struct Vetting {
    guest: Rc<Guest>,
    failure_mode: FailureMode,
    properties: [Properties; Door::ALL.len()],
}

impl Vetting {
    /// Vets by `guest`.
    pub fn new(guest: Rc<Guest>, failure_mode: FailureMode) -> Self {
        let properties =
            Door::ALL.map(|door| Properties::new([(&["dnsvet", "door"][..], door.name().as_bytes())]));
        Self { guest, failure_mode, properties }
    }
}

/// The pipeline of one worker.
pub struct Pipeline {
    access: Access,
    vetting: Option<Vetting>,
    forwarder: Rc<Forwarder>,
    metrics: Arc<WorkerMetrics>,
}

impl Pipeline {
    /// Puts a pipeline together; without `vetting` it only forwards.
    pub fn new(
        access: Access,
        vetting: Option<Vetting>,
        forwarder: Rc<Forwarder>,
        metrics: Arc<WorkerMetrics>,
    ) -> Self {
        Self { access, vetting, forwarder, metrics }
    }

    /// The worker's counters.
    pub fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    /// Takes a message of a client that says nothing of itself; `source` in canonical form.
    pub fn ask(self: &Rc<Self>, wire: &[u8], source: SocketAddr, door: Door) -> Progress {
        self.ask_as(wire, source, &Identity::default(), door)
    }

    /// Takes a message of a client that says who it is; `source` in canonical form.
    pub fn ask_as(
        self: &Rc<Self>,
        wire: &[u8],
        source: SocketAddr,
        identity: &Identity,
        door: Door,
    ) -> Progress {
        self.metrics.queries[door as usize].add(1);
        if !self.allows(source.ip()) {
            self.metrics.refused_clients.add(1);
            return Progress::Ready(
                error_answer(wire, rcode::REFUSED as u8).map_or(Reply::Nothing, Reply::Message),
            );
        }
        self.vetted(wire, source, identity, door, None)
    }

    /// The verdict on a message that somebody who may ask here has from a client of their own, at `source`. The
    /// upstream is asked too, for what its answer adds. `None`: the plugin could not decide.
    pub async fn vet(self: &Rc<Self>, wire: &[u8], source: SocketAddr, door: Door) -> Option<Told> {
        self.metrics.queries[door as usize].add(1);
        let ear = Ear::default();
        self.vetted(wire, source, &Identity::default(), door, Some(Rc::clone(&ear))).reply().await;
        ear.take()
    }

    fn vetted(
        self: &Rc<Self>,
        wire: &[u8],
        source: SocketAddr,
        identity: &Identity,
        door: Door,
        ear: Option<Ear>,
    ) -> Progress {
        let Some(vetting) = self.vetting.as_ref().filter(|_| door != Door::Forward) else {
            return self.forward(wire, door, None);
        };
        match vetting.guest.request(wire, source, identity, &vetting.properties[door as usize], ear) {
            Asked::Now(decided) => self.decided(decided, wire, door),
            Asked::Waits(waiting) => {
                let (this, wire) = (Rc::clone(self), wire.to_vec());
                Progress::Later(Box::pin(async move {
                    let decided = waiting.decided().await;
                    this.decided(decided, &wire, door).reply().await
                }))
            }
        }
    }

    fn decided(self: &Rc<Self>, decided: Decided, wire: &[u8], door: Door) -> Progress {
        match decided {
            Decided::Continue(ticket) => self.forward(wire, door, Some(ticket)),
            // The plugin turns the answer into one for the client's question.
            Decided::Rewritten(ticket, wire) => self.forward(&wire, door, Some(ticket)),
            Decided::Local(status, body) => Progress::Ready(local(status, body, wire)),
            Decided::Reset => Progress::Ready(Reply::Nothing),
            Decided::Failed => {
                self.metrics.plugin_failures.add(1);
                match self.failure_mode() {
                    FailureMode::Allow => self.forward(wire, door, None),
                    FailureMode::Deny => Progress::Ready(match decode_query(wire) {
                        Ok(query) => not_vetted(&query, door),
                        Err(malformed) => reply_to(&malformed),
                    }),
                }
            }
        }
    }

    fn forward(self: &Rc<Self>, wire: &[u8], door: Door, ticket: Option<Ticket>) -> Progress {
        let query = match decode_query(wire) {
            Ok(query) => query,
            Err(malformed) => return Progress::Ready(reply_to(&malformed)),
        };
        let transport = door.transport();
        match self.forwarder.lookup(&query, transport) {
            Lookup::Answer(answer) => self.inspect(query, answer, door, ticket),
            Lookup::Miss(miss) => {
                let this = Rc::clone(self);
                Progress::Later(Box::pin(async move {
                    let answer = this.forwarder.fetch(&query, miss, transport).await;
                    this.inspect(query, answer, door, ticket).reply().await
                }))
            }
        }
    }

    /// The plugin sees each answer, from the cache too: what it blocks is blocked from now on.
    fn inspect(
        self: &Rc<Self>,
        query: Query,
        answer: Vec<u8>,
        door: Door,
        ticket: Option<Ticket>,
    ) -> Progress {
        let Some(ticket) = ticket else { return Progress::Ready(Reply::Message(answer)) };
        match ticket.inspect(&answer) {
            Inspection::Now(inspected) => Progress::Ready(self.inspected(inspected, &query, answer, door)),
            Inspection::Waits(waiting) => {
                let this = Rc::clone(self);
                Progress::Later(Box::pin(async move {
                    this.inspected(waiting.inspected().await, &query, answer, door)
                }))
            }
        }
    }

    fn inspected(&self, inspected: Inspected, query: &Query, answer: Vec<u8>, door: Door) -> Reply {
        match inspected {
            // An answer that policy drops comes back empty.
            Inspected::Message(message) if message.is_empty() => Reply::Nothing,
            Inspected::Message(message) => Reply::Message(message),
            // The question was decoded: only an answer or a drop makes sense here.
            Inspected::Local(_, body) if body.is_empty() => Reply::Nothing,
            Inspected::Local(_, body) => Reply::Message(body),
            Inspected::Reset => Reply::Nothing,
            Inspected::Failed => {
                self.metrics.plugin_failures.add(1);
                match self.failure_mode() {
                    FailureMode::Allow => Reply::Message(answer),
                    FailureMode::Deny => not_vetted(query, door),
                }
            }
        }
    }

    /// Whether `ip`, in canonical form, may ask.
    pub fn allows(&self, ip: IpAddr) -> bool {
        self.access.allows(ip)
    }

    /// What happens where the plugin can't decide.
    pub fn failure_mode(&self) -> FailureMode {
        self.vetting.as_ref().map_or(FailureMode::Allow, |vetting| vetting.failure_mode)
    }
}

/// The plugin's own answer: 200 with a DNS message, 204 to drop, 400 if the message is none.
fn local(status: u16, body: Vec<u8>, wire: &[u8]) -> Reply {
    match status {
        400 => Reply::Malformed(decode_query(wire).err().and_then(|malformed| malformed.response())),
        _ if body.is_empty() => Reply::Nothing,
        _ => Reply::Message(body),
    }
}

fn not_vetted(query: &Query, door: Door) -> Reply {
    Reply::Message(refuse(query, rcode::SERVFAIL, Some(EDE_NOT_VETTED), door.transport()))
}

fn reply_to(malformed: &Malformed) -> Reply {
    match malformed {
        Malformed::Dropped | Malformed::FormErr { .. } => Reply::Malformed(malformed.response()),
        _ => malformed.response().map_or(Reply::Nothing, Reply::Message),
    }
}
