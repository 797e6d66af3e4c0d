//! The HTTP side of the control plane: feed and event sink for filters, API and dashboard for people.
//!
//! ```text
//! filters (bearer token)      people (session cookie or bearer token)
//!   GET  /v1/snapshot[/delta]   /api/v1/login queries vetting check overview events/stream ...
//!   POST /v1/events             /            the dashboard
//! anybody: /healthz, /metrics
//! ```
//!
//! Errors are `application/problem+json` (RFC 9457). Its surprise: a write that comes with a cookie must also
//! carry `x-dnsvet-csrf`, a field that no foreign page can send.

mod auth;
mod check;
mod csv;
mod feed;
mod health;
mod http;
mod lists;
mod models;
mod names;
mod problem;
mod queries;
mod relief;
pub(crate) mod render;
mod socket;
mod ui;
mod users;
mod vetting;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use dnsvet_core::snapshot::Deltas;
use tokio::sync::watch;

pub use check::{Check, Checker};
pub use problem::Problem;
pub use render::{headline, item};
pub use socket::{ControlSocket, SocketReply, ask_socket};

use crate::control::Control;

/// The most bytes of a request's body: a batch of 1,000 events with long traces takes about 2 MiB.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// What the handlers share.
#[derive(Clone)]
pub struct Api {
    control: Arc<Control>,
    checker: Option<Checker>,
    limiter: Arc<auth::Limiter>,
    checks: Arc<check::Turns>,
    queue: Arc<vetting::Queue>,
    deltas: Arc<Mutex<Deltas>>,
    ending: watch::Receiver<bool>,
}

impl Api {
    /// The API over `control`; `ending` turns true when streams should close.
    pub fn new(control: Arc<Control>, checker: Option<Checker>, ending: watch::Receiver<bool>) -> Self {
        Self {
            control,
            checker,
            limiter: Arc::default(),
            checks: Arc::default(),
            queue: Arc::default(),
            deltas: Arc::default(),
            ending,
        }
    }

    /// Serves on `listener` and on the control socket until `ending` turns true.
    pub async fn serve(self, listener: tokio::net::TcpListener, socket: ControlSocket) {
        let ending = self.ending.clone();
        let local = socket.serve(self.clone());
        let everybody = http::serve(listener, self.router(), http::Bounds::default(), ending);
        tokio::select! {
            () = local => {}
            () = everybody => {}
        }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/v1/snapshot", get(feed::snapshot))
            .route("/v1/snapshot/delta", get(feed::delta))
            .route("/v1/events", post(feed::events))
            .route("/api/v1/login", post(auth::login))
            .route("/api/v1/logout", post(auth::logout))
            .route("/api/v1/me", get(auth::me))
            .route("/api/v1/tokens", post(users::add_token))
            .route("/api/v1/queries", get(queries::list))
            .route("/api/v1/queries/{id}", get(queries::one))
            .route("/api/v1/name", get(names::name))
            .route("/api/v1/names", get(names::ranking))
            .route("/api/v1/rdap", post(names::rdap))
            .route("/api/v1/overview", get(queries::overview))
            .route("/api/v1/events/stream", get(queries::stream))
            .route("/api/v1/check", get(check::check))
            .route("/api/v1/unblocks", get(relief::list).post(relief::unblock))
            .route("/api/v1/pauses", get(relief::list).post(relief::pause))
            .route("/api/v1/vetting", get(vetting::list).post(vetting::decide))
            .route("/api/v1/vetting/clusters", post(vetting::clusters::decide))
            .route("/api/v1/vetting/confirm", post(vetting::second::confirm))
            .route("/api/v1/vetting/undo", post(vetting::second::undo))
            .route("/api/v1/vetting/rows", get(vetting::rows::rows))
            .route("/api/v1/unblock-requests", get(vetting::requests::list).post(vetting::requests::ask))
            .route("/api/v1/unblock-requests/decide", post(vetting::requests::decide))
            .route("/api/v1/lists", get(lists::list))
            .route("/api/v1/lists/update", post(lists::update))
            .route("/api/v1/lists/accept", post(lists::accept))
            .route("/api/v1/models", get(models::list))
            .route("/api/v1/models/registry", get(models::registry))
            .route("/api/v1/models/promote", post(models::promote))
            .route("/api/v1/models/rollback", post(models::roll_back))
            .route("/api/v1/models/challenge", post(models::challenge))
            .route("/api/v1/models/rebase", post(models::rebase))
            .route("/api/v1/audit", get(users::audit))
            .route("/api/v1/reload", post(users::reload))
            .route("/healthz", get(health::healthz))
            .route("/metrics", get(health::metrics))
            .fallback(ui::asset)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(middleware::from_fn(harden))
            .with_state(self)
    }
}

/// Fields that make a browser careful with whatever we answer.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let fields: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
