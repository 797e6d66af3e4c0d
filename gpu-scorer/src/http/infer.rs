//! KServe's Open Inference Protocol, version 2, JSON: one BYTES tensor of names in, tensors of scores out.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::score::deadline;
use super::{ApiError, App, read_body};
use crate::metrics::Outcome;
use crate::service::{parse_name, result};

#[derive(Deserialize)]
struct InferRequest {
    #[serde(default)]
    id: Option<String>,
    inputs: Vec<Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    data: Vec<String>,
}

/// `GET /v2`: what this server is.
pub(super) async fn server() -> Json<Value> {
    Json(json!({ "name": "dnsvet-scorer", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

/// `GET /v2/models/{model}`: what goes in and what comes out.
pub(super) async fn model(State(app): State<Arc<App>>, Path(model): Path<String>) -> Response {
    match app.service.lane(Some(&model)) {
        Ok(lane) => {
            let tensor =
                |name: &str, datatype: &str| json!({ "name": name, "datatype": datatype, "shape": [-1] });
            let (name, version) = lane.model().id().split_once('@').unwrap_or((lane.model().id(), ""));
            Json(json!({
                "name": name,
                "versions": [version],
                "platform": format!("dnsvet_{}", lane.device()),
                "inputs": [tensor("names", "BYTES")],
                "outputs": [tensor("logit", "FP32"), tensor("score", "FP64"), tensor("p", "FP64"), tensor("class", "BYTES")],
            }))
            .into_response()
        }
        Err(error) => ApiError::Score(error).respond(&app),
    }
}

/// `GET /v2/models/{model}/ready`.
pub(super) async fn model_ready(State(app): State<Arc<App>>, Path(model): Path<String>) -> Response {
    match app.service.lane(Some(&model)) {
        Ok(lane) => Json(json!({ "name": lane.model().id(), "ready": true })).into_response(),
        Err(error) => ApiError::Score(error).respond(&app),
    }
}

/// `POST /v2/models/{model}/infer`. A tensor is scored whole or not at all: it has no place for an error of
/// one name, so a bad name is a 400 that says which.
pub(super) async fn infer(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match answer(&app, &model, &headers, body).await {
        Ok(reply) => {
            app.service.metrics().request(Outcome::Ok);
            Json(reply).into_response()
        }
        Err(error) => error.respond(&app),
    }
}

async fn answer(app: &App, asked: &str, headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    let deadline = deadline(headers)?;
    let body = read_body(body).await?;
    let request: InferRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("not an inference request: {error}")))?;
    let [input] = request.inputs.try_into().map_err(|inputs: Vec<Tensor>| {
        ApiError::BadRequest(format!("{} input tensors; there is one, \"names\"", inputs.len()))
    })?;
    if input.name != "names" || input.datatype != "BYTES" {
        let got = format!("{:?} of {}", input.name, input.datatype);
        return Err(ApiError::BadRequest(format!("input tensor {got}; it is \"names\" of BYTES")));
    }
    if input.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(input.data.len()) {
        let (shape, count) = (input.shape, input.data.len());
        return Err(ApiError::BadRequest(format!("shape {shape:?} does not fit the {count} names of data")));
    }
    let names = input.data.iter().enumerate().map(|(index, text)| {
        parse_name(text).map_err(|error| ApiError::BadRequest(format!("name {index}, {text:?}: {error}")))
    });
    let names = names.collect::<Result<Vec<_>, _>>()?;

    let scored = app.service.score(Some(asked), names, deadline).await?;
    let model = scored.lane.model();
    let results: Vec<_> = scored.logits.iter().map(|&logit| result(model, String::new(), logit)).collect();
    let shape = &input.shape;
    let tensor = |name: &str, datatype: &str, data: Value| json!({ "name": name, "datatype": datatype, "shape": shape, "data": data });
    let (name, version) = model.id().split_once('@').unwrap_or((model.id(), ""));
    let mut reply = json!({
        "model_name": name,
        "model_version": version,
        "outputs": [
            tensor("logit", "FP32", json!(scored.logits)),
            tensor("score", "FP64", results.iter().map(|result| json!(result.score)).collect()),
            tensor("p", "FP64", results.iter().map(|result| json!(result.p)).collect()),
            tensor("class", "BYTES", results.iter().map(|result| json!(result.class)).collect()),
        ],
    });
    if let (Some(id), Some(object)) = (request.id, reply.as_object_mut()) {
        object.insert("id".into(), id.into());
    }
    Ok(reply)
}
