//! `GET /api/v1/vetting/rows`: decisions in force as training rows, as tab-separated text. Query logs never become rows.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::api::auth::Viewer;
use crate::api::{Api, Problem};
use crate::control::vetting::rows::{self, PER_AUTHOR};

/// How many rows one author may have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    per_author: Option<usize>,
}

/// The rows, newest first.
pub async fn rows(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let decided = api.control.state().vetted(identity.tenant)?;
    let text = rows::rows(decided, params.per_author.unwrap_or(PER_AUTHOR));
    Ok(([(header::CONTENT_TYPE, "text/tab-separated-values; charset=utf-8")], text).into_response())
}
