//! `POST /api/v1/vetting/clusters`: many names in one step, all or none, in one snapshot.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{look, run, why_proposed};
use crate::api::auth::Vetter;
use crate::api::{Api, Problem};
use crate::control::vetting::Deciding;
use crate::store::control::vetting::Outcome;
use crate::store::control::{Decision, Scope};

/// A cluster by its id, or names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    id: Option<String>,
    names: Option<Vec<String>>,
    decision: Decision,
    #[serde(default)]
    scope: Scope,
    /// An admin's: no second person is waited for.
    #[serde(default)]
    alone: bool,
}

/// Decides; answers once the snapshot with what is in force is served. 202 if any of it waits for a second person.
pub async fn decide(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    decide: Result<Json<Decide>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Decide { id, names, decision, scope, alone }) =
        decide.map_err(|rejected| Problem::body(&rejected))?;
    let (label, names) = match (id, names) {
        (Some(id), None) => {
            let waiting = look(&api, identity.tenant).await?;
            let found = waiting.clusters.into_iter().find(|cluster| cluster.id == id);
            let found = found.ok_or_else(|| {
                Problem::not_found(format!(
                    "no cluster {id}; it has changed since, or it is gone: look again"
                ))
            })?;
            (found.label, found.names)
        }
        (None, Some(names)) => ("names".to_owned(), names),
        _ => return Err(Problem::bad_request("send either `id` of a cluster or `names`")),
    };
    let (who, started) = (identity.clone(), Instant::now());
    let work = move |control: &crate::control::Control| {
        let deciding = Deciding { names: &names, decision, scope, alone, together: Some(&label) };
        control.decide(&who, deciding)
    };
    let served = run(&api, work).await?;
    let (mut in_force, mut proposed, mut why) = (Vec::new(), Vec::new(), None);
    for outcome in served.what {
        match outcome {
            Outcome::InForce(row) => in_force.push(row.name),
            Outcome::Proposed(proposal) => {
                why.get_or_insert_with(|| why_proposed(&proposal, &identity.name));
                proposed.push(proposal);
            }
        }
    }
    let (status, state) =
        if proposed.is_empty() { (StatusCode::OK, "in_force") } else { (StatusCode::ACCEPTED, "proposed") };
    let body = json!({
        "state": state,
        "decision": decision,
        "scope": scope,
        "author": identity.name,
        "in_force": in_force,
        "proposed": proposed,
        "detail": why,
        "serial": served.serial,
        "snapshot": served.snapshot,
        "took_ms": started.elapsed().as_millis() as u64,
    });
    Ok((status, Json(body)).into_response())
}
