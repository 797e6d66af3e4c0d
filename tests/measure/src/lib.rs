//! A proxy-wasm plugin that runs single parts of `core` in wasm, so that the host's tests and benchmarks can
//! compare them with native code.
//!
//! A request's path says what to do with its body; the answer is text:
//!
//! ```text
//! /model    a .dvm artifact, kept         ─► its id
//! /logits   names, one a line             ─► the kept model's logits, as 8 hex digits of their bits each
//! /snapshot a snapshot, unsigned, kept    ─► its id
//! /names    names, one a line, kept       ─► how many
//! /listed?N the kept names, N times over  ─► how many of them are listed, in all
//! ```
//!
//! 200 if it was done, 400 with the reason if not.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use bytes::Bytes;
use dnsvet_core::model::Model;
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::Snapshot;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root::default()) });
}}

/// What one request left for the next.
#[derive(Default)]
struct Kept {
    model: Option<Model>,
    snapshot: Option<Snapshot>,
    names: Vec<Name>,
}

#[derive(Default)]
struct Root {
    kept: Rc<RefCell<Kept>>,
}

struct Stream {
    kept: Rc<RefCell<Kept>>,
    path: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { kept: Rc::clone(&self.kept), path: String::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        if end_of_stream {
            self.answer(Vec::new());
        }
        Action::Pause
    }

    fn on_http_request_body(&mut self, body_bytes: usize, _end_of_stream: bool) -> Action {
        let body = self.get_http_request_body(0, body_bytes).unwrap_or_default();
        self.answer(body);
        Action::Pause
    }
}

impl Stream {
    fn answer(&self, body: Vec<u8>) {
        let done = run(&mut self.kept.borrow_mut(), &self.path, body);
        let (status, text) = done.map_or_else(|why| (400, why), |text| (200, text));
        self.send_http_response(status, Vec::new(), Some(text.as_bytes()));
    }
}

fn run(kept: &mut Kept, path: &str, body: Vec<u8>) -> Result<String, String> {
    let (what, parameter) = path.split_once('?').unwrap_or((path, ""));
    match what {
        "/model" => {
            let model = Model::decode(&body).map_err(|error| error.to_string())?;
            Ok(kept.model.insert(model).id().to_owned())
        }
        "/logits" => {
            let model = kept.model.as_ref().ok_or("no model is kept")?;
            let text = text(&body)?;
            Ok(text.lines().map(|name| format!("{:08x}\n", model.logit(name).to_bits())).collect())
        }
        "/snapshot" => {
            let snapshot = Snapshot::open(Bytes::from(body), &[]).map_err(|error| error.to_string())?;
            Ok(kept.snapshot.insert(snapshot).id().to_owned())
        }
        "/names" => {
            let parsed =
                text(&body)?.lines().map(|line| Name::parse(line).map_err(|error| error.to_string()));
            kept.names = parsed.collect::<Result<_, _>>()?;
            Ok(kept.names.len().to_string())
        }
        "/listed" => {
            let rounds: usize = parameter.parse().map_err(|_| "no number of rounds")?;
            let snapshot = kept.snapshot.as_ref().ok_or("no snapshot is kept")?;
            let round = || kept.names.iter().filter(|name| snapshot.is_listed(black_box(name))).count();
            Ok((0..rounds).map(|_| round()).sum::<usize>().to_string())
        }
        other => Err(format!("nothing is done at {other}")),
    }
}

fn text(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|error| error.to_string())
}
