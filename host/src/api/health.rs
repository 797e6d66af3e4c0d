//! For machines that watch: liveness and Prometheus metrics.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::control::models::drift::Signal;

/// 200 once a snapshot is served; 503 before. Drift is said, and is no reason to take traffic away: still 200.
pub async fn healthz(State(api): State<Api>) -> Response {
    match api.control.published() {
        Some(published) => {
            let drifted: Vec<&str> = api.control.drifted().into_iter().map(Signal::as_str).collect();
            let drift =
                if drifted.is_empty() { String::new() } else { format!(" drift={}", drifted.join(",")) };
            let said = format!("ok snapshot={} serial={}{drift}\n", published.id, published.serial);
            (StatusCode::OK, said).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet\n").into_response(),
    }
}

/// Prometheus text: the control plane's numbers, and those of whoever runs in the same process.
pub async fn metrics(State(api): State<Api>) -> Response {
    let mut response = api.control.metrics().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
