//! `POST /v1/score`: names in, scores out, as JSON; if asked for, which characters made each score.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use dnsvet_core::model::Model;
use dnsvet_core::name::Name;
use dnsvet_core::schema::{Attribution, ScoreReply, ScoreRequest, ScoreResult};

use super::{ApiError, App, read_body};
use crate::metrics::Outcome;
use crate::service::{parse_name, result};

/// Names of one request for which it is said which characters made the score: each takes as long as many scores.
const MAX_ATTRIBUTED: usize = 64;
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

    if request.attribution && request.names.len() > MAX_ATTRIBUTED {
        let count = request.names.len();
        return Err(ApiError::BadRequest(format!(
            "attribution of {count} names; ask for at most {MAX_ATTRIBUTED} at once, or without `attribution`"
        )));
    }

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

    let attributed = if request.attribution { names.clone() } else { Vec::new() };
    let scored = app.service.score(request.model.as_deref(), names, deadline).await?;
    let model = scored.lane.model();
    let mut attributions = match model.model() {
        Some(network) if !attributed.is_empty() => attributions(network, attributed).await.into_iter(),
        _ => Vec::new().into_iter(),
    };
    let mut logits = scored.logits.into_iter();
    let results = results.into_iter().map(|entry| match entry {
        Ok(text) => ScoreResult {
            attribution: attributions.next().flatten().map(Box::new),
            ..result(model, text, logits.next().unwrap_or(f32::NAN))
        },
        Err((name, error)) => ScoreResult { name, error: Some(error), ..ScoreResult::default() },
    });
    let results = results.collect();
    Ok(ScoreReply { model: model.id().to_owned(), device: scored.lane.device().to_owned(), results })
}

/// Which characters made the score of each name, worked out off the async threads.
async fn attributions(network: &Arc<Model>, names: Vec<Name>) -> Vec<Option<Attribution>> {
    let network = Arc::clone(network);
    let all = move || names.iter().map(|name| Attribution::of(&network, name.as_str())).collect();
    // A thread that is gone takes with it what nobody needs to decide.
    tokio::task::spawn_blocking(all).await.unwrap_or_default()
}

pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, ApiError> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(None) };
    let wait_ms = value.to_str().ok().and_then(|text| text.trim().parse::<u32>().ok());
    let wait_ms = wait_ms.ok_or_else(|| {
        ApiError::BadRequest(format!("{DEADLINE_HEADER} must be whole milliseconds, as 50"))
    })?;
    Ok(Some(Instant::now() + Duration::from_millis(u64::from(wait_ms))))
}
