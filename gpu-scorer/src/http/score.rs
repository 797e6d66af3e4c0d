//! `POST /v1/score`: names in, scores out, as JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use dnsvet_core::schema::{ScoreReply, ScoreRequest, ScoreResult};

use super::{ApiError, App, read_body};
use crate::metrics::Outcome;
use crate::service::{parse_name, result};

/// How long the caller will wait for scores, milliseconds from the request's arrival.
pub(super) const DEADLINE_HEADER: &str = "x-dnsvet-deadline-ms";

pub(super) async fn score(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    match answer(&app, &headers, body).await {
        Ok(reply) => {
            app.service.metrics().request(Outcome::Ok);
            Json(reply).into_response()
        }
        Err(error) => error.respond(&app),
    }
}

async fn answer(app: &App, headers: &HeaderMap, body: Body) -> Result<ScoreReply, ApiError> {
    let deadline = deadline(headers)?;
    let body = read_body(body).await?;
    let request: ScoreRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("not a score request: {error}")))?;

    let mut results = Vec::with_capacity(request.names.len());
    let mut names = Vec::with_capacity(request.names.len());
    for text in request.names {
        match parse_name(&text) {
            Ok(name) => {
                names.push(name);
                results.push(Ok(text));
            }
            Err(error) => results.push(Err((text, error.to_string()))),
        }
    }
    app.service.metrics().bad_names.inc_by((results.len() - names.len()) as u64);

    let scored = app.service.score(request.model.as_deref(), names, deadline).await?;
    let model = scored.lane.model();
    let mut logits = scored.logits.into_iter();
    let results = results.into_iter().map(|entry| match entry {
        Ok(text) => result(model, text, logits.next().unwrap_or(f32::NAN)),
        Err((name, error)) => ScoreResult { name, score: None, p: None, class: None, error: Some(error) },
    });
    let results = results.collect();
    Ok(ScoreReply { model: model.id().to_owned(), device: scored.lane.device().to_owned(), results })
}

pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, ApiError> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(None) };
    let wait_ms = value.to_str().ok().and_then(|text| text.trim().parse::<u32>().ok());
    let wait_ms = wait_ms.ok_or_else(|| {
        ApiError::BadRequest(format!("{DEADLINE_HEADER} must be whole milliseconds, as 50"))
    })?;
    Ok(Some(Instant::now() + Duration::from_millis(u64::from(wait_ms))))
}
