//! `GET /api/v1/check`: the verdict on a name, now, with its full trace.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use dnsvet_core::name::Name;
use serde::Deserialize;
use serde_json::Value;

use super::auth::Viewer;
use super::{Api, Problem};

/// Decides one question as `dnsvet check --json` does: name, client, to the JSON object it prints.
pub type Checker = Arc<dyn Fn(&Name, IpAddr) -> Result<Value, String> + Send + Sync>;

/// Name, and the client that would ask (default: loopback).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    name: String,
    client: Option<IpAddr>,
}

/// Asks the checker off the async threads.
pub async fn check(
    State(api): State<Api>,
    Viewer(_): Viewer,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let name =
        Name::parse(params.name.trim()).map_err(|error| Problem::bad_request(format!("name: {error}")))?;
    let client = params.client.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let Some(checker) = api.checker.clone() else {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "this process runs without a filter; use `dnsvet check`",
        ));
    };
    let checked = tokio::task::spawn_blocking(move || checker(&name, client)).await;
    let checked =
        checked.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    checked.map(Json).map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
}
