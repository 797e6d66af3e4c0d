//! The HTTP side: routes, limits and how errors look.
//!
//! Every error is `{"error": "..."}` with the status that says who is to blame: 400 and 413 and 404 the
//! caller, 429 the load (with `Retry-After`), 504 the caller's own deadline, 500 us.

mod infer;
mod score;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::lane::Failure;
use crate::metrics::Outcome;
use crate::service::{ScoreError, Service};

/// The largest body of a request that is not a stream, bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;
/// How much of a body past the limit is read and dropped, so that the caller gets to read the 413.
const LINGER_BYTES: usize = 32 << 20;

/// What the handlers share.
pub struct App {
    /// The models.
    pub service: Service,
    /// Requests that may be in work at once; past it 429.
    pub in_flight: Arc<Semaphore>,
    /// Set when the server drains: no longer ready.
    pub draining: AtomicBool,
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let scoring = Router::new()
        .route("/v1/score", post(score::score))
        .route("/v2/models/{model}/infer", post(infer::infer))
        .layer(from_fn_with_state(Arc::clone(&app), admit));
    Router::new()
        .route("/healthz", get(live))
        .route("/metrics", get(metrics))
        .route("/v1/score/stream", post(stream::stream))
        .route("/v2", get(infer::server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(infer::model))
        .route("/v2/models/{model}/ready", get(infer::model_ready))
        .merge(scoring)
        .with_state(app)
}

/// Why a request has no scores.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("body of more than {MAX_BODY_BYTES} bytes; send less or use /v1/score/stream")]
    TooLarge,
    #[error("too many requests in work; try again later")]
    Busy,
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl ApiError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::BadRequest(_) => Outcome::BadRequest,
            Self::TooLarge => Outcome::TooLarge,
            Self::Busy | Self::Score(ScoreError::Overload) => Outcome::Overload,
            Self::Score(ScoreError::UnknownModel { .. }) => Outcome::UnknownModel,
            Self::Score(ScoreError::Failure(Failure::Deadline)) => Outcome::Deadline,
            Self::Score(ScoreError::Failure(Failure::Backend(_))) => Outcome::Failed,
        }
    }

    /// Counts it and turns it into a response.
    fn respond(self, app: &App) -> Response {
        let outcome = self.outcome();
        app.service.metrics().request(outcome);
        let status = match outcome {
            Outcome::Ok => StatusCode::OK,
            Outcome::BadRequest => StatusCode::BAD_REQUEST,
            Outcome::UnknownModel => StatusCode::NOT_FOUND,
            Outcome::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Outcome::Overload => StatusCode::TOO_MANY_REQUESTS,
            Outcome::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Outcome::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = Json(serde_json::json!({ "error": self.to_string() }));
        let mut response = (status, body).into_response();
        if outcome == Outcome::Overload {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Keeps the requests in work, and so their memory, bounded.
async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.in_flight.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => ApiError::Busy.respond(&app),
    }
}

/// Reads a whole body. One that is too large is read on a little and dropped: a caller that is still
/// writing would else see a reset connection instead of the 413.
async fn read_body(mut body: Body) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    let mut dropped = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::BadRequest(format!("body ended early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() <= MAX_BODY_BYTES && dropped == 0 {
            bytes.extend_from_slice(&data);
            continue;
        }
        bytes = BytesMut::new();
        dropped += data.len();
        if dropped > LINGER_BYTES {
            break;
        }
    }
    if dropped > 0 { Err(ApiError::TooLarge) } else { Ok(bytes.freeze()) }
}

async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.draining.load(Ordering::Relaxed) || app.service.lanes().is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], app.service.metrics().text())
}
