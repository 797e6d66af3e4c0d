//! One HTTP stream as the guest sees it, and what the caller learns of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::headers::Headers;

/// The root context; stream contexts come after it.
pub(super) const ROOT: u32 = 1;
const FIRST_STREAM: u32 = 2;

/// Names a request inside one [`super::Vm`]. An id that is over never names another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId {
    pub(super) id: u32,
    generation: u32,
}

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// The client; the guest reads it as `source.address` (with port) and `source.port`.
    pub source: SocketAddr,
    /// Further properties, by path.
    pub properties: Properties,
}

/// Properties that the guest reads by path. Cloning one is cheap: make it once for each listener.
#[derive(Debug, Clone, Default)]
pub struct Properties(Arc<Vec<(Vec<u8>, Vec<u8>)>>);

impl Properties {
    /// Properties by path: `[(&["listener", "name"], b"udp")]`.
    pub fn new<'a>(all: impl IntoIterator<Item = (&'a [&'a str], &'a [u8])>) -> Self {
        Self(Arc::new(
            all.into_iter().map(|(path, value)| (path.join("\0").into(), value.to_vec())).collect(),
        ))
    }

    /// These and further ones.
    pub fn and<'a>(&self, more: impl IntoIterator<Item = (&'a [&'a str], &'a [u8])>) -> Self {
        let more = more.into_iter().map(|(path, value)| (path.join("\0").into(), value.to_vec()));
        Self(Arc::new(self.0.iter().cloned().chain(more).collect()))
    }

    fn get(&self, path: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == path).map(|(_, value)| value.as_slice())
    }
}

impl From<Vec<(Vec<String>, Vec<u8>)>> for Properties {
    fn from(all: Vec<(Vec<String>, Vec<u8>)>) -> Self {
        Self(Arc::new(all.into_iter().map(|(path, value)| (path.join("\0").into(), value)).collect()))
    }
}

/// Properties that a guest set on a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnProperties(Vec<(Vec<u8>, Vec<u8>)>);

impl OwnProperties {
    /// The value under a path: `["dnsvet", "verdict"]`.
    pub fn get(&self, path: &[&str]) -> Option<&[u8]> {
        let path = path.join("\0");
        self.find(path.as_bytes())
    }

    fn find(&self, path: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == path).map(|(_, value)| value.as_slice())
    }

    fn set(&mut self, path: &[u8], value: &[u8]) {
        match self.0.iter_mut().find(|(key, _)| key == path) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.0.push((path.to_vec(), value.to_vec())),
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The guest lets the request through: ask upstream, then call [`super::Vm::response`].
    Continue,
    /// The guest waits for a callout; a later reply or tick says how it goes on.
    Paused,
    /// The guest answers by itself; upstream is not asked.
    Local {
        /// HTTP status, 100 to 999.
        status: u16,
        /// Header fields besides the status.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// A response that was paused goes on to the client.
    Response {
        /// Header fields, `:status` among them.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// The guest closed the stream: nothing is answered.
    Reset,
}

/// What became of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseOutcome {
    /// The response goes on to the client, as the guest left it.
    Continue {
        /// Header fields, `:status` among them.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// The guest puts an answer of its own in its place.
    Local {
        /// HTTP status, 100 to 999.
        status: u16,
        /// Header fields besides the status.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// The guest waits for a callout; a later reply or tick brings an [`Outcome`].
    Paused,
    /// The guest closed the stream: nothing is answered.
    Reset,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the request callbacks, or paused in them.
    Request,
    /// With upstream.
    Upstream,
    /// In the response callbacks, or paused in them.
    Response,
    /// Answered or reset.
    Ended,
}

/// What a guest decided about a stream, not yet told to the caller.
#[derive(Debug)]
pub(super) enum Decision {
    Continue,
    Local { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    Reset,
}

/// One stream. Its buffers keep their capacity when the slot is used again.
#[derive(Debug)]
pub(super) struct Context {
    generation: u32,
    live: bool,
    /// Callouts that were made in this context and are not answered: until then its id is not used again,
    /// since a guest may know its callouts by the context that made them.
    pub(super) calls: u32,
    pub(super) phase: Phase,
    /// The caller was told [`Outcome::Paused`].
    pub(super) paused: bool,
    pub(super) decision: Option<Decision>,
    pub(super) request: Message,
    pub(super) response: Message,
    pub(super) source: SocketAddr,
    properties: Properties,
    own_properties: OwnProperties,
}

/// Headers and body of one direction, and whether the guest may see them now.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    pub(super) headers_visible: bool,
    pub(super) body_visible: bool,
}

impl Message {
    fn clear(&mut self) {
        self.headers.clear();
        self.body.clear();
        self.hide();
    }

    /// The guest let it go on: as in Envoy, it is out of reach from then on.
    pub(super) fn hide(&mut self) {
        self.headers_visible = false;
        self.body_visible = false;
    }
}

impl Context {
    fn new() -> Self {
        Self {
            generation: 0,
            live: false,
            calls: 0,
            phase: Phase::Ended,
            paused: false,
            decision: None,
            request: Message::default(),
            response: Message::default(),
            source: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            properties: Properties::default(),
            own_properties: OwnProperties::default(),
        }
    }

    /// Headers and body of the direction that the stream is in.
    pub(super) fn message(&mut self) -> &mut Message {
        if self.phase == Phase::Response { &mut self.response } else { &mut self.request }
    }

    /// A property that the caller gave or the guest set; `path` is joined by NUL.
    pub(super) fn property(&self, path: &[u8]) -> Option<&[u8]> {
        self.own_properties.find(path).or_else(|| self.properties.get(path))
    }

    /// Sets a property of this stream.
    pub(super) fn set_property(&mut self, path: &[u8], value: &[u8]) {
        self.own_properties.set(path, value);
    }
}

/// All streams of a VM, by id.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    slots: Vec<Context>,
    free: Vec<u32>,
}

impl Contexts {
    /// Opens a stream in its request phase.
    pub(super) fn open(&mut self, stream: StreamInfo) -> ContextId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Context::new());
            (self.slots.len() - 1) as u32
        });
        let context = &mut self.slots[index as usize];
        context.live = true;
        context.phase = Phase::Request;
        context.paused = false;
        context.decision = None;
        context.request.clear();
        context.response.clear();
        context.own_properties = OwnProperties::default();
        context.source = stream.source;
        context.properties = stream.properties;
        ContextId { id: index + FIRST_STREAM, generation: context.generation }
    }

    /// Ends a stream. Its id is free for another once its callouts are answered. Returns what the guest set.
    pub(super) fn close(&mut self, id: u32) -> OwnProperties {
        let Some(context) = self.get_mut(id) else { return OwnProperties::default() };
        let own = std::mem::take(&mut context.own_properties);
        context.live = false;
        context.generation = context.generation.wrapping_add(1);
        if context.calls == 0 {
            self.free.push(id - FIRST_STREAM);
        }
        own
    }

    /// A callout of this context started; the root context needs no account.
    pub(super) fn call_started(&mut self, id: u32) {
        if let Some(context) = self.get_mut(id) {
            context.calls += 1;
        }
    }

    /// A callout of this context was answered.
    pub(super) fn call_ended(&mut self, id: u32) {
        let Some(context) = slot(id).and_then(|index| self.slots.get_mut(index)) else { return };
        context.calls = context.calls.saturating_sub(1);
        if context.calls == 0 && !context.live {
            self.free.push(id - FIRST_STREAM);
        }
    }

    pub(super) fn get(&self, id: u32) -> Option<&Context> {
        self.slots.get(slot(id)?).filter(|context| context.live)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Context> {
        self.slots.get_mut(slot(id)?).filter(|context| context.live)
    }

    /// Whether the id names a stream that is not over.
    pub(super) fn is_live(&self, id: ContextId) -> bool {
        self.get(id.id).is_some_and(|context| context.generation == id.generation)
    }

    pub(super) fn id(&self, id: u32) -> Option<ContextId> {
        self.get(id).map(|context| ContextId { id, generation: context.generation })
    }

    pub(super) fn live(&self) -> impl Iterator<Item = ContextId> {
        (FIRST_STREAM..).take(self.slots.len()).filter_map(|id| self.id(id))
    }
}

fn slot(id: u32) -> Option<usize> {
    id.checked_sub(FIRST_STREAM).map(|index| index as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamInfo {
        StreamInfo { source: SocketAddr::from(([192, 0, 2, 1], 53)), properties: Properties::default() }
    }

    #[test]
    fn an_id_that_is_over_never_names_another_stream() {
        let mut contexts = Contexts::default();
        let first = contexts.open(stream());
        contexts.close(first.id);
        let second = contexts.open(stream());
        assert_eq!(first.id, second.id);
        assert!(!contexts.is_live(first));
        assert!(contexts.is_live(second));
    }

    #[test]
    fn an_id_with_a_callout_in_flight_is_not_used_again() {
        let mut contexts = Contexts::default();
        let first = contexts.open(stream());
        contexts.call_started(first.id);
        contexts.close(first.id);
        assert_ne!(contexts.open(stream()).id, first.id);
        contexts.call_ended(first.id);
        assert_eq!(contexts.open(stream()).id, first.id);
    }

    #[test]
    fn own_properties_go_before_the_callers_and_end_with_the_stream() {
        let mut contexts = Contexts::default();
        let properties = Properties::new([(&["a", "b"][..], &b"1"[..])]);
        let id = contexts.open(StreamInfo { properties, ..stream() });
        let context = contexts.get_mut(id.id).unwrap();
        assert_eq!(context.property(b"a\0b"), Some(&b"1"[..]));
        context.set_property(b"a\0b", b"2");
        context.set_property(b"a\0b", b"3");
        assert_eq!(context.property(b"a\0b"), Some(&b"3"[..]));
        assert_eq!(contexts.close(id.id).get(&["a", "b"]), Some(&b"3"[..]));
        let id = contexts.open(stream());
        assert_eq!(contexts.get(id.id).unwrap().property(b"a\0b"), None);
    }
}
