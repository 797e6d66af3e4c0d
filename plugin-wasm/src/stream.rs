//! One HTTP stream: one DNS question.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use dnsvet_core::doh::{self, Form, Head, MAX_MESSAGE_BYTES, MEDIA_TYPE, Refusal};
use dnsvet_core::filter::{Answered, Asked, Outcome, Ticket};
use dnsvet_core::policy::identity::{Identity, bearer};
use dnsvet_core::schema::PluginConfig;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::root::{Instance, Shared, deliver};
use crate::runtime;

/// Where a stream stands. A reply is sent once, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The question is still coming.
    Reading,
    /// Waits for the scorer.
    Waiting,
    /// Passed on: the answer will be inspected.
    Passed,
    /// Answered here; nothing more to do.
    Replied,
}

/// The stream's context.
pub struct Stream {
    id: u32,
    shared: Shared,
    stage: Stage,
    hold_headers: bool,
    /// Who asks. Read with the headers: once they are passed on, they are out of reach.
    client: IpAddr,
    /// Who the client says that it is; read with the headers too.
    identity: Identity,
    /// The answer is a DNS message, so its body is inspected.
    inspects: bool,
    /// Bytes of the question's body; `None` where it is in the path.
    body_bytes: Option<usize>,
}

impl Stream {
    /// A stream under its context id.
    pub fn new(id: u32, shared: Shared) -> Self {
        let hold_headers =
            shared.borrow().as_ref().is_none_or(|instance| instance.filter.config().hold_headers);
        let client = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let identity = Identity::default();
        Self {
            id,
            shared,
            stage: Stage::Reading,
            hold_headers,
            client,
            identity,
            inspects: false,
            body_bytes: None,
        }
    }

    fn ask(&mut self, wire: &[u8]) -> Action {
        let door = property(&["dnsvet", "door"]);
        let own_runtime = door.is_some();
        let outcome = match self.shared.borrow_mut().as_mut() {
            Some(Instance { filter, runtime }) => {
                let door = door.unwrap_or_else(|| filter.config().door.clone());
                let (client, identity) = (self.client, &self.identity);
                filter.ask(runtime, Ticket(self.id), Asked { wire, client, identity, door: &door })
            }
            None => Outcome::Bad(None),
        };
        match outcome {
            Outcome::Wait => {
                self.stage = Stage::Waiting;
                Action::Pause
            }
            Outcome::Pass => {
                self.stage = Stage::Passed;
                Action::Continue
            }
            Outcome::PassAs(wire) => {
                self.stage = Stage::Passed;
                self.replace(&wire);
                Action::Continue
            }
            outcome => {
                self.stage = Stage::Replied;
                send(outcome, own_runtime);
                Action::Pause
            }
        }
    }

    /// Puts another question in the place of the client's.
    fn replace(&mut self, wire: &[u8]) {
        match self.body_bytes {
            Some(body_bytes) => {
                // Held back with the body, so that the length can still be told.
                if self.hold_headers {
                    self.set_http_request_header("content-length", Some(&wire.len().to_string()));
                }
                self.set_http_request_body(0, body_bytes, wire);
            }
            None => {
                let path = match self.shared.borrow().as_ref() {
                    Some(instance) => doh::get_path(&instance.filter.config().path, wire),
                    None => return,
                };
                self.set_http_request_header(":path", Some(&path));
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Action {
        self.stage = Stage::Replied;
        send_text(refusal.status(), &refusal.to_string());
        Action::Pause
    }

    fn end(&self) {
        let (others, told) = match self.shared.borrow_mut().as_mut() {
            Some(Instance { filter, runtime }) => {
                let ticket = Ticket(self.id);
                (filter.end(runtime, ticket), filter.take_told(ticket))
            }
            None => (Vec::new(), None),
        };
        // Our own resolver reads it; others have no such door.
        if let Some(told) = told.filter(|_| property(&["dnsvet", "door"]).is_some()) {
            let _ = hostcalls::set_property(vec!["dnsvet", "verdict"], Some(told.to_text().as_bytes()));
        }
        self.finish_others(others);
    }

    /// Acts on outcomes of streams other than this one.
    fn finish_others(&self, outcomes: Vec<(Ticket, Outcome)>) {
        if outcomes.is_empty() {
            return;
        }
        for (Ticket(id), outcome) in outcomes {
            if hostcalls::set_effective_context(id).is_ok() {
                let own_runtime = property(&["dnsvet", "door"]).is_some();
                finish(outcome, own_runtime);
            }
        }
        // Back to the stream whose callback this is.
        let _ = hostcalls::set_effective_context(self.id);
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _trailers: usize) {
        let reply = runtime::reply(headers, body_bytes);
        let (mine, others): (Vec<_>, Vec<_>) =
            deliver(&self.shared, token, &reply).into_iter().partition(|(ticket, _)| ticket.0 == self.id);
        for (_, outcome) in mine {
            let passed = matches!(outcome, Outcome::Pass | Outcome::PassAs(_));
            self.stage = if passed { Stage::Passed } else { Stage::Replied };
            finish(outcome, property(&["dnsvet", "door"]).is_some());
        }
        self.finish_others(others);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        let method = header(MapType::HttpRequestHeaders, ":method").unwrap_or_default();
        let path = header(MapType::HttpRequestHeaders, ":path").unwrap_or_default();
        let kind = header(MapType::HttpRequestHeaders, "content-type");
        let shared = Rc::clone(&self.shared);
        let shared = shared.borrow();
        let Some(Instance { filter, .. }) = shared.as_ref() else { return self.refuse(Refusal::NotFound) };
        let head = doh::read_head(&method, &path, kind.as_deref(), &filter.config().path);
        self.client = client_address(filter.config());
        if filter.asks_for_certificates() {
            self.identity.sans = certificate_names();
        }
        if filter.asks_for_secrets() {
            let value = header(MapType::HttpRequestHeaders, "authorization");
            self.identity.token = value.and_then(|value| bearer(&value));
        }
        // What it says of itself is between the client and this filter.
        if self.identity.token.is_some() {
            self.set_http_request_header("authorization", None);
        }
        let form = head.map(|Head { form, path_id }| {
            if path_id.is_some() && form == Form::Post {
                self.set_http_request_header(":path", Some(&filter.config().path));
            }
            self.identity.path_id = path_id;
            form
        });
        drop(shared);
        match form {
            Ok(Form::Get { wire, path }) => {
                if let Some(path) = path {
                    self.set_http_request_header(":path", Some(&path));
                }
                self.ask(&wire)
            }
            Ok(Form::Post) if end_of_stream => self.ask(&[]),
            Ok(Form::Post) if self.hold_headers => Action::Pause,
            Ok(Form::Post) => {
                // Another question may take the body's place, and these headers are gone then.
                self.set_http_request_header("content-length", None);
                Action::Continue
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn on_http_request_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        if self.stage != Stage::Reading {
            return if self.stage == Stage::Passed { Action::Continue } else { Action::Pause };
        }
        if body_bytes > MAX_MESSAGE_BYTES {
            return self.refuse(Refusal::TooLong);
        }
        if !end_of_stream {
            return Action::Pause;
        }
        let wire = self.get_http_request_body(0, body_bytes).unwrap_or_default();
        self.body_bytes = Some(body_bytes);
        self.ask(&wire)
    }

    /// Trailers end a body as its last part does. Passed on unseen they would let what is held go.
    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        match self.stage {
            Stage::Reading => {
                let wire = self.get_http_request_body(0, MAX_MESSAGE_BYTES + 1).unwrap_or_default();
                self.on_http_request_body(wire.len(), true)
            }
            Stage::Passed => Action::Continue,
            Stage::Waiting | Stage::Replied => Action::Pause,
        }
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        if !self.is_inspected() || end_of_stream {
            return Action::Continue;
        }
        let kind = header(MapType::HttpResponseHeaders, "content-type");
        let status = header(MapType::HttpResponseHeaders, ":status");
        if status.as_deref() != Some("200") || !doh::is_message(kind.as_deref()) {
            return Action::Continue;
        }
        self.inspects = true;
        // The body may change its length; over HTTP/1.1 the proxy frames it anew.
        self.set_http_response_header("content-length", None);
        if self.hold_headers { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        if !self.inspects {
            return Action::Continue;
        }
        if !end_of_stream {
            return Action::Pause;
        }
        let wire = self.get_http_response_body(0, body_bytes).unwrap_or_default();
        let outcome = match self.shared.borrow_mut().as_mut() {
            Some(Instance { filter, runtime }) => filter.answered(runtime, Ticket(self.id), &wire),
            None => None,
        };
        match outcome {
            Some(Outcome::Answer(answered)) => {
                if self.hold_headers {
                    self.set_http_response_header("cache-control", Some(&cache_control(&answered)));
                }
                self.set_http_response_body(0, body_bytes, &answered.wire);
            }
            Some(Outcome::Drop(refusal)) => {
                self.set_http_response_body(0, body_bytes, &refusal.unwrap_or_default());
            }
            _ => {}
        }
        Action::Continue
    }

    /// As with a request's.
    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        if self.inspects {
            let wire = self.get_http_response_body(0, MAX_MESSAGE_BYTES + 1).unwrap_or_default();
            self.on_http_response_body(wire.len(), true);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        self.end();
    }
}

impl Stream {
    /// Whether the answer to this stream is to be looked at: it was passed on, by itself or by another stream's
    /// callout.
    fn is_inspected(&mut self) -> bool {
        if self.stage == Stage::Waiting {
            let shared = self.shared.borrow();
            let passed = shared.as_ref().is_some_and(|instance| instance.filter.is_passed(Ticket(self.id)));
            drop(shared);
            self.stage = if passed { Stage::Passed } else { Stage::Replied };
        }
        self.stage == Stage::Passed
    }
}

/// Carries out an outcome on a stream that was paused.
fn finish(outcome: Outcome, own_runtime: bool) {
    match outcome {
        Outcome::Wait => {}
        // A stream that is gone can't be resumed; its end records it.
        // (What the scorer settles is passed on as it is, or not at all.)
        Outcome::Pass | Outcome::PassAs(_) => drop(hostcalls::resume_http_request()),
        outcome => send(outcome, own_runtime),
    }
}

/// Sends a local reply.
fn send(outcome: Outcome, own_runtime: bool) {
    match outcome {
        Outcome::Answer(answered) => send_message(&answered),
        // Our own resolver reads 204 as "say nothing".
        Outcome::Drop(_) if own_runtime => send_text(204, ""),
        Outcome::Drop(Some(wire)) => send_message(&Answered { wire, max_age_s: 0 }),
        Outcome::Drop(None) | Outcome::Bad(_) => send_text(400, "not a DNS question"),
        Outcome::Pass | Outcome::PassAs(_) | Outcome::Wait => {}
    }
}

fn send_message(answered: &Answered) {
    let cache_control = cache_control(answered);
    let headers = vec![("content-type", MEDIA_TYPE), ("cache-control", cache_control.as_str())];
    // The stream may be gone; then nobody waits for the answer.
    let _ = hostcalls::send_http_response(200, headers, Some(&answered.wire));
}

fn send_text(status: u16, text: &str) {
    let headers = vec![("content-type", "text/plain")];
    let body = (!text.is_empty()).then_some(text.as_bytes());
    // As above.
    let _ = hostcalls::send_http_response(u32::from(status), headers, body);
}

fn cache_control(answered: &Answered) -> String {
    format!("private, max-age={}", answered.max_age_s)
}

/// A header field as text; bytes that are no UTF-8 are replaced. (The SDK's text getters panic on them.)
fn header(map: MapType, name: &str) -> Option<String> {
    let value = hostcalls::get_map_value_bytes(map, name).ok().flatten()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The names in the client's certificate that the proxy tells of.
fn certificate_names() -> Vec<String> {
    let kinds = ["dns_san_peer_certificate", "uri_san_peer_certificate"];
    let names = kinds.iter().filter_map(|kind| property(&["connection", kind]));
    names.filter(|name| !name.is_empty()).collect()
}

fn property(path: &[&str]) -> Option<String> {
    let bytes = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    String::from_utf8(bytes).ok()
}

/// The client: the peer's address, or where proxies in front are trusted, what the outermost of them saw.
fn client_address(config: &PluginConfig) -> IpAddr {
    if config.trusted_hops > 0 {
        let chain = header(MapType::HttpRequestHeaders, "x-forwarded-for");
        let hop = usize::from(config.trusted_hops) - 1;
        let client = chain.as_deref().and_then(|chain| chain.rsplit(',').nth(hop)).map(str::trim);
        if let Some(address) = client.and_then(|text| text.parse::<IpAddr>().ok()) {
            return address.to_canonical();
        }
    }
    let peer = property(&["source", "address"]).unwrap_or_default();
    let address = peer.parse::<SocketAddr>().map(|peer| peer.ip()).or_else(|_| peer.parse());
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical())
}
